"""Training, scoring, predicting and data from the command line, and where the other commands are put together."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from segbench import __version__
from segbench.cli._common import Device, Quiet, RunPath, console, make_watcher, print_table, require
from segbench.cli.convert import Link, Overwrite, Rle, data_convert, predict_as
from segbench.cli.data import DataFormat, ReaderOptions, data_app, print_manifest, read_any
from segbench.cli.data_check import data_check, data_show
from segbench.cli.data_get import data_get
from segbench.cli.data_shard import data_shard
from segbench.cli.data_split import data_split
from segbench.cli.describe import describe
from segbench.cli.metrics import metrics_app
from segbench.cli.plot import plot_app
from segbench.cli.report import compare, report
from segbench.cli.study import study_app
from segbench.cli.tune import tune
from segbench.config.run import ScoresConfig, load_config, parse_config
from segbench.errors import ConfigError, SegbenchError
from segbench.metrics.families import SCORES, label_of, with_labels
from segbench.types import SPLITS, RunResult

if TYPE_CHECKING:
    from segbench.metrics.scores import Scores

app = typer.Typer(
    name="segbench",
    help="The workbench for semantic segmentation. Try `segbench demo`, then `segbench config new YOUR_DATA`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
config_app = typer.Typer(help="Make, check and show run configs.", no_args_is_help=True)
app.add_typer(config_app, name="config")
app.add_typer(data_app, name="data")
data_app.command("check")(data_check)
data_app.command("show")(data_show)
data_app.command("convert")(data_convert)
data_app.command("split")(data_split)
data_app.command("get")(data_get)
data_app.command("shard")(data_shard)
app.add_typer(metrics_app, name="metrics")
app.add_typer(plot_app, name="plot")
app.add_typer(study_app, name="study")
app.command()(describe)
app.command()(compare)
app.command()(report)
app.command()(tune)

_EXIT_PROBLEMS, _EXIT_USAGE, _EXIT_INTERRUPTED = 1, 2, 130

ConfigFile = Annotated[Path, typer.Argument(help="Run config (YAML).", show_default=False)]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Override a key, e.g. --set optimizer.lr=1e-3. May be repeated.")
]


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and exits: 0 done, 1 some files failed or a run broke, 2 wrong use, 130 interrupted."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        app(args=arguments, standalone_mode=True)
    except ConfigError as error:
        _fail(str(error), _EXIT_USAGE)
    except SegbenchError as error:
        _fail(str(error), _EXIT_PROBLEMS)
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        _fail(f"cannot read or write {what}; check the path, its permissions and the free space", _EXIT_PROBLEMS)
    except _Stopped:
        _fail("interrupted; finished epochs are kept, the same command goes on from there", _EXIT_INTERRUPTED)
    sys.exit(0)


class _Stopped(BaseException):
    """Ctrl-C or a polite kill; not KeyboardInterrupt, which typer answers itself and without a word."""


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    raise _Stopped


def _fail(message: str, code: int) -> NoReturn:
    Console(stderr=True, highlight=False, markup=False, soft_wrap=True).print(f"error: {message}")
    sys.exit(code)


def _version(wanted: bool) -> None:
    if wanted:
        console.print(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """The workbench for semantic segmentation. Try `segbench demo`, then `segbench config new YOUR_DATA`."""


@app.command()
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

    _print_result(fit(loaded, watch=make_watcher(quiet), restart=restart))


@app.command()
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
    watch = make_watcher(quiet)
    scores = score_run(run, split, resolution=resolution, scores=wanted, device=device, watch=watch)  # type: ignore[arg-type]
    name = split if resolution == "training" else f"{split}_original"
    written = json.loads((run / f"evaluation_{name}.json").read_text(encoding="utf-8"))["scores"]
    _print_scores(f"{run} on {split}, {resolution} size", scores, written)
    console.print(f"with outlines: segbench metrics show {run} --split {split} --resolution {resolution}")


@app.command()
def predict(
    run: RunPath,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Images and folders of images.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for masks, overlays and areas.csv.")],
    probs: Annotated[bool, typer.Option("--probs", help="Also write probabilities (.npz).")] = False,
    threshold: Annotated[float | None, typer.Option(help="Of the probability; default: the run's.")] = None,
    tool: Annotated[
        str | None,
        typer.Option("--as", help="For an annotation tool: coco, cvat, folder, labelme, via, voc or yolo."),
    ] = None,
    link: Link = False,
    rle: Rle = False,
    overwrite: Overwrite = False,
    simplify: Annotated[
        str | None, typer.Option(help="With --as: none, auto or pixels; default: auto where there are polygons.")
    ] = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Segment images of any size: masks, overlays and the area of each class; or write them for an annotation tool.

    Example: segbench predict runs/ph2 photos/ -o predicted, segbench predict runs/ph2 photos/ --as via -o to_correct
    """
    if threshold is not None and not 0.0 < threshold < 1.0:
        raise ConfigError(f"expected a probability between 0 and 1, got {threshold}", key="--threshold")
    from segbench.data.manifest.manifest import Manifest
    from segbench.folders.run import RunFolder
    from segbench.predict.files import predict_files
    from segbench.predict.predictor import Predictor

    predictor = Predictor.from_run(run, device=device, threshold=threshold)
    depth_range = Manifest.read(RunFolder(run).manifest_file).depth_range
    if tool is not None:
        if probs:
            raise ConfigError("probabilities go with masks, not with --as", key="--probs")
        predict_as(
            predictor, paths, out, tool,
            link=link, rle=rle, simplify=simplify, overwrite=overwrite, depth_range=depth_range, quiet=quiet,
        )  # fmt: skip
        return
    if link or rle or overwrite or simplify is not None:
        raise ConfigError("goes with --as only", key="--link, --rle, --overwrite, --simplify")
    watch = make_watcher(quiet)
    try:
        done = predict_files(predictor, paths, out, probs=probs, depth_range=depth_range, progress=watch.progress)
    finally:
        watch.close()
    console.print(f"{len(done.written)} images segmented: {out}/masks, {out}/overlays, {done.areas_file}")
    if done.failed:
        for path, reason in done.failed.items():
            console.print(f"not segmented: {path}: {reason}")
        raise typer.Exit(_EXIT_PROBLEMS)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for everything the demo makes.")] = Path("demo"),
    epochs: Annotated[int, typer.Option(min=1, help="Of each of the eight trainings.")] = 15,
    quiet: Quiet = False,
) -> None:
    """Compare two networks x two losses on built-in images, in minutes: a verdict, and a report to read.

    Example: segbench demo -o demo
    """
    from segbench.cli.report import print_verdict
    from segbench.demo import run_demo
    from segbench.study.live import ConsoleStudyWatcher

    done = run_demo(out, epochs=epochs, watch=ConsoleStudyWatcher(quiet=quiet))
    print_verdict(done.evidence, done.verdict)
    console.print(f"\nthe report, to be read in a browser: {done.page}")
    console.print(f"what the best predicts: {done.predicted}/overlays; every run: {done.study.path}/runs")
    console.print(
        "next, with your own images: segbench config new YOUR_FOLDER -o mine.yaml && segbench train mine.yaml"
    )


@app.command(name="list")
def list_names(
    kind: Annotated[
        str | None, typer.Argument(help="networks, losses, scores, formats or encoders; default: all but encoders.")
    ] = None,
    word: Annotated[str | None, typer.Argument(help="Only encoders with this in their name.")] = None,
) -> None:
    """List networks, losses, scores and data formats with their options; or the encoders of `smp/...` networks.

    Example: segbench list networks, segbench list encoders resnet
    """
    from segbench.data.formats import FORMATS
    from segbench.losses import LOSSES
    from segbench.models import MODELS, RESERVED

    registries = {"networks": MODELS, "losses": LOSSES, "formats": FORMATS}
    kinds = [*registries, "scores"]
    if kind is not None:
        require("KIND", kind, [*kinds, "encoders"])
    if kind == "encoders":
        from segbench.models.smp.encoders import encoder_names  # takes seconds: it asks the libraries

        console.print("\n".join(encoder_names(word or "")) or f"no encoder has {word!r} in its name")
        return
    if word is not None:
        raise ConfigError(f"a word goes with encoders only, got {word!r}", key="WORD")
    for name in kinds if kind is None else [kind]:
        table = Table(title=name, title_justify="left", box=None, pad_edge=False)
        table.add_column("name", no_wrap=True)
        table.add_column("what it is")
        if name == "scores":
            table.add_column("use", no_wrap=True)
            for score in SCORES.values():
                use = ["monitor"] * score.monitored + ["compare"] * score.compared
                table.add_row(score.name, score.about, ", ".join(use))
        else:
            table.add_column("options")
            registry = registries[name]
            for entry in registry.names():
                hidden = RESERVED if name == "networks" else ("ignore_index",)
                options = [option for option in registry.options(entry) if option not in hidden]
                table.add_row(entry, registry.summary(entry), ", ".join(options))
        Console(highlight=False).print(table)


@config_app.command("check")
def config_check(config: ConfigFile, overrides: Overrides = None) -> None:
    """Say whether a config is right, without reading data or building anything.

    Example: segbench config check ph2.yaml --set epochs=20
    """
    from segbench.train.check import check_config

    loaded = load_config(config, overrides or [])
    check_config(loaded)
    losses = " + ".join(f"{term.weight_text} {term.name}" for term in loaded.loss)
    console.print(
        f"{config} is right: {loaded.network.name}, {losses}, {loaded.epochs} epochs of {loaded.data.path} "
        f"at {loaded.data.size[0]}x{loaded.data.size[1]}, into {loaded.run_folder}"
    )
    if loaded.network.options or any(term.options for term in loaded.loss):
        console.print("values of network and loss options are checked when a training starts, before any data is read")


@config_app.command("show")
def config_show(config: ConfigFile, overrides: Overrides = None) -> None:
    """Print a config with every default spelled out.

    Example: segbench config show ph2.yaml
    """
    console.print(load_config(config, overrides or []).to_yaml(), end="")


@config_app.command("new")
def config_new(
    data: Annotated[Path, typer.Argument(help="Folder of labelled images.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write it.")] = Path("config.yaml"),
    data_format: DataFormat = None,
    options: ReaderOptions = None,
) -> None:
    """Write a commented starting config for a data set, after reading it once.

    Example: segbench config new my_images -o mine.yaml
    """
    if out.exists():
        raise ConfigError(f"{out} exists already; choose another name with -o", key="--out")
    from segbench.files import write_text
    from segbench.train.config_template import starter_config

    manifest = read_any(data, data_format, options)
    write_text(out, starter_config(manifest, data, str(out)))
    print_manifest(manifest)
    console.print(f"written: {out}; next: segbench train {out}")


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
