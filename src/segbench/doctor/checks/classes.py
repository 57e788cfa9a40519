"""Classes that never or hardly occur, and masks that hold nothing, everything, or the same as others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from segbench.doctor.finding import Finding, Picture, Severity
from segbench.doctor.reading import PICTURES, Case, Reading, about, number, percent
from segbench.errors import shorten
from segbench.types import SPLITS, Task

_RARE_SHARE = 1e-3  # of the pixels
_RARE_IMAGES, _ENOUGH_IMAGES = 3, 10  # fewer than 3, of 10 and more
_REPEATED, _FEW_COPIES = 0.2, 8  # of the masks, from which on equal ones are no slips
_SLIPS = 0.05  # of the masks


def check_classes(reading: Reading) -> list[Finding]:
    """Returns which classes and masks have too little, too much or suspiciously equal content."""
    if reading.class_map is None or not reading.decoded.any():
        return list(_identical(reading))
    return [*_rare(reading), *_missing_in_part(reading), *_constant(reading), *_identical(reading)]


def _rare(reading: Reading) -> Iterator[Finding]:
    class_map = reading.class_map
    assert class_map is not None, "the caller has looked"
    counts = reading.counts[reading.decoded][:, :-1]
    pixels, images = counts.sum(axis=0), (counts > 0).sum(axis=0)
    total = max(1, int(reading.counts[reading.decoded].sum()))
    if class_map.task is Task.MULTILABEL:
        total = sum(fact.height * fact.width for fact in reading.images.values()) or 1
    never = [place for place in class_map.scored_classes if not pixels[place]]
    if never:
        names = [class_map.names[place] for place in never]
        yield Finding(
            code="missing_classes",
            severity=Severity.ERROR if len(never) == len(class_map.scored_classes) else Severity.WARNING,
            title=f"{number(len(never), 'class never occurs', 'classes never occur')} in any mask, of "
            f"{class_map.num_classes}: {shorten(names, 12)}",
            count=len(never),
            detail="What no mask shows cannot be learned, and its score is undefined. Either the values are wrong, or "
            "the list of classes is longer than this data set.",
            advice="check the values in `classes`, or leave these classes out",
        )
    least = _RARE_IMAGES if len(counts) >= _ENOUGH_IMAGES else 1
    few = [
        place
        for place in class_map.scored_classes
        if pixels[place] and (pixels[place] < _RARE_SHARE * total or images[place] < least)
    ]
    if few:
        cases = _with_class(reading, few)
        told = (
            f"{class_map.names[place]} on {percent(pixels[place] / total)} of the pixels, in "
            f"{number(int(images[place]), 'image')}"
            for place in few
        )
        yield about(
            reading,
            "rare_classes",
            Severity.WARNING if len(few) <= len(class_map.scored_classes) // 2 + 1 else Severity.INFO,
            f"{number(len(few), 'class hardly occurs', 'classes hardly occur')}: "
            f"{shorten((class_map.names[place] for place in few), 12)}",
            (reading.label_file(case) for case in cases),
            count=len(few),
            detail=f"{shorten(told, 12)}.",
            advice="label more of them, merge them with a class they resemble, or weigh them more in the loss",
            pictures=reading.overlays(cases),
        )


def _with_class(reading: Reading, places: list[int]) -> list[Case]:
    rows = np.flatnonzero(reading.decoded & (reading.counts[:, places] > 0).any(axis=1))
    return [reading.cases[row] for row in rows]


def _missing_in_part(reading: Reading) -> Iterator[Finding]:
    class_map = reading.class_map
    assert class_map is not None, "the caller has looked"
    parts = np.array([case.split or "" for case in reading.cases])
    present = {
        part: (reading.counts[(parts == part) & reading.decoded][:, :-1] > 0).any(axis=0)
        for part in SPLITS
        if (parts == part).any()
    }
    if len(present) < 2:
        return
    anywhere = np.any(list(present.values()), axis=0)
    images = (reading.counts[reading.decoded][:, :-1] > 0).sum(axis=0)
    for part, there in present.items():
        gone = [class_map.names[place] for place in class_map.scored_classes if anywhere[place] and not there[place]]
        if not gone:
            continue
        train = part == "train"
        enough = [name for name in gone if images[class_map.names.index(name)] >= len(present)]
        cases = _with_class(reading, [class_map.names.index(name) for name in gone])
        yield about(
            reading,
            f"class_missing_in_{part}",
            Severity.ERROR if train and enough else Severity.WARNING,
            f"the {part} part has no {shorten(gone, 8)}, which other parts have",
            (reading.label_file(case) for case in cases),
            count=len(gone),
            detail="It cannot be learned from this part." if train else "Its score in this part is undefined.",
            advice=_division_advice(enough, [name for name in gone if name not in enough], len(present)),
            pictures=reading.overlays(cases),
        )


def _division_advice(enough: Sequence[str], few: Sequence[str], parts: int) -> str:
    """Returns what helps classes that are missing in a part, by whether they are in enough images to be divided."""
    advice = []
    if enough:
        advice.append("divide anew, stratified: data.split.method: ratios")
    if few:
        advice.append(
            f"no division helps {shorten(few, 8)}, in fewer images than the {parts} parts: label more of them, merge "
            "them with a class they resemble, or leave them out of `classes`"
        )
    return "; ".join(advice)


def _constant(reading: Reading) -> Iterator[Finding]:
    """Finds masks without any object, with nothing but one, and with nothing that counts."""
    class_map = reading.class_map
    assert class_map is not None, "the caller has looked"
    counts = np.where(reading.decoded[:, None], reading.counts, 0)
    counted = counts[:, :-1].sum(axis=1)
    multilabel = class_map.task is Task.MULTILABEL
    background = counts[:, class_map.background] if class_map.background is not None and not multilabel else None
    kinds: list[tuple[str, Severity, str, np.ndarray, str]] = []
    if multilabel:
        empty = reading.decoded & (counted == 0)
    elif background is not None:
        empty = reading.decoded & (counted > 0) & (background == counted)
    else:
        empty = np.zeros(len(counts), dtype=bool)
    usual = max(1, _SLIPS * len(counts)) < empty.sum() < 0.5 * len(counts)  # else it is a slip, or most are empty
    severity = Severity.INFO if usual else Severity.WARNING
    kinds.append(
        ("empty_masks", severity, "with nothing but background", empty, "check that nothing was forgotten in them")
    )
    if not multilabel:
        full = reading.decoded & (counted > 0) & (counts[:, :-1].max(axis=1) == counted) & ~empty
        kinds.append(("full_masks", Severity.WARNING, "with one class everywhere", full, "check the masks"))
        nothing = reading.decoded & (counted == 0)
        kinds.append(
            ("ignored_masks", Severity.WARNING, "without a pixel that counts", nothing, "check them, or leave them out")
        )
    for code, kind, what, which, advice in kinds:
        cases = [reading.cases[row] for row in np.flatnonzero(which)]
        if cases:
            yield about(
                reading,
                code,
                kind,
                f"{number(len(cases), 'mask')} of {len(reading.cases)} {what}",
                (path for case in cases for path in (case.mask_files or (case.image,))),
                count=len(cases),
                detail=shorten((case.id for case in cases), 12),
                advice=advice,
                pictures=reading.overlays(cases),
            )


def _identical(reading: Reading) -> Iterator[Finding]:
    """Finds mask files that are equal byte by byte although their images differ and they show something."""
    groups: dict[str, list[Case]] = defaultdict(list)
    for case in reading.cases:
        fact = reading.masks.get(case.mask_files[0]) if len(case.mask_files) == 1 else None
        if fact is not None and len(fact.counts) > 1:
            groups[fact.sha256].append(case)
    several = [group for group in groups.values() if len(_image_hashes(reading, group)) > 1]
    if not several:
        return
    cases = [case for group in several for case in group]
    usual = len(cases) > max(_FEW_COPIES, _REPEATED * sum(map(len, groups.values())))
    yield about(
        reading,
        "identical_masks",
        Severity.INFO if usual else Severity.WARNING,
        f"{number(len(cases), 'mask')} are byte for byte equal to another, although the images differ",
        (case.mask_files[0] for case in cases),
        detail=shorten((" = ".join(case.id for case in group[:4]) for group in several), 6),
        advice="shapes seem to repeat in this data set; if they should not, check these masks"
        if usual
        else "a mask was copied, saved under a wrong name, or stayed when the image was exchanged: check them",
        pictures=tuple(
            Picture(
                kind="pair",
                files=(reading.name(group[0].image), reading.name(group[1].image)),
                caption=f"{group[0].id} and {group[1].id} have the same mask",
            )
            for group in several[:PICTURES]
        ),
    )


def _image_hashes(reading: Reading, cases: list[Case]) -> set[str]:
    return {reading.images[case.image].sha256 for case in cases if case.image in reading.images}
