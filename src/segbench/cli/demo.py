"""`segbench demo`: a whole comparison on built-in images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segbench.cli._common import Quiet, console


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for everything the demo makes.")] = Path("demo"),
    epochs: Annotated[int, typer.Option(min=1, help="Of each of the sixteen trainings.")] = 20,
    quiet: Quiet = False,
) -> None:
    """Ask what a U-Net needs, of four small ones on built-in images, in minutes: an answer, and a report to read.

    Example: segbench demo -o demo
    """
    from segbench.cli.report import print_comparison
    from segbench.demo import run_demo
    from segbench.study.live import ConsoleStudyCallback

    done = run_demo(out, epochs=epochs, watch=ConsoleStudyCallback(quiet=quiet))
    print_comparison(done.comparison)
    console.print(f"\nthe report, to be read in a browser: {done.page}")
    console.print(f"what the best predicts: {done.predicted}/overlays; every run: {done.study.path}/runs")
    console.print(
        "next, with your own images: segbench config new YOUR_FOLDER -o mine.yaml && segbench train mine.yaml"
    )
