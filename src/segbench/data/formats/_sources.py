"""How annotation files name their images: by path, by name alone, or without the file's suffix."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from segbench.data._hints import set_option
from segbench.data.formats._layout import MASK_NAME, SPLIT_WORDS
from segbench.data.formats._listing import IMAGE_SUFFIXES, Defect, image_files, missing_folder
from segbench.errors import ConfigError, DatasetError, shorten

_HEAD_BYTES = 65536
_SHOWN = 80  # characters of a name; some tools put the whole image there


def head(path: Path) -> str:
    """Returns the first 64 kB of a text file; empty where it cannot be read."""
    try:
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
        self.files = image_files(root if images is None else root / images)
        self._by_name: dict[str, list[Path]] = {}
        self._by_stem: dict[str, list[Path]] = {}
        for path in self.files:
            self._by_name.setdefault(path.name, []).append(path)
            self._by_stem.setdefault(path.stem, []).append(path)

    def find(self, name: str) -> Path | None:
        """Returns the file that agrees with the most of the last components of `name`, or None.

        A file in another official part than the name says is not meant: the same name in train and val is two images.

        Raises:
            DatasetError: several files agree equally well.
        """
        parts = PurePosixPath(name.replace("\\", "/")).parts
        if not parts:
            return None
        found = self._by_name.get(parts[-1]) or self._by_stem.get(parts[-1], [])
        if len(found) > 1:
            scores = [_agreement(path.relative_to(self.root).parts, parts) for path in found]
            found = [path for path, score in zip(found, scores, strict=True) if score == max(scores)]
        if len(found) > 1:
            found = [path for path in found if not self._is_mask(path)] or found
        if len(found) > 1:
            places = shorten((path.relative_to(self.root).as_posix() for path in found), 4)
            raise DatasetError(
                f"{name!r} could be {len(found)} files ({places}); name the images' folder with "
                f"{set_option('images', found[0].parent.relative_to(self.root).as_posix())}",
                path=self.root,
            )
        if not found or _contradict(found[0].relative_to(self.root).parts[:-1], parts[:-1]):
            return None
        return found[0]

    def unused(self, used: Iterable[Path]) -> list[str]:
        """Returns the names of the images, masks apart, that are not among the `used` ones."""
        known = set(used)
        return [
            path.relative_to(self.root).as_posix()
            for path in self.files
            if path not in known and not self._is_mask(path)
        ]

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
    stems = Counter(path.stem for path in paths)
    top = Path(os.path.commonpath([path.parent for path in paths])) if paths else root
    long = {path: path.relative_to(top).with_suffix("").as_posix() for path in paths}
    repeated = Counter(long.values())
    return {
        path: path.stem
        if stems[path.stem] == 1
        else long[path]
        if repeated[long[path]] == 1
        else path.relative_to(top).as_posix()
        for path in paths
    }


def no_image(source: Path, name: str) -> Defect:
    """Returns the defect of an annotated image that is not below the root."""
    return Defect(
        code="no_image", path=source, where=name[:_SHOWN], text="there is no such image below the folder; left out"
    )


def none_found(root: Path, names: Sequence[str], source: Path) -> DatasetError:
    """Returns the error for an annotation file none of whose images is there."""
    return DatasetError(
        f"none of the {len(names)} images that {source.name} names is below this folder ({shorten(names, 4)}); put "
        f"them there, in any folder, as {', '.join(sorted(IMAGE_SUFFIXES))} files",
        path=root,
    )


def unlisted_note(names: Sequence[str], source: str) -> list[str]:
    """Returns a note about images that no annotation file names; [] where there is none."""
    return [f"{len(names)} images are not in {source} and were left out: {shorten(names, 4)}"] if names else []


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
        DatasetError: there is none, or there are several to choose from.
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
        chosen = set_option("annotations", names[0])
        raise DatasetError(f"{len(found)} files could be meant ({shorten(names, 6)}); choose with {chosen}", path=root)
    return found[0]


def _agreement(left: Sequence[str], right: Sequence[str]) -> int:
    """Returns how many of the last components are the same, the names themselves apart."""
    count = 0
    for one, other in zip(left[-2::-1], right[-2::-1], strict=False):
        if one.lower() != other.lower():
            break
        count += 1
    return count
