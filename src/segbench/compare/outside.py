"""Masks that another tool predicted, matched with the test images and read by the data set's own rules.

A folder of masks named like the test images (`case_07.png` for `case_07`), or what `segbench predict -o FOLDER` wrote;
for a multilabel task one sub-folder a class. Nothing is dropped in silence: what is missing, unreadable or of another
size is counted and named, and refused; files that belong to no test image are counted and told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from segbench.compare.evidence import Masks
from segbench.compare.image_scores import ImageScores, needs_outlines, pick
from segbench.compare.mask_values import MaskMeaning, MaskReader, decide_reading, look_at
from segbench.data.files.resize import resize_mask
from segbench.data.formats import IMAGE_SUFFIXES
from segbench.data.manifest.manifest import Manifest
from segbench.data.sources.load import load_sample
from segbench.errors import DatasetError, shorten
from segbench.locale import Message, join, listed, message
from segbench.metrics.counts import Counts, count_masks
from segbench.metrics.definitions import OWN_SIZE, size_text
from segbench.metrics.scores import score_counts
from segbench.metrics.surface import SurfaceCollector, SurfaceSettings
from segbench.metrics.surface_scores import score_surfaces
from segbench.predict.mask_folder import holds_indices
from segbench.types import Progress, Sample, Task

UInt8Array = npt.NDArray[np.uint8]
SizeKind: TypeAlias = Literal["own", "training", "both"]


@dataclass(frozen=True, kw_only=True, eq=False)
class OutsideMasks:
    """The masks of the test images in a folder, read one at a time.

    Attributes:
        folder: where they lie.
        files: image id -> its files: one, multilabel one a class.
        reader: what their pixels mean.
        size: `own`: every mask is as large as its image; `training`: as large as the runs were trained at; `both`
            where that is the same.
        notes: what a reader must know.
    """

    folder: Path
    files: dict[str, tuple[Path, ...]] = field(repr=False)
    reader: MaskReader = field(repr=False)
    size: SizeKind
    notes: tuple[Message, ...]

    def __contains__(self, image_id: str) -> bool:
        return image_id in self.files

    def read(self, image_id: str) -> UInt8Array:
        """Returns the mask of one image: (H, W) uint8 class indices, multilabel (C, H, W) uint8 of 0 and 1.

        Raises:
            DatasetError: a file cannot be read, or holds values that mean no class.
        """
        files = self.files[image_id]
        if self.reader.class_map.task is Task.MULTILABEL:
            return np.stack([self.reader.read(file, index) for index, file in enumerate(files)])
        return self.reader.read(files[0], None)


def read_outside(
    folder: str | Path,
    manifest: Manifest,
    samples: Sequence[Sample],
    training_size: tuple[int, int] | None,
    masks: MaskMeaning = "auto",
) -> OutsideMasks:
    """Returns a folder's masks of the test images, all of them looked at once.

    Args:
        folder: of the masks.
        manifest: of the data.
        samples: the test part.
        training_size: (H, W) that a run scores at; None where nothing was trained at one size.
        masks: what their pixels hold: `values` of the data set's own masks, class `indices`, or `auto`: what
            `classes.json` beside them says, else what fits.
    Raises:
        DatasetError: masks are missing, unreadable, of the wrong size or of two kinds of sizes, belong to two images,
            hold values that mean no class, or values that may mean two things: how many, which, and what to do.
    """
    folder = Path(folder)
    root = folder / "masks" if (folder / "masks").is_dir() else folder
    class_map = manifest.class_map
    found = dict(_masks_in(root))
    files = _files_of(samples, found, class_map.names if class_map.task is Task.MULTILABEL else (), root)
    used = {file for chosen in files.values() for file in chosen}
    extra = sorted(name for name, file in found.items() if file not in used)
    notes = []
    if extra:
        notes.append(
            message(
                "{n} masks belong to no test image and were left out: {names}", n=len(extra), names=listed(extra, 4)
            )
        )
    size = _check_sizes(root, samples, files, training_size)
    if masks == "auto" and holds_indices(root, class_map):
        masks = "indices"
    several = class_map.task is Task.MULTILABEL
    looks = [
        look_at(file, index if several else None, class_map)
        for chosen in files.values()
        for index, file in enumerate(chosen)
    ]
    reader, note = decide_reading(looks, manifest, masks, root)
    if note is not None:
        notes.append(note)
    return OutsideMasks(
        folder=folder,
        files=files,
        reader=reader,
        size=size,
        notes=tuple(join(": ", (str(folder), note)) for note in notes),
    )


def _files_of(
    samples: Sequence[Sample], found: dict[str, Path], classes: Sequence[str], root: Path
) -> dict[str, tuple[Path, ...]]:
    """Returns image id -> its files, one a class where there are classes; raises where one is missing or ambiguous."""
    files: dict[str, tuple[Path, ...]] = {}
    missing = []
    for sample in samples:
        chosen = [_match(sample, found, f"{name}/" if name else "") for name in classes or ("",)]
        if any(file is None for file in chosen):
            missing.append(sample.id)
        files[sample.id] = tuple(file for file in chosen if file is not None)
    if missing:
        raise DatasetError(
            f"{len(missing)} of {len(samples)} test images have no mask here: {shorten(missing)}. A mask is named like "
            "its image; predict all test images, empty ones too",
            path=root,
        )
    times = Counter(file for chosen in files.values() for file in chosen)
    shared = sorted(file for file, count in times.items() if count > 1)
    if shared:
        ids = [image_id for image_id, chosen in files.items() if shared[0] in chosen]
        raise DatasetError(
            f"{shared[0].name} fits {len(ids)} test images ({shorten(ids, 4)}), and cannot be the mask of more than one"
            "; write the masks into the images' own sub-folders",
            path=root,
        )
    return files


def _masks_in(root: Path) -> Iterator[tuple[str, Path]]:
    """Yields relative name without suffix, and file; two files of one name are refused."""
    seen: dict[str, Path] = {}
    for file in sorted(root.rglob("*")):
        hidden = any(part.startswith(".") for part in file.relative_to(root).parts)
        if hidden or file.suffix.lower() not in IMAGE_SUFFIXES or not file.is_file():
            continue
        name = file.relative_to(root).with_suffix("").as_posix()
        if name in seen:
            raise DatasetError(f"two masks have one name: {seen[name].name} and {file.name}; keep one", path=root)
        seen[name] = file
        yield name, file
    if not seen:
        raise DatasetError("expected a run, a study or a folder of masks, and found no image in this folder", path=root)


def _match(sample: Sample, found: dict[str, Path], prefix: str) -> Path | None:
    """Returns the mask that is named like the sample: by its id, its image's path, or its image's name."""
    image = Path(sample.image)
    for name in (sample.id, image.with_suffix("").as_posix(), image.stem, Path(sample.id).name):
        if prefix + name in found:
            return found[prefix + name]
    return None


def _check_sizes(
    root: Path,
    samples: Sequence[Sample],
    files: dict[str, tuple[Path, ...]],
    training_size: tuple[int, int] | None,
) -> SizeKind:
    """Returns which size the masks have."""
    own, trained, wrong = [], [], []
    for sample in samples:
        for file in files[sample.id]:
            size = _size_of(file)
            fits_own, fits_trained = size == (sample.height, sample.width), size == training_size
            if not fits_own and not fits_trained:
                wrong.append(f"{file.name} is {size[0]}x{size[1]}, its image {sample.height}x{sample.width}")
            own += [file.name] * (fits_own and not fits_trained)
            trained += [file.name] * (fits_trained and not fits_own)
    if wrong:
        also = f" or {training_size[0]}x{training_size[1]}, the size of the runs" if training_size else ""
        told = f"{len(wrong)} masks have another size (H x W) than their image{also}: {shorten(wrong, 4)}"
        raise DatasetError(f"{told}. Write them at the image's own size, by nearest neighbour", path=root)
    if own and trained:
        told = f"{len(own)} masks have their image's size ({shorten(own, 3)}) and {len(trained)} the size of the runs"
        raise DatasetError(f"{told} ({shorten(trained, 3)}); write all of them at one kind of size", path=root)
    if not own and not trained:
        return "both"
    return "own" if own else "training"


def _size_of(file: Path) -> tuple[int, int]:
    try:
        with Image.open(file) as image:
            width, height = image.size
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise DatasetError(f"this mask cannot be read: {error}", path=file) from error
    return height, width


def score_outside(
    masks: Masks,
    manifest: Manifest,
    samples: Sequence[Sample],
    score: str,
    size: tuple[int, int] | None,
    settings: SurfaceSettings,
    progress: Progress | None = None,
) -> ImageScores:
    """Returns one score of every test image for masks that lie outside run folders, by the same rules as a run's.

    Args:
        masks: one a sample.
        manifest: of the data.
        samples: the test part.
        score: see `check_score`.
        size: (H, W) of the masks, which the truth is resized to; None: each image's own size.
        settings: of outlines, for their scores.
        progress: called an image.
    """
    class_map = manifest.class_map
    surfaces = SurfaceCollector(class_map, settings) if needs_outlines(score) else None
    tables, ignored = [], []
    for done, sample in enumerate(samples, start=1):
        _, target = load_sample(manifest, sample)
        target = target if size is None else resize_mask(target, size)
        mask = masks.read(sample.id)
        table, skipped = count_masks(
            mask, target, class_map.num_classes, ignore_index=class_map.ignore_index, task=class_map.task
        )
        tables.append(table)
        ignored.append(skipped)
        if surfaces is not None:
            surfaces.add(sample.id, mask, target)
        if progress is not None:
            progress("scoring masks", done, len(samples))
    counts = Counts(
        ids=tuple(sample.id for sample in samples),
        confusion=np.stack(tables),
        ignored=np.array(ignored, dtype=np.int64),
        task=class_map.task,
    )
    resolution = OWN_SIZE if size is None else size_text(size)
    outlines = None
    if surfaces is not None:
        outlines = score_surfaces(surfaces.values(), class_map, settings=settings, resolution=resolution)
    return pick(score, score_counts(counts, class_map, resolution=resolution), outlines)
