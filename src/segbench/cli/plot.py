"""Figures from the command line, one command each: read, call `segbench.plots`, write a file."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from segbench.cli._common import Device, RunPath, console, require
from segbench.cli.describe import NetworkOptions, Size, read_options, read_size
from segbench.errors import ConfigError, RunError, suggest
from segbench.files import replacing, write_text
from segbench.metrics.families import lower_is_better
from segbench.models import MODELS, RESERVED, build_network
from segbench.types import SPLITS, ClassMap

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from segbench.predict.predictor import Prediction

plot_app = typer.Typer(help="Draw the figures of a report or a lecture.", no_args_is_help=True)

_SUFFIXES = (".png", ".svg", ".pdf")
_DPI = 150

ImagePath = Annotated[Path, typer.Argument(metavar="IMAGE", help="An image file.")]
Split = Annotated[str, typer.Option(help="train, val or test.")]
SampleId = Annotated[str | None, typer.Option("--sample", help="Its id; default: the first of the split.")]


def _out(name: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option("--out", "-o", help=f"File to write, e.g. {name}.")
    return option


@plot_app.command("upsampling")
def plot_upsampling(
    image: ImagePath,
    out: Annotated[Path, _out("upsampling.png")],
    factor: Annotated[int, typer.Option(help="How many times the image is shrunk and enlarged; even.")] = 4,
) -> None:
    """Five ways to enlarge, on an image and on a grid of numbers.

    Example: segbench plot upsampling photo.jpg -o upsampling.png
    """
    from segbench.data.files.images import read_image
    from segbench.plots.upsampling import upsampling

    _save(_drawn(lambda: upsampling(read_image(image), factor=factor)), out)


@plot_app.command("unpooling")
def plot_unpooling(
    image: ImagePath,
    out: Annotated[Path, _out("unpooling.png")],
    levels: Annotated[int, typer.Option(help="How often the image is halved.")] = 3,
) -> None:
    """Max pooling down and max-unpooling up again: what is kept, and where.

    Example: segbench plot unpooling photo.jpg -o unpooling.png
    """
    from segbench.data.files.images import read_image
    from segbench.plots.upsampling import unpooling

    _save(_drawn(lambda: unpooling(read_image(image), levels=levels)), out)


@plot_app.command("transposed")
def plot_transposed(
    out: Annotated[Path, _out("transposed.png")],
    kernels: Annotated[list[int] | None, typer.Option("--kernel", help="Kernel size; may be repeated.")] = None,
    stride: Annotated[int, typer.Option(help="Of the transposed convolution.")] = 2,
    padding: Annotated[int, typer.Option(help="Of the transposed convolution.")] = 1,
) -> None:
    """How a transposed convolution stamps its kernel, and where stamps overlap unevenly.

    Example: segbench plot transposed --kernel 4 --kernel 3 -o transposed.png
    """
    from segbench.plots.upsampling import transposed

    _save(_drawn(lambda: transposed(kernels=kernels or (4, 3), stride=stride, padding=padding)), out)


@plot_app.command("overlap")
def plot_overlap(
    out: Annotated[Path, _out("overlap.png")],
    run: Annotated[Path | None, typer.Argument(metavar="[RUN]", help="Run folder; or give two mask files.")] = None,
    truth: Annotated[Path | None, typer.Option(help="Mask file; what is not 0 is the object.")] = None,
    prediction: Annotated[Path | None, typer.Option(help="Mask file of the same size.")] = None,
    sample: SampleId = None,
    split: Split = "val",
    class_name: Annotated[str | None, typer.Option("--class", help="Default: the first but the background.")] = None,
    device: Device = "auto",
) -> None:
    """Truth, prediction and both on one another, with IoU and Dice.

    Example: segbench plot overlap runs/ph2 --sample IMD003 -o overlap.png
    """
    from segbench.plots.samples import class_plane, overlap

    if run is None:
        if truth is None or prediction is None:
            raise ConfigError("expected a run folder, or both --truth and --prediction", key="overlap")
        masks = [_read_object(path) for path in (truth, prediction)]
        _save(_drawn(lambda: overlap(masks[0], masks[1], name=truth.stem)), out)
        return
    if truth is not None or prediction is not None:
        raise ConfigError("expected a run folder or mask files, got both; leave one out", key="overlap")
    [(name, target, found)] = _predict(run, split, [sample] if sample else [], 1, device)
    index = _class_index(found.class_map, class_name)
    figure = overlap(
        class_plane(target, found.class_map, index),
        class_plane(found.mask, found.class_map, index),
        image=found.image,
        counted=_counted(target, found.class_map, index),
        name=f"{name}, {found.class_map.names[index]}",
    )
    _save(figure, out)


@plot_app.command("classes")
def plot_classes(
    run: RunPath,
    out: Annotated[Path, _out("classes.png")],
    sample: SampleId = None,
    split: Split = "val",
    image: Annotated[Path | None, typer.Option(help="An image file instead of a sample.")] = None,
    device: Device = "auto",
) -> None:
    """The predicted mask of one image, a panel a class.

    Example: segbench plot classes runs/streets -o classes.png
    """
    from segbench.plots.samples import classes

    if image is not None:
        from segbench.predict.predictor import Predictor

        predictor = Predictor.from_run(run, device=device)
        name, found = image.name, predictor(*predictor.pipeline.read(image))
    else:
        [(name, _, found)] = _predict(run, split, [sample] if sample else [], 1, device)
    _save(classes(found.mask, found.class_map, image=found.image, title=name), out)


@plot_app.command("rows")
def plot_rows(
    run: RunPath,
    out: Annotated[Path, _out("rows.png")],
    count: Annotated[int, typer.Option(min=1, help="How many samples, evenly spread over the split.")] = 5,
    samples: Annotated[list[str] | None, typer.Option("--sample", help="Ids instead; may be repeated.")] = None,
    split: Split = "val",
    device: Device = "auto",
) -> None:
    """Three rows: input, true and predicted, a column a sample.

    Example: segbench plot rows runs/ph2 --split test --count 5 -o rows.png
    """
    from segbench.plots.samples import rows

    found = _predict(run, split, samples or [], count, device)
    figure = rows(
        [prediction.image for _, _, prediction in found],
        [target for _, target, _ in found],
        [prediction.mask for _, _, prediction in found],
        found[0][2].class_map,
        titles=[name for name, _, _ in found],
    )
    _save(figure, out)


@plot_app.command("curves")
def plot_curves(
    run: RunPath,
    out: Annotated[Path, _out("curves.png")],
    score: Annotated[str | None, typer.Option(help="A logged score; default: the one the run watched.")] = None,
) -> None:
    """Loss and score over epochs, side by side, training and validation.

    Example: segbench plot curves runs/ph2 -o curves.png
    """
    from segbench.folders.run import RunFolder
    from segbench.plots.curves import learning_curves

    folder = RunFolder(run)
    config, history = folder.read_config(), folder.read_history()
    if not history:
        raise RunError("no epoch is finished yet; train the run first", run=run)
    chosen = score or config.monitor
    logged = [key.removeprefix("val_") for key in history[0] if key.startswith("val_") and key != "val_loss"]
    if chosen not in logged:
        raise ConfigError(f"this run logged no score {chosen!r}; {suggest(chosen, logged)}", key="--score")
    scored = [row for row in history if not math.isnan(row[f"val_{chosen}"])] or history[:1]
    best = (min if lower_is_better(chosen) else max)(scored, key=lambda row: row[f"val_{chosen}"])
    _save(learning_curves(history, chosen, int(best["epoch"]), config.run_name), out)


@plot_app.command("architecture")
def plot_architecture(
    network: Annotated[str, typer.Argument(metavar="NETWORK", help="See `segbench list networks`.")],
    out: Annotated[Path, _out("unet.svg")],
    size: Size = None,
    in_channels: Annotated[int, typer.Option(min=1, help="Channels of the image.")] = 3,
    out_channels: Annotated[int, typer.Option(min=1, help="Logits a pixel.")] = 1,
    options: NetworkOptions = None,
) -> None:
    """A network as a drawing (SVG) with shapes and skips.

    Example: segbench plot architecture unet_nearest -o unet.svg
    """
    given = read_options(options)
    MODELS.check(network, given, reserved=RESERVED)
    if out.suffix.lower() != ".svg":
        raise ConfigError(f"expected a name that ends in .svg, got {out.name!r}", key="--out")
    wanted = read_size(size) or (256, 256)
    from segbench.models.describe import describe
    from segbench.plots.architecture import architecture_svg

    built = build_network(network, in_channels=in_channels, out_channels=out_channels, **given)
    write_text(out, architecture_svg(describe(built, wanted, name=network)))
    console.print(f"written: {out}")


def _drawn(draw: Callable[[], Figure]) -> Figure:
    """Returns a figure; an option it refuses, whose name the message begins with, is wrong use."""
    try:
        return draw()
    except ValueError as error:
        option = str(error).split(maxsplit=1)[0]
        raise ConfigError(str(error), key=f"--{option}" if option.isidentifier() else "") from error


def _save(figure: Figure, out: Path) -> None:
    if out.suffix.lower() not in _SUFFIXES:
        raise ConfigError(f"expected a name that ends in {', '.join(_SUFFIXES)}, got {out.name!r}", key="--out")
    with replacing(out) as temporary:
        figure.savefig(temporary, dpi=_DPI)
    console.print(f"written: {out}")


def _read_object(path: Path) -> NDArray[np.bool_]:
    from segbench.data.files.images import read_mask_values

    values = read_mask_values(path)
    where: NDArray[np.bool_] = values.reshape(*values.shape[:2], -1).max(axis=2) > 0
    return where


def _class_index(class_map: ClassMap, name: str | None) -> int:
    if name is None:
        return next(index for index in range(class_map.num_classes) if index != class_map.background)
    if name not in class_map.names:
        raise ConfigError(f"there is no class {name!r}; {suggest(name, class_map.names)}", key="--class")
    return class_map.names.index(name)


def _counted(target: NDArray[np.uint8], class_map: ClassMap, index: int) -> NDArray[np.bool_]:
    plane = target[index] if target.ndim == 3 else target
    counted: NDArray[np.bool_] = plane != class_map.ignore_index
    return counted


def _predict(
    run: Path, split: str, ids: Sequence[str], count: int, device: str
) -> list[tuple[str, NDArray[np.uint8], Prediction]]:
    """Returns id, true mask and prediction of samples of a run's split: those named, or `count` spread over it."""
    require("--split", split, SPLITS)
    from segbench.data.manifest.manifest import Manifest
    from segbench.data.sources.load import load_sample
    from segbench.folders.run import RunFolder
    from segbench.predict.predictor import Predictor

    predictor = Predictor.from_run(run, device=device)
    manifest = Manifest.read(RunFolder(run).manifest_file)
    every = {sample.id: sample for sample in manifest.samples}
    part = [sample.id for sample in manifest.samples if sample.split == split]
    for name in ids:
        if name not in every:
            raise ConfigError(f"the run has no sample {name!r}; {suggest(name, every)[:300]}", key="--sample")
    if not ids and not part:
        raise ConfigError(f"the run has no samples in its {split} part", key="--split")
    spread = np.linspace(0, max(len(part) - 1, 0), min(count, len(part))).round().astype(int)
    chosen = list(ids) or [part[place] for place in spread]
    found = []
    for name in chosen:
        image, target = load_sample(manifest, every[name])
        found.append((name, target, predictor(image)))
    return found
