"""Masks as files: palette PNGs of class indices, or GeoTIFFs on the grid of their image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from segbench.data.files import raster
from segbench.files import replacing
from segbench.types import ClassMap


def write_masks(
    folder: Path, name: str, mask: np.ndarray, class_map: ClassMap, like: Path | None, nodata: np.ndarray | None
) -> None:
    """Writes a mask as NAME.png, or NAME.tif on the grid of the raster `like`.

    Args:
        mask: (H, W) uint8 class indices; multilabel (C, H, W), which become a file a class in a folder of its name.
        nodata: (H, W) pixels without data, 255 in a NAME.tif; None where all have some.
    """
    planes = [(folder, mask)]
    if mask.ndim == 3:
        planes = [(folder / each, plane) for each, plane in zip(class_map.names, mask, strict=True)]
    for below, plane in planes:
        if like is None:
            write_mask(below / f"{name}.png", plane, class_map)
        else:
            raster.write_labels(below / f"{name}.tif", plane, class_map, like, nodata)


def write_mask(path: Path, mask: np.ndarray, class_map: ClassMap) -> None:
    """Writes (H, W) uint8 class indices as a palette PNG in the class map's display colours."""
    picture = Image.fromarray(mask)
    palette = np.zeros((256, 3), dtype=np.uint8)
    palette[: class_map.num_classes] = class_map.colors
    picture.putpalette(palette.tobytes())
    with replacing(path) as temporary:
        picture.save(temporary, optimize=True)
