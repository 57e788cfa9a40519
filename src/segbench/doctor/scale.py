"""At which size a training sees the images: small whole ones where objects stay clear, else windows of larger ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from segbench.config.split import SplitConfig
from segbench.doctor.reading import Reading
from segbench.doctor.regions import SIZES, Objects
from segbench.locale import Message, message
from segbench.types import SplitName, Task

LONG_SIDE_PX = 256  # of whole images
PATCH_PX = 256
LARGEST_WHOLE_PX = 512  # long side from which on a training sees windows

_CLEAR_PX = 8.0  # width of objects at the training size, below which a network mostly learns their borders
_COMMON = 0.1  # share of the images that show a class which decides the size
_KEPT, _MANY = 0.95, 20  # share of a class's objects that a size has to keep, where they are so many
_NEARLY_ALL = 0.7  # of the images' own size, from which on they are not shrunk at all
_FEW_IMAGES = 100  # of which 15 % are too few to score on
_TOO_FEW = 10  # to be divided at all


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
    scale = min(1.0, LONG_SIDE_PX / max(height, width))
    return (shrunk(height, scale), shrunk(width, scale)) if scale < 1.0 else (max(32, height), max(32, width))


def base_split(parts: Mapping[SplitName | None, int]) -> dict[str, Any]:
    """Returns keys of `data.split` to begin with; {} where the usual ones do.

    Args:
        parts: number of samples by official part, None for those in none.
    """
    there, images = {part for part, number in parts.items() if part is not None and number}, sum(parts.values())
    if {"train", "test"} <= there:
        return {}
    anew = {"method": "ratios"} if there else {}  # published parts that lack one to learn from or to score on
    return {**anew, "ratios": [0.6, 0.2, 0.2]} if _TOO_FEW <= images < _FEW_IMAGES else anew


def training_scale(facts: Facts) -> Scale:
    """Returns the size at which objects stay clear: small whole images where that does, else windows of larger ones."""
    height, width = facts.height, facts.width
    base = base_size(facts.heights, facts.widths)
    usual = min(1.0, LONG_SIDE_PX / max(height, width))
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
    size = (shrunk(height, share), shrunk(width, share)) if share < 1.0 else (height, width)
    if max(size) <= LARGEST_WHOLE_PX:
        return Scale(size=size, patch=None, seen=size, reason=reason)
    patch = (min(PATCH_PX, shrunk(size[0], 1.0)), min(PATCH_PX, shrunk(size[1], 1.0)))
    return Scale(size=size if share < 1.0 else "original", patch=patch, seen=patch, reason=reason)


def shrunk(side: int, share: float) -> int:
    """Returns this share of a side in pixels, a multiple of 16 and at least 32."""
    return max(32, round(side * share / 16) * 16)


def _narrowest(facts: Facts) -> tuple[float, str, float]:
    """Returns the share of their size at which the narrowest common class is clear, its name and its width in pixels.

    (0, "", 0) where nobody looked.
    """
    objects = facts.objects_of()
    if objects is None:
        return 0.0, "", 0.0
    least = max(2.0, _COMMON * sum(facts.parts.values()))
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
