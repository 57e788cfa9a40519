"""The questions that a report on a comparison is asked, each answered with numbers."""

from __future__ import annotations

from segbench.locale.translate import score_words
from segbench.locale.words import Words
from segbench.report.analysis import Analysis
from segbench.report.document import Block, Heading, Section, text
from segbench.report.pictures import Pictures
from segbench.report.summary import (
    baseline_sentences,
    error_sentences,
    factor_sentences,
    headline,
    name_of,
    overfitting_sentences,
    pair_sentences,
    slice_sentences,
    verdict_sentences,
)
from segbench.report.svg import Sketch


def questions_section(analysis: Analysis, words: Words, sketch: Sketch, pictures: Pictures) -> Section:
    """Returns what was done, expected and reached, how the approaches differ, overfitting, and which is best."""
    answers = {
        "done": _done(analysis, words),
        "expected": _expected(analysis, words),
        "reached": _reached(analysis, words),
        "differ": [*pair_sentences(analysis, words), *factor_sentences(analysis, words)],
        "baseline": baseline_sentences(analysis, words),
        "overfit": overfitting_sentences(analysis, words),
        "fails": [*error_sentences(analysis, words), *slice_sentences(analysis.slices, words)],
        "best": [headline(analysis, words), *verdict_sentences(analysis, words)],
    }
    blocks: list[Block] = []
    for key, sentences in answers.items():
        blocks += [Heading(text=words(f"question.{key}")), *text(" ".join(sentences))]
    return Section(key="questions", title=words("section.questions"), blocks=tuple(blocks))


def _done(analysis: Analysis, words: Words) -> list[str]:
    evidence = analysis.evidence
    parts = {part: len(evidence.manifest.split(part)) for part in ("train", "val", "test")}
    runs = sum(len(entry.runs) for entry in evidence.entries)
    result = [
        words(
            "done.summary",
            approaches=words.count("approach", len(evidence.entries)),
            runs=words.count("run", runs),
            train=parts["train"],
            val=parts["val"],
            test=len(evidence.ids),
            score=score_words(evidence.score, words),
        )
    ]
    if analysis.plan is not None:
        factors = [
            words("done.factor", factor=factor, values=words.join(values, 12))
            for factor, values in analysis.plan.factors.items()
        ]
        result.append(words("done.factors", factors="; ".join(factors)))
    return result


def _expected(analysis: Analysis, words: Words) -> list[str]:
    if analysis.study is not None and analysis.study.expected:
        return [words("expected.quoted", text=analysis.study.expected.strip())]
    return [words("expected.nothing")]


def _reached(analysis: Analysis, words: Words) -> list[str]:
    verdict = analysis.verdict
    best, last = verdict.entries[0], verdict.entries[-1]
    return [
        words(
            "reached.range",
            best=name_of(analysis, best.index),
            best_value=words.interval(best.mean),
            last=name_of(analysis, last.index),
            last_value=words.interval(last.mean),
            score=score_words(analysis.evidence.score, words),
        )
    ]
