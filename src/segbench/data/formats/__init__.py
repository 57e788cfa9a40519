"""Data set formats: each reader lists the images and masks of a folder; `segbench.data.manifest.read` does the rest.

A reader is a function `read(root: Path, *, option..., ) -> Listing` in a file of its own, named like its key. Its
keyword-only parameters are the options a config may set, and their annotations are checked; a path it is given exists
and is a folder. It pairs by name, never by order, opens no image, and raises DatasetError for what is missing and
ConfigError for an option's value. Beside it may stand `looks_like(root: Path) -> str | None`: by which names a folder
is recognised as this data set, found without opening a file; such a folder is then not read as an ordinary one.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segbench.data.formats.shared.listing import IMAGE_SUFFIXES, Entry, Listing
from segbench.errors import ConfigError, suggest
from segbench.registry import Registry

FORMATS = Registry(
    "data.format",
    {
        "ade20k": "segbench.data.formats.ade20k.reader:ade20k",
        "camvid": "segbench.data.formats.camvid:camvid",
        "cityscapes": "segbench.data.formats.cityscapes.reader:cityscapes",
        "coco": "segbench.data.formats.coco.reader:coco",
        "coco_panoptic": "segbench.data.formats.coco.panoptic:coco_panoptic",
        "cvat": "segbench.data.formats.cvat.reader:cvat",
        "darwin": "segbench.data.formats.darwin:darwin",
        "datumaro": "segbench.data.formats.datumaro:datumaro",
        "dicom": "segbench.data.formats.dicom.reader:dicom",
        "folder": "segbench.data.formats.folder:folder",
        "geojson": "segbench.data.formats.geojson.reader:geojson",
        "geotiff": "segbench.data.formats.geotiff:geotiff",
        "hf_parquet": "segbench.data.formats.hf_parquet:hf_parquet",
        "icdar": "segbench.data.formats.icdar:icdar",
        "imagefolder": "segbench.data.formats.imagefolder:imagefolder",
        "isic": "segbench.data.formats.isic:isic",
        "kaggle_rle": "segbench.data.formats.kaggle_rle:kaggle_rle",
        "kitti": "segbench.data.formats.kitti.reader:kitti",
        "kitti_road": "segbench.data.formats.kitti.road:kitti_road",
        "kvasir": "segbench.data.formats.kvasir:kvasir",
        "labelme": "segbench.data.formats.labelme.reader:labelme",
        "labelstudio": "segbench.data.formats.labelstudio.reader:labelstudio",
        "mapillary": "segbench.data.formats.mapillary:mapillary",
        "mots": "segbench.data.formats.mots:mots",
        "nifti": "segbench.data.formats.nifti.reader:nifti",
        "nnunet": "segbench.data.formats.nnunet.reader:nnunet",
        "npy": "segbench.data.formats.npy.reader:npy",
        "open_images": "segbench.data.formats.open_images:open_images",
        "oxford_pets": "segbench.data.formats.oxford_pets:oxford_pets",
        "ph2": "segbench.data.formats.ph2:ph2",
        "published": "segbench.data.formats.published.reader:published",
        "sa1b": "segbench.data.formats.sa1b:sa1b",
        "supervisely": "segbench.data.formats.supervisely:supervisely",
        "synthia": "segbench.data.formats.synthia:synthia",
        "tiff_stack": "segbench.data.formats.tiff_stack:tiff_stack",
        "via": "segbench.data.formats.via.reader:via",
        "voc": "segbench.data.formats.voc.reader:voc",
        "yolo": "segbench.data.formats.yolo.reader:yolo",
    },
    options_key="data.options",
)


# Formats whose subfolders look alike: cases, or images and labels; so they are parts of one data set, not several.
WHOLE_TREES = frozenset({"dicom", "hf_parquet", "nifti", "npy", "tiff_stack"})


def check_format(name: str | None, options: Mapping[str, Any]) -> None:
    """Raises ConfigError for an unknown format, an option it does not have, or a value of a wrong type.

    Args:
        name: None means that the format will be recognised, so the options have to suit one of all.
    """
    if name is None:
        for known in FORMATS.names():
            with contextlib.suppress(ConfigError):
                FORMATS.check(known, options)
                return
        name = "folder"
    if name not in FORMATS.names():
        usual = name.lower().replace("-", "_").replace(" ", "_")
        raise ConfigError(f"there is no data.format {name!r}; {suggest(usual, FORMATS.names())}", key="data.format")
    FORMATS.check(name, options)


def recognise(root: Path) -> dict[str, str]:
    """Returns format -> "CamVid (train.txt, train/, ...)" for each special format that a folder looks like."""
    found: dict[str, str] = {}
    for name in FORMATS.names():
        looks_like = getattr(inspect.getmodule(FORMATS.get(name)), "looks_like", None)
        sign = looks_like(root) if looks_like is not None else None
        if sign is not None:
            found[name] = sign
    return found


__all__ = ["FORMATS", "IMAGE_SUFFIXES", "Entry", "Listing", "check_format", "recognise"]
