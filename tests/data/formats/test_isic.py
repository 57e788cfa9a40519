"""ISIC's challenges: parts by the folders' names, superpixels and tables left alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.data.formats._draw import draw, labels, parts, put

from segbench.data.formats import recognise
from segbench.data.formats.isic import isic
from segbench.data.manifest.read import read_dataset
from segbench.errors import ConfigError, DatasetError
from segbench.types import Task

RealData = Callable[[str], Path]
YEARS = [
    ("ISBI2016_ISIC_Part1_{}_Data", "ISBI2016_ISIC_Part1_{}_GroundTruth", "_Segmentation"),
    ("ISIC-2017_{}_Data", "ISIC-2017_{}_Part1_GroundTruth", "_segmentation"),
    ("ISIC2018_Task1-2_{}_Input", "ISIC2018_Task1_{}_GroundTruth", "_segmentation"),
]


def part(root: Path, year: tuple[str, str, str], word: str, number: int) -> None:
    images, masks, suffix = year
    draw(root / images.format(word) / f"ISIC_{number:07d}.jpg", 40, (1, 3))
    draw(root / masks.format(word) / f"ISIC_{number:07d}{suffix}.png", [[0, 255, 255]])


@pytest.mark.parametrize("year", YEARS)
def test_the_layouts_of_the_years(tmp_path: Path, year: tuple[str, str, str]) -> None:
    for number, word in enumerate(("Training", "Validation", "Test"), 1):
        part(tmp_path, year, word, number)
    draw(tmp_path / year[0].format("Training") / "ISIC_0000001_superpixels.png")
    put(tmp_path / "ISIC-2017_Training_Part3_GroundTruth.csv", "image_id,melanoma\n")
    assert list(recognise(tmp_path)) == ["isic"]
    manifest = read_dataset(tmp_path, "isic")
    assert parts(manifest) == {"ISIC_0000001": "train", "ISIC_0000002": "val", "ISIC_0000003": "test"}
    assert (manifest.class_map.task, manifest.class_map.names) == (Task.BINARY, ("background", "lesion"))
    assert labels(manifest, "ISIC_0000003").tolist() == [[0, 1, 1]]


def test_parts_without_masks_and_files_without_partner(tmp_path: Path) -> None:
    part(tmp_path, YEARS[1], "Training", 1)
    draw(tmp_path / "ISIC-2017_Test_v2_Data" / "ISIC_0000009.jpg")
    assert isic(tmp_path).notes == ("ISIC-2017_Test_v2_Data has no segmentation masks beside it and was left out",)
    draw(tmp_path / "ISIC-2017_Training_Data" / "ISIC_0000002.jpg")
    with pytest.raises(DatasetError, match=r"1 of 2 images have no mask: ISIC_0000002"):
        isic(tmp_path)
    assert len(isic(tmp_path, unpaired="skip").entries) == 1
    with pytest.raises(ConfigError, match="expected one of error, skip, got 'drop'"):
        isic(tmp_path, unpaired="drop")


def test_two_years_and_a_case_in_two_parts(tmp_path: Path) -> None:
    part(tmp_path / "x", YEARS[1], "Training", 1)
    part(tmp_path / "x", YEARS[1], "Validation", 1)
    with pytest.raises(DatasetError, match="ISIC_0000001 is in the parts train and val"):
        isic(tmp_path / "x")
    part(tmp_path, YEARS[1], "Training", 1)
    part(tmp_path, YEARS[2], "Training", 1)
    with pytest.raises(DatasetError, match="are both of the part train; put one year"):
        isic(tmp_path)


@pytest.mark.data
@pytest.mark.parametrize(("folder", "number"), [("isic2017_sample", 12), ("isic2017_original", 2)])
def test_real_isic(real_data: RealData, folder: str, number: int) -> None:
    manifest = read_dataset(real_data(folder), "isic")
    assert len(manifest.split("train")) == number
    assert manifest.class_map.background == 0
    assert all(0 < (sample.foreground_frac or 0) < 0.5 for sample in manifest.samples)
