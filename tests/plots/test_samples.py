"""Overlap, class panels and rows: right pixels, right numbers, right order."""

from __future__ import annotations

import re

import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.metrics import f1_score, jaccard_score

from segbench.plots.panels import ERROR_COLORS
from segbench.plots.samples import class_plane, classes, overlap, rows
from segbench.types import ClassMap, Task

STREET = ClassMap(names=("void", "road", "car"), values=((0,), (1,), (2,)))
RNG = np.random.default_rng(1)


def shown(figure: Figure) -> list[np.ndarray]:
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]


def title(figure: Figure) -> str:
    return figure.get_suptitle()


def test_the_title_has_the_scores_of_scikit_learn() -> None:
    truth, prediction = RNG.random((20, 30)) < 0.4, RNG.random((20, 30)) < 0.5
    found = re.search(r"IoU ([\d.]+), Dice ([\d.]+)", title(overlap(truth, prediction)))
    assert found is not None
    assert float(found[1]) == pytest.approx(jaccard_score(truth.ravel(), prediction.ravel()), abs=5e-4)
    assert float(found[2]) == pytest.approx(f1_score(truth.ravel(), prediction.ravel()), abs=5e-4)


def test_overlap_colors_what_is_right_missed_and_false() -> None:
    truth = np.array([[True, True, False, False, True, False, True]])
    prediction = np.array([[True, False, True, False, True, True, False]])
    counted = np.array([[True, True, True, True, False, False, False]])
    left, middle, right = shown(overlap(truth, prediction, counted=counted))
    green, missed, false, ignored = (
        [0, 158, 115],
        *(list(ERROR_COLORS[name]) for name in ("missed", "false", "ignored")),
    )
    empty = [245, 245, 245]
    assert left[0].tolist() == [green, missed, empty, empty, ignored, ignored, ignored]
    assert middle[0].tolist() == [green, empty, false, empty, ignored, ignored, ignored]
    assert right[0].tolist() == [green, missed, false, empty, ignored, ignored, ignored]
    figure = overlap(truth, prediction, counted=counted, name="x")
    assert title(figure) == "x: IoU 0.333, Dice 0.500"
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert named == ["both: 1 px", "missed: 1 px", "false: 1 px", "ignored: 3 px"]


def test_an_absent_class_has_no_iou() -> None:
    nothing = np.zeros((4, 4), dtype=bool)
    assert "there is no IoU" in title(overlap(nothing, nothing))


def test_overlap_refuses_masks_of_different_shapes() -> None:
    with pytest.raises(ValueError, match=r"same H x W, got \(2, 3\) and \(3, 2\)"):
        overlap(np.zeros((2, 3), dtype=bool), np.zeros((3, 2), dtype=bool))


def test_a_panel_a_class_with_its_share() -> None:
    mask = np.array([[0, 1, 1, 2], [1, 1, 255, 255]], np.uint8)
    image = np.full((2, 4, 3), 90, np.uint8)
    figure = classes(mask, STREET, image=image, title="street")
    titles = [axes.get_title() for axes in figure.axes if axes.images]
    assert titles == ["image", "void\n16.7%", "road\n66.7%", "car\n16.7%"]
    road = shown(figure)[2]
    assert (road == STREET.colors[1]).all(axis=2).tolist() == [[False, True, True, False], [True, True, False, False]]
    assert (road[1, 2:] == ERROR_COLORS["ignored"]).all()
    assert road[0, 0].tolist() == [200, 200, 200]  # the image, grey and pale: 170 + 90 / 3


def test_planes_may_overlap() -> None:
    planes = np.array([[[1, 1]], [[0, 1]]], np.uint8)
    class_map = ClassMap(names=("a", "b"), values=((1,), (1,)), task=Task.MULTILABEL, background=None)
    assert [axes.get_title() for axes in classes(planes, class_map).axes] == ["a\n100.0%", "b\n50.0%"]
    assert class_plane(planes, class_map, 1).tolist() == [[False, True]]
    assert class_plane(np.array([[0, 2]], np.uint8), STREET, 2).tolist() == [[False, True]]


def test_many_classes_wrap() -> None:
    names = tuple(f"class {index}" for index in range(12))
    many = ClassMap(names=names, values=tuple((index,) for index in range(12)))
    figure = classes(np.arange(12, dtype=np.uint8).reshape(3, 4), many)
    places = [axes.get_subplotspec() for axes in figure.axes]
    assert max(place.rowspan.stop for place in places if place is not None) == 3
    assert [axes.get_title().partition("\n")[0] for axes in figure.axes if axes.images] == list(names)


def test_rows_are_input_true_predicted() -> None:
    images = [RNG.integers(0, 256, (8, 10, 3), dtype=np.uint8) for _ in range(4)]
    truths = [np.full((8, 10), index % 3, np.uint8) for index in range(4)]
    predictions = [np.full((8, 10), 1, np.uint8) for _ in range(4)]
    truths[3][0, 0] = 255
    figure = rows(images, truths, predictions, STREET, titles=["a", "b", "c", "d"])
    panels = shown(figure)
    assert len(panels) == 12
    for image, panel in zip(images, panels[:4], strict=True):
        np.testing.assert_array_equal(panel, image)
    np.testing.assert_array_equal(panels[4], images[0])  # nothing but background
    assert [axes.get_ylabel() for axes in figure.axes[::4]] == ["input", "true", "predicted"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["road", "car", "ignored"]
    colored = panels[8].astype(float) - images[0]  # tinted 60 % towards the road's colour, inside its outline
    inside = np.abs(colored - 0.6 * (np.array(STREET.colors[1]) - images[0].astype(float)))
    assert inside.max() <= 0.5


def test_rows_need_as_many_masks_as_images() -> None:
    with pytest.raises(ValueError, match="at least one; got 0, 0 and 0"):
        rows([], [], [], STREET)
