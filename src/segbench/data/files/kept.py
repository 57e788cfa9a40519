"""Pixels that were decoded to learn what files hold, kept for the cache that wants the same files."""

from __future__ import annotations

import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from segbench.data.files.images import file_state
from segbench.data.files.resize import U8, resize_image, resize_values
from segbench.errors import DatasetError
from segbench.files import cache_folder

State: TypeAlias = tuple[int, int]  # bytes and time of the last change, see `file_state`


@dataclass(frozen=True, slots=True)
class _Place:
    """Where pixels begin in the temporary file, and of which file they are."""

    state: State
    sha256: str
    start: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    how: object


class KeptPixels:
    """Images and mask values at one size, so that a training neither decodes nor hashes a file twice. A context.

    They lie in a temporary file without a name, which is gone when this is closed or its process is killed. What the
    disk has no room for is not kept, and decoded again by whom it concerns. Threads may add and ask at once.

    Args:
        size: (H, W) in pixels of all that is kept.
        folder: of the temporary file; None means the cache folder.
    """

    def __init__(self, size: tuple[int, int], folder: Path | None = None) -> None:
        self.size = (int(size[0]), int(size[1]))
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._full = False
        self._end = 0
        self._places: dict[tuple[str, Path], _Place] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> KeptPixels:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._places.clear()
        if self._file is not None:
            self._file.close()

    def add_image(
        self, path: Path, state: State, sha256: str, image: U8, depth_range: tuple[float, float] | None
    ) -> None:
        """Keeps an image (H, W, 3), decoded with this `depth_range` from bytes of this hash."""
        self._add("image", path, state, sha256, resize_image(image, self.size), depth_range)

    def add_mask(self, path: Path, state: State, sha256: str, values: NDArray[Any], *, indexed: bool) -> None:
        """Keeps the values of a mask file, (H, W) or (H, W, 3); `indexed` are those that a palette gives colours."""
        self._add("mask", path, state, sha256, resize_values(values, self.size), indexed)

    def image(self, path: Path, sha256: str, depth_range: tuple[float, float] | None) -> U8 | None:
        """Returns the image as a cache holds it; None where it was not kept, or the file has changed since."""
        place = self._place("image", path)
        if place is None or place.sha256 != sha256 or place.how != depth_range:
            return None
        return self._pixels(place)

    def mask(self, path: Path, *, colors: bool) -> tuple[str, NDArray[Any]] | None:
        """Returns a mask file's hash and its values; None as for images, or where a palette's colours are wanted."""
        place = self._place("mask", path)
        return None if place is None or (colors and place.how) else (place.sha256, self._pixels(place))

    def _add(self, kind: str, path: Path, state: State, sha256: str, pixels: NDArray[Any], how: object) -> None:
        data = np.ascontiguousarray(pixels)
        with self._lock:
            if self._full:
                return
            try:
                if self._file is None:
                    folder = self._folder or cache_folder()
                    folder.mkdir(parents=True, exist_ok=True)
                    self._file = tempfile.TemporaryFile(dir=folder, prefix="pixels-", buffering=0)  # noqa: SIM115  # closed by __exit__
                self._file.seek(self._end)
                written = self._file.write(data.tobytes())
            except OSError:
                written = None
            if written != data.nbytes:
                self._full = True  # whoever asks decodes again, and says what is wrong with the disk if it has to write
                return
            self._places[kind, path] = _Place(state, sha256, self._end, data.shape, data.dtype, how)
            self._end += data.nbytes

    def _place(self, kind: str, path: Path) -> _Place | None:
        place = self._places.get((kind, path))
        try:
            return place if place is not None and file_state(path) == place.state else None
        except DatasetError:
            return None  # gone: reading it says so

    def _pixels(self, place: _Place) -> NDArray[Any]:
        assert self._file is not None, "something was kept"
        count = int(np.prod(place.shape)) * place.dtype.itemsize
        with self._lock:
            self._file.seek(place.start)
            data = self._file.read(count)
        return np.frombuffer(data, dtype=place.dtype).reshape(place.shape)
