"""What a network is made of and what it costs: layers, multiply-adds, receptive field, memory.

Everything is measured on one forward pass. Without an image the pass runs on tensors that have shapes but no numbers,
so even large networks are described in a moment and no weight is touched.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from segbench.models.describe.blocks import Block, Edge, make_blocks, nominal_stride
from segbench.models.describe.description import Description, Layer, comparison_row, text_table
from segbench.models.describe.memory import kept_for_training, mode, tensors_for
from segbench.models.describe.trace import Row, Trace

__all__ = ["MB", "Block", "Description", "Edge", "Layer", "comparison_row", "describe", "text_table"]

MB = 2**20


def describe(
    network: nn.Module,
    size: tuple[int, int] = (256, 256),
    image: Tensor | None = None,
    *,
    name: str = "",
) -> Description:
    """Returns what a network is made of and what one forward pass costs; the network is left as it was.

    Multiply-adds are half of what torch's `FlopCounterMode` counts. Receptive fields are theoretical: which pixels a
    position can depend on, followed from operator to operator as if the image had no border.

    Args:
        network: takes (1, C, H, W) and returns a tensor or several; C is its attribute `in_channels`, or 3.
        size: (H, W) of the image, unless one is given.
        image: (1, C, H, W) float; the pass then runs with real numbers, where the weights are.
        name: what to call it; default: its class.
    Raises:
        ValueError: the image has another shape than the network takes.

    Example:
        >>> from segbench import build_network, describe
        >>> description = describe(build_network("unet_nearest"), (64, 64))
        >>> description.parameters, description.macs, description.receptive_field_px
        (931969, 146276352, (172, 172))
    """
    if image is None:
        channels = getattr(network, "in_channels", 3)
        try:
            return _describe(network, torch.zeros(1, channels, *size, device="meta"), name)
        except RuntimeError:  # an operator that looks at the numbers, or a tensor that is no buffer: run it really
            device = next((tensor.device for tensor in network.parameters()), torch.device("cpu"))
            image = torch.zeros(1, channels, *size, device=device)
    if image.ndim != 4 or len(image) != 1:
        raise ValueError(f"image must be (1, C, H, W), got {tuple(image.shape)}")
    return _describe(network, image, name)


def _describe(network: nn.Module, image: Tensor, name: str) -> Description:
    tensors = tensors_for(network, image.device)
    trace = Trace(network, image)
    with mode(network, training=False), torch.no_grad(), trace.recording(list(tensors.values())):
        seen = trace.field_of(functional_call(network, tensors, (image,)))
    rows = trace.finished_rows()
    height, width = image.shape[-2:]
    parameters = _parameters_of(network, rows)
    layers = [_layer(row, parameters.get(row.number, 0), (height, width)) for row in rows]
    return Description(
        name=name or type(network).__name__,
        size=(height, width),
        layers=(*layers, *_not_run(network, rows)),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        trainable=sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad),
        buffer_values=sum(buffer.numel() for buffer in network.buffers()),
        macs=sum(row.macs for row in rows),
        receptive_field_px=None if seen is None else seen.size_px,
        exact=seen is not None and seen.exact,
        coarsest_stride_px=max(max(layer.stride_px) for layer in layers if _is_map(layer)),
        inference_mb=trace.peak_bytes / MB,
        training_mb=kept_for_training(network, image) / MB,
        warnings=tuple(warning for row in rows if (warning := _dilation_warning(row))),
        blocks=make_blocks(rows, trace.module_sizes, parameters),
    )


def _layer(row: Row, parameters: int, image: tuple[int, int]) -> Layer:
    vertical, horizontal = image if row.seen is None else row.seen.stride_px
    return Layer(
        name=row.name,
        kind=row.kind,
        shape=row.shape,
        parameters=parameters,
        macs=row.macs,
        calls=row.calls,
        stride_px=(
            nominal_stride(vertical, image[0], row.size[0]),
            nominal_stride(horizontal, image[1], row.size[1]),
        ),
        receptive_field_px=None if row.seen is None else row.seen.size_px,
        exact=row.seen is not None and row.seen.exact,
        dilation=row.dilation,
        joins=row.joins,
        inputs=tuple(sorted(row.inputs)),
    )


def _is_map(layer: Layer) -> bool:
    return len(layer.shape) == 4 and layer.shape[0] == 1 and min(layer.shape[2:]) > 1


def _parameters_of(network: nn.Module, rows: Sequence[Row]) -> dict[int, int]:
    """Returns the parameters of each row, those of a module and a tensor only once."""
    seen: set[int] = set()
    found: dict[int, int] = {}
    for row in rows:
        if row.module:
            own = [item for item in network.get_submodule(row.module).parameters() if id(item) not in seen]
            seen.update(map(id, own))
            found[row.number] = sum(parameter.numel() for parameter in own)
    return found


def _not_run(network: nn.Module, rows: Sequence[Row]) -> list[Layer]:
    """Returns lines for the parameters that no line above has: of modules with parts, and of parts that did not run."""
    modules = [network.get_submodule(row.module) for row in rows if row.module]
    covered = {id(parameter) for module in modules for parameter in module.parameters()}
    return [
        Layer(
            name=name,
            kind="Parameter",
            shape=tuple(parameter.shape),
            parameters=parameter.numel(),
            calls=0,
            stride_px=(0.0, 0.0),
            receptive_field_px=(0, 0),
        )
        for name, parameter in network.named_parameters()
        if id(parameter) not in covered
    ]


def _dilation_warning(row: Row) -> str:
    """Returns a sentence where weights of a dilated convolution can never meet the map they are moved over."""
    if row.dilation == 1 or row.map_in is None or row.seen is None:
        return ""
    reach = [row.dilation * (kernel // 2) for kernel in row.kernel]
    if all(reached < size for reached, size in zip(reach, row.map_in, strict=True)):
        return ""
    met = [
        sum(1 for tap in range(kernel) if abs(tap - kernel // 2) * row.dilation < size)
        for kernel, size in zip(row.kernel, row.map_in, strict=True)
    ]
    kernel = "x".join(str(side) for side in row.kernel)
    seen = (
        f"only the centre weight of its {kernel} kernel ever meets"
        if math.prod(met) == 1
        else f"only {met[0]} x {met[1]} weights of its {kernel} kernel ever meet"
    )
    smallest = (max(reach) + 1) * math.ceil(max(row.seen.stride_px))
    return (
        f"{row.name}: dilation {row.dilation} reaches beyond its {row.map_in[0]}x{row.map_in[1]} feature map: "
        f"{seen} the image; enlarge the input to at least {smallest} pixels or lower the dilation"
    )
