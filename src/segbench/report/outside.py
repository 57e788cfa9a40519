"""Masks that another tool predicted, matched with the test images and read by the data set's own rules.

A folder of masks named like the test images (`case_07.png` for `case_07`), or what `segbench predict -o FOLDER` wrote;
for a multilabel task one sub-folder a class. Nothing is dropped in silence: what is missing, unreadable or of another
size is counted and named, and refused; files that belong to no test image are counted and told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from segbench.data.formats import IMAGE_SUFFIXES
from segbench.data.images import read_mask_values
from segbench.data.index import Manifest
from segbench.data.masks import encode_mask
from segbench.errors import DatasetError, shorten
from segbench.types import ClassMap, Sample, Task

UInt8Array = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, eq=False)
class OutsideMasks:
    """The masks of the test images in a folder, read one at a time.

    Attributes:
        folder: where they lie.
        class_map: of the data set.
        files: image id -> its files: one, multilabel one a class.
        as_indices: the files hold class indices rather than the values of the data set's own masks.
        at_own_size: every mask is as large as its image; else as large as the size that runs were trained at.
        notes: what a reader must know.
    """

    folder: Path
    class_map: ClassMap
    files: dict[str, tuple[Path, ...]] = field(repr=False)
    as_indices: bool
    at_own_size: bool
    notes: tuple[str, ...]

    def __contains__(self, image_id: str) -> bool:
        return image_id in self.files

    def read(self, image_id: str) -> UInt8Array:
        """Returns the mask of one image: (H, W) uint8 class indices, multilabel (C, H, W) uint8 of 0 and 1.

        Raises:
            DatasetError: a file cannot be read, or holds values that mean no class.
        """
        files = self.files[image_id]
        if self.class_map.task is Task.MULTILABEL:
            return np.stack([(read_mask_values(file) > 0).astype(np.uint8) for file in files])
        (file,) = files
        values = read_mask_values(file)
        if self.as_indices:
            return _require_classes(values.astype(np.uint8), self.class_map, file)
        return _require_classes(encode_mask(values, self.class_map, path=file), self.class_map, file)


def read_outside(
    folder: str | Path, manifest: Manifest, samples: Sequence[Sample], training_size: tuple[int, int] | None
) -> OutsideMasks:
    """Returns a folder's masks of the test images, all of them looked at once.

    Args:
        folder: of the masks.
        manifest: of the data.
        samples: the test part.
        training_size: (H, W) that a run scores at; None where nothing was trained at one size.
    Raises:
        DatasetError: masks are missing, unreadable, of the wrong size or of two kinds of sizes, or hold values that
            mean no class: how many, which, and what to do.
    """
    folder = Path(folder)
    root = folder / "masks" if (folder / "masks").is_dir() else folder
    class_map = manifest.class_map
    found = dict(_masks_in(root))
    files: dict[str, tuple[Path, ...]] = {}
    missing = []
    names = class_map.names if class_map.task is Task.MULTILABEL else ("",)
    for sample in samples:
        chosen = [_match(sample, found, f"{name}/" if name else "") for name in names]
        if any(file is None for file in chosen):
            missing.append(sample.id)
        files[sample.id] = tuple(file for file in chosen if file is not None)
    if missing:
        raise DatasetError(
            f"{len(missing)} of {len(samples)} test images have no mask here: {shorten(missing)}. A mask is named like "
            "its image; predict all test images, empty ones too",
            path=root,
        )
    used = {file for chosen in files.values() for file in chosen}
    extra = sorted(name for name, file in found.items() if file not in used)
    notes = [f"{folder}: {len(extra)} masks belong to no test image and were left out: {shorten(extra, 4)}"] * bool(
        extra
    )
    at_own_size = _check_sizes(root, samples, files, training_size)
    as_indices = class_map.task is not Task.MULTILABEL and _hold_indices(root, files, class_map)
    if as_indices:
        notes.append(f"{folder}: the masks were read as class indices 0 to {class_map.num_classes - 1}")
    return OutsideMasks(
        folder=folder,
        class_map=class_map,
        files=files,
        as_indices=as_indices,
        at_own_size=at_own_size,
        notes=tuple(notes),
    )


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
) -> bool:
    """Returns whether the masks have their images' own sizes; False: the training size."""
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
        message = f"{len(wrong)} masks have another size (H x W) than their image{also}: {shorten(wrong, 4)}"
        raise DatasetError(f"{message}. Write them at the image's own size, by nearest neighbour", path=root)
    if own and trained:
        message = (
            f"{len(own)} masks have their image's size ({shorten(own, 3)}) and {len(trained)} the size of the runs"
        )
        raise DatasetError(f"{message} ({shorten(trained, 3)}); write all of them at one kind of size", path=root)
    return not trained


def _size_of(file: Path) -> tuple[int, int]:
    try:
        with Image.open(file) as image:
            width, height = image.size
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise DatasetError(f"this mask cannot be read: {error}", path=file) from error
    return height, width


def _hold_indices(root: Path, files: dict[str, tuple[Path, ...]], class_map: ClassMap) -> bool:
    """Returns whether the folder's values are class indices; False: the values of the data set's own masks.

    Decided over all masks together: a mask that is 0 everywhere fits both.
    """
    allowed = {value for values in class_map.values for value in values if isinstance(value, int)}
    found: set[int] = set()
    for (file,) in files.values():
        values = read_mask_values(file)
        if values.ndim == 3:
            return False
        found |= {int(value) for value in np.unique(values)}
    if found <= allowed:
        return False
    if found <= set(range(class_map.num_classes)):
        return True
    raise DatasetError(
        f"the masks hold the values {shorten(sorted(found))}; expected those of the data set's own masks "
        f"({shorten(sorted(allowed)) or 'colours'}) or class indices 0 to {class_map.num_classes - 1}",
        path=root,
    )


def _require_classes(mask: UInt8Array, class_map: ClassMap, file: Path) -> UInt8Array:
    if mask.size and int(mask.max()) >= class_map.num_classes:
        pixels = int((mask >= class_map.num_classes).sum())
        raise DatasetError(
            f"{pixels} pixels are marked to be ignored; a prediction names a class everywhere", path=file
        )
    return mask
