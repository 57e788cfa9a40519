"""The images that a person named, by files and folders, and what their outputs are called. Knows nothing of torch."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from segbench.data.formats import IMAGE_SUFFIXES
from segbench.errors import PredictionError
from segbench.locale import Message, message
from segbench.predict.pages import pages_of

VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv"})


@dataclass(frozen=True, kw_only=True)
class Job:
    """Attributes: path, of the image file; below, the same as the table names it; name, of what is written; page, of a
    TIFF stack, from 0, None for other files."""

    path: Path
    below: Path
    name: str
    page: int | None = None

    @property
    def told(self) -> str:
        """How people are told of the image."""
        return str(self.path) if not self.page else f"{self.path} ({message('page {n}', n=self.page + 1)})"


@dataclass(frozen=True, kw_only=True)
class Found:
    """What there is to segment.

    Attributes:
        images: (image file, its path below the argument that named it), each file once.
        failed: what of the folders cannot be looked at (a closed folder, a link to nothing) -> why.
        twice: how many files a second argument named again, also by a link or as part of another folder.
    """

    images: tuple[tuple[Path, Path], ...]
    failed: dict[str, str] = field(default_factory=dict)
    twice: int = 0

    def jobs(self, *, pages: bool = True) -> list[Job]:
        """Returns the images and what their outputs are called; see `output_names`.

        Args:
            pages: each page of a TIFF stack is an image of its own, `NAME/0000` and so on; else such a file is one
                image.
        """
        return [
            job
            for (path, below), name in zip(self.images, output_names(self.images), strict=True)
            for job in _jobs_of(path, below, name, pages_of(path) if pages else ())
        ]


def find_images(paths: Sequence[str | Path], out: Path) -> Found:
    """Returns the images among files and in folders (with their sub-folders), without what lies in `out`.

    A file that two of the arguments name is one image. Files named outright are tried whatever their suffix.

    Raises:
        PredictionError: a path does not exist or lies in `out`, or there is no image at all.
    """
    for path in map(Path, paths):
        if path.resolve().is_relative_to(out.resolve()):
            raise PredictionError(
                f"lies in {out}, where the predictions would be written; give another folder", path=path
            )
    failed: dict[str, str] = {}
    images: list[tuple[Path, Path]] = []
    before: set[Path] = set()  # one folder may well have two names for a file, and then both are wanted
    twice = 0
    for path in map(Path, paths):
        found = [(file, below, file.resolve()) for file, below in _images_of(path, failed)]
        found = [each for each in found if not each[2].is_relative_to(out.resolve())]
        new = [each for each in found if each[2] not in before]
        twice += len(found) - len(new)
        images += [(file, below) for file, below, _ in new]
        before.update(real for _, _, real in new)
    if not images and not failed:
        raise PredictionError(
            f"there is no image in {', '.join(map(str, paths))} ({', '.join(sorted(IMAGE_SUFFIXES))})"
        )
    return Found(images=tuple(images), failed=failed, twice=twice)


def given_once(paths: Sequence[str | Path]) -> list[Path]:
    """Returns files without those that are another one again, be it by a link."""
    return list({path.resolve(): path for path in reversed([*map(Path, paths)])}.values())[::-1]


def _images_of(path: Path, failed: dict[str, str]) -> Iterator[tuple[Path, Path]]:
    problem = _problem(path)
    if problem is not None:
        raise PredictionError(problem, path=path)
    if path.is_dir():
        yield from _images_below(path, failed)
    else:
        yield path, Path(path.name)


def _images_below(folder: Path, failed: dict[str, str]) -> Iterator[tuple[Path, Path]]:
    """Yields (image file, its path below the folder), folders behind links last; notes what cannot be looked at."""
    entered: set[Path] = set()
    waiting = [folder]

    def note(error: OSError) -> None:
        failed[str(error.filename)] = str(message("the folder cannot be read ({reason})", reason=error.strerror))

    for begin in waiting:  # which grows
        found: list[Path] = []
        for place, folders, files in os.walk(begin, onerror=note):
            real = Path(place).resolve()
            if real in entered or (begin != folder and folder.resolve().is_relative_to(real)):
                folders.clear()  # a link back to where it lies, or to what was seen
                continue
            entered.add(real)
            folders[:] = [name for name in folders if not name.startswith(".")]
            waiting += [Path(place, name) for name in sorted(folders) if Path(place, name).is_symlink()]
            found += [Path(place, name) for name in files if _is_image(name)]
        for file in sorted(found):
            problem = _problem(file)
            if problem is None:
                yield file, file.relative_to(folder)
            else:
                failed[str(file)] = str(problem)


def _is_image(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES


def _problem(path: Path) -> Message | None:
    """Returns why something is no file or folder that can be opened; None where it is one."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        if isinstance(error, FileNotFoundError) and path.is_symlink():
            return message("it is a link to {target}, which is not there", target=path.readlink())
        return message("there is no such file or folder")
    except OSError as error:
        return message("it cannot be read ({reason})", reason=error.strerror)
    return None if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else message("it is neither a file nor a folder")


def _jobs_of(path: Path, below: Path, name: str, pages: Sequence[int]) -> list[Job]:
    if len(pages) < 2:
        return [Job(path=path, below=below, name=name, page=pages[0] if pages else None)]
    return [Job(path=path, below=below, name=f"{name}/{number:04d}", page=page) for number, page in enumerate(pages)]


def output_names(found: Sequence[tuple[Path, Path]]) -> list[str]:
    """Returns one output name a file, without suffix where that is unambiguous; sub-folders are kept."""
    stems = Counter(str(relative.with_suffix("")) for _, relative in found)
    names = [
        relative.with_suffix("").as_posix() if stems[str(relative.with_suffix(""))] == 1 else relative.as_posix()
        for _, relative in found
    ]
    taken: set[str] = set()
    for position, name in enumerate(names):  # the same relative name below two arguments
        number = 1
        while _as_file(names[position]) in taken:
            number += 1
            names[position] = f"{name}_{number}"
        taken.add(_as_file(names[position]))
    return names


def _as_file(name: str) -> str:
    """Returns what two names must differ in: not in upper and lower case alone, nor in a folder that is `__` alone."""
    return name.replace("/", "__").lower()
