"""Whether a network is right as often as it is sure, from probabilities; see `segbench.metrics.calibration`."""

from __future__ import annotations

from segbench.locale import message, template
from segbench.metrics.measure import Measure, Score

# Source: Naeini et al. 2015, Guo et al. 2017.
CALIBRATION_ERROR = Measure(
    key="expected_calibration_error",
    about="how far confidence and share of right pixels are apart",
    formula=template(
        "Expected calibration error = mean |share right - mean confidence| over {bins} equally wide bins of "
        "confidence, weighted by their pixels,"
    ),
    value=lambda bins: (abs(bins.correct - bins.confidence_sum).sum(), bins.pixels.sum()),
    absent="",
    by_class=False,
    better="lower",
)

SCORES = (
    Score(
        name="expected_calibration_error",
        label=message("expected calibration error"),
        measure=CALIBRATION_ERROR,
        summary="pooled",
        source="probabilities",
    ),
)
