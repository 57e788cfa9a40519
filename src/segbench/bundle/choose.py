"""Which runs of a study become the model: the entry that wins, or the cheapest that is not worse."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from segbench.compare.runs import Comparison, compare_runs
from segbench.errors import RunError
from segbench.folders.entries import without_collapsed
from segbench.folders.study import StudyFolder
from segbench.locale import Message, message, plural
from segbench.statistics.verdict import Verdict
from segbench.types import Progress

# What a model that is applied costs comes first; of equals, the next.
_COSTS = ("images_per_s", "parameters", "training_s")


@dataclass(frozen=True)
class Choice:
    """The entry of a study that is bundled.

    Attributes:
        entry: its name.
        runs: its finished runs, one a seed, without those that collapsed.
        why: a sentence.
        notes: what a reader must know about it.
    """

    entry: str
    runs: tuple[Path, ...]
    why: Message
    notes: tuple[Message, ...]

    def to_dict(self) -> dict[str, object]:
        """Returns plain values for the card."""
        return {"entry": self.entry, "why": str(self.why), "notes": [str(note) for note in self.notes]}


def choose_best(study: str | Path, progress: Progress | None = None) -> Choice:
    """Returns the entry that wins a study's verdict; where nobody wins, the cheapest that is not worse than the best.

    Raises:
        RunError: no study, fewer than two entries with finished runs, or a cross-validation, whose runs hold back
            different images.
    """
    folder = StudyFolder(Path(study))
    if any(run.fold is not None for run in folder.read_plan().runs):
        told = "its runs are folds, which hold back different images; train the best entry on all training images, and"
        raise RunError(f"{told} bundle that run", run=folder.path)
    comparison = compare_runs(folder.path, progress=progress)
    place, why = _place(comparison.verdict)
    entry = comparison.evidence.entries[place]
    runs, left_out = without_collapsed(entry.runs, entry.name, folder.path)
    return Choice(entry.name, tuple(run.path for run in runs), why, _notes(comparison, left_out))


def _place(verdict: Verdict) -> tuple[int, Message]:
    first = verdict.winner if verdict.winner is not None else verdict.ahead
    if first is not None:
        return first, verdict.headline()
    best = verdict.names[verdict.best]
    for cost in _COSTS:
        place = verdict.cheapest.get(cost)
        if place is not None:
            return place, _cheapest(cost, verdict.names[place], best)
    return verdict.best, message(
        "nobody wins; {entry} has the best mean, and no cheaper entry is shown to be not worse", entry=best
    )


def _cheapest(cost: str, entry: str, best: str) -> Message:
    if cost == "images_per_s":
        return message(
            "nobody wins; {entry} predicts most images a second of those not worse than the best ({best})",
            entry=entry,
            best=best,
        )
    if cost == "parameters":
        return message(
            "nobody wins; {entry} has the fewest parameters of those not worse than the best ({best})",
            entry=entry,
            best=best,
        )
    return message(
        "nobody wins; {entry} trains quickest of those not worse than the best ({best})", entry=entry, best=best
    )


def _notes(comparison: Comparison, left_out: Message | None) -> tuple[Message, ...]:
    chosen = plural(
        "It was chosen among {n} entry by its scores on the test part, so these are a little too good for it.",
        "It was chosen among {n} entries by their scores on the test part, so these are a little too good for it.",
        n=len(comparison.verdict.names),
    )
    return (chosen,) if left_out is None else (chosen, left_out)
