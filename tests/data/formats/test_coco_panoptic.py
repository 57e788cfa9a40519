"""COCO's panoptic form: numbers in colours, void, and a message for each mistake."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segbench.data.formats import Listing
from segbench.data.formats.coco.panoptic import coco_panoptic, looks_like
from segbench.data.shapes.drawing import Drawing, paint
from segbench.errors import DatasetError

RealData = Callable[[str], Path]

SKY, CAR, CROWD = 5, 70_000, 300
SEGMENTS = [
    {"id": SKY, "category_id": 1},
    {"id": CAR, "category_id": 2},
    {"id": CROWD, "category_id": 2, "iscrowd": 1},
]
CATEGORIES = [
    {"id": 2, "name": "car", "isthing": 1, "color": [0, 0, 142]},
    {"id": 1, "name": "sky", "isthing": 0, "color": [70, 130, 180]},
]


def numbers() -> np.ndarray:
    """(4, 6) segment numbers: void, sky, a car, a crowd."""
    values = np.zeros((4, 6), np.int64)
    values[:2], values[2, :3], values[3, 3:] = SKY, CAR, CROWD
    return values


def small(root: Path, *, segments: list[Any] | None = None, values: np.ndarray | None = None, **changes: Any) -> Path:
    """A data set of one image a.jpg with its PNG."""
    values = numbers() if values is None else values
    colors = np.stack([values % 256, values // 256 % 256, values // 65536], axis=2).astype(np.uint8)
    for folder in ("images/val2017", "annotations/panoptic_val2017"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(root / "images" / "val2017" / "a.jpg")
    Image.fromarray(colors).save(root / "annotations" / "panoptic_val2017" / "a.png")
    annotation = {"image_id": 1, "file_name": "a.png", "segments_info": SEGMENTS if segments is None else segments}
    plain = {
        "images": [{"id": 1, "file_name": "a.jpg", "height": 4, "width": 6}],
        "categories": CATEGORIES,
        "annotations": [annotation],
        **changes,
    }
    (root / "annotations" / "panoptic_val2017.json").write_text(json.dumps(plain), encoding="utf-8")
    return root


def painted(listing: Listing, root: Path) -> np.ndarray:
    mask = listing.entries[0].mask
    assert isinstance(mask, Drawing)
    assert listing.painter is not None
    return paint(listing.painter(mask, (4, 6)), root)[0]


def codes(listing: Listing) -> dict[str, int]:
    return dict(Counter(defect.code for defect in listing.defects))


def test_void_and_crowds_count_nowhere(tmp_path: Path) -> None:
    listing = coco_panoptic(small(tmp_path))
    assert listing.class_map.names == ("sky", "car")
    assert listing.class_map.colors == ((70, 130, 180), (0, 0, 142))
    assert [(entry.id, entry.split) for entry in listing.entries] == [("a", "val")]
    expected = np.full((4, 6), 255)
    expected[:2], expected[2, :3] = 0, 1
    np.testing.assert_array_equal(painted(listing, tmp_path), expected)
    assert listing.notes == (
        "1 categories are things, 1 are stuff; both are classes",
        "1 of 2 shapes of 'car' are marked as crowds; they count nowhere",
    )


def test_void_can_be_a_class(tmp_path: Path) -> None:
    listing = coco_panoptic(small(tmp_path), background="other", crowd="include")
    expected = np.zeros((4, 6))
    expected[:2], expected[2, :3], expected[3, 3:] = 1, 2, 2
    assert listing.class_map.names == ("other", "sky", "car")
    np.testing.assert_array_equal(painted(listing, tmp_path), expected)


def test_the_png_is_known_by_its_hash(tmp_path: Path) -> None:
    listing = coco_panoptic(small(tmp_path))
    png = tmp_path / "annotations" / "panoptic_val2017" / "a.png"
    mask = listing.entries[0].mask
    assert isinstance(mask, Drawing)
    digest = hashlib.sha256(png.read_bytes()).hexdigest()
    assert mask.files == (("annotations/panoptic_val2017/a.png", digest),)
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(png)
    with pytest.raises(DatasetError, match="the file has changed"):
        painted(listing, tmp_path)


def test_a_number_with_three_equal_bytes(tmp_path: Path) -> None:
    values = np.full((4, 6), 460551)
    root = small(tmp_path, values=values, segments=[{"id": 460551, "category_id": 2}])
    assert (painted(coco_panoptic(root), root) == 1).all()


def test_segments_that_are_not_in_the_png_and_the_other_way_round(tmp_path: Path) -> None:
    segments = [SEGMENTS[0], {"id": 9, "category_id": 2}]
    listing = coco_panoptic(small(tmp_path, segments=segments))
    assert codes(listing) == {"unused_shape": 1, "unknown_class": 1}
    texts = [defect.text for defect in listing.defects]
    assert texts[0] == "the segment 9 is not in annotations/panoptic_val2017/a.png; left out"
    assert texts[1].startswith("6 pixels of annotations/panoptic_val2017/a.png belong to no segment: 70000, 300")
    assert set(np.unique(painted(listing, tmp_path))) == {0, 255}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"values": np.zeros((5, 6), np.int64)}, "a.png is 5 x 6 pixels, the image 4 x 6"),
        ({"annotations": [{"image_id": 1, "file_name": "b.png", "segments_info": []}]}, "b.png is not there"),
    ],
)
def test_a_set_without_a_usable_png(tmp_path: Path, changes: Mapping[str, Any], text: str) -> None:
    root = small(tmp_path, **changes)
    for defects in ("error", "skip"):
        with pytest.raises(DatasetError) as caught:
            coco_panoptic(root, defects=defects)
        assert text in str(caught.value)


def test_a_segment_of_an_unknown_category_is_refused_or_counts_nowhere(tmp_path: Path) -> None:
    root = small(tmp_path, segments=[SEGMENTS[0], {**SEGMENTS[1], "category_id": 7}])
    with pytest.raises(DatasetError, match=r"segments_info\[1\]: category_id 7 is not in the list of categories: 1, 2"):
        coco_panoptic(root)
    listing = coco_panoptic(root, defects="skip", background="rest")
    assert codes(listing)["unknown_class"] == 2  # the crowd's pixels belong to no segment here
    assert set(painted(listing, tmp_path)[2, :3]) == {255}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"segments": [{"category_id": 1}]},
            "annotations[0].segments_info[0].id: expected a whole number",
        ),
        ({"segments": [{"id": "5", "category_id": 1}]}, "segments_info[0].id: expected a whole number, got '5'"),
        ({"segments": [SEGMENTS[0], SEGMENTS[0]]}, "segments_info[1].id: 5 is void, or the id of another segment too"),
        ({"segments": [{"id": 0, "category_id": 1}]}, "segments_info[0].id: 0 is void"),
        ({"annotations": [{"image_id": 1}]}, "annotations[0].file_name: expected text"),
        ({"annotations": [{"image_id": 1, "file_name": "a.png"}]}, "annotations[0].segments_info: expected a list"),
    ],
)
def test_a_file_that_is_not_as_the_format_says(tmp_path: Path, changes: Mapping[str, Any], text: str) -> None:
    with pytest.raises(DatasetError) as caught:
        coco_panoptic(small(tmp_path, **changes))
    assert text in str(caught.value)


def test_an_image_annotated_twice(tmp_path: Path) -> None:
    annotation = {"image_id": 1, "file_name": "a.png", "segments_info": SEGMENTS}
    with pytest.raises(DatasetError, match=r"annotations\[1\]\.image_id: image 1 \(a\.jpg\) is annotated twice"):
        coco_panoptic(small(tmp_path, annotations=[annotation, annotation]))


def test_images_that_are_not_annotated_or_not_there_are_told(tmp_path: Path) -> None:
    images = [
        {"id": 1, "file_name": "a.jpg", "height": 4, "width": 6},
        {"id": 2, "file_name": "b.jpg", "height": 4, "width": 6},
    ]
    annotations = [
        {"image_id": 1, "file_name": "a.png", "segments_info": SEGMENTS},
        {"image_id": 3, "file_name": "a.png", "segments_info": []},
    ]
    root = small(tmp_path, images=images, annotations=annotations)
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(root / "images" / "val2017" / "b.jpg")
    assert codes(coco_panoptic(root)) == {"no_image": 1, "no_annotation": 1}
    (root / "images" / "val2017" / "a.jpg").unlink()
    with pytest.raises(DatasetError, match="none of the 2 images"):
        coco_panoptic(root)


def test_the_folder_of_pngs_is_asked_for(tmp_path: Path) -> None:
    root = small(tmp_path)
    (root / "annotations" / "panoptic_val2017").rename(root / "segments")
    with pytest.raises(DatasetError, match=r"expected a folder of PNG files.*the option masks"):
        coco_panoptic(root)
    assert len(coco_panoptic(root, masks="segments").entries) == 1


@pytest.mark.data
def test_a_published_fixture_with_a_png_of_another_size(real_data: RealData) -> None:
    root = real_data("format_fixtures") / "coco_dataset" / "coco_panoptic"
    assert looks_like(root) == "COCO panoptic (annotations/panoptic_train.json)"
    with pytest.raises(DatasetError, match=r"a\.png is 5 x 5 pixels, the image 5 x 10"):
        coco_panoptic(root)
    listing = coco_panoptic(root, defects="skip", crowd="include")
    assert [entry.id for entry in listing.entries] == ["b"]


@pytest.mark.data
@pytest.mark.parametrize("name", ["coco_tiny", "via_kudzu", "yolo_seg", "camvid", "ph2"])
def test_other_sets_are_not_taken_for_it(real_data: RealData, name: str) -> None:
    assert looks_like(real_data(name)) is None


@pytest.mark.parametrize("name", ["/a.png", "../../a.png"])
def test_masks_outside_of_their_folder_are_refused(tmp_path: Path, name: str) -> None:
    annotation = {"image_id": 1, "file_name": name, "segments_info": SEGMENTS}
    with pytest.raises(DatasetError, match=r"annotations\[0\]\.file_name: expected a name in panoptic_val2017/, got"):
        coco_panoptic(small(tmp_path, annotations=[annotation]))
