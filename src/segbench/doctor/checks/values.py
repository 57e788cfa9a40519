"""What the masks hold: values that mean nothing, and traces of lossy saving."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from segbench.data.facts.store import MaskFact
from segbench.data.files.hints import (
    LOSSY_DISTANCE,
    describe_value,
    hint_for,
    lossy_tolerance,
    propose_classes,
    tolerance_option,
)
from segbench.data.files.masks import as_color, has_colors, value_classes
from segbench.doctor.code import Code, Title
from segbench.doctor.finding import Finding, Fix, Severity
from segbench.doctor.reading import Reading, percent
from segbench.errors import shorten
from segbench.locale import join, listed, message, plural, quoted
from segbench.types import ClassMap, MaskValue, Task

_LOSSY_KINDS = ("JPEG", "MPO")
FEW = 0.2  # of the masks, up to which a peculiarity is a slip
_FEW_VALUES = 6  # in a mask, up to which each was meant
_FAR, _FAR_JPEG = 0.1, 0.5  # of a mask's pixels, that lossy saving may bring between the values
MOST_LABELS = 64  # values up to here are class numbers rather than grey levels


LOSSY_MASK_VALUES = Code(
    "lossy_mask_values",
    Severity.WARNING,
    Title(
        "{n} pixel near a class's value, not the value itself, in {masks}",
        "{n} pixels near a class's value, not the value itself, in {masks}",
    ),
    means=message("Saving as JPEG, smoothing and resizing leave values beside those that were drawn."),
    advice=message("save the masks as PNG without smoothing"),
)
UNKNOWN_VALUES = Code(
    "unknown_values",
    Severity.ERROR,
    Title("{n} mask holds values outside the class map", "{n} masks hold values outside the class map"),
    means=message("Nobody said what these values mean, so a training would stop."),
    advice=message("add the values to `classes`, or to `ignore`"),
    before_training=True,
)
LOSSY_MASK_FILES = Code(
    "lossy_mask_files",
    Severity.WARNING,
    Title("{n} mask stored as JPEG, which changes values", "{n} masks stored as JPEG, which changes values"),
    means=message(
        "JPEG blurs borders and invents values between classes; what the labels were cannot be known exactly."
    ),
    advice=message("save masks as PNG from the program they were made with"),
)
NO_CLASS_MAP = Code(
    "no_class_map",
    Severity.ERROR,
    Title("what the masks' value means has to be said", "what the masks' {n} values mean has to be said"),
    means=message("The values alone do not tell which classes there are."),
    advice=message("name the values under data.options.classes"),
)
CODES = (
    LOSSY_MASK_VALUES,
    UNKNOWN_VALUES,
    LOSSY_MASK_FILES,
    NO_CLASS_MAP,
)


@dataclass
class _Foreign:
    """Values outside the class map: where, and how many pixels."""

    pixels: int = 0
    counts: Counter[MaskValue] = field(default_factory=Counter)
    files: dict[Path, dict[MaskValue, int]] = field(default_factory=dict)

    def add(self, path: Path, values: Mapping[MaskValue, int]) -> None:
        self.files[path] = dict(values)
        self.pixels += sum(values.values())
        self.counts.update(values)

    def text(self, limit: int = 8) -> str:
        return listed(
            [
                plural("{value} on {n} pixel", "{value} on {n} pixels", value=describe_value(value), n=pixels)
                for value, pixels in self.counts.most_common()
            ],
            limit,
        )


def check(reading: Reading) -> list[Finding]:
    """Returns what is strange about the values that the mask files hold."""
    findings = list(_foreign_values(reading))
    lossy = [path for path, _, fact in mask_files(reading) if fact.kind in _LOSSY_KINDS]
    if lossy:
        findings.append(LOSSY_MASK_FILES.about(reading, lossy, pictures=reading.portraits(lossy, "values")))
    return findings


def mask_files(reading: Reading) -> Iterator[tuple[Path, int | None, MaskFact]]:
    """Yields (file, class index of a multilabel file or None, facts) of each readable mask file, once."""
    seen: set[Path] = set()
    multilabel = reading.class_map is not None and reading.class_map.task is Task.MULTILABEL
    for case in reading.cases:
        for place, path in enumerate(case.masks):
            if path is not None and path not in seen and path in reading.masks:
                seen.add(path)
                yield path, place if multilabel else None, reading.masks[path]


def _foreign_values(reading: Reading) -> Iterator[Finding]:
    """Finds values the class map does not know; those that `tolerance` moves are traces of lossy saving."""
    class_map = reading.class_map
    if class_map is None:
        return
    unknown, moved = _Foreign(), _Foreign()
    labels = _labels(reading, class_map)
    found: Counter[MaskValue] = Counter()
    for path, index, fact in mask_files(reading):
        known = value_classes(class_map, index)
        counts = fact.counts
        if has_colors(class_map):
            counts = {as_color(value): pixels for value, pixels in fact.in_colors().items()}
        found.update(counts)
        foreign = {value: pixels for value, pixels in counts.items() if value not in known}
        if foreign or fact.distinct > len(fact.counts):
            near = all(_near(value, known, reading.tolerance) for value in foreign)
            lossy = near and foreign and fact.distinct == len(fact.counts) and _is_lossy(fact, known, labels)
            (moved if lossy else unknown).add(path, foreign)
    known = value_classes(class_map, 0 if class_map.task is Task.MULTILABEL else None)
    if moved.files:
        yield _lossy(reading, moved, known, labels)
    if unknown.files:
        yield _unknown(reading, unknown, found, known, labels)


def _labels(reading: Reading, class_map: ClassMap) -> set[MaskValue]:
    """Returns foreign values that somebody drew: far from known ones, in lossless masks of few values."""
    drawn: set[MaskValue] = set()
    for _, index, fact in mask_files(reading):
        known = value_classes(class_map, index)
        if fact.kind not in _LOSSY_KINDS and fact.distinct <= _FEW_VALUES:
            drawn |= {value for value in fact.counts if value not in known and not _near(value, known, LOSSY_DISTANCE)}
    return drawn


def _is_lossy(fact: MaskFact, known: Mapping[MaskValue, int], labels: set[MaskValue]) -> bool:
    """Returns whether a mask holds known values but for what lossy saving and smoothing do to borders."""
    jpeg = fact.kind in _LOSSY_KINDS
    if not jpeg and labels & fact.counts.keys() and fact.distinct <= _FEW_VALUES:
        return False
    far = sum(pixels for value, pixels in fact.counts.items() if not _near(value, known, LOSSY_DISTANCE))
    return far <= (_FAR_JPEG if jpeg else _FAR) * fact.height * fact.width


def _near(value: MaskValue, known: Mapping[MaskValue, int], tolerance: int) -> bool:
    return isinstance(value, int) and any(abs(value - other) <= tolerance for other in _numbers(known))


def _lossy(reading: Reading, moved: _Foreign, known: Mapping[MaskValue, int], labels: set[MaskValue]) -> Finding:
    anchors = sorted(_numbers(known))
    total = sum(reading.masks[path].height * reading.masks[path].width for path in moved.files)
    kinds = {reading.masks[path].kind for path in moved.files}
    jpeg = kinds <= set(_LOSSY_KINDS)
    return LOSSY_MASK_VALUES.about(
        reading,
        moved.files,
        n=moved.pixels,
        masks=plural("{n:,} mask", "{n:,} masks", n=len(moved.files)),
        detail=message(
            "{share} of the pixels of these masks, {n} values: {values}. Likely cause: {cause}. Each is taken as the "
            "nearest of {known}.",
            share=percent(moved.pixels / total),
            n=len(moved.counts),
            values=moved.text(),
            cause=message("the masks were saved as JPEG") if jpeg else message("the masks were smoothed or resized"),
            known=listed([str(value) for value in anchors]),
        ),
        advice=message(
            "first name {values}, which other masks hold, in `classes`; then save these masks as PNG from the program "
            "they were made with",
            values=listed([describe_value(value) for value in sorted(labels, key=str)], 6),
        )
        if labels
        else message(
            "keep {option}, or save the masks as PNG without smoothing",
            option=tolerance_option(reading.tolerance),
        ),
        pictures=reading.portraits(moved.files, "values"),
        fixes=tuple(
            Fix(
                action="snap_values",
                file=reading.name(path),
                arguments={"values": anchors},
                reason=f"{sum(values.values())} pixels beside {shorten(anchors)}",
            )
            for path, values in moved.files.items()
            if not labels
        ),
    )


def _unknown(
    reading: Reading,
    unknown: _Foreign,
    found: Mapping[MaskValue, int],
    known: Mapping[MaskValue, int],
    labels: set[MaskValue],
) -> Finding:
    class_map = reading.known_map
    anchors = sorted(_numbers(known))
    tolerance = lossy_tolerance(_numbers(unknown.counts), anchors if len(anchors) > 1 else (0, 255))
    lossy = tolerance is not None and len(unknown.counts) > 1 and not has_colors(class_map) and not labels
    alien = _alien(reading, unknown)
    detail = [
        message(
            "{pixels}: {values}. The class map knows {known}.",
            pixels=plural("{n} pixel", "{n} pixels", n=unknown.pixels),
            values=unknown.text(),
            known=listed([describe_value(value) for value in known]),
        )
    ]
    if alien:
        detail.append(message("Probably no masks but pictures: {names}.", names=listed(alien, 4)))
    return UNKNOWN_VALUES.about(
        reading,
        unknown.files,
        detail=join(" ", detail),
        advice=_unknown_advice(reading, unknown, found, known),
        pictures=reading.portraits(unknown.files, "values"),
        fixes=reading.fixes(
            "snap_values", unknown.files if lossy else (), "values as after lossy saving", values=anchors
        ),
    )


def _alien(reading: Reading, unknown: _Foreign) -> tuple[str, ...]:
    """Returns which files are no masks at all: nearly all of their pixels mean nothing, in many values."""
    return reading.names(
        path
        for path, values in unknown.files.items()
        if (fact := reading.masks[path]).distinct > MOST_LABELS
        and 2 * (sum(values.values()) or fact.height * fact.width) > fact.height * fact.width
    )


def _unknown_advice(
    reading: Reading, unknown: _Foreign, found: Mapping[MaskValue, int], known: Mapping[MaskValue, int]
) -> str:
    class_map = reading.known_map
    one_too_high = {value + 1 for value in _numbers(known)}
    files = [{*reading.masks[path].counts} for path in unknown.files]
    some = len(files) < len(reading.used_masks)
    if some and {*known} >= {0, 1} and all(0 not in values and values <= one_too_high for values in files):
        return plural(
            "in this mask every value is one too high (0 is missing, {most} comes in): lower it by 1",
            "in these masks alone every value is one too high (0 is missing, {most} comes in): lower it by 1",
            n=len(files),
            most=max(max(values, default=0) for values in map(_numbers, files)),
        )
    if _alien(reading, unknown):
        return message("check whether a wrong file lies among the masks; save masks as PNG without smoothing")
    distinct = max(reading.masks[path].distinct for path in unknown.files)
    if distinct > MOST_LABELS and len(known) > 2 and not has_colors(class_map):
        return message(
            "so many values in one mask come from smoothing: draw or resize the masks again with nearest neighbour; "
            "what lies between two classes may mean a third, so that nothing can be mended here"
        )
    return hint_for(found, known, class_map.task)


def _numbers(values: Iterable[MaskValue]) -> list[int]:
    return [value for value in values if isinstance(value, int)]


def no_class_map(reading: Reading, reason: str, proposal: str = "") -> Finding:
    """Returns the finding that the masks' values make no class map."""
    values: Counter[MaskValue] = Counter()
    for fact in reading.masks.values():
        values.update(fact.counts)
    paths = [path for case in reading.cases for path in case.mask_files]
    odd = [path for path, fact in reading.masks.items() if fact.distinct > _FEW_VALUES * _FEW_VALUES]
    if odd and len(odd) <= FEW * len(reading.masks):
        names = listed(reading.names(odd), 4)
        reason = message(
            "{reason}. Most of these values are in {masks} alone: {names}",
            reason=quoted(reason),
            masks=plural("{n:,} mask", "{n:,} masks", n=len(odd)),
            names=names,
        )
        proposal = message(
            "look at {names} first: a picture among the masks, or saved with losses; then say what is left", names=names
        )
    if not proposal and "the option " in reason:  # a second proposal would have other names for the same values
        proposal = message("answer it with one of the options that it names")
    return NO_CLASS_MAP.about(
        reading,
        paths,
        count=len(values),
        detail=quoted(reason),
        advice=proposal or propose_classes([value for value, _ in values.most_common()]),
        pictures=reading.portraits(paths, "values"),
    )
