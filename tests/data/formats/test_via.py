"""VGG Image Annotator: versions 1 and 2, projects and CSV, every shape, and a message for each mistake."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segbench.data.formats import Listing
from segbench.data.formats.via.reader import looks_like, via
from segbench.data.shapes.drawing import Drawing, shape_mask
from segbench.errors import ConfigError, DatasetError

RealData = Callable[[str], Path]

SIZE = (40, 60)
TRIANGLE = {"name": "polygon", "all_points_x": [5, 25, 5], "all_points_y": [5, 5, 25]}


def image(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(path)
    return path


def region(shape: Mapping[str, Any] = TRIANGLE, **attributes: Any) -> dict[str, Any]:
    return {"shape_attributes": dict(shape), "region_attributes": attributes}


def small(root: Path, *regions: Any, name: str = "via.json") -> Path:
    """A data set of one image a.png and one VIA 2 file."""
    image(root / "a.png")
    plain = {"a.png123": {"filename": "a.png", "size": 123, "regions": list(regions), "file_attributes": {}}}
    (root / name).write_text(json.dumps(plain), encoding="utf-8")
    return root


def drawings(listing: Listing) -> list[Drawing]:
    masks = [entry.mask for entry in listing.entries]
    assert all(isinstance(mask, Drawing) for mask in masks)
    return [mask for mask in masks if isinstance(mask, Drawing)]


def cover(root: Path, shape: Mapping[str, Any], **options: Any) -> np.ndarray:
    return shape_mask(drawings(via(small(root, region(shape)), **options))[0].shapes[0], SIZE)


def codes(listing: Listing) -> dict[str, int]:
    return dict(Counter(defect.code for defect in listing.defects))


@pytest.mark.data
def test_kudzu_has_its_published_numbers(real_data: RealData) -> None:
    root = real_data("via_kudzu")
    with pytest.raises(DatasetError, match=r"349 regions in 16 images have no class .known are kudzu"):
        via(root)
    listing = via(root, default_class="kudzu")
    assert Counter(entry.split for entry in listing.entries) == {"train": 24, "val": 16}
    counts = Counter[str]()
    for entry, drawing in zip(listing.entries, drawings(listing), strict=True):
        counts[str(entry.split)] += len(drawing.shapes)
    assert counts == {"train": 520, "val": 349}
    assert listing.class_map.names == ("background", "kudzu")
    assert codes(listing) == {"no_class": 16}


@pytest.mark.data
def test_droplets_have_their_published_numbers_and_leak(real_data: RealData) -> None:
    listing = via(real_data("via_droplets"))
    counts = Counter[str]()
    for entry, drawing in zip(listing.entries, drawings(listing), strict=True):
        counts[str(entry.split)] += len(drawing.shapes)
    assert counts == {"train": 107, "val": 63}
    assert Counter(entry.split for entry in listing.entries) == {"train": 6, "val": 2}
    assert {entry.id for entry in listing.entries if "video1image0" in entry.id} == {
        "train/video1image0",
        "val/video1image0",
    }
    leaks = [defect for defect in listing.defects if defect.code == "overlapping_lists"]
    assert [leak.text for leak in leaks] == ["video1image0.jpg is in train/ and in val/; both were kept"]
    assert not leaks[0].fatal
    assert listing.class_map.names == ("background", "object")


def test_polygons_and_rectangles(tmp_path: Path) -> None:
    box = cover(tmp_path, {"name": "rect", "x": 10, "y": 5, "width": 20, "height": 8})
    expected = np.zeros(SIZE, bool)
    expected[5:13, 10:30] = True
    np.testing.assert_array_equal(box, expected)
    triangle = cover(tmp_path, TRIANGLE)
    assert 190 <= triangle.sum() <= 210
    assert triangle[6, 6]
    assert not triangle[24, 24]


def test_circles_and_turned_ellipses(tmp_path: Path) -> None:
    circle = cover(tmp_path, {"name": "circle", "cx": 30, "cy": 20, "r": 10})
    assert circle.sum() == pytest.approx(math.pi * 100, rel=0.02)
    plain = {"name": "ellipse", "cx": 30, "cy": 20, "rx": 15, "ry": 5}
    lying, standing = cover(tmp_path, plain), cover(tmp_path, {**plain, "theta": math.pi / 2})
    assert lying[20, 44]
    assert not lying[33, 30]
    assert standing[33, 30]
    assert not standing[20, 44]
    assert lying.sum() == pytest.approx(math.pi * 75, rel=0.03)


def test_lines_and_points_have_a_width(tmp_path: Path) -> None:
    line = {"name": "polyline", "all_points_x": [5, 55], "all_points_y": [20, 20]}
    assert cover(tmp_path, line)[20, 5:55].all()
    assert cover(tmp_path, line).sum(axis=0).max() == 1
    assert cover(tmp_path, line, width_px=5.0)[:, 30].sum() == 5
    assert cover(tmp_path, {"name": "point", "cx": 30, "cy": 20}, width_px=6.0).sum() == pytest.approx(28, abs=10)
    with pytest.raises(ConfigError, match=r"data\.options\.width_px: expected a width above 0"):
        via(tmp_path, width_px=0.0)


def test_version_1_has_regions_in_a_mapping(tmp_path: Path) -> None:
    image(tmp_path / "a.png")
    plain = {"a.png": {"filename": "a.png", "size": 1, "regions": {"0": region(kind="a"), "1": region(kind="b")}}}
    (tmp_path / "via_region_data.json").write_text(json.dumps(plain), encoding="utf-8")
    listing = via(tmp_path)
    assert [shape.label for shape in drawings(listing)[0].shapes] == ["a", "b"]


def test_a_project_declares_its_classes(tmp_path: Path) -> None:
    root = small(tmp_path, region(kind={"b": True, "a": False}))
    images = json.loads((root / "via.json").read_text())
    attributes = {"region": {"kind": {"type": "checkbox", "options": {"c": "", "b": "", "a": ""}}}, "file": {}}
    plain = {"_via_settings": {}, "_via_img_metadata": images, "_via_attributes": attributes}
    (root / "via.json").write_text(json.dumps(plain), encoding="utf-8")
    assert via(root).class_map.names == ("background", "c", "b", "a")
    assert looks_like(root) == "VGG Image Annotator (via.json)"


@pytest.mark.parametrize("first", ["filename", "#filename"])
def test_the_csv_export(tmp_path: Path, first: str) -> None:
    image(tmp_path / "a.png")
    image(tmp_path / "b.png")
    columns = "file_size file_attributes region_count region_id region_shape_attributes region_attributes"
    header = [first, *columns.split()]
    rows = [
        ["a.png", "1", "{}", "2", "0", json.dumps(TRIANGLE), '{"kind": "a"}'],
        ["a.png", "1", "{}", "2", "1", json.dumps(TRIANGLE), '{"kind": "b"}'],
        ["b.png", "1", "{}", "0", "0", "{}", "{}"],
    ]  # fmt: skip
    with (tmp_path / "via.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    listing = via(tmp_path)
    assert [[shape.label for shape in drawing.shapes] for drawing in drawings(listing)] == [["a", "b"], []]
    assert looks_like(tmp_path) == "VGG Image Annotator (via.csv)"
    text = (tmp_path / "via.csv").read_text()
    (tmp_path / "via.csv").write_text(text.replace('"{""kind"": ""b""}"', "{kind"))
    with pytest.raises(DatasetError, match=r"line 3: expected a mapping as JSON, got '{kind'"):
        via(tmp_path)


def test_the_class_is_the_attribute_that_can_be_meant(tmp_path: Path) -> None:
    assert via(small(tmp_path, region(a="x", b="x"))).class_map.names == ("background", "x")
    root = small(tmp_path, region(kind="car", state="new"), region(kind="bus", state="old"))
    with pytest.raises(DatasetError, match=r"several attributes: kind \(car, bus\), state \(new, old\); .* attribute"):
        via(root)
    assert via(root, attribute="kind").class_map.names == ("background", "bus", "car")
    assert via(root, attribute="state").class_map.names == ("background", "new", "old")
    with pytest.raises(ConfigError, match=r"no region has a value of the attribute 'kid'; did you mean 'kind'"):
        via(root, attribute="kid")


def test_two_checked_boxes_are_no_class(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"regions\[0\]\.region_attributes\.kind: expected one class, got a, b"):
        via(small(tmp_path, region(kind={"a": True, "b": True})))


@pytest.mark.parametrize(
    ("regions", "text"),
    [
        ([region(), region({"name": "polygon"})], "regions[1].shape_attributes.all_points_x: expected a list"),
        (
            [region({**TRIANGLE, "all_points_y": [1]})],
            "shape_attributes: expected as many all_points_x as",
        ),
        ([region({**TRIANGLE, "all_points_x": [1, "2", 3]})], "all_points_x[1]: expected a number, got '2'"),
        (
            [region({"name": "rect", "x": 1, "y": 1, "width": 3})],
            "shape_attributes.height: expected a number, as a",
        ),
        ([region({"name": "circle", "cx": None, "cy": 1, "r": 3})], "shape_attributes.cx: expected a number, got None"),
        ([region({"name": "circle", "cx": 1, "cy": 1, "r": 10**400})], "shape_attributes.r: expected a finite number"),
        ([region({"name": "ellipse", "cx": 1, "cy": 1, "rx": float("nan"), "ry": 1})], ".rx: expected a finite number"),
        ([region({})], "shape_attributes.name: expected text"),
        ([{"region_attributes": {}}], "regions[0].shape_attributes: expected a mapping"),
        (["x"], "a.png123.regions[0]: expected a mapping, got 'x'"),
    ],
)
def test_a_region_that_is_not_as_the_format_says(tmp_path: Path, regions: list[Any], text: str) -> None:
    with pytest.raises(DatasetError) as caught:
        via(small(tmp_path, *regions))
    assert text in str(caught.value)
    assert "via.json, a.png123.regions[" in str(caught.value)


def test_a_polygon_of_two_points_is_refused_or_left_out(tmp_path: Path) -> None:
    line = {"name": "polygon", "all_points_x": [1, 2], "all_points_y": [1, 2]}
    root = small(tmp_path, region(), region(line))
    with pytest.raises(DatasetError, match="a polygon of 2 points; expected at least 3"):
        via(root)
    with pytest.raises(DatasetError, match="1 of 2 shapes cannot be drawn, in 1 of 1 images: without them nothing is"):
        via(root, defects="skip")


def test_an_unknown_kind_of_region_is_no_background(tmp_path: Path) -> None:
    root = small(tmp_path, region(), region({"name": "cube"}))
    with pytest.raises(
        DatasetError, match=r"(?s)1 of 2 shapes cannot be drawn.*regions\[1\]: a region of the kind 'cube'"
    ):
        via(root)


def test_all_regions_that_cannot_be_read_are_listed_and_cost_their_image_alone(tmp_path: Path) -> None:
    root = small(tmp_path, region())
    image(root / "b.png")
    plain = json.loads((root / "via.json").read_text())
    bad = [region({"name": "polygon"}), region({**TRIANGLE, "all_points_x": [1, "2", 3]}), "x"]
    plain["b.png1"] = {"filename": "b.png", "size": 1, "regions": bad}
    (root / "via.json").write_text(json.dumps(plain), encoding="utf-8")
    with pytest.raises(
        DatasetError, match=r"(?s)3 of 4 shapes .* 1 of 2 images.*regions\[0\].*regions\[1\].*regions\[2\]"
    ):
        via(root)
    assert [entry.id for entry in via(root, defects="skip").entries] == ["a"]


def numbered(root: Path, *xy: list[float], kind: int = 4, **options: str) -> Path:
    """A project of VIA 3 with one image, and a region for each row of numbers; their classes are 0, 1, ..."""
    image(root / "a.png")
    plain = {
        "project": {"pname": "p", "vid_list": ["1"]},
        "config": {},
        "attribute": {"1": {"aname": "kind", "anchor_id": "FILE1_Z0_XY1", "type": kind, "options": options}},
        "file": {"5": {"fid": "5", "fname": "a.png", "type": 2, "loc": 1, "src": "a.png"}},
        "view": {"1": {"fid_list": ["5"]}},
        "metadata": {
            **{f"1_{place}": {"vid": "1", "z": [], "xy": one, "av": {"1": str(place)}} for place, one in enumerate(xy)},
            "1_file": {"vid": "1", "z": [], "xy": [], "av": {}},
        },
    }
    (root / "via3.json").write_text(json.dumps(plain), encoding="utf-8")
    return root


def test_a_project_of_version_3(tmp_path: Path) -> None:
    rows = [[7, 5, 5, 25, 5, 5, 25], [2, 30, 10, 8, 4], [3, 50, 10, 5], [4, 30, 30, 8, 4], [6, 1, 1, 9, 1]]
    names = {"0": "tree", "1": "car", "2": "sun", "3": "lake", "4": "road"}
    listing = via(numbered(tmp_path, *rows, **names))
    assert listing.class_map.names == ("background", "tree", "car", "sun", "lake", "road")
    shapes = drawings(listing)[0].shapes
    assert [shape.label for shape in shapes] == list(names.values())
    assert (shape_mask(shapes[0], SIZE) == cover(tmp_path / "two", TRIANGLE)).all()
    assert shape_mask(shapes[1], SIZE).sum() == 32
    assert shape_mask(shapes[2], SIZE).sum() == pytest.approx(np.pi * 25, abs=6)
    assert shape_mask(shapes[3], SIZE).sum() == pytest.approx(np.pi * 32, abs=8)
    assert looks_like(tmp_path) == "VGG Image Annotator (via3.json)"
    assert "the numbers of 'kind' have the names 0 = tree, 1 = car, 2 = sun, 3 = lake, 4 = road" in listing.notes


def test_a_checkbox_of_version_3_is_a_list_of_numbers(tmp_path: Path) -> None:
    root = numbered(tmp_path, [2, 30, 10, 8, 4], kind=2, **{"0": "tree", "1": "car"})
    assert drawings(via(root))[0].shapes[0].label == "tree"
    text = (root / "via3.json").read_text().replace('"av": {"1": "0"}', '"av": {"1": "0,1"}')
    (root / "via3.json").write_text(text)
    with pytest.raises(DatasetError, match="expected one class, got 0, 1"):
        via(root)


@pytest.mark.parametrize(
    ("xy", "says"), [([8, 1, 2, 3, 4, 5, 6, 7, 8], "the kind 'number 8'"), ([2, 1], "4 numbers of a rect")]
)
def test_a_region_of_version_3_that_is_not_read(tmp_path: Path, xy: list[float], says: str) -> None:
    with pytest.raises(DatasetError, match=f"(?s)1 of 2 shapes cannot be drawn.*metadata.1_1.*{says}"):
        via(numbered(tmp_path, [2, 30, 10, 8, 4], xy))


def test_images_side_by_side_are_refused(tmp_path: Path) -> None:
    root = numbered(tmp_path, [2, 30, 10, 8, 4])
    text = (root / "via3.json").read_text().replace('"fid_list": ["5"]', '"fid_list": ["5", "5"]')
    (root / "via3.json").write_text(text)
    with pytest.raises(DatasetError, match=r"view\.1 shows 2 images side by side"):
        via(root)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"1": "Pizza", "2": "Burger"}, ("background", "Pizza", "Burger")),
        ({"1": "Pizza", "2": ""}, ("background", "1", "2")),
        ({"1": "food", "2": "food"}, ("background", "1", "2")),
        ({"1": "Pizza", "b": "Burger"}, ("background", "1", "b", "2")),
    ],
)
def test_numbers_have_the_names_that_a_project_describes_them_by(
    tmp_path: Path, options: dict[str, str], names: tuple[str, ...]
) -> None:
    root = small(tmp_path, region(food="1"), region(food="2"))
    images = json.loads((root / "via.json").read_text())
    attributes = {"region": {"food": {"type": "dropdown", "options": options}}, "file": {}}
    plain = {"_via_settings": {}, "_via_img_metadata": images, "_via_attributes": attributes}
    (root / "via.json").write_text(json.dumps(plain), encoding="utf-8")
    assert via(root).class_map.names == names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a.png": {"filename": "a.png",\n "regions": [}', "damaged JSON: .* at line 2, column 14"),
        (
            '{"a": {"size": 1}, "b": {"filename": "a.png", "regions": []}}',
            r"a\.filename: expected text, but there",
        ),
        ('{"a": {"filename": "a.png", "regions": 3}}', r"a\.regions: expected a list \(VIA 2\) or a mapping"),
        ("[1]", r"the file: expected a mapping, got \[1\]"),
    ],
)
def test_a_file_that_is_not_as_the_format_says(tmp_path: Path, text: str, message: str) -> None:
    root = small(tmp_path)
    (root / "via.json").write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match=message):
        via(root, annotations="via.json")


def test_an_image_listed_twice(tmp_path: Path) -> None:
    root = small(tmp_path)
    plain = {f"a.png{size}": {"filename": "a.png", "size": size, "regions": [region()]} for size in (1, 2)}
    (root / "via.json").write_text(json.dumps(plain), encoding="utf-8")
    with pytest.raises(DatasetError, match=r"a\.png2: the image a\.png is listed already, in via\.json as a\.png1"):
        via(root)


def test_several_files_in_a_folder_are_asked_about(tmp_path: Path) -> None:
    small(tmp_path, region(), name="old.json")
    small(tmp_path, region(kind="x"), name="new.json")
    with pytest.raises(DatasetError, match=r"2 files could be meant \(new\.json, old\.json\); choose with"):
        via(tmp_path)
    assert via(tmp_path, annotations="new.json").class_map.names == ("background", "x")


def test_images_without_a_line_and_lines_without_an_image_are_told(tmp_path: Path) -> None:
    root = small(tmp_path, region())
    image(root / "b.png")
    listing = via(root)
    assert [(defect.code, defect.path.name) for defect in listing.defects][:1] == [("no_annotation", "b.png")]
    assert [entry.id for entry in listing.entries] == ["a"]
    (root / "a.png").unlink()
    with pytest.raises(DatasetError, match=r"the one image that via\.json names"):
        via(root)


@pytest.mark.data
@pytest.mark.parametrize("name", ["coco_tiny", "yolo_seg", "annotation_exports", "camvid", "ph2", "labelme"])
def test_other_sets_are_not_taken_for_it(real_data: RealData, name: str) -> None:
    assert looks_like(real_data(name)) is None
