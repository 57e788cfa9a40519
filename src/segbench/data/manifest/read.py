"""A data set's folder -> a checked manifest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segbench.data.facts.store import FactStore
from segbench.data.files.kept import KeptPixels
from segbench.data.formats import FORMATS, Listing, check_format, recognise
from segbench.data.formats.shared.unpacked import telling
from segbench.data.manifest.manifest import Manifest, is_manifest
from segbench.data.manifest.sample import raise_problems
from segbench.data.public.archive import is_archive, open_archive
from segbench.data.sources.source import Survey
from segbench.data.sources.table import by_source, open_manifest, survey_of
from segbench.errors import DatasetError, shorten, suggest
from segbench.locale import message
from segbench.types import ClassMap, Progress, Sample


def read_dataset(
    path: str | Path,
    format: str | None = None,  # noqa: A002  # the config's word
    *,
    progress: Progress | None = None,
    verify: bool = True,
    kept: KeptPixels | None = None,
    **options: Any,
) -> Manifest:
    """Returns the manifest of a data set; what is found is remembered, so that a second reading is quick.

    Args:
        path: a folder, an archive of one (unpacked once, into the cache), or a manifest (.json) written before, which
            then decides format and options.
        format: name of the reader (`FORMATS`); None means `folder`, but refuses a data set that has its own reader.
        progress: called while files are read.
        verify: decode every image and mask once and check the masks' values; else only the headers are read, masks
            are decoded just where the class map has to be derived from them, and `foreground_frac` stays None.
        kept: takes what is decoded here, so that `build_cache` need not decode it again; see `KeptPixels`.
        options: of the reader.
    Raises:
        DatasetError: the folder is missing or does not hold that format, or files are damaged, differ in size or hold
            unknown values: all of them are counted, and the first ones named with a reason each.
        ConfigError: an unknown format or option.

    Example:
        >>> import segbench
        >>> manifest = segbench.read_dataset("oxford_pets", "oxford_pets", border="ignore")  # doctest: +SKIP
        >>> manifest.split("test")[0].id  # doctest: +SKIP
    """
    root = Path(path).expanduser().absolute()
    if is_archive(root):
        root = open_archive(root, progress=progress)
    if root.is_file():
        return _reopen(root, format, options, verify)
    root = _existing(root)
    name = "folder" if format is None else format
    check_format(name, options)
    known = _known_as(root, format)
    with telling(progress):
        listing: Listing = FORMATS.get(name)(root, **options)
    if not listing.entries:
        raise DatasetError(f"the reader {name!r} found no image with a mask in this folder", path=root)
    files = listing.root or root
    store = FactStore(files, lean=True, kept=kept)
    survey = survey_of(listing, files, store)
    survey.look(images=verify, masks=verify, progress=progress)
    unsaved = store.save() or survey.keep()
    class_map, samples, notes = read_survey(survey)
    return Manifest(
        root=files,
        unpacked_from=None if files == root else root,
        format=name,
        options=options,
        class_map=class_map,
        samples=samples,
        notes=(*known, *listing.notes, *notes, *([] if unsaved is None else [unsaved])),
        depth_range=listing.depth_range,
        tolerance=listing.tolerance,
        bands=listing.bands,
    )


def read_survey(survey: Survey) -> tuple[ClassMap, tuple[Sample, ...], list[str]]:
    """Returns classes, samples and notes of what a survey found.

    Raises:
        DatasetError: files that cannot be used; all are counted, the first ones named.
    """
    entries = survey.listing.entries
    try:
        class_map = survey.class_map()
    except DatasetError:
        if any(mask not in survey.masks for entry in entries for mask in entry.masks):
            raise_problems(survey.problems, survey.root, survey.total)  # the masks that cannot be read may be why
        raise
    samples = tuple(sample for entry in entries if (sample := survey.sample(entry, class_map)) is not None)
    raise_problems(survey.problems, survey.root, survey.total)
    return class_map, samples, survey.notes(class_map)


def _known_as(root: Path, format: str | None) -> list[str]:  # noqa: A002
    """Returns a note where a data set that has its own reader is to be read as an ordinary folder.

    Raises:
        DatasetError: nobody asked for that: its own reader knows the classes' names, and what is to be ignored.
    """
    found = recognise(root) if format in (None, "folder") else {}
    if not found:
        return []
    signs = " and like ".join(found.values())
    if format is None:
        readers = " or ".join(f"data.format: {name} (--format {name})" for name in found)
        raise DatasetError(
            f"this looks like {signs}: set {readers}, or data.format: folder (--format folder) to read it as an "
            "ordinary folder",
            path=root,
        )
    return [f"this looks like {signs}, and was read as an ordinary folder"]


def _existing(root: Path) -> Path:
    if root.is_dir():
        return root.resolve()
    there = [item.name for item in root.parent.iterdir()] if root.parent.is_dir() else []
    near = suggest(root.name, there).partition("known:")[0] if there else ""
    raise DatasetError(f"expected a data set's folder, but there is no such folder; {near}check the path", path=root)


def _reopen(path: Path, format: str | None, options: Mapping[str, Any], verify: bool) -> Manifest:  # noqa: A002
    if not is_manifest(path):
        raise DatasetError("expected a data set's folder or a manifest (.json), got another file", path=path)
    manifest = open_manifest(path)
    given = [*(["format"] if format is not None else []), *options]
    if given:
        raise DatasetError(
            f"the manifest decides format and options already; leave out {shorten(given)}, or read the folder "
            f"{manifest.folder} again",
            path=path,
        )
    if not manifest.root.is_dir() and manifest.unpacked_from is not None:
        raise DatasetError(
            message(
                "its files were unpacked from {folder} into the cache, which has been emptied since; read that folder "
                "again (segbench data check {folder})",
                folder=manifest.unpacked_from,
            ),
            path=path,
        )
    if not manifest.root.is_dir():
        raise DatasetError(
            f"the data set's folder {manifest.root} is not there any more; read it again from its new place", path=path
        )
    groups = by_source(manifest)
    missing = [name for source, samples in groups for name in source.missing(manifest, samples)]
    if missing:
        raise DatasetError(
            f"{len(missing)} files of the manifest are gone from {manifest.root}: {shorten(missing)}", path=path
        )
    changed = [name for source, samples in groups if verify for name in source.changed(manifest, samples)]
    if changed:
        raise DatasetError(
            f"{len(changed)} files have changed since the manifest was written: {shorten(changed)}; read "
            f"{manifest.folder} again",
            path=path,
        )
    return manifest
