"""Situations that people had with their labelled folders, and what has to happen: read right, asked, or refused.

A case is a small input with the right answer. `check` follows it as a person would: what `detect` says, and where that
asks something, what is read after the question was answered in the way it proposes.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segbench.data.formats.detect import detect
from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_dataset
from segbench.data.sources.load import load_sample
from segbench.errors import ConfigError, DatasetError
from segbench.speech import speaking
from segbench.types import IGNORE_INDEX

Pixels = Mapping[str, Mapping[str, int]]  # sample -> class -> pixels; "ignored" counts what counts nowhere


@dataclass(frozen=True, kw_only=True)
class Reads:
    """The folder is read.

    Attributes:
        classes: names in order; None where they do not matter.
        pixels: sample id -> class -> pixels, of the samples and classes that are told.
        samples: how many there are.
        told: parts of what a person is told about it (reason, guesses, notes), each has to occur.
        groups, splits: id -> group, official part.
    """

    samples: int
    classes: tuple[str, ...] | None = None
    pixels: Pixels = field(default_factory=dict)
    told: tuple[str, ...] = ()
    groups: Mapping[str, str] = field(default_factory=dict)
    splits: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Asks:
    """Nothing is chosen: the question, or the refusal, says these parts.

    Attributes:
        says: parts of the text, each has to occur.
        silent: words that must not occur.
        answer: options, and `format`, that the text proposes; () where there is nothing to choose.
        then: what is read with the answer.
    """

    says: tuple[str, ...]
    silent: tuple[str, ...] = ()
    answer: Mapping[str, Any] = field(default_factory=dict)
    then: Reads | None = None


@dataclass(frozen=True, kw_only=True)
class Case:
    """A situation.

    Attributes:
        name: short, unique among all cases.
        source: public report (repository and number), a layout's owner, or "own".
        situation: one line.
        build: writes the input into an empty folder.
        expect: what has to happen.
        options: that the user gives, and `format`.
    """

    name: str
    source: str
    situation: str
    build: Callable[[Path], object]
    expect: Reads | Asks
    options: Mapping[str, Any] = field(default_factory=dict)


def reported(name: str) -> Callable[[Path], object]:
    """Returns what copies one of the inputs that stand beside this file."""
    return lambda root: shutil.copytree(Path(__file__).parent / "inputs" / name, root, dirs_exist_ok=True)


def check(case: Case, root: Path) -> None:
    """Raises AssertionError, with what happened, where the case ends in another way."""
    wrong = failures(case, root)
    assert not wrong, f"{case.name} ({case.situation}): " + "; ".join(wrong)


def failures(case: Case, root: Path) -> list[str]:
    """Returns in what the case ends otherwise than it has to; a traceback of the program is one, too."""
    case.build(root)
    manifest, text = look(root, case.options)
    expect = case.expect
    if isinstance(expect, Reads):
        return [f"not read: {text}"] if manifest is None else _compare(manifest, text, expect)
    if manifest is not None:
        return [f"read without a question: {manifest.class_map.names}, {len(manifest)} samples"]
    wrong = [f"{part!r} is not in: {text}" for part in expect.says if part not in text]
    wrong += [f"{part!r} is in: {text}" for part in expect.silent if part in text]
    if expect.then is not None:
        answered, after = look(root, {**case.options, **expect.answer})
        wrong += (
            [f"not read with the answer {dict(expect.answer)}: {after}"]
            if answered is None
            else _compare(answered, after, expect.then)
        )
        wrong += [f"the answer {key} is not proposed: {text}" for key in expect.answer if key not in text]
    return wrong


def told(case: Case, root: Path) -> str:
    """Returns what a person is told about the case's input."""
    case.build(root)
    return look(root, case.options)[1]


def look(root: Path, options: Mapping[str, Any]) -> tuple[Manifest | None, str]:
    """Returns what is read and what is said about it; None and the question or refusal where nothing is."""
    with speaking("shell"):
        return _look_at(root, options)


def _look_at(root: Path, options: Mapping[str, Any]) -> tuple[Manifest | None, str]:
    given = {key: value for key, value in options.items() if key != "format"}
    format_name = options.get("format")
    try:
        if format_name is not None:
            manifest = read_dataset(root, format_name, **given)
            return manifest, "; ".join(manifest.notes)
        found = detect(root, given)
        if found.best is None:
            return None, found.question()
        best = found.best
        manifest = read_dataset(root, best.format, **best.options)
        return manifest, "; ".join((best.reason, *best.guesses, *manifest.notes))
    except (DatasetError, ConfigError) as error:
        return None, str(error)


def _compare(manifest: Manifest, text: str, expect: Reads) -> list[str]:
    samples = {sample.id: sample for sample in manifest.samples}
    wrong = []
    if len(samples) != expect.samples:
        wrong.append(f"{len(samples)} samples ({', '.join(sorted(samples)[:6])}), expected {expect.samples}")
    names = manifest.class_map.names
    if expect.classes is not None and names != expect.classes:
        wrong.append(f"classes {names}, expected {expect.classes}")
    for name, counts in expect.pixels.items():
        if name not in samples:
            wrong.append(f"no sample {name!r}, only {', '.join(sorted(samples)[:6])}")
            continue
        labels = load_sample(manifest, samples[name])[1]
        for class_name, pixels in counts.items():
            index = IGNORE_INDEX if class_name == "ignored" else (*names, class_name).index(class_name)
            plane = labels[index] == 1 if labels.ndim == 3 and index < len(names) else labels == index
            if int(plane.sum()) != pixels:
                wrong.append(f"{name} has {int(plane.sum())} pixels of {class_name}, expected {pixels}")
    wrong += [f"{part!r} is not told: {text}" for part in expect.told if part not in text]
    for attribute, values in (("group", expect.groups), ("split", expect.splits)):
        for name, value in values.items():
            got = getattr(samples[name], attribute) if name in samples else None
            if got != value:
                wrong.append(f"the {attribute} of {name} is {got!r}, expected {value!r}")
    return wrong
