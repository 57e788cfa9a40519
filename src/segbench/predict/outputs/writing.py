"""The files of a prediction, all kinds together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from segbench.files import replacing, write_json
from segbench.plots.panels import legend_picture
from segbench.predict.class_pixels import class_pixels
from segbench.predict.mask_folder import mark_indices
from segbench.predict.outputs.areas import PixelScale, area_row
from segbench.predict.outputs.masks import write_masks
from segbench.predict.outputs.options import OutputOptions
from segbench.predict.pipeline import PipelineSettings
from segbench.predict.predictor import Prediction

SETTINGS_FILE = "settings.json"  # how the masks came about: threshold, size, post-processing and all else


def prepare_outputs(settings: PipelineSettings, out: Path) -> None:
    """Writes what is said once of all images: `settings.json`, `legend.png` and `masks/classes.json`."""
    write_json(out / SETTINGS_FILE, settings.to_dict())
    mark_indices(out / "masks", settings.class_map)
    with replacing(out / "legend.png") as temporary:
        legend_picture(settings.class_map).save(temporary)


def write_outputs(
    prediction: Prediction, out: Path, name: str, options: OutputOptions, like: Path | None = None
) -> dict[str, Any]:
    """Writes one image's files, and returns its row of areas.csv (without the column `file`, which the caller knows).

    Args:
        prediction: of the image.
        out: folder of all outputs.
        name: of the files, without suffix; may have folders.
        options: see `OutputOptions`.
        like: raster file on whose grid the mask is; None writes PNG.
    """
    class_map = prediction.class_map
    write_masks(out / "masks", name, prediction.mask, class_map, like, prediction.nodata)
    if options.overlays:
        with replacing(out / "overlays" / f"{name}.png") as temporary:
            Image.fromarray(prediction.overlay()).save(temporary)
    if options.probs is not None:
        with replacing(out / "probs" / f"{name}.npz") as temporary:
            np.savez_compressed(temporary, probs=prediction.probs.astype(np.float16))
    height, width = prediction.image.shape[:2]
    pixels, counted = class_pixels(prediction.mask, class_map, prediction.nodata)
    scale = PixelScale.of(like, options.mm_per_px)
    return {"id": name, "width": width, "height": height} | area_row(class_map, pixels, counted, scale)
