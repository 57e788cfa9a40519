"""What a reader hands over, and the small steps that readers share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from segbench.data.facts.store import MaskFact
from segbench.data.files.bands import Bands
from segbench.data.shapes.drawing import Drawing, Painting
from segbench.errors import ConfigError, DatasetError, shorten, suggest
from segbench.locale import message
from segbench.types import ClassMap, SplitName

HEIC_SUFFIXES = frozenset({".heic", ".heif"})  # photos of phones, which other tools hardly read
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif"}) | HEIC_SUFFIXES
_SUFFIXES = tuple(IMAGE_SUFFIXES)


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """An image and its mask.

    Attributes:
        id: unique in the listing; stays the same when files are added.
        image: below the root.
        mask: below the root; multilabel: a path a class in class order, None where a class has no file and is absent;
            or the shapes that the mask is drawn from.
        window: (top, left, height, width) of the part of both files that is meant, in pixels; None means all.
        group: see `segbench.types.Sample`.
        split: the part an official list puts it in; None where no list names it.
    """

    id: str
    image: Path
    mask: Path | tuple[Path | None, ...] | Drawing
    group: str | None = None
    split: SplitName | None = None
    window: tuple[int, int, int, int] | None = None

    @property
    def drawing(self) -> Drawing | None:
        """The shapes that the mask is drawn from; None where masks are files."""
        return self.mask if isinstance(self.mask, Drawing) else None

    @property
    def planes(self) -> tuple[Path | None, ...]:
        """The mask files: one, multilabel one a class, None where a class has none; () where the mask is drawn."""
        if isinstance(self.mask, tuple):
            return self.mask
        return () if isinstance(self.mask, Drawing) else (self.mask,)

    @property
    def masks(self) -> tuple[Path, ...]:
        """The mask files that exist."""
        return tuple(path for path in self.planes if path is not None)


@dataclass(frozen=True, kw_only=True)
class Defect:
    """Something wrong in an annotation, found while listing.

    Attributes:
        code: short and stable, as in `DEFECTS`.
        path: of the file it is in.
        where: key, line or image name inside the file.
        text: what is wrong, and what was done about it.
        fatal: nothing sensible can be drawn; reading refuses, or leaves it out where the user says so.
        image: that misses a shape by it. With a fatal defect it is left out, since the shape's pixels would become
            background.
    """

    code: str
    path: Path
    where: str
    text: str
    fatal: bool = False
    image: Path | None = None


DEFECTS = {
    "few_points": message("polygons with fewer than three points"),
    "bad_numbers": message("coordinates that are no finite numbers, or far outside of the image"),
    "bad_shape": message("shapes with a value that is missing, or of another kind than the format has"),
    "bad_rle": message("run lengths that do not add up to the image"),
    "outside": message("shapes that lie outside of the image, in part or whole"),
    "no_class": message("images with regions without a class"),
    "unknown_class": message("regions of a class that the list of classes does not have"),
    "no_annotation": message("images without annotations"),
    "no_image": message("annotations of images that are not there"),
    "wrong_path": message("annotations that name another image, or another folder, than the one taken"),
    "unused_shape": message("shapes of a kind that covers no pixels"),
    "unknown_shape": message("shapes of a kind that is not read"),
    "only_box": message("objects with a box and no outline"),
    "overlapping_lists": message("names in more than one published list"),
    "wrong_size": message("annotations made for another image size"),
}


def defect_notes(defects: Iterable[Defect], place: Callable[[Defect], str] = lambda defect: defect.where) -> list[str]:
    """Returns a note for each kind of defect: how many, and where the first ones are, as `place` says."""
    kinds: dict[str, list[Defect]] = {}
    for defect in defects:
        kinds.setdefault(defect.code, []).append(defect)
    return [
        f"{len(found)} {DEFECTS[code]}: {shorten((f'{place(item)} ({item.text})' for item in found), 3)}"
        for code, found in kinds.items()
    ]


ClassMapRule: TypeAlias = Callable[[Mapping[Path, MaskFact]], ClassMap]


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The labelled images a reader found.

    Attributes:
        class_map: or a rule that derives it from what the mask files hold, once they have been read.
        entries: in any order.
        painter: (drawing, (H, W)) -> what to draw, for entries whose mask is a drawing.
        notes: what a person should know: files left out, groups that cross official parts, ...
        defects: what is wrong in the annotations, one by one.
        skip_undrawn: leave out images whose shapes turn out not to fit them, once their sizes are known.
        depth_range: see `segbench.data.files.images.read_image`.
        tolerance: see `segbench.data.files.masks.encode_mask`.
        bands: the channels of files that are read by windows; None for ordinary images, which are RGB.
        root: where the entries' files lie, where that is not the data set's folder (they were unpacked into the cache).
    """

    class_map: ClassMap | ClassMapRule
    entries: tuple[Entry, ...]
    painter: Callable[[Drawing, tuple[int, int]], Painting] | None = None
    notes: tuple[str, ...] = ()
    defects: tuple[Defect, ...] = ()
    skip_undrawn: bool = False
    depth_range: tuple[float, float] | None = None
    tolerance: int = 0
    bands: Bands | None = None
    root: Path | None = None

    def classes_of(self, facts: Mapping[Path, MaskFact]) -> ClassMap:
        """Returns the class map; DatasetError where it follows from the masks' `facts` and none fits them."""
        return self.class_map if isinstance(self.class_map, ClassMap) else self.class_map(facts)


def image_files(folder: Path, *, recursive: bool = True) -> list[Path]:
    """Returns the image files in a folder, sorted, without hidden ones; with links to nowhere, to be complained of."""
    return list(_images_below(folder, recursive))


def _images_below(folder: Path, recursive: bool) -> Iterator[Path]:
    """Yields image files in the order of their paths; folders behind links are not entered."""
    for entry in _visible(folder, missing_ok=recursive):
        if entry.is_dir(follow_symlinks=False):
            if recursive:
                yield from _images_below(folder / entry.name, recursive)
        elif entry.name.lower().endswith(_SUFFIXES):
            path = folder / entry.name
            if entry.is_file() or (entry.is_symlink() and not path.exists()):
                yield path


def _visible(folder: Path, *, missing_ok: bool = False) -> list[os.DirEntry[str]]:
    """Returns what is in a folder, sorted by name, without hidden ones; the operating system is asked once.

    Args:
        missing_ok: nothing is in a folder that is not there, or closed.
    """
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if not entry.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        if not missing_ok:
            raise
        return []
    return sorted(found, key=lambda entry: entry.name)


def subfolders(folder: Path) -> list[Path]:
    """Returns the visible folders in a folder, sorted."""
    return [folder / entry.name for entry in _visible(folder) if entry.is_dir()]


def by_stem(folder: Path, root: Path, kind: str) -> dict[str, Path]:
    """Returns name without suffix -> image file right in a folder; DatasetError as `by_key`."""
    return by_key(((path.stem, path) for path in image_files(folder, recursive=False)), root, kind)


def by_key(files: Iterable[tuple[str, Path]], root: Path, kind: str) -> dict[str, Path]:
    """Returns key -> file; DatasetError where two files have the same key (a.jpg and a.png).

    Args:
        kind: what the files are, for the message: "image" or "mask".
    """
    result: dict[str, Path] = {}
    doubles: list[str] = []
    for key, path in files:
        if key in result:
            doubles.append(f"{key!r} ({result[key].relative_to(root)}, {path.relative_to(root)})")
        result[key] = path
    if doubles:
        raise DatasetError(
            f"expected one {kind} a name, got {len(doubles)} duplicate ids: {shorten(doubles, 5)}; remove or rename "
            "one of each",
            path=root,
        )
    return result


def choose(value: str, allowed: Iterable[str], option: str) -> str:
    """Returns `value`; ConfigError naming the option when it is none of the allowed ones."""
    known = list(allowed)
    if value not in known:
        raise ConfigError(f"expected one of {', '.join(known)}, got {value!r}", key=f"data.options.{option}")
    return value


def check_tolerance(tolerance: int | Literal["nearest"]) -> int:
    """Returns the option `tolerance` as a distance of grey values; ConfigError where it is none below the middle."""
    if tolerance == "nearest":
        return 127
    if not 0 <= tolerance <= 127:
        raise ConfigError(
            f"expected a whole number from 0 to 127, or nearest, got {tolerance!r}", key="data.options.tolerance"
        )
    return tolerance


def check_depth(depth_range: Sequence[float] | None) -> tuple[float, float] | None:
    """Returns the option `depth_range` as numbers; ConfigError where it is no range."""
    if depth_range is None:
        return None
    if len(depth_range) != 2 or depth_range[0] >= depth_range[1]:
        raise ConfigError(f"expected [low, high] with low < high, got {depth_range!r}", key="data.options.depth_range")
    return float(depth_range[0]), float(depth_range[1])


def missing_folder(root: Path, name: str, wanted: str) -> DatasetError:
    """Returns the error for a format's folder or file that is not there, with what is there instead."""
    there = sorted(path.name for path in root.iterdir() if not path.name.startswith("."))
    return DatasetError(
        f"expected {wanted}, but there is no {name!r} in this folder; {suggest(name, there)}", path=root
    )


def read_text(path: Path, kind: str) -> str:
    """Returns what a UTF-8 file holds; DatasetError, with what it is (`kind`), where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"cannot read {kind}: {error}", path=path) from error


def read_lines(path: Path, *, comments: bool = True) -> list[tuple[int, str]]:
    """Returns (line number from 1, text) of each line that is not blank, and no comment where there are `comments`."""
    lines = ((number, line.strip()) for number, line in enumerate(read_text(path, "the list").splitlines(), 1))
    return [(number, line) for number, line in lines if line and not (comments and line.startswith("#"))]
