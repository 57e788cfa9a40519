"""Everything a report says, computed once: verdict, factors, overfitting, errors, attributes, cases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from segbench.compare.evidence import Entry, Evidence
from segbench.compare.gather import judge_evidence, judge_factors, study_baseline
from segbench.config.study import Plan, StudyConfig
from segbench.explain.attributes import AttributeTable, measure_attributes
from segbench.explain.calibration import calibration_curves
from segbench.explain.cases import (
    Cases,
    Disagreements,
    find_disagreements,
    pick_cases,
    pick_class_cases,
)
from segbench.explain.classes import ClassTable, class_table
from segbench.explain.error_types import ErrorTable, error_tables
from segbench.explain.label_mistakes import LabelCandidates, find_label_candidates
from segbench.explain.overfitting import OverfittingSummary, summarize_overfitting
from segbench.explain.slices import FindingTest, SliceReport, check_findings, explain_scores
from segbench.folders.study import RunStatus, StudyFolder
from segbench.locale import Numbers
from segbench.metrics.calibration import Calibration
from segbench.statistics.factors import FactorView
from segbench.statistics.verdict import Verdict
from segbench.types import Progress

MOST_EXPLAINED = 16  # entries whose masks are looked at one by one; nobody reads about more, and it takes long


@dataclass(frozen=True, kw_only=True, eq=False)
class Analysis:
    """What a report is written from. Entries are named by their place in `evidence.entries`.

    Attributes:
        evidence: what everything rests on.
        folder, study, plan, statuses: of the study; None and empty for a loose set of runs.
        verdict: over all entries, with the names that people call them.
        factors: what each factor does, by the keys of the study's file; None outside studies.
        overfitting: place -> what its curves say; not there for masks that another tool made.
        errors: place -> its wrong pixels by type, of the entries that are `explained`.
        classes: scores of every class; None where only one is scored.
        calibration: place -> confidence against the share of right pixels; not there where runs keep no such table.
        attributes: of the test images.
        slices: attributes against the score of the best entry.
        findings: named claims, tested on the best entry.
        cases: of the best entry; class_cases: class name -> the same, by the
            IoU of that class; empty where one class is scored.
        disagreements: of the entries that are `explained`; None below two of them.
        explained: places whose masks were looked at: the best `MOST_EXPLAINED` that keep masks, and the baseline.
        candidates: images whose mask the good runs speak against.
    """

    evidence: Evidence = field(repr=False)
    folder: StudyFolder | None
    study: StudyConfig | None
    plan: Plan | None = field(repr=False)
    statuses: tuple[RunStatus, ...] = field(repr=False)
    verdict: Verdict
    factors: FactorView | None
    overfitting: Mapping[int, OverfittingSummary]
    errors: Mapping[int, ErrorTable]
    classes: ClassTable | None
    calibration: Mapping[int, Calibration] = field(repr=False)
    attributes: AttributeTable
    slices: SliceReport
    findings: tuple[FindingTest, ...]
    cases: Cases
    class_cases: Mapping[str, Cases]
    disagreements: Disagreements | None
    candidates: LabelCandidates
    explained: tuple[int, ...]

    @cached_property
    def order(self) -> tuple[int, ...]:
        """Places of the entries, the best mean first."""
        return tuple(standing.index for standing in self.verdict.entries)

    @cached_property
    def number(self) -> Mapping[int, int]:
        """Place -> number in the report, 1 for the best mean."""
        return {place: number for number, place in enumerate(self.order, start=1)}

    @property
    def numbers(self) -> Numbers:
        """How scores are written here."""
        return self.verdict.numbers

    @property
    def best(self) -> Entry:
        """The entry with the best mean."""
        return self.evidence.entries[self.verdict.best]

    @property
    def unfinished(self) -> tuple[RunStatus, ...]:
        """Runs of the study that are not finished."""
        return tuple(status for status in self.statuses if status.state != "finished")


def analyze(evidence: Evidence, *, study: StudyFolder | None = None, progress: Progress | None = None) -> Analysis:
    """Returns everything a report says.

    Args:
        evidence: at least two entries.
        study: the folder the entries come from; None for a loose set of runs.
        progress: called while images are looked at.
    """
    entries = evidence.entries
    config = study.read_config() if study is not None else None
    plan = study.read_plan() if study is not None else None
    verdict = judge_evidence(evidence, baseline=None if study is None else study_baseline(study, evidence))
    explained = _explained(evidence, verdict)
    shown = [entries[place] for place in explained]
    best = entries[verdict.best]
    attributes = measure_attributes(evidence, progress=progress)
    slices = explain_scores(evidence, best, attributes)
    return Analysis(
        evidence=evidence,
        folder=study,
        study=config,
        plan=plan,
        statuses=study.status(plan) if study is not None else (),
        verdict=verdict,
        factors=judge_factors(evidence) if plan is not None else None,
        overfitting={place: summarize_overfitting(entry) for place, entry in enumerate(entries) if entry.runs},
        errors=dict(zip(explained, error_tables(evidence, shown, progress=progress), strict=True)),
        classes=class_table(evidence, progress=progress) if len(evidence.class_map.scored_classes) > 1 else None,
        calibration=calibration_curves(evidence),
        attributes=attributes,
        slices=slices,
        findings=check_findings(slices),
        cases=pick_cases(evidence, best),
        class_cases=pick_class_cases(evidence, best, count=1) if len(evidence.class_map.scored_classes) > 1 else {},
        disagreements=(
            find_disagreements(replace(evidence, entries=tuple(shown)), progress=progress) if len(shown) >= 2 else None
        ),
        candidates=find_label_candidates(evidence, progress=progress),
        explained=explained,
    )


def _explained(evidence: Evidence, verdict: Verdict) -> tuple[int, ...]:
    places = [standing.index for standing in verdict.entries if evidence.entries[standing.index].masks]
    others = [place for place in places[MOST_EXPLAINED:] if place == verdict.baseline]
    return (*places[:MOST_EXPLAINED], *others)
