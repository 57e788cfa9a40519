"""CVAT's XML: "CVAT for images 1.1" of tasks and projects, and "CVAT for video 1.1" with tracks."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Unpack
from xml.etree.ElementTree import Element

from segbench.data.files.hints import set_option, yaml_text
from segbench.data.formats.cvat.shapes import shapes_or_defect
from segbench.data.formats.cvat.tracks import shapes_by_frame
from segbench.data.formats.shared.agreement import check_agreement, read_together
from segbench.data.formats.shared.annotated import UNKNOWN, AnnotationOptions, build_listing
from segbench.data.formats.shared.image_names import (
    ImageIndex,
    choose_file,
    head,
    matching,
    no_image,
    none_found,
    unlisted_note,
    with_ids,
)
from segbench.data.formats.shared.layout import SPLIT_WORDS
from segbench.data.formats.shared.listing import Defect, Listing, subfolders
from segbench.data.formats.shared.values import outside
from segbench.data.formats.shared.xml import load_xml
from segbench.data.shapes.drawing import Drawing, Shape
from segbench.errors import DatasetError, shorten, suggest
from segbench.locale import message
from segbench.types import RGB, SplitName

_KIND = "CVAT's annotations (annotations.xml, of CVAT for images 1.1 or for video 1.1)"
_SNIFFED = 50  # XML files looked into; a folder with more has one file an image


def cvat(
    root: Path,
    *,
    annotations: str | None = None,
    images: str | None = None,
    width_px: float = 1.0,
    **shared: Unpack[AnnotationOptions],
) -> Listing:
    """Lists what CVAT exports as "CVAT for images 1.1" or "CVAT for video 1.1": an XML file, and images anywhere below.

    Polygons, boxes and ellipses (also turned ones), masks, polylines and points are drawn; tracks are interpolated
    between their key frames. The subsets Train, Validation and Test are the official parts. Several files, as of tasks
    in folders of their own, are one set where they have classes in common.

    Args:
        annotations: name or pattern of the XML files; None takes all of them.
        images: name of the images' folder; None looks in all of them.
        width_px: of polylines and points, in pixels.
        shared: see `AnnotationOptions`.
    Raises:
        DatasetError: no file, files that have no class in common, damaged XML, no image of it there.
        ConfigError: an option's value.
    """
    sources = _candidates(root) if annotations is None else matching(root, annotations, _KIND)
    trees = {source: _tree(source) for source in sources or [choose_file([], None, root, _KIND)]}
    if annotations is None:
        check_agreement({source: _labels(tree)[0] for source, tree in trees.items()}, root)
    reader = _Reader(root, images, width_px)
    for source, tree in trees.items():
        reader.read(source, tree)
    if not reader.drawings:
        raise none_found(root, reader.names, next(iter(trees)), reader.defects)
    whole = ImageIndex(root, images)
    names = [source.relative_to(root).as_posix() for source in trees]
    reader.notes += unlisted_note(whole.unused(reader.drawings), shorten(names, 4))
    if len(trees) > 1:
        reader.notes.append(read_together(trees, root))
    labels: list[str] = []
    colors: dict[str, RGB] = {}
    for tree in trees.values():
        declared, shown = _labels(tree)
        labels += [name for name in declared if name not in labels]
        colors = {**shown, **colors}
    found = with_ids(reader.drawings, root, reader.splits)
    return build_listing(
        root, found, shared, labels=labels or None, colors=colors, notes=reader.notes, defects=reader.defects
    )


def looks_like(root: Path) -> str | None:
    """Returns by what a folder is recognised as a CVAT export: an XML file with its first elements; None otherwise."""
    found = _candidates(root)
    return f"CVAT ({found[0].relative_to(root).as_posix()})" if found else None


def _candidates(root: Path) -> list[Path]:
    folders = [root, *subfolders(root)]
    files = [path for folder in folders for path in sorted(folder.glob("*.xml"))[:_SNIFFED]]
    return [path for path in files if re.search(r"<annotations>\s*(<version>|<meta>|<image |<track )", head(path))]


def _tree(source: Path) -> Element:
    tree = load_xml(source)
    if tree.tag != "annotations":
        raise DatasetError(f"expected the element <annotations>, got <{tree.tag}>; this is no CVAT export", path=source)
    return tree


class _Reader:
    """Reads one file after the other, and gathers what they draw, and what is wrong in them."""

    def __init__(self, root: Path, images: str | None, width_px: float) -> None:
        self.root, self.images, self.width_px = root, images, width_px
        self.drawings: dict[Path, Drawing] = {}
        self.splits: dict[Path, SplitName | None] = {}
        self.names: list[str] = []
        self.notes: list[str] = []
        self.defects: list[Defect] = []

    def read(self, source: Path, tree: Element) -> None:
        """Adds what a file draws."""
        index = self._index(source)
        labels = frozenset(_labels(tree)[0])
        video = tree.find("track") is not None
        drawings = self._video(tree, source, index) if video else self._images(tree, source, index)
        for path, drawing in drawings.items():
            if path in self.drawings:
                raise DatasetError(
                    message(
                        "{image} is in {one} and in {other}; annotate an image once, or choose one file with {option}",
                        image=path.relative_to(self.root).as_posix(),
                        one=self.drawings[path].source.relative_to(self.root).as_posix(),
                        other=source.relative_to(self.root).as_posix(),
                        option=set_option("annotations", yaml_text(source.relative_to(self.root).as_posix())),
                    ),
                    path=self.root,
                )
            self.drawings[path] = _known(drawing, labels, self.defects) if labels else drawing
            self.defects += outside(drawing)

    def _index(self, source: Path) -> ImageIndex:
        """Returns the images that a file may mean: those of its own folder, where it holds any, else all."""
        if self.images is None and source.parent != self.root:
            index = ImageIndex(self.root, source.parent.relative_to(self.root).as_posix())
            if index.files:
                return index
        return ImageIndex(self.root, self.images)

    def _images(self, tree: Element, source: Path, index: ImageIndex) -> dict[Path, Drawing]:
        elements = tree.findall("image")
        if not elements:
            raise DatasetError(
                "expected <image> or <track> elements, got none; export the task with annotations", path=source
            )
        drawings: dict[Path, Drawing] = {}
        of_task = tree.findtext("meta/task/subset") or tree.findtext("meta/job/subset") or ""
        for number, element in enumerate(elements, 1):
            name = element.get("name")
            if not name:
                raise DatasetError(f"<image> {number}: expected the attribute name", path=source)
            self.names.append(name)
            subset = element.get("subset") or of_task
            path = index.place(name, source, name, self.defects, folder=subset)
            if path is None:
                continue
            key = f"{subset}/{name}" if subset else name
            if path in drawings:
                raise DatasetError(
                    f"<image> {number}: {key!r} is the same file as {drawings[path].key!r}, {path.name}; annotate an "
                    "image once",
                    path=source,
                )
            drawings[path] = Drawing(
                source=source,
                key=key,
                shapes=tuple(self._shapes(element, source, key, path)),
                height=_size(element, "height", source, key),
                width=_size(element, "width", source, key),
            )
            self.splits[path] = SPLIT_WORDS.get(subset.lower())
        return drawings

    def _shapes(self, image: Element, source: Path, key: str, path: Path) -> Iterator[Shape]:
        for number, element in enumerate(image, 1):
            if element.tag == "tag":
                continue
            where, label = f"{key}, <{element.tag}> {number}", element.get("label", "")
            yield from shapes_or_defect(
                element.tag, element.attrib, label, source, where, self.width_px, path, self.defects
            )

    def _video(self, tree: Element, source: Path, index: ImageIndex) -> dict[Path, Drawing]:
        frames = _frames(tree, index)
        size = tree.find("meta//original_size")
        height = None if size is None else _size(size, "height", source, "original_size")
        width = None if size is None else _size(size, "width", source, "original_size")
        if not frames:
            raise DatasetError(
                "expected the frames of the video as images whose names end in the frame's number (frame_000010.png), "
                "but there are none below this folder; export with 'Save images', or cut the video into frames",
                path=index.root,
            )
        shapes = shapes_by_frame(tree.findall("track"), frames, source, self.width_px, self.defects)
        lost = sorted(set(_key_frames(tree)) - set(frames))
        self.defects += [no_image(source, f"frame {frame}") for frame in lost]
        self.notes.append(
            f"{len(frames)} frames of one video: neighbours look alike, so parts divided at random flatter; keep "
            "stretches of it together with the option group"
        )
        return {
            path: Drawing(source=source, key=f"frame {frame}", shapes=tuple(shapes[frame]), height=height, width=width)
            for frame, path in frames.items()
        }


def _frames(tree: Element, index: ImageIndex) -> dict[int, Path]:
    """Returns frame number -> image for the frames of the task, in order."""
    bounds = [tree.findtext(f"meta//{name}", "") for name in ("start_frame", "stop_frame")]
    first, last = (int(text) if text.isdigit() else None for text in bounds)
    frames: dict[int, Path] = {}
    for path in index.files:
        number = re.search(r"(\d+)$", path.stem)
        if number is None:
            continue
        frame = int(number[1])
        if frame in frames:
            raise DatasetError(
                f"{frames[frame].name} and {path.name} are both frame {frame}; name the folder of the video's images "
                "with the option images",
                path=index.root,
            )
        if (first is None or frame >= first) and (last is None or frame <= last):
            frames[frame] = path
    return dict(sorted(frames.items()))


def _key_frames(tree: Element) -> Iterator[int]:
    for element in tree.iterfind("track/*"):
        frame = element.get("frame", "")
        if frame.isdigit() and element.get("outside") != "1":
            yield int(frame)


def _known(drawing: Drawing, labels: Collection[str], defects: list[Defect]) -> Drawing:
    """Returns the drawing with the shapes of classes that the file does not declare counting nowhere, and told."""
    unknown = sorted({shape.label for shape in drawing.shapes} - {"", *labels})
    for label in unknown:
        text = message(
            "the class {label!r} is none of those that the file declares; {known}",
            label=label,
            known=suggest(label, labels),
        )
        defects.append(Defect(code="unknown_class", path=drawing.source, where=drawing.key, text=text, fatal=True))
    shapes = (replace(shape, label=UNKNOWN) if shape.label in unknown else shape for shape in drawing.shapes)
    return replace(drawing, shapes=tuple(shapes)) if unknown else drawing


def _labels(tree: Element) -> tuple[list[str], dict[str, RGB]]:
    """Returns the names and colours that the task or project declares; parts of skeletons are not classes."""
    names: list[str] = []
    colors: dict[str, RGB] = {}
    for element in tree.iterfind("meta//labels/label"):
        name = element.findtext("name", "")
        if not name or element.find("parent") is not None or name in names:
            continue
        names.append(name)
        color = element.findtext("color", "")
        if re.fullmatch(r"#[0-9a-fA-F]{6}", color):
            red, green, blue = bytes.fromhex(color[1:])
            colors[name] = (red, green, blue)
    return names, colors


def _size(element: Element, name: str, source: Path, key: str) -> int:
    text = element.get(name) or element.findtext(name) or ""
    if not text.isdigit() or int(text) < 1:
        raise DatasetError(f"{key}: expected {name}, a whole number of pixels, got {text!r}", path=source)
    return int(text)
