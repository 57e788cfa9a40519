"""What of a prediction is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from segbench.errors import ConfigError, shorten
from segbench.speech import argument
from segbench.types import Simplify  # not for the type checker alone: the server reads options from JSON

ProbsFormat: TypeAlias = Literal["npz", "npy", "tif", "zarr"]
PolygonFormat: TypeAlias = Literal["geojson", "coco", "labelme", "via"]
PROBS_FORMATS: tuple[ProbsFormat, ...] = ("npz", "npy", "tif", "zarr")
POLYGON_FORMATS: tuple[PolygonFormat, ...] = ("geojson", "coco", "labelme", "via")


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """What is written beside masks and areas.csv.

    Attributes:
        overlays: pictures of the images with the classes tinted.
        probs: (C, H, W) float16 probabilities: `npz` (compressed, key `probs`), `npy`, `tif` (GeoTIFF of 32 bit, on the
            image's grid) or `zarr`; None: none.
        polygons: `geojson`, a file an image; `coco`, `labelme`, `via`: a data set of all images in this format.
        simplify: how far, in pixels, corners that polygons lose may lie beside the outline (0: exact); `auto`: as far
            as an IoU of 0.99 allows; None: GeoJSON exact, data sets `auto`.
        objects: objects.csv, a row a connected region, and how many there are of each class in areas.csv.
        doubt: pictures of how unsure the network is of each pixel; of several that are averaged also of how much they
            disagree, and the mean of that in areas.csv.
        mm_per_px: side of a pixel in millimetres, for areas in mm2; None: not known. A raster in a projected system
            tells its own, in m2.
    Raises:
        ConfigError: another format, or a side that is not above 0.
    """

    overlays: bool = True
    probs: ProbsFormat | None = None
    polygons: tuple[PolygonFormat, ...] = ()
    simplify: Simplify | None = None
    objects: bool = False
    doubt: bool = False
    mm_per_px: float | None = None

    def __post_init__(self) -> None:
        if self.probs is not None and self.probs not in PROBS_FORMATS:
            raise ConfigError(f"expected one of {', '.join(PROBS_FORMATS)}, got {self.probs!r}", key=argument("probs"))
        if unknown := [repr(each) for each in self.polygons if each not in POLYGON_FORMATS]:
            raise ConfigError(
                f"expected some of {', '.join(POLYGON_FORMATS)}, got {shorten(unknown)}", key=argument("polygons")
            )
        if self.mm_per_px is not None and not self.mm_per_px > 0:
            raise ConfigError(f"expected millimetres above 0, got {self.mm_per_px}", key=argument("mm_per_px"))
