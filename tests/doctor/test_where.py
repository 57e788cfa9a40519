"""Where in an image a defect lies."""

from __future__ import annotations

from pathlib import Path

import pytest
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
