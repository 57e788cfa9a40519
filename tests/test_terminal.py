"""What is printed for a person: broken between words on a terminal, whole in a pipe, coloured where that is wanted."""

from __future__ import annotations

import io

import pytest

from segbench.cli import _common, report
from segbench.terminal import Terminal, wrapped

LONG = "warning: 3 masks are empty, which is allowed, but hardly meant where every image should show an object"


def printed(text: str, *, terminal: bool, width: int = 40) -> str:
    stream = io.StringIO()
    Terminal(file=stream, force_terminal=terminal, width=width, color_system="standard" if terminal else None).print(
        text
    )
    return stream.getvalue()


def test_a_pipe_gets_whole_lines_without_colours() -> None:
    assert printed(LONG, terminal=False) == LONG + "\n"


def test_a_terminal_gets_lines_broken_between_words_in_the_colour_of_the_first() -> None:
    lines = printed(LONG, terminal=True).splitlines()
    assert len(lines) == 3
    assert all(line.startswith("\x1b[33m") and line.endswith("\x1b[0m") for line in lines)
    assert " ".join(line[5:-4] for line in lines) == LONG
    assert all(len(line[5:-4]) <= 40 for line in lines)
    assert printed("error: no", terminal=True) == "\x1b[31merror: no\x1b[0m\n"
    assert printed("errors are 3", terminal=True) == "errors are 3\n"


def test_what_stands_below_a_warning_has_no_colour() -> None:
    assert (
        printed("error: it is odd\n\nmask: choose", terminal=True)
        == "\x1b[31merror: it is odd\x1b[0m\n\nmask: choose\n"
    )


def test_no_color_leaves_colours_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert printed("error: no", terminal=True) == "error: no\n"


def test_lines_keep_their_indent_and_long_words_stay_whole() -> None:
    path = "/a/very/long/path/that/is/copied/from/the/screen"
    assert wrapped(f"    what was found lies in {path} now", 30).splitlines() == [
        "    what was found lies in",
        f"    {path}",
        "    now",
    ]
    assert wrapped("short\n  and short", 30) == "short\n  and short"


def table(monkeypatch: pytest.MonkeyPatch, *, terminal: bool, width: int) -> list[str]:
    stream = io.StringIO()
    monkeypatch.setattr(_common, "console", Terminal(file=stream, force_terminal=terminal, width=width, no_color=True))
    monkeypatch.setenv("NO_COLOR", "1")
    header = ["class", "what it is seen as", "IoU", "recall"]
    rows = [["road", "grey and rather flat in every picture", "0.9123", "0.9000"], ["car", "", "–", "0.1000"]]
    _common.print_table(header, rows)
    return [line.replace("\x1b[1m", "").replace("\x1b[0m", "").rstrip() for line in stream.getvalue().splitlines()]


def test_a_table_in_a_pipe_has_a_line_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    assert table(monkeypatch, terminal=False, width=20) == [
        "class  what it is seen as                        IoU  recall",
        "road   grey and rather flat in every picture  0.9123  0.9000",
        "car                                                –  0.1000",
    ]


def test_a_table_on_a_terminal_fits_it(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = table(monkeypatch, terminal=True, width=46)
    assert max(map(len, lines)) <= 46
    assert len(lines) > 3
    assert "0.9123" in lines[1]
    narrow = table(monkeypatch, terminal=True, width=24)
    assert max(map(len, narrow)) <= 24
    assert narrow[0] == "road"
    assert "    IoU\u00a00.9123," in narrow


@pytest.mark.parametrize("width", [80, 200])
def test_a_narrow_terminal_has_the_costs_in_a_table_of_their_own(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    shown = Terminal(file=stream, force_terminal=True, width=width, no_color=True)
    for module in (_common, report):
        monkeypatch.setattr(module, "console", shown)
    header = ["  entry", "seeds", "mean", "interval", "seed SD", "ranks", "training", "images/s", "parameters"]
    report.print_results(header, [["* unet | dice", "3", "0.862", "[0.816, 0.905]", "0.004", "1", "101 s", "137", "9"]])
    lines = [line.replace("\x1b[1m", "").replace("\x1b[0m", "").rstrip() for line in stream.getvalue().splitlines()]
    assert any("[0.816, 0.905]" in line for line in lines)
    assert sum("* unet | dice" in line for line in lines) == (2 if width == 80 else 1)
    assert max(map(len, lines)) <= width
