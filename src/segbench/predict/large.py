"""Which image files are too large to be opened whole, and what is written of those."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from segbench.data.files.bands import shown
from segbench.data.files.map_grid import MapGrid
from segbench.data.files.raster import LARGEST_PX, RasterReader
from segbench.errors import PredictionError, SegbenchError
from segbench.files import replacing
from segbench.locale import message
from segbench.plots.panels import overlay
from segbench.predict.outputs import OVERLAY_QUALITY, OutputOptions, PixelScale, area_row
from segbench.predict.pipeline import Pipeline
from segbench.predict.predictor import Predictor
from segbench.predict.raster_rows import RasterRows
from segbench.predict.sizes import plan_size
from segbench.predict.windows import RasterPrediction, missing_bands, predict_raster
from segbench.types import ClassMap, Progress, Task

LARGE_PX = 25_000_000  # above it a raster, or an image that keeps its scale, is predicted part by part
OVERLAY_PX = 2048  # of the longer side of the overlay of such an image


def is_large(pipeline: Pipeline, path: Path) -> bool:
    """Returns whether an image is predicted part by part: above `LARGE_PX` at its own scale, or above what is opened
    at once whatever its scale."""
    size = _size_in_header(path)
    if size is None or size[0] * size[1] <= LARGE_PX:
        return False
    keeps_scale = plan_size(pipeline.settings, size).policy != "resize"
    return keeps_scale or pipeline.settings.bands is not None or size[0] * size[1] > LARGEST_PX


def write_large(
    predictor: Predictor, path: Path, out: Path, name: str, options: OutputOptions, progress: Progress | None = None
) -> dict[str, Any]:
    """Writes one large image's files, and returns its row of areas.csv as `write_outputs` does; the overlay is small.

    Raises:
        PredictionError: outputs are asked for that need the whole image; or see `predict_raster`.
        DatasetError: see `predict_raster`.
    """
    if wrong := _refused(options):
        text = message(
            "the image is so large that it is predicted part by part, which gives masks, areas, a small overlay, "
            "objects, polygons as geojson, and probabilities as tif or zarr; leave off {options}",
            options=", ".join(wrong),
        )
        raise PredictionError(text, path=path)
    row: dict[str, Any] = {"id": name}

    def write_others(done: RasterPrediction) -> None:
        if options.overlays:
            _write_overlay(predictor, path, out / "overlays" / f"{name}.jpg", done)
        grid = MapGrid.of(path)
        scale = PixelScale.of(grid, options.mm_per_px)
        row.update({"width": done.width, "height": done.height})
        row.update(area_row(predictor.class_map, done.pixels, done.counted_px, scale))
        if options.objects or options.polygons:
            row.update(_write_objects(predictor.class_map, done.masks, out, name, options, grid, scale))

    predict_raster(predictor, path, out, name, probs=options.probs, then=write_others, progress=progress)
    return row


def large_bands(
    predictor: Predictor, path: Path, out: Path, name: str, options: OutputOptions
) -> list[tuple[int, int]]:
    """Returns the bands of rows of an image for `predict_band`, before `write_large` joins them; none of any other.

    None, too, of an image that `write_large` will refuse, and say why.
    """
    try:
        if _refused(options) or not is_large(predictor.pipeline, path):
            return []
        return missing_bands(predictor, path, out, name, with_probs=options.probs is not None)
    except SegbenchError:
        return []


def _refused(options: OutputOptions) -> list[str]:
    """Returns the options that ask for what the whole image is needed for."""
    asked = {
        f"--probs-as {options.probs}": options.probs in ("npz", "npy"),
        f"--polygons {','.join(each for each in options.polygons if each != 'geojson')}": bool(
            set(options.polygons) - {"geojson"}
        ),
        "--doubt": options.doubt,
    }
    return [name for name, value in asked.items() if value]


def _write_objects(
    class_map: ClassMap,
    masks: Sequence[Path],
    out: Path,
    name: str,
    options: OutputOptions,
    grid: MapGrid | None,
    scale: PixelScale | None,
) -> dict[str, int]:
    """Writes objects and polygons of finished masks; returns the columns of areas.csv that count objects."""
    from segbench.predict.outputs.file_objects import FileObjects, with_pixels
    from segbench.predict.outputs.geojson import write_geojson
    from segbench.predict.outputs.objects import object_counts, write_objects

    objects = FileObjects(masks, class_map)
    if options.objects:
        write_objects(out / "objects" / f"{name}.csv", name, objects, class_map, scale)
    if options.polygons:
        file = out / "polygons" / "geojson" / f"{name}.geojson"
        write_geojson(file, with_pixels(objects), class_map, grid, scale, options.simplify or 0.0)
    return object_counts(objects, class_map) if options.objects else {}


def _write_overlay(predictor: Predictor, path: Path, file: Path, done: RasterPrediction) -> None:
    settings = predictor.pipeline.settings
    with RasterRows(path, settings.bands, settings.depth_range) as source:
        image = source.shrunk(OVERLAY_PX)
    planes = []
    for mask in done.masks:
        with RasterReader(mask) as reader:
            planes.append(reader.shrunk((1,), (image.shape[0], image.shape[1]))[0])
    several = settings.class_map.task is Task.MULTILABEL
    labels = np.stack([plane == 1 for plane in planes]).astype(np.uint8) if several else planes[0]
    display = None if settings.bands is None else settings.bands.display
    with replacing(file) as temporary:
        Image.fromarray(overlay(shown(image, display), labels, settings.class_map)).save(
            temporary, quality=OVERLAY_QUALITY
        )


def _size_in_header(path: Path) -> tuple[int, int] | None:
    """Returns (H, W); a huge one where a header says so much that it is not even opened; None for no image."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            with Image.open(path) as image:
                return image.height, image.width
        except Image.DecompressionBombError:
            return 2 * LARGEST_PX, 1
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
            return None
