"""A trained model as a function of CVAT's automatic annotation (extra `cvat`).

    cvat-cli task auto-annotate 7 --function-module segbench.annotate.cvat -p model=str:ph2.segbench

An object of the mask becomes a shape of its own: a person deletes a wrong one with one key and sees how sure the
network is of each, which one shape a class would not allow.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import cvat_sdk.auto_annotation as cvataa  # type: ignore[import-untyped]
import PIL.Image
from cvat_sdk import models
from cvat_sdk.masks import encode_mask  # type: ignore[import-untyped]

from segbench.data.shapes.trace import polygons_for
from segbench.errors import ConfigError, DatasetError, PredictionError
from segbench.locale import message
from segbench.predict.outputs.objects import MaskObject
from segbench.predict.postprocess import Postprocess
from segbench.predict.predictor import Predictor
from segbench.predict.runtimes import load_predictor
from segbench.predict.scored_objects import object_classes, scored_objects
from segbench.types import SizePolicy, Task

_LOG = logging.getLogger(__name__)


def create(
    model: str,
    *,
    names: str = "",
    threshold: float | None = None,
    smallest_px: int = 0,
    policy: SizePolicy | None = None,
    runtime: str = "torch",
    device: str = "auto",
) -> CvatFunction:
    """Returns the function, as `cvat-cli` makes it of `--function-module segbench.annotate.cvat -p NAME=TYPE:VALUE`.

    Args:
        model: run folder or bundle.
        names: what the task calls the classes where it has other names, as `lesion=Melanoma,hair=Haar`.
        threshold: of a pixel's probability (binary, multilabel); None: the model's.
        smallest_px: objects below this area, in pixels, are left out.
        policy, runtime, device: see `segbench predict`.
    Raises:
        ConfigError: `names` cannot be read, or names a class that the model has not; a threshold of exclusive classes.
        PredictionError: the network reads other bands than CVAT shows.
        SegbenchError: see `Predictor.load`.
    """
    predictor = load_predictor(model, runtime, threshold=threshold, policy=policy, device=device)
    if predictor.bands is not None:
        raise PredictionError(
            message("this network reads {n} bands, and CVAT hands out three", n=predictor.bands.channels), path=model
        )
    if threshold is not None and predictor.class_map.task is Task.MULTICLASS:
        raise ConfigError("this model has exclusive classes: the most probable one is taken", key="threshold")
    predictor = predictor.with_postprocess(Postprocess(smallest_px=smallest_px))
    return CvatFunction(predictor, _task_names(names, predictor.class_map.names))


@dataclass(frozen=True)
class CvatFunction:
    """What CVAT calls: `spec` says the classes, `detect` gives the shapes of one image.

    Attributes:
        predictor: see `Predictor`.
        names: class -> what the task calls it; others keep their name.
    """

    predictor: Predictor
    names: Mapping[str, str]

    @property
    def spec(self) -> cvataa.DetectionFunctionSpec:
        """Every class but the background, as masks, which CVAT lets become polygons; ids are class indices."""
        return cvataa.DetectionFunctionSpec(
            labels=[
                cvataa.label_spec(self.names.get(name, name), index, type="mask")
                for index, name in object_classes(self.predictor.class_map).items()
            ]
        )

    def detect(
        self, context: cvataa.DetectionFunctionContext, image: PIL.Image.Image
    ) -> list[models.LabeledShapeRequest]:
        """Returns a shape for every object that is at least as sure as CVAT asks, with its confidence as the score.

        An image that cannot be read gets none, and a warning: the shapes of a whole task are sent at its end.
        """
        try:
            prediction = self.predictor(image)
        except (DatasetError, PredictionError) as error:
            _LOG.warning("%s was not segmented: %s", context.frame_name, error.reason)
            return []
        size = prediction.image.shape[:2]
        return [
            shape
            for each, confidence in scored_objects(prediction)
            if confidence >= (context.conf_threshold or 0.0)
            for shape in _shapes(each, confidence, (size[0], size[1]), as_polygons=context.conv_mask_to_poly)
        ]


def _shapes(
    each: MaskObject, confidence: float, size: tuple[int, int], *, as_polygons: bool
) -> Iterator[models.LabeledShapeRequest]:
    if not as_polygons:
        height, width = each.pixels.shape
        points = encode_mask(each.pixels)[:-4]  # the runs; the box is the object's own
        corners = (each.left, each.top, each.left + width - 1, each.top + height - 1)
        yield cvataa.mask(each.label, [*points, *corners], score=confidence)
        return
    for ring in polygons_for(each.pixels)[0]:
        points = [value + (each.top if place % 2 else each.left) for place, value in enumerate(ring)]
        yield cvataa.polygon(each.label, points, score=confidence)


def _task_names(text: str, classes: tuple[str, ...]) -> dict[str, str]:
    """Returns class -> the task's name of `CLASS=NAME,CLASS=NAME`."""
    found = {}
    for part in filter(None, text.split(",")):
        name, sign, other = (each.strip() for each in part.partition("="))
        if not sign or not other or name not in classes:
            expected = f"CLASS=NAME,... with classes of {', '.join(classes)}"
            raise ConfigError(message("expected {expected}, got {part!r}", expected=expected, part=part), key="names")
        found[name] = other
    return found
