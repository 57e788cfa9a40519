"""How annotation files name their images: by path, by name alone, or without the file's suffix."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from segbench.data.files.hints import set_option, yaml_text
from segbench.data.formats.shared.annotated import Annotated
from segbench.data.formats.shared.layout import IMAGE_NAME, MASK_NAME, SPLIT_WORDS, split_of
from segbench.data.formats.shared.listing import IMAGE_SUFFIXES, Defect, image_files, missing_folder
from segbench.data.shapes.drawing import Drawing
from segbench.errors import ChoiceError, ConfigError, DatasetError, shorten
from segbench.locale import message, plural
from segbench.types import SplitName

_HEAD_BYTES = 65536
_SHOWN = 80  # characters of a name; some tools put the whole image there


def head(path: Path) -> str:
    """Returns the first 64 kB of a text file; empty where it cannot be read."""
    try:
        if not path.is_file():
            return ""  # opening a named pipe would wait for ever
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES).decode("utf-8-sig", errors="replace")
    except OSError:
        return ""


class ImageIndex:
    """The images below a folder, found by what an annotation file calls them.

    Args:
        root: of the data set.
        images: folder below it that holds them, as the user's option `images` says; None looks everywhere.
    Raises:
        DatasetError: the folder is not there.
    """

    def __init__(self, root: Path, images: str | None = None) -> None:
        if images is not None and not (root / images).is_dir():
            raise missing_folder(root, images, "the folder given by the option images")
        self.root = root
        self._home = root if images is None else root / images
        self.files = image_files(self._home)
        self._by_name: dict[str, list[Path]] = {}
        self._by_stem: dict[str, list[Path]] = {}
        self._alike: dict[str, list[Path]] = {}
        for path in self.files:
            self._by_name.setdefault(path.name, []).append(path)
            self._by_stem.setdefault(path.stem, []).append(path)
            for key in {_alike(path.name), _alike(path.stem)}:
                self._alike.setdefault(key, []).append(path)

    def place(
        self,
        name: str,
        source: Path,
        where: str,
        defects: list[Defect],
        *,
        folder: str = "",
        suffix: bool = False,
        anywhere: bool = False,
    ) -> Path | None:
        """Returns the image that an annotation names, or None; appends what is wrong to `defects`.

        Args:
            name: path or name, with or without suffix.
            source, where: the annotation's file, and its place in it.
            folder: name of a folder, or of an official part, in which it should be.
            suffix: the name has the file's suffix.
            anywhere: the folders of `name` are not the data set's, so that they are no reason to doubt.
        Raises:
            DatasetError: several files could be meant.
        """
        path = self.find(f"{folder}/{name}" if folder else name)
        if path is None and unquote(name) != name:  # as in an address
            name = unquote(name)
            path = self.find(f"{folder}/{name}" if folder else name)
        parts = _components(name)
        if path is None or (suffix and _alike(path.name) != _alike(parts[-1])):
            defects.append(no_image(source, where))
            return None
        problem = None if anywhere else self._elsewhere(path, parts[:-1], folder)
        if problem is None and parts[-1] not in (path.name, path.stem):
            problem = (
                message(
                    "named {name!r}, taken is {taken!r}: capitals or accents are written another way",
                    name=parts[-1],
                    taken=path.name,
                ),
                False,
            )
        if problem is None:
            return path
        text, fatal = problem
        defects.append(Defect(code="wrong_path", path=source, where=where[:_SHOWN], text=text, fatal=fatal))
        return None if fatal else path

    def find(self, name: str) -> Path | None:
        """Returns the file that agrees with the most of the last components of `name`, or None.

        Where no file is called so, capitals and the way accents are written do not count.

        Raises:
            DatasetError: several files agree equally well.
        """
        parts = _components(name)
        if not parts:
            return None
        found = self._by_name.get(parts[-1]) or self._by_stem.get(parts[-1], [])
        exact = bool(found)
        if not exact:
            found = self._alike.get(_alike(parts[-1]), [])
        if len(found) > 1:
            scores = [_agreement(path.relative_to(self.root).parts, parts) for path in found]
            found = [path for path, score in zip(found, scores, strict=True) if score == max(scores)]
        if len(found) > 1:
            found = [path for path in found if not self._is_mask(path)] or found
        if len(found) > 1 and not exact:
            return None
        if len(found) > 1:
            places = shorten((path.relative_to(self.root).as_posix() for path in found), 4)
            raise DatasetError(
                f"{name!r} could be {len(found)} files ({places}); name the images' folder with "
                f"{set_option('images', yaml_text(found[0].parent.relative_to(self.root).as_posix()))}",
                path=self.root,
            )
        return found[0] if found else None

    def unused(self, used: Iterable[Path]) -> list[str]:
        """Returns the names of the images, masks apart, that are not among the `used` ones."""
        known = set(used)
        return [
            path.relative_to(self.root).as_posix()
            for path in self.files
            if path not in known and not self._is_mask(path)
        ]

    def _elsewhere(self, path: Path, named: Sequence[str], folder: str) -> tuple[str, bool] | None:
        """Returns why a file is not where an annotation says, and whether it lies in another official part; or None."""
        there = path.relative_to(self._home).parts[:-1]
        if not there or (named and _alike(named[-1]) == _alike(there[-1])):
            return None
        taken = path.relative_to(self.root).as_posix()
        if _contradict(there, (*named, split_of(folder) or "")):
            return message(
                "the only image of this name is {taken}, in another part; left out, as it is another image", taken=taken
            ), True
        if not named or IMAGE_NAME.search(there[-1]):  # a folder `images` says nothing against any other
            return None
        return message(
            "in the folder {folder}, taken is {taken}; check that it is the same image",
            folder="/".join(named),
            taken=taken,
        ), False

    def _is_mask(self, path: Path) -> bool:
        return any(MASK_NAME.search(part) for part in path.relative_to(self.root).parts[:-1])


def _contradict(folders: Sequence[str], named: Sequence[str]) -> bool:
    """Returns whether two paths lie in different official parts; years do not matter (`train2017` is train)."""
    there, said = (
        {SPLIT_WORDS.get(part.lower().rstrip("0123456789")) for part in parts} - {None} for parts in (folders, named)
    )
    return bool(there) and bool(said) and not there & said


def short_ids(paths: Sequence[Path], root: Path) -> dict[Path, str]:
    """Returns an id for each file: its name without suffix, with the folders that differ where names repeat."""
    top = Path(os.path.commonpath([path.parent for path in paths])) if paths else root
    inner = {path: path.relative_to(top) for path in paths}
    forms = {path: (path.stem, below.with_suffix("").as_posix(), below.as_posix()) for path, below in inner.items()}
    level = dict.fromkeys(paths, 0)
    while True:
        ids = {path: forms[path][level[path]] for path in paths}
        number = Counter(ids.values())
        repeated = [path for path in ids if number[ids[path]] > 1 and level[path] < 2]
        if not repeated:
            return ids
        for path in repeated:
            level[path] += 1


def with_ids(
    drawings: Mapping[Path, Drawing], root: Path, splits: Mapping[Path, SplitName | None] | None = None
) -> list[Annotated]:
    """Returns the images with short ids, and with their official parts where `splits` has them."""
    ids, parts = short_ids(list(drawings), root), splits or {}
    return [
        Annotated(id=ids[path], image=path, drawing=drawing, split=parts.get(path))
        for path, drawing in drawings.items()
    ]


def no_image(source: Path, name: str) -> Defect:
    """Returns the defect of an annotated image that is not below the root."""
    return Defect(
        code="no_image",
        path=source,
        where=name[:_SHOWN],
        text=message("there is no such image below the folder; left out"),
    )


def none_found(root: Path, names: Sequence[str], source: Path, defects: Iterable[Defect] = ()) -> DatasetError:
    """Returns the error for an annotation file none of whose images is there, or can be used."""
    bad = next((defect for defect in defects if defect.fatal), None)
    if bad is not None:
        return DatasetError(f"no image can be used; the first: {bad.where}: {bad.text}", path=bad.path)
    return DatasetError(
        plural(
            "the one image that {source} names is not below this folder ({names}); put it there, in any folder, as one "
            "of the files {kinds}",
            "none of the {n} images that {source} names is below this folder ({names}); put them there, in any folder, "
            "as {kinds} files",
            n=len(names),
            source=source.name,
            names=shorten(names, 4),
            kinds=", ".join(sorted(IMAGE_SUFFIXES)),
        ),
        path=root,
    )


def unlisted_note(names: Sequence[str], source: str) -> list[str]:
    """Returns a note about images that no annotation file names; [] where there is none."""
    if not names:
        return []
    return [
        plural(
            "{n} image is not in {source} and was left out: {names}",
            "{n} images are not in {source} and were left out: {names}",
            n=len(names),
            source=source,
            names=shorten(names, 4),
        )
    ]


def matching(root: Path, pattern: str, wanted: str) -> list[Path]:
    """Returns the files that the option `annotations` means.

    Args:
        wanted: what they are, for the message.
    Raises:
        ConfigError: no pattern that can be looked for below the folder.
        DatasetError: no file matches.
    """
    try:
        inside = root.resolve()
        found = sorted(path for path in root.glob(pattern) if path.is_file() and path.resolve().is_relative_to(inside))
    except (NotImplementedError, ValueError) as error:
        raise ConfigError(
            f"expected a name or pattern below the data set's folder, got {pattern!r}", key="data.options.annotations"
        ) from error
    if not found:
        raise DatasetError(
            f"expected {wanted}, but no file matches the option annotations: {pattern!r}; it is a name or pattern "
            "below this folder",
            path=root,
        )
    return found


def choose_file(found: Sequence[Path], wanted: str | None, root: Path, kind: str) -> Path:
    """Returns the one annotation file.

    Args:
        found: files that look like it.
        wanted: name or pattern below `root` that the user gives with the option `annotations`.
        kind: what it is, for messages.
    Raises:
        DatasetError: there is none; ChoiceError: several.
    """
    if wanted is not None:
        found = matching(root, wanted, kind)
    if not found:
        there = sorted(path.name for path in root.iterdir() if not path.name.startswith("."))
        raise DatasetError(
            f"expected {kind}, but found none in this folder; there are {shorten(there) or 'no files'}", path=root
        )
    if len(found) > 1:
        names = [path.relative_to(root).as_posix() for path in found]
        chosen = set_option("annotations", yaml_text(names[0]))
        text = message(
            "{n} files could be meant ({names}); choose with {option}",
            n=len(found),
            names=shorten(names, 6),
            option=chosen,
        )
        raise ChoiceError(text, option="annotations", choices=dict.fromkeys(names, ""), path=root)
    return found[0]


def _agreement(left: Sequence[str], right: Sequence[str]) -> int:
    """Returns how many of the last components are the same, the names themselves apart."""
    count = 0
    for mine, other in zip(left[-2::-1], right[-2::-1], strict=False):
        if _alike(mine) != _alike(other):
            break
        count += 1
    return count


def _components(name: str) -> tuple[str, ...]:
    """Returns the folders and the name of a path as annotation files write it, of any system."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return tuple(part for part in parts if part not in ("/", "//", "..", "."))


def _alike(text: str) -> str:
    """Returns the same text for names that differ in capitals, or in the way accents are written, alone."""
    return unicodedata.normalize("NFC", text).casefold()
