"""Runs, studies and other tools' masks -> evidence, or a refusal that says why the numbers cannot be compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, TypeAlias

import numpy as np

from segbench.data.cache import resize_mask
from segbench.data.index import Manifest, load_sample
from segbench.errors import ConfigError, DatasetError, RunError, shorten, suggest
from segbench.mask_archive import MaskArchive
from segbench.metrics.counts import Counts, count_masks
from segbench.metrics.definitions import OWN_SIZE, Definition, size_text
from segbench.metrics.scores import score_counts
from segbench.metrics.surface import SurfaceCollector, SurfaceSettings
from segbench.metrics.surface_scores import score_surfaces
from segbench.report._sources import Source, gather
from segbench.report.evidence import Costs, Entry, Evidence, Masks
from segbench.report.factors import FactorView, factor_view
from segbench.report.image_scores import FloatArray, ImageScores, check_score, needs_outlines, pick, read_image_scores
from segbench.report.outside import OutsideMasks, read_outside
from segbench.report.verdict import MORE_IS_BETTER, Verdict, judge
from segbench.runs import RunFolder
from segbench.studies import StudyFolder
from segbench.types import Progress, Sample

Resolution: TypeAlias = Literal["auto", "training", "original"]

# What two scores must share to be compared. Not the threshold: it belongs to the approach, and is told when it differs.
_SAME = ("formula", "level", "summary", "classes", "absent", "resolution", "ignore_index", "unit", "better")


def study_evidence(
    folder: StudyFolder, *, score: str | None = None, resolution: Resolution = "auto", progress: Progress | None = None
) -> Evidence:
    """Returns what a study's finished runs show; runs that are missing are named in the notes.

    Args:
        folder: of the study.
        score: the per-image score that decides; None takes the study's.
        resolution: see `load_evidence`.
        progress: called while runs are scored at another size.
    Raises:
        RunError: no entry, or only one, has a finished run.
    """
    return load_evidence(
        [folder.path], score=score or folder.read_config().score, resolution=resolution, progress=progress
    )


def load_evidence(
    paths: Sequence[str | Path],
    *,
    score: str = "iou_per_image",
    resolution: Resolution = "auto",
    progress: Progress | None = None,
) -> Evidence:
    """Returns the evidence of run folders, study folders and folders of masks, all on one test part.

    Runs of one config that differ in the seed alone become one entry.

    Args:
        paths: one a run, study or folder of masks; the first run or study says which data it is about.
        score: the per-image score that decides, see `segbench.report.image_scores.check_score`.
        resolution: `training`: at the size the runs scored at; `original`: at each image's own size (runs that were not
            yet scored so are evaluated now); `auto`: the first, unless sizes differ or masks come at their own size.
        progress: called while runs are scored.
    Raises:
        ConfigError: an unknown score, or fewer than two entries.
        RunError: no run among the paths, an unfinished or damaged one, another test part, another definition.
        DatasetError: masks that are missing, of the wrong size or unreadable.
    """
    check_score(score)
    sources, folders, notes = gather(paths)
    runs = [run for source in sources for run in source.runs]
    if not runs:
        message = "expected a run or a study among them, which says what the test images are; got only folders of masks"
        raise RunError(message, run=paths[0] if paths else "")
    manifest = _same_test_part(runs, notes)
    samples = manifest.split("test")
    sizes = sorted({run.read_config().data.size for run in runs})
    one_size = sizes[0] if len(sizes) == 1 else None
    outside = [read_outside(folder, manifest, samples, one_size) for folder in folders]
    size = _decide_size(resolution, sizes, outside)
    part = "test" if size is not None else "test_original"
    if size is None:
        _evaluate_missing(runs, notes, progress)
    read = [[read_image_scores(run, part, score) for run in source.runs] for source in sources]
    settings = _surface_settings(runs)
    read += [[score_outside(masks, manifest, samples, score, size, settings, progress)] for masks in outside]
    places = [str(run.path) for run in runs] + [str(masks.folder) for masks in outside]
    scored = list(zip(places, (item for each in read for item in each), strict=True))
    definition = _same_definition(scored, notes)
    ids, left_out = _common_images(scored, samples, notes)
    values = [np.stack([_in_order(item, ids) for item in each]) for each in read]
    entries = [_entry(source, each, part) for source, each in zip(sources, values, strict=False)]
    entries += [_outside_entry(*pair) for pair in zip(outside, values[len(sources) :], strict=True)]
    if len(entries) < 2:
        raise ConfigError(f"a comparison needs two entries or more, got {shorten(e.name for e in entries)}", key="PATH")
    for masks in outside:
        notes += masks.notes
    return Evidence(
        entries=tuple(_with_unique_names(entries)),
        ids=ids,
        groups=_groups(ids, samples),
        score=definition.name,
        definition=definition.to_dict(),
        manifest=manifest,
        size=size,
        left_out=left_out,
        notes=tuple(dict.fromkeys(notes)),
    )


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
    return judge(
        names,
        [entry.values for entry in evidence.entries],
        groups=evidence.groups,
        costs={cost: [getattr(entry.costs, cost) for entry in evidence.entries] for cost in MORE_IS_BETTER},
        higher_is_better=evidence.higher_is_better,
        baseline=baseline,
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
    """Returns the name of the entry that a study calls its baseline; None where it names none, or has no run of it."""
    wanted = folder.read_config().baseline
    entry = None if wanted is None else folder.read_plan().entry_of(wanted)
    return entry if entry in [item.name for item in evidence.entries] else None


def _same_test_part(runs: Sequence[RunFolder], notes: list[str]) -> Manifest:
    """Returns the manifest of the first run, after making sure that all were scored on the same test images."""
    first = Manifest.read(runs[0].manifest_file)
    seen = {first.content_hash}
    for run in runs[1:]:
        if run.read_result().result["manifest_hash"] in seen:
            continue
        other = Manifest.read(run.manifest_file)
        why = _other_test_part(first, other)
        if why:
            raise RunError(
                f"was not scored on the same test images as {runs[0].path}: {why}. Such numbers cannot be compared; "
                "train it on the same split",
                run=run.path,
            )
        seen.add(other.content_hash)
        notes.append(f"{run.path} was trained on another training or validation part; the test images are the same")
    return first


def _other_test_part(first: Manifest, other: Manifest) -> str:
    """Returns how two test parts differ; empty: they do not."""
    ours, theirs = (
        {sample.id: (sample.image_hash, sample.mask_hash) for sample in manifest.split("test")}
        for manifest in (first, other)
    )
    if set(ours) != set(theirs):
        only = sorted(set(ours) ^ set(theirs))
        return f"{len(ours)} there, {len(theirs)} here, {len(only)} in one of them only ({shorten(only, 4)})"
    changed = sorted(name for name in ours if ours[name] != theirs[name])
    if changed:
        return f"{len(changed)} images or masks have another content ({shorten(changed, 4)})"
    if (first.class_map.names, first.class_map.values) != (other.class_map.names, other.class_map.values):
        return f"the classes are {shorten(first.class_map.names)} there and {shorten(other.class_map.names)} here"
    if first.class_map.ignore_values != other.class_map.ignore_values:
        return "another label is ignored"
    return ""


def _decide_size(
    resolution: Resolution, sizes: Sequence[tuple[int, int]], outside: Sequence[OutsideMasks]
) -> tuple[int, int] | None:
    """Returns the size (H, W) everything is compared at; None: every image's own."""
    own = [masks.folder for masks in outside if masks.at_own_size]
    trained = [masks.folder for masks in outside if not masks.at_own_size]
    if resolution == "auto":
        resolution = "original" if len(sizes) > 1 or own else "training"
    if resolution == "original":
        if trained:
            message = "its masks have the training size, the others are compared at each image's own size"
            raise DatasetError(f"{message}; write them at the images' own size", path=trained[0])
        return None
    if len(sizes) > 1:
        shown = shorten(f"{height}x{width}" for height, width in sizes)
        message = f"runs were scored at different sizes ({shown}), and such numbers cannot be compared"
        raise ConfigError(f"{message}; take --resolution original", key="--resolution")
    if own:
        message = "its masks have the images' own sizes; take --resolution original"
        raise DatasetError(message, path=own[0])
    return sizes[0]


def _evaluate_missing(runs: Sequence[RunFolder], notes: list[str], progress: Progress | None) -> None:
    """Scores the test part at each image's own size where that has not been done; counted in every run's test_log."""
    wanting = [run for run in runs if not _scored_at_own_size(run)]
    if not wanting:
        return
    from segbench.train.evaluate import evaluate  # needs torch
    from segbench.train.watcher import Watcher

    for done, run in enumerate(wanting):
        if progress is not None:
            progress("scoring runs at the images' own size", done, len(wanting))
        evaluate(run.path, "test", resolution="original", watch=Watcher())
    notes.append(f"{len(wanting)} runs were scored again, at each image's own size")


def _scored_at_own_size(run: RunFolder) -> bool:
    tables = (run.table_file("counts", "test_original"), run.predicted_file("test_original"))
    return all(file.is_file() for file in tables)


def _entry(source: Source, values: FloatArray, part: str) -> Entry:
    results = [run.read_result().result for run in source.runs]
    kept = [run.predicted_file(part) for run in source.runs]
    masks: tuple[Masks, ...] = tuple(MaskArchive(file) for file in kept) if all(f.is_file() for f in kept) else ()
    more = f" and {len(source.runs) - 1} more" if len(source.runs) > 1 else ""
    return Entry(
        name=source.name,
        factors=source.factors,
        runs=source.runs,
        seeds=tuple(int(result["seed"]) for result in results),
        values=values,
        masks=masks,
        costs=_costs(results),
        source=f"{source.runs[0].path}{more}",
    )


def _in_order(scored: ImageScores, ids: Sequence[str]) -> FloatArray:
    place = {image_id: index for index, image_id in enumerate(scored.ids)}
    return scored.values[[place[image_id] for image_id in ids]]


def _costs(results: Sequence[Mapping[str, Any]]) -> Costs:
    def mean(pick: Callable[[Mapping[str, Any]], float]) -> float:
        return fmean(float(pick(result)) for result in results)

    return Costs(
        training_s=mean(lambda result: result["seconds"]["epochs"]),
        images_per_s=mean(lambda result: result["images_per_s"]["prediction"]),
        parameters=mean(lambda result: result["parameters"]),
        flops=mean(lambda result: result["flops"]),
        peak_memory_mb=mean(lambda result: result["peak_memory_mb"]),
    )


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


def _outside_entry(masks: OutsideMasks, values: FloatArray) -> Entry:
    return Entry(
        name=masks.folder.resolve().name,
        factors={},
        runs=(),
        seeds=(),
        values=values,
        masks=(masks,),
        source=f"{len(masks.files)} masks in {masks.folder}",
    )


def _same_definition(scored: Sequence[tuple[str, ImageScores]], notes: list[str]) -> Definition:
    """Returns the one definition; what belongs to the approach (its threshold) may differ and is told."""
    where, first = scored[0]
    for place, item in scored[1:]:
        for key in _SAME:
            ours, theirs = getattr(first.definition, key), getattr(item.definition, key)
            if ours != theirs:
                raise RunError(
                    f"{first.definition.name} means something else here: {key} is {theirs!r}, in {where} {ours!r}; "
                    "such numbers cannot be compared. Score both with the same version and settings "
                    "(`segbench evaluate`)",
                    run=place,
                )
    decisions = sorted({item.definition.decision for _, item in scored})
    if len(decisions) > 1:
        notes.append(f"pixels were decided differently: {'; '.join(decisions)}")
    return first.definition


def _common_images(
    scored: Sequence[tuple[str, ImageScores]], samples: Sequence[Sample], notes: list[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the test images that have a value everywhere, and the others, which are told."""
    expected = {sample.id for sample in samples}
    for place, item in scored:
        if set(item.ids) != expected:
            message = "its counts are not of the test images of its manifest; score it again with `segbench evaluate`"
            raise RunError(message, run=place)
    without = {name for _, item in scored for name, value in zip(item.ids, item.values, strict=True) if np.isnan(value)}
    score = scored[0][1].definition.name
    if without == expected:
        raise RunError(f"no test image has a value of {score} in every run", run=scored[0][0])
    left_out = tuple(sorted(without))
    if left_out:
        told = f"have no value of {score} in at least one run and count nowhere here"
        notes.append(f"{len(left_out)} of {len(expected)} test images {told}: {shorten(left_out, 4)}")
    return tuple(sample.id for sample in samples if sample.id not in without), left_out


def _groups(ids: Sequence[str], samples: Iterable[Sample]) -> tuple[str, ...] | None:
    """Returns the group of every image; an image without one stands for itself; None where there are no groups."""
    group_of = {sample.id: sample.group for sample in samples}
    if all(group_of[image_id] is None for image_id in ids):
        return None
    groups = tuple(group_of[image_id] or f"image {image_id}" for image_id in ids)
    return groups if len(set(groups)) < len(groups) else None


def _with_unique_names(entries: Sequence[Entry]) -> Iterable[Entry]:
    times = Counter(entry.name for entry in entries)
    for entry in entries:
        where = entry.runs[0].path.parent.name if entry.runs else entry.source
        yield entry if times[entry.name] == 1 else replace(entry, name=f"{entry.name} ({where})")
