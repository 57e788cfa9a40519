"""Annotation files as people have them: shapes that cannot be drawn, crowds, lines, several files, other numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.cases.case import Asks, Case, Reads, check, reported

Build = Callable[[Path], object]

HEIGHT, WIDTH = 24, 32
SQUARE = [8, 6, 20, 6, 20, 16, 8, 16]  # 12 x 10 = 120 pixels
SMALL = [1, 1, 6, 1, 6, 5, 1, 5]  # 5 x 4 = 20 pixels, apart from SQUARE
RLE = [198, *[10, 14] * 11, 10, 296]  # the pixels of SQUARE, column by column: 8 * 24 + 6 of nothing, 10 of it, ...
YOLO = "0.25 0.25 0.625 0.25 0.625 0.6667 0.25 0.6667"  # SQUARE in parts of the image
META = "<version>1.1</version><meta><task><labels>{}</labels></task></meta>"


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = sum(map(ord, path.as_posix()))
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)).save(path)


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def mark(image: int | str, segmentation: Any, category: int = 1, **more: Any) -> dict[str, Any]:
    """An annotation of a COCO file; the box is that of SQUARE."""
    plain = {"image_id": image, "category_id": category, "segmentation": segmentation, "iscrowd": 0}
    return {**plain, "bbox": [8, 6, 12, 10], "area": 120, **more}


def coco(
    annotations: Sequence[dict[str, Any]],
    *,
    names: Sequence[str] = ("leaf",),
    first: int = 1,
    images: int = 3,
    folder: str = "",
    file: str = "annotations/instances_default.json",
    pictures: str = "images",
) -> Build:
    """Returns what writes images 1.png, 2.png, ... with the ids 1, 2, ... and a JSON file."""

    def build(root: Path) -> None:
        home = root / folder
        listed = []
        for number in range(1, images + 1):
            picture(home / pictures / f"{number}.png")
            listed.append({"id": number, "file_name": f"{number}.png", "height": HEIGHT, "width": WIDTH})
        kinds = [{"id": first + place, "name": name} for place, name in enumerate(names)]
        numbered = [{"id": place, **item} for place, item in enumerate(annotations, 1)]
        put(home / file, json.dumps({"images": listed, "categories": kinds, "annotations": numbered}))

    return build


def both(*builds: Build) -> Build:
    """Returns what does one after the other."""

    def build(root: Path) -> None:
        for one in builds:
            one(root)

    return build


def yolo(
    labels: Sequence[str], yaml: str = "train: images/train\nval: images/val\nnames: [leaf, stem, root]\n"
) -> Build:
    """Returns what writes images/train/1.png and on, with their label files, the last one in val."""

    def build(root: Path) -> None:
        if yaml:
            put(root / "data.yaml", yaml)
        for number, text in enumerate(labels, 1):
            part = "val" if number == len(labels) else "train"
            picture(root / "images" / part / f"{number}.png")
            put(root / "labels" / part / f"{number}.txt", text)

    return build


def cvat(shapes: Sequence[str], *, folder: str = "", names: Sequence[str] = ("leaf",), inner: str = "") -> Build:
    """Returns what writes 1.png and on, in images/ and a folder below it, and CVAT's XML with a shape for each."""

    def build(root: Path) -> None:
        labels = "".join(f"<label><name>{name}</name></label>" for name in names)
        text = ""
        for number, shape in enumerate(shapes, 1):
            picture(root / folder / "images" / inner / f"{number}.png")
            text += f'<image name="{inner}{number}.png" width="{WIDTH}" height="{HEIGHT}">{shape}</image>'
        put(root / folder / "annotations.xml", f"<annotations>{META.format(labels)}{text}</annotations>")

    return build


def points(ring: Sequence[float]) -> str:
    return ";".join(f"{x},{y}" for x, y in zip(ring[0::2], ring[1::2], strict=True))


POLYGON = f'<polygon label="leaf" points="{points(SQUARE)}"/>'
CLOSED = f'<polyline label="leaf" points="{points([*SQUARE, *SQUARE[:2]])}"/>'
GOOD = [mark(number, [SQUARE]) for number in (1, 2, 3)]


REPORTED = [
    Case(
        name="brush_masks_are_crowds",
        source="cvat-ai/cvat#7030",
        situation="polygons of one class, brush masks of another, which CVAT marks as crowds",
        build=reported("01b_coco_brush_masks_are_crowds_beside_polygons"),
        expect=Asks(
            says=("12 of 12 shapes of 'stem' are marked as crowds", "crowd: include"),
            answer={"crowd": "include"},
            then=Reads(
                samples=12,
                classes=("background", "leaf", "stem"),
                pixels={"1": {"leaf": 20, "stem": 120, "ignored": 0}},
            ),
        ),
    ),
    Case(
        name="roboflow_root_of_the_same_name",
        source="roboflow/rf-detr#1303",
        situation="the root category that Roboflow puts first has the name of the only class",
        build=reported("02_coco_roboflow_root_same_name"),
        expect=Reads(samples=3, classes=("background", "crack"), pixels={"b": {"crack": 120}}),
    ),
    Case(
        name="counts_as_shown_bytes",
        source="cocodataset/cocoapi#70",
        situation="compressed run lengths saved with str(), so that they begin with b'",
        build=reported("03_coco_counts_str_bytes"),
        expect=Reads(samples=3, classes=("background", "leaf"), pixels={"a": {"leaf": 120}, "c": {"leaf": 120}}),
    ),
    Case(
        name="a_ring_of_two_points_beside_a_good_one",
        source="open-mmlab/mmdetection#9064",
        situation="one ring of an object covers nothing",
        build=reported("07_coco_one_polygon_of_two_points"),
        expect=Reads(samples=3, pixels={"b": {"leaf": 120}}, told=("polygons with fewer than three points",)),
    ),
    Case(
        name="run_lengths_longer_than_the_box",
        source="cvat-ai/cvat#9460",
        situation="one mask of three in CVAT's XML cannot be drawn",
        build=reported("17_cvat_one_mask_rle_too_long"),
        expect=Asks(
            says=("1 of 3 shapes cannot be drawn, in 1 of 3 images", "b.png, <mask> 1", "defects: skip"),
            answer={"defects": "skip"},
            then=Reads(samples=2, pixels={"a": {"leaf": 120}, "c": {"leaf": 120}}, told=("left out: images/b.png",)),
        ),
    ),
    Case(
        name="predictions_with_confidence",
        source="ultralytics/yolov5#10196",
        situation="a confidence at the end of every line",
        build=reported("25_yolo_saved_predictions_with_conf"),
        expect=Reads(
            samples=3,
            classes=("background", "leaf"),
            pixels={"a": {"leaf": 120}, "c": {"leaf": 120}},
            splits={"a": "train", "c": "val"},
            told=("all 3 lines end with a number from 0 to 1",),
        ),
    ),
    Case(
        name="nc_and_names_differ",
        source="ultralytics/ultralytics#1593",
        situation="nc: 80, one name",
        build=reported("9G_yolo_nc_and_names_differ"),
        expect=Asks(says=("nc: 80 classes, but there are 1 names", "data.yaml"), silent=("data sets",)),
    ),
    Case(
        name="an_image_in_two_files",
        source="own",
        situation="c.png is listed in the JSON files of train and of val",
        build=reported("9Q_coco_same_image_in_two_json_files"),
        expect=Asks(
            says=("images/c.png", "instances_train.json", "instances_val.json"),
            silent=("data sets, choose",),
            answer={"annotations": "annotations/instances_train.json"},
            then=Reads(samples=3, pixels={"c": {"x": 120}}),
        ),
    ),
    Case(
        name="overlapping_runs",
        source="kaggle",
        situation="the run lengths of one row of four overlap",
        build=reported("9T_kaggle_overlapping_runs_one_row"),
        expect=Asks(
            says=("1 of 3 shapes cannot be drawn, in 1 of 4 images", "line 3, 1.png", "defects: skip"),
            answer={"defects": "skip"},
            then=Reads(samples=3, pixels={"0": {"foreground": 20}, "2": {"foreground": 0}, "3": {"foreground": 5}}),
        ),
    ),
]

COCO = [
    Case(
        name="every_mask_is_a_crowd",
        source="facebookresearch/detectron2#2415",
        situation="one class, iscrowd 1 everywhere",
        build=coco([mark(number, {"counts": RLE, "size": [HEIGHT, WIDTH]}, iscrowd=1) for number in (1, 2, 3)]),
        expect=Asks(
            says=("3 of 3 shapes of 'leaf' are marked as crowds",),
            answer={"crowd": "include"},
            then=Reads(samples=3, pixels={"1": {"leaf": 120}}),
        ),
    ),
    Case(
        name="a_few_crowds",
        source="own",
        situation="real crowds beside objects count nowhere, and are told",
        build=coco([*GOOD, mark(1, [SMALL], iscrowd=1)]),
        expect=Reads(
            samples=3,
            pixels={"1": {"leaf": 120, "ignored": 20}},
            told=("1 of 4 shapes of 'leaf' are marked as crowds; they count nowhere",),
        ),
    ),
    Case(
        name="crowd_as_text",
        source="own",
        situation='iscrowd is the text "0"',
        build=coco([mark(number, [SQUARE], iscrowd="0") for number in (1, 2, 3)]),
        expect=Reads(samples=3, pixels={"1": {"leaf": 120, "ignored": 0}}),
    ),
    Case(
        name="flat_polygons",
        source="OvidijusParsiunas/myvision#17",
        situation="a polygon that is not in a list of its own, beside others that are",
        build=coco([mark(1, SQUARE), *GOOD[1:]]),
        expect=Reads(samples=3, pixels={"1": {"leaf": 120}, "2": {"leaf": 120}}),
    ),
    Case(
        name="points_as_pairs",
        source="own",
        situation="[[x, y], ...] instead of [[x, y, ...]]",
        build=coco([mark(1, [SQUARE[at : at + 2] for at in range(0, 8, 2)]), *GOOD[1:]]),
        expect=Reads(samples=3, pixels={"1": {"leaf": 120}}),
    ),
    Case(
        name="whole_floats_as_counts",
        source="own",
        situation="run lengths that went through a table of numbers",
        build=coco([mark(1, {"counts": [float(length) for length in RLE], "size": [HEIGHT, WIDTH]}), *GOOD[1:]]),
        expect=Reads(samples=3, pixels={"1": {"leaf": 120}}),
    ),
    Case(
        name="box_as_segmentation",
        source="tensorpack/tensorpack#1041",
        situation="the four numbers of a box stand where a polygon should, in one image of three",
        build=coco([mark(1, [[8, 6, 12, 10]]), *GOOD[1:]]),
        expect=Asks(
            says=("1 of 3 shapes cannot be drawn, in 1 of 3 images", "a polygon of 2 points"),
            answer={"defects": "skip"},
            then=Reads(samples=2, pixels={"2": {"leaf": 120}}),
        ),
    ),
    Case(
        name="a_stray_point",
        source="jsbroks/coco-annotator#526",
        situation="a ring of one point in the middle of the image beside the outline",
        build=coco([mark(1, [SQUARE, [16.0, 12.0]]), *GOOD[1:]]),
        expect=Reads(samples=3, pixels={"1": {"leaf": 120}}, told=("1 polygons with fewer than three points",)),
    ),
    Case(
        name="boxes_only",
        source="jsbroks/coco-annotator#452",
        situation="a detection set: no annotation has an outline",
        build=coco([mark(number, []) for number in (1, 2, 3)]),
        expect=Asks(
            says=("all 3 annotations are boxes without a segmentation", "boxes: fill"),
            answer={"boxes": "fill"},
            then=Reads(samples=3, pixels={"1": {"leaf": 120}}),
        ),
    ),
    Case(
        name="a_box_among_outlines",
        source="own",
        situation="one object has a box and no outline: its pixels are neither object nor background",
        build=coco([*GOOD, mark(1, [], bbox=[1, 1, 5, 4])]),
        expect=Reads(
            samples=3, pixels={"1": {"leaf": 120, "ignored": 20}}, told=("1 objects with a box and no outline",)
        ),
    ),
    Case(
        name="empty_annotations",
        source="DLR-RM/BlenderProc#34",
        situation="annotations with an empty segmentation and a box of no area",
        build=coco([*GOOD[:2], mark(3, [], bbox=[0, 0, 0, 0], area=0)]),
        expect=Reads(samples=3, pixels={"3": {"leaf": 0, "ignored": 0}}, told=("neither a segmentation nor a box",)),
    ),
    Case(
        name="image_ids_as_text",
        source="cvat-ai/cvat#298",
        situation="images have numbers as ids, annotations name them as text",
        build=coco([mark(str(number), [SQUARE]) for number in (1, 2, 3)]),
        expect=Reads(samples=3, pixels={"1": {"leaf": 120}, "3": {"leaf": 120}}),
    ),
    Case(
        name="categories_from_0_annotations_from_1",
        source="roboflow/supervision#205",
        situation="the only category has the id 0, the annotations name 1",
        build=coco([*GOOD, mark(1, [SMALL], 0)], first=0),
        expect=Asks(
            says=("3 entries name a class that the list of classes does not have", "category_id 1"),
            answer={"defects": "skip"},
            then=Reads(samples=3, pixels={"1": {"leaf": 20, "ignored": 120}, "2": {"ignored": 120}}),
        ),
    ),
    Case(
        name="run_lengths_of_another_size",
        source="own",
        situation="all masks were made for images twice as large",
        build=coco([mark(number, {"counts": [96, 2976], "size": [48, 64]}) for number in (1, 2, 3)]),
        expect=Asks(
            says=("3 of 3 shapes cannot be drawn", "without them nothing is left", "made for another image size"),
            silent=("defects",),
        ),
    ),
    Case(
        name="many_bad_shapes_are_all_counted",
        source="own",
        situation="text where numbers should be, two points, no numbers: one refusal for all",
        build=coco(
            [*GOOD, mark(1, [["a"] * 6]), mark(1, [[1, 1, 2, 2]]), mark(1, [SMALL], iscrowd="perhaps")], images=3
        ),
        expect=Asks(
            says=("3 of 6 shapes cannot be drawn, in 1 of 3 images", "got 'a'", "2 points", "iscrowd"),
            answer={"defects": "skip"},
            then=Reads(samples=2),
        ),
    ),
    Case(
        name="sets_with_equal_names_of_images",
        source="ashnair1/COCO-Assistant#25",
        situation="three exports, each with images 1 to 3, in folders of their own",
        build=both(*(coco(GOOD, folder=f"task_{number}", pictures="images/default") for number in (1, 2, 3))),
        expect=Reads(
            samples=9,
            classes=("background", "leaf"),
            pixels={"task_1/images/default/1": {"leaf": 120}, "task_3/images/default/2": {"leaf": 120}},
            told=("3 files were read as one set",),
        ),
    ),
    Case(
        name="frames_of_one_name_in_two_parts",
        source="cvat-ai/cvat#4993",
        situation="train and validation list frames of equal names in one folder of images",
        build=both(*(coco(GOOD, file=f"annotations/instances_{part}.json") for part in ("Train", "Validation"))),
        expect=Asks(
            says=("3 images are listed twice", "images/1.png", "instances_Train.json", "instances_Validation.json"),
            answer={"annotations": "annotations/instances_Train.json"},
            then=Reads(samples=3, splits={"1": "train"}),
        ),
    ),
]

OTHERS = [
    Case(
        name="boxes_among_outlines_in_yolo",
        source="ultralytics/ultralytics#1008",
        situation="two lines of many have 5 numbers",
        build=yolo([f"0 {YOLO}\n1 0.109375 0.125 0.15625 0.166667", f"0 {YOLO}", f"2 {YOLO}"]),
        expect=Reads(
            samples=3,
            pixels={"1": {"leaf": 120, "stem": 0, "ignored": 20}},
            told=("objects with a box and no outline",),
        ),
    ),
    Case(
        name="labels_count_from_1",
        source="obss/sahi#524",
        situation="three names, class numbers 1 to 3: every region would get another class",
        build=yolo([f"1 {YOLO}", f"2 {YOLO}", f"3 {YOLO}"]),
        expect=Asks(says=("1 to 3", "0 to 2", "names: {1: leaf, 2: stem, 3: root}")),
    ),
    Case(
        name="a_class_beyond_the_names",
        source="obss/sahi#524",
        situation="one line names the class 7 of three",
        build=yolo([f"0 {YOLO}\n7 0.03125 0.041667 0.1875 0.041667 0.1875 0.208333 0.03125 0.208333", f"1 {YOLO}", ""]),
        expect=Asks(
            says=("1 entry names a class", "there is no class 7; the 3 names are those of 0 to 2"),
            answer={"defects": "skip"},
            then=Reads(samples=3, pixels={"1": {"leaf": 120, "ignored": 20}}),
        ),
    ),
    Case(
        name="yolo_without_a_yaml",
        source="own",
        situation="images/ and labels/ alone: the classes have their numbers",
        build=yolo([f"0 {YOLO}", f"1 {YOLO}", ""], yaml=""),
        expect=Reads(
            samples=3,
            classes=("background", "class_0", "class_1"),
            pixels={"2": {"class_1": 120}},
            splits={"1": "train", "3": "val"},
            told=("named by their numbers",),
        ),
    ),
    Case(
        name="some_lines_with_confidence",
        source="own",
        situation="one line of three has a number too many: nobody knows which",
        build=yolo([f"0 {YOLO} 0.9", f"1 {YOLO}", f"2 {YOLO}"]),
        expect=Asks(
            says=("1 of 3 shapes cannot be drawn, in 1 of 3 images", "got 10 numbers"),
            answer={"defects": "skip"},
            then=Reads(samples=2),
        ),
    ),
    Case(
        name="tasks_of_cvat",
        source="cvat-ai/cvat#608",
        situation="two tasks exported one by one, with images of equal names in folders",
        build=both(*(cvat([POLYGON] * 2, folder=f"task_{number}", inner="sub/") for number in (1, 2))),
        expect=Reads(samples=4, pixels={"task_2/images/sub/1": {"leaf": 120}}, told=("2 files were read as one set",)),
    ),
    Case(
        name="tasks_of_other_things",
        source="own",
        situation="two exports beside each other that have no class in common",
        build=both(
            cvat([POLYGON], folder="leaves"), cvat([POLYGON.replace("leaf", "cell")], folder="cells", names=("cell",))
        ),
        expect=Asks(
            says=("has the classes cell, leaves/annotations.xml has leaf", "annotations: cells/annotations.xml"),
            answer={"annotations": "*/annotations.xml"},
            then=Reads(samples=2, classes=("background", "cell", "leaf")),
        ),
    ),
    Case(
        name="closed_polylines",
        source="matterport/Mask_RCNN#1184",
        situation="objects outlined with a polyline that ends where it begins",
        build=cvat([CLOSED, CLOSED, POLYGON]),
        expect=Asks(
            says=("2 of 2 lines are closed, as outlines of objects are", "closed_lines: draw"),
            answer={"closed_lines": "fill"},
            then=Reads(samples=3, pixels={"1": {"leaf": 120}}, told=("2 closed lines are filled",)),
        ),
    ),
    Case(
        name="open_polylines",
        source="own",
        situation="a line of a road is a line, and told with its width",
        build=cvat([POLYGON, '<polyline label="leaf" points="4,0;4,24"/>']),
        expect=Reads(samples=2, pixels={"1": {"leaf": 120}}, told=("1 line is drawn 1 px wide",)),
    ),
    Case(
        name="cuboids",
        source="own",
        situation="a kind of region that is not drawn, beside polygons",
        build=cvat([POLYGON, f'{POLYGON}<cuboid label="leaf" xtl1="1" ytl1="1"/>']),
        expect=Asks(
            says=("1 of 3 shapes cannot be drawn, in 1 of 2 images", "the kind 'cuboid'"),
            answer={"defects": "skip"},
            then=Reads(samples=1, pixels={"1": {"leaf": 120}}),
        ),
    ),
    Case(
        name="key_points_alone",
        source="own",
        situation="one image has skeletons only: it is not empty",
        build=cvat([POLYGON, '<skeleton label="leaf"/>', f'{POLYGON}<skeleton label="leaf"/>']),
        expect=Asks(
            says=("1 of 3 shapes cannot be drawn, in 1 of 3 images", "2.png, shape 1"),
            answer={"defects": "skip"},
            then=Reads(samples=2, told=("shapes of a kind that covers no pixels",)),
        ),
    ),
    Case(
        name="a_class_that_cvat_does_not_declare",
        source="own",
        situation="a label was renamed after the export",
        build=cvat([f'{POLYGON}<box label="Leaf" xtl="1" ytl="1" xbr="6" ybr="5"/>', POLYGON]),
        expect=Asks(
            says=("'Leaf' is none of those that the file declares", "defects: skip"),
            answer={"defects": "skip"},
            then=Reads(samples=2, classes=("background", "leaf"), pixels={"1": {"leaf": 120, "ignored": 20}}),
        ),
    ),
]

CASES = [*REPORTED, *COCO, *OTHERS]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_case(case: Case, tmp_path: Path) -> None:
    """The situation ends as it has to."""
    check(case, tmp_path)
