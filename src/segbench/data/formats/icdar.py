"""ICDAR's text segmentation (Karatzas et al. 2013): masks in which every letter has a colour of its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Unpack

from segbench.data.files.images import image_facts, read_mask_values
from segbench.data.files.masks import as_color, count_values
from segbench.data.formats.shared.annotated import AnnotationOptions, build_listing
from segbench.data.formats.shared.image_names import ImageIndex, none_found, unlisted_note, with_ids
from segbench.data.formats.shared.listing import Defect, Listing, missing_folder, read_lines
from segbench.data.formats.shared.values import part_of, some_files
from segbench.data.shapes.drawing import Drawing, Shape
from segbench.errors import DatasetError
from segbench.locale import message
from segbench.types import RGB, SplitName

_TEXT, _IGNORED = "text", "__ignore__"
_PAPER: RGB = (255, 255, 255)
_LINE = re.compile(r'(#?)\s*(\d+)\s+(\d+)\s+(\d+)(\s+\d+){6}\s+".*"')
_NAMES = ("*_GT.txt", "gt_*.txt")


def icdar(root: Path, *, images: str | None = None, **shared: Unpack[AnnotationOptions]) -> Listing:
    """Lists ICDAR's text segmentation: `img_1.png` with `img_1_GT.bmp` and `img_1_GT.txt` (or `gt_img_1`); one class.

    The text file lists the colours of letters; those of lines that begin with #, and colours that it does not list,
    count nowhere. White is the background.

    Args:
        images: name of the images' folder; None looks in all of them.
        shared: see `AnnotationOptions`.
    Raises:
        DatasetError: no such files, a damaged line, a mask or its image that is not there.
        ConfigError: an option's value.
    """
    lists = sorted({path for pattern in _NAMES for path in root.rglob(pattern) if _is_own(path)})
    if not lists:
        raise missing_folder(root, "img_1_GT.txt", "ICDAR's files img_1_GT.txt and img_1_GT.bmp")
    index = ImageIndex(root, images)
    defects: list[Defect] = []
    found: dict[Path, Drawing] = {}
    splits: dict[Path, SplitName | None] = {}
    for source in lists:
        mask = _mask(source)
        path = index.place(_stem(source), source, source.name, defects)
        if path is None or mask is None:
            continue
        found[path] = _drawing(source, mask, root, defects)
        splits[path] = part_of(source.relative_to(root).parts[:-1])
    if not found:
        raise none_found(root, [_stem(source) for source in lists], lists[0], defects)
    masks = {_mask(source) for source in lists}
    left = [name for name in index.unused(found) if root / name not in masks]
    return build_listing(
        root,
        with_ids(found, root, splits),
        shared,
        labels=[_TEXT],
        notes=unlisted_note(left, "a list of letters"),
        defects=defects,
    )


def looks_like(root: Path) -> str | None:
    """Returns by what a folder is recognised as ICDAR's text segmentation: a list of letters beside a mask; or None."""
    for path in some_files(root, *_NAMES):
        if _is_own(path):
            return f"ICDAR text segmentation ({path.relative_to(root).as_posix()})"
    return None


def _is_own(path: Path) -> bool:
    """Returns whether a file has a mask beside it, and begins with the colour, place and box of a letter."""
    if _mask(path) is None:
        return False
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return any(_LINE.match(line) is not None for line, _ in zip(file, range(5), strict=False))


def _mask(source: Path) -> Path | None:
    paths = (source.with_suffix(suffix) for suffix in (".bmp", ".png"))
    return next((path for path in paths if path.is_file()), None)


def _stem(source: Path) -> str:
    return source.stem.removesuffix("_GT").removeprefix("gt_")


def _drawing(source: Path, mask: Path, root: Path, defects: list[Defect]) -> Drawing:
    colors: dict[RGB, str] = {}
    for number, line in read_lines(source, comments=False):
        match = _LINE.match(line)
        if match is None:
            raise DatasetError(
                message(
                    'line {number}: expected R G B, six numbers and "letter", got {line!r}',
                    number=number,
                    line=line[:60],
                ),
                path=source,
            )
        colors[(int(match[2]), int(match[3]), int(match[4]))] = _IGNORED if match[1] else _TEXT
    facts = image_facts(mask)
    counts, distinct = count_values(read_mask_values(mask))
    if distinct > len(counts):
        raise DatasetError(
            message("{n} colours are too many for letters: the mask was saved with losses; save it as BMP", n=distinct),
            path=mask,
        )
    pixels = {as_color(value): count for value, count in counts.items()}
    unknown = {color: count for color, count in pixels.items() if color not in colors and color != _PAPER}
    if unknown:
        text = message(
            "{n} pixels have a colour that the list of letters does not have; they count nowhere",
            n=sum(unknown.values()),
        )
        defects.append(Defect(code="unknown_class", path=source, where=mask.name, text=text))
    name = mask.relative_to(root).as_posix()
    shapes = tuple(
        Shape(label=label, file=name, coding="packed_rgb", value=color[0] + 256 * color[1] + 65536 * color[2])
        for color, label in {**colors, **dict.fromkeys(unknown, _IGNORED)}.items()
    )
    return Drawing(
        source=source,
        key=mask.name,
        shapes=shapes,
        height=facts.height,
        width=facts.width,
        files=((name, facts.sha256),),
    )
