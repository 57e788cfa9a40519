"""What the entries of a study have reached so far: means of their finished runs. No verdict, and no look at one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from segbench.compare.common_images import common_images, groups_of
from segbench.compare.image_scores import ImageScores, read_part
from segbench.config.study import StudyConfig
from segbench.data.manifest.manifest import Manifest
from segbench.errors import RunError
from segbench.folders.study import RunStatus, StudyFolder
from segbench.metrics.families import label_of
from segbench.statistics.decide import bounded_means
from segbench.statistics.differences import LEVEL, Estimate
from segbench.statistics.outcome import TOO_FEW_UNITS
from segbench.statistics.variance import prepare, with_larger_seed_variances


@dataclass(frozen=True, kw_only=True)
class EntryMean:
    """Mean score of an entry's finished runs on the test images.

    Attributes:
        entry: name.
        score: what it is of, for people.
        finished, planned: runs.
        mean: with its interval; None where fewer than two images (or groups) have a value.
        has_interval: False where two have: too few for an interval that says anything.
    """

    entry: str
    score: str
    finished: int
    planned: int
    mean: Estimate | None
    has_interval: bool = True

    @property
    def is_complete(self) -> bool:
        """Whether all its runs are finished."""
        return self.finished == self.planned

    def cells(self) -> tuple[str, str, str]:
        """Returns how many runs are finished, the mean, and its interval, as people read them."""
        runs = f"{self.finished}/{self.planned}"
        if self.mean is None:
            return runs, "–", "–"
        interval = f"[{self.mean.low:.3f}, {self.mean.high:.3f}]" if self.has_interval else "–"
        return runs, f"{self.mean.value:.3f}", interval

    def line(self) -> str:
        """Returns a line about an entry whose runs are all finished."""
        _, mean, interval = self.cells()
        seeds = f"{self.planned} seeds" if self.planned > 1 else "one seed"
        shown = f"{mean} {interval}" if self.has_interval else mean
        return f"{self.entry}: {self.score} {shown} on the test images, {seeds}"


class StudyMeans:
    """Reads every finished run once.

    Args:
        folder: of the study; its files are read when something is asked.
    """

    def __init__(self, folder: StudyFolder) -> None:
        self.folder = folder
        self._scores: dict[str, ImageScores] = {}
        self._manifest: Manifest | None = None
        self._units = 0  # images or groups behind the means

    def of(self, statuses: Sequence[RunStatus]) -> list[EntryMean]:
        """Returns the entries with a finished run, in the order of the plan; intervals are those of a verdict now.

        Runs whose files are damaged are left out: `damage_lines` tells of them.

        Args:
            statuses: of all runs of the study, since entries pool how much they vary between seeds.
        """
        planned: dict[str, list[RunStatus]] = {}
        for status in statuses:
            planned.setdefault(status.run.entry, []).append(status)
        config = self.folder.read_config()
        kept: dict[str, list[ImageScores]] = {}
        collapsed: list[int] = []
        for entry, members in planned.items():
            read = [(self._read(each, config.score), each) for each in members if each.state == "finished"]
            scores = [score for score, _ in read if score is not None]
            if scores:
                kept[entry] = scores
                collapsed.append(sum(each.collapsed for score, each in read if score is not None))
        means = self._means(kept, collapsed, config)
        return [
            EntryMean(
                entry=entry,
                score=label_of(config.score),
                finished=len(kept[entry]),
                planned=len(planned[entry]),
                mean=mean,
                has_interval=self._units > TOO_FEW_UNITS,
            )
            for entry, mean in zip(kept, means, strict=True)
        ]

    def _read(self, status: RunStatus, score: str) -> ImageScores | None:
        run_id = status.run.id
        if run_id not in self._scores:
            try:
                self._scores[run_id] = read_part(self.folder.run(run_id), "test", score).pick(score)
            except RunError:
                return None
        return self._scores[run_id]

    def _means(
        self, runs: Mapping[str, Sequence[ImageScores]], collapsed: Sequence[int], config: StudyConfig
    ) -> Sequence[Estimate | None]:
        """Returns the means over the images that a verdict would count; None where there are fewer than two."""
        unknown = [None] * len(runs)
        if not runs:
            return unknown
        if self._manifest is None:
            self._manifest = Manifest.read(self.folder.manifest_file)
        scored = [(entry, each) for entry, members in runs.items() for each in members]
        samples = self._manifest.split("test")
        try:
            common = common_images(
                scored, samples, scored[0][1].definition, [name for name, _ in scored], config.absent
            )
        except RunError:
            return unknown
        groups = groups_of(common.ids, samples)
        self._units = len(set(common.ids if groups is None else groups))
        if self._units < 2:
            return unknown
        rows = iter(common.values)
        values = [np.stack([next(rows) for _ in members]) for members in runs.values()]
        prepared = prepare(values, groups, collapsed=collapsed)
        prepared = replace(prepared, parts=with_larger_seed_variances(prepared.parts))
        return bounded_means(prepared, (common.definition.lowest, common.definition.highest), LEVEL)
