"""Classes that never or hardly occur, and masks that hold nothing, everything, or the same as others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from segbench.doctor.code import Code, Title
from segbench.doctor.finding import Finding, Severity
from segbench.doctor.reading import Case, Reading, percent
from segbench.locale import Message, join, listed, message, plural
from segbench.types import SPLITS, Task

_RARE_SHARE = 1e-3  # of the pixels
_RARE_IMAGES, _ENOUGH_IMAGES = 3, 10  # fewer than 3, of 10 and more
_REPEATED, _FEW_COPIES = 0.2, 8  # of the masks, from which on equal ones are no slips
_SLIPS = 0.05  # of the masks

MISSING_CLASSES = Code(
    "missing_classes",
    Severity.WARNING,
    Title(
        "{n} class never occurs in any mask, of {classes}: {names}",
        "{n} classes never occur in any mask, of {classes}: {names}",
    ),
    means=message(
        "What no mask shows cannot be learned, and its score is undefined. Either the values are wrong, or the list of "
        "classes is longer than this data set."
    ),
    advice=message("check the values in `classes`, or leave these classes out"),
    otherwise=Severity.ERROR,
    when=message("where no class occurs that is scored"),
    before_training=True,
)
RARE_CLASSES = Code(
    "rare_classes",
    Severity.WARNING,
    Title("{n} class hardly occurs: {names}", "{n} classes hardly occur: {names}"),
    means=message("Few pixels or few images of a class teach a network little, and its score rests on them alone."),
    advice=message("label more of them, merge them with a class they resemble, or weigh them more in the loss"),
    otherwise=Severity.INFO,
    when=message("where most classes are rare"),
)
_DIVIDE = message("divide anew, stratified: data.split.method: ratios")
MISSING_IN_TRAIN = Code(
    "class_missing_in_train",
    Severity.WARNING,
    Title("the train part has no {names}, which other parts have"),
    means=message("It cannot be learned from this part."),
    advice=_DIVIDE,
    otherwise=Severity.ERROR,
    when=message("where the class is in enough images for every part"),
    before_training=True,
)
MISSING_IN_VAL = Code(
    "class_missing_in_val",
    Severity.WARNING,
    Title("the val part has no {names}, which other parts have"),
    means=message("Its score in this part is undefined."),
    advice=_DIVIDE,
    before_training=True,
)
MISSING_IN_TEST = Code(
    "class_missing_in_test",
    Severity.WARNING,
    Title("the test part has no {names}, which other parts have"),
    means=message("Its score in this part is undefined."),
    advice=_DIVIDE,
    before_training=True,
)
_MISSING_IN = {"train": MISSING_IN_TRAIN, "val": MISSING_IN_VAL, "test": MISSING_IN_TEST}
EMPTY_MASKS = Code(
    "empty_masks",
    Severity.WARNING,
    Title("{n} mask of {total} with nothing but background", "{n} masks of {total} with nothing but background"),
    means=message("Either there is nothing in these images, or it was not labelled."),
    advice=message("check that nothing was forgotten in them"),
    otherwise=Severity.INFO,
    when=message("where many masks are empty, so that it is hardly a slip"),
)
FULL_MASKS = Code(
    "full_masks",
    Severity.WARNING,
    Title("{n} mask of {total} with one class everywhere", "{n} masks of {total} with one class everywhere"),
    means=message("A mask without a border between classes is often filled by mistake."),
    advice=message("check the masks"),
    before_training=True,
)
IGNORED_MASKS = Code(
    "ignored_masks",
    Severity.WARNING,
    Title("{n} mask of {total} without a pixel that counts", "{n} masks of {total} without a pixel that counts"),
    means=message("Every pixel is ignored, so these images teach nothing and are not scored."),
    advice=message("check them, or leave them out"),
)
IDENTICAL_MASKS = Code(
    "identical_masks",
    Severity.WARNING,
    Title(
        "{n} mask is byte for byte equal to another, although the images differ",
        "{n} masks are byte for byte equal to another, although the images differ",
    ),
    means=message("A mask was copied, saved under a wrong name, or stayed when the image was exchanged."),
    advice=message("check these masks"),
    otherwise=Severity.INFO,
    when=message("where many masks are equal, because shapes repeat in the data set"),
)
CODES = (
    MISSING_CLASSES,
    RARE_CLASSES,
    *_MISSING_IN.values(),
    EMPTY_MASKS,
    FULL_MASKS,
    IGNORED_MASKS,
    IDENTICAL_MASKS,
)


def check(reading: Reading) -> list[Finding]:
    """Returns which classes and masks have too little, too much or suspiciously equal content."""
    if reading.class_map is None or not reading.decoded.any():
        return list(_identical(reading))
    return [*_rare(reading), *_missing_in_part(reading), *_constant(reading), *_identical(reading)]


def _rare(reading: Reading) -> Iterator[Finding]:
    class_map = reading.known_map
    counts = reading.counts[reading.decoded][:, :-1]
    pixels, images = counts.sum(axis=0), (counts > 0).sum(axis=0)
    total = max(1, int(reading.counts[reading.decoded].sum()))
    if class_map.task is Task.MULTILABEL:
        total = sum(fact.height * fact.width for fact in reading.images.values()) or 1
    never = [index for index in class_map.scored_classes if not pixels[index]]
    if never:
        yield MISSING_CLASSES.finding(
            count=len(never),
            classes=class_map.num_classes,
            names=listed([class_map.names[index] for index in never], 12),
            otherwise=len(never) == len(class_map.scored_classes),
        )
    least = _RARE_IMAGES if len(counts) >= _ENOUGH_IMAGES else 1
    few = [
        index
        for index in class_map.scored_classes
        if pixels[index] and (pixels[index] < _RARE_SHARE * total or images[index] < least)
    ]
    if few:
        shares = [
            plural(
                "{name} on {share} of the pixels, in {n} image",
                "{name} on {share} of the pixels, in {n} images",
                name=class_map.names[index],
                share=percent(pixels[index] / total),
                n=int(images[index]),
            )
            for index in few
        ]
        yield RARE_CLASSES.about_cases(
            reading,
            _with_class(reading, few),
            count=len(few),
            names=listed([class_map.names[index] for index in few], 12),
            otherwise=len(few) > len(class_map.scored_classes) // 2 + 1,
            detail=join("", [listed(shares, 12), "."]),
        )


def _with_class(reading: Reading, places: list[int]) -> list[Case]:
    rows = np.flatnonzero(reading.decoded & (reading.counts[:, places] > 0).any(axis=1))
    return [reading.cases[row] for row in rows]


def _missing_in_part(reading: Reading) -> Iterator[Finding]:
    class_map = reading.known_map
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
        enough = [name for name in gone if images[class_map.names.index(name)] >= len(present)]
        few = [name for name in gone if name not in enough]
        yield _MISSING_IN[part].about_cases(
            reading,
            _with_class(reading, [class_map.names.index(name) for name in gone]),
            count=len(gone),
            names=listed(gone, 8),
            otherwise=part == "train" and bool(enough),
            advice=_division_advice(bool(enough), few, len(present)),
        )


def _division_advice(divide: bool, few: Sequence[str], parts: int) -> Message:
    """Returns what helps classes that are missing in a part; `few` are in too few images to be divided."""
    advice = [_DIVIDE] if divide else []
    if few:
        advice.append(
            message(
                "no division helps {names}, in fewer images than the {parts} parts: label more of them, merge them "
                "with a class they resemble, or leave them out of `classes`",
                names=listed(few, 8),
                parts=parts,
            )
        )
    return join("; ", advice)


def _constant(reading: Reading) -> Iterator[Finding]:
    """Finds masks without any object, with nothing but one, and with nothing that counts."""
    class_map = reading.known_map
    counts = np.where(reading.decoded[:, None], reading.counts, 0)
    counted = counts[:, :-1].sum(axis=1)
    multilabel = class_map.task is Task.MULTILABEL
    background = counts[:, class_map.background] if class_map.background is not None and not multilabel else None
    if multilabel:
        empty = reading.decoded & (counted == 0)
    elif background is not None:
        empty = reading.decoded & (counted > 0) & (background == counted)
    else:
        empty = np.zeros(len(counts), dtype=bool)
    usual = max(1, _SLIPS * len(counts)) < empty.sum() < 0.5 * len(counts)  # else it is a slip, or most are empty
    kinds = [(EMPTY_MASKS, empty)]
    if not multilabel:
        full = reading.decoded & (counted > 0) & (counts[:, :-1].max(axis=1) == counted) & ~empty
        kinds += [(FULL_MASKS, full), (IGNORED_MASKS, reading.decoded & (counted == 0))]
    for code, which in kinds:
        cases = [reading.cases[row] for row in np.flatnonzero(which)]
        if cases:
            yield code.about(
                reading,
                (path for case in cases for path in (case.mask_files or (case.image,))),
                count=len(cases),
                total=len(reading.cases),
                otherwise=code is EMPTY_MASKS and (bool(usual) or reading.has_option("empty_slices")),
                detail=listed([case.id for case in cases], 12),
                pictures=reading.overlays(cases),
            )


def _identical(reading: Reading) -> Iterator[Finding]:
    """Finds mask files that are equal byte by byte although their images differ and they show something."""
    groups: dict[str, list[Case]] = defaultdict(list)
    for case in reading.cases:
        fact = reading.masks.get(case.mask_files[0]) if len(case.mask_files) == 1 else None
        if fact is not None and len(fact.counts) > 1:
            groups[fact.sha256].append(case)
    hashes = {path: fact.sha256 for path, fact in reading.images.items()}
    several = [group for group in groups.values() if len({hashes.get(case.image) for case in group} - {None}) > 1]
    if not several:
        return
    cases = [case for group in several for case in group]
    usual = len(cases) > max(_FEW_COPIES, _REPEATED * sum(map(len, groups.values())))
    yield IDENTICAL_MASKS.about(
        reading,
        (case.mask_files[0] for case in cases),
        n=len(cases),
        otherwise=usual,
        detail=listed([" = ".join(case.id for case in group[:4]) for group in several], 6),
        advice=message("if shapes should not repeat in this data set, check these masks") if usual else None,
        pictures=reading.pairs(
            (one.image, other.image, message("{one} and {other} have the same mask", one=one.id, other=other.id))
            for one, other, *_ in several
        ),
    )
