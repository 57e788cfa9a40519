"""Files that are not what they seem."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.doctor._sets import SIDE, blob, check, codes, finding, pairs, photo, save


def test_unreadable_files_are_told_apart(tmp_path: Path) -> None:
    pairs(tmp_path)
    whole = (tmp_path / "images/s00x.png").read_bytes()
    (tmp_path / "images/s00x.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "images/s01x.png").write_bytes(b"")
    (tmp_path / "images/s02x.png").write_bytes(b"no image at all")
    (tmp_path / "masks/s03x.png").write_bytes(whole[: len(whole) // 2])
    frames = [Image.fromarray(photo(seed)) for seed in (1, 2)]
    frames[0].save(tmp_path / "images/s04x.png", format="GIF", save_all=True, append_images=frames[1:])
    Image.fromarray(np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE)).save(tmp_path / "images/s05x.png")
    (tmp_path / "images/s06x.png").unlink()
    (tmp_path / "images/s06x.png").symlink_to(tmp_path / "gone.png")
    checkup = check(tmp_path)
    assert finding(checkup, "missing_files").files == ("images/s06x.png",)
    assert finding(checkup, "damaged_files").files == ("images/s00x.png", "masks/s03x.png")
    assert finding(checkup, "empty_files").files == ("images/s01x.png",)
    assert finding(checkup, "not_an_image").files == ("images/s02x.png",)
    assert finding(checkup, "several_frames").files == ("images/s04x.png",)
    deep = finding(checkup, "deep_images")
    assert deep.files == ("images/s05x.png",)
    assert "depth_range" in deep.advice
    assert not deep.fixes
    assert checkup.exit_code == 2
    assert checkup.class_map is not None
    assert {fix.action for fix in finding(checkup, "damaged_files").fixes} == {"leave_out"}


def test_an_image_too_large_to_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(pairs(tmp_path) / "images/s00x.png", photo(0, 4 * SIDE))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2 * SIDE * SIDE)
    found = finding(check(tmp_path), "too_large")
    assert found.files == ("images/s00x.png",)
    assert "tiles" in found.advice


def test_the_range_of_deep_images_is_one_for_all(tmp_path: Path) -> None:
    pairs(tmp_path)
    for place in range(3):
        values = np.linspace(100 * place, 4000, SIDE * SIDE).reshape(SIDE, SIDE).astype(np.uint16)
        Image.fromarray(values).save(tmp_path / "images" / f"s{place:02d}x.png")
    checkup = check(tmp_path)
    found = finding(checkup, "deep_images")
    assert "cannot_be_split" not in codes(checkup), "no image can be read yet, which has been said"
    assert "3 of 8 images have more than 8 bit (values 0 to 4000)" in found.detail
    assert found.advice.startswith("set the option depth_range: [3, 39")
    low, high = map(int, found.advice.partition("[")[2].partition("]")[0].split(", "))
    assert check(tmp_path, options={"depth_range": [low, high]}).samples == 8


def test_wrong_suffix_and_alpha(tmp_path: Path) -> None:
    pairs(tmp_path)
    (tmp_path / "images/s00x.png").unlink()
    (tmp_path / "images/s01x.png").unlink()
    Image.fromarray(photo(0)).save(tmp_path / "images/s00x.jpg", format="GIF")
    clear = np.dstack([photo(1), np.full((SIDE, SIDE), 255)])
    clear[:10, :, 3] = 0
    Image.fromarray(clear.astype(np.uint8)).save(tmp_path / "images/s01x.jpg", format="PNG")
    checkup = check(tmp_path)
    wrong = finding(checkup, "wrong_suffix")
    assert wrong.files == ("images/s00x.jpg", "images/s01x.jpg")
    assert "images/s00x.jpg is a GIF" in wrong.detail
    assert "images/s01x.jpg is a PNG" in wrong.detail
    assert {fix.action for fix in wrong.fixes} == {"save_as_png"}
    alpha = finding(checkup, "alpha_channel")
    assert alpha.files == ("images/s01x.jpg",)
    assert "transparent" in alpha.title
    assert alpha.severity == "warning"


def turned(path: Path, pixels: np.ndarray, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif, quality=95)


def test_exif_on_one_side_and_sizes(tmp_path: Path) -> None:
    pairs(tmp_path)
    for place in (0, 1, 2):
        (tmp_path / f"images/s{place:02d}x.png").unlink()
    wide = np.hstack([photo(0), photo(50)])
    turned(tmp_path / "images/s00x.jpg", wide, 6)  # shown upright: 96 x 48
    save(tmp_path / "masks/s00x.png", np.vstack([blob(0), blob(1)]))
    turned(tmp_path / "images/s01x.jpg", wide, 6)
    save(tmp_path / "masks/s01x.png", np.hstack([blob(0), blob(1)]))  # drawn on the lying image
    turned(tmp_path / "images/s02x.jpg", photo(2), 3)
    save(tmp_path / "masks/s03x.png", blob(3, side=24))
    save(tmp_path / "masks/s04x.png", np.zeros((30, 36)))
    checkup = check(tmp_path)
    assert finding(checkup, "exif_orientation").files == ("images/s00x.jpg",)
    assert [fix.action for fix in finding(checkup, "exif_orientation").fixes] == ["save_upright"]
    assert finding(checkup, "exif_orientation_unclear").files == ("images/s02x.jpg",)
    swapped = finding(checkup, "sides_swapped")
    assert swapped.files == ("masks/s01x.png",)
    assert "the mask is 48 x 96" in swapped.detail
    assert "remove the EXIF orientation" in swapped.advice
    scaled = finding(checkup, "size_mismatch")
    assert [(fix.action, fix.file) for fix in scaled.fixes] == [("resize_mask", "masks/s03x.png")]
    assert finding(checkup, "other_shape").files == ("masks/s04x.png",)
    assert not swapped.fixes
    assert not finding(checkup, "other_shape").fixes


def test_a_mask_that_lacks_a_row_is_not_resized(tmp_path: Path) -> None:
    save(pairs(tmp_path) / "masks/s00x.png", blob(0)[1:, 1:])
    cut = finding(check(tmp_path), "mask_cut_off")
    assert cut.files == ("masks/s00x.png",)
    assert not cut.fixes


def test_exif_of_the_mask_alone(tmp_path: Path) -> None:
    pairs(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(blob(0)).save(tmp_path / "masks/s00x.png", exif=exif)
    found = finding(check(tmp_path), "exif_orientation_unclear")
    assert found.files == ("masks/s00x.png",)
    assert found.severity == "warning"
    assert "the image has none" in found.title
    Image.fromarray(photo(0)).save(tmp_path / "images/s00x.png", exif=exif)
    assert "exif_orientation_unclear" not in codes(check(tmp_path))


def test_an_annotation_file_that_is_cut_off(tmp_path: Path) -> None:
    for place in range(3):
        save(tmp_path / f"s{place}.png", photo(place))
    (tmp_path / "annotations.json").write_text('{"images": [{"id": 1, "file_na')
    (tmp_path / "sound.json").write_text("{}")
    (tmp_path / "s0.xml").write_text("<annotation><object>")
    found = finding(check(tmp_path), "broken_annotations")
    assert found.files == ("annotations.json", "s0.xml")
    assert found.severity == "error"


def test_a_quick_look_is_the_same_before_and_after_a_full_one(tmp_path: Path) -> None:
    pairs(tmp_path)
    (tmp_path / "images/s00x.png").unlink()
    (tmp_path / "images/s01x.png").unlink()
    turned(tmp_path / "images/s00x.jpg", photo(0), 3)
    Image.fromarray(photo(1)).save(tmp_path / "images/s01x.jpg", format="GIF")
    save(tmp_path / "images/s03x.png", photo(2)[:, ::-1])
    first = check(tmp_path, fast=True)
    assert {"exif_orientation_unclear", "wrong_suffix", "fast_look"} <= {*codes(first)}
    assert "near_images" in codes(check(tmp_path))
    assert codes(check(tmp_path, fast=True)) == codes(first)


def test_grey_among_colour_and_cmyk(tmp_path: Path) -> None:
    pairs(tmp_path)
    (tmp_path / "images/s01x.png").unlink()
    save(tmp_path / "images/s00x.png", photo(0)[:, :, 0])
    Image.fromarray(photo(1)).convert("CMYK").save(tmp_path / "images/s01x.jpg", quality=95)
    Image.fromarray(blob(2).astype(np.uint16)).save(tmp_path / "masks/s02x.png")
    checkup = check(tmp_path)
    assert finding(checkup, "mixed_modes").files == ("images/s00x.png",)
    assert finding(checkup, "cmyk_images").files == ("images/s01x.jpg",)
    assert finding(checkup, "deep_masks").files == ("masks/s02x.png",)


def test_a_sound_set_of_other_kinds(tmp_path: Path) -> None:
    for place in range(6):
        save(tmp_path / f"images/s{place}x.jpeg", photo(place), quality=95)
        save(tmp_path / f"masks/s{place}x.bmp", blob(place))
    assert codes(check(tmp_path)) == []
