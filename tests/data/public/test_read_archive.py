"""A data set may be given as the archive it came in."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from segbench.data.manifest.read import read_dataset
from segbench.data.sources.load import load_sample
from segbench.errors import DatasetError


def test_a_data_set_is_read_from_its_archive(tmp_path: Path, binary_pairs: Path) -> None:
    path = tmp_path / "pairs.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(binary_pairs.rglob("*.png")):
            archive.write(file, f"pairs/{file.relative_to(binary_pairs).as_posix()}")
    packed, plain = read_dataset(path), read_dataset(binary_pairs)
    assert packed.content_hash == plain.content_hash
    assert load_sample(packed, packed.samples[0])[0].shape == load_sample(plain, plain.samples[0])[0].shape
    with pytest.raises(DatasetError, match="no such file"):
        read_dataset(tmp_path / "absent.zip")
