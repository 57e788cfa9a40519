"""What the commands share: where they print, options with one meaning, progress, and checks of choices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from segbench.errors import ConfigError

if TYPE_CHECKING:
    from segbench.train.console import ConsoleCallback

console = Console(highlight=False, markup=False, soft_wrap=True)

EXIT_PROBLEMS = 1  # some files failed, or a run did

ConfigFile = Annotated[Path, typer.Argument(help="Run config (YAML).", show_default=False)]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Override a key, e.g. --set optimizer.lr=1e-3. May be repeated.")
]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="Run folder that `segbench train` wrote.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print results only.")]


def require(key: str, value: str, allowed: Sequence[str]) -> None:
    """Raises ConfigError unless `value` is one of `allowed`."""
    if value not in allowed:
        raise ConfigError(f"expected {', '.join(allowed)}, got {value!r}", key=key)


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints columns with two blanks between them, texts left and numbers right, however wide the terminal is."""
    widths = [max(len(line[column]) for line in (header, *rows)) for column in range(len(header))]
    right = [all(row[column][:1] in "-0123456789–" for row in rows) for column in range(len(header))]
    for line in (header, *rows):
        cells = [
            cell.rjust(width) if is_number else cell.ljust(width)
            for cell, width, is_number in zip(line, widths, right, strict=True)
        ]
        console.print("  ".join(cells).rstrip())


def make_callback(quiet: bool) -> ConsoleCallback:
    """Returns what shows progress on standard error; close it."""
    from segbench.train.console import ConsoleCallback

    return ConsoleCallback(quiet=quiet)
