"""What the kinds share whose images are files that Pillow reads."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from segbench.data.facts.store import FactStore, ImageFact
from segbench.data.files.images import read_bytes, read_image
from segbench.data.files.kept import KeptPixels
from segbench.data.files.resize import U8, resize_image, resize_mask
from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.sample import CHANGED
from segbench.data.sources.source import Source, Survey
from segbench.errors import DatasetError, shorten
from segbench.types import Progress, Sample


class ImageFileSource(Source):
    """An image file, and labels from somewhere."""

    def read(self, manifest: Manifest, sample: Sample) -> tuple[U8, U8]:
        """Returns image and labels; see `Source.read`."""
        return self.read_image(manifest, sample), self.read_labels(manifest, sample)

    def read_resized(
        self, manifest: Manifest, sample: Sample, size: tuple[int, int], kept: KeptPixels | None = None
    ) -> tuple[U8, U8]:
        """Returns image and labels at one size; see `Source.read_resized`."""
        image = labels = None
        if kept is not None and kept.size == size:
            image = kept.image(manifest.image_path(sample), sample.image_hash, manifest.depth_range)
            labels = self.kept_labels(manifest, sample, kept)
        if image is None:
            image = resize_image(self.read_image(manifest, sample), size)
        return image, resize_mask(self.read_labels(manifest, sample), size) if labels is None else labels

    def read_image(self, manifest: Manifest, sample: Sample) -> U8:
        """Returns the image; DatasetError where the file is not the manifest's."""
        path = manifest.image_path(sample)
        return read_image(path, depth_range=manifest.depth_range, data=checked_bytes(path, sample.image_hash))

    @abstractmethod
    def read_labels(self, manifest: Manifest, sample: Sample) -> U8:
        """Returns the labels, see `Source.read`."""

    def kept_labels(self, manifest: Manifest, sample: Sample, kept: KeptPixels) -> U8 | None:
        """Returns the labels at the size of what was kept; None where they are not among it."""
        return None

    def changed(self, manifest: Manifest, samples: Sequence[Sample]) -> list[str]:
        """Returns names of what is not as the manifest says; see `Source.changed`."""
        store = FactStore(manifest.root)
        found: list[str] = []
        for sample in samples:
            found += [sample.image] * (store.sha256(manifest.image_path(sample)) != sample.image_hash)
            found += self.changed_labels(manifest, sample, store)
        return found

    def changed_labels(self, manifest: Manifest, sample: Sample, store: FactStore) -> list[str]:
        """Returns names of a sample's mask files that are not as the manifest says."""
        return []

    def image_file(self, manifest: Manifest, sample: Sample) -> Path | None:
        """Returns the image file."""
        return manifest.image_path(sample)


class ImageFileSurvey(Survey):
    """Images found by `FactStore.images`."""

    images: Mapping[Path, ImageFact]

    def look(self, *, images: bool, masks: bool, progress: Progress | None) -> None:
        """Finds what the images hold; see `Survey.look`."""
        self.images, self.problems = self.store.images(
            [entry.image for entry in self.listing.entries],
            depth_range=self.listing.depth_range,
            decode=images,
            progress=progress,
        )

    def image_notes(self) -> list[str]:
        """Returns what was noticed while decoding images, in one note."""
        images = (self.images[entry.image] for entry in self.listing.entries if entry.image in self.images)
        seen = [note for image in images for note in image.notes]
        return [shorten(seen, 3)] if seen else []


def checked_bytes(path: Path, sha256: str) -> bytes:
    """Returns a file's bytes; DatasetError where their hash is another one."""
    data = read_bytes(path)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise DatasetError(CHANGED.format("the file"), path=path)
    return data
