"""Prints the cases of tests/cases as a table: `python tools/cases.py [PART OF A NAME...]`.

With the sources of another version in PYTHONPATH it prints what that version does.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import tempfile
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import tests.cases
from tests.cases.case import Asks, Case, failures


def main(names: list[str]) -> None:
    """Prints a line a case: name, source, situation, what has to happen, whether it does."""
    cases: list[Case] = []
    for module in sorted(item.name for item in pkgutil.iter_modules(tests.cases.__path__)):
        if module.startswith("test_"):
            cases += getattr(importlib.import_module(f"tests.cases.{module}"), "CASES", [])
    right = 0
    print("| case | source | situation | has to | result |\n| --- | --- | --- | --- | --- |")
    for case in cases:
        if names and not any(name in case.name for name in names):
            continue
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "input"
            root.mkdir()
            try:
                wrong = "; ".join(failures(case, root))
            except Exception:  # noqa: BLE001  # the table shows what other versions do, too
                wrong = "TRACEBACK " + traceback.format_exc(limit=1).strip().splitlines()[-1]
        right += not wrong
        wanted = "ask" if isinstance(case.expect, Asks) else "read"
        result = wrong.replace("|", "/").replace("\n", " ").replace(folder, "")[:200] or "right"
        print(f"| {case.name} | {case.source} | {case.situation} | {wanted} | {result} |", flush=True)
    print(f"\n{right} of {len(cases)} right")


if __name__ == "__main__":
    main(sys.argv[1:])
