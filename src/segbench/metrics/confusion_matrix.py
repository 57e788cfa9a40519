"""The pooled confusion matrix as a table: shares, rows for people, a CSV file. NumPy only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from segbench.files import write_csv
from segbench.metrics._arrays import FloatArray, divide

IntArray: TypeAlias = npt.NDArray[np.int64]
Over: TypeAlias = Literal["true", "predicted", "all"]

_LABELS = ("true negative", "false positive", "false negative", "true positive")


def normalize_confusion(confusion: IntArray, over: Over = "true") -> FloatArray:
    """Returns shares in [0, 1] of the same shape, NaN where a row, a column or the table holds no pixel.

    Args:
        confusion: (C, C), [true, predicted], or (C, 2, 2) for a multilabel task, one table a class.
        over: `true`: every row adds up to 1 and the diagonal is the recall; `predicted`: every column, and the
            diagonal is the precision; `all`: every table.
    Raises:
        ValueError: another shape or another `over`.
    Example:
        >>> normalize_confusion(np.array([[6, 2], [1, 1]])).tolist()
        [[0.75, 0.25], [0.5, 0.5]]
    """
    axes = {"true": (-1,), "predicted": (-2,), "all": (-2, -1)}
    if over not in axes:
        raise ValueError(f"over must be true, predicted or all, got {over!r}")
    if confusion.ndim not in (2, 3) or confusion.shape[-1] != confusion.shape[-2]:
        raise ValueError(f"a confusion matrix has the shape (C, C) or (C, 2, 2), got {confusion.shape}")
    return divide(confusion, np.broadcast_to(confusion.sum(axis=axes[over], keepdims=True), confusion.shape))


def confusion_rows(confusion: npt.NDArray[np.int64] | FloatArray, names: Sequence[str]) -> list[list[object]]:
    """Returns a header and one row a true class; multilabel: one row a class with TN, FP, FN and TP.

    Args:
        confusion: (C, C) or (C, 2, 2), pixels or shares.
        names: of the C classes.
    Raises:
        ValueError: as many names as classes are needed.
    """
    if len(names) != len(confusion):
        raise ValueError(f"names: expected {len(confusion)} class names, got {len(names)}")
    header: list[object] = [*_LABELS] if confusion.ndim == 3 else [f"predicted {name}" for name in names]
    corner = "class" if confusion.ndim == 3 else "true class"
    return [[corner, *header]] + [[name, *table.ravel().tolist()] for name, table in zip(names, confusion, strict=True)]


def write_confusion_csv(path: str | Path, confusion: IntArray, names: Sequence[str]) -> None:
    """Writes `confusion_rows`, pixels, all or nothing."""
    header, *rows = confusion_rows(confusion, names)
    write_csv(path, [str(cell) for cell in header], rows)
