"""The sentences of a report beside those of the verdict, made of numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from segbench.explain.overfitting import VERDICTS, OverfittingSummary
from segbench.explain.overfitting import Verdict as CurveVerdict
from segbench.explain.slices import FindingTest, SliceReport
from segbench.locale import Message, Numbers, join, listed, message, plural
from segbench.metrics.families import label_of
from segbench.report.analysis import MOST_EXPLAINED, Analysis
from segbench.report.labels import ATTRIBUTE, ERROR, SLICE
from segbench.statistics.differences import Estimate, PairDifference
from segbench.statistics.factors import effect_sentence
from segbench.statistics.margin import Answer, answer_with_margin
from segbench.statistics.sentences import (
    best_sentences,
    cheapest_sentences,
    needed_sentences,
    speaks_of_sentence,
    units,
)

_MOST_FINDINGS = 3  # told in full; attributes often go together


def name_of(analysis: Analysis, place: int) -> str:
    """Returns what people call an entry."""
    return analysis.verdict.names[place]


def called(analysis: Analysis, entries: Iterable[str]) -> list[str]:
    """Returns what people call the entries of these names."""
    shown = {entry.name: name for entry, name in zip(analysis.evidence.entries, analysis.verdict.names, strict=True)}
    return [shown[name] for name in entries]


def numbered(analysis: Analysis, place: int) -> Message:
    """Returns what people call an entry behind its number in the table of results: `1. U-Net`."""
    return join(". ", [str(analysis.number[place]), name_of(analysis, place)])


def label_of_score(analysis: Analysis, score: str) -> str:
    """Returns what people call a score: its display name in the study's file, else its own."""
    return analysis.evidence.labels.get(score, label_of(score))


def explained_sentence(analysis: Analysis) -> str:
    """Returns of which entries the masks were looked at; nothing where it is all that keep masks."""
    others = sum(1 for entry in analysis.evidence.entries if entry.masks) - len(analysis.explained)
    if others <= 0:
        return ""
    return message("Of the {n} best approaches, and the baseline.", n=MOST_EXPLAINED)


def answer_of(analysis: Analysis, difference: Estimate) -> Answer | None:
    """Returns what two one-sided tests with the verdict's margin say of a difference, first against second."""
    verdict = analysis.verdict
    if verdict.margin is None:
        return None
    sign = 1.0 if verdict.higher_is_better else -1.0
    lead = sign * difference.value
    return answer_with_margin(lead, difference.standard_error, difference.df, verdict.margin, 1 - verdict.level)


def verdict_paragraphs(analysis: Analysis) -> list[Message]:
    """Returns what stands behind the headline: best mean; what each factor does; costs; what is needed."""
    verdict = analysis.verdict
    effects = analysis.factors.effects if analysis.factors is not None else ()
    told = [effect_sentence(effect, verdict.numbers) for effect in effects] if len(effects) > 1 else []
    paragraphs = (best_sentences(verdict), told, cheapest_sentences(verdict), needed_sentences(verdict))
    return [*(join(" ", each) for each in paragraphs), speaks_of_sentence(verdict)]


def pair_sentences(analysis: Analysis) -> list[Message]:
    """Returns how many pairs differ, and the largest difference."""
    verdict = analysis.verdict
    different = [pair for pair in verdict.pairs if pair.significant]
    if len(verdict.pairs) == 1:
        values = _difference(analysis, verdict.pairs[0])
        if different:
            return [message("The two differ significantly: {first} minus {second} is {value}, {p}.", **values)]
        return [
            message(
                "No difference could be shown, which does not mean that there is none: {first} minus {second} is "
                "{value}, {p}.",
                **values,
            )
        ]
    if not different:
        return [
            plural(
                "{count} of {n} pair differs significantly after Holm's correction over all pairs: no difference could "
                "be shown, which does not mean that there is none.",
                "{count} of {n} pairs differ significantly after Holm's correction over all pairs: no difference could "
                "be shown, which does not mean that there is none.",
                n=len(verdict.pairs),
                count=0,
            )
        ]
    largest = max(different, key=lambda pair: abs(pair.difference.value))
    if largest.difference.value < 0.0:
        largest = verdict.pair(largest.second, largest.first)
    return [
        plural(
            "{count} of {n} pair differs significantly, after Holm's correction over all pairs.",
            "{count} of {n} pairs differ significantly, after Holm's correction over all pairs.",
            n=len(verdict.pairs),
            count=len(different),
        ),
        message("The largest difference is {first} minus {second}: {value}, {p}.", **_difference(analysis, largest)),
    ]


def _difference(analysis: Analysis, pair: PairDifference) -> dict[str, str]:
    return {
        "first": name_of(analysis, pair.first),
        "second": name_of(analysis, pair.second),
        "value": analysis.numbers.interval(pair.difference, signed=True),
        "p": analysis.numbers.p_is(pair.p_holm),
    }


def overfitting_sentences(analysis: Analysis) -> list[Message]:
    """Returns how many runs overfit and from which epoch, over all runs and of the best approach."""
    summaries = list(analysis.overfitting.values())
    runs = sum(len(each.runs) for each in summaries)
    if not runs:
        return [message("There are no training curves: the masks come from another tool.")]
    total = sum((Counter(dict(each.counts)) for each in summaries), Counter[str]())
    turned = sorted(epoch for each in summaries for epoch in each.turning_epochs)
    result = []
    if turned:
        result.append(
            plural(
                "{count} of {n} run overfits: the validation loss turns and rises for good from epoch {first} at the "
                "earliest, {last} at the latest ({middle} in the middle), while the training loss goes on falling.",
                "{count} of {n} runs overfit: the validation loss turns and rises for good from epoch {first} at the "
                "earliest, {last} at the latest ({middle} in the middle), while the training loss goes on falling.",
                n=runs,
                count=len(turned),
                first=turned[0],
                last=turned[-1],
                middle=turned[(len(turned) - 1) // 2],
            )
        )
    elif total["too few epochs"] < runs:
        result.append(
            plural(
                "None of {n} run shows overfitting: no validation loss turned beyond its noise while the training loss "
                "fell.",
                "None of {n} runs shows overfitting: no validation loss turned beyond its noise while the training "
                "loss fell.",
                n=runs - total["too few epochs"],
            )
        )
    rest = join("; ", [_runs_that(kind, total[kind]) for kind in VERDICTS if kind != "overfits" and total[kind]])
    if rest:
        result.append(
            message("The other runs: {rest}.", rest=rest) if turned else message("By run: {rest}.", rest=rest)
        )
    best = analysis.overfitting.get(analysis.verdict.best)
    if best is not None:
        name = name_of(analysis, analysis.verdict.best)
        result.append(message("The best approach, {name}: {what}.", name=name, what=what_curves_say(best)))
    return result


def _runs_that(kind: CurveVerdict, count: int) -> Message:
    runs = plural("{n:,} run", "{n:,} runs", n=count)
    if kind == "not yet":
        return message("{runs} without a turn", runs=runs)
    if kind == "still improving":
        return message("{runs} still improving at the end", runs=runs)
    if kind == "diverges":
        return message("{runs} diverging", runs=runs)
    return message("{runs} with too few epochs to say", runs=runs)


def what_curves_say(summary: OverfittingSummary) -> Message:
    """Returns the verdicts over an entry's runs in a few words."""
    parts = [_curves_of(kind, summary.counts[kind], len(summary.runs)) for kind in VERDICTS if summary.counts[kind]]
    told = join("; ", parts)
    if not summary.turning_epochs:
        return told
    first, last = min(summary.turning_epochs), max(summary.turning_epochs)
    return message("{told}, from epoch {epochs}", told=told, epochs=first if first == last else f"{first}–{last}")


def _curves_of(kind: CurveVerdict, count: int, total: int) -> Message:
    values = {"count": count, "total": total}
    if kind == "overfits":
        return message("overfits ({count} of {total})", **values)
    if kind == "not yet":
        return message("no turn yet ({count} of {total})", **values)
    if kind == "still improving":
        return message("still improving ({count} of {total})", **values)
    if kind == "diverges":
        return message("diverges ({count} of {total})", **values)
    return message("too few epochs to say ({count} of {total})", **values)


def error_sentences(analysis: Analysis) -> list[Message]:
    """Returns what kind most wrong pixels of the best approach are of."""
    table, numbers, best = (
        analysis.errors.get(analysis.verdict.best),
        analysis.numbers,
        name_of(analysis, analysis.verdict.best),
    )
    if table is None:
        return [message("{name} keeps no masks, so its errors cannot be told apart.", name=best)]
    if not table.wrong_frac > 0.0:
        return [message("{name} makes no errors on these images.", name=best)]
    (first, first_share), (second, second_share) = sorted(table.shares.items(), key=lambda item: -item[1])[:2]
    return [
        message(
            "{name}: {wrong} of the counted pixels are wrong. Most are: {first} ({first_share}), then: {second} "
            "({second_share}).",
            name=best,
            wrong=numbers.percent(table.wrong_frac),
            first=ERROR[first],
            first_share=numbers.percent(first_share),
            second=ERROR[second],
            second_share=numbers.percent(second_share),
        ),
        plural(
            "Objects missed: {missed} of {n:,} true object; objects invented: {false} (mean over seeds).",
            "Objects missed: {missed} of {n:,} true objects; objects invented: {false} (mean over seeds).",
            n=table.true_objects,
            missed=numbers.mean_count(table.missed_objects),
            false=numbers.mean_count(table.false_objects),
        ),
    ]


def slice_sentences(report: SliceReport, numbers: Numbers) -> list[Message]:
    """Returns which attributes go with the score, after correction; or that none could be shown to."""
    if report.too_few:
        few = units("images", report.n) if report.n_groups is None else units("groups", report.n_groups)
        return [message("{units} are too few to test attributes.", units=few)]
    result = []
    for effect in report.findings[:_MOST_FINDINGS]:
        worst = next(part for part in effect.slices if part.name == effect.worst)
        result.append(
            message(
                "Attribute “{attribute}” goes with the score: rank correlation {rho}, {p} after correction. Worst "
                "part: {worst} ({n}), mean {mean}, {difference} against the others.",
                attribute=ATTRIBUTE[effect.attribute],
                rho=numbers.between(effect.rho, effect.low, effect.high, signed=True),
                p=numbers.p_is(effect.p_holm),
                worst=SLICE[effect.worst],
                n=units("images", worst.n),
                mean=numbers.score(worst.mean),
                difference=numbers.signed(effect.worst_difference),
            )
        )
    if len(report.findings) > _MOST_FINDINGS:
        rest = [ATTRIBUTE[effect.attribute] for effect in report.findings[_MOST_FINDINGS:]]
        result.append(
            message("The same holds of: {attributes}. Attributes often go together.", attributes=listed(rest))
        )
    if not result and report.effects:
        largest = report.effects[0]
        result.append(
            message(
                "None of the {tested} attributes could be shown to go with the score, after correction; the largest "
                "rank correlation is that of “{attribute}”: {rho}.",
                tested=len(report.effects),
                attribute=ATTRIBUTE[largest.attribute],
                rho=numbers.between(largest.rho, largest.low, largest.high, signed=True),
            )
        )
    return result


def finding_clues(test: FindingTest, numbers: Numbers) -> Message:
    """Returns the rank correlations that a claim was tested by."""
    return join(
        "; ",
        [
            join("", [ATTRIBUTE[clue.attribute], ": ", numbers.signed(clue.rho), " (", numbers.p_is(clue.p_holm), ")"])
            for clue in test.clues
        ],
    )
