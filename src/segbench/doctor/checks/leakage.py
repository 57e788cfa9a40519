"""The same picture, the same group or the same name in two parts, so that scores flatter."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from segbench.data.files.hints import set_option
from segbench.doctor.copies import joined, near_pairs, same_files
from segbench.doctor.finding import Finding, Picture, Severity
from segbench.doctor.reading import PICTURES, Case, Reading, about, number
from segbench.errors import shorten
from segbench.types import SPLITS


def check_leakage(reading: Reading) -> list[Finding]:
    """Returns pictures that are there twice, and groups that lie in several parts."""
    cases: dict[Path, Case] = {}
    for case in reading.cases:
        cases.setdefault(case.image, case)
    images = {path: reading.images[path] for path in cases if path in reading.images}
    same = same_files(images)
    near = near_pairs(images)
    return [*_same(reading, cases, same), *_near(reading, cases, near), *_groups(reading)]


def _parts(cases: Sequence[Case]) -> list[str]:
    found = {case.split for case in cases}
    return [split for split in SPLITS if split in found]


def _same(reading: Reading, cases: dict[Path, Case], groups: list[list[Path]]) -> Iterator[Finding]:
    across = [group for group in groups if len(_parts([cases[path] for path in group])) > 1]
    within = [group for group in groups if group not in across]
    if across:
        yield about(
            reading,
            "identical_images_across_parts",
            Severity.ERROR,
            f"{number(len(across), 'image')} {'is' if len(across) == 1 else 'are'} in more than one part, byte for "
            "byte the same",
            (path for group in across for path in group),
            count=len(across),
            detail=_told(across, cases),
            advice="remove the copies from all parts but one, or divide anew (data.split.method: ratios keeps copies "
            "together)",
            pictures=_pictures(reading, [(group[0], _far(group, cases)) for group in across]),
        )
    if within:
        yield about(
            reading,
            "identical_images",
            Severity.INFO,
            f"{number(len(within), 'image')} {'is' if len(within) == 1 else 'are'} there more than once, byte for byte "
            "the same",
            (path for group in within for path in group),
            count=len(within),
            detail=_told(within, cases),
            advice="keep one of each; a drawn split keeps them in one part anyway",
            pictures=_pictures(reading, [(group[0], group[1]) for group in within]),
        )
    yield from _contradicting(reading, cases, groups)


def _contradicting(reading: Reading, cases: dict[Path, Case], groups: list[list[Path]]) -> Iterator[Finding]:
    wrong = []
    for group in groups:
        labels = {tuple(fact.sha256 for _, fact in reading.facts(cases[path])) for path in group if cases[path].masks}
        if len(labels - {()}) > 1:
            wrong.append(group)
    if wrong:
        yield about(
            reading,
            "same_image_other_mask",
            Severity.WARNING,
            f"{number(len(wrong), 'image')} {'has' if len(wrong) == 1 else 'have'} several masks that differ",
            (path for group in wrong for path in group),
            count=len(wrong),
            detail=_told(wrong, cases),
            advice="decide which mask is right, and remove the others",
            pictures=reading.overlays(cases[path] for group in wrong for path in group),
        )


def _near(reading: Reading, cases: dict[Path, Case], pairs: list[tuple[Path, Path, float]]) -> Iterator[Finding]:
    across = [pair for pair in pairs if len(_parts([cases[pair[0]], cases[pair[1]]])) > 1]
    crossing = set(across)
    within = [pair for pair in pairs if pair not in crossing]
    for code, severity, chosen, what in (
        ("near_images_across_parts", Severity.WARNING, across, "that lie in different parts"),
        ("near_images", Severity.INFO, within, "within one part" if reading.has_parts else "in the data set"),
    ):
        if not chosen:
            continue
        groups = joined(chosen)
        yield about(
            reading,
            code,
            severity,
            f"{number(len(chosen), 'pair')} of nearly the same picture {what}",
            (path for group in groups for path in group),
            count=len(chosen),
            detail=f"{number(len(groups), 'group')} of up to {len(groups[0])} images: {_told(groups, cases)}. "
            "Compared as 16 x 16 grey values, also mirrored and turned; neighbouring frames of a video look so too. "
            "Crops and strong changes of brightness are not found.",
            advice="keep such images in one part"
            + (f": name what belongs together with {set_option('group')}" if reading.has_option("group") else ""),
            pictures=_pictures(reading, [(one, other) for one, other, _ in chosen]),
        )


def _told(groups: Sequence[Sequence[Path]], cases: dict[Path, Case]) -> str:
    def one(group: Sequence[Path]) -> str:
        shown = [f"{cases[path].id}{f' ({split})' if (split := cases[path].split) else ''}" for path in group]
        return " = ".join(shown[:4]) + (" = ..." if len(shown) > 4 else "")

    return shorten((one(group) for group in groups), 6)


def _far(group: Sequence[Path], cases: dict[Path, Case]) -> Path:
    """Returns a file of the group that lies in another part than its first one."""
    return next((path for path in group if cases[path].split != cases[group[0]].split), group[1])


def _pictures(reading: Reading, pairs: Sequence[tuple[Path, Path]]) -> tuple[Picture, ...]:
    return tuple(
        Picture(kind="pair", files=(reading.name(one), reading.name(other)), caption=f"{one.name} and {other.name}")
        for one, other in pairs[:PICTURES]
    )


def _groups(reading: Reading) -> Iterator[Finding]:
    members: dict[str, list[Case]] = defaultdict(list)
    for case in reading.cases:
        if case.group is not None:
            members[case.group].append(case)
    across = {group: cases for group, cases in members.items() if len(_parts(cases)) > 1}
    if not across:
        return
    told = (f"{group} in {', '.join(_parts(cases))}" for group, cases in sorted(across.items()))
    yield about(
        reading,
        "groups_across_parts",
        Severity.WARNING,
        f"{number(len(across), 'group')} of {len(members)} in more than one part",
        (case.image for cases in across.values() for case in cases),
        count=len(across),
        detail=shorten(told, 12),
        advice="data.split.method: ratios keeps groups together; with published parts, say so beside the scores",
        pictures=reading.overlays(case for cases in across.values() for case in cases[:1]),
    )
