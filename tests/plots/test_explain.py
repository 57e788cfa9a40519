"""Figures that explain: what is drawn is what was measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from segbench.plots.explain import (
    ERROR_TYPE_COLORS,
    attribute_scatter,
    error_bars,
    error_map,
    overfitting_curves,
    panel_row,
)


@dataclass(frozen=True)
class Diagnosed:
    verdict: str = "overfits"
    turning_epoch: int | None = 8
    best_epoch: int = 7
    window: int = 5


HISTORY = [
    {"epoch": float(e), "train_loss": 1 / e, "val_loss": 0.3 + abs(e - 8) / 20, "val_iou": 0.5} for e in range(1, 21)
]


def test_the_turn_and_the_best_epoch_are_marked() -> None:
    figure = overfitting_curves(HISTORY, Diagnosed())
    (axes,) = figure.axes
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert list(lines["turning epoch: 8"].get_xdata()) == [8, 8]
    assert list(lines["best epoch: 7"].get_xdata()) == [7, 7]
    assert list(axes.get_lines()[2].get_ydata()) == [row["val_loss"] for row in HISTORY]
    smoothed = lines["validation"]
    assert (smoothed.get_xdata()[0], smoothed.get_xdata()[-1]) == (3, 18)
    assert smoothed.get_ydata()[0] == pytest.approx(np.median([row["val_loss"] for row in HISTORY[:5]]))
    assert axes.get_title() == "overfits"


def test_a_run_that_did_not_turn_has_no_turn_and_words_are_replaced() -> None:
    diagnosis = Diagnosed(verdict="too few epochs", turning_epoch=None, window=0)
    words = {"epoch": "эпоха", "validation": "валидация", "too few epochs": "мало эпох"}
    figure = overfitting_curves(HISTORY[:6], diagnosis, words=words)
    (axes,) = figure.axes
    labels = [line.get_label() for line in axes.get_lines()]
    assert labels == ["training (augmented)", "валидация", "best epoch: 7"]
    assert (axes.get_xlabel(), axes.get_title()) == ("эпоха", "мало эпох")


def test_bars_are_the_shares() -> None:
    kinds = list(ERROR_TYPE_COLORS)
    shares = {"good": dict.fromkeys(kinds, 1 / 6), "perfect": dict.fromkeys(kinds, float("nan"))}
    figure = error_bars(shares, "a title")
    (axes,) = figure.axes
    widths = [[bar.get_width() for bar in container] for container in axes.containers]
    assert np.allclose(np.array(widths)[:, 0], 1 / 6)
    assert np.allclose(np.array(widths)[:, 1], 0.0)
    starts = [container[0].get_x() for container in axes.containers]
    assert starts == pytest.approx([place / 6 for place in range(6)])
    with pytest.raises(ValueError, match="expected the shares of at least one entry, got none"):
        error_bars({})


def test_the_map_shows_types_in_their_colours_and_counts_them() -> None:
    image = np.full((20, 30, 3), 90, np.uint8)
    types = np.zeros((2, 20, 30), np.uint8)
    types[0, :5] = 1 + list(ERROR_TYPE_COLORS).index("boundary")
    types[1, :, :10] = 1 + list(ERROR_TYPE_COLORS).index("missed_object")
    figure = error_map(image, types, "img_001")
    shown = np.asarray(figure.axes[1].images[0].get_array())
    assert tuple(shown[0, 20]) == ERROR_TYPE_COLORS["boundary"]
    assert tuple(shown[0, 0]) == ERROR_TYPE_COLORS["missed_object"]  # named first, on top
    assert tuple(shown[10, 20]) == (200, 200, 200)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["missed object: 200 px", "boundary: 150 px"]
    with pytest.raises(ValueError, match=r"expected types of the image's \(20, 30\) pixels, got \(2, 30, 20\)"):
        error_map(image, types.transpose(0, 2, 1))


def test_a_scatter_shows_the_mean_of_each_third() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, np.nan])
    scores = np.array([0.9, 0.7, 0.6, 0.4, 0.3, 0.1, 0.0])
    figure = attribute_scatter(values, scores, attribute="hair", score="iou")
    points, *means = figure.axes[0].get_lines()
    assert len(points.get_xdata()) == 6
    assert [line.get_ydata()[0] for line in means] == pytest.approx([0.8, 0.5, 0.2])
    assert figure.axes[0].get_xlabel() == "hair"
    with pytest.raises(ValueError, match="expected as many values as scores, at least one known"):
        attribute_scatter(values, scores[:3], attribute="hair", score="iou")


def test_panels_stand_side_by_side() -> None:
    pictures = [np.full((20, 40, 3), value, np.uint8) for value in (10, 200)]
    row = panel_row(pictures, [("a", "b"), ("a very long name " * 5, "")], tile_px=80)
    assert row.shape == (40 + 30, 2 * 80 + 4, 3)
    assert (row[30:, :80] == 10).all()
    assert (row[30:, 84:] == 200).all()
    assert (row[:30, 80:84] == 255).all()  # the name is cut, it does not run into the margin
