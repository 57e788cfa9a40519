"""Run lengths in a table: both orders, several ways of naming columns, and a message for each mistake."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.data.formats._draw import draw, labels, put

from segbench.data.formats import recognise
from segbench.data.formats.kaggle_rle import kaggle_rle
from segbench.data.manifest.read import read_dataset
from segbench.errors import DatasetError
from segbench.types import Task


def make(root: Path, table: str, names: str = "ab", name: str = "train.csv") -> Path:
    for letter in names:
        draw(root / "train_images" / f"{letter}.jpg", 40, (3, 4))
    put(root / name, table)
    return root


def runs(mask: np.ndarray, order: str = "F") -> str:
    """Encodes a mask as the competitions' published function does."""
    flat = np.concatenate([[0], mask.ravel(order=order), [0]])
    ends = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    ends[1::2] -= ends[0::2]
    return " ".join(map(str, ends))


MASK = np.array([[0, 1, 1, 0], [0, 1, 0, 0], [1, 0, 0, 1]], np.uint8)


@pytest.mark.parametrize("empty", ["", "-1", "NaN"])
def test_a_binary_table(tmp_path: Path, empty: str) -> None:
    root = make(tmp_path, f"ImageId,EncodedPixels\na.jpg,{runs(MASK)}\nb.jpg,{empty}\n")
    manifest = read_dataset(root, "kaggle_rle")
    assert (manifest.class_map.task, manifest.class_map.names) == (Task.BINARY, ("background", "foreground"))
    assert np.array_equal(labels(manifest, "a"), MASK)
    assert not labels(manifest, "b").any()
    assert recognise(root) == {"kaggle_rle": "run lengths in a table (train.csv)"}


def test_rows_of_objects_rows_of_classes_and_joined_names(tmp_path: Path) -> None:
    first, second = np.zeros((3, 4), np.uint8), np.zeros((3, 4), np.uint8)
    first[0, :2], second[2, 1:] = 1, 1
    expected = first * 1 + second * 2
    tables = {
        "classes": f"image_id,class_id,rle\na,1,{runs(first)}\na,2,{runs(second)}\n",
        "joined": f"ImageId_ClassId,EncodedPixels\na.jpg_1,{runs(first)}\na.jpg_2,{runs(second)}\nb.jpg_1,\nb.jpg_2,\n",
    }
    for name, table in tables.items():
        manifest = read_dataset(make(tmp_path / name, table), "kaggle_rle")
        assert manifest.class_map.names == ("background", "1", "2")
        assert np.array_equal(labels(manifest, "a"), expected)
    objects = make(tmp_path / "objects", f"id,annotation\na,{runs(first)}\na,{runs(second)}\n")
    assert np.array_equal(labels(read_dataset(objects, "kaggle_rle"), "a"), expected > 0)


def test_row_major_and_columns_by_option(tmp_path: Path) -> None:
    root = make(tmp_path, f"photo,what,runs\na,ship,{runs(MASK, 'C')}\n")
    assert recognise(root) == {}
    with pytest.raises(DatasetError, match=r"expected a table with images and run lengths"):
        kaggle_rle(root)
    manifest = read_dataset(
        root,
        "kaggle_rle",
        annotations="train.csv",
        image_column="photo",
        rle_column="runs",
        class_column="what",
        row_major=True,
    )
    assert manifest.class_map.names == ("background", "ship")
    assert np.array_equal(labels(manifest, "a"), MASK)


def test_submissions_and_masks_are_not_taken(tmp_path: Path) -> None:
    root = make(tmp_path, f"ImageId,EncodedPixels\na,{runs(MASK)}\n", names="a")
    put(root / "sample_submission.csv", "ImageId,EncodedPixels\na,1 1\n")
    draw(root / "train_masks" / "a.png", MASK)
    assert [entry.image.name for entry in kaggle_rle(root).entries] == ["a.jpg"]
    put(root / "more.csv", "ImageId,EncodedPixels\na,1 1\n")
    with pytest.raises(DatasetError, match=r"2 files could be meant \(more.csv, train.csv\)"):
        kaggle_rle(root)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("1 2 3", r"line 2, a: expected pairs START LENGTH, got 3 numbers"),
        ("0 2", r"line 2, a: a run begins at 0; the first pixel is 1"),
        ("11 3", r"the run at 11 ends at 13; the image has 12 pixels"),
        ("1 3 2 2", r"the run at 2 begins before the one in front of it ends \(at 3\)"),
        ("1 0", r"the run at 1 has the length 0"),
        ("1 x", r"expected whole numbers with blanks between, got 'x'"),
        ("1 99999999999999999999", r"the image has 12 pixels"),
    ],
)
def test_damaged_runs(tmp_path: Path, cell: str, message: str) -> None:
    root = make(tmp_path, f"ImageId,EncodedPixels\na,{cell}\nb,1 1\n")
    with pytest.raises(DatasetError, match=message):
        kaggle_rle(root, annotations="train.csv")
    listing = kaggle_rle(root, annotations="train.csv", defects="skip")
    assert [defect.code for defect in listing.defects] == ["bad_rle"]
    assert [entry.id for entry in listing.entries] == ["b"]  # what a misses would count as background


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", r"train.csv: expected a table with a line of column names, got an empty file"),
        ("ImageId,EncodedPixels\n", r"the table has no rows"),
        ("ImageId,Pixels\na,1 1\n", r"expected a column EncodedPixels \(or .*\), got the columns ImageId, Pixels"),
        ("Name,EncodedPixels\na,1 1\n", r"expected a column ImageId \(or .*\), got the columns Name, EncodedPixels"),
        ("ImageId,EncodedPixels\na\n", r"line 2: expected 2 cells \(ImageId, EncodedPixels\), got 1"),
        ('ImageId,EncodedPixels\n"a,1 1\n', r"damaged CSV"),
        ("ImageId,EncodedPixels\n,1 1\n", r"line 2: expected an image's name, got ''"),
        ("ImageId,ClassId,EncodedPixels\na,,1 1\nb,2,1 1\n", r"1 region in 1 image has no class .known are 2"),
        ("ImageId,EncodedPixels\nz,1 1\n", r"the one image that train.csv names .* \(z\)"),
        ("ImageId,EncodedPixels\na,1 1\na.jpg,1 1\n", r"'a.jpg' and 'a' are the same image a.jpg"),
    ],
)
def test_damaged_tables(tmp_path: Path, table: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        kaggle_rle(make(tmp_path, table), annotations="train.csv")


def test_lost_and_unlisted_images(tmp_path: Path) -> None:
    listing = kaggle_rle(make(tmp_path, "ImageId,EncodedPixels\na,1 1\ngone,1 1\n"))
    assert [(defect.code, defect.where) for defect in listing.defects] == [("no_image", "gone")]
    assert "1 image is not in train.csv and was left out: train_images/b.jpg" in listing.notes


def test_the_order_of_pixels_is_told_unless_it_was_given(tmp_path: Path) -> None:
    root = make(tmp_path, "ImageId,EncodedPixels\na,1 1\n")
    assert any("column by column" in note and "row_major=true" in note for note in kaggle_rle(root).notes)
    assert not any("column by column" in note for note in kaggle_rle(root, row_major=True).notes)
