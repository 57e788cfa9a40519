"""Pascal VOC's layout: numbers and colours, lists, class lists of CVAT and LabelMe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.data.formats._draw import draw, draw_palette, labels, parts, put

from segbench.data.formats import recognise
from segbench.data.formats.voc.classes import voc_color
from segbench.data.formats.voc.reader import voc
from segbench.data.manifest.read import read_dataset
from segbench.errors import DatasetError
from segbench.types import Task

RealData = Callable[[str], Path]
PALETTE = [voc_color(number) for number in range(256)]
MASK = np.array([[0, 0, 12, 255], [0, 15, 15, 20]], np.uint8)


def make(root: Path, lists: dict[str, str], masks: str = "abc") -> Path:
    for name in "abcd":
        draw(root / "JPEGImages" / f"{name}.jpg", 50, (2, 4))
    for name in masks:
        draw_palette(root / "SegmentationClass" / f"{name}.png", MASK, PALETTE)
    for name, text in lists.items():
        put(root / "ImageSets" / "Segmentation" / f"{name}.txt", text)
    return root


def test_numbers_of_a_palette_and_the_published_parts(tmp_path: Path) -> None:
    root = make(tmp_path, {"train": "a\n", "val": "b\n", "trainval": "a\nb\nc\n", "test": "d\n"})
    manifest = read_dataset(root, "voc")
    assert parts(manifest) == {"a": "train", "b": "val", "c": None}
    assert manifest.class_map.names[12] == "dog"
    assert manifest.class_map.colors[12] == (64, 0, 128)  # the published colour of dogs
    assert (manifest.class_map.background, manifest.class_map.ignore_values) == (0, (255,))
    assert np.array_equal(labels(manifest, "a"), MASK)
    assert "1 listed image has no mask in SegmentationClass and was left out: d" in manifest.notes


def test_colours_of_the_palette_are_accepted(tmp_path: Path) -> None:
    root = make(tmp_path, {"train": "a\nb\n"}, masks="b")
    colors = np.array([[(224, 224, 192) if value == 255 else PALETTE[value] for value in row] for row in MASK])
    draw(root / "SegmentationClass" / "a.png", colors)
    manifest = read_dataset(root, "voc")
    assert np.array_equal(labels(manifest, "a"), MASK)
    draw_palette(root / "SegmentationClass" / "b.png", MASK, [*PALETTE[:255], (1, 2, 3)])  # 255 has not VOC's colour
    with pytest.raises(DatasetError, match=r"SegmentationClass/b.png"):
        read_dataset(root, "voc")


def test_classes_images_and_ignore_are_options(tmp_path: Path) -> None:
    root = make(tmp_path, {"train": "a\nb\n"}, masks="ab")
    (root / "JPEGImages").rename(root / "photos")
    (root / "SegmentationObject").mkdir()
    manifest = read_dataset(
        root, "voc", images="photos", classes={"background": [0, 12, 20], "person": 15}, ignore=[255]
    )
    assert manifest.class_map.names == ("background", "person")
    assert manifest.class_map.ignore_values == (255,)
    assert (labels(manifest, "a") == 1).sum() == (MASK == 15).sum()


def test_a_name_in_two_lists_is_told_and_stays_in_the_first(tmp_path: Path) -> None:
    root = make(tmp_path, {"train": "a\nb\n", "val": "b\nc\n"})
    listing = voc(root)
    assert [(defect.code, defect.where, defect.path.name) for defect in listing.defects] == [
        ("overlapping_lists", "b", "val.txt")
    ]
    assert {entry.id: entry.split for entry in listing.entries} == {"a": "train", "b": "train", "c": "val"}
    assert any("b (in train.txt and val.txt; taken as train)" in note for note in listing.notes)


def test_masks_in_no_list(tmp_path: Path) -> None:
    root = make(tmp_path, {"train": "a\n"})
    listing = voc(root)
    assert [entry.id for entry in listing.entries] == ["a"]
    assert "2 masks are in no list and were left out: b, c" in listing.notes
    assert [entry.id for entry in voc(root, include_unlisted=True).entries] == ["a", "b", "c"]
    assert [entry.group for entry in voc(root, include_unlisted=True, group="(.)").entries] == ["a", "b", "c"]


def test_lists_as_cvat_writes_them(tmp_path: Path) -> None:
    root = make(tmp_path, {"default": '"two words"\nsub/x\n'}, masks="")
    for name in ("two words", "sub/x"):
        draw(root / "JPEGImages" / f"{name}.jpg", 50, (2, 4))
        draw(root / "SegmentationClass" / f"{name}.png", np.array([[(0, 0, 0), (250, 50, 83)]] * 2).repeat(2, axis=1))
    put(root / "labelmap.txt", "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncar:250,50,83::\n")
    manifest = read_dataset(root, "voc")
    assert parts(manifest) == {"two words": None, "sub/x": None}
    assert (manifest.class_map.names, manifest.class_map.task) == (("background", "car"), Task.BINARY)
    assert labels(manifest, "sub/x").tolist() == [[0, 0, 1, 1]] * 2
    assert recognise(root) == {"voc": "Pascal VOC (JPEGImages/, SegmentationClass/, ImageSets/Segmentation)"}


def test_labelmap_decides_by_the_palettes_colours(tmp_path: Path) -> None:
    draw(tmp_path / "JPEGImages" / "a.jpg", 50, (1, 3))
    draw_palette(tmp_path / "SegmentationClass" / "a.png", [[0, 1, 2]], [(9, 9, 9), (0, 0, 0), (7, 0, 0)])
    put(tmp_path / "labelmap.txt", "background:0,0,0::\ncat:7,0,0::\ndog:9,9,9::\n")
    assert labels(read_dataset(tmp_path, "voc"), "a").tolist() == [[2, 0, 1]]


def test_class_names_of_labelme_begin_at_minus_one_with_ignore(tmp_path: Path) -> None:
    draw(tmp_path / "JPEGImages" / "a.jpg", 50, (1, 3))
    draw(tmp_path / "SegmentationClass" / "a.png", [[0, 1, 255]])
    put(tmp_path / "class_names.txt", "__ignore__\n_background_\ncat\n")
    manifest = read_dataset(tmp_path, "voc")
    assert manifest.class_map.names == ("_background_", "cat")
    assert labels(manifest, "a").tolist() == [[0, 1, 255]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "background:0,0,0::\ncat:1,2::\n",
            r"labelmap.txt: line 2: expected NAME:R,G,B:PARTS:ACTIONS, got 'cat:1,2::'",
        ),
        ("background:0,0,0::\ncat\n", r"line 2: expected NAME:R,G,B:PARTS:ACTIONS, got 'cat'"),
        ("background:0,0,0::\nbackground:1,1,1::\n", r"line 2: the class 'background' is listed twice"),
        ("background:0,0,0::\n", r"expected at least two classes, got background"),
        ("background:0,0,0::\ncat:0,0,0::\n", r"the colour \(0, 0, 0\) belongs to two classes"),
    ],
)
def test_damaged_lists_of_classes(tmp_path: Path, text: str, message: str) -> None:
    root = make(tmp_path, {"train": "a\n"})
    put(root / "labelmap.txt", text)
    with pytest.raises(DatasetError, match=message):
        voc(root)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    root = make(tmp_path / "x", {"train": "a\n"})
    with pytest.raises(DatasetError, match=r"no 'SegmentationClas'.*did you mean 'SegmentationClass'"):
        voc(root, masks="SegmentationClas")
    (root / "JPEGImages" / "a.jpg").unlink()
    with pytest.raises(DatasetError, match=r"1 mask has no image in JPEGImages: a"):
        voc(root)
    put(root / "ImageSets" / "Segmentation" / "train.txt", "q\n")
    with pytest.raises(DatasetError, match=r"no image has a mask in SegmentationClass; the lists name q"):
        voc(root)
    for year in ("VOC2007", "VOC2012"):
        make(tmp_path / "VOCdevkit" / year, {"train": "a\n"})
    assert recognise(tmp_path)["voc"].startswith("Pascal VOC (VOCdevkit/VOC2007/JPEGImages/")
    with pytest.raises(DatasetError, match=r"VOC2007, VOC2012 are years of their own"):
        voc(tmp_path)
    assert len(voc(tmp_path / "VOCdevkit" / "VOC2012").entries) == 1


@pytest.mark.data
def test_real_labelme_export(real_data: RealData) -> None:
    root = real_data("labelme") / "semantic_segmentation" / "data_dataset_voc"
    manifest = read_dataset(root, "voc")
    assert manifest.class_map.names[5] == "bottle"
    found = {sample.id: set(np.unique(labels(manifest, sample.id))) for sample in manifest.samples}
    assert found == {"2011_000003": {0, 5, 15, 255}, "2011_000006": {0, 9, 15, 18, 255}, "2011_000025": {0, 6, 7}}


@pytest.mark.data
def test_made_up_voc(real_data: RealData) -> None:
    manifest = read_dataset(real_data("format_fixtures") / "voc_dataset" / "voc_dataset1", "voc")
    assert parts(manifest) == {"2007_000001": "train"}
    assert set(np.unique(labels(manifest, "2007_000001"))) == {2}  # (0, 128, 0): bicycle


def test_lists_of_other_spellings_keep_the_published_parts(tmp_path: Path) -> None:
    lists = {"Train": "/JPEGImages/a.jpg /SegmentationClass/a.png\n", "valid": "b.JPG\n", "Testing": "c.png\n"}
    assert parts(read_dataset(make(tmp_path, lists), "voc")) == {"a": "train", "b": "val", "c": "test"}


def test_lists_with_blanks_hashes_and_names_that_are_no_part(tmp_path: Path) -> None:
    root = make(tmp_path, {"train": "my a\n#b\n# a comment\n", "val": "b\n", "mine": "a\n"}, masks="ab")
    for name in ("my a", "#b"):
        draw(root / "JPEGImages" / f"{name}.jpg", 50, (2, 4))
        draw_palette(root / "SegmentationClass" / f"{name}.png", MASK, PALETTE)
    manifest = read_dataset(root, "voc")
    assert parts(manifest) == {"my a": "train", "#b": "train", "b": "val", "a": None}
    assert any("1 lists are called like no part, and give none: mine.txt" in note for note in manifest.notes)
