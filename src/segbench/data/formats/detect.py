"""Which data set a folder holds, how to read it, and why: a guess with its reason, or a question."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segbench.data.facts.store import FactStore, MaskFact
from segbench.data.formats import FORMATS, Listing, check_format, recognise
from segbench.data.formats.shared.guess import guess_classes
from segbench.data.formats.shared.layout import MASK_NAME, SPLIT_WORDS
from segbench.data.formats.shared.listing import image_files, subfolders
from segbench.errors import ConfigError, DatasetError
from segbench.locale import join, listed, message, plural
from segbench.types import ClassMap, Task

_SAMPLE = 96  # masks that are looked at for a guess, spread over the data set
_DEPTH = 4  # of folders that are searched for data sets
_MOST_FOLDERS = 64  # beside each other that are looked into


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
    """

    root: Path
    candidates: tuple[Candidate, ...]
    nested: tuple[Path, ...] = ()

    @property
    def best(self) -> Candidate | None:
        """The one way to read it, or None where there is a choice, or nothing that can be read."""
        if len(self.candidates) != 1 or self.candidates[0].trouble:
            return None  # what is recognised but cannot be read may be what is meant
        return self.candidates[0]

    def question(self) -> str:
        """Returns what has to be decided, in one sentence."""
        usable = [candidate for candidate in self.candidates if not candidate.trouble]
        if usable:
            ways = [
                message(
                    "{way} ({reason})",
                    way=f"--format {candidate.format}{_options_text(candidate.options)}",
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
            choices = join("; ", [*ways, *also])
            if also:
                return plural(
                    "one way to read this folder, choose it or mend the other: {ways}",
                    "{n} ways to read this folder, choose or mend the other: {ways}",
                    n=len(usable),
                    ways=choices,
                )
            return plural(
                "one way to read this folder, choose: {ways}",
                "{n} ways to read this folder, choose: {ways}",
                n=len(usable),
                ways=choices,
            )
        if self.nested:
            names = [path.relative_to(self.root).as_posix() for path in self.nested]
            return message(
                "this folder holds {n} data sets, choose one: {names}", n=len(self.nested), names=listed(names, 12)
            )
        if not self.candidates:
            return message("no labelled images were found")
        troubles = [join("", [f"{candidate.format}: ", candidate.trouble]) for candidate in self.candidates]
        return message("no labelled images were found ({troubles})", troubles=join("; ", troubles))


def detect(path: str | Path, options: Mapping[str, Any] | None = None) -> Detection:
    """Returns how a folder can be read; opens annotation files, and some of the masks where their values decide.

    Args:
        options: that the user gave already; they are kept, and candidates that do not know them are left out.
    Raises:
        DatasetError: there is no such folder.
        ConfigError: options that no reader of this folder has.
    """
    root = Path(path).expanduser().absolute()
    if not root.is_dir():
        raise DatasetError("expected a data set's folder, but there is no such folder; check the path", path=root)
    root = root.resolve()
    given = dict(options or {})
    apart = _apart(root)
    if len(apart) > 1:
        return Detection(root=root, candidates=(), nested=tuple(_nested(root, _DEPTH)))
    signs = recognise(root)
    if not any(_knows(name, given) for name in (*signs, "folder")):
        check_format(next(iter(signs), "folder"), given)  # says which option there is not
    candidates = [_read_as(root, name, given, sign) for name, sign in signs.items() if _knows(name, given)]
    if not candidates:
        candidates = list(_as_folder(root, given))
    nested: tuple[Path, ...] = ()
    if all(candidate.trouble for candidate in candidates):
        nested = tuple(_nested(root, _DEPTH))
    return Detection(root=root, candidates=tuple(candidates), nested=nested)


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


def _read_as(root: Path, name: str, options: Mapping[str, Any], reason: str) -> Candidate:
    """Returns a candidate after listing the data set once; annotation files are parsed, images are not opened."""
    try:
        check_format(name, options)
        listing: Listing = FORMATS.get(name)(root, **options)
        facts = _some_masks(root, listing)
        class_map = listing.classes_of(facts)
    except (DatasetError, ConfigError) as error:
        repaired = _tolerant(root, name, options, reason)
        return repaired or Candidate(format=name, options=options, reason=reason, trouble=error.reason)
    return Candidate(format=name, options=options, reason=reason, classes=class_map.names, samples=len(listing.entries))


def _tolerant(root: Path, name: str, options: Mapping[str, Any], reason: str) -> Candidate | None:
    """Returns the candidate that leaves out what cannot be read, where the reader can do so and the user may agree."""
    repairs = {
        "defects": message("shapes that cannot be drawn are left out, and regions without a class count nowhere"),
        "unpaired": message("what has no partner is left out"),
    }
    for option, what in repairs.items():
        if option not in FORMATS.options(name) or option in options:
            continue
        changed = {**options, option: "skip"}
        try:
            listing: Listing = FORMATS.get(name)(root, **changed)
        except (DatasetError, ConfigError):
            continue
        if not listing.entries or not isinstance(listing.class_map, ClassMap):
            continue
        names = listing.class_map.names
        fatal = {defect.code for defect in listing.defects if defect.fatal}
        if fatal == {"no_class"} and listing.class_map.task is Task.BINARY:
            changed, what = (
                {**options, "default_class": names[1]},
                message("regions without a class are taken as {name!r}", name=names[1]),
            )
        return Candidate(
            format=name,
            options=changed,
            reason=reason,
            classes=names,
            samples=len(listing.entries),
            guesses=(message("{what}; see `segbench data check`", what=what),),
        )
    return None


def _as_folder(root: Path, given: Mapping[str, Any]) -> Iterator[Candidate]:
    """Yields the ways to read an ordinary folder: one, or one for each folder that may hold the masks."""
    if not _knows("folder", given):
        return
    try:
        yield _guess(root, given, message("images and masks of the same names"))
        return
    except (DatasetError, ConfigError) as error:
        trouble = error.reason
    choices = _mask_folders(root) if "masks" not in given else []
    found = []
    for name in choices if len(choices) > 1 else []:
        try:
            found.append(_guess(root, {**given, "masks": name}, message("masks in {name}/", name=name)))
        except (DatasetError, ConfigError):
            continue
    yield from found
    if not found:
        yield Candidate(format="folder", options=given, trouble=trouble)


def _guess(root: Path, given: Mapping[str, Any], reason: str) -> Candidate:
    """Returns the folder reader's options for this folder, with what its masks' values ask for."""
    options = dict(given)
    guesses: list[str] = []
    try:
        listing: Listing = FORMATS.get("folder")(root, **options)
    except DatasetError:
        if "unpaired" in options:
            raise
        options["unpaired"] = "skip"
        listing = FORMATS.get("folder")(root, **options)
        guesses.append(message("some images or masks have no partner and are left out; see `segbench data check`"))
    facts = _some_masks(root, listing)
    try:
        class_map = listing.classes_of(facts)
    except DatasetError:
        extra, reasons = guess_classes(facts, options.get("ignore", ()))
        if not extra or set(extra) & set(options):
            raise
        options |= extra
        guesses += reasons
        listing = FORMATS.get("folder")(root, **options)
        class_map = listing.classes_of(facts)
    return Candidate(
        format="folder",
        options=options,
        reason=reason,
        classes=class_map.names,
        samples=len(listing.entries),
        guesses=tuple(guesses),
    )


def _some_masks(root: Path, listing: Listing) -> dict[Path, MaskFact]:
    """Returns the facts of masks spread over the data set; unreadable ones are left to the reading itself."""
    if isinstance(listing.class_map, ClassMap):
        return {}
    paths = [path for entry in listing.entries for path in entry.masks]
    step = max(1, len(paths) // _SAMPLE)
    store = FactStore(listing.root or root)
    facts, _ = store.masks(paths[::step])
    store.save()
    return facts


def _nested(root: Path, depth: int) -> Iterator[Path]:
    for folder in subfolders(root):
        if folder.name.lower() in SPLIT_WORDS:
            continue  # a part of a data set, not one of its own
        if recognise(folder) or _is_folder_set(folder):
            yield folder
        elif depth > 1:
            yield from _nested(folder, depth - 1)


def _is_folder_set(folder: Path) -> bool:
    try:
        listing: Listing = FORMATS.get("folder")(folder, unpaired="skip")
    except (DatasetError, ConfigError):
        return len(_mask_folders(folder)) > 1
    return bool(listing.entries)


def _apart(root: Path) -> list[Path]:
    """Returns the folders directly below that hold data sets of their own, rather than parts of one."""
    below = [folder for folder in subfolders(root)[:_MOST_FOLDERS] if folder.name.lower() not in SPLIT_WORDS]
    return [folder for folder in below if _holds_one(folder, _DEPTH - 1)]


def _holds_one(folder: Path, depth: int) -> bool:
    if recognise(folder):
        return True
    return depth > 1 and any(_holds_one(inner, depth - 1) for inner in subfolders(folder)[:_MOST_FOLDERS])


def _mask_folders(root: Path) -> list[str]:
    """Returns the names of the folders that may hold the masks, by their names."""
    return [folder.name for folder in subfolders(root) if MASK_NAME.search(folder.name) and image_files(folder)]


def _options_text(options: Mapping[str, Any]) -> str:
    """Returns the options as the command line takes them, ready for a shell."""

    def written(key: str, value: Any) -> str:
        text = f"{key}={value if isinstance(value, str) else json.dumps(value)}"  # JSON is YAML
        return text if re.fullmatch(r"[\w=./-]+", text) else f"'{text}'"

    return "".join(f" --option {written(key, value)}" for key, value in options.items())
