"""The site builds without a warning in every language, and leads nowhere that is not there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

import check_site

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_site_builds(tmp_path: Path) -> None:
    # A copy: tests run side by side, and a build writes beside its sources. Lessons are run by tests/course.
    for name in ("docs", "src", "benchmarks/results", "studies", "tools"):
        ignored = shutil.ignore_patterns("_build", "course" if name == "docs" else "", "__pycache__")
        shutil.copytree(REPOSITORY / name, tmp_path / name, ignore=ignored)
    done = subprocess.run(
        [sys.executable, "docs/build.py", "--unrun"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "src")},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "none broken" in done.stdout
    for language in ("en", "ru"):
        assert (tmp_path / "docs" / "_build" / language / "course" / "lesson_1_lecture.html").is_file()


def site(folder: Path, **pages: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in pages.items():
        (folder / f"{name}.html").write_text(text)
    return folder


def test_a_site_in_order(tmp_path: Path) -> None:
    pages = site(
        tmp_path / "site",
        a='<h1 id="top">one two</h1><a href="b.html#end">x</a><a href="#top">x</a><a href="https://a.org">x</a>',
        b='<p id="end">three</p><script>not words</script><img src="data:image/png;base64,AA==">',
    )
    assert check_site.problems(pages) == []
    assert check_site.summary(pages) == "2 pages, 6 words, 3 links, none broken"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('<a href="c.html">x</a>', "a.html leads to c.html, which is not there"),
        ('<a href="b.html#no">x</a>', "a.html leads to b.html#no, which is not there"),
        ('<a href="#no">x</a>', "a.html leads to #no, which is not there"),
        ('<img src="no.png">', "a.html leads to no.png, which is not there"),
        ('<script src="https://a.org/x.js"></script>', "a.html fetches https://a.org/x.js from elsewhere"),
        ('<link rel="stylesheet" href="//a.org/x.css">', "a.html fetches //a.org/x.css from elsewhere"),
        ('<img src="https://a.org/x.png">', "a.html fetches https://a.org/x.png from elsewhere"),
    ],
)
def test_what_is_wrong_is_told(text: str, told: str, tmp_path: Path) -> None:
    assert check_site.problems(site(tmp_path / "site", a=text, b="<p>b</p>")) == [told]


def test_what_was_left_out_is_not_missed(tmp_path: Path) -> None:
    pages = site(tmp_path / "site", a='<a href="more/x.html">x</a>')
    assert check_site.problems(pages) != []
    assert check_site.problems(pages, unbuilt=["more"]) == []


RUSSIAN = REPOSITORY / "docs" / "locale" / "ru" / "LC_MESSAGES"


@pytest.mark.parametrize("path", sorted(RUSSIAN.rglob("*.po")), ids=lambda path: path.stem)
def test_a_translated_page_is_translated_whole(path: Path) -> None:
    with path.open("rb") as file:
        catalogue = read_po(file, locale="ru")
    assert [each.id for each in catalogue if each.id and (not each.string or each.fuzzy)] == []


def test_the_course_is_translated() -> None:
    lessons = {path.stem for path in (REPOSITORY / "src/segbench/course/lessons").glob("lesson_*.py")}
    assert len(lessons) == 6
    assert {path.stem for path in (RUSSIAN / "course").glob("*.po")} == {*lessons, "index"}
