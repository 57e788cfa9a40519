"""Scores that another trainer wrote, and studies on several data sets, on the command line: `segbench compare`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segbench.cli._common import console, make_callback, print_table
from segbench.errors import ConfigError
from segbench.folders.study import StudyFolder
from segbench.speech import in_shell

if TYPE_CHECKING:
    from segbench.compare.table_verdict import TableComparison
    from segbench.statistics.datasets import DatasetsView
    from segbench.statistics.verdict import Verdict

TableOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--table",
        help="Table of scores (CSV, TSV, JSON) with entry, seed, image, group, score, dataset; or one file for every "
        "entry, each with --table.",
    ),
]
ScoreName = Annotated[
    str | None, typer.Option("--score-name", help="What the score of --table is called; default: as its column.")
]
LowerIsBetter = Annotated[
    bool | None,
    typer.Option(
        "--lower-is-better/--higher-is-better",
        help="Which scores of --table are good; default: low ones where the name is a distance or an error.",
    ),
]
FiguresOption = Annotated[
    Path | None,
    typer.Option(
        "--figures", help="Folder for figures: the significance map, and over five data sets the critical differences."
    ),
]
LatexOption = Annotated[
    Path | None,
    typer.Option("--latex", help="Folder for a table, a paragraph of methods and the sources, as LaTeX for a paper."),
]


@dataclass(frozen=True, kw_only=True)
class TableQuestion:
    """What was asked on the command line, see the options above."""

    tables: list[Path] | None
    score: str | None
    score_name: str | None
    lower_is_better: bool | None
    margin: float | None
    baseline: str | None
    everything: bool


def print_scores(
    asked: TableQuestion,
    paths: Sequence[Path] | None,
    *,
    out: Path | None,
    figures: Path | None,
    latex: Path | None,
    quiet: bool,
) -> bool:
    """Prints the verdict where a table or studies on several data sets are asked about; False: it is about runs."""
    from segbench.compare.table_files import OTHER_SHEETS, SUFFIXES

    if asked.tables and paths:
        raise ConfigError("a table is judged by itself; leave out the folders, or the table", key="--table")
    if not asked.tables and not paths:
        raise ConfigError("expected folders of runs or studies to compare, or a table of scores (--table)", key="PATH")
    files = [path for path in paths or () if path.is_file() and path.suffix.lower() in (*SUFFIXES, *OTHER_SHEETS)]
    if files and files[0].suffix.lower() in OTHER_SHEETS:
        raise ConfigError(f"{files[0]} cannot be read as a table; save it as CSV and give that to --table", key="PATH")
    if files:
        raise ConfigError(f"{files[0]} is a table; it is compared with --table {in_shell(files[0])}", key="PATH")
    if asked.tables:
        comparison = _of_table(asked)
    else:
        for value, flag in ((asked.score_name, "--score-name"), (asked.lower_is_better, "--lower-is-better")):
            if value is not None:
                raise ConfigError("belongs to --table: of runs the score is known", key=flag)
        if not _several_data_sets(paths or ()):
            if figures is not None:
                raise ConfigError(
                    "belongs to --table and to several data sets; `segbench report` draws", key="--figures"
                )
            return False
        comparison = _of_studies(asked, paths or (), quiet=quiet)
    print_table_comparison(comparison, everything=asked.everything)
    if out is not None:
        from segbench.files import write_json

        write_json(out, comparison.to_dict())
        console.print(f"written: {out}")
    if figures is not None:
        from segbench.report.across import write_figures

        print_written(write_figures(figures, comparison))
    if latex is not None:
        from segbench.report.latex import write_latex

        print_written(write_latex(latex, comparison.verdicts, across=comparison.across))
    return True


def print_written(files: Sequence[Path]) -> None:
    """Prints where files were written."""
    for file in files:
        console.print(f"written: {file}")


def _several_data_sets(paths: Sequence[Path]) -> bool:
    if len(paths) < 2 or not all(StudyFolder(path).is_study for path in paths):
        return False
    from segbench.compare.table_verdict import are_studies_of_different_data

    return are_studies_of_different_data(paths)


def _of_table(asked: TableQuestion) -> TableComparison:
    from segbench.compare.table_verdict import compare_table

    assert asked.tables, "asked for"
    return compare_table(
        asked.tables,
        score=asked.score,
        score_name=asked.score_name,
        higher_is_better=None if asked.lower_is_better is None else not asked.lower_is_better,
        margin=asked.margin,
        baseline=asked.baseline,
    )


def _of_studies(asked: TableQuestion, paths: Sequence[Path], *, quiet: bool) -> TableComparison:
    from segbench.compare.table_verdict import compare_studies

    watch = make_callback(quiet)
    try:
        return compare_studies(
            paths, score=asked.score, margin=asked.margin, baseline=asked.baseline, progress=watch.progress
        )
    finally:
        watch.close()


def print_table_comparison(comparison: TableComparison, *, everything: bool = False) -> None:
    """Prints the answer as for runs, the numbers and the notes; `everything`: also how sure, and what it rests on."""
    from segbench.statistics.sentences import needed_sentences

    for doubt in comparison.doubts:
        console.print(f"warning: {doubt}")
    headline, *rest = comparison.sentences()[len(comparison.doubts) :] if everything else comparison.answer()
    console.print(headline, style="bold")
    for sentence in rest:
        console.print(sentence if everything else f"  {sentence}")
    good = "higher is better" if comparison.higher_is_better else "lower is better"
    if comparison.across is None:
        _print_entries(comparison.verdict, f"{comparison.score} ({good}) on {comparison.verdict.n_images} images")
        for warning in () if everything else comparison.verdict.warnings:
            console.print(f"note: {warning}")
        for step in () if everything else needed_sentences(comparison.verdict)[:1]:
            console.print(f"next: {step}")
    else:
        _print_across(comparison.across, f"{comparison.score} ({good})")
        for warning, sets in comparison.across.warnings.items():
            everywhere = len(sets) == len(comparison.across.datasets)
            console.print(f"note: {warning}" if everywhere else f"note: {', '.join(sets)}: {warning}")
    for note in comparison.notes:
        console.print(f"note: {note}")


SCORE_HEAD = ("  entry", "seeds", "mean", "interval", "seed SD", "ranks")


def score_rows(verdict: Verdict) -> list[list[str]]:
    """Returns a row an entry, the best mean first, as `SCORE_HEAD` has them."""
    from segbench.statistics.sentences import ranks_text

    numbers = verdict.numbers
    return [
        [
            ("* " if standing.index in verdict.may_be_best else "  ") + standing.name,
            str(standing.seeds),
            numbers.score(standing.mean.value),
            numbers.ends(standing.mean.low, standing.mean.high),
            numbers.score(standing.seed_spread),
            ranks_text(verdict.ranks[standing.index]),
        ]
        for standing in verdict.entries
    ]


def _print_entries(verdict: Verdict, title: str) -> None:
    console.print(f"\n{title}, 95 % intervals; * may be the best")
    print_table(SCORE_HEAD, score_rows(verdict))


def _print_across(view: DatasetsView, title: str) -> None:
    numbers = view.numbers
    console.print(f"\n{title}: mean on every data set; * shown to be the best there")
    rows = []
    for index in view.order:
        cells = [
            numbers.score(float(view.means[place, index])) + ("*" if verdict.winner == index else "")
            for place, verdict in enumerate(view.verdicts)
        ]
        rows.append(
            [
                view.names[index],
                *cells,
                numbers.score(float(view.means[:, index].mean())),
                f"{view.mean_ranks[index]:.2f}",
            ]
        )
    print_table(["entry", *view.datasets, "mean", "mean rank"], rows)
    if len(view.names) > 1:
        console.print("\nthe best minus every other: on these data sets, and to be expected of others like these")
        name = view.names[view.best]
        differences = [
            [
                f"{name} - {view.names[other]}",
                numbers.interval(view.lead_here(other), signed=True),
                numbers.interval(view.lead(other), signed=True),
            ]
            for other in view.order
            if other != view.best
        ]
        print_table(["difference", "here", "elsewhere"], differences)
