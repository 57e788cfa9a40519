"""One bad shape: it never refuses a set whose other images are right, and never becomes background."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.data.formats._draw import draw, put

from segbench.data.formats import FORMATS, Listing
from segbench.data.shapes.drawing import paint
from segbench.errors import DatasetError

GARBAGE: list[Any] = [
    None, "", "x", -1, 10**400, float("nan"), [], ["x"], [[]], [[None] * 6], [[1, 2, 3]], [[1, 1]], [1, 1, 2, 2],
    [["1"] * 6], {}, {"size": [6, 8]}, {"counts": "52203"}, {"size": [6, 8], "counts": "é"},
    {"size": [6, 8], "counts": [1.5]}, {"size": "x", "counts": [48]}, {"size": [6, 8], "counts": [-1, 49]},
    {"size": [6, 8], "counts": "b'"}, True,
]  # fmt: skip
SQUARE = [1, 1, 5, 1, 5, 4, 1, 4]

Write = Callable[[Path, Any], None]


def coco(root: Path, broken: dict[str, Any]) -> None:
    marks = [
        {"id": number, "image_id": number, "category_id": 1, "segmentation": [SQUARE], "iscrowd": 0}
        for number in range(3)
    ]
    marks[1] |= broken
    plain = {
        "images": [
            {"id": number, "file_name": f"{name}.png", "height": 6, "width": 8} for number, name in enumerate("abc")
        ],
        "categories": [{"id": 1, "name": "leaf"}],
        "annotations": marks,
    }
    put(root / "instances.json", json.dumps(plain))


def cvat(root: Path, broken: str) -> None:
    good = '<polygon label="leaf" points="1,1;5,1;5,4;1,4"/>'
    images = "".join(
        f'<image name="{name}.png" width="8" height="6">{broken if name == "b" else good}</image>' for name in "abc"
    )
    put(root / "annotations.xml", f"<annotations><version>1.1</version>{images}</annotations>")


def yolo(root: Path, broken: str) -> None:
    put(root / "data.yaml", "names: [leaf, stem]\nnc: 2\n")
    for name in "abc":
        put(root / f"{name}.txt", broken if name == "b" else "0 0.125 0.167 0.625 0.167 0.625 0.667 0.125 0.667")


def kaggle_rle(root: Path, broken: str) -> None:
    rows = "".join(f"{name},{broken if name == 'b' else '8 3 14 3'}\n" for name in "abc")
    put(root / "train.csv", f"ImageId,EncodedPixels\n{rows}")


def situations() -> Iterator[tuple[Write, Any]]:
    for value in GARBAGE:
        yield coco, {"segmentation": value, "bbox": [1, 1, 4, 3]}
        yield coco, {"iscrowd": value}
        yield coco, {"category_id": value}
        yield coco, {"segmentation": [], "bbox": value}
    words = ("", "x", "nan", "1e400", "1,1", "1,1;2", "1,1;2,2", "9e9,1;1,1;2,2", "0, 3", "3, -5", "1, x")
    names = {
        "polygon": ("points",), "polyline": ("points",), "points": ("points",), "box": ("xtl", "ybr", "rotation"),
        "ellipse": ("cx", "rx"), "mask": ("rle", "left", "width", "height"), "skeleton": ("x",), "cuboid": ("xtl1",),
    }  # fmt: skip
    whole = {
        "points": "1,1;5,1;5,4;1,4", "xtl": "1", "ytl": "1", "xbr": "5", "ybr": "4", "cx": "3", "cy": "3",
        "rx": "2", "ry": "2", "left": "1", "top": "1", "width": "4", "height": "3", "rle": "0, 12",
    }  # fmt: skip
    for tag, word in itertools.product(names, words):
        for name in names[tag]:
            attributes = " ".join(f'{key}="{value}"' for key, value in {**whole, name: word}.items())
            yield cvat, f'<{tag} label="leaf" {attributes}/>'
    yield cvat, "<unheard/>"
    lines = (
        "x", "0", "0 1", "0 0.1 0.1 0.2", "7 0.1 0.1 0.5 0.5", "0 a b c d e f", "0 nan 0 1 0 1 1", "0 9 9 8 9 8 8",
        "1e400 0 0 1 0 1 1", "-1 0 0 1 0 1 1", "0 0 0 1 0 1 1 0.5",
    )  # fmt: skip
    for line in lines:
        yield yolo, line
    for cell in ("1", "x", "0 1", "1 0", "1 99", "1 3 2 3", "1 1 1", "9 9 9 9 9", "1.5 2", "٣ 1"):
        yield kaggle_rle, cell


def read(root: Path, name: str, **options: str) -> Listing:
    listing: Listing = FORMATS.get(name)(root, closed_lines="draw", crowd="ignore", **options)
    return listing


def refused(root: Path, name: str) -> str:
    """Returns what the reader says where nothing was agreed to; empty where it reads."""
    try:
        read(root, name)
    except DatasetError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("write", [coco, cvat, yolo, kaggle_rle], ids=lambda write: write.__name__)
def test_one_bad_shape(tmp_path: Path, write: Write) -> None:
    for name in "abc":
        draw(tmp_path / f"{name}.png", np.full((6, 8, 3), 90))
    for value in (value for other, value in situations() if other is write):
        write(tmp_path, value)
        listing = read(tmp_path, write.__name__, defects="skip")
        entries = {entry.id: entry for entry in listing.entries}
        assert {"a", "c"} <= entries.keys(), value
        question = refused(tmp_path, write.__name__)
        assert not question or "defects: skip" in question, value
        if "b" not in entries:
            assert question, value
            continue
        drawing = entries["b"].drawing
        assert drawing is not None
        assert listing.painter is not None
        marked = paint(listing.painter(drawing, (6, 8)), tmp_path)[0].any()
        assert marked or (not question and listing.defects), f"{value} became background"
