"""Pages made from the code at every build: the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sphinx.application import Sphinx

REFERENCE = Path(__file__).resolve().parents[1] / "reference"


def _command_line(app: Sphinx) -> None:
    """Writes reference/cli.md with typer's own program."""
    words = ["segbench.cli", "utils", "docs", "--name", "segbench", "--title", "Command line"]
    subprocess.run(
        [sys.executable, "-m", "typer", *words, "--output", str(REFERENCE / "cli.md")], check=True, capture_output=True
    )


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the pages."""
    app.connect("builder-inited", _command_line)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
