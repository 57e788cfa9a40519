"""COCO instances: one JSON a part, one annotation a region."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pycocotools import mask as coco_mask

from segbench.data.shapes.trace import ring_area, ring_box
from segbench.data.writers.common import (
    ImagePlacer,
    Labelled,
    Region,
    Spool,
    Spools,
    Tracer,
    WriteOptions,
    Written,
    part_folder,
)
from segbench.types import ClassMap

_NO_PART = "default"  # CVAT's and Datumaro's name for a part; both look for instances_NAME.json alone


def coco(target: Path, samples: Iterable[Labelled], class_map: ClassMap, options: WriteOptions) -> Written:
    """Writes annotations/instances_SPLIT.json (`default` without parts) and images/SPLIT.

    Categories are numbered from 1 in class order.
    """
    images, tracer = ImagePlacer(target, options), Tracer(class_map, options)
    numbers = {label: number for number, label in enumerate(tracer.labels, 1)}
    with Spools() as spools:
        for image_id, sample in enumerate(samples, 1):
            listed, annotations = spools.of(sample.split)
            file = images.place(sample, f"images/{part_folder(sample.split)}".rstrip("/"))
            height, width = sample.size
            listed.add(json.dumps({"id": image_id, "file_name": file, "width": width, "height": height}))
            before = tracer.count
            for number, region in enumerate(tracer.regions(sample.labels), before + 1):
                plain = _annotation(region, sample.size, options.rle)
                where = {
                    "id": number,
                    "image_id": image_id,
                    "category_id": numbers.setdefault(region.label, len(numbers) + 1),
                }
                annotations.add(json.dumps({**where, **plain}, separators=(",", ":")))
        (target / "annotations").mkdir(exist_ok=True)
        for split, (listed, annotations) in spools.ordered():
            name = f"instances_{split or _NO_PART}.json"
            _write_json(target / "annotations" / name, listed, annotations, numbers)
    return tracer.written("coco", images, declared=True)


def _annotation(region: Region, size: tuple[int, int], rle: bool) -> dict[str, Any]:
    numbers = region.numbers
    segmentation: Any = [numbers]
    if rle:
        drawn = coco_mask.frPyObjects([numbers], *size)[0]
        segmentation = {"size": list(size), "counts": drawn["counts"].decode("ascii")}
    return {
        "segmentation": segmentation,
        "area": ring_area(region.ring),
        "bbox": list(ring_box(region.ring)),
        "iscrowd": 0,
    }


def _write_json(path: Path, images: Spool, annotations: Spool, numbers: dict[str, int]) -> None:
    categories = [{"id": number, "name": label, "supercategory": ""} for label, number in numbers.items()]
    with path.open("w", encoding="utf-8", newline="") as stream:
        stream.write('{"info": {}, "licenses": [],\n"categories": ')
        json.dump(categories, stream, ensure_ascii=False)
        stream.write(',\n"images": [\n')
        images.pour(stream)
        stream.write('\n],\n"annotations": [\n')
        annotations.pour(stream)
        stream.write("\n]}\n")
