"""Values become class indices exactly; everything else is an error that says what to do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segbench.data.files.masks import class_counts, count_values, encode_mask, encode_plane, has_colors
from segbench.errors import DatasetError
from segbench.types import ClassMap, Task

BINARY = ClassMap(names=("background", "lesion"), values=((0,), (255,)), task=Task.BINARY)
THREE = ClassMap(names=("a", "b", "c"), values=((0,), (1,), (2, 7)), ignore_values=(9,))
COLORS = ClassMap(
    names=("soil", "crop", "weed"), values=(((0, 0, 0),), ((0, 255, 0),), ((255, 0, 0),)), ignore_values=((9, 9, 9),)
)


def _message(values: object, class_map: ClassMap, tolerance: int = 0) -> str:
    array = np.array(values, dtype=np.uint8)
    with pytest.raises(DatasetError) as caught:
        encode_mask(array, class_map, path="mask.png", tolerance=tolerance)
    assert caught.value.path == "mask.png"
    return str(caught.value)


def test_grey_values_merge_and_ignore() -> None:
    encoded = encode_mask(np.array([[0, 1, 2], [7, 9, 0]], np.uint8), THREE, path="m")
    assert encoded.dtype == np.uint8
    assert encoded.tolist() == [[0, 1, 2], [2, 255, 0]]
    assert encode_mask(np.array([[0, 7]], np.uint16), THREE).tolist() == [[0, 2]]


def test_colours() -> None:
    values = np.array([[[0, 0, 0], [0, 255, 0]], [[255, 0, 0], [9, 9, 9]]], np.uint8)
    assert has_colors(COLORS)
    assert encode_mask(values, COLORS).tolist() == [[0, 1], [2, 255]]
    assert encode_mask(np.array([[0, 9]], np.uint8), COLORS).tolist() == [[0, 255]]  # a colour mask of greys only


@given(st.lists(st.sampled_from([0, 1, 2, 7, 9]), min_size=1, max_size=40))
def test_encoding_agrees_with_a_plain_lookup(values: list[int]) -> None:
    lookup = {0: 0, 1: 1, 2: 2, 7: 2, 9: 255}
    assert encode_mask(np.array([values], np.uint8), THREE).tolist() == [[lookup[value] for value in values]]
    counts, distinct = count_values(np.array([values], np.uint8))
    assert distinct == len(set(values))
    counted = class_counts(counts, THREE)
    assert counted is not None
    assert counted[0] == {c: [lookup[v] for v in values].count(c) for c in {lookup[v] for v in values}}


def test_unknown_values_are_named_counted_and_placed() -> None:
    message = _message([[0, 0, 3], [0, 4, 3]], THREE)
    assert "mask.png: the mask holds values outside the class map: 3 (2 pixels, first at row 0, column 2)" in message
    assert "4 (1 pixel, first at row 1, column 1)" in message
    assert "0 = a, 1 = b, 2 = c, 7 = c, 9 = ignored" in message
    assert "add the values to `classes`, or to `ignore`" in message


@pytest.mark.parametrize(
    ("values", "class_map", "hint"),
    [
        (
            [[0, 255]],
            ClassMap(names=("a", "b"), values=((0,), (1,)), task=Task.BINARY),
            "{background: 0, foreground: 255}",
        ),
        ([[0, 1]], BINARY, "{background: 0, foreground: 1}"),
        ([[0, 1, 2, 255]], THREE, "ignore: [255]"),
        ([[0, 255]], THREE, "ignore: [255] (--option 'ignore=[255]'); or the mask is binary"),
        ([[1, 2, 3]], ClassMap(names=("a", "b", "c"), values=((0,), (1,), (2,))), "format: oxford_pets"),
        (
            [[1, 2, 3, 4]],
            ClassMap(names=("a", "b", "c", "d"), values=((0,), (1,), (2,), (3,))),
            "every value is one too high (off by one)",
        ),
        ([[0, 2, 5, 250, 255]], BINARY, "set the option tolerance: 5 (--option tolerance=5)"),
        ([[0, 1, 2, 3]], ClassMap(names=("a", "b"), values=((0,), (1,))), "4 classes, the class map 2"),
    ],
)
def test_hints(values: list[list[int]], class_map: ClassMap, hint: str) -> None:
    assert hint in _message(values, class_map)


def test_labels_near_zero_are_not_taken_for_losses() -> None:
    assert "tolerance" not in _message([[0, 5, 6, 7, 255]], BINARY)


def test_rgb_where_an_index_is_expected() -> None:
    message = _message([[[0, 255, 0], [0, 255, 0], [0, 0, 0]]], BINARY)
    assert "RGB mask where an index mask is expected" in message
    assert "(0, 255, 0) on 2 pixels, (0, 0, 0) on 1 pixel" in message
    assert "classes: {class_0: [0, 255, 0], background: [0, 0, 0]}" in message
    noise = np.random.default_rng(0).integers(0, 256, size=(30, 30, 3))
    assert "photograph" in _message(noise, BINARY)


def test_unknown_colours_are_named() -> None:
    message = _message([[[0, 0, 0], [0, 250, 0]]], COLORS)
    assert "(0, 250, 0) (1 pixel, first at row 0, column 1)" in message
    assert "(0, 255, 0) = crop" in message
    assert "(5, 5, 5)" not in message
    assert "5 (1 pixel" in _message([[0, 5]], COLORS)


def test_tolerance_snaps_to_the_nearest_and_counts() -> None:
    values = np.array([[0, 3, 252, 255, 4]], np.uint8)
    assert encode_mask(values, BINARY, tolerance=4).tolist() == [[0, 0, 1, 1, 0]]
    assert class_counts(count_values(values)[0], BINARY, tolerance=4) == ({0: 3, 1: 2}, 3)
    assert class_counts(count_values(values)[0], BINARY, tolerance=3) is None
    assert "4 (1 pixel" in _message(values, BINARY, tolerance=3)
    near = ClassMap(names=("a", "b"), values=((10,), (20,)))
    assert encode_mask(np.array([[14, 16, 20, 10]], np.uint8), near, tolerance=9).tolist() == [[0, 1, 1, 0]]


def test_multilabel_planes() -> None:
    several = ClassMap(
        names=("x", "y"), values=((1, 255), (0,)), task=Task.MULTILABEL, background=None, ignore_values=(7,)
    )
    assert encode_plane(np.array([[0, 1, 255, 7]], np.uint8), several, 0).tolist() == [[0, 1, 1, 255]]
    assert encode_plane(np.array([[0, 255]], np.uint8), several, 1).tolist() == [[1, 0]]
    with pytest.raises(DatasetError, match="one class, as 0 and 255 or 0 and 1"):
        encode_plane(np.array([[0, 1, 2]], np.uint8), several, 0, path="m.png")
    with pytest.raises(ValueError, match="use encode_plane"):
        encode_mask(np.zeros((2, 2), np.uint8), several)


def test_mixed_grey_and_colour_values_are_refused() -> None:
    with pytest.raises(ValueError, match="grey values or RGB colours, not both"):
        has_colors(ClassMap(names=("a", "b"), values=((0,), ((1, 2, 3),))))


def test_16_bit_values_outside_the_map() -> None:
    with pytest.raises(DatasetError, match="40000"):
        encode_mask(np.array([[0, 40000]], np.uint16), THREE)
