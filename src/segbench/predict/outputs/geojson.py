"""GeoJSON: a feature an object, with its holes, in the coordinates of the raster or in pixels.

A raster's polygons are in its own coordinate reference system, named in the member `crs` by its EPSG number, which
GDAL and QGIS read; where the system is longitude and latitude, or has no such number, they are longitude and latitude
of WGS 84 without that member, as RFC 7946 has it. A picture's are pixels, x to the right and y down, (0, 0) the upper
left corner of the first one, as QuPath reads them; `classification` is QuPath's name for class and colour.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped]

from segbench.data.files.map_grid import MapGrid
from segbench.files import replacing
from segbench.predict.outputs.areas import PixelScale
from segbench.predict.outputs.objects import MaskObject
from segbench.predict.outputs.simplified import part_rings
from segbench.types import ClassMap, Simplify


def write_geojson(
    path: Path,
    objects: Iterable[MaskObject],
    class_map: ClassMap,
    grid: MapGrid | None = None,
    scale: PixelScale | None = None,
    simplify: Simplify = 0.0,
) -> None:
    """Writes one image's objects.

    Args:
        objects: see `mask_objects`; each is a Polygon, or a MultiPolygon where its parts touch at corners only.
        class_map: names and colours.
        grid: of the raster; None: pixels.
        scale: of a pixel, for areas in m2 or mm2 beside those in pixels.
    """
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        stream.write(json.dumps(collection_head(grid))[:-1] + ', "features": [')
        for number, each in enumerate(objects):
            feature = object_feature(each, class_map, grid, scale, simplify)
            stream.write((",\n" if number else "\n") + json.dumps(feature, ensure_ascii=False, separators=(",", ":")))
        stream.write("\n]}\n")


def collection_head(grid: MapGrid | None) -> dict[str, Any]:
    """Returns a collection that has no `features` yet, on a map grid or in pixels."""
    head: dict[str, Any] = {"type": "FeatureCollection"}
    if grid is not None and grid.epsg is not None:
        head["crs"] = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{grid.epsg}"}}
    return head


def object_feature(
    each: MaskObject,
    class_map: ClassMap,
    grid: MapGrid | None = None,
    scale: PixelScale | None = None,
    simplify: Simplify = 0.0,
) -> dict[str, Any]:
    """Returns an object as a feature of GeoJSON; see `write_geojson`."""
    polygons = [
        [_closed(ring, each, grid, outer=index == 0) for index, ring in enumerate(rings)]
        for rings in object_rings(each.pixels, simplify)
    ]
    name, color = class_map.names[each.label], class_map.colors[each.label]
    properties: dict[str, Any] = {"object": each.number, "class": name, "area_px": each.area_px}
    if scale is not None:
        properties[f"area_{scale.unit}"] = float(f"{each.area_px * scale.area:.6g}")
    if grid is None:
        properties["classification"] = {"name": name, "color": list(color)}
    geometry = {"type": "Polygon", "coordinates": polygons[0]}
    if len(polygons) > 1:
        geometry = {"type": "MultiPolygon", "coordinates": polygons}
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def object_rings(pixels: NDArray[np.bool_], simplify: Simplify = 0.0) -> list[list[NDArray[np.float64]]]:
    """Returns the polygons of a region: for each part that hangs together over sides its outline, then its holes.

    Rings are simple: holes are regions over sides, too, so that none of them passes a point twice.

    Args:
        pixels: (H, W) bool.
        simplify: how far, in pixels, corners that are left out may lie beside the outline; `auto`: as far as an IoU of
            0.99 allows. A region of several parts, which touch at corners, stays exact.
    Returns:
        rings (N, 2) of x and y in pixels, each point once.
    """
    polygons = []
    parts, count = ndimage.label(pixels)
    for index, (rows, columns) in enumerate(ndimage.find_objects(parts), start=1):
        part = np.pad(parts[rows, columns] == index, 1)
        outside, _ = ndimage.label(~part)
        filled = outside != outside[0, 0]
        corner = np.array([columns.start - 1, rows.start - 1], dtype=np.float64)
        polygons.append([ring + corner for ring in part_rings(part, filled, simplify if count == 1 else 0.0)])
    return polygons


def _closed(ring: NDArray[np.float64], each: MaskObject, grid: MapGrid | None, *, outer: bool) -> list[list[float]]:
    """Returns a ring as GeoJSON has it: the first point again at the end, outlines counterclockwise and holes not."""
    points = ring + np.array([each.left, each.top])
    if grid is not None:
        points = grid.on_map(points)
    x, y = points[:, 0] - points[0, 0], points[:, 1] - points[0, 1]  # near 0, so that areas on maps are exact
    if (np.dot(x, np.roll(y, -1)) > np.dot(y, np.roll(x, -1))) != outer:
        points = points[::-1]
    closed: list[list[float]] = np.concatenate([points, points[:1]]).tolist()
    return closed
