"""Values of masks, colours, classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.data.checks._sets import SIDE, blob, check, codes, finding, pairs, save, split_pairs

from segbench.data.checks import Severity


def three(seed: int) -> np.ndarray:
    mask = blob(seed, value=1)
    mask[30:40, 2:12] = 2
    return mask


def test_lossy_masks_by_jpeg(tmp_path: Path) -> None:
    pairs(tmp_path)
    for place in range(8):
        (tmp_path / f"masks/s{place:02d}x.png").unlink()
        save(tmp_path / f"masks/s{place:02d}x.jpg", blob(place), quality=80)
    told = check(tmp_path, options={"tolerance": 127})
    lossy = finding(told, "lossy_mask_values")
    assert len(lossy.files) == 8
    assert "saved as JPEG" in lossy.detail
    assert lossy.fixes[0].action == "snap_values"
    assert lossy.fixes[0].arguments == {"values": [0, 255]}
    assert len(finding(told, "lossy_mask_files").files) == 8
    untold = check(tmp_path)
    assert finding(untold, "no_class_map").severity is Severity.ERROR
    assert finding(untold, "lossy_mask_values").count == 8  # found all the same, with the tolerance that fits
    assert untold.class_map is not None
    assert untold.samples == 8


def test_lossy_masks_without_tolerance_can_be_mended(tmp_path: Path) -> None:
    pairs(tmp_path)
    smooth = blob(0)
    smooth[2, 3:9] = [3, 5, 7, 250, 252, 253]
    save(tmp_path / "masks/s00x.png", smooth)
    found = finding(check(tmp_path, options={"classes": {"background": 0, "x": 255}}), "unknown_values")
    assert "tolerance: 7" in found.advice
    assert [(fix.action, fix.file, fix.arguments) for fix in found.fixes] == [
        ("snap_values", "masks/s00x.png", {"values": [0, 255]})
    ]


def test_values_outside_of_the_class_map(tmp_path: Path) -> None:
    pairs(tmp_path, mask=three)
    stray = three(0)
    stray[0, :3] = 77
    save(tmp_path / "masks/s00x.png", stray)
    checkup = check(tmp_path, options={"classes": ["background", "a", "b"]})
    found = finding(checkup, "unknown_values")
    assert found.files == ("masks/s00x.png",)
    assert "77 on 3 pixels" in found.detail
    assert not found.fixes
    assert checkup.samples == 7
    assert "unknown_values" not in codes(check(pairs(tmp_path / "sound", mask=three)))


@pytest.mark.parametrize(
    ("mask", "classes", "hint"),
    [
        (lambda seed: blob(seed), {"background": 0, "x": 1}, "fit a binary class map"),
        (lambda seed: three(seed) + 1 + 3 * (np.arange(SIDE) < 2), ["background", "a", "b", "c"], "off by one"),
        (lambda seed: np.where(blob(seed) > 0, 1, 255 * (np.arange(SIDE) < 3)), {"bg": 0, "x": 1}, "ignore"),
    ],
)
def test_the_likely_cause_of_foreign_values(tmp_path: Path, mask, classes, hint: str) -> None:  # type: ignore[no-untyped-def]
    found = finding(check(pairs(tmp_path, mask=mask), options={"classes": classes}), "unknown_values")
    assert hint in found.advice


def test_inverted_by_the_border(tmp_path: Path) -> None:
    found = finding(check(pairs(tmp_path, mask=lambda seed: 255 - blob(seed))), "inverted_masks")
    assert found.count == 8
    assert "{background: 255, foreground: 0}" in found.advice
    assert found.pictures[0].kind == "overlay"
    assert found.pictures[0].sample == "s00x"


def test_255_as_a_class_and_gaps(tmp_path: Path) -> None:
    def mask(seed: int) -> np.ndarray:
        values = three(seed) * 2
        values[0] = 255
        return values

    options = {"classes": {"background": 0, "a": 2, "b": 4, "c": 255}}
    checkup = check(pairs(tmp_path, mask=mask), options=options)
    assert "'c'" in finding(checkup, "ignore_as_class").title
    sound = check(tmp_path, options={"classes": {"background": 0, "a": 2, "b": 4}, "ignore": [255]})
    assert "ignore_as_class" not in codes(sound)
    assert finding(sound, "gaps_in_values").title.endswith("1, 3 mean nothing")


def test_trimap_and_much_ignored(tmp_path: Path) -> None:
    pairs(tmp_path, mask=lambda seed: np.where(np.arange(SIDE) < 30, 3, 2 - blob(seed, value=1)))
    options = {"classes": {"pet": 1, "background": 2, "border": 3}}
    assert "ignore: [3]" in finding(check(tmp_path, options=options), "trimap").advice
    options = {"classes": {"pet": 1, "background": 2}, "ignore": [3]}
    checkup = check(tmp_path, options=options)
    assert finding(checkup, "trimap").advice == ""
    assert finding(checkup, "much_ignored").count == 8


def colored(seed: int) -> np.ndarray:
    mask = three(seed)
    return np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0]])[mask]


def test_colours_become_a_proposal(tmp_path: Path) -> None:
    checkup = check(pairs(tmp_path, mask=colored))
    assert finding(checkup, "no_class_map").severity is Severity.ERROR
    assert checkup.class_map is not None
    assert checkup.class_map.num_classes == 3
    found = finding(checkup, "color_masks")
    assert "background: [0, 0, 0]" in found.advice
    assert "[128, 0, 0]" in found.advice
    assert " %" in found.advice
    palette = finding(checkup, "palette_as_colors")
    assert "classes 0, 1, 2" in palette.title
    assert palette.fixes[0].arguments == {"mapping": [[[0, 0, 0], 0], [[128, 0, 0], 1], [[0, 128, 0], 2]]}


def test_smoothed_colours_and_photographs_as_masks(tmp_path: Path) -> None:
    pairs(tmp_path / "a", mask=colored)
    smooth = colored(0)
    smooth[5, 5] = (64, 3, 0)
    save(tmp_path / "a/masks/s00x.png", smooth)
    options = {"classes": {"background": [0, 0, 0], "a": [128, 0, 0], "b": [0, 128, 0]}}
    found = finding(check(tmp_path / "a", options=options), "stray_colors")
    assert found.files == ("masks/s00x.png",)
    assert [0, 128, 0] in found.fixes[0].arguments["values"]
    rng = np.random.default_rng(0)
    pairs(tmp_path / "b", mask=lambda seed: rng.integers(0, 255, (SIDE, SIDE, 3)))
    assert finding(check(tmp_path / "b"), "too_many_colors").severity is Severity.ERROR


def test_missing_and_rare_classes(tmp_path: Path) -> None:
    pairs(tmp_path, mask=three)
    one = three(0)
    one[0, 0] = 3
    save(tmp_path / "masks/s00x.png", one)
    checkup = check(tmp_path, options={"classes": ["background", "a", "b", "c", "never"]})
    assert finding(checkup, "missing_classes").title.endswith("never")
    rare = finding(checkup, "rare_classes")
    assert rare.files == ("masks/s00x.png",)
    assert "c on 0.0054 % of the pixels, in 1 image" in rare.detail
    sound = codes(check(pairs(tmp_path / "sound", mask=three)))
    assert "rare_classes" not in sound
    assert "missing_classes" not in sound


def test_a_class_missing_in_a_part(tmp_path: Path) -> None:
    split_pairs(tmp_path, mask=three)
    for place in range(4):
        save(tmp_path / f"train/masks/train{place:02d}.png", blob(place, value=1))
    found = finding(check(tmp_path), "class_missing_in_train")
    assert found.severity is Severity.ERROR
    assert "class_2" in found.title


def test_masks_without_content(tmp_path: Path) -> None:
    pairs(tmp_path)
    save(tmp_path / "masks/s03x.png", np.zeros((SIDE, SIDE)))
    save(tmp_path / "masks/s04x.png", np.full((SIDE, SIDE), 255))
    save(tmp_path / "masks/s05x.png", blob(6))
    checkup = check(tmp_path)
    assert finding(checkup, "empty_masks").files == ("masks/s03x.png",)
    assert finding(checkup, "full_masks").files == ("masks/s04x.png",)
    assert finding(checkup, "identical_masks").files == ("masks/s05x.png", "masks/s06x.png")


def test_palette_masks_are_no_colour_masks(tmp_path: Path) -> None:
    pairs(tmp_path)
    for place in range(8):
        image = Image.fromarray(three(place))
        image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
        image.save(tmp_path / f"masks/s{place:02d}x.png")
    assert codes(check(tmp_path)) == []


def test_multilabel(tmp_path: Path) -> None:
    for place in range(6):
        for name in ("a", "b"):
            save(tmp_path / "masks" / name / f"s{place}x.png", blob(place + (name == "b")))
    pairs(tmp_path / "images_only", 6, name="s{}x")
    (tmp_path / "images_only/images").rename(tmp_path / "images")
    import shutil

    shutil.rmtree(tmp_path / "images_only")
    checkup = check(tmp_path, options={"task": "multilabel"})
    assert codes(checkup) == []
    assert checkup.statistics["classes"][1]["images"] == 6
    save(tmp_path / "masks/b/s0x.png", np.full((SIDE, SIDE), 7))
    assert finding(check(tmp_path, options={"task": "multilabel"}), "unknown_values").files == ("masks/b/s0x.png",)
