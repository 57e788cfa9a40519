"""Settings that a data set's numbers speak for: (config key, value, reason)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from segbench.doctor.checks.meaning import is_trimap
from segbench.doctor.checks.parts import is_sure_group, suggest_group
from segbench.doctor.reading import Reading
from segbench.doctor.recipe import Suggestion, recipe
from segbench.doctor.regions import Objects
from segbench.doctor.scale import base_split, facts_of
from segbench.locale import listed, message
from segbench.types import SPLITS


def suggestions(reading: Reading, stats: Mapping[str, Any], objects: Objects | None) -> list[Suggestion]:
    """Returns what the numbers speak for, each with its reason: the whole of what `segbench config new` writes."""
    if reading.class_map is None or not stats.get("classes") or not reading.images:
        return []
    groups = [line for line in _groups(reading) if is_sure_group(line[1])]
    return [
        *groups,
        *_split(reading),
        *recipe(facts_of(reading, objects, [entry["share"] for entry in stats["classes"]])),
    ]


def choices(reading: Reading) -> list[Suggestion]:
    """Returns what the data set may want, but only its owner knows: another task, groups that only may be some."""
    if reading.class_map is None:
        return []
    return [*_ignored(reading), *(line for line in _groups(reading) if not is_sure_group(line[1]))]


def _ignored(reading: Reading) -> Iterator[Suggestion]:
    class_map = reading.known_map
    if 3 in class_map.ignore_values or not is_trimap(reading):
        return
    reason = message("3 is the border that whoever drew the trimaps left undecided; as a class it only blurs the score")
    if reading.has_option("border"):
        yield "data.options.border", "ignore", reason
    elif reading.has_option("ignore"):
        yield "data.options.ignore", [3], reason


def _groups(reading: Reading) -> Iterator[Suggestion]:
    if reading.has_parts or any(case.group is not None for case in reading.cases):
        return
    found = suggest_group([case.id for case in reading.cases])
    if found is not None and reading.has_option("group"):
        pattern, what, groups = found
        reason = message(
            "the names seem to say {what}: {n} groups of {total} images; images of one group in two parts make "
            "scores too good",
            what=what,
            n=len(groups),
            total=len(reading.cases),
        )
        yield "data.options.group", pattern, reason


def _split(reading: Reading) -> Iterator[Suggestion]:
    parts = Counter(case.split for case in reading.cases)
    keys, number = base_split(parts), len(reading.cases)
    if "method" in keys:
        there = [part for part in SPLITS if parts[part]]
        missing = [part for part in ("train", "test") if part not in there]
        reason = message(
            "the data set has {there} but no {missing} part, so it is divided anew",
            there=listed(there, 3),
            missing=listed(missing, 2),
        )
        yield "data.split.method", keys["method"], reason
    if "ratios" in keys:
        reason = message(
            "of {n} images, 15 % are {part}: too few for a score to mean much", n=number, part=round(0.15 * number)
        )
        yield "data.split.ratios", keys["ratios"], reason
