"""Images and palette masks of the same name: images/ and masks/, below train/, val/ and test/ where there are parts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from segbench.data.writers.common import (
    ImagePlacer,
    Labelled,
    WriteOptions,
    Written,
    part_folder,
    task_option,
    write_mask,
)
from segbench.types import IGNORE_INDEX, ClassMap, Task


def folder(target: Path, samples: Iterable[Labelled], class_map: ClassMap, options: WriteOptions) -> Written:
    """Writes images and PNG masks of class indices that show the display colours, 255 where nothing counts.

    Multilabel: masks/<class>/NAME.png of 0 and 1.
    """
    images = ImagePlacer(target, options)
    colors = dict(enumerate(class_map.colors))
    ignored = False
    for sample in samples:
        part = part_folder(sample.split)
        images.place(sample, f"{part}images")
        ignored = ignored or bool((sample.labels == IGNORE_INDEX).any())
        if sample.labels.ndim == 2:
            write_mask(target / f"{part}masks" / f"{sample.name}.png", sample.labels, colors)
            continue
        for name, color, plane in zip(class_map.names, class_map.colors, sample.labels, strict=True):
            path = target / f"{part}masks" / name / f"{sample.name}.png"
            write_mask(path, np.ascontiguousarray(plane), {1: color})
    return Written(format="folder", options=_options(class_map, ignored), images=images.placed)


def _options(class_map: ClassMap, ignored: bool) -> dict[str, Any]:
    multilabel = class_map.task is Task.MULTILABEL
    options: dict[str, Any] = {
        "classes": list(class_map.names) if multilabel else {name: index for index, name in enumerate(class_map.names)}
    }
    if not multilabel:
        options["background"] = False if class_map.background is None else class_map.names[class_map.background]
    if ignored:
        options["ignore"] = [IGNORE_INDEX]
    return {**options, **task_option(class_map)}
