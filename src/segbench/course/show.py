"""Figures of `segbench.plots` among those of a lesson."""

from __future__ import annotations

from io import BytesIO

import matplotlib.pyplot as plt
from matplotlib.figure import Figure


def show(figure: Figure) -> None:
    """Hands a figure of `segbench.plots` to pyplot, so that a notebook, the site and `plt.show()` show it.

    Args:
        figure: of any size; made without pyplot, as those of `segbench.plots` are.
    """
    try:
        plt.figure(figure)
    except ValueError:  # before matplotlib 3.11, which takes figures of others in: a picture of it
        picture = BytesIO()
        figure.savefig(picture, format="png", dpi=figure.dpi)
        picture.seek(0)
        axes = plt.figure(figsize=figure.get_size_inches(), dpi=figure.dpi).add_axes((0, 0, 1, 1))
        axes.imshow(plt.imread(picture))
        axes.set_axis_off()
