"""ADE20K: numbers out of colours, names out of both kinds of lists, the most frequent classes, the short form."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from tests.data.formats._draw import draw, labels, parts, put

from segbench.data.formats import recognise
from segbench.data.formats.ade20k.reader import ade20k
from segbench.data.manifest.read import read_dataset
from segbench.errors import ConfigError, DatasetError

RealData = Callable[[str], Path]
NUMBERS = {"wall": 2978, "person, individual": 1831, "sky": 2420}


def write(
    root: Path, name: str, rows: list[list[str]], kind: str = "json", numbers: Mapping[str, int] = NUMBERS
) -> None:
    """Writes an image whose mask has one class a pixel ("" is none) and the list of its objects."""
    folder = root / "training" / "street"
    names = sorted({word for row in rows for word in row if word})
    number = {"": 0, **numbers}
    mask = [
        [(number[word] // 256 * 10, number[word] % 256, 7 * (names.index(word) + 1) if word else 0) for word in row]
        for row in rows
    ]
    draw(folder / f"{name}.jpg", 40, np.shape(mask)[:2])
    draw(folder / f"{name}_seg.png", mask)
    if kind == "json":
        objects = [{"name_ndx": numbers[word], "name": word, "parts": {"part_level": 0}} for word in names]
        objects.append({"name_ndx": 99, "name": "handle", "parts": {"part_level": 1}})
        put(folder / f"{name}.json", json.dumps({"annotation": {"object": objects}}))
    else:
        lines = [f'{place:03d} # 0 # 0 # {word} # {word} # ""' for place, word in enumerate(names, 1)]
        put(folder / f"{name}_atr.txt", "\n".join([*lines, '001 # 1 # 0 # handle # handle # ""', ""]))


@pytest.mark.parametrize("kind", ["json", "txt"])
def test_the_full_form(tmp_path: Path, kind: str) -> None:
    write(tmp_path, "a", [["wall", "sky", ""], ["wall", "person, individual", ""]], kind)
    write(tmp_path, "b", [["wall", "sky", "sky"]], kind)
    manifest = read_dataset(tmp_path, "ade20k", classes=["sky", "wall", "person"])
    assert parts(manifest) == {"a": "train", "b": "train"}
    assert manifest.class_map.background is None
    assert labels(manifest, "a").tolist() == [[1, 0, 255], [1, 2, 255]]
    assert labels(manifest, "b").tolist() == [[1, 0, 0]]
    assert list(recognise(tmp_path)) == ["ade20k"]


def test_the_most_frequent_classes_and_the_rest_counts_nowhere(tmp_path: Path) -> None:
    write(tmp_path, "a", [["wall", "sky", "person, individual"]])
    write(tmp_path, "b", [["wall", "sky", "sky"]])
    manifest = read_dataset(tmp_path, "ade20k", top=2)
    assert manifest.class_map.names == ("sky", "wall")
    assert labels(manifest, "a").tolist() == [[1, 0, 255]]
    assert any("the 2 classes that the most images have were kept, of 3" in note for note in manifest.notes)
    assert read_dataset(tmp_path, "ade20k", top=None).class_map.num_classes == 3
    with pytest.raises(ConfigError, match="expected 2 or more, got 1"):
        ade20k(tmp_path, top=1)


def test_synonyms_are_kept_where_their_first_word_repeats(tmp_path: Path) -> None:
    numbers = {"door": 774, "door, entry": 775, "wall, side": 1000}
    write(tmp_path, "a", [["door", "door, entry", "wall, side"]], numbers=numbers)
    assert read_dataset(tmp_path, "ade20k").class_map.names == ("door", "door, entry", "wall")


def test_numbers_of_another_release_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "a", [["wall", "sky"]])
    write(tmp_path, "b", [["wall", "sky"]], numbers={"wall": 2420, "sky": 2978})
    with pytest.raises(DatasetError, match=r"b.json: the class number 2\d+ is '\w+' here and '\w+' elsewhere"):
        ade20k(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", '{"annotation": ', r"a.json: damaged JSON: .* line 1 column 16"),
        ("a.json", '{"annotation": {}}', r"annotation.object: expected a list of objects, got None"),
        ("a.json", '{"annotation": {"object": [{"name": 3}]}}', r"annotation.object\[0\]: expected name_ndx"),
        ("a_atr.txt", "001 # 0 # sky\n", r"a_atr.txt, a.jpg: line 1: expected INSTANCE # PART"),
    ],
)
def test_damaged_lists_of_objects(tmp_path: Path, name: str, text: str, message: str) -> None:
    write(tmp_path, "a", [["wall", "sky"]])
    folder = tmp_path / "training" / "street"
    (folder / "a.json").unlink()
    put(folder / name, text)
    with pytest.raises(DatasetError, match=message):
        ade20k(tmp_path)


def test_files_without_partner(tmp_path: Path) -> None:
    write(tmp_path, "a", [["wall", "sky"]])
    write(tmp_path, "b", [["wall", "sky"]])
    (tmp_path / "training" / "street" / "a.jpg").unlink()
    with pytest.raises(DatasetError, match=r"1 file is missing: a_seg.png has no image"):
        ade20k(tmp_path)


def short_form(root: Path) -> Path:
    for part, name in (("training", "t"), ("validation", "v")):
        draw(root / "images" / part / f"{name}.jpg", 40, (1, 3))
        draw(root / "annotations" / part / f"{name}.png", [[0, 1, 150]])
    return root


def test_scene_parsing(tmp_path: Path) -> None:
    manifest = read_dataset(short_form(tmp_path), "ade20k")
    assert parts(manifest) == {"t": "train", "v": "val"}
    assert manifest.class_map.names[0] == "class_1"
    assert labels(manifest, "v").tolist() == [[255, 0, 149]]
    table = "Idx\tRatio\tTrain\tVal\tStuff\tName\n"
    rows = "".join(f"{number}\t0.1\t1\t1\t1\tthing {number}, object\n" for number in range(1, 151))
    put(tmp_path / "objectInfo150.txt", table + rows)
    assert ade20k(tmp_path).class_map.names[149] == "thing 150"  # type: ignore[union-attr]
    assert list(recognise(tmp_path)) == ["ade20k"]
    with pytest.raises(ConfigError, match="SceneParsing150 has no options"):
        ade20k(tmp_path, top=20)
    put(tmp_path / "objectInfo150.txt", table + "1\t0.1\t1\t1\t1\twall\n")
    with pytest.raises(DatasetError, match=r"objectInfo150.txt: expected 150 names of classes, got 1"):
        ade20k(tmp_path)


@pytest.mark.data
def test_made_up_ade20k(real_data: RealData) -> None:
    newer = read_dataset(real_data("format_fixtures") / "ade20k2020_dataset" / "dataset", "ade20k")
    assert parts(newer) == {"1": "train", "2": "val"}
    assert newer.class_map.names == ("car", "person")
    assert np.bincount(labels(newer, "1").ravel())[[0, 1, 255]].tolist() == [15, 5, 5]
    older = ade20k(real_data("format_fixtures") / "ade20k2017_dataset" / "dataset")
    assert [defect.code for defect in older.defects] == ["unused_shape"] * 2  # its person has the number of nothing
