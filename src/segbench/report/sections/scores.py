"""Sections about scores: the table with intervals, pairs, ranks, costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from statistics import fmean

from segbench.compare.image_scores import read_definitions
from segbench.locale import NO_VALUE, Message, Numbers, join, message, plural
from segbench.metrics.families import label_of
from segbench.report.analysis import Analysis
from segbench.report.document import (
    Block,
    Bullets,
    Cell,
    Drawing,
    Facts,
    Folded,
    Heading,
    Section,
    Table,
    bullets,
    text,
)
from segbench.report.figures import CostPoint, IntervalRow, cost_plot, interval_plot
from segbench.report.labels import COST_AXIS, HEAD
from segbench.report.pictures import Pictures
from segbench.report.summary import name_of, pair_sentences
from segbench.report.svg import Sketch
from segbench.statistics.differences import PairDifference
from segbench.statistics.sentences import ranks_text
from segbench.statistics.verdict import Standing

_COSTS = ("training_s", "images_per_s", "parameters")
_SMALL = 6  # entries of a matrix that still has room for numbers


def interval_drawing(analysis: Analysis, sketch: Sketch) -> Drawing:
    """Returns the plot of every entry's mean with its interval and its single seeds."""
    verdict = analysis.verdict
    rows = [
        IntervalRow(
            name=f"{number}. {standing.name}",
            value=standing.mean.value,
            low=standing.mean.low,
            high=standing.mean.high,
            points=standing.seed_means if standing.seeds > 1 else (),
            text=analysis.numbers.interval(standing.mean),
            strong=standing.index in verdict.may_be_best,
        )
        for number, standing in enumerate(verdict.entries, start=1)
    ]
    best = verdict.standing(verdict.best).mean.value
    return sketch.draw(
        partial(interval_plot, rows, score_axis(analysis), mark=best),
        message("Mean score of every approach with its interval"),
        message(
            "Mean with its {level} interval; small ticks are single seeds. Blue: may be the "
            "best. Dashed: the best mean.",
            level=verdict.numbers.level(verdict.level),
        ),
    )


def score_axis(analysis: Analysis) -> Message:
    """Returns the name of the score for an axis."""
    if analysis.evidence.higher_is_better:
        return message("{score} (higher is better)", score=analysis.evidence.label)
    return message("{score} (lower is better)", score=analysis.evidence.label)


def results_section(analysis: Analysis, sketch: Sketch, pictures: Pictures) -> Section:
    """Returns the table of results with the definition of the score that decides, and the other scores."""
    evidence = analysis.evidence
    blocks: list[Block] = [
        _results(analysis),
        *text(
            message(
                "Intervals at {level}: over images and seeds together. Seed SD: standard deviation of the "
                "means of its seeds; the intervals pool it over the approaches. Ranks: the best and the worst "
                "rank that the approach may truly have.",
                level=analysis.verdict.numbers.level(analysis.verdict.level),
            )
        ),
    ]
    definition = join(": ", [evidence.label, evidence.definition["sentence"]])
    blocks += [Heading(text=message("What the score is")), *text(definition)]
    blocks += _other_scores(analysis)
    method = bullets(analysis.verdict.method)
    blocks.append(Folded(title=message("How the numbers were made"), blocks=method))
    return Section(key="results", title=message("Results"), blocks=tuple(blocks))


def _results(analysis: Analysis) -> Table:
    verdict, numbers, factors = analysis.verdict, analysis.numbers, _factor_names(analysis)
    costs = [cost for cost in _COSTS if any(_known(analysis, cost))]
    head = ["#", *(factors or [message("approach")])]
    head += [HEAD[key] for key in ("mean", "interval", "seed_sd", "seeds", "ranks")]
    head += [HEAD[cost] for cost in costs]
    rows = []
    for number, standing in enumerate(verdict.entries, start=1):
        entry = analysis.evidence.entries[standing.index]
        rows.append(
            (
                Cell(text=str(number), sort=number),
                *(Cell(text=each) for each in ([entry.factors[f] for f in factors] or [entry.name])),
                Cell(text=numbers.score(standing.mean.value), sort=standing.mean.value, strong=True),
                Cell(
                    text=f"[{numbers.score(standing.mean.low)}, {numbers.score(standing.mean.high)}]",
                    sort=standing.mean.low,
                ),
                _seed_sd(standing, numbers),
                Cell(text=str(standing.seeds) if entry.runs else NO_VALUE, sort=standing.seeds),
                Cell(text=ranks_text(verdict.ranks[standing.index]), sort=verdict.ranks[standing.index][0]),
                *(_cost_cell(analysis, standing.index, cost) for cost in costs),
            )
        )
    marked = frozenset(place for place, standing in enumerate(verdict.entries) if standing.index in verdict.may_be_best)
    return Table(
        head=tuple(head),
        rows=tuple(rows),
        words=1 + max(1, len(factors)),
        caption=message(
            "{score} on the test images, mean over images and seeds. Shaded: may be the "
            "best. A click on a column's title sorts.",
            score=analysis.evidence.label,
        ),
        sortable=True,
        marked=marked,
    )


def _seed_sd(standing: Standing, numbers: Numbers) -> Cell:
    value = standing.seed_spread
    return Cell(text=numbers.score(value), sort=value)


def _factor_names(analysis: Analysis) -> list[str]:
    """Returns the factors' names where every entry has the same ones."""
    names = [list(entry.factors) for entry in analysis.evidence.entries]
    return names[0] if all(each == names[0] for each in names) else []


def _known(analysis: Analysis, cost: str) -> list[bool]:
    return [not math.isnan(getattr(entry.costs, cost)) for entry in analysis.evidence.entries]


def _cost_cell(analysis: Analysis, place: int, cost: str) -> Cell:
    value = getattr(analysis.evidence.entries[place].costs, cost)
    numbers = analysis.numbers
    show = {"training_s": numbers.duration, "images_per_s": numbers.rate, "parameters": numbers.large}[cost]
    return Cell(text=show(value), sort=value)


def other_scores(analysis: Analysis) -> dict[str, list[float]]:
    """Returns score -> the plain mean over its runs of every entry, as they scored at the end of training.

    NaN for entries without runs, and where a run has no such score.
    """
    results = [[run.read_result().scores.get("test", {}) for run in e.runs] for e in analysis.evidence.entries]
    names = list(dict.fromkeys(name for runs in results for run in runs for name in run))
    return {
        name: [fmean(run.get(name, math.nan) for run in runs) if runs else math.nan for runs in results]
        for name in names
    }


def _other_scores(analysis: Analysis) -> list[Block]:
    scores = other_scores(analysis)
    if not scores:
        return []
    rows = [
        (
            Cell(text=str(number), sort=number),
            Cell(text=name_of(analysis, place)),
            *(Cell(text=analysis.numbers.score(values[place]), sort=values[place]) for values in scores.values()),
        )
        for number, place in enumerate(analysis.order, start=1)
    ]
    table = Table(
        head=("#", message("approach"), *(label_of(name) for name in scores)),
        rows=tuple(rows),
        words=2,
        sortable=True,
    )
    size = (
        message("They were measured at the training size, the score that decides at each image's own.")
        if analysis.evidence.size is None
        else ""
    )
    first = next(entry.runs[0] for entry in analysis.evidence.entries if entry.runs)
    defined = read_definitions(first, "test")
    facts = Facts(rows=tuple((label_of(name), defined[name].sentence) for name in scores if name in defined))
    return [
        Heading(text=message("Other scores")),
        *text(
            message(
                "Plain means over runs, for reading only: no test was made on them, and the order above does "
                "not follow from them."
            ),
            size,
        ),
        table,
        Folded(title=message("What these scores are"), blocks=(facts,)),
    ]


def pairs_section(analysis: Analysis, sketch: Sketch, pictures: Pictures) -> Section:
    """Returns which approaches differ: a matrix, and every pair in a list."""
    blocks: list[Block] = [*bullets(pair_sentences(analysis))]
    if len(analysis.order) <= _SMALL or any(pair.significant for pair in analysis.verdict.pairs):
        blocks.append(_matrix(analysis))  # a large one that says "=" everywhere says nothing more
    table = _pair_table(analysis, analysis.verdict.pairs)
    blocks.append(
        Folded(
            title=message("All {total}", total=plural("{n:,} pair", "{n:,} pairs", n=len(table.rows))), blocks=(table,)
        )
    )
    return Section(key="pairs", title=message("Which approaches differ"), blocks=tuple(blocks))


def _matrix(analysis: Analysis) -> Table:
    verdict, order = analysis.verdict, analysis.order
    small = len(order) <= _SMALL
    rows = []
    for row in order:
        pairs = [None if row == column else verdict.pair(row, column) for column in order]
        line = (Cell(text="") if pair is None else _pair_cell(pair, row, small, analysis.numbers) for pair in pairs)
        rows.append((Cell(text=str(analysis.number[row])), Cell(text=name_of(analysis, row)), *line))
    head = ("#", message("approach"), *(str(analysis.number[place]) for place in order))
    caption = message("Row minus column; coloured where significant after Holm's correction over all pairs.")
    if not small:
        caption = message(
            "Row against column: + row significantly better, − significantly worse, = cannot be told apart."
        )
    return Table(head=head, rows=tuple(rows), words=2, caption=caption, dense=True)


def _pair_cell(pair: PairDifference, row: int, small: bool, numbers: Numbers) -> Cell:
    value = pair.difference.value
    sign = "=" if not pair.significant else "+" if pair.better == row else "\u2212"
    heat = math.nan if not pair.significant else 0.45 if pair.better == row else -0.45
    hint = message(
        "difference {value}, {p}", value=numbers.interval(pair.difference, signed=True), p=numbers.p_is(pair.p_holm)
    )
    return Cell(text=numbers.signed(value) if small else sign, heat=heat, hint=hint, strong=pair.significant)


def _pair_table(analysis: Analysis, pairs: Sequence[PairDifference]) -> Table:
    keys = (
        "pair_first",
        "pair_second",
        "difference",
        "interval",
        "p_holm",
        "wilcoxon",
        "permutation",
        "d_z",
        "better_on",
    )
    rows, numbers = [], analysis.numbers
    for pair in sorted(pairs, key=lambda pair: pair.p_holm):
        difference = pair.difference
        rows.append(
            (
                Cell(text=name_of(analysis, pair.first)),
                Cell(text=name_of(analysis, pair.second)),
                Cell(text=numbers.signed(difference.value), sort=difference.value, strong=pair.significant),
                Cell(
                    text=f"[{numbers.signed(difference.low)}, {numbers.signed(difference.high)}]", sort=difference.low
                ),
                Cell(text=numbers.p(pair.p_holm), sort=pair.p_holm),
                Cell(text=numbers.p(pair.wilcoxon_p), sort=pair.wilcoxon_p),
                Cell(text=numbers.p(pair.permutation_p), sort=pair.permutation_p),
                Cell(text=numbers.rate(pair.effect_size), sort=pair.effect_size),
                Cell(text=numbers.percent(pair.first_better_frac), sort=pair.first_better_frac),
            )
        )
    head = tuple(HEAD[key] for key in keys)
    return Table(
        head=head,
        rows=tuple(rows),
        words=2,
        sortable=True,
        caption=message(
            "p (Holm) decides, over images and seeds; every interval stands for itself. Wilcoxon and sign "
            "flips are second opinions that treat the trained weights as given. d_z: mean over SD of the "
            "differences per image."
        ),
    )


def ranks_section(analysis: Analysis, sketch: Sketch, pictures: Pictures) -> Section:
    """Returns which ranks every approach may have."""
    verdict, count = analysis.verdict, len(analysis.verdict.names)
    rows = []
    for place in analysis.order:
        lowest, highest = verdict.ranks[place]
        line = [Cell(text=str(analysis.number[place])), Cell(text=name_of(analysis, place))]
        line.append(Cell(text=ranks_text((lowest, highest)), sort=lowest))
        line += [Cell(text="", heat=0.5 if lowest <= rank <= highest else 0.0) for rank in range(1, count + 1)]
        rows.append(tuple(line))
    table = Table(
        head=("#", message("approach"), message("ranks"), *(str(rank) for rank in range(1, count + 1))),
        rows=tuple(rows),
        words=2,
        dense=True,
        caption=message(
            "Ranks that an approach may truly have (shaded): above it are those shown to be better, below it those "
            "shown to be worse, after Holm's correction over all pairs."
        ),
    )
    return Section(key="ranks", title=message("How sure is the order"), blocks=(table,))


def costs_section(analysis: Analysis, sketch: Sketch, pictures: Pictures) -> Section | None:
    """Returns cost against score; None where no cost is known."""
    panels: dict[str, list[CostPoint]] = {}
    wanted = {"": analysis.evidence.higher_is_better}
    for cost in _COSTS:
        if sum(_known(analysis, cost)) < 2:
            continue
        name = COST_AXIS[cost]
        wanted[name] = cost == "images_per_s"
        panels[name] = [
            CostPoint(
                name=str(analysis.number[standing.index]),
                cost=getattr(analysis.evidence.entries[standing.index].costs, cost)
                / (1e6 if cost == "parameters" else 1.0),
                value=standing.mean.value,
                low=standing.mean.low,
                high=standing.mean.high,
                strong=standing.index in analysis.verdict.may_be_best,
            )
            for standing in analysis.verdict.entries
        ]
    if not panels:
        return None
    axis = score_axis(analysis)
    drawing = sketch.draw(
        partial(cost_plot, panels, wanted, axis),
        message("Cost of every approach against its score"),
        message(
            "Numbers as in the table of results. Dashed: approaches that no other beats in both cost and "
            "mean. Times were measured on the machine below and hold for it."
        ),
    )
    names = [f"{number}. {name_of(analysis, place)}" for number, place in enumerate(analysis.order, start=1)]
    numbered = Folded(title=message("Which number is which approach"), blocks=(Bullets(items=tuple(names)),))
    return Section(key="costs", title=message("Cost against quality"), blocks=(drawing, numbered))
