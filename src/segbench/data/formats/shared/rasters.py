"""What a reader of raster files hands over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from segbench.data.files.bands import Bands
from segbench.data.files.raster import RasterLook
from segbench.data.formats.shared.listing import Listing


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
