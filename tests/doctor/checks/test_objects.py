"""Objects, statistics and suggestions."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML
from scipy import ndimage
from tests.doctor._sets import SIDE, blob, check, codes, cracks, finding, pairs, photo, save

from segbench.config.loss import parse_loss
from segbench.config.run import DataConfig, parse_config
from segbench.data.files.resize import resize_mask
from segbench.doctor.regions import SIZES, region_rows


def dots(seed: int) -> np.ndarray:
    """Returns one large region and five of 2 x 2 pixels."""
    mask = np.zeros((200, 200), dtype=np.uint8)
    mask[20:120, 20:120] = 1
    for place in range(5):
        mask[150 + place * 7, 10 + place * 31 : 12 + place * 31] = 2
        mask[151 + place * 7, 10 + place * 31 : 12 + place * 31] = 2
    mask[190, seed] = 2
    return mask


@pytest.mark.parametrize("size", [(17, 23), (40, 40), (64, 10), (300, 300)])
def test_regions_agree_with_resizing_the_mask(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    labels = (rng.random((60, 50)) > 0.8).astype(np.uint8) * rng.integers(1, 4, (60, 50), dtype=np.uint8)
    rows = region_rows(labels, (1, 2, 3), [size])
    for index, count, specks, areas, gone, *_ in rows:
        regions, total = ndimage.label(labels == index, structure=np.ones((3, 3)))
        own = np.bincount(regions.ravel())[1:]
        left = set(np.unique(resize_mask(regions, size)).tolist())
        assert (count, specks) == ((own >= 4).sum(), (own < 4).sum())
        assert sum(times for _, times in areas) == count
        assert gone == [sum(1 for place in range(total) if own[place] >= 4 and place + 1 not in left)]


def test_objects_that_vanish(tmp_path: Path) -> None:
    for place in range(8):
        save(tmp_path / f"images/s{place}x.png", photo(place, 200))
        save(tmp_path / f"masks/s{place}x.png", dots(place))
    small = check(tmp_path, image_size=(64, 64))
    found = finding(small, "vanishing_objects")
    assert found.title.startswith("at 64 x 64 pixels")
    assert "'class_2'" in found.title
    assert len(found.files) == 8
    assert found.advice == "data.size: [200, 200] keeps them whole"  # the images' own
    side = 200
    objects = small.statistics["classes"][2]["objects"]
    assert objects["count"] == 40
    assert objects["specks"] == 8
    assert objects["area_px"] == pytest.approx(dict.fromkeys(objects["area_px"], 4))
    assert objects["kept"][1 + SIZES.index(256)] == 1.0
    assert finding(small, "specks").count == 8
    large = check(tmp_path, image_size=(side, side))
    assert "vanishing_objects" not in codes(large)
    assert {key: value for key, value, _ in small.suggestions}["data.size"] == [side, side]
    again = check(tmp_path, image_size=(64, 64))  # remembered
    assert again.statistics == small.statistics


def crack_set(root: Path, side: int, width: int = 3) -> Path:
    for place in range(6):
        save(root / f"images/s{place}x.png", photo(place, side))
        save(root / f"masks/s{place}x.png", cracks(place, side, width))
    return root


def test_thin_lines_that_break_at_the_training_size(tmp_path: Path) -> None:
    root = crack_set(tmp_path, 448)
    checkup = check(root, image_size=(128, 128))
    found = finding(checkup, "thin_objects")
    assert "vanishing_objects" not in codes(checkup)  # no object is gone, all are in pieces
    assert found.title == "at 128 x 128 pixels thin objects break into pieces: foreground"
    before, after, wide, narrow = map(float, re.findall(r"\d+\.\d+", found.detail.partition("foreground: ")[2]))
    small = [ndimage.label(resize_mask(cracks(seed, 448), (128, 128)), np.ones((3, 3)))[1] for seed in range(6)]
    assert before == 2.0
    assert after == pytest.approx(np.mean(small), abs=0.06)
    assert after > 3
    assert wide == pytest.approx(3, rel=0.25)
    assert narrow == pytest.approx(3 * 128 / 448, rel=0.25)
    size = YAML(typ="safe", pure=True).load(re.search(r"data\.size: (\[.*?\])", found.advice)[1])
    assert "thin_objects" not in codes(check(root, image_size=tuple(size)))
    assert {key: value for key, value, _ in checkup.suggestions}["data.size"] == size


def test_thin_lines_of_large_images_ask_for_windows(tmp_path: Path) -> None:
    found = finding(check(crack_set(tmp_path, 1200, 2)), "thin_objects")
    assert found.advice.endswith("data.size: original and data.patch: [256, 256]")
    told = {key: value for key, value, _ in check(tmp_path, image_size=(256, 256)).suggestions}
    assert (told["data.size"], told["data.patch"]) == ("original", [256, 256])
    assert "thin_objects" not in codes(check(tmp_path, image_size=(1200, 1200)))


@pytest.mark.parametrize(("side", "width"), [(448, 24), (120, 2)])
def test_thick_lines_and_small_images_stay_whole(tmp_path: Path, side: int, width: int) -> None:
    assert "thin_objects" not in codes(check(crack_set(tmp_path, side, width), image_size=(128, 128)))


def test_statistics_are_those_of_the_files(tmp_path: Path) -> None:
    pairs(tmp_path, 5)
    checkup = check(tmp_path)
    numbers = checkup.statistics
    pixels = np.stack([photo(place) for place in range(5)]) / 255
    assert numbers["mean"] == pytest.approx(pixels.mean(axis=(0, 1, 2)), abs=1e-3)
    assert numbers["std"] == pytest.approx(pixels.std(axis=(0, 1, 2)), abs=1e-3)
    share = np.stack([blob(place) > 0 for place in range(5)]).mean()
    assert numbers["classes"][1]["share"] == pytest.approx(share)
    assert numbers["foreground"]["mean"] == pytest.approx(share)
    assert numbers["sizes"] == [{"height": SIDE, "width": SIDE, "count": 5}]
    assert numbers["parts"] == {"-": {"images": 5, "shares": pytest.approx([1 - share, share])}}
    assert sum(numbers["brightness"]["counts"]) == 5
    assert json.loads(json.dumps(checkup.to_dict()))["samples"] == 5


def test_images_that_stand_apart(tmp_path: Path) -> None:
    pairs(tmp_path, 24)
    save(tmp_path / "images/s00x.png", np.full((SIDE, SIDE, 3), 40))
    save(tmp_path / "images/s01x.png", photo(1) // 30)
    save(tmp_path / "images/s02x.png", photo(2, 8 * SIDE))
    save(tmp_path / "masks/s02x.png", blob(2, 8 * SIDE))
    checkup = check(tmp_path)
    assert finding(checkup, "constant_images").files == ("images/s00x.png",)
    assert finding(checkup, "unusual_images").files == ("images/s01x.png",)
    assert "8 times" in finding(checkup, "very_different_sizes").title


def test_no_size_is_suggested_that_only_enlarges(tmp_path: Path) -> None:
    for place in range(6):
        save(tmp_path / f"images/s{place}x.png", photo(place, 128)[:96])
        save(tmp_path / f"masks/s{place}x.png", blob(place, 128)[:96])
    told = {key: (value, reason) for key, value, reason in check(tmp_path, image_size=(256, 256)).suggestions}
    assert told["data.size"][0] == [96, 128]
    assert told["data.size"][1].startswith("the images' own size")


def test_suggestions_are_valid_settings(tmp_path: Path) -> None:
    def mask(seed: int) -> np.ndarray:
        values = blob(seed, value=1)
        values[1, 1:5] = 2
        values[2, 1:5] = 2
        return values

    for one in range(6):
        for two in range(4):
            save(tmp_path / f"images/scan{one}_{two}.png", photo(10 * one + two))
            save(tmp_path / f"masks/scan{one}_{two}.png", mask(one))
    checkup = check(tmp_path)
    told = {key: (value, reason) for key, value, reason in checkup.suggestions}
    assert {"loss", "data.size", "data.options.group", "data.split.ratios", "data.augment", "network"} <= set(told)
    assert "threshold" not in told  # of three classes
    assert all(reason for _, reason in told.values())
    parse_loss(told["loss"][0])
    DataConfig(
        path="x",
        size=told["data.size"][0],
        split={"ratios": told["data.split.ratios"][0]},
        augment=told["data.augment"][0],
    )
    parse_config(
        {"data": {"path": "x"}, **{key: value for key, (value, _) in told.items() if not key.startswith("data.")}}
    )
    grouped = check(tmp_path, options={"group": told["data.options.group"][0]})
    assert "data.options.group" not in [key for key, _, _ in grouped.suggestions]
    binary = check(pairs(tmp_path / "b", mask=lambda seed: blob(seed) * (np.arange(SIDE) < 12)))
    assert ("loss", {"dice": 0.5, "bce": 0.5}) in [(key, value) for key, value, _ in binary.suggestions]
