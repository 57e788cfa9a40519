"""Open Images: a mask file an object, names from a table, sizes that differ."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.data.formats._draw import draw, labels, parts, put

from segbench.data.formats import recognise
from segbench.data.formats.open_images import open_images
from segbench.data.manifest.read import read_dataset
from segbench.errors import DatasetError

RealData = Callable[[str], Path]
HEADER = "MaskPath,ImageID,LabelName,BoxID\n"
TABLE = "train-annotations-object-segmentation.csv"


def make(root: Path) -> Path:
    for name in "ab":
        draw(root / "images" / "train" / f"{name}.jpg", 40, (1, 4))
    draw(root / "masks" / "train" / "a_m1_1.png", [[0, 255, 255, 0]])
    draw(root / "masks" / "train" / "a_m2_2.png", [[0, 0, 255, 0]])
    put(root / "annotations" / TABLE, HEADER + "a_m1_1.png,a,/m/1,1\na_m2_2.png,a,/m/2,2\n")
    put(root / "annotations" / "class-descriptions.csv", "/m/1,Person\n/m/2,Hat\n")
    return root


def test_objects_become_classes_and_the_smaller_lies_on_top(tmp_path: Path) -> None:
    manifest = read_dataset(make(tmp_path), "open_images")
    assert parts(manifest) == {"a": "train"}
    assert manifest.class_map.names == ("background", "Hat", "Person")
    assert labels(manifest, "a").tolist() == [[0, 2, 1, 0]]
    assert any("1 image is not in the tables" in note and "images/train/b.jpg" in note for note in manifest.notes)
    assert recognise(tmp_path) == {"open_images": f"Open Images (annotations/{TABLE}, masks/)"}


def test_masks_of_another_size_or_lost_ones_are_defects(tmp_path: Path) -> None:
    draw(make(tmp_path) / "masks" / "train" / "a_m1_1.png", [[0, 255]])
    (tmp_path / "masks" / "train" / "a_m2_2.png").unlink()
    with pytest.raises(
        DatasetError, match=r"the mask a_m1_1.png is \(1, 2\) pixels \(height, width\), its image \(1, 4\)"
    ):
        open_images(tmp_path)
    put(
        tmp_path / "annotations" / TABLE,
        HEADER + "a_m1_1.png,a,/m/1,1\na_m2_2.png,a,/m/2,2\na3.png,b,/m/2,3\nx.png,x,/m/1,4\n",
    )
    draw(tmp_path / "masks" / "a3.png", [[255, 0, 0, 0]])
    listing = open_images(tmp_path, defects="skip")
    assert sorted(defect.code for defect in listing.defects) == ["no_image", "no_image", "wrong_size"]
    assert [entry.id for entry in listing.entries] == ["b"]  # what a misses would count as background


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (TABLE, "MaskPath,Image\n", rf"{TABLE}: expected a column ImageID, got the columns MaskPath, Image"),
        (TABLE, HEADER + "a.png,a\n", r"line 2: expected 4 cells \(MaskPath, ImageID, LabelName, BoxID\), got 2"),
        (TABLE, HEADER, r"the tables have no rows"),
        (TABLE, HEADER + "x.png,x,/m/1,1\n", r"the one image .* \(x\)"),
        ("class-descriptions.csv", "/m/1\n", r"class-descriptions.csv: line 1: expected LABEL,NAME"),
    ],
)
def test_damaged_tables(tmp_path: Path, name: str, text: str, message: str) -> None:
    put(make(tmp_path) / "annotations" / name, text)
    with pytest.raises(DatasetError, match=message):
        open_images(tmp_path)


@pytest.mark.data
def test_made_up_open_images(real_data: RealData) -> None:
    root = real_data("format_fixtures") / "open_images_dataset"
    manifest = read_dataset(root / "v6", "open_images")
    assert parts(manifest) == {"b": "train"}
    assert manifest.class_map.names == ("background", "Generic label #0")
    assert sorted(labels(manifest, "b").ravel()) == [0] * 12 + [1] * 4
    assert recognise(root / "v5") == {}  # boxes only


def test_files_of_the_tables_part_are_taken(tmp_path: Path) -> None:
    root = make(tmp_path)
    draw(root / "images" / "validation" / "a.jpg", 90, (1, 4))
    draw(root / "masks" / "validation" / "a_m1_1.png", [[255, 0, 0, 0]])
    (entry,) = open_images(root).entries
    assert (entry.split, entry.image) == ("train", root / "images" / "train" / "a.jpg")
    assert labels(read_dataset(root, "open_images"), "a").tolist() == [[0, 2, 1, 0]]
    draw(root / "images" / "train" / "more" / "a.jpg", 90, (1, 4))
    with pytest.raises(DatasetError, match=r"'a' could be 2 files \(train/a\.jpg, train/more/a\.jpg\)"):
        open_images(root)
