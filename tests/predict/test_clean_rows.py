"""Regions and cleaning of masks that are read some rows at a time: what the whole mask gives, to the pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from segbench.errors import PredictionError
from segbench.predict import regions
from segbench.predict.clean_rows import RowFile, clean_rows
from segbench.predict.postprocess import Postprocess
from segbench.predict.regions import Regions
from segbench.types import ClassMap, Task

THREE = ClassMap(names=("ground", "roof", "tree"), values=((0,), (1,), (2,)))
MIDDLE = ClassMap(names=("roof", "ground", "tree"), values=((0,), (1,), (2,)), background=1)
NONE = ClassMap(names=("roof", "ground", "tree"), values=((0,), (1,), (2,)), background=None)
BINARY = ClassMap(names=("ground", "roof"), values=((0,), (1,)), task=Task.BINARY)
PLANES = ClassMap(names=("roof", "tree"), values=((1,), (1,)), task=Task.MULTILABEL, background=None)


@pytest.fixture(autouse=True)
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regions, "_FEWEST_ROWS", 3)
    monkeypatch.setattr(regions, "_PIECE_PX", 1)


def random_mask(seed: int, classes: int) -> NDArray[np.uint8]:
    """Returns noise, blobs, nests of rings, or almost nothing, of any size."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 40, 2)
    noise = rng.normal(size=(height, width, classes))
    smooth = ndimage.gaussian_filter(noise, (sigma := rng.choice([0, 0, 0.7, 2]), sigma, 0))
    smooth[..., 0] += rng.choice([0, 1, 3]) * smooth.std()
    mask: NDArray[np.uint8] = smooth.argmax(axis=2).astype(np.uint8)
    return mask


@pytest.mark.parametrize("corners", [True, False])
@pytest.mark.parametrize("seed", range(30))
def test_regions_are_those_of_the_whole_mask(seed: int, corners: bool) -> None:
    plane = random_mask(seed, 2) == 1
    height = len(plane)
    expected, number = ndimage.label(plane, structure=np.ones((3, 3)) if corners else None)
    streamed = Regions(corners=corners)
    pieces = [(top, min(height, top + 3)) for top in range(0, height, 3)]
    numbers = np.concatenate([streamed.add(plane[top:bottom], top) for top, bottom in pieces])
    table = streamed.table()
    np.testing.assert_array_equal(table.region[numbers], expected)
    assert len(table) == number
    for index, (rows, columns) in enumerate(ndimage.find_objects(expected)):
        ys, xs = np.nonzero(expected == index + 1)
        assert (table.area_px[index], table.sum_x[index], table.sum_y[index]) == (len(xs), xs.sum(), ys.sum())
        assert (table.top[index], table.bottom[index]) == (rows.start, rows.stop)
        assert (table.left[index], table.right[index]) == (columns.start, columns.stop)
        assert table.first_x[index] == xs[0]


def cleaned(mask: NDArray[np.uint8], steps: Postprocess, class_map: ClassMap, folder: Path) -> NDArray[np.uint8]:
    with RowFile(folder / "rows", (mask.shape[0], mask.shape[1])) as file:
        file.write(0, mask)
        clean_rows(file, steps, class_map)
        found = file.read(0, len(mask)).copy()
    assert not list(folder.iterdir())
    return found


STEPS = [
    Postprocess(fill_holes_px=1),
    Postprocess(fill_holes_px=15),
    Postprocess(smallest_px=3),
    Postprocess(smallest_px=40),
    Postprocess(keep_largest=True),
    Postprocess(smooth_px=1),
    Postprocess(smooth_px=4),
    Postprocess(fill_holes_px=6, smallest_px=8, smooth_px=2),
    Postprocess(fill_holes_px=2000, smallest_px=5, keep_largest=True, smooth_px=1),
]


@pytest.mark.parametrize("steps", STEPS, ids=str)
@pytest.mark.parametrize("class_map", [THREE, MIDDLE, NONE, BINARY], ids=["three", "middle", "none", "binary"])
def test_cleaning_some_rows_at_a_time_gives_what_the_whole_mask_gives(
    steps: Postprocess, class_map: ClassMap, tmp_path: Path
) -> None:
    changed = 0
    for seed in range(12):
        mask = random_mask(seed, class_map.num_classes)
        expected = steps.apply(mask, class_map)
        np.testing.assert_array_equal(cleaned(mask, steps, class_map, tmp_path), expected, err_msg=f"seed {seed}")
        changed += int((expected != mask).any())
    assert changed > 1


def test_planes_are_cleaned_one_by_one(tmp_path: Path) -> None:
    steps = Postprocess(fill_holes_px=9, smallest_px=9)
    for seed in range(20):
        plane = random_mask(seed, 2)
        expected = steps.apply(np.stack([plane, 1 - plane]), PLANES)
        for mask, wanted in zip((plane, 1 - plane), expected, strict=True):
            np.testing.assert_array_equal(cleaned(mask, steps, PLANES, tmp_path), wanted)


def test_far_away_pixels_are_found_too(tmp_path: Path) -> None:
    """All but a corner is taken away, so that the nearest pixel lies many pieces of rows away."""
    mask = np.zeros((60, 50), dtype=np.uint8)
    mask[2:, :] = 1
    mask[50:, 30:] = 2
    steps = Postprocess(smallest_px=2900)
    expected = steps.apply(mask, THREE)
    assert (expected == 0).mean() > 0.1
    np.testing.assert_array_equal(cleaned(mask, steps, THREE, tmp_path), expected)


def test_noise_is_refused_before_it_fills_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regions, "MOST_REGIONS", 100)
    mask = np.indices((40, 40)).sum(axis=0).astype(np.uint8) % 3
    with pytest.raises(PredictionError, match="more than 100 regions, which is noise"):
        cleaned(mask, Postprocess(smallest_px=2), THREE, tmp_path)
