"""Another tool's masks: each is read by the meaning it was written with, or nobody guesses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from segbench.compare.outside import OutsideMasks, read_outside
from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_dataset
from segbench.data.sources.load import load_sample
from segbench.errors import DatasetError
from segbench.predict.mask_folder import MARKER, mark_indices
from segbench.predict.outputs import write_mask

Mask = npt.NDArray[np.uint8]
RED, GREEN, BLUE = (200, 0, 0), (0, 200, 0), (0, 0, 200)


def data_set(root: Path, classes: dict[str, Any], labels: list[Any], **options: Any) -> Manifest:
    """Returns a data set of three images whose masks hold the given file values, one a column; all of it is test."""
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for index in range(3):
        Image.fromarray(rng.integers(0, 255, (12, 10 * len(labels), 3), dtype=np.uint8)).save(
            root / "images" / f"i{index}.png"
        )
        Image.fromarray(columns(labels)).save(root / "masks" / f"i{index}.png")
    manifest = read_dataset(root, classes=classes, **options)
    return manifest.with_splits({sample.id: "test" for sample in manifest.samples})


def columns(values: list[Any]) -> Mask:
    """Returns a mask of 12 rows, ten columns a value."""
    return np.repeat(np.repeat(np.array([values], np.uint8), 10, axis=1), 12, axis=0)


def write_masks(folder: Path, mask: Mask, palette: list[tuple[int, int, int]] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(3):
        picture = Image.fromarray(mask)
        if palette is not None:
            picture.putpalette([channel for color in palette for channel in color])
        picture.save(folder / f"i{index}.png")
    return folder


def read(folder: Path, manifest: Manifest, **options: Any) -> OutsideMasks:
    return read_outside(folder, manifest, manifest.split("test"), None, **options)


def truth(manifest: Manifest) -> Mask:
    return load_sample(manifest, manifest.samples[0])[1]


ASK = "which mean one thing as the values of the data set's own masks and another as class indices .*--masks values or"


@pytest.mark.parametrize(
    ("classes", "labels", "indices"),
    [
        ({"background": [0, 1], "lesion": 2}, [0, 1, 2], [0, 0, 1]),
        ({"a": 2, "b": 0, "c": 1}, [2, 0, 1], [0, 1, 2]),
        ({"a": 1, "b": 2, "c": 3}, [1, 2, 3], [1, 1, 2]),
    ],
)
def test_values_that_may_mean_two_things_are_asked_about(
    tmp_path: Path, classes: dict[str, Any], labels: list[int], indices: list[int]
) -> None:
    manifest = data_set(tmp_path / "data", classes, labels)
    folder = write_masks(tmp_path / "tool", columns(indices))
    with pytest.raises(DatasetError, match=ASK):
        read(folder, manifest)
    np.testing.assert_array_equal(read(folder, manifest, masks="indices").read("i0"), columns(indices))
    write_masks(tmp_path / "own", columns(labels))
    np.testing.assert_array_equal(read(tmp_path / "own", manifest, masks="values").read("i0"), truth(manifest))


def test_what_segbench_predicted_says_so_itself(tmp_path: Path) -> None:
    manifest = data_set(tmp_path / "data", {"background": [0, 1], "lesion": 2}, [0, 1, 2])
    root = tmp_path / "tool" / "masks"
    write_masks(root, columns([0, 0, 1]))
    mark_indices(root, manifest.class_map)
    np.testing.assert_array_equal(read(tmp_path / "tool", manifest).read("i0"), columns([0, 0, 1]))
    np.testing.assert_array_equal(read(root, manifest).read("i0"), columns([0, 0, 1]))
    for content, text in (
        (
            '{"classes": ["sky", "sea"], "written_as": "class indices"}',
            "of the classes sky, sea, the test images of ba",
        ),
        (
            '{"classes": ["background", "lesion"], "written_as": "x"}',
            "expected masks written as class indices, got 'x'",
        ),
        ("[]", "expected what `segbench predict` wrote about the masks, got TypeError"),
    ):
        (root / MARKER).write_text(content)
        with pytest.raises(DatasetError, match=text):
            read(root, manifest)


def test_predictions_from_before_the_marker_show_the_class_maps_colours(tmp_path: Path) -> None:
    manifest = data_set(tmp_path / "data", {"background": [0, 1], "lesion": 2}, [0, 1, 2])
    for index in range(3):
        write_mask(tmp_path / "tool" / f"i{index}.png", columns([0, 0, 1]), manifest.class_map)
    masks = read(tmp_path / "tool", manifest)
    np.testing.assert_array_equal(masks.read("i0"), columns([0, 0, 1]))
    assert any("read by the colours of their palettes" in note for note in masks.notes)


def test_palettes_of_a_colour_data_set_are_read_by_their_colours(tmp_path: Path) -> None:
    manifest = data_set(tmp_path / "data", {"r": RED, "g": GREEN, "b": BLUE}, [RED, GREEN, BLUE])
    folder = write_masks(tmp_path / "tool", columns([2, 0, 1]), [GREEN, BLUE, RED])
    np.testing.assert_array_equal(read(folder, manifest).read("i0"), truth(manifest))
    write_masks(folder, columns([0, 1, 2]))  # without a palette nothing but indices fits
    masks = read(folder, manifest)
    np.testing.assert_array_equal(masks.read("i0"), truth(manifest))
    assert any("read as class indices 0 to 2" in note for note in masks.notes)


def test_a_palette_that_starts_with_white_is_not_turned_round(tmp_path: Path) -> None:
    manifest = data_set(tmp_path / "data", {"skin": 0, "lesion": 255}, [0, 255])
    folder = write_masks(tmp_path / "tool", columns([1, 0]), [(255, 255, 255), (0, 0, 0)])
    masks = read(folder, manifest)
    np.testing.assert_array_equal(masks.read("i0"), columns([0, 1]))
    assert any("read by the colours of their palettes" in note for note in masks.notes)
    write_masks(folder, columns([0, 1]), [(0, 0, 0), (0, 0, 0)])  # colours that tell nothing
    np.testing.assert_array_equal(read(folder, manifest).read("i0"), columns([0, 1]))


def test_what_is_asked_for_must_fit(tmp_path: Path) -> None:
    manifest = data_set(tmp_path / "data", {"skin": 0, "lesion": 255}, [0, 255])
    folder = write_masks(tmp_path / "tool", columns([0, 255]))
    with pytest.raises(DatasetError, match="hold the values 0, 255; expected class indices 0 to 1, as --masks indices"):
        read(folder, manifest, masks="indices")
    write_masks(folder, columns([0, 7]))
    with pytest.raises(
        DatasetError, match=r"0, 7; expected those of the data set's own masks \(0, 255\), as --masks val"
    ):
        read(folder, manifest, masks="values")
    Image.fromarray(np.full((12, 20, 3), RED, np.uint8)).save(folder / "i0.png")
    with pytest.raises(
        DatasetError, match=r"hold the colours 0, 7, \(200, 0, 0\); expected those of the data set's own"
    ):
        read(folder, manifest)


def test_the_data_sets_tolerance_holds_for_masks_too(tmp_path: Path) -> None:
    manifest = data_set(tmp_path / "data", {"skin": 0, "lesion": 255}, [0, 255], tolerance=20)
    assert manifest.tolerance == 20
    folder = write_masks(tmp_path / "tool", columns([11, 240]))
    np.testing.assert_array_equal(read(folder, manifest).read("i0"), columns([0, 1]))


def test_one_file_is_the_mask_of_one_image(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        for group in ("a", "b"):
            (tmp_path / "data" / kind / group).mkdir(parents=True)
            picture = rng.integers(0, 255, (12, 20, 3), dtype=np.uint8) if kind == "images" else columns([0, 255])
            Image.fromarray(picture).save(tmp_path / "data" / kind / group / "000.png")
    manifest = read_dataset(tmp_path / "data")
    manifest = manifest.with_splits({sample.id: "test" for sample in manifest.samples})
    (tmp_path / "tool").mkdir()
    Image.fromarray(columns([0, 255])).save(tmp_path / "tool" / "000.png")
    with pytest.raises(
        DatasetError, match=r"000.png fits 2 test images \(a/000, b/000\), and cannot be the mask of more"
    ):
        read(tmp_path / "tool", manifest)


def multilabel(tmp_path: Path) -> Manifest:
    rng = np.random.default_rng(0)
    root = tmp_path / "data"
    for name in ("images", "masks/x", "masks/y"):
        (root / name).mkdir(parents=True)
    for index in range(3):
        Image.fromarray(rng.integers(0, 255, (12, 20, 3), dtype=np.uint8)).save(root / "images" / f"i{index}.png")
        Image.fromarray(columns([0, 255])).save(root / "masks" / "x" / f"i{index}.png")
        Image.fromarray(columns([255, 0])).save(root / "masks" / "y" / f"i{index}.png")
    manifest = read_dataset(root, task="multilabel")
    return manifest.with_splits({sample.id: "test" for sample in manifest.samples})


PLANES = np.stack([columns([0, 1]), columns([1, 0])])


@pytest.mark.parametrize("present", [255, 1, 90])
def test_multilabel_masks_are_zero_and_one_other_value(tmp_path: Path, present: int) -> None:
    manifest = multilabel(tmp_path)
    write_masks(tmp_path / "tool" / "x", columns([0, present]))
    write_masks(tmp_path / "tool" / "y", columns([present, 0]))
    np.testing.assert_array_equal(read(tmp_path / "tool", manifest).read("i0"), PLANES)


def test_multilabel_masks_that_hold_more_are_refused(tmp_path: Path) -> None:
    manifest = multilabel(tmp_path)
    write_masks(tmp_path / "tool" / "x", columns([0, 255]))
    write_masks(tmp_path / "tool" / "y", columns([200, 30]))  # a soft map
    text = r"the masks of class y hold the values 30, 200; expected those .* \(1, 255\) or 0 and one other value"
    with pytest.raises(DatasetError, match=text):
        read(tmp_path / "tool", manifest)
    red = np.zeros((12, 20, 3), np.uint8)
    red[:, :10, 0] = 255
    write_masks(tmp_path / "tool" / "y", red)
    with pytest.raises(
        DatasetError, match=r"the masks of class y hold the colours \(0, 0, 0\), \(255, 0, 0\); expected"
    ):
        read(tmp_path / "tool", manifest)


def test_multilabel_palettes_that_show_the_opposite_are_refused(tmp_path: Path) -> None:
    manifest = multilabel(tmp_path)
    inverted = [(255, 255, 255), (0, 0, 0)]
    write_masks(tmp_path / "tool" / "x", columns([0, 1]), inverted)
    write_masks(tmp_path / "tool" / "y", columns([1, 0]), inverted)
    with pytest.raises(
        DatasetError, match="the masks hold 0, 1, which mean one thing and show another: their palettes"
    ):
        read(tmp_path / "tool", manifest)
    np.testing.assert_array_equal(read(tmp_path / "tool", manifest, masks="values").read("i0"), PLANES)
    for name, plane in zip("xy", PLANES, strict=True):  # as `segbench predict` writes them
        for index in range(3):
            write_mask(tmp_path / "tool" / name / f"i{index}.png", plane, manifest.class_map)
    np.testing.assert_array_equal(read(tmp_path / "tool", manifest).read("i0"), PLANES)


def test_the_size_may_be_both(tmp_path: Path) -> None:
    manifest = data_set(tmp_path / "data", {"skin": 0, "lesion": 255}, [0, 255])
    folder = write_masks(tmp_path / "tool", columns([0, 255]))
    samples = manifest.split("test")
    assert read_outside(folder, manifest, samples, (12, 20)).size == "both"
    assert read_outside(folder, manifest, samples, (24, 20)).size == "own"
    assert read_outside(folder, manifest, samples, None).size == "own"
