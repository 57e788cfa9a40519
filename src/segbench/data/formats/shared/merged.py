"""Several mask files an image, one an object: their union is the mask."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from segbench.data.facts.store import FactStore, MaskFact
from segbench.data.files.hints import set_option
from segbench.data.shapes.drawing import Drawing, Painting, Shape
from segbench.errors import DatasetError, shorten
from segbench.locale import message
from segbench.types import ClassMap

_OBJECT = "object"


@dataclass(frozen=True, kw_only=True)
class Merged:
    """The drawings of images with several mask files, and how they become labels."""

    class_map: ClassMap
    drawings: Mapping[str, Drawing]

    def painting(self, drawing: Drawing, size: tuple[int, int]) -> Painting:
        """Returns what is to be drawn for an image of (H, W) pixels."""
        return Painting(
            height=size[0],
            width=size[1],
            shapes=tuple((1, shape) for shape in drawing.shapes),
            files=drawing.files,
        )


def merge_masks(
    masks: Mapping[str, Sequence[Path]], root: Path, rule: Callable[[Mapping[Path, MaskFact]], ClassMap]
) -> Merged:
    """Returns the drawings: any value but 0 of any of an image's files is the object.

    Args:
        masks: id -> mask files.
        rule: of the class map, as for ordinary masks; it has to come to two classes.
    Raises:
        DatasetError: files that cannot be read, hold more than 0 and one other value, or differ in size.
    """
    paths = [path for files in masks.values() for path in files]
    store = FactStore(root)
    facts, problems = store.masks(paths)
    store.save()
    if problems:
        path, reason = problems[0]
        raise DatasetError(
            message("{n} mask files cannot be read, the first because: {reason}", n=len(problems), reason=reason),
            path=path,
        )
    more = [path for path, fact in facts.items() if not _is_object(fact)]
    if more:
        raise DatasetError(
            message(
                "several mask files of an image are merged where each holds 0 and one other value, but {n} of {total} "
                "hold more (such as {names}); mend them, or choose one file an image with {option}",
                n=len(more),
                total=len(paths),
                names=shorten((path.name for path in more), 4),
                option=set_option("mask_suffix"),
            ),
            path=root,
        )
    class_map = rule({path: replace(fact, counts=_as_binary(fact), palette={}) for path, fact in facts.items()})
    if len(class_map.names) != 2:
        raise DatasetError(
            message(
                "several mask files of an image are merged into one class beside the background, got {names}",
                names=", ".join(class_map.names),
            ),
            path=root,
        )
    return Merged(
        class_map=replace(class_map, values=((0,), (1,)), ignore_values=()),
        drawings={name: _drawing(name, files, facts, root) for name, files in masks.items()},
    )


def _is_object(fact: MaskFact) -> bool:
    return fact.distinct <= 2 and sum(value not in (0, (0, 0, 0)) for value in fact.counts) <= 1


def _as_binary(fact: MaskFact) -> dict[int | tuple[int, int, int], int]:
    empty = sum(pixels for value, pixels in fact.counts.items() if value in (0, (0, 0, 0)))
    return {0: empty, 1: fact.height * fact.width - empty}


def _drawing(name: str, files: Sequence[Path], facts: Mapping[Path, MaskFact], root: Path) -> Drawing:
    sizes = {(facts[path].height, facts[path].width) for path in files}
    if len(sizes) > 1:
        raise DatasetError(
            message("the mask files of {name} differ in size: {sizes}", name=name, sizes=shorten(map(str, sizes))),
            path=files[0],
        )
    height, width = sizes.pop()
    names = [path.relative_to(root).as_posix() for path in files]
    return Drawing(
        source=files[0],
        key=name,
        shapes=tuple(Shape(label=_OBJECT, file=file, coding="nonzero") for file in names),
        height=height,
        width=width,
        files=tuple((file, facts[path].sha256) for file, path in zip(names, files, strict=True)),
    )
