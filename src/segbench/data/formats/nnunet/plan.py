"""What nnU-Net's `dataset.json` says: channels, labels, regions, of both versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segbench.data.formats.shared.annotated import load_json, wrong_key

FILE = "dataset.json"
_IGNORE = "ignore"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A `dataset.json`.

    Attributes:
        path: of the file.
        channels: names in order; () where it has none.
        labels: name -> the values that belong to it; several where it is a region.
        ignore: values that count nowhere.
    """

    path: Path
    channels: tuple[str, ...]
    labels: Mapping[str, tuple[int, ...]]
    ignore: tuple[int, ...]

    @property
    def overlaps(self) -> bool:
        """Whether a value belongs to several regions."""
        values = [value for mine in self.labels.values() for value in mine]
        return len(set(values)) < len(values)

    @property
    def background(self) -> str | None:
        """The label of value 0."""
        return next((name for name, values in self.labels.items() if values == (0,)), None)


def read_plan(path: Path) -> Plan:
    """Returns what the file says.

    Raises:
        DatasetError: damaged, or labels that are neither name -> value(s) (version 2) nor value -> name (version 1).
    """
    plain = load_json(path)
    if not isinstance(plain, dict):
        raise wrong_key(path, "dataset.json", "a mapping", plain)
    labels = _labels(plain.get("labels"), path)
    ignore = tuple(value for name, values in labels.items() if name.lower() == _IGNORE for value in values)
    kept = {name: values for name, values in labels.items() if name.lower() != _IGNORE}
    return Plan(path=path, channels=_channels(plain, path), labels=kept, ignore=ignore)


def _labels(given: Any, path: Path) -> dict[str, tuple[int, ...]]:
    if not isinstance(given, dict) or not given:
        raise wrong_key(path, "labels", "a mapping from name to value", given)
    if all(key.isdecimal() and isinstance(name, str) and not name.isdecimal() for key, name in given.items()):
        pairs = {name: int(key) for key, name in given.items()}  # version 1
        if len(pairs) < len(given):
            raise wrong_key(path, "labels", "a name of its own for each value", given)
        return {name: (pairs[name],) for name in sorted(pairs, key=lambda name: pairs[name])}
    result: dict[str, tuple[int, ...]] = {}
    for name, value in given.items():
        values = value if isinstance(value, list) else [value]
        numbers = [int(one) if isinstance(one, str) and one.isdecimal() else one for one in values]
        if not numbers or not all(type(one) is int and 0 <= one <= 65535 for one in numbers):
            raise wrong_key(path, f"labels.{name}", "a value, or a list of values, from 0 to 65535", value)
        result[name] = tuple(dict.fromkeys(numbers))
    return result


def _channels(plain: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    given = plain.get("channel_names", plain.get("modality", {}))
    if not isinstance(given, dict) or not all(key.isdecimal() for key in given):
        raise wrong_key(path, "channel_names", "a mapping from number to name", given)
    return tuple(str(given[key]) for key in sorted(given, key=int))
