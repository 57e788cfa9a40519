"""`segbench course`: the lessons, as scripts to be run and changed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from segbench.cli._common import console, print_table
from segbench.errors import ConfigError, suggest
from segbench.files import write_text

_LESSONS = Path(__file__).resolve().parents[1] / "course" / "lessons"


def course(
    lesson: Annotated[
        str | None, typer.Argument(help="By its name; default: a list of all.", show_default=False)
    ] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder to write the script into.")] = Path(),
) -> None:
    """Write a lesson of the course: a script whose `# %%` cells editors run one by one. Without a name, list all.

    Example: segbench course, segbench course lecture -o my_course
    """
    files = {re.sub(r"lesson_\d+[a-z]?_", "", path.stem): path for path in sorted(_LESSONS.glob("lesson_*.py"))}
    if lesson is None:
        print_table(("name", "lesson"), [[name, _title(path)] for name, path in files.items()])
        return
    if lesson not in files:
        raise ConfigError(f"there is no lesson {lesson!r}; {suggest(lesson, files)}", key="LESSON")
    target = out / files[lesson].name
    if target.exists():
        raise ConfigError(f"{target} exists, with your changes perhaps; choose another folder", key="--out")
    write_text(target, files[lesson].read_text(encoding="utf-8"))
    console.print(f"{target} is written; run it with: python {target}")


def _title(path: Path) -> str:
    return path.read_text(encoding="utf-8").removeprefix('"""').strip().partition("\n")[0]
