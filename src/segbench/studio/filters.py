"""Which samples are shown, and in which order."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from segbench.studio.columns import F32, Columns

Order: TypeAlias = Literal["id", "share", "side", "brightness", "foreground", "score"]
Marks: TypeAlias = NDArray[np.bool_]
_REMEMBERED = 16  # selections, so that pages of one are cut from it


class Filters(BaseModel):
    """What was asked for; everything that is left out does not matter.

    Attributes:
        part: name, `-` for samples in none.
        shows: index of a class that the sample shows.
        text: that its id holds, in any case.
        group: name.
        finding: code; `reviewed`: also the samples that a person has decided about.
        foreground_min, foreground_max: share, 0-1.
        side_min, side_max: square root of the pixels.
        brightness_min, brightness_max: 0-255.
        of: what the scores are of, an approach or a training; score_min, score_max: its IoU on the image, 0-1.
        lasso: x, y, x, y, ... of a polygon in the plane of `across` (`side` or `foreground`) and brightness.
        sort, down: by what, and whether the largest comes first; `share` is that of class `shows`, or of the
            foreground. What is not known comes last.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    part: str = ""
    shows: int | None = Field(None, ge=0)
    text: str = ""
    group: str = ""
    finding: str = ""
    reviewed: bool = False
    foreground_min: float | None = None
    foreground_max: float | None = None
    side_min: float | None = None
    side_max: float | None = None
    brightness_min: float | None = None
    brightness_max: float | None = None
    of: str = ""
    score_min: float | None = None
    score_max: float | None = None
    lasso: str = Field("", max_length=8000)
    across: Literal["side", "foreground"] = "side"
    sort: Order = "id"
    down: bool = False

    @field_validator("lasso")
    @classmethod
    def _polygon(cls, text: str) -> str:
        corners(text)
        return text


def corners(text: str) -> NDArray[np.float64]:
    """Returns (N, 2) x and y of a polygon written as numbers with commas; ValueError where it is none."""
    if not text:
        return np.zeros((0, 2))
    numbers = np.array([float(each) for each in text.split(",")])
    if len(numbers) % 2 or len(numbers) < 6 or not np.isfinite(numbers).all():
        raise ValueError("expected x, y of at least three corners")
    return numbers.reshape(-1, 2)


def selected(
    columns: Columns, filters: Filters, found: Collection[int] | None = None, scores: F32 | None = None
) -> NDArray[np.int64]:
    """Returns the places of the samples that are shown, in the order asked for.

    Args:
        found: places of the samples of the finding that is asked for; None: none is.
        scores: (N,) of what is asked for, NaN where none is known; None: none is asked for.
    """
    key = (filters, None if found is None else frozenset(found), None if scores is None else hash(scores.tobytes()))
    known = columns.orders.get(key)
    if known is None:
        while len(columns.orders) >= _REMEMBERED:
            columns.orders.pop(next(iter(columns.orders)), None)
        known = columns.orders[key] = _sorted(
            columns, filters, np.flatnonzero(marked(columns, filters, found, scores)), scores
        )
    return known


def marked(
    columns: Columns, filters: Filters, found: Collection[int] | None = None, scores: F32 | None = None
) -> Marks:
    """Returns (N,) which samples are shown; see `selected`."""
    marks = np.ones(len(columns), dtype=bool)
    for names, numbers, wanted in (
        (columns.parts, columns.part, filters.part),
        (columns.groups, columns.group, filters.group),
    ):
        if wanted:
            marks &= numbers == (names.index(wanted) if wanted in names else -1)
    if filters.shows is not None:
        known = filters.shows < columns.shares.shape[1]
        marks &= columns.shares[:, filters.shows] > 0 if known else False
    if filters.text:
        text = filters.text.lower()
        marks &= np.fromiter((text in name for name in columns.ids), dtype=bool, count=len(columns))
    for values, low, high in (
        (columns.foreground, filters.foreground_min, filters.foreground_max),
        (columns.side, filters.side_min, filters.side_max),
        (columns.brightness, filters.brightness_min, filters.brightness_max),
    ):
        marks &= _between(values, low, high)
    if scores is not None:
        marks &= _between(scores, filters.score_min, filters.score_max)
    if filters.lasso:
        marks &= inside(corners(filters.lasso), across(columns, filters), columns.brightness)
    if found is not None:
        of_finding = np.zeros(len(columns), dtype=bool)
        of_finding[list(found)] = True
        marks &= of_finding
    return marks


def across(columns: Columns, filters: Filters) -> NDArray[np.float32]:
    """Returns (N,) what the lasso was drawn over, besides brightness."""
    return columns.side if filters.across == "side" else columns.foreground


def inside(polygon: NDArray[np.float64], x: NDArray[np.float32], y: NDArray[np.float32]) -> Marks:
    """Returns which points lie inside a polygon (N, 2), by the even-odd rule; unknown ones do not."""
    marks = np.zeros(len(x), dtype=bool)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y0 != y1:
            crosses = (y0 <= y) != (y1 <= y)
            marks ^= crosses & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return marks & ~np.isnan(x) & ~np.isnan(y)


def _between(values: NDArray[np.float32], low: float | None, high: float | None) -> Marks | bool:
    marks: Marks | bool = True
    if low is not None:
        marks = marks & (values >= np.float32(low))
    if high is not None:
        marks = marks & (values <= np.float32(high))
    return marks


def _sorted(
    columns: Columns, filters: Filters, rows: NDArray[np.int64], scores: F32 | None = None
) -> NDArray[np.int64]:
    if filters.sort == "id":  # the data set's own order
        return rows[::-1].copy() if filters.down else rows
    if filters.sort == "score" and scores is None:
        return rows
    by_class = filters.sort == "share" and filters.shows is not None and filters.shows < columns.shares.shape[1]
    if filters.sort == "score" and scores is not None:
        values = scores
    elif by_class:
        values = columns.shares[:, filters.shows or 0]
    elif filters.sort in ("share", "foreground"):
        values = columns.foreground
    else:
        values = columns.side if filters.sort == "side" else columns.brightness
    chosen = values[rows]
    order = np.argsort(-chosen if filters.down else chosen, kind="stable")  # NaN comes last either way
    return rows[order]
