"""Images of any size, predicted part by part: rows are read, go through the network in tiles, and are put away.

In memory lie the rows that a row of tiles needs, one tile, and what that row leaves behind; never a whole image, and no
sums over it. Finished rows of labels (and of probabilities where they are asked for) are appended to a plain file
beside the result and noted after they reached the disk, so that a job that was killed goes on where it stopped, with
the same result. When all are there, they become GeoTIFFs on the image's grid in one go.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segbench import __version__
from segbench.predict.decide import normalize, probabilities
from segbench.predict.label_rows import LabelRows, row_layout
from segbench.predict.outputs.options import ProbsFormat
from segbench.predict.pipeline import Pipeline
from segbench.predict.postprocess import Postprocess
from segbench.predict.predictor import Predictor
from segbench.predict.raster_results import write_raster_masks, write_raster_probs
from segbench.predict.raster_rows import RasterRows
from segbench.predict.sizes import SizePlan
from segbench.predict.tiles import Block, Cut, Seams, row_starts, tile_blocks
from segbench.predict.unfinished import (
    band_name,
    join_bands,
    remove_bands,
    safe_rows,
    unfinished,
    unfinished_in,
)
from segbench.types import Progress, Task

_BAND_PX = 1 << 24  # of an image, at least, that a band of its rows has
_BLENDED_ROWS = 4  # of blended tiles, at least, in a band, which computes one or two rows of its neighbour's, too


@dataclass(frozen=True, kw_only=True)
class RasterPrediction:
    """What was done to one image.

    Attributes:
        masks: files of class indices; multilabel: one a class.
        height, width: in pixels.
        pixels: of each class.
        counted_px: pixels with data.
        plan: which way the image took.
        cut: how it was cut; None: it went at once.
        seam_share: share of the pixels between blended tiles on which neighbours decide differently, 0-1, of the rows
            of this call; None where tiles are exact or none meet.
        network_s: seconds that the network took, of the rows of this call.
        total_s: seconds of this call.
        first_row: rows above it were there from an earlier call.
    """

    masks: tuple[Path, ...]
    height: int
    width: int
    pixels: tuple[int, ...]
    counted_px: int
    plan: SizePlan
    cut: Cut | None
    seam_share: float | None
    network_s: float
    total_s: float
    first_row: int


def predict_raster(
    predictor: Predictor,
    path: str | Path,
    out: str | Path,
    name: str | None = None,
    *,
    probs: ProbsFormat | None = None,
    then: Callable[[RasterPrediction], None] | None = None,
    progress: Progress | None = None,
) -> RasterPrediction:
    """Segments one image of any size with fixed memory and writes its mask as a GeoTIFF on the image's grid.

    The mask keeps the place on the map, block size and overviews, has the classes' colours as a palette, and 255 where
    the image has no data. The same call after a crash or Ctrl-C goes on where it stopped.

    Args:
        predictor: see `Predictor`.
        path: a file that GDAL reads; a network that was trained on bands gets those.
        out: folder; the mask becomes `masks/NAME.tif`, multilabel `masks/CLASS/NAME.tif`.
        name: default: the file's, without suffix.
        probs: also write the probabilities, those of `Prediction.probs`, as `probs/NAME.tif` or `.zarr`. Until it is
            there, they take two bytes a class and pixel of the disk.
        then: called with what was done while all rows are still there, so that the same call after an error in it does
            not predict them again.
        progress: told rows, after every row of tiles.
    Raises:
        DatasetError: the file cannot be read, not by parts, or not as the network needs it.
        PredictionError: the disk is full, or the mask falls into too many regions to be cleaned.
    """
    started = time.perf_counter()
    path, out = Path(path), Path(out)
    name = path.stem if name is None else name
    pipeline, folder = predictor.pipeline, unfinished_in(out)
    watch = _Watch(predictor.device)
    with _opened(predictor, path, with_probs=probs is not None) as opened:
        source, plan, cut = opened.source, opened.plan, opened.cut
        seams = Seams(pipeline.seams.decide)
        with unfinished(folder, name, opened.job, opened.row_bytes) as store:
            join_bands(store, folder, name, opened.bands)
            first_row = store.rows
            for rows in opened.rows(pipeline, first_row, seams, watch):
                store.append(rows)
                if progress is not None:
                    progress("predicting", store.rows, source.size[0])
            masks, pixels, counted = write_raster_masks(predictor, source, out, name, store)
            if probs is not None:
                write_raster_probs(predictor, source, out / "probs" / name, probs, store)
            done = RasterPrediction(
                masks=masks,
                height=source.size[0],
                width=source.size[1],
                pixels=pixels,
                counted_px=counted,
                plan=plan,
                cut=cut,
                seam_share=seams.share,
                network_s=watch.seconds,
                total_s=time.perf_counter() - started,
                first_row=first_row,
            )
            if then is not None:
                then(done)
            store.remove()
            remove_bands(folder, name, opened.bands)
    pipeline.seams.add(seams)
    return done


def missing_bands(
    predictor: Predictor, path: Path, out: Path, name: str, *, with_probs: bool = False
) -> list[tuple[int, int]]:
    """Returns bands of rows [top, bottom) of an image, to be predicted apart from each other, that are not there yet.

    When none is missing, `predict_raster` joins them. There are none of an image that is too small to be worth it.
    Where one ends and the next begins depends on image and network alone, so that they are found again.

    Raises:
        DatasetError, PredictionError: see `predict_raster`.
    """
    folder = unfinished_in(out)
    with _opened(predictor, path, with_probs=with_probs) as opened:
        if len(opened.bands) == 1:
            return []
        joined = safe_rows(folder, name, opened.job, opened.row_bytes)
        return [
            (top, bottom)
            for top, bottom in opened.bands
            if joined < bottom and top + safe_rows(folder, band_name(name, top), opened.job, opened.row_bytes) < bottom
        ]


def predict_band(
    predictor: Predictor, path: Path, out: Path, name: str, band: tuple[int, int], *, with_probs: bool = False
) -> None:
    """Predicts rows [top, bottom) of an image, for `predict_raster` to join; see `missing_bands`.

    They become a file of their own, and are noted after they reached the disk. The same call after a crash
    goes on where it stopped.

    Raises:
        DatasetError, PredictionError: see `predict_raster`.
    """
    pipeline, (top, bottom) = predictor.pipeline, band
    folder, seams, watch = unfinished_in(out), Seams(pipeline.seams.decide), _Watch(predictor.device)
    with (
        _opened(predictor, path, with_probs=with_probs) as opened,
        unfinished(folder, band_name(name, top), opened.job, opened.row_bytes) as store,
    ):
        first_row = top + store.rows
        if first_row == bottom:
            return
        for rows in opened.rows(pipeline, first_row, seams, watch):
            store.append(rows[: bottom - top - store.rows])
            if top + store.rows == bottom:
                break
        pipeline.seams.add(seams)


@dataclass(frozen=True, kw_only=True)
class _Opened:
    """An image and how it is predicted. Attributes: job, what decides the result, as a hash; row_bytes, of a row of
    results; bands, its rows [top, bottom) in parts that can be predicted apart from each other."""

    source: RasterRows
    plan: SizePlan
    cut: Cut | None
    job: str
    row_bytes: int
    bands: list[tuple[int, int]]
    with_probs: bool

    def rows(self, pipeline: Pipeline, first_row: int, seams: Seams, watch: _Watch) -> Iterator[NDArray[np.uint8]]:
        """Yields finished rows from `first_row` on, see `LabelRows`."""
        rows = LabelRows(pipeline.settings, self.plan.size, self.source.size, first_row, with_probs=self.with_probs)
        blocks = _blocks(pipeline, self, first_row, seams, watch)
        return rows.of(blocks)


@contextmanager
def _opened(predictor: Predictor, path: Path, *, with_probs: bool) -> Iterator[_Opened]:
    pipeline = predictor.pipeline
    with RasterRows(path, pipeline.settings.bands, pipeline.settings.depth_range) as source:
        plan = pipeline.plan(source.size)
        cut = pipeline.cut(plan)
        yield _Opened(
            source=source,
            plan=plan,
            cut=cut,
            job=_fingerprint(predictor, path, plan, cut, with_probs),
            row_bytes=sum(row_layout(pipeline.settings.class_map, source.size[1], with_probs=with_probs)),
            bands=_bands(source.size, plan.size[0], cut),
            with_probs=with_probs,
        )


def _bands(size: tuple[int, int], network_height: int, cut: Cut | None) -> list[tuple[int, int]]:
    """Returns the rows [top, bottom) of bands, which end where rows of tiles do."""
    (high, wide), edges, last = size, [0], 0
    fewest = 1 if cut is None or cut.is_exact else _BLENDED_ROWS
    for index, start in enumerate(row_starts(network_height, cut) if cut is not None else ()):
        edge = int((start - 0.5) * high / network_height - 0.5) + 1  # the first that needs the network's row `start`
        if index - last >= fewest and (edge - edges[-1]) * wide >= _BAND_PX:
            edges.append(edge)
            last = index
    return list(pairwise([*edges, high]))


def _blocks(pipeline: Pipeline, opened: _Opened, done_rows: int, seams: Seams, watch: _Watch) -> Iterator[Block]:
    """Yields what `LabelRows` takes, block by block, of all rows that those from `done_rows` on need."""
    settings, source, plan, cut = pipeline.settings, opened.source, opened.plan, opened.cut

    def read(top: int, bottom: int) -> Tensor:
        return source.read(top, bottom, plan.size)

    @torch.inference_mode()
    def network(tiles: Tensor) -> Tensor:
        images = tiles.to(pipeline.device).contiguous().float() / 255.0
        images = normalize(images, settings.normalization)
        with watch:
            logits: Tensor = pipeline.at_once(images)
        return logits

    task = settings.class_map.task
    # The largest is the same, and quicker found.
    by_logits = task is Task.MULTICLASS and plan.size == source.size and not opened.with_probs
    if cut is None:
        logits = network(read(0, plan.size[0]))
        yield Block(0, 0, (logits if by_logits else probabilities(logits, task))[0].cpu())
        return
    # What lies below must be enlarged from what lies above it, too: a row of the network's more.
    first = max(0, done_rows * plan.size[0] // source.size[0] - 2)
    for block in tile_blocks(network, read, plan.size, cut, first_row=first, seams=seams):
        found = block.logits if by_logits else probabilities(block.logits[None], task)[0]
        yield block._replace(logits=found.cpu())


class _Watch:
    """A context that adds up the seconds inside."""

    def __init__(self, device: torch.device) -> None:
        self.seconds = 0.0
        self._device = device

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *raised: object) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        self.seconds += time.perf_counter() - self._began


def _fingerprint(predictor: Predictor, path: Path, plan: SizePlan, cut: Cut | None, with_probs: bool) -> str:
    """Returns what decides the rows, as a hash: another network, setting, version or file begins anew.

    Masks are cleaned when all rows are there, so that other cleaning begins with these.
    """
    there = path.stat()
    settings = replace(predictor.pipeline.settings, postprocess=Postprocess())
    facts: dict[str, Any] = {
        "version": __version__,
        "model": [predictor.model_id, predictor.runtime],
        "file": [str(path.resolve()), there.st_size, there.st_mtime_ns],
        "settings": settings.to_dict(),
        "with_probs": with_probs,
        "plan": [plan.policy, plan.size, plan.tile],
        "cut": None if cut is None else [cut.tile, cut.halo_px, cut.stride_px],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
