"""Label Studio's JSON export: polygons, rectangles, ellipses and brush strokes of each task."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias, Unpack
from urllib.parse import parse_qs, unquote, urlsplit

from segbench.data.formats.labelstudio.shapes import Regions, read_regions
from segbench.data.formats.shared.annotated import AnnotationOptions, build_listing, load_json, wrong_key
from segbench.data.formats.shared.image_names import (
    ImageIndex,
    choose_file,
    head,
    none_found,
    unlisted_note,
    with_ids,
)
from segbench.data.formats.shared.listing import IMAGE_SUFFIXES, Defect, Listing
from segbench.data.formats.shared.values import split_folder
from segbench.data.shapes.drawing import Drawing, Shape
from segbench.errors import DatasetError, shorten

_KIND = "Label Studio's export (JSON or JSON-MIN)"
_SNIFFED = 50  # JSON files looked into; a folder with more has one file an image
_UPLOAD = re.compile(r"^[0-9a-f]{8}-")
_UPLOADS = re.compile(r"(^|/)upload(/\d+)?$")
_FULL = re.compile(r'"(annotations|completions)"\s*:')
_REGION = re.compile(r'"original_width"\s*:|"(polygon|rectangle|ellipse|brush|keypoint)labels"')

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
    of a task the first that is not cancelled counts; predictions do not. Key points cover no area.

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
    source = choose_file(_candidates(root), annotations, root, _KIND)
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
        name = _image_name(task, image_key, source, number)
        regions = _chosen(task, annotator, source, number, counts)
        if regions is None:
            continue
        names.append(name)
        path = _find(index, name, source, defects)
        if path is None:
            continue
        if path in found:
            raise DatasetError(
                f"[{number}]: the image {path.name} has a task already ({found[path].key}); annotate an image once",
                path=source,
            )
        found[path] = _drawing(regions, source, f"task {task.get('id', number)}", defects)
    if not found:
        raise none_found(root, names, source, defects) if names else DatasetError("no task is annotated", path=source)
    notes = [f"{count} tasks {text}" for text, count in counts.items()]
    notes += unlisted_note(index.unused(found), source.name)
    return build_listing(
        root,
        with_ids(found, root, {path: split_folder(path, root) for path in found}),
        shared,
        notes=notes,
        defects=defects,
    )


def looks_like(root: Path) -> str | None:
    """Returns by what a folder is recognised as Label Studio's: a JSON file that begins like an export; or None."""
    found = _candidates(root)
    return f"Label Studio ({found[0].relative_to(root).as_posix()})" if found else None


def _candidates(root: Path) -> list[Path]:
    files = [path for folder in (root, root / "annotations") for path in sorted(folder.glob("*.json"))[:_SNIFFED]]
    return [path for path in files if _is_export(head(path))]


def _is_export(text: str) -> bool:
    """A task has annotations and data; a task of JSON-MIN has regions with their label's kind instead."""
    if not re.match(r"\s*\[\s*\{", text):
        return False
    return bool(_REGION.search(text) and (_FULL.search(text) or re.search(r'"(annotation_id|annotator)"\s*:', text)))


def _image_name(task: Mapping[str, Any], image_key: str | None, source: Path, number: int) -> str:
    data = task.get("data", task)
    if not isinstance(data, dict):
        raise wrong_key(source, f"[{number}].data", "a mapping", data)
    texts = {key: value for key, value in data.items() if isinstance(value, str)}
    if image_key is not None:
        if image_key not in texts:
            raise DatasetError(
                f"[{number}].data has no text {image_key!r} (option image_key), only {shorten(texts) or 'nothing'}",
                path=source,
            )
        return texts[image_key]
    named = [key for key, value in texts.items() if _base_name(value)[1] in IMAGE_SUFFIXES]
    if "image" in texts:
        return texts["image"]
    if len(named) == 1:
        return texts[named[0]]
    raise DatasetError(
        f"[{number}].data: expected one image, got {shorten(named) or 'none'} among {shorten(texts)}; say which with "
        "the option image_key",
        path=source,
    )


def _base_name(address: str) -> tuple[str, str]:
    """Returns the path that an address or a local path means, and its suffix in small letters."""
    try:
        parts = urlsplit(address)
    except ValueError:  # brackets in a name
        parts = urlsplit("")
    local = parse_qs(parts.query).get("d", [""])[0]
    name = local or unquote(parts.path if parts.scheme or parts.query else address)
    return name, PurePosixPath(name.replace("\\", "/")).suffix.lower()


def _find(index: ImageIndex, address: str, source: Path, defects: list[Defect]) -> Path | None:
    """Returns a task's image; the folders of uploads are Label Studio's own."""
    name, _ = _base_name(address)
    folder, _, last = name.replace("\\", "/").rpartition("/")
    bare = _UPLOAD.sub("", last)
    if bare != last and index.find(name) is None:
        name = f"{folder}/{bare}" if folder else bare
    return index.place(name, source, address, defects, anywhere=_UPLOADS.search(folder) is not None)


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


def _drawing(regions: list[Any], source: Path, key: str, defects: list[Defect]) -> Drawing:
    read: Regions = read_regions(regions, source, key)
    defects += read.defects
    shapes: tuple[Shape, ...] = tuple(read.shapes)
    height, width = read.size if read.size is not None else (None, None)
    return Drawing(source=source, key=key, shapes=shapes, height=height, width=width)
