"""A data set's folder -> a checked manifest; a manifest's sample -> pixels and labels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segbench.data.facts.store import FactStore, ImageFact, MaskFact, Problem
from segbench.data.files.bands import shown
from segbench.data.files.hints import describe_value
from segbench.data.files.images import ImageFacts, image_facts, read_bytes, read_image, read_mask_values
from segbench.data.files.masks import class_counts, encode_mask, encode_plane, has_colors
from segbench.data.formats import FORMATS, Entry, Listing, check_format, recognise
from segbench.data.formats.shared.rasters import RasterListing
from segbench.data.manifest.manifest import SHARDS, Manifest, is_manifest
from segbench.data.manifest.sample import CHANGED, LISTED, foreground_frac, raise_problems, relative_name, size_text
from segbench.data.public.archive import is_archive, open_archive
from segbench.data.samples.shards import is_shards, load_from_shards, open_shards, read_shards
from segbench.data.shapes.drawing import Drawing
from segbench.data.sources.raster import changed_scenes, load_scene, read_scenes
from segbench.data.sources.shapes import Drawn, changed_drawings, draw_mask
from segbench.errors import DatasetError, shorten, suggest
from segbench.types import SPLITS, ClassMap, Progress, Sample, SplitName, Task

__all__ = ["Manifest", "load_picture", "load_sample", "read_dataset"]


def read_dataset(
    path: str | Path,
    format: str | None = None,  # noqa: A002  # the config's word
    *,
    progress: Progress | None = None,
    verify: bool = True,
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
        options: of the reader.
    Raises:
        DatasetError: the folder is missing or does not hold that format, or files are damaged, differ in size or hold
            unknown values: all of them are counted, and the first ones named with a reason each.
        ConfigError: an unknown format or option.
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
    listing: Listing = FORMATS.get(name)(root, **options)
    if not listing.entries:
        raise DatasetError(f"the reader {name!r} found no image with a mask in this folder", path=root)
    if isinstance(listing, RasterListing):
        class_map, scenes, told = read_scenes(listing, root, verify=verify, progress=progress)
        notes = [*known, *listing.notes, *_shared_groups(listing.entries), *told]
        about: dict[str, Any] = {"root": root, "format": name, "options": options}
        return Manifest(**about, class_map=class_map, samples=scenes, notes=tuple(notes), bands=listing.bands)
    store = FactStore(root, lean=True)
    images, problems = store.images(
        [entry.image for entry in listing.entries], depth_range=listing.depth_range, decode=verify, progress=progress
    )
    masks: dict[Path, MaskFact] = {}
    if verify or not isinstance(listing.class_map, ClassMap):
        masks, more = store.masks((mask for entry in listing.entries for mask in entry.masks), progress=progress)
        problems += more
    drawn = Drawn.of(listing, images, root, problems)
    if verify:
        drawn.look(store, problems, progress)
    unsaved = store.save() or drawn.keep()
    class_map = _class_map(listing, masks, problems, root)
    samples = [
        _sample(entry, root, class_map, listing.tolerance, images, masks if verify else {}, drawn, problems)
        for entry in listing.entries
    ]
    raise_problems(problems, root, len(listing.entries))
    notes = [*known, *listing.notes, *_notes(listing, class_map, images, masks), *drawn.notes()]
    return Manifest(
        root=root,
        format=name,
        options=options,
        class_map=class_map,
        samples=tuple(sample for sample in samples if sample is not None),
        notes=tuple(notes if unsaved is None else [*notes, unsaved]),
        depth_range=listing.depth_range,
        tolerance=listing.tolerance,
    )


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


def load_sample(manifest: Manifest, sample: Sample) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Returns a sample's image, (H, W, C) uint8, and its labels, uint8 with `ignore_index` where nothing counts.

    Images are RGB, but where the manifest has `bands`. Labels are class indices (H, W); multilabel 0 and 1 (C, H, W),
    a plane a class.

    Raises:
        DatasetError: a file is missing, or its bytes (SHA-256) are not those the manifest was made from.
    """
    if manifest.format == SHARDS:
        return load_from_shards(manifest, sample)
    if manifest.bands is not None:
        return load_scene(manifest, sample)
    path = manifest.image_path(sample)
    data = read_bytes(path)
    if hashlib.sha256(data).hexdigest() != sample.image_hash:
        raise DatasetError(CHANGED.format("the file"), path=path)
    image = read_image(path, depth_range=manifest.depth_range, data=data)
    class_map, colors = manifest.class_map, has_colors(manifest.class_map)
    if sample.mask_key:
        return image, draw_mask(manifest, sample)
    if isinstance(sample.mask, str):
        path = manifest.root / sample.mask
        data = read_bytes(path)
        if hashlib.sha256(data).hexdigest() != sample.mask_hash:
            raise DatasetError(CHANGED.format("the file"), path=path)
        values = read_mask_values(path, colors=colors, data=data)
        return image, encode_mask(values, class_map, path=path, tolerance=manifest.tolerance)
    files = [read_bytes(manifest.root / name) if name else None for name in sample.mask]
    if _joined(None if file is None else hashlib.sha256(file).hexdigest() for file in files) != sample.mask_hash:
        raise DatasetError(CHANGED.format(f"a file of {shorten(filter(None, sample.mask))}"), path=manifest.root)
    planes = [
        np.zeros(image.shape[:2], dtype=np.uint8)
        if file is None
        else encode_plane(
            read_mask_values(manifest.root / name, colors=colors, data=file),
            class_map,
            index,
            path=manifest.root / name,
            tolerance=manifest.tolerance,
        )
        for index, (name, file) in enumerate(zip(sample.mask, files, strict=True))
    ]
    return image, np.stack(planes)


def load_picture(manifest: Manifest, sample: Sample) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Returns a sample's image as people see it, (H, W, 3) uint8 RGB, and its labels; see `load_sample`."""
    image, labels = load_sample(manifest, sample)
    return shown(image, manifest.display), labels


def _class_map(listing: Listing, masks: Mapping[Path, MaskFact], problems: Sequence[Problem], root: Path) -> ClassMap:
    if isinstance(listing.class_map, ClassMap):
        return listing.class_map
    if all(mask in masks for entry in listing.entries for mask in entry.masks):
        return listing.class_map(masks)
    try:
        return listing.class_map(masks)  # the readable masks may suffice, so that all problems are told at once
    except DatasetError:
        raise_problems(problems, root, len(listing.entries))
        raise


def _sample(
    entry: Entry,
    root: Path,
    class_map: ClassMap,
    tolerance: int,
    images: Mapping[Path, ImageFact],
    masks: Mapping[Path, MaskFact],
    drawn: Drawn,
    problems: list[Problem],
) -> Sample | None:
    image = images.get(entry.image)
    if isinstance(entry.mask, Drawing):
        return drawn.sample(entry, entry.mask, class_map) if image is not None else None
    facts: Sequence[MaskFact | ImageFacts]
    facts = [masks[path] for path in entry.masks if path in masks] if masks else _headers(entry.masks, problems)
    if image is None or len(facts) < len(entry.masks):
        return None  # the reason is among the problems already
    for path, fact in zip(entry.masks, facts, strict=True):
        if (fact.height, fact.width) != (image.height, image.width):
            problems.append((path, size_text(image.height, image.width, fact.height, fact.width)))
            return None
    counted = _count_classes(entry, class_map, tolerance, masks, problems) if masks else {}
    if counted is None:
        return None
    hashes = dict(zip(entry.masks, (fact.sha256 for fact in facts), strict=True))
    return Sample(
        id=entry.id,
        image=relative_name(entry.image, root),
        mask=relative_name(entry.mask, root)
        if isinstance(entry.mask, Path)
        else tuple("" if path is None else relative_name(path, root) for path in entry.mask),
        height=image.height,
        width=image.width,
        image_hash=image.sha256,
        mask_hash=hashes[entry.mask]
        if isinstance(entry.mask, Path)
        else _joined(None if path is None else hashes[path] for path in entry.mask),
        group=entry.group,
        split=entry.split,
        foreground_frac=foreground_frac(counted, class_map),
    )


def _headers(paths: Sequence[Path], problems: list[Problem]) -> Sequence[ImageFacts]:
    headers: list[ImageFacts] = []
    for path in paths:
        try:
            headers.append(image_facts(path))
        except DatasetError as error:
            problems.append((path, error.reason))
    return headers


def _joined(hashes: Iterable[str | None]) -> str:
    """Returns one hash over a multilabel sample's masks; a class without a file (None) counts as such."""
    return hashlib.sha256(" ".join("-" if one is None else one for one in hashes).encode()).hexdigest()


def _count_classes(
    entry: Entry, class_map: ClassMap, tolerance: int, masks: Mapping[Path, MaskFact], problems: list[Problem]
) -> dict[int, int] | None:
    """Returns pixels a class index of a sample, {} for multilabel; or None after adding to `problems`."""
    places = entry.masks if isinstance(entry.mask, Path | Drawing) else entry.mask
    multilabel = class_map.task is Task.MULTILABEL
    result: dict[int, int] = {}
    for index, path in enumerate(places):
        if path is None:
            continue
        fact = masks[path]
        counts = fact.in_colors() if has_colors(class_map) else fact.counts
        counted = class_counts(counts, class_map, tolerance=tolerance, index=index if multilabel else None)
        if counted is None or fact.distinct > len(fact.counts):
            reason = "the mask holds values outside the class map"
            if len(problems) < LISTED:  # finding the pixels means decoding again
                reason = _why(path, class_map, index if multilabel else None, tolerance) or reason
            problems.append((path, reason))
            return None
        if not multilabel:
            result = counted[0]
    return result


def _why(path: Path, class_map: ClassMap, index: int | None, tolerance: int) -> str | None:
    try:
        values = read_mask_values(path, colors=has_colors(class_map))
        if index is None:
            encode_mask(values, class_map, tolerance=tolerance)
        else:
            encode_plane(values, class_map, index, tolerance=tolerance)
    except DatasetError as error:
        return error.reason
    return None


def _notes(
    listing: Listing, class_map: ClassMap, images: Mapping[Path, ImageFact], masks: Mapping[Path, MaskFact]
) -> list[str]:
    seen = [note for entry in listing.entries if entry.image in images for note in images[entry.image].notes]
    notes = [shorten(seen, 3)] if seen else []
    notes += _shared_groups(listing.entries)
    notes += _ignored(listing, class_map, masks)
    if not listing.tolerance:
        return notes
    moved = pixels = files = 0
    for fact in masks.values():
        counted = class_counts(
            fact.counts,
            class_map,
            tolerance=listing.tolerance,
            index=0 if class_map.task is Task.MULTILABEL else None,
        )
        moved += counted[1] if counted is not None else 0
        files += counted is not None and counted[1] > 0
        pixels += fact.height * fact.width
    if moved:
        notes.append(
            f"tolerance {listing.tolerance}: {moved} mask pixels ({moved / pixels:.2%}) in {files} files were taken as "
            "the nearest class value"
        )
    return notes


def _ignored(listing: Listing, class_map: ClassMap, masks: Mapping[Path, MaskFact]) -> list[str]:
    """Returns a note on the pixels whose value means that they count nowhere."""
    if not class_map.ignore_values:
        return []
    multilabel, colors = class_map.task is Task.MULTILABEL, has_colors(class_map)
    pixels = ignored = 0
    for entry in listing.entries:
        places = () if isinstance(entry.mask, Drawing) else entry.mask
        for index, path in enumerate(places if isinstance(places, tuple) else (places,)):
            fact = None if path is None else masks.get(path)
            if fact is None:
                continue
            counts = fact.in_colors() if colors else fact.counts
            counted = class_counts(counts, class_map, tolerance=listing.tolerance, index=index if multilabel else None)
            pixels += fact.height * fact.width
            ignored += counted[0].get(class_map.ignore_index, 0) if counted is not None else 0
    if not ignored:
        return []
    values = ", ".join(describe_value(value) for value in class_map.ignore_values)
    subject = f"value {values} is" if len(class_map.ignore_values) == 1 else f"values {values} are"
    return [f"{subject} ignored: {ignored} pixel{'s' * (ignored != 1)} ({100 * ignored / pixels:.3g} %)"]


def _shared_groups(entries: Sequence[Entry]) -> list[str]:
    parts: dict[str, set[SplitName]] = {}
    for entry in entries:
        if entry.group is not None and entry.split is not None:
            parts.setdefault(entry.group, set()).add(entry.split)
    shared = [
        f"{group} in {', '.join(split for split in SPLITS if split in found)}"
        for group, found in sorted(parts.items())
        if len(found) > 1
    ]
    if not shared:
        return []
    return [
        f"the official parts share groups, so scores may flatter ({'; '.join(shared)}); the official lists are kept"
    ]


def _reopen(path: Path, format: str | None, options: Mapping[str, Any], verify: bool) -> Manifest:  # noqa: A002
    if not is_manifest(path):
        raise DatasetError("expected a data set's folder or a manifest (.json), got another file", path=path)
    manifest = read_shards(path).manifest if is_shards(path) else Manifest.read(path)
    given = [*(["format"] if format is not None else []), *options]
    if given:
        raise DatasetError(
            f"the manifest decides format and options already; leave out {shorten(given)}, or read the folder "
            f"{manifest.root} again",
            path=path,
        )
    if not manifest.root.is_dir():
        raise DatasetError(
            f"the data set's folder {manifest.root} is not there any more; read it again from its new place", path=path
        )
    if manifest.format == SHARDS:
        open_shards(manifest)
        return manifest
    missing: list[str] = []
    for sample in manifest.samples:
        missing += [
            str(found.relative_to(manifest.root))
            for found in (manifest.image_path(sample), *manifest.mask_paths(sample))
            if not found.is_file()
        ]
    if missing:
        raise DatasetError(
            f"{len(missing)} files of the manifest are gone from {manifest.root}: {shorten(missing)}", path=path
        )
    if verify:
        if manifest.bands is not None:
            changed = changed_scenes(manifest)
        else:
            store = FactStore(manifest.root)
            changed = [name for sample in manifest.samples for name in _changed(manifest, sample, store)]
            changed += changed_drawings(manifest)
        if changed:
            raise DatasetError(
                f"{len(changed)} files have changed since the manifest was written: {shorten(changed)}; read "
                f"{manifest.root} again",
                path=path,
            )
    return manifest


def _changed(manifest: Manifest, sample: Sample, store: FactStore) -> list[str]:
    changed = [sample.image] if store.sha256(manifest.image_path(sample)) != sample.image_hash else []
    if sample.mask_key:
        return changed  # drawings are compared all at once
    if isinstance(sample.mask, str):
        now = store.sha256(manifest.root / sample.mask)
        return [*changed, sample.mask] if now != sample.mask_hash else changed
    if _joined(store.sha256(manifest.root / name) if name else None for name in sample.mask) != sample.mask_hash:
        changed.append(" or ".join(name for name in sample.mask if name))
    return changed
