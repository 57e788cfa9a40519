"""What the commands share: where they print, options with one meaning, progress, and checks of choices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer
from rich.table import Table
from rich.text import Text

from segbench.errors import ConfigError
from segbench.terminal import Terminal
from segbench.types import Tta

if TYPE_CHECKING:
    from segbench.train.console import ConsoleCallback

console = Terminal()

EXIT_PROBLEMS = 1  # some files failed, or a run did
_LONGEST_WORD = 24  # of a text in a table; a longer one is broken where room is short

ConfigFile = Annotated[Path, typer.Argument(help="Run config (YAML).", show_default=False)]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Override a key, e.g. --set optimizer.lr=1e-3. May be repeated.")
]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="Run folder that `segbench train` wrote.")]
ModelPath = Annotated[
    Path, typer.Argument(metavar="MODEL", help="Bundle, or run folder that `segbench train` wrote.", show_default=False)
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
TtaOption = Annotated[
    str | None,
    typer.Option(
        "--tta",
        help="Average over looks: none, hflip, flips, rotations, flips_and_rotations or scales; default: the run's.",
    ),
]
EnsembleOption = Annotated[
    list[Path] | None,
    typer.Option("--ensemble", metavar="RUN", help="Another run, averaged with RUN. May be repeated."),
]
EntryOption = Annotated[
    str | None,
    typer.Option(
        "--entry",
        help="RUN is a study folder: average the finished runs of this entry, by its name or its display name.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print results only.")]


def checked_tta(tta: str | None) -> Tta | None:
    """Returns what `--tta` says; ConfigError where there is no such name."""
    if tta is not None:
        require("--tta", tta, get_args(Tta))
    return cast("Tta | None", tta)


def runs_of(run: Path, ensemble: Sequence[Path] | None, entry: str | None) -> list[Path]:
    """Returns the run folders that RUN, `--ensemble` and `--entry` mean, one or several; says what is left out."""
    if entry is None:
        return [run, *(ensemble or [])]
    if ensemble:
        raise ConfigError("names the runs one by one; --entry takes those of a study; give one", key="--ensemble")
    from segbench.folders.entries import without_collapsed
    from segbench.folders.run import RunFolder
    from segbench.folders.study import StudyFolder
    from segbench.predict.bundle_members import is_bundle

    study = StudyFolder(run)
    is_run = RunFolder(run).is_run
    if is_run or is_bundle(run):
        inside = run.resolve().parent.parent
        its_own = f" ({inside})" if is_run and StudyFolder(inside).is_study else ""
        told = f"chooses among the entries of a study, and {run} is {'one run' if is_run else 'a bundle'}"
        raise ConfigError(f"{told}; leave it off, or give the study's folder{its_own}", key="--entry")
    runs = [RunFolder(path) for path in study.finished_runs(entry)]
    kept, left_out = without_collapsed(runs, entry, run)
    if left_out is not None:
        console.print(left_out)
    return [folder.path for folder in kept]


def require(key: str, value: str, allowed: Sequence[str]) -> None:
    """Raises ConfigError unless `value` is one of `allowed`."""
    if value not in allowed:
        raise ConfigError(f"expected {', '.join(allowed)}, got {value!r}", key=key)


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints columns with two blanks between them, texts left and numbers right.

    On a terminal cells are broken between words so that the table fits, or a row becomes a few lines where it cannot;
    in a pipe every row stays one line, however wide it gets.
    """
    right = [all(row[column][:1] in "-0123456789–" for row in rows) for column in range(len(header))]
    lines = (header, *rows)
    if not console.is_terminal:
        widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
        for line in lines:
            cells = [
                cell.rjust(width) if is_number else cell.ljust(width)
                for cell, width, is_number in zip(line, widths, right, strict=True)
            ]
            console.print("  ".join(cells).rstrip(), soft_wrap=True)
        return
    # Only a text may be broken, and a long word of it only below that many columns.
    narrowest = [
        max(min(max(map(len, line[column].split(" "))), 99 if is_number else _LONGEST_WORD) for line in lines)
        for column, is_number in enumerate(right)
    ]
    if sum(narrowest) + 2 * len(header) > console.width:
        for row in rows:
            told = [f"{name} {cell}".strip() for name, cell in zip(header, row, strict=True)]
            whole = [
                text.replace(" ", "\u00a0") if is_number else text for text, is_number in zip(told, right, strict=True)
            ]
            console.print(f"{row[0]}\n    {',  '.join(whole[1:])}")
        return
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for name, width, is_number in zip(header, narrowest, right, strict=True):
        table.add_column(Text(name), justify="right" if is_number else "left", min_width=width, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)


def make_callback(quiet: bool, *, tells_result: bool = True) -> ConsoleCallback:
    """Returns what shows progress on standard error; close it.

    Args:
        quiet: only messages.
        tells_result: say how a run ended that is through; not where the command prints that itself.
    """
    from segbench.train.console import ConsoleCallback

    return ConsoleCallback(quiet=quiet, tells_result=tells_result)
