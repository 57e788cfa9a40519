"""What a reader of raster files hands over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from segbench.data.bands import Bands
from segbench.data.formats._listing import Listing
from segbench.data.raster import RasterLook


@dataclass(frozen=True, kw_only=True)
class RasterListing(Listing):
    """A listing whose files are read by windows; every entry has one mask file.

    Attributes:
        bands: what becomes a channel, and how.
        looks: header of each image.
        layout: how files are cut into entries, in words; the same words mean the same windows of a file.
    """

    bands: Bands
    looks: Mapping[Path, RasterLook]
    layout: str
