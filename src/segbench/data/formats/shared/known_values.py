"""Class lists that a publisher or a file of the data set fixes, and what the option `classes` chooses among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from segbench.data.facts.store import MaskFact
from segbench.data.formats.shared.odd_values import REST
from segbench.data.formats.shared.published import choose_classes
from segbench.errors import DatasetError, shorten
from segbench.locale import message
from segbench.types import RGB, ClassMap, MaskValue, Task

Chosen: TypeAlias = Sequence[str] | Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class KnownValues:
    """The classes of a data set whose masks' values are known; called with the masks' facts it returns the class map.

    Attributes:
        root: of the data set.
        values: label -> what means it in the masks: numbers, or colours.
        chosen: the user's option `classes`, see `choose_classes`; None keeps `usual`.
        usual: labels that are kept where the user says nothing; None keeps all but `void`.
        void: labels that count nowhere unless they are chosen.
        ignore: further values that count nowhere.
        colors: label -> display colour.
        background: label of the background; None where every pixel belongs to something.
        divisor: masks hold label * divisor + number of the object; 1 where they hold the label alone.
    """

    root: Path
    values: Mapping[str, tuple[MaskValue, ...]]
    chosen: Chosen = None
    usual: Sequence[str] | None = None
    void: Sequence[str] = ()
    ignore: tuple[MaskValue, ...] = ()
    colors: Mapping[str, RGB] | None = None
    background: str | None = None
    divisor: int = 1

    def __post_init__(self) -> None:
        self({})  # says at once what is wrong with the option

    def __call__(self, facts: Mapping[Path, MaskFact]) -> ClassMap:
        """Returns the class map.

        Raises:
            DatasetError: masks of objects hold a label that there is not.
            ConfigError: what the user chose is no label, two classes have it, or there are fewer than two classes.
        """
        values = self.values if self.divisor == 1 else self._with_objects(facts)
        usual = list(self.usual) if self.usual is not None else [name for name in values if name not in self.void]
        names = usual if self._wanted() <= set(usual) else list(values)
        background = names.index(self.background) if self.background in names else None
        if len(names) == 2 and background == 1:
            names, background = names[::-1], 0
        owned = {value for name in names for value in values[name]}
        others = [value for name in values for value in values[name] if value not in owned]
        shown = [(self.colors or {}).get(name) for name in names]
        distinct = len({color for color in shown if color is not None}) == len(names)
        published = ClassMap(
            names=tuple(names),
            values=tuple(values[name] for name in names),
            task=Task.BINARY if len(names) == 2 and background is not None else Task.MULTICLASS,
            colors=tuple(color for color in shown if color is not None) if distinct else (),
            background=background,
            ignore_values=tuple(dict.fromkeys([*others, *self.ignore])),
        )
        chosen = choose_classes(published, self.chosen)
        return chosen if isinstance(chosen, ClassMap) else chosen(facts)

    def _wanted(self) -> set[str]:
        """Returns the labels that the user names."""
        labels = self.chosen.values() if isinstance(self.chosen, Mapping) else self.chosen or ()
        return {str(one) for label in labels for one in (label if isinstance(label, list | tuple) else [label])} - {
            REST
        }

    def _with_objects(self, facts: Mapping[Path, MaskFact]) -> dict[str, tuple[MaskValue, ...]]:
        """Returns label -> the values that occur, which also say which object a pixel belongs to."""
        labels = {value: label for label, mine in self.values.items() for value in mine}
        result: dict[str, list[MaskValue]] = {label: [] for label in self.values}
        for path, fact in sorted(facts.items()):
            for value in fact.counts:
                label = labels.get(value // self.divisor) if isinstance(value, int) else None
                if label is None or (isinstance(value, int) and self.background and 0 < value < self.divisor):
                    raise DatasetError(
                        message(
                            "the mask holds {value}; expected class * {divisor} + number of the object, with the "
                            "classes {known}",
                            value=value,
                            divisor=self.divisor,
                            known=shorten((f"{number} ({name})" for number, name in labels.items()), 12),
                        ),
                        path=path,
                    )
                if value not in result[label]:
                    result[label].append(value)
        return {label: tuple(sorted(mine, key=str)) for label, mine in result.items()}
