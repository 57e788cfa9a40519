"""A data set's folder -> a checked manifest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segbench.data.facts.store import FactStore
from segbench.data.files.folders import existing_folder
from segbench.data.files.kept import KeptPixels
from segbench.data.formats import FORMATS, Listing, check_format, recognise
from segbench.data.formats.detect import detect, resolve
from segbench.data.formats.shared.unpacked import telling
from segbench.data.manifest.manifest import Manifest, is_manifest
from segbench.data.manifest.sample import raise_problems
from segbench.data.public.archive import is_archive, open_archive
from segbench.data.sources.source import Survey
from segbench.data.sources.table import by_source, open_manifest, survey_of
from segbench.errors import DatasetError, shorten
from segbench.locale import message, plural
from segbench.speech import in_shell
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
        format: name of the reader (`FORMATS`); None recognises it. Options are never guessed: what the
            masks' values leave open is asked, with the option that answers it.
        progress: called while files are read.
        verify: decode every image and mask once and check the masks' values; else only the headers are read, masks
            are decoded just where the class map has to be derived from them, and `foreground_frac` stays None.
        kept: takes what is decoded here, so that `build_cache` need not decode it again; see `KeptPixels`.
        options: of the reader.
    Raises:
        DatasetError: the folder is missing, can be read in no or in several ways, or files are damaged, differ in size
            or hold unknown values: all of them are counted, and the first ones named with a reason each.
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
    root = existing_folder(root)
    signs = recognise(root) if format in (None, "folder") else {}
    with telling(progress):
        name = format or _recognised(root, signs, options)
        check_format(name, options)
        listing = _listed(root, name, options, is_told=format is not None)
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
        notes=(*_known_as(signs, name, format), *listing.notes, *notes, *([] if unsaved is None else [unsaved])),
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
            raise_problems(survey.refused, survey.root, survey.total)  # the masks that cannot be read may be why
        raise
    samples = tuple(sample for entry in entries if (sample := survey.sample(entry, class_map)) is not None)
    raise_problems(survey.refused, survey.root, survey.total)
    return class_map, samples, survey.notes(class_map)


def _recognised(root: Path, signs: Mapping[str, str], options: Mapping[str, Any]) -> str:
    """Returns the one reader that knows the folder, or that of ordinary folders.

    Raises:
        DatasetError: several know it, and not just one of them can read it.
    """
    return next(iter(signs), "folder") if len(signs) < 2 else resolve(root, None, options).format


def _listed(root: Path, name: str, options: Mapping[str, Any], *, is_told: bool) -> Listing:
    """Returns what the reader finds; where nobody told which one, a refusal says what the folder holds instead."""
    try:
        listing: Listing = FORMATS.get(name)(root, **options)
    except DatasetError as error:
        found = None if is_told else detect(root, options)
        if found is None or found.best is not None:
            raise
        raise DatasetError(found.question(), path=root) from error
    return listing


def _known_as(signs: Mapping[str, str], name: str, told: str | None) -> list[str]:
    """Returns a note on how the folder was recognised, or what else it looks like."""
    if told is None and signs:
        return [f"read as {name}: {signs[name]}"]
    return [f"this looks like {' and like '.join(signs.values())}, and was read as an ordinary folder"] if signs else []


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
                folder=in_shell(manifest.unpacked_from),
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
            plural(
                "{n} file of the manifest is gone from {folder}: {names}",
                "{n} files of the manifest are gone from {folder}: {names}",
                n=len(missing),
                folder=manifest.root,
                names=shorten(missing),
            ),
            path=path,
        )
    changed = [name for source, samples in groups if verify for name in source.changed(manifest, samples)]
    if changed:
        raise DatasetError(
            plural(
                "{n} file has changed since the manifest was written: {names}; read {folder} again",
                "{n} files have changed since the manifest was written: {names}; read {folder} again",
                n=len(changed),
                names=shorten(changed),
                folder=manifest.folder,
            ),
            path=path,
        )
    return manifest
