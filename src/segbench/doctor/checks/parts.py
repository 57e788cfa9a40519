"""What belongs together by its name, and published lists that name something twice."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from segbench.data.formats.shared.layout import SPLIT_WORDS
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
_LIST_NAME = re.compile(r"split|^(train|val|valid|test|trainval)", re.IGNORECASE)
_LIST_SUFFIXES = frozenset({".yaml", ".yml", ".json", ".txt"})
_PER_GROUP = 1.5  # samples, from which on it is worth a word
_FEW = 10  # images in a part that is scored
_USUAL_SPREAD = 0.15  # standard deviation of Dice between images; what is assumed before anything is trained
_LARGEST_LIST = 32 << 20  # bytes
_JOINED = frozenset({"trainval", "all"})  # lists that repeat others on purpose


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
OVERLAPPING_LISTS = Code(
    "overlapping_lists",
    Severity.ERROR,
    Title("names in more than one published list: {n}"),
    means=message("What was trained on is scored again, so the score is too good."),
    advice=message("leave them out of one list, or say so beside the scores"),
)
CODES = (GROUPS_SUGGESTED, SMALL_PARTS, IN_NO_PART, OVERLAPPING_LISTS)


def check(reading: Reading) -> list[Finding]:
    """Returns groups that names suggest, parts of odd sizes, and lists that overlap."""
    return [*_suggested_groups(reading), *_small_parts(reading), *_overlapping_lists(reading)]


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
                "Where scores differ by {spread} between images (a standard deviation usual for Dice), the 95 % intervals "
                "of the mean are {intervals}.",
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


def _overlapping_lists(reading: Reading) -> Iterator[Finding]:
    """Reads files that look like lists of parts, each alone and those of one folder together."""
    beside: dict[Path, dict[str, set[str]]] = {}
    overlaps: list[tuple[list[Path], str, str, list[str]]] = []
    for path in reading.files:
        if path.suffix.lower() not in _LIST_SUFFIXES or not _LIST_NAME.search(path.stem):
            continue
        lists = _lists_in(path)
        overlaps += [([path], *found) for found in _overlaps(lists)]
        if path.suffix.lower() == ".txt" and set(lists) == {path.stem}:
            beside.setdefault(path.parent, {})[path.stem] = lists[path.stem]
    for folder, lists in beside.items():
        for one, other, names in _overlaps(lists):
            overlaps.append(([folder / f"{one}.txt", folder / f"{other}.txt"], one, other, names))
    for paths, one, other, names in overlaps:
        yield OVERLAPPING_LISTS.about(
            reading,
            paths,
            count=len(names),
            detail=message(
                "Both in {one!r} and in {other!r}: {names}. Found in {files}.",
                one=one,
                other=other,
                names=listed(names, 6),
                files=", ".join(reading.names(paths)),
            ),
            advice=message("leave them out of {part!r} when training, or say so beside the scores", part=one),
        )


def _overlaps(lists: Mapping[str, set[str]]) -> Iterator[tuple[str, str, list[str]]]:
    names = [name for name in sorted(lists) if name.lower() not in _JOINED]
    names.sort(key=lambda name: name.lower() not in ("train", "training"))
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            both = lists[one] & lists[other]
            if both and SPLIT_WORDS.get(one.lower(), one) != SPLIT_WORDS.get(other.lower(), other):
                yield one, other, sorted(both)


def _lists_in(path: Path) -> dict[str, set[str]]:
    """Returns part -> names that a file lists; nothing where it is no such file."""
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST_LIST:
            return {}
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return {}
    if path.suffix.lower() == ".txt":
        lines = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
        return {path.stem: {line[0] for line in lines}} if path.stem.lower() in {*SPLIT_WORDS, *_JOINED} else {}
    return _named_lists(_parsed(path, text))


def _parsed(path: Path, text: str) -> Any:
    if path.suffix.lower() == ".json":
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return None  # damaged JSON is the reader's matter, if it is read at all
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError, RecursionError):
        return None


def _named_lists(plain: Any) -> dict[str, set[str]]:
    if not isinstance(plain, dict):
        return {}
    return {
        str(key): {str(item) for item in value}
        for key, value in plain.items()
        if str(key).lower() in SPLIT_WORDS
        and isinstance(value, list)
        and all(isinstance(item, str | int) for item in value)
    }
