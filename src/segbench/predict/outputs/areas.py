"""How much of an image each class covers: pixels, share, and square metres or millimetres where a pixel's size is
known."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from segbench.data.files.map_grid import MapGrid
from segbench.files import write_csv
from segbench.types import ClassMap

UNLIKE = "unlike_training"  # the column that says in what an image is; see `segbench.predict.unlike`
_FIRST = ("id", "file", "width", "height")


@dataclass(frozen=True, kw_only=True)
class PixelScale:
    """Attributes: area, of one pixel; unit, of that area: `m2` or `mm2`."""

    area: float
    unit: Literal["m2", "mm2"]

    @classmethod
    def of(cls, grid: MapGrid | None, mm_per_px: float | None) -> PixelScale | None:
        """Returns the scale of an image, None where nobody knows.

        Args:
            grid: of a raster; its own scale, where it counts in metres or feet, goes before `mm_per_px`.
            mm_per_px: side of a pixel in millimetres.
        """
        if grid is not None and grid.pixel_m2 is not None:
            return cls(area=grid.pixel_m2, unit="m2")
        return None if mm_per_px is None else cls(area=mm_per_px**2, unit="mm2")


def area_row(class_map: ClassMap, pixels: Sequence[int], counted_px: int, scale: PixelScale | None) -> dict[str, Any]:
    """Returns an image's columns of areas.csv: NAME_frac, NAME_px and NAME_m2 or NAME_mm2 for each class.

    Args:
        pixels: of each class.
        counted_px: pixels with data, of which shares are; NaN shares where there is none.
    """
    named = list(zip(class_map.names, pixels, strict=True))
    row: dict[str, Any] = {f"{name}_frac": f"{px / counted_px if counted_px else math.nan:.6f}" for name, px in named}
    row |= {f"{name}_px": px for name, px in named}
    if scale is not None:
        row |= {f"{name}_{scale.unit}": f"{px * scale.area:.6g}" for name, px in named}
    return row


def unlike_images(path: Path) -> int:
    """Returns how many images of an areas.csv are noted as unlike those that the model learnt from."""
    with path.open(newline="", encoding="utf-8") as stream:
        return sum(bool(row.get(UNLIKE)) for row in csv.DictReader(stream))


def write_areas(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes areas.csv from what `write_outputs` gave for each image; a column that an image has not stays empty."""
    rows = list(rows)
    columns = list(dict.fromkeys([*_FIRST, *(column for row in rows for column in row)]))
    write_csv(path, columns, [[row.get(column, "") for column in columns] for row in rows])
