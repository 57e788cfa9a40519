"""What belongs together by its name, and parts too small for a score that says something."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from segbench.doctor.code import Code, Title
from segbench.doctor.finding import Finding, Severity
from segbench.doctor.reading import Reading
from segbench.locale import Message, join, listed, message, plural
from segbench.statistics.planning import half_width
from segbench.types import SPLITS

# What the first part of an id may be; in the last one a number is asked for, because classes are called so too.
_WORDS = (
    (("patient", "subject", "subj", "sub", "case", "scan", "volume", "vol"), message("a patient or scan")),
    (("video", "vid", "sequence", "seq", "clip", "scene"), message("a video or scene")),
)
_SURE = tuple(rf"(?i)({word}" for words, _ in _WORDS for word in words)  # how patterns with such a word begin
_BEFORE_LAST = r"([^/]*\d[^/]*)[_-][a-zA-Z]*\d+$"
_PER_GROUP = 1.5  # samples, from which on it is worth a word
_FEW = 10  # images in a part that is scored
_USUAL_SPREAD = 0.15  # standard deviation of Dice between images; what is assumed before anything is trained


GROUPS_SUGGESTED = Code(
    "groups_suggested",
    Severity.INFO,
    Title("the names suggest that several images belong together: {groups} of {n} images"),
    means=message("Images of one patient, scan or video are alike; in two parts, they make scores too good."),
    advice=message("if images of one group are alike, keep them in one part when you divide the data set"),
    otherwise=Severity.WARNING,
    when=message("where a patient, scan or video lies in more than one part by its name"),
)
SMALL_PARTS = Code(
    "small_parts",
    Severity.WARNING,
    Title(
        "{n} part to be scored on has fewer than 10 images: {parts}",
        "{n} parts to be scored on have fewer than 10 images: {parts}",
    ),
    means=message("A score over so few images says little; one image moves it by more than networks differ."),
    advice=message(
        "give the part more images (data.split.ratios), or test every image once (data.split.method: kfold)"
    ),
    before_training=True,
)
IN_NO_PART = Code(
    "in_no_part",
    Severity.INFO,
    Title("{n} image of {total} in no published list", "{n} images of {total} in no published list"),
    means=message("They are left out where the published lists are used."),
    advice=message("nothing has to be done, unless they were forgotten in the lists"),
)
CODES = (GROUPS_SUGGESTED, SMALL_PARTS, IN_NO_PART)


def check(reading: Reading) -> list[Finding]:
    """Returns groups that names suggest, and parts of odd sizes."""
    return [*_suggested_groups(reading), *_small_parts(reading)]


def suggest_group(ids: list[str]) -> tuple[str, Message, Counter[str]] | None:
    """Returns (pattern, what it finds, samples a group) for ids that look as if several belong together, or None."""
    patterns = [(rf"(?i)({word}[_-]?\d+)", what) for words, what in _WORDS for word in words]
    for pattern, what in (*patterns, (_BEFORE_LAST, message("what stands before the last number"))):
        found = [match[1] if (match := re.search(pattern, name)) else None for name in ids]
        groups = Counter(name for name in found if name is not None)
        if None not in found and len(groups) >= 2 and len(ids) >= _PER_GROUP * len(groups):
            return pattern, what, groups
    return None


def is_sure_group(pattern: str) -> bool:
    """Returns whether a suggested pattern looks for a word that means a patient, scan, video or scene."""
    return pattern.startswith(_SURE)


def _suggested_groups(reading: Reading) -> Iterator[Finding]:
    if any(case.group is not None for case in reading.cases) or len(reading.cases) < 4:
        return
    found = suggest_group([case.id for case in reading.cases])
    if found is None:
        return
    pattern, what, groups = found
    parts: dict[str, set[str]] = {}
    for case in reading.cases:
        match = re.search(pattern, case.id)
        if match is not None and case.split is not None:
            parts.setdefault(match[1], set()).add(case.split)
    across = sorted(group for group, splits in parts.items() if len(splits) > 1)
    sizes = listed([f"{group} ({count})" for group, count in groups.most_common()], 6)
    detail = [message("Grouped by {what}: {sizes}.", what=what, sizes=sizes)]
    if across:
        detail.append(
            plural(
                "{n} group lies in more than one part: {names}.",
                "{n} groups lie in more than one part: {names}.",
                n=len(across),
                names=listed(across, 6),
            )
        )
    leak = bool(across) and is_sure_group(pattern)
    yield GROUPS_SUGGESTED.finding(
        count=len(across) if leak else len(groups),
        n=len(reading.cases),
        groups=plural("{n:,} group", "{n:,} groups", n=len(groups)),
        otherwise=leak,
        detail=join(" ", detail),
        advice=message(
            "if images of one group are alike, keep them in one part: data.options.group: '{pattern}'", pattern=pattern
        )
        if reading.has_option("group")
        else None,
    )


def _small_parts(reading: Reading) -> Iterator[Finding]:
    counts = Counter(case.split for case in reading.cases if case.split is not None)
    small = [part for part in SPLITS if part != "train" and 0 < counts[part] < _FEW]
    if small:
        yield SMALL_PARTS.finding(
            count=len(small),
            parts=listed([f"{part} {counts[part]}" for part in small], 2),
            detail=message(
                "Where scores differ by {spread} between images (a standard deviation usual for Dice), the 95 % "
                "intervals of the mean are {intervals}.",
                spread=_USUAL_SPREAD,
                intervals=listed([_interval(part, counts[part]) for part in small], 2),
            ),
        )
    nowhere = [case for case in reading.cases if case.split is None]
    if counts and nowhere:
        yield IN_NO_PART.about(
            reading,
            (case.image for case in nowhere),
            n=len(nowhere),
            total=len(reading.cases),
            detail=listed([case.id for case in nowhere], 12),
        )


def _interval(part: str, images: int) -> Message:
    if images < 2:
        return message("infinitely wide in {part}", part=part)
    half = half_width(images, _USUAL_SPREAD)
    return message("± {half} in {part}", half=f"{half:.2f}", part=part)
