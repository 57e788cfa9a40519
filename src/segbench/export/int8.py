"""Weights and activations in 8 bit: static, a scale a channel of the weights, calibrated on training images.

Never dynamic: scales that are found anew for every image cost time in every layer, and per-tensor scales ruin depthwise
convolutions.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segbench.export.images import CALIBRATION, Images
from segbench.export.packages import needed
from segbench.files import replacing
from segbench.predict.predictor import Predictor

_INSIDE = "/network/"  # the part of the names of the graph's nodes that belong to the network
_KINDS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def network_nodes(file: Path) -> list[str]:
    """Returns the names of an ONNX file's nodes that have weights and belong to the network, in order."""
    graph = needed("onnx").load(file).graph
    weights = {each.name for each in graph.initializer} | {
        node.output[0] for node in graph.node if node.op_type in ("Constant", "Identity")
    }
    return [
        node.name
        for node in graph.node
        if node.op_type in _KINDS and node.name.startswith(_INSIDE) and node.input[1] in weights
    ]


def quantize_onnx(source: Path, file: Path, images: Sequence[NDArray[np.uint8]], left_float: Collection[str]) -> None:
    """Writes an ONNX file in int8 (onnxruntime's QDQ form).

    Args:
        source: full form in float32.
        file: to write.
        images: (H, W, C) uint8 to calibrate on.
        left_float: names of nodes that stay in float32.
    Raises:
        PredictionError: the package onnxruntime is missing.
    """
    quantization = needed("onnxruntime.quantization")
    chosen = [name for name in network_nodes(source) if name not in left_float]
    with replacing(file) as temporary, _without_warnings():
        quantization.quantize_static(
            str(source),
            str(temporary),
            _reader(images, quantization.CalibrationDataReader),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            nodes_to_quantize=chosen,
            op_types_to_quantize=list(_KINDS),
        )


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Onnxruntime advises a step before quantisation that renames the nodes by which layers are left alone."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _reader(images: Sequence[NDArray[np.uint8]], base: Any) -> Any:
    class Reader(base):  # type: ignore[misc]  # onnxruntime wants its own class
        def __init__(self) -> None:
            self.waiting = iter(images)

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            image = next(self.waiting, None)
            return None if image is None else {"image": image[None]}

    return Reader()


def quantize_openvino(source: Path, images: Sequence[NDArray[np.uint8]], left_float: Collection[str]) -> Any:
    """Returns an OpenVINO model in int8, made by NNCF.

    Args:
        source: ONNX file, full form in float32.
        images: (H, W, C) uint8 to calibrate on.
        left_float: names of nodes that stay in float32.
    Raises:
        PredictionError: the packages openvino and nncf are missing.
    """
    model = needed("openvino").Core().read_model(str(source))
    nncf = needed("nncf")
    nncf.set_log_level(logging.ERROR)
    outside = [
        name
        for name in (node.get_friendly_name() for node in model.get_ops())
        if not name.startswith(_INSIDE) or name in left_float
    ]
    with redirect_stdout(io.StringIO()):  # bars of its own
        return nncf.quantize(
            model,
            nncf.Dataset([image[None] for image in images]),
            subset_size=len(images),
            ignored_scope=nncf.IgnoredScope(names=outside, validate=False),
        )


def calibration_images(predictor: Predictor, images: Images) -> list[NDArray[np.uint8]]:
    """Returns at most `CALIBRATION` images, as the file will get them."""
    found: Iterator[Any] = images.read(predictor.pipeline)
    return [np.ascontiguousarray(image) for (_, image, _), _ in zip(found, range(CALIBRATION), strict=False)]


def rules(file: Path, worst: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yields what stays in float32, one rule after the other, until a file keeps to its budget.

    First nothing; then the first and the last layer, which see the raw image and say the logits; then, too, a quarter,
    and a half, of the layers: those that int8 changes most.

    Args:
        file: full form in float32.
        worst: names of nodes, those first that int8 changes most; read after the second rule, and empty where that is
            not known.
    """
    nodes = network_nodes(file)
    yield "nothing", ()
    ends = tuple(dict.fromkeys((nodes[0], nodes[-1]))) if nodes else ()
    yield "first and last layer", ends
    for words, parts in (("the worst quarter", 4), ("the worst half", 2)):
        if worst:
            yield words, tuple(dict.fromkeys((*ends, *worst[: max(1, len(nodes) // parts)])))
