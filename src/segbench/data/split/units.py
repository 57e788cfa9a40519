"""What must stay together when samples are divided: groups, copies of one image, and blocks of neighbours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np

from segbench.types import SPLITS, Sample, SplitName

Item = TypeVar("Item", str, Path)


@dataclass(frozen=True)
class Unit:
    """Samples that must stay together, and their mean share of foreground; -1 where nobody knows it."""

    ids: tuple[str, ...]
    frac: float


def members(samples: Iterable[Sample], attribute: str) -> dict[str, list[str]]:
    """Returns value -> ids of the samples that have it, for `group` or `image_hash`."""
    found: dict[str, list[str]] = {}
    for sample in samples:
        name = getattr(sample, attribute)
        if name is not None:
            found.setdefault(name, []).append(sample.id)
    return found


def natural_order(samples: Iterable[Sample]) -> list[str]:
    """Returns the ids as people count: frame_9 before frame_10."""
    return sorted((sample.id for sample in samples), key=natural_key)


def natural_key(name: str) -> tuple[list[tuple[int, str]], str]:
    """Returns by what a name is sorted as people count.

    Example:
        >>> sorted(["f10", "f9"], key=natural_key)
        ['f9', 'f10']
    """
    pieces = re.split(r"([0-9]+)", name)
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in pieces], name


def join_groups(groups: Iterable[Sequence[Item]]) -> list[list[Item]]:
    """Joins groups that share a member, also through others; members are sorted, and so are groups by their first."""
    parent: dict[Item, Item] = {}

    def leader(item: Item) -> Item:
        while parent.setdefault(item, item) != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    for group in groups:
        for item in group:
            parent[leader(item)] = leader(group[0])
    joined: dict[Item, list[Item]] = {}
    for item in sorted(parent):
        joined.setdefault(leader(item), []).append(item)
    return list(joined.values())


def join_units(samples: Sequence[Sample], block: int | None = None, alike: Iterable[Sequence[str]] = ()) -> list[Unit]:
    """Joins samples that share a group or an image file, also through others (a = b by group, b = c by file).

    Args:
        samples: to be divided.
        block: so many samples next to each other in natural order are joined too.
        alike: ids that are joined too; those of other samples do not count.
    """
    ids = {sample.id for sample in samples}
    together = [*members(samples, "group").values(), *members(samples, "image_hash").values()]
    together += [here for names in alike if len(here := [name for name in names if name in ids]) > 1]
    if block is not None:
        order = natural_order(sample for sample in samples if sample.group is None)
        together += [order[start : start + block] for start in range(0, len(order), block)]
    known = {sample.id: sample.foreground_frac for sample in samples}
    units = []
    for joined in join_groups([*together, *([name] for name in known)]):
        fracs = [frac for name in joined if (frac := known[name]) is not None]
        frac = float(np.mean(fracs)) if fracs else -1.0  # unknown shares form strata of their own
        units.append(Unit(ids=tuple(joined), frac=frac))
    return units


def across_parts(samples: Sequence[Sample], attribute: str) -> list[str]:
    """Returns a text for each group or image file (`image_hash`) whose samples are in more than one part."""
    parts = {sample.id: sample.split for sample in samples}
    found = []
    for name, ids in members(samples, attribute).items():
        here = {parts[sample_id] for sample_id in ids}
        shared = [split for split in SPLITS if split in here]
        if len(shared) > 1:
            what = " = ".join(ids[:4]) + (" = ..." if len(ids) > 4 else "") if attribute == "image_hash" else name
            found.append(f"{what} ({', '.join(shared)})")
    return found


def too_near(order: Sequence[str], parts: dict[str, SplitName], gap: int) -> set[str]:
    """Returns the ids to leave out so that samples of two parts have more than `gap` others between them, or no others.

    Where train ends or begins they are taken from train, else from the later part.
    """
    places = [place for place, name in enumerate(order) if name in parts]
    near: set[str] = set()
    for before, after in pairwise(places):
        if parts[order[before]] == parts[order[after]]:
            continue
        if parts[order[before]] == "train":
            near |= set(order[max(0, after - gap) : before + 1])
        else:
            near |= set(order[after : before + gap + 1])
    return near & parts.keys()
