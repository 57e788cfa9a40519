"""What the writers share: samples, options, images put in place, and regions of a mask as labelled rings."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segbench.data.formats.shared.listing import IMAGE_SUFFIXES
from segbench.data.formats.voc.classes import BORDER
from segbench.data.shapes.drawing import Painting, Ring, Shape, paint
from segbench.data.shapes.trace import mask_iou, mask_polygons, polygons_for
from segbench.errors import DatasetError
from segbench.types import IGNORE_INDEX, RGB, SPLITS, ClassMap, Simplify, SplitName, Task

IGNORE_LABEL = "__ignore__"  # of regions that count nowhere, in formats that have no other word for them
MIN_IOU = 0.99  # of what simplified polygons give back
_MANY = 5000  # regions in an image: nobody drew them, and annotation tools become slow

Images: TypeAlias = Literal["copy", "link", "none"]


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """An image and its labels, to be written.

    Attributes:
        id: unique in the data set.
        image: the image's file.
        labels: (H, W) uint8 class indices with `ignore_index`; multilabel (C, H, W) of 0, 1 and `ignore_index`.
        split: the part it is in; None where nobody decided.
        pixels: (H, W, 3) uint8 that are written as PNG in place of the file; None takes the file as it is.
        file: what annotations without images call the image, a path below the folder of the images; None: its id.
    """

    id: str
    image: Path
    labels: NDArray[np.uint8]
    split: SplitName | None = None
    pixels: NDArray[np.uint8] | None = None
    file: str | None = None

    @property
    def name(self) -> str:
        """The id as the name of a file, without the part's name before it."""
        return file_name(self.id, self.split)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return self.labels.shape[-2], self.labels.shape[-1]


@dataclass(frozen=True, kw_only=True)
class WriteOptions:
    """How a data set is written.

    Attributes:
        images: `copy`, `link` (hard links: no room, but the same bytes) or `none` (the annotations alone).
        rle: run lengths instead of polygons, in formats that have both.
        simplify: how far, in pixels, the corners that polygons lose may lie beside them; 0 keeps them exact, `auto`
            goes as far as each class of each image keeps an intersection over union of `MIN_IOU`. Between
            neighbours that both lose corners, slivers become background, or count nowhere where there is none.
    """

    images: Images = "copy"
    rle: bool = False
    simplify: Simplify = 0.0


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a writer has written, and how to read it.

    Attributes:
        format, options: for `data.format` and `data.options`.
        images: sample id -> path of its image below `root`.
        regions: number of annotated regions; 0 in formats of masks.
        exact: whether reading it gives every pixel as it was.
        notes: what a person should know.
        names: of the classes, where the format has other names for them; else empty.
        root: the folder.
    """

    format: str
    options: Mapping[str, Any]
    images: Mapping[str, str]
    regions: int = 0
    exact: bool = True
    notes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    root: Path = field(default_factory=Path)


@dataclass(frozen=True, kw_only=True)
class Region:
    """A region of one class, as one ring."""

    label: str
    ring: Ring

    @property
    def numbers(self) -> list[int]:
        """x0, y0, x1, y1, ...: corners of pixels, so whole numbers."""
        return [int(value) for value in self.ring]


_Found: TypeAlias = list[tuple[int, Region]]  # class index, region


class ImagePlacer:
    """Puts images into the new folder, and remembers where."""

    def __init__(self, target: Path, options: WriteOptions) -> None:
        self.target = target
        self.how = options.images
        self.placed: dict[str, str] = {}

    def place(self, sample: Labelled, folder: str) -> str:
        """Returns the image's file name, after putting it into a folder below the target."""
        suffix = ".png" if sample.pixels is not None else sample.image.suffix
        if suffix.lower() not in IMAGE_SUFFIXES:
            raise DatasetError("expected an image file; give its pixels to write it as PNG", path=sample.image)
        if self.how == "none" and sample.file is not None:
            self.placed[sample.id] = sample.file
            return sample.file
        path = self.target / folder / f"{sample.name}{suffix}"
        if self.how != "none":
            path.parent.mkdir(parents=True, exist_ok=True)
            if sample.pixels is not None:
                Image.fromarray(sample.pixels).save(path)
            elif self.how == "link":
                _link(sample.image, path)
            else:
                shutil.copyfile(sample.image, path)
        self.placed[sample.id] = path.relative_to(self.target).as_posix()
        return path.name


def _link(source: Path, path: Path) -> None:
    try:
        os.link(source.resolve(), path)
    except OSError as error:
        raise DatasetError(f"cannot link to it ({error.strerror}); copy the images instead", path=source) from error


class Tracer:
    """Labels -> regions, image by image; remembers which classes there were, for the options that read them back.

    Args:
        class_map: of the labels. Its background is not drawn: it is what no region covers.
        options: see `WriteOptions`.
    """

    def __init__(self, class_map: ClassMap, options: WriteOptions) -> None:
        self.class_map = class_map
        self.simplify = options.simplify
        self.used: set[str] = set()
        self.count = 0
        self._lost = 0
        self._crowded = 0
        multilabel = class_map.task is Task.MULTILABEL
        self._background = None if multilabel else class_map.background

    def regions(self, labels: NDArray[np.uint8]) -> list[Region]:
        """Returns the regions of one image, class by class; ignored pixels as the class `IGNORE_LABEL`."""
        masks = dict(self._masks(labels))
        found = self._simplified(masks, labels) if self.simplify == "auto" else self._rings(masks, self.simplify)
        self.used |= {region.label for _, region in found}
        self.count += len(found)
        self._crowded += len(found) > _MANY
        return [region for _, region in found]

    @property
    def labels(self) -> list[str]:
        """The classes that are drawn, in class order, and the label of ignored regions where it was needed."""
        names = [name for index, name in enumerate(self.class_map.names) if index != self._background]
        return [*names, IGNORE_LABEL] if IGNORE_LABEL in self.used else names

    @property
    def colors(self) -> dict[str, RGB]:
        """The display colour of each of `labels`."""
        shown = dict(zip(self.class_map.names, self.class_map.colors, strict=True))
        return {label: shown.get(label, (128, 128, 128)) for label in self.labels}

    def written(
        self, name: str, images: ImagePlacer, *, declared: bool = False, notes: tuple[str, ...] = ()
    ) -> Written:
        """Returns the report of a writer of regions; `declared` where the format lists classes without regions too."""
        return Written(
            format=name,
            options=self._options(declared),
            images=images.placed,
            regions=self.count,
            exact=self.simplify == 0.0 and not self._lost,
            notes=(*self._notes(), *notes),
        )

    def _masks(self, labels: NDArray[np.uint8]) -> Iterator[tuple[int, NDArray[np.bool_]]]:
        if labels.ndim == 3:
            for index, plane in enumerate(labels):
                if (plane == 1).any():
                    yield index, plane == 1
            unknown = (labels == IGNORE_INDEX).any(axis=0)
            ignored = unknown & ~(labels == 0).any(axis=0)
            self._lost += int(np.count_nonzero(unknown & ~ignored))
        else:
            for value in np.unique(labels).tolist():
                if value not in (self._background, IGNORE_INDEX):
                    yield value, labels == value
            # Without a background class, what no region covers counts nowhere already.
            ignored = (labels == IGNORE_INDEX) & (self._background is not None)
        if ignored.any():
            yield IGNORE_INDEX, ignored

    def _rings(self, masks: Mapping[int, NDArray[np.bool_]], tolerance: float) -> _Found:
        return [
            (index, Region(label=self._label(index), ring=ring))
            for index, mask in masks.items()
            for ring in mask_polygons(mask, simplify_px=tolerance)
        ]

    def _label(self, index: int) -> str:
        return IGNORE_LABEL if index == IGNORE_INDEX else self.class_map.names[index]

    def _simplified(self, masks: Mapping[int, NDArray[np.bool_]], labels: NDArray[np.uint8]) -> _Found:
        """Returns rings with few corners, but exact ones of classes that would suffer, also from their neighbours."""
        rings = {
            index: [
                (index, Region(label=self._label(index), ring=ring)) for ring in polygons_for(mask, min_iou=MIN_IOU)[0]
            ]
            for index, mask in masks.items()
        }
        exact: set[int] = set()
        while exact != rings.keys():
            found = [item for items in rings.values() for item in items]
            poor = self._poor(found, labels)
            if not poor:
                return found
            chosen = (poor & rings.keys()) - exact or rings.keys() - exact
            rings.update({index: self._rings({index: masks[index]}, 0.0) for index in chosen})
            exact |= chosen
        return self._rings(masks, 0.0)

    def _poor(self, found: _Found, labels: NDArray[np.uint8]) -> set[int]:
        """Returns the classes that the regions, drawn as a reader does, do not give back well enough."""
        painting = Painting(
            height=labels.shape[-2],
            width=labels.shape[-1],
            shapes=tuple((index, Shape(label=region.label, rings=(region.ring,))) for index, region in found),
            base=IGNORE_INDEX if self._background is None else self._background,
            planes=len(labels) if labels.ndim == 3 else 0,
        )
        drawn, _ = paint(painting, Path())
        if labels.ndim == 3:
            pairs = [(index, one == 1, labels[index] == 1) for index, one in enumerate(drawn)]
        else:
            values = set(np.union1d(drawn, labels).tolist()) - {IGNORE_INDEX}
            pairs = [(value, drawn == value, labels == value) for value in values]
        return {index for index, one, other in pairs if mask_iou(one, other) < MIN_IOU}

    def _options(self, declared: bool) -> dict[str, Any]:
        names, background = self.class_map.names, self._background
        classes: Any = {name: name if name in self.used else [] for name in names}
        drawn = [name for index, name in enumerate(names) if index != background]
        if background in (None, 0) and (declared or self.used.issuperset(drawn)):
            classes = drawn
        options: dict[str, Any] = {"classes": classes, "background": False if background is None else names[background]}
        if IGNORE_LABEL in self.used:
            options["ignore"] = [IGNORE_LABEL]
        return {**options, **task_option(self.class_map)}

    def _notes(self) -> Iterator[str]:
        if IGNORE_LABEL in self.used:
            yield f"pixels that count nowhere are regions of a class {IGNORE_LABEL}; other programs take it for a class"
        if self._crowded:
            yield f"{self._crowded} images have more than {_MANY} regions; a format of masks holds such speckle better"
        if self._lost:
            yield f"{self._lost} pixels that count nowhere for some classes only are written as without these classes"


def file_name(sample_id: str, split: SplitName | None) -> str:
    """Returns a sample's id as the name of a file, without the part's name before it."""
    first, _, rest = sample_id.partition("/")
    return (rest if rest and first == split else sample_id).replace("/", "__")


def task_option(class_map: ClassMap) -> dict[str, str]:
    """Returns the reader's option `task` where the number of classes does not say it."""
    if class_map.task is Task.MULTILABEL or (class_map.task is Task.MULTICLASS and class_map.num_classes == 2):
        return {"task": str(class_map.task)}
    return {}


def part_folder(split: SplitName | None) -> str:
    """Returns `train/`, or nothing for samples without a part."""
    return f"{split}/" if split else ""


def write_mask(path: Path, labels: NDArray[np.uint8], colors: Mapping[int, RGB]) -> None:
    """Writes (H, W) uint8 values as a palette PNG that looks as `colors` says, ignored pixels as in VOC."""
    palette = np.zeros((256, 3), dtype=np.uint8)
    palette[IGNORE_INDEX] = BORDER
    for value, color in colors.items():
        palette[value] = color
    picture = Image.fromarray(labels)
    picture.putpalette(palette.tobytes())
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


class Spool(ExitStack):
    """Texts kept on disk until the end of a file is known; separated as JSON wants it, or not."""

    def __init__(self, separator: str = ",\n") -> None:
        super().__init__()
        self.separator = separator
        self.count = 0
        self._file = self.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8", newline=""))  # noqa: SIM115

    def add(self, text: str) -> None:
        """Keeps one text."""
        if self.count:
            self._file.write(self.separator)
        self._file.write(text)
        self.count += 1

    def pour(self, stream: IO[str]) -> None:
        """Writes all texts to an open file."""
        self._file.seek(0)
        shutil.copyfileobj(self._file, stream)


class Spools(ExitStack):
    """Two spools a part: what a file lists, and what belongs to it."""

    def __init__(self) -> None:
        super().__init__()
        self._found: dict[SplitName | None, tuple[Spool, Spool]] = {}

    def of(self, split: SplitName | None) -> tuple[Spool, Spool]:
        """Returns the spools of a part, made when first asked for."""
        if split not in self._found:
            self._found[split] = (self.enter_context(Spool()), self.enter_context(Spool()))
        return self._found[split]

    def ordered(self) -> Iterator[tuple[SplitName | None, tuple[Spool, Spool]]]:
        """Yields the parts there are with their spools."""
        for split in split_order(self._found):
            yield split, self._found[split]


def split_order(splits: Mapping[SplitName | None, Any]) -> list[SplitName | None]:
    """Returns the parts there are, train first, samples without a part last."""
    return [split for split in (*SPLITS, None) if split in splits]


def dataset_yaml(path: str | Path, data_format: str, options: Mapping[str, Any]) -> str:
    """Returns the part of a config that reads a data set so."""
    section: dict[str, Any] = {"path": str(path), "format": data_format}
    if options:
        section["options"] = {key: list(value) if isinstance(value, tuple) else value for key, value in options.items()}
    return to_yaml({"data": section})


def to_yaml(value: Mapping[str, Any], *, flow: bool | None = None) -> str:
    """Returns plain values as YAML, in their order; the innermost lists and mappings in brackets unless `flow` says."""
    from ruamel.yaml import YAML

    stream = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = flow
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.dump(value, stream)
    return stream.getvalue()
