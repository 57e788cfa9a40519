"""`segbench suggest`: which images to label next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from segbench.cli._common import (
    EXIT_PROBLEMS,
    Device,
    EnsembleOption,
    EntryOption,
    ModelPath,
    Quiet,
    TtaOption,
    checked_tta,
    console,
    make_callback,
    print_table,
    runs_of,
)
from segbench.errors import ConfigError
from segbench.locale import plural

if TYPE_CHECKING:
    from segbench.assist.suggest import Strategy, Suggested
    from segbench.predict.predictor import Predictor


def suggest(
    run: ModelPath,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Images, or a data set of which some are labelled.")],
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many.")] = 20,
    strategy: Annotated[
        str | None,
        typer.Option(
            help="random (default), diversity, entropy, confidence, disagreement (of several networks) or "
            "entropy+diversity. None was shown to beat random: segbench docs suggest."
        ),
    ] = None,
    labelled: Annotated[
        list[Path] | None, typer.Option(metavar="DIR", help="What is labelled already, elsewhere. May be repeated.")
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(help="Pattern for the paths: what its one group captures belongs together (a patient)."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of --strategy random.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for suggestions.csv and sheet.png, a sheet to look at.")
    ] = None,
    copy_to: Annotated[Path | None, typer.Option(metavar="DIR", help="Copy the images into this folder.")] = None,
    link: Annotated[bool, typer.Option("--link", help="With --copy-to: hard-link them.")] = False,
    tool: Annotated[
        str | None,
        typer.Option(
            "--as",
            help="With --out: the images with the model's outlines for an annotation tool, see `segbench predict`.",
        ),
    ] = None,
    tta: TtaOption = None,
    ensemble: EnsembleOption = None,
    entry: EntryOption = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Say which images of a folder to label next, and why; no copies, and none that is labelled already.

    Example: segbench suggest runs/mine photos/ -n 10 -o next, segbench suggest runs/my_study photos/ --entry unet
    --strategy disagreement, segbench suggest runs/mine photos/ -o next --as via
    """
    if link and copy_to is None:
        raise ConfigError("goes with --copy-to only", key="--link")
    if tool is not None and out is None:
        raise ConfigError("needs a folder to write into: give --out, too", key="--as")
    chosen_tta = checked_tta(tta)
    models = runs_of(run, ensemble, entry)
    from segbench.assist.batch import copy_images, write_sheet, write_table
    from segbench.assist.suggest import DEFAULT, STUDY, suggest_images
    from segbench.predict.predictor import Predictor

    predictor = Predictor.load(models, device=device, tta=chosen_tta)
    watch = make_callback(quiet)
    try:
        suggested = suggest_images(
            predictor,
            folder,
            strategy=cast("Strategy", strategy or DEFAULT),
            count=count,
            labelled=labelled or [],
            models=models,
            group=group,
            seed=seed,
            leave_out=[path for path in (out, copy_to) if path is not None],
            progress=watch.progress,
        )
    finally:
        watch.close()
    _print(suggested, count, quiet)
    if not quiet:
        console.print(STUDY)
    if out is not None:
        console.print(f"written: {write_table(suggested, out)}, {write_sheet(predictor, suggested, out)}")
    if copy_to is not None:
        copied = copy_images(suggested.images, copy_to, link=link)
        console.print(plural("{n} image in {folder}", "{n} images in {folder}", n=len(copied), folder=copy_to))
    if tool is not None and out is not None:
        _prelabel(predictor, suggested, out / tool, tool, quiet)
    if suggested.failed:
        raise typer.Exit(EXIT_PROBLEMS)


def _print(suggested: Suggested, count: int, quiet: bool) -> None:
    if not quiet:
        for note in suggested.notes:
            console.print(note)
    rows = [
        [str(rank), each.name, f"{each.score:.4f}", str(each.why)]
        for rank, each in enumerate(suggested.images, start=1)
    ]
    print_table(["", "image", "score", "why"], rows)
    if not quiet:
        told = plural(
            "{n} of {total} images without a label, by {strategy}",
            "{n} of {total} images without a label, by {strategy}",
            n=len(suggested.images),
            total=suggested.candidates,
            strategy=suggested.strategy,
        )
        passed = plural(
            "{n} passed over, which shows what is labelled or suggested already",
            "{n} passed over, which show what is labelled or suggested already",
            n=suggested.copies,
        )
        console.print(f"{told}{f'; {passed}' if suggested.copies else ''}")
        if len(suggested.images) < count:
            console.print(f"{count} were asked for; there are no more")
    for path, reason in suggested.failed.items():
        console.print(f"left out: {path}: {reason}")


def _prelabel(predictor: Predictor, suggested: Suggested, out: Path, tool: str, quiet: bool) -> None:
    """Writes the images with what the model outlines in them, as `segbench predict --as` does."""
    from segbench.predict.prelabel import prelabel

    watch = make_callback(quiet)
    try:
        paths = list(dict.fromkeys(each.job.path for each in suggested.images))
        done = prelabel(predictor, paths, out, tool, overwrite=True, progress=watch.progress)
    except ConfigError as error:
        raise ConfigError(error.reason, key="--as" if error.key == "--to" else error.key) from error
    finally:
        watch.close()
    told = plural(
        "{n} image as {tool}, to be corrected: {out}",
        "{n} images as {tool}, to be corrected: {out}",
        n=len(done.written.images),
        tool=tool,
        out=out,
    )
    console.print(told)
