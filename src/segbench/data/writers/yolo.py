"""YOLO segmentation: a text file an image, a polygon a line, coordinates as shares of width and height."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from segbench.data.writers.common import (
    ImagePlacer,
    Labelled,
    Tracer,
    WriteOptions,
    Written,
    part_folder,
    split_order,
    to_yaml,
)
from segbench.types import ClassMap, SplitName

_DIGITS = 9  # behind the point: a thousandth of a pixel in an image of a million
_NO_PARTS = (
    "the data set has no parts, and YOLO's trainers want two: data.yaml names the same images as train and val; for a "
    "score that means something divide first (segbench data split)"
)


def yolo(target: Path, samples: Iterable[Labelled], class_map: ClassMap, options: WriteOptions) -> Written:
    """Writes images/SPLIT, labels/SPLIT and data.yaml; classes are numbered from 0 in class order, no background."""
    images, tracer = ImagePlacer(target, options), Tracer(class_map, options)
    numbers = {label: number for number, label in enumerate(tracer.labels)}
    splits: dict[SplitName | None, None] = {}
    for sample in samples:
        part = part_folder(sample.split)
        splits[sample.split] = None
        images.place(sample, f"images/{part}".rstrip("/"))
        height, width = sample.size
        lines = []
        for region in tracer.regions(sample.labels):
            shares = [value / (height if index % 2 else width) for index, value in enumerate(region.numbers)]
            number = numbers.setdefault(region.label, len(numbers))
            lines.append(" ".join([str(number), *(f"{share:.{_DIGITS}g}" for share in shares)]))
        path = target / "labels" / part / f"{sample.name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    parts = {str(split): f"images/{part_folder(split)}" for split in split_order(splits) if split is not None}
    if None in splits:
        parts = {"train": "images", "val": "images"}
    elif "val" not in parts:  # a key that Ultralytics insists on
        parts["val"] = parts.get("test", next(iter(parts.values())))
    # no `path`: Ultralytics then looks beside the file itself, wherever it is started
    config = {**parts, "names": {number: label for label, number in numbers.items()}}
    (target / "data.yaml").write_text(to_yaml(config, flow=False), encoding="utf-8")
    return tracer.written("yolo", images, declared=True, notes=(_NO_PARTS,) if None in splits else ())
