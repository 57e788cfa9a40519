"""Masks that do not lie on what the images show: shifted, mirrored or turned as a whole, told by the images' edges."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from segbench.doctor.alignment import F32, LEAST_IMAGES, Verdict, edge_scores, judge, shrink_factor, standing_out
from segbench.doctor.checks.meaning import is_trimap
from segbench.doctor.code import Code, Title
from segbench.doctor.finding import Finding, Severity
from segbench.doctor.reading import Case, Reading
from segbench.doctor.sampled import each, grey_of, labels_of, readable, sample
from segbench.locale import Message, join, listed, message, plural

_LOOKED_AT = 48  # images, which bounds the time: 0.02 to 0.06 seconds each
_ENOUGH_TO_WONDER = 20  # images, from which on it is worth a word that nothing can be told
_FAR = 0.02  # of the longest side: a smaller shift blurs the borders, a larger one misses the objects
_BORDER_VALUE = 3  # of trimaps

_TURNS = {
    "left_right": message("mirrored left to right"),
    "top_bottom": message("mirrored top to bottom"),
    "half_turn": message("turned by 180 degrees"),
    "quarter_left": message("turned by 90 degrees"),
    "quarter_right": message("turned by 90 degrees"),
    "diagonal": message("with rows and columns exchanged"),
    "other_diagonal": message("with rows and columns exchanged, and turned by 180 degrees"),
}
_ONLY_SHIFTED = message("shifted")

MASKS_MOVED = Code(
    "masks_off_the_objects",
    Severity.ERROR,
    Title("{masks} do not lie on the edges of the images: they look {how}"),
    means=message(
        "Images and masks were cropped, padded, mirrored or turned differently, so that labels are on the wrong pixels."
    ),
    advice=message("look at the pictures, and mend it where the masks were written"),
    otherwise=Severity.WARNING,
    when=message("where they are shifted by less than 2 % of the image's longest side"),
)
PLACEMENT_UNCLEAR = Code(
    "placement_unclear",
    Severity.INFO,
    Title("whether the masks lie on the objects cannot be told from the edges of the images"),
    means=message(
        "The outlines lie on no sharper edges than what is around them: the borders of the objects are soft or drawn "
        "roughly, or the masks belong to other images."
    ),
    advice=message("look at some of them yourself: segbench data show"),
)
CODES = (MASKS_MOVED, PLACEMENT_UNCLEAR)


def check(reading: Reading) -> list[Finding]:
    """Returns whether the masks, or those of one part, folder or group, lie on the edges of the images."""
    known = readable(reading)
    if len(known) < LEAST_IMAGES:
        return []
    cases = _sampled(known)
    factor = shrink_factor([max(reading.images[case.image].height, reading.images[case.image].width) for case in cases])
    work = partial(_scores, reading, factor=factor, undecided=_undecided(reading))
    scored = [(case, scores) for case, scores in each(cases, work) if scores is not None]
    return list(_findings(reading, scored, factor))


def _scores(reading: Reading, case: Case, *, factor: int, undecided: Sequence[int]) -> F32 | None:
    labels = labels_of(reading, case)
    height, width = (max(1, side // factor) for side in labels.shape)
    image = grey_of(reading, case, (height, width), used=(height * factor, width * factor))
    labels = labels[factor // 2 :: factor, factor // 2 :: factor][:height, :width]
    scores = edge_scores(image, labels, undecided=undecided)
    return None if scores is None else standing_out(scores)


def _undecided(reading: Reading) -> tuple[int, ...]:
    """Returns the labels that stand between objects: what is ignored, and the border of a trimap."""
    class_map = reading.known_map
    border = [index for index, values in enumerate(class_map.values) if _BORDER_VALUE in values]
    return (class_map.ignore_index, *(border if is_trimap(reading) else []))


def _sampled(cases: Sequence[Case]) -> list[Case]:
    """Returns at most `_LOOKED_AT` cases, of each part, folder and group equally many as far as there are so many."""
    by_place: dict[tuple[str, ...], list[Case]] = defaultdict(list)
    for case in sample(cases, len(cases)):
        by_place[(case.split or "", str(case.image.parent), case.group or "")].append(case)
    if len(by_place) * LEAST_IMAGES > _LOOKED_AT:  # too many for a verdict on each
        return sample(cases, _LOOKED_AT)
    left = {place: sample(members, _LOOKED_AT) for place, members in by_place.items()}
    share = _LOOKED_AT // len(left)
    chosen = {case.id for members in left.values() for case in sample(members, share)}
    rest = sample([case for case in cases if case.id not in chosen], _LOOKED_AT - len(chosen))
    chosen |= {case.id for case in rest}
    return [case for case in cases if case.id in chosen]


def _findings(reading: Reading, scored: Sequence[tuple[Case, F32]], factor: int) -> Iterator[Finding]:
    whole = judge([scores for _, scores in scored], factor)
    if whole is None:
        return
    groups = list(_groups(reading, scored, factor))
    moved = [found for found in groups if found[2].moved]
    same = {(verdict.turn, verdict.down, verdict.right) for _, _, verdict in moved}
    if whole.moved and (len(moved) == len(groups) or len(same) == 0):
        yield _moved(reading, message("the masks"), [case for case, _ in scored], whole)
    elif moved:
        for masks, cases, verdict in moved:
            yield _moved(reading, masks, cases, verdict)
    elif whole.unclear and whole.images >= _ENOUGH_TO_WONDER:
        yield PLACEMENT_UNCLEAR.finding(
            count=whole.images,
            detail=message(
                "Looked at {n} images: the outlines stand out from their surroundings by {here} of the scale of edges "
                "(0 to 1), no other placement by more than {there}.",
                n=whole.images,
                here=f"{max(0.0, whole.here):.2g}",
                there=f"{max(0.0, whole.there):.2g}",
            ),
            pictures=reading.overlays(case for case, _ in scored),
        )


def _groups(
    reading: Reading, scored: Sequence[tuple[Case, F32]], factor: int
) -> Iterator[tuple[Message, list[Case], Verdict]]:
    """Yields the masks of each part, folder and group that is large enough for a verdict, what is told twice once."""
    found: dict[tuple[str, ...], tuple[Message, list[tuple[Case, F32]]]] = {}
    for case, scores in scored:
        names = [
            ("part", case.split, message("the masks of the {part} part", part=case.split)),
            ("group", case.group, message("the masks of the group {group}", group=case.group)),
        ]
        folder = reading.name(case.image.parent)
        names.append(("folder", folder, message("the masks of the images in {folder}", folder=folder)))
        for kind, name, masks in names:
            if name is not None:
                found.setdefault((kind, name), (masks, []))[1].append((case, scores))
    seen: set[tuple[str, ...]] = {tuple(case.id for case, _ in scored)}
    for masks, members in found.values():
        ids = tuple(case.id for case, _ in members)
        verdict = judge([scores for _, scores in members], factor) if ids not in seen else None
        seen.add(ids)
        if verdict is not None:
            yield masks, [case for case, _ in members], verdict


def _moved(reading: Reading, masks: Message, cases: Sequence[Case], verdict: Verdict) -> Finding:
    order = np.argsort(-np.array(verdict.gains), kind="stable")
    better = [cases[place] for place in order.tolist() if verdict.gains[place] > 0]
    shift = max(abs(verdict.down), abs(verdict.right))
    sides = [max(reading.images[case.image].height, reading.images[case.image].width) for case in cases]
    return MASKS_MOVED.about_cases(
        reading,
        better,
        masks=masks,
        how=_TURNS.get(verdict.turn, _ONLY_SHIFTED),
        otherwise=not verdict.turn and shift < _FAR * float(np.median(sides)),
        detail=join(
            " ",
            [
                _better(verdict),
                message(
                    "That fits better in {agreeing} of the {images} images that were looked at.",
                    agreeing=verdict.agreeing,
                    images=verdict.images,
                ),
            ],
        ),
    )


def _better(verdict: Verdict) -> Message:
    turn, shift = _TURNS.get(verdict.turn), _shift(verdict)
    if turn is None:
        return message("Their outlines lie on edges once they are moved by {shift}.", shift=shift)
    if not shift:
        return message("Their outlines lie on edges once they are {turned}.", turned=turn)
    return message("Their outlines lie on edges once they are {turned} and moved by {shift}.", turned=turn, shift=shift)


def _shift(verdict: Verdict) -> str:
    right, down = abs(verdict.right), abs(verdict.down)
    if verdict.right > 0:
        across = plural("{n} pixel to the right", "{n} pixels to the right", n=right)
    else:
        across = plural("{n} pixel to the left", "{n} pixels to the left", n=right)
    along = plural("{n} pixel down", "{n} pixels down", n=down)
    if verdict.down < 0:
        along = plural("{n} pixel up", "{n} pixels up", n=down)
    return listed([text for text, size in ((across, right), (along, down)) if size], 2)
