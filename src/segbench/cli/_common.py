"""What the commands share: where they print, options with one meaning, progress, and checks of choices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from segbench.errors import ConfigError

if TYPE_CHECKING:
    from segbench.train.console import ConsoleWatcher

console = Console(highlight=False, markup=False, soft_wrap=True)

RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="Run folder that `segbench train` wrote.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print results only.")]


def require(key: str, value: str, allowed: Sequence[str]) -> None:
    """Raises ConfigError unless `value` is one of `allowed`."""
    if value not in allowed:
        raise ConfigError(f"expected {', '.join(allowed)}, got {value!r}", key=key)


def make_watcher(quiet: bool) -> ConsoleWatcher:
    """Returns what shows progress on standard error; close it."""
    from segbench.train.console import ConsoleWatcher

    return ConsoleWatcher(quiet=quiet)
