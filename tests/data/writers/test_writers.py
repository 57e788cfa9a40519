"""Writers: what the files say, what is refused, and that a folder is whole or not there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from segbench.data.writers import MARKER, WRITERS, Labelled, WriteOptions, write_dataset
from segbench.errors import ConfigError, DatasetError
from segbench.types import ClassMap, SplitName, Task

CLASSES = ClassMap(names=("ground", "tree", "house"), values=((0,), (1,), (2,)))


@pytest.fixture
def samples(tmp_path: Path) -> list[Labelled]:
    """Returns two samples of train and one of val: a tree with a hole, a house, ignored pixels."""
    labels = np.zeros((12, 16), dtype=np.uint8)
    labels[2:8, 3:9] = 1
    labels[4, 5] = 0
    labels[9:11, 10:14] = 2
    labels[0, :4] = 255
    places: list[tuple[str, SplitName]] = [("train/a", "train"), ("train/b b", "train"), ("val/c", "val")]
    result = []
    (tmp_path / "source").mkdir()
    for name, split in places:
        path = tmp_path / "source" / f"{name.replace('/', '_')}.png"
        Image.new("RGB", (16, 12), (9, 8, 7)).save(path)
        result.append(Labelled(id=name, image=path, labels=labels, split=split))
    return result


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools with NumPy 2
def test_coco_says_what_coco_tools_expect(samples: list[Labelled], tmp_path: Path) -> None:
    for rle in (False, True):
        out = tmp_path / f"coco{rle}"
        written = write_dataset("coco", out, samples, CLASSES, WriteOptions(rle=rle))
        assert written.regions == 9
        coco = COCO(str(out / "annotations" / "instances_train.json"))
        assert [category["name"] for category in coco.loadCats(coco.getCatIds())] == ["tree", "house", "__ignore__"]
        assert (out / "images" / "train" / "b b.png").is_file()
        for image in coco.getImgIds():
            found = coco.loadAnns(coco.getAnnIds(imgIds=image))
            for index, annotation in enumerate(found, 1):
                mask = coco.annToMask(annotation)
                value = 255 if index == 3 else index
                assert np.array_equal(mask == 1, samples[0].labels == value)
                assert annotation["area"] == mask.sum()
                left, top, width, height = annotation["bbox"]
                assert mask[top : top + height, left : left + width].sum() == mask.sum()
                assert mask.any(axis=1).sum() == height
                assert isinstance(annotation["segmentation"], dict if rle else list)


def test_via_is_a_project_that_lists_its_images(samples: list[Labelled], tmp_path: Path) -> None:
    write_dataset("via", tmp_path / "out", samples, CLASSES)
    project = json.loads((tmp_path / "out" / "train" / "via_project.json").read_text(encoding="utf-8"))
    assert list(project["_via_img_metadata"]) == project["_via_image_id_list"]
    for entry in project["_via_img_metadata"].values():
        assert (tmp_path / "out" / "train" / entry["filename"]).stat().st_size == entry["size"]
        assert [region["region_attributes"]["class"] for region in entry["regions"]] == ["tree", "house", "__ignore__"]
    assert list(project["_via_attributes"]["region"]["class"]["options"]) == ["tree", "house", "__ignore__"]


def test_labelme_has_a_file_an_image(samples: list[Labelled], tmp_path: Path) -> None:
    write_dataset("labelme", tmp_path / "out", samples, CLASSES)
    plain = json.loads((tmp_path / "out" / "val" / "c.json").read_text(encoding="utf-8"))
    assert (plain["imagePath"], plain["imageHeight"], plain["imageWidth"], plain["imageData"]) == (
        "c.png",
        12,
        16,
        None,
    )
    assert plain["shapes"][1]["points"] == [[10, 9], [14, 9], [14, 11], [10, 11]]
    lines = (tmp_path / "out" / "labels.txt").read_text(encoding="utf-8").split()
    assert lines == ["__ignore__", "_background_", "tree", "house"]


def test_yolo_has_shares_of_the_sides(samples: list[Labelled], tmp_path: Path) -> None:
    write_dataset("yolo", tmp_path / "out", samples, CLASSES)
    lines = (tmp_path / "out" / "labels" / "train" / "a.txt").read_text(encoding="utf-8").splitlines()
    assert lines[1] == "1 0.625 0.75 0.875 0.75 0.875 0.916666667 0.625 0.916666667"
    assert "0: tree" in (tmp_path / "out" / "data.yaml").read_text(encoding="utf-8")


def test_cvat_has_subsets_and_masks_row_by_row(samples: list[Labelled], tmp_path: Path) -> None:
    write_dataset("cvat", tmp_path / "out", samples, CLASSES, WriteOptions(rle=True))
    tree = ElementTree.parse(tmp_path / "out" / "annotations.xml").getroot()
    assert [image.get("subset") for image in tree.iter("image")] == ["Train", "Train", "Validation"]
    mask = next(tree.iter("mask"))
    assert (mask.get("label"), mask.get("left"), mask.get("top")) == ("tree", "3", "2")
    assert mask.get("rle") == "0, 14, 1, 21"
    assert [label.findtext("name") for label in tree.iter("label")] == ["tree", "house", "__ignore__"]


def test_voc_and_folder_hold_indices_in_colours(samples: list[Labelled], tmp_path: Path) -> None:
    write_dataset("voc", tmp_path / "voc", samples, CLASSES)
    write_dataset("folder", tmp_path / "folder", samples, CLASSES)
    for path in (tmp_path / "voc/SegmentationClass/a.png", tmp_path / "folder/train/masks/a.png"):
        with Image.open(path) as picture:
            assert picture.mode == "P"
            assert np.array_equal(np.asarray(picture), samples[0].labels)
            assert picture.convert("RGB").getpixel((3, 2)) == CLASSES.colors[1]
    lists = tmp_path / "voc" / "ImageSets" / "Segmentation"
    assert (lists / "train.txt").read_text(encoding="utf-8") == 'a\n"b b"\n'
    assert (
        (tmp_path / "voc" / "labelmap.txt").read_text(encoding="utf-8").splitlines()[1].startswith("background:0,0,0")
    )


@pytest.mark.parametrize("to", WRITERS.names())
def test_samples_are_taken_one_by_one(samples: list[Labelled], tmp_path: Path, to: str) -> None:
    def broken() -> Iterator[Labelled]:
        yield samples[0]
        assert list(tmp_path.glob(".out*/**/*a.png")), "the first image is written before the second is asked for"
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        write_dataset(to, tmp_path / "out", broken(), CLASSES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"], "nothing half written is left"


def test_images_are_linked_or_left_out(samples: list[Labelled], tmp_path: Path) -> None:
    write_dataset("coco", tmp_path / "link", samples, CLASSES, WriteOptions(images="link"))
    assert (tmp_path / "link/images/train/a.png").samefile(samples[0].image)
    write_dataset("coco", tmp_path / "none", samples, CLASSES, WriteOptions(images="none"))
    assert not list((tmp_path / "none").rglob("*.png"))


def test_only_folders_of_ours_are_overwritten(samples: list[Labelled], tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    write_dataset("coco", out, samples, CLASSES)
    with pytest.raises(DatasetError, match="--overwrite"):
        write_dataset("coco", out, samples, CLASSES)
    write_dataset("via", out, samples, CLASSES, overwrite=True)
    assert not (out / "annotations").exists()
    assert "format: via" in (out / MARKER).read_text(encoding="utf-8")
    (out / MARKER).unlink()
    with pytest.raises(DatasetError, match="expected an empty or a new folder"):
        write_dataset("coco", out, samples, CLASSES, overwrite=True)
    assert (out / "train" / "a.png").is_file()


def test_two_samples_of_one_name_are_refused(samples: list[Labelled], tmp_path: Path) -> None:
    twins = [samples[0], Labelled(id="val/a", image=samples[0].image, labels=samples[0].labels, split="val")]
    with pytest.raises(DatasetError, match="two samples would be written as 'a': train/a and val/a"):
        write_dataset("coco", tmp_path / "out", twins, CLASSES)


@pytest.mark.parametrize(
    ("to", "options", "class_map", "message"),
    [
        ("cocoo", WriteOptions(), CLASSES, "did you mean 'coco'"),
        ("via", WriteOptions(rle=True), CLASSES, "via knows no run lengths; coco, cvat, labelstudio do"),
        ("voc", WriteOptions(simplify="auto"), CLASSES, "voc holds masks, which are exact"),
        ("coco", WriteOptions(rle=True, simplify=1.0), CLASSES, "run lengths are exact"),
        ("coco", WriteOptions(), ClassMap(names=("a", "__ignore__"), values=((0,), (1,))), "marks ignored pixels"),
        ("folder", WriteOptions(), ClassMap(names=("a", "b/c"), values=((0,), (1,))), "cannot be file names: 'b/c'"),
        ("voc", WriteOptions(), ClassMap(names=("a",), values=((1,),), task=Task.MULTILABEL), "voc has one class"),
        ("voc", WriteOptions(), ClassMap(names=("a", "void"), values=((0,), (1,))), "mean something else"),
    ],
)
def test_what_cannot_be_written_is_refused(
    samples: list[Labelled], tmp_path: Path, to: str, options: WriteOptions, class_map: ClassMap, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        write_dataset(to, tmp_path / "out", samples, class_map, options)
    assert not (tmp_path / "out").exists()
