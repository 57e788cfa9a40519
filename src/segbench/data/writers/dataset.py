"""A data set converted in one call: what `segbench data convert` does."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from segbench.data.formats.detect import resolve
from segbench.data.manifest.manifest import Manifest, is_manifest
from segbench.data.manifest.read import read_dataset
from segbench.data.public.archive import is_archive, open_archive
from segbench.data.writers.common import Simplify, WriteOptions
from segbench.data.writers.convert import ConvertReport, convert
from segbench.types import Progress


def convert_dataset(
    data: Manifest | str | Path,
    to: str,
    out: str | Path,
    format: str | None = None,  # noqa: A002  # the config's word
    *,
    images: Literal["copy", "link", "none"] = "copy",
    rle: bool = False,
    simplify: Simplify = 0.0,
    split: Literal["keep", "drop"] = "keep",
    verify: bool = True,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> ConvertReport:
    """Writes a data set in another format, reads that back, and says what changed.

    Args:
        data: a manifest that was read already, or what `read_dataset` takes.
        to: coco, cvat, folder, labelme, via, voc or yolo.
        out: folder; made if missing.
        format: name of the reader; None recognises it.
        images: `copy`, `link` (hard links) or `none` (the annotations alone).
        rle: run lengths instead of polygons, in formats that have both.
        simplify: pixels that corners lost from polygons may lie beside them; 0 keeps them exact, `auto` keeps an IoU of
            0.99 in each class of each image.
        split: `keep` writes the parts, and leaves out samples of no part where others have one; `drop` writes all
            samples into no part.
        verify: read back and compare every pixel; not possible where images are left out.
        overwrite: replace a folder that was written so before.
        progress: called after every sample.
        options: of the reader.
    Raises:
        ConfigError: an unknown format or option, or a format that cannot hold these classes.
        DatasetError: the data cannot be read, the folder is not empty or holds the data set itself, an image has a name
            that the format cannot hold, or a format without losses gave other pixels back.

    Example:
        >>> import segbench
        >>> report = segbench.convert_dataset("my_images", "coco", "as_coco")  # doctest: +SKIP
        >>> report.identical  # doctest: +SKIP
        True
    """
    manifest = data if isinstance(data, Manifest) else _read(Path(data).expanduser(), format, options, progress)
    wanted = WriteOptions(images=images, rle=rle, simplify=simplify)
    return convert(
        manifest, to, out, options=wanted, split=split, verify=verify, overwrite=overwrite, progress=progress
    )


def _read(path: Path, name: str | None, options: dict[str, Any], progress: Progress | None) -> Manifest:
    if is_manifest(path):
        return read_dataset(path, name, progress=progress, **options)
    folder = open_archive(path, progress=progress) if is_archive(path) else path
    chosen = resolve(folder, name, options)
    return read_dataset(folder, chosen.format, progress=progress, **chosen.options)
