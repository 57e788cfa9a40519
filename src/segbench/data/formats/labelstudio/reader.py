"""Label Studio's JSON export: polygons, rectangles, ellipses and brush strokes of each task."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias, Unpack

from segbench.data.formats.labelstudio.images import find_image, image_names, regions_of
from segbench.data.formats.labelstudio.shapes import read_regions
from segbench.data.formats.shared.annotated import AnnotationOptions, build_listing, load_json, wrong_key
from segbench.data.formats.shared.image_names import (
    ImageIndex,
    choose_file,
    head,
    none_found,
    unlisted_note,
    with_ids,
)
from segbench.data.formats.shared.listing import Defect, Listing
from segbench.data.formats.shared.values import some_files, split_folder
from segbench.data.shapes.drawing import Drawing
from segbench.errors import DatasetError
from segbench.locale import message

_KIND = "Label Studio's export (JSON or JSON-MIN)"
_SNIFFED = 50  # JSON files looked into; a folder with more has one file an image
_MASK = re.compile(r"(^|/)task-\d+-annotation-\d+-by-[^/]*-\d+\.(png|npy)$")  # of the export "brush labels to PNG"
_FULL = re.compile(r'"(annotations|completions)"\s*:')
_REGION = re.compile(r'"original_width"\s*:|"(polygon|rectangle|ellipse|brush|bitmask|vector|keypoint)labels"')

Choice: TypeAlias = tuple[int | None, list[Any], str]  # who made it, regions, where in the file


def labelstudio(
    root: Path,
    *,
    annotations: str | None = None,
    images: str | None = None,
    image_key: str | None = None,
    annotator: int | None = None,
    **shared: Unpack[AnnotationOptions],
) -> Listing:
    """Lists what Label Studio exports as JSON or JSON-MIN: one file, and the images anywhere below.

    Images are found by their names, whatever address or upload number the export gives them. Of several annotations
    of a task the first that is not cancelled counts; predictions do not. Where a task shows several images, its
    regions say on which of them they are. Key points cover no area.

    Args:
        annotations: name or pattern of the JSON file; None takes the only one.
        images: name of the images' folder; None looks in all of them.
        image_key: which of a task's data is the image; None takes `image`, or the only one that names an image file.
        annotator: number of the person whose annotations count; tasks without any of theirs are left out.
        shared: see `AnnotationOptions`.
    Raises:
        DatasetError: no file or several, damaged JSON, a value of another kind than the format says, no image there.
        ConfigError: an option's value.
    """
    source = _choose(root, annotations)
    tasks = load_json(source)
    if not isinstance(tasks, list):
        raise wrong_key(source, "the file", "a list of tasks", tasks)
    index = ImageIndex(root, images)
    defects: list[Defect] = []
    found: dict[Path, Drawing] = {}
    names: list[str] = []
    counts: Counter[str] = Counter()
    for number, task in enumerate(tasks):
        if not isinstance(task, dict):
            raise wrong_key(source, f"[{number}]", "a task", task)
        for name, regions, key in _annotated(task, image_key, annotator, source, number, counts):
            names.append(name)
            path = find_image(index, name, source, defects)
            if path is None:
                continue
            if path in found:
                raise DatasetError(
                    f"[{number}]: the image {path.name} has a task already ({found[path].key}); annotate an image once",
                    path=source,
                )
            found[path] = _drawing(regions, source, key, path, defects)
    if not found:
        raise none_found(root, names, source, defects) if names else DatasetError("no task is annotated", path=source)
    notes = [f"{count} tasks {text}" for text, count in counts.items() if count]
    notes += unlisted_note([name for name in index.unused(found) if not _MASK.search(name)], source.name)
    listed = with_ids(found, root, {path: split_folder(path, root) for path in found})
    return build_listing(root, listed, shared, notes=notes, defects=defects)


def looks_like(root: Path) -> str | None:
    """Returns by what a folder is recognised as Label Studio's: an export as JSON, or masks of one; None otherwise."""
    sign = next(iter(_candidates(root)), None) or _mask(root)
    return f"Label Studio ({sign.relative_to(root).as_posix()})" if sign is not None else None


def _choose(root: Path, annotations: str | None) -> Path:
    """Returns the export to read; DatasetError where there is none, or several, or only masks that were exported."""
    found = _candidates(root)
    mask = None if found or annotations is not None else _mask(root)
    if mask is None:
        return choose_file(found, annotations, root, _KIND)
    raise DatasetError(
        message(
            "masks of Label Studio's export as PNG ({name}, ...), whose names say the task and the label, but not the "
            "image; export the project as JSON too, which has the images' names and the brush strokes, and put it into "
            "this folder",
            name=mask.name,
        ),
        path=root,
    )


def _mask(root: Path) -> Path | None:
    """Returns a mask of an export "brush labels to PNG" (or to NumPy), which has a file for each task and label."""
    return next((path for path in some_files(root, "task-*-annotation-*") if _MASK.search(path.name)), None)


def _candidates(root: Path) -> list[Path]:
    files = [path for folder in (root, root / "annotations") for path in sorted(folder.glob("*.json"))[:_SNIFFED]]
    return [path for path in files if _is_export(head(path))]


def _is_export(text: str) -> bool:
    """A task has annotations and data; a task of JSON-MIN has regions with their label's kind instead."""
    if not re.match(r"\s*\[\s*\{", text):
        return False
    return bool(_REGION.search(text) and (_FULL.search(text) or re.search(r'"(annotation_id|annotator)"\s*:', text)))


def _annotated(
    task: Mapping[str, Any],
    image_key: str | None,
    annotator: int | None,
    source: Path,
    number: int,
    counts: Counter[str],
) -> Iterator[tuple[str, list[Any], str]]:
    """Yields the name, the regions and the place of each image of a task; none where the task is left out."""
    names = image_names(task, image_key, source, number)
    regions = _chosen(task, annotator, source, number, counts)
    if regions is None:
        return
    key = f"task {task.get('id', number)}"
    parts = regions_of(regions, names, source, key)
    counts["show several images, whose regions were told apart (item_index)"] += len(parts) > 1
    for place, (name, own) in enumerate(zip(names, parts, strict=True)):
        yield name, own, key if len(parts) == 1 else f"{key}, image {place}"


def _chosen(
    task: Mapping[str, Any], annotator: int | None, source: Path, number: int, counts: Counter[str]
) -> list[Any] | None:
    """Returns the regions of the annotation that counts; None where the task is left out."""
    choices = list(_choices(task, source, number))
    if annotator is not None:
        choices = [choice for choice in choices if choice[0] == annotator]
    if not choices:
        counts["have no annotation" + (f" of annotator {annotator}" if annotator else "") + " and were left out"] += 1
        return None
    if len(choices) > 1:
        counts[
            "have several annotations, of which the first was taken (choose a person with the option annotator)"
        ] += 1
    return choices[0][1]


def _choices(task: Mapping[str, Any], source: Path, number: int) -> Iterator[Choice]:
    if "data" not in task:  # JSON-MIN: one annotation, its regions a list under the tag's name
        lists = [value for value in task.values() if isinstance(value, list)]
        regions = [item for items in lists for item in items if isinstance(item, dict) and "original_width" in item]
        yield task.get("annotator"), [{"value": item, **item} for item in regions], f"[{number}]"
        return
    annotations = task.get("annotations", task.get("completions"))
    if not isinstance(annotations, list):
        raise wrong_key(source, f"[{number}].annotations", "a list", annotations)
    for index, annotation in enumerate(annotations):
        where = f"[{number}].annotations[{index}]"
        if not isinstance(annotation, dict) or not isinstance(annotation.get("result"), list):
            raise wrong_key(source, where, "an annotation with a list `result`", annotation)
        if not (annotation.get("was_cancelled") or annotation.get("skipped")):
            person = annotation.get("completed_by")
            yield person.get("id") if isinstance(person, dict) else person, annotation["result"], where


def _drawing(regions: list[Any], source: Path, key: str, image: Path, defects: list[Defect]) -> Drawing:
    read = read_regions(regions, source, key, image)
    defects += read.defects
    height, width = read.size if read.size is not None else (None, None)
    return Drawing(source=source, key=key, shapes=tuple(read.shapes), height=height, width=width)
