"""`segbench study`: what is printed, what comes back, and what the options mean."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests._processes import start_segbench

from segbench import cli
from segbench.cli.study import load_with_overrides
from segbench.config.study import expand
from segbench.errors import ConfigError
from segbench.folders.study import StudyFolder

STUDY = """\
study: tiny
base:
  data: {{path: {data}, size: 32}}
  network: {{name: unet_nearest, widths: [8, 16]}}
  epochs: {epochs}
  batch_size: 4
  device: cpu
  threads: 1
vary:
  loss: [dice, bce]
  rate: {{low: {{optimizer.lr: 1.0e-3}}, high: {{optimizer.lr: 1.0e-2}}}}
scales: {{one: {{set: {{epochs: 1}}, vary: {{rate: {{low: {{optimizer.lr: 1.0e-3}}}}}}}}}}
"""


@pytest.fixture
def study_file(binary_pairs: Path, tmp_path: Path) -> Path:
    file = tmp_path / "tiny.yaml"
    file.write_text(STUDY.format(data=binary_pairs, epochs=2))
    return file


def run_cli(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Returns exit code, standard output and standard error of a command run in this process."""
    with pytest.raises(SystemExit) as end:
        cli.main(["study", *arguments])
    captured = capsys.readouterr()
    return int(end.value.code or 0), captured.out, captured.err


@pytest.mark.parametrize("command", ["run", "status"])
def test_every_command_has_help_with_an_example(capsys: pytest.CaptureFixture[str], command: str) -> None:
    code, out, _ = run_cli(capsys, command, "--help")
    assert code == 0
    assert f"Example: segbench study {command}" in " ".join(out.split())


@pytest.mark.slow
def test_status_imports_no_torch(study_file: Path) -> None:
    code = (
        "import sys\nfrom segbench.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "assert 'torch' not in sys.modules, 'torch was imported'\n"
    )
    command = [sys.executable, "-c", code, "study", "status", str(study_file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "4 runs: 4 waiting" in done.stdout


@pytest.mark.slow
def test_a_dry_run_says_all_and_writes_nothing(
    study_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run_cli(capsys, "run", str(study_file), "--dry-run", "-o", str(tmp_path / "out"), "--workers", "2")
    assert code == 0, err
    assert out.startswith(f"tiny: 4 runs into {tmp_path}/out; nothing was trained or written\n")
    assert "dice__low__seed0 dice | low 0 waiting" in " ".join(out.split())
    assert "runs: 4 of 4 to do, 2 at once" in out
    assert "time: about " in out
    assert "what 3 test images and 1 seed show 4 times of 5, in IoU per image:" in out
    assert not (tmp_path / "out").exists()


def test_a_dry_run_with_a_problem_exits_1(study_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["run", str(study_file), "--dry-run", "-o", str(tmp_path / "out"), "--set", "vary.loss=[cross_entropy]"]
    code, out, _ = run_cli(capsys, *arguments, "--threads", "1")
    assert code == 1
    assert "problem: cross_entropy | low would fail: loss: 'cross_entropy' cannot do the binary task" in out


def test_the_recorded_study_brings_its_scale(study_file: Path, tmp_path: Path) -> None:
    loaded = load_with_overrides(study_file, scale="one", out=tmp_path / "out")
    folder = StudyFolder(tmp_path / "out")
    folder.claim(loaded, expand(loaded), manifest_hash="h", threads=1, engine="local")
    assert load_with_overrides(folder.config_file, overrides=["score=dice_per_image"]).scale == "one"
    folder.plan_file.unlink()
    with pytest.raises(ConfigError, match="a scale is chosen when the study is run"):
        load_with_overrides(folder.config_file)


@pytest.mark.slow
def test_one_entry_alone_leads_to_no_report(
    study_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["run", str(study_file), "--scale", "one", "-o", str(tmp_path / "out"), "--threads", "1", "-q"]
    code, out, err = run_cli(capsys, *arguments, "--set", "vary.loss=[dice]")
    assert code == 0, err
    assert "1 runs: 1 finished" in out
    assert "segbench report" not in out
    assert "note: there is one entry, 'dice | low'" in err


@pytest.mark.slow
def test_a_study_runs_fails_in_part_and_says_so(
    study_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out_folder = tmp_path / "out"
    arguments = ["run", str(study_file), "--scale", "one", "-o", str(out_folder), "--workers", "1", "--threads", "1"]
    code, out, err = run_cli(capsys, *arguments, "-q")
    assert code == 0, err
    assert "2 runs: 2 finished" in out
    assert f"runs: {out_folder}/runs, what they printed: {out_folder}/logs" in out
    assert f"next: segbench report {out_folder}" in out
    code, out, err = run_cli(capsys, *arguments, "-q")
    assert code == 0
    assert "nothing to train" in err
    wrong = (
        "vary.rate={low: {optimizer.lr: 1.0e-3}, wrong: {network: {name: unet, widths: [8], deep_supervision: true}}}"
    )
    code, out, err = run_cli(capsys, *arguments, "--set", wrong)
    assert code == 1
    assert "4 runs: 2 finished, 2 failed" in out
    assert "failed: dice__wrong__seed0, bce__wrong__seed0: network.deep_supervision: deep_supervision needs" in out
    assert "failed: dice__wrong__seed0: network.deep_supervision" in err
    assert "the same command tries again what is not finished" in out
    code, out, _ = run_cli(capsys, "status", str(out_folder))
    assert code == 0
    assert "4 runs: 2 finished, 2 failed" in out


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("epochs=5", ("base", "epochs"), 5),
        ("base.epochs=5", ("base", "epochs"), 5),
        ("optimizer.weight_decay=0.5", ("base", "optimizer", "weight_decay"), 0.5),
        ("score=dice_per_image", ("score",), "dice_per_image"),
        ("vary.loss=[dice]", ("vary", "loss"), ["dice"]),
        ("vary.network.widths={a: [4, 8]}", ("vary", "network.widths"), {"a": [4, 8]}),
        ("output=elsewhere", ("output",), "elsewhere"),
    ],
)
def test_set_means_the_study_or_all_runs(study_file: Path, override: str, key: tuple[str, ...], value: object) -> None:
    found = load_with_overrides(study_file, overrides=[override]).to_dict()
    for part in key:
        found = found[part]
    assert found == value


@pytest.mark.parametrize("override", ["loss=jaccard", "loss.dice=0.5", "optimizer.lr=1", "base.optimizer.lr=1"])
def test_setting_what_varies_is_refused(study_file: Path, override: str) -> None:
    factor = "loss" if "loss" in override else "rate"
    message = rf"varies in this study \({factor}\), so setting it for all runs changes nothing; set vary\.{factor}"
    with pytest.raises(ConfigError, match=message):
        load_with_overrides(study_file, overrides=[override])


def test_data_and_out_replace_what_the_file_says(study_file: Path, tmp_path: Path) -> None:
    study = load_with_overrides(study_file, scale="one", data=tmp_path / "more", out=tmp_path / "there")
    assert study.base["data"] == {"path": str(tmp_path / "more"), "size": 32}
    assert study.study_folder == tmp_path / "there"
    assert study.base["epochs"] == 1
    short = tmp_path / "short.yaml"
    short.write_text("study: short\nbase: {data: somewhere}\nvary: {seed: [0, 1]}\n")
    assert load_with_overrides(short, data=tmp_path / "more").base["data"] == {"path": str(tmp_path / "more")}


def test_errors_are_one_sentence(study_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run_cli(capsys, "run", str(study_file), "--scale", "two")
    assert (code, "there is no scale 'two'" in err) == (2, True)
    code, _, err = run_cli(capsys, "status", str(tmp_path / "nowhere"))
    assert code == 2
    assert err == f"error: STUDY: expected a study folder or a study (.yaml), and {tmp_path}/nowhere is neither\n"
    code, _, err = run_cli(capsys, "status", str(tmp_path))
    assert code == 1
    assert "this is no study folder: there is no study.yaml in it" in err


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_ctrl_c_stops_everything_with_a_sentence(binary_pairs: Path, tmp_path: Path) -> None:
    file = tmp_path / "long.yaml"
    file.write_text(STUDY.format(data=binary_pairs, epochs=5000))
    folder = StudyFolder(tmp_path / "out")
    process = start_segbench("study", "run", str(file), "-o", str(tmp_path / "out"), "--workers", "2")
    deadline = time.monotonic() + 90
    first = folder.run("dice__low__seed0")
    while len(first.read_history()) < 2:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all its processes
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "error: interrupted; what is finished is kept, the same command goes on from there" in err
    assert "Traceback" not in err + out
    assert not first.is_locked()
    assert json.loads(folder.plan_file.read_text())["engine"] == "local"
    assert {item.state for item in folder.status()} <= {"stopped", "waiting"}
