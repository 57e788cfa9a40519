"""Lessons are listed and written; a student's own changes are not written over."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from segbench.cli.main import main


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["course", *words])
    return int(str(ended.value.code)), *capsys.readouterr()


def test_a_lesson_is_listed_written_and_kept(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    names = [line.split()[0] for line in run(capsys)[1].splitlines()[1:]]
    assert "lecture" in names
    for name in names:
        assert run(capsys, name, "-o", str(tmp_path / "mine"))[0] == 0
    written = sorted((tmp_path / "mine").iterdir())
    assert len(written) == len(names)
    for path in written:
        ast.parse(path.read_text())
    written[0].write_text("my own")
    code, _, err = run(capsys, names[0], "-o", str(tmp_path / "mine"))
    assert code == 2
    assert "your changes" in err
    assert written[0].read_text() == "my own"


def test_a_lesson_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "lectures")
    assert code == 2
    assert "did you mean 'lecture'" in err
