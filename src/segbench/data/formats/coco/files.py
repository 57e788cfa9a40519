"""The files of a data set in COCO's form: which JSON holds what, which part it is, and where its images are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from segbench.data.files.hints import set_format, set_option, yaml_text
from segbench.data.formats.shared.annotated import load_json, wrong_key
from segbench.data.formats.shared.image_names import ImageIndex, head, matching
from segbench.data.formats.shared.layout import split_of
from segbench.data.formats.shared.listing import Defect, subfolders
from segbench.data.formats.shared.values import as_kind, need, side_of, some_files, tail
from segbench.errors import DatasetError, shorten
from segbench.locale import message, plural
from segbench.types import SplitName

DRAWABLE = ("instances", "stuff")
_PREFIX = re.compile(r"^(instances|stuff|panoptic|captions|person_keypoints|image_info)(?:_|(?=\.json$))")
_ONE_IMAGE = re.compile(r'\s*\{\s*"image"\s*:\s*\{')
_LISTS = re.compile(r'"(images|annotations|categories)"\s*:\s*\[')
_KINDS = (("panoptic", '"segments_info"'), ("captions", '"caption"'), ("instances", '"segmentation"'))
_SURE = ("instances", "panoptic")  # such a name is enough; what is wrong inside is told on reading


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An image as a COCO file lists it; `where` is its place in the file."""

    id: int | str
    name: str
    height: int | None
    width: int | None
    where: str

    @property
    def key(self) -> str:
        """What a person would look it up by."""
        return f"image {self.id} ({self.name})"


@dataclass(frozen=True, kw_only=True)
class CocoFile:
    """A JSON file in COCO's form, its lists checked but not its annotations.

    Attributes:
        path: of the file.
        tag: what its name, or its folder's, says apart from the kind: train2017.
        pictures: image id -> image.
        names: category id -> label, in the order of the ids: its name, with the supercategory before it where two that
            are used differ by that alone.
        categories: category id -> all that the file says.
        annotations: as they stand in the file.
        notes: on categories of one name.
    """

    path: Path
    tag: str
    pictures: Mapping[int | str, Picture]
    names: Mapping[int | str, str]
    categories: Mapping[int | str, Mapping[str, Any]]
    annotations: Sequence[Any]
    notes: tuple[str, ...] = ()

    @property
    def split(self) -> SplitName | None:
        """The official part its name says."""
        return split_of(self.tag)


def coco_kinds(root: Path) -> dict[str, list[Path]]:
    """Returns kind -> JSON files: instances, stuff, panoptic, captions, person_keypoints, image_info.

    They lie in the root, in a folder, or in the folder `annotations` of one: a task, or a part, each.
    """
    kinds: dict[str, list[Path]] = {}
    inner = [path for folder in subfolders(root) for path in sorted((folder / "annotations").glob("*.json"))]
    for path in (*some_files(root, "*.json"), *inner):
        kind = _kind(path)
        if kind is not None:
            kinds.setdefault(kind, []).append(path)
    return kinds


def choose_files(
    root: Path, annotations: str | None, kinds: Sequence[str], wanted: str
) -> tuple[list[Path], list[str]]:
    """Returns the JSON files to read, and notes on those left out.

    Args:
        annotations: name or pattern given by the user.
        kinds: that can be read; captions and the like say nothing about pixels.
        wanted: what is looked for, for messages.
    Raises:
        DatasetError: none, or several kinds that would be mixed.
    """
    if annotations is not None:
        return matching(root, annotations, wanted), []
    found = coco_kinds(root)
    usable = {kind: paths for kind, paths in found.items() if kind in kinds}
    others = sorted(path.name for kind, paths in found.items() if kind not in kinds for path in paths)
    if len(usable) > 1:
        some = shorten((path.relative_to(root).as_posix() for paths in usable.values() for path in paths), 6)
        first = next(iter(usable.values()))[0].relative_to(root)
        pattern = (first.parent / f"{next(iter(usable))}_*.json").as_posix()
        raise DatasetError(
            f"there are annotations of several kinds, {' and '.join(sorted(usable))} ({some}), which are not mixed; "
            f"choose with {set_option('annotations', yaml_text(pattern))}",
            path=root,
        )
    if not usable:
        raise DatasetError(
            f"expected {wanted}, but there is none in this folder or directly below{_other_way(others, found)}",
            path=root,
        )
    notes: list[str] = (
        [
            plural(
                "{n} file of another kind was not read: {names}",
                "{n} files of other kinds were not read: {names}",
                n=len(others),
                names=shorten(others),
            )
        ]
        if others
        else []
    )
    return next(iter(usable.values())), notes


def load_coco(path: Path, root: Path | None = None) -> CocoFile:
    """Returns a JSON file in COCO's form.

    Args:
        root: of the data set, whose own name says nothing about the part.
    Raises:
        DatasetError: damaged, a key that is missing or of another type, an id that occurs twice.
    """
    loaded = load_json(path)
    if isinstance(loaded, list) and loaded and isinstance(loaded[0], dict) and "image_id" in loaded[0]:
        raise DatasetError(
            message(
                "COCO's results: predictions without images and categories; read are COCO's annotations, which list "
                "them"
            ),
            path=path,
        )
    plain = as_kind(loaded, dict, path, "the file")
    pictures: dict[int | str, Picture] = {}
    for where, item in _items(plain, "images", path):
        number = _id(item, "id", path, where)
        name = need(item, "file_name", str, path, where)
        if number in pictures and pictures[number].name == name:
            continue  # the same image again, as after two files were put together
        if number in pictures:
            raise DatasetError(f"{where}.id: {number!r} is the id of {pictures[number].where} too", path=path)
        height, width = side_of(item, "height", path, where), side_of(item, "width", path, where)
        pictures[number] = Picture(id=number, name=name, height=height, width=width, where=where)
    categories: dict[int | str, Mapping[str, Any]] = {}
    for where, item in _items(plain, "categories", path):
        number = _id(item, "id", path, where)
        need(item, "name", str, path, where)
        if number in categories:
            raise DatasetError(f"{where}.id: the category {number!r} occurs twice", path=path)
        categories[number] = item
    annotations = need(plain, "annotations", list, path, "")
    names, notes = _names(categories, annotations, path)
    stem = _stem(path)
    home = home_of(path)
    return CocoFile(
        path=path,
        tag=stem if split_of(stem) is not None or home == root else home.name,
        pictures=pictures,
        names=names,
        categories=categories,
        annotations=annotations,
        notes=tuple(notes),
    )


def _stem(path: Path) -> str:
    """Returns what a file's name says apart from the kind: train2017."""
    return _PREFIX.sub("", path.name).removesuffix(".json")


def home_of(path: Path) -> Path:
    """Returns the folder that a JSON file belongs to: the one above `annotations`, or its own."""
    return path.parent.parent if path.parent.name == "annotations" else path.parent


def labels_of(files: Sequence[CocoFile], used: frozenset[str]) -> list[str]:
    """Returns category names in the order of their ids, without the unused one that exports put first."""
    names = [
        name
        for file in files
        for number, name in file.names.items()
        if not (_is_dummy(number, file.categories[number]) and name not in used)
    ]
    return list(dict.fromkeys(names))


def annotations_of(file: CocoFile) -> Iterator[tuple[str, Mapping[str, Any], int | str]]:
    """Yields where an annotation is in the file, the annotation, and the id of its image, as the image has it."""
    same = _by_text(file.pictures)
    for index, item in enumerate(file.annotations):
        where = f"annotations[{index}]"
        plain = as_kind(item, dict, file.path, where)
        owner = _id(plain, "image_id", file.path, where)
        yield where, plain, owner if owner in file.pictures else same.get(str(owner), owner)


def unknown_image(file: CocoFile, where: str, owner: int | str) -> Defect:
    """Returns the defect of an annotation whose image is not listed."""
    text = message("image_id {owner!r} is not in the list of images; left out", owner=owner)
    return Defect(code="no_image", path=file.path, where=where, text=text)


def unknown_category(file: CocoFile, where: str, category: object) -> Defect:
    """Returns the defect of an annotation, or a segment, whose category is not listed: its region counts nowhere."""
    text = message(
        "category_id {category!r} is not in the list of categories: {names}",
        category=category,
        names=shorten(file.names),
    )
    return Defect(code="unknown_class", path=file.path, where=where, text=text, fatal=True)


def category_of(file: CocoFile, plain: Mapping[str, Any]) -> Any:
    """Returns the id of the category that an annotation, or a segment, names, as the category has it.

    One that is not listed, or no id at all, is returned as it stands: it is not among the file's `names`.
    """
    value = plain.get("category_id")
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None if value is None else repr(value)
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    return whole if whole in file.names else _by_text(file.names).get(str(whole), whole)


def locate(
    file: CocoFile, picture: Picture, index: ImageIndex, known: frozenset[Path], defects: list[Defect]
) -> Path | None:
    """Returns the image file: beside the JSON, where COCO has it, or anywhere below the root under this name; or None.

    Args:
        known: the index's files.
        defects: what is wrong is appended to them.
    Raises:
        DatasetError: several files could be meant.
    """
    name = PurePosixPath(picture.name.replace("\\", "/"))
    root = index.root
    home = home_of(file.path)
    tops = [home, root] if home.is_relative_to(root) else [root]
    inner = (f"images/{file.tag}", file.tag, f"images/{_stem(file.path)}", "images", "")
    folders = [file.path.parent, *(top / name for top in tops for name in inner)]
    beside = next((folder / name for folder in folders if folder / name in known), None)
    if beside is not None:
        return beside
    return index.place(picture.name, file.path, picture.key, defects, folder=file.tag, suffix=True)


def _other_way(others: Sequence[str], found: Mapping[str, Sequence[Path]]) -> str:
    """Returns how the files of other kinds could be read, for the error that there are no better ones."""
    for kind, name in (("panoptic", "coco_panoptic"), ("instances", "coco"), ("stuff", "coco")):
        if kind in found:
            return f"; {shorten(others)} can be read with {set_format(name)}"
    return f"; to read {shorten(others)} anyway set {set_option('annotations', yaml_text(others[0]))}" if others else ""


def _kind(path: Path) -> str | None:
    named = _PREFIX.match(path.name)
    if named is not None and named[1] in _SURE:
        return named[1]
    beginning = head(path)
    text = beginning + tail(path)
    lists = {match[1] for match in _LISTS.finditer(text)}
    if not re.match(r"\s*\{", beginning) or not lists & {"images", "annotations"} or '"file_name"' not in text:
        return None
    if _ONE_IMAGE.match(beginning):
        return None  # SA-1B's: the annotations of a single image
    if named is not None:
        return named[1]
    sign = next((kind for kind, sign in _KINDS if sign in text), None)
    return sign or ("instances" if lists == {"images", "annotations", "categories"} else None)  # nothing annotated


def _items(plain: Mapping[str, Any], key: str, path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for index, item in enumerate(need(plain, key, list, path, "")):
        where = f"{key}[{index}]"
        yield where, as_kind(item, dict, path, where)


def _id(plain: Mapping[str, Any], key: str, path: Path, where: str) -> int | str:
    value = plain.get(key)
    if isinstance(value, float) and value.is_integer():
        return int(value)  # as table programs write it
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise wrong_key(path, f"{where}.{key}", "a number or name", value)
    return value


def _by_text(known: Mapping[int | str, object]) -> dict[str, int | str]:
    """Returns text of an id -> id, where the text is no other's: 7 and "7" are the same where only one is there."""
    times = Counter(str(number) for number in known)
    return {str(number): number for number in known if times[str(number)] == 1}


def _names(
    categories: Mapping[int | str, Mapping[str, Any]], annotations: Sequence[Any], path: Path
) -> tuple[dict[int | str, str], list[str]]:
    """Returns category id -> label, and notes on several of one name: one class, unless their supercategories differ.

    The root that some exports put first, with the name of a class below it, is that class.
    """
    names = {number: str(categories[number]["name"]) for number in sorted(categories, key=_order)}
    used = _used(annotations)
    notes: list[str] = []
    for name in dict.fromkeys(names.values()):
        same = [number for number in names if names[number] == name and str(number) in used]
        above = {number: str(categories[number].get("supercategory") or "") for number in same}
        distinct = {above[number] for number in same if not _is_dummy(number, categories[number])} - {"", name}
        if len(same) < 2:
            continue
        if len(distinct) > 1:
            names |= {number: f"{above[number]}/{name}" for number in same if above[number] in distinct}
            merged = ", ".join(sorted({names[number] for number in same}))
            notes.append(
                message(
                    "{file}: {n} categories are called {name!r} and have other supercategories; they are classes of "
                    "their own, and one with {option}",
                    file=path.name,
                    n=len(same),
                    name=name,
                    option=set_option("classes", f"{{{name}: [{merged}]}}"),
                )
            )
        else:
            notes.append(
                message(
                    "{file}: {n} categories are called {name!r} (ids {ids}); they are one class",
                    file=path.name,
                    n=len(same),
                    name=name,
                    ids=shorten(same),
                )
            )
    return names, notes


def _used(annotations: Sequence[Any]) -> set[str]:
    """Returns the ids of categories, as text, that annotations or their segments name."""
    plain = [item for item in annotations if isinstance(item, dict)]
    segments = [item.get("segments_info") for item in plain]
    plain += [item for items in segments if isinstance(items, list) for item in items if isinstance(item, dict)]
    values = [item.get("category_id") for item in plain]
    return {str(int(value) if isinstance(value, float) and value.is_integer() else value) for value in values}


def _is_dummy(number: int | str, category: Mapping[str, Any]) -> bool:
    return number == 0 and (category.get("supercategory") == "none" or category["name"] == "_background_")


def _order(number: int | str) -> tuple[bool, int, str]:
    return isinstance(number, str), number if isinstance(number, int) else 0, str(number)
