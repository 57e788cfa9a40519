"""The Hub's ImageFolder: damaged rows, files that are not there, and the options."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.data.formats._draw import draw, labels, parts, put

from segbench.data.formats import recognise
from segbench.data.formats.imagefolder import imagefolder
from segbench.data.manifest.read import read_dataset
from segbench.errors import ConfigError, DatasetError

ROWS = [{"file_name": f"i/{name}.png", "mask_file_name": f"m/{name}.png", "city": "Bonn"} for name in "ab"]


def make(root: Path, rows: list[dict[str, object]] | None = None) -> Path:
    for name in "ab":
        draw(root / "i" / f"{name}.png", 40, (1, 3))
        draw(root / "m" / f"{name}.png", [[0, 1, 1]])
    put(root / "metadata.jsonl", "\n".join(json.dumps(row) for row in rows or ROWS))
    return root


def test_classes_of_the_masks_or_of_the_user(tmp_path: Path) -> None:
    make(tmp_path)
    assert read_dataset(tmp_path, "imagefolder").class_map.names == ("background", "foreground")
    manifest = read_dataset(tmp_path, "imagefolder", classes={"a": 0, "b": 1}, background=False, group="^(.)")
    assert manifest.class_map.names == ("a", "b")
    assert labels(manifest, "b").tolist() == [[0, 1, 1]]
    assert parts(manifest) == {"a": None, "b": None}
    put(tmp_path / "id2label.json", '{"0": "sky", "1": "road"}')
    listing = read_dataset(tmp_path, "imagefolder")
    assert listing.class_map.names == ("sky", "road")
    put(tmp_path / "id2label.json", '{"zero": "sky"}')
    assert any("id2label.json was not read as a list of classes" in note for note in imagefolder(tmp_path).notes)


def test_rows_without_a_mask(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [ROWS[0], {"file_name": "i/b.png", "mask_file_name": None}]
    make(tmp_path, rows)
    with pytest.raises(
        DatasetError, match=r"1 of 2 rows name no mask in the column mask_file_name: i/b.png; .*unpaired"
    ):
        imagefolder(tmp_path)
    assert [entry.id for entry in imagefolder(tmp_path, unpaired="skip").entries] == ["a"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"file_name": ', "line 3: damaged JSON"),
        ("[1]", "line 3: expected a mapping from column to value, got"),
        ('{"mask_file_name": "m/a.png"}', "line 3: the row names no image in the column file_name"),
        ('{"file_name": "i/a.png", "mask_file_name": "m/a.png"}', "line 3: a.png is listed twice"),
        ('{"file_name": "i/c.png", "mask_file_name": "m/c.png"}', "2 listed files are not there: c.png, c.png"),
        ('{"file_name": "../x/i/a.png", "mask_file_name": "/etc/m.png"}', "2 listed files are not there: a.png, m.png"),
    ],
)
def test_damaged_rows(tmp_path: Path, row: str, message: str) -> None:
    make(tmp_path / "x")
    with (tmp_path / "x" / "metadata.jsonl").open("a") as file:
        file.write(f"\n{row}\n")
    with pytest.raises(DatasetError, match=message):
        imagefolder(tmp_path / "x")


def test_columns(tmp_path: Path) -> None:
    make(tmp_path)
    with pytest.raises(ConfigError, match=r"in the column 'city'; such columns are file_name, mask_file_name"):
        imagefolder(tmp_path, mask_column="city")
    assert len(imagefolder(tmp_path, image_column="file_name", mask_column="mask_file_name").entries) == 2
    swapped = imagefolder(tmp_path, image_column="mask_file_name", mask_column="file_name")
    assert swapped.entries[0].image.parent.name == "m"
    make(tmp_path, [{"first": "i/a.png", "second": "m/a.png"}])
    with pytest.raises(DatasetError, match=r"2 columns name image files \(first, second\); say .* image_column: first"):
        imagefolder(tmp_path)


def test_other_metadata_is_none(tmp_path: Path) -> None:
    make(tmp_path, [{"file_name": "i/a.png", "text": "a leaf"}])
    assert "imagefolder" not in recognise(tmp_path)
    put(tmp_path / "metadata.jsonl", "not JSON")
    assert "imagefolder" not in recognise(tmp_path)
