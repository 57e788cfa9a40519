"""Masks as files: palette PNGs of class indices, or GeoTIFFs on the grid of their image."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from segbench.data.files import raster
from segbench.data.files.images import read_mask_values
from segbench.files import replacing
from segbench.types import ClassMap, Task


def write_masks(
    folder: Path, name: str, mask: np.ndarray, class_map: ClassMap, like: Path | None, nodata: np.ndarray | None
) -> None:
    """Writes a mask as NAME.png, or NAME.tif on the grid of the raster `like`.

    Args:
        mask: (H, W) uint8 class indices; multilabel (C, H, W), which become a file a class in a folder of its name.
        nodata: (H, W) pixels without data, 255 in a NAME.tif; None where all have some.
    """
    for file, plane in zip(mask_files(folder, name, class_map, like), _planes(mask), strict=True):
        if like is None:
            write_mask(file, plane, class_map)
        else:
            raster.write_labels(file, plane, class_map, like, nodata)


def read_masks(folder: Path, name: str, class_map: ClassMap, like: Path | None) -> np.ndarray:
    """Returns what `write_masks` wrote; pixels without data are 255.

    Raises:
        DatasetError: a file is missing or damaged.
    """
    planes = []
    for file in mask_files(folder, name, class_map, like):
        if like is None:
            planes.append(read_mask_values(file))
        else:
            with raster.RasterReader(file) as reader:
                planes.append(reader.labels())
    return np.stack(planes) if class_map.task is Task.MULTILABEL else planes[0]


def mask_files(folder: Path, name: str, class_map: ClassMap, like: Path | None) -> list[Path]:
    """Returns the file of a mask; of a multilabel one, one a class."""
    file = f"{name}.png" if like is None else f"{name}.tif"
    if class_map.task is not Task.MULTILABEL:
        return [folder / file]
    return [folder / each / file for each in class_map.names]


def _planes(mask: np.ndarray) -> list[np.ndarray]:
    return list(mask) if mask.ndim == 3 else [mask]


def write_mask(path: Path, mask: np.ndarray, class_map: ClassMap) -> None:
    """Writes (H, W) uint8 class indices as a palette PNG in the class map's display colours."""
    with replacing(path) as temporary:
        temporary.write_bytes(mask_png(mask, class_map))


def mask_png(mask: np.ndarray, class_map: ClassMap) -> bytes:
    """Returns the file of (H, W) uint8 class indices: a palette PNG in the class map's display colours."""
    picture = Image.fromarray(mask)
    palette = np.zeros((256, 3), dtype=np.uint8)
    palette[: class_map.num_classes] = class_map.colors
    picture.putpalette(palette.tobytes())
    file = io.BytesIO()
    picture.save(file, "PNG", bits=_bits(class_map.num_classes))
    return file.getvalue()


def _bits(classes: int) -> int:
    """Returns how many bits a pixel of a PNG needs: fewer make it smaller and quicker to write."""
    return next(bits for bits in (1, 2, 4, 8) if classes <= 1 << bits)
