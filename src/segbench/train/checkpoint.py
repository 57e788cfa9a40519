"""The checkpoint a run goes on from: tensors and plain values only, written all or nothing."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from segbench.errors import RunError
from segbench.files import replacing
from segbench.folders.run import RunFolder
from segbench.models.weights import read_metadata, save_weights
from segbench.speech import argument
from segbench.train.loop import Training

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


@dataclass(frozen=True)
class Commits:
    """The checkpoint on the disk, tied to the data and the config it belongs to."""

    folder: RunFolder
    manifest_hash: str
    fingerprint: str

    def save(self, training: Training, about_best: Mapping[str, str] | None) -> None:
        """Commits the last epoch; with `about_best`, its weights are the best so far.

        The weights wait under another name until the checkpoint that says so is there: a repeated epoch that turns out
        otherwise (on a GPU, say) never leaves the weights of the first try behind.
        """
        if about_best is not None:
            about = {**about_best, "normalization": training.normalization.to_json()}
            save_weights(self.folder.candidate_file, training.scored_network, about)
        identity = {"manifest_hash": self.manifest_hash, "fingerprint": self.fingerprint}
        save_checkpoint(self.folder.last_file, {**identity, **training.state_dict()})
        if about_best is not None:
            self.folder.candidate_file.replace(self.folder.best_file)

    def load(self, training: Training) -> None:
        """Goes on from the checkpoint, and settles which weights are the best."""
        state = load_checkpoint(self.folder.last_file, training.fabric.device)
        if state["manifest_hash"] != self.manifest_hash or state["fingerprint"] != self.fingerprint:
            message = "last.pt belongs to other data or other settings than this folder's manifest and config"
            raise RunError(f"{message}; begin again with {argument('restart', True)}", run=self.folder.path)
        training.load_state_dict(state)
        best = str(training.best_epoch() + 1)
        candidate = self.folder.candidate_file
        if candidate.is_file():
            if read_metadata(candidate)["epoch"] == best:
                candidate.replace(self.folder.best_file)
            else:
                candidate.unlink()
        found = read_metadata(self.folder.best_file)["epoch"]
        if found != best:
            message = f"best.safetensors is of epoch {found}, but the best epoch of last.pt is {best}"
            raise RunError(f"{message}; begin again with {argument('restart', True)}", run=self.folder.path)
