"""What an ordinary folder's masks hold when no class map fits, and which class map would."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

from segbench.data.facts.store import MaskFact
from segbench.data.files.hints import (
    LOSSY_DISTANCE,
    lossy_tolerance,
    propose_classes,
    set_format,
    set_option,
    tolerance_option,
)
from segbench.data.formats.shared.label_names import write_classes
from segbench.errors import shorten
from segbench.locale import listed, message
from segbench.types import Task

LARGEST_GUESS = 64  # more consecutive values than this are grey levels rather than classes
_MAIN_SHARE = 0.95  # of the pixels, when the other values are strays
_STRAY_SHARE = 0.05  # of the rarest main value's pixels; what holds more is rather a class
_CROWD_SHARE, _BETWEEN_SHARE = 0.02, 0.15  # of the pixels: around a class after lossy saving, and between all of them
_FEW_EACH = 4  # values for each such class, up to which all were meant
_SMOOTH_VALUES, _SMOOTH_SHARE = 8, 0.8  # smoothed edges: many values between 0 and 255, each of them rare


@dataclass
class _Found:
    pixels: int = 0
    files: list[Path] = field(default_factory=list)


def no_guess(facts: Mapping[Path, MaskFact], ignore: Iterable[object], task: Task | None, root: Path) -> str:
    """Returns why the grey values of these masks make no class map, where they are, and which options would help."""
    found = _where(facts, set(ignore))
    values = sorted(found)
    if not values and not set(ignore):
        return "the masks hold no pixels; there is nothing to learn"
    if not values:
        return "every pixel of the masks is ignored; there is nothing to learn: check the option ignore"
    if len(values) == 1:
        return (
            f"every mask holds only the value {values[0]}; there is nothing to learn. If more files will hold more, "
            f"name them with {set_option('classes', '{background: 0, foreground: 255}')}"
        )
    hold = f"the masks hold {len(values)} values: {_listed(found, len(facts), root)}"
    tolerance = lossy_tolerance(values, {0, 255})
    main = _main_values(found, task)
    strays = [value for value in values if value not in main and value != 255]
    if tolerance is not None or (main == {0, 255} and len(strays) >= _SMOOTH_VALUES and values[-1] == 255):
        distance = tolerance or max(min(value, 255 - value) for value in strays)
        cause = "all near 0 and 255, as after lossy compression (JPEG)"
        if tolerance is None:
            cause = "0 and 255 and little between, as after masks were smoothed or saved as JPEG"
        option = tolerance_option(distance)
        return f"{hold}; {cause}: set {option} to take the nearest, or save the masks as PNG without smoothing"
    if crowds := _blurred(found):
        named = {f"class_{place}" if value else "background": str(value) for place, value in enumerate(crowds)}
        return message(
            "{hold}; they crowd around {values}, as classes after lossy compression (JPEG) or smoothing: save the "
            "masks as "
            "PNG without smoothing, or take the nearest with {classes} and {tolerance}",
            hold=hold,
            values=listed([str(value) for value in crowds], 12),
            classes=set_option("classes", write_classes(named)),
            tolerance=tolerance_option(max(min(abs(value - near) for near in crowds) for value in values)),
        )
    if set(values) == {1, 2, 3}:
        return (
            f"{hold}; 1, 2, 3 without 0 is a trimap as in Oxford pets: set {set_format('oxford_pets')}, or "
            f"{set_option('classes', '{pet: 1, background: 2, border: 3}')}"
        )
    if main and strays:
        return f"{hold}; {_about_strays(found, main, strays, root)}"
    if task is Task.BINARY:
        return (
            f"task: binary needs masks with two values, but {hold}; set task: multiclass, or merge values with "
            f"{propose_classes(values)}"
        )
    if 255 in found and values[-2] <= LARGEST_GUESS and len(values) > 2:
        proposal = f"{propose_classes(values[:-1])} and {set_option('ignore', '[255]')}"
    else:
        proposal = propose_classes(values)
    return f"{hold}; they are neither 0/255, nor 0/1, nor 0..K without gaps: say what they mean with {proposal}"


def are_no_classes(facts: Mapping[Path, MaskFact], ignore: Iterable[object]) -> bool:
    """Returns whether some values make a class map of their own, and the others are slips, or blurred around them."""
    found = _where(facts, set(ignore))
    main = _main_values(found, None)
    return (bool(main) and bool(found.keys() - main - {255})) or bool(_blurred(found))


def _where(facts: Mapping[Path, MaskFact], ignore: set[object]) -> dict[int, _Found]:
    found: dict[int, _Found] = {}
    for path in sorted(facts):
        for value, pixels in facts[path].counts.items():
            if isinstance(value, int) and value not in ignore:
                entry = found.setdefault(value, _Found())
                entry.pixels += pixels
                entry.files.append(path)
    return found


def _listed(found: Mapping[int, _Found], number: int, root: Path) -> str:
    """Returns `0 (96 pixels in all 5 files), 7 (1 pixel in masks/3.png)`, the most frequent first.

    Args:
        number: of mask files.
    """

    def one(value: int) -> str:
        pixels, files = found[value].pixels, found[value].files
        first = _name(files[0], root)
        everywhere = len(files) == number > 1
        where = (
            f"all {number} files" if everywhere else first if len(files) == 1 else f"{len(files)} files, first {first}"
        )
        return f"{value} ({pixels} pixel{'s' * (pixels != 1)} in {where})"

    return shorten((one(value) for value in sorted(found, key=lambda value: -found[value].pixels)), 8)


def _main_values(found: Mapping[int, _Found], task: Task | None) -> set[int]:
    """Returns the values that make a class map of their own and hold nearly all pixels; none where there are none."""
    total = sum(entry.pixels for entry in found.values())
    run = {value for index, value in takewhile(lambda pair: pair[0] == pair[1], enumerate(sorted(found)))}
    for main in ({0, 255}, {0, 1} if task is Task.BINARY else run):
        if len(main) < 2 or not main <= set(found) or len(main) > LARGEST_GUESS:
            continue
        rarest = min(found[value].pixels for value in main)
        others = [entry.pixels for value, entry in found.items() if value not in main and value != 255]
        share = 1 - sum(others) / total
        if share >= _MAIN_SHARE and sum(others) <= _STRAY_SHARE * rarest:
            return main
        smooth = main == {0, 255} and len(others) >= _SMOOTH_VALUES and share >= _SMOOTH_SHARE
        if smooth and max(others) <= _STRAY_SHARE * rarest:
            return main
    return set()


def _blurred(found: Mapping[int, _Found]) -> list[int]:
    """Returns the three or more values around which nearly all pixels crowd, as classes after lossy saving; or none."""
    left = {value: entry.pixels for value, entry in found.items()}
    total, crowds = sum(left.values()), []
    while left:
        top = max(left, key=lambda value: left[value])
        near = [value for value in left if abs(value - top) <= LOSSY_DISTANCE]
        if sum(left[value] for value in near) < _CROWD_SHARE * total:
            break
        crowds.append(next((end for end in (0, 255) if end in near), top))  # what lies beside an end has been blurred
        left = {value: pixels for value, pixels in left.items() if value not in near}
    blurred = len(crowds) > 2 and len(found) > _FEW_EACH * len(crowds) and sum(left.values()) <= _BETWEEN_SHARE * total
    return sorted(crowds) if blurred else []


def _about_strays(found: Mapping[int, _Found], main: set[int], strays: list[int], root: Path) -> str:
    total = sum(entry.pixels for entry in found.values())
    share = 100 - 100 * sum(found[value].pixels for value in strays) / total
    order = sorted(main)
    names = " and ".join(map(str, order)) if len(order) == 2 else f"{order[0]} to {order[-1]}"
    names += ", with 255, which is ignored," if 255 in found and 255 not in main else ""
    fitting = propose_classes(order)
    if len(order) == 2:
        fitting = set_option("classes", f"{{background: 0, foreground: {order[1]}}}")
    files = sorted({path for value in strays for path in found[value].files})
    option = set_option("ignore", str(strays))
    return (
        f"{names} hold {_percent(share)} of the pixels, and {fitting} fits them: mend {_names(files, root)}, or leave "
        f"the stray pixels out with {option}"
    )


def _percent(share: float) -> str:
    return f"{share:.2f} %" if share < 99.995 else "more than 99.99 %"


def _names(files: list[Path], root: Path) -> str:
    return shorten((_name(path, root) for path in files), 5)


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
