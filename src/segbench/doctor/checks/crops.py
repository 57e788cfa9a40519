"""Images to be scored that show a part of a training image: cut out, enlarged, or a tile that overlaps."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from segbench.doctor.code import Code, Title
from segbench.doctor.crops import DETAIL_PX, F32, find_overlaps
from segbench.doctor.finding import Finding, Severity
from segbench.doctor.reading import Case, Reading, percent
from segbench.doctor.sampled import each, grey_of, sample
from segbench.locale import join, listed, message

_SCORED, _TRAINED = 40, 150  # images that are compared, which bounds the time to some five seconds on one core
_WHOLE = 0.9  # of both images is common: near copies, which are told elsewhere

CROPS_ACROSS = Code(
    "crops_across_parts",
    Severity.WARNING,
    Title(
        "{n} image to be scored shows a part of a training image",
        "{n} images to be scored show a part of a training image",
    ),
    means=message(
        "Crops and overlapping tiles of one picture are known from training, so the score is too good. Looked for at "
        "0.4 to 2.2 times the scale, upright, where at least about half of one image is common."
    ),
    advice=message(
        "keep what was cut from one picture in one part: data.split.group, or data.split.group_file where names do not "
        "tell it"
    ),
)
CODES = (CROPS_ACROSS,)


def check(reading: Reading) -> list[Finding]:
    """Returns images of val and test that have a part in common with images of train, in a sample of each."""
    known = {case.image: case for case in reading.cases if case.image in reading.images}
    scored = [case for case in known.values() if case.split in ("val", "test")]
    trained = [case for case in known.values() if case.split == "train"]
    if not scored or not trained:
        return []
    chosen = sample(scored, _SCORED), sample(trained, _TRAINED)
    facts = [reading.images[case.image] for cases in chosen for case in cases]
    sides = [max(fact.height, fact.width) for fact in facts]
    work = partial(_grey, reading, factor=min(1.0, DETAIL_PX / float(np.median(sides))))
    ones, others = (list(each(cases, work)) for cases in chosen)
    found = [
        overlap
        for overlap in find_overlaps([grey for _, grey in ones], [grey for _, grey in others])
        if min(overlap.share, overlap.other_share) < _WHOLE
    ]
    pairs = [(ones[overlap.one][0], others[overlap.other][0], overlap.share) for overlap in found]
    return [_finding(reading, pairs, (len(ones), len(scored)), (len(others), len(trained)))] if pairs else []


def _grey(reading: Reading, case: Case, *, factor: float) -> F32:
    fact = reading.images[case.image]
    size = max(1, round(fact.height * factor)), max(1, round(fact.width * factor))
    return grey_of(reading, case, size).astype(np.float32)


def _finding(
    reading: Reading, pairs: Sequence[tuple[Case, Case, float]], ones: tuple[int, int], others: tuple[int, int]
) -> Finding:
    return CROPS_ACROSS.about(
        reading,
        (case.image for one, other, _ in pairs for case in (one, other)),
        count=len(pairs),
        detail=join(
            " ",
            [
                message(
                    "{pairs}.",
                    pairs=listed(
                        [
                            message("{share} of {one} in {other}", share=percent(share), one=one.id, other=other.id)
                            for one, other, share in pairs
                        ],
                        6,
                    ),
                ),
                message(
                    "Compared: {one} of {all_ones} images to be scored, with {other} of {all_others} training images.",
                    one=ones[0],
                    all_ones=ones[1],
                    other=others[0],
                    all_others=others[1],
                ),
            ],
        ),
        pictures=reading.pairs(
            (one.image, other.image, message("{one} and {other}", one=one.id, other=other.id))
            for one, other, _ in pairs
        ),
    )
