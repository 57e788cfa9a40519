"""A study from one call to finished runs: what is trained, what is refused, and what a kill leaves behind."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from segbench.config.study import StudyConfig, expand
from segbench.data.manifest.read import read_dataset
from segbench.errors import ConfigError, DatasetError, RunError
from segbench.files import write_json
from segbench.folders.run import RunFolder
from segbench.folders.study import Failure, StudyFolder
from segbench.study.engine import Machine, make_engine
from segbench.study.live import StudyCallback
from segbench.study.run import check_runs, check_test_part, default_workers, run_study

MakeStudy = Callable[..., StudyConfig]


class Notes(StudyCallback):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.closed = False

    def message(self, text: str) -> None:
        self.said.append(text)

    def close(self) -> None:
        self.closed = True


@pytest.fixture(scope="module")
def trained(make_study: MakeStudy, tmp_path_factory: pytest.TempPathFactory) -> StudyConfig:
    """Returns a study of two runs that are finished; read only."""
    study = make_study(tmp_path_factory.mktemp("trained") / "study")
    run_study(study, workers=1, threads=1)
    return study


@pytest.fixture
def copied(trained: StudyConfig, tmp_path: Path) -> StudyConfig:
    """Returns the finished study in a folder of its own, to be broken."""
    shutil.copytree(trained.study_folder, tmp_path / "copy")
    return trained.model_copy(update={"output": str(tmp_path / "copy")})


def states(study: StudyConfig) -> dict[str, str]:
    return {item.run.id: item.state for item in StudyFolder(study.study_folder).status(expand(study))}


def change_times(folder: Path) -> dict[str, int]:
    """Returns when each file of the runs was written; looking at a lock is no change."""
    return {str(file): file.stat().st_mtime_ns for file in (folder / "runs").rglob("*") if file.name != ".lock"}


@pytest.mark.slow
def test_all_runs_finish_on_the_same_data(trained: StudyConfig) -> None:
    folder = StudyFolder(trained.study_folder)
    assert states(trained) == {"dice__seed0": "finished", "bce__seed0": "finished"}
    facts = folder.read_facts()
    assert (facts["threads"], facts["engine"], facts["workers"]) == (1, "local", 1)
    registered = json.loads(folder.registration_file.read_text(encoding="utf-8"))
    assert (registered["hash"], registered["begun_before"]) == (facts["registration"], 0)
    finished = [folder.run(name).read_result().result["finished"] for name in facts["runs"]]
    assert registered["registered"] <= min(finished)
    for name in facts["runs"]:
        about = folder.run(name).read_facts()
        assert about["manifest_hash"] == facts["manifest_hash"]
        assert about["environment"]["threads"] == 1
    assert folder.manifest_file.is_file()


@pytest.mark.parametrize(
    ("groups", "test", "text"),
    [
        (None, 1, "the test part has a single image: how entries differ on other images cannot be told from it"),
        (
            ["p1"] * 24,
            3,
            r"the test part has 3 images of a single group, 'p1': how entries differ on other groups cannot",
        ),
        (None, 2, None),
        ([f"p{n}" for n in range(24)], 2, None),
    ],
)
def test_a_test_part_that_can_show_nothing_is_refused_before_training(
    make_study: MakeStudy, binary_pairs: Path, tmp_path: Path, groups: list[str] | None, test: int, text: str | None
) -> None:
    manifest = read_dataset(binary_pairs)
    if groups is not None:
        grouped = [replace(each, group=name) for each, name in zip(manifest.samples, groups, strict=True)]
        manifest = replace(manifest, samples=tuple(grouped))
    manifest = manifest.with_splits({s.id: "test" if n < test else "train" for n, s in enumerate(manifest.samples)})
    plan = expand(make_study(tmp_path))
    if text is None:
        check_test_part(manifest, plan)
    else:
        with pytest.raises(DatasetError, match=text):
            check_test_part(manifest, plan)
    check_test_part(manifest, expand(make_study(tmp_path, vary={"loss": ["dice"]})))  # nothing to compare


@pytest.mark.slow
def test_the_registration_is_told_once_with_its_hash(make_study: MakeStudy, tmp_path: Path) -> None:
    notes = Notes()
    study = make_study(tmp_path, base={"steps": 2, "epochs": None}, vary={"loss": ["dice"]})
    folder = run_study(study, watch=notes, workers=1, threads=1)
    registered = json.loads(folder.registration_file.read_text(encoding="utf-8"))
    assert f"registered before the first training: registration.json, SHA-256 {registered['hash']}" in notes.said


@pytest.mark.slow
def test_a_second_call_trains_nothing(trained: StudyConfig) -> None:
    before = change_times(trained.study_folder)
    notes = Notes()
    folder = run_study(trained, watch=notes)
    assert notes.said == ["every run is finished or was given up already; nothing to train"]
    assert notes.closed
    assert change_times(folder.path) == before


@pytest.mark.slow
def test_a_value_that_is_added_trains_its_run_alone(copied: StudyConfig) -> None:
    before = change_times(copied.study_folder)
    more = copied.model_copy(update={"vary": {"loss": ["dice", "bce", "jaccard"]}})
    notes = Notes()
    folder = run_study(more, watch=notes)
    assert notes.said[-1].startswith(
        "1 of 3 runs to train, 1 at once, CPU threads each: 1; length of a run: 2 epochs; "
    )
    assert set(states(more).values()) == {"finished"}
    after = change_times(folder.path)
    assert {name: after[name] for name in before} == before
    assert list(folder.read_facts()["runs"]) == ["dice__seed0", "bce__seed0", "jaccard__seed0"]


@pytest.mark.slow
def test_runs_that_fail_are_noted_and_do_not_stop_the_others(make_study: MakeStudy, tmp_path: Path) -> None:
    network = {"good": "unet_nearest", "bad": {"name": "unet", "widths": [8], "deep_supervision": True}}
    study = make_study(
        tmp_path,
        vary={
            "network": network,
            "optimizer": {"wild": {"name": "sgd", "lr": 100, "weight_decay": 10}, "calm": "adam"},
        },
    )
    folder = run_study(study, workers=1, threads=1)
    assert states(study) == {
        "good__wild__seed0": "failed",
        "good__calm__seed0": "finished",
        "bad__wild__seed0": "failed",
        "bad__calm__seed0": "failed",
    }
    wild, bad = (folder.read_failure(name) for name in ("good__wild__seed0", "bad__calm__seed0"))
    assert wild is not None
    assert bad is not None
    assert (wild.kind, wild.attempts) == ("refused", 1)
    assert "lower optimizer.lr or set grad_clip: 1" in wild.error
    assert bad.error.startswith("network.deep_supervision: deep_supervision needs a coarser stage")
    notes = Notes()
    run_study(study, watch=notes, retry_failed=False)
    assert notes.said == ["every run is finished or was given up already; nothing to train"]
    mended = study.model_copy(update={"vary": {**study.vary, "optimizer": {"calm": "adam"}}})
    folder.write_failure("good__calm__seed0", Failure(error="once", kind="crashed", attempts=3))
    run_study(mended, watch=notes, workers=1)
    assert notes.said[-1].startswith("1 of 2 runs to train")


def test_all_problems_are_told_before_anything_is_read(make_study: MakeStudy, tmp_path: Path) -> None:
    networks = {"one": "unet_nearst", "two": {"name": "unet_nearest", "wdths": [8]}, "three": "unet_nearest"}
    study = make_study(tmp_path / "study", vary={"network": networks, "seed": [0, 1]})
    with pytest.raises(ConfigError) as caught:
        run_study(study)
    text = str(caught.value)
    assert text.startswith("2 problems in the runs of this study, and nothing was trained:\n")
    assert "'unet_nearst'" in text
    assert "(one__seed0, one__seed1)" in text
    assert "wdths" in text
    assert not (tmp_path / "study").exists()


def test_a_single_problem_keeps_its_class(make_study: MakeStudy, tmp_path: Path) -> None:
    study = make_study(tmp_path / "study", {"data": {"path": str(tmp_path / "nowhere")}})
    with pytest.raises(DatasetError, match=r"data\.path does not exist"):
        run_study(study)
    with pytest.raises(ConfigError, match=r"score: iou_pooled is no mean over images"):
        run_study(make_study(tmp_path / "study", score="iou_pooled"))
    assert not (tmp_path / "study").exists()


def test_wrong_studies_are_refused(make_study: MakeStudy, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to compare"):
        make_study(tmp_path, vary={})
    twice = make_study(tmp_path, vary={"loss": {"a b": "dice", "a-b": "bce"}})
    with pytest.raises(ConfigError, match="two runs have one id"):
        run_study(twice)
    nothing = make_study(tmp_path, exclude=[{"loss": ["dice", "bce"]}])
    with pytest.raises(ConfigError, match="exclude: leaves no run at all"):
        run_study(nothing)


def test_engines_have_names(make_study: MakeStudy, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--engine: there is no engine 'locla'; did you mean 'local'\?"):
        run_study(make_study(tmp_path), engine="locla")
    with pytest.raises(ConfigError, match="--address: the local engine is this machine and has no address"):
        make_engine("local", "head:6379")
    with pytest.raises(ConfigError, match="--workers: expected at least 1, got 0"):
        run_study(make_study(tmp_path), workers=0)


class Still:
    """An engine that trains nothing, on a machine of one's choice."""

    name = "still"

    def __init__(self, *, cores: int = 4, gpus: int = 0) -> None:
        self.here = Machine(cores=cores, gpus=gpus)
        self.calls: list[tuple[int, int]] = []

    def machine(self) -> Machine:
        return self.here

    def run(self, tasks: Any, *, workers: int, on_tick: Callable[[], None]) -> None:
        self.calls.append((workers, tasks[0].threads))
        on_tick()


@pytest.mark.parametrize(
    ("device", "cores", "gpus", "expected"), [("cpu", 4, 2, 4), ("auto", 4, 2, 2), ("auto", 4, 0, 4), ("cpu", 9, 0, 6)]
)
def test_workers_follow_the_machine(
    make_study: MakeStudy, tmp_path: Path, device: str, cores: int, gpus: int, expected: int
) -> None:
    plan = expand(make_study(tmp_path, {"device": device}, vary={"loss": ["dice", "bce"], "seed": [0, 1, 2]}))
    assert default_workers(plan, Machine(cores=cores, gpus=gpus)) == expected


def test_cores_are_divided_and_later_runs_take_the_threads_of_the_first(make_study: MakeStudy, tmp_path: Path) -> None:
    study = make_study(tmp_path)
    engine = Still(cores=8)
    run_study(study, engine=engine)
    run_study(study, engine=Still(cores=2))
    assert StudyFolder(tmp_path).read_facts()["threads"] == 4
    run_study(study, engine=engine, threads=3)
    run_study(study, engine=engine, workers=1)
    assert engine.calls == [(2, 4), (2, 3), (1, 3)]


def test_a_device_that_is_not_there_is_refused_once(make_study: MakeStudy, tmp_path: Path) -> None:
    study = make_study(tmp_path, {"device": "cuda"})
    with pytest.raises(ConfigError, match="device: dice__seed0, bce__seed0 want cuda, and there is no GPU here"):
        run_study(study, engine=Still(gpus=0))


@pytest.mark.slow
def test_settings_of_a_begun_run_stay(copied: StudyConfig) -> None:
    other = copied.model_copy(update={"base": {**copied.base, "batch_size": 2}, "vary": {"loss": ["dice", "jaccard"]}})
    with pytest.raises(ConfigError, match=r"dice__seed0 was begun with other settings \(batch_size: 4 there, 2 now\)"):
        run_study(other, engine=Still())


@pytest.mark.slow
def test_data_that_changed_is_refused(copied: StudyConfig, binary_pairs: Path, tmp_path: Path) -> None:
    shutil.copytree(binary_pairs, tmp_path / "data")
    (tmp_path / "data" / "images" / "img_003.png").unlink()
    (tmp_path / "data" / "masks" / "img_003.png").unlink()
    base = {**copied.base, "data": {**copied.base["data"], "path": str(tmp_path / "data")}}
    other = copied.model_copy(update={"base": base, "vary": {"loss": ["jaccard", "tversky"]}})
    with pytest.raises(ConfigError, match="the data or its split changed since the first run"):
        run_study(other, engine=Still())
    assert StudyFolder(copied.study_folder).read_config().vary == copied.vary, "the refused study was written"


@pytest.mark.slow
def test_data_that_were_moved_are_the_same(copied: StudyConfig, binary_pairs: Path, tmp_path: Path) -> None:
    shutil.copytree(binary_pairs, tmp_path / "moved")
    base = {**copied.base, "data": {**copied.base["data"], "path": str(tmp_path / "moved")}}
    moved = copied.model_copy(update={"base": base, "vary": {"loss": ["dice", "bce", "jaccard"]}})
    run_study(moved, engine=Still())
    assert states(moved) == {"dice__seed0": "finished", "bce__seed0": "finished", "jaccard__seed0": "waiting"}


@pytest.mark.slow
def test_another_number_of_threads_is_refused_once_runs_were_begun(copied: StudyConfig) -> None:
    with pytest.raises(ConfigError, match=r"--threads: the runs .* were begun with 1 CPU threads each, got 2"):
        run_study(copied, engine=Still(), threads=2)
    run_study(copied, engine=Still(), threads=1)


@pytest.mark.slow
def test_a_damaged_table_of_a_finished_run_stops_nothing(copied: StudyConfig) -> None:
    (StudyFolder(copied.study_folder).run("dice__seed0").metrics_file).write_text("epoch\nhalf")
    more = copied.model_copy(update={"vary": {"loss": ["dice", "bce", "jaccard"]}})
    run_study(more, engine=Still())
    assert states(more)["dice__seed0"] == "finished"


def test_what_the_data_do_not_allow_is_told_before_training(make_study: MakeStudy, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"score: there is no 'iou_per_image\[nope\]'; classes: "):
        run_study(make_study(tmp_path / "study", score="iou_per_image[nope]"), engine=Still())
    blind = make_study(tmp_path / "study", {"scores": {"surface": False}}, score="boundary_iou_per_image")
    with pytest.raises(ConfigError, match=r"score: boundary_iou_per_image is measured between outlines, which dice__"):
        run_study(blind, engine=Still())
    wrong = make_study(tmp_path / "study", vary={"loss": ["dice", "cross_entropy"]})
    with pytest.raises(ConfigError, match="loss: 'cross_entropy' cannot do the binary task of this data"):
        run_study(wrong, engine=Still())
    assert not (tmp_path / "study" / "plan.json").exists()


def test_a_wrong_option_of_a_factor_is_told_before_training(make_study: MakeStudy, tmp_path: Path) -> None:
    study = make_study(tmp_path / "study", vary={"network.upsamplin": ["nearest", "bilinear"]})
    with pytest.raises(ConfigError, match="upsamplin"):
        run_study(study, engine=Still())
    study = make_study(tmp_path / "study", vary={"network.widths": {"good": [8], "bad": [8, -1]}})
    with pytest.raises(
        ConfigError, match=r"widths must be a list of 1 to 7 channel counts above 0, got \[8, -1\]"
    ) as caught:
        run_study(study, engine=Still())
    assert caught.value.key == "network.widths"


@pytest.mark.slow
def test_two_calls_for_one_folder_exclude_each_other(copied: StudyConfig) -> None:
    with (
        RunFolder(copied.study_folder).locked(),
        pytest.raises(RunError, match="another process works on this study; wait for it, or choose another `output`"),
    ):
        run_study(copied, engine=Still())


@pytest.mark.slow
def test_a_broken_result_is_told_before_anything_is_trained(copied: StudyConfig) -> None:
    (StudyFolder(copied.study_folder).run("bce__seed0").result_file).write_text('{"scores": ')
    with pytest.raises(RunError) as caught:
        run_study(copied, engine=Still())
    text = str(caught.value)
    assert "bce__seed0: this run counts as finished, but result.json cannot be read" in text
    assert text.endswith("delete its result.json and it is scored again, or delete the folder and it is trained again")


@pytest.mark.slow
def test_what_a_broken_result_asks_for_helps(copied: StudyConfig) -> None:
    folder = StudyFolder(copied.study_folder)
    whole = json.loads(folder.run("bce__seed0").result_file.read_text())["scores"]
    folder.run("bce__seed0").result_file.unlink()
    assert states(copied)["bce__seed0"] == "stopped"
    run_study(copied)
    assert json.loads(folder.run("bce__seed0").result_file.read_text())["scores"] == whole
    assert len(folder.run("bce__seed0").read_history()) == 2


@pytest.mark.slow
def test_a_broken_plan_is_told_and_mended_by_what_it_asks_for(copied: StudyConfig) -> None:
    folder = StudyFolder(copied.study_folder)
    folder.plan_file.write_text('{"runs": {')
    with pytest.raises(RunError) as caught:
        run_study(copied, engine=Still())
    assert "plan.json cannot be read (JSONDecodeError" in str(caught.value)
    assert f"delete {folder.plan_file} and run the study again" in str(caught.value)
    folder.plan_file.unlink()
    more = copied.model_copy(update={"vary": {"loss": ["dice", "bce", "jaccard"]}})
    run_study(more, engine=Still())
    assert states(more) == {"dice__seed0": "finished", "bce__seed0": "finished", "jaccard__seed0": "waiting"}


@pytest.mark.slow
def test_a_broken_manifest_of_the_study_is_made_again(copied: StudyConfig) -> None:
    folder = StudyFolder(copied.study_folder)
    whole = folder.manifest_file.read_text()
    folder.manifest_file.write_text("{")
    run_study(copied.model_copy(update={"vary": {"loss": ["dice", "jaccard"]}}), engine=Still())
    assert folder.manifest_file.read_text() == whole


@pytest.mark.slow
def test_finished_runs_with_other_data_are_named(copied: StudyConfig) -> None:
    run = StudyFolder(copied.study_folder).run("bce__seed0")
    write_json(run.path / "run.json", {**run.read_facts(), "manifest_hash": "0" * 64})
    with pytest.raises(RunError, match=r"bce__seed0 saw other data or another split than the study's manifest\.json"):
        run_study(copied)


@pytest.mark.slow
def test_finished_runs_are_not_checked_against_names(copied: StudyConfig) -> None:
    plan = expand(copied.model_copy(update={"base": {**copied.base, "data": {"path": "nowhere"}}}))
    check_runs(StudyFolder(copied.study_folder), plan, copied.score)


SCRIPT = """\
import sys
from segbench.config.study import load_study
from segbench.study.run import run_study

if __name__ == "__main__":
    run_study(load_study(sys.argv[1]), workers=2, threads=1)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_kill_9_of_the_whole_study_takes_its_workers_and_goes_on_with_the_same_bits(
    make_study: MakeStudy,
    tmp_path: Path,
    wait_until: Callable[..., None],
    assert_same_results: Callable[[RunFolder, RunFolder], None],
) -> None:
    longer = {"epochs": 8, "batch_size": 2}
    whole, killed = (make_study(tmp_path / name, longer) for name in ("whole", "killed"))
    run_study(whole, workers=1, threads=1)
    (tmp_path / "killed.yaml").write_text(json.dumps(killed.to_dict()))
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "killed.yaml")]
    folder = StudyFolder(tmp_path / "killed")
    runs = [folder.run(run.id) for run in expand(killed).runs]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        ended = process.poll
        wait_until(lambda: ended() is not None or all(len(run.read_history()) >= 2 for run in runs), "epoch 2 of both")
        assert ended() is None, process.communicate()
        assert set(states(killed).values()) == {"running"}
        process.kill()
    wait_until(lambda: not any(run.is_locked() for run in runs), "the workers are gone", seconds=5.0)
    assert set(states(killed).values()) == {"stopped"}
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for run in runs:
        assert_same_results(StudyFolder(tmp_path / "whole").run(run.path.name), run)


@pytest.mark.slow
def test_how_far_it_is_can_be_asked_while_it_runs(
    make_study: MakeStudy, tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    study = make_study(tmp_path, {"epochs": 6})
    seen: set[tuple[str, ...]] = set()
    training = threading.Thread(target=run_study, args=(study,), kwargs={"workers": 1, "threads": 1})
    training.start()
    wait_until(lambda: "running" in states(study).values(), "a run")
    while training.is_alive():
        seen.add(tuple(states(study).values()))
        time.sleep(0.02)
    training.join()
    assert ("running", "waiting") in seen
    assert set(states(study).values()) == {"finished"}, "asking disturbed a run"


@pytest.mark.slow
def test_a_script_without_its_guard_is_told_so(make_study: MakeStudy, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(json.dumps(make_study(tmp_path / "study", vary={"seed": [0]}).to_dict()))
    (tmp_path / "script.py").write_text(SCRIPT.replace('__name__ == "__main__"', "True"))
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "study.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert 'put the call below `if __name__ == "__main__":`' in done.stderr
    assert states(make_study(tmp_path / "study", vary={"seed": [0]})) == {"seed0": "failed"}
