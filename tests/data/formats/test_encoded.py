"""Masks inside of annotation files: pictures in base64, outlines with holes."""

from __future__ import annotations

import base64
import io
import zlib

import numpy as np
import pytest
from PIL import Image

from segbench.data.formats.shared.encoded import even_odd_ring, picture_mask, picture_shape
from segbench.data.shapes.drawing import Ring, Shape, shape_mask

INSIDE = np.zeros((4, 5), bool)
INSIDE[1:3, 2:5] = True


def png(pixels: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", **options)
    return stream.getvalue()


def palette(transparent: int) -> bytes:
    image = Image.fromarray(INSIDE.astype(np.uint8)).convert("P")
    image.putpalette([0, 0, 0, 255, 255, 255])
    stream = io.BytesIO()
    image.save(stream, "PNG", transparency=transparent)
    return stream.getvalue()


def rgba(paint: int, canvas: int, alpha: np.ndarray) -> np.ndarray:
    color = np.where(INSIDE, paint, canvas).astype(np.uint8)
    return np.dstack([color, color, color, alpha.astype(np.uint8)])


@pytest.mark.parametrize(
    "data",
    [
        png(INSIDE.astype(np.uint8) * 255),
        png(INSIDE.astype(np.uint8)),
        png(INSIDE),
        png(np.dstack([INSIDE * np.uint8(200), INSIDE * np.uint8(0), INSIDE * np.uint8(0)])),
        palette(0),
        png(rgba(255, 0, INSIDE * 255)),
        png(rgba(0, 0, INSIDE * 255)),  # painted black on a transparent canvas
        png(rgba(255, 255, INSIDE * 255)),
        png(rgba(255, 0, np.full((4, 5), 255))),  # an opaque black canvas
    ],
)
def test_what_is_painted_is_inside(data: bytes) -> None:
    text = base64.b64encode(data).decode()
    assert (picture_mask(text) == INSIDE).all()
    assert (picture_mask(f"data:image/png;base64,{text}") == INSIDE).all()
    packed = base64.b64encode(zlib.compress(data)).decode()
    assert (picture_mask(packed, packed=True) == INSIDE).all()


def test_a_picture_lies_where_its_corner_says() -> None:
    shape = picture_shape(base64.b64encode(png(INSIDE)).decode(), "a", (-3, 2))
    expected = np.zeros((6, 8), bool)
    expected[3:5, 0:2] = True  # columns 2-4 of the picture are -1, 0 and 1 of the image
    assert (shape_mask(shape, (6, 8)) == expected).all()


@pytest.mark.parametrize("text", ["#", "AAAA", base64.b64encode(png(INSIDE)[:40]).decode()])
def test_no_picture_is_said(text: str) -> None:
    with pytest.raises(ValueError, match=r".{10}"):
        picture_mask(text)
    with pytest.raises(ValueError, match="expected a PNG as base64 text"):
        picture_mask(text, packed=True)


def drawn(*rings: Ring) -> np.ndarray:
    return shape_mask(Shape(rings=rings), (40, 50))


def test_holes_and_islands_are_those_of_the_rings_by_themselves() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        rings = [tuple(float(number) for number in rng.uniform(2, 38, 8)) for _ in range(3)]
        parity = drawn(rings[0]) ^ drawn(rings[1]) ^ drawn(rings[2])
        assert (drawn(even_odd_ring(rings)) == parity).all()
    outer = (0.0, 0.0, 20.0, 0.0, 20.0, 20.0, 0.0, 20.0)
    hole = (5.0, 5.0, 15.0, 5.0, 15.0, 15.0, 5.0, 15.0)
    island = (8.0, 8.0, 10.0, 8.0, 10.0, 10.0, 8.0, 10.0)
    assert drawn(even_odd_ring([outer, hole])).sum() == 300
    assert drawn(even_odd_ring([outer, hole, island])).sum() == 304
    assert even_odd_ring([outer]) == outer
