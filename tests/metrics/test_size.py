"""Many images: what is kept per image is a handful of numbers, and nothing loops over images in Python needlessly."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from segbench.metrics import Counts, ImageValues, SurfaceCollector, score_counts, score_surfaces
from segbench.metrics.scores import as_class_map
from segbench.types import Task

N = 200_000


def many(n: int = N, classes: int = 3) -> Counts:
    random = np.random.default_rng(0)
    return Counts(
        ids=tuple(f"image_{index:07d}" for index in range(n)),
        confusion=random.integers(0, 5000, (n, classes, classes)),
        ignored=np.zeros(n, np.int64),
        task=Task.MULTICLASS,
    )


def take(counts: Counts, start: int, stop: int) -> Counts:
    return Counts(
        ids=counts.ids[start:stop],
        confusion=counts.confusion[start:stop],
        ignored=counts.ignored[start:stop],
        task=counts.task,
    )


@pytest.mark.slow
def test_counts_and_scores_of_200_000_images() -> None:
    whole = many()
    parts = [take(whole, start, start + 1000) for start in range(0, N, 1000)]
    cells = whole.confusion.nbytes
    started = time.process_time()
    tracemalloc.start()
    joined = Counts.concatenate(parts)
    summary = score_counts(joined, 3).summary()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.process_time() - started < 5.0  # measured: 0.4 s
    assert np.array_equal(joined.confusion, whole.confusion)
    assert 0 < summary["iou_per_image_worst5"] < summary["iou_per_image_median"] < 1
    # 72 bytes of counts an image once more, 7 scores of 3 classes, and what the ids, checks and a few steps need.
    assert peak < cells + N * (7 * 3 * 8 + 300)


@pytest.mark.slow
def test_tables_of_many_images_are_streamed(tmp_path: Path) -> None:
    whole = many(n := 60_000, classes=2)
    class_map = as_class_map(2, Task.MULTICLASS)
    tracemalloc.start()
    whole.write_csv(tmp_path / "counts.csv", class_map)
    written = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    again = Counts.read_csv(tmp_path / "counts.csv", class_map)
    read = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(again.confusion, whole.confusion)
    assert again.ids == whole.ids
    # As Python objects the rows would be over 400 bytes each.
    assert written < n * 5 * 8 + 10e6
    assert read < n * (5 * 8 * 2 + 150) + 10e6


@pytest.mark.slow
def test_values_of_200_000_images_fit() -> None:
    random = np.random.default_rng(0)
    values = ImageValues(
        ids=tuple(map(str, range(N))),
        values={name: random.random((N, 2)) for name in ("boundary_iou", "hd95_px", "assd_px", "nsd")},
    )
    tracemalloc.start()
    joined = ImageValues.concatenate([values])
    assert 0.4 < score_surfaces(joined, 2).summary()["nsd_per_image"] < 0.6
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < N * (4 * 2 * 8 + 150)


def test_the_surface_collector_keeps_numbers_only() -> None:
    collector = SurfaceCollector(as_class_map(2))
    mask = np.zeros((64, 64), np.uint8)
    mask[20:40, 10:30] = 1
    tracemalloc.start()
    for index in range(100):  # what SciPy and NumPy set up once
        collector.add(f"first {index}", mask, mask)
    before = tracemalloc.get_traced_memory()[0]
    for index in range(300):
        collector.add(f"{index}", mask, mask)
    kept = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert kept < 300 * 800  # 64 bytes of numbers, an id, and room to grow into; one mask alone is 4096
    assert len(collector.values()) == 400
