"""What the page Data shows of the data set that is open: its columns, the doctor's findings, where each class lies."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from segbench.data.manifest.manifest import Manifest, is_manifest
from segbench.data.sources.load import load_sample
from segbench.errors import DatasetError
from segbench.studio.checkup import Examination
from segbench.studio.columns import Table
from segbench.studio.filters import Filters, across, selected
from segbench.studio.heat import HeatMaps
from segbench.studio.place import Place
from segbench.studio.scores import scored_in, scores_of
from segbench.types import Sample, Task

Part = TypeVar("Part")
_POINTS = 4000  # of a scatter, spread evenly over what is shown


class DataView:
    """Each part is made when it is first asked for.

    Args:
        place: whose data set it is.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._made: dict[type, Any] = {}
        self._of: Manifest | None = None
        self._making = threading.Lock()

    @property
    def manifest(self) -> Manifest:
        """The data set; ServeError where it is not read."""
        return self._place.manifest

    @property
    def table(self) -> Table:
        """Its columns."""
        return self._part(Table, lambda: Table(self.manifest))

    @property
    def examination(self) -> Examination:
        """What the doctor finds."""
        path = self._place.path if self._place.kind == "data" else None
        named = None if path is None or is_manifest(path) else path
        return self._part(Examination, lambda: Examination(self.manifest, named))

    @property
    def heat(self) -> HeatMaps:
        """Where each class lies."""
        return self._part(HeatMaps, lambda: HeatMaps(self.manifest))

    def selected(self, filters: Filters) -> NDArray[np.int64]:
        """Returns the places of the samples that are shown, in their order."""
        found = None
        if filters.finding:
            found = self.examination.samples(filters.finding, reviewed=filters.reviewed)
        return selected(self.table.columns, filters, found, self.scores(filters))

    def scores(self, filters: Filters) -> NDArray[np.float32] | None:
        """Returns (N,) scores of what is asked for; None: nothing is."""
        return scores_of(self._place, self.manifest, filters.of) if filters.of else None

    def told(self, place: int, sample: Sample, filters: Filters) -> dict[str, Any]:
        """Returns what a sample's own page says; `previous` and `next` are its neighbours in what is shown."""
        chosen = self.selected(filters)
        at = np.flatnonzero(chosen == place)
        here = int(at[0]) if len(at) else -1
        known = self.table.columns
        try:
            pixels, unreadable = _pixels(self.manifest, sample), ""
        except DatasetError as error:
            pixels, unreadable = [], str(error)
        return {
            "index": place,
            "id": sample.id,
            "part": sample.split,
            "group": sample.group,
            "height": sample.height,
            "width": sample.width,
            "image": sample.image,
            "mask": sample.mask if isinstance(sample.mask, str) else ", ".join(filter(None, sample.mask)),
            "brightness": None if np.isnan(known.brightness[place]) else float(known.brightness[place]),
            "pixels": pixels,
            "unreadable": unreadable,
            "at": here,
            "total": len(chosen),
            "previous": int(chosen[here - 1]) if here > 0 else None,
            "next": int(chosen[here + 1]) if 0 <= here < len(chosen) - 1 else None,
        }

    def summary(self) -> dict[str, Any]:
        """Returns what filters may ask for: names, and the ranges of the numbers."""
        table = self.table
        known = table.columns
        return {
            "ready": table.ready,
            "trouble": table.trouble,
            "parts": known.parts,
            "groups": [name for name in known.groups if name][:500],
            "classes_known": bool((~np.isnan(known.shares[:, 0])).any()) if known.shares.size else False,
            "scored": list(scored_in(self._place)),
            "side": _range(known.side),
            "brightness": _range(known.brightness),
            "foreground": _range(known.foreground),
            "version": known.version,
        }

    def points(self, filters: Filters) -> dict[str, Any]:
        """Returns `across` and brightness of the samples that are shown (but for the lasso), at most `_POINTS`."""
        known = self.table.columns
        chosen = self.selected(filters.model_copy(update={"lasso": "", "sort": "id", "down": False}))
        values = across(known, filters)
        chosen = chosen[~np.isnan(known.brightness[chosen]) & ~np.isnan(values[chosen])]
        step = max(1, -(-len(chosen) // _POINTS))
        drawn = chosen[::step]
        return {
            "of": len(chosen),
            "across": values[drawn].round(4).tolist(),
            "brightness": known.brightness[drawn].round(1).tolist(),
        }

    def _part(self, kind: type[Part], make: Callable[[], Part]) -> Part:
        manifest = self.manifest
        with self._making:
            if self._of is not manifest:  # it was read again, another way
                self._of, self._made = manifest, {}
            if kind not in self._made:
                self._made[kind] = make()
            part: Part = self._made[kind]
            return part


def _range(values: NDArray[np.float32]) -> list[float] | None:
    known = values[~np.isnan(values)]
    return [float(known.min()), float(known.max())] if len(known) else None


def _pixels(manifest: Manifest, sample: Sample) -> list[int]:
    """Returns the pixels of each class, and last those that count nowhere."""
    labels = load_sample(manifest, sample)[1]
    number = manifest.class_map.num_classes
    if manifest.class_map.task is Task.MULTILABEL:
        return [
            *(int((plane == 1).sum()) for plane in labels),
            int((labels[0] == manifest.class_map.ignore_index).sum()),
        ]
    counts = np.bincount(labels.ravel(), minlength=256)
    return [*counts[:number].tolist(), int(counts[number:].sum())]
