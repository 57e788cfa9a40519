"""Masks drawn from annotation files: kept, mended, told about."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_dataset
from segbench.data.shapes.store import DrawingStore
from segbench.data.sources.load import load_sample
from segbench.errors import DatasetError


def via(root: Path, side: int = 10, orientation: int | None = None) -> Path:
    content = {}
    for name in ("a.jpg", "b.jpg"):
        picture = Image.fromarray(np.full((40, 60, 3), 90, dtype=np.uint8))
        exif = Image.Exif()
        if orientation is not None:
            exif[0x0112] = orientation
        picture.save(root / name, exif=exif)
        shape = {"name": "rect", "x": 5, "y": 5, "width": side, "height": side}
        regions = [{"shape_attributes": shape, "region_attributes": {"kind": "leaf"}}]
        content[name] = {"filename": name, "size": 1, "regions": regions, "file_attributes": {}}
    (root / "via_region_data.json").write_text(json.dumps(content))
    return root


def test_a_sample_is_drawn_from_the_store_and_without_it(tmp_path: Path) -> None:
    manifest = read_dataset(via(tmp_path), "via")
    store = DrawingStore(manifest.root)
    mask = load_sample(manifest, manifest.samples[0])[1]
    assert mask.sum() == 100
    store.path.unlink()
    assert np.array_equal(load_sample(manifest, manifest.samples[0])[1], mask)
    assert store.path.is_file()


@pytest.mark.parametrize("damage", ["row", "file"])
def test_a_damaged_store_is_filled_anew(tmp_path: Path, damage: str) -> None:
    manifest = read_dataset(via(tmp_path), "via")
    store = DrawingStore(manifest.root)
    if damage == "row":
        with closing(sqlite3.connect(store.path)) as connection, connection:
            connection.execute("UPDATE drawings SET body = x'00ff'")
    else:
        store.path.write_bytes(b"garbage" * 400)
    assert load_sample(manifest, manifest.samples[0])[1].sum() == 100
    assert store.get(manifest.samples[0].mask_hash) is not None
    assert read_dataset(tmp_path, "via").notes == manifest.notes


def test_changed_shapes_are_another_sample(tmp_path: Path) -> None:
    before = read_dataset(via(tmp_path), "via")
    before.write(tmp_path / "old.json")
    after = read_dataset(via(tmp_path, side=12), "via")
    assert after.content_hash != before.content_hash
    assert load_sample(after, after.samples[0])[1].sum() == 144
    with pytest.raises(DatasetError, match="2 files have changed since the manifest was written"):
        read_dataset(tmp_path / "old.json")


def test_a_manifest_with_drawn_masks_comes_back(tmp_path: Path) -> None:
    manifest = read_dataset(via(tmp_path), "via")
    manifest.write(tmp_path / "m.json")
    again = Manifest.read(tmp_path / "m.json")
    assert again.samples == manifest.samples
    assert again.content_hash == manifest.content_hash
    assert again.mask_paths(again.samples[0]) == (manifest.root / "via_region_data.json",)
    assert read_dataset(tmp_path / "m.json").samples == manifest.samples


def test_turned_images_are_told(tmp_path: Path) -> None:
    notes = read_dataset(via(tmp_path, orientation=3), "via").notes
    assert any("2 images have an EXIF orientation" in note for note in notes)


def test_an_image_whose_shapes_do_not_fit_is_left_out_where_that_was_agreed(tmp_path: Path) -> None:
    root = via(tmp_path)
    path = root / "via_region_data.json"
    content = json.loads(path.read_text())
    content["b.jpg"]["regions"][0]["shape_attributes"]["x"] = 900  # the file has no sizes, so that it is found late
    path.write_text(json.dumps(content))
    with pytest.raises(
        DatasetError, match=r"via_region_data.json: b.jpg: .* far outside .*leave such images out .*defects: skip"
    ):
        read_dataset(root, "via")
    for verify in (True, False):
        manifest = read_dataset(root, "via", defects="skip", verify=verify)
        assert [sample.id for sample in manifest.samples] == ["a"]
        assert any("1 image was left out, since its shapes do not fit: b.jpg" in note for note in manifest.notes)
    content["a.jpg"]["regions"][0]["shape_attributes"]["x"] = 900
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=r"2 files of 2 image/mask pairs cannot be used"):
        read_dataset(root, "via", defects="skip")
