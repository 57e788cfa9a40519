"""What the readers of annotation files share: shapes with labels -> a listing with classes, defects and options."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypedDict

from segbench.data.files.hints import set_option
from segbench.data.formats.shared.listing import Defect, Entry, Listing, check_depth, choose, defect_notes
from segbench.data.formats.shared.pairs import with_groups
from segbench.data.shapes.drawing import Drawing, Overlap, Painting, Shape, far_inside
from segbench.errors import ConfigError, DatasetError, shorten, suggest
from segbench.locale import message
from segbench.types import IGNORE_INDEX, RGB, ClassMap, SplitName, Task

OVERLAPS: tuple[Overlap, ...] = ("smaller_on_top", "later_on_top", "class_order")
CROWDS = ("ignore", "exclude", "include")
_MAX_CLASSES = 254
_BACKGROUNDS = ("background", "_background_", "bg")
_IGNORED = ("__ignore__",)  # LabelMe's word, which segbench writes too


class AnnotationOptions(TypedDict, total=False):
    """Options that every reader of annotation files has.

    Attributes:
        classes: labels to keep, in this order; or a mapping from class name to the labels that mean it. None keeps
            all. Regions of other labels are left out: their pixels are background.
        background: name of the class of pixels that no shape covers, by default `background` or the label called so;
            false makes them count nowhere.
        task: `multilabel` gives every class a plane of its own, so that shapes may overlap; None decides by the number
            of classes.
        overlap: which class a pixel has that shapes of several classes cover: `smaller_on_top`, `later_on_top` (in the
            file, or by the tool's drawing order) or `class_order` (later classes on top).
        crowd: what groups outlined as one object become: `ignore`, `exclude` (background) or `include`.
        ignore: labels whose regions count nowhere; by default `__ignore__`.
        default_class: class of regions without one.
        unannotated: what images without any annotation are: `background` or `skip`.
        defects: what to do about shapes that cannot be drawn, and about regions without a class: `error`, or `skip`,
            which leaves out the ones and lets the others count nowhere.
        group: regular expression with one group, searched in each id; what it captures is the sample's group.
        depth_range: grey values (low, high) of images with more than 8 bit that become 0 and 255.
    """

    classes: Sequence[str] | Mapping[str, Any] | None
    background: str | bool
    task: str | None
    overlap: str
    crowd: str
    ignore: Sequence[str]
    default_class: str | None
    unannotated: str
    defects: str
    group: str | None
    depth_range: Sequence[float] | None


@dataclass(frozen=True, kw_only=True)
class Annotated:
    """An image and its shapes; `drawing` is empty where nothing was annotated."""

    id: str
    image: Path
    drawing: Drawing
    split: SplitName | None = None
    group: str | None = None

    def relabelled(self, labels: Mapping[str, str]) -> Annotated:
        """Returns the same with other labels, as label -> new label says."""
        shapes = (
            replace(shape, label=labels[shape.label]) if shape.label in labels else shape
            for shape in self.drawing.shapes
        )
        return replace(self, drawing=replace(self.drawing, shapes=tuple(shapes)))


@dataclass(frozen=True, kw_only=True)
class DrawRule:
    """How drawings become labels: the class map of a `Listing` whose entries are drawings.

    Attributes:
        class_map: its values are class indices, and `ignore_index`.
        index: label -> class index, or `ignore_index`; labels that are left out are missing.
        crowd, overlap: see `AnnotationOptions`.
        skip_far: leave out shapes far outside of the image; files without the image's size show them only here.
    """

    class_map: ClassMap
    index: Mapping[str, int]
    crowd: Literal["ignore", "exclude", "include"]
    overlap: Overlap
    skip_far: bool = False

    def painting(self, drawing: Drawing, size: tuple[int, int]) -> Painting:
        """Returns what is to be drawn for an image of (H, W) pixels."""
        shapes: list[tuple[int, Shape]] = []
        for shape in drawing.shapes:
            index = self.index.get(shape.label)
            if index is None or (shape.crowd and self.crowd == "exclude") or (self.skip_far and _is_far(shape, size)):
                continue
            if shape.crowd and self.crowd == "include":
                shape = replace(shape, crowd=False)
            shapes.append((IGNORE_INDEX if shape.crowd else index, shape))
        used = {shape.file for _, shape in shapes}
        multilabel = self.class_map.task is Task.MULTILABEL
        background = self.class_map.background
        return Painting(
            height=size[0],
            width=size[1],
            shapes=tuple(shapes),
            base=IGNORE_INDEX if background is None else background,
            planes=self.class_map.num_classes if multilabel else 0,
            overlap=self.overlap,
            files=tuple(item for item in drawing.files if item[0] in used),
        )


def build_listing(
    root: Path,
    images: Sequence[Annotated],
    options: AnnotationOptions,
    *,
    labels: Sequence[str] | None = None,
    colors: Mapping[str, RGB] | None = None,
    notes: Sequence[str] = (),
    defects: Sequence[Defect] = (),
) -> Listing:
    """Returns the listing of annotated images: the last step of a reader.

    Args:
        options: as given to the reader.
        labels: that the file declares, in its order; None takes those in use, sorted.
        colors: label -> display colour, where the file has them.
        notes, defects: what the reader has found so far.
    Raises:
        DatasetError: shapes that cannot be drawn (unless `defects: skip`), a set without labels, too many classes.
        ConfigError: an option's value.
    """
    rule = _check_options(options)
    found = list(defects)
    images = [_sound(item, found) for item in images]
    images = _named(images, options, found, root)
    bare = [item for item in images if not item.drawing.shapes]
    messages = list(notes)
    if options.get("unannotated", "background") == "skip" and bare:
        images = [item for item in images if item.drawing.shapes]
        messages.append(f"{len(bare)} images without annotations were left out: {shorten(item.id for item in bare)}")
    fatal = [defect for defect in found if defect.fatal]
    if fatal and options.get("defects", "error") == "error":
        raise DatasetError(_fatal_text(fatal, root), path=root)
    messages += defect_notes(found, lambda defect: _place(defect, root))
    used = Counter(shape.label for item in images for shape in item.drawing.shapes if shape.label)
    declared = list(labels) if labels is not None else sorted(used)
    known = list(dict.fromkeys([*declared, *sorted(set(used) - set(declared))]))
    draw_rule = _rule(known, used, options, rule, colors or {}, root, messages)
    entries = [
        Entry(id=item.id, image=item.image, mask=item.drawing, split=item.split, group=item.group) for item in images
    ]
    return Listing(
        class_map=draw_rule.class_map,
        painter=draw_rule.painting,
        entries=with_groups(entries, options.get("group"), root),
        notes=tuple(messages),
        defects=tuple(found),
        depth_range=check_depth(options.get("depth_range")),
    )


def _check_options(options: AnnotationOptions) -> tuple[Overlap, Literal["ignore", "exclude", "include"]]:
    overlap = choose(options.get("overlap", "smaller_on_top"), OVERLAPS, "overlap")
    crowd = choose(options.get("crowd", "ignore"), CROWDS, "crowd")
    choose(options.get("unannotated", "background"), ("background", "skip"), "unannotated")
    choose(options.get("defects", "error"), ("error", "skip"), "defects")
    return overlap, crowd  # type: ignore[return-value]  # `choose` has compared them


def _sound(item: Annotated, found: list[Defect]) -> Annotated:
    """Returns the image with the shapes that can be drawn, and adds what is wrong with the others to `found`."""
    drawing = item.drawing
    if not drawing.shapes:
        found.append(
            Defect(
                code="no_annotation",
                path=drawing.source,
                where=drawing.key,
                text=message("the image has no annotation"),
            )
        )
        return item
    kept: list[Shape] = []
    for number, shape in enumerate(drawing.shapes, 1):
        problem = _wrong(shape, drawing)
        if problem is None:
            kept.append(shape)
            continue
        code, text = problem
        where = f"{drawing.key}, shape {number}"
        found.append(Defect(code=code, path=drawing.source, where=where, text=text, fatal=code != "unused_shape"))
    return item if len(kept) == len(drawing.shapes) else replace(item, drawing=replace(drawing, shapes=tuple(kept)))


def _wrong(shape: Shape, drawing: Drawing) -> tuple[str, str] | None:
    if not (shape.rings or shape.line or shape.counts or shape.file):
        return "unused_shape", message("the shape covers no pixels")
    for ring in shape.rings:
        if len(ring) % 2:
            return "bad_numbers", message("a polygon of {n} numbers; expected pairs x, y", n=len(ring))
        if len(ring) < 6:
            return "few_points", message("a polygon of {n} points; expected at least 3", n=len(ring) // 2)
    if not all(math.isfinite(sum(ring)) for ring in (*shape.rings, shape.line)):
        return "bad_numbers", message("coordinates that are no finite numbers, or far outside of the image")
    size = None if drawing.height is None or drawing.width is None else (drawing.height, drawing.width)
    if size is None:
        return None
    if _is_far(shape, size):
        return "bad_numbers", message(
            "coordinates that are no finite numbers, or far outside of the image {size}", size=size
        )
    if shape.counts and not isinstance(shape.counts, str):
        area = shape.box[2] * shape.box[3] if shape.box else size[0] * size[1]
        if sum(shape.counts) != area:
            return "bad_rle", message(
                "run lengths add up to {total} pixels, expected {area}", total=sum(shape.counts), area=area
            )
    return None


def _is_far(shape: Shape, size: tuple[int, int]) -> bool:
    return any(not far_inside(ring, size) for ring in (*shape.rings, shape.line) if ring)


def _named(images: Sequence[Annotated], options: AnnotationOptions, found: list[Defect], root: Path) -> list[Annotated]:
    """Returns the images with a class for every shape: `default_class`, or `object` where no shape has any.

    Shapes that stay without one are something, but nobody knows what: they count nowhere.
    """
    bare = [item for item in images if any(not shape.label for shape in item.drawing.shapes)]
    if not bare:
        return list(images)
    number = sum(not shape.label for item in bare for shape in item.drawing.shapes)
    default = options.get("default_class")
    others = sorted({shape.label for item in images for shape in item.drawing.shapes} - {""})
    if default is None and not others:
        default = "object"
    did = message("taken as {name!r}", name=default) if default else message("they count nowhere")
    for item in bare:
        count = sum(not shape.label for shape in item.drawing.shapes)
        found.append(
            Defect(
                code="no_class",
                path=item.drawing.source,
                where=item.drawing.key,
                text=message(
                    "{count} of {n} regions have no class; {did}", count=count, n=len(item.drawing.shapes), did=did
                ),
                fatal=default is None,
            )
        )
    if default is None and options.get("defects", "error") == "error":
        raise DatasetError(
            f"{number} regions in {len(bare)} images have no class, others have {shorten(others, 6)}; say which class "
            f"they are with {set_option('default_class', others[0])}, or let them count nowhere with "
            f"{set_option('defects', 'skip')}",
            path=root,
        )
    if default is None:
        return list(images)
    return [item.relabelled({"": default}) for item in images]


def _fatal_text(fatal: Sequence[Defect], root: Path) -> str:
    lines = [f"  {_place(defect, root)}: {defect.text}" for defect in fatal[:10]]
    more = f"\n  and {len(fatal) - 10} more" if len(fatal) > 10 else ""
    return (
        f"{len(fatal)} annotations cannot be used; mend them, or leave them out with {set_option('defects', 'skip')}:\n"
        + "\n".join(lines)
        + more
    )


def _place(defect: Defect, root: Path) -> str:
    path = defect.path.relative_to(root) if defect.path.is_relative_to(root) else defect.path
    return f"{path}, {defect.where}" if defect.where else str(path)


def _rule(
    known: Sequence[str],
    used: Mapping[str, int],
    options: AnnotationOptions,
    choices: tuple[Overlap, Literal["ignore", "exclude", "include"]],
    colors: Mapping[str, RGB],
    root: Path,
    notes: list[str],
) -> DrawRule:
    ignored = list(options.get("ignore", [label for label in known if label in _IGNORED]))
    for label in ignored:
        if label not in known:
            raise ConfigError(f"no region has the class {label!r}; {suggest(label, known)}", key="data.options.ignore")
    classes = _class_labels(known, options.get("classes"), ignored, root)
    left = [label for label in known if used.get(label) and not any(label in labels for labels in classes.values())]
    left = [label for label in left if label not in ignored]
    if left:
        count = sum(used[label] for label in left)
        notes.append(f"{count} regions of classes that `classes` does not name were left out: {shorten(left)}")
    usual = next((label for label in known if label.lower() in _BACKGROUNDS), "background")
    task, background = options.get("task"), options.get("background", usual)
    if task is not None:
        choose(task, list(Task), "task")
    if background is True:
        raise ConfigError("expected the name of the background class, or false", key="data.options.background")
    multilabel = task == Task.MULTILABEL
    if isinstance(background, str) and not multilabel and background not in classes:
        classes = {background: [], **classes}
    _check_number(classes, used, options.get("classes") is not None, multilabel, root)
    class_map = _class_map(classes, background, task, colors)
    index = {label: position for position, name in enumerate(class_map.names) for label in classes[name]}
    index.update(dict.fromkeys([*ignored, ""], IGNORE_INDEX))
    skip = options.get("defects") == "skip"
    return DrawRule(class_map=class_map, index=index, overlap=choices[0], crowd=choices[1], skip_far=skip)


def _check_number(
    classes: Mapping[str, Sequence[str]], used: Mapping[str, int], chosen: bool, multilabel: bool, root: Path
) -> None:
    if chosen and len(classes) < (1 if multilabel else 2):
        raise ConfigError(
            f"expected two classes or more, got {', '.join(classes) or 'none'}; name them, or let what no shape covers "
            "be the background",
            key="data.options.classes",
        )
    if len(classes) > _MAX_CLASSES:
        frequent: list[str] = sorted(used, key=lambda label: -used[label])
        raise DatasetError(
            f"{len(classes)} classes are too many (at most {_MAX_CLASSES}); choose with {set_option('classes')}; the "
            f"most frequent are {shorten(frequent, 12)}",
            path=root,
        )


def _class_map(
    classes: Mapping[str, Sequence[str]], background: str | bool, task: str | None, colors: Mapping[str, RGB]
) -> ClassMap:
    """Returns the classes of class name -> labels, the mask values being their places."""
    multilabel = task == Task.MULTILABEL
    names = list(classes)
    position = names.index(background) if isinstance(background, str) and background in names else None
    if task == Task.BINARY and (len(names) != 2 or position is None):
        raise ConfigError(
            f"a binary task has a background and one class, got {', '.join(names)}; choose with "
            f"{set_option('classes')}",
            key="data.options.task",
        )
    kind = Task.MULTILABEL if multilabel else Task.BINARY if len(names) == 2 and position is not None else None
    kind = Task.MULTICLASS if kind is None or task == Task.MULTICLASS else kind
    if kind is Task.BINARY and position == 1:
        names, position = names[::-1], 0
    shown = [colors.get(labels[0]) if (labels := classes[name]) else (0, 0, 0) for name in names]
    distinct = len({color for color in shown if color}) == len(names)
    return ClassMap(
        names=tuple(names),
        values=tuple((1,) if multilabel else (index,) for index in range(len(names))),
        task=kind,
        colors=tuple(color for color in shown if color) if distinct else (),
        background=None if multilabel else position,
        ignore_values=(IGNORE_INDEX,),
    )


def _class_labels(
    known: Sequence[str], classes: Sequence[str] | Mapping[str, Any] | None, ignored: Sequence[str], root: Path
) -> dict[str, list[str]]:
    """Returns class name -> labels that mean it."""
    if classes is None:
        result = {label: [label] for label in known if label not in ignored}
        if not result:
            raise DatasetError("no region has a class; there is nothing to learn", path=root)
        return result
    if isinstance(classes, Mapping):
        result = {
            str(name): [str(one) for one in labels] if isinstance(labels, list | tuple) else [str(labels)]
            for name, labels in classes.items()
        }
    else:
        result = {str(name): [str(name)] for name in classes}
    owner: dict[str, str] = {}
    for name, labels in result.items():
        for label in labels:
            if label not in known:
                raise ConfigError(
                    f"no region has the class {label!r}; {suggest(label, known)}", key=f"data.options.classes.{name}"
                )
            if label in ignored:
                raise ConfigError(
                    f"{label!r} is in `classes` and in `ignore`; it can mean one thing", key="data.options.ignore"
                )
            if label in owner:
                raise ConfigError(
                    f"{label!r} belongs to {owner[label]!r} and to {name!r}; it can mean one class",
                    key="data.options.classes",
                )
            owner[label] = name
    return result


def load_json(path: Path) -> Any:
    """Returns what a JSON file holds; DatasetError with line and column where it is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise DatasetError(
            f"damaged JSON: {error.msg} at line {error.lineno}, column {error.colno}; export it again", path=path
        ) from error
    except RecursionError as error:
        raise DatasetError("the JSON is nested too deeply to be an annotation file", path=path) from error
    except (OSError, ValueError) as error:  # not UTF-8, or a number of thousands of digits
        raise DatasetError(f"cannot read the file: {error}", path=path) from error


def wrong_key(path: Path, where: str, expected: str, got: object) -> DatasetError:
    """Returns the error for a value of another kind than the format says."""
    shown = repr(got)
    return DatasetError(f"{where}: expected {expected}, got {shown[:80]}{'...' * (len(shown) > 80)}", path=path)
