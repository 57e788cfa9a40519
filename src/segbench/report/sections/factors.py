"""The section about what each factor of a study does."""

from __future__ import annotations

import itertools
import math
from functools import partial
from statistics import fmean

from segbench.locale import join, listed, message
from segbench.report.analysis import Analysis
from segbench.report.document import Block, Cell, Folded, Section, Table, bullets, text
from segbench.report.figures import IntervalRow, interval_plot
from segbench.report.pictures import Pictures
from segbench.report.sections.results import score_axis
from segbench.report.summary import name_of
from segbench.report.svg import Sketch


def factors_section(analysis: Analysis, sketch: Sketch, pictures: Pictures) -> Section | None:
    """Returns what each factor does, with a table of every two factors; None outside studies."""
    view = analysis.factors
    if view is None:
        return None
    blocks: list[Block] = [*bullets(view.sentences(analysis.numbers))]
    left_out = [name_of(analysis, place) for place in view.left_out]
    blocks += text(listed(left_out), tone="note")
    blocks += text(
        message(
            "Every interval stands for itself; p is corrected (Holm) for all comparisons of its kind, so "
            "an interval may leave out 0 where p shows no difference."
        ),
        tone="note",
    )
    for effect in view.effects:
        rows = [
            IntervalRow(name=level.level, value=level.mean.value, low=level.mean.low, high=level.mean.high,
                        text=analysis.numbers.interval(level.mean))
            for level in effect.levels
        ]  # fmt: skip
        plot = partial(interval_plot, rows, score_axis(analysis))
        blocks.append(
            sketch.draw(
                plot,
                message("Mean score of every level of {factor}, averaged over everything else", factor=effect.factor),
            )
        )
    varied = [effect.factor for effect in view.effects]
    if len(varied) >= 2:
        blocks += [_heat_map(analysis, first, second) for first, second in itertools.combinations(varied, 2)]
    blocks.append(Folded(title=message("How the numbers were made"), blocks=bullets(view.method)))
    return Section(key="factors", title=message("What each factor does"), blocks=tuple(blocks))


def _heat_map(analysis: Analysis, first: str, second: str) -> Table:
    """Returns the mean of every pair of levels over everything else that varies."""
    factors = analysis.evidence.factors
    rows_of = list(dict.fromkeys(factors[place][first] for place in analysis.order))
    columns = list(dict.fromkeys(factors[place][second] for place in analysis.order))
    means: dict[tuple[str, str], float] = {}
    for row, column in itertools.product(rows_of, columns):
        here = [
            analysis.verdict.standing(place).mean.value
            for place, levels in enumerate(factors)
            if (levels[first], levels[second]) == (row, column)
        ]
        means[row, column] = fmean(here) if here else math.nan
    known = [value for value in means.values() if not math.isnan(value)]
    low, high = min(known), max(known)
    sign = 1.0 if analysis.evidence.higher_is_better else -1.0

    def cell(value: float) -> Cell:
        share = (value - low) / (high - low) if high > low else 0.5
        share = share if sign > 0 else 1.0 - share
        return Cell(text=analysis.numbers.score(value), heat=math.nan if math.isnan(value) else 0.05 + 0.75 * share)

    lines = [(Cell(text=row, strong=True), *(cell(means[row, column]) for column in columns)) for row in rows_of]
    return Table(
        head=(join(" \\ ", [first, second]), *columns),
        rows=tuple(lines),
        caption=message(
            "{score}: mean of every combination of {first} (rows) and {second} (columns).",
            score=analysis.evidence.label,
            first=first,
            second=second,
        ),
    )
