"""Soft Dice loss: the overlap of regions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from segbench.losses._targets import one_hot, prepare
from segbench.types import IGNORE_INDEX, Task

TASKS = frozenset(Task)


def dice(
    logits: Tensor,
    target: Tensor,
    *,
    over: str = "image",
    smooth: float = 0.0,
    include_background: bool | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Soft Dice loss, 1 - (2 |Y P| + smooth) / (|Y| + |P| + smooth), averaged over regions.

    Y is the region of a class in the target and P the predicted probabilities (sigmoid, or softmax for exclusive
    classes), both summed over counted pixels. A class that has no pixel in the region has no overlap to measure; its
    term is the mean of P over the counted pixels instead: 0 when nothing is predicted, at most 1, and with the same
    gradient at every pixel, where the fraction's own would vanish.

    Args:
        logits: (B, 1, H, W) or (B, C, H, W) float.
        target: (B, H, W) integers in {0, 1} or [0, C), or (B, C, H, W) in {0, 1}; or `ignore_index`.
        over: what is one region: a class in an `image` (every image weighs the same), or a class in the `batch` (every
            pixel does; steadier with many classes or tiny objects).
        smooth: added above and below the fraction, in pixels; 0 is set overlap as the Dice score has it.
        include_background: whether class 0 is averaged over. None: not in a binary task, where only the foreground
            counts; as any other class otherwise.
        ignore_index: label of pixels that do not count.
    Returns:
        () float in [0, 1]; 0 is perfect. Regions without a counted pixel are left out; 0 with zero gradient where all
        are.
    Raises:
        ValueError: shapes disagree, a label out of range, an option out of range.
    Source: Milletari et al. 2016 (V-Net); differs: no squares below the fraction, the rule for absent classes.
    Example:
        >>> logits = torch.tensor([[[[100.0, 100.0], [-100.0, -100.0]]]])
        >>> dice(logits, torch.tensor([[[1, 1], [0, 0]]])).item(), dice(logits, torch.tensor([[[1, 0], [1, 0]]])).item()
        (0.0, 0.5)
        >>> dice(logits, torch.tensor([[[0, 0], [0, 0]]])).item()  # no foreground: the mean probability
        0.5
    """
    _check_options(over, smooth, include_background)
    batch = prepare(logits, target, loss="dice", tasks=TASKS, ignore_index=ignore_index)
    if batch.task is Task.MULTICLASS:
        probs = batch.logits.softmax(dim=1)
        truth = one_hot(batch.target, probs.shape[1])
        counted = batch.counted.unsqueeze(1).expand_as(probs)
    else:
        probs, truth, counted = batch.logits.sigmoid(), batch.target.bool(), batch.counted
        if batch.task is Task.BINARY and include_background:
            probs = torch.cat([1 - probs, probs], dim=1)
            truth = torch.cat([~truth, truth], dim=1)
            counted = counted.expand_as(probs)
    if include_background is False and batch.task is not Task.BINARY:
        probs, truth, counted = probs[:, 1:], truth[:, 1:], counted[:, 1:]
    axes = (2, 3) if over == "image" else (0, 2, 3)
    probs = torch.where(counted, probs, 0.0)
    overlap = torch.where(truth & counted, probs, 0.0).sum(axes)
    true_px = (truth & counted).sum(axes)
    predicted_px = probs.sum(axes)
    counted_px = counted.sum(axes)
    # Where a class is absent the fraction is not used, but its gradient would be NaN if it were 0 / 0.
    fraction = (2 * overlap + smooth) / (true_px.clamp(min=1) + predicted_px + smooth)
    terms = torch.where(true_px > 0, 1 - fraction, predicted_px / counted_px.clamp(min=1))
    return terms.sum() / (counted_px > 0).sum().clamp(min=1)


class Dice(nn.Module):
    """Soft Dice loss, the overlap of regions; every task. See `dice`."""

    tasks = TASKS

    def __init__(
        self,
        *,
        over: str = "image",
        smooth: float = 0.0,
        include_background: bool | None = None,
        ignore_index: int = IGNORE_INDEX,
    ) -> None:
        super().__init__()
        _check_options(over, smooth, include_background)
        self.over = over
        self.smooth = smooth
        self.include_background = include_background
        self.ignore_index = ignore_index

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Returns () float."""
        return dice(
            logits,
            target,
            over=self.over,
            smooth=self.smooth,
            include_background=self.include_background,
            ignore_index=self.ignore_index,
        )


def _check_options(over: object, smooth: object, include_background: object) -> None:
    if over not in ("image", "batch"):
        raise ValueError(f'over must be "image" or "batch", got {over!r}')
    if isinstance(smooth, bool) or not isinstance(smooth, int | float) or not 0.0 <= smooth < float("inf"):
        raise ValueError(f"smooth must be a number of 0 or more, in pixels, got {smooth!r}")
    if include_background is not None and not isinstance(include_background, bool):
        raise ValueError(f"include_background must be true, false or left out, got {include_background!r}")
