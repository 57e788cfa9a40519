"""Arrays of images and masks, as NumPy saves them: one file an image, one array of all, or a .npz with both."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from segbench.data.files.hints import set_option
from segbench.data.formats.npy.axes import LAYOUTS, Axes, as_one_plane, fitting
from segbench.data.formats.shared.cases import find_cases, tell_unpaired
from segbench.data.formats.shared.listing import Entry, Listing, check_depth, choose
from segbench.data.formats.shared.pairs import check_pattern, with_groups
from segbench.data.formats.shared.scan import files_of, mostly
from segbench.data.formats.shared.unpacked import Unpacked, unpack_once
from segbench.data.formats.shared.volumes import (
    all_problems,
    as_bytes,
    as_labels,
    class_rule,
    robust_range,
    write_slice,
)
from segbench.errors import ConfigError, DatasetError, shorten
from segbench.locale import message, plural, quoted
from segbench.types import SplitName

SUFFIXES = (".npy", ".npz")

_VERSION = 1
_SLICE = re.compile(r"(.+?)[_-](?:slice|slc|frame|z)[_-]?\d+", re.IGNORECASE)
_DAMAGED = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile)


@dataclass(frozen=True, kw_only=True)
class Array:
    """An array in a file: the whole of a .npy, a key of a .npz."""

    path: Path
    key: str | None

    def shape(self) -> tuple[int, ...]:
        """Returns the array's shape, from its header alone; DatasetError as `load`."""
        with _told(self.path), self._opened() as stream:
            version = np.lib.format.read_magic(stream)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, kind = read(stream)
            if kind.hasobject:
                raise ValueError("allow_pickle")
        return tuple(int(side) for side in shape)

    def load(self) -> NDArray[Any]:
        """Returns the values; a .npy is mapped, and read where it is looked at.

        Raises:
            DatasetError: damaged, or it holds Python objects, which could run code.
        """
        with _told(self.path):
            loaded = np.load(self.path, mmap_mode="r", allow_pickle=False)
            if self.key is None:
                return np.asanyarray(loaded)
            with loaded:
                return np.asanyarray(loaded[self.key])

    @contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        if self.key is None:
            with self.path.open("rb") as stream:
                yield stream
            return
        with zipfile.ZipFile(self.path) as archive:
            names = archive.namelist()
            with archive.open(self.key if self.key in names else f"{self.key}.npy") as stream:
                yield stream


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Says of an array that cannot be read in the block, as a DatasetError, what is the matter with it."""
    try:
        yield
    except _DAMAGED as error:
        reason = str(error)
        if "allow_pickle" in reason or "Python objects" in reason:
            raise DatasetError(
                message(
                    "it holds Python objects (pickle), which could run code and are not read; save it again as a plain "
                    "array of numbers"
                ),
                path=path,
            ) from error
        raise DatasetError(
            message("the array is damaged or cut off ({reason}); copy it again", reason=quoted(reason)), path=path
        ) from error


@dataclass(frozen=True, kw_only=True)
class Pair:
    """An array of images and one of masks, and what their axes are."""

    id: str
    split: SplitName | None
    image: Array
    mask: Array
    axes: tuple[Axes, Axes]
    number: int


def looks_like(root: Path) -> str | None:
    """Returns "NumPy arrays (...)" where there are more .npy and .npz files than pictures."""
    number = mostly(root, SUFFIXES)
    return plural("{n} file of NumPy arrays", "{n} files of NumPy arrays", n=number) if number else None


def npy(
    root: Path,
    *,
    images: str | None = None,
    masks: str | None = None,
    classes: Sequence[str] | Mapping[str, Any] | None = None,
    background: str | bool | None = None,
    ignore: Sequence[Any] = (),
    layout: str | None = None,
    channel: int | Sequence[int] | None = None,
    depth_range: Sequence[float] | None = None,
    unpaired: str = "error",
    group: str | None = None,
) -> Listing:
    """Lists the images in NumPy's files: `images.npy` and `masks.npy`, one .npy an image, or .npz with both.

    They are unpacked once into the cache as PNG files. Python objects (pickle) are never loaded.

    Args:
        images: name of the images' folder; None looks for the usual names, of folders, files and keys (`image`, `X`).
        masks: name of the masks' folder; None looks for the usual names (`masks`, `label`, `y`).
        classes: names in the order of the mask values 0, 1, ...; or a mapping from name to value. None takes them from
            the masks.
        background: name of the background class, false for none.
        ignore: mask values that count nowhere.
        layout: `hwc` or `chw`: whether the channels are the last or the first axis of an image; None decides by the
            shapes, and asks where they fit both.
        channel: of images with 2 or more than 3 channels: a number, or a list of three as red, green and blue.
        depth_range: values [low, high] that become 0 and 255. None: 8-bit values stay, others from 0 to 1 or 0 to 255
            are taken so; of any others 0.5 % become black, 0.5 % white.
        unpaired: `error`, or `skip` to leave out arrays without partner, with a note.
        group: pattern whose group in the id says what belongs together; None takes what is before `_slice012`.
    Raises:
        DatasetError: nothing to pair, arrays without partner, of other sizes, damaged, or with Python objects.
        ConfigError: an option's value.
    """
    limits = check_depth(depth_range)
    choose(unpaired, ("error", "skip"), "unpaired")
    check_pattern(group)
    if layout is not None:
        choose(layout, LAYOUTS, "layout")
    wanted = _wanted(channel)
    files = files_of(root, SUFFIXES)
    arrays = {place: array for path in files for place, array in _arrays(path)}
    found = find_cases(sorted(arrays), root, images, masks, "NumPy")
    notes: list[str] = []
    tell_unpaired(found, root, unpaired, notes)
    pairs: list[Pair] = []
    problems: list[str] = []
    for case in found.cases:
        if len(case.channels) > 1:
            names = shorten((place.relative_to(root).as_posix() for place in case.channels.values()), 4)
            problems.append(message("{case}: several arrays could be its image: {names}", case=case.id, names=names))
            continue
        image, mask = arrays[next(iter(case.channels.values()))], arrays[case.labels]
        try:
            shapes = image.shape(), mask.shape()
        except DatasetError as error:
            problems.append(f"{Path(error.path).relative_to(root).as_posix()}: {error.reason}")
            continue
        ways = fitting(*shapes, layout)
        if ways:
            axes = _only(ways, shapes, root)
            _check_channels(axes[0].sizes(shapes[0]).get("C", 1), wanted, root)
            number = axes[0].sizes(shapes[0]).get("N", 1)
            pairs.append(Pair(id=_plain(case.id), split=case.split, image=image, mask=mask, axes=axes, number=number))
        else:
            problems.append(
                message(
                    "{case}: images of shape {image} and masks of shape {mask} do not fit: expected (N, H, W), with "
                    "channels (N, H, W, C) or (N, C, H, W), or the same without N",
                    case=_plain(case.id),
                    image=shapes[0],
                    mask=shapes[1],
                )
            )
    all_problems(problems, len(found.cases), message("arrays"), root)
    writing = _Unpacking(pairs, limits, wanted)
    made = unpack_once(
        root,
        pairs,
        writing.write,
        sources={path for pair in pairs for path in (pair.image.path, pair.mask.path)},
        recipe={
            "npy": _VERSION,
            "depth_range": limits,
            "channel": wanted,
            "pairs": [[pair.id, *(axes.letters for axes in pair.axes)] for pair in pairs],
        },
    )
    notes += _notes(made, pairs, root)
    return Listing(
        class_map=class_rule(root, classes, background, ignore),
        entries=_entries(made, pairs, group, root, notes),
        notes=tuple(notes),
        root=made.folder,
    )


def _wanted(channel: int | Sequence[int] | None) -> list[int] | None:
    """Returns the chosen channels, one or three; ConfigError for other numbers of them."""
    wanted = [channel] if isinstance(channel, int) else None if channel is None else list(channel)
    if wanted is not None and (len(wanted) not in (1, 3) or not all(isinstance(item, int) for item in wanted)):
        raise ConfigError(
            message("expected the number of a channel, or a list of three, got {given!r}", given=channel),
            key="data.options.channel",
        )
    return wanted


def _arrays(path: Path) -> list[tuple[Path, Array]]:
    """Returns (place, array) of each array in a file; the place of a key is below the file's own."""
    if path.suffix.lower() == ".npy":
        return [(path, Array(path=path, key=None))]
    try:
        with np.load(path, allow_pickle=False) as loaded:
            return [(path / key, Array(path=path, key=key)) for key in loaded.files]
    except _DAMAGED as error:
        raise DatasetError(
            message("not a .npz file that can be read ({reason}); copy it again", reason=quoted(str(error))), path=path
        ) from error


def _plain(case: str) -> str:
    """Returns an id without the suffix of the .npz that it lies in."""
    return re.sub(r"\.npz(?=/|$)", "", case, flags=re.IGNORECASE)


def _only(
    ways: Sequence[tuple[Axes, Axes]], shapes: tuple[tuple[int, ...], tuple[int, ...]], root: Path
) -> tuple[Axes, Axes]:
    """Returns the one way to read two arrays; DatasetError where there are several."""
    if len(ways) > 1:
        raise DatasetError(
            message(
                "images of shape {image} and masks of shape {mask} fit in {n} ways ({ways}); set {last}, or {first}",
                image=shapes[0],
                mask=shapes[1],
                n=len(ways),
                ways=shorten((f"{one.letters} and {other.letters}" for one, other in ways), 4),
                last=set_option("layout", "hwc"),
                first=set_option("layout", "chw"),
            ),
            path=root,
        )
    return ways[0]


def _check_channels(depth: int, wanted: Sequence[int] | None, root: Path) -> None:
    """Raises where nobody said which channels are the image, or there are no such channels."""
    if wanted is None and depth not in (1, 3):
        raise DatasetError(
            message(
                "the images have {n} channels; choose one with {one}, or three as red, green and blue with {three}",
                n=depth,
                one=set_option("channel", "0"),
                three=set_option("channel", "[0, 1, 2]" if depth > 2 else "[0, 1, 1]"),
            ),
            path=root,
        )
    if wanted is not None and not all(0 <= item < depth for item in wanted):
        raise ConfigError(
            message("expected channels from 0 to {last}, got {given}", last=depth - 1, given=wanted),
            key="data.options.channel",
        )


class _Unpacking:
    """Writes one pair of arrays after the other; the range of all is measured before the first one."""

    def __init__(self, pairs: Sequence[Pair], limits: tuple[float, float] | None, wanted: list[int] | None) -> None:
        self._pairs, self._given, self._wanted = pairs, limits, wanted

    @cached_property
    def limits(self) -> tuple[float, float]:
        """Values that become 0 and 255."""
        if self._given is not None:
            return self._given
        lows, highs = [], []
        for pair in self._pairs:
            values = pair.image.load()
            if values.dtype == np.uint8:
                lows.append(0.0)
                highs.append(255.0)
                continue
            for part in values if values.ndim > 2 else [values]:
                lows.append(float(np.nanmin(part)))
                highs.append(float(np.nanmax(part)))
        if min(lows) >= 0 and max(highs) <= 255:
            return 0.0, 1.0 if max(highs) <= 1 else 255.0
        return robust_range(pair.image.load() for pair in self._pairs)

    def write(self, folder: Path, pair: Pair) -> dict[str, Any]:
        """Writes the images of a pair; returns its facts."""
        images, masks = (
            axes.ordered(array.load()) for axes, array in zip(pair.axes, (pair.image, pair.mask), strict=True)
        )
        digits = max(3, len(str(pair.number - 1)))
        slices = []
        for place in range(pair.number):
            values = images[place] if self._wanted is None else images[place][:, :, self._wanted]
            pixels = as_bytes(np.asarray(values), self.limits)
            labels = as_one_plane(np.asarray(masks[place]))
            if labels is None:
                raise DatasetError(
                    message(
                        "the mask has {n} planes that are not one a class (number {place}: pixels in none or in "
                        "several); save one array of class numbers",
                        n=masks.shape[3],
                        place=place,
                    ),
                    path=pair.mask.path,
                )
            name = pair.id if pair.number == 1 else f"{pair.id}/{place:0{digits}d}"
            image = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
            slices.append(write_slice(folder, name, image, as_labels(labels, pair.mask.path)))
        return {"id": pair.id, "slices": slices, "grey_range": self.limits}


def _notes(made: Unpacked, pairs: Sequence[Pair], root: Path) -> list[str]:
    low, high = made.facts[0]["grey_range"]
    number = sum(len(facts["slices"]) for facts in made.facts)
    notes: list[str] = [message("{n} images of {files} pairs of arrays", n=number, files=len(made.facts))]
    if (low, high) != (0.0, 255.0):
        notes.append(message("values: {low:g} to {high:g} become black and white", low=low, high=high))
    if any(pair.axes[1].sizes(pair.mask.shape()).get("C", 1) > 1 for pair in pairs):
        notes.append(message("masks of one plane a class: the number of the plane is the class"))
    others = files_of(root, (".h5", ".hdf5"))
    if others:
        notes.append(
            plural(
                "{n} HDF5 file is not read: {names}",
                "{n} HDF5 files are not read: {names}",
                n=len(others),
                names=shorten((path.relative_to(root).as_posix() for path in others), 3),
            )
        )
    return notes


def _entries(
    made: Unpacked, pairs: Sequence[Pair], group: str | None, root: Path, notes: list[str]
) -> tuple[Entry, ...]:
    named = [(pair, name) for pair, facts in zip(pairs, made.facts, strict=True) for name, _ in facts["slices"]]
    of_case = {name: match[1] for _, name in named if (match := _SLICE.fullmatch(PurePosixPath(name).name))}
    sliced = len(of_case) == len(named)
    if sliced and group is None:
        notes.append(
            message(
                "images named alike up to the slice are a group, such as {group}", group=next(iter(of_case.values()))
            )
        )
    entries = [
        Entry(
            id=name,
            image=made.folder / "images" / f"{name}.png",
            mask=made.folder / "masks" / f"{name}.png",
            group=of_case[name] if sliced else None,
            split=pair.split,
        )
        for pair, name in named
    ]
    return with_groups(entries, group, root)
