"""The manifest: a data set's samples, classes and parts, as a value that is hashed, written and read back."""

from __future__ import annotations

import hashlib
import html
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

from segbench.data.files.bands import RGB_DISPLAY, Bands, Display
from segbench.errors import DatasetError, shorten, suggest
from segbench.files import write_text
from segbench.types import SPLITS, ClassMap, Sample, SplitName

VERSION = 1


def is_manifest(path: str | Path) -> bool:
    """Returns whether a path means a manifest rather than a data set's folder: *.json in any case, and no folder."""
    return Path(path).suffix.lower() == ".json" and not Path(path).expanduser().is_dir()


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A data set, read and checked.

    Attributes:
        root: absolute; the samples' paths are relative to it.
        format, options: reader and its options, as given to `read_dataset`.
        class_map: the classes and how the mask files write them.
        samples: sorted by id.
        notes: what a person should know: what was left out, what was changed while reading.
        depth_range, tolerance: how `load_sample` decodes the files, as the reader said.
        bands: the channels of files that are read by windows (GeoTIFF); None for ordinary images, which are RGB.
        unpacked_from: the data set's own folder, where the files at `root` are a copy in the cache, unpacked from what
            it holds (volumes, tables); None where `root` is that folder.

    Example:
        >>> import segbench
        >>> manifest = segbench.read_dataset("my_images")  # doctest: +SKIP
        >>> len(manifest), manifest.class_map.names  # doctest: +SKIP
        >>> manifest.write("my_images.json")  # a config's data.path may name it  # doctest: +SKIP
    """

    root: Path
    format: str
    options: Mapping[str, Any] = field(default_factory=dict)
    class_map: ClassMap
    samples: tuple[Sample, ...]
    notes: tuple[str, ...] = ()
    depth_range: tuple[float, float] | None = None
    tolerance: int = 0
    bands: Bands | None = None
    unpacked_from: Path | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "samples", tuple(sorted(self.samples, key=lambda sample: sample.id)))
        twice = [name for name, number in Counter(sample.id for sample in self.samples).items() if number > 1]
        if twice:
            raise DatasetError(f"expected one sample an id, got duplicate ids: {shorten(twice)}", path=self.root)

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def folder(self) -> Path:
        """The data set's own folder, as a person knows it."""
        return self.unpacked_from or self.root

    @property
    def channels(self) -> int:
        """How many channels the images have."""
        return 3 if self.bands is None else self.bands.channels

    @property
    def display(self) -> Display:
        """Positions in the channels that are shown as red, green and blue."""
        return RGB_DISPLAY if self.bands is None else self.bands.display

    def split(self, name: SplitName) -> tuple[Sample, ...]:
        """Returns the samples of one part, sorted by id."""
        if name not in SPLITS:
            raise DatasetError(f"there is no split {name!r}; {suggest(name, SPLITS)}", path=self.root)
        return tuple(sample for sample in self.samples if sample.split == name)

    def with_splits(self, assignment: Mapping[str, SplitName]) -> Manifest:
        """Returns the same samples with the parts given by id; samples not named belong to no part."""
        unknown = sorted(set(assignment) - {sample.id for sample in self.samples})
        if unknown:
            raise DatasetError(f"{len(unknown)} ids are not in this data set: {shorten(unknown)}", path=self.root)
        wrong = sorted({name for name in assignment.values() if name not in SPLITS})
        if wrong:
            raise DatasetError(f"there is no split {wrong[0]!r}; {suggest(wrong[0], SPLITS)}", path=self.root)
        return replace(self, samples=tuple(replace(sample, split=assignment.get(sample.id)) for sample in self.samples))

    @property
    def bands_dict(self) -> dict[str, Any]:
        """The entry `bands` of what is written about the data set; {} for ordinary images."""
        return {} if self.bands is None else {"bands": self.bands.to_dict()}

    @property
    def decoding(self) -> dict[str, Any]:
        """How files become pixels, beside the class map: what caches and shards made of the same files depend on."""
        bands = {} if self.bands is None else {"bands": self.bands.decoding()}
        return {"depth_range": self.depth_range, "tolerance": self.tolerance, **bands}

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 over classes, decoding, ids, file hashes and parts; the same wherever the data set lies."""
        classes = self.class_map.to_dict()
        for entry in classes["classes"]:
            entry.pop("color")  # for people; changes no pixel
        samples = [
            (sample.id, sample.image_hash, sample.mask_hash, sample.split, *((sample.window,) if sample.window else ()))
            for sample in self.samples
        ]
        depth_range, tolerance, *bands = self.decoding.values()
        content = [classes, depth_range, tolerance, samples, *bands]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def image_path(self, sample: Sample) -> Path:
        """Returns the absolute path of a sample's image."""
        return self.root / sample.image

    def mask_paths(self, sample: Sample) -> tuple[Path, ...]:
        """Returns the absolute paths of the mask files: one, or multilabel one a class; or the annotation file."""
        names = (sample.mask,) if isinstance(sample.mask, str) else sample.mask
        return tuple(self.root / name for name in names if name)

    def write(self, path: str | Path) -> None:
        """Writes the manifest as JSON, a sample a line, all or nothing.

        Raises:
            DatasetError: the name does not end in .json, by which manifests are told from folders.
        """
        if not is_manifest(path):
            raise DatasetError("expected a name that ends in .json for a manifest", path=path)
        head = {
            "segbench_manifest": VERSION,
            "root": str(self.root),
            **({} if self.unpacked_from is None else {"unpacked_from": str(self.unpacked_from)}),
            "format": self.format,
            "options": dict(self.options),
            "depth_range": self.depth_range,
            "tolerance": self.tolerance,
            **self.bands_dict,
            "notes": self.notes,
            "class_map": self.class_map.to_dict(),
        }
        write_listed(path, head, "samples", map(asdict, self.samples))

    @classmethod
    def read(cls, path: str | Path) -> Manifest:
        """Returns a manifest written before; its files are not looked at.

        Raises:
            DatasetError: missing, no JSON, no manifest, of another version, or with damaged fields.
        """
        path = Path(path)
        try:
            plain = json.loads(path.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise DatasetError(
                f"expected a manifest, got damaged JSON: {error.msg} at line {error.lineno}, column {error.colno}; "
                "read the data set's folder again",
                path=path,
            ) from error
        except (OSError, UnicodeDecodeError) as error:
            raise DatasetError(
                f"expected a data set's folder or a manifest (.json), but: {error}", path=path
            ) from error
        if not isinstance(plain, dict) or "segbench_manifest" not in plain:
            raise DatasetError("expected a manifest written by segbench, got other JSON", path=path)
        if plain["segbench_manifest"] != VERSION:
            raise DatasetError(
                f"this manifest is of version {plain['segbench_manifest']!r}, this segbench reads version {VERSION}; "
                "read the data set's folder again",
                path=path,
            )
        try:
            return _from_plain(plain)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DatasetError(
                f"the manifest is damaged ({type(error).__name__}: {error}); read the data set's folder again",
                path=path,
            ) from error

    def _repr_html_(self) -> str:
        parts = Counter(sample.split for sample in self.samples)
        shares = ", ".join(f"{split} {parts[split]}" for split in SPLITS) if set(parts) - {None} else "not divided yet"
        rows = [
            ("folder", str(self.folder)),
            ("format", self.format),
            ("task", str(self.class_map.task)),
            ("samples", f"{len(self)} ({shares})"),
            ("size", _sizes(self.samples)),
            *([("bands", ", ".join(map(str, self.bands.numbers)))] if self.bands is not None else []),
            *(("note", note) for note in self.notes),
        ]
        cells = "".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in rows)
        return f"<table><tr><th>classes</th><td>{self.class_map._repr_html_()}</td></tr>{cells}</table>"


def write_listed(path: str | Path, head: Mapping[str, Any], key: str, items: Iterable[Mapping[str, Any]]) -> None:
    """Writes a JSON object, all or nothing: an entry of `head` a line, then under `key` a list with an item a line."""
    lines = [
        f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False, default=str)}" for name, value in head.items()
    ]
    listed = ",\n".join(json.dumps(item, ensure_ascii=False) for item in items)
    write_text(path, "{\n" + ",\n".join(lines) + f',\n"{key}": [\n' + listed + "\n]}\n")


def _sizes(samples: tuple[Sample, ...]) -> str:
    sizes = {(sample.height, sample.width) for sample in samples}
    if len(sizes) <= 1:
        return "".join(f"{height} x {width} pixels" for height, width in sizes)
    heights, widths = zip(*sizes, strict=True)
    return f"{min(heights)}-{max(heights)} x {min(widths)}-{max(widths)} pixels"


def _from_plain(plain: Mapping[str, Any]) -> Manifest:
    depth = plain["depth_range"]
    return Manifest(
        root=Path(plain["root"]),
        format=plain["format"],
        options=plain["options"],
        class_map=ClassMap.from_dict(plain["class_map"]),
        samples=tuple(_sample(item) for item in plain["samples"]),
        notes=tuple(plain["notes"]),
        depth_range=None if depth is None else (float(depth[0]), float(depth[1])),
        tolerance=int(plain["tolerance"]),
        bands=Bands.from_dict(plain["bands"]) if "bands" in plain else None,
        unpacked_from=Path(plain["unpacked_from"]) if "unpacked_from" in plain else None,
    )


def _sample(plain: Mapping[str, Any]) -> Sample:
    mask = plain["mask"]
    if plain["split"] not in (None, *get_args(SplitName)):
        raise ValueError(f"there is no split {plain['split']!r}")
    window = plain.get("window")
    return Sample(
        **{
            **plain,
            "mask": mask if isinstance(mask, str) else tuple(mask),
            "window": None if window is None else tuple(int(side) for side in window),
        }
    )
