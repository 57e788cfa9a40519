"""Tasks of the lessons: a student's answer is told right or wrong, and on what it fails, without the right answer."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from segbench.course.wrong import Wrong
from segbench.errors import suggest
from segbench.locale import message, translate

# Task -> "module:function" below `tasks/`. The function takes the answer, and raises `Wrong`.
_TASKS: dict[str, str] = {
    "aspp/map_size": "aspp:map_size",
    "aspp/read_interval": "aspp:read_interval",
    "aspp/sees_only_its_centre": "aspp:sees_only_its_centre",
    "beyond/empty_masks": "beyond:empty_masks",
    "beyond/mean_difference": "beyond:mean_difference",
    "beyond/seed_spread": "beyond:seed_spread",
    "lecture/field_of_view": "lecture:field_of_view",
    "lecture/iou": "lecture:iou",
    "lecture/runs_to_mask": "lecture:runs_to_mask",
    "own_data/leaked": "own_data:leaked",
    "own_data/polygon_area": "own_data:polygon_area",
    "own_data/to_percent": "own_data:to_percent",
    "ph2/contest_score": "ph2:contest_score",
    "ph2/focal_loss": "ph2:focal_loss",
    "ph2/mask_from_logits": "ph2:mask_from_logits",
    "ph2/paired_difference": "ph2:paired_difference",
    "ph2/turning_epoch": "ph2:turning_epoch",
    "unet/class_iou": "unet:class_iou",
    "unet/dice_from_iou": "unet:dice_from_iou",
    "unet/freeze": "unet:freeze",
    "unet/joint_flip": "unet:joint_flip",
    "unet/shrink_mask": "unet:shrink_mask",
}


def tasks() -> list[str]:
    """Returns the names of all tasks, sorted: `lesson/task`."""
    return sorted(_TASKS)


def check(task: str, answer: Any, *, lang: str = "en") -> bool:
    """Prints whether an answer is right; if not, on which input it fails and what to think about.

    Args:
        task: one of `tasks()`, as the lesson names it.
        answer: what the lesson asks for: a function, an array or a number.
        lang: en or ru, of what is printed.
    Returns:
        True where the answer is right.
    Raises:
        ValueError: there is no such task, or no such language.
    Example:
        >>> check("lecture/iou", lambda prediction, target: (prediction & target).sum() / (prediction | target).sum())
        lecture/iou: right
        True
    """
    if task not in _TASKS:
        raise ValueError(f"there is no task {task!r}; {suggest(task, _TASKS)}")
    module, _, name = _TASKS[task].partition(":")
    judge: Callable[[Any], None] = getattr(importlib.import_module(f"segbench.course.tasks.{module}"), name)
    try:
        judge(answer)
    except Wrong as wrong:
        print(f"{task}: {translate(message('not yet: {hint}', hint=wrong.hint), lang)}")
        return False
    print(f"{task}: {translate(message('right'), lang)}")
    return True
