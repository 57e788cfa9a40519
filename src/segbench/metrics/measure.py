"""What one row of the table of scores holds: value, definition, direction and words for people; see `families`.

Imports neither NumPy nor torch: values are plain arithmetic on the arrays they are given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

from segbench.locale import message, template

Better: TypeAlias = Literal["higher", "lower", "zero"]
Level: TypeAlias = Literal["pooled", "per image"]
Summary: TypeAlias = Literal["pooled", "mean", "median", "worst5"]
Source: TypeAlias = Literal["counts", "masks", "probabilities"]

ABSENT = template("a class absent from truth and prediction is left out")

# How one number is made: for definitions, and for the list of scores where the measure has classes and where not.
SUMMARY_TEXT: dict[Summary, str] = {
    "pooled": "",
    "mean": message("then mean over the images with a value"),
    "median": message("then median over the images with a value"),
    "worst5": message("then mean over the worst 5 % (rounded up) of the images with a value"),
}
_LISTED: dict[Summary, tuple[str, str]] = {
    "pooled": (", all images together, then the mean over classes", ", all images together"),
    "mean": (" in every image, mean over its classes, then over images", " in every image, then the mean over images"),
    "median": (" in every image, then the median over images",) * 2,
    "worst5": (" in every image, then the mean over the worst 5 % of the images",) * 2,
}
DIRECTION: dict[Better, str] = {"higher": "", "lower": "lower is better", "zero": "nearer 0 is better"}


class Cells(NamedTuple):
    """Counted pixels of C classes, in N images (N, C) or in all of them together (C,); int64 arrays."""

    tp: Any
    fp: Any
    fn: Any
    tn: Any
    planes: bool  # whether every class is decided for itself (multilabel)

    def pooled(self) -> Cells:
        """Returns the pixels of all images together."""
        tp, fp, fn, tn = (part.sum(axis=0) for part in self[:4])
        return Cells(tp, fp, fn, tn, self.planes)


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What is measured of one class, in one image or in the pixels of all images together.

    Attributes:
        key: in tables of images, such as the columns of `scores_test.csv`.
        about: what it is, in a few words.
        formula: of its definition, a template; placeholders such as `{width}` take what it was measured with.
        value: the number. From counts: `Cells` -> numerator and denominator, no value where that is not above 0. From
            masks: `Outlines` and `SurfaceSettings` -> float. From probabilities: `Calibration` -> numerator and
            denominator.
        absent: the rule for classes without pixels; may have placeholders. Empty where `by_class` is False.
        by_class: whether every class has a value; False: one number for all classes together.
        class_columns: whether tables of images have a column a class, besides the mean over classes.
        unit: `share` (0 to 1), `px` (pixels) or `relative` (to the true area).
        better: `higher`, `lower`, or `zero`: the nearer 0.
        lowest, highest: ends of the range.
        perfect: what an image without any of the classes counts as in a comparison where none is predicted, rightly;
            None: no value is right there, and the image counts for nobody.
    """

    key: str
    about: str
    formula: str
    value: Callable[..., Any]
    absent: str = ABSENT
    by_class: bool = True
    class_columns: bool = True
    unit: str = "share"
    better: Better = "higher"
    lowest: float = 0.0
    highest: float = 1.0
    perfect: float | None = None


@dataclass(frozen=True, kw_only=True)
class Score:
    """One number of a table of scores.

    Attributes:
        name: its key in files, configs and commands.
        label: for people, in reports, plots and terminal tables: a message.
        measure: what is measured.
        summary: how what was measured becomes one number: `pooled`, once from the pixels of all images; else the mean,
            the median or the mean of the worst 5 % of the images' values.
        source: what it is computed from.
        monitored: whether it is logged every epoch, so that a config can `monitor` it; from counts only.
    """

    name: str
    label: str
    measure: Measure
    summary: Summary
    source: Source = "counts"
    monitored: bool = False

    @property
    def level(self) -> Level:
        """Returns whether it is made once from all pixels, or from the values of the images."""
        return "pooled" if self.summary == "pooled" else "per image"

    @property
    def compared(self) -> bool:
        """Tells whether it can decide a comparison: a mean over images, which are resampled, with a better end."""
        return self.summary == "mean" and self.measure.better != "zero"

    @property
    def about(self) -> str:
        """Returns one line for lists: what it is, how it becomes one number, which direction is better, from what."""
        how = _LISTED[self.summary][0 if self.measure.by_class else 1]
        direction = DIRECTION[self.measure.better]
        source = "" if self.source == "counts" else f" (from {self.source})"
        return f"{self.measure.about}{how}{'; ' if direction else ''}{direction}{source}"

    def merit(self, value: float) -> float:
        """Returns the value turned so that larger is better."""
        return {"higher": value, "lower": -value, "zero": -abs(value)}[self.measure.better]
