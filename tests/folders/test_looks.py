"""Every verdict is noted once, counted, and kept whole: with several processes, and where somebody edits the file."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from segbench.folders.looks import Judged, take_look


def judged(evidence: str, *, score: str = "iou_per_image", exploratory: str = "", **runs: str) -> Judged:
    return Judged(
        score=score,
        size="training",
        entries={"a": (0, 1), "b": (0, 1)},
        images=20,
        runs=runs or {"a__seed0": "11"},
        hash=evidence,
        exploratory=exploratory,
    )


def level(number: int) -> float:
    return 0.05 / number


def test_the_same_evidence_again_is_no_new_look(tmp_path: Path) -> None:
    file = tmp_path / "looks.jsonl"
    assert [take_look(file, judged(each), level)[0] for each in ("x", "x", "y", "x", "z")] == [1, 1, 2, 1, 3]
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert [(line["look"], line["hash"], line["level"]) for line in lines] == [
        (1, "x", 0.05),
        (2, "y", 0.025),
        (3, "z", 0.05 / 3),
    ]
    assert lines[0]["entries"] == {"a": [0, 1], "b": [0, 1]}
    assert lines[0]["time"].endswith("+00:00")


def test_an_exploratory_verdict_is_noted_and_not_counted(tmp_path: Path) -> None:
    file = tmp_path / "looks.jsonl"
    assert take_look(file, judged("x"), level) == (1, [])
    for _ in range(2):
        assert take_look(file, judged("d", score="dice_per_image", exploratory="another score"), level) == (None, [])
    assert take_look(file, judged("y"), level)[0] == 2
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert [line["exploratory"] for line in lines] == ["", "another score", ""]
    assert lines[1]["level"] is None


def test_lines_that_were_taken_out_changed_or_broken_are_told_and_still_count(tmp_path: Path) -> None:
    file = tmp_path / "looks.jsonl"
    for each in ("x", "y", "z"):
        take_look(file, judged(each), level)
    lines = file.read_text(encoding="utf-8").splitlines()
    told = "looks.jsonl, which counts the verdicts about this study, was edited: 1 line does not follow from the one"
    for edited in (
        [lines[0], lines[2]],
        [lines[0].replace('"x"', '"w"'), lines[1], lines[2]],
        [lines[0], lines[1], "{"],
    ):
        file.write_text("".join(f"{line}\n" for line in edited), encoding="utf-8")
        number, notes = take_look(file, judged("new"), level)
        assert number == len(edited) + 1
        assert notes[0].startswith(told)


def test_runs_that_are_gone_or_have_other_counts_are_told(tmp_path: Path) -> None:
    file = tmp_path / "looks.jsonl"
    take_look(file, judged("x", a__seed0="11", b__seed0="22"), level)
    _, notes = take_look(file, judged("y", a__seed0="33", c__seed0="44"), level)
    assert notes[0].startswith("judged earlier, and gone or not finished now: b__seed0 (")
    assert notes[1].startswith("judged earlier, and trained or scored again since, with other results: a__seed0 (")


def test_where_nothing_can_be_written_the_verdict_is_still_numbered(tmp_path: Path) -> None:
    number, notes = take_look(tmp_path / "not there" / "looks.jsonl", judged("x"), level)
    assert number == 1
    assert notes[0].startswith("this verdict could not be noted in looks.jsonl (")


def test_many_at_once_lose_nothing(tmp_path: Path) -> None:
    file = tmp_path / "looks.jsonl"
    numbers: list[int | None] = []

    def look(evidence: str) -> None:
        numbers.append(take_look(file, judged(evidence), level)[0])

    threads = [threading.Thread(target=look, args=(f"e{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(number or 0 for number in numbers) == list(range(1, 9))
    assert len(file.read_text(encoding="utf-8").splitlines()) == 8
    assert take_look(file, judged("e0"), level)[1] == []
