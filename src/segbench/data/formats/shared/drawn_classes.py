"""The classes of drawings: which labels mean which class, and the class map of the labels that are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segbench.data.files.hints import set_option
from segbench.errors import ConfigError, DatasetError, shorten, suggest
from segbench.types import IGNORE_INDEX, RGB, ClassMap, Task

_MAX_CLASSES = 254


def check_number(
    classes: Mapping[str, Sequence[str]], used: Mapping[str, int], chosen: bool, multilabel: bool, root: Path
) -> None:
    """Raises ConfigError where fewer classes are `chosen` than make a task, DatasetError where there are too many."""
    if chosen and len(classes) < (1 if multilabel else 2):
        raise ConfigError(
            f"expected two classes or more, got {', '.join(classes) or 'none'}; name them, or let what no shape covers "
            "be the background",
            key="data.options.classes",
        )
    if len(classes) > _MAX_CLASSES:
        frequent: list[str] = sorted(used, key=lambda label: -used[label])
        raise DatasetError(
            f"{len(classes)} classes are too many (at most {_MAX_CLASSES}); choose with {set_option('classes')}; the "
            f"most frequent are {shorten(frequent, 12)}",
            path=root,
        )


def class_map(
    classes: Mapping[str, Sequence[str]], background: str | bool, task: str | None, colors: Mapping[str, RGB]
) -> ClassMap:
    """Returns the classes of class name -> labels, the mask values being their places."""
    multilabel = task == Task.MULTILABEL
    names = list(classes)
    position = names.index(background) if isinstance(background, str) and background in names else None
    if task == Task.BINARY and (len(names) != 2 or position is None):
        raise ConfigError(
            f"a binary task has a background and one class, got {', '.join(names)}; choose with "
            f"{set_option('classes')}",
            key="data.options.task",
        )
    kind = Task.MULTILABEL if multilabel else Task.BINARY if len(names) == 2 and position is not None else None
    kind = Task.MULTICLASS if kind is None or task == Task.MULTICLASS else kind
    if kind is Task.BINARY and position == 1:
        names, position = names[::-1], 0
    shown = [colors.get(labels[0]) if (labels := classes[name]) else (0, 0, 0) for name in names]
    distinct = len({color for color in shown if color}) == len(names)
    return ClassMap(
        names=tuple(names),
        values=tuple((1,) if multilabel else (index,) for index in range(len(names))),
        task=kind,
        colors=tuple(color for color in shown if color) if distinct else (),
        background=None if multilabel else position,
        ignore_values=(IGNORE_INDEX,),
    )


def class_labels(
    known: Sequence[str], classes: Sequence[str] | Mapping[str, Any] | None, ignored: Sequence[str], root: Path
) -> dict[str, list[str]]:
    """Returns class name -> labels that mean it."""
    if classes is None:
        result = {label: [label] for label in known if label not in ignored}
        if not result:
            raise DatasetError("no region has a class; there is nothing to learn", path=root)
        return result
    if isinstance(classes, Mapping):
        result = {
            str(name): [str(one) for one in labels] if isinstance(labels, list | tuple) else [str(labels)]
            for name, labels in classes.items()
        }
    else:
        result = {str(name): [str(name)] for name in classes}
    owner: dict[str, str] = {}
    for name, labels in result.items():
        for label in labels:
            if label not in known:
                raise ConfigError(
                    f"no region has the class {label!r}; {suggest(label, known)}", key=f"data.options.classes.{name}"
                )
            if label in ignored:
                raise ConfigError(
                    f"{label!r} is in `classes` and in `ignore`; it can mean one thing", key="data.options.ignore"
                )
            if label in owner:
                raise ConfigError(
                    f"{label!r} belongs to {owner[label]!r} and to {name!r}; it can mean one class",
                    key="data.options.classes",
                )
            owner[label] = name
    return result
