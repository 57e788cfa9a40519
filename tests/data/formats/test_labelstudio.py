"""Label Studio's JSON: shapes in per cent, brush strokes, both forms, whose annotation counts."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.data.formats._draw import draw, labels, put

from segbench.data.formats import recognise
from segbench.data.formats.labelstudio.reader import labelstudio
from segbench.data.formats.labelstudio.shapes import decode_brush
from segbench.data.manifest.read import read_dataset
from segbench.data.shapes.drawing import Drawing
from segbench.errors import DatasetError

RealData = Callable[[str], Path]
SIZE = {"original_width": 10, "original_height": 5}
SQUARE = {"points": [[0, 0], [50, 0], [50, 40], [0, 40]], "polygonlabels": ["car"]}


def region(kind: str, value: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": kind, "type": kind, "value": value, "image_rotation": 0, **SIZE, **more}


def task(*regions: dict[str, Any], image: str = "/data/upload/1/0a1b2c3d-a.png", **more: Any) -> dict[str, Any]:
    return {"id": 5, "data": {"image": image}, "annotations": [{"completed_by": 1, "result": list(regions), **more}]}


def export(root: Path, tasks: object) -> Path:
    draw(root / "images" / "a.png", 40, (5, 10))
    put(root / "export.json", json.dumps(tasks))
    return root


def pack(data: bytes, lengths: Sequence[int] = (3, 4, 8, 16)) -> list[int]:
    """Packs a picture as the published description says; runs of three and more are repeated words."""
    bits = f"{len(data):032b}{7:05b}" + "".join(f"{length - 1:04b}" for length in lengths)
    at = 0
    while at < len(data):
        run = 1
        while at + run < len(data) and data[at + run] == data[at]:
            run += 1
        same = run >= 3
        if not same:
            run = min(2, len(data) - at)
        run = min(run, 2 ** lengths[-1])
        place = next(place for place, length in enumerate(lengths) if run <= 2**length)
        bits += f"{int(same)}{place:02b}{run - 1:0{lengths[place]}b}"
        bits += "".join(f"{byte:08b}" for byte in (data[at : at + 1] if same else data[at : at + run]))
        at += run
    bits += "0" * (-len(bits) % 8)
    return list(int(bits, 2).to_bytes(len(bits) // 8, "big"))


def stroke(mask: np.ndarray) -> list[int]:
    return pack(np.repeat(mask.astype(np.uint8).ravel() * 255, 4).tobytes())


def test_brush_strokes_are_unpacked() -> None:
    rng = np.random.default_rng(0)
    for data in (bytes(rng.integers(0, 3, 400, dtype=np.uint8)), bytes(70000), b"\x01\x02"):
        assert decode_brush(pack(data), len(data)).tobytes() == data
    with pytest.raises(ValueError, match="cut off after 8 bytes"):
        decode_brush(pack(bytes(100))[:8], 100)
    with pytest.raises(ValueError, match="bytes from 0 to 255"):
        decode_brush([1, 300], 2)
    with pytest.raises(ValueError, match="announces 50 bytes and holds more"):
        decode_brush([0, 0, 0, 50, *pack(bytes(100))[4:]], 50)


def test_polygons_rectangles_ellipses_and_strokes(tmp_path: Path) -> None:
    mask = np.zeros((5, 10), bool)
    mask[4, 7:] = True
    regions = [
        region("polygonlabels", SQUARE),
        region("rectanglelabels", {"x": 60, "y": 0, "width": 20, "height": 40, "rectanglelabels": ["tree"]}),
        region("brushlabels", {"format": "rle", "rle": stroke(mask), "brushlabels": ["tree"]}),
        region("keypointlabels", {"x": 60, "y": 0, "width": 1, "keypointlabels": ["tree"]}),
    ]
    manifest = read_dataset(export(tmp_path, [task(*regions)]), "labelstudio")
    assert manifest.class_map.names == ("background", "car", "tree")
    assert labels(manifest, "a").tolist() == [
        [1, 1, 1, 1, 1, 0, 2, 2, 0, 0],
        [1, 1, 1, 1, 1, 0, 2, 2, 0, 0],
        [0] * 10,
        [0] * 10,
        [0] * 7 + [2] * 3,
    ]
    assert recognise(tmp_path) == {"labelstudio": "Label Studio (export.json)"}


def rings(root: Path) -> list[np.ndarray]:
    mask = labelstudio(root).entries[0].mask
    assert isinstance(mask, Drawing)
    return [np.array(shape.rings[0]).reshape(-1, 2) for shape in mask.shapes]


def test_turned_shapes(tmp_path: Path) -> None:
    rectangle = {"x": 50, "y": 20, "width": 20, "height": 20, "rotation": 90, "rectanglelabels": ["car"]}
    ellipse = {"x": 50, "y": 50, "radiusX": 20, "radiusY": 20, "rotation": 90, "ellipselabels": ["car"]}
    first, second = rings(
        export(tmp_path, [task(region("rectanglelabels", rectangle), region("ellipselabels", ellipse))])
    )
    assert np.allclose(sorted(map(tuple, first)), [(4, 1), (4, 3), (5, 1), (5, 3)])  # clockwise about (5, 1)
    assert np.allclose((second.min(axis=0), second.max(axis=0)), [(4, 0.5), (6, 4.5)], atol=0.01)


def test_labels_of_a_region_of_their_own(tmp_path: Path) -> None:
    outline = {key: value for key, value in SQUARE.items() if key == "points"}
    regions = [region("polygon", outline, id="x"), {"id": "x", "type": "labels", "value": {"labels": ["sea"]}}]
    assert read_dataset(export(tmp_path, [task(*regions)]), "labelstudio").class_map.names == ("background", "sea")


@pytest.mark.parametrize(
    "image",
    [
        "a.png",
        "/data/upload/12/0a1b2c3d-a.png",
        "/data/local-files/?d=some/where/a.png",
        "https://example.org/x%20y/a.png?key=1",
        "s3://bucket/images/a.png",
        "C:\\photos\\a.png",
    ],
)
def test_images_are_found_by_their_names(tmp_path: Path, image: str) -> None:
    root = export(tmp_path, [task(region("polygonlabels", SQUARE), image=image)])
    assert labelstudio(root).entries[0].image == tmp_path / "images" / "a.png"


def test_whose_annotation_counts(tmp_path: Path) -> None:
    given = task(region("polygonlabels", SQUARE))
    other = region("polygonlabels", {**SQUARE, "polygonlabels": ["boat"]})
    given["annotations"].insert(0, {"completed_by": 3, "was_cancelled": True, "result": []})
    given["annotations"].append({"completed_by": {"id": 2}, "result": [other]})
    given["predictions"] = [{"result": [other]}]
    root = export(tmp_path, [given])
    manifest = read_dataset(root, "labelstudio")
    assert manifest.class_map.names == ("background", "car")
    assert any("1 tasks have several annotations, of which the first was taken" in note for note in manifest.notes)
    assert read_dataset(root, "labelstudio", annotator=2).class_map.names == ("background", "boat")
    with pytest.raises(DatasetError, match="no task is annotated"):
        labelstudio(root, annotator=9)


def test_json_min(tmp_path: Path) -> None:
    plain = {"image": "/data/upload/1/0a1b2c3d-a.png", "id": 1, "label": [{**SQUARE, **SIZE}], "annotator": 1}
    draw(tmp_path / "a.png", 40, (5, 10))
    put(tmp_path / "min.json", json.dumps([plain]))
    assert list(recognise(tmp_path)) == ["labelstudio"]
    assert int(labels(read_dataset(tmp_path, "labelstudio"), "a").sum()) == 10


def bitmap(mask: np.ndarray, **more: Any) -> dict[str, Any]:
    stream = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(stream, "PNG")
    address = "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
    return region("bitmasklabels", {"imageDataURL": address, "bitmasklabels": ["car"]}, **more)


def test_bitmasks(tmp_path: Path) -> None:
    mask = np.zeros((5, 10), bool)
    mask[1:3, 2:9] = True
    manifest = read_dataset(export(tmp_path, [task(bitmap(mask))]), "labelstudio")
    assert labels(manifest, "a").tolist() == mask.astype(int).tolist()
    assert recognise(tmp_path) == {"labelstudio": "Label Studio (export.json)"}


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (region("bitmasklabels", {"bitmasklabels": ["car"]}), r"a bitmask without its pixels \(imageDataURL\)"),
        (bitmap(np.ones((2, 2), bool)), "the bitmask is 2 x 2 pixels, the image 5 x 10"),
        (region("bitmask", {"imageDataURL": "data:image/png;base64,AAAA"}), "not an image"),
        (region("vectorlabels", {"vertices": [], "vectorlabels": ["car"]}), "a region of the kind 'vector'"),
        (region("cuboid", {"corners": []}), "a region of the kind 'cuboid', which is not read"),
        (region("polygonlabels", {"points": [[1, "x"]]}), "expected a number, got 'x'"),
    ],
)
def test_a_region_that_is_not_read_costs_its_image_alone(tmp_path: Path, bad: dict[str, Any], says: str) -> None:
    root = export(tmp_path, [task(region("polygonlabels", SQUARE)), task(bad, image="b.png")])
    draw(root / "images" / "b.png", 40, (5, 10))
    with pytest.raises(
        DatasetError, match=f"(?s)1 of 2 shapes cannot be drawn, in 1 of 2 images.*task 5, result.0.*{says}"
    ):
        labelstudio(root)
    assert [entry.id for entry in labelstudio(root, defects="skip").entries] == ["a"]


def test_key_points_alone_are_no_background(tmp_path: Path) -> None:
    point = region("keypointlabels", {"x": 60, "y": 0, "width": 1, "keypointlabels": ["tree"]})
    root = export(tmp_path, [task(region("polygonlabels", SQUARE), point), task(point, image="b.png")])
    draw(root / "images" / "b.png", 40, (5, 10))
    with pytest.raises(DatasetError, match="1 of 2 shapes cannot be drawn, in 1 of 2 images"):
        labelstudio(root)
    assert [entry.id for entry in labelstudio(root, defects="skip").entries] == ["a"]


def test_words_on_a_region_are_no_region(tmp_path: Path) -> None:
    words = region("choices", {"x": 0, "y": 0, "width": 100, "height": 100, "choices": ["blurred"]}, id="x")
    root = export(
        tmp_path, [task(region("polygonlabels", SQUARE, id="x"), words, {"type": "relation", "from_id": "x"})]
    )
    assert int(labels(read_dataset(root, "labelstudio"), "a").sum()) == 10


def several(root: Path, *regions: dict[str, Any]) -> Path:
    draw(root / "images" / "b.png", 40, (5, 10))
    return export(root, [{**task(*regions), "data": {"images": ["a.png", "/data/upload/1/0a1b2c3d-b.png"]}}])


def test_the_images_of_one_task_are_told_apart(tmp_path: Path) -> None:
    root = several(tmp_path, region("polygonlabels", SQUARE, item_index=1))
    manifest = read_dataset(root, "labelstudio")
    assert [int(labels(manifest, name).sum()) for name in ("a", "b")] == [0, 10]
    assert any("1 tasks show several images" in note for note in manifest.notes)
    several(root, region("polygonlabels", SQUARE, item_index=1), region("polygonlabels", SQUARE))
    with pytest.raises(DatasetError, match=r"task 5 shows 2 images \(a\.png, .*and 1 of its 2 regions do not say"):
        labelstudio(root)


def test_masks_of_an_export_as_png_need_the_json(tmp_path: Path) -> None:
    draw(tmp_path / "images" / "0a1b2c3d-a.png")
    draw(tmp_path / "masks" / "task-1-annotation-7-by-1-tag-leaf-0.png")
    assert list(recognise(tmp_path)) == ["labelstudio"]
    with pytest.raises(
        DatasetError, match=r"masks of Label Studio's export as PNG \(task-1-.*export the project as JSON"
    ):
        labelstudio(tmp_path)
    export(tmp_path, [task(region("polygonlabels", SQUARE))])
    listing = labelstudio(tmp_path)
    assert [entry.id for entry in listing.entries] == ["0a1b2c3d-a"]
    assert not any("task-1" in note for note in listing.notes)


def test_lost_images_unlisted_ones_and_other_keys(tmp_path: Path) -> None:
    kept = task(region("polygonlabels", SQUARE))
    root = export(tmp_path, [kept, task(region("polygonlabels", SQUARE), image="b.png")])
    draw(root / "images" / "c.png")
    listing = labelstudio(root)
    assert [(defect.code, defect.where) for defect in listing.defects] == [("no_image", "b.png")]
    assert "1 image is not in export.json and was left out: images/c.png" in listing.notes
    kept["data"] = {"front": "a.png", "back": "c.png", "note": "x"}
    export(tmp_path, [kept])
    with pytest.raises(DatasetError, match=r"\[0\].data: expected one image, got front, back .*option image_key"):
        labelstudio(root)
    assert labelstudio(root, image_key="front").entries[0].id == "a"
    with pytest.raises(
        DatasetError, match=r"\[0\].data has no text 'side' \(option image_key\), only front, back, note"
    ):
        labelstudio(root, image_key="side")


def with_value(**value: Any) -> list[dict[str, Any]]:
    return [task(region("polygonlabels", {**SQUARE, **value}))]


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ({"id": 1}, r"export.json: the file: expected a list of tasks"),
        ([3], r"\[0\]: expected a task, got 3"),
        ([{"data": {"image": "a.png"}}], r"\[0\].annotations: expected a list, got None"),
        (
            [{"data": {"image": "a.png"}, "annotations": [{"result": 1}]}],
            r"\[0\].annotations\[0\]: expected an annotation with a list `result`",
        ),
        ([task({"id": 1})], r"task 5, result\[0\]: expected a region with `value`"),
        (with_value(points=[[1, 2, 3]]), r"task 5, result\[0\].value.points: expected a list of \[x, y\]"),
        (with_value(points=[[1, "x"], [1, 2], [3, 4]]), r"result\[0\].value.points: expected a number, got 'x'"),
        (with_value(points=[[1, 10**400], [1, 2], [3, 4]]), r"value.points: expected a number, got 1000000"),
        (with_value(points=[[1, 2], [3, 4]]), r"a polygon of 2 points; expected at least 3"),
        ([task(region("polygonlabels", SQUARE, original_width=None))], r"original_height and original_width in pixels"),
        ([task(region("polygonlabels", SQUARE, image_rotation=90))], r"the region was drawn on the turned image"),
        (
            [task(region("brushlabels", {"rle": stroke(np.ones((2, 2))), "brushlabels": ["x"]}))],
            r"the brush stroke holds 16 bytes, expected 200, 4 a pixel",
        ),
        ([task(region("brushlabels", {"rle": "x", "brushlabels": ["x"]}))], r"value.rle: expected a list of bytes"),
        ([task(region("polygonlabels", SQUARE))] * 2, r"\[1\]: the image a.png has a task already \(task 5\)"),
    ],
)
def test_damaged_exports(tmp_path: Path, tasks: object, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        labelstudio(export(tmp_path, tasks), annotations="export.json")


def test_damaged_json(tmp_path: Path) -> None:
    put(tmp_path / "export.json", '[{"id": 1,\n "data": }]')
    with pytest.raises(DatasetError, match=r"export.json: damaged JSON: .* at line 2, column 10"):
        labelstudio(tmp_path, annotations="export.json")


@pytest.mark.data
def test_real_exports(real_data: RealData) -> None:
    root = real_data("annotation_exports")
    with pytest.raises(DatasetError, match=r"2 files could be meant \(labelstudio_derived.json, labelstudio_original"):
        labelstudio(root)
    with pytest.raises(DatasetError, match=r"the one image that labelstudio_original_one_task.json names"):
        labelstudio(root, annotations="*one_task.json")
    listing = labelstudio(root, annotations="labelstudio_derived.json")
    assert sum(len(entry.mask.shapes) for entry in listing.entries if isinstance(entry.mask, Drawing)) == 9
