"""Readers of published data sets keep, merge and rename their classes as the user says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from segbench.data.formats import FORMATS
from segbench.data.formats.camvid import CLASS_MAP
from segbench.data.formats.oxford_pets import CLASS_MAPS
from segbench.data.formats.shared.published import choose_classes
from segbench.errors import ConfigError
from segbench.types import ClassMap, Task


@pytest.mark.parametrize("name", FORMATS.names())
def test_every_format_has_the_option(name: str) -> None:
    assert "classes" in FORMATS.options(name)


def test_the_published_classes_without_the_option() -> None:
    assert choose_classes(CLASS_MAP, None) is CLASS_MAP


def test_a_list_keeps_classes_in_its_order_and_ignores_the_others() -> None:
    chosen = choose_classes(CLASS_MAP, ["Car", "Road"])
    assert isinstance(chosen, ClassMap)
    assert (chosen.names, chosen.values) == (("Car", "Road"), ((8,), (3,)))
    assert sorted(chosen.ignore_values) == [0, 1, 2, 4, 5, 6, 7, 9, 10, 11]
    assert chosen.colors == ((64, 0, 128), (128, 64, 128))
    assert (chosen.task, chosen.background) == (Task.MULTICLASS, None)


def test_a_mapping_merges_and_rest_takes_what_is_left() -> None:
    chosen = choose_classes(CLASS_MAP, {"road": ["Road", "Pavement"], "background": "rest"})
    assert isinstance(chosen, ClassMap)
    assert (chosen.names, chosen.task) == (("background", "road"), Task.BINARY)
    assert chosen.values == ((0, 1, 2, 5, 6, 7, 8, 9, 10), (3, 4))
    assert chosen.ignore_values == (11,)


def test_the_background_stays_the_background_under_another_name() -> None:
    chosen = choose_classes(CLASS_MAPS["class"], {"animal": ["pet", "border"], "ground": "background"})
    assert isinstance(chosen, ClassMap)
    assert (chosen.names, chosen.values, chosen.task) == (("ground", "animal"), ((2,), (1, 3)), Task.BINARY)


def test_classes_that_follow_from_the_masks() -> None:
    def published(facts: Mapping[Path, object]) -> ClassMap:
        return CLASS_MAP

    chosen = choose_classes(published, ["Sky", "Tree"])
    assert not isinstance(chosen, ClassMap)
    assert chosen({}).names == ("Sky", "Tree")


@pytest.mark.parametrize(
    ("classes", "text"),
    [
        (["Car", "Raod"], "there is no class 'Raod'; did you mean 'Road'"),
        (["Car"], "expected two classes or more, got Car"),
        ({"a": ["Car", "Road"], "b": "Car"}, "expected 'Car' in one class"),
        ({"a": list(CLASS_MAP.names), "b": "rest"}, "no class is left for rest"),
    ],
)
def test_wrong_classes_are_refused(classes: object, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        choose_classes(CLASS_MAP, classes)  # type: ignore[arg-type]
