"""VGG Image Annotator 2: a project a part, beside its images, that the annotator opens as it is."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

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
from segbench.types import ClassMap, SplitName

PROJECT = "via_project.json"
_ATTRIBUTE = "class"
_UNKNOWN = -1  # bytes, as the annotator writes them for images it fetches


def via(target: Path, samples: Iterable[Labelled], class_map: ClassMap, options: WriteOptions) -> Written:
    """Writes SPLIT/via_project.json and the images beside it; the attribute `class` holds the class."""
    images, tracer = ImagePlacer(target, options), Tracer(class_map, options)
    with Spools() as spools:
        for sample in samples:
            entries, keys = spools.of(sample.split)
            file = images.place(sample, part_folder(sample.split))
            path = target / part_folder(sample.split) / file
            size = next((there.stat().st_size for there in (path, sample.image) if there.is_file()), _UNKNOWN)
            entry = {
                "filename": file,
                "size": size,
                "regions": [_region(region) for region in tracer.regions(sample.labels)],
                "file_attributes": {},
            }
            key = json.dumps(f"{file}{size}", ensure_ascii=False)
            entries.add(f"{key}: {json.dumps(entry, ensure_ascii=False, separators=(',', ':'))}")
            keys.add(key)
        for split, (entries, keys) in spools.ordered():
            path = target / part_folder(split) / PROJECT
            path.parent.mkdir(exist_ok=True)
            _write_project(path, entries, keys, tracer.labels, split)
    return tracer.written("via", images)


def _region(region: Region) -> dict[str, Any]:
    numbers = region.numbers
    return {
        "shape_attributes": {"name": "polygon", "all_points_x": numbers[0::2], "all_points_y": numbers[1::2]},
        "region_attributes": {_ATTRIBUTE: region.label},
    }


def _write_project(path: Path, entries: Spool, keys: Spool, labels: list[str], split: SplitName | None) -> None:
    settings = {
        "ui": {
            "annotation_editor_height": 25,
            "annotation_editor_fontsize": 0.8,
            "leftsidebar_width": 18,
            "image_grid": {
                "img_height": 80,
                "rshape_fill": "none",
                "rshape_fill_opacity": 0.3,
                "rshape_stroke": "yellow",
                "rshape_stroke_width": 2,
                "show_region_shape": True,
                "show_image_policy": "all",
            },
            "image": {
                "region_label": _ATTRIBUTE,
                "region_color": _ATTRIBUTE,
                "region_label_font": "10px Sans",
                "on_image_annotation_editor_placement": "NEAR_REGION",
            },
        },
        "core": {"buffer_size": 18, "filepath": {}, "default_filepath": ""},
        "project": {"name": split or "project"},
    }
    attribute = {
        "type": "dropdown",
        "description": "",
        "options": {label: label for label in labels},
        "default_options": {},
    }
    with path.open("w", encoding="utf-8", newline="") as stream:
        stream.write(f'{{"_via_settings": {json.dumps(settings)},\n"_via_img_metadata": {{\n')
        entries.pour(stream)
        attributes = {"region": {_ATTRIBUTE: attribute}, "file": {}}
        stream.write(f'\n}},\n"_via_attributes": {json.dumps(attributes, ensure_ascii=False)},\n')
        stream.write('"_via_data_format_version": "2.0.10",\n"_via_image_id_list": [\n')
        keys.pour(stream)
        stream.write("\n]}\n")
