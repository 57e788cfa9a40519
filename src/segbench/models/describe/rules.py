"""What every tensor of a forward pass sees of the image, followed from operator to operator.

Works on the operators that PyTorch really runs, so it makes no difference whether a network calls a module, a function
or a tensor method. Normalisation counts as pointwise: batch statistics are constants in evaluation mode, and those of
group and instance normalisation, which do see the whole map, are by convention no part of a receptive field. Operators
that move pixels about in a way not followed here (rolling, sorting, indexing by tensors) are taken to see the whole
image, and the field says that it is an upper bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from segbench.models.describe.axis_field import AxisField, resized, transposed_window, window
from segbench.models.describe.field import Call, Field, Pair, Shape, join_fields, on_map, spread

Result: TypeAlias = "Field | list[Field] | None"


def follow(call: Call) -> Sequence[Field | None]:
    """Returns what each output of an operator sees, given what its inputs see; None for constants."""
    found = RULES.get(call.name.rstrip("_") if call.name not in RULES else call.name, _pointwise)(call)
    if isinstance(found, list):
        return found
    return [found if output.shape == call.outputs[0].shape else None for output in call.outputs]


def _pointwise(call: Call) -> Field | None:
    """Each output position reads the same position of every input; inputs of size 1 are spread."""
    shape = call.out_shape
    joined: Field | None = None
    tensors = [leaf for leaf in tree_leaves(dict(call.args)) if isinstance(leaf, Tensor) and id(leaf) in call.fields]
    for tensor in sorted(tensors, key=lambda tensor: -tensor.numel()):
        field = call.fields[id(tensor)]
        sizes = zip(reversed(tensor.shape), reversed(shape), strict=False)
        if tensor.ndim > len(shape) or any(own not in (1, out) for own, out in sizes):
            return field.lost()
        moved = spread(field, tuple(tensor.shape), shape)
        joined = moved if joined is None else join_fields(joined, moved)
    return joined


def _convolution(call: Call) -> Field | None:
    field, shape = call.field("input"), call.shape("input")
    if field is None or call.field("weight") is not None:
        return _mixed(call)
    if len(shape) != 4:
        return field.lost()
    through = transposed_window if call.args["transposed"] else window
    return _slid(call, "input", call.shape("weight")[2:], through)


def _pooling(call: Call) -> Field | None:
    kernel = _pair(call.args["kernel_size"])
    found = _slid(call, "self", kernel)
    if call.name != "im2col" or found is None or found.axes in ((), (0,)):
        return found
    height, width = (  # the positions become one axis
        (count + 2 * padding - dilation * (side - 1) - 1) // stride + 1
        for count, side, stride, padding, dilation in zip(
            call.shape("self")[-2:], kernel, *_steps(call, kernel), strict=True
        )
    )
    return replace(found, axes=(len(call.out_shape) - 1,), size=(height, width))


def _slid(call: Call, argument: str, kernel: Shape, through: Callable[..., AxisField] = window) -> Field | None:
    """Returns the field behind a kernel that is moved over a map."""
    stride, padding, dilation = _steps(call, kernel)
    return on_map(
        call,
        argument,
        lambda side, i: through(side, kernel=kernel[i], stride=stride[i], padding=padding[i], dilation=dilation[i]),
    )


def _steps(call: Call, kernel: Shape) -> tuple[Pair, Pair, Pair]:
    """Returns stride, padding and dilation; a pooling without a stride moves on by its kernel."""
    get = call.args.get
    return _pair(get("stride") or kernel), _pair(get("padding", 0)), _pair(get("dilation", 1))


def _resizing(call: Call) -> Field | None:
    """Interpolation, adaptive pooling, unpooling: the sizes say which position reads which."""
    name = next(name for name in ("self", "input") if name in call.args)
    before, after = call.shape(name)[-2:], call.out_shape[-2:]
    align = bool(call.args.get("align_corners", False))
    field = call.field(name)
    indices = call.field("indices") if call.name == "max_unpool2d" else None
    if indices is not None:  # where a value goes is read from them
        field = indices if field is None else join_fields(field, indices)
    return on_map(
        call, name, lambda side, i: resized(side, before[i], after[i], _MODES[call.name], align_corners=align), field
    )


def _pixel_shuffle(call: Call) -> Field | None:
    before, after = call.shape("self")[-2:], call.out_shape[-2:]
    if call.name == "pixel_shuffle":
        return on_map(call, "self", lambda side, i: resized(side, before[i], after[i], "nearest"))
    ratio = [old // new for old, new in zip(before, after, strict=True)]
    return on_map(call, "self", lambda side, i: window(side, kernel=ratio[i], stride=ratio[i]))


def _padding(call: Call) -> Field | None:
    """Positions move; what is filled in at the border is not followed."""
    field, pad, axes = (
        call.field("self"),
        list(call.args.get("pad") or call.args["padding"]),
        len(call.out_shape),
    )
    if field is None or len(field.axes) < 2:
        return field
    for axis, side in zip(field.axes, field.sides, strict=True):
        last = 2 * (axes - 1 - axis)  # the last axis comes first
        field = field.with_side(axis, side.moved(-pad[last] if last < len(pad) else 0), call.out_shape[axis])
    return field


def _view(call: Call) -> Result:
    """Views, permutations, slices: run on a stand-in without numbers, whose strides say where H and W went."""
    field = call.field("self")
    if field is None:
        return None
    tensor = call.args["self"]
    stand_in = torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")
    views = (
        stand_in.view(call.args["size"]) if call.name == "_reshape_alias" else call.again(stand_in.view(tensor.shape))
    )
    return [_viewed(field, stand_in, view) for view in tree_leaves(views)]


def _viewed(field: Field, before: Tensor, after: Tensor) -> Field:
    """Returns the field of a view of a contiguous tensor."""
    height, width = field.size
    if len(field.axes) == 1:
        unit, count = before.stride(field.axes[0]), before.shape[field.axes[0]]
        found = _axes_along(after, unit, count)
        if len(found) == 2 and math.prod(field.size) == count:  # a sequence is a map again
            rows, columns = _axes_along(after, unit * width, height), _axes_along(after, unit, width)
            found = [*rows, *columns] if len(rows) == len(columns) == 1 else []
            return _in_order(replace(field, axes=tuple(found)))
        return replace(field, axes=tuple(found) if len(found) == 1 else ())
    if not field.axes:
        if tuple(after.shape[-2:]) != field.size:
            return field
        axes = (after.ndim - 2, after.ndim - 1)  # a map again; whether its positions are in order, nobody knows
        return replace(field if field.is_whole else field.whole(exact=False), axes=axes)
    moved: list[int] = []
    for axis, side in zip(field.axes, field.sides, strict=True):
        unit, count = before.stride(axis), before.shape[axis]
        found = _axes_along(after, unit, count)
        if count == 1 and after.ndim == before.ndim and after.shape[axis] == 1:
            found = [axis]  # one position has no stride to be known by
        if len(found) != 1:
            break
        moved += found
        start, step = int(after.storage_offset()) // unit % count, max(after.stride(found[0]) // unit, 1)
        field = field.with_side(axis, side.moved(start, step), after.shape[found[0]])
    if len(moved) == 2:
        return _in_order(replace(field, axes=tuple(moved)))
    unit = before.stride(field.axes[1])
    sequence = [axis for axis in _axes_along(after, unit, height * width) if after.shape[axis] == height * width]
    merged = field.axes[1] == field.axes[0] + 1 and len(sequence) == 1
    return replace(field, axes=tuple(sequence) if merged else ())


def _axes_along(view: Tensor, unit: int, count: int) -> list[int]:
    """Returns the axes of a view that run along an axis of `count` positions, `unit` apart in memory."""
    inside = [
        axis
        for axis, (size, stride) in enumerate(zip(view.shape, view.stride(), strict=True))
        if unit <= stride < unit * count and stride % unit == 0 and (size - 1) * stride < unit * count
    ]
    return [axis for axis in inside if view.shape[axis] > 1] or [axis for axis in inside if view.stride(axis) == unit]


def _in_order(field: Field) -> Field:
    """Returns the field with its two sides in the order of the tensor's axes: H and W may have changed places."""
    if len(field.axes) < 2 or field.axes[0] < field.axes[1]:
        return field
    return replace(field, sides=field.sides[::-1], axes=field.axes[::-1], size=field.size[::-1])


def _unfold(call: Call) -> Field | None:
    """Sliding windows of one axis: their positions stay an axis, what is in them becomes a new last one."""
    field, axis = call.field("self"), call.args["dimension"] % len(call.shape("self"))
    side = None if field is None else field.side(axis)
    if field is None or side is None:
        return field
    return field.with_side(axis, window(side, kernel=call.args["size"], stride=call.args["step"]), call.out_shape[axis])


def _cat(call: Call) -> Field | None:
    out_shape = call.out_shape
    axis = call.args.get("dim", 0) % len(out_shape)
    joined: Field | None = None
    start = 0
    for tensor in call.args["tensors"]:
        field = call.fields.get(id(tensor))
        side = None if field is None or call.name == "stack" else field.side(axis)
        if field is not None and call.name == "stack":
            field = replace(field, axes=tuple(other + (other >= axis) for other in field.axes))
        elif field is not None and side is not None:
            field = field.with_side(axis, side.moved(-start), out_shape[axis])
        if field is not None:
            joined = field if joined is None else join_fields(joined, field)
        start += tensor.shape[axis] if call.name == "cat" else 0
    return joined


def _reduce(call: Call) -> Result:
    """Along reduced axes the one position that is left sees everything."""
    field, shape = call.field("self"), call.shape("self")
    if field is None:
        return None
    dims = call.args.get("dim")
    dims = range(len(shape)) if dims is None or dims == [] else [dims] if isinstance(dims, int) else dims
    gone = {axis % len(shape) for axis in dims}
    pooled = gone & set(field.axes)
    for axis in pooled:
        side = field.side(axis)
        if side is not None:
            everything = side.whole()
            field = field.with_side(axis, replace(everything, shift=everything.shift * shape[axis]), 1)
    if len(field.axes) < 2 and (pooled or not field.axes):
        field = field.whole(exact=field.is_known)
    if not call.args.get("keepdim"):
        left = tuple(axis - sum(other < axis for other in gone) for axis in field.axes)
        field = replace(field, axes=() if pooled else left)
    return [field] * len(call.outputs)


def _softmax(call: Call) -> Field | None:
    field = call.field("self")
    if field is None or (field.axes and call.args["dim"] % len(call.shape("self")) not in field.axes):
        return field
    return field.whole(exact=field.is_known)


def _matrix_product(call: Call) -> Field | None:
    """Rows of the first times columns of the second; the axis between them is summed over."""
    names = {"addmm": ("mat1", "mat2"), "baddbmm": ("batch1", "batch2")}.get(call.name, ("self", "mat2"))
    first, second = (call.field(name) for name in names)
    axes = len(call.out_shape)
    if first is not None and second is not None:
        if first.axes == second.axes == (0,) and axes == 3:  # inside each patch of a batch
            return join_fields(first, second)
        return (first if first.axes else second).whole(exact=first.is_known and second.is_known)
    field, summed = (first, axes - 1) if first is not None else (second, axes - 2)
    if field is None:
        return _mixed(call)
    if summed in field.axes or not field.axes:
        return field.lost(exact=field.is_whole or summed in field.axes)
    return field


def _attention(call: Call) -> Result:
    fields = [field for field in (call.field(name) for name in ("query", "key", "value")) if field is not None]
    if any(not field.axes or max(field.axes) >= len(call.out_shape) - 2 for field in fields):
        return fields[0].whole(exact=all(field.is_known for field in fields))
    return fields[0]  # inside each element of the batch


def _mixed(call: Call) -> Field:
    """Every output position may read every input position."""
    return next(iter(call.fields.values())).whole()


def _everything(call: Call) -> Result:
    """Operators that move positions about: an upper bound."""
    tensor = next(leaf for leaf in tree_leaves(dict(call.args)) if isinstance(leaf, Tensor))
    field = next(iter(call.fields.values()))
    kept = field.axes if call.outputs[0].shape == tensor.shape else ()
    return [replace(field.whole(exact=field.is_whole), axes=kept)] * len(call.outputs)


def _copy(call: Call) -> Field | None:
    """What was there before is written over."""
    field = call.field("src")
    return None if field is None else spread(field, call.shape("src"), call.out_shape)


def _constant(_: Call) -> None:
    """Made in the shape of a tensor, without looking at it."""


def _pair(value: Any) -> Pair:
    values = [value] if isinstance(value, int) else list(value)
    return (int(values[0]), int(values[0])) if len(values) == 1 else (int(values[-2]), int(values[-1]))


_MODES = {
    "upsample_nearest2d": "nearest",
    "_upsample_nearest_exact2d": "nearest-exact",
    "upsample_bilinear2d": "bilinear",
    "upsample_bicubic2d": "bicubic",
    "_upsample_bilinear2d_aa": "bilinear-antialias",
    "_upsample_bicubic2d_aa": "bicubic-antialias",
    "max_unpool2d": "nearest",
    "_adaptive_avg_pool2d": "adaptive",
    "adaptive_max_pool2d": "adaptive",
}

_OPERATORS: dict[Callable[[Call], Result], str] = {  # all others are pointwise
    _convolution: "convolution",
    _pooling: "max_pool2d_with_indices avg_pool2d im2col",
    _resizing: " ".join(_MODES),
    _padding: "constant_pad_nd reflection_pad2d replication_pad2d",
    _pixel_shuffle: "pixel_shuffle pixel_unshuffle",
    _view: "view _unsafe_view reshape _reshape_alias permute transpose t squeeze unsqueeze select unbind slice "
    "split split_with_sizes chunk",
    _unfold: "unfold",
    _cat: "cat stack",
    _reduce: "mean sum amax amin max min var std linalg_vector_norm",
    _softmax: "_softmax _safe_softmax _log_softmax",
    _matrix_product: "mm addmm bmm baddbmm",
    _attention: "_scaled_dot_product_flash_attention_for_cpu _scaled_dot_product_flash_attention "
    "_scaled_dot_product_efficient_attention _scaled_dot_product_cudnn_attention "
    "_scaled_dot_product_fused_attention_overrideable",
    _everything: "roll flip index gather index_select scatter sort topk cumsum index_put _fft_r2c as_strided",
    _copy: "copy",
    _constant: "new_zeros new_ones new_full new_empty zeros_like ones_like full_like empty_like rand_like randn_like",
}
RULES = {name: rule for rule, names in _OPERATORS.items() for name in names.split()}
