"""Structural similarity loss: cross-entropy where the local structure of prediction and truth differs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from segbench.losses._pixelwise import pixel_cross_entropy
from segbench.losses._planes import class_planes
from segbench.losses._targets import Batch, prepare
from segbench.losses.base import LossModule
from segbench.losses.options import Over
from segbench.options import checked
from segbench.types import IGNORE_INDEX, Task

_CELL = 3  # px
_STABILITY = 0.01  # added to the numerator and to the standard deviation
_HARD = 0.1  # share of the largest error from which on a pixel is hard


@checked
def structural_similarity(
    logits: Tensor, target: Tensor, *, over: Over = "image", ignore_index: int = IGNORE_INDEX
) -> Tensor:
    """Mean of e times cross-entropy over hard pixels, e being how much the normalised structure differs.

    Truth and probability (without gradient) are normalised in cells of 3 x 3 pixels, (x - mean + 0.01) / (std + 0.01);
    e is the absolute difference, and pixels with e above a tenth of the largest are hard. The first cell begins one
    pixel above and left of the image; outside it, and where ignored, truth and probability are 0. Binary cross-entropy
    a channel for binary and multilabel tasks; for multiclass e of the plane of the true class and softmax
    cross-entropy.

    It sees structure, not level: within a cell of one class a constant probability has e = 0, whether right or wrong,
    so an image that is wrong throughout costs hardly anything inside. Add a loss that sees every pixel:
    `loss: {structural_similarity: 0.5, bce: 0.5}`. Its gradient leaves e fixed.

    Args:
        logits: (B, 1, H, W) or (B, C, H, W) float, any H and W.
        target: (B, H, W) integers in {0, 1} or [0, C), or (B, C, H, W) in {0, 1}; or `ignore_index`.
        over: largest error and mean are those of every `image` (and channel), then averaged; or of the `batch`, the
            homework's form, in which one bad image decides what is hard in the others.
        ignore_index: label of pixels that do not count.
    Returns:
        () float, 0 or more; 0 is perfect (nothing is hard then). An empty mask is nothing special. Images without a
        counted pixel are left out; 0 with zero gradient where all are.
    Raises:
        ValueError: shapes disagree, a label out of range, an option out of range.
    Source: Zhao et al. 2019 (Correlation Maximized Structural Similarity Loss) as in the PH2 homework; differs: largest
        error per image, finite where nothing differs, from logits, any size.
    Example:
        >>> target = torch.tensor([[[0, 0, 1], [0, 1, 1], [1, 1, 1]]])
        >>> perfect = torch.where(target == 1, 200.0, -200.0).unsqueeze(1)
        >>> structural_similarity(perfect, target).item()
        0.0
        >>> structural_similarity(-perfect, target).item() > 100
        True
    """
    batch = prepare(logits, target, loss="structural_similarity", ignore_index=ignore_index)
    weights = hard_weights(batch, over)
    axes = _axes(weights, over)
    hard_px = (weights > 0).sum(axes)
    means = (weights * pixel_cross_entropy(batch)).sum(axes) / hard_px.clamp(min=1)
    return means.sum() / (batch.counted.sum(axes) > 0).sum().clamp(min=1)


class StructuralSimilarity(LossModule, function=structural_similarity):
    """Structural similarity loss, cross-entropy where the local structure differs; every task.

    See `structural_similarity`.
    """


@torch.no_grad()
def hard_weights(batch: Batch, over: str) -> Tensor:
    """Returns e where the pixel is hard, 0 elsewhere; of the target's shape, without gradient."""
    planes = class_planes(batch)
    truth = planes.truth.to(batch.logits.dtype)
    probs = torch.where(planes.counted, planes.probs, 0.0)
    errors = (_normalize_cells(truth) - _normalize_cells(probs)).abs()
    if batch.task is Task.MULTICLASS:
        errors = torch.where(planes.truth, errors, 0.0).sum(dim=1)
    errors = torch.where(batch.counted, errors, 0.0)
    largest = errors.amax(_axes(errors, over), keepdim=True)
    return torch.where(errors > _HARD * largest, errors, 0.0)


def _axes(per_pixel: Tensor, over: str) -> tuple[int, ...]:
    """Returns the axes of what is one group, of (B, H, W) or (B, C, H, W)."""
    return (-2, -1) if over == "image" else (0, -2, -1) if per_pixel.ndim == 4 else (0, 1, 2)


def _normalize_cells(planes: Tensor) -> Tensor:
    """Returns (x - mean + 0.01) / (std + 0.01) of (B, C, H, W), mean and population std of the pixel's cell."""
    height, width = planes.shape[2:]
    # One pixel of padding above and left; below and right what fills the last cell.
    padding = (1, -(width + 1) % _CELL, 1, -(height + 1) % _CELL)
    padded = F.pad(planes, padding)
    rows, columns = padded.shape[2] // _CELL, padded.shape[3] // _CELL
    cells = padded.reshape(*planes.shape[:2], rows, _CELL, columns, _CELL)
    centred = cells - cells.mean(dim=(3, 5), keepdim=True)
    deviation = centred.square().mean(dim=(3, 5), keepdim=True).sqrt()
    normalized = (centred + _STABILITY) / (deviation + _STABILITY)
    return normalized.reshape(padded.shape)[:, :, 1 : height + 1, 1 : width + 1]
