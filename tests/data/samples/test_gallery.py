"""Which samples a sheet shows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_dataset
from segbench.data.samples.gallery import choose_samples, load_small, samples_with
from segbench.errors import DatasetError


def masks_of(root: Path, sides: list[int], size: int = 40) -> Manifest:
    """Writes images whose foreground is a square of the given side."""
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for number, side in enumerate(sides):
        mask = np.zeros((size, size), dtype=np.uint8)
        mask[:side, :side] = 255
        Image.fromarray(np.full((size, size, 3), number, dtype=np.uint8)).save(root / "images" / f"{number}.png")
        Image.fromarray(mask).save(root / "masks" / f"{number}.png")
    return read_dataset(root)


def test_a_choice_is_repeatable_and_in_order(tmp_path: Path) -> None:
    manifest = masks_of(tmp_path, [5] * 9)
    first = choose_samples(manifest, 4, seed=1)
    assert first == choose_samples(manifest, 4, seed=1)
    assert [sample.id for sample in first] == sorted(sample.id for sample in first)
    assert {sample.id for sample in choose_samples(manifest, 4, seed=2)} != {sample.id for sample in first}
    assert len(choose_samples(manifest, 50)) == 9


def test_the_largest_share_comes_first_and_images_without_are_left_out(tmp_path: Path) -> None:
    manifest = masks_of(tmp_path, [3, 20, 0, 9, 12])
    assert [sample.id for sample in samples_with(manifest, 1, 3)] == ["1", "4", "3"]
    assert [sample.id for sample in samples_with(manifest, 1, 9)] == ["1", "4", "3", "0"]


def test_drawn_masks_are_looked_at_too(tmp_path: Path) -> None:
    content = {}
    for number, side in enumerate((4, 30, 12)):
        name = f"{number}.png"
        Image.fromarray(np.full((40, 40, 3), 9, dtype=np.uint8)).save(tmp_path / name)
        shape = {"name": "rect", "x": 0, "y": 0, "width": side, "height": side}
        regions = [{"shape_attributes": shape, "region_attributes": {"kind": "leaf"}}]
        content[name] = {"filename": name, "size": 1, "regions": regions, "file_attributes": {}}
    (tmp_path / "via_region_data.json").write_text(json.dumps(content))
    manifest = read_dataset(tmp_path, "via")
    assert [sample.id for sample in samples_with(manifest, 1, 2)] == ["1", "2"]


def test_large_images_are_made_small_with_their_masks(tmp_path: Path) -> None:
    manifest = masks_of(tmp_path, [400, 100], size=800)
    shown = list(load_small(manifest, manifest.samples))
    assert [image.shape for image, _ in shown] == [(320, 320, 3)] * 2
    assert [mask.mean() for _, mask in shown] == pytest.approx([0.25, 1 / 64], rel=0.05)
    assert [int(image[0, 0, 0]) for image, _ in shown] == [0, 1]


def test_a_part_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="has no test part"):
        choose_samples(masks_of(tmp_path, [5, 6]), 2, split="test")
