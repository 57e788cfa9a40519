"""The rows of an image file of any size, from top to bottom, at the size a network sees: never the whole file at once.

Reads what GDAL reads (TIFF and BigTIFF with or without a place on the map, PNG, JPEG and others), through rasterio.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from segbench.data.files.bands import Bands, default_display
from segbench.data.files.images import over_black
from segbench.data.files.label_raster import RowGrid
from segbench.data.files.orientation import as_stored, file_orientation, oriented
from segbench.data.files.raster import Box, RasterLook, RasterReader, raster_look
from segbench.errors import DatasetError
from segbench.locale import message

LARGEST_BLOCK_MB = 256  # that has to be decoded at once
_CHUNK_PX = 1 << 22  # read at a time, in whole blocks
_CACHE_BYTES = 16 << 20  # no block is needed twice
_MB = 1 << 20


class RasterRows:
    """An open image file whose rows are read in order; a context. For one thread.

    A picture that is to be turned, as its file says by EXIF, is: it is written, turned, into a file in the folder for
    temporary files, which takes a byte a pixel and channel.

    Args:
        path: of the file.
        bands: which of its bands are the channels; None: RGB, made of what the file has.
        depth_range: grey values that become 0 and 255, for files of more than 8 bit without `bands`.

    Attributes:
        look: what the header says, before the picture is turned.
        orientation: as EXIF counts; 1 is upright. A raster that has a place on a map lies as that says.

    Raises:
        DatasetError: it cannot be read, not by parts, or not as the network needs it.
    """

    def __init__(self, path: Path, bands: Bands | None, depth_range: tuple[float, float] | None) -> None:
        self.path = path
        self.look = raster_look(path)
        self.channels = 3 if bands is None else bands.channels
        _check(path, self.look, bands, depth_range)
        self._bands = bands or _color_bands(self.look, depth_range)
        self._is_rgb = bands is None
        self.orientation = file_orientation(path) if bands is None and not self.look.placed else 1
        self._reader = RasterReader(path, cache_bytes=_CACHE_BYTES)
        self._first = 0  # row of the file that `_rows` begin with
        self._rows: NDArray[np.uint8] = np.empty((0, self.size[1], self.channels), dtype=np.uint8)

    def __enter__(self) -> RasterRows:
        self._reader.__enter__()
        return self

    def __exit__(self, *raised: Any) -> bool | None:
        return self._reader.__exit__(*raised)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels, the right way up."""
        size = self.look.height, self.look.width
        return size if self.orientation < 5 else (size[1], size[0])

    @property
    def grid(self) -> RowGrid:
        """Where results lie that are written for it."""
        return RowGrid.of(self.path) if self.orientation == 1 else RowGrid(size=self.size)

    def nodata(self, top: int, bottom: int) -> NDArray[np.bool_] | None:
        """Returns which pixels (bottom - top, W) of these rows have no data; None where all have some."""
        if self.look.complete:
            return None
        if self.orientation != 1:
            return self._turned[top:bottom, :, -1] > 0
        return self._stored_nodata((top, 0, bottom - top, self.look.width))

    def read(self, top: int, bottom: int, size: tuple[int, int] | None = None) -> Tensor:
        """Returns rows [top, bottom) of the image resized to `size`, (1, C, bottom - top, w) uint8.

        They are those of the whole image resized at once (bilinear, antialiased). What lies above them is forgotten: no
        later call may begin further up.

        Args:
            size: (h, w); None: as the file is.
        """
        same = size is None or size == self.size
        rows = self._file_rows(top, bottom) if same else self._resized(top, bottom, size or self.size)
        return torch.from_numpy(rows).permute(2, 0, 1)[None]

    def shrunk(self, longest_px: int) -> NDArray[np.uint8]:
        """Returns the image (h, w, C) at a size for people, made of single pixels; no side is longer than this."""
        factor = min(1.0, longest_px / max(self.size))
        size = max(1, round(self.size[0] * factor)), max(1, round(self.size[1] * factor))
        stored = size if self.orientation < 5 else (size[1], size[0])
        return oriented(self._pixels(lambda numbers: self._reader.shrunk(numbers, stored)), self.orientation)

    def _resized(self, top: int, bottom: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        (height, width), scale = self.size, self.size[0] / size[0]
        margin = max(1.0, scale) + 1  # how far the filter reaches
        first, last = max(0, int(top * scale - margin)), min(height, int(bottom * scale + margin) + 1)
        rows = self._file_rows(first, last)
        box = (0.0, top * scale - first, float(width), min(bottom * scale - first, float(len(rows))))
        wanted = (size[1], bottom - top)
        if rows.shape[2] == 3:
            return np.array(Image.fromarray(rows).resize(wanted, Image.Resampling.BILINEAR, box))
        planes = [Image.fromarray(np.ascontiguousarray(rows[..., each])) for each in range(rows.shape[2])]
        return np.stack([np.asarray(plane.resize(wanted, Image.Resampling.BILINEAR, box)) for plane in planes], axis=2)

    def _file_rows(self, first: int, last: int) -> NDArray[np.uint8]:
        """Returns rows of the picture (h, W, C); reads on in whole blocks."""
        if self.orientation != 1:
            return np.array(self._turned[first:last, :, : self.channels])
        kept = self._rows[max(0, first - self._first) :] if first >= self._first else self._rows[:0]
        ends: list[int] = []
        begin = end = first + len(kept)
        block = self.look.block[0]
        chunk = max(block, _CHUNK_PX // self.look.width // block * block)
        while end < last:
            end = min(self.look.height, end // block * block + chunk)
            ends.append(end)
        if ends:
            rows = np.empty((end - first, *kept.shape[1:]), dtype=np.uint8)
            rows[: len(kept)] = kept
            self._rows = kept = rows  # before more is read, so that what was there is no longer in memory
            for end in ends:
                rows[begin - first : end - first] = self._decoded((begin, 0, end - begin, self.look.width))
                begin = end
        self._rows, self._first = kept, first
        return self._rows[: last - first]

    @cached_property
    def _turned(self) -> NDArray[np.uint8]:
        """The picture (H, W, C) the right way up; one channel more, where not all pixels have data: which have none."""
        shape = (*self.size, self.channels + (not self.look.complete))
        with tempfile.TemporaryFile() as file:  # stays as long as the array
            turned = np.memmap(file, dtype=np.uint8, mode="w+", shape=shape)
        stored, block = as_stored(turned, self.orientation), self.look.block[0]
        step = max(block, _CHUNK_PX // self.look.width // block * block)
        for top in range(0, self.look.height, step):
            box = (top, 0, min(step, self.look.height - top), self.look.width)
            stored[top : top + box[2], :, : self.channels] = self._decoded(box)
            if not self.look.complete:
                stored[top : top + box[2], :, -1] = self._stored_nodata(box)
        return turned

    def _stored_nodata(self, box: Box) -> NDArray[np.bool_]:
        return self._reader.values((1,) if self._is_rgb else self._bands.numbers, box)[1]

    def _decoded(self, box: Box) -> NDArray[np.uint8]:
        if not self._is_rgb:
            return self._reader.image(self._bands, box)[0]
        return self._pixels(lambda numbers: self._reader.stored(numbers, box))

    def _pixels(self, values_of: Callable[[Sequence[int]], NDArray[Any]]) -> NDArray[np.uint8]:
        """Returns an image (h, w, C) made of the values (n, h, w) of bands as stored."""
        values = self._bands.scale(values_of(self._bands.numbers))
        if not self._is_rgb:
            return values
        if self.look.palette is not None:
            return over_black(self.look.palette[values[..., 0]])
        image = values if values.shape[2] == 3 else np.repeat(values, 3, axis=2)
        if not self.look.alpha:
            return image
        opaque = values_of(self.look.alpha[:1]).astype(np.uint8).transpose(1, 2, 0)
        return over_black(np.concatenate([image, opaque], axis=2))


def _color_bands(look: RasterLook, depth_range: tuple[float, float] | None) -> Bands:
    """Returns the bands that are grey, or red, green and blue."""
    numbers = (1,) if look.count - len(look.alpha) < 3 else (1, 2, 3)
    deep = look.dtypes[0] != "uint8"
    ranges = (depth_range,) * len(numbers) if deep and depth_range else None
    return Bands(numbers=numbers, ranges=ranges, display=default_display(len(numbers)))


def _check(path: Path, look: RasterLook, bands: Bands | None, depth_range: tuple[float, float] | None) -> None:
    """Raises DatasetError for a file that cannot be read by parts, or holds something else than the network takes."""
    block_mb = look.block[0] * look.block[1] * np.dtype(look.dtypes[0]).itemsize * look.count / _MB
    if block_mb > LARGEST_BLOCK_MB:
        text = message(
            "the file is made of blocks of {height:,} x {width:,} pixels, each of which must be decoded at once "
            "({mb:,.0f} MB); save it with tiles: gdal_translate -co TILED=YES -co COMPRESS=DEFLATE IN.tif OUT.tif",
            height=look.block[0],
            width=look.block[1],
            mb=block_mb,
        )
        raise DatasetError(text, path=path)
    if bands is not None:
        missing = [number for number in bands.numbers if number > look.count]
        if missing:
            text = message(
                "the network reads the bands {wanted}, but the file has {count}; give files with the bands of training",
                wanted=", ".join(map(str, bands.numbers)),
                count=look.count,
            )
            raise DatasetError(text, path=path)
        return
    colors = look.count - len(look.alpha)
    if colors not in (1, 3) or look.cmyk:
        text = message(
            "the network reads grey or RGB, but the file has {count} bands; save the three that are red, green and "
            "blue: gdal_translate -b 1 -b 2 -b 3 IN.tif OUT.tif",
            count=look.count,
        )
        raise DatasetError(text, path=path)
    if look.dtypes[0] != "uint8" and depth_range is None:
        text = message(
            "expected 8 bit a value, as the network learnt from, got {dtype}; save it as 8 bit: gdal_translate -ot "
            "Byte -scale IN.tif OUT.tif",
            dtype=look.dtypes[0],
        )
        raise DatasetError(text, path=path)
