"""How small maps become large ones: interpolation, max-unpooling and transposed convolution, drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

GRID = np.array([[1, 2, 3, 4], [2, 9, 4, 3], [3, 4, 6, 2], [4, 3, 2, 1]], dtype=np.float64)
_COLORS = "cividis"  # even in lightness and the same to colour-blind readers
_METHODS = ("nearest", "bilinear", "bicubic", "max-unpooling", "transposed")
_SIDE_INCH = 2.3


def upsampling(image: NDArray[np.uint8], *, factor: int = 4, grid: NDArray[np.float64] = GRID) -> Figure:
    """Returns a figure that enlarges a shrunk image and a small grid of numbers in five ways.

    Max-unpooling enlarges the maxima of the image, at the places they came from; all others enlarge its mean values.
    The transposed convolution has kernel 2 x factor, stride `factor`, padding `factor / 2`, weights of 1/4: every
    output pixel is the mean of 2 x 2 inputs, and of fewer at the border.

    Args:
        image: (H, W, 3) uint8 with H and W of `factor` or more.
        factor: of the image, even; the grid is doubled.
        grid: (h, w) values.
    Raises:
        ValueError: an odd factor, or an image smaller than it.
    """
    if factor < 2 or factor % 2:
        raise ValueError(f"factor must be an even number from 2 up, got {factor}")
    cropped = _crop(image, factor)
    small, enlarged = _enlarge_image(cropped, factor)
    doubled = _enlarge_grid(grid)
    tall, wide = cropped.shape[0] / cropped.shape[1], grid.shape[0] / grid.shape[1]
    size = (_SIDE_INCH * (1 + len(_METHODS)), _SIDE_INCH * (tall + wide) + 1.0)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(2, 1 + len(_METHODS), height_ratios=(tall, wide))
    _show_image(axes[0, 0], small, f"image, shrunk {factor} times\n{small.shape[0]} × {small.shape[1]}")
    low, high = float(grid.min()), float(grid.max())
    _show_grid(axes[1, 0], grid, f"grid\n{grid.shape[0]} × {grid.shape[1]}", limits=(low, high))
    for column, name in enumerate(_METHODS, start=1):
        picture, numbers = enlarged[name], doubled[name]
        _show_image(axes[0, column], picture, f"{name}\n{picture.shape[0]} × {picture.shape[1]}")
        title = f"{name}\n{numbers.shape[0]} × {numbers.shape[1]}"
        _show_grid(axes[1, column], numbers, title, limits=(min(low, 0.0), high))
    return figure


def unpooling(image: NDArray[np.uint8], *, levels: int = 3) -> Figure:
    """Returns a figure of max pooling down and max-unpooling up again: what is kept, and where.

    Args:
        image: (H, W, 3) uint8 with H and W of 2 ** levels or more.
        levels: how often it is halved.
    Raises:
        ValueError: no levels, or an image too small for them.
    """
    if levels < 1:
        raise ValueError(f"levels must be 1 or more, got {levels}")
    import torch.nn.functional as F

    maps, positions = [_to_tensor(_crop(image, 2**levels))], []
    for _ in range(levels):
        pooled, indices = F.max_pool2d(maps[-1], 2, return_indices=True)
        maps.append(pooled)
        positions.append(indices)
    unpooled = [maps[-1]]
    for indices in reversed(positions):
        unpooled.insert(0, F.max_unpool2d(unpooled[0], indices, [2, 2]))
    height = 3 * _SIDE_INCH * maps[0].shape[2] / maps[0].shape[3] + 1.5
    figure = Figure(figsize=(_SIDE_INCH * (levels + 1), height), layout="constrained")
    axes = figure.subplots(3, levels + 1, squeeze=False)
    for level in range(levels + 1):
        size = f"{maps[level].shape[2]} × {maps[level].shape[3]}"
        _show_image(axes[0, level], _to_image(maps[level]), f"{'image' if level == 0 else 'max-pooled'}\n{size}")
        if level < levels:
            kept = F.max_unpool2d(maps[level + 1] * 0.0 + 1.0, positions[level], [2, 2])
            _show_image(axes[1, level], _to_image(kept), f"maxima of red, green, blue\n{size}")
            share = float((unpooled[level] != 0).float().mean())
            title = f"unpooled\n{size}, {share:.1%} not zero"
        else:
            axes[1, level].set_axis_off()
            title = f"coarsest map\n{size}"
        _show_image(axes[2, level], _to_image(unpooled[level]), title)
    for row, text in enumerate(("pooling  →", "kept beside", "←  unpooling")):
        axes[row, 0].set_ylabel(text, fontsize=11)
    return figure


def transposed(
    *, kernels: Sequence[int] = (4, 3), stride: int = 2, padding: int = 1, grid: NDArray[np.float64] = GRID
) -> Figure:
    """Returns a figure of transposed convolutions: each input value is stamped as a scaled kernel, stamps are summed.

    One row a kernel: the input, the kernel, the stamp of one value, the sum, and how many stamps fall on each output
    pixel. The output has (n - 1) * stride - 2 * padding + kernel pixels, so a kernel of 4 with stride 2 doubles the
    size only with padding 1. Where the stride does not divide the kernel, stamps overlap unevenly: a checkerboard.

    Args:
        kernels: sizes to compare; the kernels are pyramids of whole numbers.
        stride, padding: of all of them.
        grid: (h, w) input values.
    Raises:
        ValueError: no kernels, or an option that leaves no output.
    """
    if not kernels or stride < 1 or padding < 0:
        raise ValueError(
            f"kernels must not be empty, stride 1 or more, padding 0 or more; got {kernels}, {stride}, {padding}"
        )
    import torch
    import torch.nn.functional as F

    figure = Figure(figsize=(_SIDE_INCH * 5 + 1.0, (_SIDE_INCH + 0.8) * len(kernels)), layout="constrained")
    axes = figure.subplots(len(kernels), 5, squeeze=False)
    one = np.zeros_like(grid)
    place = np.unravel_index(int(grid.argmax()), grid.shape)
    one[place] = grid[place]
    for row, size in enumerate(kernels):
        if (min(grid.shape) - 1) * stride - 2 * padding + size < 1:
            raise ValueError(f"padding {padding} leaves nothing of the output of kernel {size} with stride {stride}")
        side = np.minimum(np.arange(1, size + 1), np.arange(size, 0, -1)).astype(np.float64)
        kernel = np.outer(side, side)
        stamp, total, overlap = (
            F.conv_transpose2d(
                torch.from_numpy(values)[None, None],
                torch.from_numpy(weights)[None, None],
                stride=stride,
                padding=padding,
            )[0, 0].numpy()
            for values, weights in ((one, kernel), (grid, kernel), (np.ones_like(grid), np.ones_like(kernel)))
        )
        even = len(np.unique(overlap[size:-size, size:-size])) <= 1 and size % stride == 0
        sides = " × ".join(str(count) for count in total.shape)
        _show_grid(axes[row, 0], grid, f"input\n{grid.shape[0]} × {grid.shape[1]}", mark=place)
        _show_grid(axes[row, 1], kernel, f"kernel {size} × {size}\nstride {stride}, padding {padding}")
        _show_grid(axes[row, 2], stamp, f"stamp of the {one[place]:g}\n{sides}")
        _show_grid(axes[row, 3], total, f"sum of all stamps\n{sides}")
        evenness = "even inside" if even else "uneven: checkerboard"
        _show_grid(axes[row, 4], overlap, f"stamps on each pixel\n{evenness}")
    return figure


def _crop(image: NDArray[np.uint8], multiple: int) -> NDArray[np.uint8]:
    height, width = (side // multiple * multiple for side in image.shape[:2])
    if min(height, width) < multiple:
        raise ValueError(
            f"image must be at least {multiple} x {multiple} pixels, got {image.shape[0]} x {image.shape[1]} (H x W)"
        )
    return image[:height, :width]


def _to_tensor(image: NDArray[np.uint8]) -> Tensor:
    import torch

    return torch.from_numpy(image.astype(np.float32) / 255.0).permute(2, 0, 1)[None]


def _to_image(tensor: Tensor) -> NDArray[np.float64]:
    return tensor[0].permute(1, 2, 0).clamp(0.0, 1.0).double().numpy()


def _enlarge_image(image: NDArray[np.uint8], factor: int) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
    import torch.nn.functional as F

    tensor = _to_tensor(image)
    small = F.avg_pool2d(tensor, factor)
    maxima, indices = F.max_pool2d(tensor, factor, return_indices=True)
    return _to_image(small), {
        "nearest": _to_image(F.interpolate(small, scale_factor=factor, mode="nearest")),
        "bilinear": _to_image(F.interpolate(small, scale_factor=factor, mode="bilinear", align_corners=False)),
        "bicubic": _to_image(F.interpolate(small, scale_factor=factor, mode="bicubic", align_corners=False)),
        "max-unpooling": _to_image(F.max_unpool2d(maxima, indices, [factor, factor])),
        "transposed": _to_image(_transposed_mean(small, factor)),
    }


def _enlarge_grid(grid: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Returns the grid doubled in each way; max-unpooling puts each value at a fixed place of its 2 x 2 cell."""
    import torch
    import torch.nn.functional as F

    small = torch.from_numpy(grid)[None, None]
    height, width = grid.shape
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    places = (2 * rows + (rows + columns) % 2) * (2 * width) + 2 * columns + rows % 2
    doubled = {
        "nearest": F.interpolate(small, scale_factor=2, mode="nearest"),
        "bilinear": F.interpolate(small, scale_factor=2, mode="bilinear", align_corners=False),
        "bicubic": F.interpolate(small, scale_factor=2, mode="bicubic", align_corners=False),
        "max-unpooling": F.max_unpool2d(small, torch.from_numpy(places)[None, None], [2, 2]),
        "transposed": _transposed_mean(small, 2),
    }
    return {name: tensor[0, 0].numpy() for name, tensor in doubled.items()}


def _transposed_mean(small: Tensor, factor: int) -> Tensor:
    import torch.nn.functional as F

    channels = small.shape[1]
    kernel = small.new_full((channels, 1, 2 * factor, 2 * factor), 0.25)
    return F.conv_transpose2d(small, kernel, stride=factor, padding=factor // 2, groups=channels)


def _show_image(axes: Axes, image: NDArray[np.float64], title: str) -> None:
    axes.imshow(image, interpolation="nearest", vmin=0.0, vmax=1.0)
    axes.set_title(title, fontsize=10)
    axes.set(xticks=[], yticks=[])


def _show_grid(
    axes: Axes,
    values: NDArray[np.float64],
    title: str,
    *,
    limits: tuple[float, float] | None = None,
    mark: Sequence[int] | tuple[np.intp, ...] | None = None,
) -> None:
    low, high = limits or (float(min(values.min(), 0.0)), float(values.max()))
    shown = axes.imshow(values, cmap=_COLORS, interpolation="nearest", vmin=low, vmax=high)
    size = 11.0 if max(values.shape) <= 5 else 7.5 if max(values.shape) <= 9 else 6.0
    for (row, column), value in np.ndenumerate(values):
        dark = float(np.dot(shown.to_rgba(np.array(value))[:3], (0.299, 0.587, 0.114))) < 0.5
        text = f"{value:.1f}".removesuffix(".0")
        axes.text(column, row, text, ha="center", va="center", fontsize=size, color="white" if dark else "black")
    if mark is not None:
        axes.plot(
            mark[1], mark[0], "s", markersize=24, markerfacecolor="none", markeredgecolor="#d55e00", markeredgewidth=2
        )
    axes.set_title(title, fontsize=10)
    axes.set(xticks=[], yticks=[])
