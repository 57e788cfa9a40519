"""Data sets in the formats of annotation tools and trainers: each writer is the other half of a reader.

A writer is a function `write(target, samples, class_map, options) -> Written` in a file of its own, named like the
reader that reads it back. It takes the samples one by one, so that a data set of any size needs the memory of one, and
writes into an empty folder; `write_dataset` sees to that folder, and to it being whole or not there at all.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from segbench.data.writers.common import (
    IGNORE_LABEL,
    MIN_IOU,
    Labelled,
    WriteOptions,
    Written,
    dataset_yaml,
    file_name,
)
from segbench.errors import ConfigError, DatasetError, shorten, suggest
from segbench.files import write_text
from segbench.registry import Registry
from segbench.speech import argument
from segbench.types import ClassMap, SplitName, Task

WRITERS = Registry(
    "format to write",
    {
        "coco": "segbench.data.writers.coco:coco",
        "cvat": "segbench.data.writers.cvat:cvat",
        "folder": "segbench.data.writers.folder:folder",
        "labelme": "segbench.data.writers.labelme:labelme",
        "labelstudio": "segbench.data.writers.labelstudio:labelstudio",
        "via": "segbench.data.writers.via:via",
        "voc": "segbench.data.writers.voc:voc",
        "yolo": "segbench.data.writers.yolo:yolo",
    },
)
MARKER = "segbench.yaml"  # in each written folder: how to read it; by it we know what we may overwrite

# Of a file's name: what the format, as it is written, cannot say.
_UNWRITABLE: Mapping[str, Callable[[str], bool]] = {
    "coco": lambda name: "\\" in name,
    "cvat": lambda name: "\\" in name or any(sign < " " and sign not in "\t\n\r" for sign in name),
    "via": lambda name: "\\" in name,
    "voc": lambda name: name.startswith("#") or len(name.splitlines()) > 1 or (name[0] == name[-1] == '"'),
}

_OF_MASKS = ("folder", "voc")
_WITH_RUN_LENGTHS = ("coco", "cvat", "labelstudio")


def check_writer(to: str, class_map: ClassMap, options: WriteOptions) -> None:
    """Raises ConfigError where a format is not there, or cannot hold these classes or options."""
    if to not in WRITERS.names():
        raise ConfigError(f"there is no format {to!r} to write; {suggest(to, WRITERS.names())}", key=argument("to"))
    if options.rle and to not in _WITH_RUN_LENGTHS:
        raise ConfigError(f"{to} knows no run lengths; {', '.join(_WITH_RUN_LENGTHS)} do", key=argument("rle"))
    if options.simplify and (options.rle or to in _OF_MASKS):
        what = "run lengths" if options.rle else f"{to} holds masks, which"
        raise ConfigError(f"{what} are exact and have no polygons to simplify; leave it out", key=argument("simplify"))
    if to == "voc" and class_map.task is Task.MULTILABEL:
        raise ConfigError(
            "voc has one class a pixel, and this data set is multilabel; choose another", key=argument("to")
        )
    if IGNORE_LABEL in class_map.names:
        raise ConfigError(
            f"a class is named {IGNORE_LABEL!r}, which marks ignored pixels; rename it", key=argument("to")
        )
    odd = [name for name in class_map.names if not name.strip() or any(sign in name for sign in "/\\\n")]
    if odd:
        raise ConfigError(
            f"class names that cannot be file names: {shorten(map(repr, odd))}", key="data.options.classes"
        )


def check_names(to: str, samples: Iterable[tuple[str, SplitName | None]], target: Path) -> None:
    """Raises DatasetError where samples, as (id, part), have names that a format cannot hold."""
    unwritable = _UNWRITABLE.get(to)
    if unwritable is None:
        return
    odd = [repr(name) for name in (file_name(*sample) for sample in samples) if unwritable(name)]
    if odd:
        raise DatasetError(
            f"{to} cannot hold {len(odd)} of the images' names: {shorten(odd)}; rename them, or choose another format",
            path=target,
        )


def write_dataset(
    to: str,
    target: str | Path,
    samples: Iterable[Labelled],
    class_map: ClassMap,
    options: WriteOptions | None = None,
    *,
    overwrite: bool = False,
    extra: Mapping[str, Any] | None = None,
) -> Written:
    """Writes a data set into a folder, all or nothing, and returns what was written and how to read it.

    Args:
        to: name of the format, a key of `WRITERS`.
        target: folder; made if missing.
        samples: taken one by one.
        overwrite: replace a folder that was written so before; any other one that is not empty is refused.
        extra: options of the reader that the images need.
    Raises:
        ConfigError: an unknown format, or one that cannot hold these classes or options.
        DatasetError: the folder is not empty, a name that the format cannot hold, two samples of one name, or none.
    """
    options = options or WriteOptions()
    check_writer(to, class_map, options)
    target = Path(target).expanduser().absolute()
    _check_target(target, overwrite)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        written: Written = WRITERS.get(to)(temporary, _checked(to, samples, target), class_map, options)
        if not written.images:
            raise DatasetError("there is no sample to write", path=target)
        written = replace(written, options={**written.options, **(extra or {})})
        write_text(temporary / MARKER, dataset_yaml(".", written.format, written.options))
        _move(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return replace(written, root=target)


def _check_target(target: Path, overwrite: bool) -> None:
    if target.is_dir() and not any(target.iterdir()):
        return
    if not (target.exists() or target.is_symlink()):
        return
    if not target.is_dir() or not (target / MARKER).is_file():
        raise DatasetError("expected an empty or a new folder to write into; choose another name", path=target)
    if not overwrite:
        raise DatasetError(
            f"there is a data set already; choose another name, or say {argument('overwrite', True)}", path=target
        )


def _move(temporary: Path, target: Path) -> None:
    old = temporary.with_suffix(".old")
    if target.exists():
        target.rename(old)
    temporary.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def _checked(to: str, samples: Iterable[Labelled], target: Path) -> Iterator[Labelled]:
    """Yields the samples; DatasetError where two have one name, or one has a name that the format cannot hold."""
    seen: dict[str, str] = {}
    for sample in samples:
        check_names(to, [(sample.id, sample.split)], target)
        other = seen.setdefault(sample.name.lower(), sample.id)
        if other != sample.id:
            raise DatasetError(
                f"two samples would be written as {sample.name!r}: {other} and {sample.id}; rename one", path=target
            )
        yield sample


__all__ = [
    "IGNORE_LABEL",
    "MARKER",
    "MIN_IOU",
    "WRITERS",
    "Labelled",
    "WriteOptions",
    "Written",
    "check_names",
    "check_writer",
    "dataset_yaml",
    "write_dataset",
]
