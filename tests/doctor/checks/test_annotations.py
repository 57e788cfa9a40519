"""Annotations: defects of the reader, and the shapes themselves."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from tests.doctor._sets import SIDE, codes, finding, photo, save

from segbench.data.formats.shared.listing import DEFECTS
from segbench.data.shapes.trace import ring_area
from segbench.doctor import Checkup, Severity, examine
from segbench.doctor.rings import crosses_itself

SQUARE = [10, 10, 34, 10, 34, 34, 10, 34]
SMALL = [36, 4, 44, 4, 44, 12, 36, 12]


def coco(root: Path, shapes: list[list[tuple[int, list[float]]]], missing: int = 0) -> Path:
    """Writes a COCO set: for each image its (category, polygon) pairs; `missing` images have no file."""
    for place in range(len(shapes) - missing):
        save(root / f"images/{place:03d}.jpg", photo(place), quality=95)
    rows = [(place, category, ring) for place, rings in enumerate(shapes) for category, ring in rings]
    plain: dict[str, Any] = {
        "images": [
            {"id": place, "file_name": f"{place:03d}.jpg", "height": SIDE, "width": SIDE}
            for place in range(len(shapes))
        ],
        "categories": [{"id": 1, "name": "box"}, {"id": 2, "name": "lid"}],
        "annotations": [
            {"id": number, "image_id": place, "category_id": category, "segmentation": [ring], "iscrowd": 0}
            for number, (place, category, ring) in enumerate(rows)
        ],
    }
    (root / "annotations").mkdir(exist_ok=True)
    (root / "annotations/instances.json").write_text(json.dumps(plain))
    return root


def sound(count: int = 6) -> list[list[tuple[int, list[float]]]]:
    return [[(1, [value + place / 4 for value in SQUARE]), (2, SMALL)] for place in range(count)]


def check(root: Path, **more: Any) -> Checkup:
    return examine(root, "coco", **more)


def test_sound_annotations(tmp_path: Path) -> None:
    checkup = check(coco(tmp_path, sound()))
    assert codes(checkup) == []
    assert checkup.samples == 6
    assert checkup.statistics["classes"][2]["objects"]["count"] == 6


def test_shapes(tmp_path: Path) -> None:
    shapes = sound()
    shapes[0].append((2, [2, 2, 8, 8, 8, 2, 2, 8]))
    shapes[1].append((2, [40, 40, 60, 40, 60, 60, 40, 60]))
    shapes[2].append((2, [2, 2, 3.5, 2, 3.5, 3.5]))
    shapes[3].append((2, [12, 12, 30, 12, 30, 30, 12, 30]))
    checkup = check(coco(tmp_path, shapes))
    assert finding(checkup, "self_crossing").detail.endswith("000 (1)")
    assert finding(checkup, "outside_image").detail.endswith("001 (1)")
    assert finding(checkup, "tiny_shapes").detail.endswith("002 (1)")
    shared = finding(checkup, "overlapping_classes")
    assert "003 324 pixels" in shared.detail
    assert shared.files == ("annotations/instances.json",)
    assert shared.pictures[0].sample == "003"
    quick = codes(check(tmp_path, fast=True))
    assert "self_crossing" not in quick


def test_what_the_reader_found(tmp_path: Path) -> None:
    shapes = sound(8)
    shapes[0].append((1, [1, 1, 5, 5]))
    shapes[1] = []
    checkup = check(coco(tmp_path, shapes, missing=1))
    few = finding(checkup, "few_points")
    assert few.severity is Severity.ERROR
    assert "defects: skip" in few.advice
    bare = finding(checkup, "no_annotation")
    assert bare.severity is Severity.INFO
    assert [picture.sample for picture in bare.pictures] == ["001"]
    assert finding(checkup, "no_image").count == 1
    assert finding(checkup, "empty_masks").detail.endswith("001")
    assert checkup.exit_code == 2
    assert all(DEFECTS[code].split()[0] in finding(checkup, code).title for code in ("few_points", "no_annotation"))


def test_an_image_that_no_annotation_names(tmp_path: Path) -> None:
    save(coco(tmp_path, sound()) / "images/extra.jpg", photo(60), quality=95)
    save(tmp_path / "images/000_parts_1.png", photo(61))  # belongs to 000.jpg
    save(tmp_path / "images/_other.jpg", photo(62), quality=95)
    found = finding(check(tmp_path), "images_without_annotation")
    assert found.files == ("images/_other.jpg", "images/extra.jpg")


def test_damaged_annotations_do_not_stop_the_doctor(tmp_path: Path) -> None:
    coco(tmp_path, sound())
    (tmp_path / "images/Thumbs.db").write_bytes(b"x")
    (tmp_path / "annotations/instances.json").write_text('{"images": [')
    checkup = check(tmp_path)
    assert "line 1" in finding(checkup, "cannot_be_read").detail
    assert finding(checkup, "hidden_files").files == ("images/Thumbs.db",)
    assert (checkup.samples, checkup.class_map, checkup.exit_code) == (0, None, 2)


def test_annotations_of_another_size(tmp_path: Path) -> None:
    save(coco(tmp_path, sound()) / "images/000.jpg", photo(0, 2 * SIDE), quality=95)
    checkup = check(tmp_path)
    assert finding(checkup, "cannot_be_drawn").count == 1
    assert checkup.samples == 5
    save(tmp_path / "images/000.jpg", photo(0, SIDE // 4), quality=95)
    smaller = check(tmp_path)
    assert finding(smaller, "cannot_be_drawn").count == 1
    assert "outside_image" not in codes(smaller)  # it follows from the size


@pytest.mark.parametrize(
    ("ring", "crosses"),
    [
        ([0, 0, 4, 4, 4, 0, 0, 4], True),
        ([0, 0, 4, 0, 4, 4, 0, 4], False),
        ([0, 0, 4, 0, 4, 4, 0, 4, 0, 0], False),
        ([0, 0, 0, 0, 4, 0, 4, 4], False),
        ([0, 0, 8, 0, 8, 8, 4, 0, 0, 8], False),  # touches an edge
        ([0, 0, 4, 0, 2, 3], False),
    ],
)
def test_crossing(ring: list[float], crosses: bool) -> None:
    assert crosses_itself(tuple(ring)) is crosses


def test_a_star_crosses_and_a_circle_does_not() -> None:
    angles = [2 * math.pi * step / 500 for step in range(500)]
    circle = tuple(part for angle in angles for part in (math.cos(angle), math.sin(angle)))
    star = tuple(part for angle in angles for part in (math.cos(2 * angle + angle / 500), math.sin(3 * angle)))
    assert not crosses_itself(circle)
    assert crosses_itself(star)
    assert ring_area(circle) == pytest.approx(math.pi, rel=1e-3)


def test_each_defect_of_an_annotation_is_told(tmp_path: Path) -> None:
    wrong: list[dict[str, Any]] = [
        {"segmentation": {"size": [SIDE, SIDE], "counts": [5]}},
        {"segmentation": {"size": [SIDE, 2 * SIDE], "counts": [2 * SIDE * SIDE]}},
        {"segmentation": [[1.0, 1.0, math.nan, 9.0, 9.0, 9.0]]},
        {"segmentation": [], "bbox": [1, 1, 8, 8]},
        {"segmentation": [[40, 40, 60, 40, 60, 60, 40, 60]]},
        {"segmentation": [SQUARE], "category_id": 77},
    ]
    coco(tmp_path, sound())
    table = tmp_path / "annotations/instances.json"
    plain = json.loads(table.read_text())
    plain["annotations"] += [
        {"id": 100 + place, "image_id": place, "category_id": 1, "iscrowd": 0, **change}
        for place, change in enumerate(wrong)
    ]
    plain["annotations"].append({"id": 200, "image_id": 0, "category_id": 1, "iscrowd": 0, "segmentation": []})
    table.write_text(json.dumps(plain))
    checkup = check(tmp_path)
    assert "id 200" in finding(checkup, "unused_shape").detail
    assert "images_without_annotation" not in codes(checkup)  # they are left out for another reason
    assert "id 100" in finding(checkup, "bad_rle").detail
    assert "id 101" in finding(checkup, "wrong_size").detail
    assert "(002.jpg), shape 3" in finding(checkup, "bad_numbers").detail
    assert finding(checkup, "only_box").severity is Severity.WARNING
    assert finding(checkup, "outside").severity is Severity.WARNING
    unknown = finding(checkup, "unknown_class")
    assert unknown.severity is Severity.ERROR  # nothing can be drawn of it
    assert "77" in unknown.detail


def test_shapes_that_cannot_be_drawn_are_told_by_kind(tmp_path: Path) -> None:
    square = '<polygon label="box" points="10,10;30,10;30,30;10,30"></polygon>'
    more = [
        '<polygon label="box" points="1,1;a,b;9,9"></polygon>',
        '<cuboid label="box" xtl1="1"></cuboid>',
        '<points label="box" points="5,5"></points>',
        *[""] * 5,
    ]
    lines = []
    for place, other in enumerate(more):
        save(tmp_path / f"images/{place:03d}.png", photo(place))
        lines.append(
            f'<image id="{place}" name="{place:03d}.png" width="{SIDE}" height="{SIDE}">{square}{other}</image>'
        )
    (tmp_path / "annotations.xml").write_text(
        f"<annotations><version>1.1</version>{''.join(lines)}</annotations>", encoding="utf-8"
    )
    checkup = examine(tmp_path, "cvat")
    assert "000.png" in finding(checkup, "bad_shape").detail
    assert "001.png" in finding(checkup, "unknown_shape").detail
    assert checkup.samples == 6  # the images of the first two are left out, those of points alone are not
