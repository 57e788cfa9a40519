"""Whether a call of `predict_files` has anything left to do, told from what the last one noted, without model or torch.

To build a network takes seconds, which a command that finds everything done should not take.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segbench.errors import SegbenchError
from segbench.predict.found import Job, find_images
from segbench.predict.journal import read_journal


@dataclass(frozen=True)
class PredictedFiles:
    """What became of the images.

    Attributes:
        written: names of the predicted images.
        failed: path (of a stack from its second page on, with the page) -> why; also of what cannot be looked at.
        areas_file: the table.
        kept: how many of those written were there from before, see `predict_files`.
        idle_frac: share of the time in which the network waited for images, 0-1; NaN where it had nothing to do.
        twice: how many files were given more than once; each is segmented once.
    """

    written: tuple[str, ...]
    failed: dict[str, str]
    areas_file: Path
    kept: int = 0
    idle_frac: float = math.nan
    twice: int = 0


def end_facts(asked: str, jobs: Sequence[Job], *, pages: bool) -> dict[str, Any]:
    """Returns what a call notes at its end for `nothing_left`.

    Args:
        asked: hash of all that decides the results but the images, see `Recipe.asked`.
        jobs: all images.
        pages: see `Found.jobs`.
    """
    named = json.dumps([[job.name, str(job.below), job.page] for job in jobs])
    return {"asked": asked, "pages": pages, "images": hashlib.sha256(named.encode()).hexdigest()}


def nothing_left(asked: str, paths: Sequence[str | Path], out: Path) -> PredictedFiles | None:
    """Returns what the same call wrote before, where it came to its end and all of that is there; else None.

    Raises:
        PredictionError: see `find_images`.
    """
    noted = read_journal(out)
    if noted.end is None or not asked:
        return None
    found = find_images(paths, out)
    if found.failed:
        return None
    pages = bool(noted.end.get("pages"))
    jobs = found.jobs(pages=pages)
    facts = end_facts(asked, jobs, pages=pages)
    if {key: noted.end.get(key) for key in facts} != facts or not noted.has(noted.end.get("files", [])):
        return None
    try:
        if any(noted.row_of(job.name, job.path) is None for job in jobs):
            return None
    except SegbenchError:  # a file that is gone meanwhile
        return None
    return PredictedFiles(tuple(job.name for job in jobs), {}, out / "areas.csv", kept=len(jobs), twice=found.twice)
