"""Sections about what was compared and how: data, protocol, runs that are missing, machine and commands."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from segbench.config.text import flatten
from segbench.folders.run import RunFolder
from segbench.locale.translate import translate
from segbench.locale.words import NO_VALUE, Words
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
from segbench.report.pictures import Pictures
from segbench.report.summary import name_of
from segbench.report.svg import Sketch
from segbench.types import SPLITS

_SAMPLES = 6
# What a reader asks first about a training; the rest stands in the study's file.
_PROTOCOL = (
    *("data.size", "epochs", "early_stopping", "batch_size", "monitor", "threshold", "weights", "optimizer.name"),
    *("optimizer.lr", "schedule.name", "network.name", "loss"),
)
_NOT_SETTINGS = ("name", "output", "seed", "device", "threads", "data.cache_dir", "data.path")


def data_section(analysis: Analysis, words: Words, sketch: Sketch, pictures: Pictures) -> Section:
    """Returns the data card: parts, classes, sizes, groups, sample pictures, and what the reader noted."""
    evidence, manifest = analysis.evidence, analysis.evidence.manifest
    facts = [(words(f"part.{part}"), _part(analysis, part, words)) for part in SPLITS]
    facts.append((words("data.compared"), words("data.compared_on", images=words.count("image", len(evidence.ids)))))
    if evidence.left_out:
        facts.append((words("data.left_out"), words.join(evidence.left_out, 5)))
    facts.append((words("data.task"), words(f"task.{evidence.class_map.task}")))
    facts.append((words("data.sizes"), _sizes(analysis, words)))
    at = f"{evidence.size[0]}×{evidence.size[1]}" if evidence.size else words("data.own_size")
    facts.append((words("data.scored_at"), at))
    facts.append((words("data.hash"), manifest.content_hash[:16]))
    blocks: list[Block] = [Facts(rows=tuple(facts)), *_classes(analysis, words)]
    samples = manifest.split("train") or evidence.samples
    step = max(1, len(samples) // _SAMPLES)
    tiles = tuple(pictures.sample(sample) for sample in samples[::step][:_SAMPLES])
    blocks += [Gallery(rows=(("", tiles),), caption=words("data.samples")), pictures.legend(with_errors=False)]
    notes = [translate(note, words) for note in (*manifest.notes, *evidence.notes)]
    if notes:
        blocks += [Heading(text=words("data.notes")), *bullets(notes)]
    return Section(key="data", title=words("section.data"), blocks=tuple(blocks))


def _part(analysis: Analysis, part: Any, words: Words) -> str:
    samples = analysis.evidence.manifest.split(part)
    told = words.count("image", len(samples))
    groups = {sample.group for sample in samples if sample.group is not None}
    return f"{told}, {words.count('group', len(groups))}" if groups else told


def _sizes(analysis: Analysis, words: Words) -> str:
    sizes = Counter((sample.height, sample.width) for sample in analysis.evidence.manifest.samples)
    if len(sizes) <= 3:
        return ", ".join(f"{height}×{width} ({number:,})" for (height, width), number in sizes.most_common())
    heights, widths = sorted(height for height, _ in sizes), sorted(width for _, width in sizes)
    return words(
        "data.size_range", sizes=len(sizes), low=f"{heights[0]}×{widths[0]}", high=f"{heights[-1]}×{widths[-1]}"
    )


def _classes(analysis: Analysis, words: Words) -> tuple[Block, ...]:
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
        is_scored = words("yes") if name in scored else words("no")
        rows.append((Cell(text=name), Cell(text=is_scored), *(Cell(text=words.percent(s), sort=s) for s in shares)))
    head = (words("head.class"), words("head.scored"), *(words(f"part.{part}") for part in parts))
    return (Table(head=head, rows=tuple(rows), words=2, caption=words("data.class_caption")),)


def protocol_section(analysis: Analysis, words: Words, sketch: Sketch, pictures: Pictures) -> Section:
    """Returns what all runs share, what differs, and how often the test part was scored."""
    settings = _settings(analysis)
    shared, different = [], []
    for key in dict.fromkeys(key for values in settings.values() for key in values):
        found = list(dict.fromkeys(_shown(values.get(key)) for values in settings.values()))
        if len(found) > 1:
            different.append((key, words.join(found, 8)))
        elif key in _PROTOCOL:
            shared.append((key, found[0]))
    blocks: list[Block] = [*bullets(_promises(analysis, words))]
    if different:
        blocks += [Heading(text=words("protocol.different")), Facts(rows=tuple(different))]
    if shared:
        augment = _augment(analysis)
        blocks += [Heading(text=words("protocol.shared")), Facts(rows=(*shared, *augment))]
    return Section(key="protocol", title=words("section.protocol"), blocks=tuple(blocks))


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


def _promises(analysis: Analysis, words: Words) -> list[str]:
    """Returns in sentences: the split, the seeds, and how often the test part was looked at."""
    evidence = analysis.evidence
    runs = [run for entry in evidence.entries for run in entry.runs]
    result = [words("protocol.same_images", images=words.count("image", len(evidence.ids)))]
    if runs:
        seeds = sorted({seed for entry in evidence.entries for seed in entry.seeds})
        told = words.join([str(seed) for seed in seeds], 10)
        result.append(words("protocol.seeds", runs=words.count("run", len(runs)), seeds=told))
        times = Counter(times_test_scored(run) for run in runs)
        parts = [
            words("protocol.scored", runs=words.count("run", number), times=words.count("time", often))
            for often, number in sorted(times.items())
        ]
        result.append(words("protocol.test_log", parts="; ".join(parts)))
    outside = [entry.name for entry in evidence.entries if not entry.runs]
    if outside:
        result.append(words("protocol.outside", names=words.join(outside)))
    if analysis.plan is not None and analysis.plan.excluded:
        result.append(words("protocol.excluded", combinations=words.count("combination", analysis.plan.excluded)))
    return result


def times_test_scored(run: RunFolder) -> int:
    """Returns how often the test part was scored with a run's weights, from its log."""
    log = run.path / "test_log.csv"
    if not log.is_file():
        return 0
    with log.open(newline="", encoding="utf-8") as stream:
        return max(0, sum(1 for row in csv.reader(stream) if row) - 1)


def missing_section(analysis: Analysis, words: Words, sketch: Sketch, pictures: Pictures) -> Section | None:
    """Returns the runs of the study that failed or are not finished; None where all are."""
    if not analysis.unfinished:
        return None
    rows = []
    for status in analysis.unfinished:
        why = (
            ""
            if status.failure is None
            else words("missing.why", why=status.failure.error, times=status.failure.attempts)
        )
        state = words(f"state.{status.state}")
        rows.append(cells(status.run.id, state, f"{status.epoch} / {status.epochs}", why))
    head = tuple(words(f"head.{key}") for key in ("run", "state", "epochs", "why"))
    table = Table(head=head, rows=tuple(rows), words=4)
    total = words.count("run_of", len(analysis.statuses))
    note = text(words("missing.note", count=len(rows), total=total))
    return Section(key="missing", title=words("section.missing"), blocks=(*note, table))


def repeat_section(analysis: Analysis, words: Words, sketch: Sketch, pictures: Pictures) -> Section:
    """Returns the machine and versions, and how to make everything again."""
    runs = [run for entry in analysis.evidence.entries for run in entry.runs]
    blocks: list[Block] = []
    if runs:
        found = [run.read_facts()["environment"] for run in runs]
        rows = []
        for key in ("processor", "device", "threads", "precision", "system", "python"):
            values = list(dict.fromkeys(str(each.get(key)) for each in found if each.get(key) is not None))
            if values:
                rows.append((words(f"environment.{key}"), words.join(values)))
        for name in dict.fromkeys(name for each in found for name in each.get("packages", {})):
            values = list(dict.fromkeys(str(each["packages"].get(name)) for each in found))
            rows.append((name, words.join(values)))
        blocks.append(Facts(rows=tuple(rows)))
    blocks.append(Heading(text=words("repeat.how")))
    if analysis.folder is not None and analysis.study is not None:
        name = f"{analysis.study.study}.yaml"
        blocks += text(words("repeat.study", file=name))
        blocks.append(
            Code(text=f"segbench study run {name}\nsegbench report {analysis.study.study_folder} -o report.html")
        )
        yaml = analysis.folder.config_file.read_text(encoding="utf-8")
        blocks.append(Folded(title=name, blocks=(Code(text=yaml.rstrip()),)))
        return Section(key="repeat", title=words("section.repeat"), blocks=tuple(blocks))
    blocks += text(words("repeat.runs"))
    for place in analysis.order:
        for run in analysis.evidence.entries[place].runs[:1]:
            yaml = run.config_file.read_text(encoding="utf-8")
            blocks.append(Folded(title=name_of(analysis, place), blocks=(Code(text=yaml.rstrip()),)))
    return Section(key="repeat", title=words("section.repeat"), blocks=tuple(blocks))
