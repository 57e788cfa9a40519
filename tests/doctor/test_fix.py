"""A corrected copy: each action mends its finding, everything is listed, and the data set stays as it was."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.doctor._sets import SIDE, blob, check, codes, pairs, photo, save

from segbench.data.files.images import file_look, read_image, read_mask_values
from segbench.data.manifest.read import read_dataset
from segbench.doctor import Checkup, examine
from segbench.doctor.finding import Finding, Fix, Severity
from segbench.doctor.fix.corrected_copy import FixReport, write_fixed
from segbench.doctor.fix.pixels import map_colors, map_values, save_mask, snap_values
from segbench.errors import DatasetError


def snapshot(root: Path) -> dict[str, str]:
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def mend(tmp_path: Path, *expected: str, **options: Any) -> tuple[FixReport, Checkup]:
    """Fixes tmp_path/set; asserts that the findings were there and are gone, and that nothing else has changed."""
    source = tmp_path / "set"
    before = snapshot(source)
    checkup = check(source, **options)
    assert set(expected) <= set(codes(checkup))
    report = write_fixed(checkup, tmp_path / "fixed")
    assert snapshot(source) == before
    again = check(report.target, **options)
    assert not set(expected) & set(codes(again)), codes(again)
    after = snapshot(report.target)
    touched = {change.file for change in report.changes} | {change.result for change in report.changes}
    assert {name: digest for name, digest in before.items() if name not in touched}.items() <= after.items()
    for change in report.changes:
        assert change.before == before.get(change.file, "")
        assert change.after == (after[change.result] if change.result else "")
        assert change.before != change.after
    listed = {name for change in report.changes for name in [change.result] if name}
    assert set(after) - set(before) - listed == {"CHANGES.md", "changes.csv"}
    with (report.target / "changes.csv").open(newline="") as stream:
        assert [row["file"] for row in csv.DictReader(stream)] == [change.file for change in report.changes]
    text = report.listing.read_text()
    assert all(change.file in text and change.before[:12] in text for change in report.changes)
    return report, again


def the_set(tmp_path: Path, **how: Any) -> Path:
    return pairs(tmp_path / "set", **how)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({}, ("no_class_map", "lossy_mask_values")),
        ({"classes": {"background": 0, "x": 255}}, ("unknown_values",)),
    ],
)
def test_lossy_values_are_snapped(tmp_path: Path, options: dict[str, Any], found: tuple[str, ...]) -> None:
    root = the_set(tmp_path)
    truth = blob(0)
    save(root / "masks/s00x.png", np.where(truth > 0, 250, 4))
    report, again = mend(tmp_path, *found, options=options)
    assert [change.file for change in report.changes] == ["masks/s00x.png"]
    assert (read_mask_values(report.target / "masks/s00x.png") == truth).all()
    assert again.samples == 8


def test_masks_saved_as_jpeg_become_png(tmp_path: Path) -> None:
    root = the_set(tmp_path)
    for place in range(8):
        path = root / f"masks/s{place:02d}x.png"
        save(path.with_suffix(".jpg"), np.asarray(Image.open(path)), quality=90)
        path.unlink()
    report, _ = mend(tmp_path, "lossy_mask_values", "lossy_mask_files", options={"tolerance": 24})
    assert {change.result for change in report.changes} == {f"masks/s{place:02d}x.png" for place in range(8)}
    got = read_mask_values(report.target / "masks/s03x.png")
    assert set(np.unique(got)) == {0, 255}
    assert ((got > 0) == (blob(3) > 0)).mean() > 0.99


def test_stray_colours_are_snapped(tmp_path: Path) -> None:
    def colored(seed: int) -> np.ndarray:
        mask = np.zeros((SIDE, SIDE, 3))
        mask[blob(seed) > 0] = (0, 255, 0)
        mask[: SIDE // 4, : SIDE // 4] = (255, 0, 0)
        return mask

    root = the_set(tmp_path, mask=colored)
    slip = colored(0)
    slip[0, 0] = (250, 10, 0)
    save(root / "masks/s00x.png", slip)
    classes = {"soil": [0, 0, 0], "crop": [0, 255, 0], "weed": [255, 0, 0]}
    report, _ = mend(tmp_path, "stray_colors", options={"classes": classes})
    assert (np.asarray(Image.open(report.target / "masks/s00x.png")) == colored(0)).all()
    assert len(report.changes) == 1


def test_palette_colours_become_numbers(tmp_path: Path) -> None:
    palette = np.array([(0, 0, 0), (128, 0, 0), (0, 128, 0)])

    def indices(seed: int) -> np.ndarray:
        labels = (blob(seed) > 0).astype(int)
        labels[: SIDE // 4, : SIDE // 4] = 2
        return labels

    the_set(tmp_path, mask=lambda seed: palette[indices(seed)])
    report, again = mend(tmp_path, "palette_as_colors")
    mask = Image.open(report.target / "masks/s02x.png")
    assert mask.mode == "P"
    assert (np.asarray(mask) == indices(2)).all()
    assert (np.asarray(mask.convert("RGB")) == palette[indices(2)]).all()
    assert again.class_map is not None
    assert again.class_map.values == ((0,), (1,), (2,))
    named = check(tmp_path / "set", options={"classes": {"a": [0, 0, 0], "b": [128, 0, 0], "c": [0, 128, 0]}})
    kept = write_fixed(named, tmp_path / "kept")
    assert kept.changes == ()
    assert len(kept.not_done) == 8
    assert "the option classes names the colours" in kept.listing.read_text()


def test_masks_get_the_size_of_their_image(tmp_path: Path) -> None:
    root = the_set(tmp_path)
    save(root / "masks/s03x.png", np.kron(blob(3), np.ones((2, 2))))
    report, again = mend(tmp_path, "size_mismatch")
    assert (read_mask_values(report.target / "masks/s03x.png") == blob(3)).all()
    assert again.samples == 8


def test_images_are_saved_upright(tmp_path: Path) -> None:
    root = the_set(tmp_path)
    (root / "images/s00x.png").unlink()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.hstack([photo(0), photo(50)])).save(root / "images/s00x.jpg", exif=exif, quality=95)
    save(root / "masks/s00x.png", np.vstack([blob(0), blob(1)]))
    report, _ = mend(tmp_path, "exif_orientation")
    with Image.open(report.target / "images/s00x.jpg") as written:
        assert written.size == (SIDE, 2 * SIDE)
        assert written.getexif().get(0x0112, 1) == 1
    error = read_image(report.target / "images/s00x.jpg").astype(int) - read_image(root / "images/s00x.jpg")
    assert np.abs(error).mean() < 2
    assert "JPEG of quality 95" in report.changes[0].what


def test_wrong_suffix_and_alpha(tmp_path: Path) -> None:
    root = the_set(tmp_path)
    for name in ("s00x", "s01x"):
        (root / f"images/{name}.png").unlink()
    Image.fromarray(photo(0)).save(root / "images/s00x.jpg", format="GIF")
    clear = np.dstack([photo(1), np.full((SIDE, SIDE), 255)])
    clear[:10, :, 3] = 0
    Image.fromarray(clear.astype(np.uint8)).save(root / "images/s01x.jpg", format="PNG")
    Image.fromarray(photo(2)).convert("RGBA").save(root / "images/s02x.png")
    report, again = mend(tmp_path, "wrong_suffix", "alpha_channel")
    assert [change.result for change in report.changes] == [f"images/s{place:02d}x.png" for place in range(3)]
    for old, new in (("s00x.jpg", "s00x.png"), ("s01x.jpg", "s01x.png"), ("s02x.png", "s02x.png")):
        same = read_image(root / "images" / old) == read_image(report.target / "images" / new)
        assert same.all()
    assert again.samples == 8


def test_what_cannot_be_read_is_left_out_with_its_partner(tmp_path: Path) -> None:
    root = the_set(tmp_path)
    whole = (root / "images/s00x.png").read_bytes()
    (root / "images/s00x.png").write_bytes(whole[:200])
    (root / "masks/s01x.png").write_bytes(b"")
    save(root / "images/bare.png", photo(90))
    save(root / "masks/orphan.png", blob(91))
    report, again = mend(tmp_path, "damaged_files", "empty_files", "images_without_mask", "masks_without_image")
    assert {change.file for change in report.changes if not change.result} == {
        *("images/s00x.png", "masks/s00x.png", "images/s01x.png", "masks/s01x.png"),
        *("images/bare.png", "masks/orphan.png"),
    }
    why = {change.file: change.why for change in report.changes}
    assert why["masks/s00x.png"].startswith("belongs to images/s00x.png: ")
    assert again.samples == 6
    assert len(read_dataset(report.target)) == 6


def test_lists_are_kept_in_step(tmp_path: Path) -> None:
    """The names in published lists follow: a line that names a lost file goes, a new name is written."""
    root = tmp_path / "set"
    for part in ("train", "val", "test"):
        for place in range(4):
            save(root / part / f"{part}{place}.png", photo(place))
            save(root / f"{part}annot" / f"{part}{place}.png", (blob(place) > 0).astype(int))
        lines = [f"{part}/{part}{place}.png {part}annot/{part}{place}.png\r\n" for place in range(4)]
        (root / f"{part}.txt").write_bytes("".join(lines).encode())
    (root / "train/train1.png").write_bytes(b"broken")
    Image.fromarray(photo(7)).save(root / "val/val2.jpg", format="GIF")
    (root / "val/val2.png").unlink()
    (root / "val.txt").write_bytes((root / "val.txt").read_bytes().replace(b"val/val2.png", b"val/val2.jpg"))
    checkup = examine(root, "camvid")
    report = write_fixed(checkup, tmp_path / "fixed")
    assert report.not_done == ()
    train = (report.target / "train.txt").read_bytes()
    assert b"train1" not in train
    assert train.count(b"\r\n") == 3
    assert b"val/val2.png valannot/val2.png\r\n" in (report.target / "val.txt").read_bytes()
    assert {change.file: change.result for change in report.changes}["val/val2.jpg"] == "val/val2.png"
    assert (report.target / "test.txt").read_bytes() == (root / "test.txt").read_bytes()
    assert len(read_dataset(report.target, "camvid")) == 11


def labelme(root: Path, name: str, image: str) -> None:
    shape = {"label": "x", "points": [[5, 5], [30, 5], [30, 30]], "shape_type": "polygon"}
    text = {"imagePath": image, "imageHeight": SIDE, "imageWidth": SIDE, "imageData": None, "shapes": [shape]}
    (root / f"{name}.json").write_text(json.dumps(text))


def test_names_in_annotations_stay(tmp_path: Path) -> None:
    """An image that JSON knows by name keeps it; its own annotation file goes with it where it is left out."""
    root = tmp_path / "set"
    for place in range(4):
        save(root / f"a{place}.jpg", photo(place))
        labelme(root, f"a{place}", f"a{place}.jpg")
    Image.fromarray(photo(0)).save(root / "a0.jpg", format="PNG")
    (root / "a1.jpg").write_bytes((root / "a1.jpg").read_bytes()[:300])
    report = write_fixed(examine(root, "labelme"), tmp_path / "fixed")
    assert {change.file: change.result for change in report.changes} == {
        "a0.jpg": "a0.jpg",
        "a1.jpg": "",
        "a1.json": "",
    }
    assert file_look(report.target / "a0.jpg").kind == "JPEG"
    again = examine(report.target, "labelme")
    assert not {"wrong_suffix", "damaged_files"} & set(codes(again))
    assert len(read_dataset(report.target, "labelme")) == 3


def test_shared_annotations_are_not_torn(tmp_path: Path) -> None:
    root = tmp_path / "set"
    images, annotations = [], []
    for place in range(3):
        save(root / f"images/{place}.png", photo(place))
        images.append({"id": place, "file_name": f"{place}.png", "height": SIDE, "width": SIDE})
        polygon = [[5, 5, 30, 5, 30, 30]]
        annotations.append(
            {"id": place, "image_id": place, "category_id": 1, "segmentation": polygon, "iscrowd": 0, "area": 300,
             "bbox": [5, 5, 25, 25]}
        )  # fmt: skip
    plain = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "x"}]}
    (root / "instances.json").write_text(json.dumps(plain))
    (root / "images/1.png").write_bytes(b"broken")
    report = write_fixed(examine(root, "coco"), tmp_path / "fixed")
    assert report.changes == ()
    assert [(one.file, one.action) for one in report.not_done] == [("images/1.png", "leave_out")]
    assert "instances.json" in report.not_done[0].reason
    assert "## Not done" in report.listing.read_text()


def test_a_new_name_that_is_taken(tmp_path: Path) -> None:
    root = the_set(tmp_path)
    mask = root / "masks/s00x.png"
    save(root / "masks/s00x.jpg", np.asarray(Image.open(mask)), quality=90)
    finding = Finding(
        code="lossy_mask_values",
        severity=Severity.WARNING,
        title="",
        count=1,
        fixes=(Fix(action="snap_values", file="masks/s00x.jpg", arguments={"values": [0, 255]}),),
    )
    report = write_fixed(with_findings(check(root), finding), tmp_path / "fixed")
    assert report.changes == ()
    assert report.not_done[-1].reason == "it would have to be named s00x.png, but s00x.png is there already"


def with_findings(checkup: Checkup, *findings: Finding) -> Checkup:
    return Checkup(**{**{name: getattr(checkup, name) for name in Checkup.__dataclass_fields__}, "findings": findings})


def test_values_are_mapped_and_combined(tmp_path: Path) -> None:
    """Several changes of one mask are made in one go: values first, then the size."""
    root = the_set(tmp_path, mask=lambda seed: (blob(seed) > 0) + 1)
    save(root / "masks/s00x.png", np.kron((blob(0) > 0) + 1, np.ones((2, 2))))
    fixes = (
        Fix(action="resize_mask", file="masks/s00x.png", reason="size"),
        Fix(action="map_values", file="masks/s00x.png", arguments={"mapping": [[1, 0], [2, 1]]}, reason="off by one"),
    )
    finding = Finding(code="x", severity=Severity.WARNING, title="", count=1, fixes=fixes)
    report = write_fixed(with_findings(check(root), finding, finding), tmp_path / "fixed")
    assert (read_mask_values(report.target / "masks/s00x.png") == (blob(0) > 0)).all()
    (change,) = report.changes
    assert change.what == "resized to its image, nearest neighbour; values replaced"
    assert change.why == "size; off by one"


def test_a_fix_that_fails_leaves_the_file(tmp_path: Path) -> None:
    root = the_set(tmp_path)
    wrong = Fix(action="map_colors", file="masks/s00x.png", arguments={"mapping": [[[0, 0, 0], 0]]})
    finding = Finding(code="x", severity=Severity.WARNING, title="", count=1, fixes=(wrong,))
    report = write_fixed(with_findings(check(root), finding), tmp_path / "fixed")
    assert report.changes == ()
    assert "pixels have a colour that stands for no class" in report.not_done[0].reason
    assert (report.target / "masks/s00x.png").read_bytes() == (root / "masks/s00x.png").read_bytes()


def test_a_sound_set_is_copied_not_linked(tmp_path: Path) -> None:
    root = the_set(tmp_path)
    (tmp_path / "fixed").mkdir()
    seen: list[tuple[int, int]] = []
    report = write_fixed(check(root), tmp_path / "fixed", progress=lambda what, done, total: seen.append((done, total)))
    assert report.changes == ()
    assert "Nothing was changed." in report.listing.read_text()
    assert seen == [(done, 16) for done in range(1, 17)]
    copy = report.target / "images/s00x.png"
    assert copy.stat().st_ino != (root / "images/s00x.png").stat().st_ino
    assert not copy.is_symlink()


def test_where_a_copy_is_refused(tmp_path: Path) -> None:
    root = the_set(tmp_path)
    checkup = check(root)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for target, reason in (
        (root / "fixed", "neither in the data set nor around it"),
        (root, "neither in the data set nor around it"),
        (tmp_path, "neither in the data set nor around it"),
        (tmp_path / "full", "expected an empty or a new folder"),
        (tmp_path / "file", "there is a file"),
    ):
        with pytest.raises(DatasetError, match=reason):
            write_fixed(checkup, target)
    assert (tmp_path / "full/notes.txt").read_text() == "mine"


def test_all_or_nothing(tmp_path: Path) -> None:
    """A copy that breaks off leaves nothing behind."""
    root = the_set(tmp_path)

    def stop(what: str, done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_fixed(check(root), tmp_path / "fixed", progress=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    for place in range(8):
        (root / f"images/s{place:02d}x.png").write_bytes(b"broken")
    with pytest.raises(DatasetError, match="no labelled image would be left"):
        write_fixed(check(root), tmp_path / "fixed")
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_linked_files_and_folders_are_copied(tmp_path: Path) -> None:
    root = the_set(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    (root / "images").rename(elsewhere)
    (root / "images").symlink_to(elsewhere, target_is_directory=True)
    (root / "loop").symlink_to(root, target_is_directory=True)
    report = write_fixed(check(root), tmp_path / "fixed")
    assert len(list((report.target / "images").glob("*.png"))) == 8
    assert not (report.target / "loop").exists()
    assert len(read_dataset(report.target)) == 8


def test_snapping() -> None:
    grey = np.array([[0, 100, 127, 128, 255]], dtype=np.uint8)
    assert snap_values(grey, [0, 255]).tolist() == [[0, 0, 0, 255, 255]]
    deep = np.array([[1000, 3000]], dtype=np.uint16)
    assert snap_values(deep, [1001, 2999]).tolist() == [[1001, 2999]]
    colors = np.array([[[250, 3, 0], [0, 9, 9]]], dtype=np.uint8)
    assert snap_values(colors, [[0, 0, 0], [255, 0, 0]]).tolist() == [[[255, 0, 0], [0, 0, 0]]]
    assert snap_values(grey, [[0, 0, 0], [255, 255, 255]]).shape == (1, 5, 3)
    with pytest.raises(DatasetError, match="got colours"):
        snap_values(colors, [0, 255])


def test_mapping() -> None:
    values = np.array([[1, 2, 9]], dtype=np.uint8)
    assert map_values(values, [[1, 2], [2, 1]]).tolist() == [[2, 1, 9]]
    assert map_colors(np.array([[[9, 9, 9]]], dtype=np.uint8), [[[9, 9, 9], 4]]).tolist() == [[4]]
    with pytest.raises(DatasetError, match="got colours"):
        map_values(np.zeros((1, 1, 3), dtype=np.uint8), [[0, 1]])


def test_a_palette_and_16_bit_stay(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1, 3]], dtype=np.uint8))
    image.putpalette([0, 0, 0, 10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.save(tmp_path / "p.png")
    save_mask(
        tmp_path / "p.png", tmp_path / "q.png", [Fix(action="snap_values", file="", arguments={"values": [0, 2]})], None
    )
    again = Image.open(tmp_path / "q.png")
    assert (again.mode, np.asarray(again).tolist()) == ("P", [[0, 0, 2]])
    assert np.asarray(again.convert("RGB"))[0, 2].tolist() == [40, 50, 60]
    Image.fromarray(np.array([[0, 999]], dtype=np.uint16)).save(tmp_path / "d.png")
    save_mask(
        tmp_path / "d.png",
        tmp_path / "e.png",
        [Fix(action="snap_values", file="", arguments={"values": [0, 1000]})],
        None,
    )
    assert read_mask_values(tmp_path / "e.png").tolist() == [[0, 1000]]


@pytest.mark.data
def test_real_pets_with_wrong_suffixes(real_data, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Two photos of the official set are no JPEG: in the copy they are PNG, and its lists still find them."""
    checkup = examine(real_data("oxford_pets_original"), "oxford_pets")
    assert {"wrong_suffix", "alpha_channel"} <= set(codes(checkup))
    report = write_fixed(checkup, tmp_path / "fixed")
    results = {change.file: change.result for change in report.changes}
    assert results["images/Abyssinian_34.jpg"].startswith("images/Abyssinian_34.")
    again = examine(report.target, "oxford_pets")
    assert not {"wrong_suffix", "alpha_channel"} & set(codes(again))
    assert again.samples == checkup.samples


@pytest.mark.data
def test_real_jpeg_masks(real_data, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    checkup = examine(real_data("kvasir_jpegmask"))
    assert "lossy_mask_files" in codes(checkup)
    report = write_fixed(checkup, tmp_path / "fixed")
    again = examine(report.target)
    assert not {"lossy_mask_files", "lossy_mask_values", "unknown_values"} & set(codes(again)), report.not_done
    assert again.samples == 3


def test_the_authors_own_list_of_changes_is_kept(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for number in range(4):
        mask = np.zeros((40, 40), dtype=np.uint8)
        mask[5:20, 5:20] = 255
        Image.fromarray(np.full((40, 40, 3), number, dtype=np.uint8)).save(root / "images" / f"{number}.png")
        Image.fromarray(mask).save(root / "masks" / f"{number}.png")
    (root / "CHANGES.md").write_text("version 2: better masks")
    done = write_fixed(examine(root), tmp_path / "copy")
    assert (tmp_path / "copy" / "CHANGES.md").read_text() == "version 2: better masks"
    assert done.listing.name == "CHANGES_2.md"
    assert "copy of a data set" in done.listing.read_text()
