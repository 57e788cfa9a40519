"""What ties the files of a run together: the SHA-256 of what a verdict rests on, kept beside the scores.

A run writes them into `result.json` once its scores are written, `segbench evaluate` into `evaluation_*.json`. They
tell a file that was changed, swapped or left over from one that belongs to the scores. Whoever writes the record anew,
too, is caught by the masks, which have to give the counts again; see `segbench.compare.verify`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from segbench.errors import RunError
from segbench.folders.run import RunFolder, TableName

KEY = "sha256"
_TABLES: tuple[TableName, ...] = ("counts", "scores", "surfaces")
_SHOWN = 12  # digits of a hash in a sentence


def hash_file(path: Path) -> str:
    """Returns the SHA-256 of a file's bytes, as hexadecimal digits; about 1.7 GB a second on one core of 2023."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def seal(folder: RunFolder, parts: Iterable[str], *, weights: Path | None = None) -> dict[str, str]:
    """Returns file name -> SHA-256 of the weights, and of the counts, scores, outlines and masks of some parts.

    Args:
        folder: where the files lie; what is not there is left out.
        parts: splits or evaluations, such as `test` or `test_original`.
        weights: that the scores were made with; None: not one file (an ensemble).
    """
    files = [
        *([weights] if weights is not None else []),
        *(file for part in parts for file in sealed_files(folder, part)),
    ]
    return {file.name: hash_file(file) for file in files if file.is_file()}


def sealed_files(folder: RunFolder, part: str) -> list[Path]:
    """Returns where the tables and masks of a part lie that its numbers rest on, whether they are there or not."""
    return [*(folder.table_file(kind, part) for kind in _TABLES), folder.predicted_file(part)]


def read_seals(folder: RunFolder, part: str) -> list[Mapping[str, str]]:
    """Returns what was recorded when a part was scored: at the end of the training, and by `segbench evaluate`.

    Runs of an earlier version have no record.

    Raises:
        RunError: a record cannot be read.
    """
    found = [folder.read_result().result.get(KEY)] if folder.is_finished else []
    file = folder.path / f"evaluation_{part}.json"
    if file.is_file():
        try:
            found.append(json.loads(file.read_text(encoding="utf-8")).get(KEY))
        except (OSError, ValueError, AttributeError) as error:
            raise RunError(
                f"{file.name} cannot be read ({error}); delete it, and evaluate again", run=folder.path
            ) from error
    return [each for each in found if isinstance(each, dict) and folder.table_file("counts", part).name in each]


def changed_files(folder: RunFolder, part: str) -> list[str] | None:
    """Returns what is wrong with each file that is not the one that was scored; None where nothing was recorded.

    Raises:
        RunError: a record, or a file, cannot be read.
    """
    seals = read_seals(folder, part)
    if not seals:
        return None
    files = [folder.best_file, *sealed_files(folder, part)]
    try:
        now = {file.name: hash_file(file) for file in files if file.is_file()}
    except OSError as error:
        raise RunError(f"its files cannot be read: {error}", run=folder.path) from error
    told = [_differences(now, each) for each in seals]
    return min(told, key=len)


def _differences(now: Mapping[str, str], recorded: Mapping[str, str]) -> list[str]:
    return [
        f"{name}: expected SHA-256 {recorded[name][:_SHOWN]}, got {found[:_SHOWN]}"
        for name, found in now.items()
        if name in recorded and recorded[name] != found
    ]
