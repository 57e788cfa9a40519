"""Which data set a folder holds, how to read it, and why: a guess with its reason, or a question."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from segbench.data.facts.store import Also, FactStore, MaskFact
from segbench.data.files.folders import existing_folder
from segbench.data.files.hints import give
from segbench.data.formats import FORMATS, WHOLE_TREES, Listing, check_format, recognise
from segbench.data.formats.contents import describe
from segbench.data.formats.shared.deep import ask_depth
from segbench.data.formats.shared.guess import guess_classes
from segbench.data.formats.shared.layout import IMAGE_NAME, MASK_NAME, SPLIT_WORDS
from segbench.data.formats.shared.listing import subfolders
from segbench.errors import ChoiceError, ConfigError, DatasetError
from segbench.locale import join, listed, message, plural
from segbench.types import ClassMap

_SAMPLE = 96  # masks that are looked at for a guess, spread over the data set
_DEPTH = 4  # of folders that are searched for data sets
_MOST_FOLDERS = 64  # beside each other that are looked into

FindsAlso: TypeAlias = Callable[[Listing, FactStore], Also | None]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One way to read a folder.

    Attributes:
        format, options: as a config writes them.
        reason: by what it was recognised.
        classes: names, as far as they are known without reading every file; empty where reading fails.
        samples: number of labelled images.
        trouble: what reading says against it; empty where nothing does.
        guesses: what was guessed about the masks' values, and should be looked at.
    """

    format: str
    options: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    classes: tuple[str, ...] = ()
    samples: int = 0
    trouble: str = ""
    guesses: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Detection:
    """What a folder seems to hold.

    Attributes:
        root: the folder, absolute.
        candidates: the ways to read it; several mean that somebody has to choose.
        nested: folders below that hold data sets, where this one is none itself.
        contents: what is in the folder, in words, where no way to read it was found.
    """

    root: Path
    candidates: tuple[Candidate, ...]
    nested: tuple[Path, ...] = ()
    contents: str = ""

    @property
    def best(self) -> Candidate | None:
        """The one way to read it, or None where there is a choice, or nothing that can be read."""
        if len(self.candidates) != 1 or self.candidates[0].trouble:
            return None  # what is recognised but cannot be read may be what is meant
        return self.candidates[0]

    def question(self) -> str:
        """Returns what has to be decided, or why nothing can be read, in one sentence: the nearest obstacle first."""
        usable = [candidate for candidate in self.candidates if not candidate.trouble]
        if usable:
            return self._choice(usable)
        if self.nested:
            return plural(
                "this folder is no data set, but one lies in it; name that folder: {names}",
                "this folder holds {n} data sets, choose one: {names}",
                n=len(self.nested),
                names=listed([str(path) for path in self.nested], 12),
            )
        troubles = [candidate.trouble for candidate in self.candidates]
        if len(troubles) > 1:
            troubles = [join("", [f"{candidate.format}: ", candidate.trouble]) for candidate in self.candidates]
        return join("; ", [*troubles, *([self.contents] if self.contents else [])])

    def _choice(self, usable: Sequence[Candidate]) -> str:
        ways = [
            message(
                "{way} ({reason})",
                way=give(candidate.format, candidate.options),
                reason=candidate.reason,
            )
            for candidate in usable
        ]
        also = [
            message(
                "it also looks like {format} ({reason}), but {trouble}",
                format=candidate.format,
                reason=candidate.reason,
                trouble=candidate.trouble,
            )
            for candidate in self.candidates
            if candidate.trouble
        ]
        if also:
            return plural(
                "one way to read this folder, choose it or mend the other: {ways}",
                "{n} ways to read this folder, choose or mend the other: {ways}",
                n=len(usable),
                ways=join("; ", [*ways, *also]),
            )
        return plural(
            "one way to read this folder, choose: {ways}",
            "{n} ways to read this folder, choose: {ways}",
            n=len(usable),
            ways=join("; ", ways),
        )


def detect(
    path: str | Path,
    options: Mapping[str, Any] | None = None,
    *,
    format: str | None = None,  # noqa: A002  # the config's word
    also: FindsAlso | None = None,
) -> Detection:
    """Returns how a folder can be read; opens annotation files, and some of the masks where their values decide.

    Nothing is left out to make a folder readable: what cannot be used is the user's to decide, and told as the trouble
    of the candidate, with what to do.

    Args:
        options: that the user gave already; they are kept, and candidates that do not know them are left out.
        format: that the user chose; None looks for all.
        also: what else is found in the masks that are looked at, so that they need not be decoded again for it.
    Raises:
        DatasetError: there is no such folder.
        ConfigError: options that no reader of this folder has.
    """
    root = existing_folder(path)
    given = dict(options or {})
    if format is not None:
        check_format(format, given)
        told = message("as told")
        one = list(_as_folder(root, given, also)) if format == "folder" else [_read_as(root, format, given, told, also)]
        return Detection(root=root, candidates=tuple(one))
    signs = recognise(root)
    apart = _apart(root, signs)
    if len(apart) > 1 and not _are_tasks(apart, signs):
        return Detection(root=root, candidates=(), nested=tuple(_nested(root, _DEPTH)))
    if not any(_knows(name, given) for name in (*signs, "folder")):
        check_format(next(iter(signs), "folder"), given)  # says which option there is not
    candidates = [_read_as(root, name, given, sign, also) for name, sign in signs.items() if _knows(name, given)]
    if candidates:
        return Detection(root=root, candidates=tuple(candidates))
    candidates = list(_as_folder(root, given, also))
    nested: tuple[Path, ...] = ()
    if all(candidate.trouble for candidate in candidates):
        nested = tuple(_nested(root, _DEPTH))
    return Detection(
        root=root,
        candidates=tuple(candidates),
        nested=nested,
        contents=describe(root) if not candidates or candidates[0].trouble else "",
    )


def resolve(path: str | Path, format: str | None, options: Mapping[str, Any]) -> Candidate:  # noqa: A002
    """Returns how to read a data set: as told, or as `detect` finds.

    Raises:
        DatasetError: nothing or several ways were found; the message names them.
    """
    if format is not None:
        return Candidate(format=format, options=options, reason=message("as told"))
    found = detect(path, options)
    if found.best is None:
        raise DatasetError(found.question(), path=found.root)
    return found.best


def _knows(name: str, options: Mapping[str, Any]) -> bool:
    return set(options) <= set(FORMATS.options(name))


def _read_as(root: Path, name: str, options: Mapping[str, Any], reason: str, also: FindsAlso | None) -> Candidate:
    """Returns a candidate after listing the data set once; annotation files are parsed, images are not opened."""
    try:
        check_format(name, options)
        listing: Listing = FORMATS.get(name)(root, **options)
        facts = _some_masks(root, listing, also)
        class_map = listing.classes_of(facts)
        ask_depth(listing, root)
    except (DatasetError, ConfigError) as error:
        return Candidate(format=name, options=options, reason=reason, trouble=_trouble(error, root))
    return Candidate(format=name, options=options, reason=reason, classes=class_map.names, samples=len(listing.entries))


def _as_folder(root: Path, given: Mapping[str, Any], also: FindsAlso | None) -> Iterator[Candidate]:
    """Yields the ways to read an ordinary folder: one, or one for each answer to what has to be chosen."""
    if not _knows("folder", given):
        return
    try:
        yield _guess(root, given, message("images and masks of the same names"), also)
        return
    except ChoiceError as error:
        trouble, option, choices = _trouble(error, root), error.option, error.choices
    except (DatasetError, ConfigError) as error:
        trouble, option, choices = _trouble(error, root), "", {}
    found = []
    for choice, held in choices.items():
        reason = message("{option}: {choice}, {held}", option=option, choice=choice, held=held)
        reason = reason if held else message("{option}: {choice}", option=option, choice=choice)
        try:
            found.append(_guess(root, {**given, option: choice}, reason, also))
        except (DatasetError, ConfigError):
            continue  # the question above names it with what it holds
    yield from found if len(found) > 1 else ()
    if len(found) < 2:
        yield Candidate(format="folder", options=given, trouble=trouble)


def _guess(root: Path, given: Mapping[str, Any], reason: str, also: FindsAlso | None) -> Candidate:
    """Returns the folder reader's options for this folder, with what its masks' values ask for."""
    options = dict(given)
    guesses: list[str] = []
    listing: Listing = FORMATS.get("folder")(root, **options)
    facts = _some_masks(root, listing, also)
    try:
        class_map = listing.classes_of(facts)
    except DatasetError:
        extra, reasons = guess_classes(facts, options.get("ignore", ()), rule=listing.class_map)
        if not extra or set(extra) & set(options):
            raise
        options |= extra
        guesses += reasons
        listing = FORMATS.get("folder")(root, **options)
        class_map = listing.classes_of(facts)
    ask_depth(listing, root)
    return Candidate(
        format="folder",
        options=options,
        reason=reason,
        classes=class_map.names,
        samples=len(listing.entries),
        guesses=tuple(guesses),
    )


def _trouble(error: DatasetError | ConfigError, root: Path) -> str:
    """Returns what is wrong, with the file or key in front."""
    if isinstance(error, ConfigError):
        return str(error)
    where = Path(error.path)
    if where == root or not where.is_relative_to(root):
        return error.reason
    return join("", [f"{where.relative_to(root).as_posix()}: ", error.reason])


def _some_masks(root: Path, listing: Listing, also: FindsAlso | None) -> dict[Path, MaskFact]:
    """Returns the facts of masks spread over the data set; unreadable ones are left to the reading itself.

    Raises:
        DatasetError: none of them can be read.
    """
    if isinstance(listing.class_map, ClassMap):
        return {}
    paths = [path for entry in listing.entries for path in entry.masks]
    step = max(1, len(paths) // _SAMPLE)
    store = FactStore(listing.root or root)
    store.also = None if also is None else also(listing, store)
    facts, failed = store.masks(paths[::step])
    store.save()
    if failed and not facts:
        path, reason = failed[0]
        name = path.relative_to(listing.root or root).as_posix()
        raise DatasetError(
            message("none of the masks can be read: {name}: {reason}", name=name, reason=reason), path=root
        )
    return dict(facts)


def _nested(root: Path, depth: int) -> Iterator[Path]:
    for folder in subfolders(root):
        if _is_a_part(folder):
            continue
        if recognise(folder) or _is_folder_set(folder):
            yield folder
        elif depth > 1:
            yield from _nested(folder, depth - 1)


def _is_a_part(folder: Path) -> bool:
    """Returns whether a folder's name says that it is a part of a data set, not one of its own."""
    name = folder.name
    return name.lower() in SPLIT_WORDS or bool(MASK_NAME.search(name) or IMAGE_NAME.match(name))


def _is_folder_set(folder: Path) -> bool:
    try:
        listing: Listing = FORMATS.get("folder")(folder, unpaired="skip")  # to know what it is, not to read it so
    except ChoiceError:
        return True
    except (DatasetError, ConfigError):
        return False
    return bool(listing.entries)


def _apart(root: Path, signs: Mapping[str, str]) -> list[Path]:
    """Returns the folders directly below that hold data sets of their own, rather than parts or cases of one.

    Args:
        signs: what the folder itself is recognised as.
    """
    if WHOLE_TREES & signs.keys():
        return []
    below = [folder for folder in subfolders(root)[:_MOST_FOLDERS] if not _is_a_part(folder)]
    return [folder for folder in below if _holds_one(folder, _DEPTH - 1)]


def _are_tasks(folders: Sequence[Path], signs: Mapping[str, str]) -> bool:
    """Returns whether folders are of the one format that the folder above is, whose reader knows what to ask then."""
    names = [name for name in signs if "annotations" in FORMATS.options(name)]
    below = [(folder, recognise(folder)) for folder in folders]
    alike = all(own.keys() == signs.keys() and not _apart(folder, own) for folder, own in below)
    return len(names) == len(signs) == 1 and alike


def _holds_one(folder: Path, depth: int) -> bool:
    if recognise(folder):
        return True
    return depth > 1 and any(_holds_one(inner, depth - 1) for inner in subfolders(folder)[:_MOST_FOLDERS])
