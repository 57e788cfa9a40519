"""The section of results: the table with intervals and the constant prediction, the score, how images spread."""

from __future__ import annotations

import math
from functools import partial
from statistics import fmean

import numpy as np

from segbench.compare.evidence import Entry
from segbench.compare.image_scores import read_definitions
from segbench.locale import NO_VALUE, Message, join, message
from segbench.report.analysis import Analysis
from segbench.report.document import Block, Cell, Facts, Folded, Heading, Section, Table, bullets, text
from segbench.report.figures import SpreadRow, spread_plot
from segbench.report.labels import HEAD
from segbench.report.pictures import Pictures
from segbench.report.summary import label_of_score, numbered
from segbench.report.svg import Sketch
from segbench.statistics.verdict import Standing

COSTS = ("training_s", "images_per_s", "parameters")
MOST_COLUMNS = 12  # approaches side by side in a table; more fit neither a screen nor paper
_MOST_HILLS = 8


def score_axis(analysis: Analysis) -> Message:
    """Returns the name of the score for an axis."""
    if analysis.evidence.higher_is_better:
        return message("{score} (higher is better)", score=analysis.evidence.label)
    return message("{score} (lower is better)", score=analysis.evidence.label)


def with_unit(analysis: Analysis, title: str) -> str:
    """Returns a column's title with the unit of the score, where it has one."""
    return message("{title}, px", title=title) if analysis.evidence.definition.get("unit") == "px" else title


def results_section(analysis: Analysis, sketch: Sketch, pictures: Pictures) -> Section:
    """Returns the table of results, the score that decides, how the images spread, and the other scores."""
    evidence = analysis.evidence
    level = analysis.verdict.numbers.level(analysis.verdict.level)
    about = message(
        "Intervals at {level}, over images and seeds together. Seed SD: standard deviation of the means of its seeds. "
        "Rank: the ranks that an approach may have; all of them together hold at {level}.",
        level=level,
    )
    definition = join(": ", [evidence.label, evidence.definition["sentence"]])
    blocks: list[Block] = [
        _results(analysis),
        *text(about, tone="note"),
        Heading(text=message("What the score is")),
        *text(definition),
        Heading(text=message("How the images spread")),
        _spread(analysis, sketch),
    ]
    blocks += _other_scores(analysis)
    blocks.append(Folded(title=message("How the numbers were made"), blocks=bullets(analysis.verdict.method)))
    return Section(key="results", title=message("Results"), blocks=tuple(blocks))


def _results(analysis: Analysis) -> Table:
    verdict, numbers = analysis.verdict, analysis.numbers
    costs = [cost for cost in COSTS if any(cost_known(analysis, cost))]
    head = [message("approach"), with_unit(analysis, HEAD["mean"]), with_unit(analysis, HEAD["interval"]), HEAD["rank"]]
    head += [with_unit(analysis, HEAD["seed_sd"]), HEAD["seeds"]]
    head += [HEAD["collapsed"], *(HEAD[cost] for cost in costs)]
    rows = []
    for standing in verdict.entries:
        entry = analysis.evidence.entries[standing.index]
        first, last = verdict.ranks[standing.index]
        rows.append(
            (
                entry_cell(analysis, standing.index),
                Cell(text=numbers.score(standing.mean.value), sort=standing.mean.value, strong=True),
                Cell(text=numbers.ends(standing.mean.low, standing.mean.high), sort=standing.mean.low),
                Cell(text=str(first) if first == last else f"{first}–{last}", sort=first + last / 1000.0),
                Cell(text=numbers.score(standing.seed_spread), sort=standing.seed_spread),
                Cell(text=str(standing.seeds) if entry.runs else NO_VALUE, sort=standing.seeds),
                _collapsed_cell(standing, entry),
                *(_cost_cell(analysis, standing.index, cost) for cost in costs),
            )
        )
    if analysis.evidence.constant.size:
        rows.append(_constant_row(analysis, len(head)))
    marked = frozenset(place for place, each in enumerate(verdict.entries) if each.index in verdict.may_be_best)
    return Table(
        head=tuple(head),
        rows=tuple(rows),
        caption=message(
            "{score} on the test images, mean over images and seeds. Last row: what the most frequent class, predicted "
            "everywhere, scores.",
            score=analysis.evidence.label,
        ),
        colors=message("Shaded: may be the best."),
        clicks=message("A click on a column's title sorts."),
        sortable=True,
        marked=marked,
    )


def entry_cell(analysis: Analysis, place: int) -> Cell:
    """Returns the first cell of an approach's row: its number and its name, its key where it is pointed at."""
    return Cell(text=numbered(analysis, place), sort=analysis.number[place], hint=analysis.evidence.entries[place].name)


def _collapsed_cell(standing: Standing, entry: Entry) -> Cell:
    count, total = standing.failures
    text_ = message("{count} of {total}", count=count, total=total) if total else NO_VALUE
    return Cell(text=text_, sort=count, bad=count > 0)


def _constant_row(analysis: Analysis, columns: int) -> tuple[Cell, ...]:
    value = float(np.nanmean(analysis.evidence.constant))
    name = Cell(text=message("always the most frequent class"), sort=len(analysis.order) + 1)
    mean = Cell(text=analysis.numbers.score(value), sort=value)
    return (name, mean, *(Cell(text="") for _ in range(columns - 2)))


def _spread(analysis: Analysis, sketch: Sketch) -> Block:
    rows = [
        SpreadRow(
            name=numbered(analysis, standing.index),
            values=tuple(analysis.evidence.seed_means(analysis.evidence.entries[standing.index]).tolist()),
            value=standing.mean.value,
            low=standing.mean.low,
            high=standing.mean.high,
            strong=standing.index in analysis.verdict.may_be_best,
        )
        for standing in analysis.verdict.entries[:_MOST_HILLS]
    ]
    return sketch.draw(
        partial(spread_plot, rows, score_axis(analysis)),
        message("Score of every test image, one hill an approach"),
        message("How many test images score how much, mean over seeds; below each hill the mean with its interval."),
    )


def cost_known(analysis: Analysis, cost: str) -> list[bool]:
    """Returns of every entry whether a cost is known."""
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


def columns_left_out(count: int) -> str:
    """Returns that a table holds the best of so many approaches; nothing where it holds all."""
    return message("The best {n} of {total}.", n=MOST_COLUMNS, total=count) if count > MOST_COLUMNS else ""


def _other_scores(analysis: Analysis) -> list[Block]:
    scores = other_scores(analysis)
    if not scores:
        return []
    shown = analysis.order[:MOST_COLUMNS]
    rows = [
        (
            Cell(text=label_of_score(analysis, name)),
            *(Cell(text=analysis.numbers.score(values[place]), sort=values[place]) for place in shown),
        )
        for name, values in scores.items()
    ]
    head = (message("score"), *(numbered(analysis, place) for place in shown))
    table = Table(head=head, rows=tuple(rows), caption=columns_left_out(len(analysis.order)))
    size = (
        message("They were measured at the training size, the score that decides at each image's own.")
        if analysis.evidence.size is None
        else ""
    )
    first = next(entry.runs[0] for entry in analysis.evidence.entries if entry.runs)
    defined = read_definitions(first, "test")
    known = [name for name in scores if name in defined]
    facts = Facts(rows=tuple((label_of_score(analysis, name), defined[name].rule) for name in known))
    shared = tuple(dict.fromkeys(defined[name].conditions for name in known))
    about = text(
        message(
            "Plain means over runs, for reading only: no test was made on them, and the order above does not follow "
            "from them."
        ),
        size,
    )
    meaning = Folded(title=message("What these scores are"), blocks=(facts, *text(*shared, tone="note")))
    return [Folded(title=message("Other scores"), blocks=(*about, table, meaning))]
