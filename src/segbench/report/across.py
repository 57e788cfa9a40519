"""Figures beside a verdict on a table of scores, or over data sets: what `segbench compare --figures` writes."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from segbench.compare.table_verdict import TableComparison
from segbench.files import write_text
from segbench.plots.ranking import critical_difference_diagram, significance_map
from segbench.statistics.datasets import DatasetsView
from segbench.statistics.verdict import Verdict


def write_figures(folder: str | Path, comparison: TableComparison) -> list[Path]:
    """Writes significance_map.svg, and over five data sets or more critical_difference.svg; returns their paths.

    Over several data sets the map shows the pairs that differ on other sets of the kind after Holm's correction; of one
    set those that its verdict tells apart.
    """
    folder = Path(folder)
    across = comparison.across
    figures: dict[str, Figure] = {}
    if across is None:
        verdict = comparison.verdict
        order = [standing.index for standing in verdict.entries]
        figures["significance_map"] = significance_map(
            [verdict.names[index] for index in order],
            pairs_of_verdict(verdict)[np.ix_(order, order)],
            title=f"{comparison.score}: all pairs, after Holm's correction",
        )
    else:
        names = [across.names[index] for index in across.order]
        figures["significance_map"] = significance_map(
            names,
            pairs_across(across)[np.ix_(across.order, across.order)],
            title=f"{comparison.score} over {len(across.datasets)} data sets: all pairs, after Holm's correction",
        )
        if not math.isnan(across.critical_difference):
            figures["critical_difference"] = critical_difference_diagram(
                names,
                across.mean_ranks[list(across.order)],
                across.critical_difference,
                title=f"{comparison.score}: mean ranks over {len(across.datasets)} data sets",
            )
    return [_write(folder / f"{name}.svg", figure) for name, figure in figures.items()]


def pairs_of_verdict(verdict: Verdict) -> npt.NDArray[np.int64]:
    """Returns (K, K): 1 where the entry of the row was shown to be better than that of the column, -1 worse, 0 neither.

    Entries are in the order they were given.
    """
    return _table(
        len(verdict.names),
        [(pair.first, pair.second, pair.better) for pair in verdict.pairs if pair.better is not None],
    )


def pairs_across(view: DatasetsView) -> npt.NDArray[np.int64]:
    """Returns the same of pairs that differ over data sets, with Holm's correction, for other sets of the kind."""
    found = []
    for pair in view.pairs:
        if pair.p_holm <= 1 - view.level:
            first_is_better = (pair.elsewhere.value > 0) == view.higher_is_better
            found.append((pair.first, pair.second, pair.first if first_is_better else pair.second))
    return _table(len(view.names), found)


def _table(count: int, found: Sequence[tuple[int, int, int | None]]) -> npt.NDArray[np.int64]:
    table = np.zeros((count, count), np.int64)
    for first, second, better in found:
        table[first, second] = 1 if better == first else -1
        table[second, first] = -table[first, second]
    return table


def _write(path: Path, figure: Figure) -> Path:
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    write_text(path, stream.getvalue())
    return path
