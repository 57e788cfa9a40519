"""Array arithmetic that every score needs: divisions and means that keep "no value" apart from 0, streamed tables."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from segbench.files import replacing
from segbench.metrics.measure import Summary

FloatArray: TypeAlias = npt.NDArray[np.float64]

ROWS_AT_ONCE = 20_000  # as Python objects a row is some hundred bytes: never a whole table of a million


def divide(numerator: Any, denominator: Any) -> FloatArray:
    """Returns the quotient, NaN (without a warning) where the denominator is not above 0."""
    above, below = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    result: FloatArray = np.full(below.shape, np.nan)
    np.divide(above, below, out=result, where=below > 0)
    return result


def nan_mean(values: FloatArray, axis: int) -> FloatArray:
    """Returns the mean over what is not NaN; NaN (without a warning) where nothing is left."""
    defined = ~np.isnan(values)
    return divide(np.where(defined, values, 0.0).sum(axis=axis), defined.sum(axis=axis))


def nan_median(values: FloatArray) -> float:
    """Returns the median of what is not NaN; NaN where nothing is left."""
    defined = values[~np.isnan(values)]
    return float(np.median(defined)) if defined.size else float("nan")


def mean_of_worst(values: FloatArray, one_in: int = 20) -> float:
    """Returns the mean of the lowest 1 / `one_in` of what is not NaN, rounded up to whole values; NaN of nothing."""
    defined = values[~np.isnan(values)]
    if not defined.size:
        return float("nan")
    worst = -(-defined.size // one_in)
    return float(np.partition(defined, worst - 1)[:worst].mean())


def summarise(summary: Summary, values: FloatArray) -> float:
    """Returns the one number of (N,) values of images; NaN where none has a value."""
    if summary == "median":
        return nan_median(values)
    return mean_of_worst(values) if summary == "worst5" else float(nan_mean(values, axis=0))


def stream_csv(path: str | Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Writes a table row by row, all or nothing."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def float_cells(table: FloatArray) -> Iterator[list[str]]:
    """Yields the rows of (N, K) as cells that read back exactly; NaN is an empty cell."""
    for start in range(0, len(table), ROWS_AT_ONCE):
        for row in table[start : start + ROWS_AT_ONCE].tolist():
            yield ["" if value != value else repr(value) for value in row]
