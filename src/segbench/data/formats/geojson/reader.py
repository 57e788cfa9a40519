"""GeoJSON beside images: one file an image (QuPath, drawn tiles), or one for the rasters of an area."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Unpack

from segbench.data.files.hints import set_option, yaml_text
from segbench.data.files.images import image_facts
from segbench.data.files.raster import RasterLook, raster_look, write_labels
from segbench.data.formats.geojson.files import (
    GeoFile,
    colors_of,
    find_property,
    is_geojson,
    points_of,
    polygons_of,
    read_geojson,
)
from segbench.data.formats.geojson.places import PIXELS, RASTER, Points, Polygons, cut, with_holes
from segbench.data.formats.geotiff import RasterListing, geotiff
from segbench.data.formats.shared.annotated import AnnotationOptions, build_listing
from segbench.data.formats.shared.image_names import ImageIndex, matching, none_found, unlisted_note, with_ids
from segbench.data.formats.shared.layout import MASK_NAME
from segbench.data.formats.shared.listing import Defect, Entry, Listing, image_files, missing_folder
from segbench.data.formats.shared.unpacked import put_as_is, unpack_once
from segbench.data.formats.shared.values import part_of, some_files
from segbench.data.shapes.drawing import Drawing, Painting, Ring, Shape, paint
from segbench.errors import ConfigError, DatasetError, shorten
from segbench.locale import message
from segbench.types import ClassMap

_WGS84 = "EPSG:4326"
_IGNORED = ("Ignore*", "__ignore__")  # QuPath's word, and segbench's
_TIFF = (".tif", ".tiff")


def geojson(
    root: Path,
    *,
    annotations: str | None = None,
    images: str | None = None,
    class_property: str | None = None,
    crs: str | None = None,
    bands: Sequence[int] | None = None,
    display: Sequence[int] | None = None,
    nodata: str = "ignore",
    window: int | None = None,
    stride: int | None = None,
    group_by: str = "scene",
    **shared: Unpack[AnnotationOptions],
) -> Listing:
    """Lists images with polygons in GeoJSON: `x.tif`, `x.geojson` on the map, or `x.png`, `x.geojson` in pixels.

    A single file that is called like no image belongs to all rasters. Rasters are read as by the format `geotiff`;
    their masks are drawn once into the cache, on the rasters' grids. Holes stay holes.

    Args:
        annotations: name or pattern of the GeoJSON files; None takes all.
        images: name of the images' folder; None looks in all of them.
        class_property: property of the features that names the class (`classification.name`); None takes a usual one.
        crs: what the coordinates count in, where the file does not say: a name like `EPSG:32633`, `raster` for the
            raster's own system, or `pixels`; None takes WGS 84, as GeoJSON says, or what alone puts polygons onto it.
        bands: of rasters, as in the format `geotiff`.
        display: of rasters, as in the format `geotiff`.
        nodata: of rasters, as in the format `geotiff`.
        window: of rasters, as in the format `geotiff`.
        stride: of rasters, as in the format `geotiff`.
        group_by: of rasters, as in the format `geotiff`.
        shared: see `AnnotationOptions`; `default_class` also says that all polygons are one class.
    Raises:
        DatasetError: no such files, no image for them, several properties or systems that could be meant, polygons that
            lie on no image, damaged JSON.
        ConfigError: an option's value.
    """
    paths = matching(root, annotations, "GeoJSON files") if annotations is not None else _files(root)
    if not paths:
        raise missing_folder(root, "x.geojson", "GeoJSON files beside the images")
    files = [read_geojson(path) for path in paths]
    index = ImageIndex(root, images)
    defects: list[Defect] = []
    pairs = _pairs(files, index, defects)
    if not pairs:
        raise none_found(root, [path.stem for path in paths], paths[0], defects)
    name = find_property(files, class_property, shared.get("default_class") is not None, root)
    options: AnnotationOptions = {**shared}
    if name is None:
        options.setdefault("default_class", "object")
    elif "ignore" not in options:
        used = {str(feature.properties.get(name)) for file in files for feature in file.features}
        options["ignore"] = [label for label in _IGNORED if label in used]
    notes = unlisted_note(index.unused(pairs), "a GeoJSON file")
    rasters = _rasters(pairs, any(option is not None for option in (bands, display, window)))
    drawings = {
        image: drawing
        for file in files
        for image, drawing in _drawings(
            file, [path for path in pairs if pairs[path] is file], rasters, name, crs, defects, notes
        )
    }
    splits = {path: part_of(path.relative_to(root).parts[:-1]) for path in drawings}
    listing = build_listing(
        root, with_ids(drawings, root, splits), options, colors=colors_of(files, name), notes=notes, defects=defects
    )
    if not rasters:
        return listing
    if options.get("task") == "multilabel":
        raise ConfigError("rasters have one label a pixel; leave out task: multilabel", key="data.options.task")
    return _as_rasters(
        root,
        listing,
        options,
        {
            "bands": bands,
            "display": display,
            "nodata": nodata,
            "window": window,
            "stride": stride,
            "group_by": group_by,
        },
    )


def looks_like(root: Path) -> str | None:
    """Returns by what a folder is recognised: GeoJSON files called like images, or one with rasters; None otherwise."""
    found = [path for path in dict.fromkeys(some_files(root, "*.geojson", "*.json")) if is_geojson(path)]
    if not found:
        return None
    images = image_files(root)
    names = {name for path in images for name in (path.stem, path.name)}
    alike = next((path for path in found if path.stem in names), None)
    masks = any(MASK_NAME.search(part) for path in images for part in path.relative_to(root).with_suffix("").parts)
    if alike is None and (masks or len(found) > 1 or not any(path.suffix.lower() in _TIFF for path in images)):
        return None  # the outline of an area beside an ordinary set
    return f"GeoJSON ({(alike or found[0]).relative_to(root).as_posix()})"


def _files(root: Path) -> list[Path]:
    found = [*root.rglob("*.geojson"), *root.rglob("*.json")]
    visible = [path for path in found if not any(part.startswith(".") for part in path.relative_to(root).parts)]
    return sorted(path for path in visible if is_geojson(path))


def _pairs(files: Sequence[GeoFile], index: ImageIndex, defects: list[Defect]) -> dict[Path, GeoFile]:
    """Returns image -> its file; a single file that is called like no image belongs to all rasters."""
    rasters = [path for path in index.files if path.suffix.lower() in _TIFF]
    if len(files) == 1 and rasters and index.find(files[0].path.stem) is None:
        return dict.fromkeys(rasters, files[0])
    pairs: dict[Path, GeoFile] = {}
    for file in files:
        path = index.place(file.path.stem, file.path, file.path.name, defects)
        if path is not None and path in pairs:
            raise DatasetError(
                message(
                    "{first} and {second} belong to one image; choose with {option}",
                    first=pairs[path].path.name,
                    second=file.path.name,
                    option=set_option("annotations", yaml_text(file.path.name)),
                ),
                path=path,
            )
        if path is not None:
            pairs[path] = file
    return pairs


def _rasters(pairs: Mapping[Path, GeoFile], asked: bool) -> dict[Path, RasterLook]:
    """Returns the headers of the images where they are to be read as rasters: on the map, or by windows or bands."""
    tiffs = [path for path in pairs if path.suffix.lower() in _TIFF]
    if len(tiffs) < len(pairs) or (not asked and all(file.is_qupath for file in pairs.values())):
        return {}
    looks = {path: raster_look(path) for path in tiffs}
    return looks if asked or any(look.transform is not None for look in looks.values()) else {}


def _drawings(
    file: GeoFile,
    images: Sequence[Path],
    rasters: Mapping[Path, RasterLook],
    name: str | None,
    crs: str | None,
    defects: list[Defect],
    notes: list[str],
) -> Iterator[tuple[Path, Drawing]]:
    """Yields each image of a file with the shapes that lie on it."""
    labels: list[str] = []
    rings: list[list[Points]] = []
    owners: list[int] = []
    lost: list[tuple[Defect, Points]] = []
    for number, feature in enumerate(file.features):
        labels.append("" if name is None else str(feature.properties.get(name, "")))
        polygons = polygons_of(feature.geometry, file.path, feature.where)
        if isinstance(polygons, Defect):
            lost.append((polygons, points_of(feature.geometry)))
            continue
        rings += polygons
        owners += [number] * len(polygons)
    shapes, lines = Polygons(rings), Polygons([[points] for _, points in lost])
    looks = {path: rasters.get(path) or _plain_look(path) for path in images}
    system = _system(file, shapes, looks, crs, notes)
    for path, look in looks.items():
        size = (look.height, look.width)
        defects += [replace(lost[number][0], image=path) for number, _ in lines.on(look, system)]
        found: dict[int, list[Ring]] = {}
        for number, polygon in shapes.on(look, system):
            outline, *holes = [cut(ring, size) for ring in polygon]
            if len(outline):
                found.setdefault(owners[number], []).append(with_holes(outline, holes))
        drawn = tuple(Shape(label=labels[owner], rings=tuple(its_rings)) for owner, its_rings in found.items())
        yield path, Drawing(source=file.path, key=path.name, shapes=drawn, height=size[0], width=size[1])


def _plain_look(path: Path) -> RasterLook:
    facts = image_facts(path)
    return RasterLook(
        height=facts.height, width=facts.width, dtypes=("uint8",), alpha=(), crs="", transform=None, complete=True
    )


def _system(
    file: GeoFile,
    polygons: Polygons,
    looks: Mapping[Path, RasterLook],
    chosen: str | None,
    notes: list[str],
) -> str:
    """Returns what the coordinates of a file count in: as it says, or as the only way that puts polygons onto an image.

    Raises:
        DatasetError: no polygon lies on an image, or several ways would put some there.
    """
    placed = any(look.transform is not None for look in looks.values())
    known = any(look.crs for look in looks.values())
    if chosen is not None or (file.crs and known):
        wanted = [chosen or file.crs]
    elif file.is_qupath or not placed:
        wanted = [PIXELS]
    else:
        wanted = [*([_WGS84] if known else []), RASTER, PIXELS]
    if not len(polygons):
        return PIXELS
    hits = {way: _hits(polygons, way, looks) for way in wanted}
    ways = [way for way in wanted if hits[way]]
    if ways[:2] == [_WGS84, RASTER] and hits[_WGS84] == hits[RASTER]:
        ways.remove(RASTER)  # the raster's own system is WGS 84
    low, high = polygons.points.min(axis=0), polygons.points.max(axis=0)
    degrees = wanted == [PIXELS] and chosen is None and (bool(file.crs) or (high - low).max() < 1)
    if len(ways) == 1 and not degrees:
        if ways[0] != wanted[0]:
            notes.append(
                message(
                    "{file} names no coordinate reference system; its polygons lie on the raster with {option}",
                    file=file.path.name,
                    option=set_option("crs", ways[0]),
                )
            )
        return ways[0]
    where = message(
        "x from {left:g} to {right:g}, y from {bottom:g} to {top:g}",
        left=low[0],
        right=high[0],
        bottom=low[1],
        top=high[1],
    )
    raise DatasetError(_about_places(file, len(polygons), where, looks, degrees, wanted, ways), path=file.path)


def _hits(polygons: Polygons, way: str, looks: Mapping[Path, RasterLook]) -> frozenset[tuple[int, Path]]:
    """Returns the polygons, by number, and images on which they lie."""
    return frozenset((number, path) for path, look in looks.items() for number, _ in polygons.on(look, way))


def _about_places(
    file: GeoFile,
    number: int,
    where: str,
    looks: Mapping[Path, RasterLook],
    degrees: bool,
    wanted: Sequence[str],
    ways: Sequence[str],
) -> str:
    """Returns why it is not known where polygons lie."""
    images = shorten((path.name for path in looks), 3)
    if degrees:
        return message(
            "its polygons lie on the map ({where}, {crs}), but {images} has no place there: take the georeferenced "
            "image, or, where the numbers are pixels, set {option}",
            where=where,
            crs=file.crs or _WGS84,
            images=images,
            option=set_option("crs", PIXELS),
        )
    if len(ways) > 1:
        return message(
            "the file names no coordinate reference system, and its coordinates ({where}) fit {ways}; say what they "
            "are with {option}",
            where=where,
            ways=" and ".join(ways),
            option=set_option("crs", ways[0]),
        )
    return message(
        "none of its {n} polygons lies on {images}: they are at {where}, read as {ways}; if they count in something "
        "else, say so with {option}",
        n=number,
        images=images,
        where=where,
        ways=", ".join(wanted),
        option=set_option("crs"),
    )


def _as_rasters(root: Path, listing: Listing, options: AnnotationOptions, given: Mapping[str, Any]) -> RasterListing:
    """Returns the same as rasters read by windows: masks are drawn once, on the grids of their images."""
    class_map, painter = listing.class_map, listing.painter
    assert isinstance(class_map, ClassMap), "classes of drawings are known"
    assert painter is not None, "masks are drawings"
    painted = [
        (entry, painter(drawing, (drawing.height or 0, drawing.width or 0)))
        for entry in listing.entries
        if (drawing := entry.drawing) is not None
    ]

    top = Path(os.path.commonpath([entry.image.parent for entry, _ in painted]))
    top = top.parent if part_of((top.name,)) is not None and top != root else top  # the part's name is kept

    def write(folder: Path, item: tuple[Entry, Painting]) -> None:
        entry, painting = item
        name = entry.image.relative_to(top)
        put_as_is(entry.image, folder / "images" / name)
        (folder / "masks" / name.parent).mkdir(parents=True, exist_ok=True)
        write_labels(folder / "masks" / name, paint(painting, root)[0], class_map, entry.image, None)

    made = unpack_once(
        root,
        painted,
        write,
        sources=[entry.image for entry, _ in painted],
        recipe={"geojson": 1, "paintings": [painting.sha256 for _, painting in painted]},
    ).folder
    depth_range = options.get("depth_range")
    background = None if class_map.background is None else class_map.names[class_map.background]
    found = geotiff(
        made,
        images="images",
        masks="masks",
        classes={name: index for index, name in enumerate(class_map.names)},
        background=False if background is None else background,
        ignore=[class_map.ignore_index],
        group=options.get("group"),
        depth_range="auto" if depth_range is None else depth_range,
        **given,
    )
    notes = (*listing.notes, *found.notes)
    kept = {item.name: getattr(found, item.name) for item in fields(RasterListing)}
    return RasterListing(**{**kept, "notes": notes, "defects": listing.defects, "root": made})
