"""The numbers of a report as a table for other programs."""

from __future__ import annotations

import math
from pathlib import Path

from segbench.files import write_csv
from segbench.report.analysis import Analysis
from segbench.report.sections.results import other_scores

_COSTS = ("training_s", "images_per_s", "parameters", "flops", "peak_memory_mb")


def write_results(path: str | Path, analysis: Analysis) -> None:
    """Writes one row an entry, the best mean first; an empty cell is no value.

    Columns: rank, entry, a column a factor, score, n_images, n_seeds, mean with its interval, seed_sd (of the means of
    its seeds, as on the page), used_seed_sd (of the intervals), may_be_best (0 or 1), rank_low and rank_high (the ranks
    that it may have), collapsed (trainings that predict one class only), costs, then every score as the plain mean over
    runs.
    """
    evidence, verdict = analysis.evidence, analysis.verdict
    factors = list(dict.fromkeys(factor for entry in evidence.entries for factor in entry.factors))
    scores = other_scores(analysis)
    header = ["rank", "entry", *(f"factor.{factor}" for factor in factors), "score", "n_images", "n_seeds"]
    header += ["mean", "low", "high", "seed_sd", "used_seed_sd", "may_be_best", "rank_low", "rank_high", "collapsed"]
    header += [*_COSTS, *(f"mean.{name}" for name in scores)]
    rows = []
    for number, standing in enumerate(verdict.entries, start=1):
        entry = evidence.entries[standing.index]
        numbers = [standing.mean.value, standing.mean.low, standing.mean.high]
        numbers += [standing.seed_spread, standing.used_seed_sd]
        row: list[object] = [number, entry.name, *(entry.factors.get(factor, "") for factor in factors)]
        row += [evidence.score, verdict.n_images, standing.seeds if entry.runs else 0, *map(_cell, numbers)]
        row += [int(standing.index in verdict.may_be_best), *verdict.ranks[standing.index], standing.failures[0]]
        row += [_cell(float(getattr(entry.costs, cost))) for cost in _COSTS]
        row += [_cell(values[standing.index]) for values in scores.values()]
        rows.append(row)
    write_csv(path, header, rows)


def _cell(value: float) -> str:
    return "" if math.isnan(value) else repr(float(value))
