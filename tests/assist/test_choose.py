"""The order in which images are taken, on cases that can be followed by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from segbench.assist.choose import choose


def order(*args: object, **options: object) -> list[int]:
    return [each.index for each in choose(*args, **options)]  # type: ignore[arg-type]


def line(*places: float) -> np.ndarray:
    return np.array(places, dtype=np.float32)[:, None]


def test_highest_worth_first_and_of_equal_ones_the_first_in_the_list() -> None:
    assert order(3, np.array([0.2, 0.9, 0.5, 0.9], dtype=np.float32)) == [1, 3, 2]


def test_k_center_takes_what_is_farthest_from_all_that_is_there() -> None:
    found = choose(4, None, line(1, 2, 6, 9, 10), centres=line(0))
    assert [each.index for each in found] == [4, 2, 1, 0]  # 10; then 6, four from 10; then 2; then 1, one from 0
    assert [each.worth for each in found] == [10, 4, 2, 1]


def test_without_labels_the_most_typical_image_comes_first_and_is_one_of_those_taken() -> None:
    assert order(3, None, line(0, 4, 5, 11)) == [2, 3, 0]  # the mean is 5; then 11, six away; then 0


def test_what_is_labelled_is_not_given_back() -> None:
    assert order(9, None, line(3, 8), centres=line(0, 10)) == [0, 1]


def test_the_most_different_among_the_most_doubtful() -> None:
    worth = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.1], dtype=np.float32)
    places = line(1, 2, 3, 4, 5, 100)  # the last one is the most different, and sure
    assert order(1, worth, places, centres=line(0)) == [4]
    assert order(1, worth, places) == [0], "of nothing labelled, the most doubtful"


def test_an_image_waits_until_every_other_patient_had_as_many() -> None:
    patients = np.array(["a", "a", "a", "b", "c"])
    worth = np.array([0.9, 0.8, 0.7, 0.3, 0.2], dtype=np.float32)

    def relatives(taken: Sequence[int]) -> np.ndarray:
        return (patients[:, None] == patients[list(taken)]).sum(axis=1)

    assert order(5, worth, relatives=relatives) == [0, 3, 4, 1, 2]
    labelled = np.array([2, 2, 2, 0, 1])
    assert order(3, worth, relatives=lambda taken: labelled + relatives(taken)) == [3, 4, 0]


def test_a_copy_is_passed_over_and_the_next_one_taken() -> None:
    asked: list[tuple[int, list[int]]] = []

    def is_copy(index: int, taken: Sequence[int]) -> bool:
        asked.append((index, list(taken)))
        return index == 1

    worth = np.array([0.9, 0.8, 0.7, 0.6], dtype=np.float32)
    assert order(2, worth, is_copy=is_copy) == [0, 2]
    assert asked == [(0, []), (1, [0]), (2, [0])]


def test_neither_worth_nor_vectors_is_refused() -> None:
    with pytest.raises(ValueError, match="expected worth or vectors, got neither"):
        choose(1, None)
