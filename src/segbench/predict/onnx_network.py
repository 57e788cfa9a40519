"""A network as an ONNX graph, of every size: normalised images in, logits out. The only place that writes one."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.onnx.utils import register_custom_op_symbolic, unregister_custom_op_symbolic

from segbench.errors import PredictionError

OPSET = 18  # the first whose Resize has antialiasing; onnxruntime 1.14 (2023) and later read it
TRIAL_PX = (67, 97)  # fits no stride and no grid, so that nothing in the graph is left out as not needed


def write_network_onnx(network: nn.Module, file: str | Path | IO[bytes], *, channels: int, opset: int = OPSET) -> None:
    """Writes a network in its plain form: `image` (B, C, H, W) float32, normalised -> `logits` (B, K, H, W) float32.

    B, H and W may be any; H and W of 32 pixels or more, as for every network here. What the network does to sizes
    (padding to its stride, cropping) is in the graph. Everything that is written lies in the one file.

    Args:
        network: a `SegmentationNetwork`, or several averaged (`FlipAverage`, `Ensemble`); it is left as it is.
        file: path or open binary file.
        channels: C.
        opset: version of ONNX's operators, 18 to 20.
    Raises:
        PredictionError: the network does something that ONNX has no word for (names it).
    """
    some = {0: "batch", 2: "height", 3: "width"}
    write_graph(network, file, torch.zeros(2, channels, *TRIAL_PX), image=some, outputs={"logits": some}, opset=opset)


def write_graph(
    module: nn.Module,
    file: str | Path | IO[bytes],
    example: Tensor,
    *,
    image: Mapping[int, str],
    outputs: Mapping[str, Mapping[int, str]],
    opset: int = OPSET,
) -> None:
    """Writes what a module computes of one tensor as ONNX.

    Args:
        module: is left as it is; a copy on the CPU, in evaluation mode, is traced.
        file: path or open binary file.
        example: of the module's input, called `image` in the graph.
        image: axes of the input that may have any length, with their names.
        outputs: the names of the module's outputs, in order, each with such axes.
        opset: version of ONNX's operators.
    Raises:
        PredictionError: the module does something that ONNX has no word for (names it).
    """
    copied = copy.deepcopy(module).cpu().eval().requires_grad_(False)
    with torch.no_grad(), _more_operators(opset), warnings.catch_warnings():
        # The exporter warns that it is the older of torch's two, and wherever a size becomes a number of Python.
        warnings.simplefilter("ignore")
        try:
            # The newer exporter takes minutes where this one takes a second (torch 2.15), or never ends.
            torch.onnx.export(
                copied,
                (example,),
                file,  # type: ignore[arg-type]  # an open file will do, too
                dynamo=False,
                verbose=False,
                opset_version=opset,
                input_names=["image"],
                output_names=list(outputs),
                dynamic_axes={"image": dict(image), **{name: dict(axes) for name, axes in outputs.items()}},
            )
        except torch.onnx.OnnxExporterError as error:
            reason = str(error).partition("\n")[0].partition(". ")[0]
            raise PredictionError(f"this network cannot be written as ONNX: {reason}") from error


def _mean_of_parts(x: Tensor, output_size: int | tuple[int | None, ...] | list[int | None]) -> Tensor:
    """Returns `F.adaptive_avg_pool2d` by two products of matrices, for which the size of the map need not be known."""
    parts = (output_size, output_size) if isinstance(output_size, int) else output_size
    rows, columns = (_shares(x.shape[axis], count).to(x.dtype) for axis, count in zip((2, 3), parts, strict=True))
    return rows @ x @ columns.transpose(0, 1)


def _shares(size: Any, parts: int | None) -> Tensor:
    """Returns (parts, size): which share each pixel has in the mean of each part; None: as many parts as pixels."""
    size = torch.as_tensor(size)
    count = size if parts is None else parts
    part, pixel = torch.arange(count)[:, None], torch.arange(size)[None]
    first, end = part * size // count, ((part + 1) * size + count - 1) // count
    shares: Tensor = ((pixel >= first) & (pixel < end)) / (end - first)
    return shares


def _bicubic_antialiased(graph: Any, x: Any, size: Any, align_corners: Any, *scales: Any) -> Any:
    """ONNX's Resize for torch's bicubic interpolation with antialiasing (of the position embeddings of timm's ViT)."""
    batch_channels = graph.op(
        "Slice",
        graph.op("Shape", x),
        *(graph.op("Constant", value_t=torch.tensor([value])) for value in (0, 2)),
    )
    return graph.op(
        "Resize",
        x,
        graph.op("Constant", value_t=torch.tensor([], dtype=torch.float32)),
        graph.op("Constant", value_t=torch.tensor([], dtype=torch.float32)),
        graph.op("Concat", batch_channels, size, axis_i=0),
        mode_s="cubic",
        cubic_coeff_a_f=-0.5,
        antialias_i=1,
        exclude_outside_i=1,
        coordinate_transformation_mode_s="half_pixel",
    )


def _log_sigmoid(graph: Any, x: Any) -> Any:
    """Torch's exporter takes the logarithm of the sigmoid, which is minus infinity where the sigmoid is 0."""
    return graph.op("Neg", graph.op("Softplus", graph.op("Neg", x)))


def _logaddexp(graph: Any, first: Any, second: Any) -> Any:
    apart = graph.op("Abs", graph.op("Sub", first, second))
    return graph.op("Add", graph.op("Max", first, second), graph.op("Softplus", graph.op("Neg", apart)))


_SYMBOLS: dict[str, Callable[..., Any]] = {
    "aten::_upsample_bicubic2d_aa": _bicubic_antialiased,
    "aten::log_sigmoid": _log_sigmoid,
    "aten::logaddexp": _logaddexp,
}


@contextmanager
def _more_operators(opset: int) -> Iterator[None]:
    """Teaches torch's exporter what it does not know, as long as the block runs."""
    pooling = F.adaptive_avg_pool2d
    for name, symbol in _SYMBOLS.items():
        register_custom_op_symbolic(name, symbol, opset)
    F.adaptive_avg_pool2d = _mean_of_parts  # type: ignore[assignment]
    try:
        yield
    finally:
        F.adaptive_avg_pool2d = pooling
        for name in _SYMBOLS:
            unregister_custom_op_symbolic(name, opset)
