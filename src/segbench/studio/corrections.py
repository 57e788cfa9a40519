"""Masks that a person corrected: kept beside the data set, which stays as it is, every version of them.

::

    corrected/NAME/
        corrections.json     which samples, which version, when, and what the mask was before
        masks/SAMPLE.vN.png  every version, in the values of the data set's own masks; multilabel one file a class
        manifest.json        the data set with the corrected masks in place of its own: what a training reads

Whoever saves says which version the correction was made on, so that two people, or two tabs, never overwrite each
other's work in silence: the second is refused, and told so.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segbench.data.manifest.manifest import Manifest
from segbench.data.sources.load import load_sample
from segbench.errors import DatasetError
from segbench.files import locked, replacing, write_json
from segbench.locale import join, message, plural
from segbench.serve.answers import ServeError
from segbench.types import ClassMap, Sample, Task

U8 = NDArray[np.uint8]
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Correction:
    """One sample's mask as a person left it.

    Attributes:
        version: 1 for the first.
        saved: when, ISO 8601 with the zone.
        before: SHA-256 of the data set's own mask that was corrected.
        files: of the mask, relative to the folder; multilabel one a class.
        sha256: as `Sample.mask_hash` of the files.
    """

    version: int
    saved: str
    before: str
    files: tuple[str, ...]
    sha256: str


class Corrections:
    """The corrections of one data set. Safe with several threads and processes.

    Args:
        folder: where they lie; made at the first.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def manifest_file(self) -> Path:
        """The data set with its corrected masks."""
        return self.folder / "manifest.json"

    def all(self) -> dict[str, Correction]:
        """Returns id of the sample -> its correction.

        Raises:
            DatasetError: the file that lists them is damaged.
        """
        file = self.folder / "corrections.json"
        if not file.is_file():
            return {}
        try:
            plain = json.loads(file.read_text(encoding="utf-8"))
            if plain["format"] != FORMAT:
                raise DatasetError(f"expected corrections of format {FORMAT}, got {plain['format']!r}", path=file)
            return {
                name: Correction(**{**each, "files": tuple(each["files"])}) for name, each in plain["samples"].items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            told = f"the list of corrections is damaged ({error}); the masks beside it, in masks/, are all there"
            raise DatasetError(told, path=file) from error

    def labels(self, manifest: Manifest, sample: Sample) -> tuple[U8, int]:
        """Returns the labels as they are now, (H, W) or multilabel (C, H, W), and their version; 0: the data set's own.

        Raises:
            DatasetError: they cannot be read.
        """
        correction = self.all().get(sample.id)
        changed = sample if correction is None else self._corrected(sample, correction)
        return load_sample(manifest, changed)[1], 0 if correction is None else correction.version

    def sample(self, sample: Sample) -> Sample:
        """Returns a sample with its corrected mask, where it has one."""
        correction = self.all().get(sample.id)
        return sample if correction is None else self._corrected(sample, correction)

    def save(self, manifest: Manifest, sample: Sample, labels: U8, version: int) -> Correction:
        """Keeps a corrected mask; the versions before it stay. What is there already is not kept twice: whoever did not
        hear that it was saved may save it again.

        Args:
            labels: (H, W) class indices and `ignore_index`, multilabel (C, H, W) of 0 and 1.
            version: which the correction was made on.
        Raises:
            ServeError: 409, somebody else saved another version meanwhile; 422, labels that the masks cannot hold; 507,
                nothing can be written.
        """
        if sample.window is not None or manifest.bands is not None:
            told = message("parts of rasters cannot be corrected here; correct the raster's mask in a tool for maps")
            raise ServeError(422, told, code="not_correctable")
        planes = encoded(labels, manifest.class_map)
        try:
            (self.folder / "masks").mkdir(parents=True, exist_ok=True)
            with locked(self.folder / ".lock"):
                return self._saved(manifest, sample, planes, version)
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def _saved(self, manifest: Manifest, sample: Sample, planes: list[U8], version: int) -> Correction:
        known = self.all()
        there = known.get(sample.id)
        now = 0 if there is None else there.version
        if there is not None and now != version and self._hold(there.files, planes):
            return there
        if now != version:
            when = "" if there is None else there.saved
            told = message(
                "somebody else saved version {now} of this mask at {when}, and yours was made on version "
                "{version}; nothing was overwritten. Look at theirs, or save yours over it",
                now=now,
                when=when,
                version=version,
            )
            raise ServeError(409, told, code="conflict")
        free = self._free_version(sample, planes, now + 1)
        correction = self._written(sample, planes, free, sample.mask_hash if there is None else there.before)
        known[sample.id] = correction
        self._write(manifest, known)
        return correction

    def _hold(self, files: Sequence[str], planes: list[U8]) -> bool:
        """Tells whether files are this mask."""
        try:
            kept = [np.asarray(Image.open(self.folder / name)) for name in files]
        except OSError:
            return False
        return len(kept) == len(planes) and all(map(np.array_equal, kept, planes))

    def revert(self, manifest: Manifest, sample: Sample) -> None:
        """Takes the data set's own mask again; the corrected versions stay in the folder.

        Raises:
            ServeError: 507, nothing can be written.
        """
        if not self.folder.is_dir():
            return
        try:
            with locked(self.folder / ".lock"):
                known = self.all()
                if known.pop(sample.id, None) is not None:
                    self._write(manifest, known)
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def corrected(self, manifest: Manifest) -> Manifest:
        """Returns the data set with the corrected masks in place of its own."""
        return self._with(manifest, self.all())

    def _with(self, manifest: Manifest, known: Mapping[str, Correction]) -> Manifest:
        samples = tuple(
            self._corrected(each, known[each.id]) if each.id in known else each for each in manifest.samples
        )
        return replace(manifest, samples=samples)

    def _corrected(self, sample: Sample, correction: Correction) -> Sample:
        files = tuple(str(self.folder / name) for name in correction.files)
        mask: str | tuple[str, ...] = files[0] if isinstance(sample.mask, str) or len(files) == 1 else files
        if len(files) > 1:
            mask = files
        return replace(sample, mask=mask, mask_key="", mask_hash=correction.sha256)

    def _free_version(self, sample: Sample, planes: list[U8], version: int) -> int:
        """Returns the first version from one on in which no other mask is kept: after `revert`, versions count on."""
        while True:
            files = _files(sample, version, len(planes))
            if not any((self.folder / name).exists() for name in files) or self._hold(files, planes):
                return version
            version += 1

    def _written(self, sample: Sample, planes: list[U8], version: int, before: str) -> Correction:
        names, hashes = _files(sample, version, len(planes)), []
        for name, plane in zip(names, planes, strict=True):
            with replacing(self.folder / name) as temporary:
                Image.fromarray(plane).save(temporary, "PNG")
            hashes.append(hashlib.sha256((self.folder / name).read_bytes()).hexdigest())
        joined = hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
        saved = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        return Correction(version=version, saved=saved, before=before, files=names, sha256=joined)

    def _write(self, manifest: Manifest, known: Mapping[str, Correction]) -> None:
        """Writes the manifest, then the list, by which a correction counts: what breaks between them is saved again."""
        self._with(manifest, known).write(self.manifest_file)
        samples = {name: asdict(known[name]) for name in sorted(known)}
        write_json(self.folder / "corrections.json", {"format": FORMAT, "samples": samples})


def encoded(labels: U8, class_map: ClassMap) -> list[U8]:
    """Returns what the data set's own mask files would hold: one (H, W) or (H, W, 3), multilabel one (H, W) a class.

    Raises:
        ServeError: labels that no class has, or ignored pixels where the masks have no value for them.
    """
    multilabel = class_map.task is Task.MULTILABEL
    found = set(np.flatnonzero(np.bincount(labels.ravel(), minlength=256)).tolist())
    unknown = sorted(found - set(range(2 if multilabel else class_map.num_classes)) - {class_map.ignore_index})
    if unknown:
        raise ServeError(422, f"no class has the label {unknown[0]}", code="bad_labels")
    if class_map.ignore_index in found and not class_map.ignore_values:
        told = message("the masks of this data set have no value for pixels that count nowhere; give them a class")
        raise ServeError(422, told, code="bad_labels")
    if multilabel:
        return [_plane(plane, class_map, index) for index, plane in enumerate(labels)]
    values = [each[0] for each in class_map.values]
    first = values[0]
    table = np.zeros((256, 3) if isinstance(first, tuple) else 256, np.uint8)
    for index, value in enumerate(values):
        table[index] = value
    if class_map.ignore_values:
        table[class_map.ignore_index] = class_map.ignore_values[0]
    return [table[labels]]


def _unwritable(folder: Path, error: OSError) -> ServeError:
    told = message(
        "this cannot be saved in {folder}: {reason}. Free space, or mend the folder; what was painted waits in this "
        "browser, and is saved as soon as that is possible",
        folder=str(folder),
        reason=error.strerror or str(error),
    )
    return ServeError(507, told, code="unwritable")


def _plane(plane: U8, class_map: ClassMap, index: int) -> U8:
    """Returns (H, W) as the mask file of one class holds it: present, absent, and what counts nowhere."""
    present = [value for value in class_map.values[index] if isinstance(value, int)]
    table = np.full(256, 255 if 0 in present else 0, np.uint8)  # as `encode_plane` reads what is absent
    table[1] = present[0] if present else 1
    if class_map.ignore_values:
        table[class_map.ignore_index] = class_map.ignore_values[0]
    return table[plane]


def _files(sample: Sample, version: int, planes: int) -> tuple[str, ...]:
    """Returns the files of a version, relative to the folder."""
    parts = [f".{index}" for index in range(planes)] if planes > 1 else [""]
    return tuple(f"masks/{_file_stem(sample.id)}.v{version}{part}.png" for part in parts)


def _file_stem(name: str) -> str:
    """Returns a sample's id as a file's name: readable, and told from every other."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", name)[:80].strip(".")
    return plain if plain == name else f"{plain}.{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def summary(corrections: Corrections, manifest: Manifest, tested: Collection[str] = ()) -> dict[str, Any]:
    """Returns what was corrected, and whether scores on the test part still mean the same.

    Args:
        tested: samples that trainings drew for their test parts, beside those of the data set's own.
    """
    known = corrections.all()
    rows = [
        {"index": index, "id": sample.id, "part": sample.split, "version": known[sample.id].version}
        for index, sample in enumerate(manifest.samples)
        if sample.id in known
    ]
    count = sum(row["part"] == "test" or row["id"] in tested for row in rows)
    told = plural(
        "{n} corrected mask is of the test part: scores before and after are not comparable",
        "{n} corrected masks are of the test part: scores before and after are not comparable",
        n=count,
    )
    own = {sample.id: sample.mask_hash for sample in manifest.samples}
    others = sum(name in own and each.before != own[name] for name, each in known.items())
    told_others = plural(
        "{n} corrected mask was made on another mask than the data set has now; look at it again",
        "{n} corrected masks were made on other masks than the data set has now; look at them again",
        n=others,
    )
    warnings = [*([told] if count else []), *([told_others] if others else [])]
    return {
        "folder": str(corrections.folder),
        "samples": rows,
        "test": count,
        "told": join("; ", warnings) if warnings else "",
        "hash_before": manifest.content_hash,
        "hash": corrections.corrected(manifest).content_hash,
    }
