"""What the readers of annotation files share: shapes with labels -> a listing with classes, defects and options."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypedDict

from segbench.data.files.hints import set_option, yaml_text
from segbench.data.formats.shared.asked import about_crowds, about_lines, about_outside, about_twins, filled
from segbench.data.formats.shared.drawn_classes import check_number, class_labels, class_map
from segbench.data.formats.shared.label_names import label_question
from segbench.data.formats.shared.listing import Defect, Entry, Listing, check_depth, choose, defect_notes
from segbench.data.formats.shared.pairs import with_groups
from segbench.data.formats.shared.sound import (
    RELATIVE,
    Losses,
    are_relative,
    check_shapes,
    far_away,
    is_far,
    without_background,
)
from segbench.data.shapes.drawing import Drawing, Overlap, Painting, Shape
from segbench.errors import ConfigError, DatasetError, shorten, suggest
from segbench.locale import Message, join, message, plural
from segbench.types import IGNORE_INDEX, RGB, ClassMap, SplitName, Task

OVERLAPS: tuple[Overlap, ...] = ("smaller_on_top", "later_on_top", "class_order")
CROWDS = ("ignore", "exclude", "include")
CLOSED_LINES = ("error", "fill", "draw")
UNKNOWN = "__unknown__"  # label of a region of which only the place is known: it counts nowhere
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
        closed_lines: what lines that end where they begin become: `fill` takes them for outlines, `draw` draws them as
            lines; `error` asks.
        defects: what to do about shapes that cannot be drawn, and about regions without a class: `error`, or `skip`,
            which leaves out the images of the ones and lets the others count nowhere.
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
    closed_lines: str
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
    """

    class_map: ClassMap
    index: Mapping[str, int]
    crowd: Literal["ignore", "exclude", "include"]
    overlap: Overlap

    def painting(self, drawing: Drawing, size: tuple[int, int]) -> Painting:
        """Returns what is to be drawn for an image of (H, W) pixels.

        Raises:
            DatasetError: a shape lies far outside; files without the image's size show that only here.
        """
        if any(is_far(shape, size) for shape in drawing.shapes):
            raise DatasetError(far_away(size), path=drawing.source)
        if are_relative(drawing, size):
            raise DatasetError(RELATIVE, path=drawing.source)
        shapes: list[tuple[int, Shape]] = []
        for shape in drawing.shapes:
            index = self.index.get(shape.label)
            crowd = shape.crowd and shape.label != UNKNOWN
            if index is None or (crowd and self.crowd == "exclude"):
                continue
            if crowd and self.crowd == "include":
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
        DatasetError: shapes that cannot be drawn (unless `defects: skip`), a set without labels, too many classes,
            labels that probably are one class under several names (unless `classes` says so).
        ConfigError: an option's value.
    """
    rule = _check_options(options)
    found = list(defects)
    images = [replace(item, drawing=check_shapes(item.drawing, item.image, found)) for item in images]
    found = without_background(found, frozenset(item.image for item in images if not item.drawing.shapes))
    found += _not_annotated(images, found)
    images, questions = _named(images, options, found, labels or ())
    losses = Losses(
        root=root,
        found=[defect for defect in found if defect.fatal and defect.code != "no_class"],
        shapes=sum(len(item.drawing.shapes) for item in images) + sum(_is_lost(defect) for defect in found),
        images=len(images),
    )
    skip = options.get("defects") == "skip"
    refusal = None if skip else losses.refusal(lambda defect: _place(defect, root))
    questions += [] if refusal is None else [refusal]
    left = [item for item in images if item.image not in losses.left_out]
    asked, messages = _asked(left, options)
    questions += asked
    if questions:
        raise DatasetError(join("\n", questions), path=root)
    note = losses.note()
    messages = [*notes, *([] if note is None else [note]), *messages]
    if options.get("closed_lines") == "fill":
        left = [replace(item, drawing=filled(item.drawing)) for item in left]
    images = _annotated_alone(left, messages) if options.get("unannotated") == "skip" else left
    messages += defect_notes(found, lambda defect: _place(defect, root))
    used = Counter(shape.label for item in images for shape in item.drawing.shapes if shape.label not in ("", UNKNOWN))
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
        skip_undrawn=skip,
        depth_range=check_depth(options.get("depth_range")),
    )


def _check_options(options: AnnotationOptions) -> tuple[Overlap, Literal["ignore", "exclude", "include"]]:
    overlap = choose(options.get("overlap", "smaller_on_top"), OVERLAPS, "overlap")
    crowd = choose(options.get("crowd", "ignore"), CROWDS, "crowd")
    choose(options.get("unannotated", "background"), ("background", "skip"), "unannotated")
    choose(options.get("closed_lines", "error"), CLOSED_LINES, "closed_lines")
    choose(options.get("defects", "error"), ("error", "skip"), "defects")
    return overlap, crowd  # type: ignore[return-value]  # `choose` has compared them


def _is_lost(defect: Defect) -> bool:
    return defect.fatal and defect.image is not None


def _not_annotated(images: Sequence[Annotated], found: Sequence[Defect]) -> list[Defect]:
    """Returns a defect for each image in which nothing was marked, not even what cannot be drawn."""
    marked = {defect.image for defect in found}
    return [
        Defect(
            code="no_annotation",
            path=item.drawing.source,
            where=item.drawing.key,
            text=message("the image has no annotation"),
        )
        for item in images
        if not item.drawing.shapes and item.image not in marked
    ]


def _annotated_alone(images: Sequence[Annotated], notes: list[str]) -> list[Annotated]:
    bare = [item.id for item in images if not item.drawing.shapes]
    if bare:
        notes.append(
            plural(
                "{n} image without annotations was left out: {names}",
                "{n} images without annotations were left out: {names}",
                n=len(bare),
                names=shorten(bare),
            )
        )
    return [item for item in images if item.drawing.shapes]


def _asked(images: Sequence[Annotated], options: AnnotationOptions) -> tuple[list[Message], list[str]]:
    """Returns what has to be asked about names, and about lines and crowds of the classes that are kept; and notes."""
    classes = options.get("classes")
    named = [classes] if classes is None else classes.values() if isinstance(classes, Mapping) else [list(classes)]
    kept = None if classes is None else {str(one) for labels in named for one in _as_list(labels)}
    shapes = [shape for item in images for shape in item.drawing.shapes if kept is None or shape.label in {"", *kept}]
    line, notes = about_lines(shapes, options.get("closed_lines", "error"))
    ignored = {"", UNKNOWN, *options.get("ignore", _IGNORED)}
    crowd, more = about_crowds(shapes, ignored, options.get("crowd"))
    labels = sorted({shape.label for shape in shapes} - {*ignored, *_IGNORED} if classes is None else ())
    name = label_question(labels, images=[[shape.label for shape in item.drawing.shapes] for item in images])
    wanted = {shape.label for shape in shapes} - ignored
    twins = about_twins(
        [[shape for shape in item.drawing.shapes if shape.label in wanted] for item in images],
        options.get("overlap"),
        options.get("task"),
    )
    outside = about_outside(item.drawing for item in images)
    return [question for question in (outside, name, line, crowd, twins) if question is not None], [*notes, *more]


def _as_list(labels: Any) -> list[Any]:
    return list(labels) if isinstance(labels, list | tuple) else [labels]


def _named(
    images: Sequence[Annotated], options: AnnotationOptions, found: list[Defect], declared: Sequence[str]
) -> tuple[list[Annotated], list[Message]]:
    """Returns the images with a class for every shape, and what has to be asked: `default_class`, or `object` for all.

    Shapes that stay without one are something, but nobody knows what: they count nowhere.
    """
    bare = [item for item in images if any(not shape.label for shape in item.drawing.shapes)]
    if not bare:
        return list(images), []
    number = sum(not shape.label for item in bare for shape in item.drawing.shapes)
    default = options.get("default_class")
    others = sorted({shape.label for item in images for shape in item.drawing.shapes} - {"", UNKNOWN})
    others = others or list(declared)
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
    if default is not None:
        return [item.relabelled({"": default}) for item in images], []
    question = plural(
        "{n} region in {images} has no class (known are {others}); say which class it is with {default}, or let it "
        "count nowhere with {skip}",
        "{n} regions in {images} have no class (known are {others}); say which class they are with {default}, or let "
        "them count nowhere with {skip}",
        n=number,
        images=plural("{n} image", "{n} images", n=len(bare)),
        others=shorten(others, 6),
        default=set_option("default_class", yaml_text(others[0])),
        skip=set_option("defects", "skip"),
    )
    return list(images), [] if options.get("defects") == "skip" else [question]


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
    classes = class_labels(known, options.get("classes"), ignored, root)
    left = [label for label in known if used.get(label) and not any(label in labels for labels in classes.values())]
    left = [label for label in left if label not in ignored]
    if left:
        count = sum(used[label] for label in left)
        notes.append(
            plural(
                "{n} region of a class that `classes` does not name was left out: {names}",
                "{n} regions of classes that `classes` does not name were left out: {names}",
                n=count,
                names=shorten(left),
            )
        )
    usual = next((label for label in known if label.lower() in _BACKGROUNDS), "background")
    task, background = options.get("task"), options.get("background", usual)
    if task is not None:
        choose(task, list(Task), "task")
    if background is True:
        raise ConfigError("expected the name of the background class, or false", key="data.options.background")
    multilabel = task == Task.MULTILABEL
    if isinstance(background, str) and not multilabel and background not in classes:
        classes = {background: [], **classes}
    check_number(classes, used, options.get("classes") is not None, multilabel, root)
    found = class_map(classes, background, task, colors)
    index = {label: position for position, name in enumerate(found.names) for label in classes[name]}
    index.update(dict.fromkeys([*ignored, "", UNKNOWN], IGNORE_INDEX))
    return DrawRule(class_map=found, index=index, overlap=choices[0], crowd=choices[1])


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
