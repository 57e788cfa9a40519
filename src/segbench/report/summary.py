"""The sentences of a report, made of numbers, in the reader's language."""

from __future__ import annotations

from collections import Counter

from segbench.explain.overfitting import VERDICTS, OverfittingSummary
from segbench.explain.slices import FindingTest, SliceReport
from segbench.locale.translate import score_words
from segbench.locale.words import Words
from segbench.report.analysis import Analysis
from segbench.statistics.differences import PairDifference
from segbench.statistics.factors import FactorEffect, Interaction
from segbench.statistics.verdict import Needed

_MOST_FINDINGS = 3  # told in full; attributes often go together


def name_of(analysis: Analysis, place: int) -> str:
    """Returns an entry's name."""
    return analysis.evidence.entries[place].name


def headline(analysis: Analysis, words: Words) -> str:
    """Returns the outcome in one sentence: the winner, or how many cannot be told apart."""
    verdict = analysis.verdict
    count, total = len(verdict.together), len(verdict.names)
    if verdict.winner is not None:
        return words("verdict.winner", name=name_of(analysis, verdict.winner))
    if total == 2:
        return words("verdict.nobody_two")
    if count == total:
        return words("verdict.nobody_all", total=words.count("approach_of", total))
    return words("verdict.nobody", count=count, total=words.count("approach_of", total))


def verdict_sentences(analysis: Analysis, words: Words) -> list[str]:
    """Returns what stands behind the headline, in one list; see `verdict_paragraphs`."""
    return [paragraph for paragraph in verdict_paragraphs(analysis, words) if paragraph]


def verdict_paragraphs(analysis: Analysis, words: Words) -> list[str]:
    """Returns what stands behind the headline: best mean; what each factor does; costs; what is needed."""
    verdict = analysis.verdict
    best = verdict.standing(verdict.best)
    key = "verdict.best_won" if verdict.winner is not None else "verdict.best"
    first = [
        words(key, name=best.name, value=words.interval(best.mean), score=score_words(analysis.evidence.score, words))
    ]
    cheap: list[str] = []
    if verdict.winner is None:
        first.append(words("verdict.not_equal"))
        cheap = _cheapest(analysis, words)
    needed = [] if verdict.needed is None else _needed(analysis, verdict.needed, words)
    effects = analysis.factors.effects if analysis.factors is not None else ()
    told = [_effect(effect, words) for effect in effects] if len(effects) > 1 else []
    return [" ".join(first), " ".join(told), " ".join(cheap), " ".join(needed), speaks_of(analysis, words)]


def speaks_of(analysis: Analysis, words: Words) -> str:
    """Returns what the intervals hold for."""
    verdict = analysis.verdict
    if verdict.speaks_of == "these trained weights":
        return words("verdict.speaks_weights")
    seeds = sorted({standing.seeds for standing in verdict.entries if standing.seeds})
    told = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]}–{seeds[-1]}"
    return words("verdict.speaks_networks", seeds=told, units=_units(verdict.unit, verdict.n_units, words))


def _units(unit: str, number: int, words: Words) -> str:
    return words.count("group" if unit == "groups" else "image", number)


def _cheapest(analysis: Analysis, words: Words) -> list[str]:
    """Returns a sentence that names the entry that is the cheapest, for every cost that is known."""
    told: dict[int, list[str]] = {}
    entries = analysis.evidence.entries
    for cost, place in analysis.verdict.cheapest.items():
        value = getattr(entries[place].costs, cost)
        shared = sum(getattr(entries[other].costs, cost) == value for other in analysis.verdict.together) - 1
        shown = words.duration(value) if cost == "training_s" else words.large(value)
        shown = words.rate(value) if cost == "images_per_s" else shown
        if shared and cost != "parameters":
            continue  # a time that several share is nobody's merit
        what = words("verdict.cheapest.as_small", value=shown, n=shared)
        told.setdefault(place, []).append(what if shared else words(f"verdict.cheapest.{cost}", value=shown))
    parts = [
        words("verdict.cheapest.one", name=name_of(analysis, place), what=", ".join(what))
        for place, what in told.items()
    ]
    return [words("verdict.cheapest", parts="; ".join(parts))] if parts else []


def _needed(analysis: Analysis, needed: Needed, words: Words) -> list[str]:
    names = {"first": name_of(analysis, needed.first), "second": name_of(analysis, needed.second)}
    units = _units(needed.unit, needed.images_now, words)
    seeds_now = words.count("seed", needed.seeds_now)
    ways = []
    if needed.images is not None:
        more = _units(needed.unit, needed.images, words)
        ways.append(words("needed.images", more=more, now=f"{needed.images_now:,}", seeds=seeds_now))
    if needed.seeds is not None:
        more = words.count("seed", needed.seeds)
        ways.append(words("needed.seeds", more=more, now=needed.seeds_now, images=units))
    told = words("needed.pair", difference=words.score(needed.difference), **names)
    if ways:
        told += words("needed.ways", ways=words("needed.or").join(ways))
    result = [told] if ways else []
    gap = words.score(needed.difference)
    if needed.images is None and analysis.verdict.speaks_of == "these trained weights":
        result.append(words("needed.no_images_at_all", difference=gap))
    elif needed.images is None and needed.seeds is None:
        result.append(words("needed.neither", difference=gap))
    elif needed.images is None:
        result.append(words("needed.no_images", seeds=seeds_now, difference=gap))
    power = words.percent(needed.power)
    result.append(
        words(
            "needed.detectable",
            difference=words.score(needed.detectable),
            power=power,
            images=units,
            seeds=seeds_now,
            **names,
        )
    )
    return result


def pair_sentences(analysis: Analysis, words: Words) -> list[str]:
    """Returns how many pairs differ, the largest difference, and how each approach stands to the baseline."""
    verdict = analysis.verdict
    different = [pair for pair in verdict.pairs if pair.significant]
    if len(verdict.pairs) == 1:
        return [_difference(analysis, verdict.pairs[0], words, "pairs.differ" if different else "pairs.same")]
    total = words.count("pair_of", len(verdict.pairs))
    result = [words("pairs.count" if different else "pairs.none", count=len(different), total=total)]
    if different:
        largest = max(different, key=lambda pair: abs(pair.difference.value))
        if largest.difference.value < 0.0:
            largest = verdict.pair(largest.second, largest.first)
        result.append(_difference(analysis, largest, words, "pairs.largest"))
    return result


def _difference(analysis: Analysis, pair: PairDifference, words: Words, key: str) -> str:
    return words(
        key,
        first=name_of(analysis, pair.first),
        second=name_of(analysis, pair.second),
        value=words.interval(pair.difference, signed=True),
        p=words.p_is(pair.p_holm),
    )


def baseline_sentences(analysis: Analysis, words: Words) -> list[str]:
    """Returns how the approaches stand to the baseline; or that none was named."""
    verdict = analysis.verdict
    if verdict.baseline is None:
        return [words("baseline.none")]
    base = verdict.standing(verdict.baseline)
    better = [p for p in verdict.against_baseline if p.significant and p.better == p.first]
    worse = [p for p in verdict.against_baseline if p.significant and p.better == p.second]
    rest = len(verdict.against_baseline) - len(better) - len(worse)
    result = [
        words(
            "baseline.summary",
            name=base.name,
            value=words.interval(base.mean),
            better=len(better),
            worse=len(worse),
            rest=rest,
        )
    ]
    if verdict.best != verdict.baseline:
        best = next(pair for pair in verdict.against_baseline if pair.first == verdict.best)
        result.append(_difference(analysis, best, words, "baseline.best"))
    return result


def factor_sentences(analysis: Analysis, words: Words) -> list[str]:
    """Returns what each factor does, and whether two of them act on each other."""
    view = analysis.factors
    if view is None:
        return []
    result = [_effect(effect, words) for effect in view.effects]
    result += [_interaction(interaction, words) for interaction in view.interactions]
    if not all(effect.matters for effect in view.effects):
        result.append(words("factor.not_equal"))
    return result


def _effect(effect: FactorEffect, words: Words) -> str:
    largest = effect.largest
    key = "factor.matters" if effect.matters else "factor.not_shown"
    shown = largest
    if effect.matters and not largest.significant:
        shown = max((d for d in effect.differences if d.significant), key=lambda d: abs(d.difference.value))
    return words(
        key,
        factor=effect.factor,
        first=shown.first,
        second=shown.second,
        value=words.interval(shown.difference, signed=True),
        p=words.p_is(shown.p_holm),
    )


def _interaction(interaction: Interaction, words: Words) -> str:
    largest = interaction.largest
    return words(
        "factor.interact" if interaction.interact else "factor.no_interaction",
        first=interaction.first,
        second=interaction.second,
        first_level=largest.first_level,
        second_level=largest.second_level,
        value=words.interval(largest.deviation, signed=True),
        p=words.p_is(largest.p_holm),
    )


def overfitting_sentences(analysis: Analysis, words: Words) -> list[str]:
    """Returns how many runs overfit and from which epoch, over all runs and of the best approach."""
    summaries = list(analysis.overfitting.values())
    runs = sum(len(each.runs) for each in summaries)
    if not runs:
        return [words("overfit.no_runs")]
    total = sum((Counter(dict(each.counts)) for each in summaries), Counter[str]())
    turned = sorted(epoch for each in summaries for epoch in each.turning_epochs)
    result = []
    if turned:
        middle = turned[(len(turned) - 1) // 2]
        result.append(
            words(
                "overfit.some",
                count=len(turned),
                runs=words.count("run_of", runs),
                first=turned[0],
                last=turned[-1],
                middle=middle,
            )
        )
    elif total["too few epochs"] < runs:
        result.append(words("overfit.none", runs=words.count("run_of", runs - total["too few epochs"])))
    rest = [
        words(f"overfit.count.{verdict}", runs=words.count("run", total[verdict]))
        for verdict in VERDICTS
        if verdict != "overfits" and total[verdict]
    ]
    result += [words("overfit.rest" if turned else "overfit.all", rest="; ".join(rest))] if rest else []
    best = analysis.overfitting.get(analysis.verdict.best)
    if best is not None:
        result.append(words("overfit.best", name=best.entry, what=what_curves_say(best, words)))
    return result


def what_curves_say(summary: OverfittingSummary, words: Words) -> str:
    """Returns the verdicts over an entry's runs in a few words."""
    parts = []
    for verdict in VERDICTS:
        count = summary.counts[verdict]
        if count:
            parts.append(words(f"overfit.word.{verdict}", count=count, total=len(summary.runs)))
    told = "; ".join(parts)
    if summary.turning_epochs:
        first, last = min(summary.turning_epochs), max(summary.turning_epochs)
        told += words("overfit.from", epochs=first if first == last else f"{first}–{last}")
    return told


def error_sentences(analysis: Analysis, words: Words) -> list[str]:
    """Returns what kind most wrong pixels of the best approach are of."""
    table = analysis.errors.get(analysis.verdict.best)
    if table is None:
        return [words("errors.no_masks", name=analysis.best.name)]
    if not table.wrong_frac > 0.0:
        return [words("errors.no_errors", name=table.entry)]
    ranked = sorted(table.shares.items(), key=lambda item: -item[1])
    result = [
        words(
            "errors.most",
            name=table.entry,
            wrong=words.percent(table.wrong_frac),
            first=words(f"error.{ranked[0][0]}"),
            first_share=words.percent(ranked[0][1]),
            second=words(f"error.{ranked[1][0]}"),
            second_share=words.percent(ranked[1][1]),
        )
    ]
    result.append(
        words(
            "errors.objects",
            missed=words.mean_count(table.missed_objects),
            true=words.count("true_object_of", table.true_objects),
            false=words.mean_count(table.false_objects),
        )
    )
    return result


def slice_sentences(report: SliceReport, words: Words) -> list[str]:
    """Returns which attributes go with the score, after correction; or that none could be shown to."""
    if report.too_few:
        units = ("image", report.n) if report.n_groups is None else ("group", report.n_groups)
        return [words("slices.too_few", units=words.count(*units))]
    result = []
    for effect in report.findings[:_MOST_FINDINGS]:
        worst = next(part for part in effect.slices if part.name == effect.worst)
        result.append(
            words(
                "slices.finding",
                attribute=words(f"attribute.{effect.attribute}"),
                rho=words.between(effect.rho, effect.low, effect.high, signed=True),
                p=words.p_is(effect.p_holm),
                worst=words(f"slice.{effect.worst}"),
                n=words.count("image", worst.n),
                mean=words.score(worst.mean),
                difference=words.signed(effect.worst_difference),
            )
        )
    if len(report.findings) > _MOST_FINDINGS:
        rest = [words(f"attribute.{effect.attribute}") for effect in report.findings[_MOST_FINDINGS:]]
        result.append(words("slices.more", attributes=words.join(rest)))
    if not result and report.effects:
        largest = report.effects[0]
        attribute = words(f"attribute.{largest.attribute}")
        rho = words.between(largest.rho, largest.low, largest.high, signed=True)
        result.append(words("slices.nothing", tested=len(report.effects), attribute=attribute, rho=rho))
    return result


def finding_clues(test: FindingTest, words: Words) -> str:
    """Returns the rank correlations that a claim was tested by."""
    return "; ".join(
        words(
            "finding.clue",
            attribute=words(f"attribute.{clue.attribute}"),
            rho=words.signed(clue.rho),
            p=words.p_is(clue.p_holm),
        )
        for clue in test.clues
    )
