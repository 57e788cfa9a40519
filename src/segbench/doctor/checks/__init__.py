"""What the doctor looks for: one file a check, one line of `CHECKS` each.

A check's file holds `CODES`, everything it may find, and `check(reading)`, which finds it.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass

from segbench.doctor.code import Code
from segbench.doctor.finding import Finding
from segbench.doctor.reading import Reading


@dataclass(frozen=True, kw_only=True)
class Check:
    """One line of the table.

    Attributes:
        module: with `CODES` and `check`.
        early: it needs nothing but remembered facts, and is asked before every training.
        slow: it opens images or looks at every polygon; a fast look leaves it out.
    """

    module: str
    early: bool = False
    slow: bool = False

    @property
    def codes(self) -> tuple[Code, ...]:
        """What it may find."""
        codes: tuple[Code, ...] = importlib.import_module(self.module).CODES
        return codes

    def __call__(self, reading: Reading) -> list[Finding]:
        """Returns what it finds."""
        found: list[Finding] = importlib.import_module(self.module).check(reading)
        return found


CHECKS: dict[str, Check] = {
    "pairing": Check(module="segbench.doctor.checks.pairing"),
    "files": Check(module="segbench.doctor.checks.files"),
    "sizes": Check(module="segbench.doctor.checks.sizes"),
    "values": Check(module="segbench.doctor.checks.values", early=True),
    "meaning": Check(module="segbench.doctor.checks.meaning", early=True),
    "colors": Check(module="segbench.doctor.checks.colors"),
    "classes": Check(module="segbench.doctor.checks.classes", early=True),
    "annotations": Check(module="segbench.doctor.checks.annotations"),
    "shapes": Check(module="segbench.doctor.checks.shapes", slow=True),
    "leakage": Check(module="segbench.doctor.checks.leakage", early=True),
    "crops": Check(module="segbench.doctor.checks.crops", slow=True),
    "neighbours": Check(module="segbench.doctor.checks.neighbours", early=True),
    "parts": Check(module="segbench.doctor.checks.parts", early=True),
    "lists": Check(module="segbench.doctor.checks.lists"),
    "images": Check(module="segbench.doctor.checks.images", early=True),
    "placement": Check(module="segbench.doctor.checks.placement", slow=True),
    "objects": Check(module="segbench.doctor.checks.objects"),
}

READING = "segbench.doctor.reading_codes"
"""What reading the data set may find, before any check is asked."""


def all_codes(checks: Mapping[str, Check] = CHECKS) -> dict[str, tuple[str, Code]]:
    """Returns code -> (name of the first check that may find it, the code); of reading itself the name is `reading`."""
    found: dict[str, tuple[str, Code]] = {}
    by_name = {"reading": Check(module=READING), **checks}
    for name, check in by_name.items():
        for code in check.codes:
            found.setdefault(code.name, (name, code))
    return found
