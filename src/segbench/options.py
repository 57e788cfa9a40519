"""Options of networks, losses and formats: an annotation is the whole schema of one, and this checks values by it.

The names below are annotations with a range; `Literal` is a choice. What they do not say (a constraint between two
options) the builder says itself, with an `OptionError`. Imports no torch.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, ParamSpec, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from segbench.errors import OptionError

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

# The description is what a message says: "width must be an integer above 0, got 0".
Count: TypeAlias = Annotated[int, Field(ge=1, description="an integer above 0")]
Positive: TypeAlias = Annotated[float, Field(gt=0, allow_inf_nan=False, description="a finite number above 0")]
NonNegative: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False, description="a finite number of 0 or more")]
Fraction: TypeAlias = Annotated[float, Field(ge=0, le=1, description="a number from 0 to 1")]
Probability: TypeAlias = Annotated[float, Field(ge=0, lt=1, description="a probability of 0 or more and below 1")]

_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
_BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
_ITEMS = {int: "whole numbers", float: "numbers", str: "names"}


class OptionType:
    """The declared type of an option."""

    def __init__(self, hint: Any) -> None:
        self.hint = hint
        self._adapter = TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))

    def check(self, option: str, value: object) -> None:
        """Raises OptionError where a value is not of this type, or out of its range; nothing is converted."""
        try:
            self._adapter.validate_python(value, strict=True)
        except ValidationError as error:
            message = f"{option} must be {_describe(self.hint)}, got {value!r}{_quotes(self.hint, option, value)}"
            raise OptionError(message, option=option) from error


def check_options(hints: Mapping[str, Any], options: Mapping[str, object]) -> None:
    """Raises OptionError for the first option whose value is not of its type; one without a type may be anything."""
    for option, value in options.items():
        if option in hints:
            OptionType(hints[option]).check(option, value)


def option_types(builder: Callable[..., Any]) -> dict[str, Any]:
    """Returns the types of a builder's keyword-only parameters; of those without one, or an unknown one, nothing."""
    hints: dict[str, Any] = {}
    try:
        parameters = inspect.signature(builder, eval_str=True).parameters.values()
        for parameter in parameters:
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
                hints[parameter.name] = parameter.annotation
            elif parameter.kind is inspect.Parameter.VAR_KEYWORD and get_args(parameter.annotation):
                hints |= get_type_hints(get_args(parameter.annotation)[0], include_extras=True)  # Unpack[TypedDict]
    except (NameError, TypeError):  # a name that only type checkers see
        return {}
    return {
        name: hint for name, hint in hints.items() if hint is not inspect.Parameter.empty and not isinstance(hint, str)
    }


def checked(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Decorates a function that takes options: each call with a keyword of a wrong type or range is refused.

    Raises:
        OptionError: names the option, what it may be and what came.
    Example:
        >>> @checked
        ... def square(*, side: Count = 1) -> int:
        ...     return side * side
        >>> square(side=0)
        Traceback (most recent call last):
            ...
        segbench.errors.OptionError: side must be an integer above 0, got 0
    """

    @functools.cache  # at the first call, when every name that an annotation uses is there
    def declared() -> dict[str, OptionType]:
        return {name: OptionType(hint) for name, hint in option_types(function).items()}

    @functools.wraps(function)
    def call(*args: Arguments.args, **options: Arguments.kwargs) -> Result:
        for option, value in options.items():
            if option in declared():
                declared()[option].check(option, value)
        return function(*args, **options)

    return call


def _describe(hint: Any) -> str:
    """Returns a type in words; None is left out where something else may be given."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        fields = [item for item in arguments[1:] if isinstance(item, FieldInfo)]
        said = [item.description for item in fields if item.description]
        return said[-1] if said else ", ".join([_describe(arguments[0]), *_bounds(fields)])
    if origin in (Union, types.UnionType):
        *first, last = [_describe(part) for part in arguments if part is not types.NoneType]
        return f"{', '.join(first)} or {last}" if first else last
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}" if len(arguments) > 1 else repr(arguments[0])
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "a mapping name: value"
    if isinstance(origin, type) and issubclass(origin, Sequence):
        if get_origin(arguments[0]) is Annotated:
            return f"a list, each {_describe(arguments[0])}"
        return f"a list of {_ITEMS[arguments[0]]}" if arguments[0] in _ITEMS else "a list"
    return _WORDS.get(hint, getattr(hint, "__name__", str(hint)))


def _bounds(fields: Sequence[FieldInfo]) -> list[str]:
    limits = [limit for item in fields for limit in item.metadata]
    return [f"{word} {getattr(limit, key)}" for limit in limits for key, word in _BOUNDS.items() if hasattr(limit, key)]


def _quotes(hint: Any, option: str, value: object) -> str:
    wants_text = str in (hint, *get_args(hint))
    return f"; put it in quotes: {option}: '{value}'" if wants_text and isinstance(value, int | float) else ""
