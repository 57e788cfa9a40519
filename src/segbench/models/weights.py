"""Weights of a network as safetensors: a format that holds numbers only, so loading it never runs code."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from segbench.errors import RunError, shorten
from segbench.files import replacing
from segbench.speech import argument


def save_weights(path: str | Path, network: nn.Module, metadata: Mapping[str, str]) -> None:
    """Writes the state dict of a network, all or nothing, with a few words about it."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with replacing(path) as temporary:  # as bytes, so that a full disk is an OSError like any other
        # One entry: the order of several is not fixed, and equal weights should be equal bytes.
        temporary.write_bytes(save(tensors, metadata={"segbench": json.dumps(dict(metadata), sort_keys=True)}))


def decode_metadata(stored: Mapping[str, str] | None) -> dict[str, str]:
    """Returns the words that `save_weights` wrote, from a safetensors header's metadata; empty for other files."""
    try:
        words = json.loads((stored or {}).get("segbench", "{}"))
    except ValueError:
        return {}  # somebody else's entry of that name
    return dict(words) if isinstance(words, dict) else {}


def read_metadata(path: str | Path) -> dict[str, str]:
    """Returns the words that `save_weights` wrote beside the weights, without reading them.

    Raises:
        RunError: the file is missing or damaged.
    """
    path = Path(path)
    _require(path)
    try:
        with safe_open(str(path), framework="pt") as stored:
            metadata = decode_metadata(stored.metadata())
    except (SafetensorError, OSError) as error:
        raise RunError(f"{path.name} is damaged: {error}", run=path.parent) from error
    return metadata


def _require(path: Path) -> None:
    if not path.is_file():
        message = f"there are no weights at {path.name}: no epoch is finished yet, or the file was removed"
        raise RunError(f"{message}; train the run, or restart it with {argument('restart', True)}", run=path.parent)


def load_weights(path: str | Path, network: nn.Module) -> dict[str, str]:
    """Loads weights that `save_weights` wrote into `network`, and returns their metadata.

    Raises:
        RunError: the file is missing or damaged, or its tensors are not those of this network (names the first).
    """
    path = Path(path)
    _require(path)
    try:
        with safe_open(str(path), framework="pt") as stored:
            metadata = decode_metadata(stored.metadata())
            tensors: dict[str, Tensor] = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise RunError(f"{path.name} is damaged: {error}", run=path.parent) from error
    wrong = misfits(tensors, network.state_dict())
    if wrong:
        raise RunError(f"{path.name} holds another network's weights: {shorten(wrong, 3)}", run=path.parent)
    network.load_state_dict(tensors)
    return metadata


def misfits(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor], head: Collection[str] = ()) -> list[str]:
    """Returns one text a tensor that is missing, left over or of another shape; those of the head may differ."""
    wrong = []
    for name in sorted(given.keys() | wanted.keys()):
        ours = tuple(wanted[name].shape) if name in wanted else "missing"
        theirs = tuple(given[name].shape) if name in given else "missing"
        if ours != theirs and not (name in head and name in wanted):
            wrong.append(f"{name} (file: {theirs}, network: {ours})")
    return wrong
