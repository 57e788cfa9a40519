"""A loss as a module, made of the loss as a function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from torch import Tensor, nn

from segbench.options import check_options, option_types
from segbench.types import Task


class LossModule(nn.Module):
    """A loss function with its options kept: `class Dice(LossModule, function=dice)`.

    Its arguments are the keyword-only parameters of the function. Every one is an attribute, and what the attribute
    holds is what the next call uses.

    Args:
        function: (logits, target, *, options...) -> () float.
        tasks: what it can be used for, all of them unless said.
        options: of the function.
    Raises:
        OptionError: a value is not of the option's declared type or range.
        TypeError: there is no such option.
    Example:
        >>> from segbench.losses.dice import Dice
        >>> Dice(smooth=1)
        Dice(over='image', smooth=1, include_background=None, ignore_index=255)
    """

    tasks: ClassVar[frozenset[Task]]
    _function: ClassVar[Callable[..., Tensor]]
    __signature__: ClassVar[inspect.Signature]

    def __init_subclass__(cls, *, function: Callable[..., Tensor], tasks: Iterable[Task] = tuple(Task)) -> None:
        super().__init_subclass__()
        cls.tasks = frozenset(tasks)
        cls._function = staticmethod(function)
        parameters = inspect.signature(function, eval_str=True).parameters.values()
        cls.__signature__ = inspect.Signature(
            [parameter for parameter in parameters if parameter.kind is inspect.Parameter.KEYWORD_ONLY]
        )

    def __init__(self, **options: Any) -> None:
        super().__init__()
        arguments = self.__signature__.bind(**options)
        check_options(option_types(self._function), options)
        arguments.apply_defaults()
        for name, value in arguments.arguments.items():
            setattr(self, name, value)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Returns () float."""
        return self._function(logits, target, **self._options())

    def extra_repr(self) -> str:
        """Returns the options with their values."""
        return ", ".join(f"{name}={value!r}" for name, value in self._options().items())

    def _options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__signature__.parameters}
