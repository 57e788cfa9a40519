"""`segbench tune`: search for good settings, on the validation part alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segbench.cli._common import Quiet, console, print_table
from segbench.config.tune import TuneConfig, load_tune
from segbench.metrics.families import label_of, lower_is_better
from segbench.speech import in_shell

if TYPE_CHECKING:
    from segbench.train.callback import Callback
    from segbench.tune.run import SearchResult

_SHOWN = 10  # trials in the printed table


def tune(
    config: Annotated[Path, typer.Argument(metavar="SEARCH.yaml", help="Search (YAML).", show_default=False)],
    trials: Annotated[int | None, typer.Option(min=1, help="Trials in all; more than before goes on.")] = None,
    data: Annotated[str | None, typer.Option(help="Sets base.data.path.")] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override a key of the search or of the run, e.g. --set epochs=5. May be repeated."),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Search for settings with the best validation score; run it again to continue a killed search.

    The test part is never touched. Example: segbench tune search.yaml --trials 30 --data data/ph2
    """
    changes = list(overrides or [])
    changes += [] if trials is None else [f"trials={trials}"]
    loaded = load_tune(config, overrides=changes, data=data)
    from segbench.tune.run import run_search

    _print_result(loaded, run_search(loaded, watch=_callback(quiet)))


def _callback(quiet: bool) -> Callback:
    """Returns what shows a line a trial, and on a terminal the training within."""
    from segbench.train.callback import Callback
    from segbench.train.console import ConsoleCallback

    if quiet:
        return Callback()
    watch = ConsoleCallback()
    watch.quiet = not watch.console.is_terminal
    return watch


def _print_result(config: TuneConfig, result: SearchResult) -> None:
    best = result.best
    assert best is not None, "a search without a finished trial raises"
    folder, monitor = result.folder, f"validation {label_of(result.monitor)}"
    finished = sorted(result.of("finished"), key=lambda trial: trial.value, reverse=not lower_is_better(result.monitor))
    rows = [
        [
            str(trial.number),
            f"{trial.value:.4f}",
            str(trial.best_epoch),
            *(_tell(trial.params[key]) for key in config.search),
        ]
        for trial in finished[:_SHOWN]
    ]
    print_table(["trial", monitor, "best epoch", *config.search], rows)
    if len(finished) > _SHOWN:
        console.print(f"... and {len(finished) - _SHOWN} more finished trials: {folder.trials_file}")
    counts = [f"{len(result.of(state))} {state}" for state in ("finished", "pruned", "failed")]
    console.print(
        f"\n{len(result.trials)} trials: {', '.join(counts)}; all in {folder.trials_file}, {folder.figure_file}"
    )
    for trial in result.of("failed"):
        console.print(f"failed: trial {trial.number}: {trial.reason}")
    console.print(f"best: trial {best.number}, {monitor} {best.value:.4f} (epoch {best.best_epoch} of {best.epochs})")
    for key, param in best.params.items():
        console.print(f"  {key}: {_tell(param)}")
    console.print(
        f"This score is the best of {len(result.trials)} on one validation part and with one seed, so it is too good "
        "to be expected again. The test part was not touched."
    )
    console.print(
        f"next: train it as it is: segbench train {in_shell(folder.best_file)}\n"
        "or compare it with what you had, over several seeds, in a study:\n"
        f"  vary: {{settings: {{default: {{}}, tuned: {folder.winner_file}}}, seed: [0, 1, 2]}}\n"
        "and segbench study run STUDY.yaml"
    )


def _tell(param: float | int | str) -> str:
    return f"{param:.4g}" if isinstance(param, float) else str(param)
