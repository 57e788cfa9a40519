"""Folders that are labelled in part: which images have labels, and which are still to be predicted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segbench.data.files.folders import existing_folder
from segbench.data.formats import FORMATS, IMAGE_SUFFIXES, recognise
from segbench.data.manifest.manifest import Manifest

# An image without any annotation, or without a mask, is one that nobody has come to yet.
_NOT_YET = {"unannotated": "skip", "unpaired": "skip"}


def not_yet_options(folder: Path, name: str | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the options by which readers leave out what has no labels yet; what the user said stays.

    Elsewhere an image in which nothing was outlined is all background, which is right for a finished data set.

    Args:
        folder: of the data set.
        name: of its reader; None: as it is recognised.
        given: options that the user gave.
    Raises:
        DatasetError: there is no such folder.
    """
    folder = existing_folder(folder)
    readers = [name] if name is not None else [*recognise(folder)] or ["folder"]
    known = set.intersection(*(set(FORMATS.options(each)) for each in readers))
    return {key: value for key, value in _NOT_YET.items() if key in known and key not in given}


def unlabelled_images(manifest: Manifest) -> list[Path]:
    """Returns the images that lie beside the labelled ones and have no labels, in the order of their names."""
    labelled = {manifest.image_path(sample).resolve() for sample in manifest.samples}
    masks = {path.resolve() for sample in manifest.samples for path in manifest.mask_paths(sample)}
    folders = sorted({manifest.image_path(sample).parent for sample in manifest.samples})
    return [
        path
        for folder in folders
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in IMAGE_SUFFIXES
        and not path.name.startswith(".")
        and path.resolve() not in labelled | masks
    ]
