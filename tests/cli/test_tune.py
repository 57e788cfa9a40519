"""`segbench tune`: what is printed, what comes back, and what the options mean."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from segbench import cli

SEARCH = """\
tune: tiny
base:
  data: {{path: {data}, size: 32}}
  network: {{name: unet_nearest, widths: [8, 16]}}
  epochs: 4
  batch_size: 4
  device: cpu
search:
  optimizer.lr: {{low: 1.0e-3, high: 1.0e-2, log: true}}
  settings: {{exploding: {{optimizer.lr: 100.0, optimizer.name: sgd, loss: bce}}, fine: {{schedule: constant}}}}
seed: 3
output: {output}
"""


@pytest.fixture
def search_file(binary_pairs: Path, tmp_path: Path) -> Path:
    file = tmp_path / "tiny.yaml"
    file.write_text(SEARCH.format(data=binary_pairs, output=tmp_path / "out"))
    return file


def run_cli(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Returns exit code, standard output and standard error of a command run in this process."""
    with pytest.raises(SystemExit) as end:
        cli.main(["tune", *arguments])
    captured = capsys.readouterr()
    return int(end.value.code or 0), captured.out, captured.err


@pytest.mark.slow
def test_help_has_an_example_and_imports_no_torch() -> None:
    code = (
        "import sys\nfrom segbench.cli import main\n"
        "try:\n    main(['tune', '--help'])\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "assert not {'torch', 'optuna', 'ray'} & set(sys.modules), 'something heavy was imported'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Example: segbench tune search.yaml" in " ".join(done.stdout.split())


@pytest.mark.slow
def test_it_says_what_was_found_and_what_to_do_next(
    search_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(search_file), "--trials", "4", "--set", "epochs=1", "--set", "random_trials=4"]
    code, out, err = run_cli(capsys, *arguments)
    assert code == 0
    lines = [line for line in err.splitlines() if line.startswith("trial ")]
    assert [line.partition(":")[0] for line in lines] == [f"trial {n} ({n + 1} of 4)" for n in range(4)]
    folder = tmp_path / "out"
    failed = sum(": failed" in line for line in lines)
    assert f"4 trials: {4 - failed} finished, 0 pruned, {failed} failed; all in {folder}/trials.csv" in out
    assert "best: trial " in out
    assert "This score is the best of 4 on one validation part and with one seed, so it is too good" in out
    assert "The test part was not touched." in out
    assert f"segbench train {folder}/best.yaml" in out
    assert f"tuned: {folder}/winner.yaml" in out
    assert "segbench study run STUDY.yaml" in out
    code, again, err = run_cli(capsys, *arguments, "--quiet")
    assert (code, err) == (0, "")
    assert again == out


def test_mistakes_are_told_in_one_line(search_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, text in (
        ([str(tmp_path / "nowhere.yaml")], "cannot read the config"),
        ([str(search_file), "--set", "epochs=x"], "error: --set base.epochs: should be a valid integer"),
        ([str(search_file), "--set", "pruning=mean"], "error: pruning.name: should be 'median' or 'none', got 'mean'"),
        ([str(search_file), "--data", str(tmp_path / "gone")], "data.path does not exist"),
    ):
        code, out, err = run_cli(capsys, *arguments)
        assert code in (1, 2)
        assert out == ""
        assert text in err
        assert len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()
