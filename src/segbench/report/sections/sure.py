"""Sections about how sure the order is: paired differences image by image, all pairs, ranks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from segbench.compare.rankings import stability_sentence
from segbench.locale import NO_VALUE, Numbers, grouped, listed, message, plural
from segbench.report.analysis import Analysis
from segbench.report.curves import Reliability, reliability_plot
from segbench.report.document import Block, Cell, Folded, Section, Table, bullets, text
from segbench.report.figures import SpreadRow, rank_plot, spread_plot
from segbench.report.labels import ANSWER_WITH_MARGIN, HEAD
from segbench.report.pictures import Pictures
from segbench.report.sections.results import entry_cell, with_unit
from segbench.report.summary import name_of, numbered, pair_sentences
from segbench.report.svg import Sketch
from segbench.statistics.datasets import critical_difference
from segbench.statistics.differences import PairDifference
from segbench.statistics.sentences import failure_sentences, units

_SMALL = 6  # entries of a matrix that still has room for numbers
_MOST_HILLS = 8
_MOST_PAIRS = 1000  # rows of a table
_MOST_MATRIX = 30  # entries; a larger matrix fits no page
_FEWEST_RANKED, _MOST_RANKED = 3, 20  # entries of a diagram of ranks
_FEWEST_BLOCKS = 5  # images or groups, as of data sets


def pairs_section(analysis: Analysis, sketch: Sketch, pictures: Pictures) -> Section:
    """Returns which approaches differ: a matrix, and every pair in a list."""
    told = [*pair_sentences(analysis), *failure_sentences(analysis.verdict)]
    blocks: list[Block] = [*bullets(told), _differences(analysis, sketch), *_rankings(analysis)]
    some_differ = any(pair.significant for pair in analysis.verdict.pairs)
    if len(analysis.order) <= (_MOST_MATRIX if some_differ else _SMALL):
        blocks.append(_matrix(analysis))  # a large one that says "=" everywhere says nothing more
    blocks += _critical_difference(analysis, sketch)
    blocks.append(_listed_pairs(analysis))
    return Section(key="pairs", title=message("How sure: which approaches differ"), blocks=tuple(blocks))


def _differences(analysis: Analysis, sketch: Sketch) -> Block:
    """Returns image by image how much better the best approach is than each other one, mean over seeds."""
    evidence, best = analysis.evidence, analysis.order[0]
    sign = 1.0 if evidence.higher_is_better else -1.0
    means = [evidence.seed_means(entry) for entry in evidence.entries]
    rows = []
    for place in analysis.order[1 : 1 + _MOST_HILLS]:
        pair = analysis.verdict.pair(best, place)
        value, *ends = (sign * end for end in (pair.difference.value, pair.difference.low, pair.difference.high))
        rows.append(
            SpreadRow(
                name=numbered(analysis, place),
                values=tuple((sign * (means[best] - means[place])).tolist()),
                value=value,
                low=min(ends),
                high=max(ends),
            )
        )
    name = name_of(analysis, best)
    return sketch.draw(
        partial(spread_plot, rows, message("{name} is better by", name=name), mark=0.0),
        message("Paired differences of every test image, one hill an approach"),
        message(
            "Image by image, mean over seeds: right of the line {name} is better, left of it the other. Below each "
            "hill the mean difference with its interval.",
            name=name,
        ),
    )


def _rankings(analysis: Analysis) -> tuple[Block, ...]:
    """Returns whether other ways to rank have another first, and the order by each."""
    rankings = analysis.evidence.rankings
    if len(rankings) < 2:
        return ()
    rows = tuple(
        (
            Cell(text=ranking.label),
            Cell(text=listed([str(analysis.number[place]) for place in ranking.order], 10)),
            Cell(text=analysis.numbers.signed(ranking.tau), sort=ranking.tau),
        )
        for ranking in rankings
    )
    table = Table(
        head=(message("way to rank"), message("order, best first"), message("agreement (Kendall's tau)")),
        rows=rows,
        caption=message("Numbers as in the table of results; an agreement of 1 is the same order."),
    )
    return (*text(stability_sentence(rankings, analysis.verdict.names)), table)


def _critical_difference(analysis: Analysis, sketch: Sketch) -> tuple[Block, ...]:
    """Returns Demsar's diagram over images instead of data sets; nothing where ranks say little, or cannot be read."""
    verdict = analysis.verdict
    ranks = next((ranking.values for ranking in analysis.evidence.rankings if ranking.rule == "ranks"), None)
    if ranks is None or not _FEWEST_RANKED <= len(ranks) <= _MOST_RANKED or verdict.n_units < _FEWEST_BLOCKS:
        return ()
    apart = critical_difference(len(ranks), verdict.n_units)
    drawing = sketch.draw(
        partial(rank_plot, verdict.names, ranks, apart, message("critical difference")),
        message("Mean ranks over the test images, with the critical difference"),
        message(
            "Mean rank over {units}, mean over seeds; 1 is best. A bar joins approaches that Nemenyi's test does not "
            "tell apart (Demšar 2006). It takes the trained weights as given and looks at the order alone: p (Holm) "
            "decides.",
            units=units(verdict.unit, verdict.n_units),
        ),
    )
    return (Folded(title=message("Critical differences of ranks"), blocks=(drawing,)),)


def _matrix(analysis: Analysis) -> Table:
    verdict, order = analysis.verdict, analysis.order
    small = len(order) <= _SMALL
    rows = []
    for row in order:
        pairs = [None if row == column else verdict.pair(row, column) for column in order]
        line = (Cell(text="") if pair is None else _pair_cell(pair, row, small, analysis.numbers) for pair in pairs)
        rows.append((entry_cell(analysis, row), *line))
    head = (HEAD["approach"], *(str(analysis.number[place]) for place in order))
    caption = message("Row minus column; in bold where significant after Holm's correction over all pairs.")
    if not small:
        caption = message(
            "Row against column: + row significantly better, − significantly worse, = cannot be told apart."
        )
    return Table(head=head, rows=tuple(rows), caption=caption, dense=True)


def _pair_cell(pair: PairDifference, row: int, small: bool, numbers: Numbers) -> Cell:
    value = pair.difference.value
    sign = "=" if not pair.significant else "+" if pair.better == row else "\u2212"
    heat = math.nan if not pair.significant else 0.45 if pair.better == row else -0.45
    hint = message(
        "difference {value}, {p}", value=numbers.interval(pair.difference, signed=True), p=numbers.p_is(pair.p_holm)
    )
    return Cell(text=numbers.signed(value) if small else sign, heat=heat, hint=hint, strong=pair.significant)


def _listed_pairs(analysis: Analysis) -> Folded:
    """Returns the table of all pairs; where these are very many, of those with the best mean and with the baseline."""
    verdict, pairs = analysis.verdict, analysis.verdict.pairs
    title = message("All {total}", total=plural("{n:,} pair", "{n:,} pairs", n=len(pairs)))
    if len(pairs) > _MOST_PAIRS:
        pairs = tuple(pair for pair in pairs if {pair.first, pair.second} & {verdict.best, verdict.baseline})
        title = message(
            "{n} of {total} pairs: those with the best mean, and with the baseline",
            n=grouped(len(pairs)),
            total=grouped(len(verdict.pairs)),
        )
    return Folded(title=title, blocks=(_pair_table(analysis, pairs),))


def _pair_table(analysis: Analysis, pairs: Sequence[PairDifference]) -> Table:
    keys = (
        "pair_first",
        "pair_second",
        "difference",
        "interval",
        "with_margin",
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
                Cell(text=numbers.ends(difference.low, difference.high, signed=True), sort=difference.low),
                Cell(text=ANSWER_WITH_MARGIN[pair.answer] if pair.answer is not None else NO_VALUE),
                Cell(text=numbers.p(pair.p_holm), sort=pair.p_holm),
                Cell(text=numbers.p(pair.wilcoxon_p), sort=pair.wilcoxon_p),
                Cell(text=numbers.p(pair.permutation_p), sort=pair.permutation_p),
                Cell(text=numbers.rate(pair.effect_size), sort=pair.effect_size),
                Cell(text=numbers.percent(pair.first_better_frac), sort=pair.first_better_frac),
            )
        )
    head = tuple(with_unit(analysis, HEAD[key]) if key in ("difference", "interval") else HEAD[key] for key in keys)
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


def calibration_section(analysis: Analysis, sketch: Sketch, pictures: Pictures) -> Section | None:
    """Returns whether the approaches are as sure as they are right; None where no run keeps that."""
    lines = []
    for place in [place for place in analysis.order if place in analysis.calibration][:_MOST_HILLS]:
        found = analysis.calibration[place]
        filled = found.pixels > 0
        lines.append(
            Reliability(
                name=str(analysis.number[place]),
                confidence=tuple(found.confidence[filled].tolist()),
                accuracy=tuple(found.accuracy[filled].tolist()),
                strong=place in analysis.verdict.may_be_best,
            )
        )
    if not lines:
        return None
    words = (message("confidence: probability of the predicted label"), message("share of right pixels"))
    drawing = sketch.draw(
        partial(reliability_plot, lines, *words),
        message("Confidence against the share of right pixels, one line an approach"),
        message(
            "Pixels of all seeds in bins of confidence; numbers as in the table of results. Below the dashed line an "
            "approach is surer than it is right."
        ),
    )
    return Section(key="calibration", title=message("As sure as right?"), blocks=(drawing,))
