"""The ordinary folder and the first readers: layouts, pairs by name, official parts, a message for each mistake."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segbench.data.formats import FORMATS, Listing, recognise
from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_dataset
from segbench.data.sources.load import load_sample
from segbench.errors import ConfigError, DatasetError
from segbench.types import Task

RealData = Callable[[str], Path]


def write(path: Path, values: object, palette: list[int] | None = None) -> Path:
    """Writes an image file; a number or colour is a flat 4 x 6 picture."""
    array = np.asarray(values, dtype=np.uint8)
    if array.ndim in (0, 1):
        array = np.broadcast_to(array, (4, 6) if array.ndim == 0 else (4, 6, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.ascontiguousarray(array))
    if palette is not None:
        image = image.convert("P")
        image.putpalette(palette)
    image.save(path)
    return path


def binary(value: int = 255) -> np.ndarray:
    """(4, 6) mask, left half 0."""
    mask = np.zeros((4, 6), np.uint8)
    mask[:, 3:] = value
    return mask


def pairs(root: Path, images: str = "images", masks: str = "masks", names: str = "abc", suffix: str = "") -> Path:
    for place, name in enumerate(names):
        write(root / images / f"{name}.jpg", (10 * place, 20, 30))
        write(root / masks / f"{name}{suffix}.png", binary())
    return root


def ids(listing: Listing | Manifest) -> list[str]:
    items = listing.entries if isinstance(listing, Listing) else listing.samples
    return sorted(item.id for item in items)


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("images", "masks"),
        ("Images", "Labels"),
        ("color", "label"),
        ("imgs", "annotations"),
        ("JPEGImages", "SegmentationClass"),
        ("ISIC-2017_Training_Data", "ISIC-2017_Training_Part1_GroundTruth"),
        ("images", "annotations/trimaps"),
        ("deep/inside/images", "deep/inside/masks"),
    ],
)
def test_common_folder_names_are_found(tmp_path: Path, images: str, masks: str) -> None:
    manifest = read_dataset(pairs(tmp_path, images, masks))
    assert ids(manifest) == ["a", "b", "c"]
    assert manifest.class_map.task is Task.BINARY
    assert manifest.class_map.values == ((0,), (255,))
    assert [sample.foreground_frac for sample in manifest.samples] == [0.5, 0.5, 0.5]
    assert manifest.samples[0].split is None


@pytest.mark.parametrize("suffix", ["_mask", "_segmentation", "_lesion", "_annotation", "-label"])
def test_suffixes_are_found(tmp_path: Path, suffix: str) -> None:
    assert ids(read_dataset(pairs(tmp_path / "two", suffix=suffix))) == ["a", "b", "c"]
    assert ids(read_dataset(pairs(tmp_path / "one", "all", "all", suffix=suffix))) == ["a", "b", "c"]


def test_suffixes_of_both_and_prefixes(tmp_path: Path) -> None:
    for name in ("002", "005"):
        write(tmp_path / "x" / "images" / f"{name}_image.png", (1, 2, 3))
        write(tmp_path / "x" / "annotations" / f"{name}_annotation.png", binary())
        write(tmp_path / "y" / "images" / f"img_{name}.png", (1, 2, 3))
        write(tmp_path / "y" / "masks" / f"mask_{name}.png", binary())
    assert ids(read_dataset(tmp_path / "x")) == ["002", "005"]
    assert ids(read_dataset(tmp_path / "y")) == ["002", "005"]
    assert ids(read_dataset(tmp_path / "x", mask_suffix="_annotation")) == ["002", "005"]


def test_names_that_agree_are_not_cut(tmp_path: Path) -> None:
    for name in ("a_mask", "b_mask"):
        write(tmp_path / "images" / f"{name}.png", (1, 2, 3))
        write(tmp_path / "masks" / f"{name}.png", binary())
    assert ids(read_dataset(tmp_path)) == ["a_mask", "b_mask"]


def test_pairs_are_by_name_never_by_order(tmp_path: Path) -> None:
    for place, name in enumerate(["z", "a", "m"]):
        write(tmp_path / "images" / f"{name}.png", (place, 0, 0))
        mask = np.zeros((4, 6), np.uint8)
        mask.ravel()[: place + 1] = 1
        write(tmp_path / "masks" / f"{name}.png", mask)
    manifest = read_dataset(tmp_path)
    for sample in manifest.samples:
        image, labels = load_sample(manifest, sample)
        assert int(labels.sum()) == int(image[0, 0, 0]) + 1


@pytest.mark.parametrize(
    "layout", ["{split}/images|{split}/masks", "images/{split}|masks/{split}", "{split}|{split}_masks"]
)
def test_split_folders_are_official_parts(tmp_path: Path, layout: str) -> None:
    images, masks = layout.split("|")
    for split in ("train", "valid", "test"):
        pairs(tmp_path, images.format(split=split), masks.format(split=split))
    manifest = read_dataset(tmp_path)
    assert {(sample.id, sample.split) for sample in manifest.samples} == {
        (f"{folder}/{name}", split)
        for folder, split in (("train", "train"), ("valid", "val"), ("test", "test"))
        for name in "abc"
    }
    if layout.startswith("{split}/"):
        assert read_dataset(tmp_path, images="images", masks="masks").samples == manifest.samples


def test_hidden_and_other_files_are_no_samples(tmp_path: Path) -> None:
    pairs(tmp_path)
    write(tmp_path / "images" / ".hidden.png", (1, 2, 3))
    write(tmp_path / "masks" / ".cache" / "x.png", binary())
    (tmp_path / "images" / "Thumbs.db").write_bytes(b"x")
    assert ids(read_dataset(tmp_path)) == ["a", "b", "c"]


def test_given_folders_win_over_guesses(tmp_path: Path) -> None:
    pairs(pairs(tmp_path), "pictures", "truth", names="xy")
    assert ids(read_dataset(tmp_path, images="pictures", masks="truth")) == ["x", "y"]
    pairs(tmp_path, "other", "masks2", names="xy")
    with pytest.raises(
        DatasetError, match=r"2 folders could hold the masks \(masks, masks2\); choose with the option masks"
    ):
        read_dataset(tmp_path)
    with pytest.raises(DatasetError, match=r"no 'maks' in this folder; did you mean 'masks'"):
        read_dataset(tmp_path, images="images", masks="maks")


def test_unclear_folders_are_named(tmp_path: Path) -> None:
    pairs(tmp_path, "left", "right")
    with pytest.raises(DatasetError, match="cannot tell images from masks among the folders left, right"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    ("values", "task", "mapped"),
    [
        ([0, 255], "binary", ((0,), (255,))),
        ([0, 1], "binary", ((0,), (1,))),
        ([0, 1, 2], "multiclass", ((0,), (1,), (2,))),
        ([0, 1, 2, 255], "multiclass", ((0,), (1,), (2,))),
    ],
)
def test_class_map_from_the_masks(tmp_path: Path, values: list[int], task: str, mapped: object) -> None:
    for place, value in enumerate(values):  # no single mask holds all values
        write(tmp_path / "images" / f"{place}.png", (1, 2, 3))
        write(tmp_path / "masks" / f"{place}.png", binary(value))
    class_map = read_dataset(tmp_path).class_map
    assert (class_map.task, class_map.values) == (task, mapped)
    assert class_map.ignore_values == ((255,) if 255 in values and values != [0, 255] else ())
    assert class_map.background == 0


def test_1_and_255_in_different_masks_are_a_question(tmp_path: Path) -> None:
    for place, value in enumerate([1, 1, 255]):
        write(tmp_path / "images" / f"{place}.png", (1, 2, 3))
        write(tmp_path / "masks" / f"{place}.png", binary(value))
    with pytest.raises(DatasetError, match=r"written in two ways: 2 hold 1 and 1 hold 255 \(such as 2\.png\)"):
        read_dataset(tmp_path)
    both = read_dataset(tmp_path, classes={"background": 0, "foreground": [1, 255]})
    assert [sample.foreground_frac for sample in both.samples] == [0.5] * 3
    ignoring = read_dataset(tmp_path, ignore=[255])
    assert ignoring.class_map.ignore_values == (255,)
    mixed = np.array(binary(1))
    mixed[0, 0] = 255
    write(tmp_path / "masks" / "2.png", mixed)
    assert read_dataset(tmp_path).class_map.ignore_values == (255,)


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ([1, 2, 3], {}, "format: oxford_pets"),
        ([0, 5, 9, 255], {}, r"classes: \{background: 0, class_1: 5, class_2: 9\} .* and the option ignore: \[255\]"),
        ([0, 3, 250, 255], {}, "set the option tolerance: 5"),
        ([0], {}, "every mask holds only the value 0"),
        (
            [0, 1, 2],
            {"task": "binary"},
            "task: binary needs masks with two values, but the masks hold 3 values.*set task: multiclass",
        ),
        ([0, 255], {"classes": ["a", "b", "c"]}, r"255 \(12 pixels, first at row 0, column 3\)"),
    ],
)
def test_values_without_a_class_map(tmp_path: Path, values: list[int], options: dict, message: str) -> None:
    for place, value in enumerate(values):
        write(tmp_path / "images" / f"{place}.png", (1, 2, 3))
        write(
            tmp_path / "masks" / f"{place}.png",
            np.full((4, 6), value) if value == 0 or 0 not in values else binary(value),
        )
    with pytest.raises(DatasetError, match=message):
        read_dataset(tmp_path, **options)


def strays(root: Path, stray: list[int], high: int = 255, number: int = 5) -> Path:
    """Writes `number` pairs of 20 x 20 with 0 and `high`; the pixels `stray` in the mask of the second."""
    for place in range(number):
        mask = np.zeros((20, 20), np.uint8)
        mask[:, 12:] = high
        if place == 1:
            mask[0, : len(stray)] = stray
        write(root / "images" / f"{place}.png", np.zeros((20, 20, 3)))
        write(root / "masks" / f"{place}.png", mask)
    return root


@pytest.mark.parametrize("high", [255, 1])
def test_a_stray_value_is_placed_and_counted(tmp_path: Path, high: int) -> None:
    with pytest.raises(DatasetError) as caught:
        read_dataset(strays(tmp_path, [7], high))
    message = caught.value.reason
    assert "0 (1199 pixels in all 5 files)" in message
    assert f"{high} (800 pixels in all 5 files)" in message
    assert "7 (1 pixel in masks/1.png)" in message
    assert f"0 and {high} hold 99.95 % of the pixels" in message
    assert f"classes: {{background: 0, foreground: {high}}}" in message
    assert "class_1: 7" not in message
    assert "tolerance" not in message
    assert "ignore: [7] (--option 'ignore=[7]')" in message
    manifest = read_dataset(tmp_path, ignore=[7])  # the advice works
    assert manifest.class_map.values == ((0,), (high,))
    assert "value 7 is ignored: 1 pixel (0.05 %)" in manifest.notes


def test_several_stray_values_in_several_files(tmp_path: Path) -> None:
    strays(tmp_path, [7, 7, 90])
    mask = np.asarray(Image.open(tmp_path / "masks" / "4.png")).copy()
    mask[3, 3] = 7
    write(tmp_path / "masks" / "4.png", mask)
    with pytest.raises(DatasetError) as caught:
        read_dataset(tmp_path)
    assert "7 (3 pixels in 2 files, first masks/1.png), 90 (1 pixel in masks/1.png)" in caught.value.reason
    assert "mend masks/1.png, masks/4.png" in caught.value.reason
    assert "ignore: [7, 90]" in caught.value.reason


def test_strays_among_more_classes(tmp_path: Path) -> None:
    for place, value in enumerate([0, 1, 2, 2]):
        mask = np.full((20, 20), value, np.uint8)
        mask[0, 0] = 200 if place == 3 else value
        write(tmp_path / "images" / f"{place}.png", np.zeros((20, 20, 3)))
        write(tmp_path / "masks" / f"{place}.png", mask)
    with pytest.raises(DatasetError, match=r"0 to 2 hold 99.94 % .*classes: \{background: 0, class_1: 1, class_2: 2\}"):
        read_dataset(tmp_path)
    assert read_dataset(tmp_path, ignore=[200]).class_map.num_classes == 3


def test_strays_beside_ignored_pixels(tmp_path: Path) -> None:
    strays(tmp_path, [255] * 9 + [7], high=1)
    with pytest.raises(DatasetError, match=r"0 and 1, with 255, which is ignored, hold 99.95 % .*mend masks/1.png"):
        read_dataset(tmp_path)
    assert read_dataset(tmp_path, ignore=[7]).class_map.ignore_values == (7, 255)


def test_masks_of_ignored_values_only(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="every pixel of the masks is ignored"):
        read_dataset(strays(tmp_path, []), ignore=[0, 255])


def test_strays_as_of_smoothing_suggest_a_tolerance(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"smoothed or saved as JPEG: set the option tolerance: nearest") as caught:
        read_dataset(strays(tmp_path, [3, 30, 60, 90, 120, 128, 160, 190, 220, 250]))
    assert "(--option tolerance=nearest)" in caught.value.reason
    assert "masks/1.png" in caught.value.reason
    assert read_dataset(tmp_path, tolerance="nearest").class_map.values == ((0,), (255,))


def test_rare_classes_are_not_taken_for_strays(tmp_path: Path) -> None:
    for place, value in enumerate([0, 60, 120, 255]):
        mask = np.zeros((20, 20), np.uint8)
        mask[0, :4] = value  # 1 % each
        write(tmp_path / "images" / f"{place}.png", np.zeros((20, 20, 3)))
        write(tmp_path / "masks" / f"{place}.png", mask)
    message = r"60 \(4 pixels in masks/1.png\).*classes: \{background: 0, class_1: 60, class_2: 120, class_3: 255\}"
    with pytest.raises(DatasetError, match=message):
        read_dataset(tmp_path)


def test_ignored_pixels_are_noted(tmp_path: Path) -> None:
    for place, value in enumerate([0, 1, 2, 255]):
        write(tmp_path / "images" / f"{place}.png", (1, 2, 3))
        write(tmp_path / "masks" / f"{place}.png", binary(value))
    assert read_dataset(tmp_path).notes == ("value 255 is ignored: 12 pixels (12.5 %)",)
    assert read_dataset(tmp_path, ignore=[2]).notes == ("values 2, 255 are ignored: 24 pixels (25 %)",)
    without = read_dataset(pets(tmp_path / "pets"), "oxford_pets", border="ignore", verify=False)
    assert not any("ignored" in note for note in without.notes)  # no mask was read, so nothing is counted


def test_ignored_colours_are_noted(tmp_path: Path) -> None:
    mask = np.zeros((4, 6, 3), np.uint8)
    mask[:, 3:] = (0, 255, 0)
    mask[0, 0] = (1, 2, 3)
    write(tmp_path / "images" / "a.png", (1, 2, 3))
    write(tmp_path / "masks" / "a.png", mask)
    manifest = read_dataset(tmp_path, classes={"soil": "#000000", "crop": "#00ff00"}, ignore=["#010203"])
    assert manifest.notes == ("value (1, 2, 3) is ignored: 1 pixel (4.17 %)",)


def test_classes_by_list_and_by_mapping(tmp_path: Path) -> None:
    pairs(tmp_path)
    named = read_dataset(tmp_path, classes=["skin", "lesion"]).class_map
    assert (named.names, named.values, named.task) == (("skin", "lesion"), ((0,), (255,)), Task.BINARY)
    turned = read_dataset(tmp_path, classes={"lesion": 255, "skin": 0})
    assert (turned.class_map.names, turned.class_map.values) == (("skin", "lesion"), ((0,), (255,)))
    assert load_sample(turned, turned.samples[0])[1][0].tolist() == [0, 0, 0, 1, 1, 1]
    inverted = read_dataset(tmp_path, classes={"plant": 0, "soil": 255}, background="soil")
    assert load_sample(inverted, inverted.samples[0])[1][0].tolist() == [1, 1, 1, 0, 0, 0]
    both = read_dataset(tmp_path, classes=["skin", "lesion"], task="multiclass", background=False).class_map
    assert (both.task, both.background) == (Task.MULTICLASS, None)


def test_colour_classes_and_the_proposal_for_them(tmp_path: Path) -> None:
    colours = np.zeros((4, 6, 3), np.uint8)
    colours[:, 2:4] = (0, 255, 0)
    colours[:, 4:] = (255, 0, 0)
    write(tmp_path / "images" / "a.png", (1, 2, 3))
    write(tmp_path / "masks" / "a.png", colours)
    write(tmp_path / "images" / "b.png", (1, 2, 3))
    write(tmp_path / "masks" / "b.png", np.zeros((4, 6, 3), np.uint8))  # soil only: counts as grey
    with pytest.raises(DatasetError, match=r"RGB mask where an index mask is expected.*background: \[0, 0, 0\]"):
        read_dataset(tmp_path)
    manifest = read_dataset(tmp_path, classes={"soil": [0, 0, 0], "crop": "#00ff00", "weed": [255, 0, 0]})
    assert manifest.class_map.colors == ((0, 0, 0), (0, 255, 0), (255, 0, 0))
    assert manifest.class_map.background == 0
    assert load_sample(manifest, manifest.samples[0])[1][0].tolist() == [0, 0, 1, 1, 2, 2]
    assert not load_sample(manifest, manifest.samples[1])[1].any()


def test_palette_masks_by_index_and_by_colour(tmp_path: Path) -> None:
    palette = [0, 0, 0, 128, 0, 0, 0, 128, 0]
    indices = np.array([[0, 1, 2, 2]], np.uint8)
    write(tmp_path / "images" / "a.png", np.zeros((1, 4, 3)))
    write(tmp_path / "masks" / "a.png", indices, palette)
    by_index = read_dataset(tmp_path)
    assert by_index.class_map.colors == ((0, 0, 0), (128, 0, 0), (0, 128, 0))
    by_colour = read_dataset(tmp_path, classes={"bg": "#000000", "cat": "#008000", "dog": "#800000"})
    assert load_sample(by_index, by_index.samples[0])[1].tolist() == [[0, 1, 2, 2]]
    assert load_sample(by_colour, by_colour.samples[0])[1].tolist() == [[0, 2, 1, 1]]
    assert by_colour.samples[0].foreground_frac == 0.75


def test_merged_values_and_ignore(tmp_path: Path) -> None:
    write(tmp_path / "images" / "a.png", np.zeros((1, 5, 3)))
    write(tmp_path / "masks" / "a.png", np.array([[0, 1, 2, 3, 9]], np.uint8))
    manifest = read_dataset(tmp_path, classes={"sky": 0, "road": [1, 2, 3]}, ignore=[9], task="multiclass")
    assert load_sample(manifest, manifest.samples[0])[1].tolist() == [[0, 1, 1, 1, 255]]
    assert manifest.samples[0].foreground_frac == 0.75


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"classes": "cat"},
            "data.options.classes: classes must be a list of names or a mapping name: value, got .cat.",
        ),
        ({"classes": ["cat"]}, "at least two classes"),
        ({"classes": {"a": 0, "b": "blue"}}, "data.options.classes.b: expected mask values.*'blue'"),
        ({"classes": {"a": 0, "b": 0}}, "value 0 belongs to 'a' and to 'b'"),
        ({"classes": {"a": 0, "b": 1}, "background": "c"}, "data.options.background.*known: a, b"),
        ({"classes": {"a": 0, "b": "#ff0000"}}, "grey values or colours, got both"),
        ({"task": "binry"}, "data.options.task: expected one of binary, multiclass, multilabel, got 'binry'"),
        ({"unpaired": "ignore"}, "data.options.unpaired: expected one of error, skip"),
        ({"tolerance": -1}, "data.options.tolerance: expected a whole number from 0 to 127"),
        ({"depth_range": [5, 5]}, r"data.options.depth_range: expected \[low, high\]"),
        ({"group": "("}, "data.options.group: not a regular expression"),
        ({"group": "abc"}, "expected one group in the pattern"),
        ({"classes": ["a", "b"], "task": "binary", "background": False}, "a binary task has a background"),
    ],
)
def test_wrong_option_values(tmp_path: Path, options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_dataset(pairs(tmp_path), **options)


def test_groups_from_the_id(tmp_path: Path) -> None:
    pairs(tmp_path, names=["p1_a", "p1_b", "p2_a"])
    assert [sample.group for sample in read_dataset(tmp_path, group=r"^(p\d+)_").samples] == ["p1", "p1", "p2"]
    with pytest.raises(DatasetError, match=r"finds no group in 1 of 3 ids: p2_a"):
        read_dataset(tmp_path, group=r"^(p1)_")


def multilabel(root: Path) -> Path:
    for place, name in enumerate("ab"):
        write(root / "images" / f"{name}.png", (1, 2, 3))
        write(root / "masks" / "fire" / f"{name}.png", binary(255))
        if place == 0:
            write(root / "masks" / "water" / f"{name}.png", np.ones((4, 6)))
    return root


def test_multilabel_planes_and_missing_files(tmp_path: Path) -> None:
    multilabel(tmp_path)
    with pytest.raises(DatasetError, match=r"1 class masks are missing: water/b; .*missing_is_absent: true"):
        read_dataset(tmp_path, task="multilabel")
    manifest = read_dataset(tmp_path, task="multilabel", missing_is_absent=True)
    assert manifest.class_map.names == ("fire", "water")
    assert manifest.samples[1].mask == ("masks/fire/b.png", "")
    assert manifest.mask_paths(manifest.samples[1]) == (manifest.root / "masks/fire/b.png",)
    first, second = (load_sample(manifest, sample)[1] for sample in manifest.samples)
    assert first.shape == (2, 4, 6)
    assert first[:, 0, 0].tolist() == [0, 1]
    assert first[:, 0, 5].tolist() == [1, 1]
    assert not second[1].any()
    assert any("1 class masks are missing and were taken as absent: water/b" in note for note in manifest.notes)
    turned = read_dataset(tmp_path, task="multilabel", missing_is_absent=True, classes=["water", "fire"])
    assert np.array_equal(load_sample(turned, turned.samples[0])[1], first[::-1])
    with pytest.raises(DatasetError, match=r"no masks' folder for class 'watr'; did you mean 'water'"):
        read_dataset(tmp_path, task="multilabel", classes=["fire", "watr"])


def class_list(root: Path, name: str, text: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)
    return root


LISTS = [
    ("class_dict.csv", "name,r,g,b\nground,0,0,0\ncrop,0,255,0\nweed,255,0,0\n"),
    ("labelmap.csv", "name, red, green, blue\nground,0,0,0\ncrop,0,255,0\nweed,255,0,0\n"),
    ("dataset_meta.json", '''{"label_map": {"0": "ground", "1": "crop", "2": "weed"},
      "segmentation_colors": [[0, 0, 0], [0, 255, 0], [255, 0, 0]]}'''),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text"), LISTS)
def test_classes_of_a_file_beside_the_images(tmp_path: Path, name: str, text: str) -> None:
    rows = [[0, 1, 2], [2, 2, 255]]
    colors = [[[(0, 0, 0), (0, 255, 0), (255, 0, 0)][value % 3] for value in row] for row in rows]
    for kind, values in (("numbers", rows), ("colours", colors)):
        root = class_list(tmp_path / kind, name, text)
        write(root / "images" / "a.png", np.full((2, 3), 50))
        write(root / "masks" / "a.png", values)
        manifest = read_dataset(root)
        assert manifest.class_map.names == ("ground", "crop", "weed")
        last = 255 if kind == "numbers" else 0
        assert load_sample(manifest, manifest.samples[0])[1].tolist() == [[0, 1, 2], [2, 2, last]]
        assert any(f"the classes are those of {name}: ground, crop, weed" in note for note in manifest.notes)
        assert manifest.class_map.colors == ((0, 0, 0), (0, 255, 0), (255, 0, 0)) or kind == "numbers"
    given = read_dataset(tmp_path / "numbers", classes=["x", "y", "z"], ignore=[255])
    assert given.class_map.names == ("x", "y", "z")
    assert not any("the classes are those of" in note for note in given.notes)


def test_numbers_in_a_list_of_classes_and_grey_colours(tmp_path: Path) -> None:
    write(tmp_path / "n" / "images" / "a.png", (1, 2, 3))
    write(tmp_path / "n" / "masks" / "a.png", binary(7))
    class_list(tmp_path / "n", "classes.csv", "id,name\n0,sea\n7,ship\n")
    assert read_dataset(tmp_path / "n").class_map.names == ("sea", "ship")
    pairs(class_list(tmp_path / "g", "class_dict.csv", "name,r,g,b\nsea,0,0,0\nship,255,255,255\n"))
    assert load_first(read_dataset(tmp_path / "g")).tolist() == [[0, 0, 0, 1, 1, 1]] * 4
    pairs(class_list(tmp_path / "o", "classes.csv", "file,url\na,b,c\n"))
    assert read_dataset(tmp_path / "o").class_map.names == ("background", "foreground")


def load_first(manifest: Manifest) -> np.ndarray:
    return load_sample(manifest, manifest.samples[0])[1]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "class_dict.csv",
            "name,r,g,b\nsea,0,0\n",
            r"class_dict.csv: line 2: expected 4 cells \(name, r, g, b\), got 3",
        ),
        ("class_dict.csv", "name,r,g,b\nsea,0,0,300\n", r"line 2: expected a colour of three numbers from 0 to 255"),
        ("class_dict.csv", "name,r,g,b\nsea,0,x,3\n", r"line 2: expected whole numbers, got 0, x, 3"),
        ("class_dict.csv", "name,r,g,b\na,0,0,0\na,1,1,1\n", r"the name 'a' is listed for two classes"),
        ("class_dict.csv", "name,r,g,b\na,0,0,0\nb,0,0,0\n", r"the colour \(0, 0, 0\) is listed for two classes"),
        ("class_dict.csv", "name,r,g,b\na,0,0,0\n", r"class_dict.csv: expected at least two classes, got a"),
        ("dataset_meta.json", '{"label_map": {', r"dataset_meta.json: damaged JSON: .* at line 1"),
        ("dataset_meta.json", '{"label_map": {"x": 3}}', r"label_map: expected numbers and names"),
    ],
)
def test_damaged_lists_of_classes(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_dataset(class_list(pairs(tmp_path), name, text))


@pytest.mark.parametrize("layout", ["{name}/{label}.png", "{name}_{label}.png", "{label}/{name}.png"])
def test_layouts_of_one_mask_a_class(tmp_path: Path, layout: str) -> None:
    for name in ("a", "a_1"):
        write(tmp_path / "images" / f"{name}.png", (1, 2, 3))
        for label, value in (("fire", 255), ("wet_soil", 0)):
            write(tmp_path / "masks" / layout.format(name=name, label=label), binary(value))
    manifest = read_dataset(tmp_path, task="multilabel")
    assert manifest.class_map.names == ("fire", "wet_soil")
    assert ids(manifest) == ["a", "a_1"]
    for sample in manifest.samples:
        planes = load_sample(manifest, sample)[1]
        assert (planes[0, 0].tolist(), planes[1].any()) == ([0, 0, 0, 1, 1, 1], False)


def test_masks_of_no_image_among_those_of_classes(tmp_path: Path) -> None:
    write(tmp_path / "images" / "a.png", (1, 2, 3))
    write(tmp_path / "masks" / "a_fire.png", binary())
    write(tmp_path / "masks" / "b_fire.png", binary())
    with pytest.raises(DatasetError, match=r"1 files begin with no image's name: b_fire.png"):
        read_dataset(tmp_path, task="multilabel")


def ph2_case(root: Path, name: str) -> None:
    write(root / name / f"{name}_Dermoscopic_Image" / f"{name}.bmp", (1, 2, 3))
    write(root / name / f"{name}_lesion" / f"{name}_lesion.bmp", binary())


def test_ph2_from_both_folders_and_missing_masks(tmp_path: Path) -> None:
    inner = tmp_path / "PH2 Dataset images"
    for name in ("IMD010", "IMD002"):
        ph2_case(inner, name)
    assert ids(read_dataset(tmp_path, "ph2")) == ids(read_dataset(inner, "ph2")) == ["IMD002", "IMD010"]
    (inner / "IMD010" / "IMD010_lesion" / "IMD010_lesion.bmp").unlink()
    with pytest.raises(DatasetError, match=r"1 files of 2 cases.*IMD010/IMD010_lesion has no IMD010_lesion"):
        read_dataset(tmp_path, "ph2")


def pets(root: Path) -> Path:
    for name in ("cat_1", "cat_2", "dog_1", "dog_2"):
        write(root / "images" / f"{name}.jpg", np.zeros((1, 4, 3)))
        write(root / "annotations" / "trimaps" / f"{name}.png", np.array([[1, 2, 3, 3]], np.uint8))
    (root / "annotations" / "trimaps" / "._cat_1.png").write_bytes(b"junk of another system")
    (root / "annotations" / "trainval.txt").write_text("#Image CLASS-ID\ncat_1 1 1 1\ncat_2 1 1 1\n")
    (root / "annotations" / "test.txt").write_text("dog_1 2 2 1\n")
    return root


@pytest.mark.parametrize(
    ("border", "labels", "names"),
    [
        ("class", [0, 1, 2, 2], ("pet", "background", "border")),
        ("ignore", [1, 0, 255, 255], ("background", "pet")),
        ("foreground", [1, 0, 1, 1], ("background", "pet")),
    ],
)
def test_pets_border_policies(tmp_path: Path, border: str, labels: list[int], names: tuple[str, ...]) -> None:
    manifest = read_dataset(pets(tmp_path), "oxford_pets", border=border)
    assert manifest.class_map.names == names
    assert load_sample(manifest, manifest.samples[0])[1].tolist() == [labels]
    assert [(sample.id, sample.split) for sample in manifest.samples] == [
        ("cat_1", "train"),
        ("cat_2", "train"),
        ("dog_1", "test"),
    ]
    ignored = ("value 3 is ignored: 6 pixels (50 %)",) if border == "ignore" else ()
    assert manifest.notes == ("1 image is in no list and was left out: dog_2", *ignored)


def test_pets_unlisted_and_wrong_lists(tmp_path: Path) -> None:
    root = pets(tmp_path)
    everything = read_dataset(root, "oxford_pets", include_unlisted=True)
    assert [sample.split for sample in everything.samples if sample.id == "dog_2"] == [None]
    with pytest.raises(
        ConfigError, match=r"data\.options\.border: expected one of class, ignore, foreground, got 'edge'"
    ):
        read_dataset(root, "oxford_pets", border="edge")
    (root / "annotations" / "test.txt").write_text("dog_1 2 2 1\ncat_1 1 1 1\n")
    with pytest.raises(DatasetError, match=r"test.txt: line 2: 'cat_1' is listed twice"):
        read_dataset(root, "oxford_pets")
    (root / "annotations" / "test.txt").write_text("dog_9 2 2 1\n")
    with pytest.raises(DatasetError, match=r"2 files that the lists name are not there: images/dog_9"):
        read_dataset(root, "oxford_pets")
    (root / "annotations" / "test.txt").unlink()
    one = read_dataset(root, "oxford_pets")
    assert [(sample.id, sample.split) for sample in one.samples] == [("cat_1", "train"), ("cat_2", "train")]
    assert any("there is no test.txt in annotations/" in note for note in one.notes)
    (root / "annotations" / "trainval.txt").unlink()
    with pytest.raises(DatasetError, match=r"no 'trainval.txt' in this folder"):
        read_dataset(root, "oxford_pets")


def camvid(root: Path, prefix: str = "/SegNet/CamVid/") -> Path:
    for split, names in {"train": ["A_1", "A_2"], "val": ["A_3"], "test": ["B_1"]}.items():
        lines = []
        for name in names:
            write(root / split / f"{name}.png", np.zeros((1, 3, 3)))
            write(root / f"{split}annot" / f"{name}.png", np.array([[0, 10, 11]], np.uint8))
            lines.append(f"{prefix}{split}/{name}.png {prefix}{split}annot/{name}.png")
        (root / f"{split}.txt").write_text("\n".join(lines) + "\n")
    return root


@pytest.mark.parametrize("prefix", ["", "/SegNet/CamVid/", "C:\\data\\"])
def test_camvid_lists_with_any_prefix(tmp_path: Path, prefix: str) -> None:
    camvid(tmp_path / "inner", prefix)
    manifest = read_dataset(tmp_path, "camvid")
    assert [(sample.id, sample.split, sample.group) for sample in manifest.samples] == [
        ("A_1", "train", "A"),
        ("A_2", "train", "A"),
        ("A_3", "val", "A"),
        ("B_1", "test", "B"),
    ]
    assert load_sample(manifest, manifest.samples[0])[1].tolist() == [[0, 10, 255]]
    assert manifest.class_map.background is None
    assert manifest.samples[0].foreground_frac is None
    assert any("A in train, val" in note for note in manifest.notes)


def test_camvid_wrong_lists(tmp_path: Path) -> None:
    root = camvid(tmp_path)
    write(root / "train" / "A_9.png", (1, 2, 3))
    assert "1 image is in no list and was left out: train/A_9.png" in read_dataset(root, "camvid").notes
    (root / "test.txt").write_text("test/B_1.png\n")
    with pytest.raises(DatasetError, match=r"test.txt: line 1: expected IMAGE MASK, two paths, got 'test/B_1.png'"):
        read_dataset(root, "camvid")
    (root / "test.txt").write_text("train/A_1.png trainannot/A_1.png\n")
    with pytest.raises(DatasetError, match=r"test.txt: line 1: 'A_1' is listed in train.txt already"):
        read_dataset(root, "camvid")
    (root / "test.txt").write_text("test/B_7.png testannot/B_7.png\n")
    with pytest.raises(DatasetError, match=r"2 listed files are not there: test/B_7.png, testannot/B_7.png"):
        read_dataset(root, "camvid")


def ph2_folder(root: Path) -> Path:
    ph2_case(root / "PH2 Dataset images", "IMD002")
    return root


def ph2_inner(root: Path) -> Path:
    ph2_case(root, "IMD002")
    return root


@pytest.mark.parametrize(
    ("build", "name", "sign"),
    [
        (camvid, "camvid", "CamVid (train.txt, train/, trainannot/)"),
        (ph2_folder, "ph2", "PH2 (PH2 Dataset images/IMD002/IMD002_Dermoscopic_Image/)"),
        (ph2_inner, "ph2", "PH2 (IMD002/IMD002_Dermoscopic_Image/)"),
        (pets, "oxford_pets", "Oxford-IIIT Pet (images/, annotations/trimaps/, annotations/"),
    ],
)
def test_a_known_data_set_is_not_read_as_any_folder(
    tmp_path: Path, build: Callable[[Path], Path], name: str, sign: str
) -> None:
    root = build(tmp_path)
    manifest = read_dataset(root)
    assert manifest.format == name
    assert manifest.notes[0].startswith(f"read as {name}: {sign}")
    assert not any(sign in note for note in read_dataset(root, name).notes)


def test_a_known_data_set_is_read_as_a_folder_when_asked(tmp_path: Path) -> None:
    manifest = read_dataset(camvid(tmp_path), "folder", classes={"sky": 0, "cyclist": 10}, ignore=[11])
    assert (
        manifest.notes[0]
        == "this looks like CamVid (train.txt, train/, trainannot/), and was read as an ordinary folder"
    )


def test_other_folders_are_not_taken_for_a_known_data_set(tmp_path: Path) -> None:
    pairs(tmp_path / "a", "images", "annotations/trimaps")
    pairs(pairs(tmp_path / "b", "train", "trainannot"), "val", "valannot")
    for name in "ab":
        assert len(read_dataset(tmp_path / name)) >= 3


@pytest.mark.data
@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("camvid", "camvid"),
        ("camvid_original", "camvid"),
        ("ph2", "ph2"),
        ("ph2_original", "ph2"),
        ("oxford_pets", "oxford_pets"),
        ("oxford_pets_original", "oxford_pets"),
        ("isic2017_sample", "isic"),
        ("kvasir_jpegmask", "kvasir"),
        ("format_fixtures/voc_dataset/voc_dataset1", "voc"),
        ("labelme/semantic_segmentation/data_dataset_voc", "voc"),
        ("format_fixtures/cityscapes_dataset/dataset", "cityscapes"),
        ("format_fixtures/mapillary_vistas_dataset", "mapillary"),
        ("format_fixtures/ade20k2020_dataset/dataset", "ade20k"),
        ("format_fixtures/open_images_dataset/v6", "open_images"),
        ("format_fixtures/cvat_dataset/for_video", "cvat"),
    ],
)
def test_real_data_sets_are_recognised(real_data: RealData, folder: str, name: str) -> None:
    assert list(recognise(real_data(folder))) == [name]


# Real data


def shares(manifest: Manifest) -> np.ndarray:
    """Returns the share of the counted pixels a class, over all samples."""
    counts = np.zeros(256, dtype=np.int64)
    for sample in manifest.samples:
        counts += np.bincount(load_sample(manifest, sample)[1].ravel(), minlength=256)
    return counts[: manifest.class_map.num_classes] / counts[:255].sum()


@pytest.mark.data
def test_real_ph2(real_data: RealData) -> None:
    manifest = read_dataset(real_data("ph2"), "ph2")
    assert len(manifest) == 200
    assert (manifest.class_map.task, manifest.class_map.names) == (Task.BINARY, ("background", "lesion"))
    assert manifest.samples[0].id == "IMD002"
    assert {sample.width for sample in manifest.samples} == {384}
    assert {sample.height for sample in manifest.samples} == {278, 287, 288, 289, 290}
    assert shares(manifest)[1] == pytest.approx(0.32, abs=0.005)


@pytest.mark.data
def test_real_ph2_original(real_data: RealData) -> None:
    manifest = read_dataset(real_data("ph2_original"), "ph2")
    assert ids(manifest) == ["IMD002", "IMD003", "IMD013", "IMD063", "IMD405", "IMD437"]
    small = {sample.id: sample.foreground_frac for sample in read_dataset(real_data("ph2"), "ph2").samples}
    for sample in manifest.samples:  # the shrunk copies have the same lesions
        assert sample.foreground_frac == pytest.approx(small[sample.id], abs=0.002)


@pytest.mark.slow
@pytest.mark.data
def test_real_pets(real_data: RealData) -> None:
    everything = read_dataset(real_data("oxford_pets"), "oxford_pets", include_unlisted=True)
    assert len(everything) == 401
    assert np.allclose(shares(everything), [0.288, 0.587, 0.125], atol=0.0006)
    listed = read_dataset(real_data("oxford_pets"), "oxford_pets")
    assert (len(listed), len(listed.split("train")), len(listed.split("test"))) == (399, 300, 99)
    assert listed.notes == ("2 images are in no list and were left out: Abyssinian_34, Abyssinian_82",)
    no_pet = next(sample for sample in everything.samples if sample.id == "Abyssinian_34")
    assert no_pet.foreground_frac == 0.0


@pytest.mark.data
def test_real_pets_border_policies(real_data: RealData) -> None:
    root = real_data("oxford_pets_original")
    maps = {
        border: read_dataset(root, "oxford_pets", border=border, include_unlisted=True)
        for border in ("class", "ignore", "foreground")
    }
    pet, ground, edge = shares(maps["class"])
    assert shares(maps["foreground"])[1] == pytest.approx(pet + edge)
    assert shares(maps["ignore"])[1] == pytest.approx(pet / (pet + ground))
    assert len(maps["class"]) == 14


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize(("name", "sizes"), [("camvid", (367, 101, 233)), ("camvid_original", (4, 4, 4))])
def test_real_camvid(real_data: RealData, name: str, sizes: tuple[int, int, int]) -> None:
    manifest = read_dataset(real_data(name), "camvid")
    assert tuple(len(manifest.split(split)) for split in ("train", "val", "test")) == sizes
    assert {sample.group for sample in manifest.samples} == {"0001TP", "0006R0", "0016E5", "Seq05VD"}
    assert {(sample.height, sample.width) for sample in manifest.samples} == {(360, 480)}
    assert manifest.class_map.names[8] == "Car"
    assert any("0001TP in train, test; 0016E5 in train, val" in note for note in manifest.notes)


@pytest.mark.data
def test_real_isic(real_data: RealData) -> None:
    manifest = read_dataset(real_data("isic2017_sample"), "folder", mask_suffix="_segmentation")
    assert len(manifest) == 12
    assert shares(manifest)[1] == pytest.approx(0.08, abs=0.005)
    assert read_dataset(real_data("isic2017_sample"), "folder").samples == manifest.samples


@pytest.mark.data
def test_real_cat_dog(real_data: RealData) -> None:
    manifest = read_dataset(real_data("oxford_pets_catdog"))
    assert (len(manifest), manifest.class_map.ignore_values) == (26, (255,))
    assert manifest.class_map.colors == ((0, 0, 0), (128, 0, 0), (0, 128, 0))  # the files' own palette
    counted = np.array([60.5, 20.6, 6.4]) / 87.5
    assert np.allclose(shares(manifest), counted, atol=0.001)


@pytest.mark.slow
@pytest.mark.data
def test_real_cwfid(real_data: RealData) -> None:
    root = real_data("cwfid")
    with pytest.raises(DatasetError, match="2 ways to read this folder, choose: ") as caught:
        read_dataset(root)
    assert "masks: annotations, 40 files, 002_annotation.png with 3 colours ((0, 0, 0), " in caught.value.reason
    assert "masks: masks, 40 files, 002_mask.png with 2 values (255, 0)" in caught.value.reason
    classes = {"soil": [0, 0, 0], "crop": [0, 255, 0], "weed": [255, 0, 0]}
    manifest = read_dataset(root, masks="annotations", classes=classes)
    assert len(manifest) == 40
    assert np.allclose(shares(manifest), [0.926, 0.016, 0.059], atol=0.0006)


@pytest.mark.data
def test_made_up_lists_of_classes(real_data: RealData) -> None:
    fixtures = real_data("format_fixtures")
    kaggle = read_dataset(fixtures / "kaggle_dataset" / "image_mask_with_labelmap")
    assert kaggle.class_map.names == ("background", "cat", "dog")
    common = fixtures / "common_semantic_segmentation_dataset"
    with pytest.raises(DatasetError, match=r"dataset_meta.json: Void sounds like pixels that nobody labelled"):
        read_dataset(common / "dataset")
    manifest = read_dataset(common / "dataset", ignore=[[0, 0, 0]])  # the advice works
    assert manifest.class_map.names == ("Animal", "Archway", "Bicyclist", "Child", "Road")
    assert set(load_first(manifest).ravel()) == {2, 4}
    assert ids(read_dataset(common / "non_standard_dataset", mask_suffix="", ignore=[[0, 0, 0]])) == ["0001", "0002"]


@pytest.mark.data
def test_real_jpeg_masks(real_data: RealData) -> None:
    root = real_data("kvasir_jpegmask")
    with pytest.raises(DatasetError, match=r"lossy compression \(JPEG\): set the option tolerance: 8"):
        read_dataset(root, "folder")
    manifest = read_dataset(root, "folder", tolerance=8)
    assert len(manifest) == 3
    assert any("tolerance 8: 15482 mask pixels" in note for note in manifest.notes)
    assert set(np.unique(load_sample(manifest, manifest.samples[0])[1])) == {0, 1}


def test_readers_are_functions_of_the_table(tmp_path: Path) -> None:
    listing = FORMATS.get("folder")(pairs(tmp_path))
    assert isinstance(listing, Listing)
    assert ids(listing) == ["a", "b", "c"]
