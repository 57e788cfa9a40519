"""What the columns of a table of scores mean, and numbers as spreadsheets write them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from segbench.errors import shorten

# What people call a column; capitals, blanks, `_` and `-` do not count.
ROLES: dict[str, tuple[str, ...]] = {
    "entry": ("entry", "model", "method", "network", "approach", "algorithm", "architecture", "team", "modelname"),
    "seed": ("seed", "run", "repeat", "repetition", "replicate", "trial"),
    "image": (
        *("image", "imageid", "imagename", "case", "caseid", "casename", "id", "filename", "file", "name", "img"),
        *("sample", "sampleid", "scan", "slice", "patch"),
    ),
    "group": ("group", "patient", "patientid", "subject", "subjectid", "scene", "participant", "participantid"),
    "fold": ("fold", "cvfold"),
    "dataset": ("dataset", "data", "task", "benchmark"),
}
_SCORE = ("score", "value")
# Shares of 1, by what their names begin with; of the others only that a small one is good is known.
_SHARES = (
    *("dice", "dsc", "iou", "jaccard", "miou", "mdice", "f1", "fscore", "precision", "recall", "sensitivity"),
    *("specificity", "accuracy", "acc", "nsd", "boundaryiou", "surfacedice", "ap", "map", "auc", "pq", "ppv", "npv"),
)
_DISTANCES = ("hd", "hausdorff", "assd", "asd", "masd", "msd", "surfacedistance", "averagesurface")
_ERRORS = ("loss", "error", "mae", "mse", "rmse", "ece", "brier", "fpr", "fnr", "falsepositive", "falsenegative")
_COUNTS = ("tp", "fp", "fn", "tn", "nref", "npred", "volume", "area", "time", "seconds", "epoch", "index")

ABSENT = frozenset(
    ("", "nan", "na", "n/a", "none", "null", "-", "–", "—", "#n/a", "#na", "#div/0!", "#num!", "<na>", "missing", "nv")
)
_SUMMARY = re.compile(
    r"(mean|average|avg|std|sd|stdev|std\.? ?dev|median|min|max|sum|total|overall|count|25%|50%|75%)$", re.I
)
_NUMBER = re.compile(r"[+\-\u2212]?\d*[.,]?\d+(e[+-]?\d+)?\s?%?", re.I)
_DATE = re.compile(r"\d{1,4}[./-]\d{1,2}[./-]\d{1,4}$|\d{1,2}[. -]+[^\W\d]{3,}\.?$|[^\W\d]{3,}\.?[ -]\d{1,4}$")


def plain_name(name: str) -> str:
    """Returns a name without capitals, blanks and signs."""
    return re.sub(r"[\W_]", "", name).lower()


def find_roles(columns: Sequence[str]) -> dict[str, str]:
    """Returns role -> the column that has it, the first of the names in `ROLES` that is there."""
    plain = {plain_name(column): column for column in reversed(columns)}
    found = {role: next((plain[name] for name in names if name in plain), None) for role, names in ROLES.items()}
    return {role: column for role, column in found.items() if column is not None}


def score_column(columns: Iterable[str]) -> str | None:
    """Returns the column that is called score or value."""
    plain = {plain_name(column): column for column in columns}
    return next((plain[name] for name in _SCORE if name in plain), None)


def is_measure(name: str) -> bool:
    """Tells whether a column has the name of a score, an error or a count, and so is no entry's."""
    return plain_name(name) in (*_SCORE, *_COUNTS) or is_share(name) or is_small_good(name)


def is_share(name: str) -> bool:
    """Tells whether a score's name is that of a share of 1, such as Dice."""
    return _begins(name, _SHARES)


def is_small_good(name: str) -> bool:
    """Tells whether a score's name is that of a distance or an error, which is better where it is smaller."""
    return _begins(name, (*_DISTANCES, *_ERRORS))


def _begins(name: str, starts: Sequence[str]) -> bool:
    """Tells whether a name is one of these, with a number, a class or `per image` behind it."""
    first = plain_name(re.sub(r"(per[ _]?image|\[.*\]|\(.*\)|%|mm|px|\d+)", "", name.lower()))
    return first in starts or any(len(start) > 3 and first.startswith(start) for start in starts)


def is_summary(image: str) -> bool:
    """Tells whether a row is a mean or a spread over the images, by the name in its image column."""
    return _SUMMARY.fullmatch(image.strip()) is not None


@dataclass(frozen=True, kw_only=True)
class Marks:
    """How a column writes its numbers: which mark stands before the decimals, and how many have a percent sign."""

    decimal: str
    percent: int


def find_marks(cells: Sequence[str]) -> Marks:
    """Returns how a column writes its numbers.

    Raises:
        ValueError: some have a decimal point, others a decimal comma.
    """
    commas = [cell for cell in cells if "," in cell and "." not in cell]
    points = [cell for cell in cells if "." in cell and cell.lower() not in ABSENT]
    if commas and points:
        raise ValueError(f"both {points[0]!r} and {commas[0]!r} occur; write all numbers with a decimal point")
    return Marks(decimal="," if commas else ".", percent=sum(cell.endswith("%") for cell in cells))


def to_number(cell: str, marks: Marks) -> float:
    """Returns the number in a cell, NaN where it says that there is none; a percentage becomes a share of 1.

    Raises:
        ValueError: it is no number, with what it looks like.
    """
    if cell.lower() in ABSENT:
        return math.nan
    text = cell.removesuffix("%").strip().replace("\u2212", "-")
    if marks.decimal == ",":
        text = text.replace(",", ".")
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"expected a number, got {cell!r}{_looks_like(cell)}") from None
    if math.isinf(number):
        raise ValueError(f"expected a finite number, got {cell!r}; leave the cell empty where there is no score")
    return number / 100.0 if cell.endswith("%") else number


def _looks_like(cell: str) -> str:
    if "±" in cell or "+/-" in cell or "+-" in cell:
        return ", a mean with its spread; a verdict needs the score of every single image"
    if _DATE.fullmatch(cell):
        return ", which looks like a date: Excel turns numbers such as 22.5 into dates; export the scores again as text"
    if cell.startswith("#"):
        return ", an error of a spreadsheet"
    if cell.startswith("="):
        return ", a formula; save the table with its values"
    return ""


def number_columns(columns: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """Returns the names of columns that hold numbers; a few other cells are somebody's mistake, and told when read."""
    return [name for name, cells in columns if _share_of_numbers(cells) >= 0.5]


def _share_of_numbers(cells: Sequence[str]) -> float:
    given = [cell for cell in cells if cell.lower() not in ABSENT]
    return sum(_NUMBER.fullmatch(cell) is not None for cell in given) / len(given) if given else 0.0


def is_count(name: str) -> bool:
    """Tells whether a column has the name of something that is counted or timed beside the scores."""
    return plain_name(name) in _COUNTS


def told_columns(columns: Iterable[str]) -> str:
    """Returns the columns there are, for a message."""
    return f"got the columns {shorten(columns, 12)}"
