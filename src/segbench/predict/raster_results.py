"""From the finished rows of a large image to its files: masks, cleaned where that is on, and probabilities."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segbench.data.files.label_raster import write_half_float_rows, write_label_rows
from segbench.predict.class_pixels import class_pixels
from segbench.predict.clean_rows import RowFile, clean_rows
from segbench.predict.label_rows import row_layout
from segbench.predict.outputs.options import ProbsFormat
from segbench.predict.outputs.probabilities import probability_names, write_zarr
from segbench.predict.predictor import Predictor
from segbench.predict.raster_rows import RasterRows
from segbench.predict.unfinished import RowStore
from segbench.types import Task

_ZARR_ROWS = 512

ReadRows = Callable[[int, int], NDArray[np.uint8]]


def write_raster_masks(
    predictor: Predictor, source: RasterRows, out: Path, name: str, store: RowStore
) -> tuple[tuple[Path, ...], tuple[int, ...], int]:
    """Writes the masks below `out`; returns them, the pixels of each class, and how many pixels have data.

    Raises:
        PredictionError: a mask falls into too many regions to be cleaned.
    """
    classes = predictor.class_map
    pixels, counted = np.zeros(classes.num_classes, dtype=np.int64), 0
    several = classes.task is Task.MULTILABEL
    masks = tuple(out / "masks" / each / f"{name}.tif" for each in (classes.names if several else (".",)))
    for plane, mask in enumerate(masks):
        with _plane_of(predictor, source, store, plane) as read:

            def rows(top: int, bottom: int, plane: int = plane, read: ReadRows = read) -> NDArray[np.uint8]:
                nonlocal counted
                labels = read(top, bottom)
                nodata = source.nodata(top, bottom)
                if several:
                    found, number = class_pixels(labels[None], classes, nodata)
                    pixels[plane] += found[0]
                else:
                    found, number = class_pixels(labels, classes, nodata)
                    pixels[:] += found
                counted += number if plane == 0 else 0
                if nodata is not None:
                    labels[nodata] = classes.ignore_index
                return labels

            mask.parent.mkdir(parents=True, exist_ok=True)
            write_label_rows(mask, rows, classes, source.grid)
    return masks, tuple(int(each) for each in pixels), counted


@contextmanager
def _plane_of(predictor: Predictor, source: RasterRows, store: RowStore, plane: int) -> Iterator[ReadRows]:
    """Yields what reads rows of a plane of labels, cleaned: from a copy, so that the rows stay as they were."""
    (height, width), steps = source.size, predictor.pipeline.settings.postprocess

    def stored(top: int, bottom: int) -> NDArray[np.uint8]:
        return store.read(top, bottom, plane * width, (plane + 1) * width)

    with ExitStack() as stack:
        if steps.is_off:
            yield stored
            return
        copy = stack.enter_context(RowFile(store.labels_file.with_suffix(".cleaned"), (height, width)))
        for top, bottom in copy.pieces:
            copy.write(top, stored(top, bottom))
        clean_rows(copy, steps, predictor.class_map)
        yield copy.read


def write_raster_probs(
    predictor: Predictor, source: RasterRows, path: Path, kind: ProbsFormat, store: RowStore
) -> None:
    """Writes the probabilities beside each other in one file, see `write_probs`.

    Args:
        path: without suffix.
        kind: `tif` or `zarr`.
    """
    classes, (height, width) = predictor.class_map, source.size
    begin, number = row_layout(classes, width, with_probs=True)
    names, path = probability_names(classes), path.with_name(f"{path.name}.{kind}")

    def probs(top: int, bottom: int) -> NDArray[np.float16]:
        values = store.read(top, bottom, begin, begin + number).view(np.float16)
        return values.reshape(bottom - top, len(names), width).transpose(1, 0, 2)

    def with_nodata(top: int, bottom: int) -> NDArray[np.float16]:
        found, nodata = probs(top, bottom), source.nodata(top, bottom)
        if nodata is not None:
            found[:, nodata] = np.nan
        return found

    if kind == "tif":
        write_half_float_rows(path, with_nodata, names, source.grid)
        return
    tops = range(0, height, _ZARR_ROWS)
    parts = ((top, probs(top, min(height, top + _ZARR_ROWS))) for top in tops)
    write_zarr(path, (len(names), height, width), names, parts)
