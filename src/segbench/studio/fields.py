"""The main keys of a run config as the fields of a form, made from its schema: types, ranges, choices and words."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel

from segbench.config.augment import PRESETS
from segbench.config.run import RunConfig
from segbench.config.text import split_key
from segbench.data.files.hints import yaml_value
from segbench.losses import LOSSES
from segbench.models import MODELS
from segbench.types import Task

KEYS = (
    *("network", "weights", "data.size", "epochs", "steps", "batch_size", "loss", "optimizer.lr", "data.augment"),
    *("seed", "output"),
)
_RANGE = {"minimum": "least", "exclusiveMinimum": "above", "maximum": "most", "exclusiveMaximum": "below"}


def fields_of(task: Task) -> list[dict[str, Any]]:
    """Returns for each of `KEYS`: key, kind (`integer`, `number`, `text`), range, choices, help and default.

    Args:
        task: of the data; a loss for other tasks is no choice.
    """
    schema = RunConfig.model_json_schema()
    return [_field(key, schema, task) for key in KEYS]


def values_of(plain: Mapping[str, Any]) -> dict[str, str]:
    """Returns key -> what a config's mapping says, as YAML in one line; empty where it says nothing."""
    return {key: _text(_at(plain, key)) for key in KEYS}


def _field(key: str, schema: Mapping[str, Any], task: Task) -> dict[str, Any]:
    part: Mapping[str, Any] = schema
    model: type[BaseModel] = RunConfig
    for name in split_key(key):
        section = _resolved(part, schema)
        part, owner = section["properties"][name], model
        model = _section(owner, name) or owner
    kinds = [each for each in part.get("anyOf", [part]) if each.get("type") != "null"]
    simple = kinds[0] if len(kinds) == 1 else {}
    kind = simple.get("type") if simple.get("type") in ("integer", "number") else "text"
    default = owner.model_fields[name].get_default(call_default_factory=True)
    return {
        "key": key,
        "kind": kind,
        **{word: simple[limit] for limit, word in _RANGE.items() if limit in simple},
        "choices": _choices(key, task) or simple.get("enum", []),
        "open": key != "network",  # another value than the choices may be right
        "help": _sentence(_summary(model) if model is not owner else _attribute(owner, name)),
        "default": default if isinstance(default, int | float | str) else None,
    }


def _choices(key: str, task: Task) -> list[str]:
    if key == "network":
        return MODELS.names()
    if key == "data.augment":
        return list(PRESETS)
    if key == "loss":
        return [name for name in LOSSES.names() if task in getattr(LOSSES.get(name), "tasks", ())]
    return []


def _resolved(part: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    place = part.get("$ref", "")
    found: Mapping[str, Any] = schema["$defs"][place.rpartition("/")[2]] if place else part
    return found


def _section(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    """Returns the section that stands behind a key, also that of a list's items; None where none does."""
    annotation = model.model_fields[name].annotation
    candidates = [annotation, *get_args(annotation)]
    return next((each for each in candidates if isinstance(each, type) and issubclass(each, BaseModel)), None)


def _summary(model: type[BaseModel]) -> str:
    """Returns the first paragraph of a section's docstring."""
    return " ".join((inspect.getdoc(model) or "").partition("\n\n")[0].split())


def _sentence(text: str) -> str:
    """Returns the first sentence."""
    return re.split(r"(?<=\.)\s", text, maxsplit=1)[0]


def _attribute(model: type[BaseModel], name: str) -> str:
    """Returns what a section's docstring says about a key."""
    return dict(_attributes(inspect.getdoc(model) or "")).get(name, "")


def _attributes(doc: str) -> Iterator[tuple[str, str]]:
    section = re.search(r"^Attributes:\n((?:    .*\n?|\n)+)", doc, re.MULTILINE)
    for found in re.finditer(r"^    (\S[^:\n]*): ((?:.*\n?)(?:^ {8}.*\n?)*)", section[1] if section else "", re.M):
        for name in found[1].split(","):
            yield name.strip(), " ".join(found[2].split())


def _at(plain: Any, key: str) -> Any:
    for name in split_key(key):
        plain = plain.get(name) if isinstance(plain, Mapping) else None
    return plain


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else yaml_value(value)
