"""Describing networks from the command line: one with its layers, several side by side."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segbench.cli._common import Quiet, console, make_callback
from segbench.config.text import apply_overrides
from segbench.errors import ConfigError
from segbench.files import write_json, write_text
from segbench.models import MODELS, RESERVED, build_network

if TYPE_CHECKING:
    from torch import Tensor

    from segbench.models.base import SegmentationNetwork
    from segbench.models.describe import Description

_SMALLEST_PX = 32
_PASSES, _FEWER_PASSES, _LONG_S = 5, 2, 2.0

NetworkOptions = Annotated[
    list[str] | None, typer.Option("--option", help="Network option, e.g. --option 'widths=[8,16]'. May be repeated.")
]
Size = Annotated[str | None, typer.Option(help="Of the image: 256, or 192x256 (H x W). Default: 256, or the image's.")]


def describe(
    networks: Annotated[list[str], typer.Argument(metavar="NETWORK...", help="One or more networks, or all.")],
    size: Size = None,
    in_channels: Annotated[int, typer.Option(min=1, help="Channels of the image.")] = 3,
    out_channels: Annotated[int, typer.Option(min=1, help="Logits a pixel.")] = 1,
    options: NetworkOptions = None,
    image: Annotated[Path | None, typer.Option(help="Run this image instead of shapes alone.")] = None,
    svg: Annotated[Path | None, typer.Option(help="Draw the architecture into this file.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write everything into this file.")] = None,
    layers: Annotated[bool, typer.Option("--layers/--no-layers", help="Show the layer table of one network.")] = True,
    timed: Annotated[bool, typer.Option("--time", help="Also measure the forward pass on this machine's CPU.")] = False,
    quiet: Quiet = False,
) -> None:
    """Say what a network is made of and costs; several: a table that compares them.

    Layers with shapes, parameters, multiply-adds, stride and receptive field; memory for one image; a drawing.

    Example: segbench describe sliding_window full_resolution_conv simple_fcn --size 128 --time
    """
    names = MODELS.names() if networks == ["all"] else list(networks)
    given = read_options(options)
    for name in names:
        MODELS.check(name, given, reserved=RESERVED)
    if svg is not None and len(names) != 1:
        raise ConfigError(f"a drawing shows one network, got {len(names)}; name one", key="--svg")
    wanted = read_size(size)
    from segbench.models.describe import describe as describe_network

    watch = make_callback(quiet or len(names) == 1)
    found: list[Description] = []
    times: list[float] = []
    try:
        for done, name in enumerate(names):
            watch.progress(f"describing {name}", done, len(names))
            network = build_network(name, in_channels=in_channels, out_channels=out_channels, **given)
            tensor = None if image is None else _read(image, wanted, network)
            found.append(describe_network(network, wanted or (256, 256), tensor, name=name))
            if timed:
                times.append(_forward_ms(network, found[-1].size, tensor))
    finally:
        watch.close()
    if len(found) == 1:
        _print_one(found[0], layers=layers, times=times)
    else:
        _print_comparison(found, times)
    if times:
        _print_timing()
    _write(found, times, svg, json_file)


def read_options(given: Sequence[str] | None) -> dict[str, Any]:
    """Returns network options from `key=value` texts, whose values are YAML."""
    for item in given or []:
        if "=" not in item or "." in item.partition("=")[0]:
            raise ConfigError(f"expected option=value, got {item!r}; for example norm=group", key="--option")
    return apply_overrides({}, list(given or []))


def read_size(text: str | None) -> tuple[int, int] | None:
    """Returns (H, W) from `256` or `192x256`; None stays None."""
    if text is None:
        return None
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.strip().isdigit() for side in sides):
        raise ConfigError(f"expected a size in pixels like 256 or 192x256 (H x W), got {text!r}", key="--size")
    height, width = int(sides[0]), int(sides[-1])
    if min(height, width) < _SMALLEST_PX:
        raise ConfigError(f"images must be at least {_SMALLEST_PX} x {_SMALLEST_PX} pixels, got {text}", key="--size")
    return height, width


def _read(path: Path, size: tuple[int, int] | None, network: SegmentationNetwork) -> Tensor:
    """Returns an image file as the network wants it: (1, C, H, W), grey for one channel, normalised."""
    from segbench.data.files.images import read_image
    from segbench.data.files.resize import resize_image
    from segbench.predict.decide import normalize, to_batch

    if network.in_channels not in (1, 3):
        message = f"an image file has 1 or 3 channels, got a network with {network.in_channels}"
        raise ConfigError(f"{message}; leave out --image or --in-channels", key="--image")
    pixels = read_image(path)
    if size is None and min(pixels.shape[:2]) < _SMALLEST_PX:
        message = f"images must be at least {_SMALLEST_PX} x {_SMALLEST_PX} pixels, got {path} with"
        raise ConfigError(f"{message} {pixels.shape[0]} x {pixels.shape[1]} (H x W); give --size", key="--image")
    if size is not None:
        pixels = resize_image(pixels, size)
    batch = to_batch(pixels)
    if network.in_channels == 1:
        batch = batch.mean(dim=1, keepdim=True)
    return normalize(batch, network.normalization)


def _forward_ms(network: SegmentationNetwork, size: tuple[int, int], image: Tensor | None) -> float:
    """Returns the median time of a few forward passes in evaluation mode, after one that is not counted."""
    import torch

    network.eval()
    batch = torch.rand(1, network.in_channels, *size) if image is None else image
    spent: list[float] = []
    with torch.inference_mode():
        while len(spent) < 1 + (_FEWER_PASSES if spent and spent[0] > _LONG_S else _PASSES):
            start = time.perf_counter()
            network(batch)
            spent.append(time.perf_counter() - start)
    return 1000.0 * statistics.median(spent[1:])


def _print_one(description: Description, *, layers: bool, times: Sequence[float]) -> None:
    from segbench.models.describe import text_table

    console.print(description.name)
    if layers:
        console.print(text_table(description.table()))
    console.print(description.totals_text())
    if times:
        console.print(f"forward pass: {times[0]:.1f} ms")


def _print_comparison(found: Sequence[Description], times: Sequence[float]) -> None:
    from segbench.models.describe import comparison_row, text_table

    extras = [{"forward ms": f"{spent:.1f}"} for spent in times] or [{} for _ in found]
    rows = [comparison_row(description, extra) for description, extra in zip(found, extras, strict=True)]
    height, width = found[0].size
    console.print(f"one image of {height} x {width} pixels (H x W)")
    console.print(text_table([list(rows[0]), *(list(row.values()) for row in rows)]))
    for description in found:
        for warning in description.warnings:
            console.print(f"warning: {description.name}: {warning}")


def _print_timing() -> None:
    import torch

    threads = torch.get_num_threads()
    console.print(
        f"forward pass: median of {_PASSES} ({_FEWER_PASSES} where one takes longer than {_LONG_S:g} s), one float32 "
        f"image, CPU, {threads} thread{'s' * (threads != 1)}"
    )


def _write(found: Sequence[Description], times: Sequence[float], svg: Path | None, json_file: Path | None) -> None:
    if svg is not None:
        from segbench.plots.architecture import architecture_svg

        write_text(svg, architecture_svg(found[0]))
        console.print(f"written: {svg}")
    if json_file is not None:
        plain = [description.to_dict() for description in found]
        for item, spent in zip(plain, times, strict=False):
            item["forward_ms"] = spent
        write_json(json_file, plain[0] if len(plain) == 1 else plain)
        console.print(f"written: {json_file}")
