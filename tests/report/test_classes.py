"""The section about classes: what is never predicted stands out, and what is confused leads to images."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np

from segbench.explain.classes import ClassRow, ClassScore, ClassTable
from segbench.locale import Numbers
from segbench.report.document import Cell, Document, Folded, Section, Table
from segbench.report.html import render
from segbench.report.sections.classes import classes_section


def score(iou: float, *, without: int = 0) -> ClassScore:
    ends = {"iou_low": iou - 0.1, "iou_high": iou + 0.1, "dice_low": iou, "dice_high": iou}
    return ClassScore(iou=iou, dice=iou, iou_pooled=iou, dice_pooled=iou, runs=2, runs_without=without, **ends)


def row(index: int, name: str, *scores: ClassScore) -> ClassRow:
    table = dict(enumerate(scores))
    return ClassRow(index=index, name=name, scored=True, n_images=9, pixel_share=0.5, scores=table)


def analysis_of(masks: tuple[Any, ...] = ()) -> Any:
    """Returns two entries on two classes; the second entry never predicts the second class."""
    table = ClassTable(
        rows=(row(0, "road", score(0.9), score(0.8)), row(1, "car", score(0.5), score(0.0, without=2))),
        confusion={0: np.array([[0.9, 0.1], [0.4, 0.6]]), 1: np.array([[1.0, 0.0], [1.0, 0.0]])},
        confused={0: {(1, 0): ("a",), (0, 1): ("b",)}, 1: {(1, 0): ("a",)}},
        never_predicted={1: ("car",)},
        without=(),
        n_images=9,
        level=0.95,
    )
    entries = [SimpleNamespace(masks=masks, seeds=(0, 1)), SimpleNamespace(masks=(), seeds=(0, 1))]
    return SimpleNamespace(
        classes=table,
        order=(1, 0),
        number={1: 1, 0: 2},
        numbers=Numbers(3),
        verdict=SimpleNamespace(names=("good", "blind")),
        evidence=SimpleNamespace(entries=entries),
    )


def test_a_class_that_is_never_predicted_stands_in_red() -> None:
    section = classes_section(analysis_of(), None, None)  # type: ignore[arg-type]
    assert section is not None
    scores, heat, confusion = (block for block in section.blocks if isinstance(block, Table))
    car = scores.rows[1]
    assert (car[0].bad, car[3].text, car[3].bad, car[-1].text) == (True, "never predicted", True, "in 2 of 2 trainings")
    assert not any(cell.bad for cell in scores.rows[0])
    assert [cell.text for cell in heat.rows[1]] == ["car", "never", "0.500"]
    assert heat.rows[1][1].bad
    assert math.isnan(heat.rows[1][1].heat)
    assert heat.head == ("class", "1. blind", "2. good")
    assert [cell.text for cell in confusion.rows[1]] == ["car", "100", ""]
    assert not any(cell.link for line in confusion.rows for cell in line)  # no masks, no images


def test_one_scored_class_has_no_such_section() -> None:
    assert classes_section(SimpleNamespace(classes=None), None, None) is None  # type: ignore[arg-type]


def test_red_and_links_reach_the_page() -> None:
    table = Table(head=("class", "x"), rows=((Cell(text="car", bad=True), Cell(text="7", link="#there")),))
    blocks = (table, Folded(title="images", blocks=(), key="there"))
    sections = (Section(key="classes", title="Classes", blocks=blocks, folded=True),)
    document = Document(lang="en", title="t", question="q", top=(), sections=sections, foot="", contents="")
    text = render("page.html", document=document)
    assert '<th scope=row class="bad">car</th>' in text
    assert '<a href="#there">7</a>' in text
    assert '<details id="there"><summary>images</summary>' in text
    assert '<details class="whole"><summary><h2>Classes</h2></summary>' in text
