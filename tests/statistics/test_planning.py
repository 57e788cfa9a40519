"""How many images it takes."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from segbench.statistics.planning import half_width


@pytest.mark.parametrize(("images", "level"), [(2, 0.95), (9, 0.95), (30, 0.9)])
def test_half_of_an_interval(images: int, level: float) -> None:
    low, high = stats.t.interval(level, images - 1, scale=0.2 / math.sqrt(images))
    assert half_width(images, 0.2, level) == pytest.approx((high - low) / 2)


def test_one_image_has_no_interval() -> None:
    assert half_width(1, 0.2) == math.inf
