"""Names that are one class, numbered objects and pixels without a label are asked about; classes are not."""

from __future__ import annotations

import pytest

from segbench.data.files.hints import options_in, yaml_text
from segbench.data.formats.shared.label_names import label_question


@pytest.mark.parametrize(
    ("labels", "images"),
    [
        (["cat", "dog"], []),
        (["grade_1", "grade_2"], [["grade_1"], ["grade_2"], ["grade_2"], ["grade_1", "grade_2"]]),
        (["T1", "T2", "T3"], [["T1", "T2", "T3"]] * 3),
        (["class 1", "class 2", "class 3"], []),
        (["person1"], [["person1"]]),
        (["12", "13"], [["12"], ["12", "13"]]),
    ],
)
def test_classes_are_no_question(labels: list[str], images: list[list[str]]) -> None:
    assert label_question(labels, images=images) is None


@pytest.mark.parametrize(
    ("labels", "images", "options"),
    [
        (
            ["cow-1", "cow-2", "dog"],
            [["cow-1", "cow-2"], ["cow-1", "dog"]],
            ["{cow: [cow-1, cow-2], dog: dog}", "[cow-1, cow-2, dog]"],
        ),
        (
            ["cell_001", "cell_002", "cell_003", "cell_004"],
            [["cell_001", "cell_002"], ["cell_003"], ["cell_004"]],
            ["{cell: [cell_001, cell_002, cell_003, cell_004]}", "[cell_001, cell_002, cell_003, cell_004]"],
        ),
        (
            ["cow", "cow 1", "cow 2"],
            [["cow 1", "cow 2"], ["cow 1"], ["cow"]],
            ["{cow: [cow 1, cow 2, cow]}", "[cow, cow 1, cow 2]"],
        ),
        (["Traffic Light", "traffic_light"], [], ["{Traffic Light: [Traffic Light, traffic_light]}"] * 1),
        (["sky", "Unlabeled"], [], ["[Unlabeled]", "[sky, Unlabeled]"]),
        (["sky", "Don't care"], [], ["[Don't care]"]),
    ],
)
def test_the_question_has_the_answers_ready(labels: list[str], images: list[list[str]], options: list[str]) -> None:
    question = label_question(labels, images=images)
    assert question is not None
    values = [value for _, value in options_in(question)]
    assert values[: len(options)] == options


def test_a_list_of_numbers_is_answered_by_numbers() -> None:
    question = label_question(["road", "Road", "void"], written={"road": "0", "Road": "1", "void": "2"})
    assert question is not None
    assert options_in(question)[:3] == [
        ("classes", "{road: [0, 1]}"),
        ("classes", "{road: 0, Road: 1, void: 2}"),
        ("ignore", "[2]"),
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [("crack", "crack"), ("cow-1", "cow-1"), ("no", '"no"'), ("12", '"12"'), ("a: b", '"a: b"'), ("Straße", "Straße")],
)
def test_names_as_yaml_writes_them(name: str, text: str) -> None:
    assert yaml_text(name) == text
