"""Real images on which an export is compared with its model, and those that int8 is calibrated on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from segbench.data.manifest.manifest import Manifest
from segbench.data.sources.load import load_sample
from segbench.errors import DatasetError, PredictionError, shorten
from segbench.folders.run import RunFolder
from segbench.locale import message
from segbench.predict.found import find_images
from segbench.predict.pipeline import Pipeline
from segbench.types import Sample, SplitName

MOST = 64  # images that are compared, evenly spread over what there is
CALIBRATION = 32  # images that int8 is calibrated on

U8: TypeAlias = NDArray[np.uint8]
_Item = TypeVar("_Item")


@dataclass(frozen=True, kw_only=True)
class Images:
    """Where images come from: a run's own part, with labels, or a folder, without.

    Attributes:
        manifest: of the run; None for files.
        samples: of the manifest.
        files: of a folder.
        told: what they are, for people: `54 images of the validation part`.
    """

    manifest: Manifest | None = None
    samples: tuple[Sample, ...] = ()
    files: tuple[Path, ...] = field(default=(), repr=False)
    told: str

    def __len__(self) -> int:
        return len(self.samples) + len(self.files)

    def read(self, pipeline: Pipeline) -> Iterator[tuple[str, U8, U8 | None]]:
        """Yields (name, image (H, W, C) uint8, labels or None).

        Raises:
            DatasetError: an image cannot be read.
        """
        for sample in self.samples:
            assert self.manifest is not None
            image, labels = load_sample(self.manifest, sample)
            yield sample.id, pipeline.channels_of(image), labels
        for file in self.files:
            image, _ = pipeline.read(file)
            yield file.name, pipeline.channels_of(image), None


def images_for(model: Path, folder: Path | None, part: SplitName, most: int) -> Images | None:
    """Returns images of a model: those in a folder where one is named, else those of the run's part.

    Args:
        model: run folder or bundle.
        folder: of images; takes the run's place.
        part: of the run's data.
        most: no more than that many, evenly spread.
    Returns:
        None where there is neither: a bundle knows its images by number only, or the run's part is empty.
    Raises:
        PredictionError: a folder without images, or a run's data that are gone or changed.
    """
    if folder is not None:
        return _of_folder(_spread(files_of(folder), most), folder)
    run = RunFolder(model)
    if not run.is_run or not run.manifest_file.is_file():
        return None
    manifest = Manifest.read(run.manifest_file)
    samples = _spread(manifest.split(part), most)
    if not samples:
        return None
    try:
        load_sample(manifest, samples[0])
    except (DatasetError, OSError) as error:
        text = message(
            "the images that this model was made with cannot be read any more ({error}); name a folder of images "
            "like them: --images DIR",
            error=error,
        )
        raise PredictionError(text, path=model) from error
    words = {"train": "training", "val": "validation", "test": "test"}
    told = message("{count} images of the {part} part", count=len(samples), part=words[part])
    return Images(manifest=manifest, samples=tuple(samples), told=told)


def files_of(folder: Path) -> list[Path]:
    """Returns the image files in a folder; a PredictionError where there is none, or no folder."""
    found = find_images([folder], folder / "predicted")
    if not found.images:
        raise _none_readable(folder, found.failed)
    return [path for path, _ in found.images]


def readable(images: Images, folder: Path, pipeline: Pipeline, tell: Callable[[str], None]) -> Images:
    """Returns the images of a folder that can be read; tells of each other one why.

    Raises:
        PredictionError: none can.
    """
    failed: dict[str, str] = {}
    for file in images.files:
        try:
            pipeline.read(file)
        except (DatasetError, PredictionError) as error:
            failed[str(file)] = error.reason
    kept = [file for file in images.files if str(file) not in failed]
    if not kept:
        raise _none_readable(folder, failed)
    for path, reason in failed.items():
        tell(message("left out: {path}: {reason}", path=path, reason=reason))
    return _of_folder(kept, folder) if failed else images


def _of_folder(files: Sequence[Path], folder: Path) -> Images:
    return Images(files=tuple(files), told=message("{count} images of {folder}", count=len(files), folder=folder))


def _none_readable(folder: Path, failed: Mapping[str, str]) -> PredictionError:
    reasons = shorten([f"{path}: {reason}" for path, reason in failed.items()], 3)
    return PredictionError(message("no image there can be read: {reasons}", reasons=reasons), path=folder)


def halves(images: Images, folder: Path) -> tuple[Images, Images]:
    """Returns every second image of a folder, and the others.

    Raises:
        PredictionError: there is one image only.
    """
    if len(images.files) < 2:
        text = message("int8 is calibrated on some images and compared on others; name a folder of two images or more")
        raise PredictionError(text, path=folder)
    one, other = images.files[::2], images.files[1::2]
    told = message(
        "{count} images of {folder}, on others of which int8 was calibrated", count=len(other), folder=folder
    )
    return replace(images, files=one), replace(images, files=other, told=told)


def need_images(found: Images | None, model: Path) -> Images:
    """Returns the images; a PredictionError where there are none, which says how to name some."""
    if found is None:
        raise PredictionError(
            message(
                "the images that this model was validated on are not here, and an export is only good when it is "
                "compared on some; name a folder of such images: --images DIR"
            ),
            path=model,
        )
    return found


def _spread(items: Sequence[_Item], most: int) -> list[_Item]:
    if len(items) <= most:
        return list(items)
    return [items[round(position)] for position in np.linspace(0, len(items) - 1, most)]
