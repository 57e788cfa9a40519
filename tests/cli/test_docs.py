"""Guides in the terminal, and the names by which help and errors point at them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import typer.main

from segbench.cli.main import app, main
from segbench.errors import ConfigError
from segbench.guides import KINDS, OF_COMMAND, guide, guides, title_of
from segbench.terminal import Terminal

DOCS = Path(__file__).resolve().parents[2] / "docs"


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(words)
    return int(str(ended.value.code)), *capsys.readouterr()


def test_no_name_is_used_twice() -> None:
    files = [path for kind in KINDS for path in (DOCS / kind).glob("*.md")]
    assert len(files) > 30
    assert {path.stem: path for path in files} == guides()
    assert len({path.stem for path in files}) == len(files)


def test_every_command_names_a_guide_that_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    commands = set(vars(typer.main.get_command(app))["commands"])
    assert commands - set(OF_COMMAND) == {"course", "demo", "docs"}
    for command, name in OF_COMMAND.items():
        assert guide(name).is_file()
        assert f"segbench docs {name}" in run(capsys, command, "--help")[1]


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "docs")
    assert code == 0
    for name, path in guides().items():
        assert any(line.startswith(name) and title_of(path) in line for line in out.splitlines())


def test_a_guide_whole_and_its_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "docs", "splits")[1].strip() == (DOCS / "explanation/splits.md").read_text().strip()
    assert run(capsys, "docs", "splits", "--path")[1].strip() == str(DOCS / "explanation" / "splits.md")


def test_a_guide_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "docs", "split")
    assert code == 2
    assert "did you mean 'splits'" in err
    with pytest.raises(ConfigError):
        guide("")


def test_an_error_names_the_guide_to_people_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["segbench", "--no", "train", "nothing.yaml"])
    assert "Guide:" not in run(capsys, "train", "nothing.yaml")[2]
    monkeypatch.setattr(Terminal, "is_terminal", True)
    assert run(capsys, "train", "nothing.yaml")[2].strip().endswith("Guide: segbench docs training")
