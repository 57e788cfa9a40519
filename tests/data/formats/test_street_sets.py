"""KITTI, its roads, SYNTHIA, MOTS, ICDAR, SA-1B and the table of published sets: what is refused, and the options."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.cases.test_newformats import (
    icdar_letters,
    isaid,
    kitti_of_cvat,
    kitti_road,
    kitti_semantic,
    loveda,
    mots_official,
    png16,
    sa1b_files,
    synthia_colors,
    synthia_labels,
    uavid,
)
from tests.data.formats._draw import draw, labels, put

from segbench.data.files.deep_colors import read_first_channel
from segbench.data.formats import recognise
from segbench.data.formats.icdar import icdar
from segbench.data.formats.kitti.reader import kitti
from segbench.data.formats.kitti.road import kitti_road as read_road
from segbench.data.formats.mots import mots
from segbench.data.formats.published.reader import published
from segbench.data.formats.published.table import SETS
from segbench.data.formats.sa1b import sa1b
from segbench.data.formats.synthia import synthia
from segbench.data.manifest.read import read_dataset
from segbench.errors import ConfigError, DatasetError


def test_channels_of_16_and_8_bit(tmp_path: Path) -> None:
    values = np.arange(3 * 4 * 3, dtype=np.uint16).reshape(3, 4, 3) * 1000 + 7
    png16(tmp_path / "deep.png", values)
    assert (read_first_channel(tmp_path / "deep.png") == values[:, :, 0]).all()
    draw(tmp_path / "plain.png", values.astype(np.uint8))
    assert (read_first_channel(tmp_path / "plain.png") == values.astype(np.uint8)[:, :, 0]).all()
    draw(tmp_path / "grey.png", values[:, :, 0] % 200)
    assert (read_first_channel(tmp_path / "grey.png") == values[:, :, 0] % 200).all()


def test_synthia_says_what_its_masks_hold(tmp_path: Path) -> None:
    synthia_labels(tmp_path)
    assert read_dataset(tmp_path, "synthia", classes=["road", "car"]).class_map.names == ("road", "car")
    png16(tmp_path / "GT" / "LABELS" / "0000001.png", np.full((8, 10, 3), 23, np.uint16))
    with pytest.raises(DatasetError, match=r"0000001.png: the first channel holds 23; expected the class numbers 0, 1"):
        synthia(tmp_path)
    (tmp_path / "RGB" / "0000000.png").unlink()
    with pytest.raises(DatasetError, match="1 of 2 masks have no image: 0000000"):
        synthia(tmp_path)


def test_other_simulators_are_not_synthia(tmp_path: Path) -> None:
    synthia_colors(tmp_path)
    assert list(recognise(tmp_path)) == ["synthia"]
    draw(tmp_path / "GT" / "ap_1.png", np.full((8, 10, 3), (3, 2, 1)))
    assert recognise(tmp_path) == {}


def test_kitti_by_colours_and_of_other_classes(tmp_path: Path) -> None:
    kitti_semantic(tmp_path / "a")
    colors = np.zeros((8, 10, 3), np.uint8)
    colors[:2], colors[2:4] = (128, 64, 128), (0, 0, 142)
    for path in (tmp_path / "a" / "training" / "semantic_rgb").iterdir():
        draw(path, colors)
    manifest = read_dataset(tmp_path / "a", "kitti", truth="semantic_rgb", classes=["road", "car"])
    assert np.bincount(labels(manifest, "000000_10").ravel(), minlength=256)[[0, 1, 255]].tolist() == [20, 20, 40]
    kitti_of_cvat(tmp_path / "b")
    with pytest.raises(DatasetError, match="there is no 'semantic' in this folder"):
        kitti(tmp_path / "b", truth="semantic")
    put(tmp_path / "b" / "label_colors.txt", "1 2 3 a\n1 2 300 b\n")
    with pytest.raises(DatasetError, match="line 2: expected R G B and a name of its own"):
        kitti(tmp_path / "b")
    put(tmp_path / "b" / "label_colors.txt", "background\ncat\n")
    with pytest.raises(DatasetError, match=r"a.png: the mask holds 515; expected class \* 256 \+ number of the object"):
        read_dataset(tmp_path / "b", "kitti")


def test_kittis_lanes_are_of_some_images(tmp_path: Path) -> None:
    kitti_road(tmp_path)
    listing = read_road(tmp_path, target="lane")
    assert [entry.id for entry in listing.entries] == ["um_000000"]
    assert listing.notes == ("1 image has no lane marked and was left out: uu_000001",)
    draw(tmp_path / "training" / "gt_image_2" / "other.png")
    with pytest.raises(DatasetError, match=r"expected names like um_road_000000.png, got other.png"):
        read_road(tmp_path)


def test_mots_numbers_without_a_class(tmp_path: Path) -> None:
    mots_official(tmp_path)
    kept = read_dataset(tmp_path, "mots", classes={"other": "background", "moving": ["car", "pedestrian"]})
    assert np.bincount(labels(kept, "train/0002/000000").ravel(), minlength=256)[[0, 1, 255]].tolist() == [55, 15, 10]
    Image.fromarray(np.full((8, 10), 7, np.uint16)).save(tmp_path / "train" / "instances" / "0002" / "000001.png")
    with pytest.raises(DatasetError, match=r"000001.png: the mask holds 7; expected class \* 1000 \+ number"):
        read_dataset(tmp_path, "mots")
    put(tmp_path / "train" / "instances" / "labels.txt", "cat\ncat\n")
    with pytest.raises(DatasetError, match="expected a name of its own for each class, got cat, cat"):
        mots(tmp_path)


def test_numbers_of_objects_alone_are_not_mots(tmp_path: Path) -> None:
    draw(tmp_path / "images" / "a.png")
    (tmp_path / "instances").mkdir()
    Image.fromarray(np.array([[0, 1200], [7, 0]], np.uint16)).save(tmp_path / "instances" / "a.png")
    assert recognise(tmp_path) == {}
    Image.fromarray(np.array([[0, 1200], [10000, 0]], np.uint16)).save(tmp_path / "instances" / "a.png")
    assert list(recognise(tmp_path)) == ["mots"]


def test_icdars_lists_of_letters(tmp_path: Path) -> None:
    icdar_letters(tmp_path)
    listing = icdar(tmp_path)
    assert any("1 pixels have a colour that the list of letters does not have" in note for note in listing.notes)
    put(tmp_path / "train" / "img_1_GT.txt", '241 73 144 1 4 0 3 1 4 "h"\n241 73\n')
    with pytest.raises(DatasetError, match=r'img_1_GT.txt: line 2: expected R G B, six numbers and "letter"'):
        icdar(tmp_path)
    (tmp_path / "train" / "img_1_GT.bmp").unlink()
    assert [entry.id for entry in icdar(tmp_path).entries] == ["img_2"]


def test_sa1bs_objects_get_the_name_that_the_user_gives(tmp_path: Path) -> None:
    sa1b_files(tmp_path)
    assert sa1b(tmp_path, default_class="thing").class_map.names == ("background", "thing")
    put(tmp_path / "sa_2.json", '{"image": {"image_id": 2}, "annotations": [{"crop_box": []}]}')
    with pytest.raises(DatasetError, match=r"sa_2.json: image.file_name: expected text, but there is no such key"):
        sa1b(tmp_path)


def test_published_sets_are_told_apart(tmp_path: Path) -> None:
    for name, build in (("loveda", loveda), ("isaid", isaid), ("uavid", uavid)):
        build(tmp_path / name)
        assert list(recognise(tmp_path / name)) == ["published"]
    with pytest.raises(DatasetError, match="isaid, loveda, uavid could be meant; choose with the option name: isaid"):
        published(tmp_path)
    listing = published(tmp_path, name="uavid", classes=["road", "tree"])
    assert (listing.class_map.names, len(listing.entries)) == (("road", "tree"), 4)
    with pytest.raises(ConfigError, match="expected one of acdc, "):
        published(tmp_path, name="else")
    with pytest.raises(DatasetError, match="expected the folders of a published set"):
        published(tmp_path / "uavid", name="loveda")
    (tmp_path / "uavid" / "uavid_train" / "seq1" / "Labels" / "000000.png").unlink()
    with pytest.raises(DatasetError, match="1 of 2 images have no mask: 000000"):
        published(tmp_path / "uavid")
    assert len(published(tmp_path / "uavid", unpaired="skip").entries) == 3


def test_folders_that_others_call_so_are_no_published_set(tmp_path: Path) -> None:
    uavid(tmp_path)
    for path in tmp_path.rglob("Labels/*.png"):
        draw(path, np.full((8, 10), 3))
    assert recognise(tmp_path) == {}


@pytest.mark.parametrize("name", SETS)
def test_the_table_of_published_sets(name: str) -> None:
    known = SETS[name]
    values = [*known.classes.values(), *known.ignore]
    assert len(set(values)) == len(values)
    assert len({type(value) for value in values}) == 1
    assert known.background is None or known.background in known.classes
