"""Surface scores against a slow count by hand, the package surface-distance, and worked examples."""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import surface_distance
from scipy import ndimage

from segbench.errors import RunError
from segbench.metrics import (
    SURFACE_SCORES,
    ImageValues,
    SurfaceCollector,
    SurfaceSettings,
    measure_surfaces,
    read_surfaces,
    score_surfaces,
)
from segbench.metrics.surface import SURFACE_VALUES
from segbench.types import ClassMap, Task

BINARY = ClassMap(names=("skin", "lesion"), values=((0,), (1,)), task=Task.BINARY)
STREET = ClassMap(names=("road", "car", "sky"), values=((0,), (1,), (2,)))
LABELS = ClassMap(names=("a", "b"), values=((1,), (1,)), task=Task.MULTILABEL, background=None)


def blobs(seed: int, shape: tuple[int, int] = (40, 33), smooth: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Returns two similar masks with several objects that may touch the edge of the image."""
    random = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(random.standard_normal(shape), smooth) if smooth else random.standard_normal(shape)
    other = field + 0.5 * field.std() * random.standard_normal(shape)
    other = ndimage.gaussian_filter(other, 1.0) if smooth else other
    return other > other.std() * 0.4, field > field.std() * 0.4


def contour_by_hand(mask: np.ndarray) -> list[tuple[int, int, float]]:
    """Returns (row, column, length) of every corner whose four pixels do not agree, by looping over corners."""
    height, width = mask.shape
    found = []
    for row in range(height + 1):
        for column in range(width + 1):
            four = [
                bool(mask[r, c]) if 0 <= r < height and 0 <= c < width else False
                for r in (row - 1, row)
                for c in (column - 1, column)
            ]
            if sum(four) in (1, 3):
                length = math.sqrt(2) / 2  # one corner of the outline is cut off
            elif sum(four) == 2:
                length = math.sqrt(2) if four[0] == four[3] else 1.0  # two corners, or a straight piece
            else:
                continue
            found.append((row, column, length))
    return found


def by_hand(prediction: np.ndarray, target: np.ndarray, width_frac: float, tolerance: float) -> dict[str, float]:
    """Returns the four numbers from pairs of elements and pixel neighbourhoods, without any transform or tree."""
    contours = [contour_by_hand(mask) for mask in (prediction, target)]
    directed = []
    for k in (0, 1):
        rows = [
            (min(math.hypot(r - other[0], c - other[1]) for other in contours[1 - k]), length)
            for r, c, length in contours[k]
        ]
        directed.append(sorted(rows))
    percentiles = []
    for rows in directed:
        total, reached = sum(length for _, length in rows), 0.0
        for distance, length in rows:
            reached += length
            if reached >= 0.95 * total - 1e-9:
                percentiles.append(distance)
                break
    everything = directed[0] + directed[1]
    total = sum(length for _, length in everything)
    height, width = target.shape
    band_px = max(1, round(width_frac * math.hypot(height, width)))
    bands = []
    for mask in (prediction, target):
        padded = np.pad(mask, band_px)
        band = np.zeros_like(mask)
        for row in range(height):
            for column in range(width):
                around = padded[row : row + 2 * band_px + 1, column : column + 2 * band_px + 1]
                band[row, column] = mask[row, column] and not around.all()
        bands.append(band)
    return {
        "boundary_iou": (bands[0] & bands[1]).sum() / (bands[0] | bands[1]).sum(),
        "hd95_px": max(percentiles),
        "assd_px": sum(distance * length for distance, length in everything) / total,
        "nsd": sum(length for distance, length in everything if distance <= tolerance) / total,
    }


@pytest.mark.parametrize("smooth", [2.0, 0.0], ids=["outlines", "noise"])
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_count_by_hand(seed: int, smooth: float) -> None:
    prediction, target = blobs(seed, (22, 31), smooth)
    for width_frac, tolerance in ((0.02, 2.0), (0.1, 1.0)):
        settings = SurfaceSettings(boundary_width_frac=width_frac, tolerance_px=tolerance)
        ours = measure_surfaces(prediction, target, settings=settings)
        assert ours == pytest.approx(by_hand(prediction, target, width_frac, tolerance), rel=1e-12)
        assert tuple(ours) == SURFACE_VALUES


@pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")
@pytest.mark.parametrize("smooth", [15.0, 3.0, 1.0, 0.0])
@pytest.mark.parametrize("seed", range(4))
def test_distances_equal_the_package_surface_distance(seed: int, smooth: float) -> None:
    """HD95 and NSD as they are; ASSD from its two directed means, weighted by the lengths of the contours.

    The largest objects have short contours for their size: that is where distances come from a tree.
    """
    prediction, target = blobs(seed, (200, 180) if smooth > 10 else (90, 70), smooth)
    theirs = surface_distance.compute_surface_distances(target, prediction, (1.0, 1.0))
    ours = measure_surfaces(prediction, target)
    assert ours["hd95_px"] == pytest.approx(surface_distance.compute_robust_hausdorff(theirs, 95.0), rel=1e-12)
    assert ours["nsd"] == pytest.approx(surface_distance.compute_surface_dice_at_tolerance(theirs, 2.0), rel=1e-12)
    means = surface_distance.compute_average_surface_distance(theirs)
    lengths = theirs["surfel_areas_gt"].sum(), theirs["surfel_areas_pred"].sum()
    assert ours["assd_px"] == pytest.approx(np.average(means, weights=lengths), rel=1e-12)


def test_boundary_iou_equals_repeated_erosion() -> None:
    """The authors' code: erode with 3x3 as many times as the band is wide, outside the image counts as empty."""
    prediction, target = blobs(5, (100, 80), 6.0)
    width_px = round(0.02 * math.hypot(100, 80))
    assert width_px == 3
    bands = [
        mask & ~ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=width_px) for mask in (prediction, target)
    ]
    expected = (bands[0] & bands[1]).sum() / (bands[0] | bands[1]).sum()
    assert measure_surfaces(prediction, target)["boundary_iou"] == expected
    iou = (prediction & target).sum() / (prediction | target).sum()
    assert expected < iou  # that is what it is for


def test_a_moved_square() -> None:
    target = np.zeros((40, 40), bool)
    target[10:30, 10:30] = True
    moved = np.roll(target, 4, axis=0)
    measured = measure_surfaces(moved, target)
    assert measured["hd95_px"] == 4.0
    assert 0 < measured["assd_px"] < 4.0
    assert measure_surfaces(target, target) == {"boundary_iou": 1.0, "hd95_px": 0.0, "assd_px": 0.0, "nsd": 1.0}
    # The sides still run along each other and the ends do not: 2 x 20 of 80, and a little around the corners.
    assert measured["nsd"] == pytest.approx(0.5, abs=0.1)
    assert measure_surfaces(moved, target, settings=SurfaceSettings(tolerance_px=4.0))["nsd"] == 1.0


def test_the_frame_and_single_pixels_are_contour() -> None:
    full, pixel = np.ones((6, 8), bool), np.zeros((6, 8), bool)
    pixel[0, 0] = True
    assert measure_surfaces(full, full)["hd95_px"] == 0.0
    assert measure_surfaces(pixel, pixel)["nsd"] == 1.0
    far = np.zeros((6, 8), bool)
    far[0, 5] = True
    assert measure_surfaces(far, pixel)["hd95_px"] == measure_surfaces(pixel, far)["hd95_px"] == 5.0


def test_empty_masks() -> None:
    empty, some = np.zeros((30, 40), bool), np.zeros((30, 40), bool)
    some[3:6, 5:9] = True
    assert all(math.isnan(value) for value in measure_surfaces(empty, empty).values())
    for pair in ((empty, some), (some, empty)):
        assert measure_surfaces(*pair) == {"boundary_iou": 0.0, "hd95_px": 50.0, "assd_px": 50.0, "nsd": 0.0}


@pytest.mark.parametrize("class_map", [BINARY, STREET, LABELS], ids=lambda m: str(m.task))
def test_predictions_on_ignored_pixels_change_nothing(class_map: ClassMap) -> None:
    random = np.random.default_rng(3)
    shape = (2, 30, 24) if class_map.task is Task.MULTILABEL else (30, 24)
    labels = 3 if class_map.task is Task.MULTICLASS else 2
    target = np.repeat(np.repeat(random.integers(0, labels, (*shape[:-2], 6, 6)), 5, axis=-2), 4, axis=-1)
    prediction = np.where(random.random(shape) < 0.9, target, 0)
    ignored = random.random(shape) < 0.2
    ignored[..., 10:14, :] = True
    target = np.where(ignored, 255, target)
    collector = SurfaceCollector(class_map)
    collector.add("as it is", prediction, target)
    collector.add("other", np.where(ignored, random.integers(0, labels, shape), prediction), target)
    collector.add("all ignored", prediction, np.full_like(target, 255))
    for array in collector.values().values.values():
        assert np.array_equal(array[0], array[1], equal_nan=True)
        assert np.isfinite(array[0, list(class_map.scored_classes)]).all()
        assert np.isnan(array[2]).all()


def test_ignored_areas_are_where_neither_mask_is() -> None:
    """A ring around the object is ignored; a prediction may end anywhere in it and is right."""
    target = np.zeros((40, 40), int)
    target[12:28, 12:28] = 255
    target[15:25, 15:25] = 1
    collector = SurfaceCollector(BINARY)
    for name, margin in (("in the ring", 13), ("over the ring", 8)):
        prediction = np.zeros((40, 40), int)
        prediction[margin : 40 - margin, margin : 40 - margin] = 1
        collector.add(name, prediction, target)
    values = collector.values().values
    assert values["hd95_px"][0, 1] == 0.0
    assert values["hd95_px"][1, 1] >= 7.0  # 15 - 8: beyond the ring it is wrong again
    assert np.isnan(values["hd95_px"][:, 0]).all()  # the background is not measured


def collected(class_map: ClassMap = STREET, n: int = 5) -> ImageValues:
    random = np.random.default_rng(0)
    collector = SurfaceCollector(class_map)
    for index in range(n):
        target = np.repeat(random.integers(0, 3, (5, 4)), 6, axis=0).repeat(7, axis=1)
        prediction = np.where(random.random(target.shape) < 0.95, target, 0)
        if index == 2:
            target, prediction = np.zeros_like(target), np.zeros_like(target)
        collector.add(f"image {index}", prediction, target)
    return collector.values()


def test_batches_equal_all_at_once() -> None:
    values = collected()
    parts = [
        ImageValues(ids=values.ids[part], values={k: v[part] for k, v in values.values.items()})
        for part in (slice(0, 2), slice(2, 5))
    ]
    again = ImageValues.concatenate(parts)
    assert again.ids == values.ids
    assert all(np.array_equal(again.values[k], v, equal_nan=True) for k, v in values.values.items())
    with pytest.raises(ValueError, match="no image may count twice"):
        ImageValues.concatenate([values, values])
    with pytest.raises(ValueError, match="no values to join"):
        ImageValues.concatenate([])
    with pytest.raises(ValueError, match="cannot be joined"):
        ImageValues.concatenate([values, ImageValues(ids=("x",), values={"nsd": np.zeros((1, 3))})])


def test_scores_are_means_over_classes_then_images() -> None:
    values = collected()
    scores = score_surfaces(values, STREET, resolution="30x28 pixels")
    assert list(scores.summary()) == list(SURFACE_SCORES)
    hd95 = values.values["hd95_px"]
    assert np.isnan(hd95[2, 1:]).all()
    assert scores.absent["sky"] >= 1
    means = [row[~np.isnan(row)].mean() for row in hd95]
    assert scores.summary()["hd95_per_image_px"] == pytest.approx(np.mean(means))
    without = score_surfaces(values, STREET, include_background=False)
    assert without.scored == (1, 2)
    assert without.definition_of["nsd_per_image"].n_valued == 4
    rows = scores.per_class_table()
    assert [row["class"] for row in rows] == ["road", "car", "sky"]
    assert rows[2]["absent"] == scores.absent["sky"]


def test_definitions_carry_the_settings() -> None:
    settings = SurfaceSettings(boundary_width_frac=0.01, tolerance_px=3.0)
    scores = score_surfaces(collected(), STREET, settings=settings, resolution="30x28 pixels")
    assert "0.01 of the image diagonal" in scores.definitions["boundary_iou_per_image"]
    assert "within 3 px" in scores.definitions["nsd_per_image"]
    hd95 = scores.definition_of["hd95_per_image_px"]
    assert (hd95.unit, hd95.better, hd95.highest) == ("px", "lower", math.inf)
    assert "scores the image diagonal in px" in hd95.sentence
    assert hd95.sentence.endswith(
        "scored at 30x28 pixels; pixels labelled 255 in the target are left out; n = 5 images."
    )


def test_round_trip_of_table_and_definitions(tmp_path: Path) -> None:
    settings = SurfaceSettings(tolerance_px=1.5)
    scores = score_surfaces(
        collected(), STREET, settings=settings, include_background=False, resolution="30x28 pixels", threshold=None
    )
    scores.write_csv(tmp_path / "surfaces_test.csv")
    again = read_surfaces(tmp_path / "surfaces_test.csv", STREET)
    assert again.summary() == scores.summary()
    assert again.definitions == scores.definitions
    assert again.settings == settings
    with (tmp_path / "surfaces_test.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0])[:3] == ["id", "boundary_iou[road]", "boundary_iou[car]"]
    assert rows[2]["hd95_px[car]"] == ""
    plain = json.loads((tmp_path / "surfaces_test.definitions.json").read_text())
    assert plain["table"] == "surfaces_test.csv"
    assert plain["scores"]["hd95_per_image_px"]["range"] == [0.0, None]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.unlink(), "cannot read the values s.csv"),
        (lambda path: path.write_text("id,x\n"), "s.csv should have the columns id, boundary_iou"),
        (lambda path: path.write_text(path.read_text() + "x,1\n"), "line 7: expected 13 cells, got 2"),
        (lambda path: path.write_text(path.read_text().replace("image 1,", "image 1,x")), "a cell is no number"),
        (lambda path: path.write_text(path.read_text().replace("image 1,", "image 0,")), "no image may count twice"),
        (lambda path: path.with_suffix(".definitions.json").unlink(), "says how s.csv was measured, is missing"),
        (lambda path: path.with_suffix(".definitions.json").write_text("{}"), "missing or damaged"),
    ],
)
def test_broken_files_are_explained(damage: object, words: str, tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    score_surfaces(collected(), STREET).write_csv(path)
    damage(path)  # type: ignore[operator]
    with pytest.raises(RunError, match=words):
        read_surfaces(path, STREET)


def test_wrong_calls_are_explained() -> None:
    mask = np.zeros((4, 5), bool)
    with pytest.raises(ValueError, match=r"of one shape, got \(4, 5\) and \(5, 4\)"):
        measure_surfaces(mask, mask.T)
    with pytest.raises(ValueError, match=r"counted: expected the shape \(4, 5\)"):
        measure_surfaces(mask, mask, counted=mask.T)
    with pytest.raises(ValueError, match="boundary_width_frac: expected"):
        SurfaceSettings(boundary_width_frac=0.0)
    with pytest.raises(ValueError, match="tolerance_px: expected"):
        SurfaceSettings(tolerance_px=-1.0)
    with pytest.raises(ValueError, match=r"image 'x': expected two masks \(C, H, W\)"):
        SurfaceCollector(LABELS).add("x", mask, mask)
    with pytest.raises(ValueError, match="image 'x': expected 2 planes, got 3"):
        SurfaceCollector(LABELS).add("x", np.zeros((3, 4, 5), int), np.zeros((3, 4, 5), int))
    with pytest.raises(ValueError, match="values of 3 classes do not fit"):
        score_surfaces(collected(), 2)
    with pytest.raises(ValueError, match="expected the measurements boundary_iou"):
        score_surfaces(ImageValues(ids=("x",), values={"nsd": np.zeros((1, 2))}), 2)
    with pytest.raises(ValueError, match="must be float64"):
        ImageValues(ids=("x",), values={"nsd": np.zeros((1, 2), np.float32)})
    with pytest.raises(ValueError, match=r"arrays of one shape \(2, C\)"):
        ImageValues(ids=("x", "y"), values={"nsd": np.zeros((1, 2))})
    with pytest.raises(ValueError, match="class_names: expected 3"):
        collected().write_csv("never.csv", ["a"])


@pytest.mark.slow
def test_no_torch_is_imported() -> None:
    code = "import sys, segbench.metrics.surface_scores; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
