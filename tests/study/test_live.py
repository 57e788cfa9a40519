"""What a person sees of a study: a table, a line, and nothing twice."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from segbench.config.study import StudyConfig, expand
from segbench.folders.study import Failure, RunStatus
from segbench.study.live import (
    ConsoleStudyCallback,
    alert_lines,
    damage_lines,
    failure_lines,
    seconds_left,
    status_table,
    summary_line,
)
from segbench.terminal import format_seconds

MakeStatuses = Callable[..., list[RunStatus]]


@pytest.fixture
def make_statuses(make_study: Callable[..., StudyConfig], tmp_path: Path) -> MakeStatuses:
    """Returns a function: number of seeds -> statuses of twice as many runs that wait."""

    def make(seeds: int) -> list[RunStatus]:
        study = make_study(tmp_path, {"epochs": 10}, vary={"loss": ["dice", "bce"], "seed": list(range(seeds))})
        unknown: dict[str, Any] = {"best": math.nan, "seconds": 0.0, "seconds_left": math.nan}
        return [RunStatus(run=run, state="waiting", epoch=0, epochs=10, **unknown) for run in expand(study).runs]

    return make


def running(status: RunStatus, epoch: int, each: float) -> RunStatus:
    left = (status.epochs - epoch) * each
    return replace(status, state="running", epoch=epoch, best=0.5, seconds=epoch * each, seconds_left=left)


def finished(status: RunStatus, each: float) -> RunStatus:
    return replace(running(status, status.epochs, each), state="finished")


def failed(status: RunStatus, attempts: int = 1) -> RunStatus:
    return replace(
        status, state="failed", failure=Failure(error="the loss is [nan]", kind="refused", attempts=attempts)
    )


def text_of(table: object) -> str:
    stream = io.StringIO()
    Console(file=stream, width=120).print(table)
    return stream.getvalue()


def test_the_table_says_all_of_every_run(make_statuses: MakeStatuses) -> None:
    first, second, third, fourth = make_statuses(2)
    text = text_of(status_table([finished(first, 6.0), running(second, 4, 30.0), failed(third), fourth]))
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if line.startswith("│")]
    assert rows == [
        ["dice", "0", "finished", "10/10", "0.5000", "1:00 min", "–"],
        ["dice", "1", "running", "4/10", "0.5000", "2:00 min", "3:00 min"],
        ["bce", "0", "failed", "0/10", "–", "–", "–"],
        ["bce", "1", "waiting", "0/10", "–", "–", "–"],
    ]


def test_of_many_runs_only_those_that_move_or_broke_are_shown(make_statuses: MakeStatuses) -> None:
    statuses = make_statuses(20)
    statuses[0], statuses[7], statuses[9] = (
        finished(statuses[0], 1.0),
        running(statuses[7], 1, 1.0),
        failed(statuses[9]),
    )
    text = text_of(status_table(statuses))
    assert text.splitlines()[0].strip() == "2 of 40 runs: those that run, failed or stopped"
    assert text.count("dice") == 2


def test_the_line_counts_states_and_time(make_statuses: MakeStatuses) -> None:
    first, second, third, fourth = make_statuses(2)
    assert summary_line([first, second]) == "2 runs: 2 waiting"
    line = summary_line([finished(first, 6.0), running(second, 4, 30.0), failed(third), fourth])
    assert line == "4 runs: 1 finished, 1 running, 1 failed, 1 waiting; about 6:00 min left"


def test_time_left_is_what_known_runs_of_the_entry_take_divided_by_those_that_train(
    make_statuses: MakeStatuses,
) -> None:
    dice, dice_later, bce, bce_later = make_statuses(2)
    assert math.isnan(seconds_left([dice, dice_later, bce, bce_later]))
    statuses = [running(dice, 5, 2.0), dice_later, running(bce, 5, 10.0), bce_later]
    assert seconds_left(statuses) == 100.0, "bce_later alone takes so long"
    assert seconds_left([*statuses, dice_later, dice_later]) == (10.0 + 20.0 + 50.0 + 100.0 + 20.0 + 20.0) / 2
    assert seconds_left([finished(dice, 2.0), dice_later]) == 20.0
    assert seconds_left([finished(dice, 2.0), bce]) == 20.0, "nothing is known of bce, so it is taken for the same"
    assert seconds_left([running(dice, 9, 1.0), running(dice_later, 9, 1.0), running(bce, 1, 10.0)]) == 90.0
    assert seconds_left([finished(dice, 2.0)]) == 0.0


def test_off_a_terminal_every_change_is_a_line(make_statuses: MakeStatuses) -> None:
    stream = io.StringIO()
    watch = ConsoleStudyCallback(Console(file=stream, width=40))
    first, second = make_statuses(1)
    states: Sequence[Sequence[RunStatus]] = [
        [finished(first, 1.0), second],
        [finished(first, 1.0), running(second, 3, 1.0)],
        [finished(first, 1.0), running(second, 4, 1.0)],
        [finished(first, 1.0), running(second, 10, 1.0)],
        [finished(first, 1.0), failed(second)],
    ]
    for statuses in states:
        watch.update(statuses)
    watch.close()
    assert stream.getvalue().splitlines() == [
        "running: bce__seed0, epoch 4 of 10",
        "failed: bce__seed0: the loss is [nan]",
    ]


def test_off_a_terminal_a_summary_comes_now_and_then(
    make_statuses: MakeStatuses, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    clock = [100.0]
    monkeypatch.setattr("segbench.study.live.time.monotonic", lambda: clock[0])
    watch = ConsoleStudyCallback(Console(file=stream))
    for clock[0] in (110.0, 131.0, 140.0, 161.5):
        watch.update(make_statuses(1))
    assert stream.getvalue().splitlines() == ["2 runs: 2 waiting"] * 2


def test_quiet_says_messages_only(make_statuses: MakeStatuses) -> None:
    stream = io.StringIO()
    watch = ConsoleStudyCallback(Console(file=stream), quiet=True)
    first, second = make_statuses(1)
    watch.update([first, second])
    watch.update([running(first, 1, 1.0), failed(second)])
    watch.message("note: [one]")
    assert stream.getvalue() == "note: [one]\n"


def test_a_terminal_gets_a_table_that_is_taken_away(make_statuses: MakeStatuses) -> None:
    stream = io.StringIO()
    watch = ConsoleStudyCallback(Console(file=stream, force_terminal=True, width=100))
    first, second = make_statuses(1)
    watch.update([running(first, 1, 1.0), second])
    assert "1/10" in stream.getvalue()
    assert "2 runs: 1 running, 1 waiting; about 19 s left" in stream.getvalue()
    watch.close()
    watch.close()
    assert stream.getvalue().endswith("\x1b[2K"), "the last thing written erases the table"


def test_failures_with_one_reason_are_one_line(make_statuses: MakeStatuses) -> None:
    first, second, third, fourth = make_statuses(2)
    assert failure_lines([failed(first), failed(second), failed(third, attempts=3), fourth]) == [
        "failed: dice__seed0, dice__seed1: the loss is [nan]",
        "failed: bce__seed0: the loss is [nan] (tried 3 times)",
    ]


def test_damage_is_told_whatever_the_state(make_statuses: MakeStatuses) -> None:
    first, second = make_statuses(1)
    broken = replace(finished(first, 1.0), epoch=0, damage="metrics.csv is damaged in line 3")
    assert damage_lines([broken, second]) == ["damaged: dice__seed0: metrics.csv is damaged in line 3"]
    assert failure_lines([broken, second]) == []
    assert "?/10" in text_of(status_table([broken, second]))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.42, "0.4 s"),
        (9.94, "9.9 s"),
        (59.4, "59 s"),
        (59.6, "1:00 min"),
        (185, "3:05 min"),
        (3599.7, "1:00 h"),
        (7800, "2:10 h"),
        (48 * 3600, "2.0 d"),
        (math.nan, "–"),
    ],
)
def test_lengths_of_time(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


def alert(epoch: int = 3, code: str = "overfits") -> dict[str, Any]:
    return {"code": code, "epoch": epoch, "sentence": f"what {code} is", "advice": "do this"}


def test_runs_that_went_wrong_are_marked_in_the_table(make_statuses: MakeStatuses) -> None:
    first, second, third, _ = make_statuses(2)
    collapsed = replace(finished(first, 1.0), collapsed=True, alerts=(alert(),))
    told = replace(running(second, 4, 1.0), alerts=(alert(), alert(code="loss_flat")))
    text = text_of(status_table([collapsed, told, running(third, 2, 1.0)]))
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if line.startswith("│")]
    assert [(row[2], row[-1]) for row in rows] == [("collapsed", "1"), ("running", "2"), ("running", "–")]
    first_line, *rest = alert_lines([collapsed, told])
    assert first_line.endswith("predicts one class only, so its score says nothing about the network: dice__seed0")
    assert rest == [
        "warning: dice__seed0, epoch 3: what overfits is. To do: do this",
        "warning: dice__seed1, epoch 3: what overfits is. To do: do this",
        "warning: dice__seed1, epoch 3: what loss_flat is. To do: do this",
    ]
    many = [replace(told, alerts=tuple(alert(epoch) for epoch in range(10)))]
    assert alert_lines(many)[-1] == "and 2 more: alerts.json in the runs' folders"


def test_an_alert_is_said_once_and_not_again_when_a_study_goes_on(make_statuses: MakeStatuses) -> None:
    stream = io.StringIO()
    watch = ConsoleStudyCallback(Console(file=stream))
    first, second = (replace(running(status, 1, 1.0), alerts=(alert(),)) for status in make_statuses(1))
    watch.update([first])
    watch.update([first, second])
    watch.update([first, replace(second, epoch=4)])
    assert stream.getvalue().count("what overfits is") == 1
    assert f"warning: {second.run.id}, epoch 3: what overfits is. To do: do this\n" in stream.getvalue()


def test_the_table_fits_eighty_columns(make_statuses: MakeStatuses) -> None:
    stream = io.StringIO()
    statuses = [replace(running(status, 5, 800.0), collapsed=True) for status in make_statuses(2)]
    long = replace(
        statuses[0], run=replace(statuses[0].run, entry="a_network_with_a_long_name__loss_and_more__weights")
    )
    Console(file=stream, width=80).print(status_table([long, *statuses]))
    assert max(map(len, stream.getvalue().splitlines())) <= 80
