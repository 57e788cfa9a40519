"""Sections that explain the scores: learning, overfitting, kinds of error, attributes, single images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from segbench.compare.evidence import Entry
from segbench.explain.attributes import ATTRIBUTES
from segbench.explain.cases import Case
from segbench.explain.error_types import ERROR_TYPES
from segbench.explain.overfitting import OverfittingSummary
from segbench.explain.slices import AttributeEffect
from segbench.locale.translate import score_words, translate
from segbench.locale.words import Words
from segbench.plots.explain import ERROR_TYPE_COLORS
from segbench.report.analysis import Analysis
from segbench.report.document import (
    Block,
    Cell,
    Drawing,
    Facts,
    Folded,
    Gallery,
    Heading,
    Section,
    Table,
    Tile,
    bullets,
    text,
)
from segbench.report.figures import CurvePanel, curve_panels, stacked_bars
from segbench.report.pictures import Pictures
from segbench.report.summary import (
    error_sentences,
    finding_clues,
    name_of,
    overfitting_sentences,
    slice_sentences,
    what_curves_say,
)
from segbench.report.svg import Sketch

_MANY = 8  # approaches; more panels of a second kind are folded away


def learning_section(analysis: Analysis, words: Words, sketch: Sketch, pictures: Pictures) -> Section | None:
    """Returns loss and score over epochs, a small panel an approach, with the table of what the curves say.

    None where no entry has runs.
    """
    places = [place for place in analysis.order if analysis.evidence.entries[place].runs]
    if not places:
        return None
    labels = {key: words(f"curve.{key}") for key in ("train", "val", "best", "turn", "epoch")}
    blocks: list[Block] = [*bullets(overfitting_sentences(analysis, words))]
    for name, title in (("loss", words("curve.loss")), *_monitored(analysis, places, words)):
        panels = [_panel(analysis, place, name) for place in places]
        drawing = sketch.draw(
            partial(curve_panels, panels, title, labels),
            words("plot.curves", name=title),
            words("plot.curves.caption") if name == "loss" else "",
        )
        is_long = name != "loss" and len(places) > _MANY
        blocks.append(Folded(title=words("curve.score", name=title), blocks=(drawing,)) if is_long else drawing)
    blocks += [_overfitting_table(analysis, places, words), *text(words("overfit.note"), tone="note")]
    return Section(key="learning", title=words("section.learning"), blocks=tuple(blocks))


def _monitored(analysis: Analysis, places: Sequence[int], words: Words) -> list[tuple[str, str]]:
    """Returns the score that chose the epochs, where all runs have the same and it is not the loss."""
    names = {run.monitor for place in places for run in analysis.overfitting[place].runs} - {"loss"}
    return [(name, score_words(name, words)) for name in names] if len(names) == 1 else []


def _panel(analysis: Analysis, place: int, name: str) -> CurvePanel:
    entry, summary = analysis.evidence.entries[place], analysis.overfitting[place]
    histories = [run.read_history() for run in entry.runs]

    def curves(part: str) -> tuple[tuple[float, ...], ...]:
        return tuple(tuple(row.get(f"{part}_{name}", math.nan) for row in history) for history in histories)

    return CurvePanel(
        title=f"{analysis.number[place]}. {entry.name}",
        epochs=tuple(tuple(row["epoch"] for row in history) for history in histories),
        train=curves("train"),
        val=curves("val"),
        best=tuple(run.best_epoch for run in summary.runs),
        turns=summary.turning_epochs if name == "loss" else (),
    )


def _overfitting_table(analysis: Analysis, places: Sequence[int], words: Words) -> Table:
    keys = ("approach", "curves_say", "best_epoch", "epochs", "cost_of_last", "train_score", "val_score", "clean_gap")
    rows = []
    for place in places:
        summary = analysis.overfitting[place]
        rows.append(
            (
                Cell(text=str(analysis.number[place]), sort=analysis.number[place]),
                Cell(text=summary.entry),
                Cell(text=what_curves_say(summary, words)),
                Cell(text=_range([run.best_epoch for run in summary.runs])),
                Cell(text=_range([run.epochs for run in summary.runs])),
                _number(summary.cost_of_last_mean, words),
                _number(_mean(summary, "train_score"), words),
                _number(_mean(summary, "val_score"), words),
                _number(summary.clean_gap_mean, words),
            )
        )
    head = ("#", *(words(f"head.{key}") for key in keys))
    return Table(head=head, rows=tuple(rows), words=3, sortable=True, caption=words("overfit.caption"))


def _mean(summary: OverfittingSummary, name: str) -> float:
    values = [float(getattr(run, name)) for run in summary.runs]
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _number(value: float, words: Words) -> Cell:
    return Cell(text=words.score(value), sort=value)


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low}–{high}"


def errors_section(analysis: Analysis, words: Words, sketch: Sketch, pictures: Pictures) -> Section | None:
    """Returns the kinds of error, a bar an approach; None where no entry keeps masks."""
    places = [place for place in analysis.order if place in analysis.errors]
    if not places:
        return None
    kinds = [kind for kind in ERROR_TYPES if any(analysis.errors[place].shares[kind] > 0 for place in places)]
    if not kinds:
        blocks = bullets(error_sentences(analysis, words))
        return Section(key="errors", title=words("section.errors"), blocks=blocks)
    bars = [
        (
            f"{analysis.number[place]}. {name_of(analysis, place)}",
            [100.0 * _share(analysis.errors[place].shares[kind]) * analysis.errors[place].wrong_frac for kind in kinds],
        )
        for place in places
    ]
    labels = [(words(f"error.{kind}"), "#{:02x}{:02x}{:02x}".format(*ERROR_TYPE_COLORS[kind])) for kind in kinds]
    drawing: Drawing = sketch.draw(partial(stacked_bars, bars, labels, words("axis.wrong")), words("plot.errors"))
    rows = []
    for place in places:
        table = analysis.errors[place]
        rows.append(
            (
                Cell(text=str(analysis.number[place]), sort=analysis.number[place]),
                Cell(text=table.entry),
                Cell(text=words.percent(table.wrong_frac), sort=table.wrong_frac, strong=True),
                *(Cell(text=words.percent(table.shares[kind]), sort=table.shares[kind]) for kind in kinds),
            )
        )
    head = ("#", words("head.approach"), words("head.wrong"), *(words(f"error.{kind}") for kind in kinds))
    shares = Table(head=head, rows=tuple(rows), words=2, sortable=True, caption=words("errors.caption"))
    band = words.percent(analysis.errors[places[0]].band_frac)
    meanings = Facts(rows=tuple((words(f"error.{kind}"), words(f"error.{kind}.what", band=band)) for kind in kinds))
    folded = Folded(title=words("errors.meanings"), blocks=(meanings,))
    sentences = bullets(error_sentences(analysis, words))
    blocks = (*sentences, pictures.colors(labels), drawing, shares, folded)
    return Section(key="errors", title=words("section.errors"), blocks=blocks)


def _share(value: float) -> float:
    return 0.0 if math.isnan(value) else value


def attributes_section(analysis: Analysis, words: Words, sketch: Sketch, pictures: Pictures) -> Section:
    """Returns on which images the best approach does worse: attributes against its score."""
    report = analysis.slices
    blocks: list[Block] = [*text(words("slices.about", name=report.entry))]
    blocks += bullets(slice_sentences(report, words))
    if report.effects:
        blocks.append(_effects_table(report.effects, words))
        blocks.append(_slices_table(report.effects, words))
        blocks += text(words("slices.groups" if report.n_groups is not None else "slices.images"), tone="note")
    if not report.too_few:
        blocks += [Heading(text=words("finding.title")), _findings_table(analysis, words)]
        blocks += text(words("finding.note", n=len(analysis.findings)), tone="note")
    facts = Facts(
        rows=tuple(
            (words(f"attribute.{n}"), translate(ATTRIBUTES[n].sentence, words)) for n in analysis.attributes.names
        )
    )
    blocks.append(Folded(title=words("slices.definitions"), blocks=(facts,)))
    return Section(key="attributes", title=words("section.attributes"), blocks=tuple(blocks))


def _findings_table(analysis: Analysis, words: Words) -> Table:
    rows = []
    for test in analysis.findings:
        answer = Cell(text=words(f"finding.answer.{test.answer}"), strong=test.answer == "supported")
        claim = Cell(text=translate(test.sentence, words))
        rows.append((claim, answer, Cell(text=finding_clues(test, words))))
    marked = frozenset(n for n, test in enumerate(analysis.findings) if test.answer == "supported")
    head = (words("head.claim"), words("head.answer"), words("head.clues"))
    return Table(head=head, rows=tuple(rows), words=3, marked=marked)


def _effects_table(effects: Sequence[AttributeEffect], words: Words) -> Table:
    rows = [
        (
            Cell(text=words(f"attribute.{effect.attribute}"), strong=effect.significant),
            Cell(text=words.signed(effect.rho), sort=effect.rho, strong=effect.significant),
            Cell(text=f"[{words.signed(effect.low)}, {words.signed(effect.high)}]", sort=effect.low),
            Cell(text=words.p(effect.p), sort=effect.p),
            Cell(text=words.p(effect.p_holm), sort=effect.p_holm),
            Cell(text=str(effect.n), sort=effect.n),
        )
        for effect in effects
    ]
    head = tuple(words(f"head.{key}") for key in ("attribute", "rho", "interval", "p", "p_holm", "n"))
    marked = frozenset(place for place, effect in enumerate(effects) if effect.significant)
    caption = words("slices.caption")
    return Table(head=head, rows=tuple(rows), sortable=True, marked=marked, caption=caption)


def _slices_table(effects: Sequence[AttributeEffect], words: Words) -> Folded:
    rows = [
        (
            Cell(text=words(f"attribute.{effect.attribute}")),
            Cell(text=words(f"slice.{part.name}")),
            Cell(text=f"{words.rate(part.lowest)} … {words.rate(part.highest)}", sort=part.lowest),
            Cell(text=str(part.n), sort=part.n),
            Cell(text=words.between(part.mean, part.low, part.high), sort=part.mean, strong=part.name == effect.worst),
        )
        for effect in effects
        for part in effect.slices
    ]
    head = tuple(words(f"head.{key}") for key in ("attribute", "slice", "values", "n", "mean"))
    table = Table(head=head, rows=tuple(rows), words=2, caption=words("slices.slices_caption"))
    return Folded(title=words("slices.slices"), blocks=(table,))


def cases_section(analysis: Analysis, words: Words, sketch: Sketch, pictures: Pictures) -> Section:
    """Returns images to look at: worst, middle and best of the best approach, disagreement, doubtful labels."""
    best, count = analysis.best, pictures.budget.cases
    blocks: list[Block] = [*text(words("cases.about", name=best.name))]
    if not best.masks:
        blocks += text(words("cases.no_masks", name=best.name), tone="note")
    blocks.append(pictures.legend(with_errors=True))
    for key in ("worst", "median", "best"):
        cases: tuple[Case, ...] = getattr(analysis.cases, key)
        rows = tuple((_case_title(case, words), _case_tiles(case, best, words, pictures)) for case in cases[:count])
        blocks += [Heading(text=words(f"cases.{key}")), Gallery(rows=rows)]
    blocks += _disagreements(analysis, words, pictures)
    blocks += _candidates(analysis, words, pictures)
    return Section(key="cases", title=words("section.cases"), blocks=tuple(blocks))


def _case_title(case: Case, words: Words) -> str:
    seeds = ", ".join(words.score(score) for score in case.seed_scores)
    told = f"{case.image_id}: {words.score(case.score)}"
    return f"{told} ({words('cases.seeds', scores=seeds)})" if len(case.seed_scores) > 1 else told


def _case_tiles(case: Case, entry: Entry, words: Words, pictures: Pictures) -> tuple[Tile, ...]:
    tiles = [*pictures.image_and_truth(case.image_id)]
    if entry.masks:
        tiles.append(pictures.prediction(entry, case.image_id, words("picture.prediction")))
        for seed in range(min(len(entry.masks), 2)):
            caption = (
                words("picture.errors")
                if len(entry.masks) == 1
                else words("picture.errors_seed", seed=entry.seeds[seed])
            )
            tiles.append(pictures.errors(entry, case.image_id, caption, seed))
    return tuple(tiles)


def _shown_entries(analysis: Analysis, pictures: Pictures) -> list[int]:
    """Returns the best entries that keep masks, as many as fit, and the baseline among them."""
    places = [place for place in analysis.order if analysis.evidence.entries[place].masks]
    shown = places[: pictures.budget.entries]
    base = analysis.verdict.baseline
    if base in places and base not in shown:
        shown[-1] = base
    return shown


def _disagreements(analysis: Analysis, words: Words, pictures: Pictures) -> list[Block]:
    found = analysis.disagreements
    if found is None:
        return [*text(words("cases.no_comparison"), tone="note")]
    shown = _shown_entries(analysis, pictures)
    rows = []
    for case in found.cases[: 2 * pictures.budget.cases]:
        tiles = [*pictures.image_and_truth(case.image_id)]
        for place in shown:
            entry = analysis.evidence.entries[place]
            caption = f"{analysis.number[place]}. {entry.name}: {words.score(case.scores[entry.name])}"
            tiles.append(pictures.errors(entry, case.image_id, caption))
        title = words("cases.disagree", image=case.image_id, share=words.percent(case.disagreement))
        rows.append((title, tuple(tiles)))
    about = words("cases.disagreement_about", mean=words.percent(found.mean))
    return [Heading(text=words("cases.disagreement")), *text(about), Gallery(rows=tuple(rows))]


def _candidates(analysis: Analysis, words: Words, pictures: Pictures) -> list[Block]:
    found = analysis.candidates
    if found is None:
        return []
    blocks: list[Block] = [Heading(text=words("cases.labels"))]
    if not found.cases:
        blocks += text(words("cases.labels_none", images=words.count("image", found.n)))
        return blocks
    blocks += text(words("cases.labels_about", masks=words.count("mask", found.masks_per_image)))
    rows = []
    best = next(place for place in analysis.order if analysis.evidence.entries[place].masks)
    entry = analysis.evidence.entries[best]
    for case in found.cases[: 2 * pictures.budget.cases]:
        tiles = [*pictures.image_and_truth(case.image_id)]
        tiles.append(pictures.prediction(entry, case.image_id, words("picture.prediction")))
        tiles.append(pictures.errors(entry, case.image_id, words("picture.difference")))
        pixels = words.count("pixel", case.pixels)
        rows.append(
            (words("cases.label", image=case.image_id, pixels=pixels, share=words.percent(case.share)), tuple(tiles))
        )
    return [*blocks, Gallery(rows=tuple(rows))]
