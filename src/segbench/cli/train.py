"""`segbench train` and `segbench evaluate`: one network trained, and its best weights scored again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from segbench.cli._common import (
    ConfigFile,
    Device,
    EnsembleOption,
    EntryOption,
    ModelPath,
    Overrides,
    Quiet,
    TtaOption,
    checked_tta,
    console,
    make_callback,
    require,
    runs_of,
)
from segbench.cli.scores import All, print_evaluation, print_places, print_run
from segbench.config.run import ScoresConfig, load_config, parse_config
from segbench.folders.run import RunFolder
from segbench.speech import in_shell
from segbench.types import SPLITS


def train(
    config: ConfigFile,
    overrides: Overrides = None,
    restart: Annotated[bool, typer.Option(help="Delete what is in the run folder and begin again.")] = False,
    everything: All = False,
    quiet: Quiet = False,
) -> None:
    """Train, validate and score one network; run it again to continue a killed run.

    Example: segbench train ph2.yaml --set epochs=20 --set loss=dice
    """
    loaded = load_config(config, overrides or [])
    watch = make_callback(quiet, tells_result=False)
    folder = RunFolder(loaded.run_folder)
    if not restart and folder.has_finished(loaded):  # `fit` would say the same, after seconds of importing torch
        watch.message(folder.finished_text)
        print_run(folder.read_result(), everything=everything)
        return
    from segbench.train.check import check_config

    check_config(loaded, weights_must_exist=False)  # a run that goes on needs no file to start from; `fit` knows
    from segbench.train.fit import fit

    print_run(fit(loaded, watch=watch, restart=restart), everything=everything)


def evaluate(
    run: ModelPath,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    data: Annotated[
        Path | None,
        typer.Option(help="Of a bundle: manifest (.json) that names its parts, or a labelled data set, scored whole."),
    ] = None,
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
        Path | None,
        typer.Option("--out", "-o", help="Folder to write into; default: RUN. An ensemble or a bundle needs one."),
    ] = None,
    device: Device = "auto",
    everything: All = False,
    quiet: Quiet = False,
) -> None:
    """Score a run's best weights, or a bundle, on one split, per class and per image; or several runs averaged.

    Example: segbench evaluate runs/ph2 --split test --resolution original --tolerance-px 5,
    segbench evaluate runs/seed0 --ensemble runs/seed1 --split val -o runs/both,
    segbench evaluate ph2.segbench --data other_clinic/ -o other_clinic_scores
    """
    require("--split", split, SPLITS)
    require("--resolution", resolution, ("training", "original"))
    chosen_tta = checked_tta(tta)
    runs = runs_of(run, ensemble, entry)
    from segbench.train.evaluate import evaluate as score_runs
    from segbench.train.evaluate import evaluation_name

    wanted = _scores_config(runs[0], tolerance_px, boundary_width_frac)
    watch = make_callback(quiet)
    score_runs(
        runs,
        split,  # type: ignore[arg-type]
        data=data,
        resolution=resolution,  # type: ignore[arg-type]
        scores=wanted,
        tta=chosen_tta,
        out=out,
        device=device,
        watch=watch,
    )
    name = evaluation_name(split, resolution, chosen_tta)
    file = (out or runs[0]) / f"evaluation_{name}.json"
    written = json.loads(file.read_text(encoding="utf-8"))
    print_evaluation(_runs_text(runs), written, everything=everything)
    console.print()
    places = {"every image": str(file.with_name(f"scores_{name}.csv")), "everything": str(file)}
    if out is None and chosen_tta is None:
        places["other scores"] = f"segbench metrics show {in_shell(runs[0])} --split {split} --resolution {resolution}"
    print_places(places)


def _runs_text(runs: Sequence[Path]) -> str:
    return str(runs[0]) if len(runs) == 1 else f"{len(runs)} runs averaged"


def _scores_config(run: Path, tolerance_px: float | None, boundary_width_frac: float | None) -> ScoresConfig | None:
    """Returns the run's, with what the command line changes; None where it changes nothing."""
    given = {"tolerance_px": tolerance_px, "boundary_width_frac": boundary_width_frac}
    changes = {key: value for key, value in given.items() if value is not None}
    if not changes:
        return None
    from segbench.train.evaluate import config_of_model

    plain = config_of_model(run).to_dict()
    return parse_config({**plain, "scores": {**plain["scores"], **changes}}).scores
