"""The kinds of samples: how a data set's images and masks may be stored."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from segbench.data.facts.store import FactStore
from segbench.data.formats import Listing
from segbench.data.manifest.manifest import Manifest
from segbench.data.sources.mask_file import MaskFile, MaskPlanes
from segbench.data.sources.raster import RasterWindow
from segbench.data.sources.shapes import Shapes
from segbench.data.sources.shards import Shards
from segbench.data.sources.source import Source, Survey
from segbench.errors import DatasetError
from segbench.types import Sample

# The first that holds a sample, or can survey a listing, has it.
SOURCES: dict[str, Source] = {
    "shards": Shards(),
    "raster_window": RasterWindow(),
    "shapes": Shapes(),
    "mask_file": MaskFile(),
    "mask_planes": MaskPlanes(),
}


def open_manifest(path: Path) -> Manifest:
    """Returns the manifest in a file, which may be one that a kind of samples writes; DatasetError for another file."""
    opened = (source.open(path) for source in SOURCES.values())
    return next((manifest for manifest in opened if manifest is not None), None) or Manifest.read(path)


def source_of(manifest: Manifest, sample: Sample) -> Source:
    """Returns the kind a sample is stored in; DatasetError for a sample of none."""
    for source in SOURCES.values():
        if source.holds(manifest, sample):
            return source
    raise DatasetError(f"the sample {sample.id!r} is stored in no known way", path=manifest.root)


def by_source(manifest: Manifest, samples: Iterable[Sample] | None = None) -> list[tuple[Source, list[Sample]]]:
    """Returns each kind that occurs with its samples, in order; all of the manifest where none are given."""
    groups: dict[Source, list[Sample]] = {}
    for sample in manifest.samples if samples is None else samples:
        groups.setdefault(source_of(manifest, sample), []).append(sample)
    return list(groups.items())


def is_packed(manifest: Manifest) -> bool:
    """Returns whether the samples lie ready in few large files (shards)."""
    return any(source.packed for source, _ in by_source(manifest))


def survey_of(listing: Listing, root: Path, store: FactStore) -> Survey:
    """Returns how to read what a reader listed; DatasetError where its entries are stored in no known way."""
    surveys = (source.survey(listing, root, store) for source in SOURCES.values())
    found = next((survey for survey in surveys if survey is not None), None)
    if found is None:
        raise DatasetError("the reader listed masks of several kinds; list them as several data sets", path=root)
    return found
