"""Boundary loss: every wrong pixel costs its distance from the true boundary."""

from __future__ import annotations

from torch import Tensor

from segbench.losses._distance import boundary_distances
from segbench.losses._planes import class_planes
from segbench.losses._targets import prepare
from segbench.losses.base import LossModule
from segbench.losses.options import Unit
from segbench.options import checked
from segbench.types import IGNORE_INDEX


@checked
def boundary(
    logits: Tensor,
    target: Tensor,
    *,
    unit: Unit = "pixel",
    include_background: bool | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Boundary loss, the mean of |y - p| times the distance to the true boundary, over counted pixels of all classes.

    With the signed distance D (negative inside), |y - p| |D| = (p - y) D: the published sum of p D less its smallest
    value, the sum of y D, which no prediction changes. So the gradient is the published one, and the optimum is 0
    instead of a negative number that depends on the target.

    Distances are taken between counted pixels; see `_distance.boundary_distances`. Where a class is absent, or fills
    all counted pixels, there is no boundary, and distances are those to the frame of the image: predicting an absent
    class costs, and the gradient leads away from it.

    Alone it stays where it is on a wrong start, as confident pixels have hardly a gradient; give it a weight that grows
    beside a region loss: `loss: {dice: 1.0, boundary: {weight: {start: 0.0, end: 0.05, epochs: 20}}}`.

    Args:
        logits: (B, 1, H, W) or (B, C, H, W) float.
        target: (B, H, W) integers in {0, 1} or [0, C), or (B, C, H, W) in {0, 1}; or `ignore_index`.
        unit: of the distance: `pixel`, as published; or `diagonal`, shares of the image's, which keeps the scale of the
            loss when the size of the images changes.
        include_background: whether class 0 is averaged over. None: not in a binary task; as any other class otherwise.
        ignore_index: label of pixels that do not count.
    Returns:
        () float, 0 or more; 0 is perfect. 0 with zero gradient where everything is ignored.
    Raises:
        ValueError: shapes disagree, a label out of range, an option out of range.
    Source: Kervadec et al. 2019; differs: less the constant, distances half a pixel shorter outside and longer inside
        (the authors' are 0 on the inner rim, which therefore costs nothing when missed), the rule for absent classes.
    Example:
        >>> import torch
        >>> target = torch.tensor([[[1, 0, 0, 0]]])
        >>> logits = torch.tensor([[[[100.0, -100.0, -100.0, 100.0]]]])
        >>> boundary(logits, target).item()  # one wrong pixel of four, 2.5 px from the boundary
        0.625
    """
    batch = prepare(logits, target, loss="boundary", ignore_index=ignore_index)
    planes = class_planes(batch, include_background)
    distances = boundary_distances(planes.truth, planes.counted, unit=unit, dtype=planes.probs.dtype)
    return planes.mean(planes.wrong * distances)


class Boundary(LossModule, function=boundary):
    """Boundary loss, wrong pixels cost their distance from the true boundary; every task. See `boundary`."""
