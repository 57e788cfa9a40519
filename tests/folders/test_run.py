"""Run folders and atomic files."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from segbench.config.run import parse_config
from segbench.errors import RunError
from segbench.files import replacing, write_json
from segbench.folders.run import RunFolder, different_settings
from segbench.speech import Speech, speaking


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


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no flock")
def test_two_processes_cannot_train_into_one_folder(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    code = (
        "import sys, pathlib; from segbench.folders.run import RunFolder\n"
        "with RunFolder(pathlib.Path(sys.argv[1])).locked(): pass\n"
    )
    command = [sys.executable, "-c", code, str(folder.path)]
    with folder.locked():
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "another process is training into this folder" in done.stderr
    assert subprocess.run(command, check=False).returncode == 0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("epoch,a\n1,0.5\n2,abc\n", "line 3 (could not convert string to float: 'abc')"),
        ("epoch,a\n1\n", "line 2 (zip() argument 2 is shorter"),
        ("epoch,a\n1,2,3\n", "line 2 (zip() argument 2 is longer"),
        ("epoch,a\n1,\x00\n", "line "),
    ],
)
def test_a_damaged_table_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    folder = RunFolder(tmp_path)
    folder.metrics_file.write_text(text)
    with pytest.raises(RunError) as caught:
        folder.read_history()
    assert f"{tmp_path}: metrics.csv is damaged in {told}" in str(caught.value)
    assert "it writes the file anew from last.pt" in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no flock")
def test_whether_a_colleagues_run_is_going_can_be_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder(tmp_path)
    with folder.locked():
        pass
    opened: list[str] = []
    whole = Path.open

    def watched(path: Path, mode: str = "r", *rest: Any, **more: Any) -> Any:
        opened.append(mode)
        return whole(path, mode, *rest, **more)

    monkeypatch.setattr(Path, "open", watched)
    assert not folder.is_locked()
    assert opened == ["r"], "write permission was asked for"


def test_settings_that_decide_nothing_do_not_differ() -> None:
    plain: dict[str, Any] = {"data": {"path": "a", "split": {"seed": 1}}, "epochs": 3, "output": "here"}
    there = parse_config(plain)
    now = parse_config({**plain, "data": {"path": "b", "cache_dir": "c"}, "epochs": 4, "output": "there"})
    assert different_settings(there, now, same_samples=True) == ["epochs: 3 there, 4 now"]
    assert different_settings(there, now, same_samples=False)[0] == "data.path: 'a' there, 'b' now"
    assert len(different_settings(there, now, same_samples=False)) == 3


@pytest.mark.parametrize(("words", "told"), [("python", "with restart=True"), ("shell", "with --restart")])
def test_what_to_do_is_said_in_the_words_of_who_asks(words: Speech, told: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    with speaking(words), pytest.raises(RunError, match=told):
        RunFolder(tmp_path).class_map()
    by = {"python": "`segbench.fit`", "shell": "`segbench train`"}[words]
    with speaking(words), pytest.raises(RunError, match=f"give a folder that {by} wrote"):
        RunFolder(tmp_path / "nothing").read_config()
