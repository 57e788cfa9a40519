"""COCO's JSON: real data against pycocotools, layouts, and a message for each mistake."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from segbench.data.formats import Entry, Listing
from segbench.data.formats.coco.reader import category_mask, coco, looks_like
from segbench.data.formats.shared.image_names import short_ids
from segbench.data.formats.shared.values import is_crowd
from segbench.data.shapes.drawing import Drawing, paint, shape_mask
from segbench.errors import ConfigError, DatasetError
from segbench.types import Task

RealData = Callable[[str], Path]

SQUARE = [[1, 1, 4, 1, 4, 3, 1, 3]]


def image(path: Path, height: int = 6, width: int = 8) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(path)
    return path


def annotation(number: int = 1, **changes: Any) -> dict[str, Any]:
    plain = {"id": number, "image_id": 1, "category_id": 3, "segmentation": SQUARE, "iscrowd": 0}
    return {**plain, **changes}


def content(**changes: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "images": [{"id": 1, "file_name": "a.png", "height": 6, "width": 8}],
        "categories": [{"id": 7, "name": "tree"}, {"id": 3, "name": "car"}],
        "annotations": [annotation()],
    }
    return {**plain, **changes}


def write(path: Path, plain: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(plain), encoding="utf-8")
    return path


def small(root: Path, **changes: Any) -> Path:
    """A data set of one image a.png and one JSON."""
    image(root / "images" / "a.png")
    write(root / "annotations" / "instances.json", content(**changes))
    return root


def two(root: Path, *annotations: dict[str, Any], **changes: Any) -> Path:
    """A data set of two images; the first is annotated as usual."""
    image(root / "images" / "b.png")
    images = [
        {"id": number, "file_name": f"{name}.png", "height": 6, "width": 8} for number, name in ((1, "a"), (2, "b"))
    ]
    return small(root, images=images, annotations=[annotation(), *annotations], **changes)


def drawing(entry: Entry) -> Drawing:
    assert isinstance(entry.mask, Drawing)
    return entry.mask


def codes(listing: Listing) -> dict[str, int]:
    return dict(Counter(defect.code for defect in listing.defects))


def union(entry: Entry, label: str, size: tuple[int, int]) -> np.ndarray:
    masks = [shape_mask(shape, size) for shape in drawing(entry).shapes if shape.label == label]
    return np.logical_or.reduce(masks)


@pytest.mark.data
def test_the_real_set_has_its_published_numbers(real_data: RealData) -> None:
    listing = coco(real_data("coco_tiny"))
    shapes = {split: [drawing(e).shapes for e in listing.entries if e.split == split] for split in ("train", "val")}
    train = [shape for shapes_ in shapes["train"] for shape in shapes_]
    val = [shape for shapes_ in shapes["val"] for shape in shapes_]
    assert (len(shapes["train"]), len(shapes["val"])) == (32, 6)
    assert (len(train), sum(s.crowd for s in train), sum(len(s.rings) > 1 for s in train)) == (288, 4, 17)
    assert (len(val), sum(s.crowd for s in val)) == (136, 1)
    assert len({shape.label for shape in train}) == 41
    assert len(listing.class_map.names) == 81
    assert listing.class_map.names[:3] == ("background", "person", "bicycle")
    bare = [defect.where for defect in listing.defects if defect.code == "no_annotation"]
    assert [where.split()[1] for where in bare] == ["226111", "58636"]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # inside of pycocotools
@pytest.mark.data
def test_every_category_of_every_real_image_is_what_pycocotools_draws(real_data: RealData) -> None:
    root = real_data("coco_tiny")
    entries = {entry.id: entry for entry in coco(root).entries}
    compared = 0
    for path in sorted((root / "annotations").glob("*.json")):
        theirs = COCO(str(path))
        for number, plain in theirs.imgs.items():
            entry = entries[Path(plain["file_name"]).stem]
            size = (plain["height"], plain["width"])
            for category in {theirs.anns[one]["category_id"] for one in theirs.getAnnIds(number)}:
                parts = [theirs.annToMask(one) for one in theirs.loadAnns(theirs.getAnnIds(number, [category]))]
                expected = np.logical_or.reduce(parts)
                np.testing.assert_array_equal(union(entry, theirs.cats[category]["name"], size), expected)
                compared += 1
    assert compared == 137


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.data
def test_one_category_of_one_image_in_one_call(real_data: RealData) -> None:
    path = real_data("coco_tiny") / "annotations" / "instances_val2017.json"
    theirs = COCO(str(path))
    number = next(iter(theirs.imgs))
    category = theirs.loadAnns(theirs.getAnnIds(number))[0]["category_id"]
    own = theirs.loadAnns(theirs.getAnnIds(number, [category], iscrowd=False))
    expected = np.logical_or.reduce([theirs.annToMask(one) for one in own])
    name = theirs.imgs[number]["file_name"]
    for image_key in (number, name, Path(name).stem):
        for category_key in (category, theirs.cats[category]["name"]):
            np.testing.assert_array_equal(category_mask(path, image_key, category_key), expected)


def test_a_category_mask_leaves_crowds_out_unless_asked_for_them(tmp_path: Path) -> None:
    crowd = annotation(2, segmentation={"size": [6, 8], "counts": [0, 6, 42]}, iscrowd=1)
    path = write(tmp_path / "x.json", content(annotations=[annotation(), crowd]))
    assert category_mask(path, 1, "car").sum() == 6
    with_crowd = category_mask(path, 1, "car", crowd="include")
    assert with_crowd[:, 0].all()
    assert with_crowd.sum() == 12
    assert not category_mask(path, 1, "tree").any()


@pytest.mark.parametrize(
    ("image_key", "category", "crowd", "text"),
    [
        ("b.png", "car", "exclude", "there is no image 'b.png' among the 1; did you mean a.png"),
        (2, "car", "exclude", "there is no image 2"),
        (1, "cat", "exclude", "there is no category 'cat'; did you mean 'car'"),
        (1, 4, "exclude", "there is no category 4; known: 3, 7"),
        (1, "car", "no", "expected exclude or include, got 'no'"),
    ],
)
def test_a_category_mask_names_what_is_there(
    tmp_path: Path, image_key: int | str, category: int | str, crowd: str, text: str
) -> None:
    path = write(tmp_path / "x.json", content())
    with pytest.raises((DatasetError, ConfigError)) as caught:
        category_mask(path, image_key, category, crowd=crowd)
    assert text in str(caught.value)


def test_labels_are_in_the_order_of_the_ids(tmp_path: Path) -> None:
    listing = coco(small(tmp_path))
    assert listing.class_map.names == ("background", "car", "tree")
    assert [entry.id for entry in listing.entries] == ["a"]


@pytest.mark.parametrize(
    ("files", "places", "splits"),
    [
        (["annotations/instances_train2017.json", "annotations/instances_val2017.json"],
         ["images/train2017", "images/val2017"], ["train", "val"]),
        (["annotations/instances_test.json", "annotations/instances_train.json"], ["test", "train"], ["test", "train"]),
        (["annotations/train.json", "annotations/valid.json"], ["images", "images"], ["train", "val"]),
        (["train/_annotations.coco.json", "valid/_annotations.coco.json"], ["train", "valid"], ["train", "val"]),
        (["all_train.json", "all_val.json"], ["photos/x/train", "photos/x/val"], ["train", "val"]),
    ],
)  # fmt: skip
def test_parts_and_images_are_found_by_their_folders(
    tmp_path: Path, files: list[str], places: list[str], splits: list[str]
) -> None:
    for number, (file, place) in enumerate(zip(files, places, strict=True)):
        name = f"img{number}.png"
        image(tmp_path / place / name)
        write(tmp_path / file, content(images=[{"id": 1, "file_name": name, "height": 6, "width": 8}]))
    listing = coco(tmp_path)
    assert [entry.split for entry in listing.entries] == splits
    assert [entry.image.parent for entry in listing.entries] == [tmp_path / place for place in places]
    assert looks_like(tmp_path) == f"COCO instances ({files[0]})"


def test_one_name_in_two_parts_gets_its_folder_as_id(tmp_path: Path) -> None:
    for part in ("train", "val"):
        image(tmp_path / "images" / part / "a.png")
        write(tmp_path / "annotations" / f"instances_{part}.json", content())
    listing = coco(tmp_path)
    assert [(entry.id, entry.split) for entry in listing.entries] == [
        ("train/a", "train"),
        ("val/a", "val"),
    ]


def test_several_kinds_are_not_mixed(tmp_path: Path) -> None:
    small(tmp_path)
    write(tmp_path / "annotations" / "stuff_train.json", content())
    write(tmp_path / "annotations" / "instances_train.json", content())
    with pytest.raises(
        DatasetError, match=r"several kinds, instances and stuff.*the option annotations: annotations/instances_"
    ):
        coco(tmp_path)
    (tmp_path / "annotations" / "instances.json").unlink()
    assert len(coco(tmp_path, annotations="annotations/stuff_*.json").entries) == 1
    with pytest.raises(DatasetError, match="no file matches the option annotations: 'annotations/none"):
        coco(tmp_path, annotations="annotations/none*.json")


def test_captions_are_left_out_and_told(tmp_path: Path) -> None:
    small(tmp_path)
    captions = content(annotations=[{"id": 1, "image_id": 1, "caption": "a car"}])
    write(tmp_path / "annotations" / "captions_train.json", captions)
    listing = coco(tmp_path)
    assert listing.notes == ("1 file of another kind was not read: captions_train.json",)


def test_a_folder_of_captions_alone_is_none(tmp_path: Path) -> None:
    write(tmp_path / "captions_train.json", content(annotations=[{"id": 1, "image_id": 1, "caption": "a car"}]))
    assert looks_like(tmp_path) is None
    with pytest.raises(DatasetError, match=r"to read captions_train\.json anyway"):
        coco(tmp_path)


def test_the_unused_first_category_of_an_export_is_dropped(tmp_path: Path) -> None:
    categories = [{"id": 0, "name": "cars", "supercategory": "none"}, {"id": 3, "name": "car", "supercategory": "cars"}]
    assert coco(small(tmp_path, categories=categories)).class_map.names == ("background", "car")
    used = [annotation(), annotation(2, category_id=0)]
    listing = coco(small(tmp_path, categories=categories, annotations=used))
    assert listing.class_map.names == ("background", "cars", "car")


def test_boxes_count_nowhere_or_are_filled(tmp_path: Path) -> None:
    box = annotation(2, segmentation=[], bbox=[2, 1, 3, 2], category_id=7)
    root = small(tmp_path, annotations=[annotation(), box])
    expected = np.zeros((6, 8), bool)
    expected[1:3, 2:5] = True
    listing = coco(root)
    assert codes(listing) == {"only_box": 1}
    assert listing.painter is not None
    square = union(listing.entries[0], "car", (6, 8))
    painted = paint(listing.painter(drawing(listing.entries[0]), (6, 8)), root)[0]
    np.testing.assert_array_equal(painted, np.where(square, 1, np.where(expected, 255, 0)))
    assert len(drawing(coco(root, boxes="skip").entries[0]).shapes) == 1
    filled = coco(root, boxes="fill")
    np.testing.assert_array_equal(union(filled.entries[0], "tree", (6, 8)), expected)
    with pytest.raises(ConfigError, match=r"data\.options\.boxes: expected one of ignore, fill, skip"):
        coco(root, boxes="draw")


def test_a_detection_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="all 1 annotations are boxes without a segmentation, as for detection"):
        coco(small(tmp_path, annotations=[annotation(segmentation=[], bbox=[1, 1, 2, 2])]))


def test_crowds_count_nowhere_by_default(tmp_path: Path) -> None:
    crowd = annotation(2, segmentation={"size": [6, 8], "counts": [0, 6, 42]}, iscrowd=1)
    root = small(tmp_path, annotations=[annotation(), crowd])
    listing = coco(root)
    assert listing.painter is not None
    painted = listing.painter(drawing(listing.entries[0]), (6, 8))
    assert [index for index, _ in painted.shapes] == [1, 255]


def test_compressed_run_lengths_are_read_as_pycocotools_writes_them(tmp_path: Path) -> None:
    mask = np.random.default_rng(0).random((6, 8)) < 0.5
    text = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    listing = coco(small(tmp_path, annotations=[annotation(segmentation={"size": [6, 8], "counts": text})]))
    np.testing.assert_array_equal(union(listing.entries[0], "car", (6, 8)), mask)


def test_a_region_of_an_unknown_category_counts_nowhere_where_it_is_skipped(tmp_path: Path) -> None:
    root = two(tmp_path, annotation(2, image_id=2, category_id=4))
    with pytest.raises(DatasetError, match=r"1 entry names a class(.|\n)*category_id 4 is not in the list.*: 3, 7"):
        coco(root)
    listing = coco(root, defects="skip")
    assert codes(listing) == {"unknown_class": 1}
    assert listing.painter is not None
    assert [index for index, _ in listing.painter(drawing(listing.entries[1]), (6, 8)).shapes] == [255]


@pytest.mark.parametrize("text", ["5", "ooo1ooo1", "ooooo", "P~", "1 2", "oooooooooooo0", "-3", "\u00e9"])
def test_damaged_compressed_run_lengths_are_refused_before_they_are_drawn(tmp_path: Path, text: str) -> None:
    root = two(tmp_path, annotation(2, image_id=2, segmentation={"size": [6, 8], "counts": text}))
    assert codes(coco(root, defects="skip")) == {"bad_rle": 1}


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        ({"segmentation": [[1, 1, 4, 1]]}, "few_points", "a polygon of 2 points"),
        ({"segmentation": [[1, 1, 4, 1, 4, 3, 2]]}, "bad_numbers", "a polygon of 7 numbers"),
        ({"segmentation": [[1, 1, 10**400, 1, 4, 3]]}, "bad_numbers", "far outside"),
        ({"segmentation": [[1, 1, float("nan"), 1, 4, 3]]}, "bad_numbers", "no finite numbers"),
        ({"segmentation": {"size": [6, 8], "counts": [1, 2]}}, "bad_rle", "add up to 3 pixels, expected 6 x 8 = 48"),
        ({"segmentation": {"size": [6, 8], "counts": [-1, 49]}}, "bad_rle", "negative"),
        ({"segmentation": {"size": [6, 8], "counts": "5"}}, "bad_rle", "add up to 5 pixels"),
        ({"segmentation": {"size": [6, 8], "counts": ["a"]}}, "bad_rle", "list of whole numbers"),
        ({"segmentation": [[1, "2"]]}, "bad_shape", "annotations[2].segmentation[0][1]: expected a number, got '2'"),
        ({"segmentation": "x"}, "bad_shape", "annotations[2].segmentation: expected a list, got 'x'"),
        ({"segmentation": {"counts": []}}, "bad_shape", "annotations[2].segmentation.size: expected a list"),
        ({"iscrowd": "maybe"}, "bad_shape", "annotations[2].iscrowd: expected 0 or 1, got 'maybe'"),
        ({"segmentation": {"size": [8, 6], "counts": [48]}}, "wrong_size", "8 x 6 pixels, the image has 6 x 8"),
    ],
)
def test_what_cannot_be_drawn_is_refused_or_its_image_left_out(
    tmp_path: Path, changes: Mapping[str, Any], code: str, text: str
) -> None:
    root = two(tmp_path, annotation(2, image_id=2), annotation(3, image_id=2, **changes))
    with pytest.raises(DatasetError) as caught:
        coco(root)
    assert text in str(caught.value)
    assert "annotations/instances.json" in str(caught.value)
    listing = coco(root, defects="skip")
    assert codes(listing) == {code: 1}
    assert [entry.id for entry in listing.entries] == ["a"]  # what b misses would count as background


def test_what_reaches_beyond_the_image_is_told_and_cut(tmp_path: Path) -> None:
    listing = coco(small(tmp_path, annotations=[annotation(segmentation=[[5, 1, 20, 1, 20, 5, 5, 5]])]))
    assert codes(listing) == {"outside": 1}
    assert union(listing.entries[0], "car", (6, 8)).sum() == 12


def test_annotations_of_unknown_images_are_told(tmp_path: Path) -> None:
    listing = coco(small(tmp_path, annotations=[annotation(), annotation(2, image_id=9)]))
    assert [(defect.code, defect.where) for defect in listing.defects] == [("no_image", "annotations[1] (id 2)")]


def test_images_that_are_not_there_and_not_listed_are_told(tmp_path: Path) -> None:
    images = [
        {"id": number, "file_name": f"{name}.png", "height": 6, "width": 8} for number, name in ((1, "a"), (2, "b"))
    ]
    root = small(tmp_path, images=images)
    image(root / "images" / "c.png")
    listing = coco(root)
    assert [(defect.code, defect.where) for defect in listing.defects] == [("no_image", "image 2 (b.png)")]
    assert "1 image is not in instances.json and was left out: images/c.png" in listing.notes
    (root / "images" / "a.png").unlink()
    with pytest.raises(DatasetError, match=r"none of the 2 images that instances\.json names is below this folder"):
        coco(root)


def test_an_image_outside_of_the_folder_is_not_read(tmp_path: Path) -> None:
    image(tmp_path / "secret.png")
    images = [
        {"id": 1, "file_name": "a.png", "height": 6, "width": 8},
        {"id": 2, "file_name": "../../secret.png", "height": 6, "width": 8},
    ]
    listing = coco(small(tmp_path / "set", images=images))
    assert [entry.id for entry in listing.entries] == ["a"]
    assert codes(listing) == {"no_image": 1}


IMAGE = {"id": 1, "file_name": "a.png", "height": 6, "width": 8}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"images": [IMAGE, {**IMAGE, "file_name": "b.png"}]}, "images[1].id: 1 is the id of images[0] too"),
        ({"images": [{"id": 1}]}, "images[0].file_name: expected text, but there is no such key, only id"),
        ({"images": {}}, "images: expected a list, got {}"),
        ({"images": [{**IMAGE, "height": "x"}]}, "images[0].height: expected a number, got 'x'"),
        ({"images": [{**IMAGE, "width": 0}]}, "images[0].width: expected a positive whole number of pixels, got 0"),
        ({"categories": [{"id": 3, "name": "car"}, {"id": 3, "name": "b"}]}, "categories[1].id: the category 3 occurs"),
        ({"annotations": [annotation(image_id=None)]}, "annotations[0].image_id: expected a number or name, got None"),
        ({"annotations": ["x"]}, "annotations[0]: expected a mapping, got 'x'"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_as_the_format_says_is_refused(
    tmp_path: Path, changes: Mapping[str, Any], text: str
) -> None:
    with pytest.raises(DatasetError) as caught:
        coco(small(tmp_path, **changes))
    assert text in str(caught.value)
    assert str(tmp_path / "annotations" / "instances.json") in str(caught.value)


def test_an_image_that_is_listed_twice_is_named_with_both_places(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetError,
        match=r"1 image is listed twice: images/a.png \(annotations/instances.json, images\[0\]; "
        r"annotations/instances.json, images\[1\]\); list it once$",
    ):
        coco(small(tmp_path, images=[IMAGE, {**IMAGE, "id": 2}]))
    (tmp_path / "annotations" / "instances.json").unlink()
    for part in ("train", "val"):
        write(tmp_path / "annotations" / f"instances_{part}.json", content())
    with pytest.raises(DatasetError, match=r"instances_train.json, images.*instances_val.json, images") as caught:
        coco(tmp_path)
    assert "annotations: annotations/instances_train.json" in str(caught.value)
    assert len(coco(tmp_path, annotations="annotations/instances_train.json").entries) == 1


def task(root: Path, name: str, **changes: Any) -> None:
    """A task as CVAT exports it: its own folder, with equal names in all of them."""
    image(root / name / "images" / "default" / "a.png")
    write(root / name / "annotations" / "instances_default.json", content(**changes))


def test_tasks_with_the_same_categories_are_one_set(tmp_path: Path) -> None:
    task(tmp_path, "task_1")
    task(tmp_path, "task_2", categories=[{"id": 1, "name": "car"}], annotations=[annotation(category_id=1)])
    listing = coco(tmp_path)
    assert [(entry.id, entry.split) for entry in listing.entries] == [
        ("task_1/images/default/a", None),
        ("task_2/images/default/a", None),
    ]
    assert listing.class_map.names == ("background", "car", "tree")
    assert any(note.startswith("2 files were read as one set: task_1/annotations/inst") for note in listing.notes)


def test_tasks_with_categories_of_their_own_are_two_sets_unless_told(tmp_path: Path) -> None:
    task(tmp_path, "task_1")
    task(tmp_path, "task_2", categories=[{"id": 3, "name": "boat"}])
    with pytest.raises(DatasetError, match=r"classes car, tree, .* has boat: .* two data sets"):
        coco(tmp_path)
    assert len(coco(tmp_path, annotations="task_1/annotations/instances_default.json").entries) == 1
    assert len(coco(tmp_path, annotations="*/annotations/instances_default.json").entries) == 2


def test_a_list_at_the_top_and_damaged_json(tmp_path: Path) -> None:
    path = small(tmp_path) / "annotations" / "instances.json"
    path.write_text("[1]", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"the file: expected a mapping, got \[1\]"):
        coco(tmp_path, annotations="annotations/instances.json")
    path.write_text('{"images": [],\n "annotations": [1 2]}', encoding="utf-8")
    with pytest.raises(DatasetError, match=r"damaged JSON: .* at line 2, column 20"):
        coco(tmp_path, annotations="annotations/instances.json")


@pytest.mark.data
@pytest.mark.parametrize("name", ["coco_instances", "coco_stuff", "coco_roboflow"])
def test_other_exporters_layouts(real_data: RealData, name: str) -> None:
    root = real_data("format_fixtures") / "coco_dataset" / name
    with pytest.raises(DatasetError, match=r"shapes of 'b' are marked as crowds.*crowd: include"):
        coco(root)
    listing = coco(root, crowd="include")
    assert [(entry.id, entry.split) for entry in listing.entries] == [("a", "train"), ("b", "val")]
    assert listing.class_map.task is Task.MULTICLASS
    assert looks_like(root) is not None


@pytest.mark.data
def test_labelmes_export(real_data: RealData) -> None:
    root = real_data("labelme") / "instance_segmentation" / "data_dataset_coco"
    listing = coco(root)
    assert len(listing.entries) == 3
    assert len(listing.class_map.names) == 21
    assert "_background_" not in listing.class_map.names


@pytest.mark.data
@pytest.mark.parametrize("name", ["via_kudzu", "yolo_seg", "annotation_exports", "camvid", "ph2", "oxford_pets"])
def test_other_sets_are_not_taken_for_it(real_data: RealData, name: str) -> None:
    assert looks_like(real_data(name)) is None


def test_the_name_of_the_data_sets_folder_says_no_part(tmp_path: Path) -> None:
    root = tmp_path / "my_test_images"
    image(root / "a.png")
    write(root / "labels.json", content())
    assert [entry.split for entry in coco(root).entries] == [None]


@pytest.mark.parametrize("pattern", ["/etc/*.json", ""])
def test_a_pattern_that_leaves_the_folder(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(ConfigError, match=r"data\.options\.annotations: expected a name or pattern below"):
        coco(small(tmp_path), annotations=pattern)
    write(tmp_path.parent / "outside.json", content())
    with pytest.raises(DatasetError, match="no file matches"):
        coco(tmp_path, annotations="../outside.json")


@pytest.mark.parametrize(
    ("value", "crowd"),
    [(0, False), (1, True), (True, True), ("0", False), ("1", True), (0.0, False), ("false", False), (None, False),
     (2, None), ("no", None), ([], False), ([1], None)],
)  # fmt: skip
def test_a_crowd_is_said_by_0_or_1_however_they_are_written(value: object, crowd: bool | None) -> None:
    if crowd is None:
        with pytest.raises(DatasetError, match=r"annotations\[3\]\.iscrowd: expected 0 or 1"):
            is_crowd({"iscrowd": value}, Path("x.json"), "annotations[3]")
        return
    assert is_crowd({"iscrowd": value}, Path("x.json"), "annotations[3]") is crowd


def test_an_image_of_another_part_is_not_taken_for_the_lost_one(tmp_path: Path) -> None:
    image(tmp_path / "images" / "val" / "0001.png")
    plain = content(images=[{"id": 1, "file_name": "0001.png", "height": 6, "width": 8}])
    write(tmp_path / "annotations" / "instances_train2017.json", plain)
    with pytest.raises(DatasetError, match=r"0001\.png"):
        coco(tmp_path)


def test_an_image_of_another_folder_is_told_and_one_of_another_part_refused(tmp_path: Path) -> None:
    image(tmp_path / "frames" / "cam1" / "a.png")
    write(tmp_path / "instances.json", content(images=[{"id": 1, "file_name": "cam2/a.png", "height": 6, "width": 8}]))
    (defect,) = coco(tmp_path).defects
    assert (defect.code, defect.fatal) == ("wrong_path", False)
    assert "in the folder cam2, taken is frames/cam1/a.png" in defect.text
    write(tmp_path / "instances.json", content(images=[{"id": 1, "file_name": "cam1/a.png", "height": 6, "width": 8}]))
    assert not coco(tmp_path).defects
    pictures = [
        {"id": number, "file_name": name, "height": 6, "width": 8} for number, name in ((1, "b.png"), (2, "c.png"))
    ]
    image(tmp_path / "other" / "train" / "b.png")
    image(tmp_path / "other" / "val" / "c.png")
    (tmp_path / "instances.json").unlink()
    write(tmp_path / "other" / "instances_train.json", content(images=pictures))
    with pytest.raises(DatasetError, match=r"c\.png\): the only image of this name is val/c\.png, in another part"):
        coco(tmp_path / "other")
    assert [entry.id for entry in coco(tmp_path / "other", defects="skip").entries] == ["b"]


@pytest.mark.parametrize(("named", "there"), [("A.JPG", "a.jpg"), ("u\u0308.png", "\u00fc.png")])
def test_capitals_and_accents_written_another_way_are_found_and_told(tmp_path: Path, named: str, there: str) -> None:
    image(tmp_path / "images" / there)
    write(tmp_path / "instances.json", content(images=[{"id": 1, "file_name": named, "height": 6, "width": 8}]))
    listing = coco(tmp_path)
    assert listing.entries[0].image.name == there
    assert any("capitals or accents are written another way" in note for note in listing.notes)


def test_ids_that_differ_in_kind_alone_are_the_same(tmp_path: Path) -> None:
    root = small(tmp_path, annotations=[annotation(), annotation(2, image_id="1"), annotation(3, image_id=1.0)])
    listing = coco(root)
    assert len(drawing(listing.entries[0]).shapes) == 3
    other = small(tmp_path, annotations=[annotation(category_id="3"), annotation(2, category_id=3.0)])
    assert {shape.label for shape in drawing(coco(other).entries[0]).shapes} == {"car"}
    both = [{"id": 1, "file_name": "a.png"}, {"id": "1", "file_name": "b.png"}]
    image(tmp_path / "images" / "b.png")
    small(tmp_path, images=both, annotations=[annotation(), annotation(2, image_id="1")])
    assert [len(drawing(entry).shapes) for entry in coco(tmp_path).entries] == [1, 1]


CATEGORIES = [
    {"id": 1, "name": "leaf", "supercategory": "plant"},
    {"id": 2, "name": "leaf", "supercategory": "plant"},
]


def test_categories_of_one_name_are_one_class(tmp_path: Path) -> None:
    both = [annotation(1, category_id=1), annotation(2, category_id=2)]
    listing = coco(small(tmp_path, categories=CATEGORIES, annotations=both))
    assert listing.class_map.names == ("background", "leaf")
    assert "instances.json: 2 categories are called 'leaf' (ids 1, 2); they are one class" in listing.notes
    root = [{"id": 0, "name": "leaf", "supercategory": "none"}, {"id": 1, "name": "leaf", "supercategory": "leaf"}]
    listing = coco(small(tmp_path, categories=root, annotations=[annotation(category_id=1)]))
    assert listing.class_map.names == ("background", "leaf")
    assert not listing.notes


def test_categories_of_one_name_and_other_supercategories_stay_apart(tmp_path: Path) -> None:
    categories = [CATEGORIES[0], {**CATEGORIES[1], "supercategory": "table"}]
    both = [annotation(1, category_id=1), annotation(2, category_id=2)]
    root = small(tmp_path, categories=categories, annotations=both)
    listing = coco(root)
    assert listing.class_map.names == ("background", "plant/leaf", "table/leaf")
    assert "one with the option classes: {leaf: [plant/leaf, table/leaf]}" in listing.notes[0]
    merged = coco(root, classes={"leaf": ["plant/leaf", "table/leaf"]})
    assert merged.class_map.names == ("background", "leaf")


@pytest.mark.parametrize(
    "segmentation",
    [
        [1, 1, 4, 1, 4, 3, 1, 3],
        [[1, 1], [4, 1], [4, 3], [1, 3]],
        [[[1, 1], [4, 1], [4, 3], [1, 3]]],
        {"size": [6, 8], "counts": [7.0, 2.0, 4.0, 2.0, 4.0, 2.0, 27.0]},
    ],
)
def test_forms_that_people_write_mean_one_thing(tmp_path: Path, segmentation: Any) -> None:
    expected = np.zeros((6, 8), bool)
    expected[1:3, 1:4] = True
    listing = coco(small(tmp_path, annotations=[annotation(segmentation=segmentation)]))
    np.testing.assert_array_equal(union(listing.entries[0], "car", (6, 8)), expected)


def test_an_image_that_is_listed_again_alike_is_one(tmp_path: Path) -> None:
    listing = coco(small(tmp_path, images=[IMAGE, {**IMAGE, "height": "6", "width": "8"}]))
    assert [len(drawing(entry).shapes) for entry in listing.entries] == [1]


def test_bytes_that_were_written_as_text_are_read(tmp_path: Path) -> None:
    mask = np.random.default_rng(3).random((60, 80)) < 0.02
    text = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]
    assert b"\\" in text  # which str() doubles
    small(
        tmp_path,
        images=[{"id": 1, "file_name": "a.png", "height": 60, "width": 80}],
        annotations=[annotation(segmentation={"size": [60, 80], "counts": str(text)})],
    )
    image(tmp_path / "images" / "a.png", 60, 80)
    np.testing.assert_array_equal(union(coco(tmp_path).entries[0], "car", (60, 80)), mask)


def test_ids_stay_unique_where_names_hold_suffixes(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("x.png", "x.jpg", "x.png.jpg", "y.png")]
    assert list(short_ids(paths, tmp_path).values()) == ["x.png", "x.jpg", "x.png.jpg", "y"]
