"""`python -m segbench.studio.command FILE ARGUMENTS`: `segbench ARGUMENTS`, with its exit status in a file at the end.

A studio that was started again is no parent of what the one before began, so the file is how it knows the end. Whoever
was killed leaves none.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from segbench.files import write_text

if __name__ == "__main__":
    status = 1  # of an error that nobody expected: Python prints it, and ends so
    file, sys.argv = Path(sys.argv[1]), ["segbench", *sys.argv[2:]]
    try:
        runpy.run_module("segbench", run_name="__main__")
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        raise
    finally:
        write_text(file, f"{status}\n")
