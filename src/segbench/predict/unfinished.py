"""Finished rows of large images on the disk until the image is whole: one file, or a file a band of rows.

Nothing here is shared but files: a band is written by whoever predicts it, and read by whoever joins them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedRandom
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segbench.errors import PredictionError
from segbench.files import locked, write_json
from segbench.locale import message

_COPIED_BYTES = 1 << 24  # at a time


def unfinished_in(out: Path) -> Path:
    """Returns the folder of unfinished images below the folder of results."""
    return out / "masks" / ".unfinished"


def band_name(name: str, top: int) -> str:
    """Returns what the band of an image that begins with row `top` is called."""
    return f"{name}.rows{top}"


def safe_rows(folder: Path, name: str, job: str, row_bytes: int) -> int:
    """Returns how many rows are on the disk, of the same job."""
    labels_file, notes_file = _files(folder, name)
    if not (notes_file.is_file() and labels_file.is_file()):
        return 0
    noted = json.loads(notes_file.read_text(encoding="utf-8"))
    enough = labels_file.stat().st_size >= noted["rows"] * row_bytes
    return int(noted["rows"]) if noted["job"] == job and enough else 0


class RowStore:
    """Finished rows in a plain file, and how many of them are safe.

    Args:
        folder, name: `NAME.labels` and `NAME.json` in the folder.
        job: what decides the result; rows of another one are thrown away.
        row_bytes: of a row: labels of all planes, then what else was asked for; see `LabelRows`.

    Attributes:
        rows: that are safe.
    """

    def __init__(self, folder: Path, name: str, job: str, row_bytes: int) -> None:
        self.labels_file, self.notes_file = _files(folder, name)
        self.job, self.row_bytes = job, row_bytes
        self.rows = safe_rows(folder, name, job, row_bytes)
        self._stream: BufferedRandom = self.labels_file.open("r+b" if self.rows else "w+b")
        self._stream.truncate(self.rows * row_bytes)
        self._stream.seek(0, os.SEEK_END)

    def append(self, rows: NDArray[np.uint8]) -> None:
        """Writes rows (h, row_bytes), and notes them once they are on the disk."""
        self._stream.write(np.ascontiguousarray(rows).data)
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self.rows += len(rows)
        write_json(self.notes_file, {"job": self.job, "rows": self.rows})

    def read(self, top: int, bottom: int, begin: int = 0, end: int | None = None) -> NDArray[np.uint8]:
        """Returns bytes [begin, end) of each of these rows, (bottom - top, end - begin)."""
        end = self.row_bytes if end is None else end
        found = np.empty((bottom - top, end - begin), dtype=np.uint8)
        if end - begin == self.row_bytes:
            self._stream.seek(top * self.row_bytes)
            self._stream.readinto(found.data)
            return found
        for row in range(top, bottom):
            self._stream.seek(row * self.row_bytes + begin)
            self._stream.readinto(found[row - top].data)
        return found

    def close(self) -> None:
        """Closes the file."""
        self._stream.close()

    def remove(self) -> None:
        """Takes both files away."""
        self.close()
        self.labels_file.unlink()
        self.notes_file.unlink()


@contextmanager
def unfinished(folder: Path, name: str, job: str, row_bytes: int) -> Iterator[RowStore]:
    """Yields the store of a job; nobody else works on it meanwhile.

    Raises:
        PredictionError: the disk is full; what is safe stays.
    """
    place = folder / name
    place.parent.mkdir(parents=True, exist_ok=True)
    lock = _lock(folder, name)
    with locked(lock):
        store = RowStore(folder, name, job, row_bytes)
        try:
            yield store
        except OSError as error:
            if error.errno is None:  # a damaged image, which is told elsewhere
                raise
            text = message(
                "the result could not be written ({error}); make room and give the same command again: it goes on "
                "behind the {rows:,} rows that are finished",
                error=error.strerror or str(error),
                rows=store.rows,
            )
            raise PredictionError(text, path=folder) from error
        finally:
            store.close()
    lock.unlink(missing_ok=True)
    for each in (place.parent, folder):
        if each.is_dir() and not any(each.iterdir()):
            each.rmdir()


def join_bands(store: RowStore, folder: Path, name: str, bands: Sequence[tuple[int, int]]) -> None:
    """Appends what there is of bands of rows [top, bottom), which lie below each other, up to the first gap."""
    for top, bottom in bands:
        if bottom <= store.rows:
            continue
        band = band_name(name, top)
        end = top + safe_rows(folder, band, store.job, store.row_bytes)
        if end <= store.rows:
            return
        step = max(1, _COPIED_BYTES // store.row_bytes)
        with _files(folder, band)[0].open("rb") as stream:
            stream.seek((store.rows - top) * store.row_bytes)
            while store.rows < end:
                rows = min(step, end - store.rows)
                data = np.frombuffer(stream.read(rows * store.row_bytes), dtype=np.uint8)
                store.append(data.reshape(rows, store.row_bytes))
        if end < bottom:
            return


def remove_bands(folder: Path, name: str, bands: Sequence[tuple[int, int]]) -> None:
    """Takes away what there is of bands, see `join_bands`."""
    for top, _ in bands:
        band = band_name(name, top)
        for file in (*_files(folder, band), _lock(folder, band)):
            file.unlink(missing_ok=True)


def _files(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / f"{name}.labels", folder / f"{name}.json"


def _lock(folder: Path, name: str) -> Path:
    return folder / f"{name}.lock"
