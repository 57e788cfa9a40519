"""ADE20K: the full set of 2016 to 2021, and its short form SceneParsing150 (Zhou et al. 2017, 2019)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Unpack

from segbench.data.files.hints import set_option
from segbench.data.files.images import image_facts
from segbench.data.formats.ade20k.objects import Objects, read_objects
from segbench.data.formats.shared.annotated import Annotated, AnnotationOptions, build_listing
from segbench.data.formats.shared.image_names import short_ids
from segbench.data.formats.shared.layout import SPLIT_WORDS
from segbench.data.formats.shared.listing import (
    Defect,
    Entry,
    Listing,
    by_key,
    image_files,
    missing_folder,
    read_lines,
    subfolders,
)
from segbench.data.formats.shared.pairs import paired
from segbench.data.formats.shared.values import bad_shape
from segbench.data.shapes.drawing import Drawing, Shape
from segbench.errors import ConfigError, DatasetError, shorten
from segbench.locale import message, plural
from segbench.types import ClassMap, Task

_SEG = "_seg"
_IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
_SHORT_CLASSES = 150
_SHORT_OTHER = 0


def ade20k(root: Path, *, top: int | None = 150, **shared: Unpack[AnnotationOptions]) -> Listing:
    """Lists ADE20K: in full (`training/.../NAME.jpg`, `NAME_seg.png`, `NAME.json` or `NAME_atr.txt`) or in short.

    The short SceneParsing150 (`images/training`, `annotations/training`) has its 150 classes and no options; 0,
    "other", counts nowhere. In the full set parts of objects are left alone, and pixels without a name count nowhere.

    Args:
        root: the folder of `training` and `validation`, or of `images` above them.
        top: of the full set, how many classes are kept: those that the most images have. The others count nowhere.
            None keeps all, `classes` says which.
        shared: see `AnnotationOptions`; `background` is false here unless it is given.
    Returns:
        Entries with the official parts train and val.
    Raises:
        DatasetError: no such layout, a file without partner, a damaged list of objects.
        ConfigError: an option's value, or options for SceneParsing150.
    """
    short = _short_home(root)
    if short is not None:
        if shared or top != _SHORT_CLASSES:
            given = next(iter(shared), "top")
            raise ConfigError("SceneParsing150 has no options; its 150 classes are fixed", key=f"data.options.{given}")
        return _scene_parsing(short)
    if top is not None and top < 2:
        raise ConfigError(f"expected 2 or more, got {top}", key="data.options.top")
    home = _full_home(root)
    if home is None:
        raise missing_folder(
            root, "training", "ADE20K: training/.../NAME.jpg with NAME_seg.png and NAME.json or NAME_atr.txt"
        )
    return _full(root, home, top, shared)


def looks_like(root: Path) -> str | None:
    """Returns by what a folder is recognised as ADE20K: masks with lists of objects, or the short form's names."""
    short = _short_home(root)
    if short is not None and (short / "objectInfo150.txt").is_file():
        return "ADE20K, SceneParsing150 (annotations/training/, objectInfo150.txt)"
    home = _full_home(root)
    mask = _first_mask(home) if home is not None else None
    if home is None or mask is None:
        return None
    part = next(part for part in _parts(home) if part in mask.parents)
    return f"ADE20K ({part.relative_to(root).as_posix()}/, *{_SEG}.png with lists of objects)"


def _short_home(root: Path) -> Path | None:
    for home in (root, root / "ADEChallengeData2016"):
        if all((home / kind / "training").is_dir() for kind in ("images", "annotations")):
            return home
    return None


def _scene_parsing(home: Path) -> Listing:
    entries: list[Entry] = []
    notes: list[str] = []
    for part in ("training", "validation"):
        folders = [home / kind / part for kind in ("images", "annotations")]
        if not all(folder.is_dir() for folder in folders):
            notes.append(f"images/{part} or annotations/{part} is not there")
            continue
        images, masks = (
            by_key(((path.stem, path) for path in image_files(folder)), home, "image") for folder in folders
        )
        entries += [
            Entry(id=name, image=images[name], mask=masks[name], split=SPLIT_WORDS[part])
            for name in paired(images, masks, home / "images" / part, "error", notes)
        ]
    names = _short_names(home / "objectInfo150.txt")
    class_map = ClassMap(
        names=names,
        values=tuple((number,) for number in range(1, len(names) + 1)),
        task=Task.MULTICLASS,
        background=None,
        ignore_values=(_SHORT_OTHER,),
    )
    return Listing(class_map=class_map, entries=tuple(entries), notes=tuple(notes))


def _short_names(path: Path) -> tuple[str, ...]:
    """Returns the names in the table's last column, their first words where these differ."""
    if not path.is_file():
        return tuple(f"class_{number}" for number in range(1, _SHORT_CLASSES + 1))
    long = [line.split("\t")[-1].strip() for _, line in read_lines(path)[1:]]
    if len(long) != _SHORT_CLASSES or len(set(long)) != _SHORT_CLASSES:
        raise DatasetError(f"expected {_SHORT_CLASSES} names of classes, got {len(set(long))}", path=path)
    return tuple(_short_labels(dict(enumerate(long))).values())


def _full_home(root: Path) -> Path | None:
    releases = [folder for folder in subfolders(root) if folder.name.startswith("ADE20K_")] if root.is_dir() else []
    for top in (root, *releases):
        for home in (top, top / "images", top / "images" / "ADE"):
            if home.is_dir() and _first_mask(home) is not None:
                return home
    return None


def _first_mask(home: Path) -> Path | None:
    for folder in _parts(home):
        for path in folder.rglob(f"*{_SEG}.png"):
            if _objects_file(path) is not None:
                return path
    return None


def _parts(home: Path) -> list[Path]:
    return [home / name for name in ("training", "validation") if (home / name).is_dir()]


def _stem(mask: Path) -> str:
    return mask.stem.removesuffix(_SEG)


def _objects_file(mask: Path) -> Path | None:
    return next(
        (path for tail in (".json", "_atr.txt") if (path := mask.with_name(_stem(mask) + tail)).is_file()), None
    )


def _full(root: Path, home: Path, top: int | None, shared: AnnotationOptions) -> Listing:
    masks = [path for folder in _parts(home) for path in image_files(folder) if path.stem.endswith(_SEG)]
    pictures = {mask: _picture(mask) for mask in masks}
    lost = [f"{mask.name} has no image" for mask in masks if pictures[mask] is None]
    lost += [f"{mask.name} has no .json or _atr.txt" for mask in masks if _objects_file(mask) is None]
    if lost:
        raise DatasetError(
            plural(
                "{n} file is missing: {names}", "{n} files are missing: {names}", n=len(lost), names=shorten(lost, 6)
            ),
            path=root,
        )
    ids = short_ids([picture for picture in pictures.values() if picture is not None], root)
    objects = Objects()
    wrong: dict[Path, list[DatasetError]] = {mask: [] for mask in masks}
    numbers = {mask: read_objects(_objects_file(mask) or mask, mask, objects, wrong[mask]) for mask in masks}
    labels = _short_labels(objects.names)
    notes: list[str] = []
    options: AnnotationOptions = {"background": False, **shared}
    if options.get("classes") is None and top is not None and len(set(labels.values())) > top:
        options["classes"] = _most_frequent(numbers, labels, top)
        notes.append(
            f"the {top} classes that the most images have were kept, of {len(set(labels.values()))}; the others count "
            f"nowhere ({set_option('top')})"
        )
    defects: list[Defect] = []
    found: list[Annotated] = []
    for mask, picture in pictures.items():
        if picture is None:
            continue
        name, facts = mask.relative_to(root).as_posix(), image_facts(mask)
        source = _objects_file(mask) or mask
        defects += [bad_shape(error, source, picture.name, picture) for error in wrong[mask]]
        if 0 in numbers[mask]:
            text = message("an object has the number 0, which means no object; left out")
            defects.append(Defect(code="unused_shape", path=source, where=picture.name, text=text))
        shapes = tuple(
            Shape(label=labels[number], file=name, coding="ade20k", value=number)
            for number in sorted(numbers[mask] - {0})
        )
        drawing = Drawing(source=source, key="", shapes=shapes, height=facts.height, width=facts.width)
        found.append(
            Annotated(
                id=ids[picture],
                image=picture,
                drawing=replace(drawing, key=picture.name, files=((name, facts.sha256),)),
                split=SPLIT_WORDS[mask.relative_to(home).parts[0]],
            )
        )
    return build_listing(root, found, options, notes=notes, defects=defects)


def _picture(mask: Path) -> Path | None:
    paths = (mask.with_name(_stem(mask) + suffix) for suffix in _IMAGE_SUFFIXES)
    return next((path for path in paths if path.is_file()), None)


def _short_labels(names: Mapping[int, str]) -> dict[int, str]:
    """Returns number -> the first of the synonyms of a name, or all of them where another class begins alike."""
    first = {number: name.partition(",")[0].strip() for number, name in names.items()}
    owners: dict[str, set[str]] = {}
    for number, name in names.items():
        owners.setdefault(first[number], set()).add(name)
    return {number: first[number] if len(owners[first[number]]) == 1 else name for number, name in names.items()}


def _most_frequent(numbers: Mapping[Path, set[int]], labels: Mapping[int, str], top: int) -> list[str]:
    images = Counter(label for found in numbers.values() for label in {labels[number] for number in found - {0}})
    return sorted(images, key=lambda label: (-images[label], label))[:top]
