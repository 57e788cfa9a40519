"""Label Studio: one JSON file of tasks with polygons or brush strokes, and the labelling setup they belong to."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segbench.data.shapes.drawing import Painting, Shape, paint
from segbench.data.writers.common import (
    ImagePlacer,
    Labelled,
    Region,
    Spool,
    Tracer,
    WriteOptions,
    Written,
    part_folder,
)
from segbench.types import ClassMap

TASKS, SETUP = "tasks.json", "label_config.xml"
_SERVED = "/data/local-files/?d="  # how Label Studio names files of a local storage
_COUNTERS = (3, 6, 11, 16)  # bits of the four lengths of counters in a brush stroke; they are stored in 4 bits each
_LONGEST = _COUNTERS[-1]


def labelstudio(target: Path, samples: Iterable[Labelled], class_map: ClassMap, options: WriteOptions) -> Written:
    """Writes tasks.json (to be imported), label_config.xml (the labelling setup) and images/SPLIT."""
    images, tracer = ImagePlacer(target, options), Tracer(class_map, options)
    with Spool() as spool:
        for number, sample in enumerate(samples, 1):
            folder = f"images/{part_folder(sample.split)}".rstrip("/")
            file = images.place(sample, folder)
            regions = [
                _region(region, sample.size, f"{number}-{place}", options.rle)
                for place, region in enumerate(tracer.regions(sample.labels))
            ]
            task = {
                "id": number,
                "data": {"image": f"{_SERVED}{quote(f'{folder}/{file}')}"},
                "annotations": [{"id": number, "result": regions, "was_cancelled": False}],
                "predictions": [],
            }
            spool.add(json.dumps(task, ensure_ascii=False, separators=(",", ":")))
        with (target / TASKS).open("w", encoding="utf-8", newline="") as stream:
            stream.write("[\n")
            spool.pour(stream)
            stream.write("\n]\n")
    (target / SETUP).write_text(_setup(tracer, options.rle), encoding="utf-8")
    return tracer.written("labelstudio", images)


def _region(region: Region, size: tuple[int, int], name: str, rle: bool) -> dict[str, Any]:
    if rle:
        return labelled_region("brushlabels", brush_value(_pixels(region, size)), region.label, size, name=name)
    return labelled_region("polygonlabels", polygon_value(region.numbers, size), region.label, size, name=name)


def labelled_region(
    kind: str,
    value: Mapping[str, Any],
    label: str,
    size: tuple[int, int],
    *,
    name: str,
    control: str = "label",
    image: str = "image",
) -> dict[str, Any]:
    """Returns a region as it stands in the `result` of an annotation or of a prediction.

    Args:
        kind: `brushlabels`, `bitmasklabels` or `polygonlabels`.
        value: of `brush_value`, `bitmask_value` or `polygon_value`.
        label: as the labelling setup has it.
        size: (H, W) of the image, in pixels.
        name: of the region, unlike every other one's of the annotation.
        control, image: names of the tags of the labelling setup.
    """
    return {
        "id": name,
        "type": kind,
        "from_name": control,
        "to_name": image,
        "original_width": size[1],
        "original_height": size[0],
        "image_rotation": 0,
        "value": {**value, kind: [label]},
    }


def polygon_value(ring: Sequence[float], size: tuple[int, int]) -> dict[str, Any]:
    """Returns a ring x0, y0, x1, y1, ... in pixels as Label Studio has it: in per cent of an (H, W) image's sides."""
    height, width = size
    corners = zip(ring[0::2], ring[1::2], strict=True)
    return {"points": [[100 * x / width, 100 * y / height] for x, y in corners], "closed": True}


def brush_value(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Returns an (H, W) mask as Label Studio has it."""
    return {"format": "rle", "rle": list(encode_brush(mask))}


def _pixels(region: Region, size: tuple[int, int]) -> NDArray[np.bool_]:
    height, width = size
    labels, _ = paint(Painting(height=height, width=width, shapes=((1, Shape(rings=(region.ring,))),)), Path())
    inside: NDArray[np.bool_] = labels == 1
    return inside


def bitmask_value(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Returns an (H, W) mask as Label Studio has bitmasks: a picture that is transparent outside."""
    plane = Image.fromarray(np.where(mask, np.uint8(255), np.uint8(0)))
    data = io.BytesIO()
    Image.merge("LA", (plane, plane)).save(data, "PNG")
    return {"imageDataURL": f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}"}


def encode_brush(mask: NDArray[np.bool_]) -> bytes:
    """Returns a (H, W) mask as Label Studio packs brush strokes: runs over the bytes of an RGBA picture.

    `segbench.data.formats.labelstudio.shapes.decode_brush` says what the bits mean.
    """
    flat = mask.ravel()
    bounds = np.concatenate(([0], np.flatnonzero(np.diff(flat)) + 1, [flat.size]))
    bits = [f"{4 * flat.size:032b}", f"{7:05b}", *(f"{length - 1:04b}" for length in _COUNTERS)]
    for start, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        left, value = 4 * (end - start), 255 if flat[start] else 0
        while left:
            count = min(left, 1 << _LONGEST)
            place = next(place for place, length in enumerate(_COUNTERS) if count <= 1 << length)
            bits.append(f"1{place:02b}{count - 1:0{_COUNTERS[place]}b}{value:08b}")
            left -= count
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def _setup(tracer: Tracer, rle: bool) -> str:
    tag = "BrushLabels" if rle else "PolygonLabels"
    labels = "".join(
        f'    <Label value={quoteattr(label)} background="#{red:02x}{green:02x}{blue:02x}"/>\n'
        for label, (red, green, blue) in tracer.colors.items()
    )
    return (
        '<View>\n  <Image name="image" value="$image"/>\n'
        f'  <{tag} name="label" toName="image">\n{labels}  </{tag}>\n</View>\n'
    )
