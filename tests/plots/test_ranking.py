"""The diagram of critical differences, and the map of all pairs."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.figure import Figure

from segbench.plots.ranking import cliques, critical_difference_diagram, significance_map


def svg(figure: Figure) -> str:
    stream = io.StringIO()
    figure.savefig(stream, format="svg")
    return stream.getvalue()


def test_bars_join_the_longest_runs_within_the_critical_difference() -> None:
    # The example of Demsar 2006: 4 classifiers, 14 data sets, mean ranks 3.143, 2.000, 2.893, 1.964, CD 1.25 (Nemenyi).
    ranks = np.sort([3.143, 2.000, 2.893, 1.964])
    assert cliques(ranks, 1.25) == [(0, 3)]
    assert cliques(np.array([1.0, 2.0, 3.0, 6.0]), 1.0) == [(0, 1), (1, 2)]
    assert cliques(np.array([1.0, 3.0, 6.0]), 1.5) == []
    assert cliques(np.array([1.0, 1.5, 2.0]), 5.0) == [(0, 2)]


def test_the_diagram_names_every_entry_with_its_rank_and_says_the_difference() -> None:
    figure = critical_difference_diagram(["unet | $dice$", "b", "c"], [1.2, 2.9, 1.9], 1.05, title="mean ranks")
    text = svg(figure)
    for told in ("unet | $dice$  1.20", "c  1.90", "b  2.90", "critical difference 1.05", "mean ranks"):
        assert told in text
    [axes] = figure.axes
    bars = [line.get_xdata() for line in axes.lines if line.get_linewidth() == 4.0]
    assert [(round(float(low), 2), round(float(high), 2)) for low, high in bars] == [(1.14, 1.96), (1.84, 2.96)]


def test_the_map_has_a_sign_where_a_pair_differs() -> None:
    better = np.array([[0, 1, 1], [-1, 0, 0], [-1, 0, 0]])
    figure = significance_map(["a", "b", "a_very_long_name_of_an_entry_of_forty_letters"], better)
    [axes] = figure.axes
    signs = {(text.get_position(), text.get_text()) for text in axes.texts}
    assert signs == {((1, 0), "+"), ((2, 0), "+"), ((0, 1), "\u2212"), ((0, 2), "\u2212")}
    assert axes.get_xticklabels()[2].get_text().endswith("…")


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="expected a mean rank for each of two entries or more"):
        critical_difference_diagram(["a", "b"], [1.0], 1.0)
    with pytest.raises(ValueError, match=r"expected a table \(2, 2\), got \(3, 3\)"):
        significance_map(["a", "b"], np.zeros((3, 3)))
