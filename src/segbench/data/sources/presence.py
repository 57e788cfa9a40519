"""Which classes each sample holds."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from segbench.data.facts.store import FactStore
from segbench.data.manifest.manifest import Manifest
from segbench.data.sources.load import load_sample
from segbench.data.sources.table import by_source
from segbench.types import Progress, Sample, Task


def class_presence(manifest: Manifest) -> dict[str, frozenset[int]]:
    """Returns id -> indices of the classes that have a pixel in the sample.

    Masks that were counted before are not opened again; the others are, and a binary data set needs none.

    Raises:
        DatasetError: a mask that has to be opened is missing or has changed.
    """
    classes = range(manifest.class_map.num_classes)
    if manifest.class_map.task is Task.BINARY and all(s.foreground_frac is not None for s in manifest.samples):
        return {sample.id: frozenset({0, 1} if sample.foreground_frac else {0}) for sample in manifest.samples}
    counted = remembered_pixels(manifest, manifest.samples)
    return {
        sample.id: frozenset(
            index for index in classes if (counted.get(sample.id) or _decoded(manifest, sample)).get(index)
        )
        for sample in manifest.samples
    }


def remembered_pixels(
    manifest: Manifest, samples: Iterable[Sample], progress: Progress | None = None
) -> dict[str, dict[int, int]]:
    """Returns id -> pixels a class index of those samples whose masks tell it as a whole; see `Source.class_pixels`."""
    store = FactStore(manifest.root, lean=True)
    counted: dict[str, dict[int, int]] = {}
    for source, some in by_source(manifest, samples):
        counted |= source.class_pixels(manifest, some, store, progress)
    store.save()
    return counted


def _decoded(manifest: Manifest, sample: Sample) -> dict[int, int]:
    _, labels = load_sample(manifest, sample)
    if labels.ndim == 3:
        return {index: int((plane == 1).sum()) for index, plane in enumerate(labels)}
    values, pixels = np.unique(labels, return_counts=True)
    return dict(zip(values.tolist(), pixels.tolist(), strict=True))
