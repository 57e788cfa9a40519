"""SYNTHIA: streets of a made-up city, in its published forms (Ros et al. 2016; Hernandez-Juarez et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from segbench.data.files.deep_colors import read_first_channel
from segbench.data.files.images import read_mask_values
from segbench.data.files.masks import as_color, count_values
from segbench.data.formats.shared.known_values import KnownValues
from segbench.data.formats.shared.listing import Entry, Listing, by_key, choose, image_files, missing_folder
from segbench.data.formats.shared.pairing import file_key
from segbench.data.formats.shared.pairs import paired
from segbench.data.formats.shared.unpacked import put_as_is, unpack_once
from segbench.errors import DatasetError, shorten
from segbench.locale import message
from segbench.types import RGB, MaskValue

_VOID = "void"
_RAND: dict[str, RGB] = {
    "void": (0, 0, 0),
    "sky": (128, 128, 128),
    "building": (128, 0, 0),
    "road": (128, 64, 128),
    "sidewalk": (0, 0, 192),
    "fence": (64, 64, 128),
    "vegetation": (128, 128, 0),
    "pole": (192, 192, 128),
    "car": (64, 0, 128),
    "traffic sign": (192, 128, 128),
    "pedestrian": (64, 64, 0),
    "bicycle": (0, 128, 192),
    "lane marking": (0, 172, 0),
    "traffic light": (0, 128, 128),
}
_ALSO: dict[str, RGB] = {"lane marking": (0, 175, 0), "bicycle": (119, 11, 31)}  # as other tables write them
_STREETS: dict[str, RGB] = {
    "void": (0, 0, 0),
    "road": (128, 64, 128),
    "sidewalk": (244, 35, 232),
    "building": (70, 70, 70),
    "wall": (102, 102, 156),
    "fence": (190, 153, 153),
    "pole": (153, 153, 153),
    "traffic light": (250, 170, 30),
    "traffic sign": (220, 220, 0),
    "vegetation": (107, 142, 35),
    "terrain": (152, 251, 152),
    "sky": (70, 130, 180),
    "person": (220, 20, 60),
    "rider": (255, 0, 0),
    "car": (0, 0, 142),
    "truck": (0, 0, 70),
    "bus": (0, 60, 100),
    "train": (0, 80, 100),
    "motorcycle": (0, 0, 230),
    "bicycle": (119, 11, 32),
    "road lines": (157, 234, 50),
    "other": (72, 0, 98),
    "road works": (167, 106, 29),
}
_NUMBERS = {
    "void": 0,
    "sky": 1,
    "building": 2,
    "road": 3,
    "sidewalk": 4,
    "fence": 5,
    "vegetation": 6,
    "pole": 7,
    "car": 8,
    "traffic sign": 9,
    "pedestrian": 10,
    "bicycle": 11,
    "motorcycle": 12,
    "parking slot": 13,
    "road work": 14,
    "traffic light": 15,
    "terrain": 16,
    "rider": 17,
    "truck": 18,
    "bus": 19,
    "train": 20,
    "wall": 21,
    "lane marking": 22,
}
_UNUSED = ("parking slot", "terrain", "truck", "train")  # no picture of SYNTHIA-RAND-CITYSCAPES shows any
_VIDEO = {name: number for name, number in _NUMBERS.items() if number < 12} | {"lane marking": 12, "traffic light": 15}
_CAMERAS = ("Stereo_Left", "Stereo_Right")


@dataclass(frozen=True, kw_only=True)
class _Form:
    """One of the published forms: its folders, and what its masks hold."""

    name: str
    images: str
    masks: str
    values: Mapping[str, MaskValue]

    @property
    def in_numbers(self) -> bool:
        """Whether masks hold the class in their first channel, of 16 bit."""
        return self.masks == "GT/LABELS"


_FORMS = (
    _Form(name="SYNTHIA, class numbers", images="RGB", masks="GT/LABELS", values=_NUMBERS),
    _Form(name="SYNTHIA-SF", images="RGBLeft", masks="GTLeft", values=_STREETS),
    _Form(name="SYNTHIA-AL", images="RGB", masks="SemSeg", values=_RAND),
    _Form(name="SYNTHIA-RAND", images="RGB", masks="GT", values=_RAND),
)


def synthia(
    root: Path, *, classes: Sequence[str] | Mapping[str, Any] | None = None, unpaired: str = "error"
) -> Listing:
    """Lists SYNTHIA: `RGB/NAME.png` with `GT/LABELS/NAME.png`, and its forms `GT`, `SemSeg`, `RGBLeft` and `GTLeft`.

    Masks in `GT/LABELS` hold the class in the first of three channels of 16 bit, and the object in the second; the
    classes are written once into the cache as grey PNG. The other forms are written in colours. Void counts nowhere.

    Args:
        root: the folder that holds `RGB` or `RGBLeft`.
        classes: names to keep, in order, or class name -> name, list of names, or `rest`; the others count nowhere.
            None keeps all but void, and of the class numbers all but the four that no picture shows.
        unpaired: `error`, or `skip` to leave out images without mask and masks without image, with a note.
    Raises:
        DatasetError: no such folders, files without partner, damaged masks.
        ConfigError: an option's value.
    """
    choose(unpaired, ("error", "skip"), "unpaired")
    form = _form(root)
    if form is None:
        raise missing_folder(
            root, "RGB", "SYNTHIA's folders RGB/ and GT/LABELS/, GT/ or SemSeg/, or RGBLeft/ and GTLeft/"
        )
    images, masks = (
        by_key(((file_key(path, root / name), path) for path in image_files(root / name)), root, kind)
        for name, kind in ((form.images, "image"), (form.masks, "mask"))
    )
    notes: list[str] = []
    names = paired(images, masks, root, unpaired, notes)
    video = form.in_numbers and any(key.split("/")[0] in _CAMERAS for key in names)
    values: Mapping[str, MaskValue] = _VIDEO if video else form.values
    also = {} if form.in_numbers else _ALSO
    rule = KnownValues(
        root=root,
        values={name: (value, *([also[name]] if name in also else [])) for name, value in values.items()},
        chosen=classes,
        void=(_VOID, *(_UNUSED if values is _NUMBERS else ())),
        colors={name: value for name, value in values.items() if isinstance(value, tuple)},
    )
    if not form.in_numbers:
        entries = tuple(Entry(id=name, image=images[name], mask=masks[name]) for name in names)
        return Listing(class_map=rule({}), entries=entries, notes=tuple(notes))

    def write(folder: Path, name: str) -> None:
        numbers = read_first_channel(masks[name])
        unknown = sorted(set(np.unique(numbers).tolist()) - set(values.values()))
        if unknown:
            raise DatasetError(
                message(
                    "the first channel holds {unknown}; expected the class numbers {known}",
                    unknown=shorten(unknown),
                    known=shorten(values.values(), 24),
                ),
                path=masks[name],
            )
        target = folder / "labels" / f"{name}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(numbers.astype(np.uint8)).save(target)
        put_as_is(images[name], folder / "images" / images[name].relative_to(root / form.images))

    files = [path for name in names for path in (images[name], masks[name])]
    made = unpack_once(root, names, write, sources=files, recipe={"synthia": 1}).folder
    notes.append(message("the classes of {folder}/ were written into the cache as grey PNG files", folder=form.masks))
    return Listing(
        class_map=rule({}),
        entries=tuple(
            Entry(
                id=name,
                image=made / "images" / images[name].relative_to(root / form.images),
                mask=made / "labels" / f"{name}.png",
            )
            for name in names
        ),
        notes=tuple(notes),
        root=made,
    )


def looks_like(root: Path) -> str | None:
    """Returns by what a folder is recognised as SYNTHIA: its folders of images and masks; None where it is not."""
    form = _form(root)
    return None if form is None else f"{form.name} ({form.images}/, {form.masks}/)"


def _form(root: Path) -> _Form | None:
    for form in _FORMS:
        if not (root / form.images).is_dir() or not (root / form.masks).is_dir():
            continue
        if form.masks == "GT" and not ((root / "GTTXT").is_dir() or (root / "GT" / "COLOR").is_dir()):
            continue  # two folders that anybody may call so
        if form.in_numbers or _is_own(root / form.masks, form):
            return form
    return None


def _is_own(folder: Path, form: _Form) -> bool:
    """Returns whether the first mask holds no other colours than the form's; other simulators name folders alike."""
    first = next(iter(image_files(folder)), None)
    if first is None:
        return False
    try:
        found, _ = count_values(read_mask_values(first, colors=True))
    except DatasetError:
        return True  # reading says what is wrong with it
    return {as_color(value) for value in found} <= {*form.values.values(), *_ALSO.values()}
