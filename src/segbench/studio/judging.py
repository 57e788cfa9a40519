"""What the page says about a study: how far it is, the verdict so far, classes, and where classes are confused.

Nothing here counts as a look at the study: who only watches must not make its verdict stricter. The verdict that counts
is the one of `segbench compare` and `segbench report`, and the page says so.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from segbench.compare.evidence import Entry, Evidence
from segbench.compare.gather import study_evidence
from segbench.compare.runs import Comparison, compare_evidence
from segbench.errors import SegbenchError
from segbench.explain.classes import ClassTable, class_table
from segbench.folders.study import RunStatus, StudyFolder
from segbench.locale import Message, join, message, plural, quoted
from segbench.statistics.verdict import Verdict


@dataclass(frozen=True, kw_only=True, eq=False)
class Judgement:
    """A study's verdict so far.

    Attributes:
        comparison: of the entries with a finished run.
        classes: scores of every class; None where one is scored.
        dropped: trainings that collapsed and were left out, since somebody asked for it.
    """

    comparison: Comparison
    classes: ClassTable | None
    dropped: int

    @property
    def evidence(self) -> Evidence:
        """What it rests on."""
        return self.comparison.evidence

    def to_dict(self) -> dict[str, Any]:
        """Returns values for the page, sentences among them; None where there is no number."""
        verdict, evidence = self.comparison.verdict, self.evidence
        return {
            "score": evidence.label,
            "definition": evidence.definition["sentence"],
            "images": verdict.n_images,
            "answer": self.comparison.answer(),
            "doubts": self.comparison.doubts,
            "next": self.comparison.next_steps(),
            "dropped": self.dropped,
            "smallest": None if verdict.needed is None else _number(verdict.needed.detectable),
            "entries": [self._row(verdict, place) for place in range(len(verdict.entries))],
            "brackets": [list(each) for each in brackets(verdict)],
            "constant": _number(float(np.nanmean(evidence.constant))) if evidence.constant.size else None,
            "classes": [] if self.classes is None else [row.name for row in self.classes.rows if row.scored],
        }

    def _row(self, verdict: Verdict, place: int) -> dict[str, Any]:
        standing = verdict.entries[place]
        entry = self.evidence.entries[standing.index]
        best, worst = verdict.ranks[standing.index]
        shown = [] if self.classes is None else [row for row in self.classes.rows if row.scored]
        return {
            "index": standing.index,
            "name": standing.name,
            "key": entry.name,
            "mean": _number(standing.mean.value),
            "low": _number(standing.mean.low),
            "high": _number(standing.mean.high),
            "ranks": [best, worst],
            "may_be_best": standing.index in verdict.may_be_best,
            "seeds": standing.seeds,
            "planned": entry.planned,
            "failed": entry.failed,
            "collapsed": entry.collapsed,
            "classes": [
                _number(row.scores[standing.index].iou) if standing.index in row.scores else None for row in shown
            ],
        }


class Judge:
    """Judges one study, again only when a run has ended since. Safe with several threads.

    Args:
        study: its folder.
    """

    def __init__(self, study: StudyFolder) -> None:
        self.study = study
        self._lock = threading.Lock()
        self._known: dict[bool, tuple[tuple[str, ...], Judgement | Message]] = {}

    def progress(self) -> dict[str, Any]:
        """Returns how far the study is: a sentence, counts, and every run."""
        statuses = self.study.status()
        config = self.study.read_config()
        done = sum(each.state == "finished" for each in statuses)
        return {
            "name": self.study.path.name,
            "question": config.question,
            "told": _told(done, len(statuses)),
            "finished": done,
            "planned": len(statuses),
            "runs": [_run(each) for each in statuses],
        }

    def judgement(self, *, without_collapsed: bool = False) -> Judgement | Message:
        """Returns the verdict so far; a sentence where there is none yet.

        Args:
            without_collapsed: leave out trainings that predict one class only.
        """
        with self._lock:
            ended = tuple(f"{each.run.id} {each.collapsed}" for each in self.study.status() if each.state == "finished")
            known = self._known.get(without_collapsed)
            if known is None or known[0] != ended:
                known = (ended, self._judged(without_collapsed))
                self._known[without_collapsed] = known
            return known[1]

    def _judged(self, without_collapsed: bool) -> Judgement | Message:
        try:
            evidence = study_evidence(self.study, noted=False)
            evidence, dropped = _without_collapsed(evidence) if without_collapsed else (evidence, 0)
            if len(evidence.entries) < 2:
                return message("fewer than two approaches are left that did not collapse")
            many = len(evidence.class_map.scored_classes) > 1
            return Judgement(
                comparison=compare_evidence(evidence, study=self.study),
                classes=class_table(evidence) if many else None,
                dropped=dropped,
            )
        except SegbenchError as error:
            return join("", [quoted(str(error))])


def brackets(verdict: Verdict) -> list[tuple[int, int]]:
    """Returns (first, last) places in the order of the means between which no difference is shown; each as long as can
    be, and none that lies inside another.
    """
    order = [standing.index for standing in verdict.entries]
    found: list[tuple[int, int]] = []
    for first in range(len(order)):
        last = first
        while last + 1 < len(order) and not any(
            verdict.pair(order[place], order[last + 1]).significant for place in range(first, last + 1)
        ):
            last += 1
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return found


def confusion_of(judgement: Judgement, place: int) -> dict[str, Any]:
    """Returns what an entry takes each class for: shares, a row a true class, and the images of the largest cells."""
    table = judgement.classes
    if table is None or place not in table.confusion:
        return {"names": [], "shares": [], "images": []}
    names = judgement.evidence.class_map.names
    position = {sample.id: index for index, sample in enumerate(judgement.evidence.manifest.samples)}
    return {
        "names": list(names),
        "shares": [[_number(value) for value in row] for row in table.confusion[place].tolist()],
        "images": [
            {"true": true, "predicted": predicted, "ids": list(ids), "samples": [position[each] for each in ids]}
            for (true, predicted), ids in table.confused.get(place, {}).items()
        ],
    }


def _without_collapsed(evidence: Evidence) -> tuple[Evidence, int]:
    kept: list[Entry] = []
    dropped = 0
    for entry in evidence.entries:
        usable = [seed for seed, run in enumerate(entry.runs) if not run.is_collapsed]
        dropped += len(entry.runs) - len(usable)
        if not entry.runs:
            kept.append(entry)
        elif usable:
            kept.append(_with_seeds(entry, usable))
    return replace(evidence, entries=tuple(kept)), dropped


def _with_seeds(entry: Entry, seeds: Sequence[int]) -> Entry:
    masks = tuple(entry.masks[seed] for seed in seeds) if len(entry.masks) == len(entry.runs) else ()
    return replace(
        entry,
        runs=tuple(entry.runs[seed] for seed in seeds),
        seeds=tuple(entry.seeds[seed] for seed in seeds),
        values=entry.values[list(seeds)],
        masks=masks,
        collapsed=0,
    )


def _run(status: RunStatus) -> dict[str, Any]:
    return {
        "id": status.run.id,
        "entry": status.run.entry,
        "seed": status.run.config.seed,
        "state": status.state,
        "epoch": status.epoch,
        "epochs": status.epochs,
        "best": _number(status.best),
        "seconds_left": _number(status.seconds_left),
        "collapsed": status.collapsed,
        "failure": None if status.failure is None else status.failure.error,
        "alerts": [_alert(each) for each in status.alerts],
    }


def _alert(alert: Mapping[str, Any]) -> Any:
    return alert.get("sentence", alert["code"])


def _told(done: int, planned: int) -> Message:
    if done < planned:
        return plural("{done} of {n} run is finished", "{done} of {n} runs are finished", n=planned, done=done)
    return plural("{n} run, finished", "all {n} runs are finished", n=planned)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
