"""Trying a few recipes on a small budget, judged by the validation part alone; killed anywhere, it goes on from there.

::

    <output>-recipes/<fingerprint>/manifest.json     the data, divided: the same for every recipe
    <output>-recipes/<fingerprint>/<recipe>/         run folders, see `segbench.folders.run`; none has test scores

Every recipe is scored at the images' own size, so that recipes of different training sizes are compared fairly, with
the paired statistics of `segbench compare`: one training each, so the intervals speak of the images, not of seeds.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segbench.config.run import RunConfig, ScoresConfig
from segbench.data.manifest.manifest import Manifest
from segbench.doctor.recipe import Suggestion
from segbench.doctor.variants import Variant
from segbench.errors import ConfigError, RunError, SegbenchError, shorten
from segbench.folders.run import RunFolder
from segbench.statistics.arrays import compare_scores
from segbench.statistics.verdict import Verdict
from segbench.train.callback import Callback
from segbench.train.check import check_config
from segbench.train.evaluate import evaluate
from segbench.train.fit import fit
from segbench.train.prepare import read_and_split, reopen

_WIDTH = 106  # of a line of the table


@dataclass(frozen=True)
class Budget:
    """The length of each training: one of the two."""

    steps: int | None = None
    seconds: float | None = None

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Returns the budget of `200` (steps) or `90s` (seconds of training).

        Raises:
            ConfigError: something else.
        """
        found = re.fullmatch(r"(\d+(?:\.\d+)?)( ?s)?", text.strip())
        if found is None or float(found[1]) <= 0 or (found[2] is None and "." in found[1]):
            raise ConfigError(
                f"expected steps of each training (200) or its seconds (90s), got {text!r}", key="--budget"
            )
        return cls(seconds=float(found[1])) if found[2] else cls(steps=int(found[1]))

    def __str__(self) -> str:
        if self.steps is not None:
            return f"{self.steps} step{'s' * (self.steps != 1)}"
        return f"{self.seconds:g} s of training"


@dataclass(frozen=True, kw_only=True)
class Tried:
    """A recipe and what came of it.

    Attributes:
        variant: the recipe.
        scores: (N,) IoU of each validation image at its own size, NaN where it is not defined; None: it failed.
        seconds: of its training.
        reason: why it failed.
    """

    variant: Variant
    scores: NDArray[np.float64] | None = None
    seconds: float = 0.0
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class RecipeSearch:
    """All recipes that were tried.

    Attributes:
        budget: of each.
        tried: in the order of trying.
        finished: those with scores.
        verdict: over them; None where there are too few validation images to say anything.
    """

    budget: Budget
    tried: tuple[Tried, ...]
    verdict: Verdict | None

    @property
    def finished(self) -> tuple[Tried, ...]:
        """Those with scores."""
        return tuple(one for one in self.tried if one.scores is not None)

    @property
    def best(self) -> Tried:
        """The one with the highest mean, the first of equals."""
        return max(self.finished, key=_mean)

    @property
    def told(self) -> str:
        """Returns in one sentence whether the best is better than the others."""
        others = [one for one in self.finished if one is not self.best]
        if not others:
            return "only one recipe finished"
        if self.verdict is None:
            return "with so few validation images nothing can be said about the differences"
        if self.verdict.ahead is not None:
            return f"{self.best.variant.name} scored higher than the others, by more than these images explain"
        equal = [self.verdict.names[index] for index in self.verdict.may_be_best[1:]]
        return f"within noise: {', '.join(equal)} may be as good as {self.best.variant.name}, or better"

    def table(self) -> list[str]:
        """Returns lines of text: score with its 95 % interval, seconds and what was changed; the best first."""
        images = max(int(np.isfinite(one.scores).sum()) for one in self.finished if one.scores is not None)
        head = (
            f"recipes tried with {self.budget} each, judged by the IoU of {images} validation images at their own size:"
        )
        rows = [self._row(one) for one in sorted(self.finished, key=_mean, reverse=True)]
        rows += [f"   failed   {one.variant.name}: {one.reason}" for one in self.tried if one.scores is None]
        said = textwrap.wrap(f"{self.told}; one training each, so another seed may say otherwise", _WIDTH)
        return [head, *map(_cut, rows), *said]

    def _row(self, one: Tried) -> str:
        interval = " " * 16
        if self.verdict is not None:
            mean = next(entry.mean for entry in self.verdict.entries if entry.name == one.variant.name)
            interval = f"[{mean.low:.3f}, {mean.high:.3f}]".ljust(16)
        changed = f": {one.variant.changed}" if one.variant.changed else ""
        return f"   {_mean(one):.4f} {interval} {one.seconds:5.0f} s   {one.variant.name}{changed}"


def try_recipes(
    recipes: Sequence[Variant],
    config_of: Callable[[Sequence[Suggestion]], RunConfig],
    budget: Budget,
    *,
    watch: Callback,
) -> RecipeSearch:
    """Trains each recipe for the budget, and scores it on the validation part; finished ones are not trained again.

    Args:
        recipes: the first is what the others are variants of.
        config_of: makes the complete config of a recipe's lines.
        budget: of each.
        watch: told a line a recipe, and the progress of each training.
    Raises:
        DatasetError: the data cannot be read, or changed since the search was begun.
        RunError: not one recipe finished.
    """
    length = {"epochs": None, "steps": budget.steps, "seconds": budget.seconds}
    configs = [config_of(recipe.lines).model_copy(update=length) for recipe in recipes]
    for config in configs:
        check_config(config)
    first = configs[0]
    folder = first.run_folder.with_name(f"{first.run_folder.name}-recipes") / first.fingerprint()[:8]
    folder.mkdir(parents=True, exist_ok=True)
    with RunFolder(folder).locked():
        manifest = _manifest(first, folder, watch)
        tried: list[Tried] = []
        for number, (recipe, config) in enumerate(zip(recipes, configs, strict=True), start=1):
            name = f"recipe {number} of {len(recipes)}, {recipe.name}"
            watch.message(f"{name}{f' ({recipe.changed})' if recipe.changed else ''}: {budget}")
            place = {"output": str(folder / recipe.name), "name": recipe.name}
            tried.append(_try(recipe, config.model_copy(update=place), folder / "manifest.json", watch))
            watch.message(f"{name}: {tried[-1].reason or f'validation IoU {_mean(tried[-1]):.4f}'}")
    if all(one.scores is None for one in tried):
        reasons = shorten(dict.fromkeys(one.reason for one in tried), 3)
        raise RunError(f"not one of {len(tried)} recipes finished: {reasons}", run=folder)
    groups = [sample.group or sample.id for sample in manifest.split("val")]
    return RecipeSearch(budget=budget, tried=tuple(tried), verdict=judge(tried, groups))


def _manifest(config: RunConfig, folder: Path, watch: Callback) -> Manifest:
    """Returns the data, read and divided once."""
    file = folder / "manifest.json"
    if file.is_file():
        return reopen(file, watch, f"The search in {folder} was begun with other data: undo the change, or remove it")
    manifest = read_and_split(config.data, watch)
    manifest.write(file)
    return manifest


def _try(recipe: Variant, config: RunConfig, manifest: Path, watch: Callback) -> Tried:
    try:
        result = fit(config, watch=_TrialCallback(watch), manifest=manifest, score_test=False)
        scored = evaluate(
            result.run, "val", resolution="original", scores=ScoresConfig(surface=False), watch=_TrialCallback(watch)
        )
    except SegbenchError as error:
        return Tried(variant=recipe, reason=str(error))
    history = RunFolder(Path(result.run)).read_history()
    seconds = math.fsum(row["train_s"] for row in history)
    return Tried(variant=recipe, scores=scored.image_means("iou"), seconds=seconds)


def judge(tried: Sequence[Tried], groups: Sequence[str]) -> Verdict | None:
    """Returns what can be said about the differences; None where that is nothing.

    Args:
        tried: recipes.
        groups: (N,) of the validation images; those of one group count once.
    """
    finished = [one for one in tried if one.scores is not None]
    scores = [np.asarray(one.scores)[None] for one in finished]
    known = np.isfinite(np.concatenate(scores)).all(axis=0) if scores else np.zeros(len(groups), dtype=bool)
    if len(finished) < 2 or len({group for group, is_known in zip(groups, known, strict=True) if is_known}) < 2:
        return None
    return compare_scores(scores, names=[one.variant.name for one in finished], groups=np.asarray(groups), score="IoU")


def _mean(one: Tried) -> float:
    if one.scores is None or not np.isfinite(one.scores).any():
        return -math.inf
    return float(np.nanmean(one.scores))


def _cut(line: str) -> str:
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 4]} ..."


class _TrialCallback(Callback):
    """Shows how far a training is, and keeps its sentences to itself: the search tells a line a recipe."""

    def __init__(self, outer: Callback) -> None:
        self.progress = outer.progress  # type: ignore[method-assign]
        self.started = outer.started  # type: ignore[method-assign]
        self.step = outer.step  # type: ignore[method-assign]
        self.epoch = outer.epoch  # type: ignore[method-assign]
        self.close = outer.close  # type: ignore[method-assign]
