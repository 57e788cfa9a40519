"""Runs, studies and other tools' masks compared in one call: what `segbench compare` says."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from segbench.compare.comparable import Resolution, Terms
from segbench.compare.entries import gather
from segbench.compare.evidence import Evidence
from segbench.compare.gather import judge_evidence, judge_factors, load_found, study_baseline
from segbench.compare.mask_values import MaskMeaning
from segbench.config.study import AbsentRule
from segbench.errors import ConfigError
from segbench.folders.study import StudyFolder
from segbench.locale import message
from segbench.speech import argument, in_shell
from segbench.statistics.factors import FactorView, effect_sentence
from segbench.statistics.sentences import cheapest_sentences, first_and_second, needed_sentences
from segbench.statistics.verdict import Verdict
from segbench.types import Progress


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Which entry is best, or that it cannot be said, and what that rests on.

    Attributes:
        verdict: over the entries: means and differences with their intervals.
        evidence: the score of every image, and what a person should know about it.
        factors: what each factor of a study does; None where the entries are no grid of factors.
        question: what the study asks, in its author's words; empty where it says nothing, or no study is compared.

    Example:
        >>> import segbench
        >>> comparison = segbench.compare_runs("runs/my_study")  # doctest: +SKIP
        >>> comparison.verdict.best, comparison.to_dict()["score"]  # doctest: +SKIP
    """

    verdict: Verdict
    evidence: Evidence = field(repr=False)
    factors: FactorView | None = field(default=None, repr=False)
    question: str = ""

    def sentences(self) -> list[str]:
        """Returns what was found in plain words."""
        return [
            *self.doubts,
            *self.verdict.sentences(),
            *(self.factors.sentences(self.verdict.numbers) if self.factors is not None else []),
        ]

    @property
    def doubts(self) -> tuple[str, ...]:
        """What stands before a verdict: what was changed after it was planned, runs whose scores say nothing."""
        return (*self.evidence.problems, *self.evidence.collapsed)

    def answer(self) -> list[str]:
        """Returns the outcome, and below it what each factor does and how far the first is from the second."""
        verdict = self.verdict
        effects = self.factors.effects if self.factors is not None else ()
        told = [effect_sentence(effect, verdict.numbers) for effect in effects] if len(effects) > 1 else []
        return [verdict.headline(), *told, first_and_second(verdict), *cheapest_sentences(verdict)]

    def next_steps(self) -> list[str]:
        """Returns what to do next: what is missing or failed, what would decide; of a winner how it is used."""
        verdict, entries = self.verdict, self.evidence.entries
        told: list[str] = []
        if self.evidence.unjudged or any(entry.planned > len(entry.runs) for entry in entries):
            told.append(message("Finish the runs that are missing: segbench study run goes on where it stopped."))
        if any(entry.collapsed for entry in entries):
            told.append(message("Make the collapsed trainings work: a lower learning rate (optimizer.lr), or warm-up."))
        told += needed_sentences(verdict)[:1]
        best = entries[verdict.best]
        run = best.usable_run
        if verdict.winner is not None and run is not None:
            command = f"segbench predict {in_shell(run.path)} IMAGES -o masks"
            told.append(message("Use the best mean, {name}, on your images:", name=verdict.names[verdict.best]))
            told[-1] = f"{told[-1]} {command}"
        return told

    def _repr_html_(self) -> str:
        told = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in self.sentences())
        numbers = self.verdict.numbers
        rows = "".join(
            f"<tr><th>{html.escape(standing.name)}</th><td>{standing.seeds}</td>"
            f"<td>{numbers.score(standing.mean.value)}</td>"
            f"<td>{numbers.ends(standing.mean.low, standing.mean.high)}</td></tr>"
            for standing in self.verdict.entries
        )
        caption = f"{html.escape(self.evidence.label)} on {self.verdict.n_images} test images, 95 % intervals"
        head = "<tr><th>entry</th><th>seeds</th><th>mean</th><th>interval</th></tr>"
        return f"{told}<table><caption>{caption}</caption>{head}{rows}</table>"

    def to_dict(self) -> dict[str, Any]:
        """Returns everything as plain values, for JSON."""
        evidence = self.evidence
        return {
            "question": self.question,
            "score": evidence.score,
            "definition": dict(evidence.definition),
            "ids": list(evidence.ids),
            "left_out": list(evidence.left_out),
            "problems": list(evidence.problems),
            "notes": list(evidence.notes),
            "absent": evidence.absent,
            "constant": float(evidence.constant.mean()) if evidence.constant.size else None,
            "rankings": {
                ranking.rule: {
                    "by": ranking.label,
                    "order": [evidence.entries[place].name for place in ranking.order],
                    "values": list(ranking.values),
                    "tau": ranking.tau,
                }
                for ranking in evidence.rankings
            },
            "collapsed": {entry.name: entry.collapsed for entry in evidence.entries if entry.collapsed},
            "sources": {entry.name: entry.source for entry in evidence.entries},
            "verdict": self.verdict.to_dict(),
        }


def compare_runs(
    paths: str | Path | Sequence[str | Path],
    *,
    score: str | None = None,
    resolution: Resolution = "auto",
    masks: MaskMeaning = "auto",
    baseline: str | None = None,
    margin: float | None = None,
    absent: AbsentRule | None = None,
    verify: bool = False,
    progress: Progress | None = None,
) -> Comparison:
    """Says which of several trained networks is best on the images they were all tested on, or that nobody can say.

    Runs that differ in the seed alone count as one entry; a folder of masks is judged by the same rules.

    Args:
        paths: run folders, study folders, and folders of another tool's masks, named like the test images; or one of
            them.
        score: the per-image score that decides, such as `dice_per_image` or `iou_per_image[car]`; None takes the
            study's, and `iou_per_image` without a study.
        resolution: `training`: at the size the runs scored at; `original`: at each image's own size; `auto`: the first,
            unless sizes differ or masks come at their own size.
        masks: what folders of masks hold: `values` of the data set's own masks, class `indices`, or `auto`: what fits.
        baseline: name of the entry that the others are measured against; None takes the study's.
        margin: the smallest difference of the score that matters; None takes the study's, else the score's default.
        absent: how images count whose true mask holds none of the score's classes: `perfect` or `left_out`, see
            `StudyConfig`; None takes the study's, else `perfect`.
        verify: check that the masks of all images give the counts, instead of those of a few.
        progress: called while runs are scored.
    Raises:
        ConfigError: an unknown score, baseline or choice, or fewer than two entries.
        RunError: no run among the paths, an unfinished or damaged one, another test part, another definition, a run
            under two seeds, or files that were changed after they were scored.
        DatasetError: masks that are missing, of the wrong size or unreadable, or that may mean two things.

    Example:
        >>> import segbench
        >>> comparison = segbench.compare_runs(["runs/unet", "runs/segnet"])  # doctest: +SKIP
        >>> print(*comparison.sentences(), sep="\\n")  # doctest: +SKIP
    """
    evidence, study = evidence_of(
        paths,
        score=score,
        resolution=resolution,
        masks=masks,
        margin=margin,
        absent=absent,
        verify=verify,
        progress=progress,
    )
    return compare_evidence(evidence, study=study, baseline=baseline)


def compare_evidence(
    evidence: Evidence, *, study: StudyFolder | None = None, baseline: str | None = None
) -> Comparison:
    """Returns the comparison over evidence that was gathered already.

    Args:
        evidence: what is compared.
        study: the study it comes from, which may name a baseline.
        baseline: see `compare_runs`.
    Raises:
        ConfigError: there is no such entry.
    """
    if baseline is None and study is not None:
        baseline = study_baseline(study, evidence)
    verdict = judge_evidence(evidence, baseline=baseline)
    question = "" if study is None else study.read_config().question
    return Comparison(verdict=verdict, evidence=evidence, factors=judge_factors(evidence), question=question)


def evidence_of(
    paths: str | Path | Sequence[str | Path],
    *,
    score: str | None = None,
    resolution: Resolution = "auto",
    masks: MaskMeaning = "auto",
    margin: float | None = None,
    absent: AbsentRule | None = None,
    verify: bool = False,
    progress: Progress | None = None,
) -> tuple[Evidence, StudyFolder | None]:
    """Returns the evidence of `paths`, and the study where there is exactly one among them; see `compare_runs`."""
    for key, value, allowed in (
        (argument("resolution"), resolution, get_args(Resolution)),
        (argument("masks"), masks, get_args(MaskMeaning)),
        (argument("absent"), absent, (None, *get_args(AbsentRule))),
    ):
        if value not in allowed:
            raise ConfigError(f"expected {', '.join(each for each in allowed if each)}, got {value!r}", key=key)
    paths = [paths] if isinstance(paths, str | Path) else list(paths)
    if margin is not None and not 0.0 < margin < math.inf:
        raise ConfigError(f"expected a difference above 0, got {margin!r}; for example 0.01", key=argument("margin"))
    found = gather(paths)
    terms = Terms(score=score, resolution=resolution, masks=masks, margin=margin, absent=absent, verify=verify)
    evidence = load_found(found, terms, progress)
    return evidence, found.studies[0] if len(found.studies) == 1 else None
