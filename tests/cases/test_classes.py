"""Which classes masks and labels hold: lists beside them, values that are no classes, names that are one class."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cases.case import Asks, Case, Reads, check, reported

BOX, SPOT = (slice(4, 14), slice(6, 18)), (slice(18, 22), slice(20, 32))  # 120 and 48 of 768 pixels


def area(values: Mapping[str, object], ground: object = 0, *, dtype: type = np.uint8) -> np.ndarray:
    """Returns 24 x 32 pixels: the ground, 120 pixels of `box`, 48 of `spot`."""
    channels = () if isinstance(ground, int) else (len(ground),)  # type: ignore[arg-type]
    mask = np.full((24, 32, *channels), ground, dtype=dtype)
    if "box" in values:
        mask[BOX] = values["box"]
    if "spot" in values:
        mask[SPOT] = values["spot"]
    return mask


TWO = area({"box": 1, "spot": 2})
PIXELS = {"a": {"background": 600, "crack": 120, "stain": 48}}
NAMES = ("background", "crack", "stain")


def pairs(root: Path, *masks: np.ndarray, image: np.ndarray | None = None) -> None:
    """Writes images/ and masks/ called a.png, b.png, ..."""
    for place, mask in enumerate(masks):
        name = f"{chr(97 + place) if len(masks) <= 26 else place:0>1}.png"
        for folder, pixels in (("images", np.full((24, 32, 3), 90 + place, np.uint8)), ("masks", mask)):
            (root / folder).mkdir(exist_ok=True)
            Image.fromarray(pixels if image is None or folder == "masks" else image).save(root / folder / name)


def with_list(name: str, text: str, *masks: np.ndarray, encoding: str = "utf-8") -> Callable[[Path], object]:
    """Returns what writes pairs and a list of classes beside them."""

    def build(root: Path) -> None:
        pairs(root, *(masks or (TWO, TWO)))
        (root / name).write_text(text, encoding=encoding)

    return build


def masks(*arrays: np.ndarray) -> Callable[[Path], object]:
    """Returns what writes pairs."""
    return lambda root: pairs(root, *arrays)


def read(name: str, source: str, situation: str, build: Callable[[Path], object], told: str = "") -> Case:
    """Returns a case that is read as background, crack and stain."""
    expect = Reads(samples=2, classes=NAMES, pixels=PIXELS, told=(told,) if told else ())
    return Case(name=name, source=source, situation=situation, build=build, expect=expect)


LISTS = [
    read(
        "list_csv_semicolon_bom",
        "own",
        "classes.csv of a spreadsheet: semicolons, byte-order mark, quoted cells, blanks",
        with_list(
            "classes.csv", 'Pixel Value; Class\r\n0; background\r\n1; "crack"\r\n2; stain\r\n', encoding="utf-8-sig"
        ),
    ),
    read("list_csv_tabs", "own", "tabs", with_list("classes.csv", "name\tvalue\nbackground\t0\ncrack\t1\nstain\t2\n")),
    read("list_json_names", "own", "classes.json: a list", with_list("classes.json", json.dumps(NAMES))),
    read(
        "list_json_name_to_value",
        "SysCV/shift-dev#4",
        "classes.json: name -> value",
        with_list("classes.json", '{"stain": 2, "background": 0, "crack": 1}'),
    ),
    read(
        "list_json_id_to_name",
        "huggingface/transformers#27224",
        "id2label.json of the Hub",
        with_list("id2label.json", '{"0": "background", "1": "crack", "2": "stain"}'),
    ),
    read(
        "list_json_items",
        "own",
        "classes.json: list of id, name, color",
        with_list(
            "classes.json",
            json.dumps([{"id": place, "name": name, "color": "#000000"} for place, name in enumerate(NAMES)][::-1]),
        ),
    ),
    read(
        "list_nnunet",
        "own",
        "dataset.json beside masks, name -> number",
        with_list("dataset.json", '{"labels": {"background": 0, "crack": 1, "stain": 2}, "numTraining": 2}'),
    ),
    read(
        "list_nnunet_old",
        "own",
        "dataset.json, old form: number -> name",
        with_list("dataset.json", '{"labels": {"0": "background", "1": "crack", "2": "stain"}}'),
    ),
    read(
        "list_yaml_without_background",
        "microsoft/BiomedParse#37",
        "data.yaml names the objects alone; masks hold 0, 1, 2",
        with_list("data.yaml", "nc: 2\nnames:\n  - crack\n  - stain\n"),
        told="data.yaml",
    ),
    read("list_txt", "own", "classes.txt, a name a line", with_list("classes.txt", "background\ncrack\nstain\n")),
    read(
        "list_txt_numbered", "own", "labels.txt: 1: crack", with_list("labels.txt", "0: background\n1: crack\n2: stain")
    ),
    Case(
        name="list_yaml_in_two_ways",
        source="Junjue-Wang/LoveDA#38",
        situation="names without background, and masks that hold 0 and 1 of 0, 1, 2: is the first 0 or 1?",
        build=with_list("data.yaml", "names: [crack, stain]\n", area({"box": 1}), area({"box": 1})),
        expect=Asks(
            says=("data.yaml lists crack, stain without numbers", "{crack: 0, stain: 1}"),
            answer={"classes": {"background": 0, "crack": 1, "stain": 2}},
            then=Reads(samples=2, classes=NAMES, pixels={"a": {"background": 648, "crack": 120, "stain": 0}}),
        ),
    ),
    Case(
        name="list_too_short",
        source="SysCV/shift-dev#4",
        situation="masks hold 23, which the list has not",
        build=with_list("classes.csv", "value,name\n0,background\n1,crack\n", TWO, area({"box": 23})),
        expect=Asks(
            says=("classes.csv does not list: 23 on 120 pixels in 1 file, 2 on 48 pixels in 1 file", "class_2: 23"),
            silent=("a.png", "outside the class map"),
            answer={"ignore": [23, 2]},
            then=Reads(
                samples=2,
                classes=("background", "crack"),
                pixels={"a": {"background": 600, "crack": 120, "ignored": 48}, "b": {"ignored": 120}},
            ),
        ),
    ),
    Case(
        name="list_of_another_kind",
        source="own",
        situation="classes.csv of another task",
        build=with_list("classes.csv", "file,url\na,b\n"),
        expect=Reads(
            samples=2, pixels={"a": {"class_0": 600, "class_1": 120}}, told=("classes.csv was not read", "file, url")
        ),
    ),
    Case(
        name="lists_differ",
        source="own",
        situation="Roboflow's parts with two lists",
        build=lambda root: (reported("32_roboflow_semantic_masks")(root), _swap(root / "valid" / "_classes.csv")),
        expect=Asks(
            says=("test/_classes.csv lists other classes than valid/_classes.csv", "the option classes"),
            silent=("traceback",),
        ),
    ),
    Case(
        name="list_with_void",
        source="loicland/superpoint_graph#63",
        situation="DontCare is the first of the list, and most of the pixels",
        build=with_list("classes.csv", "id,name\n0,DontCare\n1,crack\n2,stain\n"),
        expect=Asks(
            says=("DontCare sounds like pixels that nobody labelled", "{DontCare: 0, crack: 1, stain: 2}"),
            answer={"ignore": [0]},
            then=Reads(
                samples=2, classes=("crack", "stain"), pixels={"a": {"ignored": 600, "crack": 120, "stain": 48}}
            ),
        ),
    ),
    Case(
        name="list_cvat_palette",
        source="cvat-ai/cvat#1736",
        situation="labelmap.txt lists the object first, masks are palette PNG: colours decide",
        build=lambda root: _palette(root),
        expect=Reads(samples=2, classes=("background", "leaf"), pixels={"a": {"background": 648, "leaf": 120}}),
    ),
]


def _swap(path: Path) -> None:
    path.write_text("Pixel Value, Class\n0, background\n1, stain\n2, crack\n")


def _palette(root: Path) -> None:
    pairs(root, TWO, TWO)
    for name in ("a.png", "b.png"):
        image = Image.fromarray(area({"box": 1}))
        image.putpalette([0, 0, 0, 48, 112, 32])
        image.save(root / "masks" / name)
    (root / "labelmap.txt").write_text("# label:color_rgb:parts:actions\nleaf:48,112,32::\nbackground:0,0,0::\n")


def voc_layout(*arrays: np.ndarray, palette: Sequence[int] = ()) -> Callable[[Path], object]:
    """Returns what writes VOC's folders and one list."""

    def build(root: Path) -> None:
        for place, mask in enumerate(arrays):
            for folder, pixels in (("JPEGImages", np.full((24, 32, 3), 90, np.uint8)), ("SegmentationClass", mask)):
                (root / folder).mkdir(exist_ok=True)
                image = Image.fromarray(pixels)
                if palette and folder == "SegmentationClass":
                    image.putpalette(palette)
                image.save(root / folder / f"ct_{place}.png")
        (root / "ImageSets" / "Segmentation").mkdir(parents=True)
        (root / "ImageSets" / "Segmentation" / "train.txt").write_text("".join(f"ct_{n}\n" for n in range(len(arrays))))

    return build


VOC = [
    Case(
        name="voc_of_own_classes",
        source="own (rock CT)",
        situation="VOC's folders, grey masks of 0 and 1, no list of classes",
        build=voc_layout(area({"box": 1}), area({"box": 1})),
        expect=Asks(
            says=("the folders are Pascal VOC's", "the masks hold 0, 1"),
            silent=("aeroplane",),
            answer={"classes": {"background": 0, "class_1": 1}},
            then=Reads(
                samples=2, classes=("background", "class_1"), pixels={"ct_0": {"background": 648, "class_1": 120}}
            ),
        ),
    ),
    Case(
        name="voc_palette_of_own_classes",
        source="wkentaro/labelme#88",
        situation="two own classes, painted with VOC's palette",
        build=voc_layout(TWO, palette=[0, 0, 0, 128, 0, 0, 0, 128, 0]),
        expect=Asks(
            says=("the folders are Pascal VOC's", "the masks hold 0, 1, 2"),
            silent=("aeroplane",),
            answer={"classes": {"background": 0, "class_1": 1, "class_2": 2}},
            then=Reads(samples=1, pixels={"ct_0": {"background": 600, "class_1": 120, "class_2": 48}}),
        ),
    ),
]


def cells(*counts: int, first: int = 1) -> list[np.ndarray]:
    """Returns masks of so many objects, 8 pixels each, numbered from `first` on (0: on through all masks)."""
    result, number = [], first
    for count in counts:
        mask = np.zeros((24, 32), np.uint16)
        for place in range(count):
            mask[2 * (place // 7) : 2 * (place // 7) + 2, 4 * (place % 7) : 4 * (place % 7) + 4] = number + place
        result.append(mask)
        number += count if first > 1 else 0
    return result


ONE_CLASS = {"classes": {"background": 0, "object": "rest"}}
GREYS = [area({"box": 255}) for _ in range(83)]
RED = area({"box": (255, 255, 255), "spot": (255, 0, 0)}, ground=(0, 0, 0))

VALUES = [
    Case(
        name="objects_counted_from_1",
        source="cuilimeng/CrackForest-dataset#4",
        situation="1, 2, 3, ... number the objects of each image",
        build=masks(*cells(3, 5, 9)),
        expect=Asks(
            says=("number objects, not classes: 3 to 9 values besides 0", "counted from 1 in each", "object: rest"),
            answer=ONE_CLASS,
            then=Reads(
                samples=3,
                classes=("background", "object"),
                pixels={"a": {"background": 744, "object": 24}, "c": {"object": 72}},
            ),
        ),
    ),
    Case(
        name="objects_numbered_through",
        source="SHI-Labs/OneFormer#27",
        situation="numbers run on through the whole set",
        build=masks(*cells(30, 40, 50, first=7)),
        expect=Asks(
            says=("number objects, not classes: 30 to 50 values", "120 in all", "one mask alone"),
            answer=ONE_CLASS,
            then=Reads(samples=3, pixels={"b": {"background": 448, "object": 320}}),
        ),
    ),
    Case(
        name="color_of_a_few",
        source="own",
        situation="3 of 86 masks hold red, the others are grey",
        build=masks(*GREYS, RED, RED, RED),
        expect=Asks(
            says=(
                "3 of 86 masks hold colours, (255, 0, 0) on 144 pixels, the others greys alone",
                "class_2: [255, 0, 0]",
            ),
            answer={"classes": {"background": [0, 0, 0], "foreground": [255, 255, 255]}, "ignore": [[255, 0, 0]]},
            then=Reads(
                samples=86,
                classes=("background", "foreground"),
                pixels={"0": {"background": 648, "foreground": 120}, "85": {"foreground": 120, "ignored": 48}},
            ),
        ),
    ),
    Case(
        name="value_of_a_handful",
        source="own",
        situation="2 stands on 3 of 66,048 pixels: a slip of the brush",
        build=masks(*[area({"box": 1})] * 85, _slip := area({"box": 1})),
        expect=Asks(says=("2 on 3 pixels in 1 mask of 86",), answer={"ignore": [2]}),
    ),
    Case(
        name="stray_beside_binary",
        source="own",
        situation="0 and 255, and 7 on 3 pixels: no class of its own, and 255 is the object",
        build=masks(*[area({"box": 255})] * 8, _stray := area({"box": 255})),
        expect=Asks(
            says=("7 (3 pixels in masks/i.png)", "ignore: [7]"),
            answer={"ignore": [7]},
            then=Reads(
                samples=9,
                classes=("background", "foreground"),
                pixels={"a": {"background": 648, "foreground": 120}, "i": {"ignored": 3, "foreground": 120}},
            ),
        ),
    ),
    Case(
        name="alpha_beside_colors",
        source="CMUNeXt#11",
        situation="one mask of three is black where it is not transparent",
        build=masks(
            area({"box": (255, 255, 255, 255)}, ground=(0, 0, 0, 255)),
            area({"box": (255, 255, 255, 255)}, ground=(0, 0, 0, 255)),
            area({"box": (0, 0, 0, 255)}, ground=(0, 0, 0, 0)),
        ),
        expect=Asks(
            says=("in 1 of 3 masks", "transparency (alpha)", "16% are opaque"),
            answer={"classes": {"background": 0, "foreground": 255}},
            then=Reads(samples=3, pixels={"a": {"foreground": 120}, "c": {"background": 648, "foreground": 120}}),
        ),
    ),
    Case(
        name="alpha_of_no_meaning",
        source="own",
        situation="masks that are transparent everywhere: their colours are the labels",
        build=masks(
            area({"box": (255, 255, 255, 0)}, ground=(0, 0, 0, 0)),
            area({"box": (255, 255, 255, 0)}, ground=(0, 0, 0, 0)),
        ),
        expect=Reads(samples=2, pixels={"a": {"background": 648, "foreground": 120}}),
    ),
    Case(
        name="values_times_257",
        source="GeoZcx/A-deeply-supervised-image-fusion-network#28",
        situation="8-bit masks saved with 16 bit: 0, 257, 514",
        build=masks(*[area({"box": 257, "spot": 514}, dtype=np.uint16)] * 2),
        expect=Reads(samples=2, pixels={"a": {"background": 600, "class_1": 120, "class_2": 48}}, told=("times 257",)),
    ),
    Case(
        name="ones_and_255",
        source="open-mmlab/mmsegmentation#1609",
        situation="some masks hold 1, others 255",
        build=masks(area({"box": 1}), area({"box": 255}), area({"box": 1})),
        expect=Reads(samples=3, pixels={"a": {"foreground": 120}, "b": {"foreground": 120}}, told=("same class",)),
    ),
    Case(
        name="gray_in_three_channels",
        source="own",
        situation="0, 1, 2 in RGB files",
        build=masks(*[np.repeat(TWO[:, :, None], 3, axis=2)] * 2),
        expect=Reads(samples=2, pixels={"a": {"class_0": 600, "class_1": 120, "class_2": 48}}),
    ),
    Case(
        name="middle_class_in_jpeg_masks",
        source="own",
        situation="0, 128 and 255 saved as JPEG: what is near 128 is no border",
        build=lambda root: _as_jpeg(root, area({"box": 255, "spot": 128})),
        expect=Asks(
            says=("crowd around 0, 125, 255", "class_1: 125"),
            silent=("tolerance: 127",),
            answer={"classes": {"background": 0, "class_1": 125, "class_2": 255}, "tolerance": "nearest"},
            then=Reads(samples=2, pixels={"a": {"background": 600, "class_1": 48, "class_2": 120}}),
        ),
    ),
    Case(
        name="borders_in_jpeg_masks",
        source="own",
        situation="0 and 255 saved as JPEG",
        build=lambda root: _as_jpeg(root, area({"box": 255})),
        expect=Reads(samples=2, pixels={"a": {"background": 648, "foreground": 120}}, told=("JPEG",)),
    ),
]
_slip[0, :3] = 2
_stray[0, :3] = 7


def _as_jpeg(root: Path, mask: np.ndarray) -> None:
    pairs(root, mask, mask)
    for path in (root / "masks").iterdir():
        Image.open(path).save(path.with_suffix(".jpg"), quality=40)
        path.unlink()


def labelme(labels: Mapping[str, Sequence[str]]) -> Callable[[Path], object]:
    """Returns what writes a LabelMe file an image, with a rectangle of 3 x 6 pixels for each label."""

    def build(root: Path) -> None:
        for name, shapes in labels.items():
            Image.fromarray(np.full((24, 32, 3), 90, np.uint8)).save(root / f"{name}.png")
            boxes = [
                {"label": label, "shape_type": "rectangle", "points": [[1, 4 * row + 1], [6, 4 * row + 3]], "flags": {}}
                for row, label in enumerate(shapes)
            ]
            plain = {"version": "5", "imagePath": f"{name}.png", "imageHeight": 24, "imageWidth": 32, "shapes": boxes}
            (root / f"{name}.json").write_text(json.dumps(plain))

    return build


LABELS = [
    Case(
        name="names_by_case",
        source="apple/turicreate#1528",
        situation="Crack, crack and crack_ are one class",
        build=labelme({"a": ["crack", "Crack"], "b": ["crack", "stain"], "c": ["crack_"]}),
        expect=Asks(
            says=("probably mean one class", "[Crack, crack, crack_, stain]"),
            answer={"classes": {"crack": ["Crack", "crack", "crack_"], "stain": "stain"}},
        ),
    ),
    Case(
        name="grades_are_classes",
        source="own",
        situation="grade_1 and grade_2 are no numbered objects",
        build=labelme({"a": ["grade_1", "grade_1"], "b": ["grade_2"], "c": ["grade_2", "grade_1"], "d": ["grade_2"]}),
        expect=Reads(samples=4, classes=("background", "grade_1", "grade_2")),
    ),
    Case(
        name="layers_are_classes",
        source="own",
        situation="each image has layer 1, 2, 3",
        build=labelme({name: ["layer 1", "layer 2", "layer 3"] for name in "abcd"}),
        expect=Reads(samples=4, classes=("background", "layer 1", "layer 2", "layer 3")),
    ),
    Case(
        name="void_is_no_class",
        source="HumanSignal/label-studio (own)",
        situation="regions called void",
        build=labelme({"a": ["void", "crack"], "b": ["crack"]}),
        expect=Asks(
            says=("void sounds like pixels that nobody labelled", "[crack, void]"),
            answer={"ignore": ["void"]},
            then=Reads(samples=2, classes=("background", "crack")),
        ),
    ),
]

REPORTED = [
    Case(
        name="labelme_numbered_objects",
        source="wkentaro/labelme#487",
        situation="labels cow-1, cow-2, cow-3",
        build=reported("13_labelme_numbered_instances"),
        expect=Asks(
            says=("cow-1, cow-2, cow-3 (as cow)", "[cow-1, cow-2, cow-3]"),
            answer={"classes": {"cow": ["cow-1", "cow-2", "cow-3"]}},
            then=Reads(samples=3, classes=("background", "cow"), pixels={}),
        ),
    ),
    Case(
        name="roboflow_semantic_masks",
        source="roboflow/notebooks#23",
        situation="_classes.csv in each part",
        build=reported("32_roboflow_semantic_masks"),
        expect=Reads(
            samples=6,
            classes=NAMES,
            pixels={"train/a_jpg.rf.0a1b": PIXELS["a"], "test/f_jpg.rf.0a1b": PIXELS["a"]},
            told=("_classes.csv",),
        ),
    ),
    Case(
        name="alpha_is_the_label",
        source="CMUNeXt#11",
        situation="masks are black, the object is in the alpha channel",
        build=reported("70_mask_rgba_alpha_is_the_label"),
        expect=Asks(
            says=("in 6 of 6 masks all that can be seen is black", "transparency (alpha)", "16% are opaque"),
            silent=("only the value 0",),
            answer={"classes": {"background": 0, "foreground": 255}},
            then=Reads(samples=6, pixels={"a": {"background": 648, "foreground": 120}}),
        ),
    ),
    Case(
        name="images_of_16_bit",
        source="own (microscopy)",
        situation="16-bit images: the range is asked once, over all files, by detect already",
        build=reported("76_images_16bit_microscopy"),
        expect=Asks(
            says=("6 of 6 images have more than 8 bit",),
            silent=("6 files of 6",),
            answer={"depth_range": [200, 2999]},
            then=Reads(samples=6, pixels={"a": {"background": 648, "foreground": 120}}),
        ),
    ),
    Case(
        name="cvat_masks_with_own_images",
        source="cvat-ai/cvat#2032",
        situation="labelmap.txt and SegmentationClass, images in images/",
        build=reported("83_cvat_segmentation_mask_labelmap_order"),
        expect=Reads(
            samples=6, classes=("cat", "background", "dog"), pixels={"a": {"background": 600, "cat": 120, "dog": 48}}
        ),
    ),
]

CASES = [*REPORTED, *LISTS, *VOC, *VALUES, *LABELS]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_case(case: Case, tmp_path: Path) -> None:
    """The situation ends as it has to."""
    check(case, tmp_path)
