"""The values that rankings by other rules need: empty images counted the other way, and the boundary."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from segbench.compare.common_images import common_images
from segbench.compare.evidence import Evidence
from segbench.compare.image_scores import FloatArray, ImageScores, check_score
from segbench.compare.rankings import Ranking, Rule, rank_entries
from segbench.compare.verify import ScoredRun
from segbench.config.study import AbsentRule
from segbench.metrics.definitions import Definition
from segbench.metrics.families import SCORES

_BOUNDARY = "boundary_iou_per_image"


def rank_by_rules(
    evidence: Evidence,
    every: Sequence[tuple[str, ImageScores]],
    of_run: Sequence[str],
    definition: Definition,
    scored: Sequence[Sequence[ScoredRun]],
) -> tuple[Ranking, ...]:
    """Returns how the entries are ranked by the score and by other rules, as far as these can be told.

    Args:
        evidence: with the values of the score.
        every: where it comes from, and the score, one a run or folder of masks.
        of_run: the name of the entry of each.
        definition: of the score, before any rule.
        scored: the runs of the first entries; the others are masks of other tools, without outlines.
    """
    samples = evidence.manifest.split("test")
    others: dict[Rule, tuple[list[FloatArray], bool]] = {}
    no_truth, measure = every[0][1].no_truth, SCORES[check_score(evidence.score)[0]].measure
    if no_truth.any() and not no_truth.all() and measure.perfect is not None:
        other: AbsentRule = "left_out" if evidence.absent == "perfect" else "perfect"
        rows = common_images(every, samples, definition, of_run, other).values
        others["absent"] = _by_entry(rows, evidence), evidence.higher_is_better
    runs = [item for each in scored for item in each]
    has_outlines = len(scored) == len(evidence.entries) and all(item.every.surfaces is not None for item in runs)
    if has_outlines and not evidence.score.startswith(_BOUNDARY):
        picked = [(str(item.run.path), item.every.pick(_BOUNDARY)) for item in runs]
        rows = common_images(picked, samples, picked[0][1].definition, of_run, evidence.absent).values
        others["boundary"] = _by_entry(rows, evidence), True
    values = [entry.values for entry in evidence.entries]
    return rank_entries(values, higher_is_better=evidence.higher_is_better, others=others)


def _by_entry(rows: Sequence[FloatArray], evidence: Evidence) -> list[FloatArray]:
    """Returns (S, N) an entry; `rows` are of their runs, one after the other."""
    remaining = iter(rows)
    return [np.stack([next(remaining) for _ in entry.values]) for entry in evidence.entries]
