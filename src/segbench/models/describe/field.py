"""What the positions of a tensor see of the image, and one operator that made it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from torch import Tensor

from segbench.models.describe.axis_field import AxisField, resized

Shape: TypeAlias = tuple[int, ...]
Pair: TypeAlias = tuple[int, int]


@dataclass(frozen=True)
class Field:
    """What the positions of one tensor see.

    Attributes:
        sides: of the map's two axes, vertical and horizontal.
        axes: where they are in the tensor: (axis of H, axis of W), or (axis of H * W,) of a map laid out as a sequence;
            empty where an operation mixed them.
        size: H and W of the map.
        image: H and W of the image.
        exact: False where the field is an upper bound.
    """

    sides: tuple[AxisField, AxisField]
    axes: Shape
    size: Pair
    image: Pair
    exact: bool = True

    @classmethod
    def of_image(cls, shape: Shape) -> Field:
        """Returns the field of the image (B, C, H, W) itself."""
        size = (shape[2], shape[3])
        return cls((AxisField.image(), AxisField.image()), (2, 3), size, size)

    @property
    def stride_px(self) -> tuple[float, float]:
        """Image pixels from one position to the next, vertically and horizontally."""
        return self.sides[0].stride_px, self.sides[1].stride_px

    @property
    def size_px(self) -> Pair | None:
        """Height and width of what one position sees; None for the whole image."""
        height, width = (side.size_px for side in self.sides)
        return None if math.isinf(height) or math.isinf(width) else (math.ceil(height), math.ceil(width))

    @property
    def is_whole(self) -> bool:
        """True where every position sees the whole image."""
        return all(math.isinf(side.size_px) for side in self.sides)

    @property
    def is_known(self) -> bool:
        """False where an operation mixed up the positions and it matters which is where."""
        return bool(self.axes) or self.is_whole

    def whole(self, *, exact: bool = True) -> Field:
        """Returns the field with every position seeing the whole image."""
        return replace(self, sides=(self.sides[0].whole(), self.sides[1].whole()), exact=self.exact and exact)

    def lost(self, *, exact: bool = False) -> Field:
        """Returns the upper bound for a tensor in which nobody knows where H and W are."""
        return replace(self.whole(exact=exact), axes=())

    def side(self, axis: int) -> AxisField | None:
        """Returns the side that an axis of the tensor is; None where it is neither H nor W."""
        return self.sides[self.axes.index(axis)] if len(self.axes) == 2 and axis in self.axes else None

    def with_side(self, axis: int, side: AxisField, count: int) -> Field:
        """Returns the field whose H or W, at this axis of the tensor, is another one, `count` positions long."""
        vertical = axis == self.axes[0]
        sides = (side, self.sides[1]) if vertical else (self.sides[0], side)
        return replace(self, sides=sides, size=(count, self.size[1]) if vertical else (self.size[0], count))


@dataclass(frozen=True)
class Call:
    """One operator as it ran.

    Attributes:
        args: its arguments by their names.
        fields: id of a tensor among them -> what it sees; weights and other constants are missing.
        outputs: its tensors.
        again: runs it on another first argument.
    """

    name: str
    args: Mapping[str, Any]
    fields: Mapping[int, Field]
    outputs: Sequence[Tensor]
    again: Callable[[Tensor], Any]

    def field(self, argument: str) -> Field | None:
        """Returns what a tensor argument sees; None for weights and other constants."""
        return self.fields.get(id(self.args[argument]))

    def shape(self, argument: str) -> Shape:
        """Returns the shape of a tensor argument."""
        return tuple(self.args[argument].shape)

    @property
    def out_shape(self) -> Shape:
        """Shape of the first output."""
        return tuple(self.outputs[0].shape)


def join_fields(first: Field, second: Field) -> Field:
    """Returns what a tensor sees that was made of two tensors of the same layout, of the first one's size."""
    if first.axes != second.axes:
        if first.is_whole or second.is_whole:  # where both see everything the layout is all that is left to know
            kept = first if len(first.axes) >= len(second.axes) else second
            return replace(kept.whole(), exact=first.exact and second.exact)
        return first.lost()
    vertical, horizontal = (
        side.joined(other, count) for side, other, count in zip(first.sides, second.sides, first.size, strict=True)
    )
    return replace(first, sides=(vertical, horizontal), exact=first.exact and second.exact)


def spread(field: Field, shape: Shape, out_shape: Shape) -> Field:
    """Returns the field of a tensor of `shape` that is broadcast to `out_shape`."""
    ahead = len(out_shape) - len(shape)
    moved = replace(field, axes=tuple(axis + ahead for axis in field.axes))
    for axis in moved.axes:
        side = moved.side(axis)
        if side is not None and shape[axis - ahead] != out_shape[axis]:
            moved = moved.with_side(axis, resized(side, 1, out_shape[axis], "nearest"), out_shape[axis])
    return moved


def on_map(
    call: Call, argument: str, change: Callable[[AxisField, int], AxisField], field: Field | None = None
) -> Field | None:
    """Returns the field of a map that was made of another one.

    Args:
        change: (side, 0 for H or 1 for W) -> the side of the output.
        field: what the argument sees, where more than its own pixels count.
    """
    field, axes = field or call.field(argument), len(call.shape(argument))
    if field is None or field.axes == (0,):  # a batch of patches: what happens, happens inside each
        return field
    if field.axes != (axes - 2, axes - 1):  # H and W got lost on the way: only how far apart positions are is known
        counts = zip(field.whole(exact=False).sides, field.image, call.shape(argument)[-2:], strict=True)
        vertical, horizontal = (replace(side, shift=pixels / count) for side, pixels, count in counts)
        field = replace(field, sides=(vertical, horizontal), exact=False)
    height, width = call.out_shape[-2:]
    sides = (change(field.sides[0], 0), change(field.sides[1], 1))
    return replace(field, sides=sides, axes=(len(call.out_shape) - 2, len(call.out_shape) - 1), size=(height, width))
