"""Data set formats: each reader lists the images and masks of a folder; `segbench.data.index` does the rest.

A reader is a function `read(root: Path, *, option..., ) -> Listing` in a file of its own, named like its key. Its
keyword-only parameters are the options a config may set; a path it is given exists and is a folder. It pairs by name,
never by order, opens no image, and raises DatasetError for what is missing and ConfigError for an option's value.
"""

from __future__ import annotations

from segbench.data.formats._listing import IMAGE_SUFFIXES, Entry, Listing
from segbench.registry import Registry

FORMATS = Registry(
    "data.format",
    {
        "camvid": "segbench.data.formats.camvid:camvid",
        "folder": "segbench.data.formats.folder:folder",
        "oxford_pets": "segbench.data.formats.oxford_pets:oxford_pets",
        "ph2": "segbench.data.formats.ph2:ph2",
    },
)

__all__ = ["FORMATS", "IMAGE_SUFFIXES", "Entry", "Listing"]
