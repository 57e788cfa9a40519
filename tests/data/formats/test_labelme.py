"""LabelMe: every shape, images inside of JSON files, the old XML, and a message for each mistake."""

from __future__ import annotations

import base64
import io
import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segbench.data.files.images import read_image
from segbench.data.formats import Listing
from segbench.data.formats.labelme.reader import labelme, looks_like
from segbench.data.formats.shared.listing import DEFECTS
from segbench.data.shapes.drawing import Drawing, paint, shape_mask
from segbench.errors import ConfigError, DatasetError

RealData = Callable[[str], Path]

SIZE = (40, 60)
SQUARE = [[10, 5], [30, 5], [30, 15], [10, 15]]


def png(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "PNG")
    return stream.getvalue()


def image(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(np.zeros((*SIZE, 3), np.uint8)))
    return path


def shape(points: Any = SQUARE, kind: str | None = "polygon", label: Any = "car", **more: Any) -> dict[str, Any]:
    plain = {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}, **more}
    return {key: value for key, value in plain.items() if key != "shape_type" or value is not None}


def write(path: Path, *shapes: Any, **changes: Any) -> Path:
    """A JSON file as LabelMe 5 writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = {
        "version": "5.0.1",
        "flags": {},
        "shapes": list(shapes),
        "imagePath": f"{path.stem}.png",
        "imageData": None,
    }
    size = {"imageHeight": SIZE[0], "imageWidth": SIZE[1]}
    path.write_text(json.dumps({**plain, **size, **changes}), encoding="utf-8")
    return path


def small(root: Path, *shapes: Any, **changes: Any) -> Path:
    """A data set of one image a.png and one JSON file."""
    image(root / "a.png")
    write(root / "a.json", *(shapes or (shape(),)), **changes)
    return root


def drawing(listing: Listing, place: int = 0) -> Drawing:
    mask = listing.entries[place].mask
    assert isinstance(mask, Drawing)
    return mask


def cover(root: Path, *args: Any, width_px: float = 1.0, **more: Any) -> np.ndarray:
    return shape_mask(drawing(labelme(small(root, shape(*args, **more)), width_px=width_px)).shapes[0], SIZE)


def codes(listing: Listing) -> dict[str, int]:
    return dict(Counter(defect.code for defect in listing.defects))


def rectangle(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[top:bottom, left:right] = True
    return mask


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "images", "shapes", "classes"),
    [
        ("semantic_segmentation", 3, 18, 21),
        ("instance_segmentation", 3, 18, 21),
        ("video_annotation", 5, 15, 3),
        ("primitives", 1, 8, 8),
        ("tutorial", 1, 4, 5),
    ],
)
def test_the_examples_of_labelme(real_data: RealData, name: str, images: int, shapes: int, classes: int) -> None:
    root = real_data("labelme") / name
    listing = labelme(root)
    assert len(listing.entries) == images
    assert sum(len(drawing(listing, place).shapes) for place in range(images)) == shapes
    assert len(listing.class_map.names) == classes
    assert str(looks_like(root)).startswith("LabelMe (")


@pytest.mark.data
def test_masks_are_nearly_those_that_labelme_exports(real_data: RealData) -> None:
    root = real_data("labelme") / "semantic_segmentation"
    listing = labelme(root)
    assert listing.class_map.names[:3] == ("background", "aeroplane", "bicycle")
    assert listing.painter is not None
    for place, entry in enumerate(listing.entries):
        theirs = np.asarray(Image.open(root / "data_dataset_voc" / "SegmentationClass" / f"{entry.id}.png"))
        ours, _ = paint(listing.painter(drawing(listing, place), theirs.shape), root)
        assert set(np.unique(ours)) == set(np.unique(theirs))
        assert (ours == theirs).mean() > 0.985


@pytest.mark.data
def test_every_kind_of_shape_of_the_real_file_covers_what_it_shows(real_data: RealData) -> None:
    shapes = {one.label: one for one in drawing(labelme(real_data("labelme") / "primitives", width_px=3.0)).shapes}
    areas = {label: int(shape_mask(one, (450, 560)).sum()) for label, one in shapes.items()}
    radius = math.hypot(30, 41)
    assert areas["circle"] == pytest.approx(math.pi * radius**2, rel=0.01)
    assert areas["octagon"] == 7275
    assert 2.8 <= areas["line"] / math.hypot(28, 46) <= 3.3
    assert 0 < areas["point"] <= 16


@pytest.mark.data
def test_the_old_xml(real_data: RealData) -> None:
    root = real_data("format_fixtures") / "labelme_dataset"
    listing = labelme(root)
    assert looks_like(root) == "LabelMe XML (Annotations/subset1/img1.xml)"
    assert [entry.id for entry in listing.entries] == ["img1"]
    shapes = drawing(listing).shapes
    assert [one.label for one in shapes] == ["window", "license plate", "o1", "q1", "b1", "m1", "hg"]
    assert [len(one.rings[0]) // 2 for one in shapes if one.rings] == [4, 7, 6, 4, 6]
    assert [name for name, _ in drawing(listing).files] == [
        "Masks/subset1/img1_mask_1.png",
        "Masks/subset1/img1_mask_5.png",
    ]
    assert listing.painter is not None
    labels, _ = paint(listing.painter(drawing(listing), (77, 102)), root)
    names = np.array(listing.class_map.names)[labels]
    ys, xs = np.nonzero(names == "m1")
    assert (xs.min(), ys.min(), xs.max(), ys.max()) == (55, 14, 69, 23)


def test_polygons_and_rectangles(tmp_path: Path) -> None:
    expected = rectangle(10, 5, 30, 15)
    np.testing.assert_array_equal(cover(tmp_path), expected)
    np.testing.assert_array_equal(cover(tmp_path, SQUARE, None), expected)
    np.testing.assert_array_equal(cover(tmp_path, [[30, 15], [10, 5]], "rectangle"), expected)
    np.testing.assert_array_equal(cover(tmp_path, SQUARE, "rectangle"), expected)


def test_circles_lines_and_points(tmp_path: Path) -> None:
    assert cover(tmp_path, [[30, 20], [30, 30]], "circle").sum() == pytest.approx(math.pi * 100, rel=0.02)
    assert cover(tmp_path, [[5, 20], [55, 20]], "line", width_px=3.0)[:, 30].sum() == 3
    assert cover(tmp_path, [[5, 20], [30, 20], [30, 35]], "linestrip")[34, 30]
    assert cover(tmp_path, [[30, 20]], "point", width_px=5.0).sum() > 9
    listing = labelme(small(tmp_path, shape([[1, 1], [5, 5]], "points")))
    assert [one.line for one in drawing(listing).shapes] == [(1.0, 1.0), (5.0, 5.0)]
    with pytest.raises(ConfigError, match=r"data\.options\.width_px"):
        labelme(tmp_path, width_px=-1.0)


def test_a_mask_inside_of_the_file(tmp_path: Path) -> None:
    values = np.zeros((10, 20), np.uint8)
    values[2:, 5:] = 1
    text = base64.b64encode(png(values)).decode()
    drawn = cover(tmp_path, [[30, 8], [49, 17]], "mask", mask=text)
    np.testing.assert_array_equal(drawn, rectangle(35, 10, 50, 18))


def test_an_image_inside_of_the_file(tmp_path: Path) -> None:
    values = np.full((*SIZE, 3), 7, np.uint8)
    write(tmp_path / "a.json", shape(), imageData=base64.b64encode(png(values)).decode(), imagePath="a.json")
    listing = labelme(tmp_path)
    assert [entry.image for entry in listing.entries] == [tmp_path / "a.json"]
    assert (read_image(listing.entries[0].image) == 7).all()
    assert listing.notes == ("1 image is only inside of its JSON file (imageData), and is read there: a.json",)


@pytest.mark.parametrize("name", ["a.json", "b.png", "C:\\photos\\b.png"])
def test_a_wrong_image_path_is_told_and_the_image_beside_taken(tmp_path: Path, name: str) -> None:
    listing = labelme(small(tmp_path, imagePath=name))
    assert codes(listing) == {"wrong_path": 1}
    assert listing.entries[0].image == tmp_path / "a.png"


@pytest.mark.parametrize("place", ["../images/a.png", "..\\images\\a.png", "/home/somebody/a.png"])
def test_images_in_another_folder_are_found(tmp_path: Path, place: str) -> None:
    image(tmp_path / "images" / "a.png")
    write(tmp_path / "labels" / "a.json", shape(), imagePath=place)
    listing = labelme(tmp_path)
    assert listing.entries[0].image == tmp_path / "images" / "a.png"
    assert not listing.defects


def test_an_image_that_is_not_there(tmp_path: Path) -> None:
    root = small(tmp_path)
    write(root / "b.json", shape())
    assert [(defect.code, defect.where) for defect in labelme(root).defects] == [("no_image", "b.png")]
    (root / "a.png").unlink()
    with pytest.raises(DatasetError, match=r"none of the 2 images"):
        labelme(root)


def test_an_image_without_a_file_is_left_out_and_told(tmp_path: Path) -> None:
    root = small(tmp_path)
    image(root / "b.png")
    listing = labelme(root)
    assert [entry.id for entry in listing.entries] == ["a"]
    assert [(defect.code, defect.path.name) for defect in listing.defects] == [("no_annotation", "b.png")]


def test_folders_named_after_parts(tmp_path: Path) -> None:
    small(tmp_path / "train")
    small(tmp_path / "valid")
    assert [(entry.id, entry.split) for entry in labelme(tmp_path).entries] == [
        ("train/a", "train"),
        ("valid/a", "val"),
    ]


def test_the_list_of_labels_gives_the_order_and_finds_slips(tmp_path: Path) -> None:
    root = small(tmp_path, shape(), shape(label="__ignore__"), shape(label="_background_"), shape(label="busss"))
    (root / "labels.txt").write_text("__ignore__\n_background_\ntruck\ncar\nbus\n")
    listing = labelme(root)
    assert listing.class_map.names == ("background", "truck", "car", "bus", "busss")
    assert [defect.text for defect in listing.defects] == [
        "'busss' is not in labels.txt, and became a class of its own; did you mean 'bus'? "
        "known: __ignore__, background, bus, car, truck"
    ]
    assert listing.painter is not None
    assert [index for index, _ in listing.painter(drawing(listing), SIZE).shapes] == [2, 255, 0, 4]
    counted = labelme(root, ignore=[])
    assert "__ignore__" in counted.class_map.names


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({"label": "car"}, "shapes[0].points: expected a list, but there is no such key, only label"),
        (shape([[1, "2"], [3, 4], [5, 6]]), "shapes[0].points[0][1]: expected a number, got '2'"),
        (shape([[1, 2, 3]]), "shapes[0].points[0]: expected [x, y], got [1, 2, 3]"),
        (shape([]), "shapes[0].points: expected at least one point, got []"),
        (shape([[1, 2]], "circle"), "shapes[0].points: a circle has 2 points, got 1"),
        (shape([[1, 2], [10**400, 2]], "circle"), "shapes[0].points: expected a finite number, got inf"),
        (shape(label=3), "shapes[0].label: expected text, got 3"),
        (shape([[1, 2], [3, 4]], "mask"), "shapes[0].mask: expected text"),
        (shape([[1, 2], [3, 4]], "mask", mask="???"), "shapes[0].mask: expected a PNG as base64 text"),
        (shape([[1, 2], [3, 4]], "mask", mask="aGFsbG8="), "shapes[0].mask: not an image"),
        ("x", "shapes[0]: expected a mapping, got 'x'"),
    ],
)
def test_a_shape_that_is_not_as_the_format_says(tmp_path: Path, entry: Any, text: str) -> None:
    with pytest.raises(DatasetError) as caught:
        labelme(small(tmp_path, entry))
    assert f"a.json, shapes[0]: {text}" in str(caught.value)


@pytest.mark.parametrize(
    ("points", "code"), [([[1, 1], [4, 4]], "few_points"), ([[1, 1], [10**400, 1], [4, 4]], "bad_numbers")]
)
def test_a_polygon_that_cannot_be_drawn(tmp_path: Path, points: Any, code: str) -> None:
    root = small(tmp_path, shape(), shape(points))
    with pytest.raises(DatasetError, match=f"1 of 2 shapes cannot be drawn.*{DEFECTS[code]}"):
        labelme(root)
    with pytest.raises(DatasetError, match="in 1 of 1 images: without them nothing is left"):
        labelme(root, defects="skip")


def test_a_polygon_beyond_the_image_is_told(tmp_path: Path) -> None:
    listing = labelme(small(tmp_path, shape([[50, 5], [90, 5], [90, 15]])))
    assert codes(listing) == {"outside": 1}


def test_all_shapes_that_are_not_read_are_listed_and_cost_their_image_alone(tmp_path: Path) -> None:
    root = small(tmp_path, shape())
    image(root / "b.png")
    plain = json.loads((root / "a.json").read_text())
    plain["imagePath"], plain["shapes"] = "b.png", [shape(SQUARE, "cuboid"), shape([]), shape()]
    (root / "b.json").write_text(json.dumps(plain), encoding="utf-8")
    with pytest.raises(
        DatasetError, match=r"(?s)2 of 4 shapes .* 1 of 2 images.*the kind 'cuboid'.*expected at least one point"
    ):
        labelme(root)
    assert [entry.id for entry in labelme(root, defects="skip").entries] == ["a"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"version": "5.0", "shapes": [\n}', r"damaged JSON: .* at line 2, column 1"),
        ("", r"damaged JSON: .* at line 1, column 1"),
        ('{"shapes": {}, "imagePath": "b.png"}', r"shapes: expected a list, got \{\}"),
        ('{"shapes": [], "imagePath": "b.png", "imageHeight": "x"}', r"imageHeight: expected a number, got 'x'"),
        ('{"version": "5.0"}', r"shapes: expected a list, but there is no such key, only version"),
    ],
)
def test_a_file_that_is_not_as_the_format_says(tmp_path: Path, text: str, message: str) -> None:
    root = small(tmp_path)
    image(root / "b.png")
    (root / "b.json").write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match=message) as caught:
        labelme(root)
    assert str(root / "b.json") in str(caught.value)


def test_other_json_files_are_not_read(tmp_path: Path) -> None:
    root = small(tmp_path)
    (root / "settings.json").write_text("{}")
    assert labelme(root).notes == ("1 JSON files are not LabelMe's and were not read: settings.json",)
    (root / "a.json").unlink()
    with pytest.raises(DatasetError, match="expected LabelMe's files"):
        labelme(root)


def old(root: Path, objects: str) -> Path:
    image(root / "Images" / "day" / "a.png")
    path = root / "Annotations" / "day" / "a.xml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"<annotation><filename>a.png</filename><folder>day</folder>\n{objects}</annotation>")
    return root


def polygon(points: str, deleted: int = 0) -> str:
    pairs = (pair.split(",") for pair in points.split())
    inner = "".join(f"<pt><x>{x}</x><y>{y}</y></pt>" for x, y in pairs)
    return f"<object><name>car</name><deleted>{deleted}</deleted><id>4</id><polygon>{inner}</polygon></object>"


def test_deleted_objects_of_the_old_xml_are_left_out(tmp_path: Path) -> None:
    listing = labelme(old(tmp_path, polygon("1,1 9,1 9,9") + polygon("1,1 9,1 9,9", deleted=1)))
    assert len(drawing(listing).shapes) == 1
    assert listing.notes == ("1 objects are marked as deleted and were left out",)


SEGMENT = "<object><name>car</name><id>4</id><segm><mask>{}</mask></segm></object>"


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        (polygon("1,1 9,x 9,9"), r"object 4: expected <y> of a point to be a number, got 'x'"),
        (polygon("1,1 9,1"), r"a polygon of 2 points"),
        (SEGMENT.format("m.png"), r"object 4: the mask m\.png is not in Masks/day/"),
        ("<object><polygon></object>", r"damaged XML at line 2"),
    ],
)
def test_mistakes_in_the_old_xml(tmp_path: Path, objects: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        labelme(old(tmp_path, objects))


def test_a_mask_of_another_size_in_the_old_xml(tmp_path: Path) -> None:
    root = old(tmp_path, polygon("1,1 9,1 9,9") + SEGMENT.format("m.png"))
    (root / "Masks" / "day").mkdir(parents=True)
    (root / "Masks" / "day" / "m.png").write_bytes(png(np.ones((4, 4), np.uint8)))
    with pytest.raises(DatasetError, match=r"the mask m\.png is 4 x 4 pixels, the image 40 x 60"):
        labelme(root)
    image(root / "Images" / "day" / "b.png")
    good = (root / "Annotations" / "day" / "a.xml").read_text().replace("a.png", "b.png").split("<object>")
    (root / "Annotations" / "day" / "b.xml").write_text(f"{good[0]}<object>{good[1]}</annotation>")
    listing = labelme(root, defects="skip")
    assert codes(listing) == {"wrong_size": 1}
    assert [entry.id for entry in listing.entries] == ["b"]


@pytest.mark.data
@pytest.mark.parametrize("name", ["coco_tiny", "via_kudzu", "yolo_seg", "annotation_exports", "camvid", "ph2"])
def test_other_sets_are_not_taken_for_it(real_data: RealData, name: str) -> None:
    assert looks_like(real_data(name)) is None


@pytest.mark.data
@pytest.mark.parametrize("name", ["voc_dataset/voc_dataset1", "cvat_dataset/for_video", "ade20k2020_dataset"])
def test_other_xml_and_json_is_not_taken_for_it(real_data: RealData, name: str) -> None:
    assert looks_like(real_data("format_fixtures") / name) is None


def test_the_named_image_beside_is_taken_before_others_of_its_stem(tmp_path: Path) -> None:
    image(small(tmp_path) / "a.jpg")
    listing = labelme(tmp_path)
    assert listing.entries[0].image.name == "a.png"
    assert "wrong_path" not in {defect.code for defect in listing.defects}
