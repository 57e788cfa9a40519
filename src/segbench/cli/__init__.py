"""The command line: parse, call the Python API, print. Nothing here imports torch before a command needs it."""

from __future__ import annotations

from segbench.cli.main import app, main

__all__ = ["app", "main"]
