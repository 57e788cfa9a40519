"""A prediction as Label Studio's regions: all of it, or what a smart tool pointed at."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segbench.data.shapes.trace import polygons_for
from segbench.data.writers.labelstudio import bitmask_value, brush_value, labelled_region, polygon_value
from segbench.predict.doubt import mask_confidence
from segbench.predict.outputs.objects import MaskObject
from segbench.predict.predictor import Prediction
from segbench.predict.scored_objects import scored_objects
from segbench.serve.answers import ServeError
from segbench.serve.label_studio.config import BITMASK, BRUSH, POLYGON, LabelTarget

_MASKS = {BRUSH: brush_value, BITMASK: bitmask_value}
_TOOLS = {"keypoint": ("x", "y"), "rectangle": ("x", "y", "width", "height")}  # what each shows, in per cent


@dataclass(frozen=True)
class Prompt:
    """What a person showed with a smart tool: a point asks for the object there, a rectangle for what it holds.

    Attributes:
        x, y, width, height: per cent of the image's sides; a point has no width.
        wanted: False for a point on what is not meant.
        label: that the person had chosen; empty: none.
    """

    x: float
    y: float
    width: float = 0.0
    height: float = 0.0
    wanted: bool = True
    label: str = ""

    def pixels_of(self, each: MaskObject, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Returns which pixels of an object are shown, (height, width) bool of its box."""
        rows = _span(self.y, self.height, size[0], each.top, each.pixels.shape[0])
        columns = _span(self.x, self.width, size[1], each.left, each.pixels.shape[1])
        shown = np.zeros_like(each.pixels)
        shown[rows, columns] = each.pixels[rows, columns]
        if not self.width and shown.any():
            return each.pixels
        return shown


def _span(start: float, extent: float, side: int, offset: int, length: int) -> slice:
    first = start / 100 * side
    last = first + extent / 100 * side if extent else first
    low = min(max(math.floor(first) - offset, 0), length)
    high = min(max((math.ceil(last) if extent else math.floor(first) + 1) - offset, low), length)
    return slice(low, high)


def read_prompts(context: object) -> list[Prompt]:
    """Returns what a person showed; nothing where Label Studio asks without one.

    Args:
        context: of a request: regions of the smart tools under `result`.
    Raises:
        ServeError: another tool than a key point or an upright rectangle.
    """
    regions = context.get("result") if isinstance(context, dict) else None
    return [_prompt(region) for region in regions] if isinstance(regions, list) else []


def _prompt(region: object) -> Prompt:
    given = region if isinstance(region, dict) else {}
    kind = str(given.get("type", "")).removesuffix("labels")
    value: dict[str, Any] = given["value"] if isinstance(given.get("value"), dict) else {}
    numbers: list[Any] = [value.get(name) for name in _TOOLS.get(kind, ())]
    if not numbers or not all(map(_is_per_cent, numbers)) or value.get("rotation"):
        told = f"expected a key point or an upright rectangle of a smart tool, got {kind!r}"
        raise ServeError(422, told, code="smart_tool")
    labels = value.get(f"{kind}labels")
    label = str(labels[0]) if isinstance(labels, list) and labels else ""
    x, y, width, height = (*map(float, numbers), 0.0, 0.0)[:4]
    return Prompt(x, y, width, height, wanted=given.get("is_positive") not in (False, 0), label=label)


def _is_per_cent(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 100


def task_result(
    prediction: Prediction, target: LabelTarget, version: str, prompts: Sequence[Prompt] = ()
) -> dict[str, Any]:
    """Returns what Label Studio stores as the prediction of a task.

    A polygon is an object's, so that a person takes away a wrong one by itself. A brush stroke or a bitmask is a
    class's: the browser keeps a picture of the whole image for each.

    Args:
        version: of the model; Label Studio asks again when it is another.
    """
    size = prediction.image.shape[0], prediction.image.shape[1]
    known = set(target.labels.values())  # a tool may have labels of its own
    prompts = [each if each.label in known else replace(each, label="") for each in prompts]
    objects = _asked_for(scored_objects(prediction), target.labels, prompts, size)
    made = _rings(objects, size) if target.kind == POLYGON else _masks(objects, size, _MASKS[target.kind])
    regions = []
    for index, value, confidence in made:
        name = uuid.uuid4().hex[:10]  # of no other region, also of those that a person accepted before
        region = labelled_region(
            target.kind, value, target.labels[index], size, name=name, control=target.control, image=target.image
        )
        regions.append({**region, "score": confidence})
    score = mask_confidence(prediction)
    return {"model_version": version, "score": None if math.isnan(score) else score, "result": regions}


_Found = tuple[MaskObject, NDArray[np.bool_], float]  # an object, which of its pixels, how sure the network is


def _asked_for(
    objects: Iterator[tuple[MaskObject, float]],
    labels: Mapping[int, str],
    prompts: Sequence[Prompt],
    size: tuple[int, int],
) -> Iterator[_Found]:
    """Yields the objects that have a label; where there are prompts, what these show of them."""
    for each, confidence in objects:
        if each.label in labels:
            own = [prompt for prompt in prompts if prompt.label in (labels[each.label], "")]
            pixels = _shown(each, own, size) if prompts else each.pixels
            if pixels.any():
                yield each, pixels, confidence


def _shown(each: MaskObject, prompts: Sequence[Prompt], size: tuple[int, int]) -> NDArray[np.bool_]:
    shown = np.zeros_like(each.pixels)
    for prompt in prompts:
        pixels = prompt.pixels_of(each, size)
        if not prompt.wanted and pixels.any():
            return np.zeros_like(each.pixels)
        shown |= pixels
    return shown


def _masks(
    objects: Iterator[_Found], size: tuple[int, int], packed: Callable[[NDArray[np.bool_]], dict[str, Any]]
) -> Iterator[tuple[int, dict[str, Any], float]]:
    for index, found in groupby(objects, key=lambda each: each[0].label):
        mask, total, area = np.zeros(size, dtype=bool), 0.0, 0
        for each, pixels, confidence in found:
            height, width = pixels.shape
            mask[each.top : each.top + height, each.left : each.left + width] |= pixels
            count = int(np.count_nonzero(pixels))
            total, area = total + confidence * count, area + count
        yield index, packed(mask), total / area


def _rings(objects: Iterator[_Found], size: tuple[int, int]) -> Iterator[tuple[int, dict[str, Any], float]]:
    for each, pixels, confidence in objects:
        for ring in polygons_for(pixels)[0]:
            moved = [value + (each.top if place % 2 else each.left) for place, value in enumerate(ring)]
            yield each.label, polygon_value(moved, size), confidence
