"""The definitions of the scores from counts, and the table that goes with them, for people."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from segbench.metrics.definitions import Definition, class_names, state_decision
from segbench.types import ClassMap, Task

_FORMULAS = {
    "iou": "IoU = TP / (TP + FP + FN)",
    "dice": "Dice = 2 TP / (2 TP + FP + FN)",
    "precision": "Precision = TP / (TP + FP)",
    "recall": "Recall = TP / (TP + FN)",
    "thresholded_iou": "Thresholded IoU = ceil(clamp(20 (IoU - 0.5), 0, 10)) / 10",
    "area_error": "Area error = |predicted - true| / true pixels",
    "area_bias": "Area bias = (predicted - true) / true pixels",
}
_UNDEFINED = {
    "precision": "a class that was not predicted",
    "recall": "a class absent from the truth",
    "area_error": "a class absent from the truth",
    "area_bias": "a class absent from the truth",
}
_ABSENT = "a class absent from truth and prediction"

_MEAN = "then mean over the images with a value"
_MEDIAN = "then median over the images with a value"
_WORST = "then mean over the worst 5 % (rounded up) of the images with a value"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What all scores of one table share; attributes as in `Definition` and `segbench.metrics.scores.Scores`."""

    classes: ClassMap
    scored: tuple[int, ...]
    empty: str
    threshold: float | None
    resolution: str
    ignore_index: int
    n: int


def define_scores(
    setting: Setting, n_valued: Mapping[str, int], classes_valued: Mapping[str, int]
) -> dict[str, Definition]:
    """Returns name -> definition, in the order of `Scores.summary()`.

    Args:
        setting: what the scores share.
        n_valued: formula, or `pixel_accuracy` -> images that have a value.
        classes_valued: formula -> scored classes that have a value in the pixels of all images together.
    """
    result: dict[str, Definition] = {}
    for ratio in ("iou", "dice", "precision", "recall"):
        pooled = _define(f"{ratio}_pooled", ratio, setting)
        result[pooled.name] = replace(pooled, classes_valued=classes_valued[ratio])
        result[f"{ratio}_per_image"] = _define(f"{ratio}_per_image", ratio, setting, _MEAN, n_valued[ratio])
    accuracy = _define_accuracy(setting, n_valued["pixel_accuracy"])
    result.update({definition.name: definition for definition in accuracy})
    more = [("thresholded_iou", "thresholded_iou", _MEAN)]
    more += [(f"{ratio}_per_image_median", ratio, _MEDIAN) for ratio in ("iou", "dice")]
    more += [(f"{ratio}_per_image_worst5", ratio, _WORST) for ratio in ("iou", "dice")]
    more += [(f"{area}_per_image", area, _MEAN) for area in ("area_error", "area_bias")]
    for name, key, summary in more:
        result[name] = _define(name, key, setting, summary, n_valued[key])
    return result


def _define(name: str, key: str, setting: Setting, summary: str = "", n_valued: int | None = None) -> Definition:
    area = key.startswith("area_")
    return Definition(
        name=name,
        formula=_FORMULAS[key],
        level="per image" if summary else "pooled",
        summary=summary,
        classes=class_names(setting.classes, setting.scored),
        absent=_absent_rule(key, setting.empty),
        decision=state_decision(setting.classes.task, setting.threshold),
        threshold=setting.threshold if setting.classes.task is not Task.MULTICLASS else None,
        resolution=setting.resolution,
        ignore_index=setting.ignore_index,
        unit="relative" if area else "share",
        better="lower" if key == "area_error" else "zero" if area else "higher",
        lowest=-1.0 if key == "area_bias" else 0.0,
        highest=math.inf if area else 1.0,
        n=setting.n,
        n_valued=n_valued,
    )


def _absent_rule(key: str, empty: str) -> str:
    left_out = f"{_UNDEFINED.get(key, _ABSENT)} is left out"
    if empty != "one" or key.startswith("area_"):
        return left_out
    other = f" and {left_out} otherwise" if key in _UNDEFINED else ""
    return f"{_ABSENT} scores 1{other}"


def _define_accuracy(setting: Setting, n_valued: int) -> tuple[Definition, Definition]:
    task = setting.classes.task
    what = "labels (every class of every pixel)" if task is Task.MULTILABEL else "pixels"
    formula = f"Pixel accuracy: share of counted {what} predicted right"
    shared: dict[str, Any] = {
        "formula": formula,
        "classes": (),  # it has no mean over classes
        "absent": "",
        "decision": state_decision(task, setting.threshold),
        "threshold": setting.threshold if task is not Task.MULTICLASS else None,
        "resolution": setting.resolution,
        "ignore_index": setting.ignore_index,
        "n": setting.n,
    }
    every = "all classes" if setting.classes.background is None else "all classes with the background"
    return (
        Definition(name="pixel_accuracy", level="pooled", summary=every, **shared),
        Definition(
            name="pixel_accuracy_per_image",
            level="per image",
            summary=f"{every}, {_MEAN}",
            n_valued=n_valued,
            **shared,
        ),
    )


def html_table(
    summary: Mapping[str, float], definitions: Mapping[str, str], rows: Sequence[Mapping[str, Any]], note: str
) -> str:
    """Returns two HTML tables, the scores with their definitions and the classes, and a note; names are escaped."""
    scores = "".join(
        f'<tr title="{html.escape(definitions[name])}"><th>{name}</th><td>{_show(value)}</td></tr>'
        for name, value in summary.items()
    )
    header = "".join(f"<th>{html.escape(key)}</th>" for key in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(_show(value))}</td>" for value in row.values()) + "</tr>" for row in rows
    )
    return (
        f"<table><caption>Scores; point at a row for its definition</caption>{scores}</table>"
        f"<table><caption>Classes</caption><tr>{header}</tr>{body}</table><p>{html.escape(note)}</p>"
    )


def _show(value: object) -> str:
    if isinstance(value, float):
        return "–" if math.isnan(value) else f"{value:.4f}"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
