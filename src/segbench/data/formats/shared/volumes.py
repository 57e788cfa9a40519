"""Slices of volumes and stacks as ordinary pictures: what the readers of such files share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segbench.data.files.hints import propose_blocks, set_option
from segbench.data.formats.shared.classes import ClassOptions
from segbench.data.formats.shared.listing import Entry, check_depth, choose
from segbench.data.formats.shared.pairs import check_pattern, with_groups
from segbench.data.formats.shared.unpacked import Unpacked
from segbench.errors import ConfigError, DatasetError
from segbench.locale import message, plural
from segbench.types import SPLITS, SplitName

EMPTY = ("keep", "skip")
OVERLAP = 65535  # label value of pixels that several classes claim, which count nowhere
_SAMPLED = 100_000  # values of a volume that its range is measured on
_SHARES = (0.5, 99.5)  # percentiles that become black and white


class Stack(Protocol):
    """What slices are made of; `id` is unique among all, and slices of one `group` belong together."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def group(self) -> str: ...  # noqa: D102
    @property
    def split(self) -> SplitName | None: ...  # noqa: D102


@dataclass(frozen=True, kw_only=True)
class Grey:
    """Which grey values become 0 and 255: fixed ones, those of each volume, or those of the whole set.

    Attributes:
        fixed: (low, high) that the user gave.
        by_volume: each volume has its own robust range.
    """

    fixed: tuple[float, float] | None = None
    by_volume: bool = False

    @classmethod
    def chosen(cls, window: Sequence[float] | str | None, depth_range: Sequence[float] | None) -> Grey:
        """Returns what the options `window` ([centre, width] or `volume`) and `depth_range` ([low, high]) say.

        Raises:
            ConfigError: no such values, or both are given.
        """
        depth = check_depth(depth_range)
        if window is None:
            return cls(fixed=depth)
        if depth is not None:
            raise ConfigError(
                message("window and depth_range say the same in two ways; leave one out"), key="data.options.window"
            )
        if window == "volume":
            return cls(by_volume=True)
        numbers = [] if isinstance(window, str) else [value for value in window if isinstance(value, int | float)]
        if len(numbers) != 2 or len(window) != 2 or numbers[1] <= 0:
            raise ConfigError(
                message("expected [centre, width] with a width above 0, or volume, got {given!r}", given=window),
                key="data.options.window",
            )
        centre, width = numbers
        return cls(fixed=(centre - width / 2, centre + width / 2))

    @property
    def recipe(self) -> list[Any]:
        """What the written pictures depend on, see `unpack_once`."""
        return [self.fixed, self.by_volume]

    def measured(self, volumes: Iterable[NDArray[Any]]) -> tuple[float, float] | None:
        """Returns the range for all volumes; None where each has its own. Volumes are looked at if they have to be."""
        if self.fixed is not None or self.by_volume:
            return self.fixed
        return robust_range(volumes)

    def own_range(self, volume: NDArray[Any]) -> tuple[float, float]:
        """Returns the range of one volume."""
        return self.fixed or robust_range([volume])


def robust_range(volumes: Iterable[NDArray[Any]]) -> tuple[float, float]:
    """Returns (low, high) grey values with 0.5 % of the values below and above; 8-bit values keep 0 and 255."""
    samples: list[NDArray[Any]] = []
    small = True
    for volume in volumes:
        small = small and volume.dtype == np.uint8
        flat = volume[tuple(slice(None, None, _step(volume)) for _ in volume.shape)].ravel()
        samples.append(flat[np.isfinite(flat)].astype(np.float32))
    if small:
        return 0.0, 255.0
    values = np.concatenate(samples) if samples else np.zeros(0, dtype=np.float32)
    low, high = (float(value) for value in np.percentile(values, _SHARES)) if values.size else (0.0, 1.0)
    return (low, high) if high > low else (low, low + 1.0)


def _step(volume: NDArray[Any]) -> int:
    return max(1, round(math.pow(volume.size / _SAMPLED, 1 / max(1, volume.ndim))))


def as_bytes(grey: NDArray[Any], limits: tuple[float, float]) -> NDArray[np.uint8]:
    """Returns grey values as 0-255, linearly between the limits and clipped; what is no number becomes 0."""
    low, high = limits
    if grey.dtype == np.uint8 and (low, high) == (0.0, 255.0):
        return np.asarray(grey, dtype=np.uint8)
    scaled = (grey.astype(np.float32) - np.float32(low)) * np.float32(255.0 / (high - low))
    result: NDArray[np.uint8] = np.clip(np.rint(np.nan_to_num(scaled, nan=0.0)), 0, 255).astype(np.uint8)
    return result


def as_labels(values: NDArray[Any], path: Path) -> NDArray[Any]:
    """Returns label values as uint8 or uint16; DatasetError where they are no whole numbers in 0-65535."""
    if values.dtype == bool:
        return values.astype(np.uint8)
    if not np.isfinite(values).all() or (values != np.rint(values)).any() or values.min() < 0 or values.max() > 65535:
        raise DatasetError(
            message(
                "expected labels, whole numbers from 0 to 65535, got {dtype} values {low:g} to {high:g}; this may be "
                "an image or a probability map: check which files are the labels",
                dtype=values.dtype,
                low=values.min(),
                high=values.max(),
            ),
            path=path,
        )
    return values.astype(np.uint8 if values.max() <= 255 else np.uint16)


def put_plane(labels: NDArray[np.uint16], held: NDArray[np.bool_], value: int) -> None:
    """Adds a class to labels of the same shape; what another class has already becomes `OVERLAP`."""
    taken = held & (labels != 0) & (labels != value)
    labels[held & ~taken] = value
    labels[taken] = OVERLAP


def write_slice(folder: Path, name: str, image: NDArray[np.uint8], labels: NDArray[Any]) -> list[Any]:
    """Writes (H, W) or (H, W, 3) pixels and (H, W) labels; returns what `slice_entries` reads: name, nothing in it."""
    for kind, pixels in (("images", image), ("masks", labels)):
        path = folder / kind / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.ascontiguousarray(pixels)).save(path, compress_level=3)
    return [name, not labels.any()]


def slice_name(stack: str, number: int, total: int) -> str:
    """Returns `stack/007`: as many digits as the last slice needs, three at least."""
    return f"{stack}/{number:0{max(3, len(str(total - 1)))}d}"


def slice_entries(
    made: Unpacked, stacks: Sequence[Stack], empty_slices: str, group: str | None, root: Path, notes: list[str]
) -> tuple[Entry, ...]:
    """Returns an entry a slice, in the groups of the stacks, unless the user's pattern says others.

    Args:
        made: its facts have `slices`, as `write_slice` returns them, for each of the stacks.
        empty_slices: `keep`, or `skip` those whose mask holds nothing but 0; how many there are is noted.
    """
    choose(empty_slices, EMPTY, "empty_slices")
    check_pattern(group)
    found = list(_slices(made, stacks))
    empty = sum(is_empty for _, is_empty in found)
    if empty and empty_slices == "skip":
        notes.append(
            plural(
                "{n} of {all} slices has no label but 0, and is left out",
                "{n} of {all} slices have no label but 0, and are left out",
                n=empty,
                all=len(found),
            )
        )
    elif empty * 4 >= len(found):
        notes.append(
            message(
                "{n} of {all} slices have no label but 0; leave them out with {option}",
                n=empty,
                all=len(found),
                option=set_option("empty_slices", "skip"),
            )
        )
    groups = len({stack.group for stack in stacks})
    if groups < len(SPLITS) <= len(found):
        notes.append(
            plural(
                "there is {n} stack only, whose slices look alike; divide it in blocks: data.split: {way}",
                "there are {n} stacks only, whose slices look alike; divide them in blocks: data.split: {way}",
                n=groups,
                way=propose_blocks(len(found)),
            )
        )
    return with_groups([entry for entry, is_empty in found if not (is_empty and empty_slices == "skip")], group, root)


def _slices(made: Unpacked, stacks: Sequence[Stack]) -> Iterator[tuple[Entry, bool]]:
    for stack, facts in zip(stacks, made.facts, strict=True):
        for name, is_empty in facts["slices"]:
            yield (
                Entry(
                    id=name,
                    image=made.folder / "images" / f"{name}.png",
                    mask=made.folder / "masks" / f"{name}.png",
                    group=stack.group,
                    split=stack.split,
                ),
                bool(is_empty),
            )


def class_rule(
    root: Path,
    classes: Sequence[str] | Mapping[str, Any] | None,
    background: str | bool | None,
    ignore: Sequence[Any],
) -> ClassOptions:
    """Returns the rule that derives the classes from the labels' values, as an ordinary folder's."""
    return ClassOptions(root=root, classes=classes, task=None, background=background, ignore=ignore, tolerance=0)


def all_problems(problems: Sequence[str], total: int, what: str, root: Path) -> None:
    """Raises DatasetError with every problem's text, the first ones in full.

    Args:
        what: plural word for what there are `total` of.
    """
    if problems:
        lines = "\n  ".join(problems[:10])
        more = message("\n  and {n} more", n=len(problems) - 10) if len(problems) > 10 else ""
        raise DatasetError(
            message(
                "{n} of {total} {what} cannot be used:\n  {lines}{more}",
                n=len(problems),
                total=total,
                what=what,
                lines=lines,
                more=more,
            ),
            path=root,
        )
