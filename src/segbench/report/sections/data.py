"""Sections about what was compared and how: data, protocol, runs that are missing, machine and commands."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from segbench.config.text import LENGTH_KEYS, flatten
from segbench.data.split.divide import tells_one_fold
from segbench.folders.run import RunFolder
from segbench.locale import NO_VALUE, Message, grouped, join, listed, message, plural
from segbench.report.analysis import Analysis
from segbench.report.document import (
    Block,
    Cell,
    Code,
    Facts,
    Folded,
    Gallery,
    Heading,
    Section,
    Table,
    bullets,
    cells,
    text,
)
from segbench.report.labels import ENVIRONMENT, HEAD, PART, STATE, TASK
from segbench.report.pictures import Pictures
from segbench.report.summary import label_of_score, name_of
from segbench.report.svg import Sketch
from segbench.speech import in_shell
from segbench.types import SPLITS

_SAMPLES = 6
# What a reader asks first about a training; the rest stands in the study's file.
_PROTOCOL = (
    *("data.size", *LENGTH_KEYS, "early_stopping", "batch_size", "monitor", "threshold", "tta", "weights"),
    *("optimizer.name", "optimizer.lr", "schedule.name", "network.name", "loss"),
)
_NOT_SETTINGS = ("name", "output", "seed", "device", "threads", "data.cache_dir", "data.path")


def data_section(analysis: Analysis, sketch: Sketch, pictures: Pictures) -> Section:
    """Returns the data card: parts, classes, sizes, groups, sample pictures, and what the reader noted."""
    evidence, manifest = analysis.evidence, analysis.evidence.manifest
    facts = [(PART[part], _part(analysis, part)) for part in SPLITS]
    images = plural("{n:,} image", "{n:,} images", n=len(evidence.ids))
    if evidence.folds is None:
        facts.append((message("compared on"), message("{images} of the test part", images=images)))
    else:
        folds = len(set(evidence.folds))
        facts = [(join("", [part, message(", fold 1 of {folds}", folds=folds)]), what) for part, what in facts]
        facts.append((message("compared on"), message("{images}, each tested in one fold", images=images)))
    if evidence.left_out:
        facts.append((message("test images left out (no score)"), listed(evidence.left_out, 5)))
    facts.append((message("task"), TASK[evidence.class_map.task]))
    facts.append((message("image sizes, H×W px (images)"), _sizes(analysis)))
    at = f"{evidence.size[0]}×{evidence.size[1]}" if evidence.size else message("each image's own size")
    facts.append((message("compared at, H×W px"), at))
    facts.append((message("manifest (SHA-256)"), manifest.content_hash[:16]))
    blocks: list[Block] = [Facts(rows=tuple(facts)), *_classes(analysis)]
    samples = manifest.split("train") or evidence.samples
    step = max(1, len(samples) // _SAMPLES)
    tiles = tuple(pictures.sample(sample) for sample in samples[::step][:_SAMPLES])
    blocks += [
        Gallery(rows=(("", tiles),), caption=message("Images of the training part with their true masks.")),
        pictures.legend(with_errors=False),
    ]
    of_data = [note for note in manifest.notes if evidence.folds is None or not tells_one_fold(note)]
    notes = (*of_data, *evidence.notes)
    if notes:
        blocks += [Heading(text=message("Notes")), *bullets(notes)]
    return Section(key="data", title=message("Data"), blocks=tuple(blocks))


def _part(analysis: Analysis, part: Any) -> str:
    samples = analysis.evidence.manifest.split(part)
    told = plural("{n:,} image", "{n:,} images", n=len(samples))
    groups = {sample.group for sample in samples if sample.group is not None}
    return join(", ", [told, plural("{n:,} group", "{n:,} groups", n=len(groups))]) if groups else told


def _sizes(analysis: Analysis) -> str:
    sizes = Counter((sample.height, sample.width) for sample in analysis.evidence.manifest.samples)
    if len(sizes) <= 3:
        return ", ".join(f"{height}×{width} ({grouped(number)})" for (height, width), number in sizes.most_common())
    heights, widths = sorted(height for height, _ in sizes), sorted(width for _, width in sizes)
    return message(
        "{sizes} different ones, {low} to {high}",
        sizes=len(sizes),
        low=f"{heights[0]}×{widths[0]}",
        high=f"{heights[-1]}×{widths[-1]}",
    )


def _classes(analysis: Analysis) -> tuple[Block, ...]:
    """Returns the classes' shares of the counted pixels in every part, at the size that runs scored at."""
    run = next((entry.runs[0] for entry in analysis.evidence.entries if entry.runs), None)
    if run is None:
        return ()
    tables: Mapping[str, list[Mapping[str, Any]]] = run.read_result().result["per_class"]
    parts = [part for part in SPLITS if part in tables]
    pixels = {part: {row["class"]: int(row["pixels"]) for row in tables[part]} for part in parts}
    total = {part: sum(pixels[part].values()) for part in parts}
    scored = {analysis.evidence.class_map.names[index] for index in analysis.evidence.class_map.scored_classes}
    rows = []
    for name in analysis.evidence.class_map.names:
        shares = [pixels[part].get(name, 0) / total[part] if total[part] else math.nan for part in parts]
        is_scored = message("yes") if name in scored else message("no")
        rows.append(
            (Cell(text=name), Cell(text=is_scored), *(Cell(text=analysis.numbers.percent(s), sort=s) for s in shares))
        )
    head = (message("class"), message("scored"), *(PART[part] for part in parts))
    return (
        Table(
            head=head,
            rows=tuple(rows),
            words=2,
            caption=message("Share of the counted pixels that belong to each class."),
        ),
    )


def protocol_section(analysis: Analysis, sketch: Sketch, pictures: Pictures) -> Section:
    """Returns what all runs share, what differs, and how often the test part was scored."""
    settings = _settings(analysis)
    shared, different = [], []
    for key in dict.fromkeys(key for values in settings.values() for key in values):
        found = list(dict.fromkeys(_shown(values.get(key)) for values in settings.values()))
        if len(found) > 1:
            different.append((key, listed(found, 8)))
        elif key in _PROTOCOL and not (key in LENGTH_KEYS and found[0] == NO_VALUE):
            shared.append((key, found[0]))
    blocks: list[Block] = [*bullets(_promises(analysis))]
    if different:
        blocks += [Heading(text=message("What differs between the approaches")), Facts(rows=tuple(different))]
    shared = [(key, _monitor(analysis, value) if key == "monitor" else value) for key, value in shared]
    if shared:
        augment = _augment(analysis)
        blocks += [Heading(text=message("What all runs share")), Facts(rows=(*shared, *augment))]
    return Section(key="protocol", title=message("Protocol"), blocks=tuple(blocks))


def _settings(analysis: Analysis) -> dict[str, dict[str, Any]]:
    """Returns entry -> its settings, without what does not decide the result."""
    result = {}
    for entry in analysis.evidence.entries:
        if entry.runs:
            plain = entry.runs[0].read_config().to_dict()
            flat = flatten({**plain, "loss": loss_text(plain["loss"])})
            result[entry.name] = {key: value for key, value in flat.items() if key not in _NOT_SETTINGS}
    return result


def loss_text(loss: Mapping[str, Any]) -> str:
    """Returns a loss as people write it: `0.5 dice + 0.5 bce`."""
    terms = []
    for name, term in loss.items():
        options = {"weight": term} if isinstance(term, int | float) else dict(term)
        weight = options.pop("weight", 1)
        told = ", ".join(f"{key} {value}" for key, value in options.items())
        terms.append(f"{weight:g} {name}" + (f" ({told})" if told else ""))
    return " + ".join(terms)


def _shown(value: Any) -> str:
    if value is None:
        return NO_VALUE
    return "×".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _monitor(analysis: Analysis, name: str) -> str:
    """Returns what people call the score that chose the epochs, with its key."""
    label = label_of_score(analysis, name)
    return name if label == name else join("", [label, " (", name, ")"])


def _augment(analysis: Analysis) -> list[tuple[str, str]]:
    """Returns the augmentation where it is the same for all: what it changes, and nothing else."""
    configs = [entry.runs[0].read_config() for entry in analysis.evidence.entries if entry.runs]
    found = {config.data.augment for config in configs}
    if len(found) != 1:
        return []
    default = type(configs[0].data.augment)(hflip=0.0).model_dump()
    values = configs[0].data.augment.model_dump()
    told = [f"{key} {_shown(value)}" for key, value in values.items() if value != default[key]]
    return [("data.augment", ", ".join(told) or NO_VALUE)]


def _promises(analysis: Analysis) -> list[Message]:
    """Returns in sentences: the split, the seeds, and how often the test part was looked at."""
    evidence = analysis.evidence
    runs = [run for entry in evidence.entries for run in entry.runs]
    result = [
        message(
            "All approaches were scored on the same {images}, with one definition of the score.",
            images=plural("{n:,} image", "{n:,} images", n=len(evidence.ids)),
        )
    ]
    if runs:
        seeds = sorted({seed for entry in evidence.entries for seed in entry.seeds})
        told = listed([str(seed) for seed in seeds], 10)
        result.append(
            message("{runs}; seeds: {seeds}.", runs=plural("{n:,} run", "{n:,} runs", n=len(runs)), seeds=told)
        )
        times = Counter(times_test_scored(run) for run in runs)
        parts = [
            message(
                "{runs} scored it {times}",
                runs=plural("{n:,} run", "{n:,} runs", n=number),
                times=plural("{n:,} time", "{n:,} times", n=often),
            )
            for often, number in sorted(times.items())
        ]
        result.append(
            message("How often the test part was scored, by each run's log: {parts}.", parts=join("; ", parts))
        )
    outside = [name for name, entry in zip(evidence.names, evidence.entries, strict=True) if not entry.runs]
    if outside:
        result.append(
            message("Masks that another tool made, trained nobody here knows how: {names}.", names=listed(outside))
        )
    if analysis.plan is not None and analysis.plan.excluded:
        result.append(
            message(
                "The study leaves out {combinations} of its factors.",
                combinations=plural("{n:,} combination", "{n:,} combinations", n=analysis.plan.excluded),
            )
        )
    return result


def times_test_scored(run: RunFolder) -> int:
    """Returns how often the test part was scored with a run's weights, from its log."""
    log = run.path / "test_log.csv"
    if not log.is_file():
        return 0
    with log.open(newline="", encoding="utf-8") as stream:
        return max(0, sum(1 for row in csv.reader(stream) if row) - 1)


def missing_section(analysis: Analysis, sketch: Sketch, pictures: Pictures) -> Section | None:
    """Returns the runs of the study that failed or are not finished; None where all are."""
    if not analysis.unfinished:
        return None
    rows = []
    for status in analysis.unfinished:
        why = (
            ""
            if status.failure is None
            else message("{why} (tried {times}×)", why=status.failure.error, times=status.failure.attempts)
        )
        state = STATE[status.state]
        rows.append(cells(status.run.id, state, f"{status.epoch} / {status.epochs}", why))
    head = tuple(HEAD[key] for key in ("run", "state", "epochs", "why"))
    table = Table(head=head, rows=tuple(rows), words=4)
    note = text(
        plural(
            "{count} of {n} run are not finished. The numbers above rest on the others.",
            "{count} of {n} runs are not finished. The numbers above rest on the others.",
            n=len(analysis.statuses),
            count=len(rows),
        )
    )
    return Section(key="missing", title=message("Runs that are missing"), blocks=(*note, table))


def repeat_section(analysis: Analysis, sketch: Sketch, pictures: Pictures) -> Section:
    """Returns the machine and versions, and how to make everything again."""
    runs = [run for entry in analysis.evidence.entries for run in entry.runs]
    blocks: list[Block] = []
    if runs:
        found = [run.read_facts()["environment"] for run in runs]
        rows = []
        for key in ("processor", "device", "threads", "precision", "system", "python"):
            values = list(dict.fromkeys(str(each.get(key)) for each in found if each.get(key) is not None))
            if values:
                rows.append((ENVIRONMENT[key], listed(values)))
        for name in dict.fromkeys(name for each in found for name in each.get("packages", {})):
            values = list(dict.fromkeys(str(each["packages"].get(name)) for each in found))
            rows.append((name, listed(values)))
        blocks.append(Facts(rows=tuple(rows)))
    blocks.append(Heading(text=message("How to repeat it")))
    if analysis.folder is not None and analysis.study is not None:
        name = f"{analysis.study.study}.yaml"
        blocks += text(message("Save the study below as {file}, then:", file=name))
        again = in_shell(analysis.study.study_folder)
        blocks.append(Code(text=f"segbench study run {name}\nsegbench report {again} -o report.html"))
        yaml = analysis.folder.config_file.read_text(encoding="utf-8")
        blocks.append(Folded(title=name, blocks=(Code(text=yaml.rstrip()),)))
        return Section(key="repeat", title=message("Machine, and how to repeat it"), blocks=tuple(blocks))
    blocks += text(message("Each approach's config; `segbench train FILE` trains it again."))
    for place in analysis.order:
        for run in analysis.evidence.entries[place].runs[:1]:
            yaml = run.config_file.read_text(encoding="utf-8")
            blocks.append(Folded(title=name_of(analysis, place), blocks=(Code(text=yaml.rstrip()),)))
    return Section(key="repeat", title=message("Machine, and how to repeat it"), blocks=tuple(blocks))
