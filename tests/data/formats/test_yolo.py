"""YOLO's segmentation labels: layouts of data.yaml, relative coordinates, and a message for each mistake."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segbench.data.formats import Listing
from segbench.data.formats.coco.reader import coco
from segbench.data.formats.yolo import files as _yolo_files
from segbench.data.formats.yolo.reader import looks_like, yolo
from segbench.data.shapes.drawing import Drawing, shape_mask
from segbench.errors import ConfigError, DatasetError

RealData = Callable[[str], Path]

SIZE = (40, 80)
SQUARE = "1 0.25 0.5 0.5 0.5 0.5 0.75 0.25 0.75"
YAML = "train: images/train\nval: images/val\nnames: [car, bus]\n"


def image(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(path)
    return path


def text(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def small(root: Path, *lines: str, yaml: str = YAML) -> Path:
    """A data set of images/train/a.png and images/val/b.png; b has an empty label file."""
    text(root / "data.yaml", yaml)
    for part, name, content in (("train", "a", "\n".join(lines or (SQUARE,))), ("val", "b", "")):
        image(root / "images" / part / f"{name}.png")
        text(root / "labels" / part / f"{name}.txt", content)
    return root


def drawing(listing: Listing, place: int = 0) -> Drawing:
    mask = listing.entries[place].mask
    assert isinstance(mask, Drawing)
    return mask


def codes(listing: Listing) -> dict[str, int]:
    """Defects, apart from the empty label file that `small` writes."""
    return dict(Counter(defect.code for defect in listing.defects if not defect.path.match("val/b.txt")))


@pytest.mark.data
def test_the_real_set_draws_what_its_source_does(real_data: RealData) -> None:
    root = real_data("yolo_seg")
    listing = yolo(root)
    assert looks_like(root) == "YOLO (data.yaml)"
    assert Counter(entry.split for entry in listing.entries) == {"train": 6, "val": 2}
    assert len(listing.class_map.names) == 81
    assert [defect.path.stem for defect in listing.defects] == ["000000058636", "000000226111"]
    source = {entry.id: entry for entry in coco(real_data("coco_tiny")).entries}
    for place, entry in enumerate(listing.entries):
        original = source[entry.id].mask
        assert isinstance(original, Drawing)
        shapes = [shape for shape in original.shapes if not shape.crowd]
        ours = drawing(listing, place)
        assert len(ours.shapes) == sum(len(shape.rings) for shape in shapes)
        if not shapes:
            continue
        assert (ours.height, ours.width) == (original.height, original.width)
        size = (ours.height or 0, ours.width or 0)
        for label in {shape.label for shape in shapes}:
            left, right = (
                np.logical_or.reduce([shape_mask(shape, size) for shape in some if shape.label == label])
                for some in (ours.shapes, shapes)
            )
            assert (left != right).mean() < 1e-4


def test_coordinates_are_parts_of_width_and_height(tmp_path: Path) -> None:
    listing = yolo(small(tmp_path))
    shape = drawing(listing).shapes[0]
    expected = np.zeros(SIZE, bool)
    expected[20:30, 20:40] = True
    assert shape.label == "bus"
    np.testing.assert_array_equal(shape_mask(shape, SIZE), expected)
    assert [(entry.id, entry.split) for entry in listing.entries] == [("a", "train"), ("b", "val")]
    assert listing.class_map.names == ("background", "car", "bus")


@pytest.mark.parametrize(
    "yaml",
    [
        "path: ../datasets/set\ntrain: images/train\nval: images/val\nnames: {0: car, 1: bus}\n",
        "path: /home/me/set\ntrain: [images/train]\nval: /home/me/set/images/val\nnc: 2\nnames: ['car', bus]\n",
        "train: ../images/train\nval: ../images/val\ntest: ../images/test\nnames:\n- car\n- bus\n",
        "train: train.txt\nval: images/val/\nnames: [car, bus]\n",
        "names: [car, bus]\nnc: 2\n",
    ],
)
def test_paths_of_other_machines_are_found_below_the_folder(tmp_path: Path, yaml: str) -> None:
    root = small(tmp_path, yaml=yaml)
    text(root / "train.txt", "./images/train/a.png\n")
    listing = yolo(root)
    assert [(entry.id, entry.split) for entry in listing.entries] == [("a", "train"), ("b", "val")]
    assert listing.class_map.names == ("background", "car", "bus")


def test_a_missing_part_is_told_and_not_searched_elsewhere(tmp_path: Path) -> None:
    root = small(tmp_path, yaml=YAML + "test: test/images\n")
    listing = yolo(root)
    assert listing.notes[0] == "data.yaml: test: there is no 'test/images' below this folder; left out"
    assert {entry.split for entry in listing.entries} == {"train", "val"}


def test_folders_of_parts_outside(tmp_path: Path) -> None:
    text(tmp_path / "data.yaml", "train: ../train/images\nval: ../valid/images\nnames: [car, bus]\n")
    for part in ("train", "valid"):
        image(tmp_path / part / "images" / "a.png")
        text(tmp_path / part / "labels" / "a.txt", SQUARE)
    listing = yolo(tmp_path)
    assert [entry.split for entry in listing.entries] == ["train", "val"]
    assert len({entry.id for entry in listing.entries}) == 2


@pytest.mark.parametrize("names", ["classes.txt", "labels/classes.txt"])
def test_label_files_beside_the_images_and_a_list_of_names(tmp_path: Path, names: str) -> None:
    text(tmp_path / names, "car\nbus\n")
    image(tmp_path / "images" / "a.png")
    text(tmp_path / "labels" / "a.txt", SQUARE)
    assert yolo(tmp_path).class_map.names == ("background", "car", "bus")
    assert looks_like(tmp_path) == f"YOLO ({names}, labels/)"


def test_an_image_in_two_parts_counts_in_the_first(tmp_path: Path) -> None:
    listing = yolo(small(tmp_path, yaml="train: images\nval: images/val\nnames: [car, bus]\n"))
    assert [entry.split for entry in listing.entries] == ["train", "train"]
    assert codes(listing) == {"overlapping_lists": 1}


def test_images_without_labels_and_labels_without_images_are_told(tmp_path: Path) -> None:
    root = small(tmp_path)
    image(root / "images" / "train" / "c.png")
    text(root / "labels" / "train" / "d.txt", SQUARE)
    listing = yolo(root)
    assert codes(listing) == {"no_annotation": 1, "no_image": 1}
    assert [entry.id for entry in listing.entries] == ["a", "b"]
    assert [defect.path.name for defect in listing.defects][:2] == ["c.png", "d.txt"]


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("car 0.1 0.1 0.2 0.1 0.2 0.2", "bad_numbers", "could not convert string to float: 'car'"),
        ("0 0.1 0.1 0.2 x 0.2 0.2", "bad_numbers", "could not convert string to float: 'x'"),
        ("0 0.1 0.1 0.2 0.1 0.2 0.2 0.3", "bad_numbers", "expected a class number and pairs x y, got 8 numbers"),
        ("0 0.1 0.1", "few_points", "expected a polygon of at least 3 points, got 1"),
        ("0", "few_points", "got 0"),
        ("0 10 10 200 10 200 300", "bad_numbers", "coordinates from 10 to 300; expected 0 to 1"),
        ("0 nan 0.1 0.2 0.1 0.2 0.2", "bad_numbers", "expected 0 to 1"),
    ],
)
def test_a_line_that_cannot_be_read(tmp_path: Path, line: str, code: str, message: str) -> None:
    root = small(tmp_path, SQUARE, line)
    with pytest.raises(DatasetError) as caught:
        yolo(root)
    assert "labels/train/a.txt, line 2: " in str(caught.value)
    assert message in str(caught.value)
    listing = yolo(root, defects="skip")
    assert codes(listing) == {code: 1}
    assert [entry.id for entry in listing.entries] == ["b"]  # what a misses would count as background


@pytest.mark.parametrize("number", ["7", "0.5", "1e400", "-1"])
def test_a_class_without_a_name_is_asked_about_and_counts_nowhere(tmp_path: Path, number: str) -> None:
    root = small(tmp_path, SQUARE, f"{number} 0.5 0 1 0 1 0.25 0.5 0.25")
    with pytest.raises(DatasetError, match=f"line 2: there is no class {number}; the 2 names are those of 0 to 1"):
        yolo(root)
    listing = yolo(root, defects="skip")
    assert codes(listing) == {"unknown_class": 1}
    assert listing.painter is not None
    assert [index for index, _ in listing.painter(drawing(listing), SIZE).shapes] == [2, 255]


def test_labels_that_count_from_1_would_all_be_shifted(tmp_path: Path) -> None:
    root = small(tmp_path, SQUARE, SQUARE.replace("1", "2", 1))
    with pytest.raises(
        DatasetError, match=r"labels are 1 to 2, those of the 2 names 0 to 1.*names: \{1: car, 2: bus\}"
    ):
        yolo(root, defects="skip")
    text(root / "data.yaml", YAML.replace("[car, bus]", "{1: car, 2: bus}"))
    assert [shape.label for shape in drawing(yolo(root)).shapes] == ["car", "bus"]


def test_a_confidence_at_the_end_of_every_line_is_dropped_and_told(tmp_path: Path) -> None:
    listing = yolo(small(tmp_path, f"{SQUARE} 0.91", f"{SQUARE} 1"))
    assert [len(shape.rings[0]) for shape in drawing(listing).shapes] == [8, 8]
    assert "all 2 lines end with a number from 0 to 1 that belongs to no point" in listing.notes[0]
    with pytest.raises(DatasetError, match="expected a class number and pairs x y, got 10 numbers"):
        yolo(small(tmp_path, f"{SQUARE} 0.91", SQUARE))  # one line alone says nothing


def test_without_names_the_classes_have_numbers(tmp_path: Path) -> None:
    root = small(tmp_path)
    (root / "data.yaml").unlink()
    assert looks_like(root) == "YOLO without data.yaml (labels/train/a.txt)"
    listing = yolo(root)
    assert listing.class_map.names == ("background", "class_0", "class_1")
    assert [(entry.id, entry.split) for entry in listing.entries] == [("a", "train"), ("b", "val")]
    assert "named by their numbers" in listing.notes[0]
    image(root / "masks" / "a.png")
    assert looks_like(root) is None  # boxes beside masks
    beside = tmp_path / "beside"
    image(beside / "a.png")
    text(beside / "a.txt", SQUARE)
    assert looks_like(beside) == "YOLO without data.yaml (a.txt)"
    text(beside / "b.txt", SQUARE)
    assert codes(yolo(beside)) == {"no_image": 1}


def test_a_polygon_beyond_the_image_is_told_and_cut(tmp_path: Path) -> None:
    listing = yolo(small(tmp_path, "0 0.5 0 1.5 0 1.5 1 0.5 1"))
    assert codes(listing) == {"outside": 1}
    assert shape_mask(drawing(listing).shapes[0], SIZE).sum() == 40 * 40


def test_boxes_count_nowhere_or_are_filled(tmp_path: Path) -> None:
    root = small(tmp_path, SQUARE, "0 0.5 0.5 0.25 0.5")
    listing = yolo(root)
    assert codes(listing) == {"only_box": 1}
    assert listing.painter is not None
    assert [index for index, _ in listing.painter(drawing(listing), SIZE).shapes] == [2, 255]
    assert len(drawing(yolo(root, boxes="skip")).shapes) == 1
    expected = np.zeros(SIZE, bool)
    expected[10:30, 30:50] = True
    filled = yolo(root, boxes="fill")
    np.testing.assert_array_equal(shape_mask(drawing(filled).shapes[1], SIZE), expected)
    with pytest.raises(ConfigError, match=r"data\.options\.boxes"):
        yolo(root, boxes="yes")


def test_a_detection_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"all 1 lines are boxes \(5 numbers\), as for detection"):
        yolo(small(tmp_path, "0 0.5 0.5 0.25 0.5"))


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("train: images/train\nnames: [a, b\n", r"line \d: not valid YAML"),
        ("- train\n- names\n", r"expected keys as names, train and val, got list"),
        ("train: images/train\nnames: 3\n", r"names: expected a list, or a mapping from number to name, got 3"),
        ("train: images/train\nnames: {a: 1}\n", r"names: expected a list, or a mapping from number to name"),
        ("train: images/train\nnames: [a, a]\n", r"the class names a occur twice"),
        ("train: images/train\nnames: []\n", r"there are no class names"),
        ("train: images/train\nnc: 3\nnames: [a, b]\n", r"nc: 3 classes, but there are 2 names"),
        ("train: 3\nnames: [a, b]\n", r"train: expected a path or a list of paths, got 3"),
        ("train: pictures/train\nnames: [a, b]\n", r"train: expected folders or lists of images"),
        ("train: train.txt\nnames: [a, b]\n", r"line 2: there is no image 'images/train/x\.png'"),
    ],
)
def test_a_yaml_file_that_is_not_as_the_format_says(tmp_path: Path, yaml: str, message: str) -> None:
    root = small(tmp_path, yaml=yaml)
    text(root / "train.txt", "images/train/a.png\nimages/train/x.png\n")
    with pytest.raises(DatasetError, match=message):
        yolo(root, annotations="data.yaml")


def test_classes_without_names_are_numbered(tmp_path: Path) -> None:
    listing = yolo(small(tmp_path, yaml="train: images/train\nnc: 2\n"))
    assert listing.class_map.names == ("background", "class_0", "class_1")


def test_two_images_with_one_label_file(tmp_path: Path) -> None:
    root = small(tmp_path)
    image(root / "images" / "train" / "a.bmp")
    with pytest.raises(DatasetError, match=r"two images have this label file; a\.png is one of them"):
        yolo(root)


def test_no_label_files_and_no_yaml(tmp_path: Path) -> None:
    root = small(tmp_path)
    for path in root.rglob("labels/*/*.txt"):
        path.unlink()
    with pytest.raises(DatasetError, match="none of 2 images has a label file"):
        yolo(root)
    (root / "data.yaml").unlink()
    with pytest.raises(DatasetError, match=r"expected YOLO's data\.yaml"):
        yolo(root)
    assert looks_like(root) is None


@pytest.mark.data
@pytest.mark.parametrize("name", ["coco_tiny", "via_kudzu", "annotation_exports", "camvid", "ph2", "cwfid_original"])
def test_other_sets_are_not_taken_for_it(real_data: RealData, name: str) -> None:
    assert looks_like(real_data(name)) is None


def test_classes_are_numbered_by_their_line(tmp_path: Path) -> None:
    listed = tmp_path / "classes.txt"
    listed.write_text("cat\n#dog\nbird\n\n")
    assert _yolo_files._numbered(listed) == {0: "cat", 1: "#dog", 2: "bird"}
    listed.write_text("cat\n\nbird\n")
    with pytest.raises(DatasetError, match="line 2 is blank, and every line is a class"):
        _yolo_files._numbered(listed)
