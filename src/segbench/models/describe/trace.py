"""One forward pass, operator by operator: which layer did what, from what, at which cost, with how much memory."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.weak import WeakIdKeyDictionary

from segbench.models.describe.field import Call, Field, join_fields
from segbench.models.describe.rules import follow

StorageKey: TypeAlias = Any  # a StorageWeakRef, which torch does not type

JOINS = {"cat": "concat", "stack": "concat", "add": "add", "mul": "multiply"}
# The operators that are a line of their own where no module has them, and what they are called there.
KINDS = {
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

    @property
    def size(self) -> tuple[int, int]:
        """H and W of the map; what is no map has one position."""
        return self.seen.size if self.seen is not None else (1, 1)


class Trace(TorchDispatchMode):  # type: ignore[no-untyped-call]  # its __init_subclass__
    """Records the forward pass that runs inside `recording`.

    Attributes:
        rows: in the order of execution; the first is the image. A layer that does the same work again on other pixels
            (a loop over parts of the image) is one row with `calls` above 1.
        module_sizes: name of a module -> H and W of its last output.
        peak_bytes: the largest sum of living tensors, parameters and buffers not counted.
    """

    def __init__(self, network: nn.Module, image: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.rows = [Row(0, "image", "input", shape=tuple(image.shape), seen=Field.of_image(tuple(image.shape)))]
        self.module_sizes: dict[str, tuple[int, int] | None] = {}
        self.peak_bytes = 0
        self._network = network
        self._flops = FlopCounterMode(display=False).flop_registry  # operator -> formula
        self._fields: Any = WeakIdKeyDictionary()
        self._sources: Any = WeakIdKeyDictionary()
        self._parents: Any = WeakIdKeyDictionary()
        self._fields[image], self._sources[image] = self.rows[0].seen, frozenset([0])
        self._alias: dict[int, int] = {}
        self._merged: dict[object, Row] = {}
        self._running: list[tuple[str, Row | None]] = []  # modules from the outside in, with their rows
        self._living: dict[StorageKey, int] = {}
        self._parameters: set[StorageKey] = set()
        self._count([image])

    @contextmanager
    def recording(self, tensors: list[Tensor]) -> Iterator[None]:
        """While open, operators are booked on the module that is running.

        Args:
            tensors: parameters and buffers, whose memory is not counted.
        """
        self._parameters |= {storage_key(tensor) for tensor in tensors}
        handles = []
        for name, module in self._network.named_modules():
            handles.append(module.register_forward_pre_hook(self._entering(name)))
            handles.append(module.register_forward_hook(self._leaving, always_call=True))
        try:
            with self:
                yield
        finally:
            for handle in handles:
                handle.remove()

    def _entering(self, name: str) -> Callable[[nn.Module, Any], None]:
        def enter(module: nn.Module, inputs: Any) -> None:
            row = None
            is_leaf = isinstance(module, nn.MultiheadAttention) or next(module.children(), None) is None
            if is_leaf and module is not self._network and self._leaf() is None:
                row = Row(len(self.rows), name, type(module).__name__, module=name)
                self.rows.append(row)
            self._running.append((name, row))

        return enter

    def _leaf(self) -> Row | None:
        """Returns the row of the running module, or of the one around it, that has one."""
        return next((row for _, row in self._running if row), None)

    def _leaving(self, module: nn.Module, inputs: Any, output: Any) -> None:
        name, row = self._running.pop()
        results = [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
        seen = self._fields.get(results[0]) if results else None
        self.module_sizes[name] = seen.size if seen is not None else None
        if row is not None:
            if not results or not row.operators:
                row.kind = ""  # an identity; it stays as a number but is not shown
                self._alias.setdefault(row.number, -1)
                return
            row.shape, row.seen = tuple(results[0].shape), seen
            self._finish(row)

    def _finish(self, row: Row) -> None:
        """Books a row that repeats an earlier one on that one."""
        row.inputs = self._resolved(row.inputs) - {row.number}
        key = (row.name, row.kind, len(row.shape), row.shape[1:2], frozenset(row.inputs))
        first = self._merged.setdefault(key, row)
        differences = sum(side != other for side, other in zip(first.shape[1:], row.shape[1:], strict=True))
        if first is not row and differences <= 1:  # the last part may be smaller
            first.calls += 1
            first.macs += row.macs
            self._alias[row.number] = first.number

    def _resolved(self, numbers: set[int]) -> set[int]:
        return {self._alias.get(number, number) for number in numbers}

    def field_of(self, outputs: Any) -> Field | None:
        """Returns what the first tensor of an output sees; None where it does not depend on the image."""
        first = next((leaf for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor)), None)
        seen: Field | None = None if first is None else self._fields.get(first)
        return seen

    def finished_rows(self) -> list[Row]:
        """Returns the rows to show, numbered from 0 without gaps, inputs only among them and from before."""
        kept = [row for row in self.rows if row.number not in self._alias]
        numbers = {row.number: index for index, row in enumerate(kept)}
        for index, row in enumerate(kept):
            inputs = {numbers[number] for number in self._resolved(row.inputs) if number in numbers}
            row.number, row.inputs = index, {number for number in inputs if number < index}
        return kept

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs an operator and books it."""
        result = func(*args, **(kwargs or {}))
        outputs = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        if outputs:
            formula = self._flops.get(func._overloadpacket)
            flops = formula(*args, **(kwargs or {}), out_val=result) if formula is not None else 0
            self._book(func, args, kwargs or {}, outputs, macs=flops // 2)
            self._count(outputs)
        return result

    def _book(self, func: Any, args: Any, kwargs: Any, outputs: list[Tensor], *, macs: int) -> None:
        arguments = func._schema.arguments
        named = {argument.name: argument.default_value for argument in arguments if argument.has_default_value()}
        named |= dict(zip((argument.name for argument in arguments), args, strict=False)) | kwargs
        name = func._schema.name.partition("::")[2]
        tensors = [leaf for leaf in tree_leaves([args, kwargs]) if isinstance(leaf, Tensor)]
        fields = {id(tensor): self._fields[tensor] for tensor in tensors if tensor in self._fields}
        call = Call(name, named, fields, outputs, lambda tensor: func(tensor, *args[1:], **kwargs))
        if name in ("slice", "select"):
            self._parents[outputs[0]] = (weakref.ref(named["self"]), named)
        if not fields:
            return
        row = self._row_of(call, tensors)
        if row is not None:
            row.macs += macs
        sources = frozenset().union(*(self._sources.get(tensor, frozenset()) for tensor in tensors))
        for output, seen in zip(outputs, follow(call), strict=True):
            if seen is not None:
                self._fields[output] = seen
                self._sources[output] = frozenset([row.number]) if row is not None else sources
        if row is not None and row.module == "":
            row.shape, row.seen = call.out_shape, self._fields.get(outputs[0])
            self._finish(row)
        if func._schema.is_mutable:
            self._write_back(outputs[0])

    def _row_of(self, call: Call, tensors: list[Tensor]) -> Row | None:
        """Returns the row an operator belongs to: that of the running leaf module, or one of its own."""
        name = call.name.rstrip("_")
        sources = [self._sources[tensor] for tensor in tensors if tensor in self._sources]
        joins = JOINS.get(name, "") if len(set(sources)) > 1 else ""
        row = self._leaf()
        if row is None:
            if name not in KINDS or (name in JOINS and not joins):
                return None
            path = self._running[-1][0] if self._running else ""
            row = Row(len(self.rows), f"{path}.{KINDS[name]}".lstrip("."), KINDS[name])
            self.rows.append(row)
        row.operators.append(name)
        row.joins = row.joins or joins
        row.inputs.update(*sources)
        if name == "convolution":
            row.dilation, row.kernel = max(call.args["dilation"]), call.shape("weight")[2:]
            if any(call.args["padding"]) and not call.args["transposed"]:
                row.map_in = (call.shape("input")[-2], call.shape("input")[-1])
        return row

    def _write_back(self, written: Tensor) -> None:
        """Tells the tensor that a part belongs to what was written into the part."""
        seen, sources = self._fields.get(written), self._sources.get(written, frozenset())
        while written in self._parents and seen is not None:
            reference, named = self._parents[written]
            parent = reference()
            if parent is None:
                return
            axis = named["dim"] % parent.ndim
            if "index" in named:
                seen = replace(seen, axes=tuple(other + (other >= axis) for other in seen.axes))
            elif (side := seen.side(axis)) is not None:
                start = (named.get("start") or 0) % max(parent.shape[axis], 1)
                seen = seen.with_side(axis, side.moved(-start), parent.shape[axis])
            if parent in self._fields:
                seen = join_fields(self._fields[parent], seen)
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


def storage_key(tensor: Tensor) -> StorageKey:
    """Returns what stands for the memory of a tensor without keeping it alive; no other memory ever equals it."""
    return StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]
