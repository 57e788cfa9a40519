"""What is known of a network once it was described: plain values, and how they print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from segbench.models.describe.blocks import Block


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One line of the layer table: a module without parts of its own, or a function a network calls itself.

    Attributes:
        name: path of the module; a function has the path of the module that calls it in front.
        kind: class of the module, or the function.
        shape: of the output.
        parameters: its own; a layer that runs twice counts them at its first line.
        macs: multiply-adds of all its calls.
        calls: above 1 where the network works through the image in parts.
        stride_px: image pixels from one output position to the next, (vertical, horizontal).
        receptive_field_px: (height, width) of the region of the image that one output position can depend on, borders
            not counted and holes of dilated kernels included; None is the whole image.
        exact: False where the receptive field is an upper bound.
        dilation: of a convolution, else 1.
        joins: how several inputs meet: concat, add, multiply; else empty.
        inputs: numbers of the layers it reads, counted from the image, which is 0.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    macs: int = 0
    calls: int
    stride_px: tuple[float, float]
    receptive_field_px: tuple[int, int] | None
    exact: bool = True
    dilation: int = 1
    joins: str = ""
    inputs: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Description:
    """A network at one image size; prints as a table.

    Attributes:
        name: of the network.
        size: (H, W) of the image.
        layers: in the order of execution, the image first. Parts that do not run in evaluation mode come last,
            with no calls.
        parameters: all; `trainable` of them require gradients.
        buffer_values: numbers that are saved with the weights but not trained, such as running statistics.
        macs: multiply-adds of one forward pass on one image: convolutions, transposed convolutions, linear layers and
            the matrix products of attention. Activations, normalisation, pooling, interpolation and element-wise
            products are not counted. FLOPs, as usually counted, are twice as many.
        receptive_field_px: of the output; None is the whole image.
        exact: False where that is an upper bound.
        coarsest_stride_px: the largest stride of any map, the vertical and the horizontal one's maximum.
        inference_mb: the largest sum of tensors alive at once in one forward pass (image and its maps, not weights), in
            MB of 2**20 bytes, one float32 image; working memory inside an operator is not seen.
        training_mb: what one image's forward pass in training mode keeps for the backward pass, in the same unit.
        warnings: what will not work as it looks, each one sentence.
        blocks: the layers joined into the boxes of a drawing.
    """

    name: str
    size: tuple[int, int]
    layers: tuple[Layer, ...]
    parameters: int
    trainable: int
    buffer_values: int
    macs: int
    receptive_field_px: tuple[int, int] | None
    exact: bool
    coarsest_stride_px: float
    inference_mb: float
    training_mb: float
    warnings: tuple[str, ...]
    blocks: tuple[Block, ...]

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return asdict(self)

    def table(self) -> list[list[str]]:
        """Returns the layer table as text cells, the header first."""
        header = ["layer", "type", "output", "parameters", "multiply-adds", "stride", "receptive field"]
        return [header, *(_cells(layer) for layer in self.layers)]

    def summary(self) -> list[tuple[str, str]]:
        """Returns the totals as (what, value)."""
        frozen = "" if self.trainable == self.parameters else f" ({self.trainable:,} trainable)"
        return [
            ("image", "1 x " + " x ".join(str(side) for side in self.layers[0].shape[1:])),
            ("parameters", f"{self.parameters:,}{frozen}"),
            ("multiply-adds", f"{self.macs:,} ({self.macs / 1e9:.3f} G)"),
            ("receptive field", field_text(self.receptive_field_px, self.exact)),
            ("coarsest stride", f"{self.coarsest_stride_px:g} px"),
            ("activations, inference", f"{self.inference_mb:.1f} MB at their peak"),
            ("activations, training", f"{self.training_mb:.1f} MB kept for the backward pass"),
        ]

    def __str__(self) -> str:
        return f"{self.name}\n{text_table(self.table())}\n{self.totals_text()}"

    def totals_text(self) -> str:
        """Returns the totals and warnings, a line each."""
        lines = [f"{what}: {value}" for what, value in self.summary()]
        return "\n".join([*lines, *(f"warning: {warning}" for warning in self.warnings)])


def field_text(receptive_field_px: tuple[int, int] | None, exact: bool) -> str:
    """Returns a receptive field in words."""
    if receptive_field_px is None:
        return "the whole image" if exact else "the whole image at most"
    height, width = receptive_field_px
    return f"{height} x {width} px{'' if exact else ' at most'}"


def _cells(layer: Layer) -> list[str]:
    if layer.calls == 0:
        return [layer.name, layer.kind, _shape_text(layer.shape), f"{layer.parameters:,}", "", "", ""]
    vertical, horizontal = layer.stride_px
    field = layer.receptive_field_px
    sides = "whole image" if field is None else str(field[0]) if field[0] == field[1] else f"{field[0]} x {field[1]}"
    return [
        layer.name + (f" ({layer.calls} times)" if layer.calls > 1 else ""),
        layer.kind + (f", {layer.joins}" if layer.joins and layer.joins != layer.kind else ""),
        _shape_text(layer.shape),
        f"{layer.parameters:,}" if layer.parameters else "",
        f"{layer.macs:,}" if layer.macs else "",
        f"{vertical:g}" if vertical == horizontal else f"{vertical:g} x {horizontal:g}",
        sides if layer.exact else f"<= {sides}",
    ]


def _shape_text(shape: Sequence[int]) -> str:
    return " x ".join(str(side) for side in shape)


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Returns rows of cells as lines; columns are as wide as they need, those that hold only numbers end alike."""
    columns = list(zip(*rows, strict=True))
    lines = []
    for row in rows:
        cells = []
        for cell, column in zip(row, columns, strict=True):
            width = max(len(text) for text in column)
            numbers = all(text[:1].isdigit() or not text for text in column[1:]) and " x " not in "".join(column)
            cells.append(cell.rjust(width) if numbers else cell.ljust(width))
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def comparison_row(description: Description, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Returns one line of the table that compares networks: column -> text."""
    field = field_text(description.receptive_field_px, description.exact)
    return {
        "network": description.name,
        "parameters": f"{description.parameters:,}",
        "multiply-adds": f"{description.macs / 1e9:.3f} G",
        "receptive field": field,
        "coarsest stride": f"{description.coarsest_stride_px:g}",
        "inference MB": f"{description.inference_mb:.1f}",
        "training MB": f"{description.training_mb:.1f}",
        **(extra or {}),
    }
