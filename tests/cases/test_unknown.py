"""Folders that no reader knows: what they hold is said, whose files they are, and what to export instead."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cases.case import Asks, Case, Reads, check


def photo(path: Path, value: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((12, 16, 3), value, np.uint8)).save(path)


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def photos(root: Path, folder: str = "images") -> None:
    for number, name in enumerate("abc"):
        photo(root / folder / f"{name}.png", 80 + number)


def labelbox(root: Path) -> None:
    photos(root)
    rows = [{"data_row": {"id": name, "external_id": f"{name}.png"}, "projects": {}} for name in "abc"]
    put(root / "export.ndjson", "\n".join(map(json.dumps, rows)))


def superannotate(root: Path) -> None:
    photos(root)
    plain = {"metadata": {"name": "a.png", "annotatorEmail": "x"}, "instances": []}
    put(root / "images" / "a.png___objects.json", json.dumps(plain))


def labelimg(root: Path) -> None:
    for name in "abc":
        photo(root / f"{name}.png")
        box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>5</xmax><ymax>5</ymax></bndbox>"
        put(
            root / f"{name}.xml",
            f"<annotation><filename>{name}.png</filename><object><name>cat</name>{box}</object></annotation>",
        )


def createml(root: Path) -> None:
    photos(root)
    box = {"label": "cat", "coordinates": {"x": 5, "y": 5, "width": 4, "height": 4}}
    put(root / "annotations.json", json.dumps([{"image": "a.png", "annotations": [box]}]))


def bdd_polygons(root: Path) -> None:
    photos(root)
    put(root / "labels.json", json.dumps([{"name": "a.png", "labels": [{"category": "car", "poly2d": [[[1, 2]]]}]}]))


def kitti_boxes(root: Path) -> None:
    photos(root, "image_2")
    put(root / "label_2" / "a.txt", "Car 0.00 0 -1.58 5.0 5.0 9.0 9.0 1.6 1.6 3.7 1.0 1.0 9.0 -1.5\n")


def hdf5(root: Path) -> None:
    (root / "train.h5").write_bytes(b"\x89HDF\r\n\x1a\n")


def matlab(root: Path) -> None:
    for name in "abc":
        photo(root / "images" / f"{name}.jpg")
        put(root / "ground" / f"{name}.mat", "MATLAB 5.0 MAT-file")


def slide(root: Path) -> None:
    put(root / "tumor_001.svs", "II*")
    put(root / "tumor_001.xml", "<ASAP_Annotations><Annotations></Annotations></ASAP_Annotations>")


def shapefile(root: Path) -> None:
    photo(root / "scene.tif")
    for suffix in ("shp", "dbf", "shx", "prj"):
        put(root / f"roads.{suffix}", "x")


def imagej(root: Path) -> None:
    photos(root)
    for name in "abc":
        put(root / "rois" / f"{name}.roi", "Iout")


def video(root: Path) -> None:
    put(root / "clip.mp4", "x")


def raw_photos(root: Path) -> None:
    for name in "abc":
        put(root / "images" / f"{name}.CR2", "x")
        photo(root / "masks" / f"{name}.png")


def only_images(root: Path) -> None:
    photos(root, "photos")


def nothing(root: Path) -> None:
    put(root / "README.md", "to do")


def pairs_below(root: Path) -> None:
    for number, name in enumerate("abc"):
        photo(root / "export" / "job 7" / "images" / f"{name}.png", 80 + number)
        mask = np.zeros((12, 16), np.uint8)
        mask[2:6, 2:7] = 255
        (root / "export" / "job 7" / "masks").mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(root / "export" / "job 7" / "masks" / f"{name}.png")


CASES = [
    Case(
        name="labelbox_ndjson",
        source="lightly-ai/labelformat#36",
        situation="Labelbox export beside images",
        build=labelbox,
        expect=Asks(says=("1 file begins like one of Labelbox", "COCO JSON")),
    ),
    Case(
        name="superannotate",
        source="own",
        situation="SuperAnnotate's files beside images",
        build=superannotate,
        expect=Asks(says=("SuperAnnotate", "COCO JSON")),
    ),
    Case(
        name="labelimg_boxes",
        source="bourdakos1/Custom-Object-Detection#6",
        situation="boxes of LabelImg (VOC XML) beside images",
        build=labelimg,
        expect=Asks(says=("LabelImg", "boxes, not outlines")),
    ),
    Case(
        name="createml_boxes",
        source="own",
        situation="CreateML boxes",
        build=createml,
        expect=Asks(says=("CreateML", "boxes, not outlines")),
    ),
    Case(
        name="bdd_polygons",
        source="mmsegmentation BDD",
        situation="BDD100K's JSON with poly2d, without its masks",
        build=bdd_polygons,
        expect=Asks(says=("BDD100K", "masks")),
    ),
    Case(
        name="kitti_boxes",
        source="own",
        situation="KITTI's boxes (label_2/)",
        build=kitti_boxes,
        expect=Asks(says=("KITTI (boxes)", "boxes, not outlines")),
    ),
    Case(
        name="hdf5",
        source="own",
        situation="one HDF5 file",
        build=hdf5,
        expect=Asks(says=("1 .h5", "HDF5", ".npy"), silent=("Traceback",)),
    ),
    Case(
        name="matlab_truth",
        source="BSDS and SBD layouts",
        situation="JPEG images, truth in .mat files",
        build=matlab,
        expect=Asks(says=("3 .mat", "MATLAB")),
    ),
    Case(
        name="whole_slide",
        source="camelyon layout",
        situation="a whole slide and ASAP's outlines",
        build=slide,
        expect=Asks(says=("1 .svs", "whole slide", "ASAP")),
    ),
    Case(
        name="shapefile",
        source="spacenet layout",
        situation="a raster and a shapefile of roads",
        build=shapefile,
        expect=Asks(says=("shapefile", "gdal_rasterize")),
    ),
    Case(
        name="imagej_rois",
        source="own",
        situation="ImageJ's .roi files",
        build=imagej,
        expect=Asks(says=("3 .roi", "ImageJ")),
    ),
    Case(
        name="video",
        source="own",
        situation="a video alone",
        build=video,
        expect=Asks(says=("a video: write its frames as images",)),
    ),
    Case(
        name="raw_photos",
        source="own",
        situation="raw photos beside PNG masks",
        build=raw_photos,
        expect=Asks(says=("3 .cr2", "raw photos")),
    ),
    Case(
        name="only_images",
        source="own",
        situation="images without any label",
        build=only_images,
        expect=Asks(says=("of 3 image files no name ends in _mask",)),
    ),
    Case(
        name="nothing", source="own", situation="a folder with a README", build=nothing, expect=Asks(says=("no image",))
    ),
    Case(
        name="pairs_three_folders_below",
        source="Doodleverse/segmentation_gym#92",
        situation="the data set lies in export/job 7/, named is the folder above",
        build=pairs_below,
        expect=Reads(samples=3, classes=("background", "foreground")),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_case(case: Case, tmp_path: Path) -> None:
    """The situation ends as it has to."""
    check(case, tmp_path)
