"""Images and masks of a data set as files that a browser shows; small ones are remembered in the cache."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segbench.data.files.resize import resize_image, resize_mask
from segbench.data.manifest.manifest import Manifest
from segbench.data.sources.load import load_picture
from segbench.errors import DatasetError
from segbench.files import cache_folder, replacing
from segbench.plots.panels import colorize, overlay
from segbench.serve.answers import ServeError
from segbench.types import RGB, ClassMap, Sample, Task

U8: TypeAlias = NDArray[np.uint8]
Look: TypeAlias = Literal["image", "overlay", "labels", "tint"]
_QUALITY = 88
_KEPT_PX = 512  # pictures up to this side are remembered


@dataclass(frozen=True, kw_only=True)
class Tint:
    """How the look `tint` is drawn. Attributes: only, indices of its classes, None: all; outline: borders alone."""

    only: tuple[int, ...] | None = None
    outline: bool = False


def picture(
    manifest: Manifest, sample: Sample, look: Look, side: int | None = None, tint: Tint = Tint()
) -> tuple[bytes, str]:
    """Returns a picture of a sample, and its media type.

    Args:
        look: `image` (JPEG); `overlay`: classes tinted and outlined (JPEG); `labels`: the class indices themselves (PNG
            with palette, multilabel: planes below each other); `tint`: the colours of the classes, what is background
            transparent (PNG), to be laid over the image.
        side: of the longest side in pixels; None: as large as it is.
        tint: of the look `tint`.
    Raises:
        ServeError: the files are gone, changed or damaged.
    """
    kind = "image/jpeg" if look in ("image", "overlay") else "image/png"
    if side is None or side > _KEPT_PX:
        return _made(manifest, sample, look, side, tint), kind
    known = [manifest.content_hash if manifest.bands else "", sample.image_hash, sample.mask_hash, look, str(side)]
    known += [str(manifest.class_map.to_dict()), str(sample.window), str(manifest.depth_range)]
    known += [str(tint)] if look == "tint" else []
    name = hashlib.sha256("\n".join(known).encode()).hexdigest()
    file = cache_folder() / "studio" / name[:2] / name
    if file.is_file():
        return file.read_bytes(), kind
    made = _made(manifest, sample, look, side, tint)
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as temporary:
        temporary.write_bytes(made)
    return made, kind


def _made(manifest: Manifest, sample: Sample, look: Look, side: int | None, tint: Tint) -> bytes:
    try:
        image, labels = load_picture(manifest, sample)
    except DatasetError as error:
        raise ServeError(410, str(error), code="unreadable_image") from error
    size = _shrunk((image.shape[0], image.shape[1]), side)
    if look == "image":
        return jpeg(resize_image(image, size))
    labels = resize_mask(labels, size)
    if look == "overlay":
        return jpeg(overlay(resize_image(image, size), labels, manifest.class_map))
    return label_png(labels, manifest.class_map) if look == "labels" else tint_png(labels, manifest.class_map, tint)


def jpeg(pixels: U8) -> bytes:
    """Returns (H, W, 3) uint8 as JPEG."""
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG", quality=_QUALITY)
    return data.getvalue()


def label_png(labels: U8, class_map: ClassMap) -> bytes:
    """Returns labels (H, W) as PNG of class indices with the classes' colours; multilabel (C, H, W) as (C * H, W)."""
    flat = labels if labels.ndim == 2 else labels.reshape(-1, labels.shape[2])
    picture = Image.fromarray(flat)
    if labels.ndim == 2:
        table = np.full((256, 3), 128, np.uint8)
        table[: class_map.num_classes] = class_map.colors
        picture.putpalette(table.tobytes())
    return _png(picture)


def tint_png(labels: U8, class_map: ClassMap, tint: Tint = Tint()) -> bytes:
    """Returns the classes' colours as PNG with alpha; background is transparent, what counts nowhere grey."""
    multilabel = class_map.task is Task.MULTILABEL
    if multilabel and tint.only is not None:
        labels = labels * np.isin(np.arange(len(labels)), tint.only)[:, None, None].astype(np.uint8)
    colors = colorize(labels, class_map)
    if multilabel:
        shown = (labels == 1).any(axis=0)
    else:
        shown = labels != class_map.background if class_map.background is not None else np.ones(labels.shape, bool)
        if tint.only is not None:
            shown &= np.isin(labels, tint.only)
    if tint.outline:
        shown &= _borders(labels if multilabel else labels[None])
    return _png(Image.fromarray(np.dstack([colors, shown.astype(np.uint8) * 255])))


def _borders(planes: U8) -> NDArray[np.bool_]:
    """Returns (H, W): where any of the planes (C, H, W) changes nearby; wide enough to be seen from afar."""
    wide = max(1, round(max(planes.shape[1:]) / 500))
    marks = np.zeros(planes.shape[1:], dtype=bool)
    for axis in (1, 2):
        near = np.diff(planes.astype(np.int16), axis=axis) != 0
        changes = near.any(axis=0)
        for step in range(min(wide, changes.shape[axis - 1])):
            before, after = [slice(None)] * 2, [slice(None)] * 2
            length = changes.shape[axis - 1] - step
            before[axis - 1], after[axis - 1] = slice(0, length), slice(step, step + length)
            marks[tuple(before)] |= changes[tuple(after)]
            after[axis - 1] = slice(step + 1, step + 1 + length)
            before[axis - 1] = slice(0, length)
            marks[tuple(after)] |= changes[tuple(before)]
    return marks


def tinted(where: NDArray[np.bool_], color: RGB) -> bytes:
    """Returns (H, W) as PNG with alpha: a colour where it is true, nothing elsewhere."""
    pixels = np.zeros((*where.shape, 4), np.uint8)
    pixels[where] = (*color, 255)
    return _png(Image.fromarray(pixels))


def _png(picture: Image.Image) -> bytes:
    data = io.BytesIO()
    picture.save(data, "PNG", compress_level=1)
    return data.getvalue()


def _shrunk(size: tuple[int, int], side: int | None) -> tuple[int, int]:
    factor = 1.0 if side is None else min(1.0, side / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))
