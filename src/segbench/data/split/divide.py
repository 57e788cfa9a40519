"""Dividing a data set into train, val and test, so that no image, group or copy of an image is in two of them.

Example:
    >>> divided = split_manifest(manifest, SplitConfig(method="kfold", k=5, fold=0, group="^(patient[0-9]+)_"))
    >>> write_split(divided, "split.csv")
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from segbench.config.split import SplitConfig
from segbench.data.files.hints import propose_blocks
from segbench.data.formats.shared.pairs import find_groups
from segbench.data.manifest.manifest import Manifest
from segbench.data.sources.presence import class_presence
from segbench.data.split.files import with_file_groups, with_file_parts
from segbench.data.split.files import write_split as write_split
from segbench.data.split.folds import Presence, assign_folds, deal, strata
from segbench.data.split.units import Unit, across_parts, join_groups, join_units, members, natural_order, too_near
from segbench.errors import DatasetError, shorten
from segbench.locale import listed, message, plural
from segbench.types import SPLITS, Sample, SplitName

Assignment = dict[str, SplitName]


def split_manifest(
    manifest: Manifest,
    config: SplitConfig,
    *,
    presence: Presence | None = None,
    alike: Sequence[Sequence[str]] = (),
) -> Manifest:
    """Returns the manifest with each of its samples in train, val or test; see `SplitConfig` for the methods.

    Samples that belong to no part (in no official list, or beyond `counts`) are left out, which a note says. Samples
    of one group, and byte-identical images, stay together; where official lists part them, the lists win, with a note.
    The same manifest and config always give the same parts.

    Args:
        manifest: of the whole data set.
        config: how to divide it.
        presence: id -> indices of the classes in the sample, where they are known; else they are counted if needed.
        alike: ids of pictures that look nearly the same; a draw keeps them together, as it does copies.
    Raises:
        DatasetError: a part would be empty, `counts` exceed the samples, groups are too few, `official` is asked of
            a data set without (complete) lists, or a file of parts or groups does not fit; with the numbers and what
            to change.
    """
    manifest = _grouped(manifest, config)
    if config.method == "file":
        assert config.file is not None, "SplitConfig insists on it"
        manifest = with_file_parts(manifest, config.file)
    if config.by_classes and presence is None:
        presence = class_presence(manifest)
    notes: list[str] = []
    assignment = _assign(manifest, config, presence if config.by_classes else None, alike, notes)
    if config.gap:
        near = too_near(natural_order(manifest.samples), assignment, config.gap)
        assignment = {name: part for name, part in assignment.items() if name not in near}
        notes.append(
            plural(
                "{n} sample is left out as a neighbour of another part (gap {gap})",
                "{n} samples are left out as neighbours of another part (gap {gap})",
                n=len(near),
                gap=config.gap,
            )
        )
    result = manifest.with_splits(assignment)
    left_out = [sample.id for sample in result.samples if sample.split is None]
    if left_out:
        notes.append(
            plural(
                "{n} sample belongs to no part and is left out: {names}",
                "{n} samples belong to no part and are left out: {names}",
                n=len(left_out),
                names=shorten(left_out),
            )
        )
    kept = tuple(sample for sample in result.samples if sample.split is not None)
    result = replace(result, samples=kept, notes=(*manifest.notes, *notes))
    for split in SPLITS:
        if not result.split(split):
            raise DatasetError(
                message(
                    "the {split} part would be empty ({sizes}); give it a larger share",
                    split=split,
                    sizes=_sizes(assignment),
                ),
                path=manifest.folder,
            )
    return result


def _grouped(manifest: Manifest, config: SplitConfig) -> Manifest:
    """Returns the manifest with the groups that the config speaks of, if it does."""
    if config.group_file is not None:
        return with_file_groups(manifest, config.group_file)
    if config.group is None:
        return manifest
    ids = [sample.id for sample in manifest.samples]
    groups = find_groups(ids, re.compile(config.group), manifest.root) if config.group else {}
    return replace(manifest, samples=tuple(replace(sample, group=groups.get(sample.id)) for sample in manifest.samples))


def _assign(
    manifest: Manifest,
    config: SplitConfig,
    presence: Presence | None,
    alike: Sequence[Sequence[str]],
    notes: list[str],
) -> Assignment:
    listed = any(sample.split is not None for sample in manifest.samples)
    if config.method == "official" and not listed:
        raise DatasetError(
            message("split.method is official, but this data set has no official lists; use method: ratios"),
            path=manifest.folder,
        )
    if config.method == "permutation":
        return _permutation(manifest, config, notes)
    if config.method == "file" or (listed and config.method in ("auto", "official")):
        return _official(manifest, config, presence, alike, notes)
    if config.method == "kfold":
        assignment = _turn(manifest, config, presence, alike, notes)
    else:
        wanted = _wanted(len(manifest), config, manifest)
        assignment = _draw(manifest.samples, wanted, config, presence, alike, manifest, notes)
        notes += _uneven(assignment, wanted)
    _refuse_leaks(manifest, assignment)
    return assignment


def _refuse_leaks(manifest: Manifest, assignment: Assignment) -> None:
    """Raises where a draw, which is ours to get right, has the same group or image in two parts."""
    divided = manifest.with_splits(assignment).samples
    leaks = [text for attribute in ("group", "image_hash") for text in across_parts(divided, attribute)]
    if leaks:
        raise DatasetError(
            message("{n} groups or images would be in two parts: {names}", n=len(leaks), names=shorten(leaks)),
            path=manifest.folder,
        )


def _turn(
    manifest: Manifest,
    config: SplitConfig,
    presence: Presence | None,
    alike: Sequence[Sequence[str]],
    notes: list[str],
) -> Assignment:
    """Returns one turn of a cross-validation: a fold to test, the next one to validate, the others to train."""
    whole, kept = len(manifest), [sample for sample in manifest.samples if sample.split == "test"]
    if config.keep_test and kept:
        manifest = replace(manifest, samples=tuple(s for s in manifest.samples if s.split != "test"))
    folds = assign_folds(
        manifest,
        config.k,
        seed=config.seed,
        presence=presence,
        block=config.block,
        stratify=config.stratify,
        alike=_kept_together(manifest.samples, alike, len(manifest) // config.k, config, notes),
    )
    roles: dict[int, SplitName] = {config.fold: "test", (config.fold + 1) % config.k: "val"}
    sizes = np.bincount(list(folds.values()), minlength=config.k)
    notes.append(
        f"fold {config.fold} of {config.k} is test, fold {(config.fold + 1) % config.k} is val "
        f"(folds of {', '.join(map(str, sizes.tolist()))} samples)"
    )
    if len(manifest) < whole:
        notes.append(f"the {len(kept)} samples of the official test list are in no fold and stay untouched (keep_test)")
    elif any(sample.split is not None for sample in manifest.samples):
        notes.append("the official lists are not used: method kfold divides all samples anew")
    return {name: roles.get(fold, "train") for name, fold in folds.items()}


def tells_one_fold(note: str) -> bool:
    """Tells whether a note of a split says which fold is its test part, which holds for one of K divisions alone."""
    return re.match(r"fold \d+ of \d+ is test", note) is not None


def _official(
    manifest: Manifest,
    config: SplitConfig,
    presence: Presence | None,
    alike: Sequence[Sequence[str]],
    notes: list[str],
) -> Assignment:
    lists = "the official lists have" if config.method != "file" else f"{config.file} has"
    assignment: Assignment = {sample.id: sample.split for sample in manifest.samples if sample.split is not None}
    for split, what in (("test", message("to score on")), ("train", message("to learn from"))):
        if split not in assignment.values():
            found = {"split": split, "sizes": _sizes(assignment), "what": what}
            raise DatasetError(
                message(
                    "{file} has no {split} part ({sizes}), and one is needed {what}; add a {split} list or folder, or "
                    "divide anew with method: ratios",
                    file=str(config.file),
                    **found,
                )
                if config.method == "file"
                else message(
                    "the official lists have no {split} part ({sizes}), and one is needed {what}; add a {split} list "
                    "or folder, or divide anew with method: ratios",
                    **found,
                ),
                path=manifest.folder,
            )
    if "val" not in assignment.values():
        train = [sample for sample in manifest.samples if sample.split == "train"]
        number = min(max(1, round(len(train) * config.val_frac)), len(train) - 1)
        if number < 1:
            raise DatasetError(
                message("the official train part has 1 sample; val cannot be taken from it"), path=manifest.root
            )
        wanted: dict[SplitName, int] = {"train": len(train) - number, "val": number}
        assignment |= _draw(train, wanted, config, presence, alike, manifest, notes)
        notes.append(
            f"{lists} no val part: {sum(part == 'val' for part in assignment.values())} of "
            f"{len(train)} training samples were taken for it (val_frac {config.val_frac:g}, seed {config.seed})"
        )
    notes += _copies(manifest, assignment)
    if config.method == "file" or config.group or config.group_file is not None:  # else noted by `read_dataset`
        shared = across_parts(manifest.with_splits(assignment).samples, "group")
        if shared:
            notes.append(f"{len(shared)} groups are in more than one part, so scores may flatter: {shorten(shared, 5)}")
    return assignment


def _copies(manifest: Manifest, assignment: Assignment) -> list[str]:
    """Returns a note on identical images that lie in more than one part."""
    across = across_parts(manifest.with_splits(assignment).samples, "image_hash")
    if not across:
        return []
    return [
        f"{len(across)} identical image files are in more than one part, so scores may flatter: {shorten(across, 5)}"
    ]


def _permutation(manifest: Manifest, config: SplitConfig, notes: list[str]) -> Assignment:
    """The homework's draw; `RandomState` gives the numbers of `numpy.random.seed` and leaves the global state alone."""
    assert config.counts is not None, "SplitConfig insists on it"
    number = len(manifest)
    _check_counts(number, config.counts, manifest)
    grouped = [name for name, ids in members(manifest.samples, "group").items() if len(ids) > 1]
    if grouped:
        raise DatasetError(
            message(
                "method permutation would tear {n} groups apart ({names}); use method: ratios with counts, "
                "which keeps groups together",
                n=len(grouped),
                names=shorten(grouped, 5),
            ),
            path=manifest.folder,
        )
    order = np.random.RandomState(config.seed).choice(number, number, replace=False)
    assignment: Assignment = {}
    start = 0
    for split, count in zip(SPLITS, config.counts, strict=True):
        assignment.update({manifest.samples[int(place)].id: split for place in order[start : start + count]})
        start += count
    notes += _copies(manifest, assignment)
    return assignment


def _wanted(number: int, config: SplitConfig, manifest: Manifest) -> dict[SplitName, int]:
    """Returns how many of `number` samples each part should get; the ratios' shares are rounded to sum to `number`."""
    if config.counts is not None:
        _check_counts(number, config.counts, manifest)
        return dict(zip(SPLITS, config.counts, strict=True))
    if number < len(SPLITS):
        raise DatasetError(
            message("train, val and test need at least 3 samples, got {number}; add labelled images", number=number),
            path=manifest.folder,
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
            message(
                "split.counts ask for {counts} = {total} samples, but there are {number}; lower them, or use ratios",
                counts=" + ".join(map(str, counts)),
                total=sum(counts),
                number=number,
            ),
            path=manifest.folder,
        )


def _draw(
    samples: Sequence[Sample],
    wanted: Mapping[SplitName, int],
    config: SplitConfig,
    presence: Presence | None,
    alike: Sequence[Sequence[str]],
    manifest: Manifest,
    notes: list[str],
) -> Assignment:
    """Draws units into parts: large units first, then in order of their foreground share, each to the emptiest part."""
    alike = _kept_together(samples, alike, min(wanted.values()), config, notes)
    units = join_units(samples, config.block, alike)
    if len(units) < len(wanted):
        raise DatasetError(
            message(
                "{n} samples form {groups} groups that must stay together, too few for {parts} parts ({names}); "
                "label images of more groups, or cut long ones into blocks with data.split: {way}",
                n=len(samples),
                groups=len(units),
                parts=len(wanted),
                names=", ".join(wanted),
                way=propose_blocks(len(samples)),
            ),
            path=manifest.folder,
        )
    if presence is not None:
        return _deal_parts(units, samples, wanted, presence, config.seed)
    if config.stratify and all(sample.foreground_frac is None for sample in samples):
        notes.append("not stratified: the samples have no known share of foreground")
    capacity: dict[SplitName | None, int] = {None: len(samples) - sum(wanted.values())}
    capacity.update((split, number) for split, number in wanted.items())
    chosen: dict[SplitName | None, list[Unit]] = {part: [] for part in capacity}
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


def _kept_together(
    samples: Sequence[Sample], alike: Sequence[Sequence[str]], most: int, config: SplitConfig, notes: list[str]
) -> list[list[str]]:
    """Returns the ids that look alike and stay together; runs too long for a part are left to blocks, with a note.

    Args:
        most: samples of the smallest part.
    """
    if config.block is not None:
        return []
    ids = {sample.id for sample in samples}
    groups = join_groups([here for names in alike if len(here := [name for name in names if name in ids]) > 1])
    kept = [group for group in groups if len(group) <= most]
    long = [group for group in groups if len(group) > most]
    if kept:
        notes.append(
            plural(
                "{n} group of pictures that look nearly the same stays together: {names} (data.split.near_copies)",
                "{n} groups of pictures that look nearly the same stay together: {names} (data.split.near_copies)",
                n=len(kept),
                names=listed([" = ".join(group[:3]) for group in kept], 4),
            )
        )
    if long:
        notes.append(
            message(
                "{names}: {n} pictures in a row look nearly the same, more than the smallest part holds ({most}), so "
                "they may lie in several parts and scores may flatter; divide by neighbours with data.split.method: "
                "blocks, or name groups",
                names=" = ".join(long[0][:3]),
                n=len(long[0]),
                most=most,
            )
        )
    return kept


def _deal_parts(
    units: Sequence[Unit], samples: Sequence[Sample], wanted: Mapping[SplitName, int], presence: Presence, seed: int
) -> Assignment:
    """Deals units into parts that are alike in classes too; what is beyond the wanted numbers is left out."""
    capacity = [*wanted.values(), len(samples) - sum(wanted.values())]
    parts = deal(units, strata(units, samples, presence), capacity, seed, required=len(wanted))
    names = (*wanted, None)
    chosen = {name: names[part] for unit, part in zip(units, parts, strict=True) for name in unit.ids}
    return {name: part for name, part in chosen.items() if part is not None}


def _need(capacity: int, filled: int, size: int, progress: float) -> tuple[bool, float]:
    """Returns how much a part needs a unit: first whether it fits, then how far the part lags behind its share."""
    fits = filled + size <= capacity
    return (fits, capacity * progress - filled if fits else (capacity - filled) / (capacity + 1))


def _fill_empty(chosen: Mapping[SplitName | None, list[Unit]], wanted: Mapping[SplitName, int]) -> None:
    """Gives each empty part the smallest unit of the part that has the most units."""
    for part in wanted:
        if not chosen[part]:
            donor = max(chosen.values(), key=len)
            unit = min(donor, key=lambda unit: len(unit.ids))
            donor.remove(unit)
            chosen[part].append(unit)


def _ordered(units: Sequence[Unit], config: SplitConfig, smallest_share: float) -> list[Unit]:
    """Returns the units at random, large ones first; stratified: sorted by foreground share, shuffled within strata.

    A stratum is about as long as it takes for the smallest part to get one unit of it.
    """
    rng = np.random.default_rng(config.seed)
    shuffled = [units[int(place)] for place in rng.permutation(len(units))]
    length = max(2, round(1.0 / smallest_share)) if smallest_share else 2
    by_size: dict[int, list[Unit]] = {}
    for unit in shuffled:
        by_size.setdefault(len(unit.ids).bit_length(), []).append(unit)
    ordered: list[Unit] = []
    for size in sorted(by_size, reverse=True):
        alike = sorted(by_size[size], key=lambda unit: unit.frac) if config.stratify else by_size[size]
        for start in range(0, len(alike), length):
            stratum = alike[start : start + length]
            ordered += [stratum[int(place)] for place in rng.permutation(len(stratum))]
    return ordered


def _uneven(assignment: Assignment, wanted: Mapping[SplitName, int]) -> list[str]:
    got = {split: sum(part == split for part in assignment.values()) for split in wanted}
    if got == dict(wanted):
        return []
    asked = ", ".join(f"{split} {number}" for split, number in wanted.items())
    return [f"groups and identical images stay together, so the parts are {_sizes(assignment)} instead of {asked}"]


def _sizes(assignment: Mapping[str, SplitName]) -> str:
    return ", ".join(f"{split} {sum(part == split for part in assignment.values())}" for split in SPLITS)
