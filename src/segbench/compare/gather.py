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
    decide_absent,
    decide_score,
    decide_size,
    same_definition,
    same_test_part,
    tell_unequal_terms,
    times_are_comparable,
    unique_names,
)
from segbench.compare.constant import constant_counts, constant_masks, frequent_labels
from segbench.compare.entries import Gathered, Source, gather, result_value
from segbench.compare.evidence import Costs, Entry, Evidence, Masks
from segbench.compare.image_scores import (
    FloatArray,
    ImageScores,
    PartScores,
    best_epoch,
    check_score,
    needs_outlines,
    pick,
    read_part,
    scored_epoch,
)
from segbench.compare.mask_values import MaskMeaning
from segbench.compare.outside import OutsideMasks, read_outside
from segbench.compare.rankings import Ranking, Rule, rank_entries
from segbench.compare.registered import about_study
from segbench.compare.verify import ScoredRun, check_runs, refuse_copies
from segbench.config.study import AbsentRule
from segbench.data.files.resize import resize_mask
from segbench.data.manifest.manifest import Manifest
from segbench.data.sources.load import load_sample
from segbench.errors import ConfigError, DatasetError, RunError, shorten, suggest
from segbench.folders.mask_archive import MaskArchive
from segbench.folders.run import RunFolder
from segbench.folders.study import StudyFolder
from segbench.locale import Message, listed, message, quoted
from segbench.metrics.counts import Counts, count_masks
from segbench.metrics.definitions import OWN_SIZE, Definition, size_text
from segbench.metrics.families import SCORES
from segbench.metrics.scores import score_counts
from segbench.metrics.surface import SurfaceCollector, SurfaceSettings
from segbench.metrics.surface_scores import score_surfaces
from segbench.statistics.decide import decide
from segbench.statistics.factors import FactorView, factor_view
from segbench.statistics.verdict import MORE_IS_BETTER, Verdict
from segbench.train.callback import Callback
from segbench.types import ORIGINAL, Progress, Sample

_BOUNDARY = "boundary_iou_per_image"


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
    return load_found(
        gather(paths),
        score=score,
        resolution=resolution,
        masks=masks,
        margin=margin,
        absent=absent,
        verify=verify,
        noted=noted,
        progress=progress,
    )


def load_found(
    found: Gathered,
    *,
    score: str | None,
    resolution: Resolution,
    masks: MaskMeaning,
    margin: float | None,
    absent: AbsentRule | None,
    verify: bool,
    noted: bool,
    progress: Progress | None,
) -> Evidence:
    """Returns the evidence of what was gathered; see `load_evidence`."""
    notes = found.notes
    score = decide_score(score, found.studies)
    rule = decide_absent(absent, found.studies)
    _require_enough(found)
    manifest = same_test_part(found.runs, notes)
    outside, size = _outside_and_size(found, manifest, resolution, masks)
    tell_unequal_terms(found.runs, notes)
    steady = times_are_comparable(found.runs, found.studies, notes)
    if size is None:
        _evaluate_missing(found.runs, notes, progress)
    parts = [[read_part(run, scored_part(run, size), score) for run in source.runs] for source in found.sources]
    scored = [
        [
            ScoredRun(run=run, part=scored_part(run, size), scores=part.pick(score))
            for run, part in zip(source.runs, each, strict=True)
        ]
        for source, each in zip(found.sources, parts, strict=True)
    ]
    notes += check_runs([item for each in scored for item in each], manifest, size, verify=verify, progress=progress)
    for source, members in zip(found.sources, scored, strict=True):
        refuse_copies(source.name, members)
    foreign = [
        score_outside(each, manifest, manifest.split("test"), score, size, _surface_settings(found.runs), progress)
        for each in outside
    ]
    notes += [note for each in outside for note in each.notes]
    every = [(str(item.run.path), item.scores) for each in scored for item in each]
    every += [(str(masks.folder), item) for masks, item in zip(outside, foreign, strict=True)]
    names = _names(found, outside)
    times = [*map(len, scored), *(1 for _ in foreign)]
    of_run = [name for name, number in zip(names, times, strict=True) for _ in range(number)]
    definition = same_definition(every, notes)
    samples = manifest.split("test")
    common = common_images(every, samples, definition, of_run, rule)
    notes += common.notes
    groups = groups_of(common.ids, manifest.split("test"))
    _require_units(common.ids, groups, found)
    evidence = Evidence(
        entries=_entries(found, outside, names, common.values, size),
        ids=common.ids,
        groups=groups,
        score=common.definition.name,
        definition=common.definition.to_dict(),
        manifest=manifest,
        size=size,
        left_out=common.left_out,
        times_comparable=steady,
        constant=_constant(found, scored, manifest, score, size, rule, len(common.ids), notes),
        absent=rule,
        labels={key: name for study in reversed(found.studies) for key, name in study.read_config().labels.items()},
        margin=margin if margin is not None else _study_margin(found.studies),
    )
    rankings = _rank(evidence, every, of_run, definition, parts)
    about = about_study(found, evidence, scored, noted=noted)
    return replace(evidence, rankings=rankings, **about, notes=tuple(dict.fromkeys(notes)))


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


def _constant(
    found: Gathered,
    scored: Sequence[Sequence[ScoredRun]],
    manifest: Manifest,
    score: str,
    size: tuple[int, int] | None,
    rule: AbsentRule,
    images: int,
    notes: list[Message],
) -> FloatArray:
    """Returns (N,), N = `images`: the score of every image if the most frequent class were predicted everywhere."""
    samples, class_map, first = manifest.split("test"), manifest.class_map, scored[0][0]
    labels = frequent_labels(first.run, class_map, first.scores)
    if needs_outlines(score):
        masks = constant_masks(samples, labels, size)
        try:
            item = score_outside(masks, manifest, samples, score, size, _surface_settings(found.runs))
        except DatasetError as error:
            notes.append(
                message(
                    "what the most frequent class everywhere would reach is not known, since the data cannot be read: "
                    "{why}",
                    why=quoted(str(error)),
                )
            )
            return np.full(images, math.nan)
    else:
        item = pick(score, score_counts(constant_counts(first.scores, labels), class_map), None)
    return common_images([(str(first.run.path), item)], samples, item.definition, ["constant"], rule).values[0]


def judge_evidence(evidence: Evidence, *, baseline: str | None = None) -> Verdict:
    """Returns the verdict over the entries of the evidence.

    Args:
        evidence: what they reached.
        baseline: name of the entry that the others are measured against.
    Raises:
        ConfigError: there is no such entry.
    """
    names = [entry.name for entry in evidence.entries]
    if baseline is not None and baseline not in names:
        raise ConfigError(f"there is no entry {baseline!r}; {suggest(baseline, names)}", key="baseline")
    costs = MORE_IS_BETTER if evidence.times_comparable else ("parameters",)
    return decide(
        names,
        [entry.values for entry in evidence.entries],
        groups=evidence.groups,
        costs={cost: [getattr(entry.costs, cost) for entry in evidence.entries] for cost in costs},
        higher_is_better=evidence.higher_is_better,
        baseline=baseline,
        score=evidence.label,
        fixed=[not entry.runs for entry in evidence.entries],
        collapsed=[entry.collapsed for entry in evidence.entries],
        margin=evidence.margin,
        bounds=evidence.bounds,
        look=evidence.look,
    )


def judge_factors(evidence: Evidence) -> FactorView | None:
    """Returns what each factor of a study does; None where an entry has no factors."""
    if not all(entry.factors for entry in evidence.entries):
        return None
    return factor_view(
        [entry.values for entry in evidence.entries],
        [entry.factors for entry in evidence.entries],
        groups=evidence.groups,
        higher_is_better=evidence.higher_is_better,
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


def _rank(
    evidence: Evidence,
    every: Sequence[tuple[str, ImageScores]],
    of_run: Sequence[str],
    definition: Definition,
    parts: Sequence[Sequence[PartScores]],
) -> tuple[Ranking, ...]:
    """Returns how the entries are ranked by the score and by other rules, as far as these can be told.

    Args:
        evidence: with the values of the score.
        every, of_run: the scores of all runs with where they come from, and the name of the entry of each.
        definition: of the score.
        parts: all scores of the runs of the first entries; others are masks of other tools, without outlines.
    """
    samples = evidence.manifest.split("test")
    other: AbsentRule = "left_out" if evidence.absent == "perfect" else "perfect"
    others: dict[Rule, tuple[list[FloatArray], bool]] = {}
    no_truth = every[0][1].no_truth
    measure = SCORES[check_score(evidence.score)[0]].measure
    if no_truth.any() and not no_truth.all() and measure.perfect is not None:
        rows = common_images(every, samples, definition, of_run, other).values
        of_entry: dict[str, list[FloatArray]] = {}
        for row, name in zip(rows, of_run, strict=True):
            of_entry.setdefault(name, []).append(row)
        others["absent"] = [np.stack(each) for each in of_entry.values()], evidence.higher_is_better
    has_outlines = all(part.surfaces is not None for each in parts for part in each)
    if has_outlines and len(parts) == len(evidence.entries) and not evidence.score.startswith(_BOUNDARY):
        picked = [[(name, part.pick(_BOUNDARY)) for part in each] for name, each in zip(of_run, parts, strict=False)]
        flat = [pair for each in picked for pair in each]
        rows = common_images(flat, samples, flat[0][1].definition, [""] * len(flat), evidence.absent).values
        remaining = iter(rows)
        others["boundary"] = [np.stack([next(remaining) for _ in each]) for each in parts], True
    return rank_entries(
        [entry.values for entry in evidence.entries], higher_is_better=evidence.higher_is_better, others=others
    )


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


def score_outside(
    masks: Masks,
    manifest: Manifest,
    samples: Sequence[Sample],
    score: str,
    size: tuple[int, int] | None,
    settings: SurfaceSettings,
    progress: Progress | None = None,
) -> ImageScores:
    """Returns one score of every test image for masks that lie outside run folders, by the same rules as a run's.

    Args:
        masks: one a sample.
        manifest: of the data.
        samples: the test part.
        score: see `check_score`.
        size: (H, W) of the masks, which the truth is resized to; None: each image's own size.
        settings: of outlines, for their scores.
        progress: called an image.
    """
    class_map = manifest.class_map
    surfaces = SurfaceCollector(class_map, settings) if needs_outlines(score) else None
    tables, ignored = [], []
    for done, sample in enumerate(samples, start=1):
        _, target = load_sample(manifest, sample)
        target = target if size is None else resize_mask(target, size)
        mask = masks.read(sample.id)
        table, skipped = count_masks(
            mask, target, class_map.num_classes, ignore_index=class_map.ignore_index, task=class_map.task
        )
        tables.append(table)
        ignored.append(skipped)
        if surfaces is not None:
            surfaces.add(sample.id, mask, target)
        if progress is not None:
            progress("scoring masks", done, len(samples))
    counts = Counts(
        ids=tuple(sample.id for sample in samples),
        confusion=np.stack(tables),
        ignored=np.array(ignored, dtype=np.int64),
        task=class_map.task,
    )
    resolution = OWN_SIZE if size is None else size_text(size)
    outlines = None
    if surfaces is not None:
        outlines = score_surfaces(surfaces.values(), class_map, settings=settings, resolution=resolution)
    return pick(score, score_counts(counts, class_map, resolution=resolution), outlines)


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
