"""Outlines of masks: filled again they are the mask, whatever its holes, islands and corners."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from scipy import ndimage

from segbench.data.shapes.drawing import Ring, Shape, shape_mask
from segbench.data.shapes.trace import mask_iou, mask_polygons, polygons_for, ring_area, ring_box, ring_pixels

MASKS = array_shapes(min_dims=2, max_dims=2, max_side=12).flatmap(lambda shape: arrays(bool, shape))
DENSE = array_shapes(min_dims=2, max_dims=2, max_side=16).flatmap(
    lambda shape: arrays(bool, shape, elements=st.integers(0, 9).map(bool))
)


def picture(*rows: str) -> NDArray[np.bool_]:
    return np.array([[sign == "#" for sign in row] for row in rows])


def filled(rings: list[Ring], size: tuple[int, ...]) -> NDArray[np.bool_]:
    return shape_mask(Shape(rings=tuple(rings)), (size[0], size[1]))


@settings(max_examples=300, deadline=None)
@given(st.one_of(MASKS, DENSE))
def test_filling_the_outlines_gives_the_mask(mask: NDArray[np.bool_]) -> None:
    rings = mask_polygons(mask)
    assert np.array_equal(filled(rings, mask.shape), mask)
    labelled, number = ndimage.label(mask)
    assert len(rings) == number
    pieces = [filled([ring], mask.shape) for ring in rings]
    assert all(len(np.unique(labelled[piece])) == 1 for piece in pieces), "one ring is one region"
    assert [ring_area(ring) for ring in rings] == [piece.sum() for piece in pieces]


@pytest.mark.parametrize(
    "mask",
    [
        picture("#"),
        picture("..", ".."),
        picture("##", "##"),
        picture("#.#", ".#.", "#.#"),
        picture("#####", "#...#", "#.#.#", "#...#", "#####"),
        picture("#######", "#.#.#.#", "#######", "#..#..#", "#######"),
        picture("####", "#.##", "##.#", "####"),
        picture("#####", "#.#.#", "##.##", "#.#.#", "#####"),
    ],
    ids=["pixel", "empty", "full", "diagonals", "island", "row of holes", "touching holes", "cross of holes"],
)
def test_awkward_masks(mask: NDArray[np.bool_]) -> None:
    assert np.array_equal(filled(mask_polygons(mask), mask.shape), mask)


def test_a_rectangle_has_four_corners_on_the_edges_of_its_pixels() -> None:
    mask = np.zeros((6, 8), dtype=bool)
    mask[1:4, 2:7] = True
    assert mask_polygons(mask) == [(2.0, 1.0, 7.0, 1.0, 7.0, 4.0, 2.0, 4.0)]
    assert ring_box(mask_polygons(mask)[0]) == (2, 1, 5, 3)


def test_no_corner_is_written_twice_in_a_row() -> None:
    mask = np.random.default_rng(0).random((40, 40)) < 0.8
    for ring in mask_polygons(mask):
        points = np.reshape(ring, (-1, 2))
        assert (points != np.roll(points, 1, axis=0)).any(axis=1).all()


def test_ring_pixels_are_those_of_the_box() -> None:
    mask = np.zeros((9, 9), dtype=bool)
    mask[2:7, 3:8] = True
    mask[4, 5] = False
    (ring,) = mask_polygons(mask)
    assert np.array_equal(ring_pixels(ring, ring_box(ring)), mask[2:7, 3:8])


def test_simplified_outlines_lose_corners_and_stay_near() -> None:
    rows, columns = np.mgrid[:300, :320]
    ring_shaped = np.hypot(rows - 150, columns - 160)
    mask = (ring_shaped < 140) & (ring_shaped > 40)
    exact, simple = mask_polygons(mask), mask_polygons(mask, simplify_px=1.0)
    assert len(simple) == 1
    assert len(simple[0]) < len(exact[0]) / 2
    assert mask_iou(filled(simple, mask.shape), mask) > 0.95
    rings, iou = polygons_for(mask, min_iou=0.99)
    assert iou == mask_iou(filled(rings, mask.shape), mask)
    assert 0.99 <= iou < 1.0
    assert len(rings[0]) < len(exact[0])
    assert polygons_for(mask, min_iou=1.0)[1] == 1.0


@settings(max_examples=60, deadline=None)
@given(DENSE, st.sampled_from([0.9, 0.99, 1.0]))
def test_polygons_keep_the_wanted_overlap_of_every_region(mask: NDArray[np.bool_], min_iou: float) -> None:
    rings, _ = polygons_for(mask, min_iou=min_iou)
    exact = mask_polygons(mask)
    assert len(rings) == len(exact)
    for ring, true in zip(rings, exact, strict=True):
        assert mask_iou(filled([ring], mask.shape), filled([true], mask.shape)) >= min_iou


def test_a_large_mask_is_outlined_quickly() -> None:
    rows, columns = np.mgrid[:1000, :1000]
    mask = (np.sin(rows / 30) * np.cos(columns / 25) > 0.1) | (np.hypot(rows - 500, columns - 500) < 300)
    mask &= np.hypot(rows - 450, columns - 480) > 90
    times = []
    for _ in range(3):
        start = time.process_time()
        rings = mask_polygons(mask)
        times.append(time.process_time() - start)
    assert np.array_equal(filled(rings, mask.shape), mask)
    assert min(times) < 0.5
