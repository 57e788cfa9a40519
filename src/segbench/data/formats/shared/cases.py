"""Which file holds the labels of which volume, stack or array: by folders and names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from segbench.data.files.hints import set_option
from segbench.data.formats.shared.layout import SPLIT_WORDS
from segbench.data.formats.shared.pairs import check_unpaired
from segbench.errors import DatasetError, shorten
from segbench.locale import message, plural
from segbench.types import SplitName

_LABEL_WORDS = (
    "segmentations?|segs?|masks?|labels?|labelmaps?|gts?|ground_?truths?|annotations?|manual|lesions?|rois?|targets?|y"
)
_IMAGE_WORDS = "images?|imaging|imgs?|volumes?|vols?|scans?|inputs?|raw|ct|mr|x"
_PARTS = "tr|ts|va|val|train|test"
_LABEL_FOLDER = re.compile(rf"(?:(.*)[_\-. ])?(?:{_LABEL_WORDS})[_-]?({_PARTS})?", re.IGNORECASE)
_IMAGE_FOLDER = re.compile(rf"(?:(.*)[_\-. ])?(?:{_IMAGE_WORDS})[_-]?({_PARTS})?", re.IGNORECASE)
_LABEL_NAME = re.compile(
    rf"(?P<before>.*?)[_\-. ]+(?:{_LABEL_WORDS})|(?:{_LABEL_WORDS})(?:[_\-. ]+(?P<after>.*))?", re.IGNORECASE
)
_IMAGE_START = re.compile(rf"(?:{_IMAGE_WORDS})(?:[_\-. ]+(?P<after>.*))?", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A volume with labels.

    Attributes:
        id: its folders and name without what says image or label; also the group of its slices.
        channels: name of what was measured (`t1`, `0000`) -> file; one of any name where there is one.
        labels: file; the first one where there is one a class.
        classes: class name -> file, where the case has a folder of them; empty where one file holds all.
        split: the part that a folder is named after.
    """

    id: str
    channels: Mapping[str, Path]
    labels: Path
    classes: Mapping[str, Path] = field(default_factory=dict)
    split: SplitName | None = None


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a folder holds.

    Attributes:
        cases: volumes with labels.
        bare, orphans: volumes without labels, labels without volume.
        unlabelled: volumes that are meant to have none (`imagesTs` without `labelsTs`, `test-volume`).
    """

    cases: list[Case]
    bare: list[Path]
    orphans: list[Path]
    unlabelled: list[Path]


@dataclass(frozen=True, kw_only=True)
class _Place:
    """A file: its folders without those that say image or label, and the name without suffix."""

    path: Path
    folder: str
    stem: str
    part: str  # Tr, Ts, ... of the folder that says image or label
    kind: str  # images or labels, as a folder says; nothing where none does


def find_cases(
    files: Sequence[Path], root: Path, images: str | None, masks: str | None, kind: str, *, by_class: bool = False
) -> Found:
    """Returns the volumes of a folder with their labels.

    Args:
        files: volumes and labels.
        images, masks: names of folders, given by the user.
        kind: what the files are, as `NIfTI`.
        by_class: a case may have a folder of label files, one a class.
    Raises:
        DatasetError: there is no file, none can be told to hold labels, or two are the same case.
    """
    if not files:
        raise DatasetError(message("expected {kind} files, but there is none", kind=kind), path=root)
    places = [_place(path, root, images, masks) for path in files]
    if masks is None and not any(is_label and place.kind for place, is_label in places):
        places = [_place(path, root, images, None, by_folder=False) for path in files]  # images and labels side by side
    labels = [place for place, is_label in places if is_label]
    volumes = [place for place, is_label in places if not is_label]
    if not labels:
        raise DatasetError(
            message(
                "{n} {kind} files without labels ({names}): nothing can be trained on them; labels are looked for in "
                "folders as labelsTr, labels or masks, and in files as {example}; or name their folder with {option}",
                n=len(files),
                kind=kind,
                names=shorten((path.relative_to(root).as_posix() for path in files), 3),
                example=f"case_seg{suffix_of(files[0])}",
                option=set_option("masks"),
            ),
            path=root,
        )
    apart = list(_class_folders(volumes, labels)) if by_class else []
    taken = {path for case in apart for path in (*case.channels.values(), *case.classes.values())}
    found = _joined(
        [place for place in volumes if place.path not in taken],
        [place for place in labels if place.path not in taken],
        root,
    )
    cases = sorted([*apart, *found.cases], key=lambda case: case.id)
    _check_ids(cases, root)
    return replace(found, cases=cases)


def tell_unpaired(found: Found, root: Path, unpaired: str, notes: list[str]) -> None:
    """Adds notes on what has no partner; DatasetError where `unpaired` is no `skip`."""
    if found.unlabelled:
        notes.append(
            plural(
                "{n} file without labels, for predictions, is not read: {names}",
                "{n} files without labels, for predictions, are not read: {names}",
                n=len(found.unlabelled),
                names=shorten((path.relative_to(root).as_posix() for path in found.unlabelled), 3),
            )
        )
    names = {case.id: case.id for case in found.cases}
    bare = {path.relative_to(root).as_posix(): path for path in found.bare}
    orphans = {path.relative_to(root).as_posix(): path for path in found.orphans}
    check_unpaired({**names, **bare}, {**names, **orphans}, root, unpaired, notes)


def suffix_of(path: Path) -> str:
    """Returns a file's suffix, `.nii.gz` whole; nothing where it has none, as `1.2.840.7`."""
    if path.suffix.lower() == ".gz" and len(path.suffixes) > 1:
        return path.suffixes[-2] + path.suffix
    return "" if path.suffix[1:].isdigit() else path.suffix


def _stem(path: Path) -> str:
    return path.name[: len(path.name) - len(suffix_of(path))]


def _place(
    path: Path, root: Path, images: str | None, masks: str | None, *, by_folder: bool = True
) -> tuple[_Place, bool]:
    """Returns where a file belongs, and whether it holds labels.

    Args:
        by_folder: folders say what is image and label; else only the files' names.
    """
    kept: list[str] = []
    part, kind = "", ""
    for folder in path.relative_to(root).parts[:-1]:
        as_label = _LABEL_FOLDER.fullmatch(folder) if by_folder and masks is None and folder != images else None
        as_image = _IMAGE_FOLDER.fullmatch(folder) if by_folder and images is None and folder != masks else None
        if folder == masks or as_label:
            kind = "labels"
        elif folder == images or as_image:
            kind = "images"
        else:
            kept.append(folder)
            continue
        match = as_label or as_image
        part = (match[2] or "") if match else ""
        kept += [match[1]] if match and match[1] else []
    stem = _stem(path)
    named = None if kind == "images" else _LABEL_NAME.fullmatch(stem)
    if named:
        stem = named["before"] or named["after"] or ""
    place = _Place(path=path, folder="/".join(kept), stem=stem, part=part.lower(), kind=kind)
    return place, kind == "labels" or (not kind and masks is None and named is not None)


def _class_folders(volumes: Sequence[_Place], labels: Sequence[_Place]) -> Iterator[Case]:
    """Yields the cases with a folder of label files, whose names are those of classes and not of volumes."""
    folders: dict[tuple[str, str, Path], list[_Place]] = {}
    for place in labels:
        if place.kind:
            folders.setdefault((place.folder, place.part, place.path.parent), []).append(place)
    for (folder, part, _), members in folders.items():
        beside = [place for place in volumes if (place.folder, place.part) == (folder, part)]
        above = [place for place in volumes if f"{place.folder}/{place.stem}".strip("/") == folder]
        images = above or (beside if folder or len(beside) == 1 else [])
        by_name = any(
            label.stem and _channel(image.stem, label.stem) is not None for image in images for label in members
        )
        if len(members) < 2 or not images or by_name:
            continue
        yield Case(
            id=folder or images[0].stem,
            channels={"" if len(images) == 1 else place.stem: place.path for place in images},
            labels=members[0].path,
            classes={_stem(place.path): place.path for place in members},
            split=_split((folder, part, ""), has_test=False, by_name=False),
        )


def _joined(volumes: Sequence[_Place], labels: Sequence[_Place], root: Path) -> Found:
    owners = {(place.folder, place.part, place.stem): place for place in labels}
    if len(owners) < len(labels):
        raise _doubled(labels, root)
    channels: dict[tuple[str, str, str], dict[str, _Place]] = {}
    bare: list[_Place] = []
    for place in volumes:
        stems = [stem for folder, part, stem in owners if (folder, part) == (place.folder, place.part)]
        fitting = [(stem, name) for stem in stems if (name := _channel(place.stem, stem)) is not None]
        if not fitting:
            bare.append(place)
            continue
        stem, name = max(fitting, key=lambda item: len(item[0]))  # case_1_2 is no channel of case_1 where it is a case
        channels.setdefault((place.folder, place.part, stem), {})[name] = place
    for key, found in channels.items():
        if "" in found:  # the very name; what else begins so is something else: a recording, a derived map
            bare += [place for name, place in found.items() if name]
            channels[key] = {"": found[""]}
    has_test = any(place.part == "ts" for place in labels)
    by_name = (
        len({place.stem.lower() for place in labels} & SPLIT_WORDS.keys()) > 1
    )  # train_images.npy, test_images.npy
    cases = [
        Case(
            id=_id(key),
            channels={name: channels[key][name].path for name in sorted(channels[key])},
            labels=owners[key].path,
            split=_split(key, has_test, by_name),
        )
        for key in sorted(channels)
    ]
    to_predict = [
        place for place in bare if not has_test and (place.part == "ts" or re.match("test[_-]", place.stem, re.I))
    ]
    return Found(
        cases=cases,
        bare=[place.path for place in bare if place not in to_predict],
        orphans=[place.path for key, place in owners.items() if key not in channels],
        unlabelled=[place.path for place in to_predict],
    )


def _channel(volume: str, label: str) -> str | None:
    """Returns what a volume's name has beside its case's (`t1`, `0000`, nothing); None where it is of another case."""
    if volume.lower() == label.lower():
        return ""
    if not label:
        return volume
    if volume.lower().startswith(label.lower()) and volume[len(label)] in "_-. ":
        return volume[len(label) + 1 :]
    start = _IMAGE_START.fullmatch(volume)
    return "" if start and (start["after"] or "").lower() == label.lower() else None


def _id(key: tuple[str, str, str]) -> str:
    folder, part, stem = key
    name = stem if not folder or stem.startswith(PurePosixPath(folder).name) else f"{folder}/{stem}".rstrip("/")
    if folder and stem.startswith(PurePosixPath(folder).name):
        name = f"{PurePosixPath(folder).parent.as_posix()}/{stem}".removeprefix("./")
    return name or part or "stack"


def _split(key: tuple[str, str, str], has_test: bool, by_name: bool) -> SplitName | None:
    """Returns the part that a folder is named after; `Tr` is one only beside labels in `Ts`."""
    folder, part, stem = key
    words: dict[str, SplitName] = {"ts": "test", "va": "val", **SPLIT_WORDS}
    if has_test:
        words["tr"] = "train"
    names = [name.lower() for name in (*folder.split("/"), part, *([stem] if by_name else []))]
    return next((words[name] for name in names if name in words), None)


def _check_ids(cases: Iterable[Case], root: Path) -> None:
    seen: dict[str, Case] = {}
    for case in cases:
        if case.id in seen:
            first = seen[case.id].labels.relative_to(root).as_posix()
            raise DatasetError(
                message(
                    "two label volumes are of one case {case!r}: {one} and {other}; rename or remove one",
                    case=case.id,
                    one=first,
                    other=case.labels.relative_to(root).as_posix(),
                ),
                path=root,
            )
        seen[case.id] = case


def _doubled(labels: Sequence[_Place], root: Path) -> DatasetError:
    groups: dict[tuple[str, str, str], list[Path]] = {}
    for place in labels:
        groups.setdefault((place.folder, place.part, place.stem), []).append(place.path)
    double = {key: paths for key, paths in groups.items() if len(paths) > 1}
    first = next(iter(double.values()))
    return DatasetError(
        message(
            "{n} cases have several label volumes (such as {names}); leave one, or name its folder with {option}",
            n=len(double),
            names=shorten((path.relative_to(root).as_posix() for path in first), 4),
            option=set_option("masks"),
        ),
        path=root,
    )
