"""Layouts of published sets and tools that are read as what they are: nnU-Net, the Hub, KITTI, SYNTHIA, GeoJSON, ..."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from pycocotools import mask as coco_mask
from rasterio.transform import Affine
from rasterio.warp import transform

from tests.cases.case import Asks, Case, Reads, check, reported
from tests.data.formats._draw import draw, put

PICTURE = np.indices((8, 10)).sum(axis=0)[:, :, None].repeat(3, axis=2) * 9


def mask(height: int = 8, width: int = 10, **boxes: tuple[int, int, int, int]) -> np.ndarray:
    """Returns zeros with a value (`v7=`) in each box (top, left, height, width)."""
    values = np.zeros((height, width), dtype=np.uint8)
    for name, (top, left, tall, wide) in boxes.items():
        values[top : top + tall, left : left + wide] = int(name[1:])
    return values


def nnunet(root: Path, labels: object, values: np.ndarray, *, channels: int = 1, names: str = "channel_names") -> None:
    for case in ("a", "b"):
        for number in range(channels):
            flat = np.full(values.shape, 50 * number + 10) if channels > 1 else np.broadcast_to(PICTURE, (8, 10, 3))
            draw(root / "imagesTr" / f"{case}_{number:04d}.png", flat)
        draw(root / "labelsTr" / f"{case}.png", values)
    listed = {names: {str(number): f"c{number}" for number in range(channels)}, "labels": labels, "numTraining": 2}
    put(root / "dataset.json", json.dumps({**listed, "file_ending": ".png"}))


def nnunet_v1(root: Path) -> None:
    nnunet(
        root, {"0": "background", "1": "edema", "2": "core"}, mask(v1=(0, 0, 2, 3), v2=(4, 4, 1, 5)), names="modality"
    )


def nnunet_ignored(root: Path) -> None:
    nnunet(root, {"background": 0, "leaf": 1, "ignore": 2}, mask(v1=(0, 0, 2, 3), v2=(4, 4, 1, 5)))


def nnunet_regions(root: Path) -> None:
    values = mask(v1=(0, 0, 4, 4), v2=(1, 1, 2, 2), v3=(1, 1, 1, 1))
    nnunet(root, {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": [3]}, values)


def nnunet_two_channels(root: Path) -> None:
    nnunet(root, {"background": 0, "leaf": 1}, mask(v1=(0, 0, 2, 3)), channels=2)


def nnunet_four_channels(root: Path) -> None:
    nnunet(root, {"background": 0, "leaf": 1}, mask(v1=(0, 0, 2, 3)), channels=4)


def nnunet_with_test(root: Path) -> None:
    nnunet(root, {"background": 0, "leaf": 1}, mask(v1=(0, 0, 2, 3)))
    draw(root / "imagesTs" / "t_0000.png", PICTURE)
    draw(root / "labelsTs" / "t.png", mask(v1=(0, 0, 5, 5)))


def nnunet_unlisted_value(root: Path) -> None:
    nnunet(root, {"background": 0, "leaf": 1}, mask(v1=(0, 0, 2, 3), v255=(4, 4, 1, 5)))


def metadata_two_masks(root: Path) -> None:
    rows = []
    for name in ("a", "b"):
        draw(root / "train" / f"{name}.png", PICTURE)
        draw(root / "train" / f"{name}_coarse.png", mask(v1=(0, 0, 4, 4)))
        draw(root / "train" / f"{name}_fine.png", mask(v1=(0, 0, 2, 3)))
        rows.append(
            {"file_name": f"{name}.png", "coarse": f"{name}_coarse.png", "fine": f"{name}_fine.png", "city": "x"}
        )
    put(root / "train" / "metadata.jsonl", "\n".join(map(json.dumps, rows)))


def metadata_csv_parts(root: Path) -> None:
    for part, name in (("train", "a"), ("validation", "b"), ("test", "c")):
        draw(root / part / "images" / f"{name}.jpg", PICTURE)
        draw(root / part / "masks" / f"{name}.png", mask(v1=(0, 0, 2, 3), v255=(7, 0, 1, 10)))
        label = "" if part == "test" else f"masks/{name}.png"
        put(root / part / "metadata.csv", f"file_name,annotation_file_name,weight\nimages/{name}.jpg,{label},1.5\n")
    put(root / "id2label.json", json.dumps({"0": "sky", "1": "road", "2": "car"}))


def png16(path: Path, values: np.ndarray) -> None:
    """Writes (H, W, 3) uint16 as a PNG file, which Pillow cannot."""
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + values[row].astype(">u2").tobytes() for row in range(height))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    path.parent.mkdir(parents=True, exist_ok=True)
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def synthia_labels(root: Path) -> None:
    for name in ("0000000", "0000001"):
        draw(root / "RGB" / f"{name}.png", PICTURE)
        classes = mask(v3=(4, 0, 4, 10), v8=(5, 2, 2, 4), v1=(0, 0, 3, 10)).astype(np.uint16)
        objects = np.where(classes == 8, 976, 0).astype(np.uint16)  # more than 8 bit hold
        png16(root / "GT" / "LABELS" / f"{name}.png", np.stack([classes, objects, objects * 0], axis=2))


def synthia_video(root: Path) -> None:
    draw(root / "RGB" / "Stereo_Left" / "Omni_F" / "000000.png", PICTURE)
    classes = mask(v12=(0, 0, 2, 3), v15=(4, 0, 1, 5)).astype(np.uint16)
    png16(root / "GT" / "LABELS" / "Stereo_Left" / "Omni_F" / "000000.png", np.stack([classes] * 3, axis=2))


def synthia_colors(root: Path) -> None:
    draw(root / "RGB" / "ap_1.png", PICTURE)
    colors = np.zeros((8, 10, 3), np.uint8)
    colors[:3], colors[3:5, :4] = (128, 64, 128), (0, 0, 192)
    draw(root / "GT" / "ap_1.png", colors)
    put(root / "GTTXT" / "ap_1.txt", "")


def kitti_semantic(root: Path) -> None:
    for name in ("000000_10", "000001_10"):
        draw(root / "training" / "image_2" / f"{name}.png", PICTURE)
        values = mask(v7=(4, 0, 4, 10), v26=(5, 2, 2, 4), v255=(0, 0, 1, 1))
        draw(root / "training" / "semantic" / f"{name}.png", values)
        draw(root / "training" / "semantic_rgb" / f"{name}.png", np.stack([values] * 3, axis=2))
        draw16(root / "training" / "instance" / f"{name}.png", values.astype(np.uint16) * 256)
    draw(root / "testing" / "image_2" / "000000_10.png", PICTURE)


def kitti_one_without_labels(root: Path) -> None:
    kitti_semantic(root)
    draw(root / "training" / "image_2" / "000002_10.png", PICTURE)


def draw16(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint16)).save(path)


def kitti_of_cvat(root: Path) -> None:
    put(root / "label_colors.txt", "0 0 0 background\n250 50 83 cat\n51 221 255 fire hydrant\n")
    draw(root / "default" / "image_2" / "a.png", PICTURE)
    values = mask(v1=(0, 0, 2, 3), v2=(4, 0, 1, 5)).astype(np.uint16)
    draw16(root / "default" / "instance" / "a.png", values * 256 + (values > 0) * 3)


def kitti_road(root: Path) -> None:
    for name in ("um_000000", "uu_000001"):
        draw(root / "training" / "image_2" / f"{name}.png", PICTURE)
        colors = np.zeros((8, 10, 3), np.uint8)
        colors[:6], colors[4:6, 3:7] = (255, 0, 0), (255, 0, 255)
        draw(root / "training" / "gt_image_2" / f"{name[:-7]}_road{name[-7:]}.png", colors)
    draw(root / "training" / "gt_image_2" / "um_lane_000000.png", np.full((8, 10, 3), (255, 0, 0)))


def mots_official(root: Path) -> None:
    for name in ("000000", "000001"):
        draw(root / "train" / "images" / "0002" / f"{name}.jpg", PICTURE)
        values = np.zeros((8, 10), np.uint16)
        values[0:2, 0:3], values[4, 0:5], values[4, 5:9], values[7] = 1003, 2001, 2002, 10000
        draw16(root / "train" / "instances" / "0002" / f"{name}.png", values)


def mots_of_cvat(root: Path) -> None:
    draw(root / "default" / "images" / "a.jpg", PICTURE)
    put(root / "default" / "instances" / "labels.txt", "dog\ncat\n")
    values = np.zeros((8, 10), np.uint16)
    values[0:2, 0:3], values[4, 0:5] = 1007, 2001
    draw16(root / "default" / "instances" / "a.png", values)


def icdar_letters(root: Path) -> None:
    for name in ("img_1", "img_2"):
        draw(root / "train" / "images" / f"{name}.png", PICTURE)
        colors = np.full((8, 10, 3), 255, np.uint8)
        colors[0:2, 0:3], colors[4, 0:5], colors[6, 0:2], colors[7, 9] = (
            (241, 73, 144),
            (20, 30, 40),
            (1, 2, 3),
            (9, 9, 9),
        )
        draw(root / "train" / f"{name}_GT.bmp", colors)
        lines = '241 73 144 1 4 0 3 1 4 "h"\n20 30 40 1 4 0 3 1 4 "e"\n\n#1 2 3 1 4 0 3 1 4 " "\n'
        put(root / "train" / f"{name}_GT.txt", lines)


def sa1b_files(root: Path, *, spoil: bool = False) -> None:
    for number in (1, 2):
        draw(root / f"sa_{number}.jpg", PICTURE)
        boxes = [(0, 0, 2, 3), (1, 1, 3, 4)]
        annotations = []
        for place, (top, left, height, width) in enumerate(boxes):
            plane = np.zeros((8, 10), np.uint8, order="F")
            plane[top : top + height, left : left + width] = 1
            counts = coco_mask.encode(plane)["counts"].decode()
            size = [9, 10] if spoil and number == 2 and place else [8, 10]
            found = {"id": place, "segmentation": {"size": size, "counts": counts}, "bbox": [left, top, width, height]}
            annotations.append({**found, "predicted_iou": 0.9, "stability_score": 0.9, "crop_box": [0, 0, 10, 8]})
        image = {"image_id": number, "width": 10, "height": 8, "file_name": f"sa_{number}.jpg"}
        put(root / f"sa_{number}.json", json.dumps({"image": image, "annotations": annotations}))


def box(left: float, top: float, right: float, bottom: float) -> list[list[float]]:
    return [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]


def feature(kind: str, coordinates: object, **properties: object) -> dict[str, object]:
    return {"type": "Feature", "properties": properties, "geometry": {"type": kind, "coordinates": coordinates}}


def collection(path: Path, *features: object, crs: str = "") -> None:
    named = {"crs": {"type": "name", "properties": {"name": crs}}} if crs else {}
    put(path, json.dumps({"type": "FeatureCollection", **named, "features": features}))


def raster(
    path: Path, *, crs: str = "EPSG:32633", left: float = 400000.0, top: float = 5400000.0, step: float = 2.0
) -> None:
    """Writes two bands of 12 x 16 pixels on the map; a pixel is `step` units wide."""
    values = np.arange(2 * 12 * 16, dtype=np.uint16).reshape(2, 12, 16)
    path.parent.mkdir(parents=True, exist_ok=True)
    place = Affine(step, 0.0, left, 0.0, -step, top)
    with rasterio.open(
        path, "w", driver="GTiff", height=12, width=16, count=2, dtype="uint16", crs=crs, transform=place
    ) as file:
        file.write(values)


def on_map(left: float, top: float, right: float, bottom: float) -> list[list[float]]:
    """Returns a box of pixels of `raster` in its own system."""
    return [[400000 + 2 * x, 5400000 - 2 * y] for x, y in box(left, top, right, bottom)]


def tiles(root: Path, crs: str) -> None:
    for name in ("a", "b"):
        raster(root / f"{name}.tif")
        field = feature("Polygon", [on_map(2, 2, 8, 8), on_map(4, 4, 6, 6)], landuse="", **{"class": "field"})
        houses = feature("MultiPolygon", [[on_map(10, 0, 12, 3)], [on_map(10, 5, 16, 6)]], **{"class": "house"})
        collection(root / f"{name}.geojson", field, houses, crs=crs)


def tiles_in_degrees(root: Path) -> None:
    raster(root / "a.tif")
    xs, ys = zip(*on_map(2, 2, 8, 8), strict=True)
    degrees = transform("EPSG:32633", "EPSG:4326", xs, ys)
    collection(
        root / "a.geojson", feature("Polygon", [[list(point) for point in zip(*degrees, strict=True)]], name="field")
    )


def one_area(root: Path) -> None:
    raster(root / "tiles" / "left.tif")
    raster(root / "tiles" / "right.tif", left=400032.0)
    around = [[390000, 5399990], [410000, 5399990], [410000, 5390000], [390000, 5390000], [390000, 5399990]]
    collection(root / "buildings.geojson", feature("Polygon", [around], id=7), crs="urn:ogc:def:crs:EPSG::32633")


def wrong_place(root: Path) -> None:
    raster(root / "a.tif")
    collection(root / "a.geojson", feature("Polygon", [box(9e5, 9e5, 9.1e5, 9.1e5)], name="x"), crs="EPSG:32633")


def of_qupath(root: Path) -> None:
    for name in ("a", "b"):
        draw(root / f"{name}.png", PICTURE)
        tumour = {"objectType": "annotation", "classification": {"name": "Tumor", "color": [200, 0, 0]}}
        ignored = {"objectType": "annotation", "classification": {"name": "Ignore*", "color": [9, 9, 9]}}
        rings = [box(1, 1, 7, 7), box(2, 2, 4, 4)]
        collection(
            root / f"{name}.geojson",
            feature("Polygon", rings, **tumour),
            feature("Polygon", [box(8, 0, 10, 2)], **ignored),
        )


def two_properties(root: Path) -> None:
    draw(root / "a.png", PICTURE)
    both = [feature("Polygon", [box(1, 1, 3, 3)], label="tree", category="oak")]
    collection(root / "a.geojson", *both, feature("Polygon", [box(4, 4, 9, 8)], label="tree", category="fir"))


def map_beside_picture(root: Path) -> None:
    draw(root / "a.png", PICTURE)
    collection(root / "a.geojson", feature("Polygon", [box(11.1, 48.1, 11.2, 48.2)], label="tree"))


def lines_among_polygons(root: Path) -> None:
    for name in ("a", "b", "c"):
        draw(root / f"{name}.png", PICTURE)
        found = [feature("Polygon", [box(1, 1, 3, 3)], label="road")]
        lines = [feature("LineString", [[0, 5], [9, 5]], label="road")] if name == "b" else []
        collection(root / f"{name}.geojson", *found, *lines)


def outline_beside_pairs(root: Path) -> None:
    for name in ("a", "b"):
        draw(root / "images" / f"{name}.tif", PICTURE)
        draw(root / "masks" / f"{name}.tif", mask(v1=(0, 0, 2, 3)))
    collection(root / "area.geojson", feature("Polygon", [box(11.1, 48.1, 11.2, 48.2)], name="area"))


def loveda(root: Path) -> None:
    for part, place, name in (("Train", "Rural", "0"), ("Train", "Urban", "1366"), ("Val", "Rural", "2522")):
        draw(root / part / place / "images_png" / f"{name}.png", PICTURE)
        draw(root / part / place / "masks_png" / f"{name}.png", 1 + mask(v2=(0, 0, 2, 3), v6=(4, 0, 1, 5)))
    draw(root / "Train" / "Rural" / "masks_png" / "0.png", mask(v3=(0, 0, 2, 3), v1=(4, 0, 1, 5)))
    draw(root / "Test" / "Rural" / "images_png" / "4191.png", PICTURE)


def isaid(root: Path) -> None:
    for part, name in (("train", "P0000"), ("val", "P0003")):
        draw(root / part / "images" / "images" / f"{name}.png", PICTURE)
        colors = np.zeros((8, 10, 3), np.uint8)
        colors[:2, :3], colors[4, :5] = (0, 127, 255), (0, 0, 63)
        draw(root / part / "Semantic_masks" / "images" / f"{name}_instance_color_RGB.png", colors)
        draw(root / part / "Instance_masks" / "images" / f"{name}_instance_id_RGB.png", colors // 2)


def uavid(root: Path) -> None:
    for sequence in ("seq1", "seq2"):
        for name in ("000000", "000100"):
            draw(root / "uavid_train" / sequence / "Images" / f"{name}.png", PICTURE)
            colors = np.zeros((8, 10, 3), np.uint8)
            colors[:2, :3], colors[4, :5] = (192, 0, 192), (64, 0, 128)
            draw(root / "uavid_train" / sequence / "Labels" / f"{name}.png", colors)


def potsdam(root: Path) -> None:
    for name in ("2_10", "2_11"):
        draw(root / "2_Ortho_RGB" / f"top_potsdam_{name}_RGB.tif", PICTURE)
        colors = np.full((8, 10, 3), 255, np.uint8)
        colors[:2, :3], colors[4, :5], colors[7] = (0, 0, 255), (255, 255, 0), 0
        draw(root / "5_Labels_all_noBoundary" / f"top_potsdam_{name}_label_noBoundary.tif", colors)


def landcover(root: Path) -> None:
    for name in ("M-33-20-D-c-4-2_0", "M-33-20-D-c-4-2_1", "N-34-77-A-b-1-4_0"):
        draw(root / "output" / f"{name}.jpg", PICTURE)
        draw(root / "output" / f"{name}_m.png", mask(v1=(0, 0, 2, 3), v4=(4, 0, 1, 5)))
    put(root / "train.txt", "M-33-20-D-c-4-2_0\nM-33-20-D-c-4-2_1\n")
    put(root / "test.txt", "N-34-77-A-b-1-4_0\n")


def floodnet(root: Path) -> None:
    for part, name in (("train", "6279"), ("val", "6301")):
        draw(root / part / f"{part}-org-img" / f"{name}.jpg", PICTURE)
        draw(root / part / f"{part}-label-img" / f"{name}_lab.png", mask(v1=(0, 0, 2, 3), v9=(4, 0, 1, 5)))


CASES = [
    Case(
        name="nnunet_raw_2d",
        source="MIC-DKFZ/nnUNet#1948",
        situation="imagesTr/x_0000.png (RGB), labelsTr/x.png, dataset.json; imagesTs without labels",
        build=reported("30_nnunet_raw_2d_png"),
        expect=Reads(
            samples=6,
            classes=("background", "leaf"),
            pixels={"leaf_000": {"leaf": 120, "background": 648}, "leaf_005": {"leaf": 120}},
            told=("imagesTs has 2 images without labels",),
        ),
    ),
    Case(
        name="nnunet_version_1",
        source="MIC-DKFZ/nnUNet#448",
        situation="dataset.json of version 1: modality, value -> name",
        build=nnunet_v1,
        expect=Reads(samples=2, classes=("background", "edema", "core"), pixels={"a": {"edema": 6, "core": 5}}),
    ),
    Case(
        name="nnunet_ignore_label",
        source="MIC-DKFZ/nnUNet#1948",
        situation="a label called ignore",
        build=nnunet_ignored,
        expect=Reads(samples=2, classes=("background", "leaf"), pixels={"b": {"leaf": 6, "ignored": 5}}),
    ),
    Case(
        name="nnunet_regions",
        source="MIC-DKFZ/nnUNet#95",
        situation="regions as lists of values that overlap",
        build=nnunet_regions,
        expect=Reads(
            samples=2,
            classes=("whole", "core", "enhancing"),
            pixels={"a": {"whole": 16, "core": 4, "enhancing": 1}},
            told=("multilabel",),
        ),
    ),
    Case(
        name="nnunet_two_channels",
        source="own",
        situation="two grey channels a case",
        build=nnunet_two_channels,
        expect=Reads(samples=2, pixels={"a": {"leaf": 6}}, told=("_0000, _0001",)),
    ),
    Case(
        name="nnunet_four_channels",
        source="own",
        situation="four channels a case, more than a picture has",
        build=nnunet_four_channels,
        expect=Asks(
            says=("each case has 4 channels", "3 (c3)"),
            answer={"channels": [0, 1, 2]},
            then=Reads(samples=2, pixels={"b": {"leaf": 6}}),
        ),
    ),
    Case(
        name="nnunet_test_part",
        source="own",
        situation="imagesTs with labelsTs is the test part",
        build=nnunet_with_test,
        expect=Reads(samples=3, pixels={"t": {"leaf": 25}}, splits={"t": "test", "a": "train"}),
    ),
    Case(
        name="hub_metadata_jsonl",
        source="huggingface/datasets#5181",
        situation="metadata.jsonl pairs images and masks of other names, id2label.json names the classes",
        build=reported("43_hf_imagefolder_metadata_jsonl"),
        expect=Reads(
            samples=4,
            classes=("background", "leaf"),
            pixels={"a": {"leaf": 120, "background": 648}, "d": {"leaf": 120}},
            splits={"a": "train"},
        ),
    ),
    Case(
        name="hub_metadata_csv_parts",
        source="own",
        situation="metadata.csv a part, none of the test part's rows has a mask",
        build=metadata_csv_parts,
        expect=Reads(
            samples=2,
            classes=("sky", "road", "car"),
            pixels={"a": {"road": 6, "ignored": 10, "sky": 64}},
            splits={"a": "train", "b": "val"},
            told=("test/metadata.csv names 1 image without a mask",),
        ),
    ),
    Case(
        name="hub_metadata_two_masks",
        source="own",
        situation="two columns of masks",
        build=metadata_two_masks,
        expect=Asks(
            says=("2 columns beside file_name could name the masks (coarse, fine)",),
            answer={"mask_column": "coarse"},
            then=Reads(samples=2, pixels={"a": {"foreground": 16}}),
        ),
    ),
    Case(
        name="synthia_labels_of_16_bit",
        source="yzou2/CRST#36",
        situation="GT/LABELS: three channels of 16 bit, the class in the first; Pillow gives zeros",
        build=synthia_labels,
        expect=Reads(samples=2, pixels={"0000000": {"road": 32, "car": 8, "sky": 30, "ignored": 10}}),
    ),
    Case(
        name="synthia_video",
        source="swamiviv/LSD-seg#3",
        situation="SYNTHIA's videos: 12 is lane marking, not motorcycle",
        build=synthia_video,
        expect=Reads(samples=1, pixels={"Stereo_Left/Omni_F/000000": {"lane marking": 6, "traffic light": 5}}),
    ),
    Case(
        name="synthia_colours",
        source="NVIDIA/DIGITS#1476",
        situation="SYNTHIA-RAND: RGB/, GT/ in colours, GTTXT/",
        build=synthia_colors,
        expect=Reads(samples=1, pixels={"ap_1": {"road": 30, "sidewalk": 8, "ignored": 42}}),
    ),
    Case(
        name="kitti_semantic",
        source="open-mmlab/mmsegmentation#1602",
        situation="KITTI: image_2, semantic, semantic_rgb and instance; Cityscapes' numbers",
        build=kitti_semantic,
        expect=Reads(
            samples=2,
            pixels={"000000_10": {"road": 32, "car": 8, "ignored": 40}},
            told=("testing/ has 1 image without labels",),
        ),
    ),
    Case(
        name="kitti_instance_alone",
        source="own",
        situation="the 16-bit instance files are asked for",
        build=kitti_semantic,
        options={"format": "kitti", "truth": "instance", "classes": {"way": ["road", "sidewalk"], "car": "car"}},
        expect=Reads(samples=2, classes=("way", "car"), pixels={"000000_10": {"way": 32, "car": 8}}),
    ),
    Case(
        name="kitti_of_cvat",
        source="cvat-ai/cvat docs",
        situation="CVAT's export in KITTI's form with label_colors.txt and instance files alone",
        build=kitti_of_cvat,
        expect=Reads(
            samples=1, classes=("background", "cat", "fire hydrant"), pixels={"a": {"cat": 6, "fire hydrant": 5}}
        ),
    ),
    Case(
        name="kitti_road",
        source="own",
        situation="um_road_000000.png for um_000000.png; magenta, red, black",
        build=kitti_road,
        expect=Reads(
            samples=2,
            classes=("background", "road"),
            pixels={"um_000000": {"road": 8, "background": 52, "ignored": 20}},
        ),
    ),
    Case(
        name="mots_official",
        source="VisualComputingInstitute/TrackR-CNN#65",
        situation="class * 1000 + object; 10000 is to be ignored",
        build=mots_official,
        expect=Reads(
            samples=2,
            classes=("background", "car", "pedestrian"),
            pixels={"train/0002/000000": {"car": 6, "pedestrian": 9, "ignored": 10, "background": 55}},
            groups={"train/0002/000000": "train/0002"},
            splits={"train/0002/000001": "train"},
        ),
    ),
    Case(
        name="mots_of_cvat",
        source="cvat-ai/cvat docs",
        situation="CVAT's export: instances/labels.txt names the classes 1, 2, ...",
        build=mots_of_cvat,
        expect=Reads(samples=1, classes=("background", "dog", "cat"), pixels={"default/a": {"dog": 6, "cat": 5}}),
    ),
    Case(
        name="icdar_letters",
        source="datumaro docs",
        situation="a colour a letter, a list of letters; # lines and unlisted colours count nowhere",
        build=icdar_letters,
        expect=Reads(
            samples=2,
            classes=("background", "text"),
            pixels={"img_1": {"text": 11, "ignored": 3, "background": 66}},
            splits={"img_1": "train"},
        ),
    ),
    Case(
        name="sa1b",
        source="facebookresearch/segment-anything#377",
        situation="a JSON file an image, run lengths without classes",
        build=sa1b_files,
        expect=Reads(samples=2, classes=("background", "object"), pixels={"sa_1": {"object": 16, "background": 64}}),
    ),
    Case(
        name="geojson_own_system",
        source="azavea/raster-vision#455",
        situation="x.tif and x.geojson in the raster's system, a hole, a multipolygon; two bands of 16 bit",
        build=lambda root: tiles(root, "urn:ogc:def:crs:EPSG::32633"),
        expect=Reads(samples=2, classes=("background", "field", "house"), pixels={"a": {"field": 32, "house": 12}}),
    ),
    Case(
        name="geojson_by_windows",
        source="own",
        situation="the same by windows of 8 pixels",
        build=lambda root: tiles(root, "EPSG:32633"),
        options={"window": 8},
        expect=Reads(samples=8, pixels={"a@0,8": {"house": 12}, "a@0,0": {"field": 32}, "a@4,0": {"field": 20}}),
    ),
    Case(
        name="geojson_no_system_named",
        source="rasterio/rasterio#1961",
        situation="coordinates of the raster's system, but the file names none",
        build=lambda root: tiles(root, ""),
        expect=Reads(
            samples=2, pixels={"a": {"field": 32}}, told=("names no coordinate reference system", "crs: raster")
        ),
    ),
    Case(
        name="geojson_in_degrees",
        source="rasterio/rasterio#1961",
        situation="WGS 84, as GeoJSON says, beside a raster in metres",
        build=tiles_in_degrees,
        expect=Reads(samples=1, classes=("background", "field"), pixels={"a": {"field": 36}}),
    ),
    Case(
        name="geojson_one_area",
        source="own",
        situation="one file for all tiles, its polygon far larger than a tile, without class",
        build=one_area,
        expect=Reads(
            samples=2, classes=("background", "object"), pixels={"left": {"object": 112}, "right": {"object": 112}}
        ),
    ),
    Case(
        name="geojson_elsewhere",
        source="CosmiQ/solaris#331",
        situation="no polygon lies on the raster",
        build=wrong_place,
        expect=Asks(says=("none of its 1 polygons lies on a.tif", "x from 900000 to 910000")),
    ),
    Case(
        name="qupath",
        source="DIAGNijmegen/pathology-whole-slide-data#41",
        situation="QuPath's export in pixels: classification.name, a hole, Ignore*",
        build=of_qupath,
        expect=Reads(
            samples=2, classes=("background", "Tumor"), pixels={"a": {"Tumor": 32, "ignored": 4, "background": 44}}
        ),
    ),
    Case(
        name="geojson_two_properties",
        source="own",
        situation="two properties could be the class",
        build=two_properties,
        expect=Asks(
            says=("2 properties could name the class (label: tree; category: oak, fir)",),
            answer={"class_property": "label"},
            then=Reads(samples=1, classes=("background", "tree"), pixels={"a": {"tree": 24}}),
        ),
    ),
    Case(
        name="geojson_degrees_beside_a_picture",
        source="own",
        situation="degrees beside a PNG without a place on the map",
        build=map_beside_picture,
        expect=Asks(says=("lie on the map", "has no place there"), answer={"crs": "pixels"}),
    ),
    Case(
        name="geojson_outline_beside_pairs",
        source="own",
        situation="an ordinary set with the outline of its area beside it",
        build=outline_beside_pairs,
        expect=Reads(samples=2, pixels={"a": {"foreground": 6}}),
    ),
    Case(
        name="loveda",
        source="Junjue-Wang/LoveDA#25",
        situation="Train/Rural/images_png and masks_png; 0 is no data, 1 to 7 are the classes",
        build=loveda,
        expect=Reads(
            samples=3,
            classes=("background", "building", "road", "water", "barren", "forest", "agriculture"),
            pixels={"0": {"road": 6, "background": 5, "ignored": 69}, "1366": {"road": 6, "agriculture": 5}},
            splits={"0": "train", "2522": "val"},
            told=("Test/Rural/images_png/ has 1 image without labels",),
        ),
    ),
    Case(
        name="isaid",
        source="own",
        situation="Semantic_masks with P0000_instance_color_RGB.png, beside Instance_masks",
        build=isaid,
        expect=Reads(
            samples=2,
            pixels={"P0000": {"plane": 6, "ship": 5, "background": 69}},
            splits={"P0003": "val", "P0000": "train"},
        ),
    ),
    Case(
        name="uavid",
        source="own",
        situation="a folder a sequence with Images and Labels, in colours",
        build=uavid,
        expect=Reads(
            samples=4,
            pixels={"seq1/Images/000000": {"static car": 6, "moving car": 5, "background clutter": 69}},
            groups={"seq2/Images/000100": "seq2"},
        ),
    ),
    Case(
        name="potsdam_without_boundaries",
        source="ViTAE-Transformer/ViTAE-Transformer-Remote-Sensing#9",
        situation="top_potsdam_2_10_RGB.tif and its label; black boundaries count nowhere",
        build=potsdam,
        expect=Reads(
            samples=2,
            pixels={
                "top_potsdam_2_10_RGB": {"building": 6, "car": 5, "impervious surface": 59, "ignored": 10},
            },
        ),
    ),
    Case(
        name="floodnet",
        source="own",
        situation="train-org-img/6279.jpg and train-label-img/6279_lab.png",
        build=floodnet,
        expect=Reads(samples=2, pixels={"6279": {"building flooded": 6, "grass": 5}}, splits={"6301": "val"}),
    ),
    Case(
        name="geojson_lines",
        source="own",
        situation="a line among polygons: its pixels are not known, so its image cannot be used",
        build=lines_among_polygons,
        expect=Asks(
            says=("LineString covers no pixels", "1 of 4 shapes"),
            answer={"defects": "skip"},
            then=Reads(samples=2, pixels={"a": {"road": 4}}),
        ),
    ),
    Case(
        name="sa1b_of_another_size",
        source="own",
        situation="run lengths of one object are made for another size",
        build=lambda root: sa1b_files(root, spoil=True),
        expect=Asks(
            says=("sa_2.json", "1 of 4 shapes"),
            answer={"defects": "skip"},
            then=Reads(samples=1, pixels={"sa_1": {"object": 16}}),
        ),
    ),
    Case(
        name="landcover_ai_tiles",
        source="own",
        situation="output/NAME_0.jpg and NAME_0_m.png beside train.txt and test.txt, as the set's own script cuts it",
        build=landcover,
        expect=Reads(
            samples=3,
            classes=("background", "building", "woodland", "water", "road"),
            pixels={"M-33-20-D-c-4-2_0": {"building": 6, "road": 5}},
            splits={"M-33-20-D-c-4-2_1": "train", "N-34-77-A-b-1-4_0": "test"},
            groups={"M-33-20-D-c-4-2_1": "M-33-20-D-c-4-2"},
        ),
    ),
    Case(
        name="nnunet_unlisted_value",
        source="own",
        situation="masks hold 255, which dataset.json does not list",
        build=nnunet_unlisted_value,
        expect=Asks(says=("outside the class map: 255 (5 pixels", "1 = leaf")),
    ),
    Case(
        name="kitti_image_without_labels",
        source="own",
        situation="one of the training images has no labels",
        build=kitti_one_without_labels,
        expect=Asks(
            says=("1 of 3 images have no mask: 000002_10",), answer={"unpaired": "skip"}, then=Reads(samples=2)
        ),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_case(case: Case, tmp_path: Path) -> None:
    """The situation ends as it has to."""
    check(case, tmp_path)
