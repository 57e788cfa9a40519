"""Shapes with labels become a listing with classes, by options that all readers of annotation files share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segbench.data.formats.shared.annotated import UNKNOWN, Annotated, build_listing
from segbench.data.formats.shared.asked import is_closed
from segbench.data.formats.shared.listing import Defect, Listing
from segbench.data.shapes.drawing import Drawing, Shape, paint, rectangle_ring
from segbench.errors import ConfigError, DatasetError
from segbench.types import IGNORE_INDEX, Task

ROOT = Path("/set")


def shape(label: str, left: int = 0, side: int = 4, **more: Any) -> Shape:
    return Shape(label=label, rings=(rectangle_ring(left, 0, side, side),), **more)


def image(name: str, *shapes: Shape) -> Annotated:
    drawing = Drawing(source=ROOT / "labels.json", key=name, shapes=shapes, height=10, width=20)
    return Annotated(id=name, image=ROOT / f"{name}.png", drawing=drawing)


def build(*images: Annotated, labels: list[str] | None = None, **options: Any) -> Listing:
    return build_listing(ROOT, images, options, labels=labels)  # type: ignore[arg-type]


def painted(listing: Listing, place: int = 0) -> np.ndarray:
    drawing = listing.entries[place].mask
    assert isinstance(drawing, Drawing)
    assert listing.painter is not None
    return paint(listing.painter(drawing, (10, 20)), ROOT)[0]


def codes(listing: Listing) -> list[str]:
    return [defect.code for defect in listing.defects]


def test_one_class_is_binary_and_several_are_multiclass() -> None:
    one = build(image("a", shape("cell")))
    assert one.class_map.task is Task.BINARY  # type: ignore[union-attr]
    assert one.class_map.names == ("background", "cell")  # type: ignore[union-attr]
    two = build(image("a", shape("b")), image("b", shape("a")))
    assert two.class_map.names == ("background", "a", "b")  # type: ignore[union-attr]
    assert painted(two)[0, 0] == 2


def test_declared_labels_keep_their_order() -> None:
    listing = build(image("a", shape("b")), labels=["z", "b", "a"])
    assert listing.class_map.names == ("background", "z", "b", "a")  # type: ignore[union-attr]


def test_a_label_called_background_is_the_background() -> None:
    listing = build(image("a", shape("_background_"), shape("cat", 8)), labels=["_background_", "cat"])
    assert listing.class_map.names == ("_background_", "cat")  # type: ignore[union-attr]
    assert listing.class_map.task is Task.BINARY  # type: ignore[union-attr]
    assert painted(listing)[0, [0, 9, 19]].tolist() == [0, 1, 0]


def test_classes_choose_and_merge() -> None:
    images = (image("a", shape("bus"), shape("car", 5), shape("dog", 10)),)
    chosen = build(*images, classes=["dog"])
    assert painted(chosen)[0, [0, 6, 11]].tolist() == [0, 0, 1]
    assert "2 regions of classes that `classes` does not name were left out: bus, car" in chosen.notes
    merged = build(*images, classes={"vehicle": ["bus", "car"], "animal": "dog"})
    assert painted(merged)[0, [0, 6, 11]].tolist() == [1, 1, 2]


def test_ignored_labels_count_nowhere() -> None:
    listing = build(image("a", shape("cat"), shape("__ignore__", 8)))
    assert painted(listing)[0, [0, 9, 19]].tolist() == [1, IGNORE_INDEX, 0]
    other = build(image("a", shape("cat"), shape("blur", 8)), ignore=["blur"])
    assert other.class_map.names == ("background", "cat")  # type: ignore[union-attr]
    assert painted(other)[0, 9] == IGNORE_INDEX


def test_without_background_the_rest_counts_nowhere() -> None:
    listing = build(image("a", shape("cat"), shape("dog", 8)), background=False)
    assert listing.class_map.background is None  # type: ignore[union-attr]
    assert painted(listing)[0, [0, 9, 19]].tolist() == [0, 1, IGNORE_INDEX]


@pytest.mark.parametrize(("crowd", "label"), [("ignore", IGNORE_INDEX), ("exclude", 0), ("include", 1)])
def test_the_policy_for_crowds(crowd: str, label: int) -> None:
    images = (image("a", shape("person", crowd=True)),)
    assert painted(build(*images, crowd=crowd))[0, 0] == label


def test_multilabel_gives_planes() -> None:
    listing = build(image("a", shape("a"), shape("b", 2)), task="multilabel")
    assert painted(listing)[:, 0, 3].tolist() == [1, 1]
    assert listing.class_map.names == ("a", "b")  # type: ignore[union-attr]


def test_no_class_anywhere_means_object() -> None:
    listing = build(image("a", shape("")))
    assert listing.class_map.names == ("background", "object")  # type: ignore[union-attr]
    assert codes(listing) == ["no_class"]
    assert painted(listing)[0, 0] == 1


def test_some_without_a_class_are_a_question() -> None:
    images = (image("a", shape("bug")), image("b", shape(""), shape("bug", 8)))
    with pytest.raises(DatasetError, match=r"1 region in 1 image has no class.*default_class: bug"):
        build(*images)
    assert painted(build(*images, default_class="bug"), 1)[0, [0, 9]].tolist() == [1, 1]
    skipped = build(*images, defects="skip")
    assert painted(skipped, 1)[0, [0, 9, 19]].tolist() == [IGNORE_INDEX, 1, 0]


def test_what_cannot_be_drawn_stops_the_reading_or_is_left_out() -> None:
    bad = [
        Shape(label="cat", rings=((0, 0, 5, 5),)),
        Shape(label="cat", rings=((0, 0, 5, 5, 1e9, 3),)),
        Shape(label="cat", rings=((0, 0, 5, 5, 3),)),
        Shape(label="cat", counts=(3, 4)),
    ]
    images = (image("a", shape("cat"), *bad), image("b"), image("c", shape("cat")))
    with pytest.raises(
        DatasetError,
        match=r"4 of 6 shapes cannot be drawn, in 1 of 3 images; .*defects: skip(.|\n)*labels.json, a, shape 2",
    ):
        build(*images)
    listing = build(*images, defects="skip")
    assert codes(listing) == ["few_points", "bad_numbers", "bad_numbers", "bad_rle", "no_annotation"]
    assert [entry.id for entry in listing.entries] == ["b", "c"]  # what a misses would count as background
    assert "in 1 of 3 images; these images were left out: a.png" in listing.notes[0]
    assert [entry.id for entry in build(*images, defects="skip", unannotated="skip").entries] == ["c"]


def test_a_ring_that_covers_nothing_beside_a_good_one_costs_nothing() -> None:
    both = Shape(label="cat", rings=(rectangle_ring(0, 0, 4, 4), (0.0, 0.0, 5.0, 5.0)))
    listing = build(image("a", both))
    assert codes(listing) == ["few_points"]
    assert not listing.defects[0].fatal
    assert painted(listing).sum() == 16


def test_where_skipping_leaves_nothing_the_common_cause_is_told() -> None:
    bad = Shape(label="cat", rings=((0, 0, 5, 5),))
    images = [image("a", bad), image("b", bad, shape("cat"))]
    cause = "the common cause is: polygons with fewer than three points .2 of them."
    with pytest.raises(
        DatasetError, match=f"in 2 of 2 images, so that without them nothing is left; {cause}"
    ) as caught:
        build(*images)
    assert "defects" not in str(caught.value)
    with pytest.raises(DatasetError, match=f"without them nothing is left; {cause}"):
        build(*images, defects="skip")
    with pytest.raises(DatasetError, match=f"in 2 of 3 images; {cause}; mend.*skip.*, which keeps 1 image"):
        build(*images, image("c", shape("cat")))


def test_a_defect_of_the_reader_costs_its_image_alone() -> None:
    images = (image("a", shape("cat")), image("b", shape("cat")))
    defect = Defect(
        code="bad_shape", path=ROOT / "labels.json", where="b, 2", text="no points", fatal=True, image=ROOT / "b.png"
    )
    with pytest.raises(DatasetError, match="1 of 3 shapes cannot be drawn, in 1 of 2 images"):
        build_listing(ROOT, images, {}, defects=[defect])
    listing = build_listing(ROOT, images, {"defects": "skip"}, defects=[defect])
    assert [entry.id for entry in listing.entries] == ["a"]


def test_what_is_not_drawn_is_no_background_where_nothing_else_is_marked() -> None:
    beside, alone = (image("a", shape("cat"), Shape(label="cat")), image("b", Shape(label="cat")))
    assert codes(build(beside)) == ["unused_shape"]
    with pytest.raises(DatasetError, match="1 of 2 shapes cannot be drawn, in 1 of 2 images"):
        build(beside, alone)
    listing = build(beside, alone, defects="skip")
    assert [entry.id for entry in listing.entries] == ["a"]
    assert "no_annotation" not in codes(listing)


def test_a_region_of_an_unknown_class_counts_nowhere_and_lies_below_no_other() -> None:
    listing = build(image("a", shape("cat"), shape(UNKNOWN, 8)), labels=["cat"])
    assert listing.class_map.names == ("background", "cat")  # type: ignore[union-attr]
    assert painted(listing)[0, [0, 9, 19]].tolist() == [1, IGNORE_INDEX, 0]
    below = build(image("a", shape("cat"), shape(UNKNOWN, 0, 2, crowd=True)), crowd="exclude")
    assert painted(below)[0, 0] == 1


OUTLINE = (0.0, 0.0, 8.0, 0.0, 8.0, 8.0, 0.0, 8.0, 0.0, 0.0)


def test_closed_lines_are_a_question() -> None:
    images = (image("a", Shape(label="cat", line=OUTLINE), Shape(label="cat", line=(10.0, 1.0, 18.0, 1.0, 18.0, 9.0))),)
    with pytest.raises(DatasetError, match=r"1 of 2 lines are closed.*closed_lines: fill.*1 px.*closed_lines: draw"):
        build(*images)
    drawn = build(*images, closed_lines="draw")
    assert painted(drawn)[4, 4] == 0
    assert "2 lines are drawn 1 px wide" in drawn.notes
    whole = build(*images, closed_lines="fill")
    assert painted(whole)[:8, :8].all()
    assert whole.notes[:2] == ("1 line is drawn 1 px wide", "1 closed line is filled")


@pytest.mark.parametrize(
    ("line", "width", "closed"),
    [
        (OUTLINE, 1.0, True),
        ((*OUTLINE[:-2], 0.0, 2.0), 1.0, True),  # nearly
        (OUTLINE[:-2], 1.0, False),  # open at one side
        ((0.0, 0.0, 9.0, 0.0, 0.0, 0.0, 0.0, 0.0), 1.0, False),  # there and back
        (OUTLINE, 5.0, False),  # such a line covers all of it anyway
        ((1.0, 1.0), 1.0, False),
        ((0.0, 0.0, 2.0, 0.0, 2.0, 2.0, 0.0, 0.0), 1.0, False),  # tiny
        ((0.0, 0.0, float("nan"), 0.0, 2.0, 2.0, 0.0, 0.0), 1.0, False),
    ],
)
def test_which_lines_are_closed(line: tuple[float, ...], width: float, closed: bool) -> None:
    assert is_closed(Shape(line=line, width_px=width)) == closed


def test_lines_of_classes_that_are_left_out_are_no_question() -> None:
    images = (image("a", Shape(label="cat", line=OUTLINE), shape("dog", 10)),)
    assert build(*images, classes=["dog"]).class_map.names == ("background", "dog")  # type: ignore[union-attr]


def test_points_are_counted() -> None:
    assert "1 point is drawn as a dot of 3 px" in build(image("a", Shape(label="cat", line=(1, 1), width_px=3.0))).notes


def test_a_class_of_crowds_alone_is_a_question() -> None:
    images = (image("a", shape("stem", crowd=True), shape("leaf", 8)), image("b", shape("leaf", crowd=True)))
    with pytest.raises(DatasetError, match=r"1 of 1 shapes of 'stem' are marked as crowds.*crowd: include"):
        build(*images)
    included = build(*images, crowd="include")
    assert painted(included)[0, [0, 9]].tolist() == [2, 1]
    ignored = build(*images, crowd="ignore")
    assert "1 of 1 shapes of 'stem', 1 of 2 shapes of 'leaf' are marked as crowds; they count nowhere" in ignored.notes
    assert build(*images, ignore=["stem"]).notes == (
        "1 of 2 shapes of 'leaf' are marked as crowds; they count nowhere",
    )


def test_all_questions_come_at_once() -> None:
    bad = Shape(label="cat", rings=((0, 0, 5, 5),))
    images = (image("a", bad, shape("")), image("b", Shape(label="cat", line=OUTLINE)))
    with pytest.raises(DatasetError, match=r"default_class(.|\n)*1 of 3 shapes cannot be drawn(.|\n)*closed_lines"):
        build(*images)


def test_far_shapes_of_files_without_a_size_are_told_once_it_is_known() -> None:
    item = image("a", shape("cat"), Shape(label="cat", rings=((0, 0, 9e5, 0, 9e5, 9e5),)))
    bare = replace(item, drawing=replace(item.drawing, height=None, width=None))
    assert build(bare, defects="skip").skip_undrawn
    with pytest.raises(DatasetError, match="far outside"):
        painted(build(bare))
    wild = Shape(label="cat", rings=((0, 0, float("inf"), 0, 3, 3),))
    bare = replace(bare, drawing=replace(bare.drawing, shapes=(shape("cat"), wild)))
    assert codes(build(bare, image("b", shape("cat")), defects="skip")) == ["bad_numbers"]


def test_groups_come_from_a_pattern() -> None:
    listing = build(image("p1_a", shape("x")), image("p2_a", shape("x")), group=r"^(p\d+)_")
    assert [entry.group for entry in listing.entries] == ["p1", "p2"]
    with pytest.raises(DatasetError, match="finds no group in 1 of 1 ids"):
        build(image("x", shape("x")), group=r"^(p\d+)_")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"overlap": "newest"}, "overlap: expected one of smaller_on_top"),
        ({"crowd": "what"}, "crowd: expected one of ignore"),
        ({"classes": ["dig"]}, "no region has the class 'dig'; did you mean 'dog'"),
        ({"classes": {"a": "dog", "b": "dog"}}, "'dog' belongs to 'a' and to 'b'"),
        ({"ignore": ["dgo"]}, "ignore: no region has the class 'dgo'; did you mean 'dog'"),
        ({"classes": []}, "expected two classes or more, got background"),
        ({"classes": ["dog"], "background": False}, "expected two classes or more, got dog"),
        ({"classes": ["dog", "cat"], "ignore": ["cat"]}, "'cat' is in `classes` and in `ignore`"),
        ({"depth_range": [9, 3]}, "expected .low, high. with low < high"),
        ({"background": True}, "expected the name of the background class, or false"),
        ({"task": "binary"}, "a binary task has a background and one class"),
    ],
)
def test_wrong_options_say_what_is_expected(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(image("a", shape("dog"), shape("cat", 8)), **options)


def test_too_many_classes_are_refused_with_a_way_out() -> None:
    images = [
        image(f"i{number}", shape(f"class {chr(97 + number // 20)}{chr(97 + number % 20)}")) for number in range(300)
    ]
    with pytest.raises(DatasetError, match="301 classes are too many"):
        build(*images)


def test_an_empty_set_of_labels_is_refused() -> None:
    with pytest.raises(DatasetError, match="no region has a class; there is nothing to learn"):
        build(image("a"))
