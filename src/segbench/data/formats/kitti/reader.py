"""KITTI's semantic labels (Alhaija et al. 2018): Cityscapes' classes; also CVAT's export."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segbench.data.files.hints import set_option
from segbench.data.formats.cityscapes.labels import LABELS
from segbench.data.formats.shared.known_values import KnownValues
from segbench.data.formats.shared.layout import SPLIT_WORDS
from segbench.data.formats.shared.listing import (
    Entry,
    Listing,
    by_key,
    choose,
    image_files,
    missing_folder,
    read_lines,
    subfolders,
)
from segbench.data.formats.shared.pairing import file_key
from segbench.data.formats.shared.pairs import paired
from segbench.errors import DatasetError
from segbench.locale import message, plural
from segbench.types import RGB, MaskValue

_IMAGES = "image_2"
_TRUTHS = ("semantic", "semantic_rgb", "instance")
_COLORS = "label_colors.txt"
_LINE = re.compile(r"(?:(\d+)\s+(\d+)\s+(\d+)\s+)?(\D.*)")
_PER_CLASS = 256
_PLATE = 255  # the licence plate's number is -1, which is 255 in 8 bit


def kitti(
    root: Path,
    *,
    truth: str = "auto",
    classes: Sequence[str] | Mapping[str, Any] | None = None,
    unpaired: str = "error",
) -> Listing:
    """Lists KITTI's semantic labels: `training/image_2/NAME.png` and `training/semantic/NAME.png`.

    Args:
        root: the folder of `training`, or of other parts. `label_colors.txt` there (R G B NAME, or NAME, a line) names
            other classes than Cityscapes', numbered in its order.
        truth: which masks are read: `semantic` (numbers), `instance` (number * 256 + object, of 16 bit),
            `semantic_rgb` (colours), or `auto` for the first of these that is there.
        classes: names to keep, in order, or class name -> name, list of names, or `rest`; the others count nowhere.
            None keeps the 19 of Cityscapes that are trained and scored, or all of `label_colors.txt`.
        unpaired: `error`, or `skip` to leave out images without mask and masks without image, with a note.
    Returns:
        Entries, with the official part where several parts have masks; parts without are left out, with a note.
    Raises:
        DatasetError: no such folders, files without partner, a damaged list of classes.
        ConfigError: an option's value.
    """
    choose(truth, ("auto", *_TRUTHS), "truth")
    choose(unpaired, ("error", "skip"), "unpaired")
    parts = _parts(root)
    kinds = [kind for kind in _TRUTHS if any((part / kind).is_dir() for part in parts)]
    wanted = f"KITTI's folders training/{_IMAGES} and training/semantic"
    if not kinds:
        raise missing_folder(root, "training", wanted)
    kind = kinds[0] if truth == "auto" else truth
    if kind not in kinds:
        raise missing_folder(next(part for part in parts if (part / kinds[0]).is_dir()), kind, wanted)
    notes: list[str] = []
    labelled = [part for part in parts if (part / kind).is_dir()]
    entries: list[Entry] = []
    for part in parts:
        if part not in labelled:
            notes.append(_for_predict(part))
            continue
        images, masks = (
            by_key(((file_key(path, part / name), path) for path in image_files(part / name)), root, what)
            for name, what in ((_IMAGES, "image"), (kind, "mask"))
        )
        prefix = f"{part.name}/" if len(labelled) > 1 else ""
        entries += [
            Entry(
                id=prefix + name,
                image=images[name],
                mask=masks[name],
                split=SPLIT_WORDS.get(part.name.lower()) if len(labelled) > 1 else None,
            )
            for name in paired(images, masks, part, unpaired, notes)
        ]
    rule = _rule(root, kind, classes)
    return Listing(
        class_map=rule if kind == "instance" else rule({}),
        entries=tuple(entries),
        notes=tuple(notes),
    )


def looks_like(root: Path) -> str | None:
    """Returns by what a folder is recognised as KITTI's labels: the folders of a part; None where it is not."""
    for part in _parts(root):
        kind = next((kind for kind in _TRUTHS if (part / kind).is_dir()), None)
        if kind is not None:
            return f"KITTI ({part.name}/{_IMAGES}/, {part.name}/{kind}/)"
    return None


def _parts(root: Path) -> list[Path]:
    return [folder for folder in subfolders(root) if (folder / _IMAGES).is_dir()] if root.is_dir() else []


def _for_predict(part: Path) -> str:
    return plural(
        "{part}/ has {n} image without labels: it is left out here, for `predict`",
        "{part}/ has {n} images without labels: they are left out here, for `predict`",
        n=len(image_files(part / _IMAGES)),
        part=part.name,
    )


def _rule(root: Path, kind: str, classes: Sequence[str] | Mapping[str, Any] | None) -> KnownValues:
    """Returns the classes: of `label_colors.txt`, or Cityscapes'."""
    own = _own_labels(root / _COLORS) if (root / _COLORS).is_file() else None
    labels: Mapping[str, tuple[int, RGB | None]] = own or {
        name: (number, color) for name, (number, _, color) in LABELS.items()
    }
    trained = [name for name, (_, train_id, _) in LABELS.items() if train_id is not None]
    usual = trained if own is None else list(own)
    if kind == "semantic_rgb":
        return _by_color(root, labels, usual, classes)
    values: dict[str, tuple[MaskValue, ...]] = {name: (number,) for name, (number, _) in labels.items()}
    if own is None:
        values["license plate"] = (_PLATE,)
    return KnownValues(
        root=root,
        values=values,
        chosen=classes,
        usual=usual,
        colors={name: color for name, (_, color) in labels.items() if color is not None},
        background=next((name for name in labels if name.lower() == "background"), None),
        divisor=_PER_CLASS if kind == "instance" else 1,
    )


def _by_color(
    root: Path,
    labels: Mapping[str, tuple[int, RGB | None]],
    usual: Sequence[str],
    classes: Sequence[str] | Mapping[str, Any] | None,
) -> KnownValues:
    """Returns the classes of colour masks; those that share a colour with another are one label that counts nowhere."""
    owners: dict[RGB, list[str]] = {}
    for name, (_, color) in labels.items():
        if color is None:
            raise DatasetError(
                message("the file gives {name!r} no colour; read the numbers instead", name=name), path=root / _COLORS
            )
        owners.setdefault(color, []).append(name)
    values: dict[str, tuple[MaskValue, ...]] = {}
    for color, names in owners.items():
        kept = [name for name in names if name in usual]
        values[kept[0] if len(kept) == 1 else " / ".join(names)] = (color,)
    shared = [" / ".join(names) for names in owners.values() if sum(name in usual for name in names) > 1]
    if shared:
        raise DatasetError(
            message(
                "the classes {names} have one colour; read the numbers with {option}",
                names=", ".join(shared),
                option=set_option("truth", "instance"),
            ),
            path=root,
        )
    return KnownValues(
        root=root,
        values=values,
        chosen=classes,
        usual=usual,
        colors={name: color for name, (_, color) in labels.items() if color is not None},
        background=next((name for name in labels if name.lower() == "background"), None),
    )


def _own_labels(path: Path) -> dict[str, tuple[int, RGB | None]]:
    """Returns name -> (place in the list, colour) of lines R G B NAME, or NAME alone."""
    labels: dict[str, tuple[int, RGB | None]] = {}
    for number, line in read_lines(path):
        match = _LINE.fullmatch(line)
        color = [int(part) for part in match.groups()[:3] if part is not None] if match is not None else []
        if match is None or match[4] in labels or any(part > 255 for part in color):
            raise DatasetError(
                message("line {number}: expected R G B and a name of its own, got {line!r}", number=number, line=line),
                path=path,
            )
        labels[match[4]] = (len(labels), (color[0], color[1], color[2]) if color else None)
    if len(labels) < 2:
        raise DatasetError(message("expected two classes or more, lines R G B NAME, got {n}", n=len(labels)), path=path)
    return labels
