"""What a network is made of and what it costs: layers, multiply-adds, receptive field, memory.

Everything is measured on one forward pass. Without an image the pass runs on tensors that have shapes but no numbers,
so even large networks are described in a moment and no weight is touched.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call

from segbench.models._architecture import Block, make_blocks, nominal_stride, row_size
from segbench.models._description import Description, Layer, comparison_row, text_table
from segbench.models._receptive_field import Field
from segbench.models._trace import Row, StorageKey, Trace, storage_key

__all__ = ["Block", "Description", "Layer", "comparison_row", "describe_network", "text_table"]

MB = 2**20


def describe_network(
    network: nn.Module,
    size: tuple[int, int] = (256, 256),
    image: Tensor | None = None,
    *,
    name: str = "",
) -> Description:
    """Returns what a network is made of and what one forward pass costs; the network is left as it was.

    Args:
        network: takes (1, C, H, W) and returns a tensor or several; C is its attribute `in_channels`, or 3.
        size: (H, W) of the image, unless one is given.
        image: (1, C, H, W) float; the pass then runs with real numbers, where the weights are.
        name: what to call it; default: its class.
    Raises:
        ValueError: the image has another shape than the network takes.

    Example:
        >>> from segbench.models import build_network
        >>> description = describe_network(build_network("unet_nearest"), (64, 64))
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
    tensors = _tensors_for(network, image.device)
    with _mode(network, training=False), torch.no_grad():
        trace = Trace(network, image)
        trace.ignore_memory_of(list(tensors.values()))
        with trace.watching_modules(), trace:
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
        receptive_field_px=_field_px(seen),
        exact=seen is not None and seen.exact,
        coarsest_stride_px=max(max(layer.stride_px) for layer in layers if _is_map(layer)),
        inference_mb=trace.peak_bytes / MB,
        training_mb=_training_mb(network, image),
        warnings=tuple(warning for row in rows if (warning := _dilation_warning(row))),
        blocks=make_blocks(rows, trace.module_sizes, parameters),
    )


def _tensors_for(network: nn.Module, device: torch.device) -> dict[str, Tensor]:
    """Returns parameters and buffers where the image is; without numbers where it has none."""
    named: dict[str, Tensor] = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    if device.type != "meta":
        return named
    return {
        name: torch.empty_like(tensor, device="meta", requires_grad=tensor.requires_grad)
        for name, tensor in named.items()
    }


@contextmanager
def _mode(network: nn.Module, *, training: bool) -> Iterator[None]:
    """Puts every module into one mode and back; attention runs as ordinary operators, which can be followed."""
    before = [(module, module.training) for module in network.modules()]
    fast = torch.backends.mha.get_fastpath_enabled()
    network.train(training)
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for module, mode in before:
            module.training = mode


def _training_mb(network: nn.Module, image: Tensor) -> float:
    """Returns the MB that one image's forward pass in training mode keeps for the backward pass."""
    smallest = getattr(network, "smallest_training_batch", 1)
    try:
        return _training_bytes(network, image, smallest) / MB
    except ValueError as error:
        if "more than 1 value per channel" not in str(error) or smallest > 1:
            raise
        return _training_bytes(network, image, 2) / MB  # a foreign network that normalises maps of one pixel


def _training_bytes(network: nn.Module, image: Tensor, batch_size: int) -> float:
    """Returns the bytes that a forward pass in training mode keeps, an image of the batch.

    Tensors are weighed as they are put aside and not kept, so this needs no more memory than inference.
    """
    batch = image.repeat(batch_size, 1, 1, 1)
    tensors = _tensors_for(network, image.device)
    buffers = {name for name, _ in network.named_buffers()}
    tensors = {name: tensor.clone() if name in buffers else tensor for name, tensor in tensors.items()}
    own = {storage_key(tensor) for tensor in tensors.values()}
    kept: dict[StorageKey, int] = {}  # weak references, so that no storage of the pass takes another's place

    def weigh(tensor: Tensor) -> None:
        key = storage_key(tensor)
        if key not in own:
            kept[key] = tensor.untyped_storage().nbytes()

    devices = [image.device] if image.device.type == "cuda" else []
    with ExitStack() as stack:
        stack.enter_context(_mode(network, training=True))
        stack.enter_context(torch.random.fork_rng(devices))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(torch.autograd.graph.saved_tensors_hooks(weigh, _never_read))
        functional_call(network, tensors, (batch,))
    return sum(kept.values()) / len(batch)


def _never_read(_: None) -> Tensor:
    raise RuntimeError("nothing was kept for a backward pass")


def _layer(row: Row, parameters: int, image: tuple[int, int]) -> Layer:
    seen = row.seen
    strides = image if seen is None else (seen.vertical.stride_px, seen.horizontal.stride_px)
    map_size = row_size(row)
    return Layer(
        name=row.name,
        kind=row.kind,
        shape=row.shape,
        parameters=parameters,
        macs=row.macs,
        calls=row.calls,
        stride_px=(
            nominal_stride(strides[0], image[0], map_size[0]),
            nominal_stride(strides[1], image[1], map_size[1]),
        ),
        receptive_field_px=_field_px(seen),
        exact=seen is not None and seen.exact,
        dilation=row.dilation,
        joins=row.joins,
        inputs=tuple(sorted(row.inputs)),
    )


def _field_px(seen: Field | None) -> tuple[int, int] | None:
    if seen is None or math.isinf(seen.vertical.size_px) or math.isinf(seen.horizontal.size_px):
        return None
    return math.ceil(seen.vertical.size_px), math.ceil(seen.horizontal.size_px)


def _is_map(layer: Layer) -> bool:
    return len(layer.shape) == 4 and layer.shape[0] == 1 and min(layer.shape[2:]) > 1


def _parameters_of(network: nn.Module, rows: Sequence[Row]) -> dict[int, int]:
    """Returns the parameters of each row, those of a module and a tensor only once."""
    seen: set[int] = set()
    modules = dict(network.named_modules())
    found: dict[int, int] = {}
    for row in rows:
        if row.module:
            own = [parameter for parameter in modules[row.module].parameters() if id(parameter) not in seen]
            seen.update(id(parameter) for parameter in own)
            found[row.number] = sum(parameter.numel() for parameter in own)
    return found


def _not_run(network: nn.Module, rows: Sequence[Row]) -> list[Layer]:
    """Returns lines for the parameters that no line above has: of modules with parts, and of parts that did not run."""
    modules = dict(network.named_modules())
    covered = {id(parameter) for row in rows if row.module for parameter in modules[row.module].parameters()}
    lines = []
    for name, parameter in network.named_parameters():
        if id(parameter) not in covered:
            lines.append(
                Layer(
                    name=name,
                    kind="Parameter",
                    shape=tuple(parameter.shape),
                    parameters=parameter.numel(),
                    macs=0,
                    calls=0,
                    stride_px=(0.0, 0.0),
                    receptive_field_px=(0, 0),
                    exact=True,
                    dilation=1,
                    joins="",
                    inputs=(),
                )
            )
    return lines


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
    stride = math.ceil(max(row.seen.vertical.stride_px, row.seen.horizontal.stride_px))
    seen = (
        f"only the centre weight of its {kernel} kernel ever meets"
        if math.prod(met) == 1
        else (f"only {met[0]} x {met[1]} weights of its {kernel} kernel ever meet")
    )
    return (
        f"{row.name}: dilation {row.dilation} reaches beyond its {row.map_in[0]}x{row.map_in[1]} feature map: "
        f"{seen} the image; enlarge the input to at least {(max(reach) + 1) * stride} pixels or lower the dilation"
    )
