"""Probabilities as files, in 16-bit floats: for numpy, for a GIS, or in chunks."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segbench.data.files.raster import write_half_floats
from segbench.errors import PredictionError
from segbench.files import replacing
from segbench.predict.outputs.options import ProbsFormat

_CHUNK_PX = 512


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
        _write_zarr(path, probs.astype(np.float16), names)
    else:
        with replacing(path) as temporary:
            if kind == "npy":
                np.save(temporary, probs.astype(np.float16))
            else:
                np.savez_compressed(temporary, probs=probs.astype(np.float16))


def _write_zarr(path: Path, probs: NDArray[np.float16], names: tuple[str, ...]) -> None:
    """Writes one array (C, H, W) with its classes as attribute, a chunk a class and square of pixels."""
    try:
        import zarr
    except ModuleNotFoundError as error:
        message = "probabilities as zarr need the package zarr, which is not installed; pip install 'segbench[zarr]'"
        raise PredictionError(message, path=path) from error
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        chunks = (1, min(_CHUNK_PX, probs.shape[1]), min(_CHUNK_PX, probs.shape[2]))
        array = zarr.create_array(
            store=temporary, shape=probs.shape, dtype=probs.dtype, chunks=chunks, attributes={"classes": list(names)}
        )
        array[:] = probs
        shutil.rmtree(path, ignore_errors=True)
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
