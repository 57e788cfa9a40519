"""Sections that explain the scores: learning, overfitting, kinds of error, attributes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from segbench.explain.attributes import ATTRIBUTES
from segbench.explain.error_types import ERROR_TYPES
from segbench.explain.overfitting import OverfittingSummary
from segbench.explain.slices import AttributeEffect
from segbench.locale import Numbers, join, message
from segbench.plots.explain import ERROR_TYPE_COLORS
from segbench.report.analysis import Analysis
from segbench.report.curves import CurvePanel, curve_panels
from segbench.report.document import (
    Block,
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
from segbench.report.figures import stacked_bars
from segbench.report.labels import ALERT, ANSWER, ATTRIBUTE, CURVE, ERROR, HEAD, SLICE, error_meanings
from segbench.report.pictures import Pictures
from segbench.report.sections.results import entry_cell
from segbench.report.summary import (
    error_sentences,
    explained_sentence,
    finding_clues,
    label_of_score,
    name_of,
    numbered,
    overfitting_sentences,
    slice_sentences,
    what_curves_say,
)
from segbench.report.svg import Sketch
from segbench.types import Task

_MANY = 8  # approaches; more panels of a second kind are folded away
_MOST_PANELS = 16  # a hundred small panels are looked at by nobody, and take longer than all else on the page


def learning_section(analysis: Analysis, sketch: Sketch, pictures: Pictures) -> Section | None:
    """Returns loss and score over epochs, a small panel an approach, with the table of what the curves say.

    None where no entry has runs.
    """
    places = [place for place in analysis.order if analysis.evidence.entries[place].runs]
    if not places:
        return None
    blocks: list[Block] = [*bullets(overfitting_sentences(analysis))]
    for name, title in (("loss", message("loss")), *_monitored(analysis, places)):
        panels = [_panel(analysis, place, name) for place in places[:_MOST_PANELS]]
        drawing = sketch.draw(
            partial(curve_panels, panels, title, CURVE),
            message("{name} over epochs, one panel an approach", name=title),
            message(
                "One line a seed. Dotted: the epoch whose weights were kept. Triangle: from there the "
                "validation loss rises for good."
            )
            if name == "loss"
            else "",
        )
        is_long = name != "loss" and len(places) > _MANY
        blocks.append(
            Folded(title=message("{name} over epochs", name=title), blocks=(drawing,)) if is_long else drawing
        )
    if len(places) > _MOST_PANELS:
        told = message("Drawn are the {n} approaches with the best means; the table has all of them.", n=_MOST_PANELS)
        blocks += text(told, tone="note")
    blocks += [
        _overfitting_table(analysis, places),
        *_alerts(analysis, places),
        *text(
            message(
                "The weights of the best validation epoch were kept, so overfitting after it costs training "
                "time, not score."
            ),
            tone="note",
        ),
    ]
    return Section(key="learning", title=message("Learning and overfitting"), blocks=tuple(blocks))


def _alerts(analysis: Analysis, places: Sequence[int]) -> tuple[Block, ...]:
    """Returns a table of what went wrong in the trainings, and was told then; nothing where all went well."""
    rows = []
    for place in places:
        entry = analysis.evidence.entries[place]
        for seed, run in zip(entry.seeds, entry.runs, strict=True):
            rows += [
                (
                    entry_cell(analysis, place),
                    Cell(text=str(seed), sort=seed),
                    Cell(
                        text=ALERT.get(alert["code"], alert["code"]),
                        hint=join(": ", [alert["sentence"], alert["advice"]]),
                    ),
                    Cell(text=str(alert["epoch"]), sort=alert["epoch"]),
                )
                for alert in run.read_alerts()
            ]
    if not rows:
        return ()
    head = (HEAD["approach"], HEAD["seed"], HEAD["alert"], HEAD["epoch"])
    return (Table(head=head, rows=tuple(rows), words=3, sortable=True),)


def _monitored(analysis: Analysis, places: Sequence[int]) -> list[tuple[str, str]]:
    """Returns the score that chose the epochs, where all runs have the same and it is not the loss."""
    names = {run.monitor for place in places for run in analysis.overfitting[place].runs} - {"loss"}
    return [(name, label_of_score(analysis, name)) for name in names] if len(names) == 1 else []


def _panel(analysis: Analysis, place: int, name: str) -> CurvePanel:
    entry, summary = analysis.evidence.entries[place], analysis.overfitting[place]
    histories = [run.read_history() for run in entry.runs]

    def curves(part: str) -> tuple[tuple[float, ...], ...]:
        return tuple(tuple(row.get(f"{part}_{name}", math.nan) for row in history) for history in histories)

    return CurvePanel(
        title=numbered(analysis, place),
        epochs=tuple(tuple(row["epoch"] for row in history) for history in histories),
        train=curves("train"),
        val=curves("val"),
        best=tuple(run.best_epoch for run in summary.runs),
        turns=summary.turning_epochs if name == "loss" else (),
    )


def _overfitting_table(analysis: Analysis, places: Sequence[int]) -> Table:
    keys = ("approach", "curves_say", "best_epoch", "epochs", "cost_of_last", "train_score", "val_score", "clean_gap")
    rows = []
    for place in places:
        summary = analysis.overfitting[place]
        rows.append(
            (
                entry_cell(analysis, place),
                Cell(text=what_curves_say(summary)),
                Cell(text=_range([run.best_epoch for run in summary.runs])),
                Cell(text=_range([run.epochs for run in summary.runs])),
                _number(summary.cost_of_last_mean, analysis.numbers),
                _number(_mean(summary, "train_score"), analysis.numbers),
                _number(_mean(summary, "val_score"), analysis.numbers),
                _number(summary.clean_gap_mean, analysis.numbers),
            )
        )
    return Table(
        head=tuple(HEAD[key] for key in keys),
        rows=tuple(rows),
        words=2,
        sortable=True,
        caption=message(
            "Lost by keeping the last: validation score of the kept epoch minus that of the last. "
            "Training and validation score: of the kept weights, without augmentation; their gap is the "
            "honest one."
        ),
    )


def _mean(summary: OverfittingSummary, name: str) -> float:
    values = [float(getattr(run, name)) for run in summary.runs]
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _number(value: float, numbers: Numbers) -> Cell:
    return Cell(text=numbers.score(value), sort=value)


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low}–{high}"


def errors_section(analysis: Analysis, sketch: Sketch, pictures: Pictures) -> Section | None:
    """Returns the kinds of error, a bar an approach; None where no entry keeps masks."""
    places = [place for place in analysis.order if place in analysis.errors]
    if not places:
        return None
    kinds = [kind for kind in ERROR_TYPES if any(analysis.errors[place].shares[kind] > 0 for place in places)]
    if not kinds:
        blocks = bullets(error_sentences(analysis))
        return Section(key="errors", title=message("Kinds of error"), blocks=blocks)
    bars = [
        (
            numbered(analysis, place),
            [100.0 * _share(analysis.errors[place].shares[kind]) * analysis.errors[place].wrong_frac for kind in kinds],
        )
        for place in places
    ]
    labels = [(ERROR[kind], "#{:02x}{:02x}{:02x}".format(*ERROR_TYPE_COLORS[kind])) for kind in kinds]
    drawing: Drawing = sketch.draw(
        partial(stacked_bars, bars, labels, message("wrong pixels, % of all counted")),
        message("Share of wrong pixels by kind, one bar an approach"),
    )
    rows = []
    for place in places:
        table = analysis.errors[place]
        rows.append(
            (
                entry_cell(analysis, place),
                Cell(text=analysis.numbers.percent(table.wrong_frac), sort=table.wrong_frac, strong=True),
                *(Cell(text=analysis.numbers.percent(table.shares[kind]), sort=table.shares[kind]) for kind in kinds),
            )
        )
    head = (message("approach"), message("wrong pixels"), *(ERROR[kind] for kind in kinds))
    shares = Table(
        head=head,
        rows=tuple(rows),
        sortable=True,
        caption=message(
            "Wrong pixels as a share of all counted ones, then the share of each kind in them, over all "
            "test images and seeds."
        ),
    )
    band = analysis.numbers.percent(analysis.errors[places[0]].band_frac)
    meanings = Facts(rows=tuple((ERROR[kind], error_meanings(band)[kind]) for kind in kinds))
    folded = Folded(title=message("What the kinds mean"), blocks=(meanings,))
    sentences = (*bullets(error_sentences(analysis)), *text(explained_sentence(analysis), tone="note"))
    blocks = (*sentences, pictures.colors(labels), drawing, shares, *_class_errors(analysis, kinds), folded)
    return Section(key="errors", title=message("Kinds of error"), blocks=blocks)


def _class_errors(analysis: Analysis, kinds: Sequence[str]) -> tuple[Block, ...]:
    """Returns the kinds of error of the best approach that keeps masks, a row a class; nothing for one class."""
    class_map = analysis.evidence.class_map
    place = next(place for place in analysis.order if place in analysis.errors)
    table = analysis.errors[place]
    total = table.class_pixels.sum()
    if class_map.task is Task.BINARY or not total > 0:
        return ()
    columns = [ERROR_TYPES.index(kind) for kind in kinds]
    rows = []
    for name, pixels, (true, missed, false) in zip(
        class_map.names, table.class_pixels, table.class_objects, strict=True
    ):
        shares = [float(pixels.sum() / total), *(float(pixels[column] / total) for column in columns)]
        rows.append(
            (
                Cell(text=name),
                *(
                    Cell(text=analysis.numbers.percent(share), sort=share, strong=k == 0)
                    for k, share in enumerate(shares)
                ),
                Cell(text=join(" / ", map(analysis.numbers.mean_count, (missed, true))), sort=missed),
                Cell(text=analysis.numbers.mean_count(false), sort=false),
            )
        )
    head = (
        message("class"),
        message("wrong pixels"),
        *(ERROR[kind] for kind in kinds),
        message("objects missed / true"),
        message("objects invented"),
    )
    caption = message(
        "{name}: shares of all its wrong pixels. A pixel belongs to its true class; where that is background, to the "
        "predicted one.",
        name=name_of(analysis, place),
    )
    classes = Table(head=head, rows=tuple(rows), words=1, sortable=True, caption=caption)
    return (Folded(title=message("Kinds of error by class"), blocks=(classes,)),)


def _share(value: float) -> float:
    return 0.0 if math.isnan(value) else value


def attributes_section(analysis: Analysis, sketch: Sketch, pictures: Pictures) -> Section:
    """Returns on which images the best approach does worse: attributes against its score."""
    report = analysis.slices
    blocks: list[Block] = [
        *text(
            message(
                "What the images look like, measured from image and true mask, against the score of {name}.",
                name=name_of(analysis, analysis.verdict.best),
            )
        )
    ]
    blocks += bullets(slice_sentences(report, analysis.numbers))
    if report.effects:
        blocks.append(_effects_table(report.effects, analysis.numbers))
        blocks.append(_slices_table(report.effects, analysis.numbers))
        independent = message("Images were taken as independent.")
        if report.n_groups is not None:
            independent = message("Images of one group were not taken as independent.")
        blocks += text(independent, tone="note")
    if not report.too_few:
        blocks += [Heading(text=message("Claims, tested")), _findings_table(analysis)]
        blocks += text(
            message(
                "The same tests as above: a claim is supported where one of its attributes was shown to go with the "
                "score, in the direction claimed."
            ),
            tone="note",
        )
    facts = Facts(rows=tuple((ATTRIBUTE[n], ATTRIBUTES[n].sentence) for n in analysis.attributes.names))
    blocks.append(Folded(title=message("What the attributes are"), blocks=(facts,)))
    return Section(key="attributes", title=message("On which images it does worse"), blocks=tuple(blocks))


def _findings_table(analysis: Analysis) -> Table:
    rows = []
    for test in analysis.findings:
        answer = Cell(text=ANSWER[test.answer], strong=test.answer == "supported")
        claim = Cell(text=test.sentence)
        rows.append((claim, answer, Cell(text=finding_clues(test, analysis.numbers))))
    marked = frozenset(n for n, test in enumerate(analysis.findings) if test.answer == "supported")
    head = (message("claim"), message("answer"), message("rank correlations with the score"))
    return Table(head=head, rows=tuple(rows), words=3, marked=marked)


def _effects_table(effects: Sequence[AttributeEffect], numbers: Numbers) -> Table:
    rows = [
        (
            Cell(text=ATTRIBUTE[effect.attribute], strong=effect.significant),
            Cell(text=numbers.signed(effect.rho), sort=effect.rho, strong=effect.significant),
            Cell(text=numbers.ends(effect.low, effect.high, signed=True), sort=effect.low),
            Cell(text=numbers.p(effect.p), sort=effect.p),
            Cell(text=numbers.p(effect.p_holm), sort=effect.p_holm),
            Cell(text=str(effect.n), sort=effect.n),
        )
        for effect in effects
    ]
    head = tuple(HEAD[key] for key in ("attribute", "rho", "interval", "p", "p_holm", "n"))
    marked = frozenset(place for place, effect in enumerate(effects) if effect.significant)
    caption = message("Spearman's rank correlation of attribute and score; p (Holm) is corrected over all attributes.")
    return Table(head=head, rows=tuple(rows), sortable=True, marked=marked, caption=caption)


def _slices_table(effects: Sequence[AttributeEffect], numbers: Numbers) -> Folded:
    rows = [
        (
            Cell(text=ATTRIBUTE[effect.attribute]),
            Cell(text=SLICE[part.name]),
            Cell(text=join(" … ", [numbers.rate(part.lowest), numbers.rate(part.highest)]), sort=part.lowest),
            Cell(text=str(part.n), sort=part.n),
            Cell(
                text=numbers.between(part.mean, part.low, part.high), sort=part.mean, strong=part.name == effect.worst
            ),
        )
        for effect in effects
        for part in effect.slices
    ]
    head = tuple(HEAD[key] for key in ("attribute", "slice", "values", "n", "mean"))
    table = Table(
        head=head,
        rows=tuple(rows),
        words=2,
        caption=message("In bold: the worst part. Chosen after looking, so it describes and does not prove."),
    )
    return Folded(title=message("Mean score in thirds of each attribute"), blocks=(table,))
