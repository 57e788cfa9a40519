"""Images of any number of bands and any depth (GeoTIFF), whole or as windows of large scenes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from segbench.data.files.bands import MAX_BANDS, Bands, Display, Range, default_display
from segbench.data.files.hints import set_option
from segbench.data.files.raster import Box, RasterLook, boxes, grid_difference, percentile_ranges, raster_look
from segbench.data.formats.folder import folder
from segbench.data.formats.shared.listing import Entry, Listing, choose
from segbench.errors import ConfigError, DatasetError, shorten

_LISTED = 10


@dataclass(frozen=True, kw_only=True)
class RasterListing(Listing):
    """A listing whose files are read by windows; every entry has one mask file.

    Attributes:
        bands: what becomes a channel, and how.
        looks: header of each image.
        layout: how files are cut into entries, in words; the same words mean the same windows of a file.
    """

    bands: Bands
    looks: Mapping[Path, RasterLook]
    layout: str


def geotiff(
    root: Path,
    *,
    images: str | None = None,
    masks: str | None = None,
    bands: Sequence[int] | None = None,
    display: Sequence[int] | None = None,
    depth_range: Literal["auto"] | Sequence[Any] = "auto",
    nodata: str = "ignore",
    window: int | None = None,
    stride: int | None = None,
    group_by: str = "scene",
    group: str | None = None,
    classes: Sequence[str] | Mapping[str, Any] | None = None,
    task: str | None = None,
    background: str | bool | None = None,
    ignore: Sequence[Any] = (),
    mask_suffix: str | None = None,
    unpaired: str = "error",
) -> RasterListing:
    """Lists GeoTIFF files and their masks, which lie as in an ordinary folder; a mask is a file with one band.

    Args:
        images: name of the images' folder; None looks for the usual names.
        masks: name of the masks' folder; None looks for the usual names.
        bands: numbers of the files' bands, from 1, that become the channels, in this order; None takes all but alpha.
        display: numbers of the three bands that are shown as red, green and blue; None takes the first three.
        depth_range: `auto` leaves 8-bit files as they are, and takes for others each band's 2nd and 98th percentile
            over a sample of the training files; or [low, high] for all bands, or one such pair a band.
        nodata: `ignore`: pixels without data in the image count nowhere; `keep`: their labels count like any others.
        window: side in pixels of the windows that a file is cut into, each a sample; None takes files whole.
        stride: pixels from one window to the next; None means `window`, so windows touch and do not overlap.
        group_by: `scene` keeps all windows of a file in one part; `block:N` those of N x N pixels of it.
        group: regular expression with one group, searched in each file's id; what it captures takes the scene's place.
        classes: names in the order of the mask values, or a mapping from name to values; as in the format `folder`.
        task: `binary` or `multiclass`; None decides by the classes.
        background: name of the background class, false for none; None takes the class named so, or the one of value 0.
        ignore: mask values that count nowhere.
        mask_suffix: what a mask's name has behind the image's (`_mask`); None tries the usual ones.
        unpaired: `error`, or `skip` to leave out images without mask and masks without image, with a note.
    Raises:
        DatasetError: as the format `folder`, and where files cannot be opened, or differ in bands or from their masks.
        ConfigError: an option's value.
    """
    _check_window(window, stride)
    block = _block_side(group_by, group, window, stride)
    choose(nodata, ("ignore", "keep"), "nodata")
    listing = folder(
        root,
        images=images,
        masks=masks,
        classes=classes,
        task=task,
        background=background,
        ignore=ignore,
        mask_suffix=mask_suffix,
        group=group,
        unpaired=unpaired,
    )
    looks = _look(listing.entries, root)
    notes = list(listing.notes)
    numbers = _numbers(bands, looks, notes)
    cut = tuple(item for entry in listing.entries for item in _cut(entry, looks[entry.image], window, stride, block))
    if window is not None and block is None and len(looks) == 1:
        notes.append(
            f"all {len(cut)} windows are of one file, which stays in one part; to divide it, set "
            f"{set_option('group_by', f'block:{4 * window}')}"
        )
    rule = Bands(
        numbers=numbers,
        ranges=_ranges(depth_range, numbers, cut, looks, notes),
        display=_display(display, numbers),
        ignore_nodata=nodata == "ignore",
    )
    kept = {item.name: getattr(listing, item.name) for item in fields(Listing)}
    layout = "whole" if window is None else f"windows of {window} every {stride or window}"
    kept |= {"entries": cut, "notes": tuple(notes), "bands": rule}
    return RasterListing(**kept, looks=looks, layout=layout)


def _check_window(window: int | None, stride: int | None) -> None:
    if window is not None and window < 1:
        raise ConfigError(f"expected pixels, 1 or more, got {window}", key="data.options.window")
    if stride is not None and (window is None or not 1 <= stride <= window):
        wanted = "the option window beside it" if window is None else f"1 to window = {window} pixels"
        raise ConfigError(f"expected {wanted}, got {stride}", key="data.options.stride")


def _block_side(group_by: str, group: str | None, window: int | None, stride: int | None) -> int | None:
    """Returns N of `block:N`, None for `scene`."""
    if group_by == "scene":
        return None
    match = re.fullmatch(r"block:([1-9]\d*)", group_by)
    key = "data.options.group_by"
    if match is None:
        raise ConfigError(f"expected scene, or block:N with N in pixels, got {group_by!r}", key=key)
    if window is None or group is not None:
        reason = "windows, so set the option window, too" if window is None else "no group beside it"
        raise ConfigError(f"blocks need {reason}", key=key)
    if stride is not None and stride < window:
        raise ConfigError(
            f"windows that overlap (stride {stride} < window {window}) lie in several blocks at once, so parts would "
            "share pixels; leave out stride, or group by scene",
            key=key,
        )
    if int(match[1]) < window:
        raise ConfigError(f"expected blocks of the window's {window} pixels or more, got {match[1]}", key=key)
    return int(match[1])


def _look(entries: Sequence[Entry], root: Path) -> dict[Path, RasterLook]:
    """Returns the images' headers; every file that cannot be used with its mask is named."""
    looks: dict[Path, RasterLook] = {}
    problems: list[str] = []
    for entry in entries:
        if not isinstance(entry.mask, Path):
            raise ConfigError(
                "expected one mask file an image; several a class are read by the format folder",
                key="data.options.task",
            )
        path = entry.image
        try:
            looks[path] = raster_look(path)
            path = entry.mask
            difference = grid_difference(looks[entry.image], raster_look(path))
        except DatasetError as error:
            difference = error.reason
        if difference:
            problems.append(f"{path.relative_to(root)}: {difference}")
    if problems:
        more = f"\n  and {len(problems) - _LISTED} more" if len(problems) > _LISTED else ""
        lines = "\n  ".join(problems[:_LISTED])
        raise DatasetError(
            f"{len(problems)} of {len(entries)} image/mask pairs cannot be used:\n  {lines}{more}", path=root
        )
    return looks


def _numbers(bands: Sequence[int] | None, looks: Mapping[Path, RasterLook], notes: list[str]) -> tuple[int, ...]:
    first, look = next(iter(looks.items()))
    if bands is None:
        other = [path for path, found in looks.items() if found.count != look.count]
        if other:
            raise DatasetError(
                f"expected files of the same bands, {first.name} has {look.count} and {other[0].name} "
                f"{looks[other[0]].count}; choose with {set_option('bands', '[1, 2, 3]')}",
                path=other[0],
            )
        alpha = sorted({number for found in looks.values() for number in found.alpha})
        numbers = tuple(number for number in range(1, look.count + 1) if number not in alpha)
        if alpha:
            notes.append(
                f"band {shorten(alpha)} is marked as transparency: it is no channel, and says where there is no data; "
                f"if it holds something else, name it among {set_option('bands')}"
            )
    else:
        numbers = tuple(bands)
    if not 1 <= len(numbers) <= MAX_BANDS or len(set(numbers)) < len(numbers) or min(numbers) < 1:
        raise ConfigError(
            f"expected 1 to {MAX_BANDS} different band numbers, counted from 1, got {shorten(numbers, MAX_BANDS)}",
            key="data.options.bands",
        )
    short = [path for path, found in looks.items() if found.count < max(numbers)]
    if short:
        raise ConfigError(
            f"there is no band {max(numbers)} in {shorten(path.name for path in short)}: "
            f"{short[0].name} has {looks[short[0]].count}",
            key="data.options.bands",
        )
    return numbers


def _display(display: Sequence[int] | None, numbers: tuple[int, ...]) -> Display:
    if display is None:
        return default_display(len(numbers))
    if len(display) != 3 or not set(display) <= set(numbers):
        raise ConfigError(
            f"expected three of the bands {shorten(numbers, MAX_BANDS)}, got {list(display)}",
            key="data.options.display",
        )
    red, green, blue = (numbers.index(number) for number in display)
    return red, green, blue


def _ranges(
    depth_range: str | Sequence[Any],
    numbers: tuple[int, ...],
    entries: Sequence[Entry],
    looks: Mapping[Path, RasterLook],
    notes: list[str],
) -> tuple[Range, ...] | None:
    if depth_range != "auto":
        pairs = list(depth_range)
        pairs = pairs if pairs and all(isinstance(pair, Sequence) for pair in pairs) else [pairs]
        if len(pairs) not in (1, len(numbers)) or not all(_is_range(pair) for pair in pairs):
            raise ConfigError(
                f"expected auto, [low, high] with low < high, or such a pair for each of {len(numbers)} bands, got "
                f"{depth_range!r}",
                key="data.options.depth_range",
            )
        given = tuple((float(low), float(high)) for low, high in pairs)
        return given if len(given) == len(numbers) else given * len(numbers)
    if all(look.dtypes[number - 1] == "uint8" for look in looks.values() for number in numbers):
        return None
    training = [entry for entry in entries if entry.split == "train"]
    places = [(entry.image, _box(entry, looks)) for entry in training or entries]
    ranges, pixels = percentile_ranges(places, numbers)
    listed = ", ".join(f"{number}: {low:g} to {high:g}" for number, (low, high) in zip(numbers, ranges, strict=True))
    which = "training files" if training else "files (none is marked as training)"
    notes.append(
        f"depth_range: auto took each band's 2nd and 98th percentile over {pixels} pixels of the {which} for 0 and "
        f"255; by band {listed}"
    )
    return ranges


def _is_range(pair: Any) -> bool:
    numbers = isinstance(pair, Sequence) and all(isinstance(value, int | float) for value in pair)
    return numbers and len(pair) == 2 and pair[0] < pair[1]


def _box(entry: Entry, looks: Mapping[Path, RasterLook]) -> Box:
    look = looks[entry.image]
    return entry.window or (0, 0, look.height, look.width)


def _cut(entry: Entry, look: RasterLook, window: int | None, stride: int | None, block: int | None) -> Iterator[Entry]:
    """Yields the entry, or its windows."""
    if window is None:
        yield entry
        return
    for box in boxes(look.height, look.width, window, stride):
        top, left = box[:2]
        group = entry.group or entry.id
        if block is not None:
            group = f"{entry.id}@{_block(top, window, block)},{_block(left, window, block)}"
        yield Entry(
            id=f"{entry.id}@{top},{left}",
            image=entry.image,
            mask=entry.mask,
            group=group,
            split=entry.split,
            window=box,
        )


def _block(start: int, window: int, block: int) -> int:
    """Returns the number of the block that a window's row or column belongs to.

    The last window of a file was moved inward and overlaps the one before it, so it belongs to that one's block.
    """
    return start // window * window // block
