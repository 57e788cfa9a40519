"""One self-contained HTML page about a few runs: scores with their definitions, curves, predictions."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from segbench.config_loss import parse_loss
from segbench.errors import RunError
from segbench.files import write_text
from segbench.runs import RunFolder

_SHOWN_SCORES = ("iou_per_image", "iou_pooled", "dice_per_image", "thresholded_iou")


@dataclass(frozen=True)
class Picture:
    """A PNG file and what it shows."""

    file: Path
    caption: str

    @property
    def data_uri(self) -> str:
        """The picture as text that a page can hold."""
        return "data:image/png;base64," + base64.b64encode(self.file.read_bytes()).decode("ascii")


@dataclass(frozen=True)
class _Row:
    name: str
    network: str
    loss: str
    scores: dict[str, float]
    parameters: int
    seconds: float
    best_epoch: int
    epochs: int


def write_page(
    path: str | Path, runs: Sequence[RunFolder], *, title: str, question: str, gallery: Sequence[Picture] = ()
) -> None:
    """Writes the page; it opens offline and asks nothing of the network.

    Args:
        path: of the HTML file.
        runs: finished run folders, all scored on the same test part.
        title, question: shown on top.
        gallery: further pictures, at the end.
    Raises:
        RunError: a run is not finished, or was scored on another test part than the first.
    """
    results = [run.read_result() for run in runs]
    first = results[0].result
    for run, result in zip(runs, results, strict=True):
        if result.result["manifest_hash"] != first["manifest_hash"]:
            raise RunError(
                f"was scored on other data than {runs[0].path}; the numbers cannot stand in one table", run=run.path
            )
    rows = [
        _Row(
            name=result.result["name"],
            network=result.result["network"]["name"],
            loss=" + ".join(f"{term.weight_text} {term.name}" for term in parse_loss(result.result["loss"])),
            scores={name: result.scores["test"][name] for name in _SHOWN_SCORES},
            parameters=result.result["parameters"],
            seconds=result.result["seconds"]["epochs"],
            best_epoch=result.result["best_epoch"],
            epochs=result.result["epochs"],
        )
        for result in results
    ]
    pictures = [
        (row.name, Picture(run.curves_file, f"{row.name}: loss and score over epochs"), _last_sheet(run))
        for row, run in zip(rows, runs, strict=True)
    ]
    environment = Environment(
        loader=PackageLoader("segbench.report"), autoescape=select_autoescape(), undefined=StrictUndefined
    )
    html = environment.get_template("page.html").render(
        title=title,
        question=question,
        rows=sorted(rows, key=lambda row: -row.scores["iou_per_image"]),
        score_names=_SHOWN_SCORES,
        definitions={name: first["definitions"][name] for name in _SHOWN_SCORES},
        n=first["n"],
        scored_at=first["scored_at"],
        machine=runs[0].read_facts()["environment"],
        pictures=pictures,
        gallery=gallery,
    )
    write_text(path, html)


def _last_sheet(run: RunFolder) -> Picture:
    best = run.read_result().result["best_epoch"]
    return Picture(run.picture_file(best), f"validation samples after epoch {best}, the one that was chosen")
