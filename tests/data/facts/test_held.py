"""What was found lies on disk, and is given back as it was."""

from __future__ import annotations

from pathlib import Path

from segbench.data.facts.held import Held


def _held(folder: Path) -> Held[tuple[int, str]]:
    return Held(folder, list, lambda plain: (plain[0], plain[1]))


def test_values_come_back_in_order(tmp_path: Path) -> None:
    held = _held(tmp_path)
    values = {Path(f"{number}.png"): (number, "x" * number) for number in (3, 1, 2)}
    for path, value in values.items():
        held.put(path, value)
        assert held[path] == value  # also between writes
    assert list(held) == list(values)
    assert held == values
    assert Path("4.png") not in held


def test_a_full_disk_is_no_reason_to_stop(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("where a folder is expected")
    held = _held(blocked / "below")
    held.put(Path("a.png"), (1, "a"))
    assert held[Path("a.png")] == (1, "a")
