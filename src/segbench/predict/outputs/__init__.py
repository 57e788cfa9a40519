"""What is written of a prediction: masks, overlays, probabilities, polygons, areas, objects, doubt.

`prepare_outputs` once before the first image, `write_outputs` for every image (in any order, by any process), and
`finish_outputs` once after the last.
"""

from segbench.predict.outputs.areas import PixelScale, area_row, unlike_images, write_areas
from segbench.predict.outputs.masks import write_mask
from segbench.predict.outputs.options import OutputOptions
from segbench.predict.outputs.writing import (
    OVERLAY_QUALITY,
    finish_outputs,
    output_files,
    prepare_outputs,
    write_outputs,
)

__all__ = [
    "OVERLAY_QUALITY",
    "OutputOptions",
    "PixelScale",
    "area_row",
    "finish_outputs",
    "output_files",
    "prepare_outputs",
    "unlike_images",
    "write_areas",
    "write_mask",
    "write_outputs",
]
