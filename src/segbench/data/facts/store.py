"""What each file of a data set holds, found once and remembered as long as size and modification time stay the same.

The facts depend on the file alone, not on class map or options, so every reading of the same folder shares them. They
are written while files are read, so that a killed reading goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segbench.data.facts.held import Held
from segbench.data.facts.table import Memory, Name, Row, batches
from segbench.data.files.images import (
    DecodedMask,
    decode_image,
    file_state,
    image_facts,
    opened_mask,
    read_bytes,
    rgb_pixels,
)
from segbench.data.files.kept import KeptPixels
from segbench.data.files.masks import count_values
from segbench.data.files.threads import in_order, usual_workers
from segbench.data.shapes.drawing import Painting, paint
from segbench.errors import DatasetError
from segbench.files import cache_folder
from segbench.types import RGB, MaskValue, Progress

THUMB_SIDE = 16
DRAWN = "drawn"  # `MaskFact.kind` of a mask that is drawn from shapes

_NOTHING: Mapping[MaskValue, int] = {}
_SPREAD_SIDE = 128
_LEVELS = np.arange(256)


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageFact:
    """An image file.

    Attributes:
        size, mtime_ns: bytes, and time of the last change or replacement, by which a change is noticed.
        sha256: of the bytes.
        height, width: in pixels, after EXIF orientation.
        decoded: whether the pixels were read, or only the header; what follows is known of decoded files only.
        deep: holds grey values of more than 8 bit.
        notes: what a careful reader would want to know.
        kind, mode: Pillow's names for the file format and the pixels (`JPEG`, `RGBA`).
        orientation: EXIF orientation, 1-8.
        thumb: 16 x 16 grey values as hexadecimal text, for finding copies.
        mean, std: of each channel, 0-255, over a sample of the pixels.
    """

    size: int
    mtime_ns: int
    sha256: str
    height: int
    width: int
    decoded: bool
    deep: bool = False
    notes: tuple[str, ...] = ()
    kind: str = ""
    mode: str = ""
    orientation: int = 1
    thumb: str = ""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskFact:
    """A mask: as `ImageFact`, and what it holds.

    Attributes:
        counts: pixels a value.
        distinct: number of values, which may be more than `counts` tells.
        palette: colours of a palette file's used indices.
        border: pixels a value along the image's border.
        shared: pixels that shapes of different classes share, of a mask drawn from shapes.
        clear: pixels that are not opaque.
        alpha: the values are how opaque each pixel is, as all that shows is black.
    """

    size: int
    mtime_ns: int
    sha256: str
    height: int
    width: int
    counts: Mapping[MaskValue, int]
    distinct: int
    palette: Mapping[int, RGB] = field(default_factory=dict)
    kind: str = ""
    mode: str = ""
    orientation: int = 1
    border: Mapping[MaskValue, int] = field(default_factory=dict)
    shared: int = 0
    clear: int = 0
    alpha: bool = False

    @property
    def is_drawn(self) -> bool:
        """Whether it is drawn from shapes, and so holds class indices (multilabel: how many pixels each has)."""
        return self.kind == DRAWN

    @property
    def is_rgb(self) -> bool:
        """Whether the file holds colours (a palette file holds indices)."""
        return any(isinstance(value, tuple) for value in self.counts)

    def in_colors(self) -> Mapping[MaskValue, int]:
        """Returns pixels a colour; the indices of a palette file are looked up."""
        if not self.palette:
            return self.counts
        result: dict[MaskValue, int] = {}
        for value, pixels in self.counts.items():
            color = self.palette[value] if isinstance(value, int) else value
            result[color] = result.get(color, 0) + pixels
        return result


@dataclass(frozen=True, slots=True)
class _Other:
    size: int
    mtime_ns: int
    value: Any


class _Values(Mapping[Path, Any]):
    """What `FactStore.other` found, without the files' states."""

    def __init__(self, found: Mapping[Path, _Other]) -> None:
        self._found = found

    def __getitem__(self, path: Path) -> Any:
        return self._found[path].value

    def __contains__(self, path: object) -> bool:
        return path in self._found

    def __iter__(self) -> Iterator[Path]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


@dataclass(frozen=True, slots=True)
class Also:
    """What else is to be found in a mask while it is decoded, for a later `FactStore.other` of that kind.

    Attributes:
        kind: under which it is remembered.
        find: (path, facts, mask) -> plain JSON values; None where this mask is left to `other`.
    """

    kind: str
    find: Callable[[Path, MaskFact, DecodedMask], Any]


Fact = TypeVar("Fact", ImageFact, MaskFact, _Other)
Found = TypeVar("Found")
Problem = tuple[Path, str]


class FactStore:
    """The facts of the files below one root, and a database in the cache folder that remembers them.

    Attributes:
        also: what else is found in every mask that is decoded, or None.
    Args:
        root: of the data set.
        kept: takes the pixels of every file that is decoded, for a cache that wants them too; see `KeptPixels`.
        lean: leave out of memory what only a look for copies and statistics needs (`thumb`, `mean`, `std`, `border`);
            it is remembered all the same.
    """

    def __init__(self, root: Path, *, lean: bool = False, kept: KeptPixels | None = None) -> None:
        self.root, self.lean, self.kept = root, lean, kept
        self.also: Also | None = None
        digest = hashlib.sha256(str(root).encode()).hexdigest()[:24]
        self.path = cache_folder() / "facts" / f"{digest}.sqlite"
        self._memory = Memory(self.path)
        self._prefix = f"{root}{os.sep}"

    def images(
        self,
        paths: Iterable[Path],
        *,
        depth_range: tuple[float, float] | None,
        decode: bool,
        progress: Progress | None = None,
    ) -> tuple[Held[ImageFact], list[Problem]]:
        """Returns the facts of the readable images and the reason for each of the others.

        Args:
            decode: decode every image once, which finds damaged files; else only the header is read.
        """

        def known(fact: ImageFact) -> bool:
            return (fact.decoded or not decode) and (not fact.deep or depth_range is not None)

        def read(path: Path) -> ImageFact:
            return _image_fact(path, depth_range, decode, self.kept)

        return self._gather(
            "images", list(paths), _image_from, _plain, known, read, ImageFact, "reading images in", progress
        )

    def masks(self, paths: Iterable[Path], *, progress: Progress | None = None) -> tuple[Held[MaskFact], list[Problem]]:
        """Returns the facts of the readable masks, each decoded once, and the reason for each of the others."""

        def read(path: Path) -> MaskFact:
            fact, mask = _mask_fact(path, self.kept)
            found = None if self.also is None else self.also.find(path, fact, mask)
            if self.also is not None and found is not None:
                other = _Other(fact.size, fact.mtime_ns, found)
                self._memory.put(self.also.kind, self._key(path), fact.size, fact.mtime_ns, _compact(_plain(other)))
            return fact

        return self._gather(
            "masks",
            list(paths),
            _mask_from,
            _plain_mask,
            lambda fact: True,
            read,
            MaskFact,
            "reading masks in",
            progress,
        )

    def drawn(self, hashes: Mapping[str, str]) -> dict[str, MaskFact]:
        """Returns the remembered facts of drawn masks by name, for name -> hash of what is drawn."""
        facts: dict[str, MaskFact] = {}
        for names in batches(list(hashes)):
            rows = self._memory.get("drawings", [hashes[name] for name in names])
            facts |= {name: _mask_from(json.loads(rows[hashes[name]][2])) for name in names if hashes[name] in rows}
        return facts

    def drawings(
        self, paintings: Mapping[str, Painting], *, progress: Progress | None = None
    ) -> tuple[dict[str, MaskFact], list[tuple[str, str]]]:
        """Returns the facts of drawn masks by name, and (name, reason) of those that cannot be drawn.

        They are remembered by the hash of what is drawn, so a changed annotation is drawn anew.
        """
        if not paintings:
            return {}, []
        hashes = {name: painting.sha256 for name, painting in paintings.items()}
        facts = self.drawn(hashes)
        fresh = [name for name in paintings if name not in facts]
        problems: list[tuple[str, str]] = []
        read = partial(_drawn_fact, paintings, hashes, self.root)
        for name, outcome in self._read(fresh, read, f"drawing the masks of {self.root.name}/", len(facts), progress):
            if isinstance(outcome, DatasetError):
                problems.append((name, str(outcome)))
                continue
            facts[name] = outcome
            self._memory.put("drawings", hashes[name], 0, 0, json.dumps(_plain_mask(outcome)))
        return facts, problems

    def other(
        self,
        kind: str,
        paths: Iterable[Path],
        read: Callable[[Path], Any],
        *,
        doing: str = "reading",
        progress: Progress | None = None,
    ) -> tuple[Mapping[Path, Any], list[Problem]]:
        """Returns what `read` finds in each file, as plain JSON values, remembered under `kind` like other facts.

        Args:
            doing: what is shown before the folder's name meanwhile; `kind` is not for people.
        """

        def wrapped(path: Path) -> _Other:
            size, mtime_ns = file_state(path)
            return _Other(size, mtime_ns, read(path))

        found, problems = self._gather(
            kind,
            list(paths),
            lambda plain: _Other(**plain),
            _plain,
            lambda fact: True,
            wrapped,
            _Other,
            doing,
            progress,
        )
        return _Values(found), problems

    def sha256(self, path: Path) -> str:
        """Returns a file's hash, from memory when its size and modification time are the remembered ones."""
        key = self._key(path)
        for kind in ("images", "masks"):
            row = self._memory.get(kind, [key]).get(key)
            if row is not None and _unchanged(path, row):
                return str(json.loads(row[2])["sha256"])
        return hashlib.sha256(read_bytes(path)).hexdigest()

    def save(self) -> str | None:
        """Keeps what was found; returns why that was not possible, or None. Reading works without, only slower."""
        return self._memory.close()

    def _gather(
        self,
        kind: str,
        paths: list[Path],
        parse: Callable[[dict[str, Any]], Fact],
        plain: Callable[[Fact], dict[str, Any]],
        known: Callable[[Fact], bool],
        read: Callable[[Path], Fact],
        held: type[Fact],
        doing: str,
        progress: Progress | None,
    ) -> tuple[Held[Fact], list[Problem]]:
        facts = self._held(held)
        fresh: list[Path] = []
        for some in batches(list(dict.fromkeys(paths))):
            keys = [self._key(path) for path in some]
            rows = self._memory.get(kind, keys)
            for path, key in zip(some, keys, strict=True):
                row = rows.get(key)
                fact = parse(json.loads(row[2])) if row is not None and _unchanged(path, row) else None
                if fact is not None and known(fact):
                    facts.put(path, self._kept(fact))
                else:
                    fresh.append(path)
        problems: list[Problem] = []
        for path, outcome in self._read(fresh, read, f"{doing} {self._folder(paths)}/", len(facts), progress):
            if isinstance(outcome, DatasetError):
                problems.append((path, outcome.reason))
                continue
            facts.put(path, self._kept(outcome))
            self._memory.put(kind, self._key(path), outcome.size, outcome.mtime_ns, _compact(plain(outcome)))
        return facts, problems

    def _held(self, kind: type[Fact]) -> Held[Fact]:
        names = kind.__slots__
        return Held(
            self.path.parent,
            lambda fact: [getattr(fact, name) for name in names],
            lambda values: kind(**dict(zip(names, values, strict=True))),
        )

    def _kept(self, fact: Fact) -> Fact:
        if not self.lean:
            return fact
        if isinstance(fact, ImageFact):
            return replace(fact, thumb="", mean=(), std=())
        return replace(fact, border=_NOTHING) if isinstance(fact, MaskFact) else fact

    def _read(
        self,
        names: list[Name],
        read: Callable[[Name], Found],
        what: str,
        before: int,
        progress: Progress | None,
    ) -> Iterator[tuple[Name, Found | DatasetError]]:
        total = before + len(names)
        if progress is not None:
            progress(what, before, total)
        workers = usual_workers()
        results = in_order(read, names, workers=workers, ahead=4 * workers, name="read")
        for done, (name, future) in enumerate(results, before + 1):
            outcome: Found | DatasetError
            try:
                outcome = future.result()
            except DatasetError as error:
                outcome = error
            yield name, outcome
            if progress is not None:
                progress(what, done, total)

    def _folder(self, paths: Sequence[Path]) -> str:
        """Returns the folder that holds all of these files, as people know it: its way from the data set's."""
        if not paths:
            return self.root.name
        folder = Path(os.path.commonpath({path.parent for path in paths}))
        inside = folder.is_relative_to(self.root) and folder != self.root
        return folder.relative_to(self.root).as_posix() if inside else folder.name

    def _key(self, path: Path) -> str:
        name = str(path).removeprefix(self._prefix)
        return os.fsencode(name).decode("utf-8", "backslashreplace")


def _unchanged(path: Path, row: Row) -> bool:
    try:
        return file_state(path) == row[:2]
    except DatasetError:
        return False  # whoever reads it says so


def _image_fact(
    path: Path, depth_range: tuple[float, float] | None, decode: bool, kept: KeptPixels | None
) -> ImageFact:
    size, mtime_ns = file_state(path)
    if not decode:
        header = image_facts(path)
        return ImageFact(
            size=size,
            mtime_ns=mtime_ns,
            sha256=header.sha256,
            height=header.height,
            width=header.width,
            decoded=False,
        )
    data = read_bytes(path)
    notes: list[str] = []
    image, look = decode_image(path, depth_range=depth_range, notes=notes, data=data)
    mean, std = _spread(image)
    sha256 = hashlib.sha256(data).hexdigest()
    if kept is not None:
        kept.add_image(path, (size, mtime_ns), sha256, rgb_pixels(image), depth_range)
    return ImageFact(
        size=size,
        mtime_ns=mtime_ns,
        sha256=sha256,
        height=image.height,
        width=image.width,
        decoded=True,
        deep=depth_range is not None and look.deep,
        notes=tuple(notes),
        kind=look.kind,
        mode=look.mode,
        orientation=look.orientation,
        thumb=_thumb(image),
        mean=mean,
        std=std,
    )


def _thumb(image: Image.Image) -> str:
    """Returns the picture as 16 x 16 grey values, each the mean of what it stands for."""
    return image.convert("L").resize((THUMB_SIDE, THUMB_SIDE), Image.Resampling.BOX).tobytes().hex()


def _spread(image: Image.Image) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns mean and standard deviation a channel, of at most about 128 x 128 pixels spread over the image."""
    down, right = (max(1, side // _SPREAD_SIDE) for side in (image.height, image.width))
    size = (-(-image.width // right), -(-image.height // down))
    every = (right, 0, 0.5 - right / 2, 0, down, 0.5 - down / 2)  # pixel (x, y) is that at (x * right, y * down)
    some = image.transform(size, Image.Transform.AFFINE, every, Image.Resampling.NEAREST)
    counts = np.array(some.histogram(), dtype=np.int64).reshape(-1, 256)
    counts = np.repeat(counts, 3 // len(counts), axis=0)  # grey: all channels are equal
    number, total, squares = size[0] * size[1], counts @ _LEVELS, counts @ _LEVELS**2
    mean, std = total / number, np.sqrt(number * squares - total**2) / number  # whole numbers up to the root
    return tuple(mean.round(3).tolist()), tuple(std.round(3).tolist())


def _mask_fact(path: Path, kept: KeptPixels | None) -> tuple[MaskFact, DecodedMask]:
    size, mtime_ns = file_state(path)
    data = read_bytes(path)
    with opened_mask(path, data=data) as mask:
        values = mask.values()
        palette = mask.palette() if values.ndim == 2 else []
        clear, alpha = mask.alpha()
    counts, distinct = count_values(values)
    sha256 = hashlib.sha256(data).hexdigest()
    if kept is not None:
        kept.add_mask(path, (size, mtime_ns), sha256, values, indexed=bool(palette))
    fact = MaskFact(
        size=size,
        mtime_ns=mtime_ns,
        sha256=sha256,
        height=values.shape[0],
        width=values.shape[1],
        counts=counts,
        distinct=distinct,
        palette={value: palette[value] for value in counts if isinstance(value, int) and value < len(palette)},
        kind=mask.look.kind,
        mode=mask.look.mode,
        orientation=mask.look.orientation,
        border=_border_counts(values),
        clear=clear,
        alpha=alpha,
    )
    return fact, mask


def _drawn_fact(paintings: Mapping[str, Painting], hashes: Mapping[str, str], root: Path, name: str) -> MaskFact:
    painting = paintings[name]
    labels, shared = paint(painting, root)
    planes = labels.ndim == 3
    counts: dict[MaskValue, int]
    if planes:
        counts = {index: int((plane == 1).sum()) for index, plane in enumerate(labels)}
        distinct = len(counts)
    else:
        counts, distinct = count_values(labels)
    return MaskFact(
        size=0,
        mtime_ns=0,
        sha256=hashes[name],
        height=painting.height,
        width=painting.width,
        counts=counts,
        distinct=distinct,
        kind=DRAWN,
        border={} if planes else _border_counts(labels),
        shared=shared,
    )


def _border_counts(values: NDArray[Any]) -> dict[MaskValue, int]:
    edges = [values[:1], values[-1:], *(side.swapaxes(0, 1) for side in (values[1:-1, :1], values[1:-1, -1:]))]
    return count_values(np.concatenate(edges, axis=1))[0]


def _image_from(plain: dict[str, Any]) -> ImageFact:
    return ImageFact(**{**plain, **{key: tuple(plain[key]) for key in ("notes", "mean", "std")}})


def _pairs(values: Mapping[MaskValue, Any]) -> list[list[Any]]:
    return [[value, pixels] for value, pixels in values.items()]


def _plain(fact: ImageFact | MaskFact | _Other) -> dict[str, Any]:
    return {name: getattr(fact, name) for name in fact.__slots__}


def _compact(plain: Mapping[str, Any]) -> str:
    return json.dumps(plain, separators=(",", ":"))


def _plain_mask(fact: MaskFact) -> dict[str, Any]:
    plain = _plain(fact)
    return {**plain, **{key: _pairs(plain[key]) for key in ("counts", "palette", "border")}}


def _mask_from(plain: dict[str, Any]) -> MaskFact:
    def values(key: str) -> dict[MaskValue, int]:
        return {tuple(value) if isinstance(value, list) else value: pixels for value, pixels in plain[key]}

    palette = {value: (color[0], color[1], color[2]) for value, color in plain["palette"]}
    return MaskFact(**{**plain, "counts": values("counts"), "border": values("border"), "palette": palette})
