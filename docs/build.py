"""Builds the site into docs/_build: `make docs`, or `python docs/build.py --unrun` to leave the lessons unrun."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILD = HERE / "_build"
LANGUAGES = ("en", "ru")
# Opened over file:// too, where nothing redirects.
FRONT = '<!doctype html><meta charset="utf-8"><title>segbench</title><meta http-equiv="refresh" content="0; url=en/index.html"><a href="en/index.html">segbench</a>\n'  # noqa: E501


def main() -> None:
    """Builds every language, English first: the lessons are run there and not again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--unrun", action="store_true", help="show the lessons without their results")
    parser.add_argument("--lang", choices=LANGUAGES, help="one language only")
    given = parser.parse_args()
    sys.path += [str(HERE), str(HERE.parent / "tools")]
    import make_embedded

    import check_site

    if not given.unrun and not given.lang:
        make_embedded.make(BUILD / "embedded")
    for language in [given.lang] if given.lang else LANGUAGES:
        build(language, run_lessons=not given.unrun)
    if given.lang:
        print(BUILD / given.lang / "index.html", "(links are checked where every language is built)")
        return
    (BUILD / "index.html").write_text(FRONT, encoding="utf-8")
    problems = check_site.problems(BUILD, unbuilt=["embedded"] if given.unrun else [])
    print(*problems, sep="\n")
    if problems:
        sys.exit(1)
    print(f"{BUILD / 'index.html'}: {check_site.summary(BUILD)}")


def build(language: str, *, run_lessons: bool) -> None:
    """Builds the site in one language; a warning is an error.

    Raises:
        SystemExit: Sphinx found something wrong, which it has printed.
    """
    shutil.rmtree(BUILD / language, ignore_errors=True)  # pages that are gone, too
    words = ["-b", "html", "-q", "-W", "--keep-going", "-d", str(BUILD / ".doctrees" / language)]
    settings = ["-D", f"language={language}", "-D", f"plot_gallery={int(run_lessons)}"]
    drawn = {name: value for name, value in os.environ.items() if name != "SEGBENCH_DATA"}  # no real sets
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *words, *settings, str(HERE), str(BUILD / language)],
        env={**drawn, "SEGBENCH_COURSE_STRICT": "1", "MPLBACKEND": "agg"},
    )
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    main()
