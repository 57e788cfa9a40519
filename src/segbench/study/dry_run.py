"""What a study will cost and can show, said before it is run: nothing is trained, nothing is written to its folder."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from segbench.compare.gather import study_evidence
from segbench.compare.image_scores import check_score
from segbench.config.run import RunConfig
from segbench.config.study import Plan, PlannedRun, StudyConfig, expand
from segbench.data.manifest.manifest import Manifest
from segbench.data.samples.decoded import decoded_bytes, zoom_wanted
from segbench.data.split.divide import tells_one_fold
from segbench.errors import SegbenchError
from segbench.folders.study import RunStatus, StudyFolder
from segbench.metrics.families import SCORES, label_of
from segbench.statistics.differences import compare_pairs
from segbench.statistics.folds import shared_training_factor
from segbench.statistics.margin import default_margin
from segbench.statistics.planning import images_needed, minimum_detectable_difference, resolvable_margin
from segbench.statistics.variance import VarianceParts
from segbench.study.engine import Engine, make_engine
from segbench.study.live import StudyCallback
from segbench.study.probe import Speed, cost_key, measure, run_seconds
from segbench.study.run import check_data, check_runs, check_test_part, default_workers
from segbench.terminal import format_seconds
from segbench.train.prepare import read_and_split

_ASSUMED_SDS = (0.05, 0.10, 0.15)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Time and room of the runs that are still to do.

    Attributes:
        seconds: until the last one is finished, `workers` at once; NaN where nothing could be measured.
        disk_mb: of their folders and of decoded samples.
        basis: where the numbers come from, sentences.
        problems: entries that would fail: name -> why.
    """

    seconds: float
    disk_mb: float
    basis: tuple[str, ...]
    problems: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Detectable:
    """What the study would show with probability 0.8.

    Attributes:
        case: what was assumed or measured.
        lead: smallest true lead of the best over another entry that makes a winner of the two.
        margin: smallest margin within which two equal entries would be shown to be equivalent.
        images: test images (groups) that the study's own margin takes with its seeds; None: it has none, or no number
            suffices.
    """

    case: str
    lead: float
    margin: float
    images: int | None


@dataclass(frozen=True, kw_only=True)
class DryRun:
    """What a study is, before it is run.

    Attributes:
        study, folder: its name, and where it will lie.
        statuses: every run with its state.
        workers, threads: runs at once, and CPU threads of each.
        lengths: how long a run is: epochs, steps or seconds of training; several where the study varies it.
        images: part -> number of images; in a cross-validation of its first fold.
        groups: groups in the test part that are sampled together; None where the data has none.
        folds: of a cross-validation; None: the study has one test part.
        tested: images, or groups where there are some, that entries are told apart by: the test part, or all folds'.
        seeds, entries: how many of each; the fewest seeds of an entry.
        score: the one that decides.
        practical: the study's margin; None: it has none.
        cost: see `Cost`.
        detectable: see `Detectable`.
        notes: what a person should know.
    """

    study: str
    folder: Path
    statuses: tuple[RunStatus, ...]
    workers: int
    threads: int
    lengths: tuple[str, ...]
    images: Mapping[str, int]
    groups: int | None
    folds: int | None
    tested: int
    seeds: int
    entries: int
    score: str
    practical: float | None
    cost: Cost
    detectable: tuple[Detectable, ...]
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        """Returns cost and power as sentences and a small table, for people."""
        todo = sum(status.state != "finished" for status in self.statuses)
        parts = ", ".join(f"{number} {part}" for part, number in self.images.items())
        where = "" if self.folds is None else f" (fold 1 of {self.folds}; every image is tested in one of them)"
        lines = [
            f"runs: {todo} of {len(self.statuses)} to do, {self.workers} at once, CPU threads each: {self.threads}",
            f"length of a run: {' or '.join(self.lengths)}",
            f"images: {parts}{where}" + ("" if self.groups is None else f"; the test images are {self.groups} groups"),
            f"time: about {format_seconds(self.cost.seconds)}; disk: about {self.cost.disk_mb:.0f} MB",
            *(f"  {sentence}" for sentence in self.cost.basis),
            *(f"problem: {entry} would fail: {why}" for entry, why in self.cost.problems.items()),
        ]
        if not self.detectable:
            return lines
        units = f"{self.tested} test {'images' if self.groups is None else 'groups'}"
        units += "" if self.folds is None else f" of {self.folds} folds"
        lines += [
            "",
            f"what {units} and {_count(self.seeds, 'seed', 'seeds')} show 4 times of 5, in {label_of(self.score)}:",
            "how far one must be ahead of another, and within which margin two equal ones are shown to be equivalent",
        ]
        lines += [
            f"  {row.case}: ahead by {row.lead:.4f}; equivalent within {row.margin:.4f}" for row in self.detectable
        ]
        if self.practical is not None:
            lines.append(f"the margin of {self.practical:g} takes, with so many seeds")
            unit = "images" if self.groups is None else "groups"
            lines += [
                f"  {row.case}: " + ("more seeds" if row.images is None else f"{row.images:,} {unit}".replace(",", " "))
                for row in self.detectable
            ]
        return lines


def dry_run(
    study: StudyConfig,
    *,
    engine: str | Engine = "local",
    address: str | None = None,
    workers: int | None = None,
    threads: int | None = None,
    watch: StudyCallback | None = None,
) -> DryRun:
    """Returns what a study will cost and can show. The data is read; steps of each kind of run are timed.

    Arguments and errors are those of `run_study`; a single entry that would fail is among the problems of `cost`.
    """
    plan = expand(study)
    folder = StudyFolder(study.study_folder)
    watch = watch or StudyCallback()
    engine = make_engine(engine, address) if isinstance(engine, str) else engine
    check_runs(folder, plan, study.score)
    try:
        machine = engine.machine()
        at_once = workers or default_workers(plan, machine)
        recorded = folder.read_facts()["threads"] if folder.is_study else None
        if threads is not None:
            folder.require_threads(threads, plan)
        threads = threads or recorded or max(1, machine.cores // at_once)
        manifest = read_and_split(plan.runs[0].config.data, watch, tell_notes=False)
        check_test_part(manifest, plan)
        check_data([], study.score, manifest.class_map)  # what is wrong with an entry is among the problems
        statuses = folder.status(plan)
        cost = _cost(plan, folder, statuses, manifest, at_once, threads, watch)
        groups = _test_groups(manifest)
        of_data = [note for note in manifest.notes if study.folds is None or not tells_one_fold(note)]
        notes = [*of_data, *plan.notes]
        detectable = _detectable(study, plan, statuses, _units(study, manifest), notes)
        return DryRun(
            study=study.study,
            folder=folder.path,
            statuses=statuses,
            workers=at_once,
            threads=threads,
            lengths=plan.lengths,
            images={part: len(manifest.split(part)) for part in ("train", "val", "test")},
            groups=groups,
            folds=study.folds,
            tested=_tested(study, manifest),
            seeds=_seeds(plan),
            entries=len(plan.entries),
            score=study.score,
            practical=_margin(study),
            cost=cost,
            detectable=detectable,
            notes=tuple(notes),
        )
    finally:
        watch.close()


def _cost(
    plan: Plan,
    folder: StudyFolder,
    statuses: Sequence[RunStatus],
    manifest: Manifest,
    workers: int,
    threads: int,
    watch: StudyCallback,
) -> Cost:
    measured = _finished_seconds(statuses)
    todo = [status for status in statuses if status.state != "finished"]
    unknown = [status.run for status in todo if math.isnan(status.seconds_left) and status.run.entry not in measured]
    speeds, problems = _measure(unknown, manifest, threads, watch)
    seconds, disk = [], []
    sizes = [_folder_mb(folder.run(item.run.id).path) for item in statuses if item.state == "finished"]
    for status in todo:
        run = status.run
        speed = speeds.get(run.entry)
        if run.entry in problems:
            continue
        if not math.isnan(status.seconds_left):
            seconds.append(status.seconds_left)
        elif run.entry in measured:
            seconds.append(measured[run.entry])
        elif speed is not None:
            seconds.append(run_seconds(run.config, manifest, speed))
        disk.append(speed.checkpoint_mb + speed.weights_mb if speed is not None else fmean(sizes) if sizes else 0.0)
    longest = max(seconds, default=0.0)
    total = max(longest, math.fsum(seconds) / max(1, min(workers, len(seconds))))
    return Cost(
        seconds=total if seconds or not todo else math.nan,
        disk_mb=math.fsum(disk) + _cache_mb(plan, manifest),
        basis=_basis(len(speeds), len(measured), workers),
        problems=problems,
    )


def _basis(probed: int, measured: int, workers: int) -> tuple[str, ...]:
    sentences = []
    if measured:
        sentences.append(f"seconds of finished runs stand for {_count(measured, 'entry', 'entries')}")
    if probed:
        sentences.append(
            f"timed on random images, alone on the machine: a few steps for {_count(probed, 'entry', 'entries')}"
        )
        sentences.append("starting a run, its pictures and its checkpoints are left out")
        if workers > 1:
            sentences.append("side by side runs slow each other down, which is left out")
    sentences.append("disk: checkpoints, weights and decoded samples; tables and pictures come on top")
    return tuple(sentences)


def _count(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"


def _finished_seconds(statuses: Sequence[RunStatus]) -> dict[str, float]:
    """Returns entry -> mean seconds of its finished runs."""
    seconds: dict[str, list[float]] = {}
    for status in statuses:
        if status.state == "finished" and status.epoch:
            seconds.setdefault(status.run.entry, []).append(status.seconds)
    return {entry: fmean(values) for entry, values in seconds.items()}


def _measure(
    runs: Sequence[PlannedRun], manifest: Manifest, threads: int, watch: StudyCallback
) -> tuple[dict[str, Speed], dict[str, str]]:
    """Returns entry -> speed, each kind of run timed once, and entry -> why it would fail."""
    if not runs:
        return {}, {}
    by_kind: dict[str, Speed | str] = {}
    speeds: dict[str, Speed] = {}
    problems: dict[str, str] = {}
    firsts: dict[str, RunConfig] = {}
    for run in runs:
        firsts.setdefault(run.entry, run.config)
    for done, (entry, config) in enumerate(firsts.items()):
        watch.progress("timing a few steps of every entry", done, len(firsts))
        key = cost_key(config)
        if key not in by_kind:
            try:
                by_kind[key] = measure(config, manifest, config.threads or threads)
            except SegbenchError as error:
                by_kind[key] = str(error)
        result = by_kind[key]
        if isinstance(result, str):
            problems[entry] = result
        else:
            speeds[entry] = result
    return speeds, problems


def _folder_mb(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


def _cache_mb(plan: Plan, manifest: Manifest) -> float:
    each = {
        (data.size, zoom_wanted(data.augment, data.size, manifest)): data
        for data in (run.config.data for run in plan.runs)
    }
    return sum(decoded_bytes(data, manifest) for data in each.values()) / 1e6


def _test_groups(manifest: Manifest) -> int | None:
    """Returns how many groups the test part has; None where no sample belongs to one."""
    test = manifest.split("test")
    if all(sample.group is None for sample in test):
        return None
    return len({sample.group or f"\0{sample.id}" for sample in test})


def _seeds(plan: Plan) -> int:
    """Returns the smallest number of seeds of an entry."""
    return min(len({run.seed for run in runs}) for runs in plan.entries.values())


def _tested(study: StudyConfig, manifest: Manifest) -> int:
    """Returns how many images (groups) are tested: those of the test part, or of all folds."""
    if study.folds is None:
        return _test_groups(manifest) or len(manifest.split("test"))
    return len({sample.group or f"\0{sample.id}" for sample in manifest.samples})


def _units(study: StudyConfig, manifest: Manifest) -> int:
    """Returns how many images (groups) entries are told apart by.

    In a cross-validation they are those of all folds, worth as many as the correction for shared training leaves.
    """
    units = _tested(study, manifest)
    if study.folds is None:
        return units
    return max(2, round(units / shared_training_factor([number % study.folds for number in range(units)])))


def _detectable(
    study: StudyConfig, plan: Plan, statuses: Sequence[RunStatus], units: int, notes: list[str]
) -> tuple[Detectable, ...]:
    """Returns the smallest detectable differences, from finished runs where two entries have some."""
    entries = len(plan.entries)
    if entries < 2:
        return ()
    seeds, margin = _seeds(plan), _margin(study)
    if seeds == 1:
        notes.append("with one seed an entry, differences speak of these trainings only, not of the networks")

    def row(case: str, parts: VarianceParts) -> Detectable:
        if seeds == 1 and not math.isnan(parts.seed_sd):  # what differs between trainings looks like images then
            parts = replace(parts, image_sd=math.hypot(parts.image_sd, parts.residual_sd), seed_sd=math.nan)
        return Detectable(
            case=case,
            lead=minimum_detectable_difference(parts, images=units, seeds=seeds, entries=entries),
            margin=resolvable_margin(parts, images=units, seeds=seeds, entries=entries),
            images=None if margin is None else images_needed(margin, parts, seeds=seeds, entries=entries, margin=True),
        )

    if len({status.run.entry for status in statuses if status.state == "finished"}) >= 2:
        try:
            measured = _measured_parts(study)
        except SegbenchError as error:
            notes.append(f"how much finished runs vary cannot be told ({error}), so it is assumed")
        else:
            rows = sorted((row("", parts) for parts in measured), key=lambda item: item.lead)
            middle = rows[(len(rows) - 1) // 2]
            return (replace(middle, case=f"as finished runs vary, the middle of {_count(len(rows), 'pair', 'pairs')}"),)
    return tuple(
        row(
            f"if differences of images have SD {sd:.2f}" + (" and seeds make none" if seeds > 1 else ""),
            VarianceParts(seed_sd=0.0, image_sd=sd, residual_sd=0.0),
        )
        for sd in _ASSUMED_SDS
    )


def _margin(study: StudyConfig) -> float | None:
    """Returns the difference that hardly matters: the study's, else that of a score between 0 and 1."""
    if study.practical is not None:
        return study.practical
    measure = SCORES[check_score(study.score)[0]].measure
    return default_margin((measure.lowest, measure.highest))


def _measured_parts(study: StudyConfig) -> list[VarianceParts]:
    """Returns how the differences of all pairs of entries with finished runs vary."""
    evidence = study_evidence(StudyFolder(study.study_folder), score=study.score, resolution="training", noted=False)
    pairs = compare_pairs([entry.values for entry in evidence.entries], groups=evidence.groups)
    return [pair.parts for pair in pairs]
