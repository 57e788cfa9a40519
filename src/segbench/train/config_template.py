"""The config that `segbench config new` writes: short, commented, and right for the data that was read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq

from segbench.config.run import parse_config
from segbench.config.text import write_yaml
from segbench.data.manifest.manifest import Manifest, is_manifest
from segbench.types import SPLITS, Task

_LONG_SIDE_PX = 256
_TEMPLATE = """\
# {samples} samples, {task}: {classes}
# Train:    segbench train {name}
# See all keys with their defaults:  segbench config show {name}
data:
{data}
  size: [{height}, {width}]   # H, W in pixels for training and scoring; larger is slower and finer
{split}  augment: light        # or none, flips, strong, dermoscopy, aerial, street: segbench data show --augment strong
network: unet_nearest   # segbench list networks
loss: {loss}   # segbench list losses
optimizer:
  lr: 2e-3
epochs: 40
batch_size: 8
seed: 0
output: {output}
"""


def config_template(manifest: Manifest, data: Path, file_name: str) -> str:
    """Returns YAML text, to be written to `file_name`, for a data set that was read from `data`."""
    heights = sorted(sample.height for sample in manifest.samples)
    widths = sorted(sample.width for sample in manifest.samples)
    height, width = heights[len(heights) // 2], widths[len(widths) // 2]
    scale = min(1.0, _LONG_SIDE_PX / max(height, width))
    section: dict[str, Any] = {"path": str(data)}
    if not is_manifest(data):
        section["format"] = manifest.format
        if manifest.options:
            section["options"] = _plain(manifest.options)
    loss = {"dice": 0.5, "cross_entropy" if manifest.class_map.task is Task.MULTICLASS else "bce": 0.5}
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", data.stem).strip("-") or "data"
    text = _TEMPLATE.format(
        samples=len(manifest.samples),
        task=manifest.class_map.task,
        classes=", ".join(manifest.class_map.names).replace("\n", " "),
        name=file_name.replace("\n", " "),
        data=_indent(section),
        split=_split(manifest),
        height=_round_to_16(height * scale),
        width=_round_to_16(width * scale),
        loss="{" + ", ".join(f"{key}: {value}" for key, value in loss.items()) + "}",
        output=f"runs/{name}",
    )
    parse_config(YAML(typ="safe").load(text))  # what does not come back is not written
    return text


def _split(manifest: Manifest) -> str:
    """Returns the lines on the division, where the official parts alone would not do."""
    there = [name for name in SPLITS if manifest.split(name)]
    if not there or {"train", "test"} <= set(there):
        return ""
    missing = " and ".join(name for name in ("train", "test") if name not in there)
    return (
        f"  split:\n    method: ratios      # the data set has {' and '.join(there)} but no {missing} part, so it is "
        "divided anew\n"
    )


def _round_to_16(pixels: float) -> int:
    return max(32, round(pixels / 16) * 16)


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
