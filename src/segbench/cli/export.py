"""`segbench export`: a trained model for another runtime, proven equal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segbench.cli._common import EXIT_PROBLEMS, ModelPath, Quiet, console, print_table, require
from segbench.errors import ConfigError
from segbench.locale import languages

_SUFFIXES = {"onnx": ".onnx", "openvino": ".xml", "torchscript": ".pt", "html": ".html"}


def export(
    model: ModelPath,
    to: Annotated[
        str, typer.Option("--format", help="onnx, openvino, torchscript or html: a page that runs it.")
    ] = "onnx",
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
    samples: Annotated[
        int, typer.Option(help="Of html: so many validation images lie in the page, for all who have it; up to 4.")
    ] = 0,
    lang: Annotated[str, typer.Option(help=f"Of html: {' or '.join(languages())}.")] = "en",
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
    if to == "html":
        if int8 or images is not None or form != "full":
            raise ConfigError("go with other formats than html", key="--int8, --images, --form")
        _export_page(model, out or Path(f"{model.resolve().stem}.html"), lang, samples)
        return
    if samples or lang != "en":
        raise ConfigError("go with --format html alone", key="--samples, --lang")
    from segbench.export.export import check_request, export_model
    from segbench.export.parity_result import parity_table
    from segbench.predict.predictor import Predictor

    ending = "" if form == "full" else f"_{form}"
    file = out or Path(f"{model.resolve().stem}{ending}{'_int8' if int8 else ''}{_SUFFIXES[to]}")
    check_request(file, to, form=form, int8=int8, images=images)  # type: ignore[arg-type]  # the words are checked above
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
        from segbench.export.images import MOST, images_for, need_images, readable

        example = need_images(images_for(model, images, "val", MOST), model)
        if images is not None:
            example = readable(example, images, predictor.pipeline, lambda _: None)  # which was told before
        console.print(f"{write_bioimage(predictor, model.resolve().stem, file, example)}")
    if mlflow is not None:
        from segbench.export.mlflow_log import log_to_mlflow

        console.print(log_to_mlflow(file, parity, model.resolve().stem, mlflow))


def _export_page(model: Path, file: Path, lang: str, samples: int) -> None:
    """Runs `segbench export --format html`."""
    require("--lang", lang, languages())
    from segbench.export.html.write import write_page

    written = write_page(model, file, lang=lang, samples=samples)
    inside = f", with {samples} images of the validation part inside: pass it on only where they may be seen"
    console.print(f"{written} ({written.stat().st_size / 1e6:.1f} MB{inside if samples else ''})")
