"""The answer on top of the page: at most `MOST_WORDS` words, a line for each factor, the plot, a strip of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal, TypeAlias

from segbench.locale import Message, join, listed, message, plural
from segbench.report.analysis import Analysis
from segbench.report.document import Block, Drawing, Findings, Gallery, Text, text
from segbench.report.figures import IntervalRow, interval_plot
from segbench.report.pictures import Pictures
from segbench.report.sections.results import score_axis
from segbench.report.summary import answer_of, name_of, numbered
from segbench.report.svg import Sketch
from segbench.statistics.differences import Estimate
from segbench.statistics.factors import FactorEffect, LevelDifference
from segbench.statistics.sentences import units

MOST_WORDS = 90
_MOST_ROWS = 8  # entries in the plot; the others stand in the table of results
_BESIDE = 3  # approaches in the strip

_Row: TypeAlias = tuple[Literal["shown", "equal", "open", "bad"], str, str]


def answer_blocks(analysis: Analysis) -> tuple[Block, ...]:
    """Returns the outcome, a line for each factor and for the two best approaches, and what it holds for.

    Where no approach wins, but a factor matters, the factor is the outcome.
    """
    effects = analysis.factors.effects if analysis.factors is not None else ()
    verdict = analysis.verdict
    lead, best = verdict.headline(), _lead_row(analysis)
    matter = [effect for effect in effects if effect.matters]
    if verdict.winner is None and matter and len(effects) > 1:
        lead, best = _matters(analysis, matter), ("open", message("Best"), lead)
    rows = [_factor_row(analysis, effect) for effect in effects]
    if len(effects) != 1 or not _is_lead(analysis, shown_difference(analysis, effects[0])):
        rows.append(best)
    holds, collapsed = _holds_for(analysis), _collapsed_rows(analysis)
    most = MOST_WORDS - _words(lead, holds, *(part for row in collapsed for part in row[1:]))
    findings = Findings(rows=(*_fitting(rows, most), *collapsed))
    return (Text(paragraphs=(lead,), tone="lead"), findings, *text(holds, tone="note"))


def _fitting(rows: list[_Row], most: int) -> tuple[_Row, ...]:
    """Returns the rows, without the last ones that show nothing where all together have too many words."""
    kept = list(rows)
    while len(kept) > 1 and _words(*(part for row in kept for part in row[1:])) > most:
        kept.remove(next((row for row in reversed(kept[:-1]) if row[0] == "open"), kept[-1]))
        left_out = len(rows) - len(kept)
        most -= 10 if left_out == 1 else 0  # for the line that says so
    if len(kept) < len(rows):
        told = message("{n} more, under “What each factor does”.", n=len(rows) - len(kept))
        kept.append(("open", message("And"), told))
    return tuple(kept)


def _words(*texts: str) -> int:
    return sum(len(each.split()) for each in texts)


def _matters(analysis: Analysis, effects: list[FactorEffect]) -> Message:
    """Returns what is better than what, of the first factors that matter."""
    pairs = [(effect.factor, shown_difference(analysis, effect)) for effect in effects[:2]]
    return join(
        "; ",
        [
            message("{factor}: {first} is better than {second}", factor=factor, first=pair.first, second=pair.second)
            for factor, pair in pairs
        ],
    )


def _factor_row(analysis: Analysis, effect: FactorEffect) -> _Row:
    """Returns what a factor does: its largest difference, whether that is shown, and what was expected of it."""
    shown = shown_difference(analysis, effect)
    names = (shown.first, shown.second)
    kind, mark, told = _difference_row(analysis, effect.factor, names, shown.difference, shown.significant)
    expected = _against_expected(analysis, effect)
    return kind, mark, join(" ", [told, expected]) if expected else told


def shown_difference(analysis: Analysis, effect: FactorEffect) -> LevelDifference:
    """Returns the difference that a factor is told by: the largest that is significant, else the largest.

    Where there are others, not that to a level at which every training collapsed: it says how bad nothing is.
    """
    trained = [pair for pair in effect.differences if not _all_collapsed(analysis, effect.factor, pair.second)]
    pairs = trained or effect.differences
    return next((pair for pair in pairs if pair.significant), pairs[0])


def _all_collapsed(analysis: Analysis, factor: str, level: str) -> bool:
    entries = zip(analysis.evidence.entries, analysis.evidence.factors, strict=True)
    with_it = [entry for entry, levels in entries if levels.get(factor) == level]
    return all(entry.runs and entry.collapsed == len(entry.runs) for entry in with_it)


def _is_lead(analysis: Analysis, shown: LevelDifference) -> bool:
    """Tells whether a difference of the only factor is that of the two best approaches."""
    factors = analysis.evidence.factors
    varied = [name for name in factors[0] if len({levels.get(name) for levels in factors}) > 1]
    two = [factors[place].get(name) for place in analysis.order[:2] for name in varied]
    return two == [shown.first, shown.second]


def _collapsed_rows(analysis: Analysis) -> tuple[_Row, ...]:
    """Returns a line with the approaches whose trainings predict one class only; nothing where all learned."""
    named = [
        message("{name} ({count} of {total})", name=name_of(analysis, place), count=count, total=len(entry.runs))
        for place, entry in enumerate(analysis.evidence.entries)
        if (count := entry.collapsed)
    ]
    if not named:
        return ()
    told = message("Trainings that predict one class only: {names}.", names=listed(named, 3))
    return (("bad", message("Collapsed"), told),)


def _lead_row(analysis: Analysis) -> _Row:
    """Returns how far the best approach is ahead of the next."""
    first, second = analysis.order[:2]
    pair = analysis.verdict.pair(first, second)
    is_shown = analysis.verdict.winner is not None or analysis.verdict.ahead is not None
    names = (name_of(analysis, first), name_of(analysis, second))
    return _difference_row(analysis, message("First and second"), names, pair.difference, is_shown)


def _difference_row(
    analysis: Analysis, what: str, names: tuple[str, str], difference: Estimate, is_shown: bool
) -> _Row:
    numbers = analysis.numbers
    values = {
        "what": what,
        "first": names[0],
        "second": names[1],
        "value": numbers.signed(difference.value),
        "low": numbers.signed(difference.low),
        "high": numbers.signed(difference.high),
    }
    plain = message("{what}: {first} minus {second} {value} ({low} to {high}).", **values)
    if is_shown:
        return "shown", message("Shown"), plain
    if answer_of(analysis, difference) == "equivalent":
        margin = numbers.score(analysis.verdict.margin or 0.0)
        within = message("Any difference is below {margin}.", margin=margin)
        return "equal", message("Equal"), join(" ", [plain, within])
    if difference.low <= 0.0 <= difference.high:
        told = message("{what}: {first} minus {second} {value}, could be 0 ({low} to {high}).", **values)
        return "open", message("Not shown"), told
    several = message("Not shown as one of several comparisons.")
    return "open", message("Not shown"), join(" ", [plain, several])


def _against_expected(analysis: Analysis, effect: FactorEffect) -> Message | None:
    """Returns what the study's file expected of a factor; None where it says nothing of it alone."""
    expected = analysis.study.expected if analysis.study is not None else ""
    labels = analysis.evidence.labels
    wanted = (
        {} if isinstance(expected, str) else {labels.get(factor, factor): what for factor, what in expected.items()}
    )
    if effect.factor not in wanted:
        return None
    level = wanted[effect.factor]
    if level is True:
        return message("You expected: a difference.")
    if level is False:
        return message("You expected: none.")
    return message("You expected: {level}.", level=labels.get(str(level), level))


def _holds_for(analysis: Analysis) -> Message:
    verdict = analysis.verdict
    images = units(verdict.unit, verdict.n_units)
    if verdict.speaks_of == "these trained weights":
        return message("Holds for these trained weights on images like these ({images}).", images=images)
    seeds = sorted({standing.seeds for standing in verdict.entries if standing.seeds})
    trained: Message = plural("{n} training each", "{n} trainings each", n=seeds[-1])
    if len(seeds) > 1:
        trained = message("{fewest} to {most} trainings each", fewest=seeds[0], most=seeds[-1])
    return message(
        "Holds for new trainings ({trained} here) and images like these ({images}).", trained=trained, images=images
    )


def answer_figure(analysis: Analysis, sketch: Sketch) -> Drawing:
    """Returns the plot of means with intervals: of the entries; of the factors' values where there are many entries."""
    verdict = analysis.verdict
    effects = analysis.factors.effects if analysis.factors is not None else ()
    level = verdict.numbers.level(verdict.level)
    if len(verdict.entries) > _MOST_ROWS and 1 < sum(len(effect.levels) for effect in effects) <= 2 * _MOST_ROWS:
        return sketch.draw(
            partial(interval_plot, _level_rows(analysis, effects), score_axis(analysis)),
            message("Mean score of every value of every factor with its interval"),
            message("Mean over everything else, {level} interval. Blue: may be the best of its factor.", level=level),
        )
    best = verdict.standing(verdict.best).mean.value
    return sketch.draw(
        partial(interval_plot, _entry_rows(analysis), score_axis(analysis), mark=best),
        message("Mean score of every approach with its interval"),
        message("Mean, {level} interval, ticks: single seeds. Blue: may be the best.", level=level),
    )


def _level_rows(analysis: Analysis, effects: Sequence[FactorEffect]) -> list[IntervalRow]:
    rows = []
    for effect in effects:
        worse = {
            pair.second for pair in effect.differences if pair.significant and pair.first == effect.levels[0].level
        }
        for mean in effect.levels:
            name = join(": ", [effect.factor, mean.level])
            value, text_ = mean.mean, analysis.numbers.interval(mean.mean)
            is_strong = mean.level not in worse
            rows.append(
                IntervalRow(name=name, value=value.value, low=value.low, high=value.high, text=text_, strong=is_strong)
            )
    return rows


def _entry_rows(analysis: Analysis) -> list[IntervalRow]:
    """Returns the best entries, the baseline and the last."""
    verdict = analysis.verdict
    places = list(enumerate(verdict.entries, start=1))
    if len(places) > _MOST_ROWS:
        places = [
            (number, standing)
            for number, standing in places
            if number < _MOST_ROWS - 1 or standing.index == verdict.baseline or number == len(places)
        ]
    return [
        IntervalRow(
            name=numbered(analysis, standing.index),
            value=standing.mean.value,
            low=standing.mean.low,
            high=standing.mean.high,
            points=standing.seed_means if standing.seeds > 1 else (),
            text=analysis.numbers.interval(standing.mean),
            strong=standing.index in verdict.may_be_best,
        )
        for _, standing in places
    ]


def answer_strip(analysis: Analysis, pictures: Pictures) -> tuple[Block, ...]:
    """Returns one test image with the errors of the best, second and last approach; nothing without masks.

    The image is the middle one of the best approach: half of the images score better. It is not chosen by how it looks.
    """
    entries = analysis.evidence.entries
    with_masks = [place for place in analysis.order if entries[place].masks]
    if not with_masks or not analysis.cases.median:
        return ()
    image_id = analysis.cases.median[0].image_id
    column = analysis.evidence.ids.index(image_id)
    places = [*with_masks[: _BESIDE - 1], *with_masks[_BESIDE - 1 :][-1:]]
    tiles = [pictures.image_and_truth(image_id)[1]]
    for place in places:
        entry = entries[place]
        score = analysis.numbers.score(float(entry.values[0, column]))
        name = join(": ", [numbered(analysis, place), score])
        tiles.append(pictures.errors(entry, image_id, pictures.seed_caption(entry, name)))
    caption = message(
        "{image}: the middle test image of {name}, by its score.",
        image=image_id,
        name=name_of(analysis, analysis.verdict.best),
    )
    return (Gallery(rows=(("", tuple(tiles)),), caption=caption), pictures.legend(with_errors=True))
