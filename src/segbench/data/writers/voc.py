"""Pascal VOC: JPEGImages, SegmentationClass (palette PNG, 255 ignored), lists of names, and the classes' names."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from segbench.data.formats.voc.classes import BORDER, voc_color
from segbench.data.writers.common import ImagePlacer, Labelled, WriteOptions, Written, split_order, write_mask
from segbench.errors import ConfigError, shorten
from segbench.types import RGB, ClassMap, SplitName

_BACKGROUND = "background"
_LISTS = Path("ImageSets", "Segmentation")
_IGNORED_NAMES = ("__ignore__", "ignored", "ignore", "void")  # which readers take for pixels that count nowhere


def voc(target: Path, samples: Iterable[Labelled], class_map: ClassMap, options: WriteOptions) -> Written:
    """Writes masks of class indices; `labelmap.txt` names them, in this order, with their colours.

    The background class is called `background`, by which VOC's readers know it.
    """
    images = ImagePlacer(target, options)
    classes, colors = _names(class_map), _colors(class_map)
    listed: dict[SplitName | None, list[str]] = {}
    for sample in samples:
        images.place(sample, "JPEGImages")
        write_mask(target / "SegmentationClass" / f"{sample.name}.png", sample.labels, dict(enumerate(colors)))
        blank = any(sign.isspace() for sign in sample.name)
        listed.setdefault(sample.split, []).append(f'"{sample.name}"' if blank else sample.name)
    (target / _LISTS).mkdir(parents=True, exist_ok=True)
    for split in split_order(listed):
        _write_lines(target / _LISTS / f"{split or 'default'}.txt", listed[split])
    rows = [f"{name}:{','.join(map(str, color))}::" for name, color in zip(classes, colors, strict=True)]
    _write_lines(target / "labelmap.txt", ["# label:color_rgb:parts:actions", *rows])
    renamed = [
        f"the class {old} is called {new}" for old, new in zip(class_map.names, classes, strict=True) if old != new
    ]
    return Written(format="voc", options={}, images=images.placed, names=classes, notes=tuple(renamed))


def _names(class_map: ClassMap) -> tuple[str, ...]:
    odd = [name for name in class_map.names if ":" in name or name.lower() in _IGNORED_NAMES or name.startswith("#")]
    if odd:
        raise ConfigError(f"names that mean something else in labelmap.txt: {shorten(odd)}", key="data.options.classes")
    if class_map.background is None or "background" in class_map.names:
        return class_map.names
    return tuple(_BACKGROUND if index == class_map.background else name for index, name in enumerate(class_map.names))


def _colors(class_map: ClassMap) -> tuple[RGB, ...]:
    """Returns the display colours where they tell the classes apart, else VOC's."""
    if len({*class_map.colors, BORDER}) == class_map.num_classes + 1:
        return class_map.colors
    return tuple(voc_color(index) for index in range(class_map.num_classes))


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
