"""Receptive fields through operators that rearrange, reduce or multiply: views, concatenation, means, attention."""

from __future__ import annotations

import math
from dataclasses import replace

from segbench.models._receptive_field import RULES, Call, Field, Shape, join_fields, spread


def _view(call: Call) -> Field | None:
    field = call.field("self")
    return None if field is None else viewed(field, call.shape("self"), call.out_shape)


def viewed(field: Field, before: Shape, after: Shape) -> Field:
    """Returns the field of a tensor seen with another shape: H and W may become one axis and two axes again."""
    if len(field.axes) == 2 and field.axes[1] == field.axes[0] + 1:
        first = field.axes[0]
        ahead, sides = math.prod(before[:first]), (before[first], before[first + 1])
        for axis in range(len(after)):
            if math.prod(after[:axis]) != ahead:
                continue
            if after[axis : axis + 2] == sides:
                return replace(field, axes=(axis, axis + 1))
            if after[axis] == math.prod(sides):
                return replace(field, axes=(axis,), size=sides)
    elif len(field.axes) == 2:
        places = [_same_axis(before, after, axis) for axis in field.axes]
        if None not in places:
            return replace(field, axes=tuple(place for place in places if place is not None))
    elif len(field.axes) == 1:
        axis = field.axes[0]
        ahead, count = math.prod(before[:axis]), before[axis]
        for place in range(len(after)):
            if math.prod(after[:place]) != ahead:
                continue
            if after[place : place + 2] == field.size and count == math.prod(field.size):
                return replace(field, axes=(place, place + 1))
            if after[place] == count:
                return replace(field, axes=(place,))
    elif after[-2:] == field.size:
        return replace(field, axes=(len(after) - 2, len(after) - 1))
    return replace(field, axes=())


def _same_axis(before: Shape, after: Shape, axis: int) -> int | None:
    ahead = math.prod(before[:axis])
    for place in range(len(after)):
        if math.prod(after[:place]) == ahead and after[place] == before[axis]:
            return place
    return None


def _permute(call: Call) -> Field | None:
    field, count = call.field("self"), len(call.shape("self"))
    if field is None:
        return None
    order = list(range(count))
    if call.name == "permute":
        order = [axis % count for axis in call.given["dims"]]
    elif call.name == "t" and count == 2:
        order = [1, 0]
    elif call.name == "transpose":
        first, second = call.given["dim0"] % count, call.given["dim1"] % count
        order[first], order[second] = order[second], order[first]
    axes = tuple(order.index(axis) for axis in field.axes)
    if len(axes) == 2 and axes[0] > axes[1]:  # H and W changed places: the pair is kept in the order of the tensor
        return replace(
            field,
            vertical=field.horizontal,
            horizontal=field.vertical,
            axes=(axes[1], axes[0]),
            size=(field.size[1], field.size[0]),
        )
    return replace(field, axes=axes)


def _squeeze(call: Call) -> Field | None:
    field, shape = call.field("self"), call.shape("self")
    if field is None:
        return None
    dims = call.given.get("dim")
    wanted = range(len(shape)) if dims is None else [dims] if isinstance(dims, int) else dims
    gone = {axis % len(shape) for axis in wanted if shape[axis] == 1}
    return _without(field, gone)


def _without(field: Field, gone: set[int]) -> Field:
    if gone & set(field.axes):
        return replace(field, axes=())
    return replace(field, axes=tuple(axis - sum(1 for other in gone if other < axis) for axis in field.axes))


def _unsqueeze(call: Call) -> Field | None:
    field = call.field("self")
    if field is None:
        return None
    place = call.given["dim"] % len(call.out_shape)
    return replace(field, axes=tuple(axis + (axis >= place) for axis in field.axes))


def _select(call: Call) -> Field | list[Field | None] | None:
    field = call.field("self")
    if field is None:
        return None
    without = _without(field, {call.given["dim"] % len(call.shape("self"))})
    return [without] * len(call.outputs)


def _slice(call: Call) -> Field | None:
    field, shape = call.field("self"), call.shape("self")
    if field is None:
        return None
    axis, step = call.given["dim"] % len(shape), call.given.get("step") or 1
    start = min(max(_from_end(call.given.get("start") or 0, shape[axis]), 0), shape[axis])
    return cut(field, axis, start, step, call.out_shape)


def cut(field: Field, axis: int, start: int, step: int, out_shape: Shape) -> Field:
    """Returns the field of every `step`-th position of one axis, from `start`."""
    if len(field.axes) != 2 or axis not in field.axes:
        return field
    size = (out_shape[field.axes[0]], out_shape[field.axes[1]])
    if axis == field.axes[0]:
        return replace(field, vertical=field.vertical.moved(start, step), size=size)
    return replace(field, horizontal=field.horizontal.moved(start, step), size=size)


def _from_end(position: int, size: int) -> int:
    return position + size if position < 0 else position


def _split(call: Call) -> list[Field | None]:
    field = call.field("self")
    if field is None:
        return [None] * len(call.outputs)
    axis, start = call.given.get("dim", 0) % len(call.shape("self")), 0
    pieces: list[Field | None] = []
    for output in call.outputs:
        pieces.append(cut(field, axis, start, 1, tuple(output.shape)))
        start += output.shape[axis]
    return pieces


def _cat(call: Call) -> Field | None:
    tensors = next(value for value in call.given.values() if isinstance(value, list | tuple))
    out_shape = call.out_shape
    axis = call.given.get("dim", 0) % len(out_shape)
    joined: Field | None = None
    start = 0
    for tensor in tensors:
        field = call.fields.get(id(tensor))
        if field is not None:
            if call.name == "stack":
                field = replace(field, axes=tuple(place + (place >= axis) for place in field.axes))
            else:
                field = cut(field, axis, -start, 1, out_shape)
            joined = field if joined is None else join_fields(joined, field, field.size)
        start += tensor.shape[axis] if call.name == "cat" else 0
    return joined


def _reduce(call: Call) -> Field | list[Field | None] | None:
    field, shape = call.field("self"), call.shape("self")
    if field is None:
        return None
    dims = call.given.get("dim")
    dims = list(range(len(shape))) if dims is None or dims == [] else [dims] if isinstance(dims, int) else list(dims)
    gone = {axis % len(shape) for axis in dims}
    reduced = [axis for axis in field.axes if axis in gone]
    if reduced or not field.axes:
        field = _pooled(field, shape, gone)
    found = field if call.given.get("keepdim") else _without(field, gone)
    return [found] * len(call.outputs)


def _pooled(field: Field, shape: Shape, gone: set[int]) -> Field:
    """Returns the field of a tensor whose axes `gone` were reduced to one position: along them it sees everything."""
    if len(field.axes) != 2:
        return field.whole()
    sides = [field.vertical, field.horizontal]
    size = list(field.size)
    for number, axis in enumerate(field.axes):
        if axis in gone:
            everything = sides[number].whole()
            sides[number] = replace(everything, shift=everything.shift * shape[axis])
            size[number] = 1
    return replace(field, vertical=sides[0], horizontal=sides[1], size=(size[0], size[1]))


def _softmax(call: Call) -> Field | None:
    field = call.field("self")
    if field is None:
        return None
    return field.whole() if call.given["dim"] % len(call.shape("self")) in field.axes else field


def _matrix_product(call: Call) -> Field | None:
    """Rows of the first times columns of the second; the axis between them is summed over."""
    left, right = (
        ("mat1", "mat2")
        if call.name == "addmm"
        else ("batch1", "batch2")
        if call.name == "baddbmm"
        else (
            "self",
            "mat2",
        )
    )
    first, second = call.field(left), call.field(right)
    axes = len(call.out_shape)
    if first is not None and second is not None:
        batched = first.axes == second.axes == (0,) and axes == 3
        return join_fields(first, second, first.size) if batched else (first if first.axes else second).whole()
    field, summed = (first, axes - 1) if first is not None else (second, axes - 2)
    if field is None:
        return next(iter(call.fields.values()), None)
    if summed in field.axes or not field.axes:
        return replace(field.whole(exact=field.is_whole or summed in field.axes), axes=())
    return field


def _attention(call: Call) -> Field | list[Field | None] | None:
    fields = [field for field in (call.field(name) for name in ("query", "key", "value")) if field is not None]
    field = fields[0]
    count = len(call.out_shape)
    if all(other.axes and max(other.axes) < count - 2 for other in fields):  # inside each element of the batch
        return [field] + [None] * (len(call.outputs) - 1)
    return [field.whole(exact=all(other.axes for other in fields))] + [None] * (len(call.outputs) - 1)


def _unfold(call: Call) -> Field | None:
    """Sliding windows of one axis: their positions stay an axis, what is in them becomes a new last one."""
    field, shape = call.field("self"), call.shape("self")
    if field is None:
        return None
    axis = call.given["dimension"] % len(shape)
    if axis not in field.axes or len(field.axes) != 2:
        return field
    size = (call.out_shape[field.axes[0]], call.out_shape[field.axes[1]])
    kernel, step = call.given["size"], call.given["step"]

    if axis == field.axes[0]:
        side = field.vertical.gather(lambda i: [i * step, i * step + kernel - 1], every=1, out_of=step)
        return replace(field, vertical=side, size=size)
    side = field.horizontal.gather(lambda i: [i * step, i * step + kernel - 1], every=1, out_of=step)
    return replace(field, horizontal=side, size=size)


def _everything(call: Call) -> Field | list[Field | None] | None:
    """Operators that move positions about: an upper bound."""
    field = next(iter(call.fields.values()))
    kept = field.axes if call.out_shape == tuple(call.tensors()[0].shape) else ()
    return [replace(field.whole(exact=field.is_whole), axes=kept)] * len(call.outputs)


def _copy(call: Call) -> Field | None:
    """What was there before is written over."""
    field = call.field("src")
    return None if field is None else spread(field, call.shape("src"), call.out_shape)


RULES |= {
    "copy": _copy,
    **dict.fromkeys(("view", "_unsafe_view", "reshape", "_reshape_alias"), _view),
    **dict.fromkeys(("permute", "transpose", "t"), _permute),
    "squeeze": _squeeze,
    "unsqueeze": _unsqueeze,
    **dict.fromkeys(("select", "unbind"), _select),
    "slice": _slice,
    **dict.fromkeys(("split", "split_with_sizes", "chunk"), _split),
    **dict.fromkeys(("cat", "stack"), _cat),
    **dict.fromkeys(("mean", "sum", "amax", "amin", "max", "min", "var", "linalg_vector_norm", "std"), _reduce),
    **dict.fromkeys(("_softmax", "_safe_softmax", "_log_softmax"), _softmax),
    **dict.fromkeys(("mm", "addmm", "bmm", "baddbmm"), _matrix_product),
    **dict.fromkeys(
        (
            "_scaled_dot_product_flash_attention_for_cpu",
            "_scaled_dot_product_flash_attention",
            "_scaled_dot_product_efficient_attention",
            "_scaled_dot_product_cudnn_attention",
            "_scaled_dot_product_fused_attention_overrideable",
        ),
        _attention,
    ),
    "unfold": _unfold,
    **dict.fromkeys(
        (
            "roll",
            "flip",
            "index",
            "gather",
            "index_select",
            "scatter",
            "sort",
            "topk",
            "cumsum",
            "index_put",
            "_fft_r2c",
            "as_strided",
        ),
        _everything,
    ),
}
