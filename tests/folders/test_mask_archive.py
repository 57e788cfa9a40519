"""Predicted masks in one file: what is written is read, and damage is told."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from segbench.errors import RunError
from segbench.folders.mask_archive import MaskArchive, save_masks, write_masks


def test_write_then_read_gives_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    masks = {f"scene/{n}": rng.integers(0, 7, (5 + n, 9), dtype=np.uint8) for n in range(3)}
    masks["planes"] = rng.integers(0, 2, (4, 6, 5), dtype=np.uint8)
    file = tmp_path / "predicted_test.zip"
    save_masks(file, masks.items())
    archive = MaskArchive(file)
    assert archive.ids == tuple(masks)
    for name, mask in masks.items():
        assert name in archive
        np.testing.assert_array_equal(archive.read(name), mask)
    assert "other" not in archive


def test_a_failed_writer_leaves_nothing(tmp_path: Path) -> None:
    file = tmp_path / "m.zip"

    def interrupted() -> None:
        with write_masks(file) as writer:
            writer.add("a", np.zeros((2, 2), np.uint8))
            raise KeyError("killed")

    with pytest.raises(KeyError):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_damage_is_told(tmp_path: Path) -> None:
    file = tmp_path / "m.zip"
    with pytest.raises(RunError, match=r"there is no m.zip: the run is not finished, .*segbench evaluate"):
        MaskArchive(file)
    file.write_bytes(b"PK nothing")
    with pytest.raises(RunError, match=r"m\.zip is damaged"):
        MaskArchive(file)
    save_masks(file, [("a", np.zeros((2, 2), np.uint8))])
    archive = MaskArchive(file)
    with pytest.raises(RunError, match="has no mask of the image 'b'"):
        archive.read("b")
    with zipfile.ZipFile(file, "w") as broken:
        broken.writestr("index.json", '{"ids": ["a"], "planes": [0]}')
    with pytest.raises(RunError, match=r"m\.zip is damaged"):
        MaskArchive(file).read("a")


def test_one_image_twice_is_our_bug(tmp_path: Path) -> None:
    mask = np.zeros((2, 2), np.uint8)
    with pytest.raises(ValueError, match="occurs twice"):
        save_masks(tmp_path / "m.zip", [("a", mask), ("a", mask)])


@pytest.mark.parametrize(
    ("index", "told"),
    [
        ('{"segbench_masks": 1}', "is damaged .index.json does not list images and their planes"),
        ('{"segbench_masks": 1, "ids": ["a"], "planes": []}', "does not list images and their planes"),
        ('{"segbench_masks": 1, "ids": [3], "planes": [0]}', "holds something else than names and numbers"),
        ("[]", "is damaged"),
        ('{"segbench_masks": 2, "images": {}}', "has version 2, and this segbench reads 1"),
    ],
)
def test_an_index_that_is_none_is_told(tmp_path: Path, index: str, told: str) -> None:
    file = tmp_path / "m.zip"
    with zipfile.ZipFile(file, "w") as broken:
        broken.writestr("index.json", index)
    with pytest.raises(RunError, match=rf"m\.zip .*{told}|m\.zip {told}"):
        MaskArchive(file)


def test_flipped_bytes_are_damage(tmp_path: Path) -> None:
    file = tmp_path / "m.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("index.json", '{"segbench_masks": 1, "ids": ["a"], "planes": [0]}')
        archive.writestr("000000.png", bytes(1000))
        start = archive.getinfo("000000.png").header_offset + 30 + len("000000.png")
    whole = bytearray(file.read_bytes())
    whole[start] ^= 0xFF
    file.write_bytes(whole)
    with pytest.raises(RunError, match=r"m\.zip is damaged"):
        MaskArchive(file).read("a")
