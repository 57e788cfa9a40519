"""Shapes become masks by one stated rule."""

from __future__ import annotations

import hashlib
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask

from segbench.data.shapes.drawing import Painting, Shape, ellipse_ring, paint, rectangle_ring, shape_mask
from segbench.errors import DatasetError

SIZE = (12, 16)


def box(left: float, top: float, width: float, height: float, **more: object) -> Shape:
    return Shape(rings=(rectangle_ring(left, top, width, height),), **more)  # type: ignore[arg-type]


def filled(top: int, bottom: int, left: int, right: int) -> np.ndarray:
    mask = np.zeros(SIZE, dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


@given(left=st.integers(-4, 18), top=st.integers(-4, 14), width=st.integers(1, 20), height=st.integers(1, 20))
def test_a_rectangle_of_whole_numbers_covers_exactly_its_pixels(left: int, top: int, width: int, height: int) -> None:
    expected = filled(max(top, 0), max(top + height, 0), max(left, 0), max(left + width, 0))
    assert np.array_equal(shape_mask(box(left, top, width, height), SIZE), expected)


def test_rings_add_up() -> None:
    shape = Shape(rings=(rectangle_ring(0, 0, 4, 4), rectangle_ring(8, 0, 4, 4)))
    expected = filled(0, 4, 0, 4) | filled(0, 4, 8, 12)
    assert np.array_equal(shape_mask(shape, SIZE), expected)


def test_a_polygon_that_crosses_itself_is_filled_even_odd() -> None:
    bow = Shape(rings=((0, 0, 12, 12, 12, 0, 0, 12),))
    mask = shape_mask(bow, (12, 12))
    assert mask[6, 1]
    assert mask[6, 10]
    assert not mask[1, 6]
    assert not mask[10, 6]


def test_an_ellipse_has_its_area_and_turns() -> None:
    mask = shape_mask(Shape(rings=(ellipse_ring(50, 40, 30, 15),)), (80, 100))
    assert mask.sum() == pytest.approx(np.pi * 30 * 15, rel=0.01)
    turned = shape_mask(Shape(rings=(ellipse_ring(50, 40, 30, 15, 90),)), (80, 100))
    assert turned[12, 50]
    assert not turned[40, 22]


def test_a_turned_rectangle_turns_clockwise_about_its_corner() -> None:
    ring = rectangle_ring(5, 5, 4, 2, 90)
    assert ring[2:4] == pytest.approx((5, 9))
    assert ring[4:6] == pytest.approx((3, 9))


def test_run_lengths_are_those_of_coco() -> None:
    rng = np.random.default_rng(0)
    mask = rng.random(SIZE) > 0.6
    compressed = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    counts: list[int] = []
    previous, run = False, 0
    for value in mask.T.ravel():
        if value != previous:
            counts.append(run)
            previous, run = value, 0
        run += 1
    counts.append(run)
    assert np.array_equal(shape_mask(Shape(counts=compressed), SIZE), mask)
    assert np.array_equal(shape_mask(Shape(counts=tuple(counts)), SIZE), mask)


def test_run_lengths_in_a_box_are_cut_at_the_border() -> None:
    shape = Shape(counts=(0, 9), box=(-1, 10, 3, 3))
    assert np.array_equal(shape_mask(shape, SIZE), filled(10, 12, 0, 2))


def test_run_lengths_of_another_length_are_refused() -> None:
    with pytest.raises(DatasetError, match="add up to 5 pixels, expected 12 x 16 = 192"):
        shape_mask(Shape(counts=(2, 3)), SIZE)
    with pytest.raises(DatasetError, match="run lengths"):
        shape_mask(Shape(counts=(-1, 193)), SIZE)


@pytest.mark.parametrize("ring", [(0.0, 0.0, float("nan"), 1.0, 1.0, 1.0), (0, 0, 1e12, 0, 5, 5)])
def test_numbers_that_cannot_be_drawn_are_refused(ring: tuple[float, ...]) -> None:
    with pytest.raises(DatasetError, match="far outside"):
        shape_mask(Shape(rings=(ring,)), SIZE)


@pytest.mark.parametrize("text", ["abc", "0" * 3, "P`1" * 10, "\u00e9", "oooo", "~" * 30 + "0"])
def test_damaged_compressed_run_lengths_are_refused(text: str) -> None:
    with pytest.raises(DatasetError, match="run lengths"):
        shape_mask(Shape(counts=text), SIZE)


@given(data=st.binary(min_size=1, max_size=60))
def test_compressed_run_lengths_are_never_trusted(data: bytes) -> None:
    try:
        mask = shape_mask(Shape(counts=data.decode("latin-1")), SIZE)
    except DatasetError:
        return
    assert mask.shape == SIZE


def test_too_few_points_are_refused() -> None:
    with pytest.raises(DatasetError, match="at least 3 points"):
        shape_mask(Shape(rings=((0, 0, 5, 5),)), SIZE)


def test_a_line_has_its_width() -> None:
    for width, rows in ((2, (4, 6)), (4, (3, 7))):
        mask = shape_mask(Shape(line=(3, 5, 12, 5), width_px=width), SIZE)
        assert np.array_equal(mask[:, 6], filled(*rows, 6, 7)[:, 6]), width
    thin = shape_mask(Shape(line=(2, 5.5, 9, 5.5)), SIZE)
    assert thin.sum() == 8  # 7 pixels long, and the pixel of its last point
    assert set(np.flatnonzero(thin.any(axis=1))) == {5}


def test_a_point_is_its_pixel_or_a_disc() -> None:
    single = shape_mask(Shape(line=(3.2, 3.2)), SIZE)
    assert np.argwhere(single).tolist() == [[3, 3]]
    assert shape_mask(Shape(line=(8, 6), width_px=6), SIZE).sum() == pytest.approx(np.pi * 9, rel=0.15)


@given(
    points=st.lists(st.tuples(st.floats(-9, 60), st.floats(-9, 60)), min_size=3, max_size=9),
    size=st.sampled_from([(12, 16), (40, 50)]),
)
def test_a_polygon_is_the_same_wherever_its_box_lies(points: list[tuple[float, float]], size: tuple[int, int]) -> None:
    ring = tuple(part for point in points for part in point)
    whole = coco_mask.merge(coco_mask.frPyObjects([list(ring)], *size))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        expected = coco_mask.decode(whole).astype(bool)
    assert np.array_equal(shape_mask(Shape(rings=(ring,)), size), expected)


def test_many_shapes_on_a_large_image_need_little_memory(tmp_path: Path) -> None:
    shapes = tuple((1, box(40 * (place % 50), 40 * (place // 50), 30, 30)) for place in range(500))
    tracemalloc.start()
    labels, _ = paint(Painting(height=2000, width=2000, shapes=shapes), tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert labels.sum() == 500 * 900
    assert peak < 40e6


@pytest.mark.parametrize(("overlap", "at_center"), [("smaller_on_top", 1), ("later_on_top", 2), ("class_order", 2)])
def test_the_rule_of_overlaps(overlap: str, at_center: int, tmp_path: Path) -> None:
    small, large = box(6, 4, 2, 2, label="a"), box(2, 2, 10, 8, label="b")
    painting = Painting(height=12, width=16, shapes=((1, small), (2, large)), overlap=overlap)  # type: ignore[arg-type]
    labels, shared = paint(painting, tmp_path)
    assert labels[5, 7] == at_center
    assert labels[3, 3] == 2
    assert labels[0, 0] == 0
    assert shared == 4


def test_shapes_of_one_class_share_nothing(tmp_path: Path) -> None:
    painting = Painting(height=12, width=16, shapes=((1, box(0, 0, 5, 5)), (1, box(3, 3, 5, 5))))
    assert paint(painting, tmp_path)[1] == 0


def test_a_later_drawing_order_lies_on_top(tmp_path: Path) -> None:
    shapes = ((1, box(0, 0, 5, 5, z=3)), (2, box(0, 0, 5, 5, z=1)))
    labels, _ = paint(Painting(height=12, width=16, shapes=shapes, overlap="later_on_top"), tmp_path)
    assert labels[2, 2] == 1


def test_crowds_count_nowhere_but_under_other_objects(tmp_path: Path) -> None:
    crowd, person = box(0, 0, 3, 3, crowd=True), box(1, 1, 8, 8)
    labels, shared = paint(Painting(height=12, width=16, shapes=((1, person), (255, crowd))), tmp_path)
    assert labels[0, 0] == 255
    assert labels[2, 2] == 1
    assert shared == 0


def test_planes_let_classes_overlap(tmp_path: Path) -> None:
    shapes = ((0, box(0, 0, 6, 6)), (1, box(3, 3, 6, 6)), (255, box(5, 5, 6, 6, crowd=True)))
    labels, _ = paint(Painting(height=12, width=16, shapes=shapes, planes=2), tmp_path)
    assert labels.shape == (2, 12, 16)
    assert labels[:, 4, 4].tolist() == [1, 1]
    assert labels[:, 5, 5].tolist() == [1, 1]
    assert labels[:, 10, 10].tolist() == [255, 255]


def test_objects_in_a_mask_file(tmp_path: Path) -> None:
    pixels = np.zeros((12, 16, 3), dtype=np.uint8)
    pixels[2:4, 2:4] = (7, 1, 0)
    Image.fromarray(pixels).save(tmp_path / "p.png")
    digest = hashlib.sha256((tmp_path / "p.png").read_bytes()).hexdigest()
    shape = Shape(file="p.png", coding="packed_rgb", value=7 + 256)
    painting = Painting(height=12, width=16, shapes=((1, shape),), base=255, files=(("p.png", digest),))
    labels, _ = paint(painting, tmp_path)
    assert np.array_equal(labels == 1, filled(2, 4, 2, 4))
    assert labels[0, 0] == 255
    (tmp_path / "p.png").write_bytes(b"other")
    with pytest.raises(DatasetError, match="has changed since the manifest was made"):
        paint(painting, tmp_path)


def test_a_painting_comes_back_from_json() -> None:
    shapes = (
        (1, box(0, 0, 6.5, 6, label="a", crowd=True)),
        (2, Shape(counts=(1, 2), box=(0, 0, 1, 3))),
        (3, Shape(counts="abc")),
        (0, Shape(file="x.png", coding="ade20k", value=4)),
        (4, Shape(line=(1, 2, 3, 4), width_px=3)),
    )
    painting = Painting(height=12, width=16, shapes=shapes, files=(("x.png", "0" * 64),), planes=3)
    assert Painting.from_json(painting.to_json()) == painting
    assert painting.sha256 != Painting(height=12, width=16, shapes=shapes[:2]).sha256
