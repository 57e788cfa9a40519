"""Predicted masks of a split in one file: a zip of PNG images that a person can open, read one at a time.

Member `index.json` lists the image ids in order; image n is `00000n.png`, or for a multilabel task one plane a class,
`00000n_c.png`. Knows nothing of torch.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from segbench.errors import RunError
from segbench.files import replacing

UInt8Array = npt.NDArray[np.uint8]
_VERSION = 1
_HEADER = struct.Struct("<26sHH")  # of a member of a zip file: the last two say how long its name and extra field are
# What zip and PNG raise over damaged bytes.
_DAMAGE = (
    *(OSError, KeyError, ValueError, SyntaxError, EOFError, struct.error),
    *(zipfile.BadZipFile, zlib.error, NotImplementedError),
)


class MaskWriter:
    """Adds masks to an archive, one after the other; see `write_masks`."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._ids: list[str] = []
        self._planes: list[int] = []

    def add(self, image_id: str, mask: UInt8Array) -> None:
        """Adds one image.

        Args:
            image_id: unique in the archive.
            mask: (H, W) uint8 class indices; multilabel (C, H, W) uint8 of 0 and 1.
        """
        number = len(self._ids)
        planes = [mask] if mask.ndim == 2 else list(mask)
        for index, plane in enumerate(planes):
            suffix = "" if mask.ndim == 2 else f"_{index}"
            stream = io.BytesIO()
            Image.fromarray(np.ascontiguousarray(plane)).save(stream, "PNG")
            self._archive.writestr(f"{number:06d}{suffix}.png", stream.getvalue())
        self._ids.append(image_id)
        self._planes.append(0 if mask.ndim == 2 else len(planes))

    def finish(self) -> None:
        """Writes the index; the archive cannot be read without it."""
        if len(set(self._ids)) < len(self._ids):
            raise ValueError("an image id occurs twice")
        index = {"segbench_masks": _VERSION, "ids": self._ids, "planes": self._planes}
        self._archive.writestr("index.json", json.dumps(index))


@contextmanager
def write_masks(path: str | Path) -> Iterator[MaskWriter]:
    """Yields what masks are added to; the file appears whole at the end, or not at all."""
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        writer = MaskWriter(archive)  # PNG is compressed already
        yield writer
        writer.finish()


def save_masks(path: str | Path, masks: Iterable[tuple[str, UInt8Array]]) -> None:
    """Writes (image id, mask) pairs; shapes as in `MaskWriter.add`."""
    with write_masks(path) as writer:
        for image_id, mask in masks:
            writer.add(image_id, mask)


class MaskArchive:
    """The masks that `write_masks` wrote, read from the disk one at a time.

    The directory of the archive is read once, and no file stays open: a report looks at many masks of many runs.

    Args:
        path: of the file.
    Raises:
        RunError: the file is missing, damaged, or of another version.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.ids: tuple[str, ...] = tuple(self._index["ids"])
        self._number = {image_id: number for number, image_id in enumerate(self.ids)}

    @cached_property
    def _index(self) -> dict[str, Any]:
        try:
            index = json.loads(self._bytes("index.json"))
        except FileNotFoundError as error:
            message = f"there is no {self.path.name}: the run is not finished, or an older version made it"
            raise RunError(f"{message}; score it again with `segbench evaluate`", run=self.path.parent) from error
        except _DAMAGE as error:
            raise self._damaged(error) from error
        version = index.get("segbench_masks") if isinstance(index, dict) else None
        if type(version) is int and version != _VERSION:
            message = f"{self.path.name} has version {version}, and this segbench reads {_VERSION}; read it with the"
            raise RunError(f"{message} segbench that wrote it, or score the run again", run=self.path.parent)
        ids, planes = (index.get(key) if version else None for key in ("ids", "planes"))
        if not isinstance(ids, list) or not isinstance(planes, list) or len(ids) != len(planes):
            raise self._damaged(ValueError("index.json does not list images and their planes"))
        if not all(isinstance(name, str) for name in ids) or not all(type(number) is int for number in planes):
            raise self._damaged(ValueError("index.json holds something else than names and numbers"))
        return {"ids": ids, "planes": planes}

    def __contains__(self, image_id: str) -> bool:
        return image_id in self._number

    def read(self, image_id: str) -> UInt8Array:
        """Returns the mask of one image: (H, W) uint8 class indices, multilabel (C, H, W) uint8 of 0 and 1.

        Raises:
            RunError: there is no such image in it, or the file is damaged.
        """
        if image_id not in self._number:
            raise RunError(f"{self.path.name} has no mask of the image {image_id!r}", run=self.path.parent)
        number = self._number[image_id]
        planes = self._index["planes"][number]
        names = [f"{number:06d}_{index}.png" for index in range(planes)] or [f"{number:06d}.png"]
        try:
            read = [np.asarray(Image.open(io.BytesIO(self._bytes(name)))) for name in names]
        except _DAMAGE as error:
            raise self._damaged(error) from error
        return np.stack(read) if planes else read[0]

    @cached_property
    def _members(self) -> dict[str, tuple[int, int, int, int]]:
        """Name -> where its header begins, bytes in the archive, compression, and CRC-32 of what it holds."""
        with zipfile.ZipFile(self.path) as archive:
            return {
                each.filename: (each.header_offset, each.compress_size, each.compress_type, each.CRC)
                for each in archive.infolist()
            }

    def _bytes(self, name: str) -> bytes:
        """Returns what a member holds; raises what `zipfile` raises where it is damaged."""
        start, size, method, checksum = self._members[name]
        if method != zipfile.ZIP_STORED:  # somebody packed it again
            with zipfile.ZipFile(self.path) as archive:
                return archive.read(name)
        with self.path.open("rb") as stream:
            stream.seek(start)
            header = stream.read(_HEADER.size)
            _, name_length, extra_length = _HEADER.unpack(header)
            stream.seek(name_length + extra_length, io.SEEK_CUR)
            content = stream.read(size)
        if zlib.crc32(content) != checksum:
            raise zipfile.BadZipFile(f"Bad CRC-32 for file {name!r}")
        return content

    def _damaged(self, error: Exception) -> RunError:
        message = f"{self.path.name} is damaged ({error}); score the run again with `segbench evaluate`"
        return RunError(message, run=self.path.parent)
