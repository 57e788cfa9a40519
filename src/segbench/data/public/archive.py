"""Archives (zip, tar, rar) unpacked once into the cache folder, with nothing in them trusted.

An archive is somebody else's list of paths and bytes. So every name is checked before anything is written, links and
devices are refused, and the bytes are counted while they are written: what a header says about sizes is not believed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import IO, Any

from segbench.errors import DatasetError, shorten
from segbench.files import cache_folder, locked
from segbench.types import Progress

__all__ = ["Limits", "is_archive", "open_archive", "unpack"]

_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".rar")
_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, LZMAError, EOFError)
_CHUNK = 1 << 20
_HASHED = 1 << 20  # of an archive's bytes, at its beginning and its end, that tell it from another one
_NAME_BYTES, _PATH_BYTES = 255, 4096
_FORBIDDEN = frozenset(map(chr, range(32)))
_UNREADABLE = "the archive is damaged ({}); download or copy it again"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What an archive may be before it counts as a bomb.

    Attributes:
        entries: files and folders in it.
        ratio: unpacked bytes for a byte of the archive, looked at from `free_bytes` on.
        free_bytes: unpacked bytes that are fine at any ratio: label masks compress a thousandfold.
        spare_bytes: of the disk, that stay free.
    """

    entries: int = 1_000_000
    ratio: float = 200.0
    free_bytes: int = 1 << 30
    spare_bytes: int = 1 << 28


@dataclass(frozen=True)
class _Entry:
    name: str
    size: int  # as the header says
    refused: str  # why it cannot be unpacked, or nothing
    is_folder: bool
    open: Callable[[], IO[bytes]]

    @property
    def path(self) -> PurePosixPath:
        return PurePosixPath(self.name.replace("\\", "/"))


def is_archive(path: str | Path) -> bool:
    """Returns whether a path is a file whose name ends like an archive's."""
    path = Path(path)
    return path.name.lower().endswith(_SUFFIXES) and not path.is_dir()


def open_archive(path: str | Path, *, progress: Progress | None = None, limits: Limits | None = None) -> Path:
    """Returns the folder an archive's files are in, unpacking it where that was not done before.

    The copy lies in the cache folder; an archive of the same name that has changed is unpacked anew, and its old copy
    removed. Where all files are in one folder, that one is returned. Archives inside the archive stay as they are.

    Raises:
        DatasetError: no archive, damaged, encrypted, or with entries that no honest data set has (see `unpack`).
    """
    path = _existing(Path(path).expanduser().absolute())
    base, name = cache_folder() / "archives", _plain_name(path)
    target = base / f"{name}-{_identity(path)}"
    if not target.is_dir():
        try:
            base.mkdir(parents=True, exist_ok=True)
            with locked(base / f"{name}.lock", _waiting(progress)):
                if not target.is_dir():
                    _remove_stale(target, path)
                    unpack(path, target, progress=progress, limits=limits)
        except OSError as error:
            raise DatasetError(
                f"cannot unpack it into {base} ({error}); set the environment variable SEGBENCH_CACHE to a folder with "
                "space that you can write, or unpack it yourself and give the folder",
                path=path,
            ) from error
    return top_folder(target)


def top_folder(folder: Path) -> Path:
    """Returns the only folder in a folder, as far down as there is nothing beside it; else the folder itself."""
    while True:
        inside = [item for item in folder.iterdir() if not _is_litter(PurePosixPath(item.name))]
        if len(inside) != 1 or not inside[0].is_dir():
            return folder
        folder = inside[0]


def unpack(path: str | Path, target: Path, *, progress: Progress | None = None, limits: Limits | None = None) -> None:
    """Unpacks an archive into a new folder, all or nothing.

    Raises:
        DatasetError: no archive, damaged, encrypted, larger than the free space or than `limits` allow; or an entry
            with an absolute path, `..`, a drive letter, a control character, a name that is too long, a name that
            another one has too (upper and lower case being alike), or that is a link or a device.
        OSError: the folder cannot be written.
    """
    path, limits = _existing(Path(path)), limits or Limits()
    target.parent.mkdir(parents=True, exist_ok=True)
    allowed = _allowed_bytes(path, target.parent, limits)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        with _listed(path, limits.entries, allowed) as entries:
            _check(entries, path, limits)
            _write(entries, path, temporary, allowed, progress)
        temporary.rename(target)
    except _DAMAGED as error:
        raise DatasetError(_UNREADABLE.format(str(error) or type(error).__name__), path=path) from error
    except NotImplementedError as error:
        raise DatasetError(
            f"the archive is packed in a way that is not known here ({error}); unpack it yourself and give the folder",
            path=path,
        ) from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise DatasetError(_UNREADABLE.format(error), path=path) from error  # gzip and bz2 say so in this way
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise DatasetError("expected an archive, but there is no such file; check the path", path=path)
    return path


def _plain_name(path: Path) -> str:
    suffix = next((one for one in sorted(_SUFFIXES, key=len, reverse=True) if path.name.lower().endswith(one)), "")
    return path.name[: len(path.name) - len(suffix)][:100] or "archive"


def _identity(path: Path) -> str:
    """Returns 16 characters that differ for another size, time of change, place, beginning or end of the file."""
    facts = path.stat()
    digest = hashlib.sha256(f"{path} {facts.st_size} {facts.st_mtime_ns}".encode())
    with path.open("rb") as stream:
        digest.update(stream.read(_HASHED))
        stream.seek(max(0, facts.st_size - _HASHED))
        digest.update(stream.read(_HASHED))
    return digest.hexdigest()[:16]


def _remove_stale(target: Path, path: Path) -> None:
    """Removes what an earlier state of the same archive was unpacked to, and what killed processes left."""
    (target.parent / f"{target.name}.from").write_text(str(path), encoding="utf-8")
    for note in target.parent.glob("*.from"):
        folder = note.with_suffix("")
        if folder != target and note.read_text(encoding="utf-8") == str(path):
            shutil.rmtree(folder, ignore_errors=True)
            note.unlink()
    ours = re.compile(rf"\.{re.escape(_plain_name(path))}-[0-9a-f]{{16}}\.\d+\.tmp")  # not those of `name-2.zip`
    for left in target.parent.iterdir():
        if ours.fullmatch(left.name):
            shutil.rmtree(left, ignore_errors=True)


@contextmanager
def _listed(path: Path, most: int, allowed: int) -> Iterator[list[_Entry]]:
    """Yields the entries of an archive, recognised by content; not all, where they are more than `most` or too large.

    A compressed tar has no table of contents: listing it means to decompress it, which for a bomb would not end.
    """
    with path.open("rb") as stream:
        head = stream.read(8)
    if head.startswith(b"Rar!"):
        with _rar(path) as entries:
            yield entries
    elif head.startswith((b"PK\x03\x04", b"PK\x05\x06")) or zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield [_zip_entry(archive, info) for info in archive.infolist()]
    else:
        try:
            archive_ = tarfile.open(path, "r:*")  # noqa: SIM115  # closed below; only the opening is tried here
        except _DAMAGED as error:
            raise DatasetError(
                "expected an archive (zip, tar, tar.gz, tar.bz2, tar.xz or rar), and cannot read it as one: it is "
                "damaged, or a web page was saved in its place; download or copy it again",
                path=path,
            ) from error
        with archive_:
            yield _tar_entries(archive_, most, allowed)
            _read_to_end(archive_, path, allowed)


def _read_to_end(archive: tarfile.TarFile, path: Path, allowed: int) -> None:
    """Reads what follows the last entry: a compressed tar's checksum is looked at only when its end is reached."""
    assert archive.fileobj is not None, "an open archive has a file"
    left = allowed
    while chunk := archive.fileobj.read(_CHUNK):
        left -= len(chunk)
        if left < 0:
            raise _too_large(path, allowed - left, allowed)


def _zip_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Entry:
    kind = info.external_attr >> 28  # the file type, where the archive was made on Unix
    refused = "is encrypted" if info.flag_bits & 1 else ""
    if kind not in (0, 0o4, 0o10):
        refused = "is a link or a device"
    # zipfile itself cuts names at NUL, so that the name the archive holds has to be looked at.
    return _Entry(info.orig_filename, info.file_size, refused, info.is_dir(), lambda: archive.open(info))


def _tar_entries(archive: tarfile.TarFile, most: int, allowed: int) -> list[_Entry]:
    entries: list[_Entry] = []
    total = 0
    for member in archive:
        entries.append(_tar_entry(archive, member))
        total += member.size
        if len(entries) > most or total > allowed:
            break
    return entries


def _tar_entry(archive: tarfile.TarFile, member: tarfile.TarInfo) -> _Entry:
    def content() -> IO[bytes]:
        stream = archive.extractfile(member)
        assert stream is not None, "files have content; others are refused before"
        return stream

    refused = "" if member.isfile() or member.isdir() else "is a link or a device"
    return _Entry(member.name, member.size, refused, member.isdir(), content)


@contextmanager
def _rar(path: Path) -> Iterator[list[_Entry]]:
    try:
        import rarfile
    except ImportError as error:
        raise DatasetError(
            "reading .rar needs the package rarfile (pip install 'segbench[rar]') and one of the programs unar, unrar "
            "or bsdtar; or unpack it yourself and give the folder",
            path=path,
        ) from error
    try:
        with rarfile.RarFile(path) as archive:
            rarfile.tool_setup()
            yield [_rar_entry(archive, info) for info in archive.infolist()]
    except rarfile.RarCannotExec as error:
        raise DatasetError(
            "reading .rar needs one of the programs unar, unrar or bsdtar, and none is installed (Debian, Ubuntu: "
            "apt install unar; macOS: brew install unar); or unpack it yourself and give the folder",
            path=path,
        ) from error
    except rarfile.Error as error:
        raise DatasetError(_UNREADABLE.format(error or type(error).__name__), path=path) from error


def _rar_entry(archive: Any, info: Any) -> _Entry:
    refused = "is encrypted" if info.needs_password() else ""
    if not (info.is_file() or info.is_dir()):
        refused = "is a link or a device"
    return _Entry(info.filename, info.file_size, refused, info.is_dir(), lambda: archive.open(info))


def _check(entries: list[_Entry], path: Path, limits: Limits) -> None:
    """Raises where any entry must not be unpacked; nothing has been written by then."""
    if len(entries) > limits.entries:
        raise DatasetError(
            f"the archive has more than the {limits.entries} entries that are unpacked; unpack it yourself and give "
            "the folder",
            path=path,
        )
    files: dict[str, _Entry] = {}
    for entry in entries:
        if not entry.is_folder:
            files.setdefault(_alike(entry.path), entry)
    problems = []
    for entry in entries:
        why = entry.refused or _why_unsafe(entry.name)
        same = files.get(_alike(entry.path), entry)
        above = next((files[_alike(path)] for path in entry.path.parents if _alike(path) in files), None)
        if not why and same is not entry:
            why = f"is there twice (also as {same.name!r}), upper and lower case being alike"
        elif not why and above is not None:
            why = f"lies in {above.name!r}, which is a file"
        if why:
            problems.append(f"{entry.name!r} {why}")
    if problems:
        raise DatasetError(
            f"{len(problems)} of the archive's {len(entries)} entries cannot be unpacked: {shorten(problems, 5)}; if "
            "you trust it, unpack it yourself and give the folder",
            path=path,
        )
    if all(entry.is_folder or _is_litter(entry.path) for entry in entries):
        raise DatasetError("the archive holds no files", path=path)


def _alike(path: PurePosixPath) -> str:
    """Returns what is equal for paths that a file system may take for the same."""
    return unicodedata.normalize("NFC", str(path)).casefold()


def _why_unsafe(name: str) -> str:
    plain = name.replace("\\", "/")
    parts = plain.rstrip("/").split("/")
    if plain.startswith("/"):
        return "has an absolute path"
    if ".." in parts:
        return "leads out of the folder (..)"
    if any(":" in part for part in parts):
        return "has a drive letter or a colon"
    if _FORBIDDEN & set(name):
        return "has a control character in its name"
    if len(plain.encode(errors="replace")) > _PATH_BYTES or any(
        len(part.encode(errors="replace")) > _NAME_BYTES for part in parts
    ):
        return "has a name that is too long"
    return ""


def _is_litter(path: PurePosixPath) -> bool:
    """Returns whether an entry is what macOS adds for itself."""
    return "__MACOSX" in path.parts or path.name == ".DS_Store" or path.name.startswith("._")


def _allowed_bytes(path: Path, folder: Path, limits: Limits) -> int:
    honest = max(limits.free_bytes, int(limits.ratio * path.stat().st_size))
    return min(honest, shutil.disk_usage(folder).free - limits.spare_bytes)


def _write(entries: list[_Entry], path: Path, folder: Path, allowed: int, progress: Progress | None) -> None:
    expected = sum(entry.size for entry in entries)
    if expected > allowed:
        raise _too_large(path, expected, allowed)
    written = files = 0
    for entry in entries:
        if _is_litter(entry.path):
            continue
        target = folder / entry.path
        if entry.is_folder:
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with entry.open() as source, target.open("xb") as stream:
            while chunk := source.read(_CHUNK):
                written += len(chunk)
                if written > allowed:
                    raise _too_large(path, written, allowed)
                stream.write(chunk)
        files += 1
        if progress is not None:
            progress(f"unpacking {path.name}, MB", min(written, expected) >> 20, expected >> 20)
    there = sum(len(names) for _, _, names in os.walk(folder))
    if there != files:
        raise DatasetError(
            f"{files} files were unpacked and {there} are there: another program removed some meanwhile; try again",
            path=path,
        )


def _too_large(path: Path, unpacked: int, allowed: int) -> DatasetError:
    times = unpacked / max(path.stat().st_size, 1)
    return DatasetError(
        f"unpacked it would have {unpacked / 1e9:.2f} GB or more ({times:.0f} times its size), and "
        f"{max(allowed, 0) / 1e9:.2f} GB are allowed (free space, and the size an honest archive can have); if you "
        "trust it, unpack it yourself and give the folder",
        path=path,
    )


def _waiting(progress: Progress | None) -> Callable[[], None] | None:
    if progress is None:
        return None
    return lambda: progress("waiting for another process that unpacks this archive", 0, 1)
