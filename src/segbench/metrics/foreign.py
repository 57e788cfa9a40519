"""Masks of other programs: values that are no class indices, taken for what they mean or refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from segbench.errors import shorten
from segbench.locale import message
from segbench.types import ClassMap, Task


def as_labels(
    array: npt.NDArray[Any], values: Sequence[int | Sequence[int]], ignored: int | None, classes: ClassMap
) -> npt.NDArray[np.int64]:
    """Returns class indices.

    Args:
        array: (H, W) integers.
        values: one or more of each class.
        ignored: value that counts nowhere and stays, unless a class has it.
    Raises:
        ValueError: another number of classes, a value of two classes, or one that no class has.
    """
    if classes.task is Task.MULTILABEL:
        raise ValueError("values are for masks of one class a pixel; planes hold 0 and 1: give mask != 0")
    if len(values) != classes.num_classes:
        raise ValueError(f"expected values of {classes.num_classes} classes, got {len(values)}: {values!r}")
    table: dict[int, int] = {}
    for index, given in enumerate(values):
        for value in given if isinstance(given, Sequence) else (given,):
            if table.setdefault(int(value), index) != index:
                raise ValueError(f"the value {value} belongs to two classes; it can mean one")
    if ignored is not None:
        table.setdefault(ignored, ignored)
    array = np.asarray(array)
    found, places = np.unique(array, return_inverse=True)
    unknown = [value for value in found.tolist() if value not in table]
    if unknown:
        raise ValueError(f"the mask holds {shorten(unknown)}; values are {values!r}")
    return np.array([table[value] for value in found.tolist()], dtype=np.int64)[places].reshape(array.shape)


def check_black_and_white(pairs: Sequence[tuple[str, Any, Any]], ignored: int, classes: ClassMap) -> None:
    """Raises ValueError where masks hold 0 and 255 for background and object, and 255 would count nowhere.

    Args:
        pairs: (id, prediction, target) of all images.
        ignored: label that counts nowhere.
        classes: more than two may really occur in no target.
    """
    planes = classes.task is Task.MULTILABEL
    if classes.num_classes != 2 and not planes:
        return
    truths = {value for _, _, target in pairs for value in np.unique(target).tolist()}
    guesses = {value for _, prediction, _ in pairs for value in np.unique(prediction).tolist()}
    white = {0, ignored}
    if not (ignored in truths and truths <= white) and not (ignored in guesses and guesses <= white):
        return
    mixed = (truths | guesses) - white
    if planes or {1, ignored} <= truths:  # the targets' 255 may be meant, then, and the predictions' not
        answer = f"0 and 1, as by mask == {ignored}"
    else:
        answer = f"values=(0, (1, {ignored}))" if mixed else f"values=(0, {ignored})"
    raise ValueError(
        message(
            "{who} hold no other labels than 0 and {ignored}, and {ignored} counts nowhere: if it is the object, give "
            "{answer}; if it is really to be ignored, ignore_index={ignored}",
            who=message("the targets") if ignored in truths and truths <= white else message("the predictions"),
            ignored=ignored,
            answer=answer,
        )
    )
