"""YOLO's segmentation labels: a text file an image, with a class number and relative coordinates in each line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Unpack

from segbench.data.files.hints import set_option
from segbench.data.files.images import image_facts
from segbench.data.formats.shared.annotated import Annotated, AnnotationOptions, build_listing
from segbench.data.formats.shared.image_names import no_image, short_ids
from segbench.data.formats.shared.listing import Defect, Listing, choose, read_text
from segbench.data.formats.shared.values import no_annotation, outside
from segbench.data.formats.yolo.files import has_labels, is_label_file, label_places, names_file, read_set, yaml_files
from segbench.data.shapes.drawing import Drawing, Shape, rectangle_ring
from segbench.errors import DatasetError
from segbench.locale import message, quoted

_FARTHEST = 4.0  # in sides of the image; larger numbers are pixels, or no coordinates at all


def yolo(
    root: Path,
    *,
    annotations: str | None = None,
    boxes: str = "skip",
    **shared: Unpack[AnnotationOptions],
) -> Listing:
    """Lists a YOLO segmentation set: data.yaml, images/train/NAME.jpg and labels/train/NAME.txt, or the like.

    An empty label file means that nothing is there; images without a label file are left out. Paths in data.yaml may be
    those of another machine: what can be found below the root is taken.

    Args:
        annotations: name of the YAML file; None takes the only one.
        boxes: what lines of a box alone (5 numbers) become: `skip`, or `fill` to draw the box.
        shared: see `AnnotationOptions`.
    Raises:
        DatasetError: no data.yaml, no names in it, no images, an image in two parts, boxes only.
        ConfigError: an option's value.
    """
    choose(boxes, ("skip", "fill"), "boxes")
    data = read_set(root, annotations)
    ids = short_ids(list(data.images), root)
    reader = _Reader(data.names, boxes == "fill")
    found: list[Annotated] = []
    bare: list[Path] = []
    labels: set[Path] = set()
    for image, split in data.images.items():
        source = next((path for path in label_places(image, root) if path.is_file()), None)
        if source is None:
            bare.append(image)
            continue
        if source in labels:
            raise DatasetError(f"two images have this label file; {image.name} is one of them", path=source)
        labels.add(source)
        drawing = reader.drawing(source, image)
        found.append(Annotated(id=ids[image], image=image, drawing=drawing, split=split))
    if not found:
        raise DatasetError(f"none of {len(data.images)} images has a label file: labels/.../NAME.txt", path=root)
    if reader.counts["box"] and not reader.counts["polygon"]:
        raise DatasetError(
            f"all {reader.counts['box']} lines are boxes (5 numbers), as for detection, not for segmentation; draw the "
            f"boxes with {set_option('boxes', 'fill')} if that is meant",
            path=root,
        )
    reader.defects += data.defects
    reader.defects += no_annotation(bare, "no label file; left out (an empty one would mean that nothing is there)")
    for folder in sorted({path.parent for path in labels}):
        alone = (path for path in sorted(folder.glob("*.txt")) if path not in labels and is_label_file(path))
        reader.defects += [no_image(path, path.stem) for path in alone]
    return build_listing(
        root, found, shared, labels=list(data.names.values()), notes=data.notes, defects=reader.defects
    )


def looks_like(root: Path) -> str | None:
    """Returns by what a folder is recognised as YOLO's: data.yaml, or classes.txt, and label files; None otherwise."""
    found = yaml_files(root)
    if found and has_labels(root):
        return f"YOLO ({found[0].name})"
    listed = names_file(root)
    labels = (path for path in (root / "labels").rglob("*.txt") if path != listed)
    if listed is not None and (root / "labels").is_dir() and any(is_label_file(path) for path in labels):
        return f"YOLO ({listed.relative_to(root).as_posix()}, labels/)"
    return None


class _Reader:
    """Reads label files, and gathers what is wrong in them; `counts` holds how many boxes and polygons."""

    def __init__(self, names: Mapping[int, str], fill_boxes: bool) -> None:
        self.names, self.fill_boxes = names, fill_boxes
        self.defects: list[Defect] = []
        self.counts: Counter[str] = Counter()

    def drawing(self, source: Path, image: Path) -> Drawing:
        """Returns the shapes of a label file in pixels of its image; a line that cannot be read becomes a defect."""
        lines = read_text(source, "the labels").splitlines()
        filled = [(number, line.split()) for number, line in enumerate(lines, 1) if line.strip()]
        if not filled:
            return Drawing(source=source, key=image.stem, shapes=())
        facts = image_facts(image)
        size = (facts.height, facts.width)
        shapes: list[Shape] = []
        for number, parts in filled:
            shape = self._shape(parts, size)
            if isinstance(shape, Shape):
                shapes.append(shape)
                continue
            code, text = shape
            where, fatal = f"line {number}", code != "unused_shape"
            self.defects.append(Defect(code=code, path=source, where=where, text=text, fatal=fatal))
        drawing = Drawing(source=source, key=image.stem, shapes=tuple(shapes), height=size[0], width=size[1])
        self.defects += outside(drawing)
        return drawing

    def _shape(self, parts: Sequence[str], size: tuple[int, int]) -> Shape | tuple[str, str]:
        """Returns what a line draws, or the defect it has."""
        try:
            number, *numbers = (float(part) for part in parts)
        except ValueError as error:
            return "bad_numbers", message("expected a class number and pairs x y: {error}", error=quoted(str(error)))
        label = self.names.get(int(number)) if number.is_integer() else None
        if label is None:
            return "unknown_class", message(
                "there is no class {number}; there are {low} to {high}",
                number=parts[0],
                low=min(self.names),
                high=max(self.names),
            )
        if not all(abs(value) <= _FARTHEST for value in numbers):
            text = f"{min(numbers):g} to {max(numbers):g}"
            return "bad_numbers", message(
                "coordinates from {text}; expected 0 to 1, parts of the image's width and height", text=text
            )
        if len(numbers) == 4:
            self.counts["box"] += 1
            if not self.fill_boxes:
                return "unused_shape", message(
                    "only a box; left out (it would be drawn with {option})", option=set_option("boxes", "fill")
                )
            x, y, width, height = numbers
            numbers = list(rectangle_ring(x - width / 2, y - height / 2, width, height))
        elif len(numbers) % 2:
            return "bad_numbers", message("expected a class number and pairs x y, got {n} numbers", n=len(parts))
        elif len(numbers) < 6:
            return "few_points", message("expected a polygon of at least 3 points, got {n}", n=len(numbers) // 2)
        self.counts["polygon"] += 1
        return Shape(label=label, rings=(tuple(value * size[1 - index % 2] for index, value in enumerate(numbers)),))
