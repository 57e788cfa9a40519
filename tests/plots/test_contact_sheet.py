"""A sheet of labelled images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from segbench.plots.contact_sheet import Labelled, contact_sheet, save_sheet
from segbench.types import ClassMap, Task

CLASSES = ClassMap(names=("ground", "crop", "weed"), values=((0,), (1,), (2,)))


def labelled(title: str, value: int, size: tuple[int, int] = (20, 30), channels: int = 3) -> Labelled:
    mask = np.zeros(size, dtype=np.uint8)
    mask[5:15, 5:15] = value
    return Labelled(title, np.full((*size, channels), 90, dtype=np.uint8), mask)


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()] if figure.legends else []


def test_the_legend_names_the_classes_that_are_there() -> None:
    assert legend(contact_sheet([labelled("a", 2)], CLASSES)) == ["weed"]
    assert legend(contact_sheet([labelled("a", 1), labelled("b", 255)], CLASSES)) == ["crop", "ignored"]
    assert legend(contact_sheet([labelled("a", 0)], CLASSES)) == []


def test_every_image_has_its_title_and_its_size() -> None:
    names = [f"image{number}" for number in range(7)]
    figure = contact_sheet([labelled(name, 1, (20 + 9 * place, 30)) for place, name in enumerate(names)], CLASSES)
    drawn = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in drawn] == names
    assert [axes.images[0].get_array().shape[0] for axes in drawn] == [20 + 9 * place for place in range(7)]


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_any_number_of_channels_is_shown(channels: int) -> None:
    figure = contact_sheet([labelled("a", 1, channels=channels)], CLASSES)
    shown = figure.axes[0].images[0].get_array()
    assert shown.shape == (20, 30, 3)
    assert shown[0, 0].tolist() == [90, 90, 90]
    assert shown[10, 10].tolist() != [90, 90, 90]


def test_planes_are_drawn_too() -> None:
    task = ClassMap(names=("a", "b"), values=((1,), (1,)), task=Task.MULTILABEL, background=None)
    planes = np.zeros((2, 20, 30), dtype=np.uint8)
    planes[1, :5] = 1
    assert legend(contact_sheet([Labelled("x", np.zeros((20, 30, 3), dtype=np.uint8), planes)], task)) == ["b"]


def test_a_sheet_is_written_as_png(tmp_path: Path) -> None:
    path = save_sheet(contact_sheet([labelled("a", 1)], CLASSES, title="sheet"), tmp_path / "deep" / "sheet")
    assert path.name == "sheet.png"
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert min(image.size) > 100


def test_names_are_no_formulas(tmp_path: Path) -> None:
    classes = ClassMap(names=("ground", "a$_{b}$", "$\\bad"), values=((0,), (1,), (2,)))
    figure = contact_sheet([labelled("$\\frac$", 2)], classes, title="$\\oops$")
    assert legend(figure) == ["$\\bad"]
    assert save_sheet(figure, tmp_path / "x.png").is_file()


def test_nothing_to_show_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one image"):
        contact_sheet([], CLASSES)
