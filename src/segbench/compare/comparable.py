"""What runs must share to be compared, what may differ and is told, and names that tell entries apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from segbench.compare.entries import result_value
from segbench.compare.image_scores import ImageScores, check_score
from segbench.compare.mask_values import MaskMeaning
from segbench.compare.outside import OutsideMasks
from segbench.config.study import AbsentRule
from segbench.config.study_plan import PlannedRun, unequal_budgets
from segbench.data.manifest.manifest import Manifest
from segbench.errors import ConfigError, DatasetError, RunError, shorten
from segbench.folders.run import RunFolder
from segbench.folders.study import StudyFolder
from segbench.locale import Message, Number, join, listed, message
from segbench.metrics.definitions import Definition
from segbench.speech import argument
from segbench.types import ORIGINAL, Size

Resolution: TypeAlias = Literal["auto", "training", "original"]

# What two scores must share to be compared. Not the threshold: it belongs to the approach, and is told when it differs.
_SAME = ("formula", "level", "summary", "classes", "absent", "resolution", "ignore_index", "unit", "better")
# What a time depends on besides the approach: key of a run's environment -> what it is called.
# Speeds of one network that differ by more than this factor between runs were measured on a busy machine.
_STEADY = 1.5
_MACHINE = {
    "processor": message("the processor"),
    "gpu": message("the graphics card"),
    "device": message("the device"),
    "threads": message("threads"),
}


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How runs are to be compared, as somebody asked; see `segbench.compare.gather.load_evidence`."""

    score: str | None = None
    resolution: Resolution = "auto"
    masks: MaskMeaning = "auto"
    margin: float | None = None
    absent: AbsentRule | None = None
    verify: bool = False
    noted: bool = True


def decide_score(score: str | None, studies: Sequence[StudyFolder]) -> str:
    """Returns the score that was asked for; else the one of the studies; else IoU of each image.

    Raises:
        ConfigError: there is no such score, or two studies have different ones and none was asked for.
    """
    if score is not None:
        check_score(score)
        return score
    wanted = {study.read_config().score: study.path for study in studies}
    if len(wanted) > 1:
        told = shorten(f"{name} ({path})" for name, path in wanted.items())
        asked = argument("score")
        raise ConfigError(f"the studies are decided by different scores: {told}; name one with {asked}", key="score")
    return next(iter(wanted), "iou_per_image")


def decide_absent(absent: AbsentRule | None, studies: Sequence[StudyFolder]) -> AbsentRule:
    """Returns the rule for images without any of the score's classes: what was asked for, else that of the studies.

    Raises:
        ConfigError: two studies have different ones, and none was asked for.
    """
    if absent is not None:
        return absent
    wanted = {study.read_config().absent: study.path for study in studies}
    if len(wanted) > 1:
        told = shorten(f"{name} ({path})" for name, path in wanted.items())
        raise ConfigError(
            f"the studies count images without any of the classes differently: {told}; name one with "
            f"{argument('absent')}",
            key="absent",
        )
    return next(iter(wanted), "perfect")


def same_test_part(runs: Sequence[RunFolder], notes: list[Message]) -> Manifest:
    """Returns the manifest of the first run, after making sure that all were scored on the same test images.

    Raises:
        RunError: one was not: how its test part differs.
    """
    first = Manifest.read(runs[0].manifest_file)
    trained = result_value(runs[0], "manifest_hash")
    if first.content_hash != trained:
        raise RunError(
            f"manifest.json is not the one it was trained with: expected the SHA-256 {str(trained)[:12]} that its "
            f"result.json recorded, got {first.content_hash[:12]}. Images, masks or the split were changed afterwards; "
            "put the manifest.json of this training back, or train again",
            run=runs[0].path,
        )
    seen = {first.content_hash}
    for run in runs[1:]:
        if result_value(run, "manifest_hash") in seen:
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
        notes.append(
            message(
                "{run} was trained on another training or validation part; the test images are the same", run=run.path
            )
        )
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


def decide_size(
    resolution: Resolution, sizes: Sequence[Size], outside: Sequence[OutsideMasks]
) -> tuple[int, int] | None:
    """Returns the size (H, W) everything is compared at; None: every image's own.

    Raises:
        ConfigError: runs were scored at different sizes, and the training size is asked for.
        DatasetError: masks have the other kind of size.
    """
    own = [masks.folder for masks in outside if masks.size == "own"]
    trained = [masks.folder for masks in outside if masks.size == "training"]
    if resolution == "auto":
        resolution = "original" if len(sizes) > 1 or own or ORIGINAL in sizes else "training"
    if resolution == "original":
        if trained:
            told = "its masks have the training size, the others are compared at each image's own size"
            raise DatasetError(f"{told}; write them at the images' own size", path=trained[0])
        return None
    if len(sizes) > 1:
        shown = shorten(size if size == ORIGINAL else f"{size[0]}x{size[1]}" for size in sizes)
        told = f"runs were scored at different sizes ({shown}), and such numbers cannot be compared"
        raise ConfigError(f"{told}; take {argument('resolution', 'original')}", key=argument("resolution"))
    if own:
        told = f"its masks have the images' own sizes; take {argument('resolution', 'original')}"
        raise DatasetError(told, path=own[0])
    [size] = sizes
    return None if size == ORIGINAL else size


def same_definition(scored: Sequence[tuple[str, ImageScores]], notes: list[Message]) -> Definition:
    """Returns the one definition; what belongs to the approach (its threshold) may differ and is told.

    Raises:
        RunError: a score means something else in one place: what, and where.
    """
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
        notes.append(message("pixels were decided differently: {decisions}", decisions=join("; ", decisions)))
    return first.definition


def tell_unequal_terms(runs: Sequence[RunFolder], notes: list[Message]) -> None:
    """Notes budgets that differ between runs, and machines, on which times cannot be compared."""
    planned = [
        PlannedRun(id=str(run.path), entry=str(run.path), factors={}, seed=config.seed, config=config)
        for run in runs
        for config in [run.read_config()]
    ]
    for told in unequal_budgets(planned):
        # A study told its own part of it.
        notes[:] = [note for note in notes if not _same_budget(note, told)]
        notes.append(told)
    machines = [run.read_facts().get("environment", {}) for run in runs]
    for key, name in _MACHINE.items():
        found = sorted({str(machine[key]) for machine in machines if machine.get(key) is not None})
        if len(found) > 1:
            notes.append(
                message(
                    "{key} differs between runs: {values}; times cannot be compared", key=name, values=listed(found)
                )
            )


def _same_budget(note: Message, other: Message) -> bool:
    return note.template == other.template and note.values["key"] == other.values["key"]


def times_are_comparable(runs: Sequence[RunFolder], studies: Sequence[StudyFolder], notes: list[Message]) -> bool:
    """Notes why times tell nothing about approaches, and returns whether they tell something.

    They do not where runs trained side by side, nor where equal networks were timed very differently: one network at
    one size, with one `tta`, predicts at one speed, whatever it was trained with. A time then says more about what else
    the machine did than about an approach.
    """
    at_once = max((int(study.read_facts().get("workers") or 1) for study in studies), default=1)
    if at_once > 1:
        notes.append(
            message(
                "up to {n} runs trained side by side and slowed each other down, so times and speeds are shown and "
                "decide nothing; with one worker, runs train one after another",
                n=at_once,
            )
        )
        return False
    speeds: dict[tuple[object, ...], list[float]] = {}
    for run in runs:
        result, config = run.read_result().result, run.read_config()
        speed = result.get("images_per_s", {}).get("prediction")
        if speed:
            alike = (config.network.model_dump_json(), config.data.size, config.tta, result.get("parameters"))
            speeds.setdefault(alike, []).append(float(speed))
    factor = max((max(each) / min(each) for each in speeds.values()), default=1.0)
    if factor <= _STEADY:
        return True
    notes.append(
        message(
            "one network predicted up to {factor} times as fast in one run as in another: other work was done on the "
            "machine, so no approach is called the quickest",
            factor=Number(f"{factor:.1f}"),
        )
    )
    return False


def unique_names(names: Sequence[str], places: Sequence[Path]) -> list[str]:
    """Returns the names, equal ones with as much of their place behind them as tells them apart.

    Args:
        names: of the entries.
        places: one an entry: its study folder, the folder of its first run, or that of its masks.
    Raises:
        ConfigError: the places are the same, too.
    """
    parts = [place.resolve().parts for place in places]
    for tail in range(1, max(map(len, parts)) + 1):
        told = [
            f"{name} ({Path(*part[-tail:])})" if names.count(name) > 1 else name
            for name, part in zip(names, parts, strict=True)
        ]
        if len(set(told)) == len(told):
            return told
    twice = next(name for name in names if names.count(name) > 1)
    raise ConfigError(f"two entries of {places[names.index(twice)]} are called {twice!r}; rename one", key="vary")
