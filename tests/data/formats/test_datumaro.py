"""Datumaro's own JSON: masks, polygons, boxes and their groups, parts, labels and colours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from tests.data.formats._draw import draw, labels, parts, put

from segbench.data.formats import recognise
from segbench.data.formats.datumaro import datumaro
from segbench.data.manifest.read import read_dataset
from segbench.errors import DatasetError

SQUARE = [1.0, 1.0, 5.0, 1.0, 5.0, 5.0, 1.0, 5.0]  # columns and rows 1-4


def thing(kind: str, label: int | None = 0, **values: Any) -> dict[str, Any]:
    return {"id": 0, "type": kind, "attributes": {}, "group": 0, "label_id": label, "z_order": 0, **values}


def polygon(points: list[float] = SQUARE, label: int | None = 0, **values: Any) -> dict[str, Any]:
    return thing("polygon", label, points=points, **values)


def mask(values: np.ndarray, label: int = 1) -> dict[str, Any]:
    rle = coco_mask.encode(np.asfortranarray(values.astype(np.uint8)))
    return thing("mask", label, rle={"counts": rle["counts"].decode(), "size": list(values.shape)})


def item(name: str, *annotations: dict[str, Any], size: Any = (6, 8)) -> dict[str, Any]:
    return {"id": name, "annotations": list(annotations), "image": {"path": f"{name}.png", "size": size}}


def dataset(root: Path, *items: dict[str, Any], part: str = "default", folder: str = "default") -> Path:
    for one in items:
        draw(root / "images" / folder / f"{one['id']}.png", 40, (6, 8))
    categories = {
        "label": {"labels": [{"name": "car", "parent": ""}, {"name": "tree", "parent": ""}], "attributes": []},
        "mask": {"colormap": [{"label_id": 0, "r": 9, "g": 8, "b": 7}, {"label_id": 1, "r": 1, "g": 2, "b": 3}]},
    }
    plain = {"infos": {}, "categories": categories, "items": list(items)}
    put(root / "annotations" / f"{part}.json", json.dumps(plain))
    return root


def test_polygons_masks_and_ellipses(tmp_path: Path) -> None:
    corner = np.zeros((6, 8), bool)
    corner[4:, 6:] = True
    annotations = [polygon(), mask(corner), thing("label"), thing("caption", caption="a car")]
    manifest = read_dataset(dataset(tmp_path, item("a", *annotations)), "datumaro")
    assert manifest.class_map.names == ("background", "car", "tree")
    assert manifest.class_map.colors == ((0, 0, 0), (9, 8, 7), (1, 2, 3))
    assert labels(manifest, "a").tolist() == [
        [0] * 8,
        *([[0, 1, 1, 1, 1, 0, 0, 0]] * 3),
        [0, 1, 1, 1, 1, 0, 2, 2],
        [0, 0, 0, 0, 0, 0, 2, 2],
    ]
    assert recognise(tmp_path) == {"datumaro": "Datumaro (annotations/default.json)"}


def test_each_file_is_a_part(tmp_path: Path) -> None:
    dataset(tmp_path, item("a", polygon()), part="train", folder="train")
    dataset(tmp_path, item("sub/a", polygon()), part="validation", folder="validation")
    dataset(tmp_path, item("b"), part="extra", folder=".")
    assert list(recognise(tmp_path)) == ["datumaro"]
    manifest = read_dataset(tmp_path, "datumaro")
    assert parts(manifest) == {"train/a": "train", "validation/sub/a": "val", "b": None}


def test_boxes_count_nowhere_unless_the_object_has_an_outline(tmp_path: Path) -> None:
    box = thing("bbox", 1, bbox=[5.0, 4.0, 3.0, 2.0])
    turned = thing("bbox", 1, bbox=[2.0, 0.0, 2.0, 6.0], attributes={"rotation": 90.0})
    root = dataset(tmp_path, item("a", polygon(group=3), {**box, "group": 3}))
    assert (labels(read_dataset(root, "datumaro"), "a") == 1).sum() == 16
    dataset(root, item("a", polygon(), box), item("b", turned))
    told = read_dataset(root, "datumaro")
    assert any(
        note.startswith("2 objects with a box and no outline: annotations/default.json, a") for note in told.notes
    )
    assert [(labels(told, name) == 255).sum() for name in ("a", "b")] == [6, 12]
    manifest = read_dataset(root, "datumaro", boxes="fill")
    assert (labels(manifest, "a") == 2).sum() == 6
    assert labels(manifest, "b").tolist() == [[0] * 8, [0] * 8, *([[2] * 6 + [0] * 2] * 2), [0] * 8, [0] * 8]
    skipped = read_dataset(root, "datumaro", boxes="skip")
    assert (labels(skipped, "b") == 0).all()


def test_turned_boxes_and_ellipses(tmp_path: Path) -> None:
    tall = thing("ellipse", points=[0.0, 1.0, 8.0, 5.0], attributes={"rotation": 90})
    flat = thing("ellipse", points=[0.0, 1.0, 8.0, 5.0])
    box = thing("rotated_bbox", points=[4.0, 3.0, 2.0, 6.0, 90.0])
    root = dataset(tmp_path, item("a", tall), item("b", flat), item("c", box))
    manifest = read_dataset(root, "datumaro", boxes="fill")
    drawn = {name: labels(manifest, name) == 1 for name in "abc"}
    assert (drawn["a"].any(axis=0) == [0, 0, 1, 1, 1, 1, 0, 0]).all()
    assert (drawn["b"].any(axis=1) == [0, 1, 1, 1, 1, 0]).all()
    assert drawn["c"].tolist() == [[False] * 8] * 2 + [[False] + [True] * 6 + [False]] * 2 + [[False] * 8] * 2


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (thing("cuboid_3d"), "an annotation of the kind 'cuboid_3d', which is not drawn"),
        (thing("polygon"), "points: expected a list"),
        (thing("mask", rle={"counts": [3, 4], "size": [6, 8]}), "run lengths add up to 7 pixels, expected 48"),
        (mask(np.ones((3, 3))), r"expected the image's \[6, 8\], got \[3, 3\]"),
        (thing("mask", rle={"counts": "~~", "size": [6, 8]}), "these are no compressed run lengths"),
        (thing("ellipse", points=[1.0]), "expected 4 numbers"),
        (polygon(SQUARE[:4]), "a polygon of 2 points"),
    ],
)
def test_all_bad_annotations_are_listed_at_once(tmp_path: Path, bad: dict[str, Any], says: str) -> None:
    root = dataset(tmp_path, item("a", polygon(), bad), item("b", bad, polygon()), item("c", polygon()))
    with pytest.raises(DatasetError, match=f"(?s)2 of 5 shapes cannot be drawn, in 2 of 3 images.*{says}.*{says}"):
        datumaro(root)
    assert [entry.id for entry in datumaro(root, defects="skip").entries] == ["c"]


def test_a_label_that_the_file_does_not_list_is_asked_about(tmp_path: Path) -> None:
    root = dataset(tmp_path, item("a", polygon(), polygon([5.0, 0.0, 8.0, 0.0, 8.0, 2.0, 5.0, 2.0], label=7)))
    with pytest.raises(DatasetError, match=r"(?s)names a class that the list .* label_id 7; the file has 2 labels"):
        datumaro(root)
    drawn = labels(read_dataset(root, "datumaro", defects="skip"), "a")
    assert ((drawn == 1).sum(), (drawn == 255).sum()) == (16, 6)


def test_points_cover_no_area_and_lines_have_a_width(tmp_path: Path) -> None:
    line = thing("polyline", points=[0.0, 3.0, 8.0, 3.0])
    root = dataset(tmp_path, item("a", line, thing("points", 1, points=[1.0, 1.0])), item("b", polygon(label=None)))
    with pytest.raises(DatasetError, match="1 region in 1 image has no class"):
        datumaro(root)
    manifest = read_dataset(root, "datumaro", default_class="tree", width_px=2)
    assert (labels(manifest, "a") == 1).sum() == 16
    assert (labels(manifest, "a") == 2).sum() == 0
    assert (labels(manifest, "b") == 2).sum() == 16
