"""Cityscapes: both kinds of masks, both sets of classes, groups, and the withheld test part."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.data.formats._draw import draw, labels, parts

from segbench.data.formats import recognise
from segbench.data.formats.cityscapes.reader import cityscapes
from segbench.data.manifest.read import read_dataset
from segbench.errors import ConfigError, DatasetError

RealData = Callable[[str], Path]
IDS = [[7, 8, 26, 0], [33, 3, 4, 9]]
TRAIN_IDS = [[0, 1, 13, 255], [18, 255, 255, 255]]


def frame(root: Path, split: str, name: str, kind: str | None = "labelIds", values: object = IDS) -> None:
    city = name.split("_")[0]
    draw(root / "leftImg8bit" / split / city / f"{name}_leftImg8bit.png", 40, (2, 4))
    if kind is not None:
        draw(root / "gtFine" / split / city / f"{name}_gtFine_{kind}.png", values)


def make(root: Path, kind: str = "labelIds", values: object = IDS) -> Path:
    frame(root, "train", "aachen_000001_000019", kind, values)
    frame(root, "train", "aachen_000001_000020", kind, values)
    frame(root, "val", "ulm_000002_000019", kind, values)
    return root


@pytest.mark.parametrize(("kind", "values"), [("labelIds", IDS), ("labelTrainIds", TRAIN_IDS)])
def test_the_19_classes_from_either_kind(tmp_path: Path, kind: str, values: object) -> None:
    manifest = read_dataset(make(tmp_path, kind, values), "cityscapes")
    assert parts(manifest) == {
        "aachen_000001_000019": "train",
        "aachen_000001_000020": "train",
        "ulm_000002_000019": "val",
    }
    assert {sample.group for sample in manifest.samples} == {"aachen_000001", "ulm_000002"}
    assert manifest.class_map.names[13] == "car"
    assert manifest.class_map.colors[13] == (0, 0, 142)
    assert labels(manifest, "ulm_000002_000019").tolist() == TRAIN_IDS


def test_all_34_classes(tmp_path: Path) -> None:
    manifest = read_dataset(make(tmp_path), "cityscapes", classes="all")
    assert manifest.class_map.num_classes == 34
    assert labels(manifest, "ulm_000002_000019").tolist() == IDS
    with pytest.raises(ConfigError, match=r"labelTrainIds hold the 19 classes") as caught:
        cityscapes(make(tmp_path / "t", "labelTrainIds", TRAIN_IDS), classes="all")
    assert caught.value.key == "data.options.classes"


def test_the_test_part_is_left_out_unless_it_has_classes(tmp_path: Path) -> None:
    frame(make(tmp_path), "test", "bonn_000000_000019", values=[[1, 3, 3, 2]] * 2)  # as published: bonnet and border
    listing = cityscapes(tmp_path)
    assert len(listing.entries) == 3
    assert listing.notes == ("the test part's masks are not published: 1 image was left out",)
    frame(tmp_path, "test", "bonn_000000_000019")
    assert [entry.split for entry in cityscapes(tmp_path).entries].count("test") == 1
    (tmp_path / "gtFine/test/bonn/bonn_000000_000019_gtFine_labelIds.png").unlink()
    assert len(cityscapes(tmp_path).entries) == 3


def test_coarse_annotations(tmp_path: Path) -> None:
    make(tmp_path)
    name = "erlangen_000000_000000"
    draw(tmp_path / "leftImg8bit" / "train_extra" / "erlangen" / f"{name}_leftImg8bit.png", 40, (2, 4))
    draw(tmp_path / "gtCoarse" / "train_extra" / "erlangen" / f"{name}_gtCoarse_labelIds.png", IDS)
    assert len(cityscapes(tmp_path).entries) == 3  # the fine ones
    assert parts(read_dataset(tmp_path, "cityscapes", truth="gtCoarse")) == {name: "train"}


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    frame(make(tmp_path), "train", "jena_000000_000019", kind="instanceIds")
    with pytest.raises(
        DatasetError, match=r"1 of 4 images have no mask .*jena_000000_000019_leftImg8bit.png; gtFine holds"
    ):
        cityscapes(tmp_path)
    with pytest.raises(DatasetError, match=r"no 'gtCoarse' in this folder; known: gtFine, leftImg8bit"):
        cityscapes(tmp_path, truth="gtCoarse")
    with pytest.raises(ConfigError, match=r"expected one of auto, labelIds, labelTrainIds, got 'ids'"):
        cityscapes(tmp_path, labels="ids")
    (tmp_path / "leftImg8bit").rename(tmp_path / "left")
    assert recognise(tmp_path) == {}
    with pytest.raises(DatasetError, match=r"no 'leftImg8bit'"):
        cityscapes(tmp_path)


@pytest.mark.data
def test_made_up_cityscapes(real_data: RealData) -> None:
    root = real_data("format_fixtures") / "cityscapes_dataset"
    manifest = read_dataset(root / "train_dataset", "cityscapes")
    assert sorted(sample.split or "" for sample in manifest.samples) == ["test", "test", "train", "val"]
    assert set(labels(manifest, "defaultcity_000002_000045").ravel()) == {11, 255}
    with pytest.raises(DatasetError, match=r"gtFine holds instanceIds"):
        read_dataset(root / "dataset", "cityscapes")
