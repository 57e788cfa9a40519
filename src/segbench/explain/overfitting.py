"""Does a network overfit, and from which epoch: read off the losses of `metrics.csv`, noise not taken for a turn."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from segbench.compare.evidence import Entry
from segbench.errors import RunError
from segbench.metrics.families import lower_is_better
from segbench.statistics.turning import FloatArray, Turn, find_turn, level_at

Verdict: TypeAlias = Literal["overfits", "not yet", "still improving", "diverges", "too few epochs"]
VERDICTS: tuple[Verdict, ...] = ("overfits", "not yet", "still improving", "diverges", "too few epochs")
MIN_EPOCHS = 10  # below, two windows of five epochs overlap
_WORTH_FRAC = 0.02  # a rise or late fall below this share of the curve's whole range is called level


@dataclass(frozen=True, kw_only=True)
class Overfitting:
    """What the curves of one run say.

    Attributes:
        verdict: `overfits`: the validation loss turned and rises for good while the training loss went on falling;
            `not yet`: no turn that stands out of the noise, and no more fall at the end; `still improving`: the
            validation loss was still falling at the end; `diverges`: the validation loss rises, and the training loss
            does not fall; `too few epochs`: fewer than `MIN_EPOCHS`.
        turning_epoch: from 1, centre of the window in which the validation loss is lowest; None unless it turned.
        epochs: trained.
        best_epoch: from 1, whose weights were kept.
        monitor: validation score by which the best epoch was chosen, without `val_`.
        epochs_after_best: trained after the best epoch.
        score_at_best, score_at_last: of the monitored score on the validation part.
        cost_of_last: what keeping the last epoch instead of the best would have cost: best minus last (last minus
            best for the loss).
        gap_at_best, gap_at_end: validation minus training loss there, medians over `window` epochs. The training loss
            is measured with augmentation and dropout while weights move, so this gap is too small, or negative.
        rise: validation loss at the end minus its lowest, medians over `window` epochs; 0 or more.
        rise_in_errors: the same in standard errors of such a median; more than 4 is a turn. NaN: too few epochs.
        noise: standard deviation of one epoch's validation loss; NaN: too few epochs.
        train_fall: training loss at the lowest validation loss minus at the end, medians over `window` epochs.
        window: epochs of the running median; 0: too few epochs.
        train_score, val_score, test_score: of the kept weights, without augmentation, from `result.json`; NaN where
            not given.
        score: name of these three.
    """

    verdict: Verdict
    turning_epoch: int | None
    epochs: int
    best_epoch: int
    monitor: str
    epochs_after_best: int
    score_at_best: float
    score_at_last: float
    cost_of_last: float
    gap_at_best: float
    gap_at_end: float
    rise: float
    rise_in_errors: float
    noise: float
    train_fall: float
    window: int
    train_score: float = math.nan
    val_score: float = math.nan
    test_score: float = math.nan
    score: str = ""

    @property
    def clean_gap(self) -> float:
        """Training minus validation score of the kept weights, both without augmentation: the honest gap; or NaN."""
        return self.train_score - self.val_score


@dataclass(frozen=True, kw_only=True)
class OverfittingSummary:
    """What the curves of an entry's runs say together.

    Attributes:
        entry: its name.
        seeds: of the runs.
        runs: the diagnosis of each, in the same order.
        counts: verdict -> runs, every verdict named.
        turning_epochs: of the runs that turned.
        turning_epoch_median: of these; NaN where none turned.
        cost_of_last_mean: mean over runs.
        clean_gap_mean: mean over the runs whose result is known; NaN where none is.
    """

    entry: str
    seeds: tuple[int, ...]
    runs: tuple[Overfitting, ...]
    counts: Mapping[str, int]
    turning_epochs: tuple[int, ...]
    turning_epoch_median: float
    cost_of_last_mean: float
    clean_gap_mean: float


def diagnose_overfitting(
    history: Sequence[Mapping[str, float]],
    *,
    best_epoch: int,
    monitor: str,
    result: Mapping[str, Any] | None = None,
) -> Overfitting:
    """Returns whether, and from which epoch, a run overfits.

    Both losses are smoothed by a running median over a tenth of the epochs (at least 5). The validation loss has turned
    when the last window lies above the lowest one by more than 4 standard errors of a window (see `find_turn`) and by
    at least 2 % of the range of the smoothed curve.

    Args:
        history: rows of `metrics.csv`.
        best_epoch: from 1.
        monitor: the monitored score, with or without `val_`.
        result: `result.json`, for the clean scores.
    Raises:
        ValueError: no epochs, a best epoch outside them, a loss that is not finite, or a column that is missing.
    """
    name = monitor.removeprefix("val_")
    train, val, scores = (_column(history, key) for key in ("train_loss", "val_loss", f"val_{name}"))
    _check(train, val, best_epoch)
    count = len(history)
    best, last = float(scores[best_epoch - 1]), float(scores[-1])
    clean = _clean_scores(result, "iou_per_image" if name == "loss" else name)
    turn = find_turn(val) if count >= MIN_EPOCHS else None
    window = 1 if turn is None else turn.window
    verdict, fall = _judge(train, val, turn)
    return Overfitting(
        verdict=verdict,
        turning_epoch=turn.position + 1 if turn is not None and verdict in ("overfits", "diverges") else None,
        epochs=count,
        best_epoch=best_epoch,
        monitor=name,
        epochs_after_best=count - best_epoch,
        score_at_best=best,
        score_at_last=last,
        cost_of_last=last - best if lower_is_better(name) else best - last,
        gap_at_best=level_at(val, best_epoch - 1, window) - level_at(train, best_epoch - 1, window),
        gap_at_end=level_at(val, count - 1, window) - level_at(train, count - 1, window),
        rise=math.nan if turn is None else turn.rise,
        rise_in_errors=math.nan if turn is None else turn.rise_in_errors,
        noise=math.nan if turn is None else turn.noise,
        train_fall=fall,
        window=0 if turn is None else window,
        **clean,
    )


def summarize_overfitting(entry: Entry) -> OverfittingSummary:
    """Returns the diagnoses of an entry's runs, read from their folders.

    Raises:
        RunError: the entry has no run folders (another tool's masks), a run is not finished, or has no history.
    """
    if not entry.runs:
        raise RunError(f"the entry {entry.name!r} has no run folders, so no curves: its masks come from elsewhere")
    runs = []
    for folder in entry.runs:
        result, history = folder.read_result(), folder.read_history()
        monitor = result.result.get("monitor", {}).get("name", "loss")
        plain = {**result.result, "scores": result.scores}
        try:
            runs.append(diagnose_overfitting(history, best_epoch=plain["best_epoch"], monitor=monitor, result=plain))
        except ValueError as error:
            raise RunError(f"metrics.csv cannot be diagnosed: {error}", run=folder.path) from error
    turning = tuple(run.turning_epoch for run in runs if run.turning_epoch is not None)
    gaps = [run.clean_gap for run in runs if not math.isnan(run.clean_gap)]
    return OverfittingSummary(
        entry=entry.name,
        seeds=entry.seeds,
        runs=tuple(runs),
        counts={name: sum(run.verdict == name for run in runs) for name in VERDICTS},
        turning_epochs=turning,
        turning_epoch_median=statistics.median(turning) if turning else math.nan,
        cost_of_last_mean=statistics.fmean(run.cost_of_last for run in runs),
        clean_gap_mean=statistics.fmean(gaps) if gaps else math.nan,
    )


def _judge(train: FloatArray, val: FloatArray, turn: Turn | None) -> tuple[Verdict, float]:
    """Returns the verdict, and by how much the training loss fell after the lowest validation loss."""
    if turn is None:
        return "too few epochs", math.nan
    fall = level_at(train, turn.position, turn.window) - level_at(train, len(train) - 1, turn.window)
    levels = [level_at(val, position, turn.window) for position in range(len(val))]
    worth = _WORTH_FRAC * (max(levels) - min(levels))
    if turn.rises and turn.rise >= worth:
        return ("overfits" if fall > 0.0 else "diverges"), fall
    return ("still improving" if turn.still_falls and turn.late_fall >= worth else "not yet"), fall


def _column(history: Sequence[Mapping[str, float]], key: str) -> FloatArray:
    missing = [number for number, row in enumerate(history, start=1) if key not in row]
    if missing:
        raise ValueError(f"expected {key} in every epoch, it is missing in epoch {missing[0]}")
    return np.array([row[key] for row in history], dtype=np.float64)


def _check(train: FloatArray, val: FloatArray, best_epoch: int) -> None:
    if not 1 <= best_epoch <= len(val):
        raise ValueError(f"expected a best epoch of 1 to {len(val)}, got {best_epoch}")
    for name, values in (("train_loss", train), ("val_loss", val)):
        broken = np.flatnonzero(~np.isfinite(values))
        if broken.size:
            raise ValueError(f"expected a finite {name}, got {values[broken[0]]} in epoch {broken[0] + 1}")


def _clean_scores(result: Mapping[str, Any] | None, score: str) -> dict[str, Any]:
    """Returns the scores of the kept weights on all parts; of a part that was not scored, NaN."""
    if result is None:
        return {}
    parts = result["scores"]
    found = {}
    for split in ("train", "val", "test"):
        value = parts.get(split, {}).get(score)
        found[f"{split}_score"] = math.nan if value is None else float(value)
    return {**found, "score": score}
