"""Values of masks, colours, classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.doctor._sets import SIDE, blob, check, codes, finding, pairs, photo, save, split_pairs

from segbench.doctor import Severity


def three(seed: int) -> np.ndarray:
    mask = blob(seed, value=1)
    mask[30:40, 2:12] = 2
    return mask


def test_lossy_masks_by_jpeg(tmp_path: Path) -> None:
    pairs(tmp_path)
    for place in range(8):
        (tmp_path / f"masks/s{place:02d}x.png").unlink()
        save(tmp_path / f"masks/s{place:02d}x.jpg", blob(place), quality=60)
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
    assert finding(checkup, "trimap").advice == "nothing has to be done"
    assert finding(checkup, "much_ignored").count == 8


def test_much_ignored_by_nobody_names_the_value(tmp_path: Path) -> None:
    pairs(tmp_path, mask=lambda seed: np.where(np.arange(SIDE) < 30, 255, three(seed)))
    found = finding(check(tmp_path), "much_ignored")
    assert found.advice == "say in `classes` which class 255 is, where it was meant as one"


def test_transparency_that_is_the_label_is_asked_about_and_not_called_opaque(tmp_path: Path) -> None:
    def stamped(seed: int) -> np.ndarray:
        black = np.zeros((SIDE, SIDE, 3), dtype=np.uint8)
        return np.dstack([black, blob(seed)])

    asked = check(pairs(tmp_path, mask=stamped))
    found = finding(asked, "no_class_map")
    assert "differ in transparency (alpha) alone" in found.detail
    assert found.advice == "answer it with one of the options that it names"
    assert "alpha_channel" not in codes(asked)
    told = check(tmp_path, options={"classes": {"background": 0, "foreground": 255}})
    assert told.samples == 8
    assert "alpha_channel" not in codes(told)


def test_colours_that_a_list_names_keep_their_names(tmp_path: Path) -> None:
    root = pairs(tmp_path, mask=colored)
    (root / "class_dict.csv").write_text("name,r,g,b\nground,0,0,0\ncrop,128,0,0\nweed,0,128,0\n")
    advice = finding(check(root), "color_masks").advice
    assert "ground: [0, 0, 0]" in advice
    assert "crop: [128, 0, 0]" in advice
    assert "class_" not in advice


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


@pytest.mark.parametrize("part", ["val", "test"])
def test_a_class_missing_where_it_is_scored(tmp_path: Path, part: str) -> None:
    for folder in ("train", "val", "test"):
        plain = folder == part
        pairs(tmp_path, 4, (lambda seed: blob(seed, value=1)) if plain else three, folder, name=f"{folder}{{:02d}}")
    found = {
        "val": lambda told: finding(told, "class_missing_in_val"),
        "test": lambda told: finding(told, "class_missing_in_test"),
    }
    missing = found[part](check(tmp_path))
    assert missing.severity is Severity.WARNING
    assert "undefined" in missing.detail


def test_masks_without_content(tmp_path: Path) -> None:
    pairs(tmp_path)
    save(tmp_path / "masks/s03x.png", np.zeros((SIDE, SIDE)))
    save(tmp_path / "masks/s04x.png", np.full((SIDE, SIDE), 255))
    save(tmp_path / "masks/s05x.png", blob(6))
    checkup = check(tmp_path)
    assert finding(checkup, "empty_masks").files == ("masks/s03x.png",)
    assert finding(checkup, "full_masks").files == ("masks/s04x.png",)
    assert finding(checkup, "identical_masks").files == ("masks/s05x.png", "masks/s06x.png")
    ignoring = check(tmp_path, options={"classes": {"background": 0, "x": 1}, "ignore": [255]})
    assert finding(ignoring, "ignored_masks").files == ("masks/s04x.png",)


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


def test_a_class_is_not_smoothed_away(tmp_path: Path) -> None:
    """One mask of twelve is a JPEG; the others hold a rare class between the two that `tolerance` knows."""

    def mask(seed: int) -> np.ndarray:
        values = blob(seed)
        values[1:5, 1:7] = 128
        return values

    pairs(tmp_path, 12, mask=mask)
    (tmp_path / "masks/s00x.png").unlink()
    save(tmp_path / "masks/s00x.jpg", mask(0), quality=90)
    options = {"tolerance": 127, "classes": {"background": 0, "x": 255}}
    checkup = check(tmp_path, options=options)
    unknown = finding(checkup, "unknown_values")
    assert unknown.severity is Severity.ERROR
    assert len(unknown.files) == 11
    lossy = finding(checkup, "lossy_mask_values")
    assert lossy.files == ("masks/s00x.jpg",)
    assert "first name 128" in lossy.advice
    assert not [fix for one in checkup.findings for fix in one.fixes if fix.action == "snap_values"]


def test_a_photo_among_the_masks(tmp_path: Path) -> None:
    save(pairs(tmp_path) / "masks/s00x.png", photo(3)[:, :, 0])
    options = {"tolerance": 127, "classes": {"background": 0, "x": 255}}
    found = finding(check(tmp_path, options=options), "unknown_values")
    assert found.files == ("masks/s00x.png",)
    assert "no masks but pictures: masks/s00x.png" in found.detail
    assert "wrong file" in found.advice
    assert not found.fixes


def test_some_masks_are_one_too_high(tmp_path: Path) -> None:
    pairs(tmp_path, mask=three)
    for place in (2, 5):
        save(tmp_path / f"masks/s{place:02d}x.png", three(place) + 1)
    found = finding(check(tmp_path, options={"classes": ["background", "a", "b"]}), "unknown_values")
    assert found.files == ("masks/s02x.png", "masks/s05x.png")
    assert "these masks alone" in found.advice
    assert "lower it by 1" in found.advice


def test_smoothed_masks_of_several_classes(tmp_path: Path) -> None:
    def smooth(seed: int) -> np.ndarray:
        picture = Image.fromarray((three(seed) * 90).astype(np.uint8)).resize((37, 37), Image.Resampling.BICUBIC)
        return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC))

    options = {"classes": {"background": 0, "a": 90, "b": 180}}
    found = finding(check(pairs(tmp_path, mask=smooth), options=options), "unknown_values")
    assert "nearest neighbour" in found.advice


@pytest.mark.parametrize("number", [2, 6], ids=["few", "half"])
def test_some_inverted_masks_among_many(tmp_path: Path, number: int) -> None:
    pairs(tmp_path, 12)
    for place in range(3, 3 + number):
        save(tmp_path / f"masks/s{place:02d}x.png", 255 - blob(place))
    checkup = check(tmp_path)
    found = finding(checkup, "some_inverted_masks")
    assert found.files == tuple(f"masks/s{place:02d}x.png" for place in range(3, 3 + number))
    assert "inverted_masks" not in codes(checkup)


def test_a_class_of_one_image_cannot_be_divided(tmp_path: Path) -> None:
    root = split_pairs(tmp_path, mask=lambda seed: blob(seed, value=1))
    save(root / "test/masks/test00.png", three(7))
    found = finding(check(root, options={"classes": ["background", "a", "b"]}), "class_missing_in_train")
    assert found.severity is Severity.WARNING
    assert "no division helps b" in found.advice


def test_repeated_shapes_are_no_copies(tmp_path: Path) -> None:
    checkup = check(pairs(tmp_path, 24, mask=lambda seed: blob(seed % 3)))
    assert finding(checkup, "identical_masks").severity is Severity.INFO
    save(pairs(tmp_path / "few") / "masks/s01x.png", blob(0))
    assert finding(check(tmp_path / "few"), "identical_masks").severity is Severity.WARNING


def test_mixtures_of_two_colours_are_strays(tmp_path: Path) -> None:
    def mask(seed: int) -> np.ndarray:
        values = colored(seed)
        for place, red in enumerate((20, 40, 64, 100)):
            values[place, :5] = [red, 0, 0]  # each 0.2 % of the pixels, between black and red
        return values

    classes = {"background": [0, 0, 0], "a": [128, 0, 0], "b": [0, 128, 0]}
    checkup = check(pairs(tmp_path, mask=mask), options={"classes": classes})
    stray = finding(checkup, "stray_colors")
    assert "(64, 0, 0) on 40 pixels (0.22 %)" in stray.detail
    assert [64, 0, 0] not in stray.fixes[0].arguments["values"]
    assert "[64, 0, 0]" not in finding(checkup, "color_masks").advice
