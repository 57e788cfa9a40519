"""The questions that a report on a comparison is asked, each answered with numbers."""

from __future__ import annotations

from collections.abc import Sequence

from segbench.locale import Message, join, listed, message, plural
from segbench.report.analysis import Analysis
from segbench.report.document import Block, Heading, Section, text
from segbench.report.pictures import Pictures
from segbench.report.summary import (
    error_sentences,
    name_of,
    overfitting_sentences,
    pair_sentences,
    slice_sentences,
    verdict_paragraphs,
)
from segbench.report.svg import Sketch
from segbench.statistics.sentences import baseline_sentences


def questions_section(analysis: Analysis, sketch: Sketch, pictures: Pictures) -> Section:
    """Returns what was done, expected and reached, how the approaches differ, overfitting, and which is best."""
    verdict = analysis.verdict
    factors = [] if analysis.factors is None else analysis.factors.sentences(analysis.numbers)
    baseline = baseline_sentences(verdict) or [message("No baseline was named.")]
    fails = [*error_sentences(analysis), *slice_sentences(analysis.slices, analysis.numbers)]
    answers: tuple[tuple[Message, Sequence[str]], ...] = (
        (message("What was done?"), _done(analysis)),
        (message("What was expected?"), _expected(analysis)),
        (message("What was reached?"), _reached(analysis)),
        (message("How do the approaches differ from each other?"), [*pair_sentences(analysis), *factors]),
        (message("How do they stand to the baseline?"), baseline),
        (message("Do the models overfit, and from which epoch?"), overfitting_sentences(analysis)),
        (message("Where does the best approach fail?"), fails),
        (
            message("Which approach is best?"),
            [join(". ", [verdict.headline(), join(" ", [*filter(None, verdict_paragraphs(analysis))])])],
        ),
    )
    blocks: list[Block] = []
    for question, sentences in answers:
        blocks += [Heading(text=question), *text(join(" ", sentences))]
    return Section(key="questions", title=message("Questions and answers"), blocks=tuple(blocks))


def _done(analysis: Analysis) -> list[Message]:
    evidence = analysis.evidence
    parts = {part: len(evidence.manifest.split(part)) for part in ("train", "val", "test")}
    runs = sum(len(entry.runs) for entry in evidence.entries)
    result = [
        message(
            "{approaches} were compared in {runs}, trained on {train} images; {val} others chose the "
            "epoch, and {test} test images that no training saw decided, by {score}.",
            approaches=plural("{n:,} approach", "{n:,} approaches", n=len(evidence.entries)),
            runs=plural("{n:,} run", "{n:,} runs", n=runs),
            train=parts["train"],
            val=parts["val"],
            test=len(evidence.ids),
            score=evidence.label,
        )
    ]
    if analysis.plan is not None:
        labels = evidence.labels
        factors = [
            message(
                "{factor} ({values})",
                factor=labels.get(factor, factor),
                values=listed([labels.get(value, value) for value in values], 12),
            )
            for factor, values in analysis.plan.factors.items()
        ]
        result.append(message("What varied: {factors}.", factors=join("; ", factors)))
    return result


def _expected(analysis: Analysis) -> list[Message]:
    expected = analysis.study.expected if analysis.study is not None else ""
    if isinstance(expected, str) and expected:
        return [message("Written down before the runs: “{text}”", text=expected.strip())]
    if expected:
        return [message("Written down before the runs, factor by factor: beside the answers on top.")]
    return [message("Nothing was written down before (`expected` in the study's file).")]


def _reached(analysis: Analysis) -> list[Message]:
    verdict = analysis.verdict
    best, last = verdict.entries[0], verdict.entries[-1]
    return [
        message(
            "From {best} with {score} {best_value} down to {last} with {last_value}.",
            best=name_of(analysis, best.index),
            best_value=analysis.numbers.interval(best.mean),
            last=name_of(analysis, last.index),
            last_value=analysis.numbers.interval(last.mean),
            score=analysis.evidence.label,
        )
    ]
