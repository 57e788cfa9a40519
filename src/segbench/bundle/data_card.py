"""What a model learnt from, in numbers that may be passed on: no names, no pictures, no places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from segbench.data.files.map_grid import MapGrid
from segbench.data.manifest.manifest import Manifest
from segbench.data.public.sets import PUBLIC_SETS
from segbench.errors import DatasetError
from segbench.types import ORIGINAL, SPLITS, Sample, Size


def data_card(manifest: Manifest, result: Mapping[str, Any], size: Size) -> dict[str, Any]:
    """Returns counts of the parts, sizes of the images, class shares, the scale of training, and the licence.

    Args:
        manifest: of the run.
        result: of the run, for the class shares; they are left out where there is none.
        size: that images were resized to.
    """
    train = manifest.split("train")
    return {
        "format": manifest.format,
        "parts": {split: _counts(manifest.split(split)) for split in SPLITS},
        "image_px": {
            "height": _spread([sample.height for sample in train]),
            "width": _spread([sample.width for sample in train]),
        },
        "scale": _scale(manifest, train, size),
        "classes": _class_shares(result),
        "content_hash": manifest.content_hash,
        "licence": _licence(manifest),
    }


def _counts(samples: Sequence[Sample]) -> dict[str, int | None]:
    groups = {sample.group for sample in samples if sample.group is not None}
    return {"images": len(samples), "groups": len(groups) or None}


def _spread(values: Sequence[int]) -> dict[str, float] | None:
    return {"smallest": min(values), "median": median(values), "largest": max(values)} if values else None


def _scale(manifest: Manifest, train: Sequence[Sample], size: Size) -> dict[str, float | None]:
    """Returns how many pixels of an image one pixel of the network stands for, and metres where a raster tells."""
    if not train:
        return {"image_px_per_network_px": None, "metres_per_network_px": None}
    shrunk = 1.0
    if size != ORIGINAL:
        area = median(sample.height * sample.width for sample in train)
        shrunk = round((area / (size[0] * size[1])) ** 0.5, 4)
    metres = None
    if manifest.bands is not None:
        try:
            grid = MapGrid.of(Path(manifest.image_path(train[0])))
        except DatasetError:
            grid = None  # the files are elsewhere now; the scale in pixels is known from the manifest
        if grid is not None and grid.pixel_m2 is not None:
            metres = round(grid.pixel_m2**0.5 * shrunk, 6)
    return {"image_px_per_network_px": shrunk, "metres_per_network_px": metres}


def _class_shares(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns each class with its share of the training part's pixels."""
    rows = result.get("per_class", {}).get("train", [])
    total = sum(row["pixels"] for row in rows)
    return [{"name": row["class"], "share": round(row["pixels"] / total, 6) if total else None} for row in rows]


def _licence(manifest: Manifest) -> dict[str, str] | None:
    """Returns the licence of a published set that has this form and just as many images; else nobody told one."""
    for known in PUBLIC_SETS.values():
        if known.format == manifest.format and known.pairs == len(manifest.samples):
            return {"set": known.title, "licence": known.licence, "page": known.page, "citation": known.citation}
    return None
