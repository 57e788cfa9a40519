"""A manifest's sample -> pixels and labels."""

from __future__ import annotations

from segbench.data.files.bands import shown
from segbench.data.files.kept import KeptPixels
from segbench.data.files.resize import U8
from segbench.data.manifest.manifest import Manifest
from segbench.data.sources.table import source_of
from segbench.types import Sample


def load_sample(manifest: Manifest, sample: Sample) -> tuple[U8, U8]:
    """Returns a sample's image, (H, W, C) uint8, and its labels, uint8 with `ignore_index` where nothing counts.

    Images are RGB, but where the manifest has `bands`. Labels are class indices (H, W); multilabel 0 and 1 (C, H, W),
    a plane a class.

    Raises:
        DatasetError: a file is missing, or its bytes (SHA-256) are not those the manifest was made from.
    """
    return source_of(manifest, sample).read(manifest, sample)


def load_resized(
    manifest: Manifest, sample: Sample, size: tuple[int, int], kept: KeptPixels | None = None
) -> tuple[U8, U8]:
    """Returns image and labels at (H, W) = `size`, as a cache holds them; see `load_sample`.

    Args:
        kept: what `read_dataset` kept of that size; files that changed since are read anew, and refused.
    """
    return source_of(manifest, sample).read_resized(manifest, sample, size, kept)


def load_picture(manifest: Manifest, sample: Sample) -> tuple[U8, U8]:
    """Returns a sample's image as people see it, (H, W, 3) uint8 RGB, and its labels; see `load_sample`."""
    image, labels = load_sample(manifest, sample)
    return shown(image, manifest.display), labels
