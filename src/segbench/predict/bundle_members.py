"""The files of a bundle, in one zip or in a folder, each told by its size and SHA-256; read without running code.

Nothing here knows what the files are for. The zip is read in memory and unpacked nowhere. Its members are stored as
they are, so none can grow when it is read, and `segbench.json` lists them; its `id` is a hash of that list, so that a
byte that differs anywhere is noticed, in the zip as in the folder.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segbench.errors import BundleError, shorten
from segbench.files import json_text, replacing

FORMAT = 1
INDEX = "segbench.json"
SUFFIX = ".segbench"

_LARGEST_JSON = 64 * 2**20  # bytes; no list, settings or card of ours comes near
_NAME = re.compile(r"[a-z0-9_]+\.(json|safetensors)")  # of a member: no path leads out of the folder
_HASH = re.compile(r"[0-9a-f]{64}")
_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can hold: equal members are equal bytes
_POINTER = b"version https://git-lfs"
_MAKE = "make one with `segbench bundle RUN`"
# Everything that `zipfile` raises for damaged bytes.
_DAMAGE = (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, ValueError, RuntimeError, struct.error, OverflowError)


@dataclass(frozen=True)
class Member:
    """A file of a bundle: its name, and `read`, which returns its bytes or raises BundleError where they differ."""

    name: str
    size: int
    sha256: str
    read: Callable[[], bytes]

    @classmethod
    def of_bytes(cls, name: str, content: bytes) -> Member:
        """Returns a member that is in memory."""
        return cls(name, len(content), hashlib.sha256(content).hexdigest(), lambda: content)


def members_id(members: Sequence[Member]) -> str:
    """Returns the SHA-256 of format, names, sizes and hashes: equal for equal contents, in a zip or in a folder."""
    plain = {"format": FORMAT, "members": _listed(members)}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def is_bundle(path: Path) -> bool:
    """Tells whether a path is meant as a bundle: any file, and a folder with `segbench.json` in it."""
    return path.is_file() or (path / INDEX).is_file()


def read_members(path: Path) -> dict[str, Member]:
    """Returns name -> member of a bundle; only its list is read now.

    Raises:
        BundleError: there is none, it is damaged, of another kind or of a newer format.
    """
    if path.is_dir():
        return _members_of_index(path, _read_file(path, INDEX, None), lambda name, size: _read_file(path, name, size))
    if not path.is_file():
        raise BundleError("there is no such file or folder", file=path)
    sizes = _zip_sizes(path)
    members = _members_of_index(path, _read_zipped(path, INDEX), lambda name, size: _read_zipped(path, name))
    for name in sorted(sizes.keys() ^ {INDEX, *members}):
        told = f"is missing, though {INDEX} lists it" if name in members else f"is not in the list in {INDEX}"
        raise BundleError(f"{told}; the bundle was changed: copy or make it again", file=path, member=name)
    return members


def write_zip(path: Path, members: Sequence[Member]) -> None:
    """Writes a bundle as one file, all or nothing; equal members become equal bytes.

    Raises:
        BundleError: a member's bytes are no longer what its hash says.
        OSError: the folder cannot be written, or the disk is full; `path` is then as it was before.
    """
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, content in _contents(members):
            entry = zipfile.ZipInfo(name, date_time=_DATE)
            entry.create_system = 3  # written alike on every system
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content())


def write_folder(path: Path, members: Sequence[Member]) -> None:
    """Writes a bundle's members as the files of a folder; the list last, so that half a bundle is none.

    Raises:
        BundleError: the folder has something in it, or a member's bytes are no longer what its hash says.
    """
    require_empty(path)
    path.mkdir(parents=True, exist_ok=True)
    for name, content in reversed(_contents(members)):
        with replacing(path / name) as temporary:
            temporary.write_bytes(content())


def require_empty(path: Path) -> None:
    """Raises BundleError where a path is neither new nor an empty folder."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise BundleError("this exists already; name a new folder, or empty this one", file=path)


def read_json(member: Member, path: Path) -> dict[str, Any]:
    """Returns the JSON object that a member holds."""
    return _parsed(member.read() if member.size <= _LARGEST_JSON else b"", path, member.name)


def _contents(members: Sequence[Member]) -> list[tuple[str, Callable[[], bytes]]]:
    index = {"format": FORMAT, "id": members_id(members), "members": _listed(members)}
    return [(INDEX, lambda: json_text(index).encode()), *((member.name, member.read) for member in members)]


def _listed(members: Sequence[Member]) -> dict[str, dict[str, object]]:
    return {member.name: {"size": member.size, "sha256": member.sha256} for member in members}


def _members_of_index(path: Path, index: bytes, read: Callable[[str, int], bytes]) -> dict[str, Member]:
    """Returns the members that the list names; `read` takes a member's name and size."""
    plain = _parsed(index, path, INDEX)
    found = plain.get("format")
    if type(found) is not int or found < 1:
        raise BundleError("says no format; this is no bundle of segbench", file=path, member=INDEX)
    if found > FORMAT:
        newer = f"is of format {found}, and this segbench reads formats up to {FORMAT}; install a newer segbench"
        raise BundleError(newer, file=path, member=INDEX)
    listed = plain.get("members")
    if not isinstance(listed, dict) or not all(_is_entry(name, entry) for name, entry in listed.items()):
        raise BundleError("is no list of members; the bundle is damaged: copy it again", file=path, member=INDEX)
    members = {
        name: Member(name, entry["size"], entry["sha256"], _checked(path, name, entry, read))
        for name, entry in listed.items()
    }
    if plain.get("id") != members_id(list(members.values())) or len(plain) != 3:
        raise BundleError("does not agree with its id; the bundle is damaged: copy it again", file=path, member=INDEX)
    return members


def _is_entry(name: str, entry: object) -> bool:
    return (
        _NAME.fullmatch(name) is not None
        and isinstance(entry, dict)
        and entry.keys() == {"size", "sha256"}
        and type(entry["size"]) is int
        and entry["size"] >= 0
        and isinstance(entry["sha256"], str)
        and _HASH.fullmatch(entry["sha256"]) is not None
    )


def _checked(path: Path, name: str, entry: Mapping[str, Any], read: Callable[[str, int], bytes]) -> Callable[[], bytes]:
    def content() -> bytes:
        found = read(name, entry["size"])
        if len(found) != entry["size"] or hashlib.sha256(found).hexdigest() != entry["sha256"]:
            damaged = f"is damaged: its bytes are not those that {INDEX} names; copy the bundle again"
            raise BundleError(damaged, file=path, member=name)
        return found

    return content


def _parsed(text: bytes, path: Path, name: str) -> dict[str, Any]:
    try:
        plain = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"cannot be read as JSON ({error}); copy the bundle again", file=path, member=name) from error
    if not isinstance(plain, dict):
        found = f"should hold a JSON object, found {type(plain).__name__}; this is no bundle of segbench"
        raise BundleError(found, file=path, member=name)
    return plain


def _read_file(folder: Path, name: str, size: int | None) -> bytes:
    """Returns a file of a folder; `size` None: whatever a list may have."""
    file = folder / name
    try:
        with file.open("rb") as stream:
            content = stream.read(1 + (_LARGEST_JSON if size is None else size))  # one too many tells of damage
        if content.startswith(_POINTER):
            told = "is a pointer of Git LFS, and the file itself was not fetched; run `git lfs pull` in the folder"
            raise BundleError(told, file=folder, member=name)
    except OSError as error:
        raise BundleError(f"cannot be read ({error.strerror})", file=folder, member=name) from error
    return content


def _zip_sizes(path: Path) -> dict[str, int]:
    """Returns name -> size of a zip's members, after checking that all are stored, once, and within the file."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (*_DAMAGE, OSError) as error:
        raise BundleError(_not_a_zip(path), file=path) from error
    names = [entry.filename for entry in entries]
    if INDEX not in names:
        raise BundleError(_foreign(names), file=path)
    length = path.stat().st_size
    for entry in entries:
        told = ""
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
            told = "is compressed or encrypted: another program packed this again; copy the original file"
        elif entry.file_size != entry.compress_size or entry.header_offset + entry.file_size > length:
            told = "is longer than the file; the bundle is damaged: copy it again"
        elif names.count(entry.filename) > 1:
            told = "is in it twice; the bundle was changed: copy it again"
        elif entry.filename.endswith(".json") and entry.file_size > _LARGEST_JSON:
            told = f"has {entry.file_size:,} bytes, more than any of segbench's; this is no bundle of segbench"
        if told:
            raise BundleError(told, file=path, member=entry.filename)
    return {entry.filename: entry.file_size for entry in entries}


def _read_zipped(path: Path, name: str) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(name)
    except (*_DAMAGE, OSError, KeyError) as error:
        why = f" ({error})" if isinstance(error, zipfile.BadZipFile) else ""
        raise BundleError(f"is damaged{why}; copy the bundle again", file=path, member=name) from error


def _not_a_zip(path: Path) -> str:
    """Returns what a file is instead of a zip, as far as its first bytes tell."""
    try:
        with path.open("rb") as stream:
            start = stream.read(64)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if start.startswith(b"PK\x03\x04"):
        return "is damaged or cut short: the list at its end cannot be read; copy or download it again"
    if start.startswith(_POINTER):
        return "is a pointer of Git LFS, and the file itself was not fetched; run `git lfs pull`"
    if start[8:9] == b"{":
        return f"holds weights alone, without classes, normalisation and size; {_MAKE}"
    return f"is no bundle of segbench; {_MAKE}"


def _foreign(names: Sequence[str]) -> str:
    if any(name.endswith("data.pkl") for name in names):
        kind = "is a checkpoint of PyTorch: it lacks classes, normalisation and size, and opening it can run code"
        return f"{kind}; {_MAKE}"
    return f"is a zip, but no bundle of segbench: there is no {INDEX} in it, only {shorten(names, 3)}; {_MAKE}"
