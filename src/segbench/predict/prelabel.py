"""Predictions as annotations: a network draws first, a person corrects in an annotation tool."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from segbench.data.formats.shared.listing import HEIC_SUFFIXES, IMAGE_SUFFIXES
from segbench.data.writers import Labelled, WriteOptions, Written, check_writer, write_dataset
from segbench.errors import PredictionError, SegbenchError, shorten
from segbench.locale import message
from segbench.predict.found import find_images, output_names
from segbench.predict.predictor import Predictor
from segbench.predict.stages import reason_of
from segbench.types import Progress


@dataclass(frozen=True, kw_only=True)
class Prelabelled:
    """Attributes: written, see `Written`; failed, path -> why, of images that could not be read; twice, how many files
    were given more than once."""

    written: Written
    failed: dict[str, str] = field(default_factory=dict)
    twice: int = 0


def prelabel(
    predictor: Predictor,
    paths: Sequence[str | Path],
    out: str | Path,
    to: str,
    *,
    options: WriteOptions | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Prelabelled:
    """Segments images and writes the masks in the format of an annotation tool, one image at a time.

    Args:
        predictor: see `Predictor`.
        paths: image files and folders (searched with their sub-folders, but for `out`); images of more than 8 bit are
            written as PNG of 8 bit.
        out: folder; made if missing.
        to: name of the format, a key of `segbench.data.writers.WRITERS`.
        options: see `WriteOptions`; None copies images and simplifies polygons as far as an IoU of 0.99 allows, so
            that a person can move their corners.
        overwrite: replace a folder that was written so before.
        progress: called after every image.
    Raises:
        PredictionError: a path does not exist, no image can be segmented, or the network reads other bands than RGB.
        ConfigError: an unknown format, or one that cannot hold these classes or options.
        DatasetError: the folder is not empty.
    """
    options = options or default_options(to)
    check_writer(to, predictor.class_map, options)
    if predictor.bands is not None:
        raise PredictionError(
            f"this network reads {predictor.bands.channels} bands, and annotation tools show three; predict masks, "
            "not an annotation tool's files: they keep the grid of their images"
        )
    listed = find_images(paths, Path(out))
    found, failed = listed.images, dict(listed.failed)

    def samples() -> Iterator[Labelled]:
        names = output_names(found)
        for done, ((path, _), name) in enumerate(zip(found, names, strict=True), 1):
            try:
                image, _ = predictor.pipeline.read(path)
                mask, _ = predictor.pipeline(image)
            except (SegbenchError, MemoryError, RuntimeError, ValueError) as error:
                failed[str(path)] = reason_of(error)
            else:
                ordinary = path.suffix.lower() in IMAGE_SUFFIXES - HEIC_SUFFIXES
                as_file = predictor.pipeline.settings.depth_range is None and ordinary
                yield Labelled(id=name, image=path, labels=mask, pixels=None if as_file else image)
            if progress is not None:
                progress("predicting", done, len(found))
        if len(failed) == len(found) + len(listed.failed):
            told = shorten([f"{path}: {reason}" for path, reason in failed.items()], 3)
            raise PredictionError(message("no image could be segmented: {reasons}", reasons=told))

    written = write_dataset(to, out, samples(), predictor.class_map, options, overwrite=overwrite)
    return Prelabelled(written=written, failed=failed, twice=listed.twice)


def default_options(to: str) -> WriteOptions:
    """Returns how predictions are written where nothing else is said: polygons with few corners, masks exactly."""
    return WriteOptions(simplify=0.0 if to in ("folder", "voc") else "auto")
