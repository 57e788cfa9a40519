"""KITTI's road benchmark (Fritsch et al. 2013): where the road, or the car's own lane, is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segbench.data.files.hints import set_option
from segbench.data.formats.shared.known_values import KnownValues
from segbench.data.formats.shared.listing import Entry, Listing, by_stem, choose, image_files, missing_folder
from segbench.data.formats.shared.pairs import check_unpaired
from segbench.errors import DatasetError, shorten
from segbench.locale import message, plural

_IMAGES, _MASKS = "image_2", "gt_image_2"
_NAME = re.compile(r"(um|umm|uu)_(road|lane)_(\d+)")
_TARGETS = ("road", "lane")


def kitti_road(
    root: Path,
    *,
    target: str = "road",
    classes: Sequence[str] | Mapping[str, Any] | None = None,
    unpaired: str = "error",
) -> Listing:
    """Lists KITTI's road benchmark: `training/image_2/um_000000.png` and `training/gt_image_2/um_road_000000.png`.

    Magenta is road, red what is none; black, opposite lanes among it, counts nowhere.

    Args:
        root: the folder of `training`, or that folder itself.
        target: `road`, or `lane` for the car's own lane, which the images `um` alone have.
        classes: names to keep, in order, or class name -> name or list of names (`background`, and `road` or `lane`).
        unpaired: `error`, or `skip` to leave out images without mask and masks without image, with a note.
    Returns:
        Entries with the kind of road (um, umm, uu) in their names. Images of `testing` are left out, with a note.
    Raises:
        DatasetError: no such folders, files without partner.
        ConfigError: an option's value.
    """
    choose(target, _TARGETS, "target")
    choose(unpaired, ("error", "skip"), "unpaired")
    home = root / "training" if (root / "training").is_dir() else root
    for name in (_IMAGES, _MASKS):
        if not (home / name).is_dir():
            raise missing_folder(home, name, f"KITTI's folders training/{_IMAGES} and training/{_MASKS}")
    images = by_stem(home / _IMAGES, root, "image")
    masks: dict[str, Path] = {}
    for path in image_files(home / _MASKS, recursive=False):
        match = _NAME.fullmatch(path.stem)
        if match is None:
            raise DatasetError(
                message("expected names like um_road_000000.png, got {name}", name=path.name), path=path.parent
            )
        if match[2] == target:
            masks[f"{match[1]}_{match[3]}"] = path
    if not masks:
        raise DatasetError(
            message(
                "no mask is called um_{target}_000000.png; choose with {option}",
                target=target,
                option=set_option("target", "road"),
            ),
            path=home / _MASKS,
        )
    notes: list[str] = []
    if target == "lane":
        others = [name for name in images if name not in masks]
        images = {name: path for name, path in images.items() if name in masks}
        if others:
            notes.append(
                plural(
                    "{n} image has no lane marked and was left out: {names}",
                    "{n} images have no lane marked and were left out: {names}",
                    n=len(others),
                    names=shorten(others, 4),
                )
            )
    check_unpaired(images, masks, root, unpaired, notes)
    tests = image_files(root / "testing" / _IMAGES) if (root / "testing" / _IMAGES).is_dir() else []
    if tests:
        notes.append(
            plural(
                "testing/ has {n} image without labels: it is left out here, for `predict`",
                "testing/ has {n} images without labels: they are left out here, for `predict`",
                n=len(tests),
            )
        )
    rule = KnownValues(
        root=root,
        values={"background": ((255, 0, 0),), target: ((255, 0, 255),)},
        chosen=classes,
        ignore=((0, 0, 0),),
        background="background",
        colors={"background": (255, 0, 0), target: (255, 0, 255)},
    )
    entries = tuple(
        Entry(id=name, image=images[name], mask=masks[name]) for name in sorted(images.keys() & masks.keys())
    )
    return Listing(class_map=rule({}), entries=entries, notes=tuple(notes))


def looks_like(root: Path) -> str | None:
    """Returns by what a folder is recognised as KITTI's road benchmark: its folders and names; None where it is not."""
    home = root / "training" if (root / "training").is_dir() else root
    if not (home / _IMAGES).is_dir() or not (home / _MASKS).is_dir():
        return None
    first = next((path for path in image_files(home / _MASKS, recursive=False) if _NAME.fullmatch(path.stem)), None)
    return None if first is None else f"KITTI road ({first.relative_to(root).as_posix()})"
