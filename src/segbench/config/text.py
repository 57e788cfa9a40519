"""Between the text of a config and its values: YAML with line numbers, overrides, and errors in one sentence."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from segbench.errors import ConfigError, suggest
from segbench.speech import override

# A run's length is given by one of these, so whoever sets one on top of a config takes the place of the other two.
LENGTH_KEYS = ("epochs", "steps", "seconds")
_SHORTHANDS = {"network": "name", "optimizer": "name", "schedule": "name", "data": "path"}


def write_yaml(values: Mapping[str, Any], *, flow: bool | None = None) -> str:
    """Returns plain values as YAML; `flow` None writes innermost mappings and lists in one line, False none."""
    stream = io.StringIO()
    yaml = YAML()
    yaml.default_flow_style = flow
    yaml.dump(dict(values), stream)
    return stream.getvalue()


def read_yaml(path: Path) -> tuple[dict[str, Any], dict[tuple[str, ...], int]]:
    """Returns a YAML file's mapping as plain values, and the line of every key, from 1.

    Raises:
        ConfigError: the file cannot be read, or is no YAML mapping (names file and line).
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the config: {error}", file=str(path)) from error
    return parse_yaml(text, file=str(path))


def parse_yaml(text: str, *, file: str = "") -> tuple[dict[str, Any], dict[tuple[str, ...], int]]:
    """Returns the mapping in a YAML text as plain values, and the line of every key, from 1.

    Args:
        file: where the text comes from, for the messages.
    Raises:
        ConfigError: it is no YAML mapping (names the line).
    """
    try:
        values = YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 0
        raise ConfigError(f"not valid YAML: {error.problem}", file=file, line=line) from error
    except YAMLError as error:
        raise ConfigError(f"not valid YAML: {error}", file=file) from error
    if not isinstance(values, Mapping):
        raise ConfigError(f"expected a mapping of keys, got {type(values).__name__}", file=file)
    return _to_plain(values), dict(_walk_lines(values, ()))


def change_yaml(text: str, changes: Mapping[str, str]) -> str:
    """Returns YAML text with other values for dotted keys; comments stay, but for the reasons of what was changed.

    Args:
        changes: key -> value as YAML; empty: the key is left out, so that its default counts.
    Raises:
        ConfigError: the text or a value is no YAML, or something on the way to a key has no keys below it.
    """
    parse_yaml(text)
    yaml = YAML(typ="rt")
    yaml.default_flow_style, yaml.width, yaml.preserve_quotes = None, 200, True
    document = yaml.load(text)
    for key, given in changes.items():
        *parents, last = split_key(key)
        if given.strip():
            try:
                set_key(document, key, parse_value(given))
            except ValueError as error:
                raise ConfigError(str(error), key=key) from error
        section = document
        for parent in parents:
            section = section.get(parent) if isinstance(section, Mapping) else None
        if not given.strip() and isinstance(section, dict):
            section.pop(last, None)
        _forget_reason(section, last)
    stream = io.StringIO()
    yaml.dump(document, stream)
    return stream.getvalue()


def _forget_reason(section: Any, key: str) -> None:
    """Removes the comment behind a key's value, which was written for another value."""
    for token in (getattr(section, "ca", None) and section.ca.items.get(key)) or ():
        if token is not None and not isinstance(token, list) and token.value.startswith("#"):
            token.value = "\n" + token.value.partition("\n")[2]


def parse_value(text: str) -> Any:
    """Returns a value written as YAML (`1e-3`, `[1, 2]`, `true`), as plain values; ValueError for what is none."""
    try:
        return _to_plain(YAML(typ="rt").load(text))
    except YAMLError as error:
        raise ValueError(f"the value is not valid YAML: {text!r}") from error


def split_key(key: str) -> list[str]:
    """Returns the parts of a dotted key."""
    return key.split(".")


def apply_overrides(
    values: Mapping[str, Any], overrides: Sequence[str], *, split: Callable[[str], Sequence[str]] = split_key
) -> dict[str, Any]:
    """Returns `values` with every `key.sub=value` set; the value is read as YAML (`1e-3`, `[1, 2]`, `true`).

    Args:
        values: nested mapping; it is not changed.
        overrides: texts.
        split: gives the parts of a key, where some of them have dots of their own.
    Raises:
        ConfigError: no `=`, a value that is no YAML, or something on the way that has no keys below it.
    """
    result: dict[str, Any] = json.loads(json.dumps(values))
    pairs: list[tuple[Sequence[str], Any, str]] = []
    for item in overrides:
        key, equals, text = item.partition("=")
        if not equals or not key.strip():
            raise ConfigError(
                f"expected key=value, got {item!r}; for example optimizer.lr=1e-3",
                key=override("").strip() or "overrides",
            )
        try:
            value = parse_value(text)
        except ValueError as error:
            raise ConfigError(str(error), key=key) from error
        pairs.append((split(key.strip()), value, override(key)))
    for parts, value, _ in pairs:  # first: two lengths among the overrides are a contradiction that the config tells
        _drop_other_lengths(result, parts, value)
    for parts, value, source in pairs:
        _set(result, parts, value, source)
    return result


def set_key(values: dict[str, Any], key: str, value: Any, *, source: str = "") -> None:
    """Sets a dotted key in nested values, in place; a section written as a name alone is spelled out first.

    Args:
        values: to change.
        key: `optimizer.lr`, say.
        value: plain YAML value.
        source: what to call the place in an error; the key, where nothing is given.
    Raises:
        ConfigError: something on the way has no keys below it.
    """
    parts = split_key(key)
    _drop_other_lengths(values, parts, value)
    _set(values, parts, value, source or key)


def _drop_other_lengths(values: dict[str, Any], parts: Sequence[str], value: Any) -> None:
    """Removes, beside a length of a run that is about to be set, the other ways to give it."""
    *parents, last = parts
    target: Any = values
    for parent in parents:
        target = target.get(parent) if isinstance(target, dict) else None
    if last in LENGTH_KEYS and value is not None and isinstance(target, dict):
        for key in LENGTH_KEYS:
            if key != last:
                target.pop(key, None)


def _set(values: dict[str, Any], parts: Sequence[str], value: Any, source: str) -> None:
    *parents, last = parts
    target = values
    for depth, parent in enumerate(parents):
        target[parent] = target = _descend(target.get(parent), parents[: depth + 1], source)
    target[last] = value


def _descend(child: Any, place: Sequence[str], key: str) -> dict[str, Any]:
    """Returns the mapping that an override goes into; a name alone is spelled out, nothing that is there is lost."""
    if isinstance(child, dict):
        return child
    section = place[0]
    if section == "loss":
        terms = "loss={dice: 0.5, bce: 0.5}"
        if len(place) == 2 and isinstance(child, int | float):
            return {"weight": child}
        raise ConfigError(f"there is no mapping to set this in; give the whole loss: {override(repr(terms))}", key=key)
    if child is None:
        return {}
    if tuple(place) == ("data", "augment") and isinstance(child, str):
        return {"preset": child}
    if len(place) == 1 and section in _SHORTHANDS and isinstance(child, str):
        return {_SHORTHANDS[section]: child}
    raise ConfigError(f"{'.'.join(place)} is {child!r}, which has no keys below it", key=key)


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns nested values under dotted keys; lists stay whole.

    Example:
        >>> flatten({"optimizer": {"lr": 0.1}, "epochs": 3})
        {'optimizer.lr': 0.1, 'epochs': 3}
    """
    result: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            result |= flatten(value, f"{prefix}{key}.")
        else:
            result[f"{prefix}{key}"] = value
    return result


def _to_plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_plain(item) for item in value]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return int(value)
    return float(value) if isinstance(value, float) else str(value)


def _walk_lines(values: Any, prefix: tuple[str, ...]) -> list[tuple[tuple[str, ...], int]]:
    found: list[tuple[tuple[str, ...], int]] = []
    if isinstance(values, Mapping):
        for key, item in values.items():
            place = (*prefix, str(key))
            if key in values.lc.data:  # type: ignore[attr-defined]  # ruamel's line and column; merged keys have none
                found.append((place, values.lc.key(key)[0] + 1))  # type: ignore[attr-defined]
            found.extend(_walk_lines(item, place))
    return found


def line_of(key: tuple[str, ...], lines: Mapping[tuple[str, ...], int]) -> int:
    """Returns the line of a key, or of the closest key above it that has one; 0 where none has."""
    while key:
        if key in lines:
            return lines[key]
        key = key[:-1]
    return 0


def explain(error: ErrorDetails, model: type[BaseModel]) -> tuple[tuple[str, ...], str]:
    """Returns pydantic's complaint about a `model` as (key, one sentence)."""
    key = tuple(str(part) for part in error["loc"])
    given = error["input"]
    if error["type"] == "extra_forbidden":
        return key, f"there is no such key; {suggest(key[-1], _fields_at(model, key[:-1]))}"
    if error["type"] == "missing":
        return key, "this key is required and was not given"
    message = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if error["type"] == "value_error":
        return key, message
    expected = message if message.startswith("should") else f"expected: {message}"
    shown = repr(given) if len(repr(given)) <= 80 else f"{repr(given)[:77]}..."
    return key, f"{expected}, got {shown}"


def _fields_at(model: type[BaseModel], place: tuple[str, ...]) -> list[str]:
    """Returns the keys that exist under a dotted place of the config."""
    for part in place:
        field = model.model_fields.get(part)
        if field is None:
            return []
        candidates = [field.annotation, *get_args(field.annotation)]
        sections = [item for item in candidates if isinstance(item, type) and issubclass(item, BaseModel)]
        if not sections:
            return []
        model = sections[0]
    return list(model.model_fields)
