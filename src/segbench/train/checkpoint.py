"""The checkpoint a run goes on from: tensors and plain values only, written all or nothing."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from segbench.errors import RunError
from segbench.files import replacing

_VERSION = 1


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Writes a checkpoint; a process killed meanwhile leaves the one before."""
    with replacing(path) as temporary, temporary.open("wb") as stream:
        try:
            torch.save({"version": _VERSION, **state}, stream)
        except RuntimeError as error:
            if isinstance(error.__context__, OSError):  # a full disk, which torch reports as a wrong position
                raise error.__context__ from None
            raise


def load_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """Returns a checkpoint, with `weights_only`, so that the file cannot run code.

    Raises:
        RunError: the file is damaged, or another version of segbench wrote it.
    """
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        message = f"{path.name} is damaged ({error}); delete the run folder to start again"
        raise RunError(message, run=path.parent) from error
    if not isinstance(state, dict) or state.get("version") != _VERSION:
        found = state.get("version") if isinstance(state, dict) else type(state).__name__
        raise RunError(f"{path.name} has checkpoint version {found}, expected {_VERSION}", run=path.parent)
    return state
