"""Which classes each sample holds."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from segbench.data.facts.store import FactStore, MaskFact
from segbench.data.files.masks import class_counts, has_colors
from segbench.data.manifest.manifest import SHARDS, Manifest
from segbench.data.shapes.store import DrawingStore
from segbench.types import Sample, Task


def class_presence(manifest: Manifest) -> dict[str, frozenset[int]]:
    """Returns id -> indices of the classes that have a pixel in the sample.

    Masks that were counted before are not opened again; the others are, and a binary data set needs none.

    Raises:
        DatasetError: a mask that has to be opened is missing or has changed.
    """
    classes = range(manifest.class_map.num_classes)
    if manifest.class_map.task is Task.BINARY and all(s.foreground_frac is not None for s in manifest.samples):
        return {sample.id: frozenset({0, 1} if sample.foreground_frac else {0}) for sample in manifest.samples}
    store = FactStore(manifest.root, lean=True)
    counted = _counted(manifest, store)
    store.save()
    return {
        sample.id: frozenset(
            index for index in classes if (counted.get(sample.id) or _decoded(manifest, sample)).get(index)
        )
        for sample in manifest.samples
    }


def _counted(manifest: Manifest, store: FactStore) -> dict[str, dict[int, int]]:
    """Returns id -> pixels a class index, of the samples whose whole mask files or drawings tell it."""
    if manifest.format == SHARDS or manifest.bands is not None:
        return {}
    whole = [sample for sample in manifest.samples if sample.window is None]
    facts, _ = store.masks(path for sample in whole if not sample.mask_key for path in manifest.mask_paths(sample))
    by_name = {path.relative_to(manifest.root).as_posix(): fact for path, fact in facts.items()}
    drawings = DrawingStore(manifest.root)
    paintings = {sample.id: drawings.get(sample.mask_hash) for sample in whole if sample.mask_key}
    drawn, _ = store.drawings({name: found for name, found in paintings.items() if found is not None})
    result: dict[str, dict[int, int]] = {}
    for sample in whole:
        if sample.id in drawn:
            result[sample.id] = {index: n for index, n in drawn[sample.id].counts.items() if isinstance(index, int)}
        elif not sample.mask_key and (found := _of_files(manifest, sample, by_name)) is not None:
            result[sample.id] = found
    return result


def _of_files(manifest: Manifest, sample: Sample, facts: Mapping[str, MaskFact]) -> dict[int, int] | None:
    class_map = manifest.class_map
    names = (sample.mask,) if isinstance(sample.mask, str) else sample.mask
    total: dict[int, int] = {}
    for place, name in enumerate(names):
        if not name:
            continue
        if name not in facts:
            return None
        fact = facts[name]
        index = place if class_map.task is Task.MULTILABEL else None
        counts = fact.in_colors() if has_colors(class_map) else fact.counts
        counted = class_counts(counts, class_map, tolerance=manifest.tolerance, index=index)
        if counted is None or fact.distinct > len(fact.counts):
            return None
        if index is None:
            return counted[0]
        total[index] = counted[0].get(1, 0)
    return total


def _decoded(manifest: Manifest, sample: Sample) -> dict[int, int]:
    from segbench.data.manifest.read import load_sample

    _, labels = load_sample(manifest, sample)
    if labels.ndim == 3:
        return {index: int((plane == 1).sum()) for index, plane in enumerate(labels)}
    values, pixels = np.unique(labels, return_counts=True)
    return dict(zip(values.tolist(), pixels.tolist(), strict=True))
