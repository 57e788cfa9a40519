"""Writes docs/reference/checks.md from the doctor's table of codes: `python docs/make_checks.py`."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

from segbench.data.files.hints import said_again
from segbench.doctor.checks import CHECKS, READING, all_codes
from segbench.doctor.code import Code
from segbench.speech import speaking

TARGET = Path(__file__).parent / "reference" / "checks.md"
HEAD = """\
# What the doctor may find

`segbench data check PATH` looks for the mistakes below. An **error** would stop a training or make it wrong, a
**warning** may make it worse than it could be, an **info** is good to know. Here `N` stands for a number and `...` for
names of your files and classes. `--json FILE` names each mistake by its code.

This page is made by `docs/make_checks.py` from the table in `segbench/doctor/checks/`.
"""


def page() -> str:
    """Returns the page."""
    return "\n".join([HEAD, *_sections()]).rstrip() + "\n"


def _sections() -> Iterator[str]:
    modules = {"reading": READING, **{name: check.module for name, check in CHECKS.items()}}
    for name, module in modules.items():
        about = (importlib.import_module(module).__doc__ or "").partition("\n")[0]
        yield f"## {name}\n\n{about}\n"
        for first, code in all_codes().values():
            if first == name:
                yield _entry(code)


def _entry(code: Code) -> str:
    other = f"; {code.otherwise} {code.when}" if code.otherwise is not None else ""
    early = " Said before every training." if code.before_training else ""
    with speaking("shell"):
        advice = said_again(code.advice)
    return (
        f"### {code.name}\n\n*{code.title.pattern()}* ({code.severity}{other})\n\n{code.means}{early}\n\n"
        f"To do: {advice}.\n"
    )


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
