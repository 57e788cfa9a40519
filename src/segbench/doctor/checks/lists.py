"""Published lists of parts that name something twice, whether or not they are used."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path, PurePosixPath
from typing import Any

from segbench.data.formats.shared.layout import SPLIT_WORDS
from segbench.data.formats.shared.listing import IMAGE_SUFFIXES
from segbench.data.formats.shared.tables import read_table
from segbench.doctor.code import Code, Title
from segbench.doctor.finding import Finding, Severity
from segbench.doctor.reading import Reading
from segbench.errors import DatasetError
from segbench.locale import listed, message
from segbench.types import SPLITS, SplitName

_LIST_NAME = re.compile(r"split|train|val|test", re.IGNORECASE)
_SUFFIXES = frozenset({".yaml", ".yml", ".json", ".txt", ".csv", ".tsv"})
_LARGEST_LIST = 32 << 20  # bytes
_MOST_LISTS = 100  # of one kind in a folder; more are rather the labels of single images
_COLUMNS = ("image", "filename", "file", "path", "id", "image_id", "img", "name")  # of tables
_KNOWN = 0.5  # of a list's names are images of the data set
_AS_LISTED = 0.9  # of a list's images lie in its part: the list is used

OVERLAPPING_LISTS = Code(
    "overlapping_lists",
    Severity.ERROR,
    Title("names in more than one published list: {n}"),
    means=message("What was trained on is scored again, so the score is too good."),
    advice=message("leave them out of one list, or say so beside the scores"),
    otherwise=Severity.WARNING,
    when=message("where the data set's parts do not come from these lists"),
)
CODES = (OVERLAPPING_LISTS,)


@dataclass(frozen=True, kw_only=True)
class _List:
    """A list of names for one part: a file, or a key in one that holds several; `beside` tells which are compared."""

    path: Path
    name: str
    part: SplitName
    names: frozenset[str]
    beside: tuple[str, ...]


def check(reading: Reading) -> list[Finding]:
    """Returns which files that look like lists of parts overlap, each alone and those of one folder together."""
    return list(_overlapping_lists(reading))


def _overlapping_lists(reading: Reading) -> Iterator[Finding]:
    groups: dict[tuple[str, ...], list[_List]] = defaultdict(list)
    stems = {path.stem for path in reading.files if path.suffix.lower() in IMAGE_SUFFIXES}
    for path in _candidates(reading.files):
        for found in _lists_in(path):
            known = sum(PurePosixPath(name).name in stems for name in found.names)
            if found.name != path.stem or known >= _KNOWN * len(found.names):
                groups[found.beside].append(found)
    often = Counter(path.stem for path in reading.used_images)
    for lists in groups.values():
        for one, other in combinations(sorted(lists, key=lambda found: (SPLITS.index(found.part), found.name)), 2):
            both = one.names & other.names if one.part != other.part else frozenset()
            # A name without its folder may be another image in each part.
            names = sorted(name for name in both if "/" in name or often[name] < 2)
            if names:
                yield _overlap(reading, one, other, names)


def _overlap(reading: Reading, one: _List, other: _List, names: list[str]) -> Finding:
    paths = list(dict.fromkeys((one.path, other.path)))
    used = all(_is_used(reading, found, {*names}) for found in (one, other))
    return OVERLAPPING_LISTS.about(
        reading,
        paths,
        count=len(names),
        otherwise=not used,
        detail=message(
            "Both in {one!r} and in {other!r}: {names}. Found in {files}.",
            one=one.name,
            other=other.name,
            names=listed(names, 6),
            files=", ".join(reading.names(paths)),
        ),
        advice=message("leave them out of {part!r} when training, or say so beside the scores", part=one.name)
        if used
        else message("before you use these lists, leave the names out of {part!r}", part=one.name),
    )


def _is_used(reading: Reading, found: _List, both: set[str]) -> bool:
    """Returns whether nearly all images that a list alone names lie in its part; `both` are in another one too."""
    alone = found.names - both
    parts = [case.split for case in reading.cases if {case.id, case.image.stem} & alone]
    return bool(parts) and parts.count(found.part) >= _AS_LISTED * len(parts)


def _candidates(files: Sequence[Path]) -> list[Path]:
    fitting = [path for path in files if path.suffix.lower() in _SUFFIXES and _LIST_NAME.search(path.stem)]
    often = Counter((path.parent, path.suffix) for path in fitting)
    return [path for path in fitting if often[path.parent, path.suffix] <= _MOST_LISTS]


def _lists_in(path: Path) -> Iterator[_List]:
    """Yields the lists that a file holds; none where it is no such file."""
    text = _text(path)
    words = {word for word in re.findall("[a-z]+", path.stem.lower()) if word in SPLIT_WORDS}
    plain = _parsed(path, text) if path.suffix.lower() in (".json", ".yaml", ".yml") else None
    if isinstance(plain, Mapping):
        for key, value in plain.items():
            if str(key).lower() in SPLIT_WORDS and _is_names(value):
                yield _List(
                    path=path,
                    name=str(key),
                    part=SPLIT_WORDS[str(key).lower()],
                    names=frozenset(map(_name, value)),
                    beside=(str(path),),
                )
    names = _own_names(path, text, plain)
    if len(words) == 1 and names:
        word = words.pop()
        rest = path.stem.lower().replace(word, "", 1)
        yield _List(
            path=path, name=path.stem, part=SPLIT_WORDS[word], names=names, beside=(str(path.parent), rest, path.suffix)
        )


def _text(path: Path) -> str:
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST_LIST:
            return ""
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return ""  # who has to read it says so


def _own_names(path: Path, text: str, plain: Any) -> frozenset[str]:
    """Returns the names that a whole file lists: lines, a table's column, a JSON list, or COCO's images."""
    if path.suffix.lower() == ".txt":
        lines = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
        return frozenset(_name(line[0]) for line in lines)
    if path.suffix.lower() in (".csv", ".tsv"):
        try:
            table = read_table(path)
        except DatasetError:
            return frozenset()
        column = table.column(*_COLUMNS)
        return frozenset() if column is None else frozenset(_name(cells[column]) for _, cells in table.rows)
    if isinstance(plain, Mapping) and isinstance(plain.get("images"), list):
        images = [image.get("file_name") for image in plain["images"] if isinstance(image, Mapping)]
        return frozenset(_name(name) for name in images if isinstance(name, str))
    return frozenset(map(_name, plain)) if _is_names(plain) else frozenset()


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, str | int) for item in value)


def _name(value: object) -> str:
    """Returns a name as lists are compared: without an image's suffix, with its folder."""
    path = PurePosixPath(str(value).strip().replace("\\", "/"))
    return str(path.with_suffix("") if path.suffix.lower() in IMAGE_SUFFIXES else path)


def _parsed(path: Path, text: str) -> Any:
    if path.suffix.lower() == ".json":
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return None  # damaged JSON is the reader's matter, if it is read at all
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError, RecursionError):
        return None
