"""Which samples to show: spread over a data set, or with most of a class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from segbench.data.facts.store import FactStore
from segbench.data.files.masks import class_counts, has_colors
from segbench.data.manifest.read import Manifest, load_picture
from segbench.errors import DatasetError, shorten
from segbench.types import Progress, Sample, SplitName, Task

_LOOKED_AT = 2000  # samples at most, spread over the data set, to find those with most of a class
_SHOWN_PX = 320  # longest side of what a sheet can show


def choose_samples(
    manifest: Manifest, number: int, *, seed: int = 0, split: SplitName | None = None
) -> tuple[Sample, ...]:
    """Returns samples drawn at random, in the order of their ids; all of them where there are not more.

    Raises:
        DatasetError: the part is empty.
    """
    pool = _pool(manifest, split)
    if len(pool) <= number:
        return pool
    chosen = np.random.default_rng(seed).choice(len(pool), number, replace=False)
    return tuple(pool[index] for index in sorted(chosen.tolist()))


def samples_with(
    manifest: Manifest,
    index: int,
    number: int,
    *,
    split: SplitName | None = None,
    progress: Progress | None = None,
) -> tuple[Sample, ...]:
    """Returns the samples with the largest share of a class, the largest first; () where none has it.

    Args:
        index: of the class.
        progress: called while masks are read whose values are not remembered.
    """
    pool = _pool(manifest, split)
    pool = pool[:: max(1, len(pool) // _LOOKED_AT)]
    shares = _shares(manifest, pool, progress)
    order = sorted(range(len(pool)), key=lambda place: (-shares[place][index], pool[place].id))
    return tuple(pool[place] for place in order[:number] if shares[place][index] > 0)


def load_small(manifest: Manifest, samples: Sequence[Sample]) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Yields each sample's image and labels, made small enough for a sheet, in order; a few are read ahead."""
    from segbench.data.samples.cache import resize_image, resize_mask

    def load(sample: Sample) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        image, mask = load_picture(manifest, sample)
        scale = min(1.0, _SHOWN_PX / max(image.shape[:2]))
        size = (max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale)))
        return resize_image(image, size), resize_mask(mask, size)

    with ThreadPoolExecutor(2) as pool:
        waiting = iter(samples)
        running = [pool.submit(load, sample) for sample in islice(waiting, 4)]
        while running:
            yield running.pop(0).result()
            running += [pool.submit(load, sample) for sample in islice(waiting, 1)]


def _pool(manifest: Manifest, split: SplitName | None) -> tuple[Sample, ...]:
    pool = manifest.samples if split is None else manifest.split(split)
    if not pool:
        raise DatasetError(
            f"this data set has no {split} part; leave --split out, or `segbench data index` lists the parts",
            path=manifest.root,
        )
    return pool


def _shares(manifest: Manifest, pool: Sequence[Sample], progress: Progress | None) -> list[list[float]]:
    """Returns for each sample the share of the image that each class has."""
    of_files = _from_facts(manifest, pool, progress)
    if of_files is not None:
        return of_files
    number = manifest.class_map.num_classes
    result = []
    for place, (_, mask) in enumerate(load_small(manifest, pool), 1):
        pixels = mask.shape[-1] * mask.shape[-2]
        planes = [mask[index] == 1 if mask.ndim == 3 else mask == index for index in range(number)]
        result.append([float(plane.sum()) / pixels for plane in planes])
        if progress is not None:
            progress("looking for classes", place, len(pool))
    return result


def _from_facts(manifest: Manifest, pool: Sequence[Sample], progress: Progress | None) -> list[list[float]] | None:
    """Returns the shares from what is remembered of mask files; None where masks are drawn, planes or windows."""
    class_map = manifest.class_map
    plain = all(isinstance(sample.mask, str) and not sample.mask_key and not sample.window for sample in pool)
    if class_map.task is Task.MULTILABEL or not plain:
        return None
    store = FactStore(manifest.root, lean=True)
    paths = [manifest.mask_paths(sample)[0] for sample in pool]
    facts, problems = store.masks(paths, progress=progress)
    store.save()
    if problems:
        raise DatasetError(f"{len(problems)} masks cannot be read: {shorten(str(path) for path, _ in problems)}")
    result = []
    for path in paths:
        fact = facts[path]
        counts = fact.in_colors() if has_colors(class_map) else fact.counts
        counted = class_counts(counts, class_map, tolerance=manifest.tolerance)
        found = counted[0] if counted is not None else {}
        total = fact.height * fact.width
        result.append([found.get(index, 0) / total for index in range(class_map.num_classes)])
    return result
