"""Slips of programs that write masks and annotations, and of people who keep them: nothing is misread in silence."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.cases.case import Asks, Case, Reads, check

W, H, N = 64, 48, 6
FIRST = {"foreground": 120}  # pixels of the object in the first image
BOX = (10, 8, 22, 18)


def _photo(number: int) -> Image.Image:
    pixels = np.random.default_rng(100 + number).integers(0, 255, (H // 4, W // 4, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((W, H), Image.Resampling.BICUBIC)


def _object(number: int, value: Any = 255, kind: Any = np.uint8) -> NDArray[Any]:
    """A mask whose object has 120 pixels in the first image, and 10 more in each of the next."""
    mask = np.zeros((H, W), dtype=kind)
    mask[BOX[1] : BOX[3], BOX[0] : BOX[2] + number] = value
    return mask


def _masks(draw: Callable[[int], Any], suffix: str = ".png", names: str = "{}") -> Callable[[Path], None]:
    def build(root: Path) -> None:
        (root / "images").mkdir()
        (root / "masks").mkdir()
        for number in range(N):
            _photo(number).save(root / "images" / f"{number}.jpg")
            drawn = draw(number)
            mask = drawn if isinstance(drawn, Image.Image) else Image.fromarray(drawn)
            mask.save(root / "masks" / f"{names.format(number)}{suffix}")

    return build


def _spotted(number: int) -> NDArray[np.uint8]:
    mask = _object(number)
    mask[::2][mask[::2] == 255] = 254
    return mask


def _two(number: int) -> NDArray[np.uint8]:
    mask = _object(number, 1)
    mask[20:40, 34:44] = 2
    return mask


def _palette(number: int) -> Image.Image:
    """Every other file has the colours of its two numbers exchanged, as programs do that sort them by use."""
    ground = number % 2
    mask = Image.fromarray(np.where(_object(number), 1 - ground, ground).astype(np.uint8), mode="P")
    colors = [(0, 0, 0), (128, 0, 0)]
    mask.putpalette([part for color in (colors if ground == 0 else colors[::-1]) for part in color])
    return mask


def _one_red(number: int) -> NDArray[np.uint8]:
    if number != 4:
        return _object(number)
    mask = np.zeros((H, W, 3), dtype=np.uint8)
    mask[_object(number) > 0] = (255, 0, 0)
    return mask


def _ring(number: int) -> list[float]:
    left, top, right, bottom = BOX[0], BOX[1], BOX[2] + number, BOX[3]
    return [left, top, right, top, right, bottom, left, bottom]


def _scaled(number: int, width: float, height: float) -> list[float]:
    return [value * (height if place % 2 else width) for place, value in enumerate(_ring(number))]


def _swapped(number: int) -> list[float]:
    ring = _ring(number)
    return [part for place in range(0, len(ring), 2) for part in (ring[place + 1], ring[place])]


def _runs(flat: NDArray[Any]) -> list[int]:
    edges = np.flatnonzero(np.diff(flat != 0)) + 1
    return np.diff([0, *edges.tolist(), len(flat)]).tolist()


def _coco(segmentation: Callable[[int], Any], **changed: Callable[[int], Any]) -> Callable[[Path], None]:
    def build(root: Path) -> None:
        pictures: list[Mapping[str, Any]] = []
        annotations = []
        for number in range(N):
            _photo(number).save(root / f"{number}.jpg")
            pictures.append({"id": number + 1, "file_name": f"{number}.jpg", "width": W, "height": H})
            box = [BOX[0], BOX[1], BOX[2] + number - BOX[0], BOX[3] - BOX[1]]
            annotation = {"id": number + 1, "image_id": number + 1, "category_id": 1, "iscrowd": 0, "bbox": box}
            annotation |= {"area": box[2] * box[3], "segmentation": segmentation(number)}
            annotations.append({**annotation, **{key: value(number) for key, value in changed.items()}})
        plain = {"images": pictures, "annotations": annotations, "categories": [{"id": 1, "name": "road"}]}
        (root / "instances.json").write_text(json.dumps(plain))

    return build


def _labelme(root: Path) -> None:
    for number in range(N):
        _photo(number).save(root / f"{number}.jpg")
        ring = _scaled(number, 1 / W, 1 / H)
        points = [list(pair) for pair in zip(ring[0::2], ring[1::2], strict=True)]
        shape = {"label": "road", "points": points, "group_id": None, "shape_type": "polygon", "flags": {}}
        plain = {"version": "5.4.1", "flags": {}, "shapes": [shape], "imagePath": f"{number}.jpg", "imageData": None}
        (root / f"{number}.json").write_text(json.dumps({**plain, "imageHeight": H, "imageWidth": W}))


def _label_studio(root: Path) -> None:
    tasks = []
    for number in range(N):
        _photo(number).save(root / f"{number}.jpg")
        ring = _scaled(number, 100 / W, 100 / H)
        points = [list(pair) for pair in zip(ring[0::2], ring[1::2], strict=True)]
        value = {"points": points, "polygonlabels": ["road", "wet"], "closed": True}
        region = {"id": "r", "type": "polygonlabels", "from_name": "label", "to_name": "image", "value": value}
        region |= {"original_width": W, "original_height": H, "image_rotation": 0}
        tasks.append({"id": number, "data": {"image": f"{number}.jpg"}, "annotations": [{"result": [region]}]})
    (root / "export.json").write_text(json.dumps(tasks))


def _crossed(root: Path) -> None:
    _masks(_object)(root)
    lines = [f"images/{number}.jpg masks/{(number + 1) % N}.png" for number in range(N)]
    (root / "train.txt").write_text("\n".join(lines))


def _folder_a_class(root: Path) -> None:
    _masks(_object)(root)
    for name in ("car", "road"):
        (root / "masks" / name).mkdir()
    for number in range(N):
        (root / "masks" / f"{number}.png").rename(root / "masks" / "road" / f"{number}.png")
        Image.fromarray(_object(number)[::-1]).save(root / "masks" / "car" / f"{number}.png")


def _as_in_addresses(root: Path) -> None:
    _coco(lambda number: [_ring(number)])(root)
    for number in range(N):
        (root / f"{number}.jpg").rename(root / f"no {number}.jpg")
    plain = json.loads((root / "instances.json").read_text())
    for picture in plain["images"]:
        picture["file_name"] = f"no%20{picture['file_name']}"
    (root / "instances.json").write_text(json.dumps(plain))


def _shifted_categories(root: Path) -> None:
    _coco(lambda number: [_ring(number)], category_id=lambda number: number % 2)(root)
    plain = json.loads((root / "instances.json").read_text())
    plain["categories"] = [{"id": 1, "name": "road"}, {"id": 2, "name": "car"}]
    (root / "instances.json").write_text(json.dumps(plain))


def _results(root: Path) -> None:
    _coco(lambda number: [_ring(number)])(root)
    found = json.loads((root / "instances.json").read_text())["annotations"]
    keys = ("image_id", "category_id", "segmentation")
    (root / "instances.json").write_text(json.dumps([{key: item[key] for key in keys} for item in found]))


def _points(root: Path) -> None:
    found = []
    for number in range(N):
        _photo(number).save(root / f"{number}.jpg")
        points = '<points label="road" points="10,10;12,12"></points>'
        found.append(f'<image id="{number}" name="{number}.jpg" width="{W}" height="{H}">{points}</image>')
    labels = "<meta><task><labels><label><name>road</name></label></labels></task></meta>"
    (root / "annotations.xml").write_text(f"<annotations><version>1.1</version>{labels}{''.join(found)}</annotations>")


def _near_red(number: int) -> NDArray[np.uint8]:
    mask = np.zeros((H, W, 3), dtype=np.uint8)
    mask[_two(number) == 1] = (255 if number % 2 else 254, 0, 0)
    mask[_two(number) == 2] = (0, 0, 255)
    return mask


def _copied(root: Path) -> None:
    _masks(_object)(root)
    for number, name in enumerate(("1 (1)", "2 - Copy", "3 - Kopie")):
        Image.fromarray(_object(number + 2)).save(root / "masks" / f"{name}.png")


def _with_old(root: Path) -> None:
    _masks(_object)(root)
    Image.fromarray(_object(9)).save(root / "masks" / "1_old.png")


def _label_names(*second: str) -> Callable[[Path], None]:
    def build(root: Path) -> None:
        for number in range(N):
            case = root / f"{number}_json"
            case.mkdir()
            _photo(number).save(case / "img.png")
            Image.fromarray(_object(number, 1)).save(case / "label.png")
            (case / "label_names.txt").write_text(f"_background_\n{second[number % len(second)]}\n")

    return build


CASES = [
    Case(
        name="values_254_and_255",
        source="own",
        situation="a program wrote rows of the object as 254, others as 255",
        build=_masks(_spotted),
        expect=Asks(
            says=("254", "255", "beside each other"),
            answer={"classes": {"background": 0, "foreground": [254, 255]}},
            then=Reads(samples=N, pixels={"0": FIRST}),
        ),
    ),
    Case(
        name="one_mask_of_254",
        source="own",
        situation="one mask was written with 254 instead of 255",
        build=_masks(lambda number: _object(number, 254 if number == 2 else 255)),
        expect=Asks(
            says=("254 (140 px)", "classes: {background: 0, foreground: [254, 255]}"),
            answer={"classes": {"background": 0, "foreground": [254, 255]}},
            then=Reads(samples=N, pixels={"2": {"foreground": 140}}),
        ),
    ),
    Case(
        name="palettes_that_differ",
        source="own",
        situation="palette files in which the numbers change places from file to file",
        build=_masks(_palette),
        expect=Asks(
            says=("palettes of the masks differ", "0.png", "1.png"),
            answer={"classes": {"background": "#000000", "foreground": "#800000"}},
            then=Reads(samples=N, pixels={"0": FIRST, "1": {"foreground": 130}}),
        ),
    ),
    Case(
        name="numbers_in_jpeg_files",
        source="divamgupta/image-segmentation-keras#117",
        situation="class numbers 0, 1, 2 saved as JPEG",
        build=_masks(_two, suffix=".jpg"),
        expect=Asks(says=("6 of 6 masks are JPEG files", "save the masks as PNG")),
    ),
    Case(
        name="one_red_mask",
        source="own",
        situation="one of six masks is drawn in red, the others in white",
        build=_masks(_one_red),
        expect=Asks(
            says=("1 of 6 masks hold colours", "(255, 0, 0) on 160 pixels"),
            answer={
                "classes": {"background": [0, 0, 0], "foreground": [255, 255, 255]},
                "ignore": [[255, 0, 0]],
            },
            then=Reads(samples=N, pixels={"0": FIRST, "4": {"foreground": 0, "ignored": 160}}),
        ),
    ),
    Case(
        name="photographs_as_masks",
        source="own",
        situation="the folder of masks holds the photographs once more",
        build=_masks(_photo),
        expect=Asks(says=("these are photographs",), silent=("number objects",)),
    ),
    Case(
        name="probabilities_as_masks",
        source="own",
        situation="floating-point masks with probabilities between 0 and 1",
        build=_masks(lambda number: _object(number, 0.7, np.float32), suffix=".tif"),
        expect=Asks(says=("none of the masks can be read", "0.7"), silent=("no pixels",)),
    ),
    Case(
        name="zeros_before_numbers",
        source="matsuren/omnimvs_pytorch#4",
        situation="images 0.jpg to 5.jpg, masks 0000.png to 0005.png",
        build=_masks(_object, names="{:04d}"),
        expect=Reads(samples=N, pixels={"0": FIRST, "5": {"foreground": 170}}, told=("zeros before numbers",)),
    ),
    Case(
        name="coco_parts_of_the_width",
        source="kili-technology/kili-python-sdk#1751",
        situation="polygons in parts of width and height",
        build=_coco(lambda number: [_scaled(number, 1 / W, 1 / H)]),
        expect=Asks(says=("6 of 6 shapes", "parts of the image's width and height")),
    ),
    Case(
        name="coco_per_cent",
        source="own",
        situation="polygons in per cent of width and height, boxes in pixels",
        build=_coco(lambda number: [_scaled(number, 100 / W, 100 / H)]),
        expect=Asks(says=("6 of 6 outlines", "per cent")),
    ),
    Case(
        name="coco_x_and_y_exchanged",
        source="ryouchinsa/Rectlabel-support#79",
        situation="polygons as y, x; boxes right",
        build=_coco(lambda number: [_swapped(number)]),
        expect=Asks(says=("6 of 6 outlines", "x and y exchanged")),
    ),
    Case(
        name="coco_all_exchanged",
        source="own",
        situation="outlines and boxes as y, x, so that they lie beside the images",
        build=_coco(
            lambda number: [[8, 50, 18, 50, 18, 62, 8, 62]],
            bbox=lambda number: [8, 50, 10, 12],
        ),
        expect=Asks(says=("6 of 6 outlines lie wholly outside", "x and y may be exchanged")),
    ),
    Case(
        name="coco_runs_along_rows",
        source="NVIDIA/DALI#2248",
        situation="run lengths counted along rows, the size is right",
        build=_coco(lambda number: {"size": [H, W], "counts": _runs(_object(number).ravel())}),
        expect=Asks(says=("6 of 6 outlines", "along rows")),
    ),
    Case(
        name="coco_runs_down_columns",
        source="own",
        situation="the same, as COCO counts: nothing is asked",
        build=_coco(lambda number: {"size": [H, W], "counts": _runs(_object(number).T.ravel())}),
        expect=Reads(samples=N, pixels={"0": {"road": 120}}),
    ),
    Case(
        name="coco_boxes_of_corners",
        source="own",
        situation="boxes as two corners: the outlines are right, nothing is asked",
        build=_coco(lambda number: [_ring(number)], bbox=lambda number: [BOX[0], BOX[1], BOX[2] + number, BOX[3]]),
        expect=Reads(samples=N, pixels={"0": {"road": 120}}),
    ),
    Case(
        name="coco_holes_as_polygons",
        source="cocodataset/cocoapi#153",
        situation="holes as further polygons of the object, which COCO's tools fill",
        build=_coco(
            lambda number: [_ring(number), [12, 10, 18, 10, 18, 16, 12, 16]],
            area=lambda number: (12 + number) * 10 - 36,
        ),
        expect=Reads(samples=N, pixels={"0": {"road": 120}}, told=("6 of 6 objects", "as a hole")),
    ),
    Case(
        name="coco_images_counted_from_1",
        source="own",
        situation="images have the ids 1 to 6, annotations name 0 to 5",
        build=_coco(lambda number: [_ring(number)], image_id=lambda number: number),
        expect=Asks(says=("from 0 to 5", "from 1 to 6")),
    ),
    Case(
        name="labelme_parts_of_the_width",
        source="own",
        situation="a converter wrote LabelMe's points in parts of width and height",
        build=_labelme,
        expect=Asks(says=("6 of 6 shapes", "parts of the image's width and height")),
    ),
    Case(
        name="labelstudio_two_labels",
        source="own",
        situation="each region has two labels",
        build=_label_studio,
        expect=Asks(
            says=("road + wet (6 times)",),
            answer={"task": "multilabel"},
            then=Reads(samples=N, pixels={"0": {"road": 120, "wet": 120}}),
        ),
    ),
    Case(
        name="classes_1_2_3",
        source="own",
        situation="three classes counted from 1, without the border of a trimap",
        build=_masks(lambda number: _two(number) + 1),
        expect=Reads(samples=N, classes=("class_0", "class_1", "class_2"), pixels={"0": {"class_1": 120}}),
    ),
    Case(
        name="list_of_other_pairs",
        source="PaddlePaddle/PaddleSeg#1110",
        situation="a list pairs each image with the mask of the next",
        build=_crossed,
        expect=Asks(says=("train.txt pairs 6 of 6 images with other masks", "images/0.jpg with masks/1.png")),
    ),
    Case(
        name="folder_a_class",
        source="own",
        situation="masks in a folder a class, each with a file an image",
        build=_folder_a_class,
        expect=Asks(
            says=("2 folders with a mask an image each (car, road)", "task: multilabel"),
            answer={"task": "multilabel"},
            then=Reads(samples=N, pixels={"0": {"road": 120, "car": 120}}),
        ),
    ),
    Case(
        name="folder_a_class_one_chosen",
        source="own",
        situation="the same; the other answer",
        build=_folder_a_class,
        expect=Asks(says=("choose it",), answer={"masks": "masks/car"}, then=Reads(samples=N, pixels={"0": FIRST})),
    ),
    Case(
        name="coco_names_as_in_addresses",
        source="own",
        situation="file names with %20 for blanks",
        build=_as_in_addresses,
        expect=Reads(samples=N, pixels={"no 0": {"road": 120}}),
    ),
    Case(
        name="coco_results",
        source="own",
        situation="predictions as COCO's results, without lists of images and categories",
        build=_results,
        expect=Asks(says=("COCO's results", "predictions without images")),
    ),
    Case(
        name="cvat_points_alone",
        source="own",
        situation="all shapes are points",
        build=_points,
        expect=Asks(
            says=("all 12 shapes are points",),
            answer={"closed_lines": "draw"},
            then=Reads(samples=N, pixels={"0": {"road": 2}}),
        ),
    ),
    Case(
        name="colours_beside_each_other",
        source="own",
        situation="half of the masks have (254, 0, 0) for (255, 0, 0)",
        build=_masks(_near_red),
        expect=Asks(
            says=("(255, 0, 0) (450 px)", "(254, 0, 0) (420 px)"),
            answer={"classes": {"background": "#000000", "class_1": "#0000ff", "class_2": ["#ff0000", "#fe0000"]}},
            then=Reads(samples=N, pixels={"0": {"class_2": 120}, "1": {"class_2": 130, "class_1": 200}}),
        ),
    ),
    Case(
        name="class_and_object_in_16_bits",
        source="own",
        situation="class * 1000 + object in 16-bit masks",
        build=_masks(lambda number: _object(number, 26000 + number, np.uint16)),
        expect=Asks(says=("26005", "count objects", "foreground: [26000, 26001, 26002, 26003, 26004, 26005]")),
    ),
    Case(
        name="copies_of_masks",
        source="own",
        situation="second copies of masks, as browsers and file managers name them",
        build=_copied,
        expect=Asks(says=("3 masks seem to be copies", "1 (1).png", "2 - Copy.png", "3 - Kopie.png")),
    ),
    Case(
        name="an_old_mask",
        source="own",
        situation="one mask was kept in an earlier version",
        build=_with_old,
        expect=Asks(
            says=("1 with 1.png, 1_old.png", "mask_suffix: ''", "mask_suffix: _old"),
            answer={"mask_suffix": ""},
            then=Reads(samples=N, pixels={"1": {"foreground": 130}}, told=("left out: 1_old.png",)),
        ),
    ),
    Case(
        name="an_old_mask_that_counts",
        source="own",
        situation="the same; the other answer",
        build=_with_old,
        expect=Asks(
            says=("1_old.png",),
            answer={"mask_suffix": "_old"},
            then=Reads(samples=N, pixels={"1": {"foreground": 210}}, told=("left out: 1.png",)),
        ),
    ),
    Case(
        name="labelme_label_names",
        source="wkentaro/labelme#539",
        situation="LabelMe's folders with img.png, label.png and label_names.txt",
        build=_label_names("road"),
        expect=Reads(samples=N, classes=("_background_", "road"), pixels={"0_json": {"road": 120}}),
    ),
    Case(
        name="labelme_label_names_differ",
        source="wkentaro/labelme#539",
        situation="the same, but 1 means road in one folder and car in the next",
        build=_label_names("road", "car"),
        expect=Asks(says=("0_json/label_names.txt lists other classes than 1_json/label_names.txt",)),
    ),
    Case(
        name="coco_categories_counted_from_0",
        source="segments-ai/segments-ai#207",
        situation="categories have the ids 1 and 2, annotations name 0 and 1",
        build=_shifted_categories,
        expect=Asks(says=("category_id", "from 0 to 1", "from 1 to 2"), silent=("skip",)),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_case(case: Case, tmp_path: Path) -> None:
    """The situation ends as it has to."""
    check(case, tmp_path)
