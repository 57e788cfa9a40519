"""What the checks look at: a data set read as far as it can be read, whatever is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segbench.data.facts.counting import class_pixels
from segbench.data.facts.store import FactStore, ImageFact, MaskFact, Problem
from segbench.data.files.images import file_look
from segbench.data.formats import FORMATS, Listing
from segbench.data.formats.shared.listing import IMAGE_SUFFIXES
from segbench.data.shapes.drawing import Painting
from segbench.doctor.finding import Action, Fix, Picture
from segbench.doctor.regions import Objects
from segbench.locale import Number
from segbench.types import ClassMap, Progress, SplitName, Task

PICTURES = 6  # that show one finding


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """An image and where its labels are.

    Attributes:
        id, group, split: see `segbench.types.Sample`.
        image: file.
        masks: mask files: one; multilabel one a class, None where a class has none; none where the mask is drawn.
        source: annotation file that the mask is drawn from, or None.
    """

    id: str
    image: Path
    masks: tuple[Path | None, ...] = ()
    source: Path | None = None
    group: str | None = None
    split: SplitName | None = None

    @property
    def mask_files(self) -> tuple[Path, ...]:
        """The mask files that exist."""
        return tuple(path for path in self.masks if path is not None)


@dataclass(kw_only=True)
class Reading:
    """A data set as the checks see it.

    Attributes:
        root: of the data set.
        format: name of the reader; empty where none fits.
        cases: sorted by id.
        images, masks: facts of the readable files.
        drawn: facts of drawn masks, by id.
        problems: files that cannot be used, and why.
        class_map: None where the masks' values make none.
        tolerance: see `segbench.data.files.masks.encode_mask`.
        listing: as the reader gave it; None where it gave none, or where a manifest is looked at.
        paintings: what is drawn, by id.
        files: everything below the root.
        store: remembers what checks find.
        image_size: (H, W) of training; None where nobody has said.
        given: the reader's options that the user set, rather than a guess.
        objects: of the masks; None where they were not looked at.
    """

    root: Path
    format: str = ""
    cases: tuple[Case, ...] = ()
    images: Mapping[Path, ImageFact] = field(default_factory=dict)
    masks: Mapping[Path, MaskFact] = field(default_factory=dict)
    drawn: Mapping[str, MaskFact] = field(default_factory=dict)
    problems: Sequence[Problem] = ()
    class_map: ClassMap | None = None
    tolerance: int = 0
    listing: Listing | None = None
    paintings: Mapping[str, Painting] = field(default_factory=dict)
    files: Sequence[Path] = ()
    store: FactStore
    image_size: tuple[int, int] | None = None
    given: Mapping[str, Any] = field(default_factory=dict)
    objects: Objects | None = None

    def name(self, path: Path) -> str:
        """Returns a path relative to the root, as findings name files."""
        name = str(path).removeprefix(f"{self.root}{os.sep}").replace(os.sep, "/")  # pathlib takes ten times as long
        return os.fsencode(name).decode("utf-8", "backslashreplace")

    def names(self, paths: Iterable[Path]) -> tuple[str, ...]:
        """Returns the paths relative to the root, sorted, each once."""
        return tuple(sorted({self.name(path) for path in paths}))

    def label_file(self, case: Case) -> Path:
        """Returns the file that is to be mended when a case's labels are wrong."""
        return case.source or next(iter(case.mask_files), case.image)

    def facts(self, case: Case) -> Iterator[tuple[int | None, MaskFact]]:
        """Yields (class index or None, facts) of a case's readable masks; an index where each class has its own."""
        multilabel = self.class_map is not None and self.class_map.task is Task.MULTILABEL
        for place, fact in enumerate(self._facts_in_order(case)):
            if fact is not None:
                yield place if multilabel and not fact.is_drawn else None, fact

    def _facts_in_order(self, case: Case) -> list[MaskFact | None]:
        """Returns a case's facts in class order, None for a class without a file or with one that cannot be read."""
        if case.source is not None:
            return [self.drawn.get(case.id)]
        return [None if path is None else self.masks.get(path) for path in case.masks]

    def has_option(self, name: str) -> bool:
        """Returns whether the reader has an option of this name."""
        return bool(self.format) and name in FORMATS.options(self.format)

    @property
    def known_map(self) -> ClassMap:
        """The class map, for whoever is asked only where there is one."""
        assert self.class_map is not None, "the caller has looked"
        return self.class_map

    @property
    def has_parts(self) -> bool:
        """Whether some case is in train, val or test."""
        return any(case.split is not None for case in self.cases)

    @cached_property
    def used_images(self) -> frozenset[Path]:
        """The image files of all cases."""
        return frozenset(case.image for case in self.cases)

    @cached_property
    def used_masks(self) -> frozenset[Path]:
        """The mask files of all cases."""
        return frozenset(path for case in self.cases for path in case.mask_files)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """(N, C + 1) pixels of each class in each case, ignored ones last; -1 where a mask cannot be decoded."""
        classes = self.class_map.num_classes if self.class_map is not None else 0
        table = np.full((len(self.cases), classes + 1), -1, dtype=np.int64)
        if self.class_map is None:
            return table
        for row, case in enumerate(self.cases):
            facts = self._facts_in_order(case)
            if len(facts) - facts.count(None) < (1 if case.source is not None else len(case.mask_files)):
                continue
            counted = class_pixels(facts, self.class_map, tolerance=self.tolerance)
            if counted is not None:
                table[row] = [counted.get(index, 0) for index in (*range(classes), self.class_map.ignore_index)]
        return table

    @cached_property
    def decoded(self) -> NDArray[np.bool_]:
        """(N,) which cases have known pixels a class."""
        known: NDArray[np.bool_] = self.counts[:, -1] >= 0
        return known

    def overlays(self, cases: Iterable[Case], caption: str = "") -> tuple[Picture, ...]:
        """Returns pictures of a few cases with their masks drawn over them."""
        return tuple(
            Picture(
                kind="overlay",
                files=(self.name(case.image), *(self.name(path) for path in case.mask_files)),
                sample=case.id,
                caption=caption or case.id,
            )
            for case in list(cases)[:PICTURES]
        )

    def portraits(self, paths: Iterable[Path], kind: str = "image") -> tuple[Picture, ...]:
        """Returns pictures of a few files alone: of images, or with kind `values` of masks."""
        shown = list(paths)[:PICTURES]
        names = [self.name(path) for path in shown]
        return tuple(
            Picture(kind="values" if kind == "values" else "image", files=(name,), caption=name) for name in names
        )

    def pairs(self, found: Iterable[tuple[Path, Path, str]]) -> tuple[Picture, ...]:
        """Returns pictures of a few pairs of files (one, other, caption), side by side."""
        return tuple(
            Picture(kind="pair", files=(self.name(one), self.name(other)), caption=caption)
            for one, other, caption in list(found)[:PICTURES]
        )

    def fixes(self, action: Action, paths: Iterable[Path], reason: str, **arguments: Any) -> tuple[Fix, ...]:
        """Returns the same change of every file, sorted by name."""
        return tuple(Fix(action=action, file=name, arguments=arguments, reason=reason) for name in self.names(paths))


class Remembered(FactStore):
    """Facts that were found before; files nobody has looked at yet, or that have changed, are left out."""

    def _read(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        return iter(())


def all_files(root: Path, known: Iterable[Path] = ()) -> list[Path]:
    """Returns every file below a folder, sorted, hidden ones too; those of version control are left out.

    Args:
        known: paths below the root; where they are met they are returned themselves, which saves half of the memory.
    """
    same = {str(path): path for path in known}
    found: list[Path] = []
    for folder, below, names in os.walk(root):
        below[:] = sorted(name for name in below if name not in (".git", ".hg", ".svn"))
        found += [same.get(place) or Path(place) for place in (f"{folder}{os.sep}{name}" for name in sorted(names))]
    return found


def damaged(files: Sequence[Path], store: FactStore, fast: bool, progress: Progress | None) -> list[Problem]:
    """Returns the pictures below a folder that cannot be opened, where no reader says which are images and masks."""
    pictures = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")]
    _, problems = store.images(pictures, depth_range=(0, 1), decode=not fast, progress=progress)
    return [(path, reason) for path, reason in problems if path.is_file() or path.is_symlink()]


def headers(images: Mapping[Path, ImageFact], store: FactStore, progress: Progress | None) -> dict[Path, ImageFact]:
    """Returns what the headers alone tell, whether or not pixels were read before: every quick look is equal."""

    def look(path: Path) -> list[Any]:
        found = file_look(path)
        return [found.kind, found.mode, found.orientation]

    looks, _ = store.other("headers", images, look, doing="reading headers in", progress=progress)
    known = {path: dict(zip(("kind", "mode", "orientation"), found, strict=True)) for path, found in looks.items()}
    without_pixels: dict[str, Any] = {"notes": (), "thumb": "", "mean": (), "std": ()}
    return {path: replace(fact, **known[path], **without_pixels) for path, fact in images.items() if path in known}


def percent(share: float) -> Number:
    """Returns a share as `12 %`, `0.034 %`."""
    return Number(f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.3g} %")
