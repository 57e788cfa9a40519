"""Overfitting: a clear turn is found within a few epochs, noise is not called one."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.compare._evidence import write_run

from segbench.compare.evidence import Entry
from segbench.errors import RunError
from segbench.explain.overfitting import MIN_EPOCHS, VERDICTS, Overfitting, diagnose_overfitting, summarize_overfitting
from segbench.statistics.turning import find_turn, level_at, smooth, window_of

Rows = list[dict[str, float]]


def rows_of(train: np.ndarray, val: np.ndarray) -> Rows:
    """Returns a history whose score is 1 - validation loss."""
    return [
        {"epoch": number, "train_loss": float(a), "val_loss": float(b), "val_iou_per_image": 1.0 - float(b)}
        for number, (a, b) in enumerate(zip(train, val, strict=True), start=1)
    ]


def diagnose(train: np.ndarray, val: np.ndarray) -> Overfitting:
    return diagnose_overfitting(rows_of(train, val), best_epoch=int(val.argmin()) + 1, monitor="val_iou_per_image")


def falling(count: int) -> np.ndarray:
    return 0.1 + 0.5 * np.exp(-np.arange(count) / (count / 3))


def noise(count: int, seed: int, correlation: float = 0.0) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=count)
    for position in range(1, count):
        values[position] = correlation * values[position - 1] + math.sqrt(1 - correlation**2) * values[position]
    return 0.02 * values


def u_shape(count: int, turn: int, rise: float) -> np.ndarray:
    """Returns a loss that falls to 0.3, and from `turn` (from 1) on rises by `rise` until the end."""
    epoch = np.arange(1, count + 1)
    fall = 0.3 + 0.5 * np.exp(-epoch / (turn / 5))
    return fall + rise * np.maximum(0, epoch - turn) / (count - turn)


@pytest.mark.parametrize("count", [10, 20, 50, 100, 200])
@pytest.mark.parametrize("base", ["plateau", "fall then plateau"])
def test_noise_about_a_plateau_is_not_overfitting(count: int, base: str) -> None:
    start = 0.3 + (0.5 * np.exp(-np.arange(count) / (count / 8)) if base == "fall then plateau" else 0.0)
    verdicts = [diagnose(falling(count), start + noise(count, seed)).verdict for seed in range(200)]
    wrong = sum(verdict in ("overfits", "diverges") for verdict in verdicts)
    assert wrong <= 10  # 5 % of 200


@pytest.mark.parametrize("count", [20, 50, 100])
def test_slow_noise_is_rarely_overfitting(count: int) -> None:
    verdicts = [diagnose(falling(count), 0.3 + noise(count, seed, 0.5)).verdict for seed in range(200)]
    assert sum(verdict in ("overfits", "diverges") for verdict in verdicts) <= 14  # 7 %: it looks like a turn


@pytest.mark.slow
def test_the_rates_that_the_documentation_states() -> None:
    def rate(count: int, base: np.ndarray, correlation: float = 0.0) -> float:
        return float(np.mean([find_turn(base + noise(count, seed, correlation)).rises for seed in range(1000)]))

    counts = (10, 20, 50, 100, 200)
    level = {rho: max(rate(count, np.full(count, 0.3), rho) for count in counts) for rho in (0.0, 0.5, 0.8)}
    assert level[0.0] <= 0.03
    assert level[0.5] == pytest.approx(0.06, abs=0.015)
    assert level[0.8] == pytest.approx(0.11, abs=0.015)
    for count, found in ((10, 0.15), (20, 0.77), (50, 0.99)):
        epoch = np.arange(count)
        base = 0.3 + 0.5 * np.exp(-epoch / (count / 12)) + 0.15 * np.maximum(0, (epoch - 0.35 * count) / count)
        assert rate(count, base) == pytest.approx(found, abs=0.02)


@pytest.mark.parametrize(("count", "turn"), [(40, 14), (100, 35), (200, 60)])
def test_a_clear_turn_is_found_within_a_few_epochs(count: int, turn: int) -> None:
    found = [diagnose(falling(count), u_shape(count, turn, 0.3) + noise(count, seed)) for seed in range(100)]
    assert all(diagnosis.verdict == "overfits" for diagnosis in found)
    turns = np.array([diagnosis.turning_epoch for diagnosis in found], dtype=float)
    assert np.quantile(np.abs(turns - turn), 0.9) <= 0.08 * count
    assert abs(float(np.median(turns)) - turn) <= 0.04 * count


@settings(max_examples=40, deadline=None)
@given(
    scale=st.floats(1e-3, 1e3),
    offset=st.floats(-10.0, 10.0),
    seed=st.integers(0, 1000),
    count=st.integers(MIN_EPOCHS, 60),
)
def test_the_verdict_depends_on_neither_scale_nor_offset(scale: float, offset: float, seed: int, count: int) -> None:
    train, val = falling(count), u_shape(count, max(3, count // 3), 0.1) + noise(count, seed)
    first, second = diagnose(train, val), diagnose(train * scale + offset, val * scale + offset)
    assert (first.verdict, first.turning_epoch) == (second.verdict, second.turning_epoch)
    assert first.rise_in_errors == pytest.approx(second.rise_in_errors, rel=1e-4)


def test_a_curve_without_noise() -> None:
    u = diagnose(falling(40), u_shape(40, 15, 0.2))
    assert u.verdict == "overfits"
    assert u.turning_epoch is not None
    assert abs(u.turning_epoch - 15) <= 2
    assert diagnose(falling(40), np.full(40, 0.3)).verdict == "not yet"
    assert diagnose(falling(40), 1.0 - 0.01 * np.arange(40)).verdict == "still improving"


def test_a_rise_that_falls_again_is_no_overfitting() -> None:
    val = np.concatenate([np.linspace(0.8, 0.3, 40), np.linspace(0.3, 0.5, 20), np.linspace(0.5, 0.29, 40)])
    assert diagnose(falling(100), val + noise(100, 0)).verdict in ("not yet", "still improving")


def test_a_training_loss_that_rises_too_is_no_overfitting() -> None:
    diagnosis = diagnose(np.linspace(0.3, 0.9, 60), u_shape(60, 20, 0.5))
    assert diagnosis.verdict == "diverges"


def test_few_epochs_are_too_few() -> None:
    diagnosis = diagnose(falling(9), u_shape(9, 3, 0.5))
    assert diagnosis.verdict == "too few epochs"
    assert diagnosis.turning_epoch is None
    assert math.isnan(diagnosis.rise)
    assert (diagnosis.epochs, MIN_EPOCHS) == (9, 10)


def test_the_numbers_by_hand() -> None:
    val = np.array([0.9, 0.7, 0.5, 0.3, 0.3, 0.3, 0.3, 0.3, 0.5, 0.6, 0.7, 0.8])
    train = np.linspace(1.2, 0.1, 12)
    history = rows_of(train, val)
    result = {
        "scores": {
            "train": {"iou_per_image": 0.95},
            "val": {"iou_per_image": 0.8},
            "test": {"iou_per_image": 0.7},
        }
    }
    diagnosis = diagnose_overfitting(history, best_epoch=4, monitor="iou_per_image", result=result)
    assert diagnosis.window == 5
    assert diagnosis.epochs_after_best == 8
    assert diagnosis.score_at_best == pytest.approx(0.7)
    assert diagnosis.score_at_last == pytest.approx(0.2)
    assert diagnosis.cost_of_last == pytest.approx(0.5)
    assert diagnosis.gap_at_best == pytest.approx(0.3 - train[3])
    assert diagnosis.gap_at_end == pytest.approx(0.6 - train[9])
    assert diagnosis.rise == pytest.approx(0.3)
    assert diagnosis.clean_gap == pytest.approx(0.15)
    assert (diagnosis.train_score, diagnosis.val_score, diagnosis.test_score) == (0.95, 0.8, 0.7)
    assert diagnosis.score == "iou_per_image"


def test_a_monitored_loss_is_better_when_lower() -> None:
    diagnosis = diagnose_overfitting(rows_of(falling(12), u_shape(12, 4, 0.4)), best_epoch=4, monitor="loss")
    assert diagnosis.cost_of_last > 0.2
    assert diagnosis.score_at_last > diagnosis.score_at_best


@pytest.mark.parametrize(
    ("change", "best_epoch", "message"),
    [
        ({}, 13, "expected a best epoch of 1 to 12, got 13"),
        ({}, 0, "expected a best epoch of 1 to 12, got 0"),
        ({"val_loss": math.nan}, 3, "expected a finite val_loss, got nan in epoch 5"),
        ({"train_loss": math.inf}, 3, "expected a finite train_loss, got inf in epoch 5"),
    ],
)
def test_broken_histories_are_refused(change: dict[str, float], best_epoch: int, message: str) -> None:
    history = rows_of(falling(12), falling(12))
    history[4] |= change
    with pytest.raises(ValueError, match=message):
        diagnose_overfitting(history, best_epoch=best_epoch, monitor="iou_per_image")


def test_a_missing_column_is_named() -> None:
    history = rows_of(falling(12), falling(12))
    with pytest.raises(ValueError, match="expected val_dice_per_image in every epoch, it is missing in epoch 1"):
        diagnose_overfitting(history, best_epoch=1, monitor="dice_per_image")


def test_smoothing_by_hand() -> None:
    assert [window_of(count) for count in (10, 50, 59, 70, 100, 200)] == [5, 5, 5, 7, 11, 21]
    assert smooth(np.array([1.0, 9.0, 2.0, 3.0]), 3).tolist() == [2.0, 3.0]
    values = np.arange(10.0)
    assert [level_at(values, position, 5) for position in (0, 4, 9)] == [2.0, 4.0, 7.0]


def test_the_noise_is_measured() -> None:
    for correlation in (0.0, 0.5):
        turns = [find_turn(0.3 + noise(200, seed, correlation)) for seed in range(50)]
        assert float(np.mean([turn.noise for turn in turns])) == pytest.approx(0.02, rel=0.1)


class TestSummary:
    def entry(self, folder: Path) -> Entry:
        parts = {part: {"iou_per_image": value} for part, value in (("train", 0.9), ("val", 0.8), ("test", 0.75))}
        turning = rows_of(falling(40), u_shape(40, 15, 0.3))
        level = rows_of(falling(40), u_shape(40, 15, 0.0))
        runs = tuple(
            write_run(folder / str(seed), history, best_epoch=15, scores=parts)
            for seed, history in enumerate((turning, level))
        )
        return Entry(name="unet", factors={}, runs=runs, seeds=(0, 1), values=np.zeros((2, 5)))

    def test_seeds_are_counted(self, tmp_path: Path) -> None:
        summary = summarize_overfitting(self.entry(tmp_path))
        assert [run.verdict for run in summary.runs] == ["overfits", "not yet"]
        assert summary.counts == {**dict.fromkeys(VERDICTS, 0), "overfits": 1, "not yet": 1}
        assert len(summary.turning_epochs) == 1
        assert summary.turning_epoch_median == summary.turning_epochs[0]
        assert summary.clean_gap_mean == pytest.approx(0.1)
        assert summary.cost_of_last_mean == pytest.approx(np.mean([run.cost_of_last for run in summary.runs]))
        assert (summary.entry, len(summary.seeds)) == ("unet", 2)

    def test_masks_of_another_tool_have_no_curves(self) -> None:
        entry = Entry(name="theirs", factors={}, runs=(), seeds=(), values=np.zeros((1, 5)))
        with pytest.raises(RunError, match="the entry 'theirs' has no run folders, so no curves"):
            summarize_overfitting(entry)

    def test_a_run_without_curves_is_named(self, tmp_path: Path) -> None:
        entry = self.entry(tmp_path)
        entry.runs[1].metrics_file.unlink()
        with pytest.raises(RunError, match=r"metrics.csv cannot be diagnosed: expected a best epoch of 1 to 0, got 15"):
            summarize_overfitting(entry)
