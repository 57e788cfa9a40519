"""Reading a data set: everything wrong is found and named, everything right is remembered and hashed."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segbench.data.facts import store as _facts
from segbench.data.formats import FORMATS, Listing
from segbench.data.manifest import read as index
from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_dataset
from segbench.data.sources.load import load_sample
from segbench.errors import ConfigError, DatasetError
from segbench.files import cache_folder
from segbench.types import ClassMap, Task

CLASSES = ClassMap(names=("background", "x"), values=((0,), (255,)), task=Task.BINARY)


def save(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array.astype(np.uint8)).save(path)
    return path


def dataset(root: Path, number: int = 4, height: int = 4, width: int = 6) -> Path:
    """Writes `number` pairs: different images, masks with 1, 2, ... columns of foreground (0/255)."""
    rng = np.random.default_rng(0)
    for place in range(number):
        mask = np.zeros((height, width))
        mask[:, : 1 + place % (width - 1)] = 255
        save(root / "images" / f"s{place:04d}.png", rng.integers(0, 256, (height, width, 3)))
        save(root / "masks" / f"s{place:04d}.png", mask)
    return root


def error(path: Path, name: str | None = None, **options: object) -> str:
    with pytest.raises(DatasetError) as caught:
        read_dataset(path, name, **options)
    assert caught.value.path
    return str(caught.value)


def test_manifest_of_a_folder(tmp_path: Path) -> None:
    manifest = read_dataset(dataset(tmp_path / "d"))
    sample = manifest.samples[1]
    assert (len(manifest), manifest.format, manifest.options) == (4, "folder", {})
    assert manifest.root == (tmp_path / "d").resolve()
    assert (sample.id, sample.image, sample.mask) == ("s0001", "images/s0001.png", "masks/s0001.png")
    assert (sample.height, sample.width, sample.split, sample.group) == (4, 6, None, None)
    assert sample.foreground_frac == pytest.approx(2 / 6)
    assert len(sample.image_hash) == len(sample.mask_hash) == 64
    image, labels = load_sample(manifest, sample)
    assert (image.shape, image.dtype, labels.shape, labels.dtype) == ((4, 6, 3), np.uint8, (4, 6), np.uint8)
    assert labels[0].tolist() == [1, 1, 0, 0, 0, 0]


def test_relative_paths_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset(tmp_path / "d")
    monkeypatch.chdir(tmp_path)
    assert read_dataset("d") == read_dataset(tmp_path / "d")


def test_missing_folder_and_other_files(tmp_path: Path) -> None:
    dataset(tmp_path / "lesions")
    assert "there is no such folder; did you mean 'lesions'?" in error(tmp_path / "lesion")
    (tmp_path / "a.txt").write_text("x")
    assert "expected a data set's folder or a manifest (.json), got another file" in error(tmp_path / "a.txt")
    (tmp_path / "a.json").write_text('{"images": []}')
    assert "expected a manifest written by segbench, got other JSON" in error(tmp_path / "a.json")


def test_unknown_format_and_option(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no data.format 'oxfordpets'; did you mean 'oxford_pets'"):
        read_dataset(tmp_path, "oxfordpets")
    with pytest.raises(ConfigError, match=r"'folder' has no option 'mask'; did you mean 'masks'"):
        read_dataset(tmp_path, mask="m")


def test_no_pairs(tmp_path: Path) -> None:
    save(tmp_path / "images" / "a.png", np.zeros((2, 2, 3)))
    save(tmp_path / "masks" / "b.png", np.zeros((2, 2)))
    message = error(tmp_path)
    assert (
        "no image has a mask of its name: 1 images named like a, 1 masks named like b; set the option mask_suffix"
        in message
    )


def test_unpaired_files_are_named_or_skipped(tmp_path: Path) -> None:
    dataset(tmp_path)
    (tmp_path / "masks" / "s0002.png").unlink()
    save(tmp_path / "masks" / "extra.png", np.zeros((4, 6)))
    message = error(tmp_path)
    assert "1 of 4 images have no mask: s0002; 1 of 4 masks have no image: extra" in message
    assert "unpaired: skip" in message
    manifest = read_dataset(tmp_path, unpaired="skip")
    assert [sample.id for sample in manifest.samples] == ["s0000", "s0001", "s0003"]
    assert manifest.notes == ("1 of 4 images have no mask: s0002; 1 of 4 masks have no image: extra; left out",)


def test_duplicate_ids(tmp_path: Path) -> None:
    dataset(tmp_path)
    save(tmp_path / "images" / "s0001.jpg", np.zeros((4, 6, 3)))
    message = error(tmp_path)
    assert "1 duplicate ids: 's0001' (images/s0001.jpg, images/s0001.png)" in message


def test_duplicate_ids_of_a_readers_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def twice(root: Path) -> Listing:
        entries = FORMATS.get("folder")(root).entries
        return Listing(class_map=CLASSES, entries=(*entries, entries[1]))

    monkeypatch.setitem(FORMATS._table, "twice", twice)
    assert "expected one sample an id, got duplicate ids: s0001" in error(dataset(tmp_path), "twice")


@pytest.mark.parametrize(
    ("shape", "why"),
    [
        ((6, 4), "the sides are swapped"),
        ((2, 3), "the same picture at 0.5 times the size"),
        ((4, 5), "not of the same picture"),
    ],
)
@pytest.mark.parametrize("verify", [True, False])
def test_sizes_must_agree(tmp_path: Path, shape: tuple[int, int], why: str, verify: bool) -> None:
    dataset(tmp_path)
    save(tmp_path / "masks" / "s0001.png", np.zeros(shape))
    message = error(tmp_path, verify=verify)
    assert f"masks/s0001.png: the mask is {shape[0]} x {shape[1]} pixels (height x width), its image 4 x 6" in message
    assert why in message


def test_exif_orientation_counts_for_the_size(tmp_path: Path) -> None:
    dataset(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((6, 4, 3), np.uint8)).save(tmp_path / "images" / "s0001.png", exif=exif)
    assert read_dataset(tmp_path).samples[1].height == 4
    assert read_dataset(tmp_path, verify=False).samples[1].width == 6


def test_all_problems_in_one_error(tmp_path: Path) -> None:
    dataset(tmp_path, 20)
    data = (tmp_path / "images" / "s0000.png").read_bytes()
    (tmp_path / "images" / "s0000.png").write_bytes(data[: len(data) // 2])
    (tmp_path / "masks" / "s0001.png").write_text("no image")
    save(tmp_path / "masks" / "s0002.png", np.zeros((9, 9)))
    save(tmp_path / "masks" / "s0003.png", np.full((4, 6), 7))
    save(tmp_path / "masks" / "s0004.png", np.random.default_rng(0).integers(0, 2, (4, 6, 3)) * 200)
    message = error(tmp_path, classes={"a": 0, "b": 255})
    assert "5 files of 20 image/mask pairs cannot be used:\n" in message
    assert "images/s0000.png: the image is damaged or cut off" in message
    assert "masks/s0001.png: not an image segbench can read" in message
    assert "masks/s0002.png: the mask is 9 x 9 pixels" in message
    assert "masks/s0003.png: the mask holds values outside the class map: 7 (24 pixels, first at row 0" in message
    assert "masks/s0004.png: RGB mask where an index mask is expected" in message
    for place in range(20):
        (tmp_path / "images" / f"s{place:04d}.png").write_bytes(b"broken")
    message = error(tmp_path)
    assert message.count("images/s00") == 10
    assert "cannot be used" in message
    assert "more" in message.splitlines()[-1]


def test_problems_with_masks_come_before_the_class_map(tmp_path: Path) -> None:
    dataset(tmp_path)
    (tmp_path / "masks" / "s0001.png").write_text("no image")
    assert "masks/s0001.png: not an image segbench can read" in error(tmp_path)


def test_without_verify_only_headers_are_read(tmp_path: Path) -> None:
    dataset(tmp_path)
    data = (tmp_path / "images" / "s0000.png").read_bytes()
    (tmp_path / "images" / "s0000.png").write_bytes(data[:60])  # the header is whole, the pixels are not
    manifest = read_dataset(tmp_path, verify=False, classes={"a": 0, "b": 255})
    assert manifest.samples[1].foreground_frac is None
    assert "images/s0000.png" in error(tmp_path)
    (tmp_path / "images" / "s0000.png").write_bytes(data)
    quick, full = read_dataset(tmp_path, verify=False), read_dataset(tmp_path)
    assert [replace(sample, foreground_frac=None) for sample in full.samples] == list(quick.samples)


def test_deep_images_need_the_option(tmp_path: Path) -> None:
    dataset(tmp_path, 3)
    for place in range(3):
        Image.fromarray(np.full((4, 6), 1000, np.uint16)).save(tmp_path / "images" / f"s{place:04d}.png")
    assert "depth_range: [1000, 1001]" in error(tmp_path)
    manifest = read_dataset(tmp_path, depth_range=[0, 2000])
    assert load_sample(manifest, manifest.samples[0])[0][0, 0].tolist() == [128, 128, 128]
    assert "depth_range" in error(tmp_path)  # also when the facts are remembered
    assert read_dataset(tmp_path, depth_range=[0, 4000]).content_hash != manifest.content_hash


def test_transparency_is_noted(tmp_path: Path) -> None:
    dataset(tmp_path, 3)
    save(tmp_path / "images" / "s0001.png", np.full((4, 6, 4), 127))
    for _ in range(2):  # the second time from memory
        assert any("s0001.png: 100.0% of the pixels are transparent" in note for note in read_dataset(tmp_path).notes)


def test_progress_is_told(tmp_path: Path) -> None:
    dataset(tmp_path, 6)
    told: list[tuple[str, int, int]] = []
    read_dataset(tmp_path, progress=lambda what, done, total: told.append((what, done, total)))
    images, masks = "reading images in images/", "reading masks in masks/"
    assert told == [*((images, n, 6) for n in range(7)), *((masks, n, 6) for n in range(7))]


def test_second_reading_decodes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset(tmp_path, 6)
    first = read_dataset(tmp_path)
    reads: list[Path] = []
    image_fact, mask_fact = _facts._image_fact, _facts._mask_fact
    monkeypatch.setattr(_facts, "_image_fact", lambda path, *rest: reads.append(path) or image_fact(path, *rest))
    monkeypatch.setattr(_facts, "_mask_fact", lambda path, *rest: reads.append(path) or mask_fact(path, *rest))
    assert read_dataset(tmp_path) == first
    assert reads == []
    save(tmp_path / "masks" / "s0002.png", np.eye(4, 6) * 255)
    again = read_dataset(tmp_path)
    assert reads == [tmp_path.resolve() / "masks" / "s0002.png"]
    assert again.samples[2].foreground_frac == pytest.approx(4 / 24)
    assert again.content_hash != first.content_hash
    stored = list((cache_folder() / "facts").glob("*.sqlite"))
    assert stored
    for path in stored:
        path.write_text("{broken")
    assert read_dataset(tmp_path) == again


def test_a_file_replaced_at_equal_size_and_time_is_read_again(tmp_path: Path) -> None:
    dataset(tmp_path, 4)
    path = tmp_path / "images" / "s0001.png"
    before = read_dataset(tmp_path)
    status = path.stat()
    data = bytearray(path.read_bytes())
    other = (tmp_path / "images" / "s0002.png").read_bytes()
    path.write_bytes((other + bytes(len(data)))[: len(data)] if len(other) < len(data) else other)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert read_dataset(tmp_path).samples[1].image_hash != before.samples[1].image_hash


def test_a_name_that_is_no_unicode_is_refused(tmp_path: Path) -> None:
    dataset(tmp_path, 4)
    for folder in ("images", "masks"):
        source = tmp_path / folder / "s0001.png"
        source.rename(source.with_name(os.fsdecode(b"caf\xe9.png")))
    with pytest.raises(DatasetError, match="name is not UTF-8; rename it"):
        read_dataset(tmp_path)


@pytest.mark.slow
def test_a_thousand_remembered_images_are_quick(tmp_path: Path) -> None:
    dataset(tmp_path, 1000)
    first = read_dataset(tmp_path)
    times = []
    for _ in range(3):
        start = time.process_time()
        assert read_dataset(tmp_path).samples == first.samples
        times.append(time.process_time() - start)
    assert min(times) < 1.0


def test_a_cache_that_cannot_be_written_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("SEGBENCH_CACHE", str(tmp_path / "file"))
    assert any("set SEGBENCH_CACHE" in note for note in read_dataset(dataset(tmp_path / "d")).notes)


def test_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEGBENCH_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("SEGBENCH_CACHE")
    assert cache_folder() == Path.home() / ".cache" / "segbench"


def test_splits(tmp_path: Path) -> None:
    manifest = read_dataset(dataset(tmp_path))
    divided = manifest.with_splits({"s0000": "train", "s0003": "test"})
    assert [sample.split for sample in divided.samples] == ["train", None, None, "test"]
    assert [sample.id for sample in divided.split("test")] == ["s0003"]
    assert divided.split("val") == ()
    assert divided.content_hash != manifest.content_hash
    with pytest.raises(DatasetError, match="1 ids are not in this data set: s9"):
        manifest.with_splits({"s9": "train"})
    with pytest.raises(DatasetError, match="there is no split 'dev'"):
        manifest.with_splits({"s0000": "dev"})  # type: ignore[dict-item]
    with pytest.raises(DatasetError, match="there is no split 'tset'; did you mean 'test'"):
        manifest.split("tset")  # type: ignore[arg-type]


def test_content_hash_follows_content_not_place(tmp_path: Path) -> None:
    manifest = read_dataset(dataset(tmp_path / "here"))
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    moved = read_dataset(tmp_path / "there")
    assert moved.content_hash == manifest.content_hash
    assert read_dataset(tmp_path / "here", classes=["x", "y"]).content_hash != manifest.content_hash
    save(tmp_path / "there" / "images" / "s0001.png", np.zeros((4, 6, 3)))
    assert read_dataset(tmp_path / "there").content_hash != manifest.content_hash


def test_written_manifests_read_the_same(tmp_path: Path) -> None:
    manifest = read_dataset(dataset(tmp_path / "d", 5), classes={"skin": 0, "lesion": 255}, tolerance=2)
    manifest = manifest.with_splits({"s0000": "train"})
    path = tmp_path / "out" / "manifest.json"
    manifest.write(path)
    assert Manifest.read(path) == manifest
    assert read_dataset(path) == manifest
    assert read_dataset(path).content_hash == manifest.content_hash
    assert sum('"id": "s000' in line for line in path.read_text().splitlines()) == 5  # a sample a line
    assert [item.name for item in path.parent.iterdir()] == ["manifest.json"]  # nothing temporary is left


def test_written_colour_and_multilabel_manifests(tmp_path: Path) -> None:
    for kind in ("fire", "water"):
        save(tmp_path / "masks" / kind / "a.png", np.full((2, 2), 255))
    save(tmp_path / "images" / "a.png", np.zeros((2, 2, 3)))
    save(tmp_path / "images" / "b.png", np.ones((2, 2, 3)))
    manifest = read_dataset(tmp_path, task="multilabel", missing_is_absent=True)
    assert manifest.samples[1].mask == ("", "")
    manifest.write(tmp_path / "m.json")
    assert read_dataset(tmp_path / "m.json") == manifest
    save(tmp_path / "masks" / "water" / "a.png", np.zeros((2, 2)))
    assert "1 file has changed since the manifest was written: masks/fire/a.png or masks/water/a.png" in error(
        tmp_path / "m.json"
    )


def test_reopening_checks_the_files(tmp_path: Path) -> None:
    root = dataset(tmp_path / "d")
    path = tmp_path / "m.json"
    read_dataset(root).write(path)
    assert "the manifest decides format and options already; leave out format, tolerance" in error(
        path, "folder", tolerance=3
    )
    os.utime(root / "images" / "s0001.png", ns=(1, 1))  # touched, but the same bytes
    assert len(read_dataset(path)) == 4
    save(root / "images" / "s0001.png", np.zeros((4, 6, 3)))
    assert "1 file has changed since the manifest was written: images/s0001.png" in error(path)
    assert len(read_dataset(path, verify=False)) == 4
    (root / "masks" / "s0002.png").unlink()
    assert "1 file of the manifest is gone" in error(path)
    assert "masks/s0002.png" in error(path, verify=False)
    shutil.rmtree(root)
    assert "is not there any more" in error(path)


def test_damaged_manifests(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    read_dataset(dataset(tmp_path / "d")).write(path)
    text = path.read_text()
    path.write_text(text[: len(text) // 2])
    with pytest.raises(
        DatasetError, match=r"m.json: expected a manifest, got damaged JSON: .* at line \d+, column \d+"
    ):
        Manifest.read(path)
    path.write_text(text.replace('"segbench_manifest": 1', '"segbench_manifest": 99'))
    with pytest.raises(DatasetError, match="of version 99, this segbench reads version 1"):
        Manifest.read(path)
    plain = json.loads(text)
    del plain["samples"][0]["height"]
    path.write_text(json.dumps(plain))
    with pytest.raises(DatasetError, match=r"the manifest is damaged \(TypeError: .*'height'"):
        Manifest.read(path)
    plain = json.loads(text)
    plain["samples"][0]["split"] = "dev"
    path.write_text(json.dumps(plain))
    with pytest.raises(DatasetError, match="there is no split 'dev'"):
        Manifest.read(path)
    plain["samples"] = [{**plain["samples"][0], "split": None}] * 2
    path.write_text(json.dumps(plain))
    with pytest.raises(DatasetError, match="duplicate ids: s0000"):
        Manifest.read(path)
    with pytest.raises(DatasetError, match="expected a data set's folder or a manifest"):
        Manifest.read(tmp_path / "none.json")


def test_a_sample_that_changed_is_refused(tmp_path: Path) -> None:
    manifest = read_dataset(dataset(tmp_path))
    kept = (tmp_path / "masks" / "s0000.png").read_bytes()
    save(tmp_path / "masks" / "s0000.png", np.zeros((4, 6)))  # the same size, other labels
    message = r"masks/s0000\.png: the file has changed since the manifest was made.*read the data set again"
    with pytest.raises(DatasetError, match=message):
        load_sample(manifest, manifest.samples[0])
    (tmp_path / "masks" / "s0000.png").write_bytes(kept)
    load_sample(manifest, manifest.samples[0])
    save(tmp_path / "images" / "s0000.png", np.zeros((4, 6, 3)))
    with pytest.raises(DatasetError, match=r"images/s0000\.png: the file has changed"):
        load_sample(manifest, manifest.samples[0])
    (tmp_path / "images" / "s0000.png").unlink()
    with pytest.raises(DatasetError, match=r"images/s0000\.png: there is no such file"):
        load_sample(manifest, manifest.samples[0])


def test_a_multilabel_sample_that_changed_is_refused(tmp_path: Path) -> None:
    for kind in ("fire", "water"):
        save(tmp_path / "masks" / kind / "a.png", np.full((2, 2), 255))
    save(tmp_path / "images" / "a.png", np.zeros((2, 2, 3)))
    manifest = read_dataset(tmp_path, task="multilabel")
    assert load_sample(manifest, manifest.samples[0])[1].all()
    save(tmp_path / "masks" / "water" / "a.png", np.zeros((2, 2)))
    with pytest.raises(DatasetError, match=r"a file of masks/fire/a\.png, masks/water/a\.png has changed since"):
        load_sample(manifest, manifest.samples[0])


def test_manifests_are_json_files(tmp_path: Path) -> None:
    manifest = read_dataset(dataset(tmp_path / "d"))
    with pytest.raises(DatasetError, match=r"m\.yaml: expected a name that ends in \.json") as caught:
        manifest.write(tmp_path / "m.yaml")
    assert not (tmp_path / "m.yaml").exists()
    assert caught.value.path.endswith("m.yaml")
    manifest.write(tmp_path / "M.JSON")
    assert read_dataset(tmp_path / "M.JSON") == manifest


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("kind", ["images", "masks"])
def test_dangling_links_are_named(tmp_path: Path, kind: str, verify: bool) -> None:
    dataset(tmp_path)
    path = tmp_path / kind / "s0001.png"
    path.unlink()
    path.symlink_to("../elsewhere/s0001.png")
    message = error(tmp_path, verify=verify, classes={"a": 0, "b": 255})
    assert f"{kind}/s0001.png: a link to ../elsewhere/s0001.png, which is not there" in message


def test_dangling_links_without_partner_are_counted(tmp_path: Path) -> None:
    dataset(tmp_path)
    (tmp_path / "images" / "extra.png").symlink_to("gone.png")
    assert "1 of 5 images have no mask: extra" in error(tmp_path)


def test_notebook_table(tmp_path: Path) -> None:
    manifest = read_dataset(dataset(tmp_path / "a<b"))
    table = manifest._repr_html_()
    assert "<td>4 (not divided yet)</td>" in table
    assert "&nbsp;background, " in table
    assert "&nbsp;foreground</td>" in table
    assert "4 x 6 pixels" in table
    assert "a&lt;b" in table
    assert "train 1, val 0, test 0" in manifest.with_splits({"s0000": "train"})._repr_html_()


@pytest.mark.data
def test_remembered_real_facts_equal_fresh_ones(real_data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGBENCH_CACHE", str(tmp_path))
    root = real_data("oxford_pets_catdog")
    fresh, remembered = read_dataset(root), read_dataset(root)
    assert fresh == remembered
    assert index.read_dataset(root, classes=["background", "cat", "dog"], ignore=[255]).samples == fresh.samples
