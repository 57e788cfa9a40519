"""Sections that a reader must see before the numbers: what went wrong, and what to do next."""

from __future__ import annotations

from segbench.locale import Message, listed, message, plural
from segbench.report.analysis import Analysis
from segbench.report.document import Block, Code, Section, bullets, text
from segbench.report.pictures import Pictures
from segbench.report.summary import name_of
from segbench.report.svg import Sketch
from segbench.speech import in_shell
from segbench.statistics.sentences import cheapest_sentences, needed_sentences


def alerts_section(analysis: Analysis, sketch: Sketch, pictures: Pictures) -> Section | None:
    """Returns what may make the numbers mean less than they seem to; None where nothing does."""
    evidence = analysis.evidence
    told: list[str] = [*evidence.problems, *evidence.collapsed, *_never_predicted(analysis)]
    told += [*_still_improving(analysis), *analysis.verdict.warnings]
    if not told:
        return None
    return Section(key="alerts", title=message("Before you believe it"), blocks=bullets(told))


def _never_predicted(analysis: Analysis) -> list[Message]:
    found = analysis.classes.never_predicted if analysis.classes is not None else {}
    return [
        message("{name} never predicts: {classes}.", name=name_of(analysis, place), classes=listed(list(names)))
        for place, names in found.items()
    ]


def _improving(analysis: Analysis) -> int:
    return sum(summary.counts["still improving"] for summary in analysis.overfitting.values())


def _still_improving(analysis: Analysis) -> list[Message]:
    runs = sum(len(summary.runs) for summary in analysis.overfitting.values())
    if not (count := _improving(analysis)):
        return []
    return [
        plural(
            "{count} of {n} run was still improving when it ended: longer training may change the order.",
            "{count} of {n} runs were still improving when they ended: longer training may change the order.",
            n=runs,
            count=count,
        )
    ]


def next_section(analysis: Analysis, sketch: Sketch, pictures: Pictures) -> Section:
    """Returns what to do next: what would decide, what is cheap and good enough, how to use the best."""
    verdict = analysis.verdict
    told: list[str] = []
    if analysis.unfinished and analysis.study is not None:
        told.append(message("Finish the runs that are missing: segbench study run goes on where it stopped."))
    if any(standing.failures[0] for standing in verdict.entries):
        told.append(message("Make the collapsed trainings work: a lower learning rate (optimizer.lr), or warm-up."))
    if _improving(analysis):
        told.append(message("Train longer (epochs), until the validation curves are level."))
    told += [*needed_sentences(verdict), *cheapest_sentences(verdict)]
    if analysis.candidates is not None and analysis.candidates.cases:
        told.append(
            plural(
                "Look at {n} mask that may be wrong, under “Images to look at”.",
                "Look at {n} masks that may be wrong, under “Images to look at”.",
                n=len(analysis.candidates.cases),
            )
        )
    blocks: list[Block] = [*bullets(told)]
    run = analysis.best.usable_run
    if run is not None:
        blocks += text(message("Use the best mean, {name}, on your images:", name=name_of(analysis, verdict.best)))
        blocks.append(Code(text=f"segbench predict {in_shell(run.path)} IMAGES -o masks"))
    return Section(key="next", title=message("What next"), blocks=tuple(blocks))
