"""Files that hold several pictures, or no ordinary one, unpacked once into the cache: docs/decisions/0013.

A reader of volumes or tables writes ordinary PNG files here, once, and lists those. The copy may be deleted any time;
reading the folder again makes it anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from segbench.data.files.images import file_state
from segbench.errors import DatasetError
from segbench.files import cache_folder, locked
from segbench.locale import message
from segbench.types import Progress

FACTS = "unpacked.json"  # what was noticed while unpacking, and what pictures cannot hold: mm a pixel, grey windows

Item = TypeVar("Item")

_progress: ContextVar[Progress | None] = ContextVar("progress", default=None)


@contextmanager
def telling(progress: Progress | None) -> Iterator[None]:
    """Whatever is unpacked inside the block tells `progress` how far it is; a reader's parameters are options only."""
    token = _progress.set(progress)
    try:
        yield
    finally:
        _progress.reset(token)


@dataclass(frozen=True)
class Unpacked:
    """A copy in the cache.

    Attributes:
        folder: that it lies in.
        facts: what `write` returned of each item, as it comes back from JSON.
    """

    folder: Path
    facts: list[Any]


def unpack_once(
    root: Path,
    items: Sequence[Item],
    write: Callable[[Path, Item], Any],
    *,
    sources: Iterable[Path],
    recipe: Mapping[str, Any],
) -> Unpacked:
    """Returns the ordinary files made of a data set's items, making them where that was not done before.

    All or nothing, by one process at a time. The copy is made anew when one of the sources or the recipe is another;
    copies of this folder whose sources have changed are removed.

    Args:
        root: the data set's folder.
        items: a volume, a part of a table, ... each; one is written after the other, so that one is in memory.
        write: (folder, item) -> facts for JSON: writes an item's files into the folder.
        sources: files that are read; by their sizes and times it is noticed that they changed.
        recipe: what else decides what is written: options, and the version of the writer. Values are JSON.
    Raises:
        DatasetError: as `write` does; or the cache cannot be written, or the disk is full.
    """
    base, name = cache_folder() / "unpacked", root.name[:100] or "files"
    states = {path.relative_to(root).as_posix(): list(file_state(path)) for path in sorted(set(sources))}
    identity = json.dumps([str(root), states, dict(recipe)], sort_keys=True)
    target = base / f"{name}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"
    if not target.is_dir():
        try:
            base.mkdir(parents=True, exist_ok=True)
            with locked(base / f"{name}.lock", _waiting):
                if not target.is_dir():
                    _remove_stale(base, name, root)
                    _make(target, root, items, write)
                    _note(target).write_text(json.dumps({"root": str(root), "sources": states}), encoding="utf-8")
        except OSError as error:
            raise DatasetError(
                message(
                    "cannot unpack its images into {folder} ({reason}); set the environment variable SEGBENCH_CACHE "
                    "to a folder with space that you can write",
                    folder=base,
                    reason=error.strerror or error,
                ),
                path=root,
            ) from error
    return Unpacked(target, json.loads((target / FACTS).read_text(encoding="utf-8")))


def put_as_is(source: Path, target: Path) -> None:
    """Puts a file that needs no unpacking beside those that do: as a link, or as a copy where links are not allowed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.symlink_to(source)
    except OSError:
        shutil.copyfile(source, target)


def _make(target: Path, root: Path, items: Sequence[Item], write: Callable[[Path, Item], Any]) -> None:
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        facts = []
        for done, item in enumerate(items):
            _tell(message("unpacking {name}", name=root.name), done, len(items))
            facts.append(write(temporary, item))
        _tell(message("unpacking {name}", name=root.name), len(items), len(items))
        (temporary / FACTS).write_text(json.dumps(facts, indent=1, ensure_ascii=False), encoding="utf-8")
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _note(target: Path) -> Path:
    return target.with_name(f"{target.name}.from")


def _remove_stale(base: Path, name: str, root: Path) -> None:
    """Removes copies of this folder whose sources have changed since, and what killed processes left."""
    ours = re.compile(rf"\.?{re.escape(name)}-[0-9a-f]{{16}}(\.from|\.\d+\.tmp)")
    for left in sorted(base.iterdir()):
        if not ours.fullmatch(left.name):
            continue
        if left.name.startswith("."):
            shutil.rmtree(left, ignore_errors=True)
        elif left.suffix == ".from" and _is_stale(left, root):
            shutil.rmtree(left.with_suffix(""), ignore_errors=True)
            left.unlink()


def _is_stale(note: Path, root: Path) -> bool:
    told = json.loads(note.read_text(encoding="utf-8"))
    return told["root"] == str(root) and any(
        not (root / name).is_file() or list(file_state(root / name)) != state for name, state in told["sources"].items()
    )


def _tell(what: str, done: int, total: int) -> None:
    progress = _progress.get()
    if progress is not None:
        progress(what, done, total)


def _waiting() -> None:
    _tell(message("waiting for another process that unpacks this folder"), 0, 1)
