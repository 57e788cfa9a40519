"""Supervisely projects: polygons with holes, bitmaps, rectangles, classes of meta.json, parts."""

from __future__ import annotations

import base64
import io
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.data.formats._draw import draw, labels, parts, put

from segbench.data.formats import recognise
from segbench.data.formats.supervisely import supervisely
from segbench.data.manifest.read import read_dataset
from segbench.errors import ConfigError, DatasetError

SQUARE = [[1, 1], [5, 1], [5, 5], [1, 5]]  # columns and rows 1-4
META = {
    "classes": [
        {"title": "tree", "shape": "any", "color": "#00FF10"},
        {"title": "car", "shape": "polygon", "color": "#ff0000"},
    ],
    "tags": [],
    "projectType": "images",
}


def thing(kind: str, label: str = "car", **values: Any) -> dict[str, Any]:
    return {"id": 1, "classTitle": label, "geometryType": kind, **values}


def polygon(points: list[list[float]], *holes: list[list[float]], label: str = "car") -> dict[str, Any]:
    return thing("polygon", label, points={"exterior": points, "interior": list(holes)})


def bitmap(mask: np.ndarray, left: int, top: int, label: str = "tree") -> dict[str, Any]:
    stream = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(stream, "PNG")
    data = base64.b64encode(zlib.compress(stream.getvalue())).decode()
    return thing("bitmap", label, bitmap={"data": data, "origin": [left, top]})


def project(root: Path, *objects: dict[str, Any], name: str = "a.png", dataset: str = "ds0", tags: Any = ()) -> Path:
    draw(root / dataset / "img" / name, 40, (6, 8))
    plain = {"tags": list(tags), "size": {"height": 6, "width": 8}, "objects": list(objects)}
    put(root / dataset / "ann" / f"{name}.json", json.dumps(plain))
    put(root / "meta.json", json.dumps(META))
    return root


def test_polygons_with_holes_bitmaps_and_rectangles(tmp_path: Path) -> None:
    mask = np.zeros((2, 3), bool)
    mask[0, 1], mask[1, :] = True, True
    objects = [
        polygon(SQUARE, [[2, 2], [4, 2], [4, 4], [2, 4]]),
        bitmap(mask, 5, 4),
        thing("rectangle", "tree", points={"exterior": [[6, 0], [7, 1]], "interior": []}),
    ]
    manifest = read_dataset(project(tmp_path, *objects), "supervisely")
    assert manifest.class_map.names == ("background", "tree", "car")
    assert manifest.class_map.colors == ((0, 0, 0), (0, 255, 16), (255, 0, 0))
    assert labels(manifest, "a").tolist() == [
        [0, 0, 0, 0, 0, 0, 1, 1],
        [0, 2, 2, 2, 2, 0, 1, 1],
        [0, 2, 0, 0, 2, 0, 0, 0],
        [0, 2, 0, 0, 2, 0, 0, 0],
        [0, 2, 2, 2, 2, 0, 1, 0],
        [0, 0, 0, 0, 0, 1, 1, 1],
    ]
    assert recognise(tmp_path) == {"supervisely": "Supervisely (ds0/ann/)"}


def test_a_rectangle_of_the_whole_image_is_all_of_it(tmp_path: Path) -> None:
    whole = thing("rectangle", points={"exterior": [[7, 5], [0, 0]], "interior": []})
    assert (labels(read_dataset(project(tmp_path, whole), "supervisely"), "a") == 2).all()


def test_lines_and_points_have_the_width_that_is_asked_for(tmp_path: Path) -> None:
    root = project(
        tmp_path,
        thing("line", points={"exterior": [[0, 3], [8, 3]], "interior": []}),
        thing("point", "tree", points={"exterior": [[6, 1]], "interior": []}),
    )
    drawn = labels(read_dataset(root, "supervisely", width_px=2), "a")
    assert ((drawn == 2).sum(axis=1) == [0, 0, 8, 8, 0, 0]).all()
    assert (drawn == 1).sum() == 4
    with pytest.raises(ConfigError, match="expected a width above 0"):
        supervisely(root, width_px=0)


def test_folders_and_tags_are_parts(tmp_path: Path) -> None:
    project(tmp_path, polygon(SQUARE), dataset="train")
    project(tmp_path, polygon(SQUARE), dataset="ds0/datasets/inner", name="b.png", tags=[{"name": "val"}])
    project(tmp_path, polygon(SQUARE), dataset="ds0", name="c.png", tags=["test"])
    project(tmp_path, dataset="ds0", name="d.png", tags=["test", "train"])
    manifest = read_dataset(tmp_path, "supervisely")
    assert parts(manifest) == {"a": "train", "b": "val", "c": "test", "d": None}
    assert any("1 images without annotations" in note for note in manifest.notes)


def test_a_data_set_by_itself_and_images_of_another_suffix(tmp_path: Path) -> None:
    project(tmp_path, polygon(SQUARE), dataset=".")
    (tmp_path / "meta.json").unlink()
    (tmp_path / "ann" / "a.png.json").rename(tmp_path / "ann" / "a.json")
    assert list(recognise(tmp_path)) == ["supervisely"]
    manifest = read_dataset(tmp_path, "supervisely")
    assert manifest.class_map.names == ("background", "car")
    assert (labels(manifest, "a") == 1).sum() == 16


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (thing("cuboid", points={}), "an object of the kind 'cuboid', which is not read"),
        (thing("bitmap", bitmap={"data": "!", "origin": [0, 0]}), "expected a PNG as base64 text"),
        (thing("bitmap", bitmap={"data": ""}), "origin: expected a list, but there is no such key"),
        (thing("rectangle", points={"exterior": [[1, 1]], "interior": []}), "expected 2 corners, got"),
        (polygon([[1, 1], [2]]), r"expected a list of \[x, y\]"),
        (thing("polygon"), "points: expected a mapping"),
        (polygon(SQUARE[:2]), "a polygon of 2 points"),
    ],
)
def test_all_bad_objects_are_listed_at_once(tmp_path: Path, bad: dict[str, Any], says: str) -> None:
    project(tmp_path, polygon(SQUARE), bad, name="a.png")
    project(tmp_path, bad, polygon(SQUARE), name="b.png")
    project(tmp_path, polygon(SQUARE), name="c.png")
    with pytest.raises(DatasetError, match=f"(?s)2 of 5 shapes cannot be drawn, in 2 of 3 images.*{says}.*{says}"):
        supervisely(tmp_path)
    listing = supervisely(tmp_path, defects="skip")
    assert [entry.id for entry in listing.entries] == ["c"]


def test_no_image_and_no_project(tmp_path: Path) -> None:
    root = project(tmp_path, polygon(SQUARE))
    (root / "ds0" / "img" / "a.png").rename(root / "ds0" / "img" / "z.png")
    with pytest.raises(DatasetError, match="the one image"):
        supervisely(root)
    with pytest.raises(DatasetError, match="expected a Supervisely project"):
        supervisely(root / "ds0" / "img")
