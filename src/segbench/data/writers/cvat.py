"""CVAT for images 1.1: annotations.xml, and the images in images/SUBSET."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from segbench.data.formats.shared.run_lengths import counts_of
from segbench.data.shapes.trace import ring_box, ring_pixels
from segbench.data.writers.common import (
    ImagePlacer,
    Labelled,
    Region,
    Spool,
    Tracer,
    WriteOptions,
    Written,
)
from segbench.types import ClassMap

_SUBSETS = {"train": "Train", "val": "Validation", "test": "Test"}  # as CVAT calls them


def cvat(target: Path, samples: Iterable[Labelled], class_map: ClassMap, options: WriteOptions) -> Written:
    """Writes polygons, or masks where run lengths are asked for; parts are CVAT's subsets."""
    images, tracer = ImagePlacer(target, options), Tracer(class_map, options)
    subsets: Counter[str] = Counter()
    with Spool("\n") as spool:
        for number, sample in enumerate(samples):
            subset = _SUBSETS.get(sample.split or "", "")
            subsets[subset] += 1
            file = images.place(sample, f"images/{subset}".rstrip("/"))
            height, width = sample.size
            part = f" subset={quoteattr(subset)}" if subset else ""
            head = f'<image id="{number}" name={quoteattr(file)}{part} width="{width}" height="{height}">'
            shapes = (_element(region, options.rle) for region in tracer.regions(sample.labels))
            spool.add("\n".join(["  " + head, *("    " + shape for shape in shapes), "  </image>"]))
        with (target / "annotations.xml").open("w", encoding="utf-8", newline="") as stream:
            stream.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n')
            stream.writelines(f"{line}\n" for line in _meta(tracer, subsets))
            spool.pour(stream)
            stream.write("\n</annotations>\n")
    return tracer.written("cvat", images, declared=True)


def _element(region: Region, rle: bool) -> str:
    common = f'label={quoteattr(region.label)} source="manual" occluded="0"'
    if not rle:
        numbers = region.numbers
        points = ";".join(f"{x}.00,{y}.00" for x, y in zip(numbers[0::2], numbers[1::2], strict=True))
        return f'<polygon {common} points="{points}" z_order="0"></polygon>'
    box = ring_box(region.ring)
    lengths = ", ".join(map(str, counts_of(ring_pixels(region.ring, box).T)))  # CVAT counts row by row
    left, top, width, height = box
    corners = f'left="{left}" top="{top}" width="{width}" height="{height}"'
    return f'<mask {common} rle="{lengths}" {corners} z_order="0"></mask>'


def _meta(tracer: Tracer, subsets: Mapping[str, int]) -> Iterator[str]:
    """Yields the lines of a task; with parts those of a project with a task a part, as CVAT writes it."""
    parted = any(subsets)
    yield "  <meta>"
    if parted:
        yield "    <project><name>segbench</name>"
        yield "      <tasks>"
        for subset, count in subsets.items():
            part = f"<subset>{subset}</subset>" if subset else ""
            yield f"        <task><name>segbench</name><size>{count}</size><mode>annotation</mode>{part}</task>"
        yield "      </tasks>"
    else:
        yield f"    <task><name>segbench</name><size>{sum(subsets.values())}</size><mode>annotation</mode>"
    yield "      <labels>"
    for label, (red, green, blue) in tracer.colors.items():
        color = f"<color>#{red:02x}{green:02x}{blue:02x}</color>"
        yield f"        <label><name>{escape(label)}</name>{color}<type>any</type><attributes></attributes></label>"
    yield "      </labels>"
    yield "    </project>" if parted else "    </task>"
    yield "  </meta>"
