"""What each file of a data set holds, found once and remembered as long as size and modification time stay the same.

The facts depend on the file alone, not on class map or options, so every reading of the same folder shares them.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from segbench.data._places import cache_folder
from segbench.data.images import (
    image_facts,
    is_deep,
    missing_text,
    read_bytes,
    read_image,
    read_mask_values,
    read_palette,
)
from segbench.data.masks import count_values
from segbench.errors import DatasetError
from segbench.files import write_text
from segbench.types import RGB, MaskValue, Progress

_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class ImageFact:
    """An image file: bytes, modification time, hash, size after EXIF orientation; decoded, or only the header."""

    size: int
    mtime_ns: int
    sha256: str
    height: int
    width: int
    decoded: bool
    deep: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class MaskFact:
    """A mask file: as `ImageFact`, and pixels a value; `palette` has the colours of a palette file's used indices."""

    size: int
    mtime_ns: int
    sha256: str
    height: int
    width: int
    counts: Mapping[MaskValue, int]
    distinct: int
    palette: Mapping[int, RGB] = field(default_factory=dict)

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


Fact = TypeVar("Fact", ImageFact, MaskFact)
Problem = tuple[Path, str]


class FactStore:
    """The facts of the files below one root, and a JSON file in the cache folder that remembers them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        digest = hashlib.sha256(str(root).encode()).hexdigest()[:24]
        self.path = cache_folder() / "facts" / f"{digest}.json"
        self._images: dict[str, ImageFact] = {}
        self._masks: dict[str, MaskFact] = {}
        self._changed = False
        self._load()

    def images(
        self,
        paths: Iterable[Path],
        *,
        depth_range: tuple[float, float] | None,
        decode: bool,
        progress: Progress | None = None,
    ) -> tuple[dict[Path, ImageFact], list[Problem]]:
        """Returns the facts of the readable images and the reason for each of the others.

        Args:
            decode: decode every image once, which finds damaged files; else only the header is read.
        """

        def known(path: Path, fact: ImageFact) -> bool:
            return (fact.decoded or not decode) and (not fact.deep or depth_range is not None)

        def read(path: Path) -> ImageFact:
            return _image_fact(path, depth_range, decode)

        return self._gather("reading images", list(paths), self._images, known, read, progress)

    def masks(
        self, paths: Iterable[Path], *, progress: Progress | None = None
    ) -> tuple[dict[Path, MaskFact], list[Problem]]:
        """Returns the facts of the readable masks, each decoded once, and the reason for each of the others."""
        return self._gather("reading masks", list(paths), self._masks, lambda path, fact: True, _mask_fact, progress)

    def sha256(self, path: Path) -> str:
        """Returns a file's hash, from memory when its size and modification time are the remembered ones."""
        key = self._key(path)
        for fact in (self._images.get(key), self._masks.get(key)):
            if fact is not None and _unchanged(path, fact):
                return fact.sha256
        return hashlib.sha256(read_bytes(path)).hexdigest()

    def save(self) -> str | None:
        """Writes the facts; returns why that was not possible, or None. Reading works without, only slower."""
        if not self._changed:
            return None
        images = {key: asdict(fact) for key, fact in sorted(self._images.items())}
        masks = {key: _plain_mask(fact) for key, fact in sorted(self._masks.items())}
        content = {"version": _VERSION, "root": str(self.root), "images": images, "masks": masks}
        try:
            write_text(self.path, json.dumps(content, separators=(",", ":")))
        except OSError as error:
            return (
                f"what was found could not be remembered in {self.path.parent} ({error.strerror or error}); set "
                "SEGBENCH_CACHE to a folder that can be written"
            )
        self._changed = False
        return None

    def _gather(
        self,
        what: str,
        paths: list[Path],
        remembered: dict[str, Fact],
        known: Callable[[Path, Fact], bool],
        read: Callable[[Path], Fact],
        progress: Progress | None,
    ) -> tuple[dict[Path, Fact], list[Problem]]:
        facts: dict[Path, Fact] = {}
        fresh: list[Path] = []
        for path in dict.fromkeys(paths):
            fact = remembered.get(self._key(path))
            if fact is not None and known(path, fact) and _unchanged(path, fact):
                facts[path] = fact
            else:
                fresh.append(path)
        total, before = len(facts) + len(fresh), len(facts)
        problems: list[Problem] = []
        if progress is not None:
            progress(what, before, total)
        for done, (path, outcome) in enumerate(_in_threads(read, fresh), before + 1):
            if isinstance(outcome, DatasetError):
                problems.append((path, outcome.reason))
            else:
                facts[path] = remembered[self._key(path)] = outcome
                self._changed = True
            if progress is not None:
                progress(what, done, total)
        return facts, problems

    def _key(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)

    def _load(self) -> None:
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            if content["version"] != _VERSION or content["root"] != str(self.root):
                return
            images = {
                key: ImageFact(**{**fact, "notes": tuple(fact["notes"])}) for key, fact in content["images"].items()
            }
            masks = {key: _read_mask(fact) for key, fact in content["masks"].items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return  # no memory, or a damaged one: everything is read again and written anew
        self._images, self._masks = images, masks


def _in_threads(read: Callable[[Path], Fact], paths: list[Path]) -> Iterable[tuple[Path, Fact | DatasetError]]:
    def attempt(path: Path) -> Fact | DatasetError:
        try:
            return read(path)
        except DatasetError as error:
            return error

    if len(paths) < 4:
        yield from ((path, attempt(path)) for path in paths)
        return
    pool = ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1))
    try:
        yield from zip(paths, pool.map(attempt, paths), strict=True)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _unchanged(path: Path, fact: ImageFact | MaskFact) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return status.st_size == fact.size and status.st_mtime_ns == fact.mtime_ns


def _stat(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise DatasetError(missing_text(path), path=path) from error
    except OSError as error:
        raise DatasetError(f"cannot read the file: {error.strerror or error}", path=path) from error
    return status.st_size, status.st_mtime_ns


def _image_fact(path: Path, depth_range: tuple[float, float] | None, decode: bool) -> ImageFact:
    size, mtime_ns = _stat(path)
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
    pixels = read_image(path, depth_range=depth_range, notes=notes, data=data)
    return ImageFact(
        size=size,
        mtime_ns=mtime_ns,
        sha256=hashlib.sha256(data).hexdigest(),
        height=pixels.shape[0],
        width=pixels.shape[1],
        decoded=True,
        deep=depth_range is not None and is_deep(path, data=data),
        notes=tuple(notes),
    )


def _mask_fact(path: Path) -> MaskFact:
    size, mtime_ns = _stat(path)
    data = read_bytes(path)
    values = read_mask_values(path, data=data)
    counts, distinct = count_values(values)
    palette = read_palette(path, data=data) if values.ndim == 2 else []
    return MaskFact(
        size=size,
        mtime_ns=mtime_ns,
        sha256=hashlib.sha256(data).hexdigest(),
        height=values.shape[0],
        width=values.shape[1],
        counts=counts,
        distinct=distinct,
        palette={value: palette[value] for value in counts if isinstance(value, int) and value < len(palette)},
    )


def _plain_mask(fact: MaskFact) -> dict[str, Any]:
    return {
        **{key: getattr(fact, key) for key in ("size", "mtime_ns", "sha256", "height", "width", "distinct")},
        "counts": [[value, pixels] for value, pixels in fact.counts.items()],
        "palette": [[value, color] for value, color in fact.palette.items()],
    }


def _read_mask(plain: Mapping[str, Any]) -> MaskFact:
    counts = {tuple(value) if isinstance(value, list) else value: pixels for value, pixels in plain["counts"]}
    palette = {value: (color[0], color[1], color[2]) for value, color in plain["palette"]}
    return MaskFact(**{**plain, "counts": counts, "palette": palette})
