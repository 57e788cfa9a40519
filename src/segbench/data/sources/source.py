"""What every kind of sample can be asked; the kinds are in `segbench.data.sources.table`.

A kind is stateless: one `Source` serves all data sets. Its `Survey` is one reading of a data set: from what a reader
listed to facts, and from facts to samples.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from segbench.data.facts.store import FactStore, ImageFact, MaskFact, Problem
from segbench.data.files.kept import KeptPixels
from segbench.data.files.resize import U8, resize_image, resize_mask
from segbench.data.formats import Entry, Listing
from segbench.data.manifest.manifest import Manifest
from segbench.data.shapes.drawing import Painting
from segbench.types import ClassMap, Progress, Sample


class Source(ABC):
    """One way in which samples are stored.

    Attributes:
        packed: samples lie ready in few large files; they are neither cached nor packed again.
    """

    packed = False

    @abstractmethod
    def holds(self, manifest: Manifest, sample: Sample) -> bool:
        """Returns whether the sample is stored in this way; of several kinds the first in the table has it."""

    @abstractmethod
    def survey(self, listing: Listing, root: Path, store: FactStore) -> Survey | None:
        """Returns how to read what a reader listed; None where it is stored in another way."""

    @abstractmethod
    def read(self, manifest: Manifest, sample: Sample) -> tuple[U8, U8]:
        """Returns image and labels; see `segbench.data.sources.load.load_sample`.

        Raises:
            DatasetError: a file is missing, or its bytes are not those the manifest was made from.
        """

    def read_resized(
        self, manifest: Manifest, sample: Sample, size: tuple[int, int], kept: KeptPixels | None = None
    ) -> tuple[U8, U8]:
        """Returns image and labels at (H, W) = `size`; from what was `kept` of that size where it is of these files."""
        image, labels = self.read(manifest, sample)
        return resize_image(image, size), resize_mask(labels, size)

    @abstractmethod
    def changed(self, manifest: Manifest, samples: Sequence[Sample]) -> list[str]:
        """Returns names of what is not as the manifest says; files of known size and time are not opened."""

    def open(self, path: Path) -> Manifest | None:
        """Returns the manifest in a file that this kind writes beside its samples; None where it is none."""
        return None

    def missing(self, manifest: Manifest, samples: Sequence[Sample]) -> list[str]:
        """Returns the files that are gone, relative to the root; a kind may raise its own DatasetError instead."""
        paths = [path for s in samples for path in (manifest.image_path(s), *manifest.mask_paths(s))]
        return [str(path.relative_to(manifest.root)) for path in paths if not path.is_file()]

    def class_pixels(
        self, manifest: Manifest, samples: Sequence[Sample], store: FactStore, progress: Progress | None = None
    ) -> dict[str, dict[int, int]]:
        """Returns id -> pixels a class index of those samples of which it can be told without decoding them anew."""
        return {}

    def image_file(self, manifest: Manifest, sample: Sample) -> Path | None:
        """Returns the file that holds exactly the sample's image; None where it is only a part, or other values."""
        return None

    def mask_files(self, manifest: Manifest, sample: Sample) -> tuple[Path | None, ...]:
        """Returns the mask files: one, multilabel one a class, None where a class has none; () where it is drawn.

        Packed samples have the names of the files that they were made from.
        """
        return manifest.mask_paths(sample)


class Survey(ABC):
    """One reading of a listing whose entries are stored in one way.

    Attributes:
        listing: as the reader gave it.
        root: of the data set.
        store: remembers what is found.
        images, masks: facts of the readable files.
        drawn, paintings: facts of the masks that are drawn, and what is drawn, by id.
        problems: files that cannot be used, and why.
        undrawn: why masks cannot be drawn, in words; each is a problem too.
        of_files: images are whole files, which the doctor's checks can open one by one.
    """

    of_files = True

    def __init__(self, listing: Listing, root: Path, store: FactStore) -> None:
        self.listing, self.root, self.store = listing, root, store
        self.images: Mapping[Path, ImageFact] = {}
        self.masks: Mapping[Path, MaskFact] = {}
        self.drawn: Mapping[str, MaskFact] = {}
        self.paintings: Mapping[str, Painting] = {}
        self.problems: list[Problem] = []
        self.undrawn: list[str] = []

    @property
    def total(self) -> int:
        """How many pairs of image and mask there are, as errors count them."""
        return len(self.listing.entries)

    @property
    def refused(self) -> Sequence[Problem]:
        """The problems for which the data set is refused: all, unless the user has agreed to leave some images out."""
        return self.problems

    @abstractmethod
    def look(self, *, images: bool, masks: bool, progress: Progress | None) -> None:
        """Finds what the files hold.

        Args:
            images: decode every image; else only headers are read.
            masks: count every mask's pixels; else only where the class map depends on them.
        """

    def class_map(self) -> ClassMap:
        """Returns the classes; where the reader leaves that to the masks, from what they hold."""
        rule = self.listing.class_map
        return rule if isinstance(rule, ClassMap) else rule(self.masks)

    @abstractmethod
    def sample(self, entry: Entry, class_map: ClassMap) -> Sample | None:
        """Returns an entry as a sample; None where it cannot be used, which is added to the problems."""

    @abstractmethod
    def notes(self, class_map: ClassMap) -> list[str]:
        """Returns what a person should know, once all samples are made; DatasetError where none is left."""

    def keep(self) -> str | None:
        """Remembers what loading needs beside the files; returns why that was not possible, or None."""
        return None
