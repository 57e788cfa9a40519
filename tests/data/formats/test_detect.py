"""A folder is recognised with its reason, or a question is asked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segbench.data.formats.detect import detect, resolve
from segbench.data.manifest.read import read_dataset
from segbench.errors import DatasetError


def save(path: Path, values: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, dtype=np.uint8)).save(path)


def pairs(root: Path, *masks: object, folder: str = "masks", suffix: str = ".png") -> None:
    for number, mask in enumerate(masks):
        values = np.asarray(mask, dtype=np.uint8)
        image = np.full((*values.shape[:2], 3), number, dtype=np.uint8)
        save(root / "images" / f"{number}.png", image)
        save(root / folder / f"{number}{suffix}", values)


def square(value: object, size: int = 32) -> np.ndarray:
    mask = np.zeros((size, size) if isinstance(value, int) else (size, size, 3), dtype=np.uint8)
    mask[8:20, 8:20] = value
    return mask


def test_an_ordinary_folder_needs_no_options(tmp_path: Path) -> None:
    pairs(tmp_path, square(255), square(0))
    best = detect(tmp_path).best
    assert best is not None
    assert (best.format, dict(best.options), best.samples) == ("folder", {}, 2)
    assert best.classes == ("background", "foreground")


def test_lossy_masks_get_a_tolerance_that_reads_them(tmp_path: Path) -> None:
    mask = square(255)
    mask[0, :6], mask[8, 8:14] = (1, 2, 3, 4, 5, 6), (250, 251, 252, 253, 254, 249)
    pairs(tmp_path, mask, square(255))
    best = detect(tmp_path).best
    assert best is not None
    assert best.options == {"tolerance": 6}
    assert "JPEG" in best.guesses[0]
    assert len(read_dataset(tmp_path, best.format, **best.options)) == 2


def test_colours_become_classes_with_black_as_background(tmp_path: Path) -> None:
    pairs(tmp_path, square((255, 0, 0)), square((0, 255, 0)))
    best = detect(tmp_path).best
    assert best is not None
    assert best.options["classes"]["background"] == [0, 0, 0]
    assert sorted(best.options["classes"].values()) == [[0, 0, 0], [0, 255, 0], [255, 0, 0]]
    assert "rename them" in best.guesses[0]
    assert read_dataset(tmp_path, best.format, **best.options).class_map.num_classes == 3


def test_values_with_gaps_become_classes_and_255_is_ignored(tmp_path: Path) -> None:
    mask = square(7)
    mask[0], mask[1] = 255, 3
    pairs(tmp_path, mask, square(3))
    best = detect(tmp_path).best
    assert best is not None
    assert best.options == {"classes": {"background": 0, "class_1": 3, "class_2": 7}, "ignore": [255]}


def test_1_and_255_in_different_masks_are_read_as_one_class_and_told(tmp_path: Path) -> None:
    pairs(tmp_path, square(1), square(1), square(255))
    best = detect(tmp_path).best
    assert best is not None
    assert best.options == {"classes": {"background": 0, "foreground": [1, 255]}}
    assert "both are read as the same class" in best.guesses[0]
    manifest = read_dataset(tmp_path, best.format, **best.options)
    assert [sample.foreground_frac for sample in manifest.samples] == [144 / 1024] * 3


def test_one_lossy_mask_makes_no_tolerance_that_swallows_a_class(tmp_path: Path) -> None:
    clean = square(255)
    clean[2:5, 2:5] = 128
    lossy = np.clip(square(255).astype(int) + np.arange(32) % 9 * np.where(square(255) > 0, -1, 1), 0, 255)
    pairs(tmp_path, clean, clean, lossy)
    assert all("tolerance" not in candidate.options for candidate in detect(tmp_path).candidates)


def test_a_trimap_whose_border_is_ignored(tmp_path: Path) -> None:
    mask = square(1)
    mask[mask == 0] = 2
    mask[7, 8:20] = 3
    pairs(tmp_path, mask, mask)
    best = detect(tmp_path, {"ignore": [3]}).best
    assert best is not None
    assert best.options == {"ignore": [3], "classes": {"foreground": 1, "background": 2}}
    assert read_dataset(tmp_path, best.format, **best.options).class_map.ignore_values == (3,)


def test_masks_of_255_alone_end_in_a_sentence(tmp_path: Path) -> None:
    pairs(tmp_path, np.full((32, 32), 255), np.full((32, 32), 255))
    found = detect(tmp_path)
    assert found.best is None
    assert "every mask holds only the value 255" in found.question()


def test_the_parts_of_a_broken_set_are_no_data_sets_of_their_own(tmp_path: Path) -> None:
    for part in ("train", "val"):
        pairs(tmp_path / part, square(255), square(255))
    save(tmp_path / "val" / "images" / "0.jpg", np.zeros((32, 32, 3)))
    assert detect(tmp_path).nested == ()


def test_two_folders_of_masks_are_a_question(tmp_path: Path) -> None:
    pairs(tmp_path, square(255), square(255))
    pairs(tmp_path, square(255), square(255), folder="annotations")
    found = detect(tmp_path)
    assert found.best is None
    assert [candidate.options for candidate in found.candidates] == [{"masks": "annotations"}, {"masks": "masks"}]
    with pytest.raises(DatasetError, match="2 ways to read this folder, choose: "):
        resolve(tmp_path, None, {})
    assert resolve(tmp_path, None, {"masks": "masks"}).options == {"masks": "masks"}
    chosen = detect(tmp_path, {"masks": "masks"}, format="folder").best
    assert chosen is not None
    assert chosen.options == {"masks": "masks"}


def test_another_format_that_cannot_be_read_is_a_question_too(tmp_path: Path) -> None:
    save(tmp_path / "a.png", np.zeros((20, 30, 3)))
    shape = {"name": "rect", "x": 1, "y": 1, "width": 5, "height": 5}
    regions = [{"shape_attributes": shape, "region_attributes": {"kind": "leaf"}}]
    via = {"a.png": {"filename": "a.png", "size": 1, "regions": regions, "file_attributes": {}}}
    (tmp_path / "via_region_data.json").write_text(json.dumps(via))
    assert detect(tmp_path).best is not None
    (tmp_path / "annotations.xml").write_text("<annotations><version>1.1</version><image")
    found = detect(tmp_path)
    assert found.best is None
    assert "one way to read this folder, choose it or mend the other: --format via" in found.question()
    assert "it also looks like cvat" in found.question()


def test_what_has_no_partner_is_told(tmp_path: Path) -> None:
    pairs(tmp_path, square(255), square(255))
    save(tmp_path / "images" / "9.png", np.zeros((32, 32, 3)))
    found = detect(tmp_path)
    assert found.best is None
    assert "1 of 3 images have no mask: 9;" in found.question()
    assert "--option unpaired=skip" in found.question()


def test_a_folder_of_data_sets_names_them(tmp_path: Path) -> None:
    for name in ("one", "two"):
        save(tmp_path / name / "train" / "a.png", np.zeros((8, 8, 3)))
        save(tmp_path / name / "trainannot" / "a.png", np.zeros((8, 8)))
        (tmp_path / name / "train.txt").write_text("train/a.png trainannot/a.png\n")
    found = detect(tmp_path)
    assert [path.name for path in found.nested] == ["one", "two"]
    assert f"holds 2 data sets, choose one: {tmp_path / 'one'}, {tmp_path / 'two'}" in found.question()


def test_an_annotation_file_is_recognised(tmp_path: Path) -> None:
    save(tmp_path / "images" / "a.png", np.zeros((20, 30, 3)))
    shape = {"id": 1, "image_id": 1, "category_id": 5, "segmentation": [[1, 1, 9, 1, 9, 9]], "iscrowd": 0}
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": 20, "width": 30}],
        "annotations": [shape],
        "categories": [{"id": 5, "name": "cell"}],
    }
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "instances_train.json").write_text(json.dumps(content))
    best = detect(tmp_path).best
    assert best is not None
    assert best.format == "coco"
    assert best.classes == ("background", "cell")


def test_a_folder_without_labels_says_what_was_tried(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing here")
    found = detect(tmp_path)
    assert found.best is None
    assert "no image file is in this folder" in found.question()
    assert "this folder holds 1 .txt" in found.question()
    with pytest.raises(DatasetError, match="no such folder"):
        detect(tmp_path / "missing")
