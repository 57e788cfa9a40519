"""Hausdorff loss by distance transforms: squared errors, weighed by distances from both boundaries."""

from __future__ import annotations

from torch import Tensor

from segbench.losses._distance import boundary_distances
from segbench.losses._planes import class_planes
from segbench.losses._targets import prepare
from segbench.losses.base import LossModule
from segbench.losses.options import Unit
from segbench.options import Positive, checked
from segbench.types import IGNORE_INDEX


@checked
def hausdorff_dt(
    logits: Tensor,
    target: Tensor,
    *,
    alpha: Positive = 2.0,
    unit: Unit = "pixel",
    include_background: bool | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Mean of (p - y)^2 (D_y^alpha + D_p^alpha) over the counted pixels of all classes.

    D_y is the distance to the boundary of the truth, D_p to that of the prediction, which is where the probability of
    the class is above 0.5. D_p has no gradient: it moves in jumps. Distances are taken between counted pixels, and to
    the frame of the image where there is no boundary; see `_distance.boundary_distances`. So an empty mask and an empty
    prediction are nothing special: predicting an absent class costs, and the gradient leads away from it.

    In pixels the value is a squared distance and easily in the hundreds; give it a small weight beside another loss, or
    `unit: diagonal`.

    Args:
        logits: (B, 1, H, W) or (B, C, H, W) float.
        target: (B, H, W) integers in {0, 1} or [0, C), or (B, C, H, W) in {0, 1}; or `ignore_index`.
        alpha: above 0; how much more the far errors cost, which is what the Hausdorff distance looks at.
        unit: of the distance: `pixel`, as published; or `diagonal`, shares of the image's.
        include_background: whether class 0 is averaged over. None: not in a binary task; as any other class otherwise.
        ignore_index: label of pixels that do not count.
    Returns:
        () float, 0 or more; 0 is perfect. 0 with zero gradient where everything is ignored.
    Raises:
        ValueError: shapes disagree, a label out of range, an option out of range.
    Source: Karimi and Salcudean 2019; differs: distances to the boundary itself, half a pixel less than to the nearest
        pixel beyond it, the rule where there is no boundary.
    Example:
        >>> import torch
        >>> target = torch.tensor([[[1, 0, 0, 0]]])
        >>> logits = torch.tensor([[[[100.0, -100.0, -100.0, 100.0]]]])
        >>> hausdorff_dt(logits, target).item()  # (2.5 ** 2 + 0.5 ** 2) / 4
        1.625
    """
    batch = prepare(logits, target, loss="hausdorff_dt", ignore_index=ignore_index)
    planes = class_planes(batch, include_background)
    dtype = planes.probs.dtype
    to_truth = boundary_distances(planes.truth, planes.counted, unit=unit, dtype=dtype)
    to_prediction = boundary_distances(planes.probs.detach() > 0.5, planes.counted, unit=unit, dtype=dtype)
    return planes.mean(planes.wrong.square() * (to_truth**alpha + to_prediction**alpha))


class HausdorffDT(LossModule, function=hausdorff_dt):
    """Hausdorff loss by distance transforms, far errors cost most; every task. See `hausdorff_dt`."""
