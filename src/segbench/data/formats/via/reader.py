"""VGG Image Annotator: exports of version 1 and 2, project files of 2 and 3, and CSV."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Unpack

from segbench.data.files.hints import set_option, yaml_text
from segbench.data.formats.shared.annotated import AnnotationOptions, build_listing
from segbench.data.formats.shared.image_names import ImageIndex, none_found, with_ids
from segbench.data.formats.shared.listing import Defect, Listing
from segbench.data.formats.shared.values import bad_shape, no_annotation
from segbench.data.formats.via.files import choose_via, load_via, via_files
from segbench.data.formats.via.records import Record, Region, ViaFile
from segbench.data.formats.via.shapes import read_shape
from segbench.data.shapes.drawing import Drawing
from segbench.errors import ChoiceError, ConfigError, DatasetError, shorten, suggest
from segbench.locale import message


def via(
    root: Path,
    *,
    annotations: str | None = None,
    images: str | None = None,
    attribute: str | None = None,
    width_px: float = 1.0,
    **shared: Unpack[AnnotationOptions],
) -> Listing:
    """Lists what VGG Image Annotator writes: one file, or one in each of train/, val/ and test/.

    Polygons, rectangles, circles, ellipses, polylines and points are drawn. Where a project chooses classes by number
    and describes the numbers, the descriptions are the names. Images that a file lists without regions are background;
    images that it does not list are left out.

    Args:
        annotations: name or pattern of the files, as */via_region_data.json; None takes the only one of each folder.
        images: name of the images' folder; None looks in all of them.
        attribute: of the regions, that holds the class; None takes the only one, or several that always agree.
        width_px: of polylines and points, in pixels.
        shared: see `AnnotationOptions`.
    Raises:
        DatasetError: no file or several, damaged JSON or CSV, a key missing or of another type, an image listed twice,
            no image there, several attributes that could be the class.
        ConfigError: an option's value.
    """
    if not width_px > 0:
        raise ConfigError(f"expected a width above 0, got {width_px}", key="data.options.width_px")
    files = [load_via(path, root) for path in choose_via(root, annotations)]
    classes = _Classes.of(files, attribute, root)
    index = ImageIndex(root, images)
    defects: list[Defect] = []
    found: dict[Path, tuple[Record, ViaFile]] = {}
    for file in files:
        _place(file, index, found, defects)
    if not found:
        names = [record.name for file in files for record in file.records]
        raise none_found(root, names, files[0].path, defects)
    defects += _in_two_lists(found, root)
    defects += no_annotation(root / name for name in index.unused(found))
    drawings = {path: _drawing(path, *item, classes, width_px, defects) for path, item in found.items()}
    images_found = with_ids(drawings, root, {path: file.split for path, (_, file) in found.items()})
    return build_listing(root, images_found, shared, labels=classes.order, notes=classes.notes(), defects=defects)


def looks_like(root: Path) -> str | None:
    """Returns by what a folder is recognised as VIA's: a file that begins like its exports; None otherwise."""
    found = via_files(root)
    return f"VGG Image Annotator ({found[0].relative_to(root).as_posix()})" if found else None


@dataclass(frozen=True)
class _Classes:
    """Which attribute of a region is its class.

    Attributes:
        order: labels that a project declares.
        names: value -> its description, where values are numbers that a project describes.
    """

    attribute: str | None
    order: list[str] | None
    names: Mapping[str, str]

    @classmethod
    def of(cls, files: Sequence[ViaFile], attribute: str | None, root: Path) -> _Classes:
        """Returns the attribute the user says, or the one that can be meant.

        Raises:
            ConfigError: no region has the attribute.
            DatasetError: several could be meant.
        """
        regions = [(file, region) for file in files for record in file.records for region in record.regions]
        filled = [_filled(region.attributes) for _, region in regions]
        names = list(dict.fromkeys(name for values in filled for name in values))
        if attribute is not None and attribute not in names:
            raise ConfigError(
                f"no region has a value of the attribute {attribute!r}; {suggest(attribute, names)}",
                key="data.options.attribute",
            )
        if attribute is None and len(names) > 1 and not _agree(filled, len(names)):
            held = {name: shorten(_values(filled, name), 3) for name in names}
            text = message(
                "regions have several attributes: {attributes}; say which is the class with {option}",
                attributes=shorten([f"{name} ({values})" for name, values in held.items()], 6),
                option=set_option("attribute", yaml_text(names[0])),
            )
            raise ChoiceError(text, option="attribute", choices=held, path=root)
        chosen = attribute or (names[0] if names else None)
        orders = [file.choices[chosen] for file in files if chosen is not None and chosen in file.choices]
        described = _described(orders)
        order = list(dict.fromkeys(described.get(value, value) for order in orders for value in order))
        return cls(chosen, order or None, described)

    def label(self, region: Region, path: Path) -> str:
        """Returns the region's class; empty where it has none."""
        value = region.attributes.get(self.attribute) if self.attribute is not None else None
        labels = _labels(value)
        if len(labels) > 1:
            raise DatasetError(
                f"{region.where}.region_attributes.{self.attribute}: expected one class, got {shorten(labels)}; check "
                "one of them",
                path=path,
            )
        return self.names.get(labels[0], labels[0]) if labels else ""

    def notes(self) -> list[str]:
        """Returns what is to be told about numbers that are named by their descriptions."""
        if not self.names:
            return []
        pairs = shorten(f"{value} = {name}" for value, name in self.names.items())
        return [message("the numbers of {attribute!r} have the names {pairs}", attribute=self.attribute, pairs=pairs)]


def _described(orders: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Returns value -> description where all values of all projects are numbers with a description each, else {}."""
    names: dict[str, str] = {}
    for order in orders:
        for value, text in order.items():
            name = text.strip()
            if not value.isdigit() or not name or names.get(value, name) != name:
                return {}
            names[value] = name
    return names if len(set(names.values())) == len(names) else {}


def _labels(value: Any) -> list[str]:
    """Returns the values of an attribute: a text, or those that are checked of a list of boxes."""
    if isinstance(value, dict):
        return [str(name) for name, checked in value.items() if checked]
    return [] if value is None or not str(value).strip() else [str(value).strip()]


def _filled(attributes: Mapping[str, Any]) -> dict[str, str]:
    return {name: shorten(labels) for name, value in attributes.items() if (labels := _labels(value))}


def _agree(filled: Iterable[Mapping[str, str]], number: int) -> bool:
    """Returns whether all regions that have any of the attributes have all of them, with the same value."""
    return all(len(values) == number and len(set(values.values())) == 1 for values in filled if values)


def _values(filled: Iterable[Mapping[str, str]], name: str) -> list[str]:
    return list(dict.fromkeys(values[name] for values in filled if name in values))


def _place(file: ViaFile, index: ImageIndex, found: dict[Path, tuple[Record, ViaFile]], defects: list[Defect]) -> None:
    """Adds image file -> record to `found`, for each image of a file that is there."""
    known = frozenset(index.files)
    for record in file.records:
        path: Path | None = file.path.parent / PurePosixPath(record.name.replace("\\", "/"))
        if path not in known:
            folder = file.split or ("" if file.path.parent == index.root else file.path.parent.name)
            path = index.place(record.name, file.path, record.key, defects, folder=folder, suffix=True)
        if path is None:
            continue
        if path in found:
            other, first = found[path]
            raise DatasetError(
                f"{record.key}: the image {path.relative_to(index.root)} is listed already, in {first.path.name} as "
                f"{other.key}; list an image once",
                path=file.path,
            )
        found[path] = (record, file)


def _in_two_lists(found: Mapping[Path, tuple[Record, ViaFile]], root: Path) -> list[Defect]:
    """Returns a defect for each name in two official parts: often the same picture, to train on and to test with."""
    first: dict[str, Path] = {}
    defects: list[Defect] = []
    for path, (_, file) in found.items():
        other = first.setdefault(path.name, path)
        if found[other][1].split != file.split:
            text = message(
                "{name} is in {one} and in {other}; both were kept",
                name=path.name,
                one=_part(other, root),
                other=_part(path, root),
            )
            defects.append(Defect(code="overlapping_lists", path=file.path, where=path.name, text=text))
    return defects


def _part(path: Path, root: Path) -> str:
    return f"{path.parent.relative_to(root).as_posix()}/"


def _drawing(
    image: Path, record: Record, file: ViaFile, classes: _Classes, width_px: float, defects: list[Defect]
) -> Drawing:
    shapes = []
    for region in record.regions:
        try:
            if region.error is not None:
                raise region.error
            label = classes.label(region, file.path)
            shape = read_shape(region.shape, label, width_px, file.path, f"{region.where}.shape_attributes")
        except DatasetError as error:
            defects.append(bad_shape(error, file.path, region.where, image))
            continue
        if shape.rings or shape.line:
            shapes.append(shape)
            continue
        text = message("a region of the kind {kind!r}, which is not read", kind=region.shape["name"])
        defects.append(
            Defect(code="unknown_shape", path=file.path, where=region.where, text=text, fatal=True, image=image)
        )
    return Drawing(source=file.path, key=record.key, shapes=tuple(shapes))
