"""How unsure a network is of each pixel, or how much several disagree, drawn over the image."""

from __future__ import annotations

import matplotlib
import numpy as np
from matplotlib.figure import Figure

_COLORS = "inferno"
_LEAST_OPACITY, _MOST_OPACITY = 0.25, 0.9  # where nothing is doubted the image still shows what is there


def doubt_picture(image: np.ndarray, doubt: np.ndarray) -> np.ndarray:
    """Returns a grey image with the doubt as heat over it, as `doubt_legend` explains.

    Args:
        image: (H, W, 3) uint8.
        doubt: (H, W) float, 0 sure to 1 unsure.
    Returns:
        (H, W, 3) uint8.
    """
    table = (matplotlib.colormaps[_COLORS](np.arange(256))[:, :3] * 255).astype(np.float32)
    heat = table[np.clip(doubt * 255, 0, 255).astype(np.uint8)]
    opacity = (_LEAST_OPACITY + (_MOST_OPACITY - _LEAST_OPACITY) * np.sqrt(doubt))[..., None].astype(np.float32)
    grey = image.mean(axis=2, keepdims=True, dtype=np.float32)
    picture: np.ndarray = (grey + opacity * (heat - grey)).round().astype(np.uint8)
    return picture


def doubt_legend() -> Figure:
    """Returns the scale of `doubt_picture` with its ends named."""
    return _legend("doubt: entropy of the probabilities", "0\nsure", "1\nevery class\nas likely")


def disagreement_legend() -> Figure:
    """Returns the same scale for what `segbench.predict.doubt.disagreement` gives."""
    return _legend("disagreement of the networks: mutual information", "0\nnone", "1\neach sure of\nanother class")


def _legend(title: str, low: str, high: str) -> Figure:
    figure = Figure(figsize=(4.8, 0.9), dpi=100)
    axes = figure.add_axes((0.1, 0.55, 0.8, 0.25))
    axes.imshow(np.linspace(0, 1, 256)[None], aspect="auto", cmap=_COLORS, extent=(0, 1, 0, 1))
    axes.set_yticks([])
    axes.set_xticks([0, 0.5, 1], [low, "0.5", high], fontsize=8)
    axes.set_title(title, fontsize=8, loc="left")
    return figure
