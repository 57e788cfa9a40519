"""What the entries of a study have reached so far: means of their finished runs. No verdict, and no look at one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segbench.compare.common_images import groups_of
from segbench.compare.image_scores import FloatArray, check_score, read_image_scores
from segbench.data.manifest.manifest import Manifest
from segbench.errors import RunError
from segbench.folders.study import RunStatus, StudyFolder
from segbench.metrics.families import label_of
from segbench.statistics.differences import Estimate, contrast


@dataclass(frozen=True, kw_only=True)
class EntryMean:
    """Mean score of an entry's finished runs on the test images.

    Attributes:
        entry: name.
        score: what it is of, for people.
        finished, planned: runs.
        mean: with its interval; None where fewer than two images (or groups) have a value.
    """

    entry: str
    score: str
    finished: int
    planned: int
    mean: Estimate | None

    @property
    def is_complete(self) -> bool:
        """Whether all its runs are finished."""
        return self.finished == self.planned

    def cells(self) -> tuple[str, str, str]:
        """Returns how many runs are finished, the mean, and its interval, as people read them."""
        runs = f"{self.finished}/{self.planned}"
        if self.mean is None:
            return runs, "–", "–"
        return runs, f"{self.mean.value:.3f}", f"[{self.mean.low:.3f}, {self.mean.high:.3f}]"

    def line(self) -> str:
        """Returns a line about an entry whose runs are all finished."""
        _, mean, interval = self.cells()
        seeds = f"{self.planned} seeds" if self.planned > 1 else "one seed"
        return f"{self.entry}: {self.score} {mean} {interval} on the test images, {seeds}"


class StudyMeans:
    """Reads every finished run once.

    Args:
        folder: of the study; its files are read when something is asked.
    """

    def __init__(self, folder: StudyFolder) -> None:
        self.folder = folder
        self._scores: dict[str, tuple[tuple[str, ...], FloatArray]] = {}
        self._manifest: Manifest | None = None

    def of(self, statuses: Sequence[RunStatus]) -> list[EntryMean]:
        """Returns the entries with a finished run, in the order of the plan.

        Runs whose files are damaged are left out: `damage_lines` tells of them.
        """
        planned: dict[str, list[RunStatus]] = {}
        for status in statuses:
            planned.setdefault(status.run.entry, []).append(status)
        score = self.folder.read_config().score
        found = []
        for entry, members in planned.items():
            read = [self._read(status, score) for status in members if status.state == "finished"]
            kept = [each for each in read if each is not None]
            if kept:
                found.append(
                    EntryMean(
                        entry=entry,
                        score=label_of(check_score(score)[0]),
                        finished=len(kept),
                        planned=len(members),
                        mean=self._mean(kept),
                    )
                )
        return found

    def _read(self, status: RunStatus, score: str) -> tuple[tuple[str, ...], FloatArray] | None:
        run_id = status.run.id
        if run_id not in self._scores:
            try:
                scores = read_image_scores(self.folder.run(run_id), "test", score)
            except RunError:
                return None
            self._scores[run_id] = scores.ids, scores.values
        return self._scores[run_id]

    def _mean(self, runs: Sequence[tuple[tuple[str, ...], FloatArray]]) -> Estimate | None:
        ids = runs[0][0]
        places = [{name: place for place, name in enumerate(names)} for names, _ in runs]
        table = np.stack(
            [values[[place[name] for name in ids]] for place, (_, values) in zip(places, runs, strict=True)]
        )
        valued = ~np.isnan(table).any(axis=0)
        if self._manifest is None:
            self._manifest = Manifest.read(self.folder.manifest_file)
        groups = groups_of([name for name, kept in zip(ids, valued, strict=True) if kept], self._manifest.samples)
        units = len(set(groups)) if groups is not None else int(valued.sum())
        return None if units < 2 else contrast([table[:, valued]], [1.0], groups=groups)
