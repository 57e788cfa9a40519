"""Cityscapes: streets of 50 cities, fine and coarse annotations (Cordts et al. 2016)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segbench.data.files.images import read_mask_values
from segbench.data.formats.cityscapes.labels import LABELS
from segbench.data.formats.shared.layout import SPLIT_WORDS
from segbench.data.formats.shared.listing import Entry, Listing, choose, image_files, missing_folder, subfolders
from segbench.data.formats.shared.odd_values import REST
from segbench.data.formats.shared.published import choose_classes
from segbench.errors import ConfigError, DatasetError, shorten
from segbench.locale import plural
from segbench.types import ClassMap, SplitName, Task

_IMAGES = "leftImg8bit"
_TRUTHS = ("gtFine", "gtCoarse")
_KINDS = ("labelIds", "labelTrainIds")
_VOID_TRAIN_IDS = (19, 255)  # 19 where a tool wrote all void classes as the one behind the last
_SNIFFED = 3
_SPLITS: dict[str, SplitName] = {**SPLIT_WORDS, "train_extra": "train"}


def cityscapes(
    root: Path, *, truth: str = "auto", labels: str = "auto", classes: str | Sequence[str] | Mapping[str, Any] = "train"
) -> Listing:
    """Lists Cityscapes: `leftImg8bit/train/CITY/*_leftImg8bit.png` and `gtFine/train/CITY/*_gtFine_labelIds.png`.

    Args:
        root: the folder that holds `leftImg8bit` and `gtFine` or `gtCoarse`.
        truth: `gtFine`, `gtCoarse`, or `auto` for the fine one where it is there.
        labels: which masks are read: `labelIds` (official), `labelTrainIds` (made by the official scripts), or `auto`
            for the first of these that every image has.
        classes: `train` for the 19 classes that are trained and scored, the others count nowhere; `all` 34; or names
            of these to keep, in this order; or name -> name, list of names, or `rest` for all others. What is left
            counts nowhere.
    Returns:
        Entries with their official part and CITY_SEQUENCE as group. The test part, whose masks are withheld, is left
        out unless it has real ones.
    Raises:
        DatasetError: a folder is missing, or train or val images without a mask.
        ConfigError: all classes from masks that hold 19.
    """
    choose(truth, ("auto", *_TRUTHS), "truth")
    choose(labels, ("auto", *_KINDS), "labels")
    chosen_classes = None if isinstance(classes, str) else classes
    if isinstance(classes, str):
        choose(classes, ("train", "all"), "classes")
    else:
        classes = _holds(classes)
    layout = f"Cityscapes' folders {_IMAGES}/ and gtFine/"
    if not (root / _IMAGES).is_dir():
        raise missing_folder(root, _IMAGES, layout)
    there = [name for name in _TRUTHS if (root / name).is_dir()]
    if not there or truth not in ("auto", *there):
        raise missing_folder(root, "gtFine" if truth == "auto" else truth, layout)
    chosen = there[0] if truth == "auto" else truth
    images = [
        path
        for folder in subfolders(root / _IMAGES)
        if folder.name in _SPLITS and (root / chosen / folder.name).is_dir()
        for path in image_files(folder)
        if path.stem.endswith(f"_{_IMAGES}")
    ]
    if not images:
        raise DatasetError(f"found no image {_IMAGES}/train/CITY/*_{_IMAGES}.png", path=root)
    kind = labels if labels != "auto" else _kind(images, root, chosen)
    if classes == "all" and kind == "labelTrainIds":
        raise ConfigError(
            "the masks labelTrainIds hold the 19 classes; all 34 are in labelIds", key="data.options.classes"
        )
    notes: list[str] = []
    entries = _entries(images, root, chosen, kind, notes)
    return Listing(
        class_map=choose_classes(_class_map(kind, classes), chosen_classes), entries=tuple(entries), notes=tuple(notes)
    )


def _holds(classes: Sequence[str] | Mapping[str, Any]) -> str:
    """Returns which classes have all these names: the 19 that are trained, or all."""
    labels = classes.values() if isinstance(classes, Mapping) else classes
    wanted = {name for label in labels for name in (label if isinstance(label, list | tuple) else [label])}
    return "train" if wanted - {REST} <= {*_class_map("labelIds", "train").names} else "all"


def looks_like(root: Path) -> str | None:
    """Returns by what a folder is recognised as Cityscapes: its two folders; None where it is not."""
    truth = next((name for name in _TRUTHS if (root / name).is_dir()), None)
    return f"Cityscapes ({_IMAGES}/, {truth}/)" if truth and (root / _IMAGES).is_dir() else None


def _mask(image: Path, root: Path, truth: str, kind: str) -> Path:
    name = image.stem.removesuffix(_IMAGES) + f"{truth}_{kind}.png"
    return root / truth / image.parent.relative_to(root / _IMAGES) / name


def _kind(images: list[Path], root: Path, truth: str) -> str:
    """Returns the kind of masks that the most images have."""
    found = {kind: sum(_mask(image, root, truth, kind).is_file() for image in images) for kind in _KINDS}
    return max(found, key=lambda kind: found[kind])


def _split(image: Path, root: Path) -> SplitName:
    return _SPLITS[image.relative_to(root / _IMAGES).parts[0]]


def _entries(images: list[Path], root: Path, truth: str, kind: str, notes: list[str]) -> list[Entry]:
    masks = {image: _mask(image, root, truth, kind) for image in images}
    bare = [image for image in images if not masks[image].is_file()]
    lost = [image for image in bare if _split(image, root) != "test"]
    if lost:
        kinds = Counter(path.stem.rpartition("_")[2] for path in image_files(root / truth))
        raise DatasetError(
            f"{len(lost)} of {len(images)} images have no mask *_{truth}_{kind}.png: "
            f"{shorten((path.name for path in lost), 4)}; {truth} holds {shorten(kinds)}",
            path=root,
        )
    tests = [image for image in images if _split(image, root) == "test" and image not in bare]
    if tests and _withheld([masks[image] for image in tests[:_SNIFFED]], kind):
        bare += tests
    if bare:
        notes.append(
            plural(
                "the test part's masks are not published: {n} image was left out",
                "the test part's masks are not published: {n} images were left out",
                n=len(bare),
            )
        )
    left_out = set(bare)
    kept = [image for image in images if image not in left_out]
    if not kept:
        raise DatasetError(f"no image has a mask *_{truth}_{kind}.png", path=root)
    return [
        Entry(
            id=image.stem.removesuffix(f"_{_IMAGES}"),
            image=image,
            mask=masks[image],
            group=_sequence(image),
            split=_split(image, root),
        )
        for image in kept
    ]


def _withheld(masks: list[Path], kind: str) -> bool:
    """Returns whether masks hold no class: the official test masks have the car's bonnet and the border only."""
    known = [(number, train_id) for number, train_id, _ in LABELS.values() if train_id is not None]
    real = [train_id if kind == "labelTrainIds" else number for number, train_id in known]
    return not any(np.isin(read_mask_values(path), real).any() for path in masks)


def _sequence(image: Path) -> str:
    """`aachen_000002_000019_leftImg8bit` -> `aachen_000002`."""
    return "_".join(image.stem.split("_")[:-2])


def _class_map(kind: str, classes: str) -> ClassMap:
    names = [name for name, (_, train_id, _) in LABELS.items() if classes == "all" or train_id is not None]
    values = [LABELS[name][0] for name in names]
    void = (*(number for number, _, _ in LABELS.values() if number not in values), 255)
    if kind == "labelTrainIds":
        values, void = list(range(len(names))), _VOID_TRAIN_IDS  # the table has them in this order
    return ClassMap(
        names=tuple(names),
        values=tuple((value,) for value in values),
        task=Task.MULTICLASS,
        colors=tuple(LABELS[name][2] for name in names),
        background=None,
        ignore_values=void,
    )
