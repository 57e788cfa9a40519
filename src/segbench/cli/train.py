"""`segbench train` and `segbench evaluate`: one network trained, and its best weights scored again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from segbench.cli._common import (
    ConfigFile,
    Device,
    Overrides,
    Quiet,
    RunPath,
    console,
    make_callback,
    print_table,
    require,
)
from segbench.config.run import ScoresConfig, load_config, parse_config
from segbench.metrics.families import label_of, with_labels
from segbench.types import SPLITS, RunResult

if TYPE_CHECKING:
    from segbench.metrics.scores import Scores


def train(
    config: ConfigFile,
    overrides: Overrides = None,
    restart: Annotated[bool, typer.Option(help="Delete what is in the run folder and begin again.")] = False,
    quiet: Quiet = False,
) -> None:
    """Train, validate and score one network; run it again to continue a killed run.

    Example: segbench train ph2.yaml --set epochs=20 --set loss=dice
    """
    loaded = load_config(config, overrides or [])
    from segbench.train.check import check_config

    check_config(loaded, weights_must_exist=False)  # a run that goes on needs no file to start from; `fit` knows
    from segbench.train.fit import fit

    _print_result(fit(loaded, watch=make_callback(quiet), restart=restart))


def evaluate(
    run: RunPath,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    resolution: Annotated[str, typer.Option(help="training: the size the network saw; original: each image's.")] = (
        "training"
    ),
    tolerance_px: Annotated[float | None, typer.Option(help="Of NSD, in pixels; default: the run's.")] = None,
    boundary_width_frac: Annotated[
        float | None, typer.Option(help="Of boundary IoU, as a share of the image diagonal; default: the run's.")
    ] = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Score a run's best weights on one split, per class and per image.

    Example: segbench evaluate runs/ph2 --split test --resolution original --tolerance-px 5
    """
    require("--split", split, SPLITS)
    require("--resolution", resolution, ("training", "original"))
    from segbench.train.evaluate import evaluate as score_run

    wanted = _scores_config(run, tolerance_px, boundary_width_frac)
    watch = make_callback(quiet)
    scores = score_run(run, split, resolution=resolution, scores=wanted, device=device, watch=watch)  # type: ignore[arg-type]
    name = split if resolution == "training" else f"{split}_original"
    written = json.loads((run / f"evaluation_{name}.json").read_text(encoding="utf-8"))["scores"]
    _print_scores(f"{run} on {split}, {resolution} size", scores, written)
    console.print(f"with outlines: segbench metrics show {run} --split {split} --resolution {resolution}")


def _print_result(result: RunResult) -> None:
    table = Table(title=f"{result.result['name']}: scores of epoch {result.result['best_epoch']}", title_justify="left")
    table.add_column("score")
    for split in SPLITS:
        table.add_column(f"{split} (n={result.result['n'][split]})", justify="right")
    for name in result.scores["test"]:
        table.add_row(label_of(name), *(f"{result.scores[split][name]:.4f}" for split in SPLITS))
    Console(highlight=False).print(table)
    if "footnote" in result.result:  # runs of earlier versions have none
        console.print(f"test: {with_labels(result.result['footnote'])}")
    console.print(f"what each score means: segbench metrics show {result.run}")
    console.print(f"everything else: {result.run}/result.json")


def _scores_config(run: Path, tolerance_px: float | None, boundary_width_frac: float | None) -> ScoresConfig | None:
    """Returns the run's, with what the command line changes; None where it changes nothing."""
    given = {"tolerance_px": tolerance_px, "boundary_width_frac": boundary_width_frac}
    changes = {key: value for key, value in given.items() if value is not None}
    if not changes:
        return None
    from segbench.folders.run import RunFolder

    plain = RunFolder(run).read_config().to_dict()
    return parse_config({**plain, "scores": {**plain["scores"], **changes}}).scores


def _print_scores(title: str, scores: Scores, values: Mapping[str, float | None]) -> None:
    table = Table(title=f"{title} (n={scores.n_images})", title_justify="left")
    table.add_column("score")
    table.add_column("value", justify="right")
    for name, value in values.items():
        table.add_row(label_of(name), "–" if value is None else f"{value:.4f}")
    Console(highlight=False).print(table)
    console.print(with_labels(scores.footnote))
    console.print("\nper class")
    rows = scores.per_class_table()
    print_table([label_of(key) for key in rows[0]], [[_cell(value) for value in row.values()] for row in rows])


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "absent" if value != value else f"{value:.4f}"
    return str(value)
