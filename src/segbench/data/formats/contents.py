"""What a folder holds that no reader knows: kinds of files, the tool they come from, and what to export instead."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from segbench.data.formats.shared.image_names import head
from segbench.data.formats.shared.listing import IMAGE_SUFFIXES
from segbench.locale import Message, join, listed, message, plural

_MOST_FILES = 20_000  # that are counted
_MOST_READ = 40  # of a kind that are looked into
_SHOWN = 5
_COMPOUND = (".nii.gz", ".tar.gz", ".ome.tif", ".ome.tiff", ".geojson.json")
_TEXTS = (".json", ".jsonl", ".ndjson", ".xml", ".csv", ".txt", ".yaml", ".yml", ".geojson")
_DOES_NOT_COUNT = (".md", ".pdf", ".ds_store", ".py", ".ipynb", ".db", ".ini", ".html")


@dataclass(frozen=True, kw_only=True)
class _Sign:
    """How a tool's files begin, and what of it can be read."""

    tool: str
    suffixes: tuple[str, ...]
    pattern: str
    advice: str


_COCO = message("export COCO JSON with segmentation, which is read as coco")
_MASKS = message("export masks as PNG beside the images")
_BOXES = message("these are boxes, not outlines: segmentation needs polygons or masks")

# The first that fits names the tool; read by no reader of segbench as they are.
_SIGNS = (
    _Sign(
        tool="Labelbox",
        suffixes=(".json", ".ndjson", ".csv"),
        pattern=r'"data_row"\s*:|"Labeled Data"|"External ID"|\bLabeled Data\b.*\bExternal ID\b',
        advice=_COCO,
    ),
    _Sign(
        tool="SuperAnnotate",
        suffixes=(".json",),
        pattern=r'"metadata"\s*:\s*\{[^}]*"(annotatorEmail|qaEmail|isPredicted)"',
        advice=_COCO,
    ),
    _Sign(tool="Scale AI", suffixes=(".json",), pattern=r'"task_id"\s*:.*"(callback_url|hypothesis)"', advice=_COCO),
    _Sign(tool="Encord", suffixes=(".json",), pattern=r'"label_hash"\s*:|"data_hash"\s*:', advice=_COCO),
    _Sign(tool="Hasty", suffixes=(".json",), pattern=r'"project_name"\s*:.*"export_format_version"', advice=_COCO),
    _Sign(tool="Segments.ai", suffixes=(".json",), pattern=r'"segmentation_bitmap"\s*:', advice=_COCO),
    _Sign(tool="Dataloop", suffixes=(".json",), pattern=r'"annotations"\s*:.*"(datasetId|itemId)"\s*:', advice=_COCO),
    _Sign(
        tool="Amazon SageMaker Ground Truth",
        suffixes=(".manifest", ".json", ".jsonl"),
        pattern=r'"source-ref"\s*:',
        advice=_MASKS,
    ),
    _Sign(
        tool="CreateML", suffixes=(".json",), pattern=r'"coordinates"\s*:\s*\{\s*"(x|y|width|height)"', advice=_BOXES
    ),
    _Sign(
        tool="BDD100K or Scalabel",
        suffixes=(".json",),
        pattern=r'"(poly2d|box2d)"\s*:',
        advice=message("use the data set's masks (labels/sem_seg/masks) beside its images"),
    ),
    _Sign(tool="QuPath", suffixes=(".json", ".geojson"), pattern=r'"objectType"\s*:\s*"annotation"', advice=_MASKS),
    _Sign(
        tool="ASAP or Aperio",
        suffixes=(".xml",),
        pattern=r"<(ASAP_Annotations|Annotations\b[^>]*MicronsPerPixel)",
        advice=_MASKS,
    ),
    _Sign(tool="LabelImg or Pascal VOC", suffixes=(".xml",), pattern=r"<annotation\b[\s\S]*<bndbox>", advice=_BOXES),
    _Sign(
        tool="YOLO (boxes)",
        suffixes=(".txt",),
        pattern=r"\A(\d+( -?\d*\.?\d+(e-?\d+)?){4}\s*?\n?)+\s*\Z",
        advice=_BOXES,
    ),
    _Sign(
        tool="KITTI (boxes)",
        suffixes=(".txt",),
        pattern=r"\A[A-Za-z]\w*( -?\d+\.?\d*){14,15}\s*$",
        advice=_BOXES,
    ),
    _Sign(
        tool=message("COCO's results"),
        suffixes=(".json",),
        pattern=r'\A\s*\[\s*\{[^{}\[\]]*"image_id"\s*:',
        advice=message("predictions without images and categories; read are COCO's annotations, which list them"),
    ),
    _Sign(tool="ImageJ results", suffixes=(".csv",), pattern=r"\A ?,?Area,Mean", advice=_MASKS),
)

# Kinds of files that are no pictures for segbench, and what to do about them.
_KINDS = {
    ".h5": message("HDF5: write its arrays as .npy files, or as PNG"),
    ".hdf5": message("HDF5: write its arrays as .npy files, or as PNG"),
    ".npy": message("NumPy arrays beside pictures: write the masks as PNG, or the images as .npy files, too"),
    ".mat": message("MATLAB arrays: write them as .npy files, or as PNG"),
    ".tfrecord": message("TensorFlow records: write images and masks as PNG"),
    ".tfrecords": message("TensorFlow records: write images and masks as PNG"),
    ".mdb": message("an LMDB database: write images and masks as PNG"),
    ".zarr": message("Zarr: write its arrays as .npy files, or as PNG"),
    ".nrrd": message("NRRD volumes: convert them to NIfTI (.nii.gz)"),
    ".mha": message("MetaImage volumes: convert them to NIfTI (.nii.gz)"),
    ".mhd": message("MetaImage volumes: convert them to NIfTI (.nii.gz)"),
    ".czi": message("a microscope's own format: export TIFF"),
    ".lif": message("a microscope's own format: export TIFF"),
    ".nd2": message("a microscope's own format: export TIFF"),
    ".svs": message("a whole slide: export tiles as PNG or TIFF"),
    ".ndpi": message("a whole slide: export tiles as PNG or TIFF"),
    ".mrxs": message("a whole slide: export tiles as PNG or TIFF"),
    ".roi": message(
        "outlines of ImageJ: in ImageJ make a mask of them (Edit, Selection, Create Mask) and save it as PNG"
    ),
    ".shp": message("a shapefile: burn its polygons into a GeoTIFF mask, for example with gdal_rasterize"),
    ".gpkg": message("a GeoPackage: burn its polygons into a GeoTIFF mask, for example with gdal_rasterize"),
    ".kml": message("KML: burn its polygons into a GeoTIFF mask, for example with gdal_rasterize"),
    ".psd": message("Photoshop: export the layer of the mask as PNG"),
    ".xcf": message("GIMP: export the layer of the mask as PNG"),
    ".svg": message("drawings: export the mask as PNG"),
    ".mp4": message("a video: write its frames as images"),
    ".avi": message("a video: write its frames as images"),
    ".mov": message("a video: write its frames as images"),
    ".dng": message("raw photos: develop them to JPEG or PNG"),
    ".cr2": message("raw photos: develop them to JPEG or PNG"),
    ".nef": message("raw photos: develop them to JPEG or PNG"),
    ".arw": message("raw photos: develop them to JPEG or PNG"),
    ".jp2": message("JPEG 2000: convert it to PNG or TIFF"),
    ".exr": message("OpenEXR: convert it to PNG or TIFF"),
    ".avif": message("AVIF: convert it to PNG or JPEG"),
}


def describe(root: Path) -> str:
    """Returns "this folder holds 12 .nii.gz, 3 .json; ...", with the tool that wrote them; empty for pictures alone."""
    files = list(_some(root))
    kinds = Counter(_kind(path) for path in files)
    counted = [(kind, number) for kind, number in kinds.most_common() if kind not in _DOES_NOT_COUNT]
    if not counted:
        return message("the folder holds no file") if not files else ""
    kinds_text = listed([message("{n} {kind}", n=number, kind=kind) for kind, number in counted], _SHOWN)
    held = message("this folder holds {kinds}", kinds=kinds_text)
    known = [join("", [f"{kind}: ", _KINDS[kind]]) for kind, _ in counted if kind in _KINDS]
    tools = list(_tools(files))
    if not known and not tools and all(kind in IMAGE_SUFFIXES for kind, _ in counted):
        return ""  # pictures alone: what is wrong with them has been said
    return join("; ", [held, *tools, *known])


def _some(root: Path) -> Iterator[Path]:
    for number, path in enumerate(root.rglob("*")):
        if number >= _MOST_FILES:
            return
        inner = path.relative_to(root).parts
        if not any(part.startswith((".", "__MACOSX")) for part in inner) and (path.is_file() or path.suffix == ".zarr"):
            yield path


def _kind(path: Path) -> str:
    name = path.name.lower()
    return next(
        (suffix for suffix in _COMPOUND if name.endswith(suffix)), path.suffix.lower() or message("without suffix")
    )


def _tools(files: list[Path]) -> Iterator[Message]:
    """Yields for each tool how many files begin like its own, and what can be done with them."""
    found: Counter[_Sign] = Counter()
    read: Counter[str] = Counter()
    for path in sorted(files):
        suffix = path.suffix.lower()
        if suffix not in (*_TEXTS, ".manifest") or read[suffix] >= _MOST_READ:
            continue
        read[suffix] += 1
        text = head(path)
        sign = next((sign for sign in _SIGNS if suffix in sign.suffixes and re.search(sign.pattern, text, re.S)), None)
        if sign is not None:
            found[sign] += 1
    for sign, number in found.most_common():
        yield plural(
            "{n} file begins like one of {tool}: {advice}",
            "{n} files begin like those of {tool}: {advice}",
            n=number,
            tool=sign.tool,
            advice=sign.advice,
        )
