"""The numbers in the upsampling figures, against loops in NumPy."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

from segbench.plots.upsampling import GRID, transposed, unpooling, upsampling

RNG = np.random.default_rng(0)
PHOTO = RNG.integers(1, 256, (37, 50, 3), dtype=np.uint8)


def shown(figure: Figure) -> list[np.ndarray]:
    """Returns what each panel with a picture shows."""
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]


def stamped(values: np.ndarray, kernel: np.ndarray, stride: int, padding: int) -> np.ndarray:
    size = len(kernel)
    canvas = np.zeros([(side - 1) * stride + size for side in values.shape])
    for (row, column), value in np.ndenumerate(values):
        canvas[row * stride : row * stride + size, column * stride : column * stride + size] += value * kernel
    return canvas[padding : canvas.shape[0] - padding, padding : canvas.shape[1] - padding]


def test_images_are_shrunk_and_enlarged_to_the_same_size() -> None:
    panels = shown(upsampling(PHOTO, factor=4))[:6]
    assert [panel.shape for panel in panels] == [(9, 12, 3)] + [(36, 48, 3)] * 5
    mean = PHOTO[:36, :48].reshape(9, 4, 12, 4, 3).mean(axis=(1, 3)) / 255
    np.testing.assert_allclose(panels[0], mean, atol=1e-6)
    np.testing.assert_allclose(panels[1], mean.repeat(4, axis=0).repeat(4, axis=1), atol=1e-6)
    maxima = PHOTO[:36, :48].reshape(9, 4, 12, 4, 3).max(axis=(1, 3)) / 255
    unpooled = panels[4].reshape(9, 4, 12, 4, 3)
    np.testing.assert_allclose(unpooled.max(axis=(1, 3)), maxima, atol=1e-6)
    assert ((unpooled > 0).sum(axis=(1, 3)) == 1).all()
    for channel in range(3):
        expected = stamped(mean[..., channel], np.full((8, 8), 0.25), 4, 2)
        np.testing.assert_allclose(panels[5][..., channel], expected, atol=1e-6)


def test_grids_are_doubled() -> None:
    grid, nearest, bilinear, bicubic, unpooled, mean = shown(upsampling(PHOTO))[6:]
    np.testing.assert_array_equal(grid, GRID)
    np.testing.assert_array_equal(nearest, np.kron(GRID, np.ones((2, 2))))
    padded = np.pad(GRID, 1, mode="edge")  # bilinear at quarter positions: 3/4 of the near value, 1/4 of the far one
    near, above, left = padded[1:-1, 1:-1], padded[:-2, 1:-1], padded[1:-1, :-2]
    np.testing.assert_allclose(bilinear[::2, ::2], (9 * near + 3 * above + 3 * left + padded[:-2, :-2]) / 16)
    assert bicubic.max() > bilinear.max()  # sharper
    assert unpooled.sum() == GRID.sum()
    np.testing.assert_array_equal(unpooled.reshape(4, 2, 4, 2).max(axis=(1, 3)), GRID)
    np.testing.assert_allclose(mean, stamped(GRID, np.full((4, 4), 0.25), 2, 1))


def test_every_cell_of_a_grid_has_its_number() -> None:
    grid = upsampling(PHOTO).axes[6]
    assert [text.get_text() for text in grid.texts] == [f"{value:g}" for value in GRID.ravel()]


def test_unpooling_goes_back_to_where_the_maxima_were() -> None:
    figure = unpooling(PHOTO, levels=2)
    image, half, quarter, kept, kept_half, unpooled, unpooled_half, coarsest = shown(figure)
    np.testing.assert_allclose(image, PHOTO[:36, :48] / 255, atol=1e-6)
    np.testing.assert_allclose(half, image.reshape(18, 2, 24, 2, 3).max(axis=(1, 3)))
    np.testing.assert_allclose(quarter, half.reshape(9, 2, 12, 2, 3).max(axis=(1, 3)))
    np.testing.assert_allclose(coarsest, quarter)
    np.testing.assert_allclose(unpooled_half, np.where(kept_half == 1, half, 0))
    assert kept.mean() == 0.25
    np.testing.assert_allclose(unpooled[unpooled > 0], image[unpooled > 0])
    assert np.count_nonzero(unpooled) == quarter.size
    titles = [axes.get_title() for axes in figure.axes]
    assert "unpooled\n36 × 48, 6.2% not zero" in titles


@pytest.mark.parametrize(("kernel", "padding", "side"), [(4, 1, 8), (4, 0, 10), (3, 1, 7), (2, 0, 8)])
def test_transposed_convolutions_stamp(kernel: int, padding: int, side: int) -> None:
    grid, weights, stamp, total, overlap = shown(transposed(kernels=[kernel], padding=padding))
    assert total.shape == (side, side)
    np.testing.assert_allclose(total, stamped(grid, weights, 2, padding))
    np.testing.assert_allclose(stamp, stamped(np.where(grid == 9, 9.0, 0.0), weights, 2, padding))
    np.testing.assert_allclose(overlap, stamped(np.ones((4, 4)), np.ones((kernel, kernel)), 2, padding))


def test_uneven_stamps_are_called_a_checkerboard() -> None:
    titles = [axes.get_title() for axes in transposed(kernels=[4, 3]).axes]
    assert "stamps on each pixel\neven inside" in titles[4]
    assert "stamps on each pixel\nuneven: checkerboard" in titles[9]


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ValueError, match="factor must be an even number from 2 up, got 3"):
        upsampling(PHOTO, factor=3)
    with pytest.raises(ValueError, match="image must be at least 64 x 64 pixels, got 37 x 50"):
        unpooling(PHOTO, levels=6)
    with pytest.raises(ValueError, match="levels must be 1 or more"):
        unpooling(PHOTO, levels=0)
    with pytest.raises(ValueError, match="padding 6 leaves nothing"):
        transposed(kernels=[2], padding=6)
    with pytest.raises(ValueError, match="kernels must not be empty"):
        transposed(kernels=[])


@pytest.mark.slow
def test_importing_the_figures_imports_no_torch() -> None:
    code = (
        "import sys, segbench.plots.upsampling, segbench.plots.samples, segbench.plots.architecture; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
