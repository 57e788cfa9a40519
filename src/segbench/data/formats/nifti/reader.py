"""NIfTI volumes and their label volumes, as the slices across one axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segbench.data.files.hints import set_option
from segbench.data.formats.nifti.grid import AXES, lies_elsewhere, read_header
from segbench.data.formats.nifti.names import Described, described
from segbench.data.formats.nifti.slices import Channel, Volume, class_values, unpack
from segbench.data.formats.shared.cases import Case, find_cases, tell_unpaired
from segbench.data.formats.shared.listing import Listing, choose
from segbench.data.formats.shared.scan import files_of, mostly, needed
from segbench.data.formats.shared.unpacked import Unpacked
from segbench.data.formats.shared.volumes import OVERLAP, Grey, all_problems, class_rule, slice_entries
from segbench.errors import ConfigError, DatasetError, shorten, suggest
from segbench.locale import message, plural

SUFFIXES = (".nii", ".nii.gz")

_CT_AIR = -900  # Hounsfield units below which only CT has values
GRIDS = ("headers", "voxels")


def looks_like(root: Path) -> str | None:
    """Returns "NIfTI volumes (...)" where most pictures are .nii or .nii.gz; None for a folder of several data sets."""
    number = mostly(root, SUFFIXES)
    tasks = [item for item in root.iterdir() if (item / "imagesTr").is_dir()] if number else []
    if not number or len(tasks) > 1:
        return None
    return plural("{n} NIfTI file (.nii)", "{n} NIfTI files (.nii)", n=number)


def nifti(
    root: Path,
    *,
    images: str | None = None,
    masks: str | None = None,
    classes: Sequence[str] | Mapping[str, Any] | None = None,
    background: str | bool | None = None,
    ignore: Sequence[Any] = (),
    axis: str = "axial",
    channel: int | str | Sequence[int | str] | None = None,
    window: Sequence[float] | str | None = None,
    depth_range: Sequence[float] | None = None,
    grid: str | None = None,
    empty_slices: str = "keep",
    unpaired: str = "error",
    group: str | None = None,
) -> Listing:
    """Lists the slices of NIfTI volumes: `imagesTr/` and `labelsTr/`, `images/` and `labels/`, or a folder a case.

    They are unpacked once into the cache as PNG files. Needs nibabel (extra `segbench[medical]`).

    Args:
        images: name of the volumes' folder; None looks for the usual names.
        masks: name of the label volumes' folder; None looks for the usual names, and for files as `case_seg.nii.gz`.
        classes: names in the order of the label values 0, 1, ...; or a mapping from name to value. None takes them
            from `dataset.json`, or from the labels.
        background: name of the background class, false for none.
        ignore: label values that count nowhere.
        axis: `axial`, `coronal` or `sagittal` slices, as radiologists look at them.
        channel: which of several measurements is the image: a number, or the name in the file's name (`t1`, `0000`);
            a list of three becomes red, green and blue.
        window: [centre, width] of the grey values that are told apart; `volume` gives each volume its own range.
        depth_range: the same as [low, high]. None of both: 0.5 % of all values of the set become black, 0.5 % white.
        grid: where the headers put labels elsewhere than their image: `headers` turns each as it says, `voxels` takes
            the arrays as they are stored, with the image's header for both.
        empty_slices: `keep`, or `skip` slices without any label but 0.
        unpaired: `error`, or `skip` to leave out volumes without labels and labels without volume, with a note.
        group: pattern whose group in the id says what belongs together; None takes the volume.
    Raises:
        DatasetError: nibabel is missing, nothing to pair, files without partner, sizes or places that differ.
        ConfigError: an option's value.
    """
    grey = Grey.chosen(window, depth_range)
    place = AXES.index(choose(axis, AXES, "axis"))
    if grid is not None:
        choose(grid, GRIDS, "grid")
    choose(unpaired, ("error", "skip"), "unpaired")
    files = files_of(root, SUFFIXES)
    needed("nibabel", "medical", plural("{n} NIfTI volume", "{n} NIfTI volumes", n=len(files)), root)
    found = find_cases(files, root, images, masks, "NIfTI", by_class=True)
    notes: list[str] = []
    tell_unpaired(found, root, unpaired, notes)
    told = described(root, named=classes is None)
    volumes = _volumes(found.cases, channel, told, root)
    _check_places(volumes, grid, root)
    made = unpack(root, volumes, grey, place, grid)
    notes += _notes(made, volumes, told, grey, axis)
    entries = slice_entries(made, volumes, empty_slices, group, root, notes)
    named, ignored = _classes(classes, told, volumes, made, notes)
    return Listing(
        class_map=class_rule(root, named, background, [*ignore, *(value for value in ignored if value not in ignore)]),
        entries=entries,
        notes=tuple(notes),
        root=made.folder,
    )


def _classes(
    given: Sequence[str] | Mapping[str, Any] | None,
    told: Described,
    volumes: Sequence[Volume],
    made: Unpacked,
    notes: list[str],
) -> tuple[Sequence[str] | Mapping[str, Any] | None, list[int]]:
    """Returns the classes, and label values to ignore: as the user says, as the files are called, or `dataset.json`."""
    of_files, ignored = class_values(volumes), list(told.ignore) if given is None else []
    overlaps = sum(facts["overlaps"] for facts in made.facts)
    if overlaps:
        notes.append(
            plural(
                "{n} voxel belongs to several classes, and counts nowhere",
                "{n} voxels belong to several classes, and count nowhere",
                n=overlaps,
            )
        )
        ignored.append(OVERLAP)
    if of_files:
        notes.append(message("one label file a class: {names}", names=shorten(of_files, 6)))
        return given if isinstance(given, Mapping) else _kept(given, of_files), ignored
    if given is None and told.classes is not None:
        notes.append(message("the classes are those of {file}", file="dataset.json"))
        return told.classes, ignored
    return given, ignored


def _kept(given: Sequence[str] | None, of_files: Mapping[str, int]) -> dict[str, Any]:
    """Returns class -> label value of the classes that the user lists, the others being background; None means all."""
    wanted = [name for name in given if name != "background"] if given is not None else list(of_files)
    unknown = [name for name in wanted if name not in of_files]
    if unknown:
        raise ConfigError(
            message("no label file is called {name!r}; {near}", name=unknown[0], near=suggest(unknown[0], of_files)),
            key="data.options.classes",
        )
    others = [value for name, value in of_files.items() if name not in wanted]
    return {"background": [0, *others], **{name: of_files[name] for name in wanted}}


def _volumes(cases: Sequence[Case], channel: object, told: Described, root: Path) -> list[Volume]:
    """Returns the cases with their headers read and their channels chosen; all that cannot be used are named."""
    wanted: list[object] = list(channel) if isinstance(channel, list | tuple) else [channel]
    if len(wanted) not in (1, 3):
        raise ConfigError(
            message("expected one channel, or three for red, green and blue, got {given!r}", given=channel),
            key="data.options.channel",
        )
    volumes: list[Volume] = []
    problems: list[str] = []
    for case in cases:
        try:
            headers = {name: read_header(path) for name, path in case.channels.items()}
            labels = read_header(case.labels)
            planes = {name: read_header(path) for name, path in case.classes.items()}
        except DatasetError as error:
            problems.append(f"{Path(error.path).relative_to(root).as_posix()}: {error.reason}")
            continue
        channels = [Channel(header=head, place=None) for head in headers.values()]
        names = list(case.channels)
        if len(channels) == 1 and len(channels[0].header.shape) == 4:
            number = channels[0].header.shape[3]
            channels = [Channel(header=channels[0].header, place=place) for place in range(number)]
            names = [f"{place:04d}" for place in range(number)]
        chosen = tuple(channels[_place_of(one, names, told, case, root)] for one in wanted)
        if len(labels.shape) == 4:
            text = message("the labels have {n} channels; one value a voxel is read", n=labels.shape[3])
            problems.append(f"{labels.path.relative_to(root).as_posix()}: {text}")
            continue
        other = [
            plane.path for plane in planes.values() if plane.shape != labels.shape or lies_elsewhere(labels, plane)
        ]
        if other:
            name = other[0].relative_to(root).as_posix()
            problems.append(message("{case}: {file} is not on the grid of the other classes", case=case.id, file=name))
            continue
        volumes.append(Volume(id=case.id, split=case.split, channels=chosen, labels=labels, planes=planes))
    all_problems(problems, len(cases), message("volumes"), root)
    return volumes


def _place_of(wanted: object, names: Sequence[str], told: Described, case: Case, root: Path) -> int:
    """Returns the place of a channel among a case's.

    Raises:
        DatasetError: nobody said which of several.
        ConfigError: there is none of that name.
    """
    if wanted is None and len(names) == 1:
        return 0
    listed = [
        f"{place} ({told.channels.get(place, name)})"
        if told.channels.get(place, name) != f"{place:04d}"
        else str(place)
        for place, name in enumerate(names)
    ]
    if wanted is None:
        raise DatasetError(
            message(
                "each volume has {n} channels: {channels}; choose one with {one}, or three as red, green and blue with "
                "{three}",
                n=len(names),
                channels=shorten(listed, 12),
                one=set_option("channel", "0"),
                three=set_option("channel", "[0, 1, 2]" if len(names) > 2 else "[0, 1, 1]"),
            ),
            path=root,
        )
    if isinstance(wanted, int) and not isinstance(wanted, bool) and 0 <= wanted < len(names):
        return wanted
    known = [name.lower() for name in names]
    if isinstance(wanted, str) and wanted.lower() in known:
        return known.index(wanted.lower())
    raise ConfigError(
        message(
            "there is no channel {given!r} in {case}; there are {channels}",
            given=wanted,
            case=case.id,
            channels=shorten(listed, 12),
        ),
        key="data.options.channel",
    )


def _check_places(volumes: Sequence[Volume], grid: str | None, root: Path) -> None:
    """Raises DatasetError where channels or labels have another size than the image, or lie elsewhere."""
    problems: list[str] = []
    elsewhere: list[Volume] = []
    for volume in volumes:
        first = volume.channels[0].header
        others = [channel.header for channel in volume.channels[1:]]
        if any(other.shape[:3] != first.shape[:3] or lies_elsewhere(first, other) for other in others):
            problems.append(message("{case}: the channels are not of one grid", case=volume.id))
        stored = first.shape[:3] == volume.labels.shape[:3]
        turned = first.turned[0] == volume.labels.turned[0]
        if not (stored if grid == "voxels" else turned if grid == "headers" else stored or turned):
            problems.append(
                message(
                    "{case}: the labels have {labels} voxels, the image {image}",
                    case=volume.id,
                    labels=_sides(volume.labels.shape),
                    image=_sides(first.shape),
                )
            )
        elif grid is None and lies_elsewhere(first, volume.labels):
            elsewhere.append(volume)
    all_problems(problems, len(volumes), message("volumes"), root)
    if elsewhere:
        raise DatasetError(_asked(elsewhere, len(volumes)), path=root)


def _asked(elsewhere: Sequence[Volume], total: int) -> str:
    first = elsewhere[0]
    return message(
        "by their headers, the labels of {n} of {total} volumes lie elsewhere than the image ({case}: axes {labels}, "
        "image {image}): look at one in a viewer; where the arrays fit voxel by voxel, set {voxels}; where the "
        "headers are right, {headers}",
        n=len(elsewhere),
        total=total,
        case=first.id,
        labels=first.labels.axes,
        image=first.channels[0].header.axes,
        voxels=set_option("grid", "voxels"),
        headers=set_option("grid", "headers"),
    )


def _sides(shape: Sequence[int]) -> str:
    return " x ".join(str(side) for side in shape[:3])


def _notes(made: Unpacked, volumes: Sequence[Volume], told: Described, grey: Grey, axis: str) -> list[str]:
    """Returns what a person should know: how slices lie, which grey values they show, and their mm."""
    views = {
        "axial": message("axial slices, seen from the feet (the patient's right is on the left)"),
        "coronal": message("coronal slices, seen from the front (the patient's right is on the left)"),
        "sagittal": message("sagittal slices, seen from the patient's left (the face looks to the left)"),
    }
    number = sum(len(facts["slices"]) for facts in made.facts)
    notes: list[str] = [message("{n} {view} of {volumes} volumes", n=number, view=views[axis], volumes=len(volumes))]
    low, high = made.facts[0]["grey_range"][0]
    lowest = min(limits[0] for facts in made.facts for limits in facts["grey_range"])
    if grey.by_volume:
        notes.append(message("grey values: each volume from its own 0.5 % to 99.5 %"))
    elif grey.fixed is not None:
        notes.append(message("grey values: {low:g} to {high:g} become black and white", low=low, high=high))
    elif told.is_ct or lowest <= _CT_AIR:
        notes.append(
            message(
                "grey values: {low:g} to {high:g} Hounsfield units become black and white; for soft tissue alone set "
                "{option}",
                low=low,
                high=high,
                option=set_option("window", "[40, 400]"),
            )
        )
    else:
        notes.append(
            message(
                "grey values: {low:g} to {high:g} become black and white; where each scan has a scale of its own, as "
                "in MRI, set {option}",
                low=low,
                high=high,
                option=set_option("window", "volume"),
            )
        )
    sizes = {tuple(round(side, 3) for side in (*facts["mm_a_pixel"], facts["mm_a_slice"])) for facts in made.facts}
    smallest, largest = min(sizes), max(sizes)
    notes.append(
        message(
            "a pixel is {height:g} x {width:g} mm, a slice {depth:g} mm",
            height=smallest[0],
            width=smallest[1],
            depth=smallest[2],
        )
        if len(sizes) == 1
        else message(
            "the volumes differ in scale: a pixel is {small:g} to {large:g} mm high, see {file}",
            small=smallest[0],
            large=largest[0],
            file=(made.folder / "unpacked.json").as_posix(),
        )
    )
    return notes
