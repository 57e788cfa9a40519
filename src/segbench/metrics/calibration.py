"""Bins of confidence -> expected calibration error: is a network right as often as it is sure? NumPy only."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from segbench.errors import RunError
from segbench.files import write_csv
from segbench.locale import message
from segbench.metrics._arrays import FloatArray, divide
from segbench.metrics.definitions import Definition, Setting, define, write_definitions
from segbench.metrics.families import CALIBRATION_SCORES
from segbench.types import IGNORE_INDEX, Task

IntArray: TypeAlias = npt.NDArray[np.int64]

CALIBRATION_BINS = 15
_HEADER = ["above", "up_to", "pixels", "confidence_sum", "correct"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """How sure a network was of its labels, and how often it was right, in K equally wide bins of confidence.

    Attributes:
        pixels: (K,) int64, counted pixels (multilabel: of all planes) whose confidence lies in the bin; bin k holds
            confidences above k / K and up to (k + 1) / K, the first also 0.
        confidence_sum: (K,) float64, their confidences added up.
        correct: (K,) int64, how many of them were predicted right.
        n_images: N.
        task: see `segbench.types.Task`.
    """

    pixels: IntArray
    confidence_sum: FloatArray
    correct: IntArray
    n_images: int
    task: Task

    def __post_init__(self) -> None:
        shapes = {self.pixels.shape, self.confidence_sum.shape, self.correct.shape}
        if len(shapes) != 1 or self.pixels.ndim != 1 or not self.pixels.size:
            raise ValueError(f"expected three arrays of one length (K,), got {sorted(shapes)}")
        if (self.correct > self.pixels).any() or (self.correct < 0).any():
            raise ValueError("a bin cannot hold fewer than 0 right pixels, or more right pixels than pixels")

    @classmethod
    def merge(cls, parts: Iterable[Calibration]) -> Calibration:
        """Returns the pixels of all parts together.

        Raises:
            ValueError: no part, or parts of different tasks or numbers of bins.
        """
        parts = tuple(parts)
        kinds = {(part.task, len(part.pixels)) for part in parts}
        if len(kinds) != 1:
            raise ValueError(f"expected parts of one task and number of bins, got {sorted(kinds) or 'none'}")
        return cls(
            pixels=np.sum([part.pixels for part in parts], axis=0, dtype=np.int64),
            confidence_sum=np.sum([part.confidence_sum for part in parts], axis=0, dtype=np.float64),
            correct=np.sum([part.correct for part in parts], axis=0, dtype=np.int64),
            n_images=sum(part.n_images for part in parts),
            task=parts[0].task,
        )

    @property
    def confidence(self) -> FloatArray:
        """(K,): mean confidence in every bin; NaN in an empty one."""
        return divide(self.confidence_sum, self.pixels)

    @property
    def accuracy(self) -> FloatArray:
        """(K,): share of right pixels in every bin; NaN in an empty one."""
        return divide(self.correct, self.pixels)

    @property
    def expected_error(self) -> float:
        """Mean of |accuracy - confidence| over the bins, weighted by their pixels; NaN without pixels.

        Source: Naeini et al. 2015, Guo et al. 2017.

        Example:
            >>> half = np.array([0, 4]), np.array([0, 3.6]), np.array([0, 3])  # 90 % sure, 75 % right
            >>> names = ("pixels", "confidence_sum", "correct")
            >>> round(Calibration(**dict(zip(names, half)), n_images=1, task=Task.BINARY).expected_error, 3)
            0.15
        """
        return self.summary()["expected_calibration_error"]

    def summary(self) -> dict[str, float]:
        """Returns name -> value."""
        return {name: float(divide(*score.measure.value(self))) for name, score in CALIBRATION_SCORES.items()}

    def definition_of(self, *, resolution: str = "", ignore_index: int = IGNORE_INDEX) -> dict[str, Definition]:
        """Returns name -> what the number means, for every name in `summary()`."""
        over = message("confidence is the probability of each pixel's most probable class")
        decision = message("every pixel takes its most probable class")
        # The label a network is surest of: at another threshold the confidence could not be the larger share.
        if self.task is Task.BINARY:
            decision = message("every pixel takes its most probable class, whatever the threshold")
        elif self.task is Task.MULTILABEL:
            over = message(
                "confidence is the probability of the likelier of present and absent, for every class of every pixel"
            )
            decision = message(
                "every class of every pixel is taken as present or absent, whichever is likelier, whatever the "
                "threshold"
            )
        setting = Setting(
            decision=decision, threshold=None, resolution=resolution, ignore_index=ignore_index, n=self.n_images
        )
        values = {"bins": str(len(self.pixels))}
        return {name: define(score, setting, over=over, values=values) for name, score in CALIBRATION_SCORES.items()}

    def write_csv(self, path: str | Path, *, resolution: str = "", ignore_index: int = IGNORE_INDEX) -> None:
        """Writes one row a bin, and `<stem>.definitions.json`; `read_csv` gives back the same bins."""
        edges = np.arange(len(self.pixels) + 1) / len(self.pixels)
        rows = zip(
            edges[:-1].tolist(),
            edges[1:].tolist(),
            self.pixels.tolist(),
            [repr(value) for value in self.confidence_sum.tolist()],
            self.correct.tolist(),
            strict=True,
        )
        write_csv(path, _HEADER, [list(row) for row in rows])
        write_definitions(
            path,
            self.definition_of(resolution=resolution, ignore_index=ignore_index),
            self.summary(),
            "one row a bin of confidence: its ends, counted pixels, their confidences added up, how many are right",
        )

    @classmethod
    def read_csv(cls, path: str | Path, *, n_images: int, task: Task) -> Calibration:
        """Returns what `write_csv` wrote.

        Raises:
            RunError: the file cannot be read or is damaged.
        """
        path = Path(path)
        try:
            with path.open(encoding="utf-8", newline="") as stream:
                header, *rows = csv.reader(stream)
            if header != _HEADER:
                raise ValueError(f"expected the columns {', '.join(_HEADER)}")
            return cls(
                pixels=np.array([int(row[2]) for row in rows], dtype=np.int64),
                confidence_sum=np.array([float(row[3]) for row in rows]),
                correct=np.array([int(row[4]) for row in rows], dtype=np.int64),
                n_images=n_images,
                task=task,
            )
        except (OSError, UnicodeDecodeError, csv.Error, ValueError, IndexError) as error:
            raise RunError(f"cannot read the calibration {path.name}: {error}", run=path.parent) from error
