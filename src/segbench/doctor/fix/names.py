"""Which files of a data set name which others: lists that can be changed line by line, and documents that cannot."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

_LISTS = (".txt", ".lst", ".csv", ".tsv")
_DOCUMENTS = (".json", ".xml", ".yaml", ".yml")
_LONGEST = 512  # characters of a path; longer ones are embedded images
_WORD = re.compile(r"[^\"'<>,;=\t\r\n|]+")
_CELL = re.compile(r"[^\s,;]+")


@dataclass(frozen=True)
class Names:
    """What the texts of a data set name.

    Attributes:
        lists: list file -> its text.
        documents: file name -> the documents that name it.
    """

    lists: Mapping[Path, str]
    documents: Mapping[str, Collection[Path]] = field(default_factory=dict)

    @classmethod
    def of(cls, files: Sequence[Path], images: Collection[Path], own: Collection[Path]) -> Names:
        """Reads the texts among the files of a data set.

        Args:
            files: all of them.
            images: image and mask files; a list names them at the start of most of its lines.
            own: annotation files, which are no lists.
        """
        stems = {path.stem for path in images}
        known = {path.name for path in images} | stems
        lists: dict[Path, str] = {}
        documents: dict[str, set[Path]] = defaultdict(set)
        for path in files:
            suffix = path.suffix.lower()
            if suffix in _DOCUMENTS:
                for word in _WORD.findall(_text(path)):
                    if len(word) <= _LONGEST:
                        documents[PurePosixPath(word.strip().replace("\\", "/")).name].add(path)
            elif suffix in _LISTS and path not in own and path.stem not in stems:
                text = _text(path)
                starts = [_name(cells[0]) for line in text.splitlines() if (cells := _CELL.findall(line))]
                if starts and 2 * sum(name in known for name in starts) >= len(starts):
                    lists[path] = text
        return cls(lists, documents)

    def edited(self, gone: Collection[str], ids: Collection[str], renamed: Mapping[str, str]) -> dict[Path, str]:
        """Returns the changed lists with their new text.

        Args:
            gone: names of files that are left out; a line with one of them is dropped.
            ids: stems of images that are left out; a line that begins with one is dropped.
            renamed: old file name -> new one.
        """
        changed: dict[Path, str] = {}
        for path, text in self.lists.items():
            lines = []
            for line in text.splitlines(keepends=True):
                cells = _CELL.findall(line)
                if cells and (_name(cells[0]) in ids or any(_name(cell) in gone for cell in cells)):
                    continue
                for cell in cells:
                    if _name(cell) in renamed:
                        old = _name(cell)
                        line = line.replace(cell, cell.removesuffix(old) + renamed[old])
                lines.append(line)
            if "".join(lines) != text:
                changed[path] = "".join(lines)
        return changed


def _name(cell: str) -> str:
    return PurePosixPath(cell.strip("\"'").replace("\\", "/")).name


def _text(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return stream.read()
    except (OSError, UnicodeDecodeError):
        return ""  # no text that names files; the reader has complained of it
