"""How far the predicted area is from the true one, from pixel counts."""

from __future__ import annotations

import math

from segbench.locale import message, template
from segbench.metrics.measure import Measure, Score

AREA_ERROR = Measure(
    key="area_error",
    about="|predicted - true| / true pixels",
    formula=template("Area error = |predicted - true| / true pixels"),
    value=lambda cells: (abs(cells.fp - cells.fn), cells.tp + cells.fn),
    absent=template("a class absent from the truth is left out"),
    unit="relative",
    better="lower",
    highest=math.inf,
)
AREA_BIAS = Measure(
    key="area_bias",
    about="(predicted - true) / true pixels",
    formula=template("Area bias = (predicted - true) / true pixels"),
    value=lambda cells: (cells.fp - cells.fn, cells.tp + cells.fn),
    absent=template("a class absent from the truth is left out"),
    unit="relative",
    better="zero",
    lowest=-1.0,
    highest=math.inf,
)

SCORES = (
    Score(name="area_error_per_image", label=message("area error per image"), measure=AREA_ERROR, summary="mean"),
    Score(name="area_bias_per_image", label=message("area bias per image"), measure=AREA_BIAS, summary="mean"),
)
