"""The same picture twice, groups, and lists that overlap."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import stats
from tests.doctor._sets import SIDE, blob, check, codes, finding, pairs, photo, save, split_pairs

from segbench.config.run import SplitConfig
from segbench.data.facts.store import FactStore
from segbench.data.manifest.read import read_dataset
from segbench.data.split.divide import split_manifest
from segbench.doctor import Severity, examine, fast_findings
from segbench.doctor.before_training import fast_warnings
from segbench.doctor.checks.parts import suggest_group
from segbench.doctor.copies import NEAR_RMS, near_pairs


def encoded(pixels: np.ndarray, quality: int) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


CHANGES = {
    "jpeg": lambda pixels: encoded(pixels, 40),
    "half": lambda pixels: np.asarray(Image.fromarray(pixels).resize((SIDE, SIDE))),
    "mirrored": lambda pixels: pixels[:, ::-1],
    "upside_down": lambda pixels: pixels[::-1],
    "turned": lambda pixels: np.rot90(pixels),
    "turned_and_saved": lambda pixels: encoded(np.ascontiguousarray(np.rot90(pixels, 3)), 60),
    "transposed": lambda pixels: pixels.swapaxes(0, 1),
}


@pytest.mark.parametrize("change", CHANGES)
def test_near_copies_are_found_and_others_not(tmp_path: Path, change: str) -> None:
    paths = [save(tmp_path / f"{seed}.png", photo(seed, 2 * SIDE)) for seed in range(30)]
    copy = save(tmp_path / "copy.png", CHANGES[change](photo(7, 2 * SIDE)))
    images, _ = FactStore(tmp_path).images([*paths, copy], depth_range=None, decode=True)
    found = near_pairs(images)
    assert [{one.name, other.name} for one, other, _ in found] == [{"7.png", "copy.png"}]
    assert found[0][2] <= NEAR_RMS


def test_a_crowd_of_equal_pictures_stays_affordable(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    base = photo(0).astype(int)
    paths = [
        save(tmp_path / f"{place:04d}.png", np.clip(base + rng.normal(0, 4, base.shape), 0, 255))
        for place in range(300)
    ]
    images, _ = FactStore(tmp_path).images(paths, depth_range=None, decode=True)
    found = near_pairs(images)
    assert len({path for one, other, _ in found for path in (one, other)}) == 300
    assert len(found) < 3 * 300


def test_flat_pictures_are_no_copies(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{level}.png", np.full((8, 8, 3), level)) for level in (10, 90, 200)]
    images, _ = FactStore(tmp_path).images(paths, depth_range=None, decode=True)
    assert near_pairs(images) == []


def test_copies_across_and_within_parts(tmp_path: Path) -> None:
    split_pairs(tmp_path, 6)
    assert codes(check(tmp_path)) == ["small_parts"]
    (tmp_path / "test/images/test00.png").write_bytes((tmp_path / "train/images/train00.png").read_bytes())
    save(tmp_path / "test/images/test01.png", np.fliplr(encoded(photo(sum(map(ord, "train")) * 1000 + 1), 60)))
    (tmp_path / "train/images/train03.png").write_bytes((tmp_path / "train/images/train02.png").read_bytes())
    checkup = check(tmp_path)
    across = finding(checkup, "identical_images_across_parts")
    assert across.severity is Severity.ERROR
    assert across.files == ("test/images/test00.png", "train/images/train00.png")
    assert across.pictures[0].kind == "pair"
    near = finding(checkup, "near_images_across_parts")
    assert near.files == ("test/images/test01.png", "train/images/train01.png")
    assert finding(checkup, "identical_images").files == ("train/images/train02.png", "train/images/train03.png")
    assert finding(checkup, "same_image_other_mask").count == 2


def test_inverted_masks_are_told_before_training(tmp_path: Path) -> None:
    root = split_pairs(tmp_path, mask=lambda seed: 255 - blob(seed))
    check(root)  # remembers what the files hold
    manifest = split_manifest(read_dataset(root), SplitConfig())
    assert any("the masks look inverted" in line for line in fast_warnings(manifest))


def test_groups_in_several_parts(tmp_path: Path) -> None:
    for folder in ("train", "test"):
        pairs(tmp_path, 4, blob, folder, name=f"patient{{}}_{folder}")
    plain = check(tmp_path)
    leak = finding(plain, "groups_suggested")
    assert "patient0, patient1" in leak.detail
    assert (leak.severity, leak.count) == (Severity.WARNING, 4)
    told = check(tmp_path, options={"group": r"(patient\d+)"})
    found = finding(told, "groups_across_parts")
    assert (found.count, len(found.files)) == (4, 8)
    assert "groups_suggested" not in codes(told)


@pytest.mark.parametrize(
    ("ids", "groups"),
    [
        (["patient1_2", "patient1_3", "patient2_1", "Patient2_9"], {"patient1", "patient2", "Patient2"}),
        (["video1image0", "video1image1", "video2image0", "video2image7"], {"video1", "video2"}),
        (["0016E5_07959", "0016E5_07961", "Seq05VD_f00000", "Seq05VD_f00030"], {"0016E5", "Seq05VD"}),
        (["a/s01_3", "a/s01_4", "a/s02_3", "b/s02_7"], {"s01", "s02"}),
    ],
)
def test_groups_by_name(ids: list[str], groups: set[str]) -> None:
    found = suggest_group(ids * 2)
    assert found is not None
    assert set(found[2]) == groups


@pytest.mark.parametrize("ids", [["Bengal_1", "Bengal_2", "Persian_1", "Persian_2"], ["1", "2", "3"], ["a1", "b1"]])
def test_classes_and_numbers_are_no_groups(ids: list[str]) -> None:
    assert suggest_group(ids) is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("split.json", json.dumps({"train": ["s00x", "s01x"], "val": ["s01x"]})),
        ("my_split.yaml", "train: [s00x, s01x]\nval: [s01x]\n"),
    ],
)
def test_lists_that_overlap(tmp_path: Path, name: str, text: str) -> None:
    pairs(tmp_path)
    (tmp_path / name).write_text(text)
    found = finding(check(tmp_path), "overlapping_lists")
    assert found.files == (name,)
    assert "s01x" in found.detail
    (tmp_path / name).write_text(text.replace("s01x", "s02x", 1))
    assert "overlapping_lists" not in codes(check(tmp_path))


def test_lists_in_files_of_their_own(tmp_path: Path) -> None:
    pairs(tmp_path)
    (tmp_path / "train.txt").write_text("s00x 1\ns01x 1\n")
    (tmp_path / "test.txt").write_text("s01x 1\n")
    (tmp_path / "trainval.txt").write_text("s00x\ns01x\n")
    (tmp_path / "split.json").write_text("{damaged")
    (tmp_path / "split.yaml").write_text("a: [b")
    found = finding(check(tmp_path), "overlapping_lists")
    assert found.files == ("test.txt", "train.txt")


@pytest.mark.parametrize(
    ("files", "overlapping"),
    [
        (("ImageSets/Segmentation/train.txt", "ImageSets/Segmentation/val.txt"), True),
        (("train_list.txt", "test_list.txt"), True),
        (("train.csv", "valid.csv"), True),
        (("annotations/instances_train.json", "annotations/instances_val.json"), True),
        (("fold1_train.txt", "fold2_test.txt"), False),  # of different divisions
        (("train_val.txt", "test.txt"), False),  # repeats the others on purpose
        (("a/train.txt", "b/test.txt"), False),
    ],
)
def test_lists_that_are_not_used(tmp_path: Path, files: tuple[str, str], overlapping: bool) -> None:
    pairs(tmp_path)
    for file, names in zip(files, (["s00x", "s01x", "s02x"], ["s01x", "s02x", "s03x"]), strict=True):
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".json":
            path.write_text(json.dumps({"images": [{"file_name": f"{name}.png"} for name in names]}))
        elif path.suffix == ".csv":
            path.write_text("".join(f"{name},1\n" for name in ("image", *(f"images/{name}.png" for name in names))))
        else:
            path.write_text("".join(f"{name}.png\n" for name in names))
    checkup = check(tmp_path)
    if not overlapping:
        assert "overlapping_lists" not in codes(checkup)
        return
    found = finding(checkup, "overlapping_lists")
    assert (found.severity, found.count, found.files) == (Severity.WARNING, 2, tuple(sorted(files)))
    assert "before you use these lists" in found.advice


def test_lists_that_are_used_are_an_error(tmp_path: Path) -> None:
    pairs(tmp_path, 20)
    names = [f"s{place:02d}x" for place in range(20)]
    lists = {"train": names[:12], "val": names[12:16], "test": names[15:]}
    for part, chosen in lists.items():
        (tmp_path / f"{part}.txt").write_text("\n".join(chosen))
    rows = "".join(f"{name},{part}\n" for part, chosen in lists.items() for name in chosen if part != "val")
    (tmp_path / "parts.csv").write_text(f"id,split\n{rows}" + "".join(f"{name},val\n" for name in names[12:15]))
    parts = SplitConfig(method="file", file=str(tmp_path / "parts.csv"), stratify=False)
    found = finding(check(tmp_path, split=parts), "overlapping_lists")
    assert (found.severity, found.files) == (Severity.ERROR, ("test.txt", "val.txt"))
    assert finding(check(tmp_path), "overlapping_lists").severity is Severity.WARNING


def test_equal_names_in_folders_of_parts_are_no_overlap(tmp_path: Path) -> None:
    for folder in ("train", "test"):
        pairs(tmp_path, 4, folder=folder)
        (tmp_path / f"{folder}.txt").write_text("s00x.png\ns01x.png\n")
    assert "overlapping_lists" not in codes(check(tmp_path))


def test_labels_of_single_images_are_no_lists(tmp_path: Path) -> None:
    pairs(tmp_path)
    (tmp_path / "labels").mkdir()
    for part in ("train", "test"):
        for place in range(3):
            (tmp_path / f"labels/{part}_{place}.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    assert "overlapping_lists" not in codes(check(tmp_path))


def test_parts_that_are_small_and_images_in_none(tmp_path: Path) -> None:
    pairs(tmp_path, 40, blob, "train", name="train{:02d}")
    pairs(tmp_path, 3, blob, "val", name="val{:02d}")
    assert "val 3" in finding(check(tmp_path), "small_parts").title


def test_the_interval_of_small_parts_is_told_before_a_training(tmp_path: Path) -> None:
    for part, count in (("train", 26), ("val", 1), ("test", 9)):
        pairs(tmp_path, count, blob, part, name=f"{part}{{:02d}}")
    found = finding(check(tmp_path, fast=True), "small_parts")
    assert (found.count, found.severity) == (2, Severity.WARNING)
    half = stats.t.ppf(0.975, 8) * 0.15 / 3
    assert f"± {half:.2f} in test" in found.detail
    assert "infinitely wide in val" in found.detail
    manifest = split_manifest(read_dataset(tmp_path), SplitConfig())
    assert any("fewer than 10 images: val 1, test 9" in line for line in fast_warnings(manifest))
    folds = SplitConfig(method="kfold", k=3, fold=0)  # as the advice says
    assert "small_parts" not in codes(check(tmp_path, fast=True, split=folds))


def test_a_drawn_split_is_looked_at(tmp_path: Path) -> None:
    pairs(tmp_path, 12)
    for place in range(6):
        save(tmp_path / f"images/s{place + 6:02d}x.png", encoded(photo(place), 70))
    checkup = check(tmp_path, split=SplitConfig(seed=1))
    assert set(checkup.parts) == {"train", "val", "test"}
    assert finding(checkup, "near_images_across_parts").count > 0
    refused = check(tmp_path, split=SplitConfig(method="permutation", counts=(50, 5, 5)))
    assert "60" in finding(refused, "cannot_be_split").detail


def test_fast_findings_open_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs(tmp_path, 12)
    save(tmp_path / "masks/s05x.png", np.zeros((SIDE, SIDE)))
    for place in range(6):
        save(tmp_path / f"images/s{place + 6:02d}x.png", encoded(photo(place), 70))
    manifest = split_manifest(read_dataset(tmp_path), SplitConfig(seed=1))

    def refuse(*args: object) -> bytes:
        raise AssertionError("a file was opened")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    found = {one.code: one for one in fast_findings(manifest)}
    assert found["near_images_across_parts"].severity is Severity.WARNING
    assert found["empty_masks"].files == ("masks/s05x.png",)
    monkeypatch.undo()
    monkeypatch.setenv("SEGBENCH_CACHE", str(tmp_path / "elsewhere"))
    told = [one.code for one in fast_findings(manifest)]
    assert told == ["small_parts"]  # nothing is remembered; what parts there are is in the manifest


def test_fast_leaves_out_what_needs_pixels(tmp_path: Path) -> None:
    split_pairs(tmp_path)
    (tmp_path / "test/images/test00.png").write_bytes((tmp_path / "train/images/train00.png").read_bytes())
    quick = examine(tmp_path, "folder", fast=True)
    assert "identical_images_across_parts" in codes(quick)
    assert "near copies" in finding(quick, "fast_look").detail
    assert quick.statistics["classes"][1]["objects"] is None
    assert quick.statistics["sizes_tried"] == []
