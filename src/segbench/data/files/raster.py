"""GeoTIFF and what else GDAL reads, by windows: a file larger than memory is never decoded whole.

Needs the package rasterio, which is imported when a file is opened.
"""

from __future__ import annotations

import hashlib
import math
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segbench.data.files.bands import Bands, Range
from segbench.data.files.images import missing_text, told_errors
from segbench.errors import DatasetError, shorten
from segbench.files import replacing
from segbench.locale import message
from segbench.types import ClassMap

Box: TypeAlias = tuple[int, int, int, int]  # top, left, height, width in pixels

LARGEST_PX = Image.MAX_IMAGE_PIXELS or 89_478_485  # decoded at once, as for ordinary images
_MEMORY = Path("/vsimem")  # below which GDAL has the files of `in_memory`
_CACHE_BYTES = 64 << 20  # of decoded blocks that GDAL keeps; its own limit is a share of the machine's memory
_SAMPLED_BOXES, _SAMPLED_SIDE = 100, 128
_GRID_PX = 0.01  # corners that lie closer are the same place
_opening = threading.Lock()  # warnings.catch_warnings changes global state


@dataclass(frozen=True, kw_only=True)
class RasterLook:
    """What a file's header says.

    Attributes:
        height, width: in pixels.
        dtypes: of each band.
        alpha: numbers of the bands that hold transparency.
        crs: coordinate reference system as well-known text; empty where the file has none.
        transform: six numbers from pixels to map coordinates, None where the file has none.
        complete: every pixel has data for certain.
        block: (height, width) of what is decoded at once.
        overviews: by how much the smaller copies inside the file are smaller.
        palette: (256, 4) uint8 RGBA of a file of colour indices; None for others.
        placed: the file says where on a map its pixels lie.
        cmyk: the bands are printing inks.
    """

    height: int
    width: int
    dtypes: tuple[str, ...]
    alpha: tuple[int, ...]
    crs: str
    transform: tuple[float, ...] | None
    complete: bool
    block: tuple[int, int] = (256, 256)
    overviews: tuple[int, ...] = ()
    palette: NDArray[np.uint8] | None = field(default=None, compare=False)
    placed: bool = False
    cmyk: bool = False

    @property
    def count(self) -> int:
        """How many bands there are."""
        return len(self.dtypes)


def raster_look(path: Path) -> RasterLook:
    """Returns what a file's header says; DatasetError where it cannot be opened."""
    with opened(path) as source:
        from rasterio.enums import MaskFlags

        interpretations = [color.name for color in source.colorinterp]
        placed = not source.transform.is_identity
        return RasterLook(
            height=source.height,
            width=source.width,
            dtypes=tuple(source.dtypes),
            alpha=tuple(number for number, name in enumerate(interpretations, 1) if name == "alpha"),
            crs=source.crs.to_wkt() if source.crs is not None else "",
            transform=tuple(source.transform)[:6] if placed else None,
            complete=all(MaskFlags.all_valid in flags for flags in source.mask_flag_enums)
            and not any(dtype.startswith("float") for dtype in source.dtypes),
            block=source.block_shapes[0],
            overviews=tuple(source.overviews(1)),
            palette=_palette(source) if interpretations == ["palette"] else None,
            placed=placed or bool(source.gcps[0]),
            cmyk="cyan" in interpretations,
        )


def _palette(source: Any) -> NDArray[np.uint8]:
    colors = np.zeros((256, 4), dtype=np.uint8)
    for index, color in source.colormap(1).items():
        colors[index] = color
    return colors


def grid_difference(image: RasterLook, mask: RasterLook) -> str:
    """Returns how the places of two files differ, or nothing where they agree, or one of them does not say."""
    if (image.height, image.width) != (mask.height, mask.width):
        return (
            f"the mask is {mask.height} x {mask.width} pixels (height x width), its image {image.height} x "
            f"{image.width}; resample the mask to the image's grid (nearest)"
        )
    if image.crs and mask.crs and image.crs != mask.crs and not _same_crs(image.crs, mask.crs):
        return (
            f"the mask is in the coordinate reference system {_crs_name(mask.crs)}, its image in "
            f"{_crs_name(image.crs)}; reproject the mask to the image's grid (nearest)"
        )
    if image.transform is None or mask.transform is None:
        return ""
    distance = _corner_distance(image.transform, mask.transform, image.height, image.width)
    if distance <= _GRID_PX:
        return ""
    return (
        f"mask and image have the same size, but lie up to {distance:.4g} pixels apart on the map (transform "
        f"{_numbers(mask.transform)} and {_numbers(image.transform)}); resample the mask to the image's grid (nearest)"
    )


class RasterReader:
    """An open file from which windows are read; a context. For one thread.

    Args:
        path: of the file.
        cache_bytes: of decoded blocks that are kept, for windows that share them.
    Raises:
        DatasetError: missing, no image that GDAL reads, or damaged; also while reading.
    """

    def __init__(self, path: Path, *, cache_bytes: int = _CACHE_BYTES) -> None:
        self.path, self._cache_bytes = path, cache_bytes

    def __enter__(self) -> RasterReader:
        self._context = opened(self.path, cache_bytes=self._cache_bytes)
        self._source = self._context.__enter__()
        return self

    def __exit__(self, *raised: Any) -> bool | None:
        return self._context.__exit__(*raised)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return self._source.height, self._source.width

    def values(self, numbers: Sequence[int], box: Box | None = None) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Returns values (C, H, W) as stored, 0 where a band has no data, and which pixels (H, W) have no data at all.

        Args:
            numbers: of the bands, from 1.
            box: part of the file; None means all of it.
        """
        missing = [number for number in numbers if number > self._source.count]
        if missing:
            raise DatasetError(
                f"there is no band {shorten(missing)}: the file has {self._source.count} bands", path=self.path
            )
        window = self._window(box)
        values: NDArray[Any] = self._source.read(list(numbers), window=window)
        holds = self._holds_data(numbers, window, values)
        values[~holds] = 0
        nodata: NDArray[np.bool_] = np.logical_not(holds.any(axis=0))
        return values, nodata

    def stored(self, numbers: Sequence[int], box: Box) -> NDArray[Any]:
        """Returns values (C, H, W) as stored, whether or not they count as data."""
        found: NDArray[Any] = self._source.read(list(numbers), window=self._window(box))
        return found

    def shrunk(self, numbers: Sequence[int], size: tuple[int, int]) -> NDArray[Any]:
        """Returns the values (C, h, w) of the whole file at a smaller size: some of them, none is mixed."""
        found: NDArray[Any] = self._source.read(list(numbers), out_shape=(len(numbers), *size))
        return found

    def image(self, bands: Bands, box: Box | None = None) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Returns an image (H, W, C) uint8, 0 where there is no data, and which pixels (H, W) have no data."""
        values, nodata = self.values(bands.numbers, box)
        if values.dtype != np.uint8 and bands.ranges is None:
            raise DatasetError(
                f"expected 8 bit a value as in the other files, got {values.dtype}; set the option depth_range",
                path=self.path,
            )
        return bands.scale(values), nodata

    def labels(self, box: Box | None = None) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """Returns (H, W) uint8 or uint16 mask values, unchanged; DatasetError for anything but one such band."""
        if self._source.count != 1:
            raise DatasetError(
                f"expected a mask with one band of class values, got {self._source.count} bands", path=self.path
            )
        values: NDArray[Any] = self._source.read(1, window=self._window(box))
        if values.dtype in (np.uint8, np.uint16):
            return values
        whole = np.isfinite(values) & (values >= 0) & (values <= 65535)
        if not whole.all() or (np.rint(values) != values).any():
            raise DatasetError(
                f"expected a mask of whole numbers from 0 to 65535, got {values.dtype} values {values.min():g} to "
                f"{values.max():g}; save the labels as uint8",
                path=self.path,
            )
        return values.astype(np.uint16)

    def _window(self, box: Box | None) -> Any:
        from rasterio.windows import Window

        top, left, height, width = box or (0, 0, self._source.height, self._source.width)
        if height * width > LARGEST_PX:
            raise DatasetError(
                f"the image has {height} x {width} pixels (height x width), too many to decode at once; read it by "
                "windows with the option window of data.format: geotiff, or cut it",
                path=self.path,
            )
        if min(top, left) < 0 or top + height > self._source.height or left + width > self._source.width:
            raise DatasetError(
                f"the window {(top, left, height, width)} (top, left, height, width) leaves the file of "
                f"{self._source.height} x {self._source.width} pixels; read the data set again",
                path=self.path,
            )
        return Window(left, top, width, height)

    def _holds_data(self, numbers: Sequence[int], window: Any, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Returns (C, H, W): where a band has data. An alpha band that is itself asked for says nothing of others."""
        from rasterio.enums import ColorInterp, MaskFlags

        alpha = [self._source.colorinterp[number - 1] is ColorInterp.alpha for number in numbers]
        by_alpha = [MaskFlags.alpha in self._source.mask_flag_enums[number - 1] for number in numbers]
        if any(alpha) and any(by_alpha):
            holds = np.ones(values.shape, dtype=bool)
        else:
            holds = self._source.read_masks(list(numbers), window=window) > 0
        return holds & np.isfinite(values) if values.dtype.kind == "f" else holds


def read_image(path: Path, bands: Bands, box: Box | None = None) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Returns an image (H, W, C) uint8 and which pixels have no data; see `RasterReader.image`."""
    with RasterReader(path) as reader:
        return reader.image(bands, box)


def boxes(height: int, width: int, window: int | None, stride: int | None = None) -> list[Box]:
    """Returns the windows of a file in reading order; the last of a row or column is moved inward to stay full.

    Args:
        window: side in pixels; None means the whole file. A file that is smaller is one window of its own size there.
        stride: from one window to the next; None means `window`.
    """
    if window is None:
        return [(0, 0, height, width)]
    tall, wide = min(window, height), min(window, width)
    step = stride or window
    return [(top, left, tall, wide) for top in _starts(height, tall, step) for left in _starts(width, wide, step)]


def _starts(length: int, side: int, step: int) -> list[int]:
    starts = list(range(0, length - side + 1, step))
    return starts if starts[-1] + side >= length else [*starts, length - side]


def file_sha256(path: Path) -> str:
    """Returns the hash of a file of any size."""
    with told_errors(path), path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def percentile_ranges(places: Sequence[tuple[Path, Box]], numbers: Sequence[int]) -> tuple[tuple[Range, ...], int]:
    """Returns each band's 2nd and 98th percentile over a fixed sample of pixels, and how many pixels that were.

    Args:
        places: files and their windows; at most 100, evenly spread over the list, are looked at.
        numbers: of the bands.
    Raises:
        DatasetError: none of these pixels holds data.
    """
    chosen = sorted({round(place) for place in np.linspace(0, len(places) - 1, min(len(places), _SAMPLED_BOXES))})
    found: list[NDArray[Any]] = []
    for path, box in (places[place] for place in chosen):
        with RasterReader(path) as reader:
            values, nodata = reader.values(numbers, box)
        rows, columns = (max(1, side // _SAMPLED_SIDE) for side in nodata.shape)
        some = values[:, ::rows, ::columns]
        found.append(some[:, ~nodata[::rows, ::columns]])
    pixels = np.concatenate(found, axis=1)
    if not pixels.size:
        raise DatasetError(
            f"depth_range: auto found no pixel with data in {len(chosen)} places; give numbers", path=places[0][0]
        )
    low, high = np.percentile(pixels.astype(np.float64), (2, 98), axis=1)
    rounded = [(float(f"{a:.6g}"), float(f"{b:.6g}")) for a, b in zip(low, high, strict=True)]
    return tuple((a, b) if a < b else (a, a + 1.0) for a, b in rounded), pixels.shape[1]


def write_labels(
    path: Path, labels: NDArray[np.uint8], class_map: ClassMap, like: Path, nodata: NDArray[np.bool_] | None
) -> None:
    """Writes class indices as a GeoTIFF on the grid of another file, in display colours; without data is 255.

    Args:
        labels: (H, W) class indices.
        like: file whose coordinate reference system and transform are taken.
        nodata: (H, W) pixels of that file that have no data; None where all have some.
    """
    nowhere = class_map.ignore_index
    with _placed(path, labels[None], like, dtype="uint8", nodata=nowhere) as target:
        target.write(labels if nodata is None else np.where(nodata, np.uint8(nowhere), labels), 1)
        target.write_colormap(1, dict(enumerate((*color, 255) for color in class_map.colors)))


def write_half_floats(
    path: Path,
    values: NDArray[np.float32],
    names: Sequence[str],
    like: Path | None,
    nodata: NDArray[np.bool_] | None = None,
) -> None:
    """Writes values as a GeoTIFF of 16-bit floats, on the grid of another file; without data is NaN.

    Args:
        values: (C, H, W).
        names: of the bands.
        like: file whose coordinate reference system and transform are taken; None: no place.
        nodata: (H, W) pixels without data; None where all have some.
    Raises:
        DatasetError: rasterio is not installed.
    """
    with _placed(path, values, like, dtype="float32", nbits=16, nodata=math.nan) as target:
        target.write(values if nodata is None else np.where(nodata, np.float32(math.nan), values))
        target.descriptions = tuple(names)


@contextmanager
def _placed(path: Path, values: NDArray[Any], like: Path | None, **profile: Any) -> Iterator[Any]:
    """Yields a new GeoTIFF for values (C, H, W) to be filled, on the grid of another file; written all or nothing."""
    rasterio = _rasterio(path)
    if like is not None:
        with opened(like) as source:
            if not source.transform.is_identity:
                profile |= {"crs": source.crs, "transform": source.transform}
    count, height, width = values.shape
    profile |= {"count": count, "height": height, "width": width, "compress": "deflate", "tiled": True}
    with replacing(path) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(temporary, "w", driver="GTiff", **profile) as target:
            yield target


def _rasterio(path: Path) -> Any:
    try:
        import rasterio
    except ModuleNotFoundError as error:
        raise DatasetError(
            "this format needs the package rasterio, which is not installed; pip install 'segbench[geo]'", path=path
        ) from error
    return rasterio


@contextmanager
def in_memory(data: bytes) -> Iterator[Path]:
    """Yields a path under which the functions of this module find a file's bytes; nothing is on disk."""
    with _rasterio(Path("image")).MemoryFile(data) as file:
        yield Path(file.name)


@contextmanager
def opened(path: Path, *, cache_bytes: int = _CACHE_BYTES) -> Iterator[Any]:
    """Yields a file opened by rasterio; whatever goes wrong with it inside the block becomes a DatasetError."""
    rasterio = _rasterio(path)
    if _MEMORY not in path.parents and not path.is_file():
        raise DatasetError(missing_text(path), path=path)
    try:
        with rasterio.Env(GDAL_CACHEMAX=cache_bytes):  # which GDAL itself would take for megabytes, and rasterio not
            with _opening, warnings.catch_warnings():
                warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
                source = rasterio.open(path)
            with source:
                _refuse_pages(source, path)
                yield source
    except (rasterio.errors.RasterioError, rasterio.errors.RasterioIOError) as error:
        raise DatasetError(
            f"not an image that can be read by windows, or damaged or cut off ({error}); copy it again", path=path
        ) from error


def _refuse_pages(source: Any, path: Path) -> None:
    pages = len(source.subdatasets) if source.driver == "GTiff" else 1  # overviews and masks are none of them
    if pages > 1:
        text = message(
            "expected one picture, got a TIFF file with {pages} pages, of which only the first would be read; save "
            "each as a file of its own: gdal_translate GTIFF_DIR:1:IN.tif OUT.tif",
            pages=pages,
        )
        raise DatasetError(text, path=path)


def _same_crs(one: str, other: str) -> bool:
    from rasterio.crs import CRS

    return bool(CRS.from_wkt(one) == CRS.from_wkt(other))


def _crs_name(wkt: str) -> str:
    from rasterio.crs import CRS

    found = CRS.from_wkt(wkt)
    code = found.to_epsg()
    return f"EPSG:{code}" if code else str(found)[:60]


def _corner_distance(image: Sequence[float], mask: Sequence[float], height: int, width: int) -> float:
    """Returns how far apart the corners of two files lie at most, in pixels of the first.

    Args:
        image, mask: transforms, six numbers each.
    """
    corners = np.array([(x, y, 1.0) for x in (0.0, width) for y in (0.0, height)]).T
    on_map = np.reshape(mask, (2, 3)) @ corners
    to_map = np.reshape(image, (2, 3))
    in_image = np.linalg.solve(to_map[:, :2], on_map - to_map[:, 2:])
    return float(np.abs(in_image - corners[:2]).max())


def _numbers(transform: Sequence[float]) -> str:
    return "(" + ", ".join(f"{number:g}" for number in transform) + ")"
