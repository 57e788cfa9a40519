"""A figure that was made without pyplot is among those that pyplot shows, with any matplotlib."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from segbench import course


@pytest.mark.parametrize("takes_in", [True, False])
def test_it_is_shown(takes_in: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Figure(figsize=(2, 1), facecolor="red")
    new = plt.figure

    def refuses(num: object = None, **options: object) -> Figure:
        if isinstance(num, Figure):
            raise ValueError("The passed figure is not managed by pyplot")
        return new(num, **options)  # type: ignore[arg-type]

    if not takes_in:
        monkeypatch.setattr(plt, "figure", refuses)
    plt.close("all")
    course.show(made)
    assert len(plt.get_fignums()) == 1
    shown = plt.gcf()
    assert tuple(shown.get_size_inches()) == (2, 1)
    shown.canvas.draw()
    assert (np.asarray(shown.canvas.buffer_rgba())[50, 100] == (255, 0, 0, 255)).all()
    plt.close("all")
