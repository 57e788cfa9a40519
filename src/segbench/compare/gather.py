"""Runs, studies and other tools' masks -> evidence, or a refusal that says why the numbers cannot be compared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from segbench.compare.common_images import common_images, groups_of
from segbench.compare.comparable import (
    Resolution,
    Terms,
    decide_absent,
    decide_score,
    decide_size,
    same_definition,
    same_test_part,
    tell_unequal_terms,
    times_are_comparable,
    unique_names,
)
from segbench.compare.constant import constant_scores
from segbench.compare.entries import Gathered, Source, gather, result_value
from segbench.compare.evidence import Costs, Entry, Evidence, Masks
from segbench.compare.folds import folds_of, merge_folds, of_fold
from segbench.compare.image_scores import (
    FloatArray,
    ImageScores,
    best_epoch,
    read_part,
    scored_epoch,
)
from segbench.compare.mask_values import MaskMeaning
from segbench.compare.other_rules import rank_by_rules
from segbench.compare.outside import OutsideMasks, read_outside, score_outside
from segbench.compare.registered import about_study
from segbench.compare.verify import ScoredRun, check_runs, refuse_copies
from segbench.config.study import AbsentRule
from segbench.data.manifest.manifest import Manifest
from segbench.errors import ConfigError, DatasetError, RunError, shorten, suggest
from segbench.folders.mask_archive import MaskArchive
from segbench.folders.run import RunFolder
from segbench.folders.study import StudyFolder
from segbench.locale import Message, listed, message, quoted
from segbench.metrics.surface import SurfaceSettings
from segbench.speech import argument
from segbench.statistics.decide import decide
from segbench.statistics.factors import FactorView, factor_view
from segbench.statistics.verdict import MORE_IS_BETTER, Verdict
from segbench.train.callback import Callback
from segbench.types import ORIGINAL, Progress


def study_evidence(
    folder: StudyFolder,
    *,
    score: str | None = None,
    resolution: Resolution = "auto",
    noted: bool = True,
    progress: Progress | None = None,
) -> Evidence:
    """Returns what a study's finished runs show; runs that are missing are named in the problems.

    Args:
        folder: of the study.
        score: the per-image score that decides; None takes the study's.
        resolution, noted: see `load_evidence`.
        progress: called while runs are scored at another size.
    Raises:
        RunError: no entry, or only one, has a finished run.
    """
    return load_evidence([folder.path], score=score, resolution=resolution, noted=noted, progress=progress)


def load_evidence(
    paths: Sequence[str | Path],
    *,
    score: str | None = None,
    resolution: Resolution = "auto",
    masks: MaskMeaning = "auto",
    margin: float | None = None,
    absent: AbsentRule | None = None,
    verify: bool = False,
    noted: bool = True,
    progress: Progress | None = None,
) -> Evidence:
    """Returns the evidence of run folders, study folders and folders of masks, all on one test part.

    Runs of one config that differ in the seed alone become one entry.

    Args:
        paths: one a run, study or folder of masks; the first run or study says which data it is about.
        score: the per-image score that decides, see `segbench.compare.image_scores.check_score`; None takes the
            study's, and `iou_per_image` without a study.
        resolution: `training`: at the size the runs scored at; `original`: at each image's own size (runs that were not
            yet scored so are evaluated now); `auto`: the first, unless sizes differ or masks come at their own size.
        masks: what folders of masks hold, see `segbench.compare.outside.read_outside`.
        margin: the smallest difference that matters; None takes the study's `practical`.
        absent: how images count whose truth holds none of the score's classes, see `StudyConfig`; None takes the
            study's, and `perfect` without a study.
        verify: check the masks of all images against the counts, instead of a sample.
        noted: write into the study folder that it is judged now; False: for other ends than a verdict.
        progress: called while runs are scored.
    Raises:
        ConfigError: an unknown score, two studies with different ones, or fewer than two entries.
        RunError: no run among the paths, an unfinished or damaged one, one run twice or under two seeds, another test
            part, another definition, or files that do not belong together.
        DatasetError: masks that are missing, of the wrong size or unreadable, or that may mean two things.
    """
    terms = Terms(
        score=score, resolution=resolution, masks=masks, margin=margin, absent=absent, verify=verify, noted=noted
    )
    return load_found(gather(paths), terms, progress)


def load_found(found: Gathered, terms: Terms, progress: Progress | None = None) -> Evidence:
    """Returns the evidence of what was gathered; see `load_evidence`."""
    score = decide_score(terms.score, found.studies)
    rule = decide_absent(terms.absent, found.studies)
    folds = folds_of(found)
    if folds is None:
        evidence, scored = _load_part(found, terms, score, rule, progress)
    else:
        loaded = [_load_part(of_fold(found, fold), terms, score, rule, progress) for fold in range(folds)]
        evidence = merge_folds([part for part, _ in loaded], found)
        scored = [each for _, part in loaded for each in part]
    _require_units(evidence.ids, evidence.groups, found)
    tell_unequal_terms(found.runs, found.notes)
    steady = times_are_comparable(found.runs, found.studies, found.notes)
    about = about_study(found, evidence, scored, noted=terms.noted)
    notes = tuple(dict.fromkeys([*evidence.notes, *found.notes]))
    return replace(evidence, **about, times_comparable=steady, unjudged=tuple(found.unjudged), notes=notes)


def _load_part(
    found: Gathered, terms: Terms, score: str, rule: AbsentRule, progress: Progress | None
) -> tuple[Evidence, list[list[ScoredRun]]]:
    """Returns the evidence on one test part, without what its study says of it; and the runs of every entry."""
    notes = found.notes
    _require_enough(found)
    manifest = same_test_part(found.runs, notes)
    outside, size = _outside_and_size(found, manifest, terms.resolution, terms.masks)
    if size is None:
        _evaluate_missing(found.runs, notes, progress)
    scored = _read_runs(found, score, size)
    notes += check_runs(
        [item for each in scored for item in each], manifest, size, verify=terms.verify, progress=progress
    )
    for source, members in zip(found.sources, scored, strict=True):
        refuse_copies(source.name, members)
    every = [(str(item.run.path), item.scores) for each in scored for item in each]
    every += _score_outside(found, outside, manifest, score, size, progress)
    names = _names(found, outside)
    times = [*map(len, scored), *(1 for _ in outside)]
    of_run = [name for name, number in zip(names, times, strict=True) for _ in range(number)]
    definition = same_definition(every, notes)
    common = common_images(every, manifest.split("test"), definition, of_run, rule)
    notes += common.notes
    groups = groups_of(common.ids, manifest.split("test"))
    evidence = Evidence(
        entries=_entries(found, outside, names, common.values, size),
        ids=common.ids,
        groups=groups,
        score=common.definition.name,
        definition=common.definition.to_dict(),
        manifest=manifest,
        size=size,
        left_out=common.left_out,
        constant=_constant(found, scored[0][0], manifest, score, size, rule, notes, len(common.ids)),
        absent=rule,
        labels={key: name for study in reversed(found.studies) for key, name in study.read_config().labels.items()},
        margin=terms.margin if terms.margin is not None else _study_margin(found.studies),
    )
    rankings = rank_by_rules(evidence, every, of_run, definition, scored)
    return replace(evidence, rankings=rankings, notes=tuple(dict.fromkeys(notes))), scored


def _read_runs(found: Gathered, score: str, size: tuple[int, int] | None) -> list[list[ScoredRun]]:
    """Returns what is read of every run of every entry."""
    scored: list[list[ScoredRun]] = []
    for source in found.sources:
        scored.append([])
        for run in source.runs:
            part = scored_part(run, size)
            every = read_part(run, part, score)
            scored[-1].append(ScoredRun(run=run, part=part, every=every, scores=every.pick(score)))
    return scored


def _score_outside(
    found: Gathered,
    outside: Sequence[OutsideMasks],
    manifest: Manifest,
    score: str,
    size: tuple[int, int] | None,
    progress: Progress | None,
) -> list[tuple[str, ImageScores]]:
    """Returns where they come from, and the score of every image, of every folder of masks."""
    settings, samples = _surface_settings(found.runs), manifest.split("test")
    scored = []
    for masks in outside:
        scored.append((str(masks.folder), score_outside(masks, manifest, samples, score, size, settings, progress)))
        found.notes.extend(masks.notes)
    return scored


def _constant(
    found: Gathered,
    first: ScoredRun,
    manifest: Manifest,
    score: str,
    size: tuple[int, int] | None,
    rule: AbsentRule,
    notes: list[Message],
    images: int,
) -> FloatArray:
    """Returns (N,), N = `images`: see `Evidence.constant`."""
    try:
        item = constant_scores(first, manifest, score, size, _surface_settings(found.runs))
    except DatasetError as error:
        notes.append(
            message(
                "what the most frequent class everywhere would reach is not known, as the data cannot be read: {why}",
                why=quoted(str(error)),
            )
        )
        return np.full(images, math.nan)
    one = [(str(first.run.path), item)]
    return common_images(one, manifest.split("test"), item.definition, ["constant"], rule).values[0]


def _study_margin(studies: Sequence[StudyFolder]) -> float | None:
    """Returns the smallest difference that matters by the studies; None where they name none, or different ones."""
    wanted = {study.read_config().practical for study in studies}
    return wanted.pop() if len(wanted) == 1 else None


def _require_units(ids: Sequence[str], groups: Sequence[str] | None, found: Gathered) -> None:
    units = len(set(ids if groups is None else groups))
    if units < 2:
        what = "image that counts" if groups is None else "group (patient, scene)"
        raise RunError(
            f"the test part has a single {what}, and how entries differ on others cannot be told from one; expected "
            "two or more: divide the data otherwise (data.split) and train again",
            run=found.runs[0].path,
        )


def judge_evidence(evidence: Evidence, *, baseline: str | None = None) -> Verdict:
    """Returns the verdict over the entries of the evidence, by the names that people call them.

    Args:
        evidence: what they reached.
        baseline: name of the entry that the others are measured against.
    Raises:
        ConfigError: there is no such entry.
    """
    names = [entry.name for entry in evidence.entries]
    if baseline is not None and baseline not in names:
        raise ConfigError(f"there is no entry {baseline!r}; {suggest(baseline, names)}", key="baseline")
    check_margin(evidence.margin, evidence.bounds)
    costs = MORE_IS_BETTER if evidence.times_comparable else ("parameters",)
    return decide(
        evidence.names,
        [entry.values for entry in evidence.entries],
        groups=evidence.groups,
        folds=evidence.folds,
        costs={cost: [getattr(entry.costs, cost) for entry in evidence.entries] for cost in costs},
        higher_is_better=evidence.higher_is_better,
        baseline=None if baseline is None else evidence.names[names.index(baseline)],
        score=evidence.label,
        fixed=[not entry.runs for entry in evidence.entries],
        collapsed=[entry.collapsed for entry in evidence.entries],
        margin=evidence.margin,
        bounds=evidence.bounds,
        look=evidence.look,
        all_judged=not evidence.unjudged,
    )


def check_margin(margin: float | None, bounds: tuple[float, float] | None) -> None:
    """Refuses a margin as wide as the range of the score (a 2 that means 2 %): all entries would be equivalent.

    Raises:
        ConfigError: it is.
    """
    if margin is not None and bounds is not None and margin >= bounds[1] - bounds[0]:
        told = f"the score lies between {bounds[0]:g} and {bounds[1]:g}, so no difference exceeds {margin:g}"
        raise ConfigError(f"{told}; expected a smaller one, such as 0.01", key=argument("margin"))


def judge_factors(evidence: Evidence) -> FactorView | None:
    """Returns what each factor of a study does; None where an entry has no factors."""
    if not all(entry.factors for entry in evidence.entries):
        return None
    return factor_view(
        [entry.values for entry in evidence.entries],
        evidence.factors,
        groups=evidence.groups,
        folds=evidence.folds,
        collapsed=[entry.collapsed for entry in evidence.entries],
        higher_is_better=evidence.higher_is_better,
        alpha=None if evidence.look is None else evidence.look.alpha,
    )


def study_baseline(folder: StudyFolder, evidence: Evidence) -> str | None:
    """Returns the name of the entry that a study calls its baseline; None where it names none, or has no run of it.

    A baseline without a finished run is told in the notes of the evidence.
    """
    wanted = folder.read_config().baseline
    if wanted is None:
        return None
    plan = folder.read_plan()
    planned = plan.entries.get(plan.entry_of(wanted) or "", ())
    runs = {folder.run(run.id).path.resolve() for run in planned}
    return next((each.name for each in evidence.entries if any(run.path.resolve() in runs for run in each.runs)), None)


def _require_enough(found: Gathered) -> None:
    if not found.runs:
        told = "expected a run or a study among them, which says what the test images are; got only folders of masks"
        raise RunError(told, run=found.folders[0] if found.folders else "")
    names = [*(source.name for source in found.sources), *(folder.resolve().name for folder in found.folders)]
    if len(names) < 2:
        raise ConfigError(f"a comparison needs two entries or more, got {shorten(names)}", key="PATH")


def _outside_and_size(
    found: Gathered, manifest: Manifest, resolution: Resolution, masks: MaskMeaning
) -> tuple[list[OutsideMasks], tuple[int, int] | None]:
    """Returns the folders of masks, and the size (H, W) everything is compared at; None: each image's own."""
    sizes = sorted({run.read_config().data.size for run in found.runs}, key=str)
    one_size = sizes[0] if len(sizes) == 1 and sizes[0] != ORIGINAL else None
    outside = [read_outside(folder, manifest, manifest.split("test"), one_size, masks) for folder in found.folders]
    return outside, decide_size(resolution, sizes, outside)


def _entries(
    found: Gathered,
    outside: Sequence[OutsideMasks],
    names: Sequence[str],
    values: Sequence[FloatArray],
    size: tuple[int, int] | None,
) -> tuple[Entry, ...]:
    """Returns the entries; `values` are of their runs, one after the other."""
    rows, name_of = iter(values), iter(names)
    entries = [
        _entry(next(name_of), source, np.stack([next(rows) for _ in source.runs]), size, found.notes)
        for source in found.sources
    ]
    return *entries, *(_outside_entry(next(name_of), masks, next(rows)[None]) for masks in outside)


def scored_part(run: RunFolder, size: tuple[int, int] | None) -> str:
    """Returns what a run's scores at a size (None: each image's own) are called; some are trained at that size."""
    return "test" if size is not None or run.read_config().data.size == ORIGINAL else "test_original"


def _names(found: Gathered, outside: Sequence[OutsideMasks]) -> list[str]:
    names = [*(source.name for source in found.sources), *(each.folder.resolve().name for each in outside)]
    return unique_names(names, [*(source.place for source in found.sources), *(each.folder for each in outside)])


def _evaluate_missing(runs: Sequence[RunFolder], notes: list[Message], progress: Progress | None) -> None:
    """Scores the test part at each image's own size where that has not been done; counted in every run's test_log."""
    wanting = [run for run in runs if not _scored_at_own_size(run)]
    if not wanting:
        return
    from segbench.train.evaluate import evaluate  # needs torch

    for done, run in enumerate(wanting):
        if progress is not None:
            progress("scoring runs at the images' own size", done, len(wanting))
        evaluate(run.path, "test", resolution="original", watch=Callback())
    notes.append(message("{n} runs were scored again, at each image's own size", n=len(wanting)))


def _scored_at_own_size(run: RunFolder) -> bool:
    """Tells whether the best weights were scored at that size: not those of an epoch that was the best once."""
    if scored_part(run, None) == "test":
        return True
    tables = (run.table_file("counts", "test_original"), run.predicted_file("test_original"))
    if not all(file.is_file() for file in tables):
        return False
    return scored_epoch(run, "test_original") == best_epoch(run)


def _entry(name: str, source: Source, values: FloatArray, size: tuple[int, int] | None, notes: list[Message]) -> Entry:
    results = [run.read_result().result for run in source.runs]
    files = [run.predicted_file(scored_part(run, size)) for run in source.runs]
    lacking = [str(run.path) for run, file in zip(source.runs, files, strict=True) if not file.is_file()]
    masks: tuple[Masks, ...] = () if lacking else tuple(MaskArchive(file) for file in files)
    if lacking:
        notes.append(
            message(
                "there is no {file} in {runs}, so no masks of {name} are looked at; `segbench evaluate` writes it "
                "again",
                file=files[0].name,
                runs=listed(lacking, 4),
                name=name,
            )
        )
    more = f" and {len(source.runs) - 1} more" if len(source.runs) > 1 else ""
    return Entry(
        name=name,
        factors=source.factors,
        runs=source.runs,
        seeds=tuple(int(result_value(run, "seed")) for run in source.runs),
        values=values,
        masks=masks,
        costs=_costs(results),
        source=f"{source.runs[0].path}{more}",
        collapsed=sum(bool(result.get("collapsed")) for result in results),
        planned=source.planned,
        failed=source.failed,
    )


def _costs(results: Sequence[Mapping[str, Any]]) -> Costs:
    """Returns means over the runs; NaN where a run, of another version say, does not tell."""

    def mean(*keys: str) -> float:
        return fmean(_number_at(result, keys) for result in results)

    return Costs(
        training_s=mean("seconds", "epochs"),
        images_per_s=mean("images_per_s", "prediction"),
        parameters=mean("parameters"),
        flops=mean("flops"),
        peak_memory_mb=mean("peak_memory_mb"),
    )


def _number_at(result: Mapping[str, Any], keys: Sequence[str]) -> float:
    value: Any = result
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return float(value) if isinstance(value, int | float) else math.nan


def _surface_settings(runs: Sequence[RunFolder]) -> SurfaceSettings:
    wanted = runs[0].read_config().scores
    return SurfaceSettings(boundary_width_frac=wanted.boundary_width_frac, tolerance_px=wanted.tolerance_px)


def _outside_entry(name: str, masks: OutsideMasks, values: FloatArray) -> Entry:
    return Entry(
        name=name,
        factors={},
        runs=(),
        seeds=(),
        values=values,
        masks=(masks,),
        source=f"{len(masks.files)} masks in {masks.folder}",
    )
