"""`segbench data`: what a folder holds, what is wrong with it, how it looks, and copies of it in other formats."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segbench.cli._common import EXIT_PROBLEMS, console, make_callback, require
from segbench.config.text import apply_overrides
from segbench.errors import ConfigError
from segbench.speech import in_shell
from segbench.types import SPLITS, Progress

if TYPE_CHECKING:
    from segbench.data.formats.detect import Candidate
    from segbench.data.manifest.manifest import Manifest
    from segbench.doctor.finding import Checkup

data_app = typer.Typer(help="Recognise, check, show, convert, fetch and make data sets.", no_args_is_help=True)

DataFormat = Annotated[str | None, typer.Option("--format", help="See `segbench list formats`; default: recognised.")]
ReaderOptions = Annotated[
    list[str] | None, typer.Option("--option", help="Reader option, e.g. --option border=ignore. May be repeated.")
]
DataPath = Annotated[Path, typer.Argument(metavar="PATH", help="Folder of labelled images, archive, or manifest.")]


@data_app.command("detect")
def data_detect(data: DataPath, data_format: DataFormat = None, options: ReaderOptions = None) -> None:
    """Say which data set a folder holds, why, and which config reads it.

    Example: segbench data detect my_images
    """
    from segbench.data.formats.detect import detect
    from segbench.data.formats.shared.unpacked import telling
    from segbench.data.manifest.manifest import Manifest, is_manifest
    from segbench.data.sources.shards import is_shards

    listing = data / "shards.json" if (data / "shards.json").is_file() else data
    if is_shards(listing):
        console.print(f"shards: a data set packed by `segbench data shard`\ndata:\n  path: {listing}")
        return
    if is_manifest(data):
        manifest = Manifest.read(data)
        console.print(f"a manifest of {len(manifest)} samples, read as {manifest.format}\ndata:\n  path: {data}")
        return
    watch = make_callback(quiet=False)
    try:
        with telling(watch.progress):
            found = detect(unpacked(data, watch.progress), read_options(options), format=data_format)
    finally:
        watch.close()
    for candidate in found.candidates:
        _print_candidate(data, candidate)
    if found.best is None:
        console.print(f"\n{found.question()}")
        raise typer.Exit(EXIT_PROBLEMS)


@data_app.command("index")
def data_index(
    data: DataPath,
    data_format: DataFormat = None,
    options: ReaderOptions = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the manifest (JSON) here.")] = None,
) -> None:
    """Read and check a labelled folder; say what is in it.

    Example: segbench data index oxford_pets --format oxford_pets --option border=ignore -o pets.json
    """
    manifest = read_any(data, data_format, options)
    print_manifest(manifest)
    if out is not None:
        manifest.write(out)
        console.print(f"written: {out}")


@data_app.command("make")
def data_make(
    kind: Annotated[str, typer.Argument(help="lesions (binary) or streets (4 classes).")],
    out: Annotated[Path, typer.Argument(help="Folder to fill.")],
    count: Annotated[int, typer.Option(min=1, help="Number of images.")] = 150,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same images.")] = 0,
) -> None:
    """Make a built-in data set: labelled images drawn by the program.

    Example: segbench data make lesions lesions --count 200
    """
    require("KIND", kind, ("lesions", "streets"))
    from segbench.data.synthetic.write import write_lesions, write_streets

    watch = make_callback(quiet=False)
    try:
        write = write_lesions if kind == "lesions" else write_streets
        write(out, count=count, seed=seed, progress=watch.progress)
    finally:
        watch.close()
    console.print(f"{count} images with masks: {out}; next: segbench config new {in_shell(out)}")


def read_any(data: Path, data_format: str | None, options: list[str] | None, *, quiet: bool = False) -> Manifest:
    """Returns a data set's manifest; without a format it is recognised, which is said."""
    from segbench.data.formats.detect import resolve
    from segbench.data.formats.shared.unpacked import telling
    from segbench.data.manifest.manifest import is_manifest
    from segbench.data.manifest.read import read_dataset

    given = read_options(options)
    watch = make_callback(quiet)
    try:
        if is_manifest(data):
            return read_dataset(data, data_format, progress=watch.progress, **given)
        folder = unpacked(data, watch.progress)
        with telling(watch.progress):
            chosen = resolve(folder, data_format, given)
        if data_format is None:
            told = "".join(f"; {guess}" for guess in chosen.guesses)
            console.print(f"read as {chosen.format}: {chosen.reason}{told}")
        return read_dataset(folder, chosen.format, progress=watch.progress, **chosen.options)
    finally:
        watch.close()


def check_any(manifest: Manifest) -> Checkup:
    """Returns what the doctor says about a data set that was read, as its training begins."""
    from segbench.doctor.run import examine_manifest

    watch = make_callback(quiet=False)
    try:
        return examine_manifest(manifest, progress=watch.progress)
    finally:
        watch.close()


def unpacked(data: Path, progress: Progress | None = None) -> Path:
    """Returns the folder an archive was unpacked into (once); any other path as it is."""
    from segbench.data.public.archive import is_archive, open_archive

    return open_archive(data, progress=progress) if is_archive(data) else data


def read_options(given: list[str] | None) -> dict[str, Any]:
    """Returns reader options from `key=value` texts, whose values are YAML."""
    for item in given or []:
        if "=" not in item or "." in item.partition("=")[0]:
            raise ConfigError(f"expected option=value, got {item!r}; for example border=ignore", key="--option")
    return apply_overrides({}, given or [])


def print_manifest(manifest: Manifest) -> None:
    """Prints what a data set holds, in a few lines."""
    classes = ", ".join(manifest.class_map.names)
    parts = {split: len(manifest.split(split)) for split in SPLITS}
    official = ", ".join(f"{count} {split}" for split, count in parts.items() if count)
    console.print(f"{len(manifest.samples)} samples, {manifest.class_map.task}: {classes}")
    console.print(f"official split: {official or 'none; one is drawn when a run starts'}")
    for note in manifest.notes:
        console.print(f"note: {note}")


def _print_candidate(data: Path, candidate: Candidate) -> None:
    from segbench.data.writers import dataset_yaml

    if candidate.trouble:
        console.print(f"not {candidate.format} ({candidate.reason or 'tried'}): {candidate.trouble}")
        return
    console.print(f"{candidate.format}: {candidate.reason}")
    console.print(
        f"{candidate.samples} labelled images, {len(candidate.classes)} classes: {', '.join(candidate.classes)}"
    )
    for guess in candidate.guesses:
        console.print(f"guessed: {guess}")
    console.print(dataset_yaml(data, candidate.format, candidate.options), end="", soft_wrap=True)
