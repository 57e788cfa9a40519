"""LabelMe: a JSON file beside each image."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from segbench.data.writers.common import (
    IGNORE_LABEL,
    ImagePlacer,
    Labelled,
    Region,
    Tracer,
    WriteOptions,
    Written,
    part_folder,
)
from segbench.types import ClassMap

_VERSION = "5.5.0"  # of the format, as LabelMe writes it


def labelme(target: Path, samples: Iterable[Labelled], class_map: ClassMap, options: WriteOptions) -> Written:
    """Writes NAME.json beside each image, in a folder a part, and labels.txt for `labelme --labels`."""
    images, tracer = ImagePlacer(target, options), Tracer(class_map, options)
    for sample in samples:
        folder = target / part_folder(sample.split)
        folder.mkdir(exist_ok=True)
        file = images.place(sample, part_folder(sample.split))
        height, width = sample.size
        plain: dict[str, Any] = {
            "version": _VERSION,
            "flags": {},
            "shapes": [_shape(region) for region in tracer.regions(sample.labels)],
            "imagePath": file,
            "imageData": None,
            "imageHeight": height,
            "imageWidth": width,
        }
        (folder / f"{sample.name}.json").write_text(json.dumps(plain, ensure_ascii=False), encoding="utf-8")
    labels = [label for label in tracer.labels if label != IGNORE_LABEL]
    lines = "".join(f"{line}\n" for line in (IGNORE_LABEL, "_background_", *labels))
    (target / "labels.txt").write_text(lines, encoding="utf-8")
    return tracer.written("labelme", images)


def _shape(region: Region) -> dict[str, Any]:
    numbers = region.numbers
    points = [list(point) for point in zip(numbers[0::2], numbers[1::2], strict=True)]
    return {
        "label": region.label,
        "points": points,
        "group_id": None,
        "description": "",
        "shape_type": "polygon",
        "flags": {},
        "mask": None,
    }
