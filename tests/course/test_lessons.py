"""Every lesson runs as it is, on drawn images, and reaches the numbers that it names."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from segbench.course import tasks

LESSONS = sorted((Path(__file__).resolve().parents[2] / "src/segbench/course/lessons").glob("lesson_*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_runs(lesson: Path, tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "SEGBENCH_DATA"}
    environment |= {
        "SEGBENCH_COURSE_STRICT": "1",
        "MPLBACKEND": "agg",
        "TMPDIR": str(tmp_path),
        "SEGBENCH_CACHE": str(tmp_path / "cache"),
    }
    words = [sys.executable, "-W", "ignore", str(lesson)]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=550)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert "(expected: " in done.stdout


def test_every_task_is_asked_in_a_lesson_and_every_one_asked_is_there() -> None:
    asked = {name for path in LESSONS for name in re.findall(r"course\.check\(\s*\"([^\"]+)\"", path.read_text())}
    assert asked == set(tasks())
