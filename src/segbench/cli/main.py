"""Where the commands are put together, and what the process ends with."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Annotated, NoReturn

import typer

from segbench import __version__
from segbench.cli._common import EXIT_PROBLEMS, console
from segbench.cli.assist import assist
from segbench.cli.bundle import bundle, pull, push
from segbench.cli.config import config_app
from segbench.cli.convert import data_convert
from segbench.cli.course import course
from segbench.cli.data import data_app
from segbench.cli.data_check import data_check, data_show
from segbench.cli.data_get import data_get
from segbench.cli.data_shard import data_shard
from segbench.cli.data_split import data_split
from segbench.cli.demo import demo
from segbench.cli.describe import describe
from segbench.cli.docs import docs
from segbench.cli.export import export
from segbench.cli.list import list_names
from segbench.cli.metrics import metrics_app
from segbench.cli.plot import plot_app
from segbench.cli.predict import predict
from segbench.cli.report import compare, report
from segbench.cli.serve import serve
from segbench.cli.studio import studio
from segbench.cli.study import study_app
from segbench.cli.suggest import suggest
from segbench.cli.train import evaluate, train
from segbench.cli.tune import tune
from segbench.errors import ConfigError, SegbenchError
from segbench.guides import OF_COMMAND
from segbench.speech import speaking
from segbench.terminal import Terminal

_EXIT_USAGE, _EXIT_INTERRUPTED = 2, 130


def _guide_of(command: str) -> str | None:
    """Returns the line that names the guide of a command."""
    name = OF_COMMAND.get(command)
    return f"Guide: segbench docs {name}" if name else None


app = typer.Typer(
    name="segbench",
    help="The workbench for semantic segmentation. Try `segbench demo`, then `segbench config new YOUR_DATA`.",
    epilog="Guides: segbench docs. Something is wrong? segbench docs troubleshooting",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
for command in (
    *(demo, train, evaluate, assist, suggest, bundle, push, pull),
    *(predict, serve, studio, export, compare, report, tune, describe),
):
    app.command(epilog=_guide_of(command.__name__))(command)
app.command()(docs)
app.command()(course)
app.command("list", epilog=_guide_of("list"))(list_names)
for group, name in (
    (config_app, "config"),
    (data_app, "data"),
    (metrics_app, "metrics"),
    (plot_app, "plot"),
    (study_app, "study"),
):
    app.add_typer(group, name=name, epilog=_guide_of(name))
data_app.command("check")(data_check)
data_app.command("show")(data_show)
data_app.command("convert")(data_convert)
data_app.command("split")(data_split)
data_app.command("get")(data_get)
data_app.command("shard")(data_shard)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and exits: 0 done, 1 some files failed or a run broke, 2 wrong use, 130 interrupted."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        app(args=arguments, standalone_mode=True)
    except ConfigError as error:
        _fail(str(error), _EXIT_USAGE)
    except SegbenchError as error:
        _fail(str(error), EXIT_PROBLEMS)
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        _fail(f"cannot read or write {what}; check the path, its permissions and the free space", EXIT_PROBLEMS)
    except _Stopped:
        _fail("interrupted; what is finished is kept, the same command goes on from there", _EXIT_INTERRUPTED)
    sys.exit(0)


class _Stopped(BaseException):
    """Ctrl-C or a polite kill; not KeyboardInterrupt, which typer answers itself and without a word."""


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    raise _Stopped


def _fail(message: str, code: int) -> NoReturn:
    terminal = Terminal(stderr=True)
    terminal.print(f"error: {message}")
    guide = _guide_of(next((word for word in sys.argv[1:] if not word.startswith("-")), ""))
    if guide and terminal.is_terminal:  # for people; who reads a log has the message
        terminal.print(guide)
    sys.exit(code)


def _version(wanted: bool) -> None:
    if wanted:
        console.print(__version__)
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """The workbench for semantic segmentation. Try `segbench demo`, then `segbench config new YOUR_DATA`."""
    context.with_resource(speaking("shell"))
