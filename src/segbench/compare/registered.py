"""The evidence of a study held against what was said before its first training; and every look at it, counted."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from typing import Any

from segbench.compare.entries import Gathered
from segbench.compare.evidence import Evidence
from segbench.compare.verify import ScoredRun
from segbench.folders.looks import Judged, take_look
from segbench.folders.study import ReadStudy
from segbench.locale import Message, join, message
from segbench.statistics.looks import plan_look
from segbench.statistics.margin import default_margin

_DIGITS = 9  # of a score that count: sums may differ beyond by how they are added up


def about_study(
    found: Gathered, evidence: Evidence, scored: Sequence[Sequence[ScoredRun]], *, noted: bool
) -> dict[str, Any]:
    """Returns `look` and `problems` of the evidence.

    Args:
        found: what is compared; a verdict over one study alone is that study's.
        evidence: without them.
        scored: the runs, an entry each.
        noted: write into the folders of the studies that they are judged now.
    """
    look = None
    problems = list(found.problems)
    for study in found.studies:
        config = study.read_config()
        changed = study.changed_since_registration(config, study.read_plan(), evidence.manifest.content_hash)
        if changed is None:
            found.notes.append(
                message(
                    "nothing was registered before the first training: an earlier version began {study}",
                    study=study.path,
                )
            )
        problems += changed or []
        why = _exploratory(found, evidence, study)
        if why is not None:
            problems.append(
                message("this verdict is exploratory, and not the one that the study was made for: {why}", why=why)
            )
        if not noted:
            continue
        planned = config.looks
        judged = _judged(study, evidence, scored, str(why or ""))
        number, told = take_look(study.looks_file, judged, partial(_level, planned))
        problems += told
        look = None if number is None else plan_look(number, planned)
    return {"look": look if len(found.studies) == 1 else None, "problems": tuple(dict.fromkeys(problems))}


def _level(planned: int, number: int) -> float:
    return plan_look(number, planned).alpha


def _exploratory(found: Gathered, evidence: Evidence, study: ReadStudy) -> Message | None:
    """Returns why this is not the verdict that a study was made for; None where it is."""
    config = study.read_config()
    reasons = []
    if evidence.score != config.score:
        reasons.append(
            message(
                "the study declares the score {declared}, and this is by {score}",
                declared=config.score,
                score=evidence.score,
            )
        )
    if evidence.absent != config.absent:
        reasons.append(
            message(
                "the study counts images without any of the classes by the rule {declared}, and this goes by {rule}",
                declared=config.absent,
                rule=evidence.absent,
            )
        )
    declared = config.practical if config.practical is not None else default_margin(evidence.bounds)
    if evidence.margin not in (None, declared):
        reasons.append(
            message(
                "the study declares {declared} as the smallest difference that matters, and this takes {margin}",
                declared="none" if declared is None else f"{declared:g}",
                margin=f"{evidence.margin:g}",
            )
        )
    others = len(found.studies) + len(found.folders) + any(source.place != study.path for source in found.sources)
    if others > 1:
        reasons.append(message("other entries than those of the study are compared with them"))
    return join("; ", reasons) if reasons else None


def _judged(study: ReadStudy, evidence: Evidence, scored: Sequence[Sequence[ScoredRun]], why: str) -> Judged:
    own = {item.run.path.resolve() for each in scored for item in each} & {
        study.run(run.id).path.resolve() for run in study.read_plan().runs
    }
    digest = hashlib.sha256(f"{evidence.score} {evidence.absent} {evidence.size}".encode())
    for entry in evidence.entries:
        digest.update(f"\n{entry.name} {entry.seeds} ".encode())
        digest.update((entry.values.round(_DIGITS) + 0.0).tobytes())
    return Judged(
        score=evidence.score,
        size="original" if evidence.size is None else "training",
        entries={entry.name: entry.seeds for entry in evidence.entries},
        images=len(evidence.ids),
        runs={
            item.run.path.name: hashlib.sha256(item.scores.counts.confusion.tobytes()).hexdigest()[:16]
            for each in scored
            for item in each
            if item.run.path.resolve() in own
        },
        hash=digest.hexdigest(),
        exploratory=why,
    )
