"""The config that `segbench config new` writes: short, commented, and right for the data that was read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq

from segbench.config.run import parse_config
from segbench.config.text import write_yaml
from segbench.data.manifest.manifest import Manifest, is_manifest
from segbench.doctor.checks.parts import is_sure_group
from segbench.doctor.suggest import base_loss, base_size, base_split
from segbench.types import SPLITS

_TEMPLATE = """\
# {samples} samples, {task}: {classes}
# Train:    segbench train {name}
# See all keys with their defaults:  segbench config show {name}
data:
{data}
{size}
{augment}
{split}network: unet_nearest   # segbench list networks
{loss}
optimizer:
  lr: 2e-3
epochs: 40
batch_size: 8
seed: 0
output: {output}
"""
_USUAL = {
    "data.size": "H, W in pixels for training and scoring; larger is slower and finer",
    "data.augment": "or none, flips, strong, dermoscopy, aerial, street: segbench data show --augment strong",
    "loss": "segbench list losses",
}
_REASON_CHARS = 110


def config_template(
    manifest: Manifest, data: Path, file_name: str, suggestions: Sequence[tuple[str, Any, str]] = ()
) -> str:
    """Returns YAML text, to be written to `file_name`, for a data set that was read from `data`.

    Args:
        suggestions: (key, value, reason) of the doctor; its reasons become comments. What it is unsure of, or what
            would make training much slower, stays a comment.
    """
    found = {key: (value, reason) for key, value, reason in suggestions}
    size = base_size([sample.height for sample in manifest.samples], [sample.width for sample in manifest.samples])
    section: dict[str, Any] = {"path": str(data)}
    options = dict(manifest.options)
    group, why_group = found.get("data.options.group", ("", ""))
    if group and is_sure_group(group):
        options["group"] = group
    if not is_manifest(data):
        section["format"] = manifest.format
        if options:
            section["options"] = _plain(options)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", data.stem).strip("-") or "data"
    loss, why_loss = found.get("loss", (base_loss(manifest.class_map.task), ""))
    text = _TEMPLATE.format(
        samples=len(manifest.samples),
        task=manifest.class_map.task,
        classes=", ".join(manifest.class_map.names).replace("\n", " "),
        name=file_name.replace("\n", " "),
        data=_indent(section),
        size=_size(size, found.get("data.size")),
        augment=_line("  augment", *found.get("data.augment", ("light", "")), key="data.augment"),
        split=_with_group(_split(manifest, found.get("data.split.ratios")), group, why_group),
        loss=_line("loss", loss, why_loss, key="loss"),
        output=f"runs/{name}",
    )
    parse_config(YAML(typ="safe").load(text))  # what does not come back is not written
    return text


def _size(size: tuple[int, int], found: tuple[Any, str] | None) -> str:
    """Returns the line of the training size, and of a larger one that the objects would need."""
    line = _line("  size", list(size), "", key="data.size")
    if found is None or not isinstance(found[0], int):
        return line
    return f"{line}\n  # size: {found[0]}   # {_short(found[1])}"


def _with_group(split: str, pattern: str, reason: str) -> str:
    """Returns the lines on the division, and as a comment the groups that there only may be."""
    if not pattern or is_sure_group(pattern):
        return split
    line = f"group: '{pattern}'   # if images of one group are alike: {_short(reason)}\n"
    return f"{split}    # {line}" if split else f"  # split:\n  #   {line}"


def _line(key_text: str, value: Any, reason: str, *, key: str) -> str:
    return f"{key_text}: {_flow(value)}   # {_short(reason) if reason else _USUAL[key]}"


def _flow(value: Any) -> str:
    """Returns a value in one line of YAML."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return str(value)


def _short(reason: str) -> str:
    text = " ".join(reason.split())
    return text if len(text) <= _REASON_CHARS else text[:_REASON_CHARS].rsplit(" ", 1)[0] + " ..."


def _split(manifest: Manifest, ratios: tuple[Any, str] | None) -> str:
    """Returns the lines on the division, where the official parts alone, or the usual shares, would not do."""
    keys = base_split([sample.split for sample in manifest.samples], len(manifest))
    if "ratios" in keys:
        return f"  split:\n    ratios: {_flow(keys['ratios'])}   # {_short(ratios[1]) if ratios else 'few images'}\n"
    if not keys:
        return ""
    there = [name for name in SPLITS if manifest.split(name)]
    missing = " and ".join(name for name in ("train", "test") if name not in there)
    return (
        f"  split:\n    method: {keys['method']}      # the data set has {' and '.join(there)} but no {missing} part, "
        "so it is divided anew\n"
    )


def _plain(value: Any) -> Any:
    """Returns plain values whose innermost lists are written in one line."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if not isinstance(value, list | tuple):
        return value
    items = CommentedSeq(_plain(item) for item in value)
    items.fa.set_flow_style()
    return items


def _indent(section: Mapping[str, Any]) -> str:
    return "\n".join(f"  {line}" for line in write_yaml(section, flow=False).splitlines())
