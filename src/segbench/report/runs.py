"""The report about runs and studies in one call: what `segbench report` writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from segbench.compare.comparable import Resolution
from segbench.compare.mask_values import MaskMeaning
from segbench.compare.runs import Comparison, compare_evidence, evidence_of
from segbench.errors import ConfigError
from segbench.locale import languages
from segbench.report.latex import write_latex
from segbench.report.page import ReportFiles, write_report
from segbench.speech import argument
from segbench.types import Progress


def report_runs(
    paths: str | Path | Sequence[str | Path],
    out: str | Path = "report.html",
    *,
    lang: str = "en",
    score: str | None = None,
    resolution: Resolution = "auto",
    masks: MaskMeaning = "auto",
    latex: str | Path | None = None,
    try_it: bool = False,
    progress: Progress | None = None,
) -> ReportFiles:
    """Writes one self-contained page about a study, or about runs, and says where: verdict, numbers, curves, failures.

    Args:
        paths: what is compared, see `compare_runs`.
        out: HTML file; the same as Markdown and a table of the numbers are written beside it.
        lang: one of `segbench.locale.languages()`: `en` or `ru`.
        score, resolution, masks: see `compare_runs`.
        latex: folder for the table, a paragraph of methods and the sources as LaTeX; None writes none.
        try_it: put the best model into the page, so that a reader can run it on own images; adds megabytes.
        progress: called while images are looked at and the page is written.
    Returns:
        The paths `html`, `markdown` and `csv`.
    Raises:
        ConfigError, RunError, DatasetError: see `compare_runs`.

    Example:
        >>> import segbench
        >>> segbench.report_runs("runs/my_study", "report.html").html  # doctest: +SKIP
    """
    out = Path(out)
    if out.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"expected a file that ends in .html, got {out.name!r}", key=argument("out"))
    if lang not in languages():
        raise ConfigError(f"expected one of the languages {', '.join(languages())}, got {lang!r}", key=argument("lang"))
    evidence, study = evidence_of(paths, score=score, resolution=resolution, masks=masks, progress=progress)
    files = write_report(out, evidence, study=study, lang=lang, try_it=try_it, progress=progress)
    if latex is not None:
        latex_of_runs(latex, compare_evidence(evidence, study=study))
    return files


def latex_of_runs(folder: str | Path, comparison: Comparison) -> list[Path]:
    """Writes a comparison of runs as LaTeX, see `segbench.report.latex.write_latex`; returns the paths."""
    evidence = comparison.evidence
    size = "at each image's own size" if evidence.size is None else f"at {evidence.size[0]} x {evidence.size[1]} pixels"
    return write_latex(
        folder,
        [comparison.verdict],
        definition=str(evidence.definition["sentence"]),
        data=f"{Path(evidence.manifest.root).name}, {size}",
    )
