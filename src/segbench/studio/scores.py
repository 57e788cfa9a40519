"""How well trainings do on every image of the data set, so that the grid shows where they fail."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segbench.compare.image_scores import read_scores
from segbench.data.manifest.manifest import Manifest
from segbench.errors import SegbenchError
from segbench.folders.run import RunFolder
from segbench.serve.answers import ServeError
from segbench.studio.place import Place
from segbench.types import SplitName

PARTS: tuple[SplitName, ...] = ("train", "val", "test")


def scored_in(place: Place) -> dict[str, list[RunFolder]]:
    """Returns what has scores: in a study approach -> its trainings, else each training by its name."""
    runs = [run for run in place.runs() if any(run.counts_file(part).is_file() for part in PARTS)]
    if place.study is None:
        return {run.path.name: [run] for run in runs}
    entries = {each.id: each.entry for each in place.study.read_plan().runs}
    found: dict[str, list[RunFolder]] = {}
    for run in runs:
        found.setdefault(entries[run.path.name], []).append(run)
    return found


def scores_of(place: Place, manifest: Manifest, name: str) -> NDArray[np.float32]:
    """Returns (N,) IoU of each sample's image (mean over classes and seeds); NaN where it is not known.

    Raises:
        ServeError: 404, nothing of this name has scores.
    """
    runs = scored_in(place).get(name)
    if runs is None:
        raise ServeError(404, f"nothing called {name!r} has scores here", code="unknown_run")
    values = [known for run in runs for known in _values(run)]
    places = {sample.id: at for at, sample in enumerate(manifest.samples)}
    sums, counts = np.zeros(len(manifest)), np.zeros(len(manifest))
    for known in values:
        for sample, value in known.items():
            if sample in places and not np.isnan(value):
                sums[places[sample]] += value
                counts[places[sample]] += 1
    with np.errstate(invalid="ignore"):
        return np.asarray(sums / counts, dtype=np.float32)


def _values(run: RunFolder) -> list[dict[str, float]]:
    files = [(part, run.counts_file(part)) for part in PARTS]
    return [_part(run.path, part, file.stat().st_mtime_ns) for part, file in files if file.is_file()]


@lru_cache(maxsize=128)
def _part(path: Path, part: SplitName, written: int) -> dict[str, float]:
    """Returns sample -> IoU of one part of a run; `written` tells its counts from those that stood there before."""
    try:
        scores = read_scores(RunFolder(path), part)
    except SegbenchError:
        return {}  # the run's own page says that its counts are damaged, or of another epoch
    return dict(zip(scores.ids, scores.image_means("iou").tolist(), strict=True))
