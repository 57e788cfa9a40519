"""Which images of a folder have no label yet: of a labelled data set those without one, of any other folder all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from segbench.assist.labelled import not_yet_options
from segbench.data.formats import FORMATS, IMAGE_SUFFIXES, Listing, recognise
from segbench.data.manifest.manifest import Manifest
from segbench.errors import DatasetError
from segbench.folders.run import RunFolder
from segbench.locale import Message, message, plural
from segbench.speech import in_shell


@dataclass(frozen=True, kw_only=True)
class Labels:
    """What is labelled in a folder.

    Attributes:
        images: image files that have a label.
        masks: files that are labels, not images.
        mask_folders: that hold labels alone.
        note: how the folder was understood.
    """

    images: frozenset[Path] = frozenset()
    masks: frozenset[Path] = frozenset()
    mask_folders: frozenset[Path] = frozenset()
    note: Message | None = None

    def is_label(self, path: Path) -> bool:
        """Tells whether a file is a label: masks that have no image, too."""
        return path in self.masks or path.parent in self.mask_folders


def read_labels(folder: Path) -> Labels:
    """Returns the labels in a folder, as the readers of data sets find them; of a folder of photos there are none.

    Raises:
        DatasetError: it is a data set of a known format that cannot be read.
    """
    folder = folder.absolute()
    known = next(iter(recognise(folder)), None)
    name = known or "folder"
    try:
        return _of_listing(name, folder, FORMATS.get(name)(folder, **not_yet_options(folder, name, {})))
    except DatasetError:
        if known is not None:
            raise
    return Labels(
        note=message(
            "no labels were found in {folder}, so all its images are candidates (`segbench data check {shown}` says "
            "how it is read)",
            folder=folder.name,
            shown=in_shell(folder),
        )
    )


def _of_listing(name: str, root: Path, listing: Listing) -> Labels:
    images = frozenset(entry.image for entry in listing.entries)
    masks = {path for entry in listing.entries for path in entry.masks}
    masks |= {root / file for entry in listing.entries if entry.drawing for file, _ in entry.drawing.files}
    return Labels(
        images=images,
        masks=frozenset(masks),
        mask_folders=frozenset({path.parent for path in masks} - {path.parent for path in images}),
        note=plural(
            "{folder}: read as {format}, {n} labelled image",
            "{folder}: read as {format}, {n} labelled images",
            n=len(images),
            folder=root.name,
            format=name,
        ),
    )


def labelled_elsewhere(folders: Iterable[Path]) -> list[Path]:
    """Returns the image files of folders that hold what is labelled already; of one without labels, all its images.

    Raises:
        DatasetError: a folder is not there, or holds no image.
    """
    found: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise DatasetError(message("there is no such folder"), path=folder)
        images = sorted(read_labels(folder).images) or [
            path for path in sorted(folder.rglob("*")) if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
        ]
        if not images:
            raise DatasetError(message("there is no image in this folder"), path=folder)
        found += images
    return found


def learnt_from(models: Sequence[Path]) -> tuple[list[Path], set[str]]:
    """Returns the images of the data of runs: the files that are still there, and the SHA-256 of all."""
    files: dict[Path, None] = {}
    hashes: set[str] = set()
    for path in models:
        run = RunFolder(path)
        if run.is_run and run.manifest_file.is_file():
            manifest = Manifest.read(run.manifest_file)
            hashes |= {sample.image_hash for sample in manifest.samples}
            files |= {manifest.root / sample.image: None for sample in manifest.samples if sample.window is None}
    return [path for path in files if path.is_file()], hashes
