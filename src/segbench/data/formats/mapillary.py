"""Mapillary Vistas: street scenes of the world, v1.2 (66 labels) and v2.0 (124) (Neuhold et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segbench.data.facts.store import MaskFact
from segbench.data.formats.shared.annotated import load_json, wrong_key
from segbench.data.formats.shared.class_list_files import is_color
from segbench.data.formats.shared.layout import SPLIT_WORDS
from segbench.data.formats.shared.listing import Entry, Listing, by_stem, choose, missing_folder, subfolders
from segbench.data.formats.shared.pairs import paired
from segbench.data.formats.shared.published import choose_classes
from segbench.errors import DatasetError
from segbench.types import RGB, ClassMap, Task

_VERSIONS = {"v2.0": ("v2.0/labels", "config_v2.0.json"), "v1.2": ("v1.2/labels", "config_v1.2.json")}
_FLAT = ("labels", "config.json")  # v1.0 and v1.1, which have one set of labels


def mapillary(
    root: Path,
    *,
    classes: Sequence[str] | Mapping[str, Any] | None = None,
    version: str = "auto",
    unpaired: str = "error",
) -> Listing:
    """Lists Mapillary Vistas: `training/images/NAME.jpg` and `training/v2.0/labels/NAME.png`, validation alike.

    Args:
        root: the folder of the parts and of `config_v2.0.json`, which names the classes and their colours; labels that
            it excludes from evaluation count nowhere. Without it the classes are named by their numbers.
        version: `v2.0`, `v1.2`, or `auto` for the newest that is there.
        classes: published names to keep, in this order; or name -> published name, list of them, or `rest` for all
            others. What is left counts nowhere. None takes all.
        unpaired: `error`, or `skip` to leave out images without labels and labels without image, with a note.
    Returns:
        Entries with their official part; the testing part, which has no labels, is left out.
    Raises:
        DatasetError: no such folders, files without partner, a damaged config file.
    """
    choose(version, ("auto", *_VERSIONS), "version")
    choose(unpaired, ("error", "skip"), "unpaired")
    parts = [
        folder for folder in subfolders(root) if folder.name.lower() in SPLIT_WORDS and (folder / "images").is_dir()
    ]
    there = [name for name, (labels, _) in _VERSIONS.items() if any((part / labels).is_dir() for part in parts)]
    chosen = version if version != "auto" else there[0] if there else ""
    labels, config = _VERSIONS.get(chosen, _FLAT)
    if not any((part / labels).is_dir() for part in parts):
        raise missing_folder(root, "training", f"Mapillary Vistas' folders training/images and training/{labels}")
    notes = (
        [f"labels {chosen} were read; {' and '.join(there)} are there"] if len(there) > 1 and version == "auto" else []
    )
    entries: list[Entry] = []
    for part in parts:
        if not (part / labels).is_dir():
            notes.append(f"{part.name} has no {labels} and was left out")
            continue
        images, masks = (by_stem(part / name, root, "image") for name in ("images", labels))
        entries += [
            Entry(id=name, image=images[name], mask=masks[name], split=SPLIT_WORDS[part.name.lower()])
            for name in paired(images, masks, part, unpaired, notes)
        ]
    class_map = _class_map(root / config) if (root / config).is_file() else _Numbered(root=root)
    if isinstance(class_map, _Numbered):
        notes.append(f"{config} is not there; the classes are named by their numbers")
    return Listing(class_map=choose_classes(class_map, classes), entries=tuple(entries), notes=tuple(notes))


def looks_like(root: Path) -> str | None:
    """Returns by what a folder is recognised as Mapillary Vistas: its config file, or a part's labels; or None."""
    for folder in subfolders(root):
        for labels, config in _VERSIONS.values():
            if folder.name.lower() in SPLIT_WORDS and (folder / labels).is_dir() and (folder / "images").is_dir():
                sign = f", {config}" if (root / config).is_file() else ""
                return f"Mapillary Vistas ({folder.name}/images/, {folder.name}/{labels}/{sign})"
    return None


@dataclass(frozen=True, kw_only=True)
class _Numbered:
    """The class map of masks without a list of names."""

    root: Path

    def __call__(self, facts: Mapping[Path, MaskFact]) -> ClassMap:
        found = {value for fact in facts.values() for value in fact.counts}
        if any(isinstance(value, tuple) for value in found):
            raise DatasetError("expected label numbers in the masks, got colours", path=self.root)
        values = sorted(value for value in found if isinstance(value, int))
        return ClassMap(
            names=tuple(f"class_{value}" for value in values),
            values=tuple((value,) for value in values),
            task=Task.MULTICLASS,
            background=None,
        )


def _class_map(path: Path) -> ClassMap:
    plain = load_json(path)
    labels = plain.get("labels") if isinstance(plain, dict) else None
    if not isinstance(labels, list) or not labels:
        raise wrong_key(path, "labels", "a list of classes", labels)
    names: dict[int, str] = {}
    colors: dict[int, RGB] = {}
    readable = [_text(label, "readable") for label in labels if isinstance(label, dict)]
    key = "readable" if all(readable) and len(set(readable)) == len(labels) else "name"
    for number, label in enumerate(labels):
        name = _text(label, key) if isinstance(label, dict) else ""
        if not name:
            raise wrong_key(path, f"labels[{number}]", f"a class with a text `{key}`", label)
        if label.get("evaluate", True):
            names[number], colors[number] = name, _color(label.get("color"), path, number)
    if len(set(names.values())) < len(names):
        raise DatasetError("labels: expected a name of its own for each class, got the same twice", path=path)
    return ClassMap(
        names=tuple(names.values()),
        values=tuple((number,) for number in names),
        task=Task.MULTICLASS,
        colors=tuple(colors.values()),
        background=None,
        ignore_values=tuple(number for number in range(len(labels)) if number not in names),
    )


def _text(plain: Mapping[str, Any], key: str) -> str:
    """Returns a text of a mapping; empty where it is missing or something else."""
    value = plain.get(key)
    return value if isinstance(value, str) else ""


def _color(value: Any, path: Path, number: int) -> RGB:
    if not is_color(value):
        raise wrong_key(path, f"labels[{number}].color", "[r, g, b] from 0 to 255", value)
    return (value[0], value[1], value[2])
