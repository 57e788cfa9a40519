"""Where segbench keeps what it can always compute again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Returns `$SEGBENCH_CACHE`, or `~/.cache/segbench`; the folder need not exist yet and may be deleted any time."""
    chosen = os.environ.get("SEGBENCH_CACHE")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "segbench"
