"""A model exported and proven: written, compared with what it came from, and only then called good."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import torch

from segbench.errors import PredictionError
from segbench.export.first_layer import first_layer, layer_errors
from segbench.export.full_form import Form, FullForm
from segbench.export.images import CALIBRATION, MOST, Images, files_of, halves, images_for, need_images, readable
from segbench.export.int8 import calibration_images, quantize_onnx, quantize_openvino, rules
from segbench.export.packages import needed
from segbench.export.parity import check_parity
from segbench.export.parity_result import Parity, parity_table
from segbench.export.write import (
    SUFFIXES,
    Format,
    exported_policy,
    save_openvino,
    write_onnx,
    write_openvino,
    write_torchscript,
)
from segbench.files import write_json, write_text
from segbench.locale import message
from segbench.predict.predictor import Predictor

FAILED = ".failed"
_RUNTIME = {"onnx": "onnxruntime", "openvino": "openvino"}


def export_model(
    model: str | Path,
    out: str | Path,
    kind: Format = "onnx",
    *,
    form: Form = "full",
    int8: bool = False,
    images: str | Path | None = None,
    predictor: Predictor | None = None,
    told: Callable[[str], None] | None = None,
) -> Parity:
    """Writes a model for another runtime, compares the file with the model, and returns what was found.

    Beside the file lie `NAME.parity.json` and `NAME.parity.md`. A file over its budget (see `check_parity`) is kept as
    `NAME.failed.SUFFIX`, so that nobody takes it for good; what was under its name before is left alone.

    Args:
        model: run folder or bundle.
        out: file to write; its suffix is the format's.
        kind: `onnx`, `openvino` (`.xml` with a `.bin` beside it) or `torchscript`.
        form: of ONNX, see `write_onnx`.
        int8: in 8 bit, calibrated on training images; of the full form as ONNX or OpenVINO.
        images: folder of images to compare on (int8: half of them, calibrated on the other half), but for those that
            cannot be read; None: the run's validation part (int8: calibrated on its training part).
        predictor: of the model, where it is loaded already; on the CPU.
        told: is told what is done.
    Raises:
        PredictionError: a package is missing, there are no images, or the network cannot be exported so.
        RunError, BundleError: see `Predictor.load`.
        OSError: it cannot be written.

    Example:
        >>> import segbench
        >>> parity = segbench.export_model("runs/ph2", "ph2.onnx")  # doctest: +SKIP
        >>> parity.passed, parity.changed_px, parity.speed  # doctest: +SKIP
    """
    model, out = Path(model), Path(out)
    folder = None if images is None else Path(images)
    check_request(out, kind, form=form, int8=int8, images=folder)
    predictor = predictor or Predictor.load(model, device="cpu")
    if predictor.tta == "scales":
        raise PredictionError(
            message(
                "a model that looks at images at several scales (tta scales) cannot be exported; choose another tta"
            ),
            path=model,
        )
    tell = told or (lambda _: None)
    learnt: Images | None = None
    most = 2 * CALIBRATION if int8 and folder is not None else MOST
    compared = need_images(images_for(model, folder, "val", most), model)
    if folder is not None:
        compared = readable(compared, folder, predictor.pipeline, tell)
    if int8:  # an image that int8 was fitted to proves nothing about others
        learnt, compared = (_calibration(model), compared) if folder is None else halves(compared, folder)
    part = out.with_name(f"{out.stem}{FAILED}{SUFFIXES[kind]}")
    with tempfile.TemporaryDirectory() as scratch:
        if learnt is None:
            _write(predictor, part, kind, form, Path(scratch))
            tell(message("comparing with the model"))
            parity = check_parity(predictor, part, kind, compared, form=form)
        else:
            parity = _int8(predictor, part, kind, compared, learnt, Path(scratch), tell)
    if not parity.passed and kind == "onnx" and form == "full":
        parity = replace(parity, first_layer=_first_layer(predictor, part, compared, parity))
    return _settle(parity, part, out, kind)


def check_request(out: Path, kind: Format, *, form: Form, int8: bool, images: Path | None) -> None:
    """Raises PredictionError where `export_model` cannot do what it is asked for, before a model is loaded."""
    if kind not in SUFFIXES or form not in get_args(Form):
        raise PredictionError(
            message(
                "there is no format {kind!r} with the form {form!r}; formats: {formats}; forms: {forms}",
                kind=kind,
                form=form,
                formats=", ".join(SUFFIXES),
                forms=", ".join(get_args(Form)),
            )
        )
    if out.is_dir():
        text = message("this is a folder; name a file in it that ends in {suffix}", suffix=SUFFIXES[kind])
        raise PredictionError(text, path=out)
    if out.suffix != SUFFIXES[kind]:
        raise PredictionError(message("a file of {kind} ends in {suffix}", kind=kind, suffix=SUFFIXES[kind]), path=out)
    if form != "full" and (kind != "onnx" or int8):
        raise PredictionError(message("the forms plain and qgis are of ONNX in float32 alone"))
    if int8 and kind == "torchscript":
        raise PredictionError(message("int8 is of ONNX and OpenVINO alone"))
    for package in ("onnx", *filter(None, [_RUNTIME.get(kind)]), *(["nncf"] if int8 and kind == "openvino" else [])):
        if kind != "torchscript":
            needed(package)
    if images is not None:
        files_of(images)


def _calibration(model: Path) -> Images:
    found = images_for(model, None, "train", CALIBRATION)
    if found is None:
        raise PredictionError(
            message(
                "int8 is calibrated on training images, and those of this model are not here; name a folder of images "
                "like them: --images DIR"
            ),
            path=model,
        )
    return found


def _write(predictor: Predictor, file: Path, kind: Format, form: Form, scratch: Path) -> None:
    if kind == "torchscript":
        write_torchscript(predictor, file)
    elif kind == "onnx":
        write_onnx(predictor, file, form)
    else:
        write_onnx(predictor, scratch / "full.onnx", form)
        write_openvino(scratch / "full.onnx", file)


def _int8(
    predictor: Predictor,
    file: Path,
    kind: Format,
    compared: Images,
    learnt: Images,
    scratch: Path,
    tell: Callable[[str], None],
) -> Parity:
    """Writes the int8 file by the first rule that keeps to the budget, else by the last."""
    source = scratch / "full.onnx"
    write_onnx(predictor, source, "full")
    images = calibration_images(predictor, learnt)
    worst: list[str] = []
    parity: Parity | None = None
    for rule, left_float in rules(source, worst):
        tell(message("int8, {rule} left in float32: calibrating on {count} images", rule=rule, count=len(images)))
        if kind == "onnx":
            quantize_onnx(source, file, images, left_float)
        else:
            save_openvino(quantize_openvino(source, images, left_float), file)
        tell(message("comparing with the model"))
        parity = replace(check_parity(predictor, file, kind, compared, int8=True), left_float=left_float)
        if parity.passed:
            break
        if not left_float:
            if kind == "openvino":
                quantize_onnx(source, scratch / "int8.onnx", images, ())
            worst += _worst(predictor, file if kind == "onnx" else scratch / "int8.onnx", images[0])
    assert parity is not None
    return parity


def _module(predictor: Predictor) -> FullForm:
    settings = predictor.pipeline.settings
    return FullForm(predictor.pipeline.at_once, settings, exported_policy(settings)).cpu().eval()


def _worst(predictor: Predictor, file: Path, image: Any) -> list[str]:
    errors = layer_errors(_module(predictor), file, torch.from_numpy(image.copy())[None])
    return [node for _, node, _ in sorted(errors, key=lambda each: -each[2])]


def _first_layer(predictor: Predictor, file: Path, compared: Images, parity: Parity) -> str | None:
    _, image, _ = next(compared.read(predictor.pipeline))
    tolerance = 0.1 if parity.int8 else 1e-3
    return first_layer(_module(predictor), file, torch.from_numpy(image.copy())[None], tolerance)


def _settle(parity: Parity, part: Path, out: Path, kind: Format) -> Parity:
    """Gives the file its name, good or failed, and writes what was found beside it."""
    file = part
    if parity.passed:
        if kind == "openvino":
            part.with_suffix(".bin").replace(out.with_suffix(".bin"))
        part.replace(out)
        file = out
    write_json(file.with_suffix(".parity.json"), parity.to_dict())
    rows = "\n".join(f"| {name} | {value} |" for name, value in parity_table(parity))
    write_text(file.with_suffix(".parity.md"), f"# {file.name}\n\n| | |\n| --- | --- |\n{rows}\n")
    return parity
