"""Which samples to show: spread over a data set, or with most of a class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from segbench.data.files.resize import resize_image, resize_mask
from segbench.data.files.threads import in_order
from segbench.data.manifest.manifest import Manifest
from segbench.data.sources.load import load_picture
from segbench.data.sources.presence import remembered_pixels
from segbench.errors import DatasetError
from segbench.speech import argument
from segbench.types import Progress, Sample, SplitName

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
    order = sorted(range(len(pool)), key=lambda position: (-shares[position][index], pool[position].id))
    return tuple(pool[position] for position in order[:number] if shares[position][index] > 0)


def load_small(manifest: Manifest, samples: Sequence[Sample]) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Yields each sample's image and labels, made small enough for a sheet, in order; a few are read ahead."""

    def load(sample: Sample) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        image, mask = load_picture(manifest, sample)
        scale = min(1.0, _SHOWN_PX / max(image.shape[:2]))
        size = (max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale)))
        return resize_image(image, size), resize_mask(mask, size)

    for _, future in in_order(load, samples, workers=2, ahead=4, name="picture"):
        yield future.result()


def _pool(manifest: Manifest, split: SplitName | None) -> tuple[Sample, ...]:
    pool = manifest.samples if split is None else manifest.split(split)
    if not pool:
        raise DatasetError(
            f"this data set has no {split} part; leave {argument('split')} out, or `segbench data index` lists the "
            "parts",
            path=manifest.root,
        )
    return pool


def _shares(manifest: Manifest, pool: Sequence[Sample], progress: Progress | None) -> list[list[float]]:
    """Returns for each sample the share of the image that each class has; what is not remembered is decoded."""
    counted = remembered_pixels(manifest, pool, progress)
    number = manifest.class_map.num_classes
    shares = {
        sample.id: [counted[sample.id].get(index, 0) / (sample.height * sample.width) for index in range(number)]
        for sample in pool
        if sample.id in counted
    }
    others = [sample for sample in pool if sample.id not in shares]
    for done, (sample, (_, mask)) in enumerate(zip(others, load_small(manifest, others), strict=True), 1):
        planes = [mask[index] == 1 if mask.ndim == 3 else mask == index for index in range(number)]
        shares[sample.id] = [float(plane.mean()) for plane in planes]
        if progress is not None:
            progress("looking for classes", done, len(others))
    return [shares[sample.id] for sample in pool]
