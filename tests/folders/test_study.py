"""The study folder: states from files alone, and what is refused before anything trains."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import segbench
from segbench.config.study import expand, parse_study
from segbench.errors import ConfigError, RunError
from segbench.folders.entries import find_entry, without_collapsed
from segbench.folders.run import RunFolder
from segbench.folders.study import Failure, StudyFolder
from segbench.train.callback import Callback


def study(pairs: Path, folder: Path, **changes: Any) -> Any:
    """Returns a study of two widths and two seeds that trains in seconds; changes are keys of the base."""
    base = {
        "data": {"path": str(pairs), "size": 32},
        "epochs": 2,
        "batch_size": 4,
        "device": "cpu",
        "threads": 1,
        **changes,
    }
    vary = {"network": [{"name": "unet_nearest", "widths": [2, 4]}, {"name": "unet_nearest", "widths": [4, 8]}]}
    return parse_study({"study": "s", "base": base, "vary": {**vary, "seed": [0, 1]}, "output": str(folder)})


def claimed(asked: Any, folder: Path, manifest_hash: str = "h") -> StudyFolder:
    found = StudyFolder(folder)
    found.claim(asked, expand(asked), manifest_hash=manifest_hash, threads=1, engine="local")
    return found


@pytest.mark.slow
def test_states_follow_from_the_files(binary_pairs: Path, tmp_path: Path) -> None:
    asked = study(binary_pairs, tmp_path / "s")
    folder = claimed(asked, tmp_path / "s")
    plan = folder.read_plan()
    assert [status.state for status in folder.status()] == ["waiting"] * 4
    first, second, third, fourth = plan.runs
    segbench.fit(first.config, watch=Callback())
    folder.write_failure(second.id, Failure(error="the loss became nan", kind="refused", attempts=1))

    class Stop(Callback):
        def epoch(self, row: Any, is_best: bool) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        segbench.fit(third.config, watch=Stop())
    with RunFolder(Path(fourth.config.output)).locked():
        found = folder.status()
    assert [status.state for status in found] == ["finished", "failed", "stopped", "running"]
    assert (found[0].epoch, found[0].epochs, found[0].seconds_left) == (2, 2, 0.0)
    assert 0.0 <= found[0].best <= 1.0
    assert found[1].failure == Failure(error="the loss became nan", kind="refused", attempts=1)
    assert found[2].epoch == 1
    assert found[2].seconds_left > 0.0
    folder.forget_failure(second.id)
    assert folder.status()[1].state == "waiting"


def test_finished_runs_of_an_entry_are_found_by_its_name(binary_pairs: Path, tmp_path: Path) -> None:
    folder = claimed(study(binary_pairs, tmp_path / "s"), tmp_path / "s")
    first, second, *_ = folder.read_plan().runs
    assert first.entry == second.entry
    with pytest.raises(RunError, match=r"no run of .* is finished"):
        folder.finished_runs(first.entry)
    for run in folder.read_plan().runs[1:]:
        folder.run(run.id).path.mkdir(parents=True)
        folder.run(run.id).result_file.write_text("{}")
    assert folder.finished_runs(first.entry) == [folder.run(second.id).path]
    with pytest.raises(RunError, match=r"there is no entry 'unet' in this study; .*known: unet_nearest widths"):
        folder.finished_runs("unet")


def test_an_entry_is_found_by_what_pages_call_it_too(binary_pairs: Path, tmp_path: Path) -> None:
    first, other = dict.fromkeys(run.entry for run in expand(study(binary_pairs, tmp_path / "s")).runs)
    labels = {first: "Small", other: "Large"}
    folder = claimed(study(binary_pairs, tmp_path / "s").model_copy(update={"labels": labels}), tmp_path / "s")
    for run in folder.read_plan().runs:
        folder.run(run.id).path.mkdir(parents=True)
        folder.run(run.id).result_file.write_text("{}")
    assert folder.finished_runs("Small") == folder.finished_runs(first) != folder.finished_runs("Large")
    known = re.escape(f"there is no entry 'Smal' in this study; did you mean 'Small'? known: {first} (Small), {other}")
    with pytest.raises(RunError, match=known):
        folder.finished_runs("Smal")
    with pytest.raises(RunError, match="several entries are called 'Net'; name one of a, b"):
        find_entry("Net", {"a": "Net", "b": "Net"}, folder.path)


def test_runs_that_collapsed_are_left_out(tmp_path: Path) -> None:
    runs = [RunFolder(tmp_path / name) for name in "abc"]
    for run, collapsed in zip(runs, (False, True, False), strict=True):
        run.path.mkdir()
        run.result_file.write_text(json.dumps({"collapsed": collapsed}))
    assert without_collapsed(runs, "unet", tmp_path) == ([runs[0], runs[2]], "1 run that collapsed is left out.")
    assert without_collapsed(runs[:1], "unet", tmp_path) == (runs[:1], None)
    with pytest.raises(RunError, match="every run of 'unet' collapsed"):
        without_collapsed(runs[1:2], "unet", tmp_path)


@pytest.mark.slow
def test_values_may_be_added_but_begun_runs_keep_their_settings(binary_pairs: Path, tmp_path: Path) -> None:
    asked = study(binary_pairs, tmp_path / "s")
    folder = claimed(asked, tmp_path / "s")
    first = folder.read_plan().runs[0]
    found = segbench.fit(first.config, watch=Callback()).result["manifest_hash"]
    with pytest.raises(RunError, match=f"{re.escape(first.id)} saw other data or another split than the study's"):
        claimed(asked, tmp_path / "s")
    folder.plan_file.unlink()
    more = asked.model_copy(update={"vary": {**asked.vary, "seed": [0, 1, 2]}})
    assert len(claimed(more, tmp_path / "s", found).read_plan().runs) == 6
    other = study(binary_pairs, tmp_path / "s", epochs=3)
    with pytest.raises(ConfigError, match=r"was begun with other settings \(epochs: 2 there, 3 now\)"):
        claimed(other, tmp_path / "s", found)
    moved = study(tmp_path / "elsewhere", tmp_path / "s")
    assert claimed(moved, tmp_path / "s", found).read_config().base["data"]["path"] == str(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match=r"--threads: the runs .* were begun with 1 CPU threads each, got 2"):
        folder.require_threads(2, expand(asked))
    with pytest.raises(ConfigError, match="the data or its split changed since the first run"):
        claimed(asked, tmp_path / "s", manifest_hash="other")


@pytest.mark.slow
def test_a_moved_study_is_read_where_it_is(binary_pairs: Path, tmp_path: Path) -> None:
    asked = study(binary_pairs, tmp_path / "s")
    folder = claimed(asked, tmp_path / "s")
    segbench.fit(folder.read_plan().runs[0].config, watch=Callback())
    (tmp_path / "s").rename(tmp_path / "moved")
    assert next(status.state for status in StudyFolder(tmp_path / "moved").status()) == "finished"


def test_what_is_missing_or_broken_is_told(binary_pairs: Path, tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    with pytest.raises(RunError, match=r"this is no study folder: there is no study\.yaml in it"):
        folder.status()
    folder = claimed(study(binary_pairs, tmp_path / "s"), tmp_path / "s")
    run_id = folder.read_plan().runs[0].id
    folder.failure_file(run_id).parent.mkdir()
    folder.failure_file(run_id).write_text("{")
    assert "cannot be read" in folder.status()[0].failure.error
    folder.plan_file.write_text(json.dumps({"runs": {}}))
    with pytest.raises(RunError, match=r"plan\.json cannot be read \(KeyError: 'manifest_hash'\)"):
        folder.read_facts()


def test_one_damaged_table_takes_nothing_else_down(binary_pairs: Path, tmp_path: Path) -> None:
    folder = claimed(study(binary_pairs, tmp_path / "s"), tmp_path / "s")
    first, second, *_ = (folder.run(run.id) for run in folder.read_plan().runs)
    for run, text in ((first, "epoch,seconds,val_iou_per_image\n1,0.5,0.2\n2,0.5\n"), (second, "epoch\n1\n")):
        run.write_facts({})
        run.metrics_file.write_text(text)
    statuses = folder.status()
    assert [status.state for status in statuses] == ["stopped", "stopped", "waiting", "waiting"]
    assert statuses[0].damage.startswith("metrics.csv is damaged in line 3")
    assert statuses[1].damage == "metrics.csv has no column seconds and no column val_iou_per_image; it is damaged"
    assert (statuses[0].epoch, statuses[2].damage) == (0, "")


def test_a_study_begun_with_what_is_refused_today_is_still_read(binary_pairs: Path, tmp_path: Path) -> None:
    vary = {"network": {"сеть": "unet_nearest", "b": "segnet"}, "loss": ["dice", "bce"]}
    base = study(binary_pairs, tmp_path).base
    old = parse_study(
        {"study": "s", "base": base, "vary": vary, "baseline": {"network": "b"}, "exclude": [], "scale": "small"}
    )
    with pytest.raises(ConfigError, match="baseline: fits 2 entries"):
        expand(old)
    folder = StudyFolder(tmp_path / "s")
    plan = expand(old, begun={("сеть | dice", 0): "x__dice__seed0"})
    folder.claim(old, plan, manifest_hash="h", threads=1, engine="local")
    found = folder.read_plan()
    assert found.runs[0].id == "x__dice__seed0"
    assert found.runs[0].config.run_folder == folder.run("x__dice__seed0").path
    assert folder.read_config().scale == "small"
