"""Dividing a data set into train, val and test, so that no image, group or copy of an image is in two of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from segbench.config import SplitConfig
from segbench.data._manifest import Manifest
from segbench.errors import DatasetError, shorten
from segbench.types import SPLITS, Sample, SplitName

Assignment = dict[str, SplitName]


@dataclass(frozen=True)
class _Unit:
    """Samples that must stay together: one group, or copies of one image file."""

    ids: tuple[str, ...]
    frac: float


def split_manifest(manifest: Manifest, config: SplitConfig) -> Manifest:
    """Returns the manifest with each of its samples in train, val or test; see `SplitConfig` for the methods.

    Samples that belong to no part (in no official list, or beyond `counts`) are left out, which a note says. Samples
    of one group, and byte-identical images, stay together; where official lists part them, the lists win, with a note.
    The same manifest and config always give the same parts.

    Raises:
        DatasetError: a part would be empty, `counts` exceed the samples, groups are too few, or `official` is asked of
            a data set without (complete) lists; with the numbers and what to change.
    """
    official = any(sample.split is not None for sample in manifest.samples)
    notes: list[str] = []
    if config.method == "official" and not official:
        raise DatasetError(
            "split.method is official, but this data set has no official lists; use method: ratios", path=manifest.root
        )
    if config.method == "permutation":
        assignment = _permutation(manifest, config, notes)
    elif official and config.method in ("auto", "official"):
        assignment = _official(manifest, config, notes)
    else:
        wanted = _wanted(len(manifest), config, manifest)
        assignment = _draw(manifest.samples, wanted, config, manifest, notes)
        notes += _uneven(assignment, wanted)
    result = manifest.with_splits(assignment)
    left_out = [sample.id for sample in result.samples if sample.split is None]
    if left_out:
        notes.append(f"{len(left_out)} samples belong to no part and are left out: {shorten(left_out)}")
    kept = tuple(sample for sample in result.samples if sample.split is not None)
    result = replace(result, samples=kept, notes=(*manifest.notes, *notes))
    for split in SPLITS:
        if not result.split(split):
            raise DatasetError(
                f"the {split} part would be empty ({_sizes(assignment)}); give it a larger share",
                path=manifest.root,
            )
    return result


def _official(manifest: Manifest, config: SplitConfig, notes: list[str]) -> Assignment:
    assignment: Assignment = {sample.id: sample.split for sample in manifest.samples if sample.split is not None}
    for split, what in (("test", "to score on"), ("train", "to learn from")):
        if split not in assignment.values():
            raise DatasetError(
                f"the official lists have no {split} part ({_sizes(assignment)}), and one is needed {what}; add a "
                f"{split} list or folder, or divide anew with method: ratios",
                path=manifest.root,
            )
    if "val" not in assignment.values():
        train = [sample for sample in manifest.samples if sample.split == "train"]
        number = min(max(1, round(len(train) * config.val_frac)), len(train) - 1)
        if number < 1:
            raise DatasetError("the official train part has 1 sample; val cannot be taken from it", path=manifest.root)
        wanted: dict[SplitName, int] = {"train": len(train) - number, "val": number}
        assignment |= _draw(train, wanted, config, manifest, notes)
        notes.append(
            f"the official lists have no val part: {sum(part == 'val' for part in assignment.values())} of "
            f"{len(train)} training samples were taken for it (val_frac {config.val_frac:g}, seed {config.seed})"
        )
    notes += _copies(manifest.samples, assignment)
    return assignment


def _copies(samples: Sequence[Sample], assignment: Mapping[str, SplitName]) -> list[str]:
    """Returns a note on identical images that lie in more than one part; groups are noted by `read_dataset`."""
    across = [
        f"{' = '.join(ids)} ({', '.join(_parts_of(ids, assignment))})"
        for ids in _members(samples, "image_hash").values()
        if len(_parts_of(ids, assignment)) > 1
    ]
    if not across:
        return []
    return [
        f"{len(across)} identical image files are in more than one part, so scores may flatter: {shorten(across, 5)}"
    ]


def _parts_of(ids: Sequence[str], assignment: Mapping[str, SplitName]) -> list[SplitName]:
    found = {assignment.get(name) for name in ids}
    return [split for split in SPLITS if split in found]


def _members(samples: Sequence[Sample], attribute: str) -> dict[str, list[str]]:
    members: dict[str, list[str]] = {}
    for sample in samples:
        name = getattr(sample, attribute)
        if name is not None:
            members.setdefault(name, []).append(sample.id)
    return members


def _permutation(manifest: Manifest, config: SplitConfig, notes: list[str]) -> Assignment:
    """The homework's draw; `RandomState` gives the numbers of `numpy.random.seed` and leaves the global state alone."""
    assert config.counts is not None, "SplitConfig insists on it"
    number = len(manifest)
    _check_counts(number, config.counts, manifest)
    grouped = [name for name, ids in _members(manifest.samples, "group").items() if len(ids) > 1]
    if grouped:
        raise DatasetError(
            f"method permutation would tear {len(grouped)} groups apart ({shorten(grouped, 5)}); use method: ratios "
            "with counts, which keeps groups together",
            path=manifest.root,
        )
    order = np.random.RandomState(config.seed).choice(number, number, replace=False)
    assignment: Assignment = {}
    start = 0
    for split, count in zip(SPLITS, config.counts, strict=True):
        assignment.update({manifest.samples[int(place)].id: split for place in order[start : start + count]})
        start += count
    notes += _copies(manifest.samples, assignment)
    return assignment


def _wanted(number: int, config: SplitConfig, manifest: Manifest) -> dict[SplitName, int]:
    """Returns how many of `number` samples each part should get; the ratios' shares are rounded to sum to `number`."""
    if config.counts is not None:
        _check_counts(number, config.counts, manifest)
        return dict(zip(SPLITS, config.counts, strict=True))
    if number < len(SPLITS):
        raise DatasetError(
            f"train, val and test need at least 3 samples, got {number}; add labelled images", path=manifest.root
        )
    exact = [number * ratio for ratio in config.ratios]
    counts = [int(share) for share in exact]
    for place in sorted(range(3), key=lambda place: counts[place] - exact[place])[: number - sum(counts)]:
        counts[place] += 1
    for place in range(3):
        if counts[place] == 0:
            counts[counts.index(max(counts))] -= 1
            counts[place] = 1
    return dict(zip(SPLITS, counts, strict=True))


def _check_counts(number: int, counts: Sequence[int], manifest: Manifest) -> None:
    if sum(counts) > number:
        raise DatasetError(
            f"split.counts ask for {' + '.join(map(str, counts))} = {sum(counts)} samples, but there are {number}; "
            "lower them, or use ratios",
            path=manifest.root,
        )


def _draw(
    samples: Sequence[Sample],
    wanted: Mapping[SplitName, int],
    config: SplitConfig,
    manifest: Manifest,
    notes: list[str],
) -> Assignment:
    """Draws units into parts: large units first, then in order of their foreground share, each to the emptiest part."""
    units = _units(samples)
    if len(units) < len(wanted):
        raise DatasetError(
            f"{len(samples)} samples form {len(units)} groups that must stay together, too few for {len(wanted)} parts "
            f"({', '.join(wanted)}); label images of more groups, or make the groups smaller",
            path=manifest.root,
        )
    if config.stratify and all(sample.foreground_frac is None for sample in samples):
        notes.append("not stratified: the samples have no known share of foreground")
    capacity: dict[SplitName | None, int] = {None: len(samples) - sum(wanted.values())}
    capacity.update((split, number) for split, number in wanted.items())
    chosen: dict[SplitName | None, list[_Unit]] = {part: [] for part in capacity}
    filled: dict[SplitName | None, int] = dict.fromkeys(capacity, 0)
    seen = 0
    for unit in _ordered(units, config, min(wanted.values()) / len(samples)):
        size = len(unit.ids)
        seen += size
        part = max(capacity, key=lambda part: _need(capacity[part], filled[part], size, seen / len(samples)))
        chosen[part].append(unit)
        filled[part] += size
    _fill_empty(chosen, wanted)
    return {name: part for part, found in chosen.items() if part is not None for unit in found for name in unit.ids}


def _need(capacity: int, filled: int, size: int, progress: float) -> tuple[bool, float]:
    """Returns how much a part needs a unit: first whether it fits, then how far the part lags behind its share."""
    fits = filled + size <= capacity
    return (fits, capacity * progress - filled if fits else (capacity - filled) / (capacity + 1))


def _fill_empty(chosen: Mapping[SplitName | None, list[_Unit]], wanted: Mapping[SplitName, int]) -> None:
    """Gives each empty part the smallest unit of the part that has the most units."""
    for part in wanted:
        if not chosen[part]:
            donor = max(chosen.values(), key=len)
            unit = min(donor, key=lambda unit: len(unit.ids))
            donor.remove(unit)
            chosen[part].append(unit)


def _ordered(units: Sequence[_Unit], config: SplitConfig, smallest_share: float) -> list[_Unit]:
    """Returns the units at random, large ones first; stratified: sorted by foreground share, shuffled within strata.

    A stratum is about as long as it takes for the smallest part to get one unit of it.
    """
    rng = np.random.default_rng(config.seed)
    shuffled = [units[int(place)] for place in rng.permutation(len(units))]
    length = max(2, round(1.0 / smallest_share)) if smallest_share else 2
    by_size: dict[int, list[_Unit]] = {}
    for unit in shuffled:
        by_size.setdefault(len(unit.ids).bit_length(), []).append(unit)
    ordered: list[_Unit] = []
    for size in sorted(by_size, reverse=True):
        alike = sorted(by_size[size], key=lambda unit: unit.frac) if config.stratify else by_size[size]
        for start in range(0, len(alike), length):
            stratum = alike[start : start + length]
            ordered += [stratum[int(place)] for place in rng.permutation(len(stratum))]
    return ordered


def _units(samples: Sequence[Sample]) -> list[_Unit]:
    """Joins samples that share a group or an image file, also through others (a = b by group, b = c by file)."""
    parent = {sample.id: sample.id for sample in samples}

    def leader(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for attribute in ("group", "image_hash"):
        for ids in _members(samples, attribute).values():
            for name in ids[1:]:
                parent[leader(name)] = leader(ids[0])
    joined: dict[str, list[Sample]] = {}
    for sample in sorted(samples, key=lambda sample: sample.id):
        joined.setdefault(leader(sample.id), []).append(sample)
    units = []
    for members in joined.values():
        fracs = [sample.foreground_frac for sample in members if sample.foreground_frac is not None]
        frac = float(np.mean(fracs)) if fracs else -1.0  # unknown shares form strata of their own
        units.append(_Unit(ids=tuple(sample.id for sample in members), frac=frac))
    return units


def _uneven(assignment: Assignment, wanted: Mapping[SplitName, int]) -> list[str]:
    got = {split: sum(part == split for part in assignment.values()) for split in wanted}
    if got == dict(wanted):
        return []
    asked = ", ".join(f"{split} {number}" for split, number in wanted.items())
    return [f"groups and identical images stay together, so the parts are {_sizes(assignment)} instead of {asked}"]


def _sizes(assignment: Mapping[str, SplitName]) -> str:
    return ", ".join(f"{split} {sum(part == split for part in assignment.values())}" for split in SPLITS)
