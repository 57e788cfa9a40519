"""V7 Darwin's JSON: paths with holes, raster layers, versions 1 and 2, boxes, parts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.data.formats._draw import draw, labels, parts, put

from segbench.data.formats import recognise
from segbench.data.formats.darwin import darwin
from segbench.data.manifest.read import read_dataset
from segbench.errors import DatasetError

BOX = {"bounding_box": {"x": 5.0, "y": 4.0, "w": 3.0, "h": 2.0}}


def path(*points: tuple[float, float]) -> list[dict[str, float]]:
    return [{"x": float(x), "y": float(y)} for x, y in points]


SQUARE = path((1, 1), (5, 1), (5, 5), (1, 5))  # columns and rows 1-4
HOLE = path((2, 2), (4, 2), (4, 4), (2, 4))


def thing(label: str = "car", **values: Any) -> dict[str, Any]:
    return {"id": "x", "name": label, "slot_names": ["0"], **values}


def polygon(*paths: list[dict[str, float]], label: str = "car") -> dict[str, Any]:
    return thing(label, polygon={"paths": list(paths)}, **BOX)


def export(root: Path, *annotations: dict[str, Any], name: str = "a.png", folder: str = "/") -> Path:
    draw(root / "images" / folder.strip("/") / name, 40, (6, 8))
    slot = {"type": "image", "slot_name": "0", "width": 8, "height": 6, "source_files": [{"file_name": name}]}
    item = {"name": name, "path": folder, "slots": [slot], "dataset": {"name": "set"}}
    plain = {"version": "2.0", "item": item, "annotations": list(annotations)}
    put(root / "annotations" / folder.strip("/") / f"{Path(name).stem}.json", json.dumps(plain))
    return root


def layer(rle: list[int], **owners: int) -> dict[str, Any]:
    raster = {"dense_rle": rle, "mask_annotation_ids_mapping": owners, "total_pixels": 48}
    return thing("__raster_layer__", raster_layer=raster)


def test_paths_with_holes_and_ellipses(tmp_path: Path) -> None:
    ellipse = {"angle": 0.0, "center": {"x": 6.5, "y": 1.0}, "radius": {"x": 1.0, "y": 1.0}}
    root = export(tmp_path, polygon(SQUARE, HOLE), thing("tree", ellipse=ellipse), thing("night", tag={}))
    manifest = read_dataset(root, "darwin")
    assert manifest.class_map.names == ("background", "car", "tree")
    drawn = labels(manifest, "a")
    assert drawn[:, :6].tolist() == [
        [0, 0, 0, 0, 0, 0],
        [0, 1, 1, 1, 1, 0],
        [0, 1, 0, 0, 1, 0],
        [0, 1, 0, 0, 1, 0],
        [0, 1, 1, 1, 1, 0],
        [0, 0, 0, 0, 0, 0],
    ]
    assert set(map(tuple, zip(*(drawn == 2).nonzero(), strict=True))) <= {
        (0, 5),
        (0, 6),
        (0, 7),
        (1, 5),
        (1, 6),
        (1, 7),
    }
    assert (drawn == 2).any()
    assert recognise(tmp_path) == {"darwin": "V7 Darwin (annotations/a.json)"}


def test_a_raster_layer_is_read_row_by_row(tmp_path: Path) -> None:
    masks = [thing("car", id="m1", mask={}), thing("tree", id="m2", mask={})]
    root = export(tmp_path, *masks, layer([0, 6, 2, 3, 0, 1, 1, 4, 0, 34], m1=1, m2=2))
    meta = {"classes": [{"name": "tree", "type": "mask", "color": "rgba(0,255,0,1.0)"}, {"name": "day", "type": "tag"}]}
    put(root / "annotations" / ".v7" / "metadata.json", json.dumps(meta))
    manifest = read_dataset(root, "darwin")
    assert manifest.class_map.names == ("background", "tree", "car")
    assert labels(manifest, "a").tolist() == [
        [0, 0, 0, 0, 0, 0, 1, 1],
        [1, 0, 2, 2, 2, 2, 0, 0],
        *([[0] * 8] * 4),
    ]


def test_a_value_of_no_mask_is_a_region_without_a_class(tmp_path: Path) -> None:
    root = export(tmp_path, polygon(SQUARE), layer([0, 40, 3, 8], m=1))
    with pytest.raises(DatasetError, match="1 region in 1 image has no class"):
        darwin(root)
    drawn = labels(read_dataset(root, "darwin", defects="skip"), "a")
    assert ((drawn == 1).sum(), (drawn == 255).sum()) == (16, 8)


def test_version_1(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", 40, (6, 8))
    image = {"width": 8, "height": 6, "filename": "a.png", "original_filename": "a.png", "seq": 1, "path": "/val"}
    annotations = [
        {"name": "car", "polygon": {"path": SQUARE}, **BOX},
        {
            "name": "tree",
            "complex_polygon": {"path": [path((5, 4), (8, 4), (8, 6), (5, 6)), path((6, 5), (7, 5), (7, 6), (6, 6))]},
        },
    ]
    put(tmp_path / "a.json", json.dumps({"dataset": "set", "image": image, "annotations": annotations}))
    assert recognise(tmp_path) == {"darwin": "V7 Darwin (a.json)"}
    manifest = read_dataset(tmp_path, "darwin")
    drawn = labels(manifest, "a")
    assert ((drawn == 1).sum(), (drawn == 2).sum()) == (16, 5)
    assert parts(manifest) == {"a": "val"}


def test_the_folders_of_v7_are_parts(tmp_path: Path) -> None:
    for folder in ("/train", "/test/night"):
        export(tmp_path, polygon(SQUARE), folder=folder)
    manifest = read_dataset(tmp_path, "darwin")
    assert parts(manifest) == {"train/a": "train", "test/night/a": "test"}


def test_boxes_count_nowhere_unless_they_are_meant(tmp_path: Path) -> None:
    root = export(tmp_path, polygon(SQUARE), thing("tree", **BOX))
    export(tmp_path, polygon(SQUARE), name="b.png")
    manifest = read_dataset(root, "darwin")
    assert (labels(manifest, "a") == 255).sum() == 6
    assert any(
        note.startswith("1 objects with a box and no outline: annotations/a.json, a.png") for note in manifest.notes
    )
    assert (labels(read_dataset(root, "darwin", boxes="fill"), "a") == 2).sum() == 6
    skipped = read_dataset(root, "darwin", boxes="skip")
    assert (labels(skipped, "a") == 0).sum() == 48 - 16
    assert any(note.startswith("1 objects with a box and no outline") for note in skipped.notes)
    export(root, thing("tree", **BOX))
    export(root, name="b.png")
    with pytest.raises(DatasetError, match=r"all 1 annotations are boxes.*boxes: fill"):
        darwin(root)


def test_an_item_without_slots(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", 40, (6, 8))
    plain = {"version": "2.0", "schema_ref": "https://example.org/darwin_json/2.0/schema.json"}
    item = {"item": {"name": "a.png", "path": "/"}, "annotations": [polygon(SQUARE)]}
    put(tmp_path / "a.json", json.dumps({**plain, **item}))
    assert list(recognise(tmp_path)) == ["darwin"]
    assert (labels(read_dataset(tmp_path, "darwin"), "a") == 1).sum() == 16


def test_each_slot_is_an_image(tmp_path: Path) -> None:
    root = export(tmp_path, thing(slot_names=["left"], polygon={"paths": [SQUARE]}), polygon(HOLE))
    plain = json.loads((root / "annotations" / "a.json").read_text())
    plain["item"]["slots"].append(
        {**plain["item"]["slots"][0], "slot_name": "left", "source_files": [{"file_name": "b.png"}]}
    )
    put(root / "annotations" / "a.json", json.dumps(plain))
    draw(root / "images" / "b.png", 40, (6, 8))
    manifest = read_dataset(root, "darwin")
    assert [(labels(manifest, name) == 1).sum() for name in ("a", "b")] == [4, 16]


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ([thing(cuboid={}, **BOX)], "an annotation of the kind 'cuboid', which is not read"),
        ([thing(ellipse={"angle": 0.3})], "an annotation of the kind 'ellipse'"),
        ([thing(new={})], "an annotation of the kind 'id, name, slot_names, new'"),
        ([layer([0, 40], m=1)], "run lengths add up to 40 pixels, expected 6 x 8"),
        ([layer([0, 40, 1], m=1)], "expected pairs VALUE COUNT"),
        ([thing(polygon={"paths": [[{"x": 1}]]})], "expected a point {x, y}"),
        ([polygon(SQUARE[:2])], "a polygon of 2 points"),
    ],
)
def test_all_bad_annotations_are_listed_at_once(tmp_path: Path, bad: list[dict[str, Any]], says: str) -> None:
    export(tmp_path, polygon(SQUARE), *bad, name="a.png")
    export(tmp_path, *bad, polygon(SQUARE), name="b.png")
    export(tmp_path, polygon(SQUARE), name="c.png")
    with pytest.raises(DatasetError, match=f"(?s)2 of 5 shapes cannot be drawn, in 2 of 3 images.*{says}.*{says}"):
        darwin(tmp_path)
    assert [entry.id for entry in darwin(tmp_path, defects="skip").entries] == ["c"]


def test_a_video_is_said(tmp_path: Path) -> None:
    root = export(tmp_path, polygon(SQUARE))
    text = (root / "annotations" / "a.json").read_text().replace('"type": "image"', '"type": "video"')
    put(root / "annotations" / "a.json", text)
    with pytest.raises(DatasetError, match="a slot of the type 'video', not an image"):
        darwin(root)
