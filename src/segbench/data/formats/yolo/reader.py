"""YOLO's segmentation labels: a text file an image, with a class number and relative coordinates in each line."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, Unpack

from segbench.data.files.hints import set_option
from segbench.data.files.images import image_facts
from segbench.data.formats.shared.annotated import UNKNOWN, Annotated, AnnotationOptions, build_listing
from segbench.data.formats.shared.image_names import no_image, short_ids
from segbench.data.formats.shared.layout import MASK_NAME
from segbench.data.formats.shared.listing import Defect, Listing, choose, image_files, read_text, subfolders
from segbench.data.formats.shared.values import no_annotation, outside
from segbench.data.formats.yolo.files import is_label_file, label_files, label_places, names_file, read_set, yaml_files
from segbench.data.shapes.drawing import Drawing, Shape, rectangle_ring
from segbench.errors import DatasetError
from segbench.locale import message, quoted

_FARTHEST = 4.0  # in sides of the image; larger numbers are pixels, or no coordinates at all


Line: TypeAlias = tuple[int, list[str]]  # its number in the file, and what is between the blanks


def yolo(
    root: Path,
    *,
    annotations: str | None = None,
    boxes: str = "ignore",
    **shared: Unpack[AnnotationOptions],
) -> Listing:
    """Lists a YOLO segmentation set: data.yaml, images/train/NAME.jpg and labels/train/NAME.txt, or the like.

    An empty label file means that nothing is there; images without a label file are left out. Paths in data.yaml may be
    those of another machine: what can be found below the root is taken. Without data.yaml and without a list of names
    the classes are named by their numbers. A confidence at the end of every line, as of saved predictions, is dropped.

    Args:
        annotations: name of the YAML file; None takes the only one.
        boxes: what lines of a box alone (5 numbers) become: their pixels count nowhere (`ignore`), the box is drawn
            (`fill`), or they are left out, so that they are background (`skip`).
        shared: see `AnnotationOptions`.
    Raises:
        DatasetError: several data.yaml, no names in it, no images, an image in two parts, boxes only, classes that are
            counted from 1 and named from 0.
        ConfigError: an option's value.
    """
    choose(boxes, ("ignore", "fill", "skip"), "boxes")
    data = read_set(root, annotations)
    files, bare = _label_files(data.images, root)
    if not files:
        raise DatasetError(f"none of {len(data.images)} images has a label file: labels/.../NAME.txt", path=root)
    lines = [line for file in files.values() for _, line in file.lines]
    names = data.names or _numbered(lines)
    notes = list(data.notes)
    if not data.names:
        notes.append(
            message(
                "there is no data.yaml and no list of names, so that the classes are named by their numbers; name them "
                "with {option}",
                option=set_option("classes", f"{{my_name: {next(iter(names.values()), 'class_0')}}}"),
            )
        )
    confident = _have_confidence(lines)
    if confident:
        notes.append(
            message(
                "all {n} lines end with a number from 0 to 1 that belongs to no point, as predictions are saved with "
                "their confidence; it was dropped",
                n=len(lines),
            )
        )
    _check_first(lines, names, data.source, root)
    reader = _Reader(names, boxes, confident)
    ids = short_ids(list(data.images), root)
    found = [
        Annotated(id=ids[image], image=image, drawing=reader.drawing(file, image), split=data.images[image])
        for image, file in files.items()
    ]
    if reader.counts["box"] and not reader.counts["polygon"]:
        raise DatasetError(
            f"all {reader.counts['box']} lines are boxes (5 numbers), as for detection, not for segmentation; draw the "
            f"boxes with {set_option('boxes', 'fill')} if that is meant",
            path=root,
        )
    reader.defects += data.defects
    reader.defects += no_annotation(bare, "no label file; left out (an empty one would mean that nothing is there)")
    labels = {file.source for file in files.values()}
    for folder in sorted({path.parent for path in labels}):
        alone = (path for path in sorted(folder.glob("*.txt")) if path not in labels and is_label_file(path))
        reader.defects += [no_image(path, path.stem) for path in alone]
    return build_listing(root, found, shared, labels=list(names.values()), notes=notes, defects=reader.defects)


def looks_like(root: Path) -> str | None:
    """Returns by what a folder is recognised as YOLO's: data.yaml, or classes.txt, and label files; None otherwise."""
    found = yaml_files(root)
    labels = label_files(root)
    if found and (labels or any(path.is_dir() for path in (root / "labels", *root.glob("*/labels")))):
        return f"YOLO ({found[0].name})"
    if not labels:
        return None
    listed = names_file(root)
    if listed is not None:
        return f"YOLO ({listed.relative_to(root).as_posix()}, labels/)"
    if any(MASK_NAME.search(folder.name) and image_files(folder) for folder in subfolders(root)):
        return None  # boxes beside masks
    return message("YOLO without data.yaml ({file})", file=labels[0].relative_to(root).as_posix())


@dataclass(frozen=True)
class _LabelFile:
    """A label file and its lines that are not blank."""

    source: Path
    lines: list[Line]


def _label_files(images: Iterable[Path], root: Path) -> tuple[dict[Path, _LabelFile], list[Path]]:
    """Returns image -> its label file, and the images without one."""
    files: dict[Path, _LabelFile] = {}
    bare: list[Path] = []
    taken: set[Path] = set()
    for image in images:
        source = next((path for path in label_places(image, root) if path.is_file()), None)
        if source is None:
            bare.append(image)
            continue
        if source in taken:
            raise DatasetError(f"two images have this label file; {image.name} is one of them", path=source)
        taken.add(source)
        lines = enumerate(read_text(source, "the labels").splitlines(), 1)
        files[image] = _LabelFile(source, [(number, line.split()) for number, line in lines if line.strip()])
    return files, bare


def _numbered(lines: Iterable[Sequence[str]]) -> dict[int, str]:
    """Returns names for the class numbers in use, `class_0` and so on without gaps."""
    highest = max((int(parts[0]) for parts in lines if parts[0].isdecimal()), default=0)
    return {number: f"class_{number}" for number in range(highest + 1)}


def _have_confidence(lines: Sequence[Sequence[str]]) -> bool:
    """Returns whether all lines have, after class and points or box, one number more, from 0 to 1."""
    return bool(lines) and all(len(parts) >= 6 and len(parts) % 2 == 0 and _is_share(parts[-1]) for parts in lines)


def _is_share(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False


def _check_first(lines: Iterable[Sequence[str]], names: Mapping[int, str], source: Path | None, root: Path) -> None:
    """Raises DatasetError where the labels count their classes from 1 and the names are counted from 0."""
    used = {int(parts[0]) for parts in lines if parts[0].isdecimal()}
    if not used or min(used) != 1 or max(used) != len(names) or list(names) != list(range(len(names))):
        return
    listed = ", ".join(f"{number + 1}: {name}" for number, name in names.items())
    raise DatasetError(
        message(
            "the class numbers in the labels are 1 to {high}, those of the {n} names 0 to {last}: every region would "
            "get another class; write `names: {{{listed}}}` in a data.yaml, or count the labels from 0",
            high=max(used),
            n=len(names),
            last=len(names) - 1,
            listed=listed,
        ),
        path=source or root,
    )


class _Reader:
    """Reads label files, and gathers what is wrong in them; `counts` holds how many boxes and polygons."""

    def __init__(self, names: Mapping[int, str], boxes: str, confident: bool) -> None:
        self.names, self.boxes, self.confident = names, boxes, confident
        self.defects: list[Defect] = []
        self.counts: Counter[str] = Counter()

    def drawing(self, file: _LabelFile, image: Path) -> Drawing:
        """Returns the shapes of a label file in pixels of its image; a line that cannot be read becomes a defect."""
        source = file.source
        if not file.lines:
            return Drawing(source=source, key=image.stem, shapes=())
        facts = image_facts(image)
        size = (facts.height, facts.width)
        shapes: list[Shape] = []
        for number, parts in file.lines:
            shape = self._shape(parts[:-1] if self.confident else parts, size)
            if isinstance(shape, Shape):
                shapes.append(shape)
            for code, text in self._said(parts, shape):
                fatal = code != "only_box"
                lost = image if code not in ("only_box", "unknown_class") else None  # whose pixels are known
                self.defects.append(
                    Defect(code=code, path=source, where=f"line {number}", text=text, fatal=fatal, image=lost)
                )
        drawing = Drawing(source=source, key=image.stem, shapes=tuple(shapes), height=size[0], width=size[1])
        self.defects += outside(drawing)
        return drawing

    def _said(self, parts: Sequence[str], shape: Shape | tuple[str, str] | None) -> list[tuple[str, str]]:
        """Returns what is told about a line: its defect, or that only its place is known."""
        if isinstance(shape, tuple):
            return [shape]
        if shape is not None and shape.label != UNKNOWN:
            return []
        if self._label(float(parts[0])) is None:
            text = message(
                "there is no class {number}; the {n} names are those of {low} to {high}",
                number=parts[0],
                n=len(self.names),
                low=min(self.names),
                high=max(self.names),
            )
            return [("unknown_class", text)]
        return [
            (
                "only_box",
                message(
                    "only a box, which outlines nothing (it would be drawn with {option})",
                    option=set_option("boxes", "fill"),
                ),
            )
        ]

    def _label(self, number: float) -> str | None:
        return self.names.get(int(number)) if math.isfinite(number) and number.is_integer() else None

    def _shape(self, parts: Sequence[str], size: tuple[int, int]) -> Shape | tuple[str, str] | None:
        """Returns what a line draws, the defect it has, or None for a box that is left out."""
        try:
            number, *numbers = (float(part) for part in parts)
        except ValueError as error:
            return "bad_numbers", message("expected a class number and pairs x y: {error}", error=quoted(str(error)))
        label = self._label(number) or UNKNOWN
        if not all(abs(value) <= _FARTHEST for value in numbers):
            text = f"{min(numbers):g} to {max(numbers):g}"
            return "bad_numbers", message(
                "coordinates from {text}; expected 0 to 1, parts of the image's width and height", text=text
            )
        is_box = len(numbers) == 4
        if is_box:
            self.counts["box"] += 1
            x, y, width, height = numbers
            numbers = list(rectangle_ring(x - width / 2, y - height / 2, width, height))
        elif len(numbers) % 2:
            return "bad_numbers", message("expected a class number and pairs x y, got {n} numbers", n=len(parts))
        elif len(numbers) < 6:
            return "few_points", message("expected a polygon of at least 3 points, got {n}", n=len(numbers) // 2)
        self.counts["polygon"] += not is_box or self.boxes == "fill"
        if is_box and self.boxes == "skip":
            return None
        if is_box and self.boxes == "ignore":
            label = UNKNOWN
        ring = tuple(value * size[1 - index % 2] for index, value in enumerate(numbers))
        return Shape(label=label, rings=(ring,), crowd=is_box and label == UNKNOWN)
