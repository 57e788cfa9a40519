"""What the entries of a study have reached so far: means of their finished runs. No verdict, and no look at one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segbench.compare.common_images import common_images, groups_of
from segbench.compare.image_scores import ImageScores, read_part
from segbench.config.study import AbsentRule
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
        self._scores: dict[str, ImageScores] = {}
        self._manifest: Manifest | None = None

    def of(self, statuses: Sequence[RunStatus]) -> list[EntryMean]:
        """Returns the entries with a finished run, in the order of the plan.

        Runs whose files are damaged are left out: `damage_lines` tells of them.
        """
        planned: dict[str, list[RunStatus]] = {}
        for status in statuses:
            planned.setdefault(status.run.entry, []).append(status)
        config, found = self.folder.read_config(), []
        for entry, members in planned.items():
            read = [self._read(status, config.score) for status in members if status.state == "finished"]
            kept = [each for each in read if each is not None]
            if kept:
                found.append(
                    EntryMean(
                        entry=entry,
                        score=label_of(config.score),
                        finished=len(kept),
                        planned=len(members),
                        mean=self._mean(entry, kept, config.absent),
                    )
                )
        return found

    def _read(self, status: RunStatus, score: str) -> ImageScores | None:
        run_id = status.run.id
        if run_id not in self._scores:
            try:
                self._scores[run_id] = read_part(self.folder.run(run_id), "test", score).pick(score)
            except RunError:
                return None
        return self._scores[run_id]

    def _mean(self, entry: str, runs: Sequence[ImageScores], rule: AbsentRule) -> Estimate | None:
        """Returns the mean over the images that a verdict would count; None where there are fewer than two."""
        if self._manifest is None:
            self._manifest = Manifest.read(self.folder.manifest_file)
        scored = [(entry, each) for each in runs]
        samples = self._manifest.split("test")
        try:
            common = common_images(scored, samples, runs[0].definition, [entry] * len(runs), rule)
        except RunError:
            return None
        groups = groups_of(common.ids, samples)
        units = len(set(common.ids if groups is None else groups))
        return None if units < 2 else contrast([np.stack(common.values)], [1.0], groups=groups)
