"""Where in the images each class lies: the mean of all masks, in the background, remembered in the cache."""

from __future__ import annotations

import hashlib
import io
import threading

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segbench.data.files.resize import resize_mask
from segbench.data.manifest.manifest import Manifest
from segbench.data.sources.load import load_sample
from segbench.errors import DatasetError
from segbench.files import cache_folder, replacing
from segbench.types import Task

SIDE = 96  # of the map's longest side
MOST = 2000  # images that are looked at, spread evenly over the data set
# Black, violet, red, yellow, white: lightness rises all the way, so that it reads the same without colours.
_RAMP = np.array([(0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)], dtype=np.float64)


class HeatMaps:
    """The share of the images in which each place shows each class; it begins at once.

    Args:
        manifest: of the data set.

    Attributes:
        total: images that are looked at; done: how many were.
        skipped: images that could not be read.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        step = max(1, -(-len(manifest) // MOST))
        self._samples = manifest.samples[::step]
        self.total, self.done, self.skipped = len(self._samples), 0, 0
        self.maps: NDArray[np.float32] | None = None
        self._thread = threading.Thread(target=self._read, name="heat", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Returns when the maps are there."""
        self._thread.join()

    def png(self, index: int) -> tuple[bytes, float]:
        """Returns the map of a class as PNG, white where it lies most often, and the share there, 0-1.

        Raises:
            KeyError: it is not there yet, or there is no such class.
        """
        maps = self.maps
        if maps is None or not 0 <= index < len(maps):
            raise KeyError(index)
        highest = float(maps[index].max())
        level = maps[index] / highest if highest > 0 else maps[index]
        stops = np.linspace(0, 1, len(_RAMP))
        pixels = np.stack([np.interp(level, stops, _RAMP[:, channel]) for channel in range(3)], axis=-1)
        data = io.BytesIO()
        Image.fromarray(pixels.round().astype(np.uint8)).save(data, "PNG")
        return data.getvalue(), highest

    def _read(self) -> None:
        manifest, classes = self._manifest, self._manifest.class_map
        shape = self._shape()
        file = (
            cache_folder()
            / "studio"
            / f"heat-{hashlib.sha256(f'{manifest.content_hash}{shape}'.encode()).hexdigest()}.npy"
        )
        if file.is_file():
            self.maps, self.done = np.load(file), self.total
            return
        sums = np.zeros((classes.num_classes, *shape), dtype=np.float32)
        for sample in self._samples:
            try:
                labels = resize_mask(load_sample(manifest, sample)[1], shape)
            except DatasetError:
                self.skipped += 1
                continue
            finally:
                self.done += 1
            if classes.task is Task.MULTILABEL:
                sums += labels == 1
            else:
                for index in np.unique(labels):
                    if index < classes.num_classes:
                        sums[index] += labels == index
        maps = sums / np.float32(max(1, self.total - self.skipped))
        if not self.skipped:
            file.parent.mkdir(parents=True, exist_ok=True)
            with replacing(file) as temporary, temporary.open("wb") as stream:
                np.save(stream, maps)
        self.maps = maps

    def _shape(self) -> tuple[int, int]:
        """Returns (H, W) of the maps, by the sides that are usual in the data set."""
        ratio = float(np.median([sample.height / sample.width for sample in self._samples] or [1.0]))
        return (SIDE, max(8, round(SIDE / ratio))) if ratio >= 1 else (max(8, round(SIDE * ratio)), SIDE)
