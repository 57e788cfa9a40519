"""The report about runs and studies in one call: what `segbench report` writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from segbench.compare.comparable import Resolution
from segbench.compare.mask_values import MaskMeaning
from segbench.compare.runs import evidence_of
from segbench.errors import ConfigError
from segbench.locale import languages
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
    progress: Progress | None = None,
) -> ReportFiles:
    """Writes one self-contained page about a study, or about runs, and says where: verdict, numbers, curves, failures.

    Args:
        paths: what is compared, see `compare_runs`.
        out: HTML file; the same as Markdown and a table of the numbers are written beside it.
        lang: one of `segbench.locale.languages()`: `en` or `ru`.
        score, resolution, masks: see `compare_runs`.
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
    return write_report(out, evidence, study=study, lang=lang, progress=progress)
