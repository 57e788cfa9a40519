"""Figures: ticks that can be read, axes that show every run, and colours that can be told from the page."""

from __future__ import annotations

import re
from importlib.resources import files

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from segbench.report.curves import CurvePanel, Reliability, curve_panels, reliability_plot
from segbench.report.figures import CostPoint, SpreadRow, cost_plot, spread_plot

WORDS = {"train": "training", "val": "validation", "best": "kept", "turn": "turns", "epoch": "epoch"}


def tick_texts(figure: Figure) -> list[str]:
    figure.draw_without_rendering()
    axes = figure.axes[0]
    texts = [label.get_text() for axis in (axes.xaxis, axes.yaxis) for label in axis.get_ticklabels(which="both")]
    return [text for text in texts if text]


def panel(*levels: float) -> CurvePanel:
    """Returns runs of 30 epochs that end at these losses."""
    epochs = tuple(float(epoch) for epoch in range(1, 31))
    curves = tuple(tuple(level + 3.0 * np.exp(-epoch) for epoch in epochs) for level in levels)
    return CurvePanel(title="a", epochs=(epochs,) * len(levels), train=curves, val=curves, best=(), turns=())


def test_powers_of_ten_are_plain_numbers() -> None:
    points = [
        CostPoint(name=str(n), cost=cost, value=0.5, low=0.4, high=0.6, strong=True)
        for n, cost in enumerate((0.1, 7.0))
    ]
    with mpl.rc_context({"text.parse_math": False}):
        costs = tick_texts(cost_plot({"s": points}, {"s": False, "": True}, "IoU", narrow=False))
        losses = tick_texts(curve_panels([panel(0.03, 2.0)], "loss", WORDS, narrow=False))
    for texts in (costs, losses):
        assert not [text for text in texts if "$" in text or "mathdefault" in text]
    assert {"0.1", "0.2", "0.5", "1", "2", "5"} <= set(costs)
    assert {"0.05", "0.1", "0.2", "0.5", "1", "2"} <= set(losses)


def test_a_run_that_collapsed_is_inside_the_axis_among_a_hundred() -> None:
    figure = curve_panels([*(panel(0.2, 0.21) for _ in range(60)), panel(0.2, 0.693)], "loss", WORDS, narrow=False)
    low, high = figure.axes[0].get_ylim()
    assert low < 0.2
    assert 0.693 < high < 1.2  # and the first epochs of all are cut off


def test_hills_show_what_lies_on_either_side_of_the_mark() -> None:
    row = SpreadRow(name="a", values=(-0.1, -0.1, 0.2, float("nan")), value=0.0, low=-0.05, high=0.05)
    axes = spread_plot([row], "better by", narrow=False, mark=0.0).axes[0]
    left, right = (patch.get_data().values for patch in axes.patches)
    assert ((left < 0) & (right < 0)).sum() == 0  # a hill rises by falling values: the first row is on top
    assert np.isclose(left.min(), -0.75)  # two of three values
    assert np.isclose(right.min(), -0.375)


def test_a_curve_of_confidence_is_drawn_in_its_square() -> None:
    lines = [Reliability(name="1", confidence=(0.55, 0.95), accuracy=(0.5, 0.9), strong=True)]
    for narrow in (False, True):
        axes = reliability_plot(lines, "confidence", "right", narrow=narrow).axes[0]
        assert axes.get_aspect() == 1.0


def luminance(color: str) -> float:
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", ["light", "dark", "print"])
def test_text_stands_out_from_its_ground(theme: str) -> None:
    """WCAG 2.1, 1.4.3: at least 4.5 to 1."""
    sheet = files("segbench.report").joinpath("templates/style.css").read_text(encoding="utf-8")
    roots = re.findall(r":root \{(.*?)\}", sheet, flags=re.DOTALL)
    assert len(roots) == 3
    colors = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", roots[["light", "dark", "print"].index(theme)]))
    for ground in ("paper", "soft"):
        for ink in ("ink", "soft-ink", "blue", "orange", "green", "red"):
            bright, dim = sorted((luminance(colors[ink]), luminance(colors[ground])), reverse=True)
            assert (bright + 0.05) / (dim + 0.05) >= 4.5, (ink, ground)
