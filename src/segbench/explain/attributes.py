"""What an image looks like, in numbers: size, contrast, colours, hair; from image and true mask, never a prediction."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from segbench.compare.evidence import Evidence
from segbench.errors import ConfigError, suggest
from segbench.explain.attributes_math import View, blur, border_contrast, hair_share, make_view, perimeter_px
from segbench.files import write_csv
from segbench.locale import Message, message
from segbench.types import ClassMap, Progress, Task


@dataclass(frozen=True, kw_only=True)
class Attribute:
    """One thing that can be measured of an image.

    Attributes:
        sentence: what the number is.
        unit: `share` (0-1), `px`, `count`, `Lab` (distance in CIE Lab), `L*` (0-100), `yes or no` (1 or 0), or empty.
        measure: image and object -> number.
        of_object: NaN where there is no object.
    """

    sentence: Message
    unit: str
    measure: Callable[[View], float]
    of_object: bool = True


def _color_spread(view: View) -> float:
    median = np.median(view.colors, axis=0)
    return float(np.linalg.norm(view.colors - median, axis=1).mean())


def _dominant_contrast(view: View) -> float:
    colors = view.dominant
    return float(np.linalg.norm(colors[:, None] - colors, axis=-1).max()) if len(colors) else math.nan


def _touches_frame(view: View) -> float:
    full = view.full
    return float(full[0].any() or full[-1].any() or full[:, 0].any() or full[:, -1].any())


def _compactness(view: View) -> float:
    return min(1.0, 4.0 * math.pi * float(view.sizes[0]) / perimeter_px(view.largest) ** 2)


ATTRIBUTES: dict[str, Attribute] = {
    "object_share": Attribute(
        sentence=message("share of the counted pixels that the largest object (8-connected component) covers"),
        unit="share",
        measure=lambda view: float(view.sizes[0] / view.full_counted.sum()),
    ),
    "object_size": Attribute(
        sentence=message("pixels of an object, mean over the objects of the image"),
        unit="px",
        measure=lambda view: float(view.sizes.mean()),
    ),
    "foreground_share": Attribute(
        sentence=message("share of the counted pixels that belong to any object"),
        unit="share",
        measure=lambda view: float(view.full.sum() / view.full_counted.sum()) if view.full_counted.any() else math.nan,
        of_object=False,
    ),
    "object_count": Attribute(
        sentence=message("number of objects (8-connected components of the mask)"),
        unit="count",
        measure=lambda view: float(len(view.sizes)),
        of_object=False,
    ),
    "compactness": Attribute(
        sentence=message("roundness of the largest object: 4 pi area / perimeter squared; 1 is a circle"),
        unit="",
        measure=_compactness,
    ),
    "perimeter": Attribute(
        sentence=message("length of the outlines of all objects, by Crofton's formula in 4 directions"),
        unit="px",
        measure=lambda view: perimeter_px(view.full),
    ),
    "touches_frame": Attribute(
        sentence=message("whether an object reaches the edge of the image"), unit="yes or no", measure=_touches_frame
    ),
    "border_contrast": Attribute(
        sentence=message(
            "colour difference across the border: mean over border pixels of the CIE Lab distance between the "
            "mean colours inside and outside, in a square that reaches 2 % of the diagonal"
        ),
        unit="Lab",
        measure=border_contrast,
    ),
    "dominant_colors": Attribute(
        sentence=message(
            "number of colours at least 20 apart in CIE Lab that hold 5 % or more of the object each, within 12"
        ),
        unit="count",
        measure=lambda view: float(len(view.dominant)),
    ),
    "dominant_color_contrast": Attribute(
        sentence=message("largest CIE Lab distance between two dominant colours of the object; 0 where it has one"),
        unit="Lab",
        measure=_dominant_contrast,
    ),
    "color_spread": Attribute(
        sentence=message("mean CIE Lab distance of the object's pixels to their median colour"),
        unit="Lab",
        measure=_color_spread,
    ),
    "brightness": Attribute(
        sentence=message("mean L* of the image"),
        unit="L*",
        measure=lambda view: float(view.lab[..., 0].mean()),
        of_object=False,
    ),
    "contrast": Attribute(
        sentence=message("standard deviation of L* over the image"),
        unit="L*",
        measure=lambda view: float(view.lab[..., 0].std()),
        of_object=False,
    ),
    "colorfulness": Attribute(
        sentence=message("mean chroma of the image: distance from grey in CIE Lab"),
        unit="Lab",
        measure=lambda view: float(np.hypot(view.lab[..., 1], view.lab[..., 2]).mean()),
        of_object=False,
    ),
    "blur": Attribute(
        sentence=message("minus the decimal logarithm of the variance of the Laplacian of L*; higher is more blurred"),
        unit="",
        measure=lambda view: blur(view.lab[..., 0]),
        of_object=False,
    ),
    "hair": Attribute(
        sentence=message(
            "share of the image on thin, dark, long lines (black top-hat in 4 directions, after DullRazor)"
        ),
        unit="share",
        measure=lambda view: hair_share(view.lab[..., 0]),
        of_object=False,
    ),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class AttributeTable:
    """What N images look like.

    Attributes:
        ids: of the images.
        names: A attributes.
        values: (N, A) float64; NaN where an attribute is not defined, as those of the object where there is none.
        object_name: what "object" means here, in words.
        without_object: ids of the images that have none.
    """

    ids: tuple[str, ...]
    names: tuple[str, ...]
    values: npt.NDArray[np.float64] = field(repr=False)
    object_name: str
    without_object: tuple[str, ...]

    def column(self, name: str) -> npt.NDArray[np.float64]:
        """Returns (N,) values of one attribute.

        Raises:
            ConfigError: there is no such attribute; lists close names.
        """
        if name not in self.names:
            raise ConfigError(f"there is no attribute {name!r}; {suggest(name, self.names)}", key="attributes")
        column: npt.NDArray[np.float64] = self.values[:, self.names.index(name)]
        return column

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON, with the definitions."""
        return {
            "object": self.object_name,
            "definitions": {
                name: {"sentence": ATTRIBUTES[name].sentence, "unit": ATTRIBUTES[name].unit} for name in self.names
            },
            "images": {
                image_id: dict(zip(self.names, row.tolist(), strict=True))
                for image_id, row in zip(self.ids, self.values, strict=True)
            },
            "without_object": list(self.without_object),
        }

    def write_csv(self, path: str | Path) -> None:
        """Writes one row an image; an empty cell is no value."""
        rows = [
            [image_id, *("" if math.isnan(value) else repr(value) for value in row.tolist())]
            for image_id, row in zip(self.ids, self.values, strict=True)
        ]
        write_csv(path, ["id", *self.names], rows)


def measure_image(
    image: npt.NDArray[np.uint8],
    target: npt.NDArray[np.uint8],
    class_map: ClassMap,
    *,
    class_name: str | None = None,
    names: Sequence[str] | None = None,
) -> dict[str, float]:
    """Returns attribute -> number of one image.

    Args:
        image: (H, W, 3) uint8. Colours, blur and hair are measured with the longer side reduced to 256 px.
        target: (H, W) class indices, multilabel (C, H, W); `ignore_index` belongs to no object.
        class_map: of the target.
        class_name: whose pixels are "the object"; None: all classes but the background together. Without a background
            there is then no object.
        names: of the attributes to measure; all by default.
    Raises:
        ConfigError: an unknown class or attribute; lists close names.
    """
    inside, counted = _object_of(target, class_map, class_name)
    view = make_view(image, inside, counted)
    found: dict[str, float] = {}
    for name in ATTRIBUTES if names is None else names:
        if name not in ATTRIBUTES:
            raise ConfigError(f"there is no attribute {name!r}; {suggest(name, ATTRIBUTES)}", key="attributes")
        attribute = ATTRIBUTES[name]
        found[name] = math.nan if attribute.of_object and not view.has_object else attribute.measure(view)
    return found


def measure_attributes(
    evidence: Evidence,
    *,
    class_name: str | None = None,
    names: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> AttributeTable:
    """Returns the attributes of all N images of the evidence, at the size that was compared.

    Args:
        evidence: whose images and true masks are read, one at a time; predictions are not looked at.
        class_name, names: see `measure_image`.
        progress: called after every image.
    Raises:
        ConfigError: an unknown class or attribute; lists close names.
    """
    rows = []
    without = []
    for number, image_id in enumerate(evidence.ids, start=1):
        image, target = evidence.load(image_id)
        found = measure_image(image, target, evidence.class_map, class_name=class_name, names=names)
        rows.append(list(found.values()))
        if not _object_of(target, evidence.class_map, class_name)[0].any():
            without.append(image_id)
        if progress is not None:
            progress("measuring attributes", number, len(evidence.ids))
    columns = tuple(ATTRIBUTES if names is None else names)
    return AttributeTable(
        ids=evidence.ids,
        names=columns,
        values=np.array(rows, dtype=np.float64).reshape(len(rows), len(columns)),
        object_name=_object_name(evidence.class_map, class_name),
        without_object=tuple(without),
    )


def _object_of(
    target: npt.NDArray[np.uint8], class_map: ClassMap, class_name: str | None
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Returns where the object is, and which pixels count, both (H, W)."""
    if class_name is not None and class_name not in class_map.names:
        raise ConfigError(f"there is no class {class_name!r}; {suggest(class_name, class_map.names)}", key="class_name")
    index = None if class_name is None else class_map.names.index(class_name)
    if class_map.task is Task.MULTILABEL:
        planes = target if index is None else target[index : index + 1]
        return (planes == 1).any(axis=0), (planes != class_map.ignore_index).all(axis=0)
    counted = target != class_map.ignore_index
    if index is not None:
        return target == index, counted
    if class_map.background is None:
        return np.zeros(target.shape, dtype=bool), counted
    return counted & (target != class_map.background), counted


def _object_name(class_map: ClassMap, class_name: str | None) -> str:
    if class_name is not None:
        return f"the class {class_name}"
    if class_map.task is Task.MULTILABEL:
        return "all classes together"
    if class_map.background is None:
        return "none: the data has no background class; name a class"
    names = [name for index, name in enumerate(class_map.names) if index != class_map.background]
    return f"the class {names[0]}" if len(names) == 1 else "all classes but the background together"
