"""What a comparison rests on: entries x seeds x the same test images, with one definition of the score."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from segbench.compare.rankings import Ranking
from segbench.config.study import AbsentRule
from segbench.config.study_plan import display_names
from segbench.data.files.resize import resize_image, resize_mask
from segbench.data.manifest.manifest import Manifest
from segbench.data.sources.load import load_picture
from segbench.folders.run import RunFolder
from segbench.locale import Message, plural
from segbench.metrics.families import label_of
from segbench.statistics.looks import Look
from segbench.types import ClassMap, Sample

FloatArray = npt.NDArray[np.float64]


class Masks(Protocol):
    """Predicted masks of the test images, read one at a time; `segbench.folders.mask_archive.MaskArchive` is one."""

    def __contains__(self, image_id: str) -> bool: ...
    def read(self, image_id: str) -> npt.NDArray[np.uint8]: ...  # noqa: D102


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What an entry costs; NaN where it is not known. Means over its runs.

    Attributes:
        training_s: seconds of all epochs.
        images_per_s: predicted.
        parameters: of the network.
        flops: of one image: two per multiply-add.
        peak_memory_mb: of a training.
    """

    training_s: float = math.nan
    images_per_s: float = math.nan
    parameters: float = math.nan
    flops: float = math.nan
    peak_memory_mb: float = math.nan


@dataclass(frozen=True, kw_only=True, eq=False)
class Entry:
    """One approach in a comparison.

    Attributes:
        name: for people, unique.
        factors: factor -> value name; empty outside studies.
        runs: its run folders, one a seed; empty for masks that another tool made.
        seeds: of the runs; empty likewise.
        values: (S, N) float64 score of every image with every seed; S is 1 for another tool's masks.
        masks: predicted masks, one source a seed; empty where none were kept.
        costs: see `Costs`.
        source: where it comes from, for people.
        collapsed: how many of its runs predict one class only, so that their scores say nothing.
        planned: trainings that were planned for it, finished or not.
        failed: trainings among them that ended in an error, so that they have no score.
    """

    name: str
    factors: Mapping[str, str]
    runs: tuple[RunFolder, ...]
    seeds: tuple[int, ...]
    values: FloatArray = field(repr=False)
    masks: tuple[Masks, ...] = field(repr=False, default=())
    costs: Costs = Costs()
    source: str = ""
    collapsed: int = 0
    planned: int = 0
    failed: int = 0

    @property
    def usable_run(self) -> RunFolder | None:
        """The first run that did not collapse, which predicts something; None where there is none."""
        return next((run for run in self.runs if not run.is_collapsed), None)


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """Entries that may be compared: one test part, one definition, one size.

    Attributes:
        entries: K of them, in the order they were named.
        ids: the N image ids behind the columns of every entry's values.
        groups: the group (patient, scene) of every image; None where the data has no groups.
        folds: the fold of every image, whose scores are of trainings on the other folds; None: a test part.
        score: name of the per-image score.
        definition: of the score, as `Definition.to_dict` gives it.
        manifest: the data, split.
        size: (H, W) at which predictions were compared; None: every image's own size.
        left_out: images that count nowhere here, by their true masks alone: see `absent`.
        times_comparable: runs were timed alone and alike, so that times tell approaches apart.
        constant: (N,) float64 score of every image if the class that is most frequent in the training part were
            predicted everywhere; NaN where it is not known. Empty where nobody asked.
        absent: how images count whose true mask holds none of the score's classes, see `StudyConfig`.
        labels: factor, value, entry or score -> what people call it.
        margin: the smallest difference that matters; None: the default of the score.
        look: which verdict about a study this is; None: no study is judged, or not by what it was made for.
        problems: what stands before a verdict: runs without a result, what was changed after the registration, a
            verdict that is exploratory, files that were edited.
        unjudged: entries of a study that no training was finished of, so that nothing is said about them.
        rankings: how the entries are ranked by the score, and by other rules that somebody may prefer.
        notes: what else a reader must know: budgets that differ, masks that were converted.
    """

    entries: tuple[Entry, ...]
    ids: tuple[str, ...]
    groups: tuple[str, ...] | None
    score: str
    definition: Mapping[str, Any]
    manifest: Manifest = field(repr=False)
    size: tuple[int, int] | None
    left_out: tuple[str, ...] = ()
    times_comparable: bool = True
    constant: FloatArray = field(repr=False, default_factory=lambda: np.empty(0))
    absent: AbsentRule = "perfect"
    labels: Mapping[str, str] = field(default_factory=dict)
    margin: float | None = None
    look: Look | None = None
    problems: tuple[Message, ...] = ()
    folds: tuple[int, ...] | None = None
    unjudged: tuple[str, ...] = ()
    rankings: tuple[Ranking, ...] = ()
    notes: tuple[Message, ...] = ()

    @property
    def class_map(self) -> ClassMap:
        """The classes."""
        return self.manifest.class_map

    @property
    def higher_is_better(self) -> bool:
        """False for distances and errors."""
        return bool(self.definition["better"] == "higher")

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest value that the score can have; infinity where it has no end, such as a distance."""
        low, high = self.definition["range"]
        return -math.inf if low is None else low, math.inf if high is None else high

    @property
    def names(self) -> tuple[str, ...]:
        """What people call the entries, see `display_names`."""
        return tuple(display_names({entry.name: entry.factors for entry in self.entries}, self.labels).values())

    @property
    def factors(self) -> tuple[Mapping[str, str], ...]:
        """What people call the factors and values of every entry."""
        return tuple(
            {self.labels.get(factor, factor): self.labels.get(value, value) for factor, value in entry.factors.items()}
            for entry in self.entries
        )

    @property
    def label(self) -> str:
        """The score in words for people."""
        return self.labels.get(self.score, label_of(self.score))

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The N test samples, in the order of `ids`."""
        return tuple(self._sample_of[image_id] for image_id in self.ids)

    @property
    def collapsed(self) -> tuple[Message, ...]:
        """A sentence for every entry with runs whose scores say nothing about the network."""
        return tuple(
            plural(
                "{n:,} of {total} runs of {name} collapsed: it predicts one class only, so its score says nothing "
                "about the network",
                "{n:,} of {total} runs of {name} collapsed: they predict one class only, so their scores say nothing "
                "about the network",
                n=entry.collapsed,
                total=len(entry.runs),
                name=name,
            )
            for entry, name in zip(self.entries, self.names, strict=True)
            if entry.collapsed
        )

    def load(self, image_id: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Returns image (H, W, 3) uint8 and labels uint8, `ignore_index` included, at the size that was compared."""
        image, target = load_picture(self.manifest, self._sample_of[image_id])
        if self.size is not None:
            image, target = resize_image(image, self.size), resize_mask(target, self.size)
        return image, target

    @cached_property
    def _sample_of(self) -> dict[str, Sample]:
        return {sample.id: sample for sample in self.manifest.samples}

    def seed_means(self, entry: Entry) -> FloatArray:
        """Returns (N,): an entry's score of every image, mean over its seeds."""
        means: FloatArray = entry.values.mean(axis=0)
        return means
