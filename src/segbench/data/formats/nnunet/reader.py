"""nnU-Net's raw data sets of 2-D images (Isensee et al. 2021): `imagesTr/x_0000.png`, `labelsTr/x.png`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segbench.data.files.hints import set_option
from segbench.data.files.images import image_facts, read_image
from segbench.data.formats.nnunet.plan import FILE, Plan, read_plan
from segbench.data.formats.shared.annotated import Annotated, AnnotationOptions, build_listing
from segbench.data.formats.shared.classes import ClassOptions
from segbench.data.formats.shared.known_values import KnownValues
from segbench.data.formats.shared.listing import (
    Entry,
    Listing,
    by_stem,
    check_depth,
    choose,
    image_files,
    missing_folder,
)
from segbench.data.formats.shared.pairs import check_pattern, check_unpaired, with_groups
from segbench.data.formats.shared.unpacked import put_as_is, unpack_once
from segbench.data.shapes.drawing import Drawing, Shape
from segbench.errors import ConfigError, DatasetError, shorten
from segbench.locale import message, plural
from segbench.types import SplitName

_CHANNEL = re.compile(r"(.+)_(\d{4})")
_MERGED = 3  # channels of a picture
_SNIFFED = 20


@dataclass(frozen=True, kw_only=True)
class _Case:
    """A labelled case: the files of its channels, in order, and of its labels."""

    name: str
    images: list[Path]
    label: Path
    split: SplitName | None


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A part's folders: images by case and channel, and labels by case."""

    images: dict[str, dict[int, Path]]
    labels: dict[str, Path]
    split: SplitName | None


def nnunet(
    root: Path,
    *,
    classes: Sequence[str] | Mapping[str, Any] | None = None,
    channels: Sequence[int] | None = None,
    group: str | None = None,
    depth_range: Sequence[float] | None = None,
    unpaired: str = "error",
) -> Listing:
    """Lists nnU-Net's raw form with ordinary images: `imagesTr/x_0000.png`, `labelsTr/x.png`, `dataset.json`.

    One channel file a case is read as it is, grey or RGB; two or three grey ones become red, green and blue of one
    picture, written once into the cache. Regions that share a value become a multilabel set, a plane a region.

    Args:
        classes: labels of `dataset.json` to keep, in order, or class name -> label or list of labels; others count
            nowhere. None keeps all. Without `dataset.json` as in the format `folder`.
        channels: numbers of the channels that become red, green and blue, as in the files' names (`[0, 2, 1]`); one
            number takes that file as it is. None takes all, at most three.
        group: regular expression with one group, searched in each case's name; what it captures is its group.
        depth_range: grey values (low, high) of images with more than 8 bit that become 0 and 255.
        unpaired: `error`, or `skip` to leave out images without labels and labels without image, with a note.
    Returns:
        Entries; where there is `labelsTs`, with the official parts train and test. Images of `imagesTs` without labels
        are left out, with a note.
    Raises:
        DatasetError: no such layout, files without partner, channels that differ from case to case, more than three.
        ConfigError: an option's value.
    """
    choose(unpaired, ("error", "skip"), "unpaired")
    depth = check_depth(depth_range)
    check_pattern(group)
    for name in ("imagesTr", "labelsTr"):
        if not (root / name).is_dir():
            raise missing_folder(root, name, "nnU-Net's folders imagesTr/ and labelsTr/")
    plan = read_plan(root / FILE) if (root / FILE).is_file() else None
    notes: list[str] = []
    found = [_part(root, "Tr", "train" if _has_test(root) else None)]
    if _has_test(root):
        found.append(_part(root, "Ts", "test"))
    elif (root / "imagesTs").is_dir() and (bare := _cases(root / "imagesTs")):
        notes.append(
            plural(
                "imagesTs has {n} image without labels: it is left out here, for `predict`",
                "imagesTs has {n} images without labels: they are left out here, for `predict`",
                n=len(bare),
            )
        )
    chosen = _channels(found, plan, channels, root)
    cases = [
        _Case(
            name=case,
            images=[part.images[case][number] for number in chosen],
            label=part.labels[case],
            split=part.split,
        )
        for part in found
        for case in _paired(part, root, unpaired, notes)
    ]
    entries, home = _entries(cases, chosen, depth, root, notes)
    if plan is not None and plan.overlaps:
        return _regions(root, home, entries, plan, classes, group, depth_range, notes)
    return Listing(
        class_map=_classes(root, plan, classes),
        entries=with_groups(entries, group, root),
        notes=tuple(notes),
        depth_range=None if home is not None else depth,
        root=home,
    )


def looks_like(root: Path) -> str | None:
    """Returns by what a folder is recognised as nnU-Net's raw form with ordinary images; None where it is not."""
    if not (root / "imagesTr").is_dir() or not (root / "labelsTr").is_dir():
        return None
    images = image_files(root / "imagesTr", recursive=False)[:_SNIFFED]
    if not images or not all(_CHANNEL.fullmatch(path.stem) for path in images):
        return None
    listed = f", {FILE}" if (root / FILE).is_file() else ""
    return f"nnU-Net (imagesTr/{images[0].name}, labelsTr/{listed})"


def _has_test(root: Path) -> bool:
    return (root / "imagesTs").is_dir() and (root / "labelsTs").is_dir() and bool(image_files(root / "labelsTs"))


def _part(root: Path, ending: str, split: SplitName | None) -> _Part:
    labels = by_stem(root / f"labels{ending}", root, "label")
    return _Part(images=_cases(root / f"images{ending}"), labels=labels, split=split)


def _paired(part: _Part, root: Path, unpaired: str, notes: list[str]) -> list[str]:
    check_unpaired(part.images, part.labels, root, unpaired, notes)
    return sorted(part.images.keys() & part.labels.keys())


def _cases(folder: Path) -> dict[str, dict[int, Path]]:
    """Returns case -> number of the channel -> file."""
    cases: dict[str, dict[int, Path]] = {}
    strange: list[str] = []
    for path in image_files(folder, recursive=False):
        match = _CHANNEL.fullmatch(path.stem)
        if match is None:
            strange.append(path.name)
            continue
        channels = cases.setdefault(match[1], {})
        if int(match[2]) in channels:
            raise DatasetError(
                message(
                    "two files hold one channel: {first} and {second}",
                    first=channels[int(match[2])].name,
                    second=path.name,
                ),
                path=folder,
            )
        channels[int(match[2])] = path
    if strange:
        raise DatasetError(
            plural(
                "expected names that end in a channel's number (x_0000.png), {n} has none: {names}",
                "expected names that end in a channel's number (x_0000.png), {n} have none: {names}",
                n=len(strange),
                names=shorten(strange, 4),
            ),
            path=folder,
        )
    return cases


def _channels(parts: Sequence[_Part], plan: Plan | None, chosen: Sequence[int] | None, root: Path) -> list[int]:
    """Returns the numbers of the channels that make up the picture."""
    cases = {case: files for part in parts for case, files in part.images.items() if case in part.labels}
    known = sorted({number for files in cases.values() for number in files})
    names = [
        f"{number} ({plan.channels[number]})" if plan and number < len(plan.channels) else str(number)
        for number in known
    ]
    if chosen is not None:
        wrong = [number for number in chosen if number not in known]
        if wrong or not 1 <= len(chosen) <= _MERGED or len(set(chosen)) < len(chosen):
            raise ConfigError(
                message(
                    "expected one to three different ones of the channels {names}, got {given}",
                    names=", ".join(names),
                    given=list(chosen),
                ),
                key="data.options.channels",
            )
        known = list(chosen)
    lacking = [case for case, files in cases.items() if any(number not in files for number in known)]
    if lacking:
        raise DatasetError(
            plural(
                "{n} case lacks a channel of others: {cases}; add the file, or choose what all have with {option}",
                "{n} cases lack a channel of others: {cases}; add the files, or choose what all have with {option}",
                n=len(lacking),
                cases=shorten(lacking, 4),
                option=set_option("channels", str(_everywhere(cases))),
            ),
            path=root,
        )
    if len(known) > _MERGED:
        raise DatasetError(
            message(
                "each case has {n} channels ({names}), a picture has three; say which become red, green and blue with "
                "{option}",
                n=len(known),
                names=", ".join(names),
                option=set_option("channels", str(known[:_MERGED])),
            ),
            path=root,
        )
    return known


def _everywhere(cases: Mapping[str, Mapping[int, Path]]) -> list[int]:
    common = set.intersection(*(set(files) for files in cases.values()))
    return sorted(common)[:_MERGED]


def _entries(
    cases: Sequence[_Case], numbers: Sequence[int], depth: tuple[float, float] | None, root: Path, notes: list[str]
) -> tuple[list[Entry], Path | None]:
    """Returns the entries, and the folder of the pictures that were made of several channels; None where none was."""
    if len(numbers) == 1:
        return [Entry(id=case.name, image=case.images[0], mask=case.label, split=case.split) for case in cases], None

    def write(folder: Path, case: _Case) -> None:
        picture = folder / "images" / f"{case.name}.png"
        picture.parent.mkdir(exist_ok=True)
        Image.fromarray(_merge(case.images, depth)).save(picture)
        put_as_is(case.label, folder / "labels" / case.label.name)

    made = unpack_once(
        root,
        cases,
        write,
        sources=[path for case in cases for path in (*case.images, case.label)],
        recipe={"nnunet": 1, "channels": list(numbers), "depth_range": depth},
    )
    notes.append(
        message(
            "the channels {numbers} of each case were put into one picture as red, green and blue (others: {option})",
            numbers=", ".join(f"_{number:04d}" for number in numbers),
            option=set_option("channels"),
        )
    )
    entries = [
        Entry(
            id=case.name,
            image=made.folder / "images" / f"{case.name}.png",
            mask=made.folder / "labels" / case.label.name,
            split=case.split,
        )
        for case in cases
    ]
    return entries, made.folder


def _merge(files: Sequence[Path], depth_range: tuple[float, float] | None) -> NDArray[np.uint8]:
    """Returns (H, W, 3) uint8 of two or three grey files of one size; the third channel of two is 0.

    Raises:
        DatasetError: a file that is not grey, or of another size than the first.
    """
    planes: list[NDArray[np.uint8]] = []
    for path in files:
        pixels = read_image(path, depth_range=depth_range)
        if (pixels != pixels[:, :, :1]).any():
            raise DatasetError(
                message(
                    "expected grey files, as each case has {n} channels, got colours; take one a case with {option}",
                    n=len(files),
                    option=set_option("channels", "[0]"),
                ),
                path=path,
            )
        if planes and pixels.shape[:2] != planes[0].shape:
            raise DatasetError(
                message(
                    "the channel is {size} pixels (height, width), {first} is {other}",
                    size=pixels.shape[:2],
                    first=files[0].name,
                    other=planes[0].shape,
                ),
                path=path,
            )
        planes.append(pixels[:, :, 0])
    planes += [np.zeros_like(planes[0])] * (_MERGED - len(planes))
    return np.stack(planes, axis=2)


def _classes(root: Path, plan: Plan | None, classes: Sequence[str] | Mapping[str, Any] | None) -> Any:
    if plan is None:
        return ClassOptions(root=root, classes=classes, task=None, background=None, ignore=(), tolerance=0)
    return KnownValues(
        root=root,
        values=dict(plan.labels),
        chosen=classes,
        ignore=plan.ignore,
        background=plan.background,
    )({})


def _regions(
    root: Path,
    files_root: Path | None,
    entries: Sequence[Entry],
    plan: Plan,
    classes: Sequence[str] | Mapping[str, Any] | None,
    group: str | None,
    depth_range: Sequence[float] | None,
    notes: list[str],
) -> Listing:
    """Returns a multilabel listing: each region is a class of its own, made of the values that belong to it."""
    regions = {name: values for name, values in plan.labels.items() if name != plan.background}
    images: list[Annotated] = []
    for entry in entries:
        assert isinstance(entry.mask, Path), "one label file a case"
        name, facts = entry.mask.relative_to(files_root or root).as_posix(), image_facts(entry.mask)
        shapes = [
            Shape(label=region, file=name, coding="packed_rgb", value=value * 0x010101)
            for region, values in regions.items()
            for value in values
        ]
        shapes += [
            Shape(label="__ignore__", file=name, coding="packed_rgb", value=value * 0x010101) for value in plan.ignore
        ]
        drawing = Drawing(
            source=entry.mask,
            key=entry.id,
            shapes=tuple(shapes),
            height=facts.height,
            width=facts.width,
            files=((name, facts.sha256),),
        )
        images.append(Annotated(id=entry.id, image=entry.image, drawing=drawing, split=entry.split))
    notes.append(
        message(
            "the regions {names} share values: each is a class of its own (task: multilabel)", names=shorten(regions)
        )
    )
    options: AnnotationOptions = {"task": "multilabel", "classes": classes, "group": group, "depth_range": depth_range}
    listing = build_listing(root, images, options, labels=list(regions), notes=notes)
    return replace(listing, root=files_root)
