"""The pages of the manual: their commands are run, their outputs and numbers compared."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest
from tests.docs.test_documents import run_all, shape_of

from segbench.data.formats import FORMATS

DOCS = Path(__file__).resolve().parents[2] / "docs"
WALKED = [
    *("start/ten_minutes", "howto/annotation_tools", "howto/few_images", "howto/imbalance", "howto/many_classes"),
    *("howto/remote", "howto/troubleshooting", "explanation/receptive_field"),
]
COMPUTED = [
    *("start/from_other_tools", "howto/few_images", "explanation/metrics_disagree", "explanation/loss_families"),
]


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("page", WALKED)
def test_the_commands_of_a_page_run(page: str, tmp_path: Path) -> None:
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    _write_configs(text, tmp_path)
    commands = _commands(text)
    assert commands
    told = {shape_of(line) for line in run_all(commands, tmp_path).replace("\u2212", "-").splitlines()}
    shown = [line for block in re.findall(r"```text\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    assert [line for line in shown if shape_of(line.replace("\u2212", "-")) not in told] == []


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_ten_lines_of_the_first_page_run(tmp_path: Path) -> None:
    study = (DOCS / "start" / "ten_minutes.md").read_text(encoding="utf-8")
    small = study.replace("size: [96, 128]", "size: 32").replace("steps: 40", "steps: 4")
    assert small != study
    _write_configs(small, tmp_path)
    commands = _commands((DOCS / "index.md").read_text(encoding="utf-8"))
    assert len(commands) == 10
    run_all(commands, tmp_path)
    assert (tmp_path / "try.html").is_file()


def _write_configs(text: str, folder: Path) -> None:
    for name, body in re.findall(r"```yaml\n# (\w+\.yaml)\n(.*?)```", text, re.DOTALL):
        (folder / name).write_text(body, encoding="utf-8")


def _commands(text: str) -> list[str]:
    blocks = re.findall(r"^ *```sh\n(.*?)```", text, re.DOTALL | re.MULTILINE)
    return [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


@pytest.mark.slow
@pytest.mark.parametrize("page", COMPUTED)
def test_the_numbers_of_a_page_are_right(page: str) -> None:
    pytest.importorskip("torch")
    found = doctest.testfile(str(DOCS / f"{page}.md"), module_relative=False, encoding="utf-8")
    assert found.attempted > 3
    assert found.failed == 0


def test_the_table_of_other_tools_says_what_they_compute() -> None:
    text = (DOCS / "start" / "from_other_tools.md").read_text(encoding="utf-8")
    before, _, after = text.partition("| who | IoU")
    rows = after.partition("\n\n")[0].splitlines()[2:]
    told = {number for row in rows for number in re.findall(r"\.\d{4}\b", row)}
    printed = set(re.findall(r"0(\.\d{4})\b", before + after))
    assert told == printed


def test_every_format_that_the_page_of_tools_names_is_read() -> None:
    text = (DOCS / "howto" / "annotation_tools.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| [^|]+ \| [^|]+ \| (`[^|]+) \|$", text, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert len(rows) == 17
    assert named <= set(FORMATS.names())


def test_every_page_of_how_to_and_explanation_stands_in_the_contents() -> None:
    listed = set(re.findall(r"^((?:start|howto|explanation)/\w+)$", (DOCS / "index.md").read_text(), re.MULTILINE))
    there = {
        path.relative_to(DOCS).with_suffix("").as_posix()
        for folder in ("start", "howto", "explanation")
        for path in (DOCS / folder).glob("*.md")
    }
    assert listed == there


def test_the_glossary_is_in_order_and_says_a_word_once() -> None:
    text = (DOCS / "start" / "glossary.md").read_text(encoding="utf-8")
    words = [row.split(" | ")[0].removeprefix("| ") for row in text.splitlines() if row.startswith("| ")][2:]
    assert len(words) >= 80
    assert len(set(words)) == len(words)
    assert words == sorted(words, key=str.lower)
