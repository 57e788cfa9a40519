"""What is written of a prediction: masks, overlays, probabilities, polygons, areas, objects, doubt.

`prepare_outputs` once before the first image, `write_outputs` for every image (in any order, by any process), and
`finish_outputs` once after the last. Names are imported when they are first used: the options need no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segbench.predict.outputs.areas import PixelScale, area_row, unlike_images, write_areas
    from segbench.predict.outputs.masks import mask_png, write_mask
    from segbench.predict.outputs.options import OutputOptions
    from segbench.predict.outputs.writing import (
        OVERLAY_QUALITY,
        finish_outputs,
        output_files,
        prepare_outputs,
        shared_files,
        write_outputs,
    )

_HOMES = {
    "areas": ("PixelScale", "area_row", "unlike_images", "write_areas"),
    "masks": ("mask_png", "write_mask"),
    "options": ("OutputOptions",),
    "writing": (
        "OVERLAY_QUALITY", "finish_outputs", "output_files", "prepare_outputs", "shared_files", "write_outputs",
    ),
}  # fmt: skip

__all__ = [
    "OVERLAY_QUALITY",
    "OutputOptions",
    "PixelScale",
    "area_row",
    "finish_outputs",
    "mask_png",
    "output_files",
    "prepare_outputs",
    "shared_files",
    "unlike_images",
    "write_areas",
    "write_mask",
    "write_outputs",
]


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
