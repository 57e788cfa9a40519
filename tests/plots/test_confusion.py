"""Heat map and reliability diagram: the right numbers in the right cells, drawn without a warning."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.figure import Figure

from segbench.plots.confusion import confusion_heatmap, reliability_diagram

TABLE = np.array([[80, 20, 0], [30, 10, 10], [0, 0, 0]])
NAMES = ["road", "a car with a very long name", "sky"]


def drawn(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=60)
    return stream.getvalue()


def cells(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def test_cells_hold_shares_of_the_true_class() -> None:
    figure = confusion_heatmap(TABLE, NAMES, title="run on test")
    assert cells(figure) == ["0.800", "0.200", "0.000", "0.600", "0.200", "0.200", "–", "–", "–"]
    axes = figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")
    assert [label.get_text() for label in axes.get_yticklabels()] == ["road", "a car with a very…", "sky"]
    assert axes.images[0].get_array()[1, 0] == 0.6
    assert axes.images[0].get_array().mask[2].all()  # an absent class has no share
    assert figure.axes[1].get_ylabel() == "share of the true class"
    assert len(drawn(figure)) > 2000


def test_cells_hold_shares_of_the_predicted_class_or_pixels() -> None:
    assert cells(confusion_heatmap(TABLE, NAMES, normalize="predicted"))[:3] == ["0.727", "0.667", "0.000"]
    pixels = np.array([[2_500_000, 12_345], [9_999, 3_000_000_000]])
    assert cells(confusion_heatmap(pixels, ["a", "b"], normalize="none")) == ["2.5M", "12.3k", "9999", "3G"]


def test_labels_have_a_table_each() -> None:
    tables = np.array([[[5, 5], [0, 10]]] * 5)
    figure = confusion_heatmap(tables, list("abcde"))
    titled = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in titled] == list("abcde")
    assert [text.get_text() for text in titled[4].texts] == ["0.500", "0.500", "0.000", "1.000"]
    assert len(figure.axes) == 6  # five tables and one scale
    assert len(confusion_heatmap(tables, list("abcde"), normalize="none").axes) == 5
    assert len(drawn(figure)) > 2000


def test_many_classes_have_no_numbers_and_still_fit() -> None:
    figure = confusion_heatmap(np.eye(40, dtype=np.int64), [f"class {index}" for index in range(40)])
    assert not figure.axes[0].texts
    assert figure.get_size_inches().max() < 18
    assert len(drawn(figure)) > 2000


def test_reliability_shows_bins_with_pixels() -> None:
    confidence = np.array([np.nan, np.nan, 0.6, 0.9])
    accuracy = np.array([np.nan, np.nan, 0.5, 0.95])
    figure = reliability_diagram(confidence, accuracy, np.array([0, 0, 25, 75]), error=0.0625, title="test")
    upper, lower = figure.axes
    assert [bar.get_height() for bar in upper.patches] == [0.5, 0.95]
    assert [bar.get_x() + bar.get_width() / 2 for bar in upper.patches] == pytest.approx([0.625, 0.875])
    assert list(upper.get_lines()[0].get_xdata()) == [0.6, 0.9]
    assert [bar.get_height() for bar in lower.patches] == [0, 0, 0.25, 0.75]
    assert "0.0625" in upper.texts[0].get_text()
    assert len(drawn(figure)) > 2000
    nothing = np.full(4, np.nan)
    assert len(drawn(reliability_diagram(nothing, nothing, np.zeros(4, np.int64)))) > 2000


def test_wrong_calls_are_explained() -> None:
    with pytest.raises(ValueError, match="normalize must be true, predicted or none, got 'rows'"):
        confusion_heatmap(TABLE, NAMES, normalize="rows")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"of 2, got \(3, 3\)"):
        confusion_heatmap(TABLE, NAMES[:2])
    with pytest.raises(ValueError, match="as many bins everywhere, got 1, 2, 2"):
        reliability_diagram(np.zeros(1), np.zeros(2), np.zeros(2, np.int64))
