"""The files of a prediction, all kinds together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from segbench.data.files.map_grid import MapGrid
from segbench.data.writers import Labelled, WriteOptions, check_writer, write_dataset
from segbench.files import replacing, write_json
from segbench.plots.panels import legend_picture
from segbench.predict.class_pixels import class_pixels
from segbench.predict.doubt import expected_score, pixel_doubt
from segbench.predict.mask_folder import MARKER, mark_indices
from segbench.predict.outputs.areas import UNLIKE, PixelScale, area_row
from segbench.predict.outputs.masks import read_masks, write_masks
from segbench.predict.outputs.options import OutputOptions
from segbench.predict.outputs.probabilities import probability_names, write_probs
from segbench.predict.pipeline import PipelineSettings
from segbench.predict.predictor import Prediction
from segbench.predict.unlike import unlike_training
from segbench.types import ClassMap, Task

OVERLAY_QUALITY = 90  # of JPEG, 0-100
AREAS_FILE = "areas.csv"
SETTINGS_FILE = "settings.json"  # how the masks came about: threshold, size, post-processing and all else
_LEGEND, _DOUBT_LEGEND, _DISAGREEMENT_LEGEND = "legend.png", "doubt_legend.png", "disagreement_legend.png"
_OBJECTS = "objects.csv"


def prepare_outputs(
    settings: PipelineSettings, out: Path, options: OutputOptions | None = None, *, several: bool = False
) -> None:
    """Writes what is said once of all images: `settings.json`, `masks/classes.json`, and what the colours mean.

    Args:
        settings: of the predictor.
        out: folder of all outputs.
        options: see `OutputOptions`; None: masks alone.
        several: networks are averaged, so that doubt is told by their disagreement, too.
    Raises:
        ConfigError: data sets of polygons that cannot hold these classes.
    """
    options = options or OutputOptions()
    for kind in options.polygons:
        if kind != "geojson":
            check_writer(kind, settings.class_map, _as_dataset(options))
    write_json(out / SETTINGS_FILE, settings.to_dict())
    mark_indices(out / "masks", settings.class_map)
    with replacing(out / _LEGEND) as temporary:
        legend_picture(settings.class_map).save(temporary)
    if options.doubt:
        from segbench.plots.doubt import disagreement_legend, doubt_legend  # slow to import, as what is below is

        with replacing(out / _DOUBT_LEGEND) as temporary:
            doubt_legend().savefig(temporary)
        if several:
            with replacing(out / _DISAGREEMENT_LEGEND) as temporary:
                disagreement_legend().savefig(temporary)


def write_outputs(
    prediction: Prediction,
    out: Path,
    name: str,
    options: OutputOptions,
    like: Path | None = None,
    card: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Writes one image's files, and returns its row of areas.csv (without the column `file`, which the caller knows).

    Args:
        prediction: of the image.
        out: folder of all outputs.
        name: of the files, without suffix; may have folders.
        options: see `OutputOptions`.
        like: raster file on whose grid the mask is; None writes PNG.
        card: of a bundle, for the columns that tell which score to expect, and whether the image is unlike those that
            the model learnt from; a card that knows neither, or None, adds none.
    """
    class_map, nodata = prediction.class_map, prediction.nodata
    write_masks(out / "masks", name, prediction.mask, class_map, like, nodata)
    if options.overlays:
        with replacing(out / "overlays" / f"{name}.jpg") as temporary:  # as PNG, half of all time would go here
            Image.fromarray(prediction.overlay()).save(temporary, quality=OVERLAY_QUALITY)
    if options.probs is not None:
        names = probability_names(class_map)
        write_probs(out / "probs" / name, prediction.probs, names, options.probs, like, nodata)
    apart = prediction.disagreement if options.doubt else None
    if options.doubt:
        from segbench.plots.doubt import doubt_picture

        pictures = {"doubt": pixel_doubt(prediction.probs, class_map.task), "disagreement": apart}
        for kind, values in pictures.items():
            if values is not None:
                with replacing(out / kind / f"{name}.png") as temporary:
                    Image.fromarray(doubt_picture(prediction.image, values)).save(temporary, compress_level=1)
    height, width = prediction.image.shape[:2]
    grid = None if like is None else MapGrid.of(like)
    scale = PixelScale.of(grid, options.mm_per_px)
    pixels, counted = class_pixels(prediction.mask, class_map, nodata)
    row = {"id": name, "width": width, "height": height} | area_row(class_map, pixels, counted, scale)
    if options.objects or "geojson" in options.polygons:
        from segbench.predict.outputs.geojson import write_geojson
        from segbench.predict.outputs.objects import mask_objects, object_counts, write_objects

        objects = list(mask_objects(prediction.mask, class_map, nodata))
        if options.objects:
            write_objects(out / "objects" / f"{name}.csv", name, objects, class_map, scale)
            row |= object_counts(objects, class_map)
        if "geojson" in options.polygons:
            file = out / "polygons" / "geojson" / f"{name}.geojson"
            write_geojson(file, objects, class_map, grid, scale, options.simplify or 0.0)
    if apart is not None and counted:
        row["disagreement"] = f"{(apart if nodata is None else apart[~nodata]).mean(dtype=np.float64):.4f}"
    return row | _trust(prediction, card)


def _trust(prediction: Prediction, card: Mapping[str, Any] | None) -> dict[str, str]:
    """Returns the columns of areas.csv that say how far an image's mask may be trusted."""
    row: dict[str, str] = {}
    expected = expected_score(card, prediction)
    if expected is not None:
        names = ("expected_iou", "expected_iou_low", "expected_iou_high")
        row |= {name: f"{value:.3f}" for name, value in zip(names, expected, strict=True)}
    unlike = unlike_training(card, prediction.image)
    if unlike is not None:
        row[UNLIKE] = str(unlike)
    return row


def output_files(
    out: Path, name: str, class_map: ClassMap, options: OutputOptions, *, on_grid: bool, several: bool = False
) -> list[Path]:
    """Returns the files (zarr: a folder) without which an image's outputs are not complete.

    Args:
        on_grid: masks are GeoTIFFs on the grid of their image.
        several: networks are averaged.
    """
    mask = f"{name}.tif" if on_grid else f"{name}.png"
    planes = [""] if class_map.task is not Task.MULTILABEL else class_map.names
    files = [out / "masks" / plane / mask for plane in planes]
    if options.overlays:
        files.append(out / "overlays" / f"{name}.jpg")
    if options.probs is not None:
        files.append(out / "probs" / f"{name}.{options.probs}")
    if options.doubt:
        files += [out / kind / f"{name}.png" for kind in ("doubt", *(["disagreement"] if several else []))]
    if options.objects:
        files.append(out / "objects" / f"{name}.csv")
    if "geojson" in options.polygons:
        files.append(out / "polygons" / "geojson" / f"{name}.geojson")
    return files


def _as_dataset(options: OutputOptions) -> WriteOptions:
    return WriteOptions(images="none", simplify="auto" if options.simplify is None else options.simplify)


def shared_files(out: Path, options: OutputOptions, *, several: bool = False) -> list[Path]:
    """Returns what there is of all images together: files, and the folders of data sets of polygons.

    Args:
        several: networks are averaged.
    """
    names = [AREAS_FILE, SETTINGS_FILE, _LEGEND, f"masks/{MARKER}"]
    names += (
        [_DOUBT_LEGEND] * options.doubt
        + [_DISAGREEMENT_LEGEND] * (options.doubt and several)
        + [_OBJECTS] * options.objects
    )
    return [out / name for name in names] + [out / "polygons" / kind for kind in options.polygons if kind != "geojson"]


def finish_outputs(
    out: Path,
    written: Sequence[tuple[str, Path, Path]],
    class_map: ClassMap,
    options: OutputOptions,
    *,
    on_grid: bool = False,
) -> None:
    """Writes what is of all images together, from the files of each: `objects.csv`, and data sets of polygons.

    Args:
        out: folder of all outputs.
        written: name, image file, and what data sets call it (a path below the folder of the images), of each image
            that `write_outputs` wrote.
        class_map: of the masks.
        options: see `OutputOptions`.
        on_grid: masks are GeoTIFFs on the grid of their image.
    """
    if options.objects:
        from segbench.predict.outputs.objects import join_objects

        join_objects(out / _OBJECTS, [out / "objects" / f"{name}.csv" for name, _, _ in written])

    def samples() -> Iterator[Labelled]:
        for name, image, below in written:
            labels = read_masks(out / "masks", name, class_map, image if on_grid else None)
            yield Labelled(id=name, image=image, labels=labels, file=below.as_posix())

    if not written:
        return
    for kind in options.polygons:
        if kind != "geojson":
            write_dataset(kind, out / "polygons" / kind, samples(), class_map, _as_dataset(options), overwrite=True)
