"""Which images a task of Label Studio is about, and which files they are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from segbench.data.files.hints import set_option, yaml_text
from segbench.data.formats.shared.annotated import wrong_key
from segbench.data.formats.shared.image_names import ImageIndex
from segbench.data.formats.shared.listing import IMAGE_SUFFIXES, Defect
from segbench.errors import ChoiceError, DatasetError, shorten
from segbench.locale import message

_UPLOAD = re.compile(r"^[0-9a-f]{8}-")
_UPLOADS = re.compile(r"(^|/)upload(/\d+)?$")


def image_names(task: Mapping[str, Any], image_key: str | None, source: Path, number: int) -> list[str]:
    """Returns the images of a task: one, or those of a list that it shows together.

    Args:
        image_key: which of the task's data they are, as the user says.
        number: of the task in its file.
    Raises:
        DatasetError: none, or several that could be meant.
    """
    data = task.get("data", task)
    if not isinstance(data, dict):
        raise wrong_key(source, f"[{number}].data", "a mapping", data)
    texts = {key: value for key, value in data.items() if isinstance(value, str)}
    lists = {key: value for key, value in data.items() if _is_list_of_images(value)}
    if image_key is not None:
        if image_key not in (*texts, *lists):
            raise DatasetError(
                f"[{number}].data has no text {image_key!r} (option image_key), only {shorten(texts) or 'nothing'}",
                path=source,
            )
        return list(lists[image_key]) if image_key in lists else [texts[image_key]]
    named = [key for key, value in texts.items() if _base_name(value)[1] in IMAGE_SUFFIXES]
    if "image" in texts:
        return [texts["image"]]
    if len(named) + len(lists) == 1:
        return [texts[named[0]]] if named else list(next(iter(lists.values())))
    found = [*named, *lists]
    if len(found) > 1:
        text = message(
            "[{number}].data: expected one image, got {found} among {all}; say which with {option}",
            number=number,
            found=shorten(found),
            all=shorten(data),
            option=set_option("image_key", yaml_text(found[0])),
        )
        raise ChoiceError(text, option="image_key", choices={key: str(data[key])[:80] for key in found}, path=source)
    raise DatasetError(
        f"[{number}].data: expected one image, got none among {shorten(data)}; say which with the option image_key",
        path=source,
    )


def regions_of(regions: Sequence[Any], names: Sequence[str], source: Path, key: str) -> list[list[Any]]:
    """Returns the regions of each of a task's images, which `item_index` says where they are several.

    Raises:
        DatasetError: a region does not say on which image it is.
    """
    if len(names) == 1:
        return [list(regions)]
    parts: list[list[Any]] = [[] for _ in names]
    lost = 0
    for region in regions:
        place = region.get("item_index") if isinstance(region, dict) else None
        if isinstance(place, int) and 0 <= place < len(names):
            parts[place].append(region)
        elif not (isinstance(region, dict) and region.get("type") == "relation"):
            lost += 1
    if lost:
        raise DatasetError(
            message(
                "{key} shows {n} images ({names}), and {lost} of its {all} regions do not say on which of them they "
                "are (item_index); annotate one image a task",
                key=key,
                n=len(names),
                names=shorten(names, 4),
                lost=lost,
                all=len(regions),
            ),
            path=source,
        )
    return parts


def _is_list_of_images(value: object) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(one, str) and _base_name(one)[1] in IMAGE_SUFFIXES for one in value)
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


def find_image(index: ImageIndex, address: str, source: Path, defects: list[Defect]) -> Path | None:
    """Returns a task's image; the folders of uploads are Label Studio's own."""
    name, _ = _base_name(address)
    folder, _, last = name.replace("\\", "/").rpartition("/")
    bare = _UPLOAD.sub("", last)
    if bare != last and index.find(name) is None:
        name = f"{folder}/{bare}" if folder else bare
    return index.place(name, source, address, defects, anywhere=_UPLOADS.search(folder) is not None)
