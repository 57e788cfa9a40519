"""Recipes that `segbench config new --best` tries: the suggested one, and four that differ in one thing each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segbench.data.files.hints import yaml_value
from segbench.doctor.recipe import KINDS, Suggestion, recipe
from segbench.doctor.scale import LARGEST_WHOLE_PX, LONG_SIDE_PX, PATCH_PX, Facts, Scale, base_size, shrunk
from segbench.locale import message
from segbench.models.smp.packaged import installed
from segbench.types import Task

_OTHER_AUGMENT = {"light": "strong", "strong": "light", **{kind.augment: "strong" for kind in KINDS}}
_OF_SCALE = ("data.size", "data.patch", "batch_size", "accumulate")  # what another scale brings along


_TINY_PX = 128  # long side up to which enlarging is worth a try
_TRIED = message("the search among recipes tried this instead, and it won")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A recipe.

    Attributes:
        name: a word for its folder.
        lines: (config key, value, reason).
        changed: what differs from the suggested one, as a config has it; empty for that one itself.
    """

    name: str
    lines: tuple[Suggestion, ...]
    changed: str = ""


def variants(lines: Sequence[Suggestion], facts: Facts) -> tuple[Variant, ...]:
    """Returns five recipes, the given one first; each other has another loss, scale, augmentation, rate, or encoder.

    Args:
        lines: what the doctor suggests.
        facts: of the data set; its objects are not looked at.
    """
    given = {key: value for key, value, _ in lines}
    scaled = {key: value for key, value, _ in recipe(facts, scale=_other_scale(given, facts)) if key in _OF_SCALE}
    return (
        Variant(name="suggested", lines=tuple(lines)),
        _changed("loss", lines, {"loss": _other_loss(given["loss"], facts.task)}),
        _changed("scale", lines, {key: scaled.get(key) for key in _OF_SCALE}),
        _changed("augment", lines, {"data.augment": _OTHER_AUGMENT[given["data.augment"]]}),
        _other_learner(lines, given, facts),
    )


def _changed(name: str, lines: Sequence[Suggestion], changes: Mapping[str, Any]) -> Variant:
    """Returns the lines with other values, None removes one; their reason is that they were tried."""
    given = {key: value for key, value, _ in lines}
    differs = {key: value for key, value in changes.items() if given.get(key) != value}
    new = {key: (differs[key], _TRIED) if key in differs else (value, reason) for key, value, reason in lines}
    new |= {key: (value, _TRIED) for key, value in differs.items() if key not in given}
    told = [f"{key}: {yaml_value(value)}" for key, value in differs.items() if value is not None]
    kept = tuple((key, value, reason) for key, (value, reason) in new.items() if value is not None)
    return Variant(name=name, lines=kept, changed=", ".join(told))


def _other_loss(loss: Mapping[str, float], task: Task) -> dict[str, float]:
    pixel = "cross_entropy" if task is Task.MULTICLASS else "bce"
    return {"dice" if "lovasz" in loss else "lovasz": 0.5, pixel: 0.5}


def _other_scale(given: Mapping[str, Any], facts: Facts) -> Scale:
    """Returns whole small images for windows and large ones; else more of their detail, enlarged where they are tiny.

    Small images that are seen at their own size are shrunk, which gives more steps in the same time.
    """
    size, own = given["data.size"], (facts.height, facts.width)
    if "data.patch" in given or max(size) > LONG_SIDE_PX:
        return _whole(base_size(facts.heights, facts.widths))
    if max(own) <= _TINY_PX:
        return _whole((2 * own[0], 2 * own[1]))
    if max(size) == max(own):
        return _whole((shrunk(size[0], 0.75), shrunk(size[1], 0.75)))
    share = min(1.0, 2 * max(size) / max(own))
    more = own if share == 1.0 else (shrunk(own[0], share), shrunk(own[1], share))
    if max(more) <= LARGEST_WHOLE_PX:
        return _whole(more)
    patch = (min(PATCH_PX, more[0]), min(PATCH_PX, more[1]))
    return Scale(size=more, patch=patch, seen=patch, reason=_TRIED)


def _whole(size: tuple[int, int]) -> Scale:
    return Scale(size=size, patch=None, seen=size, reason=_TRIED)


def _other_learner(lines: Sequence[Suggestion], given: Mapping[str, Any], facts: Facts) -> Variant:
    """Returns the largest encoder that is installed; where there is no other, half the learning rate."""
    there = installed()
    if len(there) < 2:
        return _changed("rate", lines, {"optimizer": {key: value / 2 for key, value in given["optimizer"].items()}})
    other = {key: reason for key, _, reason in recipe(facts, encoder=there[-1])}
    named = [(key, value, other[key] if key == "weights" else reason) for key, value, reason in lines]
    return _changed("encoder", named, {"network": {"name": "smp/unet", "encoder": there[-1].encoder}})
