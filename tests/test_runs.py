"""Run folders and atomic files."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest

from segbench.errors import RunError
from segbench.files import replacing, write_json
from segbench.runs import RunFolder


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("old")

    def write_half() -> None:
        with replacing(file) as temporary:
            temporary.write_text("new")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        write_half()
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_json_has_no_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"x": math.nan, "y": [1.0, math.inf], "z": "ü"})
    assert (tmp_path / "a.json").read_text() == '{\n  "x": null,\n  "y": [\n    1.0,\n    null\n  ],\n  "z": "ü"\n}\n'


def test_history_round_trip(tmp_path: Path) -> None:
    rows = [{"epoch": 1.0, "a": 0.1 + 0.2, "b": math.nan}, {"epoch": 2.0, "a": 1e-300, "b": 5.0, "late": 1.0}]
    folder = RunFolder(tmp_path)
    assert folder.read_history() == []
    folder.write_history(rows)
    back = folder.read_history()
    assert back[0]["a"] == 0.1 + 0.2
    assert math.isnan(back[0]["b"])
    assert math.isnan(back[0]["late"])
    assert back[1] == rows[1]


def test_missing_and_broken_files_are_named(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with pytest.raises(RunError, match=r"this is no run folder: there is no config\.yaml"):
        folder.read_config()
    with pytest.raises(RunError, match=r"there is no run\.json"):
        folder.read_facts()
    with pytest.raises(RunError, match="this run is not finished"):
        folder.read_result()
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(RunError, match=r"run\.json cannot be read"):
        folder.read_facts()
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(RunError, match=r"run\.json should hold a JSON object, found list"):
        folder.read_facts()


def test_test_scorings_are_counted(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.log_test_scoring("2026-01-01T00:00:00+00:00", 3, "end of training") == 1
    assert folder.log_test_scoring("2026-01-02T00:00:00+00:00", 3, "evaluate") == 2
    assert len((tmp_path / "test_log.csv").read_text().splitlines()) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no flock")
def test_two_processes_cannot_train_into_one_folder(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    code = (
        "import sys, pathlib; from segbench.runs import RunFolder\n"
        "with RunFolder(pathlib.Path(sys.argv[1])).locked(): pass\n"
    )
    command = [sys.executable, "-c", code, str(folder.path)]
    with folder.locked():
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "another process is training into this folder" in done.stderr
    assert subprocess.run(command, check=False).returncode == 0
