"""A predictor written as a file for another runtime."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from torch import nn

from segbench import __version__
from segbench.export.full_form import Form, FullForm, TileForm
from segbench.export.packages import needed
from segbench.files import replacing
from segbench.predict.onnx_network import TRIAL_PX, write_graph, write_network_onnx
from segbench.predict.pipeline import PipelineSettings
from segbench.predict.predictor import Predictor
from segbench.predict.tiles import OVERLAP
from segbench.types import ORIGINAL, SizePolicy, Task

Format: TypeAlias = Literal["onnx", "openvino", "torchscript"]
SUFFIXES: dict[Format, str] = {"onnx": ".onnx", "openvino": ".xml", "torchscript": ".pt"}
_IMAGE = {0: "batch", 1: "height", 2: "width"}
_PLANES = {0: "batch", 2: "height", 3: "width"}


def exported_policy(settings: PipelineSettings) -> SizePolicy:
    """Returns the one size policy that the file holds: the model's, or as it was trained."""
    if settings.policy is not None:
        return settings.policy
    if settings.patch is not None:
        return "tiles"
    return "whole" if settings.size == ORIGINAL else "resize"


def tile_of(settings: PipelineSettings) -> tuple[int, int]:
    """Returns the (h, w) of tiles that a model should be given where somebody else cuts them."""
    trained = None if settings.size == ORIGINAL else settings.size
    return settings.patch or trained or settings.training_px or (512, 512)


def write_onnx(predictor: Predictor, file: Path, form: Form = "full") -> None:
    """Writes a model as ONNX; every axis for images, heights and widths takes any length.

    ======= ============================================== ===========================================================
    form    `image`                                        outputs
    ======= ============================================== ===========================================================
    full    (B, H, W, C) uint8, as it comes out of a file  `mask` (B, H, W) uint8, multilabel (B, K, H, W), and
                                                           `probabilities` (B, K, H, W) float32, at the image's size
    plain   (B, C, h, w) float32, resized and normalised   `logits` (B, K, h, w) float32
    qgis    (B, C, h, w) float32 in [0, 1], a tile         `probabilities` (B, K, h, w) float32
    ======= ============================================== ===========================================================

    Raises:
        PredictionError: the network does something that ONNX has no word for, or the package onnx is missing.
        OSError: it cannot be written.
    """
    onnx = needed("onnx")
    settings, network = predictor.pipeline.settings, predictor.pipeline.at_once
    with replacing(file) as temporary:
        if form == "plain":
            write_network_onnx(network, temporary, channels=settings.channels)
        elif form == "qgis":
            example = torch.zeros(2, settings.channels, *TRIAL_PX)
            write_graph(
                TileForm(network, settings), temporary, example, image=_PLANES, outputs={"probabilities": _PLANES}
            )
        else:
            mask = _PLANES if settings.class_map.task is Task.MULTILABEL else _IMAGE
            write_graph(
                FullForm(network, settings, exported_policy(settings)),
                temporary,
                _example(settings),
                image=_IMAGE,
                outputs={"mask": mask, "probabilities": _PLANES},
            )
        model = onnx.load(temporary)
        onnx.helper.set_model_props(model, metadata_of(settings, form))
        model.producer_name, model.producer_version = "segbench", __version__
        onnx.save(model, temporary)


def write_openvino(onnx_file: Path, file: Path) -> None:
    """Writes an ONNX file as OpenVINO's pair of files: `.xml` and, beside it, `.bin`.

    Raises:
        PredictionError: the package openvino is missing.
        OSError: it cannot be written.
    """
    save_openvino(needed("openvino").Core().read_model(str(onnx_file)), file)


def save_openvino(model: Any, file: Path) -> None:
    """Saves an OpenVINO model in full precision."""
    file.parent.mkdir(parents=True, exist_ok=True)
    needed("openvino").save_model(model, str(file), compress_to_fp16=False)


def write_torchscript(predictor: Predictor, file: Path) -> None:
    """Writes the full form as TorchScript, to be read by `torch.jit.load` in Python or C++ without segbench.

    Raises:
        OSError: it cannot be written.
    """
    settings = predictor.pipeline.settings
    module: nn.Module = FullForm(predictor.pipeline.at_once, settings, exported_policy(settings)).cpu().eval()
    with torch.no_grad(), warnings.catch_warnings(), replacing(file) as temporary:
        # Torch warns wherever a size becomes a number, and that it would rather have another exporter.
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            module, (_example(settings),), check_trace=False
        )
        extra = {"segbench.json": json.dumps(metadata_of(settings, "full"))}
        torch.jit.save(traced, temporary, _extra_files=extra)


def _example(settings: PipelineSettings) -> torch.Tensor:
    return torch.zeros(2, *TRIAL_PX, settings.channels, dtype=torch.uint8)


def metadata_of(settings: PipelineSettings, form: Form) -> dict[str, str]:
    """Returns what is written into the file: key -> text, most of it JSON.

    `qgis` has the keys of Deepness, a plugin of QGIS, as its documentation lists them.
    """
    classes, policy = settings.class_map, exported_policy(settings)
    height, width = tile_of(settings)
    plain: dict[str, Any] = {
        "segbench": __version__,
        "segbench_form": form,
        "segbench_classes": [{"name": n, "color": list(c)} for n, c in zip(classes.names, classes.colors, strict=True)],
        "segbench_task": str(classes.task),
        "segbench_policy": policy,
        "segbench_settings": settings.to_dict(),
        "torch": torch.__version__,
    }
    if policy == "tiles" or form == "qgis":
        plain |= {"segbench_tile": [height, width], "segbench_overlap": OVERLAP}
    if form == "qgis":
        names = classes.names[1:] if classes.task is Task.BINARY else classes.names
        plain |= {
            "model_type": "Segmentor",
            "class_names": dict(enumerate(names)),
            "tiles_size": max(height, width),
            "tiles_overlap": round(100 * OVERLAP),
            "seg_thresh": settings.threshold,
            "seg_small_segment": settings.postprocess.smallest_px,
        }
    told_as_text = ("segbench", "segbench_form", "segbench_task", "segbench_policy", "torch")
    return {key: value if key in told_as_text else json.dumps(value) for key, value in plain.items()}
