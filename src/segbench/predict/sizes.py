"""How an image of any size goes through a network: at its own scale at once, squeezed, or in tiles; and why.

What decides is the *scale* a network was trained at: how many pixels of an image become one pixel that the network
sees. A run that resizes 768 x 576 pixels to 96 x 72 knows objects eight times smaller than they are in the files. A
larger image may hold the same thing in more pixels (a better camera) or more things of the same size (a mosaic, an
aerial image). Nobody can tell which from its size, so the choice is a policy, and it is said where it matters:

- `resize`: squeezed to the size that the network was trained at, as training images were; where those kept their own,
  to as many pixels as they had. Right for the first kind.
- `tiles`: brought to the scale that training images had, and cut. Right for the second kind.
- `whole`: the same scale, all at once. What `tiles` gives, as far as memory reaches.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import Protocol

from segbench.data.files.bands import Bands
from segbench.data.manifest.manifest import Manifest
from segbench.errors import PredictionError
from segbench.locale import Message, message
from segbench.types import ORIGINAL, Size, SizePolicy

LARGER = 1.9  # times a training image's height or width: from twice the side on it is said which policy is taken
AT_ONCE_PX = 1 << 22  # of what a network sees; larger images at their own scale go in tiles: 2048 x 2048


class SizeSettings(Protocol):
    """What decides of `PipelineSettings`, which see."""

    @property
    def size(self) -> Size: ...  # noqa: D102
    @property
    def patch(self) -> tuple[int, int] | None: ...  # noqa: D102
    @property
    def training_px(self) -> tuple[int, int] | None: ...  # noqa: D102
    @property
    def policy(self) -> SizePolicy | None: ...  # noqa: D102
    @property
    def bands(self) -> Bands | None: ...  # noqa: D102


@dataclass(frozen=True, kw_only=True)
class SizePlan:
    """Which way an image takes.

    Attributes:
        policy: see `SizePolicy`.
        size: (h, w) in pixels at which the network sees the image.
        tile: (h, w) of the tiles that are cut from it; None: it goes at once.
        note: why, where the image is much larger than those of training; None where there is nothing to say.
    """

    policy: SizePolicy
    size: tuple[int, int]
    tile: tuple[int, int] | None = None
    note: Message | None = None


def training_size(manifest: Manifest) -> tuple[int, int] | None:
    """Returns the median height and width of the training images in pixels, before resizing; None without any."""
    samples = manifest.split("train") or manifest.samples
    if not samples:
        return None
    return round(median(each.height for each in samples)), round(median(each.width for each in samples))


def plan_size(settings: SizeSettings, size: tuple[int, int], policy: SizePolicy | None = None) -> SizePlan:
    """Returns how an image goes through the network.

    Without a policy an image goes as the images of training did: squeezed by a run that resizes, at its own scale by
    one that does not; where it is much larger than these, it is said. Two cases are changed: at its own scale an image
    above `AT_ONCE_PX` and much larger than the training images goes in tiles; and a raster (a network with `bands`,
    whose pixels are a fixed length on the ground) above `LARGER` times the training images is not squeezed but goes in
    tiles.

    Args:
        settings: of the network.
        size: (H, W) of the image in pixels.
        policy: what to do; None: `settings.policy`, or as trained where that is None, too.
    Raises:
        PredictionError: `resize`, but it is not known at which size the network was trained.
    """
    chosen = policy or settings.policy
    larger = _times_larger(settings, size)
    if chosen is not None:
        return _planned(settings, size, chosen)
    if settings.size == ORIGINAL:
        known = settings.training_px is not None
        note = _own_scale_note(larger) if larger > LARGER and settings.bands is None else None
        if settings.patch is not None:
            return _planned(settings, size, "tiles", note)
        if size[0] * size[1] <= AT_ONCE_PX or (known and larger <= LARGER):
            return _planned(settings, size, "whole", note)
        return _planned(settings, size, "tiles", note or _tiles_note(size))
    if larger <= LARGER:
        return _planned(settings, size, "resize")
    if settings.bands is not None:
        return _planned(settings, size, "tiles", _scale_note(settings, larger))
    return _planned(settings, size, "resize", _squeezed_note(settings, larger))


def _planned(
    settings: SizeSettings, size: tuple[int, int], policy: SizePolicy, note: Message | None = None
) -> SizePlan:
    trained, patch = settings.size, settings.patch
    if policy == "resize":
        if trained == ORIGINAL:
            trained = _as_many_pixels(settings, size)
        return SizePlan(policy=policy, size=trained, tile=patch, note=note)
    seen = _at_training_scale(settings, size)
    if policy == "whole":
        return SizePlan(policy=policy, size=seen, note=note)
    tile = patch or (trained if trained != ORIGINAL else settings.training_px or (512, 512))
    return SizePlan(policy=policy, size=seen, tile=tile, note=note)


def _as_many_pixels(settings: SizeSettings, size: tuple[int, int]) -> tuple[int, int]:
    """Returns the size of an image that is squeezed to as many pixels as training images had, in its own shape."""
    if settings.training_px is None:
        raise PredictionError(
            message(
                "it is not known of which size this network's training images were, so there is no size to resize to; "
                "use --policy whole or tiles"
            )
        )
    share = math.sqrt(math.prod(settings.training_px) / math.prod(size))
    return max(1, round(size[0] * share)), max(1, round(size[1] * share))


def _at_training_scale(settings: SizeSettings, size: tuple[int, int]) -> tuple[int, int]:
    """Returns the size at which an image has as many pixels a pixel of the network as training images had.

    Height and width have a scale each, since training squeezes both to one size.
    """
    if settings.size == ORIGINAL or settings.training_px is None:
        return size
    height, width = (
        max(1, round(side * seen / before))
        for side, seen, before in zip(size, settings.size, settings.training_px, strict=True)
    )
    return height, width


def _times_larger(settings: SizeSettings, size: tuple[int, int]) -> float:
    """Returns by which factor the longer-grown side exceeds a training image's; 0 where that is not known."""
    if settings.training_px is None:
        return 0.0
    return max(side / before for side, before in zip(size, settings.training_px, strict=True))


def _squeezed_note(settings: SizeSettings, larger: float) -> Message:
    assert settings.size != ORIGINAL
    height, width = settings.size
    return message(
        "images {larger:.1f} times as large as those of training are squeezed to {height} x {width} pixels, as those "
        "were (policy resize); if yours show more things of the same size, not the same thing in more pixels, use "
        "--policy tiles",
        larger=larger,
        height=height,
        width=width,
    )


def _own_scale_note(larger: float) -> Message:
    return message(
        "images {larger:.1f} times as large as those of training keep their own scale; if yours show the same thing in "
        "more pixels, not more things of the same size, use --policy resize",
        larger=larger,
    )


def _scale_note(settings: SizeSettings, larger: float) -> Message:
    return message(
        "rasters {larger:.1f} times as large as those of training keep the scale of training and go in tiles (policy "
        "tiles); --policy resize squeezes them",
        larger=larger,
    )


def _tiles_note(size: tuple[int, int]) -> Message:
    return message(
        "images of {megapixels:.1f} megapixels are larger than what goes through the network at once "
        "({limit:.1f}), so they go in tiles at their own scale (policy tiles); --policy whole takes them at once",
        megapixels=size[0] * size[1] / 1e6,
        limit=AT_ONCE_PX / 1e6,
    )
