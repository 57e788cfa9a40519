"""Settings that a data set's numbers speak for: (config key, value, reason)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from segbench.doctor.checks.meaning import is_trimap
from segbench.doctor.checks.objects import LARGEST_SIDE, full_scale
from segbench.doctor.checks.parts import suggest_group
from segbench.doctor.reading import Reading, percent
from segbench.doctor.regions import SIZES, Objects
from segbench.locale import listed, message
from segbench.types import Task

Suggestion = tuple[str, Any, str]

_LONG_SIDE_PX = 256  # of the training size to begin with
_RARE_FOREGROUND = 0.1
_UNEVEN = 10.0  # most frequent to rarest class
_FEW_IMAGES = 200
_TOO_FEW = 10  # to be divided at all
_PRESETS = {
    **dict.fromkeys(("ph2", "isic"), ("dermoscopy", message("skin lesions have no upright"))),
    **dict.fromkeys(
        ("camvid", "cityscapes", "mapillary"),
        ("street", message("street scenes are upright and seen at many distances")),
    ),
    "geotiff": ("aerial", message("aerial images have no upright")),
}


def base_size(heights: Sequence[int], widths: Sequence[int]) -> tuple[int, int]:
    """Returns (H, W) to begin with: the median image at a long side of 256 px, never enlarged; multiples of 16."""
    height, width = sorted(heights)[len(heights) // 2], sorted(widths)[len(widths) // 2]
    scale = min(1.0, _LONG_SIDE_PX / max(height, width))
    return max(32, round(height * scale / 16) * 16), max(32, round(width * scale / 16) * 16)


def base_loss(task: Task) -> dict[str, Any]:
    """Returns the loss to begin with: overlap and cross-entropy in equal parts."""
    return {"dice": 0.5, "cross_entropy" if task is Task.MULTICLASS else "bce": 0.5}


def base_split(parts: Collection[str | None], images: int) -> dict[str, Any]:
    """Returns keys of `data.split` to begin with; {} where the usual ones do.

    Args:
        parts: official parts that samples lie in, None for those in none.
        images: number of samples.
    """
    there = {part for part in parts if part is not None}
    if there and not {"train", "test"} <= there:
        return {"method": "ratios"}  # published parts that lack one to learn from or to score on
    return {} if there or not _TOO_FEW <= images < _FEW_IMAGES / 2 else {"ratios": [0.6, 0.2, 0.2]}


def suggestions(reading: Reading, stats: Mapping[str, Any], objects: Objects | None) -> list[Suggestion]:
    """Returns what the numbers speak for, each with its reason."""
    if reading.class_map is None or not stats.get("classes"):
        return []
    return [
        *_loss(reading, stats),
        *_size(reading, stats, objects),
        *_ignored(reading),
        *_split(reading),
        *_augment(reading),
    ]


def _loss(reading: Reading, stats: Mapping[str, Any]) -> Iterator[Suggestion]:
    from segbench.losses.class_weights import balanced_class_weights, balanced_pos_weights

    class_map = reading.known_map
    shares = [entry["share"] for entry in stats["classes"]]
    pixels = [entry["pixels"] for entry in stats["classes"]]
    if class_map.task is Task.MULTICLASS:
        present = [share for share in shares if share]
        ratio = max(present) / min(present) if present else 1.0
        if ratio >= _UNEVEN:
            rarest = class_map.names[shares.index(min(present))]
            weights = [
                f"{name} {weight:.3g}"
                for name, weight in zip(class_map.names, balanced_class_weights(pixels), strict=True)
            ]
            yield (
                "loss",
                {"dice": 0.5, "cross_entropy": {"class_weights": "inverse_frequency", "weight": 0.5}},
                message(
                    "the most frequent class has {ratio} times the pixels of {rarest!r} ({share}); weights by inverse "
                    "frequency would be {weights}. The dice term counts each class alike",
                    ratio=f"{ratio:.3g}",
                    rarest=rarest,
                    share=percent(min(present)),
                    weights=listed(weights, 12),
                ),
            )
        return
    foreground = shares[1] if class_map.task is Task.BINARY else min((share for share in shares if share), default=1.0)
    if foreground < _RARE_FOREGROUND:
        total = sum(pixels) if class_map.task is Task.BINARY else 0
        index = 1 if class_map.task is Task.BINARY else shares.index(foreground)
        rest = total - pixels[index] if total else round(pixels[index] * (1 / foreground - 1))
        weight = balanced_pos_weights([pixels[index]], [rest])[0]
        yield (
            "loss",
            base_loss(class_map.task),
            message(
                "{name!r} covers {share} of the pixels, so that cross-entropy alone may learn to say background "
                "everywhere; the dice term looks at the overlap. The other way: bce with pos_weight {weight}",
                name=class_map.names[index],
                share=percent(foreground),
                weight=f"{weight:.3g}",
            ),
        )


def _size(reading: Reading, stats: Mapping[str, Any], objects: Objects | None) -> Iterator[Suggestion]:
    if objects is None or not objects.classes:
        return
    height, width = objects.sizes[0]
    class_map = reading.known_map
    lost = {index: 1 - objects.kept(index, 0) for index in objects.classes if not objects.keeps(index, 0)}
    side = objects.smallest_side()
    if any(objects.is_thin(index) for index in objects.classes):
        yield from _for_thin(reading, objects)
        return
    if not lost:
        usual = [_multiple(stats[side]["median"]) for side in ("height", "width") if side in stats] or [height, width]
        if usual[0] < height or usual[1] < width:
            reason = message(
                "the median image is {height} x {width}; {asked_height} x {asked_width} would only enlarge it",
                height=f"{stats['height']['median']:.0f}",
                width=f"{stats['width']['median']:.0f}",
                asked_height=height,
                asked_width=width,
            )
            yield "data.size", [min(usual[0], height), min(usual[1], width)], reason
        elif side is None or side >= min(height, width):
            yield "data.size", [height, width], message("keeps 99 % of the objects of every class")
        else:
            reason = message(
                "keeps 99 % of the objects of every class; {side} would do so too, with coarser borders", side=side
            )
            yield "data.size", [height, width], reason
        return
    worst = max(lost, key=lambda index: lost[index])
    side = side or SIZES[-1]
    reason = message(
        "at {height} x {width} {share} of the {name!r} objects keep no pixel; {side} keeps 99 % of every class (the "
        "median long side is {median})",
        height=height,
        width=width,
        share=percent(lost[worst]),
        name=class_map.names[worst],
        side=side,
        median=f"{max(stats['height']['median'], stats['width']['median']):.0f}",
    )
    yield "data.size", side, reason
    if side > LARGEST_SIDE:
        reason = message(
            "training on windows of {size} x {size} needs 1/{times} of the memory of whole images",
            size=LARGEST_SIDE,
            times=f"{(side / LARGEST_SIDE) ** 2:.2g}",
        )
        yield "data.augment.crop", [LARGEST_SIDE, LARGEST_SIDE], reason


def _for_thin(reading: Reading, objects: Objects) -> Iterator[Suggestion]:
    thin = [reading.known_map.names[index] for index in objects.classes if objects.is_thin(index)]
    size, crop = full_scale(reading, objects)
    height, width = objects.sizes[0]
    reason = message(
        "at {height} x {width} {names} would break into pieces", height=height, width=width, names=listed(thin, 8)
    )
    yield "data.size", size, reason
    if crop is not None:
        reason = message(
            "training on windows of {height} x {width} needs less memory than on whole images of this size",
            height=crop[0],
            width=crop[1],
        )
        yield "data.augment.crop", crop, reason


def _multiple(side: float) -> int:
    """Returns the multiple of 32 nearest to a side, as networks ask for."""
    return max(32, round(side / 32) * 32)


def _ignored(reading: Reading) -> Iterator[Suggestion]:
    class_map = reading.known_map
    if 3 in class_map.ignore_values or not is_trimap(reading):
        return
    reason = message("3 is the border that whoever drew the trimaps left undecided; as a class it only blurs the score")
    if reading.has_option("border"):
        yield "data.options.border", "ignore", reason
    elif reading.has_option("ignore"):
        yield "data.options.ignore", [3], reason


def _split(reading: Reading) -> Iterator[Suggestion]:
    if reading.has_parts:
        return
    if all(case.group is None for case in reading.cases):
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
    number = len(reading.cases)
    if "ratios" in base_split((), number):
        reason = message(
            "of {n} images, 15 % are {part}: too few for a score to mean much", n=number, part=round(0.15 * number)
        )
        yield "data.split.ratios", [0.6, 0.2, 0.2], reason


def _augment(reading: Reading) -> Iterator[Suggestion]:
    number = sum(case.split in ("train", None) for case in reading.cases)
    if reading.format in _PRESETS:
        yield "data.augment", *_PRESETS[reading.format]
    elif number < _FEW_IMAGES:
        reason = message("{n} images to learn from are few; varied copies keep it from memorising them", n=number)
        yield "data.augment", "strong", reason
    else:
        reason = message("{n} images to learn from; small changes suffice as a start", n=number)
        yield "data.augment", "light", reason
