"""The teacher's page: what students handed in becomes a leaderboard with a verdict, as the page says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests._processes import run_segbench

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "howto" / "class_room.md").read_text(encoding="utf-8")


def _hand_in(folder: Path) -> None:
    """Writes 20 true masks, and those of two students with three seeds: anna is off by 1 or 2 rows, boris by more."""
    rng = np.random.default_rng(0)
    for image in range(20):
        true = np.zeros((40, 40), np.uint8)
        top = int(rng.integers(4, 12))
        true[top : top + 16, 8:28] = 255
        written = {"truth": true}
        for seed in range(3):
            written[f"handed_in/anna/{seed}"] = np.roll(true, int(rng.integers(1, 3)), axis=0)
            written[f"handed_in/boris/{seed}"] = np.roll(true, int(rng.integers(4, 9)), axis=0)
        for place, mask in written.items():
            (folder / place).mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(folder / place / f"lesion_{image:02}.png")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def _score(folder: Path) -> subprocess.CompletedProcess[str]:
    (script,) = _blocks("python")
    return subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=False)


def test_what_was_handed_in_becomes_a_leaderboard(tmp_path: Path) -> None:
    _hand_in(tmp_path)
    scored = _score(tmp_path)
    assert scored.returncode == 0, scored.stderr
    command = _blocks("sh")[0]
    done = run_segbench(*command.split()[1:], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "anna" in done.stdout.splitlines()[0]
    assert re.search(r"anna minus boris: .* shown\.", done.stdout)


@pytest.mark.parametrize("fault", ["missing", "size", "values"])
def test_a_wrong_mask_stops_it(tmp_path: Path, fault: str) -> None:
    _hand_in(tmp_path)
    wrong = tmp_path / "handed_in" / "anna" / "0" / "lesion_07.png"
    if fault == "missing":
        wrong.unlink()
    else:
        Image.fromarray(np.zeros((20, 40), np.uint8) if fault == "size" else np.full((40, 40), 7, np.uint8)).save(wrong)
    scored = _score(tmp_path)
    assert scored.returncode != 0
    assert ("the mask holds 7" if fault == "values" else "lesion_07") in scored.stderr
