"""What is told while a training goes wrong, when, and that healthy trainings hear nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.train._runs import StopAt, config_for

import segbench
from segbench.config.length import plan_run
from segbench.config.run import parse_config
from segbench.errors import RunError
from segbench.folders.run import RunFolder
from segbench.locale import Message
from segbench.metrics.counts import Counts
from segbench.train.alerts import Alert, Course, find_alerts, is_collapsed, predicted_classes
from segbench.train.callback import Callback
from segbench.types import ClassMap, Task

BATCHES = 10  # of a pass
BOTH = np.array([[[800, 20], [10, 170]]])
BACKGROUND = np.array([[[820, 0], [180, 0]]])
BINARY = ClassMap(names=("background", "crack"), values=((0,), (255,)), task=Task.BINARY)
FOUR = ClassMap(names=("sky", "road", "car", "pole"), values=((0,), (1,), (2,), (3,)), background=None)


def counts_of(confusion: Any, task: Task = Task.BINARY) -> Counts:
    table = np.asarray(confusion, dtype=np.int64)
    return Counts(ids=("a",), confusion=table, ignored=np.zeros(1, dtype=np.int64), task=task)


def course_of(
    train: Sequence[float],
    val: Sequence[float] | None = None,
    *,
    scores: Sequence[float] | None = None,
    train_scores: Sequence[float] | None = None,
    confusion: Any = BOTH,
    class_map: ClassMap = BINARY,
    predicted: Sequence[float] | None = None,
    planned: int | None = None,
    recomputed: bool = True,
    **keys: Any,
) -> Course:
    """Returns a course with these columns; where none is given, scores follow from the losses."""
    count = len(train)
    planned = planned or count
    length = {} if "steps" in keys else {"epochs": planned}
    config = parse_config({"data": {"path": "x"}, **length, **keys})
    counts = counts_of(confusion, class_map.task)
    val = list(train) if val is None else val
    scores = [max(0.0, 1 - value) for value in val] if scores is None else scores
    train_scores = [max(0.0, 1 - value) for value in train] if train_scores is None else train_scores
    predicted = [float(predicted_classes(counts).sum())] * count if predicted is None else predicted
    rows: list[Mapping[str, float]] = [
        {
            "epoch": float(epoch + 1),
            "train_loss": train[epoch],
            "val_loss": val[epoch],
            "train_iou_per_image": train_scores[epoch],
            "val_iou_per_image": scores[epoch],
            "val_classes_predicted": predicted[epoch],
        }
        for epoch in range(count)
    ]
    return Course(
        config=config,
        plan=plan_run(config, BATCHES),
        class_map=class_map,
        history=rows,
        counts=counts,
        recomputed=recomputed,
        ended=count == planned,
    )


def alerts_of(course: Course) -> list[Alert]:
    """Returns everything that is told in the epochs up to this one, each once, as a run does."""
    told: list[Alert] = []
    for epoch in range(1, course.epoch + 1):
        part = Course(**{**vars(course), "history": course.history[:epoch], "ended": epoch == course.plan.epochs})
        told += find_alerts(part, told)
    return told


def falling(start: float, end: float, epochs: int, seed: int = 0, noise: float = 0.02) -> list[float]:
    """Returns a noisy curve as trainings have it: fast at first, level at the end."""
    shape = np.exp(-6.0 * np.arange(epochs) / epochs)
    values = end + (start - end) * shape + np.random.default_rng(seed).normal(0.0, noise, epochs)
    return [float(value) for value in np.clip(values, 0.005, None)]


class TestHealthy:
    @pytest.mark.parametrize("seed", range(8))
    @pytest.mark.parametrize("epochs", [12, 40, 150])
    def test_a_training_that_levels_off(self, seed: int, epochs: int) -> None:
        course = course_of(falling(0.7, 0.12, epochs, seed), falling(0.72, 0.2, epochs, seed + 100, noise=0.03))
        assert alerts_of(course) == []

    @pytest.mark.parametrize("seed", range(4))
    def test_jumps_of_the_validation_score(self, seed: int) -> None:
        """A few validation images: the score jumps by .06 from epoch to epoch."""
        scores = 1.0 - np.array(falling(0.9, 0.45, 40, seed, noise=0.06))
        course = course_of(falling(0.7, 0.2, 40, seed), falling(0.7, 0.3, 40, seed, noise=0.05), scores=list(scores))
        assert alerts_of(course) == []

    def test_a_rate_that_rises_first_starts_slowly(self) -> None:
        slow = [0.7 - 0.001 * epoch for epoch in range(12)] + falling(0.68, 0.15, 28)
        assert alerts_of(course_of(slow, predicted=[1.0] * 10 + [2.0] * 30)) == []

    def test_a_good_start_that_hardly_gets_better(self) -> None:
        """Fine-tuning of weights that were made for such images, at a small rate."""
        level = falling(0.11, 0.1, 20, noise=0.001)
        assert alerts_of(course_of(level, optimizer={"lr": 1e-5})) == []

    def test_a_validation_loss_that_rises_while_the_score_does_not_fall(self) -> None:
        """Cross entropy grows with confidence; the masks stay as they are."""
        rising = [0.3] * 10 + [0.3 + 0.01 * epoch for epoch in range(30)]
        scores = falling(0.3, 0.8, 40, noise=0.003)
        assert alerts_of(course_of(falling(0.7, 0.05, 40), rising, scores=scores)) == []

    def test_weights_of_losses_that_move(self) -> None:
        loss = {"dice": 1, "boundary": {"weight": {"start": 0, "end": 1, "epochs": 20}}}
        rising = [0.5 + 0.05 * epoch for epoch in range(20)]
        scores = [1.0 - value for value in falling(0.7, 0.2, 20)]
        assert alerts_of(course_of(rising, scores=scores, train_scores=scores, loss=loss)) == []

    def test_a_mask_of_one_class_cannot_be_found_wanting(self) -> None:
        empty = np.array([[[1000, 0], [0, 0]]])
        course = course_of(falling(0.7, 0.1, 20), confusion=empty, scores=[0.9] * 20, train_scores=[0.9] * 20)
        assert alerts_of(course) == []

    def test_a_rare_class_that_comes_late(self) -> None:
        late = np.diag([500, 300, 100, 4])[None]
        numbers = [2.0] * 10 + [3.0] * 15 + [4.0] * 15
        course = course_of(falling(1.2, 0.3, 40), confusion=late, class_map=FOUR, predicted=numbers)
        assert alerts_of(course) == []


class TestOneClass:
    def test_statistics_that_lag_are_told_early(self) -> None:
        course = course_of(
            [0.65, 0.5, 0.4, 0.35],
            [0.7, 0.8, 0.9, 0.9],
            scores=[0.3, 0.0, 0.0, 0.0],
            confusion=BACKGROUND,
            predicted=[2.0, 1.0, 1.0, 1.0],
            planned=40,
            recomputed=False,
        )
        (alert,) = alerts_of(course)
        assert (alert.code, alert.epoch) == ("one_class", 3)
        assert alert.sentence == (
            "the network predicts background only on every validation image, though it does well on the training images"
        )
        assert alert.advice.startswith("set norm_statistics to recomputed")

    def test_a_collapse_is_told_once_the_rate_has_been_at_its_highest(self) -> None:
        course = course_of([0.6] * 40, scores=[0.0] * 40, train_scores=[0.0] * 40, confusion=BACKGROUND)
        (alert,) = alerts_of(course)
        assert (alert.code, alert.epoch) == ("one_class", 16)
        assert "optimizer.lr to 0.0001" in alert.advice

    def test_rare_pixels_need_a_loss_of_overlap(self) -> None:
        course = course_of([0.02] * 40, scores=[0.0] * 40, confusion=BACKGROUND, train_scores=[0.0] * 40, loss="bce")
        (alert,) = alerts_of(course)
        assert "set loss to {dice: 0.5, bce: 0.5}" in alert.advice
        parse_config({"data": "x", "loss": {"dice": 0.5, "bce": 0.5}})

    def test_a_multilabel_network_that_finds_nothing(self) -> None:
        nothing = [[[[900, 0], [100, 0]], [[800, 0], [200, 0]]]]
        classes = ClassMap(names=("red", "green"), values=((1,), (1,)), task=Task.MULTILABEL, background=None)
        course = course_of([0.5] * 20, scores=[0.0] * 20, confusion=nothing, class_map=classes)
        assert [alert.code for alert in alerts_of(course)] == ["one_class"]
        assert "predicts nothing at all" in alerts_of(course)[0].sentence


class TestRate:
    def test_a_loss_that_rises_and_stays_up(self) -> None:
        course = course_of([0.68, 0.5, 1.0, 1.0, 1.0], scores=[0.2, 0.3, 0.1, 0.1, 0.1], planned=20)
        (alert,) = alerts_of(course)
        assert (alert.code, alert.epoch) == ("learning_rate", 4)
        assert alert.advice == "set optimizer.lr to 0.0001 and grad_clip to 1, and begin again with --restart"

    def test_a_peak_that_passes_is_not_told(self) -> None:
        course = course_of([0.68, 0.5, 1.0, 0.45, 0.4, 0.35], planned=20)
        assert alerts_of(course) == []

    def test_a_tiny_rate(self) -> None:
        slow = [0.7 - 0.001 * epoch for epoch in range(20)]
        (alert,) = alerts_of(course_of(slow, optimizer={"lr": 1e-6}))
        assert alert.code == "learning_rate"
        assert "set optimizer.lr to 0.001" in alert.advice

    def test_a_flat_loss_at_a_usual_rate(self) -> None:
        flat = [0.53, 0.514, 0.5131, 0.5128, 0.513, 0.5129, 0.5131, 0.513, 0.5129, 0.513]
        (alert,) = alerts_of(course_of(flat, scores=[0.32] * 10, train_scores=[0.33] * 10))
        assert alert.code == "loss_flat"
        assert "optimizer.lr" in alert.advice


class TestOverfitting:
    def test_the_losses_part_and_the_score_falls(self) -> None:
        val = falling(0.7, 0.4, 15) + [0.42 + 0.015 * epoch for epoch in range(25)]
        scores = [0.6] * 15 + [0.6 - 0.004 * epoch for epoch in range(25)]
        course = course_of(falling(0.7, 0.02, 40), val, scores=scores, train_scores=[0.9] * 40)
        (alert,) = alerts_of(course)
        assert alert.code == "overfits"
        assert 16 <= alert.epoch <= 30
        assert alert.advice.startswith("set data.augment to strong")


class TestTheEnd:
    def test_still_rising(self) -> None:
        rising = [1.0 - 0.02 * epoch for epoch in range(20)]
        (alert,) = alerts_of(course_of(rising))
        assert (alert.code, alert.epoch) == ("still_improving", 20)
        assert "set epochs to 40" in alert.advice
        steps = course_of(rising, steps=200)
        assert "set steps to 400" in alerts_of(steps)[0].advice

    def test_a_class_that_is_nowhere(self) -> None:
        missing = np.array([[[500, 0, 0, 0], [0, 300, 0, 0], [0, 0, 100, 0], [2, 2, 0, 0]]])
        course = course_of(falling(1.2, 0.3, 40), confusion=missing, class_map=FOUR, loss={"cross_entropy": 1})
        (alert,) = alerts_of(course)
        assert (alert.code, alert.epoch) == ("class_never_predicted", 27)
        assert alert.sentence == "no validation image gets the class pole, though their masks show it"
        assert "class_weights: inverse_frequency" in alert.advice


@pytest.mark.parametrize(
    ("confusion", "score", "expected"),
    [(BOTH, 0.8, False), (BOTH, 0.0, True), (BACKGROUND, 0.3, True), ([[[1000, 0], [0, 0]]], float("nan"), False)],
)
def test_collapsed(confusion: Any, score: float, expected: bool) -> None:
    assert is_collapsed(counts_of(confusion), score) == expected


class Heard(Callback):
    """Remembers what was told."""

    def __init__(self) -> None:
        self.alerts: list[Alert] = []

    def alert(self, alert: Alert) -> None:
        self.alerts.append(alert)


# No normalisation, and a rate that no network takes: every unit is dead after the first epoch.
COLLAPSING: dict[str, Any] = {
    "network": {"name": "unet", "widths": [4, 8], "norm": "none"},
    "optimizer": {"lr": 3.0},
    "schedule": "constant",
    "epochs": 8,
}


@pytest.mark.slow
def test_a_collapsed_run_says_so_and_its_advice_helps(binary_pairs: Path, tmp_path: Path) -> None:
    watch = Heard()
    config = config_for(binary_pairs, tmp_path / "run", **COLLAPSING)
    result = segbench.fit(config, watch=watch).result
    (alert,) = watch.alerts
    assert alert.code == "one_class"
    assert result["collapsed"] is True
    assert result["alerts"] == [alert.to_dict()]
    (read,) = RunFolder(tmp_path / "run").read_alerts()
    assert (read["code"], read["sentence"], read["advice"]) == (alert.code, alert.sentence, alert.advice)
    assert "set optimizer.lr to 0.01 and grad_clip to 1" in alert.advice
    better = {**COLLAPSING, "optimizer": {"lr": 0.01}, "grad_clip": 1, "schedule": "one_cycle", "epochs": 40}
    followed = segbench.fit(config_for(binary_pairs, tmp_path / "better", **better), watch=Callback()).result
    assert followed["collapsed"] is False
    assert {alert["code"] for alert in followed["alerts"]} <= {"still_improving"}
    assert followed["scores"]["test"]["iou_per_image"] > 0.3


@pytest.mark.slow
def test_nothing_is_told_twice_when_a_run_goes_on(binary_pairs: Path, tmp_path: Path) -> None:
    config = config_for(binary_pairs, tmp_path / "run", **{**COLLAPSING, "epochs": 6})

    class Stop(Heard):
        def epoch(self, row: Mapping[str, float], is_best: bool) -> None:
            if row["epoch"] == 5:
                raise KeyboardInterrupt

    first, second = Stop(), Heard()
    with pytest.raises(KeyboardInterrupt):
        segbench.fit(config, watch=first)
    there = json.loads((tmp_path / "run" / "alerts.json").read_text())
    segbench.fit(config, watch=second)
    codes = [alert.code for alert in (*first.alerts, *second.alerts)]
    assert len(set(codes)) == len(codes)
    assert RunFolder(tmp_path / "run").read_alerts()[: len(there)] == there


@pytest.mark.slow
def test_a_loss_that_is_not_finite_leaves_a_word(binary_pairs: Path, tmp_path: Path) -> None:
    watch = Heard()
    config = config_for(binary_pairs, tmp_path / "run", optimizer={"name": "sgd", "lr": 100.0}, loss="bce", epochs=9)
    config = config.model_copy(update={"network": config.network.model_copy(update={"options": {"norm": "none"}})})
    config = config.model_copy(update={"network": config.network.model_copy(update={"name": "unet"})})
    with pytest.raises(RunError, match="the loss became"):
        segbench.fit(config, watch=watch)
    (alert,) = (alert for alert in watch.alerts if alert.code == "not_finite")
    assert alert.sentence.startswith("the loss became")
    assert alert.advice == "set optimizer.lr to 0.5 and grad_clip to 1, and begin again with --restart"
    assert alert.sentence in [read["sentence"] for read in RunFolder(tmp_path / "run").read_alerts()]


@pytest.mark.slow
def test_a_stopped_run_has_a_file_of_alerts(binary_pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        segbench.fit(config_for(binary_pairs, tmp_path / "run"), watch=StopAt(1, 1))
    assert RunFolder(tmp_path / "run").read_alerts() == []
    (tmp_path / "run" / "alerts.json").write_text("[{]")
    with pytest.raises(RunError, match=r"alerts\.json cannot be read"):
        RunFolder(tmp_path / "run").read_alerts()


def test_what_is_told_can_be_told_in_another_language_from_the_file(tmp_path: Path) -> None:
    (alert,) = find_alerts(course_of([1.0] * 30, predicted=[1.0] * 30, confusion=BACKGROUND), ())
    folder = RunFolder(tmp_path)
    folder.write_alerts([alert.to_dict()])
    (read,) = folder.read_alerts()
    assert (read["sentence"], read["advice"]) == (alert.sentence, alert.advice)
    assert isinstance(read["sentence"], Message)
    assert read["sentence"].values == {"name": "background"}
    assert Alert.from_dict(json.loads(json.dumps(alert.to_dict()))) == alert
