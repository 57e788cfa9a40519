"""The option `classes` of readers whose data set publishes its classes: some of them, in any order, merged, renamed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segbench.data.facts.store import MaskFact
from segbench.data.formats.shared.label_names import is_background
from segbench.data.formats.shared.listing import ClassMapRule
from segbench.data.formats.shared.odd_values import REST
from segbench.errors import ConfigError, suggest
from segbench.types import ClassMap, Task

_KEY = "data.options.classes"


def choose_classes(
    published: ClassMap | ClassMapRule, classes: Sequence[str] | Mapping[str, Any] | None
) -> ClassMap | ClassMapRule:
    """Returns the class map with the classes that the user wants; the published one where he says nothing.

    Args:
        classes: published names to keep, in this order; or name -> published name, list of them, or `rest` for all that
            no other class has. Pixels of the others count nowhere.
    Raises:
        ConfigError: a name that is not published, twice used, or fewer than two classes.
    """
    if classes is None:
        return published
    if isinstance(published, ClassMap):
        return _chosen(published, classes)
    return _Chosen(published=published, classes=classes)


@dataclass(frozen=True, kw_only=True)
class _Chosen:
    """As `choose_classes`, of classes that follow from the masks."""

    published: ClassMapRule
    classes: Sequence[str] | Mapping[str, Any]

    def __call__(self, facts: Mapping[Path, MaskFact]) -> ClassMap:
        return _chosen(self.published(facts), self.classes)


def _chosen(published: ClassMap, classes: Sequence[str] | Mapping[str, Any]) -> ClassMap:
    wanted = _wanted(published, classes)
    taken = [label for labels in wanted.values() for label in labels]
    double = next((label for place, label in enumerate(taken) if label in taken[:place]), None)
    if double is not None or len(wanted) < 2:
        what = "two classes or more" if double is None else f"{double!r} in one class"
        raise ConfigError(f"expected {what}, got {', '.join(wanted)}", key=_KEY)
    places = {name: index for index, name in enumerate(published.names)}
    names = list(wanted)
    old = None if published.background is None else published.names[published.background]
    background = next((name for name in names if is_background(name) or old in wanted[name]), None)
    binary = len(names) == 2 and background is not None
    if binary:
        names = [name for name in names if name == background] + [name for name in names if name != background]
    left = [name for name in published.names if name not in taken]
    return ClassMap(
        names=tuple(names),
        values=tuple(
            tuple(value for label in wanted[name] for value in published.values[places[label]]) for name in names
        ),
        task=Task.BINARY if binary else Task.MULTICLASS,
        colors=tuple(published.colors[places[wanted[name][0]]] for name in names),
        background=None if background is None else names.index(background),
        ignore_values=(*published.ignore_values, *(value for name in left for value in published.values[places[name]])),
    )


def _wanted(published: ClassMap, classes: Sequence[str] | Mapping[str, Any]) -> dict[str, list[str]]:
    """Returns class -> published names that become it."""
    given = dict(classes) if isinstance(classes, Mapping) else {name: name for name in classes}
    listed = {
        str(name): [str(label) for label in labels] if isinstance(labels, list | tuple) else [str(labels)]
        for name, labels in given.items()
    }
    taken = {label for labels in listed.values() for label in labels}
    rest = [name for name in published.names if name not in taken]
    for name, labels in listed.items():
        if labels == [REST] and REST not in published.names:
            listed[name] = rest
            continue
        for label in labels:
            if label not in published.names:
                raise ConfigError(
                    f"there is no class {label!r}; {suggest(label, published.names)}", key=f"{_KEY}.{name}"
                )
    if any(not labels for labels in listed.values()):
        raise ConfigError(f"no class is left for {REST}", key=_KEY)
    return listed
