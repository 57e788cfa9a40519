"""`segbench export`: a trained model for another runtime, proven equal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segbench.cli._common import EXIT_PROBLEMS, ModelPath, Quiet, console, print_table, require
from segbench.errors import ConfigError

_SUFFIXES = {"onnx": ".onnx", "openvino": ".xml", "torchscript": ".pt"}


def export(
    model: ModelPath,
    to: Annotated[str, typer.Option("--format", help="onnx, openvino or torchscript.")] = "onnx",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write; default: the model's name beside you.")
    ] = None,
    form: Annotated[
        str, typer.Option(help="Of ONNX: full (image in, mask out), plain (the network alone) or qgis (for Deepness).")
    ] = "full",
    int8: Annotated[bool, typer.Option("--int8", help="8 bit, calibrated on training images.")] = False,
    images: Annotated[
        Path | None,
        typer.Option(help="Folder of images to compare on; default: the validation part of the run.", metavar="DIR"),
    ] = None,
    bioimage: Annotated[
        bool, typer.Option("--bioimage", help="Also a BioImage.IO model description (.zip), tested.")
    ] = False,
    mlflow: Annotated[
        str | None, typer.Option(help="Also log the ONNX file to this MLflow tracking URI.", metavar="URI")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write a model for another runtime, compare it with the model on real images, and call it good only then.

    Example: segbench export runs/ph2, segbench export ph2.segbench --format openvino --int8 --images photos/
    """
    require("--format", to, tuple(_SUFFIXES))
    require("--form", form, ("full", "plain", "qgis"))
    if (bioimage or mlflow) and to != "onnx":
        raise ConfigError("go with --format onnx alone", key="--bioimage, --mlflow")
    if bioimage and (form != "full" or int8):
        raise ConfigError("describes the full form in float32", key="--bioimage")
    from segbench.export.export import export_model
    from segbench.export.parity import parity_table
    from segbench.predict.predictor import Predictor

    ending = "" if form == "full" else f"_{form}"
    file = out or Path(f"{model.resolve().stem}{ending}{'_int8' if int8 else ''}{_SUFFIXES[to]}")
    predictor = Predictor.load(model, device="cpu")
    parity = export_model(
        model,
        file,
        to,  # type: ignore[arg-type]  # checked above
        form=form,  # type: ignore[arg-type]
        int8=int8,
        images=images,
        predictor=predictor,
        told=None if quiet else console.print,
    )
    print_table(("", ""), parity_table(parity))
    if not predictor.pipeline.settings.postprocess.is_off:
        console.print("The file's masks are as the network gives them: the model's post-processing is not in it.")
    if not parity.passed:
        kept = file.with_name(f"{file.stem}.failed{file.suffix}")
        console.print(f"{kept} is not as good as the model: {parity.reason}")
        raise typer.Exit(EXIT_PROBLEMS)
    console.print(f"{file}")
    if bioimage:
        from segbench.export.bioimage import write_bioimage
        from segbench.export.images import images_for, need_images

        example = need_images(images_for(model, images, "val", 1), model)
        console.print(f"{write_bioimage(predictor, model.resolve().stem, file, example)}")
    if mlflow is not None:
        from segbench.export.mlflow_log import log_to_mlflow

        console.print(log_to_mlflow(file, parity, model.resolve().stem, mlflow))
