"""Images to be scored that were cut out of training images."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.doctor._sets import check, codes, finding, save

from segbench.doctor import Severity, examine
from segbench.doctor.crops import find_overlaps

Data = Callable[[str], Path]
WIDTH, HEIGHT = 240, 200


def picture(seed: int) -> Image.Image:
    """Returns blobs of many sizes, as photographs have them."""
    rng = np.random.default_rng(seed)
    total = np.zeros((HEIGHT, WIDTH, 3))
    for cells in (4, 9, 20, 45, 90):
        layer = rng.normal(128, 60, (cells, cells, 3)).clip(0, 255).astype(np.uint8)
        total += np.asarray(Image.fromarray(layer).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), dtype=float)
    return Image.fromarray((total / 5 * 1.6 - 76).clip(0, 255).astype(np.uint8))


def saved(image: Image.Image) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=75)
    return Image.open(stream).convert("RGB")


def dimmed(image: Image.Image) -> Image.Image:
    return image.point(lambda value: int(0.7 * value + 20))


CROPS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "cut_out": lambda image: image.crop((70, 40, 230, 180)),
    "enlarged": lambda image: image.crop((60, 30, 204, 150)).resize((WIDTH, HEIGHT)),
    "saved": lambda image: saved(image.crop((0, 60, 160, 200))),
    "dimmed": lambda image: dimmed(image.crop((20, 10, 212, 170)).resize((WIDTH, HEIGHT))),
    "overlapping": lambda image: _overlapping(image),
}


def _overlapping(image: Image.Image) -> Image.Image:
    tile = picture(99)
    tile.paste(image.crop((80, 0, WIDTH, HEIGHT)), (0, 0))
    return tile


def write(root: Path, crop: Callable[[Image.Image], Image.Image] | None) -> Path:
    """Writes 12 training and 12 test images; the third one of test is cut from the fifth one of training."""
    for part, first in (("train", 0), ("test", 50)):
        for place in range(12):
            image = picture(first + place)
            if crop is not None and (part, place) == ("test", 2):
                image = crop(picture(4))
            mask = np.zeros((image.height, image.width), dtype=np.uint8)
            mask[30 + place : 90, 40 : 110 + place] = 255
            save(root / part / "images" / f"{part}{place}.png", np.asarray(image))
            save(root / part / "masks" / f"{part}{place}.png", mask)
    return root


@pytest.mark.parametrize("name", CROPS)
def test_crops_of_training_images_are_found(tmp_path: Path, name: str) -> None:
    found = finding(check(write(tmp_path, CROPS[name])), "crops_across_parts")
    assert (found.count, found.severity) == (1, Severity.WARNING)
    assert found.files == ("test/images/test2.png", "train/images/train4.png")
    assert found.pictures[0].kind == "pair"
    assert "Compared: 12 of 12 images to be scored, with 12 of 12 training images." in found.detail


def test_other_pictures_are_no_crops(tmp_path: Path) -> None:
    assert "crops_across_parts" not in codes(check(write(tmp_path / "plain", None)))
    quick = check(write(tmp_path / "fast", CROPS["cut_out"]), fast=True)
    assert "crops_across_parts" not in codes(quick)


def test_a_near_copy_is_told_as_one(tmp_path: Path) -> None:
    checkup = check(write(tmp_path, saved))
    assert "near_images_across_parts" in codes(checkup)
    assert "crops_across_parts" not in codes(checkup)


def test_scale_and_share_are_told() -> None:
    whole = np.asarray(picture(1).convert("L"), dtype=np.float32)
    half = np.asarray(Image.fromarray(whole[40:160, 60:204]).resize((WIDTH, HEIGHT)), dtype=np.float32)
    (overlap,) = find_overlaps([half], [np.asarray(picture(2).convert("L"), dtype=np.float32), whole])
    assert overlap.other == 1
    assert overlap.scale == pytest.approx(0.6, abs=0.03)
    assert overlap.share > 0.95
    assert overlap.other_share == pytest.approx(0.36, abs=0.04)
    assert find_overlaps([np.zeros((HEIGHT, WIDTH), dtype=np.float32)], [whole]) == []
    assert find_overlaps([whole[:8, :8]], [whole]) == []


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("name", ["camvid", "oxford_pets", "via_kudzu"])
def test_published_parts_hold_no_crops(real_data: Data, name: str) -> None:
    assert "crops_across_parts" not in codes(examine(real_data(name)))
