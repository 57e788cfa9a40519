"""A verdict on scores in a table, or on several studies with the same entries: what `compare --table` says."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from segbench.compare.comparable import unique_names
from segbench.compare.evidence import Evidence, FloatArray
from segbench.compare.gather import check_margin, study_evidence
from segbench.compare.table import ScoreSet, ScoreTable, read_scores
from segbench.compare.table_cells import is_share, is_small_good
from segbench.errors import ConfigError, DatasetError, shorten, suggest
from segbench.folders.study import StudyFolder
from segbench.locale import Message, listed, message, plural
from segbench.speech import argument
from segbench.statistics.arrays import compare_scores
from segbench.statistics.datasets import DatasetsView, compare_datasets
from segbench.statistics.margin import default_margin
from segbench.statistics.sentences import first_and_second
from segbench.statistics.verdict import Verdict
from segbench.types import Progress

_PERCENT = (0.0, 100.0)
_LEAST_PERCENT = 2.0  # of the highest score: 1.4 is a share that is wrong, rather than 1.4 %
_ROUNDING = 1e-6  # a perfect score in float32 may be 1.0000001


@dataclass(frozen=True, kw_only=True, eq=False)
class TableComparison:
    """Which entry of a table of scores is best, or that it cannot be said.

    Attributes:
        score: what the score is called.
        sets: the scores, one data set each, of the entries that are compared.
        verdicts: one a data set.
        across: over all data sets; None with one.
        doubts: what stands before a verdict: trainings whose scores say nothing.
        notes: what a reader must know about how the table was read.

    Example:
        >>> import segbench
        >>> comparison = segbench.compare_table("scores.csv")  # doctest: +SKIP
        >>> print(*comparison.sentences(), sep="\\n")  # doctest: +SKIP
    """

    score: str
    sets: tuple[ScoreSet, ...] = field(repr=False)
    verdicts: tuple[Verdict, ...]
    across: DatasetsView | None
    notes: tuple[Message, ...]
    doubts: tuple[Message, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The verdict on the first data set, or on the only one."""
        return self.verdicts[0]

    @property
    def higher_is_better(self) -> bool:
        """False for distances and errors."""
        return self.verdict.higher_is_better

    def answer(self) -> list[str]:
        """Returns the outcome, and how far the first is from the second; over data sets everything that is told."""
        if self.across is not None:
            return list(self.across.sentences())
        return [self.verdict.headline(), first_and_second(self.verdict)]

    def sentences(self) -> list[str]:
        """Returns what was found in plain words."""
        return [*self.doubts, *(self.verdict.sentences() if self.across is None else self.across.sentences())]

    def to_dict(self) -> dict[str, Any]:
        """Returns everything as plain values, for JSON."""
        plain: dict[str, Any] = {"score": self.score, "doubts": list(self.doubts), "notes": list(self.notes)}
        if self.across is not None:
            ids = {each.name: list(each.ids) for each in self.sets}
            return plain | {"ids": ids, "across": self.across.to_dict()}
        return plain | {"ids": list(self.sets[0].ids), "verdict": self.verdict.to_dict()}


def compare_table(
    table: str | Path | Sequence[str | Path],
    *,
    score: str | None = None,
    score_name: str | None = None,
    higher_is_better: bool | None = None,
    margin: float | None = None,
    baseline: str | None = None,
) -> TableComparison:
    """Says which entry of a table of scores is best, or that it cannot be said; nothing is trained or predicted.

    The columns are entry, image and score, and where there are: seed, group, dataset. docs/howto/judging.md shows what
    else is read: a column for every entry, a file for every entry, JSON, nnU-Net's summary.json.

    Args:
        table: a file, or one for every entry.
        score: the column that holds the scores; None: `score`, or the only one that can be it.
        score_name: what the score is called; None: as its column.
        higher_is_better: of the score; None: False for the names of distances and errors (`hd95`, `loss`), else True.
        margin: difference that does not matter in practice, in the unit of the score; None: 0.01 for shares of 1, and
            for those in percent 1.
        baseline: name of the entry that the others are measured against.
    Raises:
        ConfigError: no such column or baseline, or several columns that could be meant.
        DatasetError: a file that cannot be read, lacks a column, or has a row twice or a score that is no number; fewer
            than two entries, or two images.

    Example:
        >>> import segbench
        >>> print(segbench.compare_table("scores.csv").verdict.headline())  # doctest: +SKIP
    """
    paths = [table] if isinstance(table, str | Path) else list(table)
    found = read_scores(paths, score=score)
    if higher_is_better is None:
        higher_is_better = not is_small_good(found.score)
    bounds = bounds_of(found.score, [array for each in found.sets for array in each.values])
    return _judge(
        found,
        score_name or found.score,
        path=Path(paths[0]),
        higher_is_better=higher_is_better,
        margin=_margin(margin, bounds),
        bounds=bounds,
        baseline=baseline,
    )


def compare_studies(
    paths: Sequence[str | Path],
    *,
    score: str | None = None,
    margin: float | None = None,
    baseline: str | None = None,
    progress: Progress | None = None,
) -> TableComparison:
    """Says which entry is best over several studies on different data, or that it cannot be said.

    Entries are the same where their names (the values of their factors) are.

    Args:
        paths: study folders, one a data set.
        score: the per-image score that decides; None: that of the studies.
        margin: difference that does not matter in practice; None: 0.01 for shares of 1.
        baseline: name of the entry that the others are measured against.
        progress: called while runs are scored.
    Raises:
        ConfigError: studies that decide by different scores, or share fewer than two entries.
        RunError: see `compare_runs`.
    """
    folders = [StudyFolder(Path(path)) for path in paths]
    scores = {folder.read_config().score for folder in folders} if score is None else {score}
    if len(scores) > 1:
        raise ConfigError(f"the studies decide by {shorten(sorted(scores))}; choose one", key=argument("score"))
    evidence = [study_evidence(folder, score=next(iter(scores)), progress=progress) for folder in folders]
    names = unique_names([Path(each.manifest.root).name for each in evidence], [folder.path for folder in folders])
    sets = tuple(
        ScoreSet(
            name=name,
            entries=tuple(entry.name for entry in each.entries),
            seeds=tuple(tuple(map(str, entry.seeds)) for entry in each.entries),
            ids=each.ids,
            groups=each.groups,
            folds=None if each.folds is None else tuple(map(str, each.folds)),
            values=tuple(entry.values for entry in each.entries),
            collapsed=tuple(entry.collapsed for entry in each.entries),
        )
        for name, each in zip(names, evidence, strict=True)
    )
    notes = tuple(
        message("{dataset}: {note}", dataset=name, note=note)
        for name, each in zip(names, evidence, strict=True)
        for note in (*each.problems, *each.collapsed, *each.notes)
    )
    first = evidence[0]
    return _judge(
        ScoreTable(score=first.score, sets=sets, notes=notes),
        first.label,
        path=folders[0].path,
        higher_is_better=first.higher_is_better,
        margin=_margin(margin, None) or _common_margin(evidence),
        bounds=first.bounds,
        baseline=baseline,
    )


def are_studies_of_different_data(paths: Sequence[str | Path]) -> bool:
    """Tells whether all paths are folders of studies, several, and each was run on data of its own."""
    folders = [StudyFolder(Path(path)) for path in paths]
    if len(folders) < 2 or not all(folder.is_study for folder in folders):
        return False
    hashes = [folder.read_facts()["manifest_hash"] for folder in folders]
    return len(set(hashes)) == len(hashes)


def _common_margin(evidence: Sequence[Evidence]) -> float | None:
    """Returns the margin of all studies; None where they have none, or different ones."""
    wanted = {each.margin for each in evidence}
    return wanted.pop() if len(wanted) == 1 else None


def _margin(margin: float | None, bounds: tuple[float, float] | None) -> float | None:
    """Returns the margin; of a share in percent it is that of a share of 1, in percent."""
    if margin is not None and not 0 < margin < math.inf:
        raise ConfigError(f"expected a number above 0, such as 0.01, got {margin}", key=argument("margin"))
    check_margin(margin, bounds)
    share = default_margin((0.0, 1.0))
    return 100.0 * share if margin is None and bounds == _PERCENT and share is not None else margin


def _judge(table: ScoreTable, score: str, *, path: Path, **options: Any) -> TableComparison:
    """Returns the comparison; `options` are those of `compare_scores`."""
    sets, told = _same_entries(table.sets, path)
    found = [_with_collapsed(each, options["higher_is_better"]) for each in sets]
    sets, doubts = tuple(each for each, _ in found), tuple(doubt for _, doubts in found for doubt in doubts)
    notes = [*table.notes, *told]
    folds = max(len(set(each.folds or ())) for each in sets)
    if folds:
        notes.append(
            message(
                "cross-validation over {n} folds: the images' variance is corrected for the training images that they "
                "share",
                n=folds,
            )
        )
    names, baseline = sets[0].entries, options["baseline"]
    if baseline is not None and baseline not in names:
        told_names = f"there is no entry {baseline!r}; {suggest(baseline, names)}"
        raise ConfigError(told_names, key=argument("baseline"))
    try:
        if len(sets) == 1:
            verdict = _verdict(sets[0], {**options, "score": score})
            return TableComparison(
                score=score, sets=sets, verdicts=(verdict,), across=None, notes=tuple(notes), doubts=doubts
            )
        across = compare_datasets(
            {each.name: list(each.values) for each in sets},
            names=names,
            groups={each.name: each.groups for each in sets},
            folds={each.name: each.folds for each in sets},
            collapsed={each.name: each.collapsed for each in sets},
            score=score,
            **options,
        )
    except ValueError as error:
        raise DatasetError(str(error), path=path) from error
    return TableComparison(
        score=score, sets=sets, verdicts=across.verdicts, across=across, notes=tuple(notes), doubts=doubts
    )


def _with_collapsed(scores: ScoreSet, higher_is_better: bool) -> tuple[ScoreSet, list[Message]]:
    """Returns the set with the trainings that collapsed counted, as far as a table can tell, and a sentence an entry.

    Their score is one number on every image, and not the best one of all: 0 where no object was ever found.
    """
    if scores.collapsed is not None:
        return scores, []  # of studies, whose runs were looked at
    rows = [[row[~np.isnan(row)] for row in array] for array in scores.values]
    means = [float(row.mean()) for each in rows for row in each if len(row)]
    best = max(means) if higher_is_better else min(means)
    doubts, counts = [], []
    for name, seeds, each in zip(scores.entries, scores.seeds, rows, strict=True):
        same = [place for place, row in enumerate(each) if len(row) > 2 and np.ptp(row) == 0.0 and row[0] != best]
        counts.append(len(same))
        if same:
            which = [seeds[place] for place in same] if seeds else []
            doubts.append(_collapse_sentence(name, which, len(each), [float(each[place][0]) for place in same]))
    return (replace(scores, collapsed=tuple(counts)) if any(counts) else scores), doubts


def _collapse_sentence(name: str, seeds: Sequence[str], total: int, values: Sequence[float]) -> Message:
    shown = listed([f"{value:g}" for value in dict.fromkeys(values)])
    if not seeds:
        return message(
            "{name} has one score on every image ({values}): it predicts one class only, or its scores are wrong",
            name=name,
            values=shown,
        )
    return plural(
        "{count} of {n} training of {name} has one score on every image ({values}; seed {seeds}): it collapsed, that "
        "is, predicts one class only, or its scores are wrong",
        "{count} of {n} trainings of {name} have one score on every image ({values}; seed {seeds}): collapsed, that "
        "is, they predict one class only, or their scores are wrong",
        n=total,
        count=len(seeds),
        name=name,
        values=shown,
        seeds=listed(list(seeds)),
    )


def _verdict(scores: ScoreSet, options: Mapping[str, Any]) -> Verdict:
    """Returns the verdict on one data set; an entry without seeds among others with them is one that nobody trains."""
    some = any(scores.seeds)
    fixed = [some and not seeds for seeds in scores.seeds]
    return compare_scores(
        list(scores.values),
        names=scores.entries,
        groups=scores.groups,
        folds=scores.folds,
        collapsed=scores.collapsed,
        fixed=fixed if any(fixed) else None,
        **options,
    )


def _same_entries(sets: Sequence[ScoreSet], path: Path) -> tuple[tuple[ScoreSet, ...], list[Message]]:
    """Returns the sets with the entries that all have, and what was left out."""
    common = [name for name in sets[0].entries if all(name in each.entries for each in sets)]
    everywhere = list(dict.fromkeys(name for each in sets for name in each.entries))
    if len(common) < 2:
        where = " on every data set" if len(sets) > 1 else ""
        told = f"expected two entries or more{where}, got {shorten(common) or 'none'} of {shorten(everywhere)}"
        raise DatasetError(told, path=path)
    left = [name for name in everywhere if name not in common]
    notes = []
    if left:
        notes.append(message("{names} have no score on some of the data sets and are not compared", names=listed(left)))
    return tuple(_only(each, common) for each in sets), notes


def _only(scores: ScoreSet, entries: Sequence[str]) -> ScoreSet:
    places = [scores.entries.index(name) for name in entries]
    return ScoreSet(
        name=scores.name,
        entries=tuple(entries),
        seeds=tuple(scores.seeds[place] for place in places),
        ids=scores.ids,
        groups=scores.groups,
        folds=scores.folds,
        values=tuple(scores.values[place] for place in places),
        collapsed=None if scores.collapsed is None else tuple(scores.collapsed[place] for place in places),
    )


def bounds_of(score: str, values: Sequence[FloatArray]) -> tuple[float, float] | None:
    """Returns the range of a score by its name and its values: 0 to 1 for shares, 0 to 100 in percent; None: not known.

    Where the highest is between 1 and 2, it is neither: not known. A column that is called `score` alone is taken for a
    share where all of its values lie in 0 to 1.
    """
    low = min(float(np.nanmin(each)) for each in values)
    high = max(float(np.nanmax(each)) for each in values)
    if low < 0.0 or not (is_share(score) or score.lower() in ("score", "value")):
        return None
    if high <= 1.0 + _ROUNDING:
        return (0.0, 1.0)
    return _PERCENT if _LEAST_PERCENT < high <= 100.0 + _ROUNDING and is_share(score) else None
