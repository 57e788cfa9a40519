"""GeoJSON beside images: geometry, places, damaged files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from rasterio.crs import CRS
from tests.data.formats._draw import draw, labels, put

from segbench.data.files.raster import RasterLook
from segbench.data.formats import recognise
from segbench.data.formats.geojson.places import Polygons, cut, with_holes
from segbench.data.formats.geojson.reader import geojson
from segbench.data.manifest.read import read_dataset
from segbench.data.shapes.drawing import Shape, shape_mask
from segbench.errors import ConfigError, DatasetError

LOOK = RasterLook(
    height=10,
    width=20,
    dtypes=("uint8",),
    alpha=(),
    crs=CRS.from_epsg(32633).to_wkt(),
    transform=(2, 0, 100, 0, -2, 900),
    complete=True,
)


def square(left: float, top: float, side: float) -> np.ndarray:
    return np.array([[left, top], [left + side, top], [left + side, top + side], [left, top + side]], dtype=float)


def write(path: Path, *features: object) -> Path:
    return put(path, json.dumps({"type": "FeatureCollection", "features": features}))


def polygon(ring: np.ndarray, **properties: object) -> dict[str, object]:
    coordinates = [[*ring.tolist(), ring[0].tolist()]]
    return {"type": "Feature", "properties": properties, "geometry": {"type": "Polygon", "coordinates": coordinates}}


def test_holes_are_outside_whatever_their_direction() -> None:
    for hole in (square(3, 3, 2), square(3, 3, 2)[::-1]):
        ring = with_holes(square(1, 1, 7), [hole, square(6, 6, 1)])
        mask = shape_mask(Shape(rings=(ring,)), (10, 10))
        expected = np.zeros((10, 10), dtype=bool)
        expected[1:8, 1:8] = True
        expected[3:5, 3:5] = expected[6, 6] = False
        assert (mask == expected).all()


@pytest.mark.parametrize("ring", [square(-1000, -1000, 2000), square(-1000, 4, 2000), square(5, 5, 3)])
def test_what_is_cut_off_lies_outside(ring: np.ndarray) -> None:
    whole = np.zeros((10, 20), dtype=bool)
    (left, top), (right, bottom) = np.clip(ring.min(axis=0), 0, None), ring.max(axis=0)
    whole[int(top) : int(bottom), int(left) : int(right)] = True
    drawn = shape_mask(Shape(rings=(tuple(cut(ring, (10, 20)).ravel().tolist()),)), (10, 20))
    assert (drawn == whole).all()


def test_places_on_a_raster_and_unknown_systems() -> None:
    ring = np.array([[104.0, 894.0], [108.0, 894.0], [108.0, 890.0]])
    ((number, rings),) = Polygons([[np.empty((0, 2))], [ring + 500], [ring, ring]]).on(LOOK, "raster")
    assert (number, [part.tolist() for part in rings]) == (2, [[[2, 3], [4, 3], [4, 5]]] * 2)
    assert [number for number, _ in Polygons([[ring], [ring - 100]]).on(LOOK, "pixels")] == []
    assert list(Polygons([[ring * 5e3]]).on(LOOK, "EPSG:4326")) == []
    assert list(Polygons([]).on(LOOK, "raster")) == []
    with pytest.raises(ConfigError, match="expected pixels, raster, or a name like EPSG:4326, got 'nowhere'"):
        list(Polygons([[ring]]).on(LOOK, "nowhere"))


def test_overlaps_missing_classes_and_chosen_ones(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", 9, (10, 10))
    write(tmp_path / "a.geojson", polygon(square(1, 1, 4), label="tree"), polygon(square(2, 2, 1)))
    with pytest.raises(DatasetError, match="1 region in 1 image has no class"):
        geojson(tmp_path)
    manifest = read_dataset(tmp_path, "geojson", default_class="bush")
    assert manifest.class_map.names == ("background", "bush", "tree")
    assert np.bincount(labels(manifest, "a").ravel()).tolist() == [84, 1, 15]
    with pytest.raises(ConfigError, match="no feature has the property 'kind'; there are label"):
        geojson(tmp_path, class_property="kind")


def test_a_list_of_features_and_collections_of_geometries(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", 9, (10, 10))
    parts = [polygon(square(place, 1, 2))["geometry"] for place in (1, 5)]
    both = {"type": "Feature", "properties": {}, "geometry": {"type": "GeometryCollection", "geometries": parts}}
    put(tmp_path / "a.json", json.dumps([both, {"type": "Feature", "geometry": None}]))
    assert recognise(tmp_path) == {"geojson": "GeoJSON (a.json)"}
    manifest = read_dataset(tmp_path, "geojson")
    assert manifest.class_map.names == ("background", "object")
    assert labels(manifest, "a").sum() == 8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "damaged JSON"),
        ('{"type": "FeatureCollection"}', "features: expected a list, but there is no such key"),
        ('{"type": "Feature", "geometry": 5}', r"features\[0\].geometry: expected a mapping, got 5"),
        (
            '{"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [[[1], [2]]]}}',
            r"features\[0\].geometry.coordinates: expected points \[x, y\]",
        ),
    ],
)
def test_damaged_files(tmp_path: Path, text: str, message: str) -> None:
    draw(tmp_path / "a.png", 9, (10, 10))
    put(tmp_path / "a.geojson", text)
    with pytest.raises(DatasetError, match=message):
        geojson(tmp_path)


def test_two_files_for_an_image_and_files_for_none(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", 9, (10, 10))
    for name in ("a", "a.png"):
        write(tmp_path / f"{name}.geojson", polygon(square(1, 1, 4)))
    with pytest.raises(DatasetError, match=r"belong to one image; choose with the option annotations"):
        geojson(tmp_path)
    assert len(geojson(tmp_path, annotations="a.geojson").entries) == 1
    write(tmp_path / "b.geojson", polygon(square(1, 1, 4)))
    with pytest.raises(DatasetError, match=r"the one image that b.geojson names is not below this folder"):
        geojson(tmp_path, annotations="b.geojson")
