"""The sections of the page about a data set that hold its numbers: classes and objects, images."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from segbench.doctor import Checkup
from segbench.doctor.reading import percent
from segbench.locale import Numbers, join, message, plural
from segbench.report.doctor_page.figures import MOST_ROWS, DotRow, dot_plot, histograms, size_plot, spread_plot
from segbench.report.document import Block, Cell, Drawing, Facts, Folded, Section, Table
from segbench.report.svg import Sketch
from segbench.types import SPLITS

_LONG_TABLE = 24
_SIZES_LISTED = 8
_SIZES_TRIED = 3
_NUMBERS = Numbers()
PARTS = {"train": message("train"), "val": message("val"), "test": message("test"), "-": message("in none")}
"""Part of a data set -> its name."""

_COLUMNS = (
    message("class"),
    message("share of pixels"),
    message("images"),
    message("share where it occurs"),
    message("objects"),
    message("objects an image"),
    message("area of an object, px"),
    message("specks"),
)
_KINDS = {"kinds": message("Image files"), "modes": message("Their pixels"), "mask_kinds": message("Mask files")}
_CHANNELS = {"mean": message("Mean of the channels, 0 to 1"), "std": message("Their standard deviation")}
_LIGHT = {"brightness": message("Mean grey value of an image"), "contrast": message("Its standard deviation")}


def class_section(checkup: Checkup, sketch: Sketch) -> Section | None:
    """Returns shares and objects of the classes; None where nothing could be counted."""
    stats = checkup.statistics
    classes: Sequence[Mapping[str, Any]] = stats.get("classes", ())
    if not classes:
        return None
    blocks: list[Block] = [_shares(stats, sketch)]
    rows = tuple(_class_facts(stats))
    blocks += [Facts(rows=rows)] if rows else []
    areas = [entry for entry in classes if entry["objects"] and entry["objects"]["count"]]
    if areas:
        blocks.append(_areas(areas, sketch))
    table = _class_table(stats)
    title = message("All {classes} in a table", classes=plural("{n:,} class", "{n:,} classes", n=len(classes)))
    blocks.append(Folded(title=title, blocks=(table,)) if len(classes) > _LONG_TABLE else table)
    return Section(key="classes", title=message("Classes and objects"), blocks=tuple(blocks))


def image_section(checkup: Checkup, sketch: Sketch) -> Section | None:
    """Returns sizes, kinds and brightness of the images; None where none is readable."""
    stats = checkup.statistics
    if not stats.get("images"):
        return None
    blocks: list[Block] = [Facts(rows=tuple(_image_facts(stats)))]
    if stats["distinct_sizes"] > 1:
        make = partial(size_plot, stats["sizes"], message("width, px"), message("height, px"))
        caption = message("The larger the dot, the more images have that size.")
        blocks.append(sketch.draw(make, message("Sizes of the images"), caption))
    light = [(label, stats[what]["edges"], stats[what]["counts"]) for what, label in _LIGHT.items() if stats.get(what)]
    if light:
        make = partial(histograms, light, message("images"))
        blocks.append(sketch.draw(make, message("Brightness and contrast of the images")))
    return Section(key="images", title=message("Images"), blocks=tuple(blocks))


def _shares(stats: Mapping[str, Any], sketch: Sketch) -> Drawing:
    """Returns the figure of the classes' shares, in each part where the data set has parts."""
    classes, parts = stats["classes"], stats.get("parts", {})
    order = sorted(range(len(classes)), key=lambda index: -classes[index]["share"])[:MOST_ROWS]
    named = [part for part in (*SPLITS, "-") if part in parts]
    split = bool(set(named) - {"-"})
    rows = [
        DotRow(
            name=classes[index]["name"],
            values=tuple(parts[part]["shares"][index] for part in named) if split else (classes[index]["share"],),
        )
        for index in order
    ]
    kinds: list[str] = [""]
    if split:
        kinds = [message("{part} ({images})", part=PARTS[part], images=parts[part]["images"]) for part in named]
    caption = message("A class without a mark is not there.")
    if len(order) < len(classes):
        caption = message(
            "A class without a mark is not there. The {n} most frequent classes of {total}.",
            n=len(order),
            total=len(classes),
        )
    make = partial(dot_plot, rows, kinds, message("Share of the pixels that count, %"))
    return sketch.draw(make, message("Share of each class"), caption)


def _areas(classes: Sequence[Mapping[str, Any]], sketch: Sketch) -> Drawing:
    most = sorted(classes, key=lambda entry: -entry["objects"]["count"])[:MOST_ROWS]
    rows = [(entry["name"], entry["objects"]["area_px"]) for entry in most]
    label = message("Area of an object, px")
    return sketch.draw(
        partial(spread_plot, rows, label),
        label,
        message("Dot: the median; thick: half of the objects; thin: 90 % of them."),
    )


def _class_facts(stats: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if stats.get("foreground"):
        yield message("Foreground of an image"), _between(stats["foreground"], percent)
    if stats.get("ignored_share"):
        yield message("Pixels that count nowhere"), percent(stats["ignored_share"])


def _class_table(stats: Mapping[str, Any]) -> Table:
    with_objects = any(entry["objects"] for entry in stats["classes"])
    titles = [*(_COLUMNS if with_objects else _COLUMNS[:4])]
    if with_objects:
        titles += [
            message("kept at {height} x {width}", height=height, width=width)
            for height, width in stats.get("sizes_tried", [])[:_SIZES_TRIED]
        ]
    caption = message(
        "Shares and areas: median [5 % to 95 % of them]. An object is a connected region of 4 pixels and more; smaller "
        "ones are specks. Kept: objects that still have a pixel when masks are resized."
    )
    return Table(
        head=tuple(titles),
        rows=tuple(_class_row(entry, len(titles)) for entry in stats["classes"]),
        caption=caption if with_objects else "",
        sortable=True,
    )


def _class_row(entry: Mapping[str, Any], columns: int) -> tuple[Cell, ...]:
    share, per_image, objects = entry["share"], entry["share_per_image"], entry["objects"]
    cells = [
        Cell(text=entry["name"], strong=True),
        Cell(text=percent(share), sort=share, heat=math.sqrt(share)),
        Cell(text=_NUMBERS.large(entry["images"]), sort=entry["images"]),
        Cell(text=_between(per_image, percent) if per_image else "", sort=per_image.get("median", math.nan)),
    ]
    if objects and columns > len(cells):
        area = objects["area_px"]
        cells += [
            Cell(text=_NUMBERS.large(objects["count"]), sort=objects["count"]),
            Cell(text=_NUMBERS.mean_count(objects["per_image"]), sort=objects["per_image"]),
            Cell(text=_between(area, _NUMBERS.large) if objects["count"] else "", sort=area["median"]),
            Cell(text=_NUMBERS.large(objects["specks"]), sort=objects["specks"]),
        ]
        cells += [Cell(text=percent(kept), sort=kept) for kept in objects["kept"]] if objects["count"] else []
    return tuple((cells + [Cell(text="")] * columns)[:columns])


def _between(spread: Mapping[str, float], show: Callable[[float], str]) -> str:
    """Returns `median [q05 to q95]`."""
    return message(
        "{median} [{low} \u2013 {high}]",
        median=show(spread["median"]),
        low=show(spread["q05"]),
        high=show(spread["q95"]),
    )


def _image_facts(stats: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield message("Readable images"), _NUMBERS.large(stats["images"])
    sizes = [f"{size['height']} x {size['width']} ({size['count']})" for size in stats["sizes"]]
    more = max(0, stats["distinct_sizes"] - _SIZES_LISTED)
    shown = ", ".join(sizes[:_SIZES_LISTED])
    yield message("Sizes, height x width"), message("{items} and {n} more", items=shown, n=more) if more else shown
    if stats["distinct_sizes"] > 1:
        sides = [
            message(
                "{low} to {high}, median {median}",
                low=round(side["min"]),
                high=round(side["max"]),
                median=round(side["median"]),
            )
            for side in (stats["height"], stats["width"])
        ]
        yield message("Height and width, px"), join("; ", sides)
    for key, label in _KINDS.items():
        if stats.get(key):
            yield label, ", ".join(f"{kind} {count}" for kind, count in stats[key].items())
    for key, label in _CHANNELS.items():
        if stats.get(key):
            yield label, join("; ", [_NUMBERS.score(value) for value in stats[key]])
