"""The section about single classes: scores of each, what it is taken for, classes x approaches."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from segbench.explain.classes import SHOWN_CONFUSION, ClassRow, ClassTable
from segbench.locale import join, listed, message
from segbench.report.analysis import Analysis
from segbench.report.document import Block, Cell, Folded, Gallery, Heading, Section, Table, text
from segbench.report.labels import HEAD
from segbench.report.pictures import Pictures
from segbench.report.sections.results import MOST_COLUMNS, columns_left_out
from segbench.report.summary import called, name_of, numbered
from segbench.report.svg import Sketch

_PAIRS_SHOWN = 6
_LEAST_SHOWN = 0.005  # of a class; a smaller share stays an empty cell
_MOST_MATRIX = 30  # classes; a larger matrix cannot be read


def classes_section(analysis: Analysis, sketch: Sketch, pictures: Pictures) -> Section | None:
    """Returns every class of the best approach, all classes of all approaches, and what is confused; None for one."""
    table = analysis.classes
    if table is None:
        return None
    place = next((place for place in analysis.order if place in table.rows[0].scores), None)
    if place is None:
        return None
    name = name_of(analysis, place)
    blocks: list[Block] = [Heading(text=message("Classes of {name}", name=name)), _scores(analysis, table, place)]
    blocks += [Heading(text=message("Every class with every approach")), _heat_map(analysis, table)]
    if place in table.confusion and len(table.rows) <= _MOST_MATRIX:
        linked = _shown_pairs(table, place) if analysis.evidence.entries[place].masks else []
        title = message("What {name} takes each class for", name=name)
        blocks += [Heading(text=title), _confusion(analysis, table, place, linked)]
        blocks += _confused_images(analysis, table, place, pictures)
    if table.without:
        blocks += text(
            message("Keep neither counts nor masks: {names}.", names=listed(called(analysis, table.without))),
            tone="note",
        )
    return Section(key="classes", title=message("Classes"), blocks=tuple(blocks))


def _class_name(row: ClassRow) -> str:
    return row.name if row.scored else message("{name} (not scored)", name=row.name)


def _scores(analysis: Analysis, table: ClassTable, place: int) -> Table:
    numbers = analysis.numbers
    rows: list[tuple[Cell, ...]] = []
    some_missing = any(row.scores[place].runs_without for row in table.rows)
    for row in table.rows:
        score = row.scores[place]
        never = row.n_images > 0 and score.runs_without == score.runs
        iou = numbers.between(score.iou, score.iou_low, score.iou_high)
        dice = numbers.between(score.dice, score.dice_low, score.dice_high)
        missing = message("in {count} of {total} trainings", count=score.runs_without, total=score.runs)
        rows.append(
            (
                Cell(text=_class_name(row), bad=never),
                Cell(text=str(row.n_images), sort=row.n_images),
                Cell(text=numbers.percent(row.pixel_share), sort=row.pixel_share),
                Cell(text=message("never predicted") if never else iou, sort=score.iou, bad=never),
                Cell(text=dice, sort=score.dice),
                Cell(text=numbers.score(score.iou_pooled), sort=score.iou_pooled),
            )
        )
        if some_missing:
            shown = missing if score.runs_without else ""
            rows[-1] += (Cell(text=shown, sort=score.runs_without, bad=bool(score.runs_without)),)
    head = [HEAD["class"], message("images"), message("of the pixels"), "IoU", "Dice", message("IoU, pooled")]
    return Table(
        head=(*head, message("never predicted")) if some_missing else tuple(head),
        rows=tuple(rows),
        sortable=True,
        caption=message(
            "Means over the test images that hold the class, and over seeds, with {level} intervals. Pooled: all "
            "pixels of all images together, so a class that is invented costs, too.",
            level=numbers.level(table.level),
        ),
    )


def _heat_map(analysis: Analysis, table: ClassTable) -> Table:
    known = [place for place in analysis.order if place in table.rows[0].scores]
    order = known[:MOST_COLUMNS]
    rows = []
    for row, values in zip(table.rows, table.heat(order), strict=True):
        cells = []
        for place, value in zip(order, values.tolist(), strict=True):
            score = row.scores[place]
            never = row.n_images > 0 and score.runs_without == score.runs
            heat = math.nan if never or math.isnan(value) else 0.05 + 0.8 * value
            text_ = message("never") if never else analysis.numbers.score(value)
            cells.append(Cell(text=text_, sort=value, heat=heat, bad=never, hint=name_of(analysis, place)))
        rows.append((Cell(text=_class_name(row)), *cells))
    head = (HEAD["class"], *(numbered(analysis, place) for place in order))
    about = message("Mean IoU of every class; “never”: no training predicts it on any test image.")
    caption = join(" ", filter(None, [about, columns_left_out(len(known))]))
    return Table(head=head, rows=tuple(rows), caption=caption)


def _confusion(analysis: Analysis, table: ClassTable, place: int, linked: Sequence[tuple[int, int]]) -> Table:
    matrix, rows = table.confusion[place], []
    for true, row in enumerate(table.rows):
        cells = []
        for predicted, share in enumerate(matrix[true].tolist()):
            known = not math.isnan(share)
            shown = f"{100 * share:.0f}" if known and share >= _LEAST_SHOWN else ""
            sign = 1.0 if true == predicted else -1.0
            link = f"#confused-{true}-{predicted}" if (true, predicted) in linked else ""
            cells.append(Cell(text=shown, heat=sign * share if known and shown else math.nan, link=link))
        rows.append((Cell(text=row.name), *cells))
    head = (message("true \\ predicted"), *(row.name for row in table.rows))
    caption = message(
        "Percent of each true class (row), over all images and trainings; empty: below {least}.",
        least=analysis.numbers.percent(_LEAST_SHOWN),
    )
    clicks = message("Underlined: a click shows images.") if linked else ""
    return Table(head=head, rows=tuple(rows), caption=caption, clicks=clicks, dense=True)


def _shown_pairs(table: ClassTable, place: int) -> list[tuple[int, int]]:
    """Returns the pairs of classes that are confused most and have images, by share of the true class."""
    matrix = table.confusion[place]
    pairs = table.confused.get(place, {})
    return sorted(pairs, key=lambda pair: -np.nan_to_num(matrix[pair]))[:_PAIRS_SHOWN]


def _confused_images(analysis: Analysis, table: ClassTable, place: int, pictures: Pictures) -> list[Block]:
    entry = analysis.evidence.entries[place]
    if not entry.masks:
        return []
    blocks: list[Block] = []
    for true, predicted in _shown_pairs(table, place):
        names = {"true": table.rows[true].name, "predicted": table.rows[predicted].name}
        tiles = []
        for image_id in table.confused[place][true, predicted][: pictures.budget.cases]:
            tiles.append(pictures.image_and_truth(image_id)[1])
            tiles.append(pictures.prediction(entry, image_id, pictures.seed_caption(entry, image_id)))
        share = analysis.numbers.percent(float(table.confusion[place][true, predicted]))
        title = message("{true} taken for {predicted}: {share} of its pixels", share=share, **names)
        blocks.append(
            Folded(title=title, blocks=(Gallery(rows=(("", tuple(tiles)),)),), key=f"confused-{true}-{predicted}")
        )
    least = analysis.numbers.percent(SHOWN_CONFUSION)
    return blocks or [
        *text(message("No class is taken for another in {least} of its pixels.", least=least), tone="note")
    ]
