"""A picture that shows itself in a notebook."""

from __future__ import annotations

import numpy as np

from segbench.plots.panels import png_bytes


class Picture(np.ndarray):
    """An array (H, W, 3) uint8 that a notebook shows as a picture, and that is an array everywhere else.

    Example:
        >>> Picture(np.zeros((4, 6, 3), dtype=np.uint8)).shape
        (4, 6, 3)
    """

    def __new__(cls, pixels: np.ndarray) -> Picture:
        """Returns a view of the pixels."""
        return np.asarray(pixels).view(cls)

    def _repr_png_(self) -> bytes | None:
        """Returns the PNG file; None where this is no picture any more (a channel of it, a sum)."""
        is_picture = self.dtype == np.uint8 and self.ndim == 3 and self.shape[2] == 3 and self.size > 0
        return png_bytes(np.asarray(self)) if is_picture else None
