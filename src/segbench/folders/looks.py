"""Every verdict about a study, one line each in `looks.jsonl`: when, by which score, on which seeds, at which level.

Whoever adds seeds and looks again until somebody wins is wrong more often than 5 %, so looks are counted. A look at the
same evidence again is no new look. Lines are chained by their hashes, so that one that is taken out or changed shows.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from segbench.files import locked, write_text
from segbench.locale import Message, listed, message, plural, quoted


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What a verdict is about to be given on.

    Attributes:
        score: that decides.
        size: at which predictions were compared: `training` or `original`.
        entries: name -> seeds.
        images: how many.
        runs: run id -> SHA-256 of its counts, the first 16 digits.
        hash: SHA-256 over the scores of all images of all runs, with names and seeds.
        exploratory: why it is not the verdict that the study was made for; empty where it is.
    """

    score: str
    size: str
    entries: Mapping[str, tuple[int, ...]]
    images: int
    runs: Mapping[str, str]
    hash: str
    exploratory: str = ""


def take_look(file: Path, judged: Judged, level: Callable[[int], float]) -> tuple[int | None, list[Message]]:
    """Notes a verdict, and returns which look at the study it is, from 1, with what a reader must know.

    Safe with several processes: the file is locked, and written whole or not at all.

    Args:
        file: `looks.jsonl` of the study.
        judged: what is judged.
        level: number of a look -> level at which it decides.
    Returns:
        The number; None: an exploratory verdict, which is noted and not counted. And sentences: lines that were edited
        or cannot be read, runs that are not those of an earlier look, or that nothing could be written.
    """
    try:
        with locked(file.with_name(f".{file.name}.lock")):
            lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
            number, line, told = _next(lines, judged, level)
            if line is not None:
                write_text(file, "".join(f"{each}\n" for each in [*lines, line]))
        return number, told
    except OSError as error:
        number, _, told = _next(_lines_of(file), judged, level)
        unwritten = message(
            "this verdict could not be noted in {file} ({why}), so that a later one will not count it",
            file=file.name,
            why=quoted(str(error)),
        )
        return number, [*told, unwritten]


def _lines_of(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except OSError:  # not there, or not to be read; the caller is told that nothing was noted
        return []


def _next(
    lines: list[str], judged: Judged, level: Callable[[int], float]
) -> tuple[int | None, str | None, list[Message]]:
    """Returns the number of the look, the line to add (None: it is there already), and what is wrong with the lines."""
    known, told = _parse(lines)
    counted = list(dict.fromkeys(each["hash"] for each in known if not each["exploratory"]))
    told += _changed_runs(known, judged)
    if judged.exploratory:
        number = None
        there = any(each["hash"] == judged.hash and each["score"] == judged.score for each in known)
    else:
        there = judged.hash in counted
        number = counted.index(judged.hash) + 1 if there else len(counted) + 1
    if there:
        return number, None, told
    record = {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "look": number,
        "level": None if number is None else level(number),
        **asdict(judged),
        "previous": _digest(lines[-1]) if lines else "",
    }
    return number, json.dumps(record, ensure_ascii=False), told


def _parse(lines: list[str]) -> tuple[list[dict[str, Any]], list[Message]]:
    """Returns the looks, and what is wrong; a line that cannot be read counts as a look, lest it be taken out so."""
    known: list[dict[str, Any]] = []
    broken = 0
    before = ""
    for number, line in enumerate(lines):
        try:
            record = json.loads(line)
            known.append({key: record[key] for key in ("hash", "exploratory", "score", "size", "runs", "time")})
            broken += record["previous"] != before
        except (ValueError, KeyError, TypeError):
            known.append({"hash": f"line {number}", "exploratory": "", "score": "", "size": "", "runs": {}, "time": ""})
            broken += 1
        before = _digest(line)
    if not broken:
        return known, []
    return known, [
        plural(
            "looks.jsonl, which counts the verdicts about this study, was edited: {n} line does not follow from the "
            "one before it; put it back from where you keep copies",
            "looks.jsonl, which counts the verdicts about this study, was edited: {n} lines do not follow from the "
            "ones before them; put it back from where you keep copies",
            n=broken,
        )
    ]


def _changed_runs(known: list[dict[str, Any]], judged: Judged) -> list[Message]:
    """Returns which runs of an earlier look at the same size have other counts now, or are gone."""
    earlier: dict[str, tuple[str, str]] = {}
    for each in known:
        if each["size"] == judged.size:
            earlier |= {run: (digest, str(each["time"])[:10]) for run, digest in each["runs"].items()}
    gone = [f"{run} ({date})" for run, (_, date) in earlier.items() if run not in judged.runs]
    other = [f"{run} ({date})" for run, (digest, date) in earlier.items() if judged.runs.get(run, digest) != digest]
    told = []
    if gone:
        told.append(message("judged earlier, and gone or not finished now: {runs}", runs=listed(gone, 4)))
    if other:
        told.append(
            message(
                "judged earlier, and trained or scored again since, with other results: {runs}", runs=listed(other, 4)
            )
        )
    return told


def _digest(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()[:16]
