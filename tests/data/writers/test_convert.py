"""Conversion there and back: every format gives every pixel back, and what does not is said."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_dataset
from segbench.data.samples.shard_writer import write_shards
from segbench.data.sources.load import load_sample
from segbench.data.writers import WRITERS, WriteOptions
from segbench.data.writers import common as _common
from segbench.data.writers import convert as module
from segbench.data.writers.convert import convert
from segbench.errors import DatasetError
from segbench.types import SPLITS, Task

RUN_LENGTHS = [("coco", True), ("cvat", True), ("labelstudio", True)]
EVERY = [*((name, False) for name in WRITERS.names()), *RUN_LENGTHS]


def make(folder: Path, *, values: int, parts: bool = False, ignore: bool = False) -> Path:
    """Writes six noisy pairs with holes, islands and single pixels."""
    rng = np.random.default_rng(3)
    for number in range(6):
        part = folder / SPLITS[number % 3] if parts else folder
        for name in ("images", "masks"):
            (part / name).mkdir(parents=True, exist_ok=True)
        coarse = rng.integers(0, values, (9, 7), dtype=np.uint8)
        mask = np.kron(coarse, np.ones((4, 5), dtype=np.uint8))
        mask[rng.random(mask.shape) < 0.05] = values - 1
        if ignore:
            mask[rng.random(mask.shape) < 0.1] = 255
        Image.fromarray(rng.integers(0, 256, (*mask.shape, 3), dtype=np.uint8)).save(part / "images" / f"i{number}.png")
        Image.fromarray(mask).save(part / "masks" / f"i{number}.png")
    return folder


@pytest.mark.parametrize(("to", "rle"), EVERY)
@pytest.mark.parametrize(
    ("options", "values"),
    [
        ({"classes": ["sky", "tree", "dog"], "background": "sky", "ignore": [255]}, 3),
        ({"classes": ["sky", "tree", "dog", "never"], "background": False, "ignore": [255]}, 3),
        ({"classes": {"spot": 1, "skin": 0}, "ignore": [255]}, 2),
        ({"classes": {"spot": 0, "rest": 1, "edge": 2}, "background": "rest", "ignore": [255]}, 3),
    ],
    ids=["background first", "no background", "binary", "background second"],
)
@pytest.mark.slow
def test_every_pixel_comes_back(tmp_path: Path, to: str, rle: bool, options: dict[str, Any], values: int) -> None:
    manifest = read_dataset(make(tmp_path / "in", values=values, parts=True, ignore=True), "folder", **options)
    report = convert(manifest, to, tmp_path / "out", options=WriteOptions(rle=rle))
    assert report.identical
    assert not report.worst
    again = read_dataset(tmp_path / "out", to, **report.written.options)
    assert [len(again.split(split)) for split in SPLITS] == [2, 2, 2]
    found = {sample.image: sample for sample in again.samples}
    for sample in manifest.samples:
        other = found[report.written.images[sample.id]]
        assert other.split == sample.split
        for before, after in zip(load_sample(manifest, sample), load_sample(again, other), strict=True):
            assert np.array_equal(before, after)


@pytest.mark.parametrize("to", [name for name in WRITERS.names() if name != "voc"])
def test_classes_may_overlap(tmp_path: Path, multilabel_pairs: Path, to: str) -> None:
    manifest = read_dataset(multilabel_pairs, "folder", task="multilabel")
    manifest = replace(manifest, samples=manifest.samples[:5])
    report = convert(manifest, to, tmp_path / "out")
    assert report.identical
    assert read_dataset(tmp_path / "out", to, **report.written.options).class_map.task is Task.MULTILABEL


def test_simplified_polygons_say_what_they_changed(tmp_path: Path) -> None:
    rows, columns = np.mgrid[:290, :320]
    for name in ("images", "masks"):
        (tmp_path / "in" / name).mkdir(parents=True)
    for number in range(2):
        mask = (np.hypot(rows - 140, columns - 150 - 9 * number) < 120).astype(np.uint8)
        Image.fromarray(mask * 90).convert("RGB").save(tmp_path / "in" / "images" / f"{number}.png")
        Image.fromarray(mask * 255).save(tmp_path / "in" / "masks" / f"{number}.png")
    manifest = read_dataset(tmp_path / "in", "folder")
    report = convert(manifest, "via", tmp_path / "auto", options=WriteOptions(simplify="auto"))
    spot = report.changes[1]
    assert not report.identical
    assert 0.99 <= spot.lowest_iou <= spot.mean_iou < 1.0
    assert spot.changed > 0
    assert not report.worst
    rough = convert(manifest, "via", tmp_path / "rough", options=WriteOptions(simplify=20.0))
    assert list(rough.worst) == sorted(rough.worst, key=lambda name: rough.worst[name])
    assert set(rough.worst) == {"0", "1"}
    assert rough.changes[1].changed > spot.changed


def test_a_lossless_format_that_loses_is_an_error(
    tmp_path: Path, binary_pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = read_dataset(binary_pairs, "folder")
    load = load_sample

    def other(read: Manifest, sample: Any) -> Any:
        image, labels = load(read, sample)
        return image, labels if read is manifest or sample.id != "img_003" else 1 - labels

    monkeypatch.setattr(module, "load_sample", other)
    with pytest.raises(
        DatasetError, match=r"should give every pixel back, but background, foreground changed in img_003"
    ):
        convert(manifest, "coco", tmp_path / "out")


def test_parts_are_kept_or_dropped(tmp_path: Path) -> None:
    manifest = read_dataset(make(tmp_path / "in", values=3, parts=True), "folder")
    some = replace(manifest, samples=(*manifest.samples[:5], replace(manifest.samples[5], split=None)))
    report = convert(some, "coco", tmp_path / "kept")
    assert len(report.written.images) == 5
    assert any("1 sample belongs to no part and was left out (val/i4)" in note for note in report.written.notes)
    report = convert(some, "coco", tmp_path / "dropped", split="drop")
    assert len(report.written.images) == 6
    again = read_dataset(tmp_path / "dropped", "coco", **report.written.options)
    assert {sample.split for sample in again.samples} == {None}


def test_deep_images_stay_deep_in_a_folder_only(tmp_path: Path) -> None:
    make(tmp_path / "in", values=2)
    for path in (tmp_path / "in" / "images").glob("*.png"):
        deep = np.random.default_rng(0).integers(0, 4000, (36, 35), dtype=np.uint16)
        Image.fromarray(deep).save(path)
    manifest = read_dataset(tmp_path / "in", "folder", depth_range=[0, 4000])
    for to in ("folder", "coco"):
        report = convert(manifest, to, tmp_path / to)
        again = read_dataset(tmp_path / to, to, **report.written.options)
        for one, other in zip(manifest.samples, again.samples, strict=True):
            assert np.array_equal(load_sample(manifest, one)[0], load_sample(again, other)[0])
    assert any("8 bit" in note for note in report.written.notes)


def test_without_images_nothing_is_read_back(tmp_path: Path, binary_pairs: Path) -> None:
    report = convert(read_dataset(binary_pairs, "folder"), "coco", tmp_path / "o", options=WriteOptions(images="none"))
    assert not report.verified
    assert not report.identical
    assert any("not read back" in note for note in report.written.notes)


def test_the_new_folder_lies_outside_of_the_old(tmp_path: Path) -> None:
    manifest = read_dataset(make(tmp_path / "in", values=2), "folder")
    for target in (tmp_path / "in" / "out", tmp_path):
        with pytest.raises(DatasetError, match="neither in the data set's own nor around it"):
            convert(manifest, "coco", target, overwrite=True)


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "reader"), [("ph2", "ph2"), ("oxford_pets", "oxford_pets"), ("camvid", "camvid"), ("coco_tiny", "coco")]
)
def test_real_data_comes_back(real_data: Callable[[str], Path], tmp_path: Path, name: str, reader: str) -> None:
    manifest = read_dataset(real_data(name), reader, verify=False)
    few = replace(manifest, samples=manifest.samples[:: len(manifest) // 3])
    for to in WRITERS.names():
        assert convert(few, to, tmp_path / to, options=WriteOptions(images="copy")).identical, to


@pytest.mark.parametrize(
    ("to", "name"),
    [
        *((to, "a\\b") for to in ("coco", "cvat", "via")),
        ("cvat", "a\1b"),
        ("voc", "#a"),
        ("voc", '"a"'),
        ("voc", "a\nb"),
    ],
)
def test_names_that_a_format_cannot_hold_are_refused_before_writing(tmp_path: Path, to: str, name: str) -> None:
    data = make(tmp_path / "in", values=2)
    for folder in ("images", "masks"):
        (data / folder / "i3.png").rename(data / folder / f"{name}.png")
    manifest = read_dataset(data, "folder")
    with pytest.raises(DatasetError, match=f"{to} cannot hold 1 of the images' names: {re.escape(repr(name))}"):
        convert(manifest, to, tmp_path / "new" / "out")
    assert not (tmp_path / "new").exists()
    assert convert(manifest, "folder", tmp_path / "out").identical


@pytest.mark.parametrize("to", WRITERS.names())
def test_shards_are_written_as_the_pixels_they_hold(tmp_path: Path, to: str) -> None:
    manifest = read_dataset(make(tmp_path / "in", values=3, parts=True), "folder", classes=["sky", "tree", "dog"])
    shards = write_shards(manifest, tmp_path / "shards", size=(18, 20)).manifest
    report = convert(shards, to, tmp_path / "out")
    assert report.identical
    assert "images were written as PNG, with the pixels that the shards hold" in report.written.notes
    file = tmp_path / "out" / report.written.images[shards.samples[0].id]
    assert np.array_equal(np.asarray(Image.open(file)), load_sample(shards, shards.samples[0])[0])
    alone = convert(shards, to, tmp_path / "alone", options=WriteOptions(images="none"))
    assert not alone.verified


def test_speckle_is_written_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_common, "_MANY", 100)
    manifest = read_dataset(make(tmp_path / "few", values=2), "folder")
    assert not convert(manifest, "coco", tmp_path / "few_coco").written.notes
    rng = np.random.default_rng(0)
    for name, array in (("images", rng.integers(0, 256, (40, 50, 3))), ("masks", rng.random((40, 50)) < 0.3)):
        (tmp_path / "in" / name).mkdir(parents=True)
        Image.fromarray(array.astype(np.uint8)).save(tmp_path / "in" / name / "a.png")
    report = convert(read_dataset(tmp_path / "in", "folder"), "coco", tmp_path / "out")
    assert report.identical
    assert report.written.regions > 100
    assert report.written.notes[0].startswith("1 images have more than 100 regions; a format of masks")
