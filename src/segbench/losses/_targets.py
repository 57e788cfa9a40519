"""What losses share: the task from the shapes, checked labels, and which pixels count."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from segbench.types import Task

INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool)


@dataclass(frozen=True, eq=False)
class Batch:
    """Logits and target, checked, ready to compute with.

    Attributes:
        task: what the shapes say.
        logits: (B, C, H, W) float32 or float64; 0 where the pixel is ignored, so nothing flows back from there.
        target: int64; 0 where ignored. Binary and multilabel: (B, C, H, W) in {0, 1}. Multiclass: (B, H, W) in [0, C).
        counted: bool, of the target's shape: not ignored.
    """

    task: Task
    logits: Tensor
    target: Tensor
    counted: Tensor

    def mean(self, per_pixel: Tensor) -> Tensor:
        """Returns the mean of (values of the target's shape) over the counted pixels; 0 where there is none."""
        total = torch.where(self.counted, per_pixel, 0.0).sum()
        return total / self.counted.sum().clamp(min=1)


def infer_task(logits: Tensor, target: Tensor) -> Task:
    """Returns the task that the shapes of logits (B, C, H, W) and target (B, H, W) or (B, C, H, W) say.

    Raises:
        ValueError: shapes that fit no task.
    """
    if logits.ndim != 4 or logits.shape[1] < 1:
        raise ValueError(f"expected logits (B, C, H, W), got {tuple(logits.shape)}")
    plane = (logits.shape[0], *logits.shape[2:])
    if tuple(target.shape) == plane:
        return Task.BINARY if logits.shape[1] == 1 else Task.MULTICLASS
    if target.shape == logits.shape:
        return Task.BINARY if logits.shape[1] == 1 else Task.MULTILABEL
    raise ValueError(
        f"the shapes disagree: logits {tuple(logits.shape)} need a target {plane}, one label a pixel, or "
        f"{tuple(logits.shape)}, a plane a class; got {tuple(target.shape)}"
    )


def prepare(
    logits: Tensor, target: Tensor, *, loss: str, tasks: Iterable[Task] = tuple(Task), ignore_index: int
) -> Batch:
    """Returns the checked batch.

    Args:
        logits: (B, C, H, W) float; float16 and bfloat16 become float32.
        target: integers or bool, see `segbench.losses`.
        loss: name for messages.
        tasks: what the loss can be used for.
        ignore_index: label of pixels that do not count.
    Raises:
        ValueError: wrong shapes or dtypes, a task the loss is not made for, or labels out of range (names one and how
            many pixels hold one).
    """
    task = infer_task(logits, target)
    if task not in set(tasks):
        raise ValueError(
            f"{loss} is made for {' and '.join(sorted(tasks))} targets; logits {tuple(logits.shape)} and target "
            f"{tuple(target.shape)} are {task}"
        )
    if not logits.is_floating_point():
        raise ValueError(f"expected floating-point logits, got {logits.dtype}")
    if target.dtype not in INTEGERS:
        raise ValueError(f"expected integer labels, got {target.dtype}; convert with target.long()")
    target = target.long()
    if task is Task.BINARY and target.ndim == 3:
        target = target.unsqueeze(1)
    num_labels = logits.shape[1] if task is Task.MULTICLASS else 2
    counted = target != ignore_index
    wrong = counted & ((target < 0) | (target >= num_labels))
    if bool(wrong.any()):
        label = int(target[wrong][0])
        raise ValueError(
            f"label {label} is outside 0 to {num_labels - 1} and not the ignored {ignore_index}: {int(wrong.sum())} of "
            f"{target.numel()} pixels hold such a label; map it to a class or to {ignore_index}"
        )
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    ignored = ~counted if task is not Task.MULTICLASS else ~counted.unsqueeze(1)
    return Batch(task, logits.masked_fill(ignored, 0.0), target.masked_fill(~counted, 0), counted)


def one_hot(target: Tensor, num_classes: int) -> Tensor:
    """Returns (B, C, H, W) bool of a (B, H, W) int64."""
    return target.unsqueeze(1) == torch.arange(num_classes, device=target.device).view(1, -1, 1, 1)


def per_class(name: str, values: Sequence[float], channels: int) -> None:
    """Raises ValueError unless there is one value a channel of the logits."""
    if len(values) != channels:
        raise ValueError(
            f"{name} has {len(values)} values, but the logits have {channels} channels; give one a channel"
        )
