"""The classes that a file of the data set lists, and which mask values mean them: read, or asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from segbench.data.facts.store import MaskFact
from segbench.data.files.hints import describe_value, set_option
from segbench.data.files.masks import as_color
from segbench.data.formats.shared.class_list_files import Listed, NotUnderstoodError, parse_list
from segbench.data.formats.shared.label_names import is_background, label_question, write_classes
from segbench.errors import DatasetError
from segbench.locale import listed, message, plural
from segbench.types import MaskValue

_FILES = (
    "dataset_meta.json",
    "class_dict.csv",
    "class_dict_seg.csv",
    "_classes.csv",
    "classes.csv",
    "labelmap.csv",
    "label_map.csv",
    "labels.csv",
    "label_colors.csv",
    "labelmap.txt",
    "label_colors.txt",
    "classes.json",
    "class_names.json",
    "labels.json",
    "label_map.json",
    "id2label.json",
    "dataset.json",
    "data.yaml",
    "dataset.yaml",
    "classes.txt",
    "class_names.txt",
    "label_names.txt",  # LabelMe's, beside each image
    "labels.txt",
)
_IGNORED = 255
_MOST_FOREIGN = 12  # values that are not listed, up to which somebody drew each; more come from smoothing


@dataclass(frozen=True, kw_only=True)
class ClassList:
    """The classes a file lists.

    Attributes:
        root: of the data set.
        path: of the file.
        listed: what it says.
    """

    root: Path
    path: Path
    listed: Listed

    @property
    def names(self) -> tuple[str, ...]:
        """Class names in the file's order."""
        return self.listed.names

    def values_for(
        self, facts: Mapping[Path, MaskFact], ignore: tuple[MaskValue, ...], tolerance: int = 0
    ) -> tuple[list[str], list[tuple[MaskValue, ...]], tuple[MaskValue, ...]]:
        """Returns classes, mask values of each, and those to ignore: colours where masks hold any, else numbers.

        255 counts nowhere where no class has it. Grey masks that hold other values than the numbers, all of them grey
        colours of classes (black and white), are taken as colours. A class whose value the user ignores is none.

        Raises:
            DatasetError: masks hold values that the file does not list, or its names can be counted in two ways.
        """
        found = {value for fact in facts.values() for value in fact.counts}
        if self._in_colors(facts, found, set(ignore)):
            held: set[MaskValue] = {as_color(value) for fact in facts.values() for value in fact.in_colors()}
            return self._kept(self.names, self.listed.colors, held, tuple(map(as_color, ignore)), facts, tolerance)
        ignore = (*ignore, *(value for value in self.listed.ignored if value not in ignore))
        numbers = {value for value in found - set(ignore) if isinstance(value, int)}
        names, values = self._numbered(numbers)
        if _IGNORED in numbers and _IGNORED not in values:
            ignore = (*ignore, _IGNORED)
        return self._kept(names, values, found, ignore, facts, tolerance)

    def _in_colors(self, facts: Mapping[Path, MaskFact], found: set[MaskValue], ignore: set[MaskValue]) -> bool:
        colors = self.listed.colors
        if not colors:
            return False
        if any(isinstance(value, tuple) for value in found):
            return True
        palettes = {color for fact in facts.values() for color in fact.palette.values()}
        if self.listed.numbers is None and palettes:
            return len(palettes) > 1 and palettes <= {*colors, (0, 0, 0)}
        black_and_white = {color[0] for color in colors if len(set(color)) == 1}
        grey = found - ignore
        numbers = self.listed.numbers or tuple(range(len(colors)))
        return grey <= black_and_white and not grey <= set(numbers)

    def _numbered(self, found: set[int]) -> tuple[list[str], list[MaskValue]]:
        """Returns names and grey values; where the file has no numbers, by the names' order, as far as that is sure."""
        names = list(self.names)
        if self.listed.numbers is not None:
            return names, list(self.listed.numbers)
        within = found - {_IGNORED}
        if len(names) == 2 and found == {0, 255}:
            return names, [0, 255]
        if any(map(is_background, names)):
            return names, list(range(len(names)))
        if len(names) == 1 and found <= {0, 255}:
            return ["background", *names], [0, 255]
        shifted = ["background", *names]
        if len(names) in within and within <= set(range(len(shifted))):
            return shifted, list(range(len(shifted)))  # 0 to n: the names begin at 1
        if len(names) > 2 and within == set(range(len(names))):
            return names, list(range(len(names)))
        if within <= set(range(len(names))) and not self.listed.colors:
            raise DatasetError(self._two_ways(shifted), path=self.root)
        return names, list(range(len(names)))

    def _two_ways(self, shifted: Sequence[str]) -> str:
        return message(
            "{file} lists {names} without numbers, and the masks leave open which value the first one has: if it is 0, "
            "set {zero}; if 0 is the background, {one}",
            file=self._name,
            names=listed(list(self.names), 6),
            zero=set_option("classes", write_classes({name: str(place) for place, name in enumerate(self.names)})),
            one=set_option("classes", write_classes({name: str(place) for place, name in enumerate(shifted)})),
        )

    def _kept(
        self,
        names: Sequence[str],
        values: Sequence[MaskValue],
        found: set[MaskValue],
        ignore: tuple[MaskValue, ...],
        facts: Mapping[Path, MaskFact],
        tolerance: int,
    ) -> tuple[list[str], list[tuple[MaskValue, ...]], tuple[MaskValue, ...]]:
        pairs = {name: value for name, value in zip(names, values, strict=True) if value not in ignore}
        written = {name: _written(value) for name, value in pairs.items()}
        question = label_question(list(pairs), written=written)
        if question is not None:
            raise DatasetError(message("{file}: {question}", file=self._name, question=question), path=self.root)
        known = {*pairs.values(), *ignore}
        foreign = {value for value in found if not _is_near(value, known, tolerance)}
        if 0 < len(foreign) <= _MOST_FOREIGN:
            raise DatasetError(self._foreign(written, foreign, facts), path=self.root)
        return list(pairs), [(value,) for value in pairs.values()], ignore

    def _foreign(self, written: Mapping[str, str], foreign: set[MaskValue], facts: Mapping[Path, MaskFact]) -> str:
        """Returns the question about values that the file does not list."""
        pixels: Counter[MaskValue] = Counter()
        files: Counter[MaskValue] = Counter()
        colors = any(isinstance(value, tuple) for value in foreign)
        for fact in facts.values():
            counts = {as_color(value): number for value, number in fact.in_colors().items()} if colors else fact.counts
            inside = {value: number for value, number in counts.items() if value in foreign}
            pixels.update(inside)
            files.update(dict.fromkeys(inside, 1))
        order = [value for value, _ in pixels.most_common()]
        where = [
            message(
                "{value} on {pixels} in {files}",
                value=describe_value(value),
                pixels=plural("{n:,} pixel", "{n:,} pixels", n=pixels[value]),
                files=plural("{n:,} file", "{n:,} files", n=files[value]),
            )
            for value in order
        ]
        more = {f"class_{place}": _written(value) for place, value in enumerate(order, len(written))}
        return message(
            "the masks hold values that {file} does not list: {values}; name them with {classes}, or let them count "
            "nowhere "
            "with {ignore}",
            file=self._name,
            values=listed(where, 6),
            classes=set_option("classes", write_classes({**written, **more})),
            ignore=set_option("ignore", f"[{', '.join(map(_written, order))}]"),
        )

    @property
    def _name(self) -> str:
        return self.path.relative_to(self.root).as_posix()

    def note(self) -> str:
        """Returns what the user is told."""
        return message(
            "the classes are those of {file}: {names} (others: {option})",
            file=self._name,
            names=listed(list(self.names), 6),
            option=set_option("classes"),
        )


def find_class_list(root: Path, folders: Sequence[Path], notes: list[str]) -> ClassList | None:
    """Returns the classes of the first such file in the folders or above them, up to `root`; or None.

    Args:
        folders: of images and masks, of each part.
        notes: takes what is to be told: whose classes they are, and which lists are not understood.
    Raises:
        DatasetError: the file is damaged, lists a name, number or colour twice, or another part has another list.
    """
    found: dict[Path, ClassList] = {}
    for folder in folders:
        for path in _lists_above(folder, root):
            if path in found:
                break
            try:
                parsed = parse_list(path)
            except NotUnderstoodError as error:
                text = message(
                    "{file} was not read as a list of classes: {why}", file=path.relative_to(root), why=error.why
                )
                notes.extend([text] if text not in notes else [])
                continue
            if parsed is not None:
                found[path] = ClassList(root=root, path=path, listed=_checked(parsed, path))
                break
    lists = list(found.values())
    for other in lists[1:]:
        if other.listed != lists[0].listed:
            raise DatasetError(
                message(
                    "{one} lists other classes than {other}: {names}, not {others}; mend one of them, or say the "
                    "classes "
                    "with {option}",
                    one=lists[0].path.relative_to(root),
                    other=other.path.relative_to(root),
                    names=listed(list(lists[0].names), 6),
                    others=listed(list(other.names), 6),
                    option=set_option("classes"),
                ),
                path=root,
            )
    notes.extend([lists[0].note()] if lists else [])
    return lists[0] if lists else None


def _lists_above(folder: Path, root: Path) -> Iterator[Path]:
    for above in (folder, *folder.parents):
        if above.is_relative_to(root):
            yield from (above / name for name in _FILES if (above / name).is_file())


def _is_near(value: MaskValue, known: set[MaskValue], tolerance: int) -> bool:
    grey = (other for other in known if isinstance(other, int))
    return value in known or (isinstance(value, int) and any(abs(value - other) <= tolerance for other in grey))


def _written(value: MaskValue) -> str:
    return str(list(value) if isinstance(value, tuple) else value)


def _checked(found: Listed, path: Path) -> Listed:
    if not found.names or (len(found.names) < 2 and (found.numbers or found.colors)):
        raise DatasetError(f"expected at least two classes, got {', '.join(found.names) or 'none'}", path=path)
    if found.numbers and len(set(found.colors)) < len(found.colors):
        found = replace(found, colors=())  # the numbers tell the classes apart
    for kind, items in (("name", found.names), ("number", found.numbers or ()), ("colour", found.colors)):
        double = next((item for index, item in enumerate(items) if item in items[:index]), None)
        if double is not None:
            raise DatasetError(f"the {kind} {double!r} is listed for two classes; it can mean one", path=path)
    return found
