"""Masks in colours: which there are, and the `classes` that would read them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path

from segbench.data.files.hints import describe_value, yaml_text
from segbench.data.files.masks import MAX_COLORS, as_color, has_colors, value_classes
from segbench.doctor.code import Code, Title
from segbench.doctor.finding import Finding, Severity
from segbench.doctor.reading import Reading, percent
from segbench.locale import join, listed, message
from segbench.types import IGNORE_INDEX, RGB, MaskValue

_STRAY = 1e-3  # of the pixels: a rarer colour is rather a smoothed edge than a class
_MIXED = 1e-2  # of the pixels: a rarer colour between two others is so too
_STEPS = 4  # colours between two others, from which on they come from smoothing
_ROUNDING = 4.0  # of a mixture's channels
_LISTED = 24
_USUAL = 20  # last class number of Pascal VOC


TOO_MANY_COLORS = Code(
    "too_many_colors",
    Severity.ERROR,
    Title(
        "{n} mask of more than {most} colours: a photograph, or saved with losses",
        "{n} masks of more than {most} colours: photographs, or saved with losses",
    ),
    means=message("So many colours cannot each stand for a class."),
    advice=message("check which folder holds the masks; save them as PNG without smoothing"),
)
COLOR_MASKS = Code(
    "color_masks",
    Severity.WARNING,
    Title("the masks are colour images of {n} colour", "the masks are colour images of {n} colours"),
    means=message("Each colour stands for a class."),
    advice=message("name the colours in the config, under data.options.classes"),
    otherwise=Severity.INFO,
    when=message("where the classes are named already"),
)
STRAY_COLORS = Code(
    "stray_colors",
    Severity.WARNING,
    Title(
        "{n} colour on less than {share} of the pixels: smoothed edges, or a slip",
        "{n} colours on less than {share} of the pixels each: smoothed edges, or slips",
    ),
    means=message("Smoothing mixes the colours of two classes along their border; such a mixture means nothing."),
    advice=message("save the masks without smoothing, or name the colours in `classes` if they were meant"),
)
PALETTE_AS_COLORS = Code(
    "palette_as_colors",
    Severity.INFO,
    Title("the colours are those of Pascal VOC's palette, classes {classes}: a palette image saved as RGB"),
    means=message("The class number can be had back from the colour without loss."),
    advice=message("save the masks as index PNG again; `segbench data check --fix` does so"),
)
CODES = (TOO_MANY_COLORS, COLOR_MASKS, STRAY_COLORS, PALETTE_AS_COLORS)


def check(reading: Reading) -> list[Finding]:
    """Returns what is to be said about masks that hold colours."""
    paths = [path for path in sorted(reading.used_masks) if path in reading.masks and reading.masks[path].is_rgb]
    if not paths:
        return []
    found = _colors(reading)
    if len(found) > MAX_COLORS:
        return [
            TOO_MANY_COLORS.about(
                reading,
                paths,
                most=MAX_COLORS,
                detail=message("The most frequent: {colors}.", colors=_shares(found, 8, sum(found.values()))),
                pictures=reading.portraits(paths, "values"),
            )
        ]
    return [*_proposal(reading, found, paths), *_strays(reading, found), *_palette(reading, found, paths)]


def _colors(reading: Reading) -> dict[RGB, int]:
    """Returns pixels a colour, the most frequent first; greys of colourless files count as colours."""
    found: Counter[RGB] = Counter()
    for path in sorted(reading.used_masks & reading.masks.keys()):
        found.update({as_color(value): pixels for value, pixels in reading.masks[path].in_colors().items()})
    return dict(found.most_common())


def _shares(found: dict[RGB, int], limit: int, total: int) -> str:
    return listed(
        [
            message(
                "{color} on {pixels} pixels ({share})",
                color=describe_value(color),
                pixels=pixels,
                share=percent(pixels / total),
            )
            for color, pixels in found.items()
        ],
        limit,
    )


def proposal_yaml(found: dict[RGB, int], names: Mapping[MaskValue, str]) -> str:
    """Returns the option `classes` as lines of YAML, a colour a line, with its share as a comment.

    Args:
        found: color -> pixels.
        names: that the classes have already.
    """
    total = sum(found.values())
    lines = []
    for place, (color, pixels) in enumerate(found.items()):
        name = names.get(color, "background" if color == (0, 0, 0) else f"class_{place}")
        lines.append(f"    {yaml_text(name)}: {list(color)}  # {percent(pixels / total)}")
    return "\n".join(["options:", "  classes:", *lines[:_LISTED]])


def _proposal(reading: Reading, found: dict[RGB, int], paths: Sequence[Path]) -> Iterator[Finding]:
    rare = _rare(found)
    frequent = {color: pixels for color, pixels in found.items() if color not in rare}
    class_map = reading.class_map
    known = class_map is not None and has_colors(class_map)
    places = value_classes(class_map) if class_map is not None and known else {}
    names = {color: reading.known_map.names[place] for color, place in places.items() if place != IGNORE_INDEX}
    yield COLOR_MASKS.about(
        reading,
        paths,
        n=len(found),
        otherwise=known,
        detail=join("", [_shares(found, _LISTED, sum(found.values())), "."]),
        advice=message(
            "each colour stands for a class; name them in the config:\n{yaml}", yaml=proposal_yaml(frequent, names)
        ),
        pictures=reading.portraits(paths, "values"),
    )


def _rare(found: Mapping[RGB, int]) -> set[RGB]:
    """Returns colours that are rather smoothed edges than classes: very rare ones, and rare mixtures of two others."""
    total = sum(found.values())
    rare = {color for color, pixels in found.items() if pixels < _STRAY * total}
    common = [color for color, pixels in found.items() if pixels >= _MIXED * total]
    few = [color for color, pixels in found.items() if pixels < _MIXED * total]
    for two in combinations(common, 2):
        between = [color for color in few if _is_mixture(color, *two)]
        if len(between) >= _STEPS:  # fewer may be classes that somebody gave such a colour
            rare.update(between)
    return rare


def _is_mixture(color: RGB, one: RGB, other: RGB) -> bool:
    """Returns whether a colour lies on the line between two others, but for rounding."""
    steps = [end - start for start, end in zip(one, other, strict=True)]
    length = sum(step * step for step in steps)
    along = sum((here - start) * step for here, start, step in zip(color, one, steps, strict=True)) / length
    return 0 < along < 1 and all(
        abs(start + along * step - here) <= _ROUNDING for here, start, step in zip(color, one, steps, strict=True)
    )


def _strays(reading: Reading, found: dict[RGB, int]) -> Iterator[Finding]:
    total = sum(found.values())
    class_map = reading.class_map
    known = value_classes(class_map) if class_map is not None and has_colors(class_map) else {}
    rare = _rare(found) - known.keys()
    if not rare or len(found) - len(rare) < 2:
        return
    paths = [
        path
        for path in reading.used_masks & reading.masks.keys()
        if any(value in rare for value in reading.masks[path].in_colors())
    ]
    targets = [list(color) for color in found if color not in rare]
    yield STRAY_COLORS.about(
        reading,
        paths,
        n=len(rare),
        share=percent(_MIXED),
        detail=join("", [_shares({color: found[color] for color in found if color in rare}, 8, total), "."]),
        pictures=reading.portraits(paths, "values"),
        fixes=reading.fixes("snap_values", paths, "rare colours", values=targets),
    )


def _palette(reading: Reading, found: dict[RGB, int], paths: Sequence[Path]) -> Iterator[Finding]:
    """Finds masks that were a palette image once: their colours are those of the first numbers of the usual one."""
    numbers = {_usual_color(index): index for index in range(256)}
    indices = sorted(numbers[color] for color in found if color in numbers)
    if len(indices) < len(found) or len(found) < 3 or max(set(indices) - {255}) > _USUAL:
        return
    mapping = [[list(_usual_color(index)), index] for index in indices]
    yield PALETTE_AS_COLORS.about(
        reading,
        paths,
        classes=listed([str(index) for index in indices], 22),
        fixes=reading.fixes("map_colors", paths, "palette saved as RGB", mapping=mapping),
    )


def _usual_color(index: int) -> RGB:
    """Returns Pascal VOC's colour of a class number: its bits, spread over the high bits of the three channels."""
    channels = [0, 0, 0]
    for shift in range(8):
        for place in range(3):
            channels[place] |= (index >> (3 * shift + place) & 1) << (7 - shift)
    return (channels[0], channels[1], channels[2])
