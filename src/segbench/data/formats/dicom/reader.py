"""DICOM slices with masks: picture files or DICOM files of the same names, or segmentation objects (SEG)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segbench.data.files.hints import set_option
from segbench.data.files.images import read_mask_values
from segbench.data.formats.dicom.files import (
    Header,
    check_decoders,
    is_dicom,
    read_frames,
    read_header,
    read_labels,
)
from segbench.data.formats.dicom.segments import Plane, drawn, read_planes
from segbench.data.formats.shared.cases import find_cases, tell_unpaired
from segbench.data.formats.shared.listing import Listing, choose
from segbench.data.formats.shared.scan import files_of, first_file, mostly, needed
from segbench.data.formats.shared.unpacked import unpack_once
from segbench.data.formats.shared.volumes import (
    OVERLAP,
    Grey,
    all_problems,
    as_bytes,
    as_labels,
    class_rule,
    slice_entries,
    slice_name,
    write_slice,
)
from segbench.errors import DatasetError, shorten
from segbench.locale import message, plural
from segbench.types import SplitName

SUFFIXES = (".dcm", ".dicom", ".ima")

_VERSION = 1
_MASK_FILES = (".png", ".bmp", ".tif", ".tiff")
_NO_PICTURES = {"RTSTRUCT": "contours (RTSTRUCT)", "SR": "reports (SR)", "RTPLAN": "plans (RTPLAN)"}


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A DICOM file of one or several frames, and its labels: a file, or planes of SEG files."""

    id: str
    split: SplitName | None
    header: Header
    mask: Path | None = None
    planes: tuple[Plane, ...] = ()

    @property
    def group(self) -> str:
        """What it belongs to: a patient, or a series."""
        return self.header.group


def looks_like(root: Path) -> str | None:
    """Returns "DICOM files (...)" where there are as many .dcm files as pictures, or more; or the first file is one."""
    number = mostly(root, SUFFIXES, equal=True)
    if number:
        return plural("{n} DICOM file", "{n} DICOM files", n=number)
    first = first_file(root)
    bare = first is not None and (not first.suffix or first.suffix[1:].isdigit()) and is_dicom(first)
    return message("DICOM files without suffix") if bare else None


def dicom(
    root: Path,
    *,
    images: str | None = None,
    masks: str | None = None,
    classes: Sequence[str] | Mapping[str, Any] | None = None,
    background: str | bool | None = None,
    ignore: Sequence[Any] = (),
    window: Sequence[float] | str | None = None,
    depth_range: Sequence[float] | None = None,
    empty_slices: str = "keep",
    unpaired: str = "error",
    group: str | None = None,
) -> Listing:
    """Lists DICOM slices whose masks are PNG, TIFF or DICOM files of the same names, or DICOM segmentations (SEG).

    They are unpacked once into the cache as PNG files. Needs pydicom (extra `segbench[medical]`).

    Args:
        images: name of the slices' folder; None looks for the usual names.
        masks: name of the masks' folder; None looks for the usual names.
        classes: names in the order of the mask values 0, 1, ...; or a mapping from name to value. None takes the
            segments' names, or the values in the mask files.
        background: name of the background class, false for none.
        ignore: mask values that count nowhere.
        window: [centre, width] of the grey values that are told apart; `volume` gives each file its own range.
        depth_range: the same as [low, high]. None of both: the window in each file; where not all have one, 0.5 % of
            all values of the set become black and 0.5 % white.
        empty_slices: `keep`, or `skip` slices without any label but 0.
        unpaired: `error`, or `skip` to leave out slices without mask and masks without slice, with a note.
        group: pattern whose group in the id says what belongs together; None takes the patient, or the series.
    Raises:
        DatasetError: pydicom or a decoder is missing, nothing to pair, files without partner, sizes that differ.
        ConfigError: an option's value.
    """
    grey = Grey.chosen(window, depth_range)
    choose(unpaired, ("error", "skip"), "unpaired")
    files = files_of(root, SUFFIXES) or [path for path in files_of(root, [""]) if is_dicom(path)]
    needed("pydicom", "medical", plural("{n} DICOM file", "{n} DICOM files", n=len(files)), root)
    headers, problems = _headers(files, root)
    notes: list[str] = []
    seg = [header for header in headers if header.modality == "SEG"]
    if seg:
        pictures, names = _segmented(headers, seg, root, unpaired, notes)
    else:
        pictures, names = _beside(files, headers, problems, root, (images, masks, unpaired), notes), None
    all_problems(problems, len(files), message("files"), root)
    check_decoders([*(picture.header for picture in pictures), *seg], root)
    writing = _Unpacking(pictures, grey, names or {})
    made = unpack_once(
        root,
        pictures,
        writing.write,
        sources={path for item in pictures for path in _sources(item)},
        recipe={"dicom": _VERSION, "grey": grey.recipe, "pictures": [item.id for item in pictures], "names": names},
    )
    notes += _notes(made.facts, pictures, grey, writing)
    named = classes if classes is not None or names is None else {"background": 0, **names}
    overlaps = sum(facts["overlaps"] for facts in made.facts)
    if overlaps:
        notes.append(
            plural(
                "{n} pixel belongs to several segments, and counts nowhere",
                "{n} pixels belong to several segments, and count nowhere",
                n=overlaps,
            )
        )
    return Listing(
        class_map=class_rule(root, named, background, [*ignore, *([OVERLAP] if overlaps else [])]),
        entries=slice_entries(made, pictures, empty_slices, group, root, notes),
        notes=tuple(notes),
        root=made.folder,
    )


def _headers(files: Sequence[Path], root: Path) -> tuple[list[Header], list[str]]:
    """Returns the readable files' headers, and why others cannot be read."""
    headers, problems = [], []
    for path in files:
        try:
            headers.append(read_header(path))
        except DatasetError as error:
            problems.append(f"{path.relative_to(root).as_posix()}: {error.reason}")
    return headers, problems


def _beside(
    files: Sequence[Path],
    headers: Sequence[Header],
    problems: list[str],
    root: Path,
    options: tuple[str | None, str | None, str],
    notes: list[str],
) -> list[Picture]:
    """Returns the pictures whose masks are files of the same names."""
    images, masks, unpaired = options
    pictures = {header.path: header for header in headers if header.frames}
    others = Counter(header.modality for header in headers if not header.frames)
    if others:
        kinds = shorten((f"{n} {_NO_PICTURES.get(kind, kind)}" for kind, n in sorted(others.items())), 6)
        notes.append(message("DICOM files without pictures are not read: {kinds}", kinds=kinds))
    rasters = files_of(root, _MASK_FILES)
    try:
        found = find_cases([*(pictures or files), *rasters], root, images, masks, "DICOM")
    except DatasetError as error:
        hint = (
            message("contours (RTSTRUCT) are not read: save them as masks or as DICOM SEG")
            if others["RTSTRUCT"]
            else ""
        )
        broken = message("{n} of them cannot be read as DICOM", n=len(problems)) if problems else ""
        raise DatasetError("; ".join(text for text in (error.reason, hint, broken) if text), path=root) from error
    tell_unpaired(found, root, unpaired, notes)
    result = []
    for case in found.cases:
        paths = [path for path in case.channels.values() if path in pictures]
        if len(case.channels) > 1 or not paths:
            names = shorten((path.relative_to(root).as_posix() for path in case.channels.values()), 3)
            problems.append(message("{case}: expected one DICOM file, got {names}", case=case.id, names=names))
            continue
        result.append(Picture(id=case.id, split=case.split, header=pictures[paths[0]], mask=case.labels))
    return result


def _segmented(
    headers: Sequence[Header], seg: Sequence[Header], root: Path, unpaired: str, notes: list[str]
) -> tuple[list[Picture], dict[str, int]]:
    """Returns the slices of the series that segmentations lie on, and class name -> label value."""
    planes: dict[str, list[Plane]] = {}
    for header in seg:
        for plane in read_planes(header):
            planes.setdefault(plane.slice_uid, []).append(plane)
    slices = {header.uid: header for header in headers if header.frames and header.modality != "SEG"}
    lost = len(planes.keys() - slices.keys())
    if lost and (unpaired == "error" or lost == len(planes)):
        raise DatasetError(
            message(
                "{n} of {total} segmented slices are not in this folder; add the images' files, or leave them out with "
                "{option}",
                n=lost,
                total=len(planes),
                option=set_option("unpaired", "skip"),
            ),
            path=root,
        )
    if lost:
        notes.append(
            message("{n} of {total} segmented slices are not in this folder; left out", n=lost, total=len(planes))
        )
    series = {slices[uid].series for uid in planes if uid in slices}
    other = sum(header.series not in series for header in slices.values())
    if other:
        notes.append(
            plural(
                "{n} slice of a series without a segmentation is not read",
                "{n} slices of series without a segmentation are not read",
                n=other,
            )
        )
    labels = sorted({plane.label for found in planes.values() for plane in found})
    result = []
    for place, name in enumerate(sorted(series)):
        members = sorted((header for header in slices.values() if header.series == name), key=lambda item: item.place)
        folder = members[0].path.parent.relative_to(root).as_posix()
        start = f"{folder}/series{place}" if folder != "." else f"series{place}"
        result += [
            Picture(
                id=slice_name(start, number, len(members)),
                split=None,
                header=header,
                planes=tuple(planes.get(header.uid, ())),
            )
            for number, header in enumerate(members)
        ]
    return result, {label: value for value, label in enumerate(labels, 1)}


def _sources(picture: Picture) -> list[Path]:
    masks = [picture.mask] if picture.mask is not None else []
    return [picture.header.path, *masks, *(plane.path for plane in picture.planes)]


class _Unpacking:
    """Writes one file after the other; the range of the whole set is measured before the first one."""

    def __init__(self, pictures: Sequence[Picture], grey: Grey, names: Mapping[str, int]) -> None:
        self._pictures, self._grey, self._names = pictures, grey, names
        self.by_file = grey == Grey() and all(picture.header.window for picture in pictures)

    @cached_property
    def limits(self) -> tuple[float, float] | None:
        """The range of all files; None where each has its own."""
        frames = (frame for picture in self._pictures for frame in read_frames(picture.header.path))
        return None if self.by_file else self._grey.measured(frame for frame in frames if frame.ndim == 2)

    def write(self, folder: Path, picture: Picture) -> dict[str, Any]:
        """Writes the frames of a file; returns its facts."""
        frames = list(read_frames(picture.header.path))
        masks = self._masks(picture, len(frames))
        limits = (picture.header.window if self.by_file else self.limits) or self._grey.own_range(np.stack(frames))
        slices, overlaps = [], 0
        for number, (frame, mask) in enumerate(zip(frames, masks, strict=True)):
            if frame.shape[:2] != mask.shape[:2]:
                raise DatasetError(
                    message(
                        "the mask is {height} x {width} pixels (height x width), its image {other_height} x "
                        "{other_width}",
                        height=mask.shape[0],
                        width=mask.shape[1],
                        other_height=frame.shape[0],
                        other_width=frame.shape[1],
                    ),
                    path=picture.mask or picture.header.path,
                )
            image = frame if frame.ndim == 3 else as_bytes(frame, limits)
            image = 255 - image if picture.header.inverted else image
            name = picture.id if len(frames) == 1 else slice_name(picture.id, number, len(frames))
            overlaps += int((mask == OVERLAP).sum()) if picture.planes else 0
            slices.append(write_slice(folder, name, image, mask))
        return {
            "id": picture.id,
            "slices": slices,
            "grey_range": limits,
            "mm_a_pixel": picture.header.spacing,
            "overlaps": overlaps,
        }

    def _masks(self, picture: Picture, frames: int) -> list[NDArray[Any]]:
        """Returns the labels of each frame."""
        if picture.mask is None:
            size = (picture.header.height, picture.header.width)
            return [as_labels(drawn(picture.planes, self._names, size), picture.header.path)] * frames
        if picture.mask.suffix.lower() in _MASK_FILES:
            found = [read_mask_values(picture.mask)]
        else:
            found = [as_labels(frame, picture.mask) for frame in read_labels(picture.mask)]
        if len(found) != frames:
            raise DatasetError(
                message("the image has {frames} frames, its mask {labels}", frames=frames, labels=len(found)),
                path=picture.mask,
            )
        return found


def _notes(
    facts: Sequence[Mapping[str, Any]], pictures: Sequence[Picture], grey: Grey, writing: _Unpacking
) -> list[str]:
    """Returns what a person should know: which grey values are shown, and mm a pixel."""
    number = sum(len(item["slices"]) for item in facts)
    patients = len({picture.group for picture in pictures})
    notes: list[str] = [
        message("{n} DICOM slices of {groups} patients or series, which are the groups", n=number, groups=patients)
    ]
    if writing.by_file:
        notes.append(message("grey values: by the window in each file"))
    elif grey.by_volume:
        notes.append(message("grey values: each file from its own 0.5 % to 99.5 %"))
    else:
        low, high = facts[0]["grey_range"]
        notes.append(message("grey values: {low:g} to {high:g} become black and white", low=low, high=high))
    inverted = sum(picture.header.inverted for picture in pictures)
    if inverted:
        notes.append(
            plural(
                "{n} file in which high values are black (MONOCHROME1) was turned round",
                "{n} files in which high values are black (MONOCHROME1) were turned round",
                n=inverted,
            )
        )
    sizes = sorted({tuple(round(side, 3) for side in item["mm_a_pixel"]) for item in facts if item["mm_a_pixel"]})
    if sizes:
        text = shorten((f"{size[0]:g} x {size[1]:g}" for size in sizes), 3)
        notes.append(message("a pixel is {sizes} mm", sizes=text))
    return notes
