"""Probabilities as files, in 16-bit floats: for numpy, for a GIS, or in chunks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segbench.data.files.raster import write_half_floats
from segbench.errors import PredictionError
from segbench.files import replacing
from segbench.predict.outputs.options import ProbsFormat
from segbench.types import ClassMap, Task

_CHUNK_PX = 512


def probability_names(class_map: ClassMap) -> tuple[str, ...]:
    """Returns the classes whose probabilities there are: of two exclusive ones, the second alone."""
    return class_map.names[1:] if class_map.task is Task.BINARY else class_map.names


def write_probs(
    path: Path,
    probs: NDArray[np.float32],
    names: tuple[str, ...],
    kind: ProbsFormat,
    like: Path | None,
    nodata: NDArray[np.bool_] | None,
) -> None:
    """Writes probabilities beside each other in one file (zarr: a folder), whose suffix tells the kind.

    Args:
        path: without that suffix.
        probs: (C, H, W) float32 in [0, 1].
        names: of the C planes.
        kind: see `OutputOptions.probs`.
        like: raster on whose grid a `tif` is; None: no place.
        nodata: (H, W) pixels without data, NaN in a `tif`; None where all have some.
    Raises:
        PredictionError: zarr is asked for and not installed.
        DatasetError: a GeoTIFF is asked for, and rasterio is not installed.
    """
    path = path.with_name(f"{path.name}.{kind}")
    if kind == "tif":
        write_half_floats(path, probs, names, like, nodata)
    elif kind == "zarr":
        write_zarr(path, probs.shape, names, [(0, probs.astype(np.float16))])
    else:
        with replacing(path) as temporary:
            if kind == "npy":
                np.save(temporary, probs.astype(np.float16))
            else:
                np.savez_compressed(temporary, probs=probs.astype(np.float16))


def write_zarr(
    path: Path, shape: tuple[int, ...], names: tuple[str, ...], parts: Iterable[tuple[int, NDArray[np.float16]]]
) -> None:
    """Writes one array (C, H, W) with its classes as attribute, a chunk a class and square of pixels.

    Args:
        parts: its rows: the first one's number, and values (C, h, W).
    Raises:
        PredictionError: zarr is not installed.
    """
    try:
        import zarr
    except ModuleNotFoundError as error:
        message = "probabilities as zarr need the package zarr, which is not installed; pip install 'segbench[zarr]'"
        raise PredictionError(message, path=path) from error
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        chunks = (1, min(_CHUNK_PX, shape[1]), min(_CHUNK_PX, shape[2]))
        array = zarr.create_array(
            store=temporary, shape=shape, dtype=np.float16, chunks=chunks, attributes={"classes": list(names)}
        )
        for top, probs in parts:
            array[:, top : top + probs.shape[1]] = probs
        shutil.rmtree(path, ignore_errors=True)
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
