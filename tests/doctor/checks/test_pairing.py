"""Names and partners."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tests.doctor._sets import blob, check, codes, finding, pairs, photo, save

from segbench.doctor import Severity


def test_a_sound_set_has_no_findings(tmp_path: Path) -> None:
    checkup = check(pairs(tmp_path))
    assert (codes(checkup), checkup.exit_code, checkup.samples) == ([], 0, 8)


def test_files_without_partner(tmp_path: Path) -> None:
    pairs(tmp_path)
    save(tmp_path / "images/lonely.png", photo(90))
    save(tmp_path / "masks/orphan.png", blob(91))
    checkup = check(tmp_path)
    bare, orphan = finding(checkup, "images_without_mask"), finding(checkup, "masks_without_image")
    assert (bare.files, orphan.files) == (("images/lonely.png",), ("masks/orphan.png",))
    assert "unpaired" in bare.advice
    assert checkup.samples == 8
    assert checkup.exit_code == 1
    assert [(fix.action, fix.file) for fix in bare.fixes] == [("leave_out", "images/lonely.png")]
    assert [(picture.kind, picture.files) for picture in orphan.pictures] == [("values", ("masks/orphan.png",))]


def test_files_left_out_on_purpose_are_no_warning(tmp_path: Path) -> None:
    save(pairs(tmp_path) / "images/lonely.png", photo(90))
    save(tmp_path / "masks/orphan.png", blob(91))
    checkup = check(tmp_path, options={"unpaired": "skip"})
    for code in ("images_without_mask", "masks_without_image"):
        assert finding(checkup, code).severity is Severity.INFO
        assert "unpaired" not in finding(checkup, code).advice
    assert checkup.exit_code == 0


def test_two_files_of_one_name_stop_the_reader_but_not_the_doctor(tmp_path: Path) -> None:
    save(pairs(tmp_path) / "images/s00x.jpg", photo(3))
    checkup = check(tmp_path)
    twin = finding(checkup, "duplicate_names")
    assert (twin.count, twin.files) == (1, ("images/s00x.jpg", "images/s00x.png"))
    assert finding(checkup, "cannot_be_read").severity is Severity.ERROR
    assert checkup.exit_code == 2


def test_names_that_differ_by_case_only(tmp_path: Path) -> None:
    pairs(tmp_path)
    save(tmp_path / "images/S00X.png", photo(92))
    save(tmp_path / "masks/S00X.png", blob(5))
    found = finding(check(tmp_path), "names_differ_by_case")
    assert (found.count, len(found.files)) == (2, 4)


def test_hidden_and_strange_files(tmp_path: Path) -> None:
    pairs(tmp_path)
    for name in (".DS_Store", "images/Thumbs.db", "masks/._s00x.png", "images/notes.txt", "images/scan.psd"):
        (tmp_path / name).write_bytes(b"x")
    checkup = check(tmp_path)
    assert finding(checkup, "hidden_files").files == (".DS_Store", "images/Thumbs.db", "masks/._s00x.png")
    assert finding(checkup, "other_files").files == ("images/scan.psd",)


def test_another_folder_of_masks_that_is_inverted(tmp_path: Path) -> None:
    pairs(tmp_path)
    for place in range(8):
        save(tmp_path / "extra/masks2" / f"s{place:02d}x.png", 255 - blob(place))
        save(tmp_path / "depth" / f"s{place:02d}x.png", blob(place) // 255)
    checkup = check(tmp_path, options={"images": "images", "masks": "masks"})
    other = [found.title.partition("/ ")[0] for found in checkup.findings if found.code == "other_masks"]
    assert other == ["depth", "extra/masks2"]
    inverted = finding(checkup, "inverted_masks")
    assert "inverted: those of extra/masks2/" in inverted.title
    assert len(inverted.files) == 8
    swapped = check(tmp_path, options={"images": "images", "masks": "extra/masks2"})
    told = [found.title for found in swapped.findings if found.code == "inverted_masks"]
    assert any("inverted: those of extra/masks2/, since where masks/" in title for title in told)


def test_another_folder_of_masks(tmp_path: Path) -> None:
    pairs(tmp_path)
    for place in range(8):
        save(tmp_path / "depth" / f"s{place:02d}x.png", blob(place) // 255)
    found = finding(check(tmp_path, options={"masks": "masks"}), "other_masks")
    assert found.title == "depth/ holds another file for 8 of 8 images"
    assert "--option masks=depth" in found.advice


def test_masks_beside_their_images(tmp_path: Path) -> None:
    for place in range(6):
        save(tmp_path / f"s{place}.jpg", photo(place), quality=95)
        save(tmp_path / f"s{place}_mask.png", blob(place))
    assert codes(check(tmp_path)) == []
    save(tmp_path / "s9_mask.png", np.zeros((48, 48)))
    assert finding(check(tmp_path), "masks_without_image").files == ("s9_mask.png",)


def test_a_part_without_labels_is_no_other_labelling(tmp_path: Path) -> None:
    for place in range(4):
        save(tmp_path / f"train/image/{place}.png", photo(place))
        save(tmp_path / f"train/label/{place}.png", blob(place))
        save(tmp_path / f"test/{place}.png", photo(50 + place))  # of the same names
    checkup = check(tmp_path)
    assert "other_masks" not in codes(checkup)
    assert "images_without_mask" not in codes(checkup)
    assert checkup.samples == 4


def test_the_other_observer_is_no_mask_without_image(tmp_path: Path) -> None:
    for place in range(3):
        save(tmp_path / f"Image_{place}.png", photo(place))
        for observer in (1, 2):
            save(tmp_path / f"Image_{place}_{observer}HO.png", blob(place + observer))
    checkup = check(tmp_path, options={"mask_suffix": "_1HO"})
    assert "masks_without_image" not in codes(checkup)
    assert checkup.samples == 3
