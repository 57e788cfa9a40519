"""The one number of an evaluation, with its interval over the images it was made of, and how people are told it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from segbench.metrics.families import COUNT_SCORES, label_of
from segbench.metrics.scores import Scores
from segbench.types import Sample, SplitName

_LEVEL = 0.95
_DEFAULT = "iou_per_image"  # where the loss chooses the best epoch


def main_number(scores: Scores, monitor: str, samples: Sequence[Sample], split: SplitName) -> dict[str, Any]:
    """Returns the monitored score as plain values: name, value, low, high, level, n_images, n_groups, split, sentence.

    The interval is that of `segbench compare` for one run: Student's t over the images, over their groups (patients,
    scenes) where there are any. It tells what other images would have given, not what another seed would have. It is
    cut at the ends of the score's range; `low` and `high` are None below two images or groups.

    Args:
        scores: of the images.
        monitor: of the run's config; per-image IoU stands for `loss`.
        samples: of the images, for their groups; an image that is not among them stands for itself.
        split: which part was scored.
    """
    from segbench.statistics.correlation import mean_with_interval  # scipy: slow to import, and only needed here

    name = monitor if monitor in COUNT_SCORES else _DEFAULT
    values = scores.image_values(name)
    valued = ~np.isnan(values)
    group_of = {sample.id: sample.group for sample in samples}
    groups = np.array([group_of.get(image_id) or f"image {image_id}" for image_id in scores.ids])[valued]
    grouped = len(set(groups)) < len(groups)
    low = high = math.nan
    if valued.any():
        _, low, high = mean_with_interval(values[valued], groups if grouped else None, _LEVEL)
    measure = COUNT_SCORES[name].measure
    main = {
        "name": name,
        "value": scores.summary()[name],
        "low": None if math.isnan(low) else max(low, measure.lowest),
        "high": None if math.isnan(high) else min(high, measure.highest),
        "level": _LEVEL,
        "n_images": scores.n_images,
        "n_groups": len(set(groups)) if grouped else None,
        "split": split,
    }
    return {**main, "sentence": _sentence(main)}


def main_of(result: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the number of a finished run from its `result.json`; that of an earlier version has no interval."""
    if "main" in result:
        return dict(result["main"])
    split = "test" if "test" in result["scores"] else "val"
    value, count = result["scores"][split][_DEFAULT], result["n"][split]
    main = {"name": _DEFAULT, "value": value, "low": None, "high": None, "n_images": count, "split": split}
    return {**main, "sentence": _sentence(main)}


def _sentence(main: Mapping[str, Any]) -> str:
    """Returns the number in words: `test IoU per image 0.8712, 95 % interval 0.841 to 0.902, over 40 images`."""
    value = "has no value" if main["value"] is None or math.isnan(main["value"]) else f"{main['value']:.4f}"
    told = f"{main['split']} {label_of(main['name'])} {value}"
    if main["low"] is not None:
        told += f", {100 * main['level']:.0f} % interval {main['low']:.3f} to {main['high']:.3f}"
    told += f", over {main['n_images']} image{'s' * (main['n_images'] != 1)}"
    return told + (f" in {main['n_groups']} groups" if main.get("n_groups") else "")
