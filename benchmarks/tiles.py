"""What becomes of an image of many things: squeezed, at its own scale in tiles, at its own scale at once.

    python benchmarks/tiles.py RUN... --mosaic 4x8 [--mosaics 1] [--parts test] -o FILE

Puts images of a run's parts together to mosaics of ROWS x COLUMNS, segments each mosaic by every policy, and scores
every cell against its own mask at its own size. `alone` segments every image by itself, as the run was trained and
scored: what tiles cannot be expected to exceed. `blended` is what `tiles` would be of a network that looks at the whole
image, or of an image too large for margins: tiles of the training size. Intervals are bootstraps over the images (2,000
draws, 95 %); those of a difference draw the images of both at once.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from _machine import machine_line
from segbench.data.files.resize import resize_image, resize_mask
from segbench.data.manifest.manifest import Manifest
from segbench.data.sources.load import load_sample
from segbench.predict.predictor import Predictor
from segbench.types import ClassMap, SizePolicy, Task

WAYS = ("alone", "resize", "tiles", "blended", "whole")
Cells = list[tuple[np.ndarray, np.ndarray]]  # image (H, W, 3), labels (H, W)


def cells_of(manifest: Manifest, parts: list[str], number: int) -> Cells:
    """Returns the first images of some parts with their labels, all at the first one's size."""
    samples = [sample for part in parts for sample in manifest.split(part)][:number]  # type: ignore[arg-type]
    size = (samples[0].height, samples[0].width)
    loaded = (load_sample(manifest, sample) for sample in samples)
    return [(resize_image(image, size), resize_mask(labels, size)) for image, labels in loaded]


def counts_of(mask: np.ndarray, labels: np.ndarray, classes: ClassMap) -> np.ndarray:
    """Returns (C, 2): intersection and union of every class, ignored pixels left out."""
    counted = labels != classes.ignore_index
    pairs = [((mask == index) & counted, (labels == index) & counted) for index in range(classes.num_classes)]
    return np.array([[np.sum(ours & theirs), np.sum(ours | theirs)] for ours, theirs in pairs])


def score_of(counts: np.ndarray, classes: ClassMap) -> float:
    """Returns the score of images with counts (N, C, 2): IoU a lesion, averaged; for many classes pooled mean IoU."""
    if classes.task is Task.BINARY:
        return float(np.mean(counts[:, 1, 0] / np.maximum(counts[:, 1, 1], 1)))
    pooled = counts.sum(axis=0)
    there = pooled[:, 1] > 0
    return float(np.mean(pooled[there, 0] / pooled[there, 1]))


def difference(both: np.ndarray, classes: ClassMap) -> float:
    """Returns how much better the first of two is, from their counts (N, 2, C, 2)."""
    return score_of(both[:, 0], classes) - score_of(both[:, 1], classes)


def interval(counts: np.ndarray, value: Callable[[np.ndarray], float]) -> tuple[float, float]:
    """Returns the 95 % bootstrap interval of a value of images."""
    rng = np.random.default_rng(0)
    drawn = [value(counts[rng.integers(0, len(counts), len(counts))]) for _ in range(2000)]
    low, high = np.percentile(drawn, (2.5, 97.5))
    return float(low), float(high)


def predicted(run: Path, way: str, cells: Cells, rows: int, columns: int) -> tuple[np.ndarray, str]:
    """Returns the counts (N, C, 2) of all cells, and what was done in words."""
    policy: SizePolicy | None = {"resize": "resize", "tiles": "tiles", "blended": "tiles", "whole": "whole"}.get(way)
    predictor = Predictor.load(run, device="cpu", tta="none", policy=policy)
    if way == "blended":
        settings = predictor.pipeline.settings
        assert settings.size != "original"
        predictor.pipeline.settings = replace(settings, patch=settings.size)
    counts: list[np.ndarray] = []
    started = time.perf_counter()
    if way == "alone":
        counts = [counts_of(predictor(image).mask, labels, predictor.class_map) for image, labels in cells]
        return np.array(counts), f"{time.perf_counter() - started:.0f} s"
    height, width = cells[0][1].shape
    for first in range(0, len(cells), rows * columns):
        chosen = cells[first : first + rows * columns]
        lines = [np.concatenate([each for each, _ in chosen[r * columns :][:columns]], axis=1) for r in range(rows)]
        mask = predictor(np.concatenate(lines)).mask
        for place, (_, labels) in enumerate(chosen):
            top, left = place // columns * height, place % columns * width
            counts.append(counts_of(mask[top : top + height, left : left + width], labels, predictor.class_map))
    pipeline = predictor.pipeline
    plan = pipeline.plan((rows * height, columns * width))
    cut, share = pipeline.cut(plan), pipeline.seams.share
    how = f"seen at {plan.size[0]} x {plan.size[1]}"
    if cut is not None:
        how += f", {'exact' if cut.is_exact else 'blended'} tiles of {cut.tile[0]} x {cut.tile[1]}"
    if share is not None:
        how += f", neighbours differ on {100 * share:.2f} % of the seams"
    return np.array(counts), f"{how}, {time.perf_counter() - started:.0f} s"


def main() -> None:
    """Measures and writes a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--mosaic", default="4x8", help="ROWSxCOLUMNS")
    parser.add_argument("--mosaics", type=int, default=1)
    parser.add_argument("--parts", nargs="+", default=["test"])
    parser.add_argument("-o", "--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows, columns = map(int, options.mosaic.split("x"))
    lines = [
        f"{options.mosaic} images of {' and '.join(options.parts)} a mosaic, {options.mosaics} of them; "
        f"{machine_line()}.\n",
        "| run | policy | IoU | 95 % | minus `resize` | 95 % | how |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for run in options.runs:
        manifest = Manifest.read(run / "manifest.json")
        cells = cells_of(manifest, options.parts, options.mosaics * rows * columns)
        assert len(cells) % (rows * columns) == 0, f"{len(cells)} images are no whole mosaics"
        measured = {way: predicted(run, way, cells, rows, columns) for way in WAYS}
        value = partial(score_of, classes=manifest.class_map)
        gained = partial(difference, classes=manifest.class_map)
        base = measured["resize"][0]
        for way, (counts, how) in measured.items():
            low, high = interval(counts, value)
            both = np.stack([counts, base], axis=1)
            less, more = interval(both, gained)
            lines.append(
                f"| {run.name} | `{way}` | {value(counts):.3f} | {low:.3f} to {high:.3f} | {gained(both):+.3f} | "
                f"{less:+.3f} to {more:+.3f} | {how} |"
            )
            print(lines[-1], flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
