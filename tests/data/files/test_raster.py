"""Files that GDAL reads: what it keeps of them in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rasterio._env import get_gdal_config  # type: ignore[import-untyped]
from tests.data._rasters import save

from segbench.data.files.raster import RasterReader


def test_the_cache_is_so_many_bytes_and_no_longer_than_a_file_is_open(tmp_path: Path) -> None:
    """GDAL takes a small number for megabytes; rasterio takes it for bytes, and then nothing is kept at all."""
    path = tmp_path / "a.tif"
    save(path, np.zeros((1, 40, 50), dtype=np.uint8))
    before = get_gdal_config("GDAL_CACHEMAX")
    with RasterReader(path):
        assert get_gdal_config("GDAL_CACHEMAX") == 64 << 20
    with RasterReader(path, cache_bytes=1 << 20):
        assert get_gdal_config("GDAL_CACHEMAX") == 1 << 20
    assert get_gdal_config("GDAL_CACHEMAX") == before
