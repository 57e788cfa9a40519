"""`segbench data shard`: a data set packed into tar files that are read from front to back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segbench.cli._common import Quiet, console, make_callback
from segbench.cli.data import DataFormat, DataPath, ReaderOptions, read_any
from segbench.errors import ConfigError


def data_shard(
    data: DataPath,
    out: Annotated[Path, typer.Argument(help="Folder for the shards, new or with shards written before.")],
    size: Annotated[str, typer.Option(help="Pixels, HEIGHTxWIDTH or one number for a square.")] = "256",
    original: Annotated[
        bool, typer.Option("--original", help="Keep the images' size and, if JPEG or PNG, bytes.")
    ] = False,
    png: Annotated[bool, typer.Option("--png", help="A third of the space, several times slower to read.")] = False,
    samples_per_shard: Annotated[int, typer.Option(min=1, help="At most.")] = 256,
    data_format: DataFormat = None,
    options: ReaderOptions = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace shards of another data set.")] = False,
    quiet: Quiet = False,
) -> None:
    """Pack a data set into shards, for data too large or too far away to be cached; a killed packing goes on.

    Train from them with data.path: OUT/shards.json. To fix the parts beforehand, give a manifest that has them.

    Example: segbench data shard pets.json /mnt/shards/pets --size 256
    """
    if original and png:
        raise ConfigError("--original keeps the files as they are; leave out one of the two", key="--png")
    pixels = None if original else _size(size)
    from segbench.data.samples.shard_writer import write_shards

    manifest = read_any(data, data_format, options, quiet=quiet)
    watch = make_callback(quiet)
    try:
        shards = write_shards(
            manifest,
            out,
            size=pixels,
            encoding="original" if original else "png" if png else "raw",
            samples_per_shard=samples_per_shard,
            overwrite=overwrite,
            progress=watch.progress,
        )
    finally:
        watch.close()
    total = sum(shard.bytes for shard in shards.shards)
    count = len(shards.shards)
    console.print(
        f"{len(manifest)} samples in {count} shard{'s' * (count != 1)}, {total / 1e6:.1f} MB: {shards.folder}"
    )
    if pixels is None:
        console.print(f"next: train with data.path: {shards.folder}/shards.json")
    else:
        console.print(f"next: train with data.path: {shards.folder}/shards.json and data.size: {list(pixels)}")


def _size(text: str) -> tuple[int, int]:
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.strip().isdigit() and int(side) > 0 for side in sides):
        raise ConfigError(
            f"expected one number or HEIGHTxWIDTH, for example 256 or 360x480, got {text!r}", key="--size"
        )
    return int(sides[0]), int(sides[-1])
