"""Which mask files belong to which image, by their names: one, or several that are merged or are a class each."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from segbench.data.files.hints import set_option, yaml_text
from segbench.data.formats.shared.affixes import common_affixes
from segbench.data.formats.shared.listing import by_key
from segbench.data.formats.shared.pairing import MASK_WORDS, SEPARATORS, find_renames
from segbench.errors import DatasetError, shorten
from segbench.locale import join, message, plural

Keyed = list[tuple[str, Path]]

_COPY = re.compile(r" ?\(\d+\)| ?-? ?(copy|kopie|kopia|copie|copia|копия)( ?\(?\d*\)?)", re.IGNORECASE)
_OBJECT = re.compile(rf"(?:{'|'.join(MASK_WORDS)})?[_\-. ]?\(?\d*\)?", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Matched:
    """Images and masks by the same names.

    Attributes:
        images: id -> file.
        masks: id -> files; several are parts of one mask. Ids that no image has are masks without image.
    """

    images: dict[str, Path]
    masks: dict[str, tuple[Path, ...]]
    notes: list[str] = field(default_factory=list)

    @property
    def several(self) -> bool:
        """Whether an image has several mask files."""
        return any(len(self.masks[name]) > 1 for name in self.images if name in self.masks)


def match(
    images: Keyed,
    masks: Keyed,
    root: Path,
    *,
    image_suffix: str | None,
    mask_suffix: str | None,
    parts: Mapping[Path, str] | None = None,
) -> Matched:
    """Returns images and masks by the names under which they belong together.

    Tried are: the names themselves, less the suffixes given; usual words cut off; the same without regard to case, or
    to zeros before numbers; what all names of a side have in common, in the whole set or in each part; several masks
    an image. Where none of them gives every file its partner, what pairs most is returned.

    Args:
        images, masks: (key, file).
        image_suffix, mask_suffix: given by the user.
        parts: image or mask file -> part it is in; names may differ from part to part.
    Raises:
        DatasetError: two files of one name, or several masks an image that may be classes.
    """
    notes: list[str] = []
    if image_suffix:
        images = [(_less(key, image_suffix), path) for key, path in images]
    if mask_suffix:
        masks = _with_suffix(images, masks, mask_suffix, notes)
    elif mask_suffix == "":
        masks = _without_suffix(images, masks, notes)
    cuts = find_renames([key for key, _ in images], [key for key, _ in masks], mask_suffix)
    known = _renamed(images, cuts[0]), _renamed(masks, cuts[1])
    for plain in (_plain, _unpadded):
        known = known if _all_pair(*known) else _alike(*known, plain, notes)
    if not _all_pair(*known):
        by_affix = _by_affixes(images, masks, parts or {}, notes)
        if by_affix is not None:
            known = by_affix
    if not _all_pair(*known):
        several = _several(known[0], masks, root) or _several(images, masks, root)
        if several is not None:
            return Matched(images=by_key(several[0], root, "image"), masks=several[1], notes=notes)
    found = by_key(known[0], root, "image")
    labels = by_key(known[1], root, "mask")
    return Matched(images=found, masks={key: (path,) for key, path in labels.items()}, notes=notes)


def of_cases(images: Keyed, masks: Keyed, parts: Mapping[Path, str]) -> Matched | None:
    """Returns the masks of folders that hold one image each: all that lie there are its own; else None."""
    inside: dict[str, Keyed] = defaultdict(list)
    for key, path in images:
        inside[parts[path]].append((key, path))
    if len(inside) < 2 or any(len(found) > 1 for found in inside.values()):
        return None
    labels: dict[str, list[Path]] = defaultdict(list)
    for _, path in masks:
        if parts[path] not in inside:
            return None
        labels[inside[parts[path]][0][0]].append(path)
    return Matched(
        images={found[0][0]: found[0][1] for found in inside.values()},
        masks={key: tuple(paths) for key, paths in labels.items()},
    )


def check_objects(matched: Matched, tails: Callable[[str, Path], str], root: Path) -> None:
    """Raises DatasetError where the several masks of an image may be classes rather than objects of one class.

    Args:
        tails: (id, mask file) -> what the mask's name says beyond the image's.
    """
    listed = [
        (name, path, tails(name, path)) for name, paths in matched.masks.items() if len(paths) > 1 for path in paths
    ]
    copies = [path for name, path, tail in listed if tail and _is_copy(path, matched.masks[name])]
    if copies:
        raise DatasetError(
            plural(
                "{n} mask seems to be a copy of the one beside it: {names}; keep one of the two, for both would be "
                "merged",
                "{n} masks seem to be copies of those beside them: {names}; keep one of the two, for both would be "
                "merged",
                n=len(copies),
                names=shorten((path.name for path in copies), 4),
            ),
            path=root,
        )
    named = Counter(tail for _, _, tail in listed if not _OBJECT.fullmatch(tail))
    often = {tail: number for tail, number in named.items() if number > 1}
    if not named or (not often and len({name for name, _, _ in listed}) > 1):
        return  # numbers, or names that are never used twice
    option = next(iter(sorted(often or named)))
    name, path = next((name, path) for name, path, tail in listed if tail == option)
    separator = path.stem[len(path.stem) - len(option) - 1 : len(path.stem) - len(option)]
    raise DatasetError(
        message(
            "{n} of {total} images have several mask files, such as {name} with {files}; {first}; if one of them is "
            "the label, choose it with {suffix}",
            n=len({name for name, _, _ in listed}),
            total=len(matched.images),
            name=name,
            files=shorten((path.name for path in matched.masks[name]), 4),
            first=message(
                "if those named as the images are the labels, set {none}", none=set_option("mask_suffix", "''")
            )
            if any(not tail for _, _, tail in listed)
            else message("if each is a class, set {task}", task=set_option("task", "multilabel")),
            suffix=set_option("mask_suffix", yaml_text(f"{separator if separator in SEPARATORS else ''}{option}")),
        ),
        path=root,
    )


def _is_copy(path: Path, beside: Sequence[Path]) -> bool:
    """Returns whether a mask is called as programs call a second copy of another one: `a (1).png`, `a - Copy.png`."""
    return any(
        path.stem.startswith(other.stem) and _COPY.fullmatch(path.stem[len(other.stem) :])
        for other in beside
        if other != path
    )


def propose_suffixes(images: Sequence[str], masks: Sequence[str]) -> str:
    """Returns the options that cut what all images' or masks' names end in, where some would agree then; or nothing."""
    found: list[tuple[str, str]] = []
    cut: list[set[str]] = []
    for option, names in (("image_suffix", images), ("mask_suffix", masks)):
        ends = {name[max(name.rfind(separator) for separator in SEPARATORS) :] for name in names}
        end = ends.pop() if len(ends) == 1 else ""
        end = end if end[:1] in SEPARATORS else ""
        found += [(option, end)] if end else []
        cut.append({_less(name, end) if end else name for name in names})
    if not found or not cut[0] & cut[1]:
        return ""
    return join(", ", [set_option(name, yaml_text(end)) for name, end in found])


def _less(key: str, suffix: str) -> str:
    return key[: -len(suffix)] if key.lower().endswith(suffix.lower()) and key != suffix else key


def _with_suffix(images: Keyed, masks: Keyed, suffix: str, notes: list[str]) -> Keyed:
    """Returns the masks that carry the suffix; other files of the same images are left out, and told."""
    carrying = [(key, path) for key, path in masks if _less(key, suffix) != key]
    if not carrying:
        return masks
    known = {key for key, _ in images} | {_less(key, suffix) for key, _ in carrying}
    rest = [(key, path) for key, path in masks if _less(key, suffix) == key]
    return [*carrying, *_left(rest, known, notes, instead={_less(key, suffix) for key, _ in carrying})]


def _without_suffix(images: Keyed, masks: Keyed, notes: list[str]) -> Keyed:
    """Returns the masks named as images, and those that belong to none; other files of the same images are told."""
    known = {key for key, _ in images}
    rest = [(key, path) for key, path in masks if key not in known]
    return [*((key, path) for key, path in masks if key in known), *_left(rest, known, notes)]


def _left(files: Keyed, known: set[str], notes: list[str], instead: Collection[str] = ()) -> Keyed:
    """Returns the files without those whose name begins with a known one, or is one of `instead`, which are told."""
    other = [path for key, path in files if key in instead or _owner(key, known)]
    if other:
        notes.append(
            plural(
                "{n} other file of these images was left out: {names}",
                "{n} other files of these images were left out: {names}",
                n=len(other),
                names=shorten((path.name for path in other), 4),
            )
        )
    left = set(other)
    return [(key, path) for key, path in files if path not in left]


def _renamed(files: Keyed, cut: Callable[[str], str]) -> Keyed:
    return [(cut(key), path) for key, path in files]


def _all_pair(images: Keyed, masks: Keyed) -> bool:
    names = {key for key, _ in images}
    return len(names) == len(images) == len(masks) and names == {key for key, _ in masks}


def _by_affixes(images: Keyed, masks: Keyed, parts: Mapping[Path, str], notes: list[str]) -> tuple[Keyed, Keyed] | None:
    """Returns renamed files, all of which pair, in the whole set or in each of its parts; else None."""
    whole = _affixed(images, masks)
    if whole is not None:
        notes.append(whole[2])
        return whole[0], whole[1]
    found: tuple[Keyed, Keyed] = [], []
    told: list[str] = []
    names = list(dict.fromkeys(parts.values()))
    for name in names if len(names) > 1 else []:
        ours = [[(key, path) for key, path in files if parts[path] == name] for files in (images, masks)]
        if not ours[1]:
            continue  # a part without labels, or one that is told as unpaired
        part = _affixed(*ours)
        if part is None:
            return None
        found[0].extend(part[0])
        found[1].extend(part[1])
        told.append(part[2])
    notes += dict.fromkeys(told)
    return found if found[0] else None


def _affixed(images: Keyed, masks: Keyed) -> tuple[Keyed, Keyed, str] | None:
    cuts = common_affixes([key for key, _ in images], [key for key, _ in masks])
    if cuts is None:
        return None
    note = message(
        "{image} and {mask} were taken for a pair, and so on: all names agree without {pieces}",
        image=images[0][1].name,
        mask=next(path.name for key, path in masks if cuts[1].cut(key) == cuts[0].cut(images[0][0])),
        pieces=", ".join(repr(text) for text in (*cuts[0].texts, *cuts[1].texts)),
    )
    return _renamed(images, cuts[0].cut), _renamed(masks, cuts[1].cut), note


def _owner(key: str, names: Iterable[str]) -> str:
    """Returns the longest of the names that a mask's name begins with, before a separator; empty where none is."""
    known = names if isinstance(names, set | dict) else set(names)
    return next(
        (key[:at] for at in range(len(key) - 1, 0, -1) if key[at] in f"{SEPARATORS}/" and key[:at] in known), ""
    )


def _several(images: Keyed, masks: Keyed, root: Path) -> tuple[Keyed, dict[str, tuple[Path, ...]]] | None:
    """Returns the images, and the masks by image, where every mask belongs to one and some image has several."""
    names = {key for key, _ in images}
    owners = [(key if key in names else _owner(key, names), key, path) for key, path in masks]
    if not all(owner for owner, _, _ in owners):
        return None
    found: dict[str, list[Path]] = defaultdict(list)
    tails: dict[Path, str] = {}
    for owner, key, path in owners:
        found[owner].append(path)
        tails[path] = key[len(owner) :].lstrip("_-. /")
    if all(len(paths) == 1 for paths in found.values()):
        return None
    matched = Matched(
        images=by_key(images, root, "image"), masks={key: tuple(sorted(paths)) for key, paths in found.items()}
    )
    check_objects(matched, lambda _, path: tails[path], root)
    return images, matched.masks


def _alike(images: Keyed, masks: Keyed, plain: Callable[[str], str], notes: list[str]) -> tuple[Keyed, Keyed]:
    """Returns the masks under the images' names where these differ only in what `plain` takes away."""
    ours = {plain(key): key for key, _ in images}
    theirs = {plain(key) for key, _ in masks}
    exact = {key for key, _ in images}
    changed = [path for key, path in masks if key not in exact and plain(key) in ours]
    if not changed or len(ours) < len(images) or len(theirs) < len(masks):
        return images, masks
    names = shorten((path.name for path in changed), 3)
    notes.append(
        plural(
            "{n} mask is named as its image but for upper and lower case or accents: {names}",
            "{n} masks are named as their images but for upper and lower case or accents: {names}",
            n=len(changed),
            names=names,
        )
        if plain is _plain
        else plural(
            "{n} mask is named as its image but for zeros before numbers: {names}",
            "{n} masks are named as their images but for zeros before numbers: {names}",
            n=len(changed),
            names=names,
        )
    )
    return images, [(ours.get(plain(key), key), path) for key, path in masks]


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _unpadded(text: str) -> str:
    return re.sub(r"\d+", lambda number: number[0].lstrip("0") or "0", _plain(text))
