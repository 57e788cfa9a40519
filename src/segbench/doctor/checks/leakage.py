"""The same picture, the same group or the same name in two parts, so that scores flatter."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from segbench.data.files.hints import set_option
from segbench.data.split.units import join_groups
from segbench.doctor.code import Code, Title
from segbench.doctor.copies import near_pairs, same_files
from segbench.doctor.finding import Finding, Picture, Severity
from segbench.doctor.reading import Case, Reading
from segbench.locale import listed, message, plural
from segbench.types import SPLITS

_LOOK_ALIKE = message(
    "Compared as 16 x 16 grey values, also mirrored and turned; neighbouring frames of a video look so too. Crops and "
    "strong changes of brightness are not found."
)
_KEEP_TOGETHER = message("keep such images in one part")

IDENTICAL_ACROSS = Code(
    "identical_images_across_parts",
    Severity.ERROR,
    Title(
        "{n} image is in more than one part, byte for byte the same",
        "{n} images are in more than one part, byte for byte the same",
    ),
    means=message("What a network was trained on is scored again, so the score is too good."),
    advice=message(
        "remove the copies from all parts but one, or divide anew (data.split.method: ratios keeps copies together)"
    ),
    before_training=True,
)
IDENTICAL = Code(
    "identical_images",
    Severity.INFO,
    Title(
        "{n} image is there more than once, byte for byte the same",
        "{n} images are there more than once, byte for byte the same",
    ),
    means=message("A copy teaches nothing new, and it counts twice in a score."),
    advice=message("keep one of each; a drawn split keeps them in one part anyway"),
)
OTHER_MASK = Code(
    "same_image_other_mask",
    Severity.WARNING,
    Title("{n} image has several masks that differ", "{n} images have several masks that differ"),
    means=message("The same picture is labelled in two ways; a network cannot learn both."),
    advice=message("decide which mask is right, and remove the others"),
    before_training=True,
)
NEAR_ACROSS = Code(
    "near_images_across_parts",
    Severity.WARNING,
    Title(
        "{n} pair of nearly the same picture that lies in different parts",
        "{n} pairs of nearly the same picture that lie in different parts",
    ),
    means=_LOOK_ALIKE,
    advice=_KEEP_TOGETHER,
    before_training=True,
)
NEAR = Code(
    "near_images",
    Severity.INFO,
    Title("{n} pair of nearly the same picture {where}", "{n} pairs of nearly the same picture {where}"),
    means=_LOOK_ALIKE,
    advice=_KEEP_TOGETHER,
)
GROUPS_ACROSS = Code(
    "groups_across_parts",
    Severity.WARNING,
    Title("{n} group of {total} in more than one part", "{n} groups of {total} in more than one part"),
    means=message("Images of one group (a patient, a video) are alike, so the score on new ones will be lower."),
    advice=message("data.split.method: ratios keeps groups together; with published parts, say so beside the scores"),
    before_training=True,
)
CODES = (IDENTICAL_ACROSS, IDENTICAL, OTHER_MASK, NEAR_ACROSS, NEAR, GROUPS_ACROSS)


def check(reading: Reading) -> list[Finding]:
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
    wrong = []
    for group in groups:
        labels = {tuple(fact.sha256 for _, fact in reading.facts(cases[path])) for path in group if cases[path].masks}
        if len(labels - {()}) > 1:
            wrong.append(group)
    for code, found in ((IDENTICAL_ACROSS, across), (IDENTICAL, within), (OTHER_MASK, wrong)):
        if not found:
            continue
        paths = [path for group in found for path in group]
        yield code.about(
            reading,
            paths,
            count=len(found),
            detail=_listed_groups(found, cases),
            pictures=reading.overlays(cases[path] for path in paths)
            if code is OTHER_MASK
            else _pictures(reading, [(group[0], _far(group, cases)) for group in found]),
        )


def _near(reading: Reading, cases: dict[Path, Case], pairs: list[tuple[Path, Path, float]]) -> Iterator[Finding]:
    across = [pair for pair in pairs if len(_parts([cases[pair[0]], cases[pair[1]]])) > 1]
    crossing = set(across)
    within = [pair for pair in pairs if pair not in crossing]
    where = message("within one part") if reading.has_parts else message("in the data set")
    for code, chosen in ((NEAR_ACROSS, across), (NEAR, within)):
        if not chosen:
            continue
        groups = sorted(join_groups([pair[:2] for pair in chosen]), key=len, reverse=True)
        yield code.about(
            reading,
            (path for group in groups for path in group),
            count=len(chosen),
            where=where,
            detail=plural(
                "{n} group of up to {most} images: {names}.",
                "{n} groups of up to {most} images: {names}.",
                n=len(groups),
                most=len(groups[0]),
                names=_listed_groups(groups, cases),
            ),
            advice=message(
                "keep such images in one part: name what belongs together with {option}", option=set_option("group")
            )
            if reading.has_option("group")
            else None,
            pictures=_pictures(reading, [(one, other) for one, other, _ in chosen]),
        )


def _listed_groups(groups: Sequence[Sequence[Path]], cases: dict[Path, Case]) -> str:
    def text(group: Sequence[Path]) -> str:
        shown = [f"{cases[path].id}{f' ({split})' if (split := cases[path].split) else ''}" for path in group]
        return " = ".join(shown[:4]) + (" = ..." if len(shown) > 4 else "")

    return listed([text(group) for group in groups], 6)


def _far(group: Sequence[Path], cases: dict[Path, Case]) -> Path:
    """Returns a file of the group that lies in another part than its first one."""
    return next((path for path in group if cases[path].split != cases[group[0]].split), group[1])


def _pictures(reading: Reading, pairs: Sequence[tuple[Path, Path]]) -> tuple[Picture, ...]:
    return reading.pairs(
        (one, other, message("{one} and {other}", one=one.name, other=other.name)) for one, other in pairs
    )


def _groups(reading: Reading) -> Iterator[Finding]:
    members: dict[str, list[Case]] = defaultdict(list)
    for case in reading.cases:
        if case.group is not None:
            members[case.group].append(case)
    across = {group: cases for group, cases in members.items() if len(_parts(cases)) > 1}
    if not across:
        return
    yield GROUPS_ACROSS.about(
        reading,
        (case.image for cases in across.values() for case in cases),
        count=len(across),
        total=len(members),
        detail=listed(
            [
                message("{group} in {parts}", group=group, parts=", ".join(_parts(cases)))
                for group, cases in sorted(across.items())
            ],
            12,
        ),
        pictures=reading.overlays(case for cases in across.values() for case in cases[:1]),
    )
