"""`segbench train` and `segbench evaluate`: one network trained, and its best weights scored again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from segbench.cli._common import (
    ConfigFile,
    Device,
    EnsembleOption,
    EntryOption,
    Overrides,
    Quiet,
    RunPath,
    TtaOption,
    checked_tta,
    console,
    make_callback,
    print_table,
    require,
    runs_of,
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
    tta: TtaOption = None,
    ensemble: EnsembleOption = None,
    entry: EntryOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder to write into; default: RUN. An ensemble needs one.")
    ] = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Score a run's best weights on one split, per class and per image; or several runs averaged.

    Example: segbench evaluate runs/ph2 --split test --resolution original --tolerance-px 5,
    segbench evaluate runs/seed0 --ensemble runs/seed1 --split val -o runs/both
    """
    require("--split", split, SPLITS)
    require("--resolution", resolution, ("training", "original"))
    chosen_tta = checked_tta(tta)
    runs = runs_of(run, ensemble, entry)
    from segbench.train.evaluate import evaluate as score_runs
    from segbench.train.evaluate import evaluation_name

    wanted = _scores_config(runs[0], tolerance_px, boundary_width_frac)
    watch = make_callback(quiet)
    scores = score_runs(
        runs,
        split,  # type: ignore[arg-type]
        resolution=resolution,  # type: ignore[arg-type]
        scores=wanted,
        tta=chosen_tta,
        out=out,
        device=device,
        watch=watch,
    )
    file = (out or runs[0]) / f"evaluation_{evaluation_name(split, resolution, chosen_tta)}.json"
    written = json.loads(file.read_text(encoding="utf-8"))
    looks = "" if written["tta"] == "none" else f", tta {written['tta']}"
    _print_scores(f"{_runs_text(runs)} on {split}, {resolution} size{looks}", scores, written["scores"])
    if out is None and chosen_tta is None:
        console.print(f"with outlines: segbench metrics show {runs[0]} --split {split} --resolution {resolution}")
    else:
        console.print(f"written: {file}")


def _runs_text(runs: Sequence[Path]) -> str:
    return str(runs[0]) if len(runs) == 1 else f"{len(runs)} runs averaged"


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
