"""What a bundle says about its model: plain values for `card.json`, from the files of its runs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segbench import __version__
from segbench.data.manifest.manifest import Manifest
from segbench.errors import DatasetError, RunError, shorten
from segbench.folders.run import RunFolder
from segbench.folders.seal import KEY as SEAL
from segbench.predict.bundle_file import ModelBundle
from segbench.types import SPLITS

_ABSOLUTE = re.compile(r"(/|~|[A-Za-z]:[\\/]|\\\\)")
# Keys of a config that say where something lies, or how a machine went about it, and nothing about the model.
_PLACES = ("output", "device", "threads", "pictures")
_FROM_RESULT = ("scores", "definitions", "footnote", "n", "scored_at", "main", "per_class")


@dataclass(frozen=True)
class Member:
    """A run that is to become part of a bundle, with its files read.

    Attributes:
        folder: of the run.
        bundle: its network, see `ModelBundle.of_run`.
    """

    folder: RunFolder
    bundle: ModelBundle
    result: Mapping[str, Any] = field(repr=False)
    """`result.json`; empty for a run that is not finished."""

    @classmethod
    def read(cls, folder: RunFolder) -> Member:
        """Returns a run's member.

        Raises:
            RunError: no run, no finished epoch, damaged files, or weights that are not those which were scored.
        """
        bundle = ModelBundle.of_run(folder.path)
        result = folder.read_result().result if folder.is_finished else {}
        scored = result.get(SEAL, {}).get(folder.best_file.name)
        weights = bundle.weight_files[0]
        if scored is not None and scored != weights.sha256:
            told = f"{weights.name} is not the file that its scores were made with (SHA-256 {scored[:12]})"
            raise RunError(f"{told}; put that one back, or train the run anew", run=folder.path)
        return cls(folder, bundle, result)


def member_card(member: Member) -> dict[str, Any]:
    """Returns what tells a run of an ensemble from the others."""
    result, config = member.result, member.folder.read_config()
    return {
        "name": config.run_name,
        "seed": config.seed,
        "epoch": result.get("best_epoch"),
        "weights_sha256": member.bundle.weight_files[0].sha256,
        "threshold": member.bundle.settings.threshold,
        "scores": {split: _main_score(result, split) for split in SPLITS if split in result.get("scores", {})},
        "test_uses": len(member.folder.read_test_log()),
    }


def model_card_of(members: Sequence[Member]) -> dict[str, Any]:
    """Returns scores, uses of the test part, training, licences and versions; data are told by `data_card`.

    One run's scores are its own. Several have none together yet, so each is named with its own.
    """
    first = members[0]
    config = first.folder.read_config()
    facts = first.folder.read_facts()
    own = {key: first.result[key] for key in _FROM_RESULT if key in first.result} if len(members) == 1 else {}
    logs = [member.folder.read_test_log() for member in members]
    return {
        "name": config.run_name if len(members) == 1 else _name_of(members),
        **own,
        "monitor": config.monitor,
        "members": [member_card(member) for member in members],
        "test_uses": max(map(len, logs)),
        "test_log": max(logs, key=len),
        "alerts": [str(alert["sentence"]) for alert in first.result.get("alerts", ())],
        "unfinished": [member.folder.path.name for member in members if not member.folder.is_finished],
        "collapsed": [member.folder.path.name for member in members if member.result.get("collapsed")],
        "config": without_places({key: value for key, value in config.to_dict().items() if key not in _PLACES}),
        **{key: _sum(members, key) for key in ("parameters", "flops")},
        "licences": {"starting_weights": _starting_weights([member.folder for member in members])},
        "versions": {"segbench": __version__, "training": facts.get("environment", {}).get("packages", {})},
        "manifest_hash": facts.get("manifest_hash"),
    }


def _name_of(members: Sequence[Member]) -> str:
    names = list(dict.fromkeys(member.folder.read_config().run_name for member in members))
    return f"{len(members)} runs averaged: {shorten(names, 2)}"


def without_places(value: Any) -> Any:
    """Returns plain values in which a path that begins at the root of a machine is the name of its file alone."""
    if isinstance(value, Mapping):
        return {key: without_places(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_places(item) for item in value]
    if isinstance(value, str) and _ABSOLUTE.match(value):
        return re.split(r"[\\/]", value.rstrip("\\/"))[-1]
    return value


def reason_without_places(error: DatasetError | RunError, manifest: Manifest) -> str:
    """Returns why images could not be used, with the data set's name where an error names its folder."""
    reason = str(error.reason)
    for place in filter(None, (manifest.root, manifest.unpacked_from)):
        reason = reason.replace(str(place), Path(place).name)
    return reason


def _sum(members: Sequence[Member], key: str) -> int | None:
    """Returns what all networks have together; None where a run does not tell."""
    values = [member.result.get(key) for member in members]
    return None if None in values else sum(value for value in values if value is not None)


def _main_score(result: Mapping[str, Any], split: str) -> float | None:
    value: float | None = result["scores"][split].get(result.get("main", {}).get("name", "iou_per_image"))
    return value


def _starting_weights(folders: Sequence[RunFolder]) -> list[dict[str, Any]]:
    """Returns which weights the networks started from, each once, with their licence where it is known."""
    keys = ("source", "part", "provider", "file", "sha256", "license", "trained_on")
    found = []
    for folder in folders:
        origin = folder.read_facts().get("weights") or {}
        about = without_places({key: origin.get(key, "") for key in keys})
        if about not in found:
            found.append(about)
    return found
