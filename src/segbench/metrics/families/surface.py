"""How far apart the outlines of prediction and truth are, from masks; see `segbench.metrics.surface`."""

from __future__ import annotations

import math

from segbench.locale import message, template
from segbench.metrics.measure import Measure, Score

_ABSENT = template(
    "a class absent from truth and prediction is left out, one that is absent from only one of them scores {worst}"
)

BOUNDARY_IOU = Measure(
    key="boundary_iou",
    about="IoU of the bands along both contours",
    formula=template(
        "Boundary IoU = IoU of the bands along the inside of both contours, {width} of the image diagonal wide (at "
        "least 1 px),"
    ),
    value=lambda outlines, settings: outlines.band_iou(settings.boundary_width_frac),
    absent=_ABSENT,
    perfect=1.0,
)
HD95 = Measure(
    key="hd95_px",
    about="95th percentile of the distance between contours, px,",
    formula=template("HD95 = larger of the two 95th percentiles of the distance to the other contour, in px,"),
    value=lambda outlines, settings: outlines.percentile(0.95),
    absent=_ABSENT,
    unit="px",
    better="lower",
    highest=math.inf,
    perfect=0.0,
)
ASSD = Measure(
    key="assd_px",
    about="mean distance between the contours, px,",
    formula=template("ASSD = mean distance to the other contour over both contours by length, in px,"),
    value=lambda outlines, settings: outlines.mean(),
    absent=_ABSENT,
    unit="px",
    better="lower",
    highest=math.inf,
    perfect=0.0,
)
NSD = Measure(
    key="nsd",
    about="share of both contours within a tolerance of the other one",
    formula=template("NSD = share of the length of both contours within {tolerance} px of the other one"),
    value=lambda outlines, settings: outlines.share_within(settings.tolerance_px),
    absent=_ABSENT,
    perfect=1.0,
)

SCORES = (
    Score(
        name="boundary_iou_per_image",
        label=message("boundary IoU per image"),
        measure=BOUNDARY_IOU,
        summary="mean",
        source="masks",
    ),
    Score(name="hd95_per_image_px", label=message("HD95 per image, px"), measure=HD95, summary="mean", source="masks"),
    Score(name="assd_per_image_px", label=message("ASSD per image, px"), measure=ASSD, summary="mean", source="masks"),
    Score(name="nsd_per_image", label=message("NSD per image"), measure=NSD, summary="mean", source="masks"),
)
