"""A cross-validation as one comparison: the out-of-fold scores of all images, one row a seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt

from segbench.compare.common_images import groups_of
from segbench.compare.entries import Gathered
from segbench.compare.evidence import Costs, Entry, Evidence, Masks
from segbench.compare.rankings import rank_entries
from segbench.errors import ConfigError, RunError
from segbench.locale import Message, listed, message
from segbench.metrics.definitions import Definition


@dataclass(frozen=True)
class FoldMasks:
    """Predicted masks of all images, each by the training that had its fold as test part."""

    parts: tuple[Masks, ...]

    def __contains__(self, image_id: str) -> bool:
        return any(image_id in part for part in self.parts)

    def read(self, image_id: str) -> npt.NDArray[np.uint8]:
        """Returns the mask of an image, labels uint8."""
        return next(part for part in self.parts if image_id in part).read(image_id)


def folds_of(found: Gathered) -> int | None:
    """Returns how many folds the study has that is compared; None: it is no cross-validation.

    Raises:
        ConfigError: something else is compared with a cross-validation.
    """
    counts = [study.read_config().folds for study in found.studies]
    if not any(counts):
        return None
    if len(counts) > 1 or found.folders or any(source.place != found.studies[0].path for source in found.sources):
        told = "a cross-validation is compared by itself: others were not scored by trainings on the same folds"
        raise ConfigError(told, key="PATH")
    return counts[0]


def of_fold(found: Gathered, fold: int) -> Gathered:
    """Returns what was gathered of one fold: the runs that have it as test part.

    Raises:
        RunError: fewer than two entries have a finished run of it.
    """
    sources = []
    for source in found.sources:
        kept = [place for place, of_run in enumerate(source.folds) if of_run == fold]
        if kept:
            runs = tuple(source.runs[place] for place in kept)
            sources.append(replace(source, runs=runs, folds=(fold,) * len(runs)))
    if len(sources) < 2:
        told = f"fold {fold} has finished runs of {listed([source.name for source in sources]) or 'no entry'}"
        raise RunError(f"{told}, and a verdict needs two entries or more; run the study on", run=found.studies[0].path)
    return Gathered(sources=sources, studies=found.studies, problems=found.problems)


def merge_folds(parts: Sequence[Evidence], found: Gathered) -> Evidence:
    """Returns the evidence of all folds as one.

    A seed counts for an entry where it was trained on every fold; what is left out is told in the problems.

    Args:
        parts: one a fold.
        found: what was gathered of all.
    Raises:
        RunError: fewer than two entries have a seed with all folds.
    """
    first = parts[0]
    names = list(dict.fromkeys(entry.name for part in parts for entry in part.entries))
    entries = []
    for name in names:
        members = [entry for part in parts for entry in part.entries if entry.name == name]
        entry, told = _merged(members, len(parts))
        found.problems += told
        if entry is None:
            found.unjudged.append(name)
        else:
            entries.append(entry)
    if len(entries) < 2:
        told_missing = "expected two entries or more with a seed that was trained on every fold"
        raise RunError(f"{told_missing}, got {len(entries)}; run the study on", run=found.studies[0].path)
    ids = tuple(image_id for part in parts for image_id in part.ids)
    found.notes.append(
        message(
            "cross-validation: each of the {n} images is scored by trainings on the other {others} of {folds} folds",
            n=len(ids),
            others=len(parts) - 1,
            folds=len(parts),
        )
    )
    return replace(
        first,
        entries=tuple(entries),
        ids=ids,
        groups=groups_of(ids, first.manifest.samples),
        folds=tuple(fold for fold, part in enumerate(parts) for _ in part.ids),
        definition=_over_all(_with_absent_rule(parts), sum(part.definition["n"] for part in parts), len(ids)),
        left_out=tuple(image_id for part in parts for image_id in part.left_out),
        constant=np.concatenate([part.constant for part in parts]),
        rankings=rank_entries([entry.values for entry in entries], higher_is_better=first.higher_is_better),
        notes=tuple(notes_of_folds([part.notes for part in parts])),
    )


def notes_of_folds(notes: Sequence[Sequence[Message]]) -> list[Message]:
    """Returns the notes of all folds, what several folds say with other numbers said once."""
    alike: dict[tuple[object, ...], dict[int, Message]] = {}
    for fold, each in enumerate(notes):
        for note in each:
            alike.setdefault((note.template, note.values.get("name")), {}).setdefault(fold, note)
    told = []
    for by_fold in alike.values():
        fold, note = next(iter(by_fold.items()))
        same = len(by_fold) == len(notes) and len(set(by_fold.values())) == 1
        more = len(by_fold) - 1
        values = {"note": note, "fold": fold + 1, "folds": len(notes)}
        if same:
            told.append(note)
        elif not more:
            told.append(message("{note} (fold {fold} of {folds})", **values))
        else:
            told.append(message("{note} (fold {fold} of {folds}; with other numbers in {n} more)", n=more, **values))
    return told


def _with_absent_rule(parts: Sequence[Evidence]) -> Mapping[str, Any]:
    """Returns the definition of the score in a fold whose images need its rule for absent classes, else any."""
    return next((part.definition for part in parts if part.definition["absent"]), parts[0].definition)


def _over_all(definition: Mapping[str, Any], images: int, valued: int) -> dict[str, Any]:
    """Returns the definition of a score as it is over the images of all folds."""
    low, high = definition["range"]
    own = {each.name: definition[each.name] for each in fields(Definition) if each.name in definition}
    own |= {"classes": tuple(definition["classes"]), "resolution": definition["resolution"] or ""}
    own |= {"lowest": -math.inf if low is None else low, "highest": math.inf if high is None else high}
    return Definition(**{**own, "n": images, "n_valued": valued}).to_dict()


def _merged(members: Sequence[Entry], folds: int) -> tuple[Entry | None, list[Message]]:
    """Returns an entry of all folds, and what is to be told about seeds that lack one; None: it has none with all.

    Its runs come fold by fold, so that the first S seeds are those of its rows.
    """
    first = members[0]
    complete = [seed for seed in first.seeds if len(members) == folds and all(seed in each.seeds for each in members)]
    lacking = sorted({seed for each in members for seed in each.seeds} - set(complete))
    told = []
    if lacking:
        told.append(
            message(
                "{name}: seed {seeds} was not trained on every fold and does not count",
                name=first.name,
                seeds=listed(list(map(str, lacking))),
            )
        )
    if not complete:
        return None, told
    places = [[each.seeds.index(seed) for seed in complete] for each in members]
    runs = [each.runs[place] for each, found in zip(members, places, strict=True) for place in found]
    failed = [bool(run.read_result().result.get("collapsed")) for run in runs]
    masks: tuple[Masks, ...] = ()
    if all(each.masks for each in members):
        masks = tuple(
            FoldMasks(tuple(each.masks[found[row]] for each, found in zip(members, places, strict=True)))
            for row in range(len(complete))
        )
    merged = replace(
        first,
        runs=tuple(runs),
        seeds=tuple(complete) * folds,
        values=np.concatenate([each.values[found] for each, found in zip(members, places, strict=True)], axis=1),
        masks=masks,
        costs=Costs(**{each.name: fmean(getattr(m.costs, each.name) for m in members) for each in fields(Costs)}),
        collapsed=sum(any(failed[row :: len(complete)]) for row in range(len(complete))),
    )
    return merged, told
