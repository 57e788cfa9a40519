"""The doctor as a whole: what it reads, and that nothing stops it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.data._rasters import scenes
from tests.doctor._sets import SIDE, blob, codes, finding, pairs, photo, save

from segbench.config.split import SplitConfig
from segbench.doctor import Finding, Severity, examine, run, sort_findings
from segbench.doctor.checks import CHECKS, Check, objects
from segbench.errors import ConfigError, DatasetError

Data = Callable[[str], Path]


def test_a_folder_is_recognised(tmp_path: Path) -> None:
    checkup = examine(pairs(tmp_path))
    assert (checkup.format, checkup.options, checkup.samples) == ("folder", {}, 8)
    assert checkup.why
    assert checkup.parts == {"-": 8}
    assert json.loads(json.dumps(checkup.to_dict()))["exit_code"] == 0


def test_the_second_look_is_the_first(tmp_path: Path) -> None:
    pairs(tmp_path)
    save(tmp_path / "masks/s00x.png", np.zeros((SIDE, SIDE)))
    first, second = examine(tmp_path), examine(tmp_path)
    assert (first.findings, first.statistics, first.suggestions) == (
        second.findings,
        second.statistics,
        second.suggestions,
    )


def test_wrong_requests_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such folder"):
        examine(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="no such folder"):
        examine(tmp_path / "nowhere", "folder")
    with pytest.raises(ConfigError, match="did you mean 'folder'"):
        examine(tmp_path, "foldr")
    with pytest.raises(ConfigError, match="tolerance"):
        examine(tmp_path, "folder", options={"tolerence": 3})


def test_two_ways_to_read(tmp_path: Path) -> None:
    pairs(tmp_path)
    for place in range(8):
        mask = blob(place, value=1)
        mask[1:9, 1:9] = 2
        save(tmp_path / "labels" / f"s{place:02d}x.png", mask)
    checkup = examine(tmp_path)
    assert checkup.options["masks"] == "labels"
    assert "--option masks=labels or --option masks=masks" in finding(checkup, "several_ways").advice


def test_a_guess_about_values_is_told(tmp_path: Path) -> None:
    pairs(tmp_path)
    for place in range(8):
        save(tmp_path / "masks" / f"s{place:02d}x.png", blob(place, value=7))
    assert "class_1: 7" in finding(examine(tmp_path), "guessed").advice.replace("'", "")


def test_what_the_reader_leaves_out_is_told(tmp_path: Path) -> None:
    save(pairs(tmp_path) / "images/lonely.png", photo(77))
    checkup = examine(tmp_path)
    assert "guessed" not in codes(checkup)  # nobody but the user leaves images out
    assert "'folder'" in finding(checkup, "reader_notes").title


def test_files_read_by_windows(tmp_path: Path) -> None:
    checkup = examine(scenes(tmp_path), "geotiff", options={"depth_range": "auto"})
    assert finding(checkup, "read_by_windows").count == 4


def test_several_sets_and_an_empty_folder(tmp_path: Path) -> None:
    pairs(tmp_path / "a" / "one")
    pairs(tmp_path / "a" / "two", mask=lambda seed: blob(seed, value=1))  # masks of another kind: not one set
    several = finding(examine(tmp_path / "a"), "several_data_sets")
    assert "one" in several.detail
    (tmp_path / "empty").mkdir()
    empty = examine(tmp_path / "empty")
    assert codes(empty) == ["cannot_be_read"]
    assert empty.exit_code == 2


def add_failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Adds a check to the table that raises this error, before all others."""

    def fail(reading: object) -> list[Finding]:
        raise error

    monkeypatch.setitem(sys.modules, "made_up_check", SimpleNamespace(CODES=(), check=fail))  # type: ignore[arg-type]
    monkeypatch.setattr(run, "CHECKS", {"made_up": Check(module="made_up_check"), **CHECKS})


def test_objects_are_measured_while_masks_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the first few masks, by which the classes are guessed, are decoded again to measure their objects."""
    again: list[Path] = []
    read = objects.read_mask_values

    def count(path: Path, **more: Any) -> np.ndarray:
        again.append(path)
        return read(path, **more)

    monkeypatch.setattr(objects, "read_mask_values", count)
    assert examine(pairs(tmp_path, 40)).samples == 40
    assert len(again) == 8


def test_a_failing_check_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_failing(monkeypatch, DatasetError("it went wrong"))
    save(pairs(tmp_path) / "images/lonely.png", photo(77))
    checkup = examine(tmp_path)
    failed = finding(checkup, "check_failed")
    assert "made_up" in failed.title
    assert failed.detail.endswith("it went wrong")
    assert "images_without_mask" in codes(checkup)


def test_any_failure_of_a_check_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_failing(monkeypatch, RecursionError("too deep"))
    assert finding(examine(pairs(tmp_path)), "check_failed").detail.endswith("RecursionError: too deep")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_strange_lists_of_parts_stop_nothing(tmp_path: Path) -> None:
    pairs(tmp_path)
    os.mkfifo(tmp_path / "train.txt")
    (tmp_path / "splits.yaml").write_text("[" * 5000)
    (tmp_path / "test.txt").mkdir()
    assert codes(examine(tmp_path)) == []


def test_a_set_that_cannot_be_divided(tmp_path: Path) -> None:
    one = examine(pairs(tmp_path / "one", 1))
    found = finding(one, "cannot_be_split")
    assert found.severity is Severity.WARNING
    assert "at least 3 samples" in found.detail
    assert one.parts == {"-": 1}
    for folder in ("train", "val"):
        pairs(tmp_path / "noTest", 4, folder=folder, name=f"{folder}{{:02d}}")
    assert "cannot_be_split" not in codes(examine(tmp_path / "noTest"))  # `config new` divides it anew
    official = examine(tmp_path / "noTest", split=SplitConfig(method="official"))
    assert "no test part" in finding(official, "cannot_be_split").detail
    assert "cannot_be_split" not in codes(examine(pairs(tmp_path / "sound")))


def test_what_is_not_recognised_is_looked_at_as_a_folder(tmp_path: Path) -> None:
    pairs(tmp_path, mask=lambda seed: 0 * blob(seed))
    save(tmp_path / "images/s01x.png", photo(0))
    (tmp_path / "images/s02x.png").write_bytes(b"")
    found = codes(examine(tmp_path))
    assert {"no_class_map", "identical_images", "empty_files"} <= {*found}
    assert "cannot_be_read" not in found


def test_damaged_files_of_a_set_that_cannot_be_read(tmp_path: Path) -> None:
    save(pairs(tmp_path) / "images/s00x.jpg", photo(3))
    whole = (tmp_path / "images/s01x.png").read_bytes()
    (tmp_path / "images/s01x.png").write_bytes(whole[: len(whole) // 2])
    checkup = examine(tmp_path)
    assert finding(checkup, "damaged_files").files == ("images/s01x.png",)
    assert finding(checkup, "duplicate_names").count == 1


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are Unicode there")
def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    pairs(tmp_path)
    for folder in ("images", "masks"):
        (tmp_path / folder / "s00x.png").rename(tmp_path / folder / os.fsdecode(b"\xff.png"))
    checkup = examine(tmp_path)
    assert finding(checkup, "names_not_utf8").files == ("images/\\xff.png", "masks/\\xff.png")
    assert checkup.exit_code == 2


def test_a_photo_among_the_masks_is_named(tmp_path: Path) -> None:
    save(pairs(tmp_path) / "masks/s00x.png", photo(3)[:, :, 0])
    found = finding(examine(tmp_path), "no_class_map")
    assert "look at masks/s00x.png first" in found.advice


def test_facts_that_cannot_be_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs(tmp_path / "set")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SEGBENCH_CACHE", str(tmp_path / "file"))
    checkup = examine(tmp_path / "set")
    assert "SEGBENCH_CACHE" in finding(checkup, "not_remembered").detail
    assert checkup.samples == 8


def test_findings_are_sorted_by_weight() -> None:
    findings = [
        Finding(code=code, severity=severity, title="", count=count)
        for code, severity, count in (
            ("a", Severity.INFO, 9),
            ("b", Severity.ERROR, 1),
            ("c", Severity.WARNING, 1),
            ("d", Severity.WARNING, 5),
        )
    ]
    assert [one.code for one in sort_findings(findings)] == ["b", "d", "c", "a"]


@pytest.mark.data
def test_pets(real_data: Data) -> None:
    checkup = examine(real_data("oxford_pets_original"))
    wrong = finding(checkup, "wrong_suffix")
    assert wrong.files == ("images/Abyssinian_34.jpg", "images/Abyssinian_5.jpg")
    assert "Abyssinian_34.jpg is a GIF" in wrong.detail
    assert "Abyssinian_5.jpg is a PNG" in wrong.detail
    assert finding(checkup, "alpha_channel").files == ("images/Abyssinian_5.jpg",)
    assert finding(checkup, "empty_masks").detail.endswith("Abyssinian_34")
    assert finding(checkup, "in_no_part").detail.endswith("Abyssinian_34")
    assert "border: ignore" in finding(checkup, "trimap").advice


@pytest.mark.slow
@pytest.mark.data
def test_copies_among_the_pets(real_data: Data) -> None:
    """Four cats are two: the same photo under two numbers, cut out or saved anew."""
    near = finding(examine(real_data("oxford_pets"), fast=False), "near_images")
    assert {Path(name).stem for name in near.files} == {
        "Abyssinian_11",
        "Abyssinian_177",
        "Abyssinian_122",
        "Abyssinian_172",
    }


@pytest.mark.slow
@pytest.mark.data
def test_skin_lesions_raise_no_false_alarm(real_data: Data) -> None:
    assert codes(examine(real_data("ph2"))) == []


@pytest.mark.data
@pytest.mark.parametrize("name", [None, "folder"])
def test_lossy_masks_of_kvasir(real_data: Data, name: str | None) -> None:
    root = real_data("kvasir_jpegmask")
    checkup = examine(root, name) if name is None else examine(root / "Kvasir-SEG", name)
    lossy = finding(checkup, "lossy_mask_values")
    assert len(lossy.files) == len(lossy.fixes) == 3
    assert len(finding(checkup, "lossy_mask_files").files) == 3


@pytest.mark.slow
@pytest.mark.data
def test_crops_and_weeds(real_data: Data) -> None:
    checkup = examine(real_data("cwfid_original"))
    inverted = finding(checkup, "inverted_masks")
    assert "inverted: those of masks/" in inverted.title
    assert len(inverted.files) == 3
    overlap = finding(checkup, "overlapping_lists")
    assert ": 28. Found in" in overlap.detail
    assert overlap.files == ("train_test_split.yaml",)
    assert "[0, 255, 0]  # 0.98 %" in finding(checkup, "color_masks").advice
    chosen = examine(real_data("cwfid"), "folder", options={"masks": "masks"})
    assert codes(chosen).count("inverted_masks") == 2  # by the other folder, and by the border


@pytest.mark.data
def test_droplets_in_two_parts(real_data: Data) -> None:
    checkup = examine(real_data("via_droplets"), fast=True)
    found = finding(checkup, "identical_images_across_parts")
    assert found.files == ("train/video1image0.jpg", "val/video1image0.jpg")
    assert finding(checkup, "no_class").count == 8


@pytest.mark.data
def test_regions_without_a_class(real_data: Data) -> None:
    found = finding(examine(real_data("via_kudzu"), fast=True), "no_class")
    assert found.files == ("val/via_region_data.json",)
    assert found.count == 16
    assert len(found.pictures) == 6


@pytest.mark.data
def test_coco_images_without_annotations(real_data: Data) -> None:
    checkup = examine(real_data("coco_tiny"), fast=True)
    assert finding(checkup, "no_annotation").count == 2
    assert finding(checkup, "empty_masks").detail.endswith("000000058636, 000000226111")


@pytest.mark.data
def test_labelme_that_names_itself(real_data: Data) -> None:
    found = finding(examine(real_data("labelme") / "tutorial"), "wrong_path")
    assert "apc2016_obj3.json" in found.detail


@pytest.mark.data
@pytest.mark.slow
def test_video_frames_are_near_only_within_a_part(real_data: Data) -> None:
    checkup = examine(real_data("camvid"))
    assert "near_images_across_parts" not in codes(checkup)
    assert finding(checkup, "near_images").severity is Severity.INFO
    assert finding(checkup, "groups_across_parts").count == 2


@pytest.mark.parametrize("fast", [True, False])
def test_progress_names_folders_and_nothing_internal(tmp_path: Path, fast: bool) -> None:
    pairs(tmp_path)
    told: list[str] = []
    examine(tmp_path, fast=fast, progress=lambda what, done, total: told.append(what))
    images, masks = "reading images in images/", "reading masks in masks/"
    also = ["reading headers in images/"] if fast else ["measuring objects in masks/"]
    assert list(dict.fromkeys(told)) == [images, masks, *also]
