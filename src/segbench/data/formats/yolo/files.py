"""The YAML file of a YOLO data set, and the folders that it and the label files' places say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from segbench.data.formats.shared.image_names import choose_file, head, matching
from segbench.data.formats.shared.layout import SPLIT_WORDS, split_of
from segbench.data.formats.shared.listing import IMAGE_SUFFIXES, Defect, image_files, read_lines, read_text, subfolders
from segbench.data.formats.shared.values import some_files, split_folder
from segbench.errors import DatasetError, shorten
from segbench.locale import listed, message
from segbench.types import SplitName

_PARTS = ("train", "val", "valid", "test")
_NAMES = ("classes.txt", "obj.names")
_SNIFFED = 20  # label files of a folder that are looked into


@dataclass(frozen=True, kw_only=True)
class YoloSet:
    """What says which classes and images there are.

    Attributes:
        names: of the classes by number; empty where nothing names them.
        images: with their official parts.
        source: the file that names the classes.
        notes, defects: what was not as it should be.
    """

    names: Mapping[int, str]
    images: Mapping[Path, SplitName | None]
    source: Path | None = None
    notes: tuple[str, ...] = ()
    defects: tuple[Defect, ...] = ()


def yaml_files(root: Path) -> list[Path]:
    """Returns the YAML files in the root that name classes and parts."""
    found = sorted(path for pattern in ("*.yaml", "*.yml") for path in root.glob(pattern) if path.is_file())
    return [path for path in found if _is_data_yaml(head(path))]


def label_files(root: Path) -> list[Path]:
    """Returns some label files: in a folder `labels` here or one level below, in its parts, or beside images."""
    folders = [root / "labels", *(folder / "labels" for folder in subfolders(root))]
    folders += [inner for folder in folders if folder.is_dir() for inner in subfolders(folder)]
    files = [path for folder in folders if folder.is_dir() for path in sorted(folder.glob("*.txt"))[:_SNIFFED]]
    beside = [path for path in some_files(root, "*.txt") if _has_image(path)]
    return [path for path in (*files, *beside) if path.name not in _NAMES and is_label_file(path)]


def _has_image(path: Path) -> bool:
    return any(path.with_suffix(suffix).is_file() for suffix in IMAGE_SUFFIXES)


def is_label_file(path: Path) -> bool:
    """Returns whether the first line of a text file is a class number and at least four coordinates."""
    parts = head(path).partition("\n")[0].split()
    return len(parts) >= 5 and parts[0].isdigit() and all(re.fullmatch(r"-?\d*\.?\d+(e-?\d+)?", part) for part in parts)


def names_file(root: Path) -> Path | None:
    """Returns the list of class names that some tools write instead of a YAML file."""
    paths = [folder / name for folder in (root, root / "labels") for name in _NAMES]
    return next((path for path in paths if path.is_file()), None)


def _numbered(listed: Path) -> dict[int, str]:
    """Returns the names of classes.txt by their line, from 0; blank lines at its end are none.

    Raises:
        DatasetError: a blank line between names, which would be a class without a name.
    """
    names = [line.strip() for line in read_text(listed, "the list").rstrip().splitlines()]
    if "" in names:
        raise DatasetError(f"line {names.index('') + 1} is blank, and every line is a class; name it", path=listed)
    return dict(enumerate(names))


def read_set(root: Path, annotations: str | None) -> YoloSet:
    """Returns classes and images of a YOLO data set.

    Args:
        annotations: name of the YAML file given by the user.
    Raises:
        DatasetError: several YAML files, a damaged one, one without names or images; neither YAML nor label files.
    """
    wanted = "YOLO's data.yaml with the names of the classes"
    found = yaml_files(root) if annotations is None else matching(root, annotations, wanted)
    listed = names_file(root)
    if annotations is None and not found and listed is not None:
        names = _numbered(listed)
        return YoloSet(names=_distinct(names, listed), images=_images_below(root), source=listed)
    if annotations is None and not found and label_files(root):
        return YoloSet(names={}, images=_images_below(root))
    source = choose_file(found, None, root, wanted)
    plain = _load_yaml(source)
    names = _distinct(_names(plain, source), source)
    entries = {part: plain[part] for part in _PARTS if plain.get(part) is not None}
    undivided = "train" in entries and len(entries) > 1 and all(value == entries["train"] for value in entries.values())
    if undivided:  # what trainers are told who insist on a val part: nobody has divided the images
        entries = {"train": entries["train"]}
    elif entries.get("val") in (entries.get("test"), entries.get("train")):
        entries.pop("val", None)  # for such trainers, too
    notes: list[str] = []
    defects: list[Defect] = []
    images: dict[Path, SplitName | None] = {}
    for part, value in entries.items():
        for entry in _texts(value, source, part):
            path = _resolve(entry, str(plain.get("path") or ""), source.parent, root)
            if path is None:
                notes.append(f"{source.name}: {part}: there is no {entry!r} below this folder; left out")
                continue
            _add(images, _images_of(path, root), part, source, defects)
    if not images and entries:
        raise DatasetError(
            f"{', '.join(entries)}: expected folders or lists of images below {root.name}/; {shorten(notes)}",
            path=source,
        )
    images = images or _images_below(root)
    if undivided:
        images = dict.fromkeys(images)
        notes.append(f"{source.name} names the same images for every part, so they have none; one is drawn")
    return YoloSet(names=names, images=images, source=source, notes=tuple(notes), defects=tuple(defects))


def label_places(image: Path, root: Path) -> Iterator[Path]:
    """Yields where an image's label file may be: in `labels` instead of `images`, in `labels` beside, or beside it."""
    name = f"{image.stem}.txt"
    parts = image.parent.relative_to(root).parts
    where = [index for index, part in enumerate(parts) if part.lower() == "images"]
    if where:
        yield root.joinpath(*parts[: where[-1]], "labels", *parts[where[-1] + 1 :], name)
    yield root.joinpath("labels", *parts, name)
    yield image.parent / "labels" / name
    yield image.parent / name


def _is_data_yaml(text: str) -> bool:
    return bool(
        re.search(r"^(names|nc)\s*:", text, re.MULTILINE) and re.search(r"^(train|val|nc|path)\s*:", text, re.MULTILINE)
    )


def _load_yaml(path: Path) -> dict[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        values = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8-sig"))
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 0
        raise DatasetError(f"line {line}: not valid YAML: {error.problem}", path=path) from error
    except (YAMLError, OSError, UnicodeDecodeError, RecursionError) as error:
        raise DatasetError(f"cannot read the file: {error}", path=path) from error
    if not isinstance(values, dict):
        raise DatasetError(f"expected keys as names, train and val, got {type(values).__name__}", path=path)
    return values


def _names(plain: Mapping[str, Any], source: Path) -> dict[int, str]:
    """Returns class number -> name; `class_3` where the file has only their number."""
    names, number = plain.get("names"), plain.get("nc")
    if names is None and isinstance(number, int) and number > 0:
        return {index: f"class_{index}" for index in range(number)}
    if isinstance(names, list):
        result = {index: str(name) for index, name in enumerate(names)}
    elif isinstance(names, dict) and all(str(key).isdigit() for key in names):
        result = {int(key): str(name) for key, name in names.items()}
    else:
        raise DatasetError(f"names: expected a list, or a mapping from number to name, got {names!r:.80}", path=source)
    if isinstance(number, int) and number != len(result):
        raise DatasetError(f"nc: {number} classes, but there are {len(result)} names; correct one of them", path=source)
    return dict(sorted(result.items()))


def _distinct(names: dict[int, str], source: Path) -> dict[int, str]:
    doubles = sorted({name for name in names.values() if list(names.values()).count(name) > 1})
    if doubles or not names:
        text = f"the class names {shorten(doubles)} occur twice" if doubles else "there are no class names"
        raise DatasetError(f"{text}; every class has a name of its own", path=source)
    return names


def _texts(value: Any, source: Path, key: str) -> list[str]:
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in texts):
        raise DatasetError(f"{key}: expected a path or a list of paths, got {value!r:.80}", path=source)
    return [text for text in texts if text.strip()]


def _resolve(entry: str, base: str, folder: Path, root: Path) -> Path | None:
    """Returns the folder or list that is meant, below the root: paths of other machines are tried from their end."""
    parts = _inner(entry)
    named = [index for index, part in enumerate(parts) if split_of(part) is not None]
    for skip in range(named[0] + 1 if named else len(parts)):
        for start in (root.joinpath(*_inner(base)), folder, root):
            path = start.joinpath(*parts[skip:])
            if path.exists() and path.resolve().is_relative_to(root.resolve()):
                return path
    return None


def _inner(base: str) -> Sequence[str]:
    return [part for part in PurePosixPath(base.replace("\\", "/")).parts if part not in ("..", ".", "/")]


def _images_of(path: Path, root: Path) -> list[Path]:
    if path.is_dir():
        return image_files(path)
    found: list[Path] = []
    for line, text in read_lines(path):
        image = _resolve(text, "", path.parent, root)
        if image is None:
            raise DatasetError(f"line {line}: there is no image {text!r} below the data set's folder", path=path)
        found.append(image)
    return found


def _add(
    images: dict[Path, SplitName | None], found: Sequence[Path], part: str, source: Path, defects: list[Defect]
) -> None:
    """Adds a part's images; those of an earlier part stay there."""
    split = SPLIT_WORDS[part]
    doubles = [path for path in found if images.get(path, split) != split]
    if doubles:
        text = message(
            "{n} images are in {part} too, and count there only; they cannot test what learnt from them: {names}",
            n=len(doubles),
            part=images[doubles[0]],
            names=listed([path.name for path in doubles]),
        )
        defects.append(Defect(code="overlapping_lists", path=source, where=part, text=text))
    for path in found:
        images.setdefault(path, split)


def _images_below(root: Path) -> dict[Path, SplitName | None]:
    return {path: split_folder(path, root) for path in image_files(root)}
