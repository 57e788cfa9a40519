"""Overlays, error maps and sheets: the right pixels in the right colours."""

from __future__ import annotations

import numpy as np

from segbench.plots.curves import learning_curves
from segbench.plots.panels import (
    ERROR_COLORS,
    both_outlines,
    colorize,
    errors,
    legend_entries,
    legend_picture,
    mask_layers,
    overlay,
    prediction_sheet,
)
from segbench.types import ClassMap, Task

BINARY = ClassMap(names=("background", "spot"), values=((0,), (255,)), task=Task.BINARY)
STREET = ClassMap(names=("road", "car", "sky"), values=((0,), (1,), (2,)), background=None)


def test_colorize_uses_the_class_colors_and_grey_for_ignored() -> None:
    colored = colorize(np.array([[0, 1, 255]], np.uint8), BINARY)
    assert colored.tolist() == [[list(BINARY.colors[0]), list(BINARY.colors[1]), [128, 128, 128]]]


def test_overlay_leaves_the_background_alone_and_outlines_objects() -> None:
    image = np.full((10, 10, 3), 100, np.uint8)
    mask = np.zeros((10, 10), np.uint8)
    mask[3:8, 3:8] = 1
    drawn = overlay(image, mask, BINARY, opacity=0.5)
    assert (drawn[mask == 0] == 100).all()
    assert drawn[3, 3].tolist() == list(BINARY.colors[1])  # the outline
    assert drawn[5, 5].tolist() == [round(100 + 0.5 * (value - 100)) for value in BINARY.colors[1]]


def test_layers_give_the_overlay_and_its_outlines_alone() -> None:
    mask = np.zeros((10, 10), np.uint8)
    mask[3:8, 3:8] = 1
    area, outline = mask_layers(mask, BINARY, width_px=1)
    assert (area[mask == 0, 3] == 0).all()
    assert area[5, 5].tolist() == [*BINARY.colors[1], 115]
    assert (outline[..., 3] == 255).sum() == 9  # the upper and the left side
    assert outline[5, 5, 3] == 0


def test_both_outlines_are_told_apart() -> None:
    truth, prediction = np.zeros((2, 12, 12), np.uint8)
    truth[2:10, 2:10] = 1
    prediction[4:10, 2:10] = 1
    drawn = both_outlines(truth, prediction, width_px=1)
    assert drawn[2, 5].tolist() == [*ERROR_COLORS["missed"], 255]
    assert drawn[4, 5].tolist() == [*ERROR_COLORS["false"], 255]
    assert drawn[3, 5, 3] == 0


def test_outlines_grow_with_the_image() -> None:
    image = np.zeros((900, 900, 3), np.uint8)
    mask = np.zeros((900, 900), np.uint8)
    mask[:, 400:] = 1
    row = overlay(image, mask, BINARY, opacity=0.5)[10]
    outlined = (row == BINARY.colors[1]).all(axis=1)
    assert outlined.nonzero()[0].tolist() == [400, 401, 402]


def test_errors_are_told_apart() -> None:
    truth = np.array([[0, 1, 0, 1, 255]], np.uint8)
    prediction = np.array([[0, 1, 1, 0, 1]], np.uint8)
    picture = errors(truth, prediction, BINARY)[0]
    assert picture[0].tolist() == [255, 255, 255]
    assert picture[1].tolist() == [222, 222, 222]
    assert picture[2].tolist() == list(ERROR_COLORS["false"])
    assert picture[3].tolist() == list(ERROR_COLORS["missed"])
    assert picture[4].tolist() == list(ERROR_COLORS["ignored"])


def test_without_a_background_every_difference_is_a_swap() -> None:
    picture = errors(np.array([[0, 1, 2]], np.uint8), np.array([[1, 1, 0]], np.uint8), STREET)[0]
    swapped = list(ERROR_COLORS["swapped"])
    assert [pixel.tolist() == swapped for pixel in picture] == [True, False, True]


def test_multilabel_errors() -> None:
    class_map = ClassMap(names=("a", "b"), values=((1,), (1,)), task=Task.MULTILABEL, background=None)
    truth = np.array([[[1, 0, 1]], [[0, 0, 1]]], np.uint8)
    prediction = np.array([[[0, 0, 1]], [[0, 1, 1]]], np.uint8)
    picture = errors(truth, prediction, class_map)[0]
    assert picture[0].tolist() == list(ERROR_COLORS["missed"])
    assert picture[1].tolist() == list(ERROR_COLORS["false"])
    assert picture[2].tolist() == [222, 222, 222]


def test_a_sheet_has_a_column_a_sample_and_fits_its_legend() -> None:
    images = [np.zeros((20, 30, 3), np.uint8)] * 3
    masks = [np.zeros((20, 30), np.uint8)] * 3
    sheet = prediction_sheet(images, masks, masks, BINARY, titles=["a", "b", "a very long name " * 5], tile_px=60)
    one = prediction_sheet(images[:1], masks[:1], masks[:1], STREET, titles=["a"], tile_px=60)
    assert sheet.width - one.width == 2 * (60 + 4)
    assert one.height > 4 * 40  # four rows and a legend that wraps


def test_the_legend_names_every_colour_that_a_sheet_can_show() -> None:
    truth = np.array([[0, 1, 1, 0, 255]] * 8, np.uint8)
    prediction = np.array([[0, 1, 0, 1, 0]] * 8, np.uint8)
    named = {color for row in legend_entries(BINARY).values() for _, color in row}
    shown = {tuple(pixel) for pixel in errors(truth, prediction, BINARY).reshape(-1, 3).tolist()}
    assert shown <= named
    assert [name for name, _ in legend_entries(BINARY)["errors"]] == [
        "right: background",
        "right: object",
        "missed",
        "false",
        "ignored",
    ]
    assert [name for name, _ in legend_entries(STREET)["errors"]] == [
        "right",
        "another class",
        "ignored",
    ]
    assert [name for name, _ in legend_entries(STREET)["classes"]] == ["road", "car", "sky"]


def test_a_sheet_has_the_heading_and_lines_of_titles_above_it() -> None:
    image, mask = np.zeros((20, 30, 3), np.uint8), np.zeros((20, 30), np.uint8)
    plain = prediction_sheet([image], [mask], [mask], BINARY)
    told = prediction_sheet([image], [mask], [mask], BINARY, heading="epoch 3", titles=["a\nIoU 0.5"])
    assert told.height - plain.height == 3 * 18
    assert (np.asarray(told)[:18] < 128).any(), "the heading is written"


def test_names_in_other_alphabets_are_written() -> None:
    def drawn(name: str) -> np.ndarray:
        return np.asarray(legend_picture(ClassMap(names=("b", name), values=((0,), (1,)), task=Task.BINARY)))

    assert (drawn("щёт") != drawn("кош")).any(), "letters, and not a box for each"
    many = ClassMap(names=tuple(f"a long name {index}" for index in range(30)), values=tuple((i,) for i in range(30)))
    assert legend_picture(many).height > drawn("one").shape[0]


def test_curves_show_training_and_validation() -> None:
    history = [
        {
            "epoch": float(e),
            "train_loss": 1 / e,
            "val_loss": 1.5 / e,
            "train_iou_pooled": 0.1 * e,
            "val_iou_pooled": 0.09 * e,
        }
        for e in range(1, 6)
    ]
    history[-1] |= {"train_clean_loss": 0.1, "train_clean_iou_pooled": 0.6}
    figure = learning_curves(history, "iou_pooled", 4, "a title")
    left, right = figure.axes
    assert [len(line.get_xdata()) for line in left.get_lines()] == [5, 5, 1, 2]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "training (augmented)",
        "validation",
        "training (as it is)",
        "best epoch",
    ]
    assert [text.get_text() for text in right.texts] == ["epoch 4: 0.3600"]
    assert right.get_ylabel() == "IoU pooled"
    assert list(left.get_lines()[1].get_ydata()) == [row["val_loss"] for row in history]
