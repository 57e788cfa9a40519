"""Studies from the command line: run one, look how far it is, and ask beforehand what it will cost and can show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segbench.cli._common import EXIT_PROBLEMS, Quiet, console, print_table
from segbench.config.study import StudyConfig, expand, load_study, parse_study
from segbench.config.text import apply_overrides
from segbench.errors import ConfigError, SegbenchError
from segbench.folders.study import StudyFolder
from segbench.speech import in_shell

if TYPE_CHECKING:
    from segbench.folders.study import RunStatus
    from segbench.study.dry_run import DryRun

study_app = typer.Typer(help="Run studies: many trainings over the same data, compared fairly.", no_args_is_help=True)

StudyFile = Annotated[Path, typer.Argument(metavar="STUDY", help="Study (YAML).", show_default=False)]
Scale = Annotated[str, typer.Option(help="One of the study's scales; without it the full size is run.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Study folder; default: runs/<study>.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Override a key of all runs, e.g. --set epochs=5, or of the study: --set vary.seed=[0]. May be repeated.",
    ),
]


@study_app.command()
def run(
    study: StudyFile,
    scale: Scale = "",
    data: Annotated[Path | None, typer.Option(help="The data set, instead of base.data.path.")] = None,
    overrides: Overrides = None,
    out: Out = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Runs at once; default: one a GPU, else one a core.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads of a run; default: the cores divided evenly.")
    ] = None,
    engine: Annotated[str, typer.Option(help="local: this machine; ray: a cluster.")] = "local",
    address: Annotated[str | None, typer.Option(help="Of a running cluster.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be run; train and write nothing.")] = False,
    quiet: Quiet = False,
) -> None:
    """Train all runs of a study that are not finished; the same command continues a killed one.

    Example: segbench study run networks.yaml --scale small --set epochs=5 --dry-run
    """
    loaded = load_with_overrides(study, scale=scale, data=data, overrides=overrides or [], out=out)
    from segbench.study.live import ConsoleStudyCallback

    watch = ConsoleStudyCallback(quiet=quiet, folder=StudyFolder(loaded.study_folder))
    if dry_run:
        from segbench.study.dry_run import dry_run as look_ahead

        result = look_ahead(loaded, engine=engine, address=address, workers=workers, threads=threads, watch=watch)
        _print_dry_run(result)
        if result.cost.problems:
            raise typer.Exit(EXIT_PROBLEMS)
        return
    from segbench.study.run import run_study

    folder = run_study(loaded, engine=engine, address=address, workers=workers, threads=threads, watch=watch)
    statuses = folder.status(expand(loaded))
    _print_status(folder, statuses)
    console.print(f"runs: {folder.path}/runs, what they printed: {folder.path}/logs")
    if len({status.run.entry for status in statuses if status.state == "finished"}) > 1:
        console.print(f"next: segbench report {in_shell(folder.path)}")
    if any(status.state != "finished" for status in statuses):
        console.print("the same command tries again what is not finished")
        raise typer.Exit(EXIT_PROBLEMS)


@study_app.command()
def status(
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="Study folder, or the study (YAML).")],
    scale: Scale = "",
    out: Out = None,
) -> None:
    """Say how far every run of a study is, what its entries have reached, and the verdict where all are finished.

    From its files alone; it may be running. A verdict is noted in the study's `looks.jsonl`, as by `segbench compare`.

    Example: segbench study status runs/networks-small
    """
    if not study.is_dir() and study.suffix.lower() not in (".yaml", ".yml"):
        raise ConfigError(f"expected a study folder or a study (.yaml), and {study} is neither", key="STUDY")
    if study.is_dir():
        folder = StudyFolder(study)
        statuses = folder.status()
    else:
        loaded = load_with_overrides(study, scale=scale, out=out)
        folder = StudyFolder(loaded.study_folder)
        statuses = folder.status() if folder.is_study else folder.status(expand(loaded))
    _print_status(folder, statuses)


def load_with_overrides(
    file: Path, *, scale: str = "", data: Path | None = None, overrides: Sequence[str] = (), out: Path | None = None
) -> StudyConfig:
    """Returns a study file with what the command line changes.

    A key whose first word is a key of a study (`vary`, `exclude`, `score`, `output`, ...) is the study's; every other
    one is a key of the run config that all runs share. A study folder's own `study.yaml` brings its scale.

    Raises:
        ConfigError: see `load_study`; or a key of the runs would change nothing, because the study varies it.
    """
    own = [item for item in overrides if item.partition("=")[0].strip().partition(".")[0] in StudyConfig.model_fields]
    shared = [item for item in overrides if item not in own]
    prefixed = [item.removeprefix("base.") for item in own if item.startswith("base.")]
    own = [item for item in own if not item.startswith("base.")]
    if out is not None:
        own.append(f"output={out}")
    if data is not None:
        shared.append(f"data.path={data}")
    recorded = StudyFolder(file.parent).is_study and file == StudyFolder(file.parent).config_file
    study = load_study(file, scale=scale, overrides=own, recorded=recorded)
    if not shared and not prefixed:
        return study
    for item in (*shared, *prefixed):
        _require_effect(study, item.partition("=")[0].strip())
    return parse_study({**study.to_dict(), "base": apply_overrides(study.base, [*shared, *prefixed])})


def _require_effect(study: StudyConfig, key: str) -> None:
    """Raises where every run takes the value of a key from `vary`."""
    for factor, values in study.vary.items():
        named = values.values() if isinstance(values, Mapping) else []
        bundles = [set(value) for value in named if isinstance(value, Mapping)]
        always = {factor, *(set.intersection(*bundles) if bundles else set())}
        if any(key == name or key.startswith(f"{name}.") for name in always):
            message = f"varies in this study ({factor}), so setting it for all runs changes nothing"
            raise ConfigError(f"{message}; set vary.{factor} instead", key=f"--set {key}")


def _print_status(folder: StudyFolder, statuses: Sequence[RunStatus]) -> None:
    from segbench.study.live import alert_lines, damage_lines, failure_lines, means_table, status_table, summary_line
    from segbench.study.means import StudyMeans

    console.print(status_table(statuses))
    console.print(summary_line(statuses))
    for line in (*alert_lines(statuses), *failure_lines(statuses), *damage_lines(statuses)):
        console.print(line)
    means = StudyMeans(folder).of(statuses) if folder.is_study else []
    finished = all(status.state == "finished" for status in statuses)
    if finished and len(means) > 1:
        console.print()
        _print_verdict(folder)
    elif means:
        console.print(means_table(means))


def _print_verdict(folder: StudyFolder) -> None:
    """Prints the verdict in short; what stands in its way is told, and takes nothing from the runs that are there."""
    from segbench.cli.report import print_question, print_verdict
    from segbench.compare.runs import compare_runs

    try:
        comparison = compare_runs(folder.path)
    except SegbenchError as error:
        console.print(f"warning: no verdict: {error}")
        return
    print_question(comparison)
    print_verdict(comparison)
    console.print(f"all of it: segbench compare {in_shell(folder.path)}")


def _print_dry_run(result: DryRun) -> None:
    console.print(f"{result.study}: {len(result.statuses)} runs into {result.folder}; nothing was trained or written\n")
    rows = [[item.run.id, item.run.entry, str(item.run.seed), item.state] for item in result.statuses]
    print_table(["run", "entry", "seed", "state"], rows)
    console.print()
    for note in result.notes:
        console.print(f"note: {note}")
    for line in result.lines():
        console.print(line)
