"""Confusion counts of a batch of logits, on the device the logits are on."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from segbench.types import DEFAULT_THRESHOLD, IGNORE_INDEX, Task


def confusion_from_logits(
    logits: Tensor,
    target: Tensor,
    task: Task,
    *,
    threshold: float = DEFAULT_THRESHOLD,
    ignore_index: int = IGNORE_INDEX,
) -> tuple[Tensor, Tensor]:
    """Returns the confusion table and the number of ignored pixels of every image.

    Args:
        logits: (B, C, H, W) float; C = 1 for a binary task.
        target: integers or bool, (B, H, W) (binary: or (B, 1, H, W)); multilabel: (B, C, H, W) in {0, 1}; or
            `ignore_index`.
        task: see `segbench.types`.
        threshold: binary and multilabel: a pixel is foreground where sigmoid(logit) > threshold, in (0, 1).
        ignore_index: label of pixels that do not count; the target alone decides.
    Returns:
        int64 (B, C, C), [image, true, predicted], with C = 2 for a binary task, or (B, C, 2, 2) for a multilabel one;
        and int64 (B,) ignored pixels (multilabel: of all planes). Integer counts: the same on every run and device.
    Raises:
        ValueError: shapes that do not fit the task, a label or a threshold out of range.
    Example:
        >>> table, ignored = confusion_from_logits(
        ...     torch.tensor([[[[-1.0, 2.0, 0.1, 9.0]]]]), torch.tensor([[[0, 1, 0, 255]]]), Task.BINARY
        ... )
        >>> table.tolist(), ignored.tolist()
        ([[[1, 1], [0, 1]]], [1])
    """
    cut = logit_of(threshold)
    target = check_batch(logits, target, task).long()
    counted = target != ignore_index
    if task is Task.MULTICLASS:
        labels = logits.shape[1]
        predicted = logits.argmax(dim=1)
    else:
        labels = 2
        predicted = (logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits) > cut
    _check_labels(target, counted, labels, ignore_index)
    batch = logits.shape[0]
    # A table is one (image) or one (image, class); the last bin collects what is ignored.
    tables = (batch, logits.shape[1]) if task is Task.MULTILABEL else (batch,)
    cells = labels * labels
    start = (torch.arange(math.prod(tables), device=logits.device) * (cells + 1)).view(*tables, 1, 1)
    predicted = predicted.reshape(target.shape)
    cell = torch.where(counted, target * labels + predicted, cells)
    counts = torch.bincount((cell + start).flatten(), minlength=math.prod(tables) * (cells + 1)).view(
        *tables, cells + 1
    )
    ignored = counts[..., cells]
    confusion = counts[..., :cells].reshape(*tables, labels, labels)
    return confusion, ignored.sum(dim=1) if task is Task.MULTILABEL else ignored


def _check_labels(target: Tensor, counted: Tensor, labels: int, ignore_index: int) -> None:
    wrong = counted & ((target < 0) | (target >= labels))
    if bool(wrong.any()):
        raise ValueError(
            f"the target holds label {int(target[wrong][0])}, which is outside 0 to {labels - 1} and not the ignored "
            f"{ignore_index}: {int(wrong.sum())} of {target.numel()} pixels hold such a label"
        )


def logit_of(threshold: float) -> float:
    """Returns log(t / (1 - t)): sigmoid(x) > t is x > this. Raises ValueError unless 0 < t < 1."""
    if not 0.0 < threshold < 1.0:
        raise ValueError(f"the threshold is one of the probability, above 0 and below 1, got {threshold!r}")
    return math.log(threshold) - math.log1p(-threshold)


def check_batch(logits: Tensor, target: Tensor, task: Task) -> Tensor:
    """Returns the target, without a binary target's axis of length 1.

    Raises:
        ValueError: shapes that do not fit the task or each other, or labels that are no integers.
    """
    if logits.ndim != 4 or ((task is Task.BINARY) != (logits.shape[1] == 1) and task is not Task.MULTILABEL):
        channels = "1" if task is Task.BINARY else "C > 1" if task is Task.MULTICLASS else "C"
        raise ValueError(f"a {task} task has logits (B, {channels}, H, W), got {tuple(logits.shape)}")
    if target.is_floating_point():
        raise ValueError(f"expected integer labels, got {target.dtype}")
    plane = (logits.shape[0], *logits.shape[2:])
    if task is Task.BINARY and target.shape == logits.shape:
        return target[:, 0]
    wanted = tuple(logits.shape) if task is Task.MULTILABEL else plane
    if tuple(target.shape) != wanted:
        raise ValueError(
            f"a {task} task with logits {tuple(logits.shape)} has a target {wanted}, got {tuple(target.shape)}"
        )
    return target
