"""Images and masks in one folder: told apart by names, by the files' kinds, or by what they hold."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from segbench.data.files.hints import set_option, yaml_text
from segbench.data.formats.shared.layout import IMAGE_NAME
from segbench.data.formats.shared.looks import contents, looks_like_labels
from segbench.data.formats.shared.pairing import MASK_WORDS, SEPARATORS
from segbench.errors import ChoiceError, DatasetError, shorten
from segbench.locale import join, message, plural

Keyed = list[tuple[str, Path]]

_LOSSY = frozenset({".jpg", ".jpeg"})
_NUMBER = r"(?:[_\-. ]?\(?\d+\)?)?"  # a second lesion's mask is `x_mask_1`


@dataclass(frozen=True, kw_only=True)
class Mixed:
    """The files of one folder, or of several laid out alike.

    Attributes:
        images, masks: key and file of each.
        notes: how they were told apart, where their names do not say so.
    """

    images: Keyed
    masks: Keyed
    notes: list[str] = field(default_factory=list)


def split_mixed(files: Keyed, mask_suffix: str | None, image_suffix: str | None, root: Path) -> Mixed:
    """Returns which files are images and which are masks.

    Args:
        files: (key, path), the key without the file's suffix.
        mask_suffix, image_suffix: given by the user; else names, file kinds and values decide.
    Raises:
        DatasetError: nothing tells them apart, or several kinds of files could be the masks.
    """
    if mask_suffix:
        return _by_suffix(files, mask_suffix, root)
    if image_suffix:
        images = [(key, path) for key, path in files if key.lower().endswith(image_suffix.lower())]
        return Mixed(images=images, masks=[item for item in files if item not in images])
    return _by_word(files, root) or _by_kind(files) or _by_ends(files, root) or _refuse(files, root)


def _by_suffix(files: Keyed, mask_suffix: str, root: Path) -> Mixed:
    pattern = re.compile(re.escape(mask_suffix) + _NUMBER + "$", re.IGNORECASE)
    masks = [(key, path) for key, path in files if (found := pattern.search(key)) and found.start() > 0]
    if not masks:
        return _refuse(files, root, mask_suffix)
    chosen = {path for _, path in masks}
    rest = [(key, path) for key, path in files if path not in chosen]
    begins = {pattern.sub("", key).lower() for key, _ in masks}
    other = [
        path
        for key, path in rest
        if key.lower() not in begins
        and any(key[:at].lower() in begins and key[at] in SEPARATORS for at in range(1, len(key)))
    ]
    images = [(key, path) for key, path in rest if path not in set(other)]
    if len(images) < len(begins) and other:  # then these are the images: `x_sat` beside `x_mask`
        return Mixed(images=rest, masks=masks)
    notes = [] if not other else [_left_out(other)]
    return Mixed(images=images, masks=masks, notes=notes)


def _left_out(paths: Sequence[Path]) -> str:
    return plural(
        "{n} other file of these images was left out: {names}",
        "{n} other files of these images were left out: {names}",
        n=len(paths),
        names=shorten((path.name for path in paths), 4),
    )


def _by_word(files: Keyed, root: Path) -> Mixed | None:
    """Returns images and masks where masks' names end in a usual word, or are one."""
    found: dict[str, Keyed] = {}
    for word in MASK_WORDS:
        for pattern in (rf"(^|[_\-. /]){word}{_NUMBER}$", rf"(^|/){word}[_\-. ][^/]*$"):
            carrying = [(key, path) for key, path in files if re.search(pattern, key, re.IGNORECASE)]
            if carrying and len(carrying) < len(files):
                found[pattern] = carrying
    if not found:
        return None
    word = max(found, key=lambda item: len(found[item]))  # the first of equals
    masks = found[word]
    _check_words(found, word, root)
    chosen = {path for _, path in masks}
    rest = [(key, path) for key, path in files if path not in chosen]
    named = [(key, path) for key, path in rest if IMAGE_NAME.match(PurePosixPath(key).name)]
    folders = {PurePosixPath(key).parent for key, _ in masks}
    if len(named) == len(folders) == len({PurePosixPath(key).parent for key, _ in named}) and len(named) < len(rest):
        others = [path for _, path in rest if path not in {path for _, path in named}]
        if not looks_like_labels(others):  # `img`, `label` and a picture of both in the folder of each case
            return Mixed(images=named, masks=masks, notes=[_left_out(others)])
    return Mixed(images=rest, masks=masks)


def _check_words(found: dict[str, Keyed], word: str, root: Path) -> None:
    """Raises ChoiceError where files of another word, such as `x_label` beside `x_mask`, could as well be the masks."""
    ours = {path for _, path in found[word]}
    rivals = {word: found[word]}
    for other, files in found.items():
        rest = [(key, path) for key, path in files if path not in ours]
        if 2 * len(rest) >= len(ours) and looks_like_labels([path for _, path in rest]):
            rivals[other] = rest
            ours |= {path for _, path in rest}
    if len(rivals) == 1:
        return
    choices: dict[str, str] = {}
    for pattern, files in rivals.items():
        key = files[0][0]
        start = re.search(pattern, key, re.IGNORECASE)
        choices[key[start.start() :] if start else key] = contents([path for _, path in files])
    text = message(
        "several files of an image could be its mask ({ends}); choose with {option}",
        ends=", ".join(choices),
        option=set_option("mask_suffix", yaml_text(next(iter(choices)))),
    )
    held = [message("{end} holds {held}", end=end, held=held) for end, held in choices.items()]
    raise ChoiceError(join("; ", [text, *held]), option="mask_suffix", choices=choices, path=root)


def _by_kind(files: Keyed) -> Mixed | None:
    """Returns images and masks where each name stands once as JPEG and once as another kind with few values."""
    kinds: dict[str, dict[bool, tuple[str, Path]]] = defaultdict(dict)
    for key, path in files:
        kinds[key][path.suffix.lower() in _LOSSY] = (key, path)
    if 2 * len(kinds) != len(files) or any(len(pair) < 2 for pair in kinds.values()):
        return None
    images = [pair[True] for pair in kinds.values()]
    masks = [pair[False] for pair in kinds.values()]
    if not looks_like_labels([path for _, path in masks]):
        return None
    note = message(
        "{mask} was taken for the mask of {image}, and so on: {held}",
        mask=masks[0][1].name,
        image=images[0][1].name,
        held=contents([path for _, path in masks]),
    )
    return Mixed(images=images, masks=masks, notes=[note])


def _by_ends(files: Keyed, root: Path) -> Mixed | None:
    """Returns images and masks where names come in as many endings for each sample: `x`, `x_anno`; `x_sat`, `x_map`.

    Raises:
        DatasetError: several endings could be the masks.
    """
    groups = _extensions(files) or _endings(files)
    if not groups:
        return None
    ends = {end: [group[end] for group in groups] for end in groups[0]}
    masks = [end for end, paths in ends.items() if looks_like_labels([path for _, path in paths])]
    if "" in masks and len(masks) > 1:
        masks.remove("")  # what others extend is the image
    images = [end for end in ends if end not in masks]
    if len(images) != 1 or not masks:
        return None
    if len(masks) > 1:
        choices = {end: contents([path for _, path in ends[end]]) for end in masks}
        text = message(
            "each of {n} images has {count} files that could be its mask ({ends}); choose with {option}, or, if each "
            "is a class, set {task}",
            n=len(groups),
            count=len(masks),
            ends=", ".join(masks),
            option=set_option("mask_suffix", yaml_text(masks[0])),
            task=set_option("task", "multilabel"),
        )
        held = [message("{end} holds {held}", end=end, held=held) for end, held in choices.items()]
        raise ChoiceError(join("; ", [text, *held]), option="mask_suffix", choices=choices, path=root)
    note = message(
        "files whose names end in {end!r} were taken for the masks: {held}",
        end=masks[0],
        held=contents([path for _, path in ends[masks[0]]]),
    )
    return Mixed(images=ends[images[0]], masks=ends[masks[0]], notes=[note])


def _extensions(files: Keyed) -> list[dict[str, tuple[str, Path]]]:
    """Returns for each sample what its name is extended by (the image by ""), where all are extended alike; else []."""
    keys = {key for key, _ in files}
    groups: dict[str, dict[str, tuple[str, Path]]] = defaultdict(dict)
    for key, path in files:
        base = next((key[:at] for at in range(1, len(key)) if key[:at] in keys and not key[at].isalnum()), key)
        groups[base][key[len(base) :]] = (key, path)
    return _alike(groups.values())


def _endings(files: Keyed) -> list[dict[str, tuple[str, Path]]]:
    """Returns for each sample its files by what stands behind the last separator, where all have the same; else []."""
    groups: dict[str, dict[str, tuple[str, Path]]] = defaultdict(dict)
    for key, path in files:
        at = max(key.rfind(separator) for separator in (*SEPARATORS, "/"))
        groups[key[: max(at, 0)]][key[max(at, 0) :]] = (key, path)
    return _alike(groups.values())


def _alike(groups: object) -> list[dict[str, tuple[str, Path]]]:
    listed = list(groups)  # type: ignore[call-overload]
    ends = {frozenset(group) for group in listed}
    return listed if len(ends) == 1 and len(listed) > 1 and len(next(iter(ends))) > 1 else []


def _refuse(files: Keyed, root: Path, mask_suffix: str | None = None) -> Mixed:
    asked = (
        message("ends in {suffix!r}", suffix=mask_suffix)
        if mask_suffix
        else message("ends in _mask, _segmentation, _label or the like")
    )
    raise DatasetError(
        message(
            "expected images and masks in one folder, but of {n} image files no name {asked} (such as {names}); set "
            "{option}, or put the masks in a folder 'masks'",
            n=len(files),
            asked=asked,
            names=shorten((path.name for _, path in files), 3),
            option=set_option("mask_suffix"),
        ),
        path=root,
    )
