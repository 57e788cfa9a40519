"""Mapillary Vistas: versions, the config file's classes, parts without labels."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.data.formats._draw import draw, labels, parts, put

from segbench.data.formats import recognise
from segbench.data.formats.mapillary import mapillary
from segbench.data.manifest.read import read_dataset
from segbench.errors import ConfigError, DatasetError

RealData = Callable[[str], Path]


def label(name: str, readable: str, red: int, **more: Any) -> dict[str, Any]:
    return {"name": name, "readable": readable, "color": [red, 0, 0], **more}


CLASSES = [label("animal--bird", "Bird", 1), label("void", "Unlabeled", 2, evaluate=False), label("sky", "Sky", 3)]


def make(root: Path, version: str = "v2.0", config: list[dict[str, Any]] | None = CLASSES) -> Path:
    for part, name in (("training", "a"), ("validation", "b")):
        draw(root / part / "images" / f"{name}.jpg", 40, (1, 3))
        draw(root / part / version / "labels" / f"{name}.png", [[0, 1, 2]])
    if config is not None:
        put(root / (f"config_{version}.json" if version else "config.json"), json.dumps({"labels": config}))
    return root


@pytest.mark.parametrize("version", ["v2.0", "v1.2", ""])
def test_classes_of_the_config_file(tmp_path: Path, version: str) -> None:
    draw(make(tmp_path, version) / "testing" / "images" / "c.jpg")
    manifest = read_dataset(tmp_path, "mapillary")
    assert parts(manifest) == {"a": "train", "b": "val"}
    assert (manifest.class_map.names, manifest.class_map.colors) == (("Bird", "Sky"), ((1, 0, 0), (3, 0, 0)))
    assert labels(manifest, "a").tolist() == [[0, 255, 1]]
    assert any(note.startswith("testing has no ") for note in manifest.notes)


def test_readable_names_that_repeat_give_way_to_the_full_ones(tmp_path: Path) -> None:
    make(tmp_path, config=[label("a--x", "X", 1), label("b--x", "X", 2), label("c", "C", 3)])
    assert read_dataset(tmp_path, "mapillary").class_map.names == ("a--x", "b--x", "c")


def test_without_config_the_classes_are_numbers(tmp_path: Path) -> None:
    manifest = read_dataset(make(tmp_path, config=None), "mapillary")
    assert manifest.class_map.names == ("class_0", "class_1", "class_2")
    assert "config_v2.0.json is not there; the classes are named by their numbers" in manifest.notes


def test_both_versions(tmp_path: Path) -> None:
    make(make(tmp_path, "v1.2", CLASSES[:1] + CLASSES), "v2.0")
    assert "labels v2.0 were read; v2.0 and v1.2 are there" in mapillary(tmp_path).notes
    with pytest.raises(DatasetError, match=r"config_v1.2.json: labels: expected a name of its own"):
        mapillary(tmp_path, version="v1.2")
    with pytest.raises(ConfigError, match=r"expected one of auto, v2.0, v1.2, got 'v3'"):
        mapillary(tmp_path, version="v3")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ('{"labels": [}', r"config_v2.0.json: damaged JSON: .* at line 1, column 13"),
        ('{"classes": []}', r"labels: expected a list of classes, got None"),
        ('{"labels": [{"name": "x", "color": [1, 2]}]}', r"labels\[0\].color: expected \[r, g, b\] from 0 to 255"),
        ('{"labels": [{"color": [1, 2, 3]}]}', r"labels\[0\]: expected a class with a text `name`"),
    ],
)
def test_damaged_config(tmp_path: Path, config: str, message: str) -> None:
    put(make(tmp_path) / "config_v2.0.json", config)
    with pytest.raises(DatasetError, match=message):
        mapillary(tmp_path)


def test_unpaired_files(tmp_path: Path) -> None:
    draw(make(tmp_path) / "training" / "images" / "z.jpg")
    with pytest.raises(DatasetError, match=r"1 of 2 images have no mask: z; mend the names, or leave"):
        mapillary(tmp_path)
    assert len(mapillary(tmp_path, unpaired="skip").entries) == 2


@pytest.mark.data
def test_made_up_mapillary(real_data: RealData) -> None:
    root = real_data("format_fixtures") / "mapillary_vistas_dataset"
    assert list(recognise(root)) == ["mapillary"]
    for version in ("v1.2", "v2.0"):
        manifest = read_dataset(root, "mapillary", version=version)
        assert parts(manifest) == {"2": "train", "0": "val", "1": "val"}
        assert manifest.class_map.names == ("Bird", "Separator", "Bicycle")
        assert set(labels(manifest, "1").ravel()) == {1, 2}
