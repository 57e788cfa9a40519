"""A model description of the BioImage Model Zoo around an exported ONNX file, and the zoo's own test of it."""

from __future__ import annotations

import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from segbench.errors import PredictionError
from segbench.export.images import Images
from segbench.export.packages import needed
from segbench.export.read import open_exported
from segbench.locale import message
from segbench.predict.onnx_network import OPSET
from segbench.predict.pipeline import PipelineSettings
from segbench.predict.predictor import Predictor
from segbench.types import Task

_SHORTEST = 5  # characters of a name in the zoo
_SIDE_PX = 64  # of the test image: a part of a real one, so that the package stays small


def write_bioimage(predictor: Predictor, name: str, file: Path, images: Images) -> Path:
    """Writes `NAME.bioimage.zip` beside an ONNX file of the full form: description, file, and a tested example.

    Args:
        predictor: of the model.
        name: of the model, for people.
        file: ONNX, full form.
        images: of which the first becomes the example.
    Returns:
        The path of the package, which `bioimageio.core.test_model` has passed.
    Raises:
        PredictionError: the package bioimageio.core is missing, or its test fails (says what it found).
    """
    spec, core = needed("bioimageio.spec"), needed("bioimageio.core")
    out = file.with_suffix(".bioimage.zip")
    image = next(images.read(predictor.pipeline))[1][:_SIDE_PX, :_SIDE_PX][None]
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the zoo would like to have beside: covers, links, a cited paper
        folder = Path(scratch)
        tensors = (image, *open_exported(file, "onnx", 1)(image))
        for tensor, called in zip(tensors, ("image", "mask", "probabilities"), strict=True):
            np.save(folder / f"{called}.npy", tensor)
        try:
            told_as = name if len(name) >= _SHORTEST else f"{name} segmentation"  # `ph2`
            description = _description(predictor.pipeline.settings, told_as, file, folder)
        except ValidationError as error:
            told = message(
                "bioimageio.spec {spec} refuses the description, and pydantic {pydantic} may be too new for it: "
                "pip install 'pydantic<2.14'; {error}",
                spec=version("bioimageio.spec"),
                pydantic=version("pydantic"),
                error=error,
            )
            raise PredictionError(told) from error
        spec.save_bioimageio_package(description, output_path=out, local_files_only=True)
        summary = core.test_model(out, weight_format="onnx")
    if summary.status == "failed":
        problems = [error.msg for detail in summary.details for error in detail.errors]
        told = message("the model zoo's own test of it fails: {problems}", problems="; ".join(problems))
        raise PredictionError(told, path=out)
    return out


def _description(settings: PipelineSettings, name: str, file: Path, folder: Path) -> Any:
    zoo: Any = needed("bioimageio.spec.model.v0_5")
    classes = settings.class_map

    def test_tensor(called: str) -> Any:
        return zoo.FileDescr(source=folder / f"{called}.npy")

    def sides(kind: Any) -> list[Any]:
        if kind is zoo.SpaceInputAxis:
            any_length = zoo.ParameterizedSize(min=1, step=1)
            return [kind(id=axis, size=any_length) for axis in ("y", "x")]
        return [kind(id=axis, size=zoo.SizeReference(tensor_id="image", axis_id=axis)) for axis in ("y", "x")]

    channels = [f"channel{number}" for number in range(settings.channels)]
    channels = ["red", "green", "blue"] if settings.bands is None else channels
    planes = list(classes.names[1:] if classes.task is Task.BINARY else classes.names)
    plane_axis = zoo.ChannelAxis(channel_names=planes)
    image = zoo.InputTensorDescr(
        id="image",
        axes=[zoo.BatchAxis(), *sides(zoo.SpaceInputAxis), zoo.ChannelAxis(channel_names=channels)],
        test_tensor=test_tensor("image"),
        data=zoo.IntervalOrRatioDataDescr(type="uint8", range=(0, 255)),
    )
    between = [plane_axis] if classes.task is Task.MULTILABEL else []
    mask = zoo.OutputTensorDescr(
        id="mask",
        description=f"class ids: {', '.join(f'{i} {each}' for i, each in enumerate(classes.names))}"[:128],
        axes=[zoo.BatchAxis(), *between, *sides(zoo.SpaceOutputAxis)],
        test_tensor=test_tensor("mask"),
        data=zoo.NominalOrOrdinalDataDescr(type="uint8", values=list(range(classes.num_classes))),
    )
    probabilities = zoo.OutputTensorDescr(
        id="probabilities",
        axes=[zoo.BatchAxis(), plane_axis, *sides(zoo.SpaceOutputAxis)],
        test_tensor=test_tensor("probabilities"),
        data=zoo.IntervalOrRatioDataDescr(type="float32", range=(0.0, 1.0)),
    )
    readme = folder / "README.md"
    readme.write_text(_readme(settings, name), encoding="utf-8")
    return zoo.ModelDescr(
        name="".join(letter if letter.isalnum() or letter in "_- ()" else " " for letter in name)[:64],
        description=f"Semantic segmentation: {', '.join(classes.names)}"[:1024],
        documentation=zoo.FileDescr(source=readme),
        inputs=[image],
        outputs=[mask, probabilities],
        tags=["semantic-segmentation", "segbench"],
        weights=zoo.WeightsDescr(onnx=zoo.OnnxWeightsDescr(source=file.resolve(), opset_version=OPSET)),
    )


def _readme(settings: PipelineSettings, name: str) -> str:
    size = settings.size
    told = "at their own size" if size == "original" else f"resized inside to {size[0]} x {size[1]} pixels (H x W)"
    classes = "\n".join(f"- {index}: {each}" for index, each in enumerate(settings.class_map.names))
    return (
        f"# {name}\n\nSemantic segmentation, trained with segbench. The graph takes images of 8 bit as they come out "
        f"of a file, {told}, and gives class ids and probabilities.\n\n## Classes\n\n{classes}\n\n## Validation\n\n"
        "The file was compared with its model on real images before it was written; see the report beside it.\n"
    )
