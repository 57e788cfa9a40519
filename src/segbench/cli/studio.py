"""`segbench studio`: the page where a labelled folder becomes a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segbench.cli._common import console
from segbench.cli.data import DataFormat, ReaderOptions, read_options


def studio(
    path: Annotated[
        Path | None, typer.Argument(metavar="[FOLDER|RUN|STUDY|BUNDLE]", help="What is opened.", show_default=False)
    ] = None,
    work: Annotated[Path, typer.Option(help="Folder for new runs, corrected masks and exports.")] = Path(),
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0: for other machines, too.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0: any that is free.")] = 8100,
    hosts: Annotated[
        list[str] | None, typer.Option("--allow-host", help="Name under which it is reached, too. May be repeated.")
    ] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Show, and change nothing; the link is for everyone: for a class.")
    ] = False,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the link.")] = True,
    data_format: DataFormat = None,
    options: ReaderOptions = None,
) -> None:
    """Look at data, studies, runs and models in a browser; correct masks, and train again.

    Needs pip install 'segbench[studio]'.

    Example: segbench studio my_images, segbench studio runs/my_study --read-only, segbench studio my.segbench
    """
    from segbench.studio.run import open_studio

    open_studio(
        path,
        work,
        console.print,
        host=host,
        port=port,
        hosts=hosts or (),
        read_only=read_only,
        browser=browser,
        format=data_format,
        options=read_options(options),
    )
