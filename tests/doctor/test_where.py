"""Where in an image a defect lies."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.doctor._sets import blob, finding, pairs, save

from segbench import check_dataset, read_dataset
from segbench.doctor.where import Place, places

SIDE = 48


@pytest.fixture
def masks(tmp_path: Path) -> list[Path]:
    return sorted((pairs(tmp_path) / "masks").iterdir())


def test_a_speck_is_found(tmp_path: Path, masks: list[Path]) -> None:
    mask = blob(0)
    mask[45, 44:46] = 255
    save(masks[0], mask)
    manifest = read_dataset(tmp_path)
    assert places("specks", manifest, manifest.samples[0]) == [Place(x=44, y=45, width=2, height=1)]
    assert places("specks", manifest, manifest.samples[1]) == []


def test_an_object_that_vanishes_is_found_and_no_other(tmp_path: Path, masks: list[Path]) -> None:
    mask = blob(0)
    mask[44:46, 44:46] = 255
    save(masks[0], mask)
    manifest = read_dataset(tmp_path)
    there = Place(x=44, y=44, width=2, height=2)
    assert places("vanishing_objects", manifest, manifest.samples[0], (5, 5)) == [there]
    assert places("vanishing_objects", manifest, manifest.samples[0], (SIDE, SIDE)) == []
    assert places("vanishing_objects", manifest, manifest.samples[0]) == []


def test_values_beside_those_of_the_classes_are_found(tmp_path: Path, masks: list[Path]) -> None:
    mask = blob(0)
    mask[40:44, 30:32] = 3
    save(masks[0], mask)
    manifest = read_dataset(tmp_path, tolerance=10)
    found = finding(check_dataset(tmp_path, tolerance=10), "lossy_mask_values")
    assert "8 pixels" in found.title
    assert places("lossy_mask_values", manifest, manifest.samples[0]) == [Place(x=30, y=40, width=2, height=4)]


def test_of_other_findings_no_place_is_known(tmp_path: Path, masks: list[Path]) -> None:
    manifest = read_dataset(tmp_path)
    assert len(masks) == 8
    assert places("identical_images", manifest, manifest.samples[0]) == []


def test_a_thin_line_that_breaks_is_found(tmp_path: Path, masks: list[Path]) -> None:
    mask = blob(0)
    mask[:] = 0
    mask[4, 4:44], mask[20:36, 20:36] = 255, 255
    for row in range(5, 12):
        mask[row, 4 + (row % 2)] = 255
    save(masks[0], mask)
    manifest = read_dataset(tmp_path)
    assert places("thin_objects", manifest, manifest.samples[0], (SIDE, SIDE)) == []
    found = places("thin_objects", manifest, manifest.samples[0], (32, 32))
    assert found == [Place(x=4, y=4, width=40, height=8)], "the line, and not the square"


def test_places_of_polygons(tmp_path: Path) -> None:
    shapes = [
        ("cell", [[4, 4], [24, 24], [24, 4], [4, 24]]),  # crosses itself at 14, 14
        ("cell", [[30, 30], [60, 30], [60, 40], [30, 40]]),  # the image is 48 wide
        ("cell", [[40, 2], [41, 2], [41, 3], [40, 3]]),
        ("nucleus", [[30, 32], [40, 32], [40, 45], [30, 45]]),  # lies over the second
    ]
    (tmp_path / "set").mkdir()
    Image.fromarray(np.zeros((SIDE, SIDE, 3), np.uint8)).save(tmp_path / "set" / "one.png")
    plain = {
        "imagePath": "one.png",
        "imageHeight": SIDE,
        "imageWidth": SIDE,
        "shapes": [{"label": label, "points": points, "shape_type": "polygon"} for label, points in shapes],
    }
    (tmp_path / "set" / "one.json").write_text(json.dumps(plain))
    manifest = read_dataset(tmp_path / "set")
    [sample] = manifest.samples
    assert places("self_crossing", manifest, sample) == [Place(x=14, y=14, width=1, height=1)]
    assert places("outside_image", manifest, sample) == [Place(x=30, y=30, width=18, height=11)]
    assert places("tiny_shapes", manifest, sample) == [Place(x=40, y=2, width=2, height=2)]
    assert places("overlapping_classes", manifest, sample) == [Place(x=30, y=32, width=10, height=8)]
    codes = {found.code for found in check_dataset(tmp_path / "set").findings}
    assert {"self_crossing", "outside_image", "tiny_shapes", "overlapping_classes"} <= codes
