"""GeoJSON files: their features, which property is the class, and their polygons as rings."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segbench.data.files.hints import set_option, yaml_text
from segbench.data.formats.shared.annotated import load_json, wrong_key
from segbench.data.formats.shared.image_names import head
from segbench.data.formats.shared.listing import Defect
from segbench.data.formats.shared.values import as_kind, need
from segbench.errors import ConfigError, DatasetError, shorten
from segbench.locale import message
from segbench.types import RGB

_BEGINNING = re.compile(r"\s*[\[{]")
_SIGN = re.compile(r'"type"\s*:\s*"(FeatureCollection|Feature)"')
_USUAL = (
    "classification.name",
    "class",
    "class_name",
    "classname",
    "label",
    "category",
    "classification",
    "type",
    "name",
)
_COLOR = "classification.color"
_FEW = 12  # different values that names of classes may have where each polygon has a name of its own

Points = NDArray[np.float64]  # (N, 2), x and y


@dataclass(frozen=True, kw_only=True)
class Feature:
    """A feature: its place in the file, its properties with dotted names, and its geometry as the file has it."""

    where: str
    properties: Mapping[str, Any]
    geometry: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class GeoFile:
    """A file's features; `crs` is the coordinate reference system it declares, empty where it declares none."""

    path: Path
    features: tuple[Feature, ...]
    crs: str

    @property
    def is_qupath(self) -> bool:
        """Whether QuPath wrote it, which counts in pixels."""
        return any(
            "objectType" in item.properties or "classification.name" in item.properties for item in self.features
        )


def is_geojson(path: Path) -> bool:
    """Returns whether a file begins like GeoJSON."""
    text = head(path)
    return bool((_BEGINNING.match(text) and _SIGN.search(text) and '"geometry"' in text) or path.suffix == ".geojson")


def read_geojson(path: Path) -> GeoFile:
    """Returns a file's features; DatasetError where it is damaged, or something else."""
    plain = load_json(path)
    crs = ""
    if isinstance(plain, dict) and isinstance(plain.get("crs"), dict):
        crs = str(plain["crs"].get("properties", {}).get("name", ""))
    if isinstance(plain, dict) and plain.get("type") == "FeatureCollection":
        items = need(plain, "features", list, path, "")
    elif isinstance(plain, dict) and plain.get("type") == "Feature":
        items = [plain]
    else:
        items = as_kind(plain, list, path, "")
    features: list[Feature] = []
    for number, item in enumerate(items):
        where = f"features[{number}]"
        found = as_kind(item, dict, path, where)
        geometry = found.get("geometry")
        if geometry is not None and not isinstance(geometry, dict):
            raise wrong_key(path, f"{where}.geometry", "a mapping", geometry)
        properties = found.get("properties") or {}
        features.append(
            Feature(where=where, properties=dict(_flat(as_kind(properties, dict, path, where))), geometry=geometry)
        )
    return GeoFile(path=path, features=tuple(features), crs=crs)


def _flat(properties: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields dotted name, value: QuPath writes the class as `classification: {name: ...}`."""
    for key, value in properties.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None and value != "":
            yield f"{prefix}{key}", value


def find_property(files: Sequence[GeoFile], chosen: str | None, one_class: bool, root: Path) -> str | None:
    """Returns the property that names the class; None where all polygons are one class.

    Args:
        chosen: by the user.
        one_class: where several could be meant, all polygons are one class.
    Raises:
        ConfigError: no feature has the property.
        DatasetError: several could be meant.
    """
    held: dict[str, Counter[str]] = {}
    for file in files:
        for feature in file.features:
            for key, value in feature.properties.items():
                if isinstance(value, str | int) and not isinstance(value, bool) and key != _COLOR:
                    held.setdefault(key, Counter())[str(value)] += 1
    if chosen is not None:
        if chosen not in held:
            raise ConfigError(
                message(
                    "no feature has the property {name!r}; there are {known}",
                    name=chosen,
                    known=shorten(held) or "none",
                ),
                key="data.options.class_property",
            )
        return chosen
    usual = [key for key in held if key.lower() in _USUAL]
    usual = [key for key in usual if key == "classification.name"] or usual
    texts = [key for key in held if any(not _is_number(value) for value in held[key])]
    found = usual or [key for key in texts if key not in ("id", "objectType") and len(held[key]) <= _FEW]
    if len(usual) == 1 and (len(held[usual[0]]) <= _FEW or max(held[usual[0]].values()) > 1):
        return usual[0]
    if one_class or not found:
        return None
    shown = "; ".join(f"{key}: {shorten(held[key], 4)}" for key in found[:6])
    raise DatasetError(
        message(
            "{n} properties could name the class ({shown}); choose with {option}, or take all polygons as one class "
            "with {one}",
            n=len(found),
            shown=shown,
            option=set_option("class_property", found[0]),
            one=set_option("default_class", yaml_text("object")),
        ),
        path=root,
    )


def _is_number(text: str) -> bool:
    return text.lstrip("-").isdigit()


def colors_of(files: Sequence[GeoFile], name: str | None) -> dict[str, RGB]:
    """Returns class -> colour where the files have one (QuPath's)."""
    colors: dict[str, RGB] = {}
    for file in files:
        for feature in file.features:
            color = feature.properties.get(_COLOR)
            if name is not None and name in feature.properties and isinstance(color, list) and _is_color(color):
                colors.setdefault(str(feature.properties[name]), (color[0], color[1], color[2]))
    return colors


def _is_color(value: list[Any]) -> bool:
    return len(value) == 3 and all(type(part) is int and 0 <= part <= 255 for part in value)


def polygons_of(geometry: Mapping[str, Any] | None, path: Path, where: str) -> list[list[Points]] | Defect:
    """Returns polygons, each its outline and its holes; or what is wrong with a geometry that has no area.

    Raises:
        DatasetError: coordinates of another form than GeoJSON says.
    """
    if geometry is None:
        return Defect(code="unused_shape", path=path, where=where, text=message("the feature has no geometry"))
    kind, spot = geometry.get("type"), f"{where}.geometry.coordinates"
    if kind == "GeometryCollection":
        found: list[list[Points]] = []
        for inner in need(geometry, "geometries", list, path, where):
            polygons = polygons_of(as_kind(inner, dict, path, where), path, where)
            if isinstance(polygons, Defect):
                return polygons
            found += polygons
        return found
    if kind not in ("Polygon", "MultiPolygon"):
        return Defect(
            code="unused_shape",
            path=path,
            where=where,
            text=message("a {kind} covers no pixels; draw it as a polygon, or delete it", kind=str(kind)),
            fatal=True,
        )
    coordinates = need(geometry, "coordinates", list, path, where)
    many = coordinates if kind == "MultiPolygon" else [coordinates]
    return [[_points(ring, path, spot) for ring in as_kind(polygon, list, path, spot)] for polygon in many if polygon]


def points_of(geometry: Mapping[str, Any] | None) -> Points:
    """Returns all places of a geometry of any kind, in no order that means anything."""

    def places(value: Any) -> Iterator[tuple[float, float]]:
        if isinstance(value, dict):
            yield from places(list(value.values()))
        elif isinstance(value, list):
            if len(value) > 1 and all(isinstance(part, int | float) for part in value[:2]):
                yield float(value[0]), float(value[1])
            else:
                for part in value:
                    yield from places(part)

    return np.array(list(places(dict(geometry or {}))), dtype=np.float64).reshape(-1, 2)


def _points(ring: Any, path: Path, where: str) -> Points:
    """Returns a ring without the last point, which repeats the first; heights are left out."""
    try:
        points = np.array([point[:2] for point in ring] or np.empty((0, 2)), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise wrong_key(path, where, "points [x, y]", ring) from error
    if points.ndim != 2 or points.shape[1] != 2:
        raise wrong_key(path, where, "points [x, y]", ring)
    return points[:-1] if len(points) > 1 and (points[0] == points[-1]).all() else points
