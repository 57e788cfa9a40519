"""The sections of the page about a data set that hold its numbers: classes and objects, images."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from segbench.doctor import Checkup
from segbench.doctor.reading import percent
from segbench.locale.texts_data import DataWords
from segbench.report.doctor_page.figures import MOST_ROWS, DotRow, dot_plot, histograms, size_plot, spread_plot
from segbench.report.document import Block, Cell, Drawing, Facts, Folded, Section, Table
from segbench.report.svg import Sketch
from segbench.types import SPLITS

_LONG_TABLE = 24
_SIZES_LISTED = 8
_SIZES_TRIED = 3


def class_section(checkup: Checkup, say: DataWords, sketch: Sketch) -> Section | None:
    """Returns shares and objects of the classes; None where nothing could be counted."""
    stats = checkup.statistics
    classes: Sequence[Mapping[str, Any]] = stats.get("classes", ())
    if not classes:
        return None
    blocks: list[Block] = [_shares(stats, say, sketch)]
    rows = tuple(_class_facts(stats, say))
    blocks += [Facts(rows=rows)] if rows else []
    areas = [entry for entry in classes if entry["objects"] and entry["objects"]["count"]]
    if areas:
        blocks.append(_areas(areas, say, sketch))
    table = _class_table(stats, say)
    long = len(classes) > _LONG_TABLE
    title = say("classes.table", classes=say.count("class", len(classes)))
    blocks.append(Folded(title=title, blocks=(table,)) if long else table)
    return Section(key="classes", title=say("classes"), blocks=tuple(blocks))


def image_section(checkup: Checkup, say: DataWords, sketch: Sketch) -> Section | None:
    """Returns sizes, kinds and brightness of the images; None where none is readable."""
    stats = checkup.statistics
    if not stats.get("images"):
        return None
    blocks: list[Block] = [Facts(rows=tuple(_image_facts(stats, say)))]
    if stats["distinct_sizes"] > 1:
        make = partial(size_plot, stats["sizes"], say("images.width"), say("images.height"))
        blocks.append(sketch.draw(make, say("images.size_label"), say("images.size_caption")))
    light = [
        (say(f"images.{what}"), stats[what]["edges"], stats[what]["counts"])
        for what in ("brightness", "contrast")
        if stats.get(what)
    ]
    if light:
        blocks.append(sketch.draw(partial(histograms, light, say("images.axis")), say("images.light_label")))
    return Section(key="images", title=say("images"), blocks=tuple(blocks))


def _shares(stats: Mapping[str, Any], say: DataWords, sketch: Sketch) -> Drawing:
    """Returns the figure of the classes' shares, in each part where the data set has parts."""
    classes, parts = stats["classes"], stats.get("parts", {})
    order = sorted(range(len(classes)), key=lambda place: -classes[place]["share"])[:MOST_ROWS]
    named = [part for part in (*SPLITS, "-") if part in parts]
    split = bool(set(named) - {"-"})
    rows = [
        DotRow(
            name=classes[place]["name"],
            values=tuple(parts[part]["shares"][place] for part in named) if split else (classes[place]["share"],),
        )
        for place in order
    ]
    kinds = [f"{say(f'part.{part}')} ({parts[part]['images']})" for part in named] if split else [""]
    caption = say("classes.shares_all")
    if len(order) < len(classes):
        caption = say("classes.shares_caption", n=len(order), total=len(classes))
    return sketch.draw(partial(dot_plot, rows, kinds, say("classes.shares")), say("classes.shares_label"), caption)


def _areas(classes: Sequence[Mapping[str, Any]], say: DataWords, sketch: Sketch) -> Drawing:
    most = sorted(classes, key=lambda entry: -entry["objects"]["count"])[:MOST_ROWS]
    rows = [(entry["name"], entry["objects"]["area_px"]) for entry in most]
    return sketch.draw(
        partial(spread_plot, rows, say("classes.areas")), say("classes.areas"), say("classes.areas_caption")
    )


def _class_facts(stats: Mapping[str, Any], say: DataWords) -> Iterator[tuple[str, str]]:
    if stats.get("foreground"):
        yield say("classes.foreground"), _between(stats["foreground"], percent)
    if stats.get("ignored_share"):
        yield say("classes.ignored"), percent(stats["ignored_share"])


def _class_table(stats: Mapping[str, Any], say: DataWords) -> Table:
    sizes = stats.get("sizes_tried", [])[:_SIZES_TRIED]
    head = ["name", "share", "images", "per_image", "objects", "objects_per_image", "area", "specks"]
    with_objects = any(entry["objects"] for entry in stats["classes"])
    titles = [say(f"classes.{key}") for key in (head if with_objects else head[:4])]
    if with_objects:
        titles += [say("classes.kept", height=height, width=width) for height, width in sizes]
    return Table(
        head=tuple(titles),
        rows=tuple(_class_row(entry, say, len(titles)) for entry in stats["classes"]),
        caption=say("classes.caption") if with_objects else "",
        sortable=True,
    )


def _class_row(entry: Mapping[str, Any], say: DataWords, columns: int) -> tuple[Cell, ...]:
    share, per_image, objects = entry["share"], entry["share_per_image"], entry["objects"]
    cells = [
        Cell(text=entry["name"], strong=True),
        Cell(text=percent(share), sort=share, heat=math.sqrt(share)),
        Cell(text=say.large(entry["images"]), sort=entry["images"]),
        Cell(text=_between(per_image, percent) if per_image else "", sort=per_image.get("median", math.nan)),
    ]
    if objects and columns > len(cells):
        area = objects["area_px"]
        cells += [
            Cell(text=say.large(objects["count"]), sort=objects["count"]),
            Cell(text=say.mean_count(objects["per_image"]), sort=objects["per_image"]),
            Cell(text=_between(area, say.large) if objects["count"] else "", sort=area["median"]),
            Cell(text=say.large(objects["specks"]), sort=objects["specks"]),
        ]
        cells += [Cell(text=percent(kept), sort=kept) for kept in objects["kept"]] if objects["count"] else []
    return tuple((cells + [Cell(text="")] * columns)[:columns])


def _between(spread: Mapping[str, float], show: Any) -> str:
    """Returns `median [q05 to q95]`."""
    return f"{show(spread['median'])} [{show(spread['q05'])} \u2013 {show(spread['q95'])}]"


def _image_facts(stats: Mapping[str, Any], say: DataWords) -> Iterator[tuple[str, str]]:
    yield say("images.number"), say.large(stats["images"])
    sizes = [f"{size['height']} x {size['width']} ({size['count']})" for size in stats["sizes"][:_SIZES_LISTED]]
    more = stats["distinct_sizes"] - len(sizes)
    told = ", ".join(sizes)
    yield say("images.sizes"), say("images.more_sizes", sizes=told, n=more) if more > 0 else told
    if stats["distinct_sizes"] > 1:
        sides = (stats["height"], stats["width"])
        yield (
            say("images.sides"),
            "; ".join(
                say("images.range", low=round(one["min"]), high=round(one["max"]), median=round(one["median"]))
                for one in sides
            ),
        )
    for key in ("kinds", "modes", "mask_kinds"):
        if stats.get(key):
            yield say(f"images.{key}"), ", ".join(f"{kind} {count}" for kind, count in stats[key].items())
    for key in ("mean", "std"):
        if stats.get(key):
            yield say(f"images.{key}"), ", ".join(f"{value:.3f}" for value in stats[key])
