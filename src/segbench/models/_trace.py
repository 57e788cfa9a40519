"""One forward pass, operator by operator: which layer did what, from what, at which cost, with how much memory."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from segbench.models import _layout_rules  # noqa: F401  # adds its rules
from segbench.models._receptive_field import Call, Field, follow, join_fields

StorageKey: TypeAlias = Any  # a StorageWeakRef, which torch does not type

JOINS = {"cat": "concat", "stack": "concat", "add": "add", "mul": "multiply"}
_SHOWN = {
    "convolution": "conv",
    "max_pool2d_with_indices": "max_pool",
    "avg_pool2d": "avg_pool",
    "_adaptive_avg_pool2d": "adaptive_pool",
    "adaptive_max_pool2d": "adaptive_pool",
    "max_unpool2d": "max_unpool",
    "upsample_nearest2d": "nearest",
    "_upsample_nearest_exact2d": "nearest",
    "upsample_bilinear2d": "bilinear",
    "upsample_bicubic2d": "bicubic",
    "_upsample_bilinear2d_aa": "bilinear",
    "_upsample_bicubic2d_aa": "bicubic",
    "pixel_shuffle": "pixel_shuffle",
    "im2col": "patches",
    "unfold": "patches",
    "mm": "matmul",
    "addmm": "matmul",
    "bmm": "matmul",
    "baddbmm": "matmul",
    "_scaled_dot_product_flash_attention_for_cpu": "attention",
    "_scaled_dot_product_flash_attention": "attention",
    "_scaled_dot_product_efficient_attention": "attention",
    **JOINS,
}


@dataclass
class Row:
    """One layer of the table while it is being made."""

    number: int
    name: str
    kind: str
    module: str = ""
    shape: tuple[int, ...] = ()
    seen: Field | None = None
    macs: int = 0
    calls: int = 1
    dilation: int = 1
    kernel: tuple[int, ...] = ()
    operators: list[str] = field(default_factory=list)
    joins: str = ""
    inputs: set[int] = field(default_factory=set)
    map_in: tuple[int, int] | None = None  # of a zero-padded convolution, which a dilation can outgrow


@dataclass
class _Frame:
    name: str
    module: nn.Module
    row: Row | None


class Trace(TorchDispatchMode):  # type: ignore[no-untyped-call]  # its __init_subclass__
    """Records the forward pass that runs inside it.

    Attributes:
        rows: in the order of execution; the first is the image. A layer that does the same work again on other pixels
            (a loop over parts of the image) is one row with `calls` above 1.
        module_sizes: name of a module -> H and W of its last output.
        peak_bytes: the largest sum of living tensors, parameters and buffers not counted.
    """

    def __init__(self, network: nn.Module, image: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.rows = [Row(0, "image", "input", shape=tuple(image.shape), seen=Field.image(tuple(image.shape)))]
        self.module_sizes: dict[str, tuple[int, int] | None] = {}
        self.peak_bytes = 0
        self._network = network
        self._fields: Any = WeakIdKeyDictionary()
        self._sources: Any = WeakIdKeyDictionary()
        self._parents: Any = WeakIdKeyDictionary()
        self._fields[image], self._sources[image] = self.rows[0].seen, frozenset([0])
        self._alias: dict[int, int] = {}
        self._merged: dict[object, Row] = {}
        self._stack: list[_Frame] = []
        self._living: dict[StorageKey, int] = {}
        self._parameters: set[StorageKey] = set()
        self._count([image])

    def ignore_memory_of(self, tensors: list[Tensor]) -> None:
        """Leaves parameters and buffers out of `peak_bytes`."""
        self._parameters |= {storage_key(tensor) for tensor in tensors}

    @contextmanager
    def watching_modules(self) -> Iterator[None]:
        """While open, operators are booked on the module that is running."""
        handles = []
        for name, module in self._network.named_modules():
            handles.append(module.register_forward_pre_hook(self._entering(name)))
            handles.append(module.register_forward_hook(self._leaving, always_call=True))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _entering(self, name: str) -> Callable[[nn.Module, Any], None]:
        def enter(module: nn.Module, inputs: Any) -> None:
            row = None
            is_leaf = isinstance(module, nn.MultiheadAttention) or next(module.children(), None) is None
            if is_leaf and module is not self._network and not any(frame.row for frame in self._stack):
                row = Row(len(self.rows), name, type(module).__name__, module=name)
                self.rows.append(row)
            self._stack.append(_Frame(name, module, row))

        return enter

    def _leaving(self, module: nn.Module, inputs: Any, output: Any) -> None:
        frame = self._stack.pop()
        results = [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
        seen = self._fields.get(results[0]) if results else None
        self.module_sizes[frame.name] = seen.size if seen is not None else None
        if frame.row is not None:
            if not results or not frame.row.operators:
                frame.row.kind = ""  # an identity; it stays as a number but is not shown
                self._alias.setdefault(frame.row.number, -1)
                return
            frame.row.shape, frame.row.seen = tuple(results[0].shape), seen
            self._finish(frame.row)

    def _finish(self, row: Row) -> None:
        """Books a row that repeats an earlier one on that one."""
        row.inputs = self._resolved(row.inputs) - {row.number}
        key = (row.name, row.kind, len(row.shape), row.shape[1:2], frozenset(row.inputs))
        first = self._merged.setdefault(key, row)
        if first is not row and _differences(first.shape[1:], row.shape[1:]) <= 1:  # the last part may be smaller
            first.calls += 1
            first.macs += row.macs
            self._alias[row.number] = first.number

    def _resolved(self, numbers: set[int] | frozenset[int]) -> set[int]:
        return {self._alias.get(number, number) for number in numbers}

    def field_of(self, outputs: Any) -> Field | None:
        """Returns what the first tensor of an output sees; None where it does not depend on the image."""
        first = next((leaf for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor)), None)
        seen: Field | None = None if first is None else self._fields.get(first)
        return seen

    def finished_rows(self) -> list[Row]:
        """Returns the rows to show, numbered from 0 without gaps, inputs only among them and from before."""
        kept = [row for row in self.rows if row.number not in self._alias]
        numbers = {row.number: place for place, row in enumerate(kept)}
        for row in kept:
            row.inputs = {numbers[number] for number in self._resolved(row.inputs) if number in numbers}
        for place, row in enumerate(kept):
            row.number = place
            row.inputs = {number for number in row.inputs if number < place}
        return kept

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs an operator and books it."""
        result = func(*args, **(kwargs or {}))
        outputs = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        if outputs:
            self._book(func, args, kwargs or {}, outputs)
            self._count(outputs)
        return result

    def _book(self, func: Any, args: Any, kwargs: Any, outputs: list[Tensor]) -> None:
        schema = func._schema
        name = schema.name.partition("::")[2]
        given = {argument.name: argument.default_value for argument in schema.arguments if argument.has_default_value()}
        given |= dict(zip((argument.name for argument in schema.arguments), args, strict=False)) | kwargs
        tensors = [leaf for leaf in tree_leaves([args, kwargs]) if isinstance(leaf, Tensor)]
        fields = {id(tensor): self._fields[tensor] for tensor in tensors if tensor in self._fields}
        call = Call(name, given, fields, outputs)
        if name in ("slice", "select") and isinstance(given.get("self"), Tensor):
            self._parents[outputs[0]] = (weakref.ref(given["self"]), given)
        if not fields:
            return
        row = self._row_of(call, tensors)
        sources = frozenset().union(*(self._sources.get(tensor, frozenset()) for tensor in tensors))
        for output, seen in zip(outputs, follow(call), strict=True):
            if seen is not None:
                self._fields[output] = seen
                self._sources[output] = frozenset([row.number]) if row is not None else sources
        if row is not None and row.module == "":
            row.shape, row.seen = call.out_shape, self._fields.get(outputs[0])
            self._finish(row)
        if schema.is_mutable:
            self._write_back(outputs[0])

    def _row_of(self, call: Call, tensors: list[Tensor]) -> Row | None:
        """Returns the row an operator belongs to: that of the running leaf module, or one of its own."""
        name = call.name.rstrip("_")
        sources = [self._sources[tensor] for tensor in tensors if tensor in self._sources]
        joins = JOINS.get(name, "") if len(set(sources)) > 1 else ""
        row = next((frame.row for frame in self._stack if frame.row), None)
        if row is None:
            if name not in _SHOWN or (name in JOINS and not joins):
                return None
            path = self._stack[-1].name if self._stack else ""
            row = Row(len(self.rows), f"{path}.{_SHOWN[name]}".lstrip("."), _SHOWN[name])
            self.rows.append(row)
        row.operators.append(name)
        row.joins = row.joins or joins
        row.macs += multiply_adds(call)
        row.inputs.update(*sources)
        if name == "convolution":
            row.dilation, row.kernel = max(call.given["dilation"]), tuple(call.given["weight"].shape[2:])
            if any(call.given["padding"]) and not call.given["transposed"]:
                row.map_in = (call.shape("input")[-2], call.shape("input")[-1])
        return row

    def _write_back(self, written: Tensor) -> None:
        """Tells the tensor that a part belongs to what was written into the part."""
        seen, sources = self._fields.get(written), self._sources.get(written, frozenset())
        while written in self._parents and seen is not None:
            reference, given = self._parents[written]
            parent = reference()
            if parent is None:
                return
            axis = given["dim"] % parent.ndim
            if "index" in given:
                seen = replace(seen, axes=tuple(place + (place >= axis) for place in seen.axes))
            elif len(seen.axes) == 2 and axis in seen.axes:
                start = -((given.get("start") or 0) % max(parent.shape[axis], 1))
                side = "vertical" if axis == seen.axes[0] else "horizontal"
                seen = replace(seen, **{side: getattr(seen, side).moved(start)})
            if len(seen.axes) == 2:
                seen = replace(seen, size=(parent.shape[seen.axes[0]], parent.shape[seen.axes[1]]))
            if parent in self._fields:
                seen = join_fields(self._fields[parent], seen, seen.size)
            self._fields[parent] = seen
            self._sources[parent] = sources = sources | self._sources.get(parent, frozenset())
            written = parent

    def _count(self, outputs: list[Tensor]) -> None:
        for output in outputs:
            reference = storage_key(output)
            if reference not in self._parameters:
                self._living[reference] = output.untyped_storage().nbytes()
        for reference in [reference for reference in self._living if reference.expired()]:
            del self._living[reference]
        self.peak_bytes = max(self.peak_bytes, sum(self._living.values()))


def _differences(first: tuple[int, ...], second: tuple[int, ...]) -> int:
    return sum(1 for one, other in zip(first, second, strict=True) if one != other)


def storage_key(tensor: Tensor) -> StorageKey:
    """Returns what stands for the memory of a tensor without keeping it alive; no other memory ever equals it."""
    return StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]


def multiply_adds(call: Call) -> int:
    """Returns the multiplications (each with its addition) of convolutions and matrix products; 0 for all others."""
    name, out_shape = call.name, call.out_shape
    if name == "convolution":
        weight = call.shape("weight")
        positions = call.shape("input") if call.given["transposed"] else out_shape
        return math.prod(weight) * positions[0] * math.prod(positions[2:])
    if name in ("mm", "bmm"):
        return math.prod(out_shape) * call.shape("self")[-1]
    if name in ("addmm", "baddbmm"):
        return math.prod(out_shape) * call.shape("mat1" if name == "addmm" else "batch1")[-1]
    if name.startswith("_scaled_dot_product"):
        *batch, queries, width = call.shape("query")
        return math.prod(batch) * queries * call.shape("key")[-2] * (width + call.shape("value")[-1])
    return 0
