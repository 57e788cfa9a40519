"""The sentences and the table that go with scores, for people."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

from segbench.errors import shorten
from segbench.types import ClassMap, Task

_FORMULAS = {
    "iou": "IoU = TP / (TP + FP + FN)",
    "dice": "Dice = 2 TP / (2 TP + FP + FN)",
    "precision": "Precision = TP / (TP + FP)",
    "recall": "Recall = TP / (TP + FN)",
}
_UNDEFINED = {
    "iou": "a class absent from truth and prediction",
    "dice": "a class absent from truth and prediction",
    "precision": "a class that was not predicted",
    "recall": "a class absent from the truth",
}


def define_scores(classes: ClassMap, scored: Sequence[int], empty: str, n_images: int) -> dict[str, str]:
    """Returns name -> one sentence: formula, level, classes averaged, ignored label, rule for absent classes, n."""
    names = [classes.names[index] for index in scored]
    over = f"class {names[0]}" if len(names) == 1 else f"mean over {len(names)} classes ({shorten(names)})"
    tail = f"pixels labelled {classes.ignore_index} in the target are left out; n = {n_images} images"
    result = {}
    for name, formula in _FORMULAS.items():
        absent = f"{_UNDEFINED[name]} is left out"
        if empty == "one":
            other = "" if name in ("iou", "dice") else f" and {absent} otherwise"
            absent = f"a class absent from truth and prediction scores 1{other}"
        result[f"{name}_pooled"] = f"{formula} of the pixels of all images together, {over}; {absent}; {tail}."
        result[f"{name}_per_image"] = (
            f"{formula} of each image, {over}, then mean over the images with a value; {absent}; {tail}."
        )
    what = "labels (every class of every pixel)" if classes.task is Task.MULTILABEL else "pixels"
    share = f"share of counted {what} predicted right, all classes with the background"
    result["pixel_accuracy"] = f"Pixel accuracy: {share}, all images together; {tail}."
    result["pixel_accuracy_per_image"] = f"Pixel accuracy: {share}, of each image, then mean over images; {tail}."
    absent = "scores 1" if empty == "one" else "is left out"
    result["thresholded_iou"] = (
        f"Thresholded IoU = ceil(clamp(20 (IoU - 0.5), 0, 10)) / 10 of each image, {over}, then mean over the images "
        f"with a value; a class absent from truth and prediction {absent}; {tail}."
    )
    return result


def html_table(
    summary: Mapping[str, float], definitions: Mapping[str, str], rows: Sequence[Mapping[str, Any]], n_images: int
) -> str:
    """Returns two HTML tables, the scores with their definitions and the classes; names are escaped."""
    scores = "".join(
        f'<tr title="{html.escape(definitions[name])}"><th>{name}</th><td>{_show(value)}</td></tr>'
        for name, value in summary.items()
    )
    header = "".join(f"<th>{html.escape(key)}</th>" for key in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(_show(value))}</td>" for value in row.values()) + "</tr>" for row in rows
    )
    return (
        f"<table><caption>Scores of {n_images} images; point at a row for its definition</caption>{scores}</table>"
        f"<table><caption>Classes</caption><tr>{header}</tr>{body}</table>"
    )


def _show(value: object) -> str:
    if isinstance(value, float):
        return "–" if math.isnan(value) else f"{value:.4f}"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
