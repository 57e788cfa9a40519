"""The config that `segbench config new` writes: every setting with its reason, right for the data that was read."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from segbench.config.run import parse_config
from segbench.data.files.hints import yaml_value
from segbench.data.formats import FORMATS
from segbench.data.manifest.manifest import Manifest, is_manifest
from segbench.doctor.recipe import Suggestion, recipe
from segbench.doctor.scale import Facts
from segbench.locale import listed
from segbench.models.smp.packaged import PACKAGED
from segbench.speech import in_shell
from segbench.types import ClassMap, Task

_WIDTH = 110  # of a line with its comment
_SECTIONS = ("data.options", "data.split", "data")
_LISTED = 12  # classes that are written one a line
_RENAME = "names that you like better, before the colon; to merge: name: [one, other]"


def config_template(
    manifest: Manifest,
    data: Path,
    file_name: str,
    suggestions: Sequence[Suggestion] = (),
    choices: Sequence[Suggestion] = (),
    remarks: Sequence[str] = (),
) -> str:
    """Returns YAML text, to be written to `file_name`, for a data set that was read from `data`.

    Args:
        suggestions: (key, value, reason) of the doctor; where it could not look, what the manifest alone says.
        choices: what only the owner of the data knows; written as comments.
        remarks: lines for the head.
    """
    lines = list(suggestions) or recipe(facts_of_manifest(manifest))
    own = {} if is_manifest(data) else dict(manifest.options)
    section: dict[str, Any] = {"path": str(data)}
    section |= {} if is_manifest(data) else {"format": manifest.format}
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", data.stem).strip("-") or "data"
    shown = in_shell(file_name.replace("\n", " "))
    text = "\n".join(
        [
            *_comment(
                f"{len(manifest)} samples, {manifest.class_map.task}: {listed(manifest.class_map.names, _LISTED)}"
            ),
            f"# Train:                        segbench train {shown}",
            f"# All keys with their defaults: segbench config show {shown}",
            *(f"# {remark}".rstrip() for remark in remarks),
            "data:",
            *(f"  {key}: {yaml_value(value)}" for key, value in section.items()),
            *_options(own, lines, choices, [] if is_manifest(data) else class_lines(manifest)),
            *_section("data.split", lines, choices),
            *_of(lines, "data", "  "),
            *_of(lines, "", ""),
            "seed: 0   # another one draws other initial weights and another order of the images",
            f"output: {yaml_value(f'runs/{name}')}",
            "",
        ]
    )
    parse_config(YAML(typ="safe").load(text))  # what does not come back is not written
    return text


def facts_of_manifest(manifest: Manifest) -> Facts:
    """Returns what a manifest alone tells the recipe: no objects, and of the pixels the share of the foreground."""
    class_map = manifest.class_map
    known = [sample.foreground_frac for sample in manifest.samples if sample.foreground_frac is not None]
    share = sum(known) / len(known) if known and class_map.task is Task.BINARY else None
    return Facts(
        format=manifest.format,
        task=class_map.task,
        names=class_map.names,
        parts=Counter(sample.split for sample in manifest.samples),
        heights=[sample.height for sample in manifest.samples],
        widths=[sample.width for sample in manifest.samples],
        shares=() if share is None else (1.0 - share, share),
    )


def _of(lines: Sequence[Suggestion], section: str, indent: str) -> Iterator[str]:
    """Yields the lines of the keys that stand directly in a section."""
    for key, value, reason in lines:
        if _section_of(key) == section:
            yield from _line(f"{indent}{key.removeprefix(section).removeprefix('.')}:", value, reason)
            if key == "network" and value == "unet_nearest":
                first = PACKAGED[0]
                yield f"# with it:  network: {{name: smp/unet, encoder: {first.encoder}}}   and   weights: imagenet"


def _section(
    section: str, lines: Sequence[Suggestion], choices: Sequence[Suggestion], classes: Sequence[str] = ()
) -> Iterator[str]:
    """Yields a section two levels deep: its lines, and as comments choices and how classes are renamed."""
    active = list(_of(lines, section, "    "))
    open_ones = [*_of(choices, section, "  "), *(f"  {line}" for line in classes)]
    if active:
        yield from (f"  {section.rpartition('.')[2]}:", *active)
        yield from (f"  # {line}" for line in open_ones)
    elif open_ones:
        yield from (f"  # {line}" for line in (f"{section.rpartition('.')[2]}:", *open_ones))


def _options(
    own: Mapping[str, Any], lines: Sequence[Suggestion], choices: Sequence[Suggestion], classes: Sequence[str]
) -> Iterator[str]:
    """Yields the reader's options: those that the data was read with, the doctor's, and how classes are renamed."""
    given = [(f"data.options.{key}", value, "") for key, value in own.items()]
    yield from _section("data.options", [*given, *lines], choices, () if "classes" in own else classes)


def class_lines(manifest: Manifest) -> list[str]:
    """Returns the lines of the option `classes` that mean what the data set has, to be changed; [] where there is none.

    What stands behind a class differs: mask values for masks whose classes are numbers or colours, the published names
    of a known data set, the labels of annotation files.
    """
    known = FORMATS.options(manifest.format) if manifest.format in FORMATS.names() else []
    if "classes" not in known:
        return []
    class_map = manifest.class_map
    meant = _meant(class_map, known)
    if meant is None:
        return []
    # Where the values of classes are given, those that count nowhere are guessed no more.
    ignored = [_plain(value) for value in class_map.ignore_values] if _has_values(known) else []
    also = [f"ignore: {yaml_value(ignored)}"] if ignored and "ignore" not in manifest.options else []
    if len(meant) <= _LISTED:
        rows = [f"  {yaml_value(name)}: {yaml_value(what)}" for name, what in meant.items()]
        return [*also, f"classes:   # {_RENAME}", *rows]
    pairs = [f"{yaml_value(name)}: {yaml_value(what)}" for name, what in meant.items()]
    return [*also, f"# {_RENAME}", *_wrapped_pairs(pairs)]


def _wrapped_pairs(pairs: Sequence[str]) -> Iterator[str]:
    """Yields the option `classes` as a mapping in braces, broken between classes only."""
    line = "classes: {"
    for place, pair in enumerate(pairs):
        pair += "}" if place == len(pairs) - 1 else ","
        if len(line) + len(pair) + 1 > _WIDTH - 6:
            yield line
            line = " "
        line += pair if line.endswith("{") else f" {pair}"
    yield line


def _meant(class_map: ClassMap, known: Sequence[str]) -> dict[str, Any] | None:
    """Returns class name -> what the reader's option `classes` calls it; None where its names come from elsewhere."""
    if "overlap" in known:  # annotation files; what no shape covers is the option `background`
        nothing = None if class_map.background is None else class_map.names[class_map.background]
        return {name: name for name in class_map.names if name != nothing}
    if not _has_values(known):  # published names
        return {name: name for name in class_map.names}
    if class_map.task is Task.MULTILABEL:
        return None  # the folders' names
    return {
        name: _plain(values[0]) if len(values) == 1 else [_plain(value) for value in values]
        for name, values in zip(class_map.names, class_map.values, strict=True)
    }


def _has_values(known: Sequence[str]) -> bool:
    """Returns whether a reader's classes are mask values: neither labels of annotations nor published names."""
    return "overlap" not in known and "ignore" in known and "name" not in known


def _plain(value: Any) -> Any:
    return "#{:02x}{:02x}{:02x}".format(*value) if isinstance(value, tuple) else value


def _section_of(key: str) -> str:
    return next((section for section in _SECTIONS if key.startswith(f"{section}.")), "")


def _line(start: str, value: Any, reason: str) -> Iterator[str]:
    """Yields a key with its reason behind it, or above it where both are too long; a long mapping line by line."""
    text, reason = f"{start} {yaml_value(value)}", " ".join(str(reason).split())
    indent = start[: len(start) - len(start.lstrip())]
    if reason and len(text) + len(reason) + 5 <= _WIDTH:
        yield f"{text}   # {reason}"
        return
    yield from _comment(reason, indent) if reason else ()
    if len(text) <= _WIDTH or not isinstance(value, Mapping):
        yield text
    else:
        yield from (start, *(f"{indent}  {yaml_value(key)}: {yaml_value(item)}" for key, item in value.items()))


def _comment(text: str, indent: str = "") -> Iterator[str]:
    start = f"{indent}# "
    yield from textwrap.wrap(
        " ".join(text.split()),
        _WIDTH,
        initial_indent=start,
        subsequent_indent=start,
        break_long_words=False,
        break_on_hyphens=False,
    )
