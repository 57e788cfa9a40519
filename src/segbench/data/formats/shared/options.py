"""Whether the values of a reader's options have the types its signature declares."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Union, Unpack, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from segbench.errors import ConfigError

_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
_ITEMS = {int: "whole numbers", float: "numbers", str: "names"}


def check_types(reader: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Raises ConfigError for the first option whose value is not of the declared type; nothing is converted.

    Options that a user's own reader declares no type for, or one that cannot be resolved, are not checked.
    """
    try:
        hints = get_type_hints(reader)
        for hint in [hint for hint in hints.values() if get_origin(hint) is Unpack]:
            hints.update(get_type_hints(get_args(hint)[0]))
    except (NameError, TypeError):
        return
    for option, value in options.items():
        if option not in hints:
            continue
        try:
            TypeAdapter(hints[option], config=ConfigDict(arbitrary_types_allowed=True)).validate_python(
                value, strict=True
            )
        except ValidationError as error:
            raise ConfigError(
                f"expected {_describe(hints[option])}, got {value!r}{_quotes(hints[option], option, value)}",
                key=f"data.options.{option}",
            ) from error


def _describe(hint: Any) -> str:
    """Returns a type in words; None is left out where something else may be given."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(_describe(part) for part in arguments if part is not types.NoneType)
    if origin is Literal:
        return f"one of {', '.join(str(choice) for choice in arguments)}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "a mapping name: value"
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return f"a list of {_ITEMS[arguments[0]]}" if arguments[0] in _ITEMS else "a list"
    return _WORDS.get(hint, getattr(hint, "__name__", str(hint)))


def _quotes(hint: Any, option: str, value: object) -> str:
    wants_text = str in (hint, *get_args(hint))
    return f"; put it in quotes: {option}: '{value}'" if wants_text and isinstance(value, int | float) else ""
