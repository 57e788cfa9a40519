"""The report about a comparison: one self-contained HTML page, the same as Markdown, and a table of the numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from segbench import __version__
from segbench.compare.evidence import Evidence
from segbench.errors import ConfigError
from segbench.files import write_text
from segbench.folders.study import StudyFolder
from segbench.locale import localize, message, plural
from segbench.report.analysis import Analysis, analyze
from segbench.report.document import Document, Section, TryIt
from segbench.report.html import render
from segbench.report.markdown import write_markdown
from segbench.report.pictures import BUDGETS, Pictures
from segbench.report.sections.alerts import alerts_section, next_section
from segbench.report.sections.answer import answer_blocks, answer_figure, answer_strip
from segbench.report.sections.cases import cases_section
from segbench.report.sections.classes import classes_section
from segbench.report.sections.costs import costs_section
from segbench.report.sections.data import data_section, missing_section, protocol_section, repeat_section
from segbench.report.sections.factors import factors_section
from segbench.report.sections.questions import questions_section
from segbench.report.sections.results import results_section
from segbench.report.sections.sure import calibration_section, pairs_section
from segbench.report.sections.why import attributes_section, errors_section, learning_section
from segbench.report.svg import Sketch
from segbench.report.tables import write_results
from segbench.speech import argument
from segbench.types import Progress

MAX_BYTES = 10 * 2**20

_Builder: TypeAlias = Callable[[Analysis, Sketch, Pictures], Section | None]
_BUILDERS: tuple[_Builder, ...] = (
    alerts_section,
    next_section,
    results_section,
    classes_section,
    factors_section,
    errors_section,
    cases_section,
    attributes_section,
    pairs_section,
    costs_section,
    learning_section,
    calibration_section,
    questions_section,
    data_section,
    protocol_section,
    missing_section,
    repeat_section,
)
_FOLDED = {"calibration", "questions", "data", "protocol", "missing", "repeat"}


@dataclass(frozen=True, kw_only=True)
class ReportFiles:
    """What `write_report` wrote.

    Attributes:
        html: the page.
        markdown: the same text and tables, without pictures.
        csv: every entry with all its numbers.
        analysis: what they were written from.
    """

    html: Path
    markdown: Path
    csv: Path
    analysis: Analysis = field(repr=False)


def write_report(
    path: str | Path,
    evidence: Evidence,
    *,
    study: StudyFolder | None = None,
    lang: str = "en",
    try_it: bool = False,
    progress: Progress | None = None,
) -> ReportFiles:
    """Writes the report; the page opens offline and asks nothing of the network.

    Args:
        path: of the HTML file; a Markdown file of the same name and a table are written beside it:
            `results.csv` beside `report.html`, `NAME_results.csv` beside `NAME.html`.
        evidence: what is compared.
        study: the study folder it comes from; None for a loose set of runs.
        lang: language of the text, one of `segbench.locale.languages()`.
        try_it: put the best model into the page, so that a reader can run it on own images; adds megabytes.
        progress: called while images are looked at and the page is written.
    Raises:
        RunError: a run folder is incomplete or damaged.
        DatasetError: an image or mask is missing, or has changed since the runs.
        ConfigError: `try_it`, but the best entry is no run.
        PredictionError: `try_it`, but no browser could run the best model.
    """
    path = Path(path)
    analysis = analyze(evidence, study=study, progress=progress)
    table = path.with_name("results.csv" if path.stem == "report" else f"{path.stem}_results.csv")
    files = ReportFiles(html=path, markdown=path.with_suffix(".md"), csv=table, analysis=analysis)
    sketch = Sketch(lang)
    for budget in BUDGETS:
        english = _document(analysis, sketch, Pictures(evidence, budget), files, progress)
        document = replace(localize(english, lang), lang=lang)
        page = render_html(document)
        if len(page.encode()) <= MAX_BYTES:
            break
    if try_it:
        page = render_html(replace(document, try_it=localize(_try_it(analysis, lang), lang)))
    write_text(files.html, page)
    write_markdown(files.markdown, document)
    write_results(files.csv, analysis)
    return files


def _document(
    analysis: Analysis,
    sketch: Sketch,
    pictures: Pictures,
    files: ReportFiles,
    progress: Progress | None,
) -> Document:
    sections = []
    for done, build in enumerate(_BUILDERS):
        if progress is not None:
            progress("writing the report", done, len(_BUILDERS))
        section = build(analysis, sketch, pictures)
        if section is not None:
            sections.append(replace(section, folded=section.key in _FOLDED))
    study = analysis.study
    approaches = plural("{n:,} approach", "{n:,} approaches", n=len(analysis.evidence.entries))
    return Document(
        lang="en",
        title=(study.title or study.study if study is not None else "")
        or message("Comparison of {approaches}", approaches=approaches),
        question=(study.question if study is not None else "")
        or message("Which of these approaches is best by {score}?", score=analysis.evidence.label),
        expected=_expected(study.expected) if study is not None else "",
        top=answer_blocks(analysis),
        figure=answer_figure(analysis, sketch),
        strip=answer_strip(analysis, pictures),
        sections=tuple(sections),
        foot=message(
            "Made by segbench {version} from the files of the runs. All numbers stand in {csv}, the text "
            "in {markdown}.",
            version=__version__,
            csv=files.csv.name,
            markdown=files.markdown.name,
        ),
        contents=message("Contents"),
    )


def _try_it(analysis: Analysis, lang: str) -> TryIt:
    """Returns the first run of the best entry that did not collapse, as a page to be run."""
    from segbench.export.html.write import page_of  # only who asks for it waits for torch

    best = analysis.best
    run = best.usable_run
    if run is None and best.runs:
        told = f"every run of the best entry {best.name!r} collapsed: it predicts one class only"
        raise ConfigError(f"{told}; leave it out", key=argument("try_it"))
    if run is None:
        told = f"the best entry {best.name!r} is a folder of masks, and only a run has a network"
        raise ConfigError(f"{told}; leave it out", key=argument("try_it"))
    page = page_of(run.path, lang=lang, name=best.name)
    return TryIt(
        title=message("Try the best model"),
        paragraphs=(
            message(
                "{name} runs in this page, on your own images: they stay on this computer. It takes {mb:.0f} MB of "
                "this file.",
                name=best.name,
                mb=len(page) / 1e6,
            ),
        ),
        button=message("Start it"),
        page=page,
    )


def _expected(expected: str | Mapping[str, bool | str]) -> str:
    """Returns what the study's file expected as a whole; a mapping of factors stands at their lines in the answer."""
    return message("Expected: {text}", text=expected.strip()) if isinstance(expected, str) and expected else ""


def render_html(document: Document) -> str:
    """Returns the page; every text in it is escaped."""
    return render("page.html", document=document)
