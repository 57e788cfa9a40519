"""Attributes against scores: on which images an approach does worse, and whether that is more than chance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np

from segbench.compare.evidence import Entry, Evidence
from segbench.errors import ConfigError, suggest
from segbench.explain.attributes import ATTRIBUTES, AttributeTable, measure_attributes
from segbench.explain.claims import FINDINGS, Clue, Finding
from segbench.statistics.correlation import (
    Correlation,
    FloatArray,
    difference_of_means,
    mean_with_interval,
    rank_correlation,
)
from segbench.statistics.differences import holm

__all__ = [
    "FINDINGS",
    "MIN_IMAGES",
    "AttributeEffect",
    "Clue",
    "ClueResult",
    "Finding",
    "FindingTest",
    "Slice",
    "SliceReport",
    "check_finding",
    "check_findings",
    "explain_scores",
]

MIN_IMAGES = 20  # images, or groups where there are groups; an interval of a correlation of fewer says next to nothing
Answer: TypeAlias = Literal["supported", "not shown", "too few images"]


@dataclass(frozen=True, kw_only=True)
class Slice:
    """The images with little, medium or much of an attribute.

    Attributes:
        name: `low`, `middle`, `high`; `no`, `yes` for attributes of two values.
        lowest, highest: of the attribute in it.
        n: images.
        mean: of their scores.
        low, high: t interval of that mean (over groups where there are groups); NaN below two units.
    """

    name: str
    lowest: float
    highest: float
    n: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class AttributeEffect:
    """One attribute against the score of one entry.

    Attributes:
        attribute: its name.
        n: images that have a value.
        rho: Spearman's rank correlation of attribute and score.
        low, high: its interval.
        p: two-sided, of no correlation.
        p_holm: after Holm's correction over all attributes tested.
        significant: `p_holm` is below 1 - level.
        slices: terciles, or no and yes.
        worst: name of the slice with the worst mean.
        worst_difference: mean of the worst slice minus mean of all other images; with its interval
            `worst_low`, `worst_high` (descriptive: the slice was chosen after looking).
    """

    attribute: str
    n: int
    rho: float
    low: float
    high: float
    p: float
    p_holm: float
    significant: bool
    slices: tuple[Slice, ...]
    worst: str
    worst_difference: float
    worst_low: float
    worst_high: float


@dataclass(frozen=True, kw_only=True)
class SliceReport:
    """All attributes against the score of one entry.

    Attributes:
        entry, score: names.
        higher_is_better: of the score.
        effects: the tested attributes, the largest absolute rho first.
        untested: attribute -> why it was not tested (constant, too few values).
        n: images.
        n_groups: groups of images; None where the data has none, and images count as independent.
        level: of the intervals.
        too_few: fewer than `MIN_IMAGES` images or groups: nothing is tested.
    """

    entry: str
    score: str
    higher_is_better: bool
    effects: tuple[AttributeEffect, ...]
    untested: Mapping[str, str]
    n: int
    n_groups: int | None
    level: float
    too_few: bool

    @property
    def findings(self) -> tuple[AttributeEffect, ...]:
        """The effects that survive the correction."""
        return tuple(effect for effect in self.effects if effect.significant)


@dataclass(frozen=True, kw_only=True)
class ClueResult:
    """One clue tested.

    Attributes:
        attribute, direction: see `Clue`.
        n: images that have a value.
        rho, low, high: rank correlation with the score and its two-sided interval.
        p, p_holm: of a finding that was named beforehand (`check_finding`) one-sided, in the direction that is claimed,
            and after Holm over its clues; of all findings together those of the attribute, two-sided.
        supports: `p_holm` is at most 1 - level, and the correlation has the claimed sign.
    """

    attribute: str
    direction: str
    n: int
    rho: float
    low: float
    high: float
    p: float
    p_holm: float
    supports: bool


@dataclass(frozen=True, kw_only=True)
class FindingTest:
    """What the scores of an entry say about a finding.

    Attributes:
        finding, sentence: its name and claim.
        entry, score: names.
        answer: `supported`, `not shown` (which is not "refuted"), or `too few images`.
        clues: the tested clues.
        untested: attribute -> why not.
        n: images; n_groups: groups, None where there are none.
        level: 1 - level is the error that is allowed.
    """

    finding: str
    sentence: str
    entry: str
    score: str
    answer: Answer
    clues: tuple[ClueResult, ...]
    untested: Mapping[str, str]
    n: int
    n_groups: int | None
    level: float


def explain_scores(evidence: Evidence, entry: Entry, attributes: AttributeTable, *, level: float = 0.95) -> SliceReport:
    """Returns every attribute against an entry's scores (mean over its seeds).

    Spearman's rank correlation; interval by Fisher's z with the variance of Bonett and Wright (2000); p by the t
    approximation; Holm over all attributes tested. Where the data has groups of several images, standard error and p
    come from a jackknife over the groups, with the verdict's degrees of freedom for unequal groups; intervals of slices
    respect the groups, too.

    Raises:
        ValueError: the attributes belong to other images, or a level outside (0, 1).
    """
    scores, groups = _scores_of(evidence, entry, attributes, level)
    n_groups = None if groups is None else len(np.unique(groups))
    report = SliceReport(
        entry=entry.name,
        score=evidence.score,
        higher_is_better=evidence.higher_is_better,
        effects=(),
        untested={},
        n=len(scores),
        n_groups=n_groups,
        level=level,
        too_few=(len(scores) if n_groups is None else n_groups) < MIN_IMAGES,
    )
    if report.too_few:
        return report
    untested: dict[str, str] = {}
    effects: list[AttributeEffect] = []
    for name in attributes.names:
        measured = _correlate(attributes.column(name), scores, groups, level)
        if isinstance(measured, str):
            untested[name] = measured
            continue
        known = ~np.isnan(attributes.column(name))
        rows = (attributes.column(name)[known], scores[known], None if groups is None else groups[known])
        effects.append(_effect(name, measured, *rows, level, evidence.higher_is_better))
    adjusted = _holm([effect.p for effect in effects])
    effects = [
        replace(effect, p_holm=p, significant=p <= 1.0 - level) for effect, p in zip(effects, adjusted, strict=True)
    ]
    return replace(report, effects=tuple(sorted(effects, key=lambda effect: -abs(effect.rho))), untested=untested)


def check_finding(
    evidence: Evidence, entry: Entry, finding: str, attributes: AttributeTable | None = None, *, level: float = 0.95
) -> FindingTest:
    """Returns whether an entry's scores support a finding of `FINDINGS`.

    Every clue is tested one-sided, in the direction claimed, with the method of `explain_scores`; Holm over the clues.

    Args:
        evidence: what is compared.
        entry: whose scores, mean over its seeds.
        finding: a name in `FINDINGS`.
        attributes: measured before; only what the finding needs is measured where None.
        level: 1 - level is the error that is allowed.
    Raises:
        ConfigError: an unknown finding (lists close names), or an attribute it needs was not measured.
    """
    if finding not in FINDINGS:
        raise ConfigError(f"there is no finding {finding!r}; {suggest(finding, FINDINGS)}", key="finding")
    claim = FINDINGS[finding]
    if attributes is None:
        attributes = measure_attributes(evidence, names=[clue.attribute for clue in claim.clues])
    scores, groups = _scores_of(evidence, entry, attributes, level)
    n_groups = None if groups is None else len(np.unique(groups))
    enough = (len(scores) if n_groups is None else n_groups) >= MIN_IMAGES
    untested: dict[str, str] = {}
    clues: list[ClueResult] = []
    for clue in claim.clues if enough else ():
        measured = _correlate(attributes.column(clue.attribute), scores, groups, level)
        if isinstance(measured, str):
            untested[clue.attribute] = measured
        else:
            clues.append(_clue_result(clue, measured, evidence.higher_is_better))
    adjusted = _holm([clue.p for clue in clues])
    clues = [replace(clue, p_holm=p, supports=p <= 1.0 - level) for clue, p in zip(clues, adjusted, strict=True)]
    answer: Answer = "supported" if any(clue.supports for clue in clues) else "not shown"
    return FindingTest(
        finding=finding,
        sentence=claim.sentence,
        entry=entry.name,
        score=evidence.score,
        answer=answer if enough else "too few images",
        clues=tuple(clues),
        untested=untested,
        n=len(scores),
        n_groups=n_groups,
        level=level,
    )


def check_findings(report: SliceReport) -> tuple[FindingTest, ...]:
    """Returns what the attribute tests of a report say about all of `FINDINGS`: the same tests, no others.

    A finding is supported where the correlation of one of its attributes is shown (`AttributeEffect.significant`, which
    Holm over all attributes corrected), in the direction that is claimed. So table and claims cannot contradict each
    other, and both together say something false in at most 1 - level of comparisons. `check_finding` tests one finding
    that was named before the scores were seen.

    Raises:
        ConfigError: an attribute that a finding needs was not measured.
    """
    effect_of = {effect.attribute: effect for effect in report.effects}
    return tuple(_finding_of(name, finding, report, effect_of) for name, finding in FINDINGS.items())


def _finding_of(
    name: str, finding: Finding, report: SliceReport, effect_of: Mapping[str, AttributeEffect]
) -> FindingTest:
    clues, untested = [], {}
    for clue in finding.clues if not report.too_few else ():
        if clue.attribute in effect_of:
            clues.append(_clue_in_table(clue, effect_of[clue.attribute], report.higher_is_better))
        elif clue.attribute in report.untested:
            untested[clue.attribute] = report.untested[clue.attribute]
        else:
            raise ConfigError(f"{name!r} rests on {clue.attribute}, which was not measured", key="attributes")
    answer: Answer = "supported" if any(clue.supports for clue in clues) else "not shown"
    return FindingTest(
        finding=name,
        sentence=finding.sentence,
        entry=report.entry,
        score=report.score,
        answer="too few images" if report.too_few else answer,
        clues=tuple(clues),
        untested=untested,
        n=report.n,
        n_groups=report.n_groups,
        level=report.level,
    )


def _clue_in_table(clue: Clue, effect: AttributeEffect, higher_is_better: bool) -> ClueResult:
    return ClueResult(
        attribute=clue.attribute,
        direction=clue.direction,
        n=effect.n,
        rho=effect.rho,
        low=effect.low,
        high=effect.high,
        p=effect.p,
        p_holm=effect.p_holm,
        supports=effect.significant and effect.rho * _claimed_sign(clue, higher_is_better) > 0,
    )


def _claimed_sign(clue: Clue, higher_is_better: bool) -> float:
    """Returns the sign of the correlation with the score that the clue claims."""
    return -1.0 if (clue.direction == "worse when higher") == higher_is_better else 1.0


def _scores_of(
    evidence: Evidence, entry: Entry, attributes: AttributeTable, level: float
) -> tuple[FloatArray, np.ndarray[Any, np.dtype[Any]] | None]:
    """Returns the (N,) scores, and the groups where at least one has two images."""
    if attributes.ids != evidence.ids:
        raise ValueError("the attributes belong to other images than the scores: measure them of this evidence")
    if not 0.0 < level < 1.0:
        raise ValueError(f"level: expected a number between 0 and 1, got {level}")
    groups = None if evidence.groups is None else np.unique(np.asarray(evidence.groups), return_inverse=True)[1]
    if groups is not None and len(np.unique(groups)) == len(groups):
        groups = None  # one image a group: nothing to respect
    return evidence.seed_means(entry), groups


def _correlate(
    column: FloatArray, scores: FloatArray, groups: np.ndarray[Any, np.dtype[Any]] | None, level: float
) -> Correlation | str:
    """Returns the correlation over the images that have the attribute, or why there is none."""
    known = ~np.isnan(column)
    units = int(known.sum()) if groups is None else len(np.unique(groups[known]))
    if units < MIN_IMAGES:
        return f"only {units} {'images' if groups is None else 'groups'} have a value, {MIN_IMAGES} are needed"
    if np.ptp(column[known]) == 0.0:
        return f"it is {column[known][0]:g} on all images"
    if np.ptp(scores[known]) == 0.0:
        return "all images have the same score"
    return rank_correlation(column[known], scores[known], None if groups is None else groups[known], level)


def _effect(
    name: str,
    measured: Correlation,
    column: FloatArray,
    scores: FloatArray,
    groups: np.ndarray[Any, np.dtype[Any]] | None,
    level: float,
    higher_is_better: bool,
) -> AttributeEffect:
    members = _slice_members(column, yes_no=ATTRIBUTES[name].unit == "yes or no")
    slices = []
    for label, chosen in members.items():
        mean, low, high = mean_with_interval(scores[chosen], None if groups is None else groups[chosen], level)
        bounds = float(column[chosen].min()), float(column[chosen].max())
        slices.append(
            Slice(name=label, lowest=bounds[0], highest=bounds[1], n=int(chosen.sum()), mean=mean, low=low, high=high)
        )
    worst = (min if higher_is_better else max)(slices, key=lambda part: part.mean)
    difference = difference_of_means(scores, members[worst.name], groups, level)
    return AttributeEffect(
        attribute=name,
        n=len(column),
        rho=measured.rho,
        low=measured.low,
        high=measured.high,
        p=measured.p,
        p_holm=math.nan,
        significant=False,
        slices=tuple(slices),
        worst=worst.name,
        worst_difference=difference[0],
        worst_low=difference[1],
        worst_high=difference[2],
    )


def _slice_members(column: FloatArray, *, yes_no: bool) -> dict[str, np.ndarray[Any, np.dtype[np.bool_]]]:
    """Returns slice name -> (n,) bool: terciles, of which ties stay together, so that slices may differ in size."""
    if yes_no:
        return {"no": column == 0.0, "yes": column != 0.0}
    first, second = np.quantile(column, [1 / 3, 2 / 3])
    low = column <= first if first < column.max() else column < column.max()
    members = {"low": low, "middle": ~low & (column <= second), "high": ~low & (column > second)}
    if first == column.max():
        members = {"low": low, "middle": np.zeros_like(low), "high": ~low}
    return {name: chosen for name, chosen in members.items() if chosen.any()}


def _holm(p_values: list[float]) -> list[float]:
    return [float(p) for p in holm(p_values)] if p_values else []


def _clue_result(clue: Clue, measured: Correlation, higher_is_better: bool) -> ClueResult:
    p = measured.p / 2 if measured.rho * _claimed_sign(clue, higher_is_better) > 0 else 1.0 - measured.p / 2
    return ClueResult(
        attribute=clue.attribute,
        direction=clue.direction,
        n=measured.n,
        rho=measured.rho,
        low=measured.low,
        high=measured.high,
        p=p,
        p_holm=math.nan,
        supports=False,
    )
