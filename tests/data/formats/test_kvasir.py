"""Kvasir-SEG: JPEG masks, lists that may be there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.data.formats._draw import draw, labels, parts, put

from segbench.data.formats import recognise
from segbench.data.formats.kvasir import kvasir
from segbench.data.manifest.read import read_dataset
from segbench.errors import ConfigError, DatasetError

RealData = Callable[[str], Path]
NAMES = [f"cju0qkwl35piu0993l0dewei{number}" for number in range(3)]


def make(root: Path) -> Path:
    mask = np.zeros((16, 16), np.uint8)
    mask[3:9, 5:] = 255
    for name in NAMES:
        draw(root / "images" / f"{name}.jpg", 40, (16, 16))
        draw(root / "masks" / f"{name}.jpg", mask)
    return root


def test_blurred_values_are_taken_as_the_nearest_and_counted(tmp_path: Path) -> None:
    root = make(tmp_path / "Kvasir-SEG")
    manifest = read_dataset(tmp_path, "kvasir")
    assert manifest.tolerance == 127
    assert labels(manifest, NAMES[0]).sum() == pytest.approx(66, abs=3)
    assert any("tolerance 127:" in note and "were taken as the nearest class value" in note for note in manifest.notes)
    assert list(recognise(root)) == list(recognise(tmp_path)) == ["kvasir"]
    with pytest.raises(ConfigError, match="expected a whole number from 0 to 127, or nearest, got 128"):
        kvasir(root, tolerance=128)


def test_lists_of_parts(tmp_path: Path) -> None:
    root = make(tmp_path)
    put(root / "train.txt", f"{NAMES[0]}\n")
    put(root / "val.txt", f"{NAMES[1]}.jpg\ngone\n")
    listing = kvasir(root)
    assert {entry.id: entry.split for entry in listing.entries} == {NAMES[0]: "train", NAMES[1]: "val", NAMES[2]: None}
    assert listing.notes == ("1 names in the lists have no image: gone",)
    put(root / "val.txt", f"{NAMES[1]}\n{NAMES[0]}\n")
    with pytest.raises(DatasetError, match=rf"val.txt: line 2: '{NAMES[0]}' is in another list already"):
        kvasir(root)


def test_missing_files(tmp_path: Path) -> None:
    (make(tmp_path) / "masks" / f"{NAMES[0]}.jpg").unlink()
    with pytest.raises(DatasetError, match=r"1 of 3 images have no mask"):
        kvasir(tmp_path)
    assert len(kvasir(tmp_path, unpaired="skip").entries) == 2
    (tmp_path / "masks").rename(tmp_path / "mask")
    with pytest.raises(DatasetError, match=r"no 'masks' in this folder; did you mean 'mask'"):
        kvasir(tmp_path)


@pytest.mark.data
def test_real_kvasir(real_data: RealData) -> None:
    manifest = read_dataset(real_data("kvasir_jpegmask"), "kvasir")
    assert parts(manifest) == dict.fromkeys(sorted(sample.id for sample in manifest.samples))
    assert len(manifest) == 3
    assert any("tolerance 127: 15482 mask pixels" in note for note in manifest.notes)
    assert all(set(np.unique(labels(manifest, sample.id))) == {0, 1} for sample in manifest.samples)
