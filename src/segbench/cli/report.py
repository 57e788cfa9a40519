"""Comparing runs, studies and other tools' masks, with a verdict; and the report about it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segbench.cli._common import Quiet, console, make_callback, print_table, require
from segbench.cli.table import (
    SCORE_HEAD,
    FiguresOption,
    LatexOption,
    LowerIsBetter,
    ScoreName,
    TableOption,
    TableQuestion,
    print_scores,
    print_written,
    score_rows,
)
from segbench.errors import ConfigError
from segbench.locale import languages
from segbench.terminal import WARNING_STYLE

if TYPE_CHECKING:
    from segbench.compare.runs import Comparison


Paths = Annotated[
    list[Path], typer.Argument(metavar="PATH...", help="Run folders, study folders, folders of another tool's masks.")
]
Score = Annotated[
    str | None,
    typer.Option(help="Per-image score that decides, e.g. dice_per_image, iou_per_image[car]; default: the study's."),
]
ResolutionOption = Annotated[
    str,
    typer.Option("--resolution", help="training, original (each image's own size), or auto: training where it can be."),
]
MasksOption = Annotated[
    str,
    typer.Option(
        "--masks",
        help="What folders of masks hold: values of the data set's own masks, class indices, or auto: what fits.",
    ),
]
Baseline = Annotated[str | None, typer.Option(help="Entry that the others are measured against; default: the study's.")]
Margin = Annotated[
    float | None,
    typer.Option(
        help="Difference that hardly matters, e.g. 0.02; default: the study's, else 0.01 of a score in [0, 1]."
    ),
]


def compare(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATH...]", help="Run folders, study folders, folders of another tool's masks."),
    ] = None,
    table: TableOption = None,
    score: Score = None,
    resolution: ResolutionOption = "auto",
    masks: MasksOption = "auto",
    baseline: Baseline = None,
    margin: Margin = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check that the masks of all images give the counts, not those of a few.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="Print every sentence, not the answer alone.")] = False,
    score_name: ScoreName = None,
    lower_is_better: LowerIsBetter = None,
    figures: FiguresOption = None,
    latex: LatexOption = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Also write everything as JSON.")] = None,
    quiet: Quiet = False,
) -> None:
    """Say which of several trained networks is best, or that it cannot be said, with intervals.

    Runs that differ in the seed alone count as one entry. A folder of masks, named like the test images, is judged by
    the same rules; so are scores that another trainer wrote (--table), and studies on several data sets.

    Example: segbench compare runs/unet runs/segnet other_tool/masks --score dice_per_image
    """
    if out is not None and out.suffix != ".json":
        raise ConfigError(f"expected a file that ends in .json, got {out.name!r}", key="--out")
    asked = TableQuestion(
        tables=table,
        score=score,
        score_name=score_name,
        lower_is_better=lower_is_better,
        margin=margin,
        baseline=baseline,
        everything=everything,
    )
    if print_scores(asked, paths, out=out, figures=figures, latex=latex, quiet=quiet):
        return
    from segbench.compare.runs import compare_runs

    watch = make_callback(quiet)
    try:
        comparison = compare_runs(
            paths or [],
            score=score,
            resolution=resolution,  # type: ignore[arg-type]
            masks=masks,  # type: ignore[arg-type]
            baseline=baseline,
            margin=margin,
            verify=verify,
            progress=watch.progress,
        )
    finally:
        watch.close()
    print_comparison(comparison, everything=everything)
    if out is not None:
        from segbench.files import write_json

        write_json(out, comparison.to_dict())
        console.print(f"written: {out}")
    if latex is not None:
        from segbench.report.runs import latex_of_runs

        print_written(latex_of_runs(latex, comparison))


def report(
    paths: Paths,
    out: Annotated[Path, typer.Option("--out", "-o", help="HTML file; tables are written beside it.")] = Path(
        "report.html"
    ),
    lang: Annotated[str, typer.Option(help=f"{' or '.join(languages())}.")] = "en",
    score: Score = None,
    resolution: ResolutionOption = "auto",
    masks: MasksOption = "auto",
    latex: LatexOption = None,
    try_it: Annotated[
        bool,
        typer.Option("--try-it", help="Put the best model into the page, to be run on own images; adds megabytes."),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Write one self-contained page about a study, or about runs: verdict, numbers, curves, failures, how to repeat it.

    Example: segbench report runs/ph2_networks_x_losses -o report.html --lang en
    """
    require("--lang", lang, languages())
    from segbench.report.runs import report_runs

    watch = make_callback(quiet)
    try:
        files = report_runs(
            paths,
            out,
            lang=lang,
            score=score,
            resolution=resolution,  # type: ignore[arg-type]
            masks=masks,  # type: ignore[arg-type]
            latex=latex,
            try_it=try_it,
            progress=watch.progress,
        )
    finally:
        watch.close()
    size = f" ({files.html.stat().st_size / 1e6:.1f} MB, with the model)" if try_it else ""
    console.print(f"report: {files.html}{size}; as tables: {files.csv}; as text: {files.markdown}")
    if latex is not None:
        console.print(f"for a paper: {latex}")


def print_question(comparison: Comparison) -> None:
    """Prints what the study asks, where it does."""
    if comparison.question:
        console.print(f"question: {comparison.question}")


def print_verdict(comparison: Comparison) -> None:
    """Prints what stands before a verdict, the outcome, what limits it, and what to do next."""
    for doubt in comparison.doubts:
        console.print(f"warning: {doubt}")
    headline, *rest = comparison.answer()
    console.print(headline, style="bold")
    for sentence in rest:
        console.print(f"  {sentence}")
    for warning in comparison.verdict.warnings:
        console.print(f"note: {warning}")
    for step in comparison.next_steps():
        console.print(f"next: {step}")


def print_results(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints the table of results; on a terminal that is too narrow for it the costs stand in one of their own."""
    width = sum(max(map(len, column)) + 2 for column in zip(header, *rows, strict=True)) - 2
    if not console.is_terminal or width <= console.width:
        print_table(header, rows)
        return
    print_table(header[: len(SCORE_HEAD)], [row[: len(SCORE_HEAD)] for row in rows])
    console.print()
    print_table([header[0], *header[len(SCORE_HEAD) :]], [[row[0], *row[len(SCORE_HEAD) :]] for row in rows])


def print_comparison(comparison: Comparison, *, everything: bool = False) -> None:
    """Prints the answer, the table, the definition and the notes; `everything`: also how sure, and what it rests on."""
    print_question(comparison)
    if everything:
        told = comparison.sentences()
        for sentence in told:
            console.print(sentence, style=WARNING_STYLE if sentence in comparison.doubts else None)
    else:
        print_verdict(comparison)
    evidence, verdict = comparison.evidence, comparison.verdict
    console.print(f"\n{evidence.label} on {verdict.n_images} test images, 95 % intervals; * may be the best")
    numbers = verdict.numbers
    rows = [
        [
            *scored,
            numbers.duration(evidence.entries[standing.index].costs.training_s),
            numbers.rate(evidence.entries[standing.index].costs.images_per_s),
            numbers.large(evidence.entries[standing.index].costs.parameters),
        ]
        for standing, scored in zip(verdict.entries, score_rows(verdict), strict=True)
    ]
    print_results([*SCORE_HEAD, "training", "images/s", "parameters"], rows)
    console.print(f"\n{evidence.label}: {evidence.definition['sentence']}")
    for note in evidence.notes:
        console.print(f"note: {note}")
