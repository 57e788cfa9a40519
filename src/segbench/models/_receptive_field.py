"""What every tensor of a forward pass sees of the image, followed from operation to operation.

Works on the operators that PyTorch really runs, so it makes no difference whether a network calls a module, a function
or a tensor method. Normalisation counts as pointwise: batch statistics are constants in evaluation mode, and those of
group and instance normalisation, which do see the whole map, are by convention no part of a receptive field. Operators
that move pixels about in a way not followed here (rolling, sorting, indexing by tensors) are taken to see the whole
image, and the field says that it is an upper bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from torch import Tensor

from segbench.models._axis_field import AxisField, resized, transposed_window, window

Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class Field:
    """What the positions of one tensor see.

    Attributes:
        vertical, horizontal: of the map's two axes.
        axes: where they are in the tensor: (axis of H, axis of W), or (axis of H * W,) of a map laid out as a sequence;
            empty where an operation mixed them.
        size: H and W of the map.
        exact: False where the field is an upper bound.
    """

    vertical: AxisField
    horizontal: AxisField
    axes: tuple[int, ...]
    size: tuple[int, int]
    exact: bool = True

    @classmethod
    def image(cls, shape: Shape) -> Field:
        """Returns the field of the image (B, C, H, W) itself."""
        return cls(AxisField.image(), AxisField.image(), (2, 3), (shape[2], shape[3]))

    @property
    def is_whole(self) -> bool:
        """True where every position sees the whole image."""
        return math.isinf(self.vertical.size_px) and math.isinf(self.horizontal.size_px)

    def whole(self, *, exact: bool = True) -> Field:
        """Returns the field with every position seeing the whole image."""
        return replace(
            self,
            vertical=self.vertical.whole(),
            horizontal=self.horizontal.whole(),
            exact=self.exact and exact,
        )

    def with_map(self, vertical: AxisField, horizontal: AxisField, shape: Shape) -> Field:
        """Returns the field of a map with these axes, which are the last two of a tensor of this shape."""
        axes = (len(shape) - 2, len(shape) - 1)
        return replace(self, vertical=vertical, horizontal=horizontal, axes=axes, size=(shape[-2], shape[-1]))

    def is_map(self, shape: Shape) -> bool:
        """Tells whether the last two axes of a tensor of this shape are H and W."""
        return self.axes == (len(shape) - 2, len(shape) - 1)


@dataclass(frozen=True)
class Call:
    """One operator as it ran: arguments by their names, what the tensors among them see, shapes of its outputs."""

    name: str
    given: Mapping[str, Any]
    fields: Mapping[int, Field]
    outputs: Sequence[Tensor]

    def field(self, argument: str) -> Field | None:
        """Returns what a tensor argument sees; None for weights and other constants."""
        return self.fields.get(id(self.given[argument]))

    def shape(self, argument: str) -> Shape:
        """Returns the shape of a tensor argument."""
        return tuple(self.given[argument].shape)

    @property
    def out_shape(self) -> Shape:
        """Shape of the first output."""
        return tuple(self.outputs[0].shape)

    def tensors(self) -> list[Tensor]:
        """Returns every tensor among the arguments, also those in lists."""
        found: list[Tensor] = []
        for value in self.given.values():
            found += [item for item in (value if isinstance(value, list | tuple) else [value]) if _is_tensor(item)]
        return found


Rule: TypeAlias = Callable[[Call], "Field | list[Field | None] | None"]


def follow(call: Call) -> list[Field | None]:
    """Returns what each output of an operator sees, given what its inputs see; None for constants."""
    if not call.fields:
        return [None] * len(call.outputs)
    found = RULES.get(call.name.rstrip("_") if call.name not in RULES else call.name, _pointwise)(call)
    if isinstance(found, list):
        return found
    return [found if output.shape == call.outputs[0].shape else None for output in call.outputs]


def join_fields(first: Field, second: Field, size: tuple[int, int]) -> Field:
    """Returns what a tensor sees that was made of two tensors of the same layout."""
    if first.axes != second.axes:
        if first.is_whole or second.is_whole:  # where both see everything the layout is all that is left to know
            kept = first if len(first.axes) >= len(second.axes) else second
            return replace(kept.whole(), exact=first.exact and second.exact)
        return replace(first.whole(exact=False), axes=())
    return replace(
        first,
        vertical=first.vertical.joined(second.vertical, size[0]),
        horizontal=first.horizontal.joined(second.horizontal, size[1]),
        exact=first.exact and second.exact,
    )


def _is_tensor(value: object) -> bool:
    return isinstance(value, Tensor)


def _pointwise(call: Call) -> Field | None:
    """Each output position reads the same position of every input; inputs of size 1 are spread."""
    shape = call.out_shape
    joined: Field | None = None
    entries = [(tensor, call.fields[id(tensor)]) for tensor in call.tensors() if id(tensor) in call.fields]
    for tensor, field in sorted(entries, key=lambda entry: -entry[0].numel()):
        if any(own not in (1, out) for own, out in zip(reversed(tensor.shape), reversed(shape), strict=False)) or (
            tensor.ndim > len(shape)
        ):
            return replace(field.whole(exact=False), axes=())
        moved = spread(field, tuple(tensor.shape), shape)
        joined = moved if joined is None else join_fields(joined, moved, joined.size)
    return joined


def spread(field: Field, shape: Shape, out_shape: Shape) -> Field:
    """Returns the field of a tensor of `shape` that is broadcast to `out_shape`."""
    ahead = len(out_shape) - len(shape)
    moved = replace(field, axes=tuple(axis + ahead for axis in field.axes))
    if len(field.axes) != 2:
        return moved
    sides = [field.vertical, field.horizontal]
    for number, axis in enumerate(field.axes):
        if shape[axis] == 1 and out_shape[axis + ahead] > 1:
            sides[number] = resized(sides[number], 1, out_shape[axis + ahead], "nearest")
    size = (out_shape[moved.axes[0]], out_shape[moved.axes[1]])
    return replace(moved, vertical=sides[0], horizontal=sides[1], size=size)


def _convolution(call: Call) -> Field | None:
    field, shape = call.field("input"), call.shape("input")
    if field is None or call.field("weight") is not None:
        return _mixed(call)
    if field.axes == (0,):  # a batch of patches: convolutions stay inside each
        return field
    if not field.is_map(shape) or len(shape) != 4:
        return replace(field.whole(exact=False), axes=())
    sides = []
    for number, side in enumerate((field.vertical, field.horizontal)):
        kernel = int(call.given["weight"].shape[2 + number])
        stride, padding, dilation = (_pair(call.given[name])[number] for name in ("stride", "padding", "dilation"))
        if call.given["transposed"]:
            sides.append(transposed_window(side, kernel=kernel, stride=stride, padding=padding, dilation=dilation))
        else:
            sides.append(window(side, kernel=kernel, stride=stride, padding=padding, dilation=dilation))
    return field.with_map(sides[0], sides[1], call.out_shape)


def _pooling(call: Call) -> Field | None:
    field, shape = call.field("self"), call.shape("self")
    if field is None or field.axes == (0,):
        return field
    if not field.is_map(shape):
        return replace(field.whole(exact=False), axes=())
    kernels = _pair(call.given["kernel_size"])
    strides = _pair(call.given.get("stride") or kernels)
    paddings, dilations = _pair(call.given.get("padding", 0)), _pair(call.given.get("dilation", 1))
    sides = [
        window(side, kernel=kernel, stride=stride, padding=padding, dilation=dilation)
        for side, kernel, stride, padding, dilation in zip(
            (field.vertical, field.horizontal), kernels, strides, paddings, dilations, strict=True
        )
    ]
    if call.name == "im2col":
        sizes = [
            (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
            for size, kernel, stride, padding, dilation in zip(
                shape[-2:], kernels, strides, paddings, dilations, strict=True
            )
        ]
        size = (sizes[0], sizes[1])
        return replace(field, vertical=sides[0], horizontal=sides[1], axes=(len(call.out_shape) - 1,), size=size)
    return field.with_map(sides[0], sides[1], call.out_shape)


def _resizing(call: Call) -> Field | None:
    """Interpolation, adaptive pooling, unpooling: the sizes say which position reads which."""
    name = next(name for name in ("self", "input") if name in call.given)
    field, shape, out_shape = call.field(name), call.shape(name), call.out_shape
    if call.name == "max_unpool2d":
        indices = call.field("indices")
        field = field if indices is None else indices if field is None else join_fields(field, indices, field.size)
    if field is None or field.axes == (0,):
        return field
    if not field.is_map(shape):
        return replace(field.whole(exact=False), axes=())
    mode = _MODES[call.name]
    align = bool(call.given.get("align_corners", False))
    sides = [
        resized(side, before, after, mode, align_corners=align)
        for side, before, after in zip((field.vertical, field.horizontal), shape[-2:], out_shape[-2:], strict=True)
    ]
    return field.with_map(sides[0], sides[1], out_shape)


def _padding(call: Call) -> Field | None:
    """Positions move; what is filled in at the border is not followed."""
    field = call.field("self")
    if field is None:
        return None
    pad = list(call.given.get("pad") or call.given["padding"])
    before = {len(call.out_shape) - 1 - place // 2: pad[place] for place in range(0, len(pad), 2)}
    if len(field.axes) != 2:
        return field
    vertical = field.vertical.moved(-before.get(field.axes[0], 0))
    horizontal = field.horizontal.moved(-before.get(field.axes[1], 0))
    size = (call.out_shape[field.axes[0]], call.out_shape[field.axes[1]])
    return replace(field, vertical=vertical, horizontal=horizontal, size=size)


def _mixed(call: Call) -> Field | None:
    """Every output position may read every input position."""
    field = next(iter(call.fields.values()), None)
    return None if field is None else field.whole()


def _pair(value: Any) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    values = [int(item) for item in value]
    return (values[0], values[0]) if len(values) == 1 else (values[-2], values[-1])


def _pixel_shuffle(call: Call) -> Field | None:
    field = call.field("self")
    if field is None:
        return None
    sides = [
        resized(side, before, after, "nearest")
        if call.name == "pixel_shuffle"
        else window(side, kernel=before // after, stride=before // after)
        for side, before, after in zip(
            (field.vertical, field.horizontal), call.shape("self")[-2:], call.out_shape[-2:], strict=True
        )
    ]
    return field.with_map(sides[0], sides[1], call.out_shape)


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

RULES: dict[str, Rule] = {
    "convolution": _convolution,
    **dict.fromkeys(("max_pool2d_with_indices", "avg_pool2d", "im2col"), _pooling),
    **dict.fromkeys(_MODES, _resizing),
    **dict.fromkeys(("constant_pad_nd", "reflection_pad2d", "replication_pad2d"), _padding),
    **dict.fromkeys(("pixel_shuffle", "pixel_unshuffle"), _pixel_shuffle),
}
