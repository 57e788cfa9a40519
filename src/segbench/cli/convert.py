"""`segbench data convert`: a data set in another format, and what changed on the way."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from segbench.cli._common import EXIT_PROBLEMS, Quiet, console, make_callback, print_table, require
from segbench.cli.data import DataFormat, DataPath, ReaderOptions, read_any
from segbench.errors import ConfigError, shorten

if TYPE_CHECKING:
    from segbench.data.writers import WriteOptions, Written
    from segbench.data.writers.convert import ConvertReport
    from segbench.types import Simplify

To = Annotated[str, typer.Option("--to", help="coco, cvat, folder, labelme, via, voc or yolo.")]
Link = Annotated[bool, typer.Option("--link", help="Hard-link the images instead of copying them.")]
NoImages = Annotated[bool, typer.Option("--no-images", help="Write the annotations alone.")]
Rle = Annotated[
    bool, typer.Option("--rle", help="Run lengths instead of polygons, exact in every tool: coco, cvat, labelstudio.")
]
SimplifyText = Annotated[
    str,
    typer.Option("--simplify", help="Polygons: none keeps every pixel, auto an IoU of 0.99, or a number of pixels."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a folder that was written so before.")]


def data_convert(
    data: DataPath,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to fill.")],
    to: To,
    data_format: DataFormat = None,
    options: ReaderOptions = None,
    link: Link = False,
    no_images: NoImages = False,
    rle: Rle = False,
    simplify: SimplifyText = "none",
    split: Annotated[str, typer.Option(help="keep: the official parts; drop: write no parts.")] = "keep",
    verify: Annotated[bool, typer.Option(help="Read back what was written, and compare every pixel.")] = True,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Write a data set in another format, read it back, and say what changed.

    Example: segbench data convert oxford_pets pets_coco --to coco --format oxford_pets
    """
    require("--split", split, ("keep", "drop"))
    wanted = write_options(link=link, no_images=no_images, rle=rle, simplify=simplify)
    from segbench.data.writers.convert import convert

    manifest = read_any(data, data_format, options, quiet=quiet)
    watch = make_callback(quiet)
    kept: Literal["keep", "drop"] = "keep" if split == "keep" else "drop"
    try:
        report = convert(
            manifest,
            to,
            out,
            options=wanted,
            split=kept,
            verify=verify,
            overwrite=overwrite,
            progress=watch.progress,
        )
    finally:
        watch.close()
    _print_report(report, out)
    if report.worst:
        raise typer.Exit(EXIT_PROBLEMS)


def write_options(*, link: bool, no_images: bool, rle: bool, simplify: str) -> WriteOptions:
    """Returns what the command line says about writing; ConfigError where that contradicts itself."""
    from segbench.data.writers import WriteOptions

    if link and no_images:
        raise ConfigError("images are linked or left out, not both", key="--link")
    return WriteOptions(
        images="link" if link else "none" if no_images else "copy", rle=rle, simplify=parse_simplify(simplify)
    )


def parse_simplify(text: str) -> Simplify:
    """Returns `auto`, or pixels; `none` is 0."""
    if text == "auto":
        return "auto"
    try:
        value = 0.0 if text == "none" else float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 100.0:
        raise ConfigError(f"expected none, auto or a number of pixels from 0 to 100, got {text!r}", key="--simplify")
    return value


def _print_report(report: ConvertReport, out: Path) -> None:
    written = report.written
    console.print(f"{len(written.images)} images{regions_text(written)} as {written.format}: {out}")
    if report.verified:
        rows = [
            [change.name, str(change.pixels), str(change.changed), _iou(change.lowest_iou), _iou(change.mean_iou)]
            for change in report.changes
        ]
        print_table(["class", "pixels", "changed", "lowest IoU", "mean IoU"], rows)
        console.print("read back: identical" if report.identical else "read back: not identical")
    if report.worst:
        shown = shorten((f"{name} ({_iou(iou)})" for name, iou in report.worst.items()), 6)
        console.print(
            f"{len(report.worst)} samples have a class below an IoU of 0.99: {shown}; --simplify none is exact"
        )
    print_end(written, out)


def regions_text(written: Written) -> str:
    """Returns how many regions were written, for the middle of a sentence."""
    return f", {written.regions} regions" if written.regions else ""


def print_end(written: Written, out: Path) -> None:
    """Prints the notes of a writer, and the config that reads what it wrote."""
    from segbench.data.writers import dataset_yaml

    for note in written.notes:
        console.print(f"note: {note}")
    console.print(dataset_yaml(out, written.format, written.options), end="", soft_wrap=True)


def _iou(value: float) -> str:
    return "–" if value != value else f"{int(value * 10000) / 10000:.4f}"  # cut, so that 1.0000 means every pixel
