"""nnU-Net's raw form: what is said about damaged lists, channels that are lacking, and the options' values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.data.formats._draw import draw, labels, put

from segbench.data.files.images import read_image
from segbench.data.formats import recognise
from segbench.data.formats.nnunet.reader import nnunet
from segbench.data.manifest.read import read_dataset
from segbench.errors import ConfigError, DatasetError

LABELS: dict[str, Any] = {"background": 0, "leaf": 1, "stem": 2}


def make(root: Path, channels: int = 1, *, names: dict[str, Any] = LABELS) -> Path:
    for case in ("a_1", "b_1"):
        for number in range(channels):
            draw(root / "imagesTr" / f"{case}_{number:04d}.png", 20 + 50 * number, (1, 4))
        draw(root / "labelsTr" / f"{case}.png", [[0, 1, 1, 2]])
    put(root / "dataset.json", json.dumps({"channel_names": {"0": "red"}, "labels": names, "file_ending": ".png"}))
    return root


def test_chosen_and_merged_labels(tmp_path: Path) -> None:
    make(tmp_path)
    manifest = read_dataset(
        tmp_path, "nnunet", classes={"plant": ["stem", "leaf"], "rest": "background"}, group="^(.)_"
    )
    assert manifest.class_map.names == ("rest", "plant")
    assert labels(manifest, "a_1").tolist() == [[0, 1, 1, 1]]
    assert [sample.group for sample in manifest.samples] == ["a", "b"]
    kept = read_dataset(tmp_path, "nnunet", classes=["leaf", "stem"])
    assert labels(kept, "a_1").tolist() == [[255, 0, 0, 1]]
    with pytest.raises(ConfigError, match=r"there is no class 'laef'; did you mean 'leaf'"):
        nnunet(tmp_path, classes=["laef", "stem"])
    with pytest.raises(ConfigError, match="expected 'leaf' in one class, got x, y"):
        nnunet(tmp_path, classes={"x": "leaf", "y": "leaf"})
    with pytest.raises(ConfigError, match="expected two classes or more, got leaf"):
        nnunet(tmp_path, classes=["leaf"])


def test_channels_become_red_green_and_blue(tmp_path: Path) -> None:
    manifest = read_dataset(make(tmp_path, 2), "nnunet")
    assert read_image(manifest.image_path(manifest.samples[0]))[0, 0].tolist() == [20, 70, 0]
    assert manifest.folder == tmp_path
    swapped = read_dataset(tmp_path, "nnunet", channels=[1, 0])
    assert read_image(swapped.image_path(swapped.samples[0]))[0, 0].tolist() == [70, 20, 0]
    single = read_dataset(tmp_path, "nnunet", channels=[1])
    assert single.samples[0].image == "imagesTr/a_1_0001.png"
    with pytest.raises(ConfigError, match=r"different ones of the channels 0 \(red\), 1, got \[2\]"):
        nnunet(tmp_path, channels=[2])
    (tmp_path / "imagesTr" / "a_1_0001.png").unlink()
    with pytest.raises(DatasetError, match=r"1 case lacks a channel of others: a_1; .* channels: \[0\]"):
        nnunet(tmp_path)
    assert len(nnunet(tmp_path, channels=[0]).entries) == 2


def test_channels_that_are_no_grey_pictures_of_one_size(tmp_path: Path) -> None:
    make(tmp_path, 2)
    draw(tmp_path / "imagesTr" / "b_1_0001.png", 9, (2, 4))
    with pytest.raises(DatasetError, match=r"b_1_0001.png: the channel is \(2, 4\) pixels"):
        nnunet(tmp_path)
    draw(tmp_path / "imagesTr" / "b_1_0001.png", np.full((1, 4, 3), (9, 8, 7)))
    with pytest.raises(DatasetError, match="expected grey files, as each case has 2 channels, got colours"):
        nnunet(tmp_path)


def test_without_a_list_the_values_decide(tmp_path: Path) -> None:
    (make(tmp_path) / "dataset.json").unlink()
    assert read_dataset(tmp_path, "nnunet").class_map.names == ("class_0", "class_1", "class_2")
    assert read_dataset(tmp_path, "nnunet", classes=["x", "y", "z"]).class_map.names == ("x", "y", "z")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({}, "labels: expected a mapping from name to value"),
        (
            {"background": 0, "leaf": "x"},
            "labels.leaf: expected a value, or a list of values, from 0 to 65535, got 'x'",
        ),
        ({"0": "leaf", "1": "leaf"}, "labels: expected a name of its own for each value"),
        ({"background": 0, "leaf": []}, "labels.leaf: expected a value"),
    ],
)
def test_damaged_lists(tmp_path: Path, names: dict[str, Any], message: str) -> None:
    make(tmp_path, names=names)
    with pytest.raises(DatasetError, match=message):
        nnunet(tmp_path)


def test_names_without_a_channel_and_files_without_partner(tmp_path: Path) -> None:
    make(tmp_path)
    draw(tmp_path / "imagesTr" / "c_1_0000.png", 1, (1, 4))
    with pytest.raises(DatasetError, match=r"1 of 3 images have no mask: c_1"):
        nnunet(tmp_path)
    assert len(nnunet(tmp_path, unpaired="skip").entries) == 2
    draw(tmp_path / "imagesTr" / "c_1_0000.jpg", 1, (1, 4))
    with pytest.raises(DatasetError, match=r"two files hold one channel: c_1_0000.jpg and c_1_0000.png"):
        nnunet(tmp_path)
    draw(tmp_path / "imagesTr" / "zebra.png", 1, (1, 4))
    (tmp_path / "imagesTr" / "c_1_0000.jpg").unlink()
    with pytest.raises(DatasetError, match=r"end in a channel's number \(x_0000.png\), 1 has none: zebra.png"):
        nnunet(tmp_path)
    assert "nnunet" not in recognise(tmp_path / "imagesTr")
