"""A data set checked in one call: what `segbench data check` looks at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from segbench.data.manifest.manifest import Manifest, is_manifest
from segbench.data.public.archive import is_archive, open_archive
from segbench.doctor.finding import Checkup
from segbench.doctor.reviewed import without_reviewed
from segbench.doctor.run import examine
from segbench.errors import ConfigError
from segbench.types import Progress


def check_dataset(
    path: str | Path,
    format: str | None = None,  # noqa: A002  # the config's word
    *,
    fast: bool = False,
    image_size: tuple[int, int] | None = None,
    reviewed: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> Checkup:
    """Returns everything that is wrong with a labelled data set, and its numbers; nothing in it is changed.

    Args:
        path: a folder, an archive of one (unpacked once, into the cache), or a manifest (.json) written before.
        format: name of the reader (`segbench list formats`); None recognises it.
        fast: read headers and masks, but neither decode images nor look at objects and shapes.
        image_size: (H, W) of training in pixels, at which objects have to survive; None takes what a config
            begins with.
        reviewed: also what a person has decided about in the studio (`FOLDER.reviewed.json` beside the data set); else
            it is left out, and `Checkup.reviewed` says how much.
        progress: called while files are read.
        options: of the reader.
    Raises:
        DatasetError: there is no such folder, or the list of reviewed findings is damaged.
        ConfigError: an unknown format or option.

    Example:
        >>> import segbench
        >>> for finding in segbench.check_dataset("my_images").findings:  # doctest: +SKIP
        ...     print(finding.severity, finding.title)
    """
    if image_size is not None and not (
        isinstance(image_size, tuple)
        and len(image_size) == 2
        and all(isinstance(side, int) and side > 0 for side in image_size)
    ):
        raise ConfigError(f"expected (H, W) in pixels, both 1 or more, got {image_size!r}", key="image_size")
    folder = named = Path(path).expanduser()
    if is_archive(folder):
        folder = open_archive(folder, progress=progress)
    if is_manifest(folder):
        manifest = Manifest.read(folder)
        folder, format, options = manifest.folder, manifest.format, {**manifest.options, **options}  # noqa: A001
        named = folder
    checkup = examine(folder, format, options=options, fast=fast, image_size=image_size, progress=progress)
    return checkup if reviewed else without_reviewed(checkup, named)
