"""Files of annotation tools as people have them: VIA, LabelMe, Label Studio, Supervisely, V7 Darwin, Datumaro."""

from __future__ import annotations

import base64
import io
import json
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.cases.case import Asks, Case, Reads, check, reported

HEIGHT, WIDTH = 24, 32
BOX = ((8, 6), (20, 6), (20, 16), (8, 16))  # 12 columns, 10 rows: 120 pixels
HOLE = ((10, 8), (14, 8), (14, 12), (10, 12))  # 16 of them
CORNER = np.zeros((4, 5), bool)
CORNER[1:3, 1:4] = True  # 6 pixels

Build = Callable[[Path], object]


def build(files: Mapping[str, Any], *images: str) -> Build:
    """Returns what writes JSON files, and grey images."""

    def write(root: Path) -> None:
        for name in images:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (WIDTH, HEIGHT), (90, 90, 90)).save(root / name)
        for name, plain in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(json.dumps(plain), encoding="utf-8")

    return write


def png(mask: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(stream, "PNG")
    return stream.getvalue()


def via_file(*regions: dict[str, Any], of_version_1: bool = False) -> dict[str, Any]:
    listed: Any = {str(place): one for place, one in enumerate(regions)} if of_version_1 else list(regions)
    return {f"{name}1": {"filename": name, "size": 1, "regions": listed} for name in ("a.png", "b.png")}


def via_region(attributes: Mapping[str, Any], points: Any = BOX) -> dict[str, Any]:
    xs, ys = zip(*points, strict=True)
    shape = {"name": "polygon", "all_points_x": list(xs), "all_points_y": list(ys)}
    return {"shape_attributes": shape, "region_attributes": dict(attributes)}


def labelme_file(*shapes: dict[str, Any], name: str = "a.png", data: str | None = None) -> dict[str, Any]:
    size = {"imageHeight": HEIGHT, "imageWidth": WIDTH}
    return {"version": "5.8.1", "flags": {}, "shapes": list(shapes), "imagePath": name, "imageData": data, **size}


def labelme_shape(kind: str = "polygon", points: Any = BOX, **more: Any) -> dict[str, Any]:
    return {"label": "leaf", "points": [list(point) for point in points], "shape_type": kind, "flags": {}, **more}


def studio_task(image: str, *regions: dict[str, Any]) -> dict[str, Any]:
    return {"id": 1, "data": {"image": image}, "annotations": [{"completed_by": 1, "result": list(regions)}]}


def studio_region(kind: str, value: Mapping[str, Any], name: str = "r", **more: Any) -> dict[str, Any]:
    size = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    return {"id": name, "type": kind, "value": dict(value), **size, **more}


def percent(points: Any = BOX) -> list[list[float]]:
    return [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in points]


POLYGON = {"points": percent(), "polygonlabels": ["leaf"]}


def supervisely_file(*objects: dict[str, Any]) -> dict[str, Any]:
    return {"tags": [], "size": {"height": HEIGHT, "width": WIDTH}, "objects": list(objects)}


def supervisely_polygon(*holes: Any) -> dict[str, Any]:
    points = {"exterior": [list(point) for point in BOX], "interior": [[list(one) for one in hole] for hole in holes]}
    return {"classTitle": "leaf", "geometryType": "polygon", "points": points}


def supervisely_bitmap(mask: np.ndarray, left: int, top: int) -> dict[str, Any]:
    data = base64.b64encode(zlib.compress(png(mask))).decode()
    return {"classTitle": "dirt", "geometryType": "bitmap", "bitmap": {"data": data, "origin": [left, top]}}


META = {
    "classes": [
        {"title": "leaf", "shape": "any", "color": "#00FF00"},
        {"title": "dirt", "shape": "bitmap", "color": "#FF0000"},
    ],
    "tags": [],
}


def darwin_file(name: str, *annotations: dict[str, Any], folder: str = "/") -> dict[str, Any]:
    slot = {"type": "image", "slot_name": "0", "width": WIDTH, "height": HEIGHT, "source_files": [{"file_name": name}]}
    return {"version": "2.0", "item": {"name": name, "path": folder, "slots": [slot]}, "annotations": list(annotations)}


def darwin_polygon(*paths: Any) -> dict[str, Any]:
    listed = [[{"x": x, "y": y} for x, y in path] for path in paths]
    box = {"x": 8, "y": 6, "w": 12, "h": 10}
    return {"id": "p", "name": "leaf", "polygon": {"paths": listed}, "bounding_box": box, "slot_names": ["0"]}


def darwin_masks() -> list[dict[str, Any]]:
    """Rows 2 and 3 are a mask of 64 pixels, the last row is another of 32."""
    rle = [0, 2 * WIDTH, 1, 2 * WIDTH, 0, (HEIGHT - 5) * WIDTH, 2, WIDTH]
    owners = {"mask_annotation_ids_mapping": {"m1": 1, "m2": 2}, "total_pixels": WIDTH * HEIGHT}
    return [
        {"id": "m1", "name": "leaf", "mask": {}, "slot_names": ["0"]},
        {"id": "m2", "name": "dirt", "mask": {}, "slot_names": ["0"]},
        {"id": "l", "name": "__raster_layer__", "raster_layer": {"dense_rle": rle, **owners}, "slot_names": ["0"]},
    ]


def datumaro_file(**items: list[dict[str, Any]]) -> dict[str, Any]:
    labels = [{"name": name, "parent": "", "attributes": []} for name in ("leaf", "dirt")]
    listed = [
        {"id": name, "annotations": found, "image": {"path": f"{name}.png", "size": [HEIGHT, WIDTH]}}
        for name, found in items.items()
    ]
    return {"infos": {}, "categories": {"label": {"labels": labels, "attributes": []}}, "items": listed}


def datumaro_shape(kind: str, label: int = 0, **values: Any) -> dict[str, Any]:
    return {"id": 0, "type": kind, "attributes": {}, "group": 0, "label_id": label, "z_order": 0, **values}


COLUMNS = [0, 2 * HEIGHT, HEIGHT * (WIDTH - 2)]  # run lengths: the first two columns, 48 pixels; and as text:
COLUMNS_AS_TEXT = "0`1`f0"

REPORTED = [
    Case(
        name="via_polyline_as_outline",
        source="matterport/Mask_RCNN#1184",
        situation="objects outlined with VIA's polyline, closed",
        build=reported("11_via_polyline_as_outline"),
        expect=Asks(
            says=("3 of 3 lines are closed", "closed_lines"),
            answer={"closed_lines": "fill"},
            then=Reads(samples=3, classes=("background", "head"), pixels={"a": {"head": 120}, "c": {"head": 120}}),
        ),
    ),
    Case(
        name="via3_project",
        source="wastedata/Mask_RCNN#8",
        situation="project of VIA 3",
        build=reported("12_via3_project"),
        expect=Reads(
            samples=3,
            classes=("background", "leaf"),
            pixels={"a": {"leaf": 120}, "b": {"leaf": 120}},
            told=("VGG Image Annotator", "0 = leaf"),
        ),
    ),
    Case(
        name="labelstudio_bitmask_beside_polygons",
        source="HumanSignal/label-studio: BitmaskLabels",
        situation="one task of three has a bitmask",
        build=reported("22_labelstudio_bitmask_beside_polygons"),
        expect=Reads(
            samples=3,
            classes=("background", "leaf"),
            pixels={"a": {"leaf": 120}, "b": {"leaf": 120, "background": 648}, "c": {"leaf": 120}},
        ),
    ),
    Case(
        name="labelstudio_brush_png_export",
        source="HumanSignal/label-studio#8561",
        situation="brush labels to PNG: task-N-annotation-M-by-1-tag-LABEL-0.png",
        build=reported("24_labelstudio_brush_png_export"),
        expect=Asks(says=("Label Studio's export as PNG", "export the project as JSON"), silent=("mask_suffix",)),
    ),
    Case(
        name="supervisely_project",
        source="matterport/Mask_RCNN#2161",
        situation="Supervisely project",
        build=reported("38_supervisely_project"),
        expect=Reads(samples=4, classes=("background", "leaf"), pixels={"a": {"leaf": 120}}, told=("Supervisely",)),
    ),
    Case(
        name="via_attribute_ids_with_descriptions",
        source="matterport/Mask_RCNN#1337",
        situation="dropdown of the numbers 1, 2, described as Pizza, Burger",
        build=reported("96_via_attribute_ids_with_descriptions"),
        expect=Reads(
            samples=3,
            classes=("background", "Pizza", "Burger"),
            pixels={"a": {"Pizza": 120, "Burger": 20}},
            told=("1 = Pizza, 2 = Burger",),
        ),
    ),
    Case(
        name="labelstudio_list_of_images",
        source="HumanSignal/label-studio#4783",
        situation="two images in each task, regions with item_index",
        build=reported("98_labelstudio_list_of_images"),
        expect=Reads(
            samples=4,
            classes=("background", "leaf"),
            pixels={"a0": {"leaf": 58}, "b1": {"leaf": 58}},  # a triangle of 11.84 x 9.84
            told=("2 tasks show several images",),
        ),
    ),
]

OWN = [
    Case(
        name="via_1_regions_as_a_mapping",
        source="matterport/Mask_RCNN#928",
        situation="VIA 1 writes regions as a mapping",
        build=build({"via.json": via_file(via_region({"kind": "leaf"}), of_version_1=True)}, "a.png", "b.png"),
        expect=Reads(samples=2, classes=("background", "leaf"), pixels={"a": {"leaf": 120}}),
    ),
    Case(
        name="via_checkboxes_one_checked",
        source="matterport/Mask_RCNN#2005",
        situation="a checkbox a class, of which one is checked in each region",
        build=build(
            {"via.json": via_file(via_region({"EAD": {"Instrument": False, "Artefact": True, "Bubbles": False}}))},
            "a.png",
            "b.png",
        ),
        expect=Reads(samples=2, classes=("background", "Artefact"), pixels={"b": {"Artefact": 120}}),
    ),
    Case(
        name="via_two_attributes_that_agree",
        source="matterport/Mask_RCNN#700",
        situation="name and categories both say cellphone",
        build=build(
            {"via.json": via_file(via_region({"name": "cellphone", "categories": "cellphone"}))}, "a.png", "b.png"
        ),
        expect=Reads(samples=2, classes=("background", "cellphone"), pixels={"a": {"cellphone": 120}}),
    ),
    Case(
        name="via_unknown_kind_of_region",
        source="own",
        situation="a region of a kind that nobody knows beside a polygon",
        build=build(
            {
                "via.json": {
                    **via_file(via_region({"kind": "leaf"})),
                    "c.png1": {
                        "filename": "c.png",
                        "size": 1,
                        "regions": [{"shape_attributes": {"name": "cube"}, "region_attributes": {"kind": "leaf"}}],
                    },
                }
            },
            "a.png",
            "b.png",
            "c.png",
        ),
        expect=Asks(
            says=("1 of 3 shapes cannot be drawn, in 1 of 3 images", "cube"),
            answer={"defects": "skip"},
            then=Reads(samples=2, pixels={"a": {"leaf": 120}}),
        ),
    ),
    Case(
        name="labelme_mask_with_float_points",
        source="wkentaro/labelme#1569",
        situation="version 5.8.1 writes masks of uint8 and their corners as floats",
        build=build(
            {
                "a.json": labelme_file(
                    labelme_shape("mask", ((3.0, 2.0), (7.0, 5.0)), mask=base64.b64encode(png(CORNER)).decode())
                )
            },
            "a.png",
        ),
        expect=Reads(samples=1, classes=("background", "leaf"), pixels={"a": {"leaf": 6}}),
    ),
    Case(
        name="labelme_damaged_image_data_beside_the_image",
        source="wkentaro/labelme#393",
        situation="imageData cannot be decoded, but the image lies beside",
        build=build({"a.json": labelme_file(labelme_shape(), data="abc")}, "a.png"),
        expect=Reads(samples=1, pixels={"a": {"leaf": 120}}),
    ),
    Case(
        name="labelme_unknown_kind_beside_good_ones",
        source="own",
        situation="one of three images has a cuboid",
        build=build(
            {
                "a.json": labelme_file(labelme_shape()),
                "b.json": labelme_file(labelme_shape(), name="b.png"),
                "c.json": labelme_file(labelme_shape("cuboid"), labelme_shape("point", BOX[:2]), name="c.png"),
            },
            "a.png",
            "b.png",
            "c.png",
        ),
        expect=Asks(
            says=("1 of 5 shapes cannot be drawn, in 1 of 3 images", "cuboid"),
            answer={"defects": "skip"},
            then=Reads(samples=2, pixels={"b": {"leaf": 120}}),
        ),
    ),
    Case(
        name="labelstudio_labels_apart_from_shapes",
        source="HumanSignal/label-studio-converter#196",
        situation="a region without a label, and the label in a region of the same id",
        build=build(
            {
                "export.json": [
                    studio_task(
                        "/data/upload/1/0a1b2c3d-a.png",
                        studio_region("polygon", {"points": percent()}),
                        studio_region("labels", {"points": percent(), "labels": ["Airplane"]}),
                    )
                ]
            },
            "a.png",
        ),
        expect=Reads(samples=1, classes=("background", "Airplane"), pixels={"a": {"Airplane": 120}}),
    ),
    Case(
        name="labelstudio_regions_on_one_image_of_a_list",
        source="HumanSignal/label-studio#8893",
        situation="two images a task, as for change detection; only the second has a region",
        build=build(
            {
                "export.json": [
                    {
                        "id": 1,
                        "data": {"images": ["a.png", "b.png"]},
                        "annotations": [{"result": [studio_region("polygonlabels", POLYGON, item_index=1)]}],
                    }
                ]
            },
            "a.png",
            "b.png",
        ),
        expect=Reads(
            samples=2, pixels={"a": {"leaf": 0}, "b": {"leaf": 120}}, told=("without annotations: export.json",)
        ),
    ),
    Case(
        name="labelstudio_list_without_item_index",
        source="own",
        situation="two images a task, and a region that does not say on which it is",
        build=build(
            {
                "export.json": [
                    {
                        "id": 7,
                        "data": {"images": ["a.png", "b.png"]},
                        "annotations": [{"result": [studio_region("polygonlabels", POLYGON)]}],
                    }
                ]
            },
            "a.png",
            "b.png",
        ),
        expect=Asks(says=("task 7 shows 2 images", "1 of its 1 regions do not say")),
    ),
    Case(
        name="labelstudio_vector_is_no_background",
        source="HumanSignal/label-studio#8277",
        situation="one task of three has a vector",
        build=build(
            {
                "export.json": [
                    studio_task("a.png", studio_region("polygonlabels", POLYGON)),
                    studio_task("b.png", studio_region("polygonlabels", POLYGON)),
                    studio_task(
                        "c.png",
                        studio_region("vectorlabels", {"vertices": [], "closed": True, "vectorlabels": ["leaf"]}),
                    ),
                ]
            },
            "a.png",
            "b.png",
            "c.png",
        ),
        expect=Asks(
            says=("1 of 3 shapes cannot be drawn, in 1 of 3 images", "vector"),
            answer={"defects": "skip"},
            then=Reads(samples=2, pixels={"a": {"leaf": 120}}),
        ),
    ),
    Case(
        name="supervisely_bitmaps_and_holes",
        source="matterport/Mask_RCNN#2161",
        situation="drawn with bitmaps instead of polygons, beside a polygon with a hole",
        build=build(
            {
                "meta.json": META,
                "ds0/ann/a.png.json": supervisely_file(supervisely_polygon(HOLE), supervisely_bitmap(CORNER, 1, 2)),
            },
            "ds0/img/a.png",
        ),
        expect=Reads(samples=1, classes=("background", "leaf", "dirt"), pixels={"a": {"leaf": 104, "dirt": 6}}),
    ),
    Case(
        name="supervisely_train_and_val",
        source="own",
        situation="data sets called train and val, with files of the same names",
        build=build(
            {
                "meta.json": META,
                "train/ann/a.png.json": supervisely_file(supervisely_polygon()),
                "val/ann/a.png.json": supervisely_file(supervisely_polygon(HOLE)),
            },
            "train/img/a.png",
            "val/img/a.png",
        ),
        expect=Reads(
            samples=2,
            pixels={"train/img/a": {"leaf": 120}, "val/img/a": {"leaf": 104}},
            splits={"train/img/a": "train", "val/img/a": "val"},
        ),
    ),
    Case(
        name="darwin_masks",
        source="v7labs/darwin-py#1173",
        situation="drawn with the brush: masks and a raster layer, which V7's COCO export drops",
        build=build({"annotations/a.json": darwin_file("a.png", *darwin_masks())}, "images/a.png"),
        expect=Reads(samples=1, classes=("background", "dirt", "leaf"), pixels={"a": {"leaf": 64, "dirt": 32}}),
    ),
    Case(
        name="darwin_complex_polygon",
        source="v7labs/darwin-py#969",
        situation="a polygon of several paths, in folders of V7",
        build=build(
            {
                "a.json": darwin_file("a.png", darwin_polygon(BOX, HOLE), folder="/train"),
                "b.json": darwin_file("b.png", darwin_polygon(BOX), folder="/test"),
            },
            "a.png",
            "b.png",
        ),
        expect=Reads(
            samples=2,
            pixels={"a": {"leaf": 104}, "b": {"leaf": 120}},
            splits={"a": "train", "b": "test"},
        ),
    ),
    Case(
        name="datumaro_run_lengths_as_text_and_list",
        source="cvat-ai/cvat#8432",
        situation="masks of CVAT's Datumaro export (text), and of a program (a list)",
        build=build(
            {
                "annotations/train.json": datumaro_file(
                    a=[datumaro_shape("mask", 1, rle={"counts": COLUMNS_AS_TEXT, "size": [HEIGHT, WIDTH]})],
                    b=[datumaro_shape("mask", 1, rle={"counts": COLUMNS, "size": [HEIGHT, WIDTH]})],
                )
            },
            "images/train/a.png",
            "images/train/b.png",
        ),
        expect=Reads(
            samples=2,
            classes=("background", "leaf", "dirt"),
            pixels={"a": {"dirt": 48}, "b": {"dirt": 48}},
            splits={"a": "train"},
        ),
    ),
    Case(
        name="datumaro_classification",
        source="own",
        situation="a classification set in Datumaro's format: labels of whole images alone",
        build=build({"annotations/train.json": datumaro_file(a=[datumaro_shape("label")])}, "images/train/a.png"),
        expect=Asks(says=("no image has a region", "label 1")),
    ),
    Case(
        name="datumaro_detection_only",
        source="own",
        situation="a detection set in Datumaro's format: boxes alone",
        build=build(
            {"annotations/default.json": datumaro_file(a=[datumaro_shape("bbox", bbox=[8, 6, 12, 10])])},
            "images/default/a.png",
        ),
        expect=Asks(
            says=("all 1 annotations are boxes",),
            answer={"boxes": "fill"},
            then=Reads(samples=1, pixels={"a": {"leaf": 120}}),
        ),
    ),
]

CASES = [*REPORTED, *OWN]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_case(case: Case, tmp_path: Path) -> None:
    """The situation ends as it has to."""
    check(case, tmp_path)
