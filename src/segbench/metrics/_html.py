"""Scores as a table for notebooks."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

from segbench.metrics.families import label_of, with_labels


def html_table(
    summary: Mapping[str, float], definitions: Mapping[str, str], rows: Sequence[Mapping[str, Any]], note: str
) -> str:
    """Returns two HTML tables, the scores with their definitions and the classes, and a note; names are escaped."""
    scores = "".join(
        f'<tr title="{html.escape(definitions[name])}"><th>{label_of(name)}</th><td>{_show(value)}</td></tr>'
        for name, value in summary.items()
    )
    header = "".join(f"<th>{html.escape(label_of(key))}</th>" for key in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(_show(value))}</td>" for value in row.values()) + "</tr>" for row in rows
    )
    return (
        f"<table><caption>Scores; point at a row for its definition</caption>{scores}</table>"
        f"<table><caption>Classes</caption><tr>{header}</tr>{body}</table><p>{html.escape(with_labels(note))}</p>"
    )


def _show(value: object) -> str:
    if isinstance(value, float):
        return "–" if math.isnan(value) else f"{value:.4f}"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
