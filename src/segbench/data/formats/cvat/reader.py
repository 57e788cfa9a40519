"""CVAT's XML: "CVAT for images 1.1" of tasks and projects, and "CVAT for video 1.1" with tracks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Unpack
from xml.etree.ElementTree import Element

from segbench.data.formats.cvat.shapes import read_shape
from segbench.data.formats.cvat.tracks import shapes_by_frame
from segbench.data.formats.shared.annotated import Annotated, AnnotationOptions, build_listing
from segbench.data.formats.shared.image_names import (
    ImageIndex,
    choose_file,
    head,
    no_image,
    none_found,
    unlisted_note,
    with_ids,
)
from segbench.data.formats.shared.layout import SPLIT_WORDS
from segbench.data.formats.shared.listing import Defect, Listing
from segbench.data.formats.shared.xml import load_xml
from segbench.data.shapes.drawing import Drawing, Shape
from segbench.errors import DatasetError, suggest
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
    between their key frames. The subsets Train, Validation and Test are the official parts.

    Args:
        annotations: name or pattern of the XML file; None takes the only one.
        images: name of the images' folder; None looks in all of them.
        width_px: of polylines and points, in pixels.
        shared: see `AnnotationOptions`.
    Raises:
        DatasetError: no file or several, damaged XML, an element without what it needs, no image of it there.
        ConfigError: an option's value.
    """
    source = choose_file(_candidates(root), annotations, root, _KIND)
    tree = load_xml(source)
    if tree.tag != "annotations":
        raise DatasetError(f"expected the element <annotations>, got <{tree.tag}>; this is no CVAT export", path=source)
    index = ImageIndex(root, images)
    defects: list[Defect] = []
    notes: list[str] = []
    if tree.find("track") is not None:
        found = _video(tree, source, index, width_px, notes, defects)
    else:
        found = _images(tree, source, index, width_px, defects)
    notes += unlisted_note(index.unused(item.image for item in found), source.name)
    labels, colors = _labels(tree)
    found = [_known(item, labels, defects) for item in found] if labels else found
    return build_listing(root, found, shared, labels=labels or None, colors=colors, notes=notes, defects=defects)


def looks_like(root: Path) -> str | None:
    """Returns by what a folder is recognised as a CVAT export: an XML file with its first elements; None otherwise."""
    found = _candidates(root)
    return f"CVAT ({found[0].relative_to(root).as_posix()})" if found else None


def _candidates(root: Path) -> list[Path]:
    files = [path for folder in (root, root / "annotations") for path in sorted(folder.glob("*.xml"))[:_SNIFFED]]
    return [path for path in files if re.search(r"<annotations>\s*(<version>|<meta>|<image |<track )", head(path))]


def _images(tree: Element, source: Path, index: ImageIndex, width_px: float, defects: list[Defect]) -> list[Annotated]:
    elements = tree.findall("image")
    if not elements:
        raise DatasetError(
            "expected <image> or <track> elements, got none; export the task with annotations", path=source
        )
    drawings: dict[Path, Drawing] = {}
    splits: dict[Path, SplitName | None] = {}
    of_task = tree.findtext("meta/task/subset") or tree.findtext("meta/job/subset") or ""
    for number, element in enumerate(elements, 1):
        name = element.get("name")
        if not name:
            raise DatasetError(f"<image> {number}: expected the attribute name", path=source)
        subset = element.get("subset") or of_task
        path = index.place(name, source, name, defects, folder=subset)
        if path is None:
            continue
        key = f"{subset}/{name}" if subset else name
        if path in drawings:
            raise DatasetError(
                f"<image> {number}: {key!r} is the same file as {drawings[path].key!r}, {path.name}; annotate an image "
                "once",
                path=source,
            )
        drawings[path] = Drawing(
            source=source,
            key=key,
            shapes=tuple(_shapes(element, source, key, width_px)),
            height=_size(element, "height", source, key),
            width=_size(element, "width", source, key),
        )
        splits[path] = SPLIT_WORDS.get(subset.lower())
    if not drawings:
        raise none_found(index.root, [element.get("name", "") for element in elements], source, defects)
    return with_ids(drawings, index.root, splits)


def _shapes(image: Element, source: Path, key: str, width_px: float) -> Iterator[Shape]:
    for number, element in enumerate(image, 1):
        if element.tag == "tag":
            continue
        where = f"{key}, <{element.tag}> {number}"
        label = element.get("label")
        if label is None:
            raise DatasetError(f"{where}: expected the attribute label", path=source)
        yield from read_shape(element.tag, element.attrib, label, source, where, width_px)


def _video(
    tree: Element, source: Path, index: ImageIndex, width_px: float, notes: list[str], defects: list[Defect]
) -> list[Annotated]:
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
    shapes = shapes_by_frame(tree.findall("track"), list(frames), source, width_px)
    lost = sorted(set(_key_frames(tree)) - set(frames))
    defects += [no_image(source, f"frame {frame}") for frame in lost]
    notes.append(
        f"{len(frames)} frames of one video: neighbours look alike, so parts divided at random flatter; keep stretches "
        "of it together with the option group"
    )
    drawings = {
        path: Drawing(source=source, key=f"frame {frame}", shapes=tuple(shapes[frame]), height=height, width=width)
        for frame, path in frames.items()
    }
    return with_ids(drawings, index.root)


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


def _known(item: Annotated, labels: Sequence[str], defects: list[Defect]) -> Annotated:
    """Returns the image without the shapes of classes that the file does not declare; they become defects."""
    drawing = item.drawing
    unknown = sorted({shape.label for shape in drawing.shapes} - {"", *labels})
    for label in unknown:
        text = message(
            "the class {label!r} is none of those that the file declares; {known}",
            label=label,
            known=suggest(label, labels),
        )
        defects.append(Defect(code="unknown_class", path=drawing.source, where=drawing.key, text=text, fatal=True))
    kept = tuple(shape for shape in drawing.shapes if shape.label not in unknown)
    return replace(item, drawing=replace(drawing, shapes=kept)) if unknown else item


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
