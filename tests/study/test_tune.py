"""A search trains real networks on the validation part alone, gives up, records failures, and survives being killed."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from tests._processes import run_function, start_segbench

from segbench.config.run import load_config
from segbench.config.study import expand, parse_study
from segbench.config.text import write_yaml
from segbench.config.tune import TuneConfig, parse_tune
from segbench.errors import ConfigError, DatasetError, RunError
from segbench.train.callback import Callback
from segbench.tune.run import SearchFolder, SearchResult, run_search
from segbench.types import SPLITS

MakeSearch = Callable[..., TuneConfig]

SPACE = {
    "optimizer.lr": {"low": 1e-4, "high": 3e-2, "log": True},
    "batch_size": {"low": 2, "high": 8, "step": 2},
    "loss": {"bce": {"bce": 1}, "soft dice": {"dice": 1}},
}


@pytest.fixture(scope="module")
def make_search(binary_pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> MakeSearch:
    """Returns a function: folder, keys of the base, other keys of the search -> a search of seconds."""
    cache = tmp_path_factory.mktemp("tune-cache")

    def make(output: Path, base: Mapping[str, Any] | None = None, **changes: Any) -> TuneConfig:
        shared = {
            "data": {"path": str(binary_pairs), "size": 32, "cache_dir": str(cache)},
            "network": {"name": "unet_nearest", "widths": [8, 16]},
            "schedule": "constant",
            "epochs": 2,
            "batch_size": 4,
            "device": "cpu",
            "threads": 1,
            "scores": {"surface": False},
            **(base or {}),
        }
        plain = {"tune": "small", "output": str(output), "base": shared, "search": SPACE, "trials": 4}
        return parse_tune({**plain, "random_trials": 2, "pruning": "none", **changes})

    return make


class Lines(Callback):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def message(self, text: str) -> None:
        self.said.append(text)


class Stopped(BaseException):
    """What a person who presses Ctrl-C raises."""


class StopAfter(Callback):
    """Stops the search as soon as so many epochs of one trial are through."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def epoch(self, row: Mapping[str, float], is_best: bool) -> None:
        if row["epoch"] == self.epochs:
            raise Stopped


def what_was_found(result: SearchResult) -> list[tuple[Any, ...]]:
    """Returns everything about the trials but their seconds."""
    return [(t.number, t.state, t.value, t.best_epoch, t.epochs, dict(t.params), t.reason) for t in result.trials]


@pytest.fixture(scope="module")
def whole(make_search: MakeSearch, tmp_path_factory: pytest.TempPathFactory) -> tuple[TuneConfig, SearchResult, Lines]:
    """Returns a search of four trials that nobody disturbed."""
    config = make_search(tmp_path_factory.mktemp("search") / "whole")
    watch = Lines()
    return config, run_search(config, watch=watch), watch


@pytest.mark.slow
def test_trials_lie_in_the_space_and_the_best_one_is_written(whole: tuple[TuneConfig, SearchResult, Lines]) -> None:
    _, result, watch = whole
    assert [trial.state for trial in result.trials] == ["finished"] * 4
    for trial in result.trials:
        assert 1e-4 <= float(trial.params["optimizer.lr"]) <= 3e-2
        assert trial.params["batch_size"] in (2, 4, 6, 8)
        assert trial.params["loss"] in ("bce", "soft dice")
        monitor = result.folder.run("small", trial.number).read_result().result["monitor"]
        assert monitor == {"name": "val_iou_per_image", "value": trial.value}
    assert len({trial.params["optimizer.lr"] for trial in result.trials}) == 4
    best = result.best
    assert best is not None
    assert best.value == max(trial.value for trial in result.trials)
    said = [line for line in watch.said if "fewer than 10 images" not in line]  # said before training
    assert [line.partition(":")[0] for line in said] == [f"trial {n} ({n + 1} of 4)" for n in range(4)]
    assert result.folder.figure_file.stat().st_size > 10_000
    with result.folder.trials_file.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == [
        *("number", "state", "val_iou_per_image", "best_epoch", "epochs", "seconds"),
        *("optimizer.lr", "batch_size", "loss", "reason"),
    ]
    assert [float(row["val_iou_per_image"]) for row in rows] == [trial.value for trial in result.trials]
    assert [float(row["optimizer.lr"]) for row in rows] == [trial.params["optimizer.lr"] for trial in result.trials]


@pytest.mark.slow
def test_the_test_part_is_never_touched(whole: tuple[TuneConfig, SearchResult, Lines]) -> None:
    _, result, _ = whole
    for trial in result.trials:
        run = result.folder.run("small", trial.number)
        assert set(run.read_result().scores) == {"train", "val"}
        assert run.read_result().result["test_scored"] == 0
        assert not (run.path / "test_log.csv").exists()
        assert not [path.name for path in run.path.rglob("*test*")]
        test_ids = {sample["id"] for sample in _samples(result.folder) if sample["split"] == "test"}
        assert len(test_ids) >= 3
        scored = "".join(
            run.table_file(kind, split).read_text() for kind in ("counts", "scores") for split in SPLITS[:2]
        )
        assert not [name for name in test_ids if name in scored]


def _samples(folder: SearchFolder) -> list[dict[str, Any]]:
    import json

    samples: list[dict[str, Any]] = json.loads(folder.manifest_file.read_text())["samples"]
    return samples


@pytest.mark.slow
def test_the_winner_trains_as_a_run_and_enters_a_study(
    whole: tuple[TuneConfig, SearchResult, Lines], tmp_path: Path
) -> None:
    config, result, _ = whole
    best = result.best
    assert best is not None
    run = load_config(result.folder.best_file)
    assert (run.name, run.output) == (None, None)
    assert (run.optimizer.lr, run.batch_size) == (best.params["optimizer.lr"], best.params["batch_size"])
    trained = result.folder.run("small", best.number).read_config()
    assert trained.fingerprint() == run.fingerprint()
    study = parse_study(
        {
            "study": "tuned",
            "output": str(tmp_path / "study"),
            "base": config.base,
            "vary": {"settings": {"default": {}, "tuned": str(result.folder.winner_file)}, "seed": [0, 1]},
        }
    )
    plan = expand(study)
    assert [planned.id for planned in plan.runs] == [
        f"{name}__seed{seed}" for name in ("default", "tuned") for seed in (0, 1)
    ]
    assert plan.runs[2].config.fingerprint() == run.fingerprint()
    assert plan.runs[0].config.fingerprint() != run.fingerprint()


@pytest.mark.slow
def test_a_finished_search_trains_nothing_and_more_trials_go_on(
    whole: tuple[TuneConfig, SearchResult, Lines], make_search: MakeSearch, tmp_path: Path
) -> None:
    config, result, _ = whole
    folder = tmp_path / "copy"
    shutil.copytree(config.folder, folder)
    two = make_search(folder, trials=4)
    again = run_search(two, watch=StopAfter(1))
    assert what_was_found(again) == what_was_found(result)
    more = run_search(make_search(folder, trials=5), watch=Callback())
    assert what_was_found(more)[:4] == what_was_found(result)
    assert len(more.trials) == 5
    with pytest.raises(ConfigError, match=r"holds another search \(base\.epochs: 2 there, 3 now\); only trials can be"):
        run_search(make_search(folder, {"epochs": 3}))
    with pytest.raises(ConfigError, match=r"search\.batch_size\.high: 8 there, 6 now"):
        run_search(make_search(folder, search={**SPACE, "batch_size": {"low": 2, "high": 6, "step": 2}}))


@pytest.mark.slow
def test_stopped_in_every_trial_it_makes_the_same_trials(
    whole: tuple[TuneConfig, SearchResult, Lines], make_search: MakeSearch, tmp_path: Path
) -> None:
    _, result, _ = whole
    config = make_search(tmp_path / "stopped")
    for _ in range(4):  # more often than a trial may end its process: a person may stop as often as they like
        with pytest.raises(Stopped):
            run_search(config, watch=_StopAtOnce())
    with pytest.raises(Stopped):
        run_search(config, watch=StopAfter(1))
    journal = SearchFolder(config.folder).journal_file
    with journal.open("ab") as stream:
        stream.write(b'{"op_code":7,"worker_id":"torn')  # a line that a killed process did not end
    with pytest.raises(Stopped):
        run_search(config, watch=StopAfter(2))
    finished = run_search(config, watch=Callback())
    assert what_was_found(finished) == what_was_found(result)
    first = RunFolderBytes(result, finished)
    assert first.same("best.safetensors")
    assert first.same("counts_val.csv")


class _StopAtOnce(Callback):
    def started(self, *_: Any) -> None:
        raise Stopped


class RunFolderBytes:
    """Two searches, to be compared trial by trial."""

    def __init__(self, left: SearchResult, right: SearchResult) -> None:
        self.pairs = [
            (left.folder.run("small", t.number).path, right.folder.run("small", t.number).path) for t in left.trials
        ]

    def same(self, name: str) -> bool:
        return all((left / name).read_bytes() == (right / name).read_bytes() for left, right in self.pairs)


@pytest.mark.slow
def test_what_cannot_learn_is_given_up_also_when_interrupted(make_search: MakeSearch, tmp_path: Path) -> None:
    space = {"optimizer.lr": {"none": 1e-12, "good": 0.02, "fair": 0.005}}
    base = {"epochs": 3, "batch_size": 2, "loss": "bce"}
    changes = {"search": space, "trials": 6, "random_trials": 6, "pruning": {"startup_trials": 1, "warmup_epochs": 1}}
    whole = run_search(make_search(tmp_path / "whole", base, **changes), watch=Callback())
    pruned = whole.of("pruned")
    assert pruned, "nothing was given up"
    assert all(2 <= trial.epochs < 3 for trial in pruned)
    assert any(trial.params["optimizer.lr"] == "none" for trial in pruned)
    for trial in pruned:
        run = whole.folder.run("small", trial.number)
        assert not run.is_finished
        assert not run.last_file.exists()
        assert trial.value == max(row["val_iou_per_image"] for row in run.read_history())
    config = make_search(tmp_path / "stopped", base, **changes)
    for epochs in (2, 2, 2, 2, 2, 2, 2):  # right before the question whether to give up is asked
        try:
            run_search(config, watch=StopAfter(epochs))
        except Stopped:
            continue
        break
    assert what_was_found(run_search(config, watch=Callback())) == what_was_found(whole)


@pytest.mark.slow
def test_a_failed_trial_is_recorded_and_does_not_stop_the_search(make_search: MakeSearch, tmp_path: Path) -> None:
    space = {
        "settings": {"fine": {"optimizer.lr": 0.01}, "exploding": {"optimizer.lr": 100.0, "optimizer.name": "sgd"}}
    }
    base = {"loss": "bce", "epochs": 1, "norm_statistics": "running"}  # with statistics that fit, even this one counts
    config = make_search(tmp_path / "failing", base, search=space, trials=6, random_trials=6)
    watch = Lines()
    result = run_search(config, watch=watch)
    failed, finished = result.of("failed"), result.of("finished")
    assert len(failed) + len(finished) == 6
    assert failed
    assert finished
    assert {trial.params["settings"] for trial in failed} == {"exploding"}
    assert all("loss became" in trial.reason for trial in failed)
    assert "loss became" in result.folder.trials_file.read_text()
    assert [line for line in watch.said if ": failed" in line and "loss became" in line]
    again = run_search(config, watch=Callback())
    assert what_was_found(again) == what_was_found(result)


@pytest.mark.slow
def test_a_damaged_record_is_told_and_finished_trainings_are_taken_over(
    whole: tuple[TuneConfig, SearchResult, Lines], tmp_path: Path
) -> None:
    config, result, _ = whole
    shutil.copytree(config.folder, tmp_path / "copy")
    config = config.model_copy(update={"output": str(tmp_path / "copy")})
    journal = SearchFolder(config.folder).journal_file
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:3], lines[3][:10] + b"\n", *lines[4:]]))
    with pytest.raises(RunError, match=r"search\.journal is damaged .*; delete it and the trials are made again"):
        run_search(config, watch=Callback())
    journal.unlink()
    finished = [trial.number for trial in result.of("finished")]
    before = {number: change_time(config, number) for number in finished}
    again = run_search(config, watch=Callback())
    assert [trial.params for trial in again.trials] == [trial.params for trial in result.trials]
    assert {number: change_time(config, number) for number in finished} == before


def change_time(config: TuneConfig, number: int) -> int:
    run = SearchFolder(config.folder).run(config.tune, number)
    return (run.path / "result.json").stat().st_mtime_ns


@pytest.mark.slow
def test_one_that_breaks_unexpectedly_is_recorded_with_its_traceback(
    make_search: MakeSearch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segbench.tune import search as module

    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("by a bug")

    monkeypatch.setattr(module, "fit", broken)
    config = make_search(tmp_path / "broken", trials=2)
    with pytest.raises(
        RunError, match=r"not one of 2 trials finished: ZeroDivisionError: by a bug \(see traceback.txt"
    ):
        run_search(config, watch=Callback())
    text = (tmp_path / "broken" / "trials" / "small-0000" / "traceback.txt").read_text()
    assert "ZeroDivisionError: by a bug" in text
    assert not (tmp_path / "broken" / "best.yaml").exists()


def test_wrong_names_are_told_before_anything_is_made(make_search: MakeSearch, tmp_path: Path) -> None:
    for search, text in (
        ({"network": ["unet_nearest", "unet_neares"]}, "did you mean 'unet_nearest'"),
        ({"loss": ["dice", "dise"]}, "did you mean 'dice'"),
        ({"network.nrom": ["batch", "group"]}, "did you mean 'norm'"),
    ):
        with pytest.raises(ConfigError) as caught:
            run_search(make_search(tmp_path / "no", search=search), watch=Callback())
        assert text in str(caught.value)
    with pytest.raises(DatasetError, match=r"data\.path does not exist"):
        run_search(make_search(tmp_path / "no", {"data": "nowhere"}), watch=Callback())
    assert not (tmp_path / "no").exists()


def test_without_optuna_the_command_to_install_it_is_told(
    make_search: MakeSearch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match=r"needs the package optuna, .* pip install 'segbench\[tune\]'"):
        run_search(make_search(tmp_path / "no"), watch=Callback())


@pytest.mark.slow
def test_changed_data_are_told(make_search: MakeSearch, binary_pairs: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(binary_pairs, data)
    base = {"data": {"path": str(data), "size": 32}, "epochs": 1}
    run_search(make_search(tmp_path / "out", base, trials=1), watch=Callback())
    masks = sorted((data / "masks").iterdir())
    shutil.copy(masks[1], masks[0])
    with pytest.raises(DatasetError, match=r"was begun with other data: undo the change, or choose another output"):
        run_search(make_search(tmp_path / "out", base, trials=2), watch=Callback())


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_killed_it_goes_on_with_the_same_trial_and_finds_the_same(make_search: MakeSearch, tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "base": {"epochs": 8, "batch_size": 2},
        "trials": 2,
        "search": {"optimizer.lr": [0.01, 0.003]},
    }
    whole = run_search(make_search(tmp_path / "whole", **changes), watch=Callback())
    config = make_search(tmp_path / "killed", **changes)
    file = tmp_path / "search.yaml"
    file.write_text(write_yaml(config.to_dict()))
    run = SearchFolder(config.folder).run("small", 0)
    process = start_segbench("tune", str(file), merged=True)
    deadline = time.monotonic() + 60
    while len(run.read_history()) < 3:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not run.is_finished
    assert len(run.read_history()) < 8
    process = start_segbench("tune", str(file), merged=True)
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 0, output
    assert "Warning" not in output
    assert "2 trials: 2 finished, 0 pruned, 0 failed" in output
    finished = run_search(config, watch=StopAfter(1))
    assert what_was_found(finished) == what_was_found(whole)
    assert RunFolderBytes(whole, finished).same("best.safetensors")


class Die(Callback):
    """Ends the process in the first step, as the system does where memory runs out."""

    def step(self, *_: Any) -> None:
        os._exit(9)


def search_and_die(file: Path) -> None:
    run_search(parse_tune(YAML(typ="safe").load(file)), watch=Die())


@pytest.mark.slow
def test_a_trial_that_ends_its_process_every_time_is_given_up(make_search: MakeSearch, tmp_path: Path) -> None:
    config = make_search(tmp_path / "dying", trials=2, base={"epochs": 1})
    file = tmp_path / "search.yaml"
    file.write_text(write_yaml(config.to_dict()))
    for _ in range(3):
        assert run_function(search_and_die, file).returncode == 9
    result = run_search(config, watch=Callback())
    assert [trial.state for trial in result.trials] == ["failed", "finished"]
    assert result.trials[0].reason == "its process was ended 3 times in epoch 1; memory may be too small for it"
