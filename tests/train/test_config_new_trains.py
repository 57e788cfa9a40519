"""What `config new` writes loads, passes `config check` and trains: formats, sizes, channels, tasks, few and many."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.conftest import draw_pairs
from tests.data._rasters import scenes
from tests.doctor._sets import cracks, pairs, photo, save
from tests.train.test_config_template import lines_of, uncommented, written

import segbench
from segbench.config.run import RunConfig, load_config, parse_config
from segbench.config.text import parse_value
from segbench.data.manifest.read import read_dataset
from segbench.data.synthetic.write import write_lesions, write_streets
from segbench.data.writers.convert import convert_dataset
from segbench.doctor.dataset import check_dataset
from segbench.train.callback import Callback as Silent
from segbench.train.check import check_config
from segbench.types import Task


def lesions(root: Path, count: int = 20) -> Path:
    write_lesions(root, count=count, size=(48, 64))
    return root


def streets(root: Path) -> Path:
    write_streets(root, count=12, size=(48, 64))
    return root


def grey(root: Path) -> Path:
    pairs(root, 12)
    for path in sorted((root / "images").iterdir()):
        Image.open(path).convert("L").save(path)
    return root


def huge_cracks(root: Path) -> Path:
    for place in range(6):
        save(root / f"images/s{place}x.png", photo(place, 1100))
        save(root / f"masks/s{place}x.png", cracks(place, 1100, 2))
    return root


def multilabel(root: Path) -> Path:
    draw_pairs(root, 12, classes=3, size=(48, 64))
    for path in sorted((root / "masks").glob("*.png")):
        mask = np.asarray(Image.open(path))
        for label, name in ((1, "red"), (2, "green")):
            save(root / "masks" / name / path.name, (mask == label) * 255)
        path.unlink()
    return root


def converted(to: str) -> Callable[[Path], Path]:
    def make(root: Path) -> Path:
        convert_dataset(streets(root.with_name("source")), to, root)
        return root

    return make


SETS: dict[str, Callable[[Path], Path]] = {
    "lesions": lesions,
    "streets": streets,
    "six images": lambda root: draw_pairs(root, 6, size=(64, 64)),
    "hundreds, 32 px": lambda root: draw_pairs(root, 300, size=(32, 32)),
    "grey": grey,
    "five bands": lambda root: scenes(root, 12),
    "huge, thin": huge_cracks,
    "multilabel": multilabel,
    "via": converted("via"),
    "coco": converted("coco"),
    "labelme": converted("labelme"),
}


# What has to be said to `config new`, and is asked for.
SAID = {"five bands": ("--format", "geotiff"), "multilabel": ("--option", "task=multilabel")}


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_what_is_written_loads_is_checked_and_trains(name: str, tmp_path: Path) -> None:
    root = SETS[name](tmp_path / "set")
    text, _ = written(root, tmp_path / "mine.yaml", *SAID.get(name, ()))
    assert max(len(line) for line in text.splitlines() if "/" not in line) <= 120
    lines = lines_of(text)
    suggested = check_dataset(root, lines["data.format"], **_options(lines)).suggestions
    assert {key: lines[key] for key, _, _ in suggested} == {key: value for key, value, _ in suggested}
    config = load_config(tmp_path / "mine.yaml", ["steps=2", f"output={tmp_path / 'run'}", "device=cpu"])
    check_config(config)
    result = segbench.fit(config, watch=Silent())
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["weights"]["license"] == "Apache-2.0"
    assert set(result.scores) == {"train", "val", "test"}
    task = read_dataset(root, config.data.format, **config.data.options).class_map.task
    assert (config.threshold == "validation") == (task is not Task.MULTICLASS)
    if name == "huge, thin":
        assert config.data.network_size == (256, 256)


def _options(lines: Mapping[str, Any]) -> dict[str, Any]:
    return {key.rpartition(".")[2]: value for key, value in lines.items() if key.startswith("data.options.")}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lesions", "streets", "via", "coco", "labelme", "five bands"])
def test_the_classes_can_be_renamed_where_they_stand(name: str, tmp_path: Path) -> None:
    root = SETS[name](tmp_path / "set")
    text, _ = written(root, tmp_path / "mine.yaml", *SAID.get(name, ()))
    config = _config(text)
    before = read_dataset(root, config.data.format, **config.data.options)
    old = before.class_map.names[-1]
    active = uncommented(text, "classes", "ignore")
    renamed = _renamed(active, old)
    for written_text, names in ((active, before.class_map.names), (renamed, (*before.class_map.names[:-1], "mine"))):
        config = _config(written_text)
        after = read_dataset(root, config.data.format, **config.data.options)
        assert after.class_map.names == names
        assert [sample.foreground_frac for sample in after.samples] == [
            sample.foreground_frac for sample in before.samples
        ]


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("name", ["ph2", "oxford_pets", "isic2017_sample", "oxford_pets_catdog", "coco_tiny"])
def test_the_classes_of_real_sets_can_be_renamed(name: str, tmp_path: Path, real_data: Callable[[str], Path]) -> None:
    root = real_data(name)
    text, _ = written(root, tmp_path / "mine.yaml")
    old = _config(text)
    names = read_dataset(root, old.data.format, **old.data.options).class_map.names
    new = _config(_renamed(uncommented(text, "classes", "ignore"), names[-1]))
    assert read_dataset(root, new.data.format, **new.data.options).class_map.names == (*names[:-1], "mine")


def _renamed(text: str, name: str) -> str:
    """Returns a config whose option `classes` calls a class `mine`."""
    before, option, after = text.partition("    classes:")
    assert f" {name}: " in after
    return before + option + after.replace(f" {name}: ", " mine: ", 1)


def _config(text: str) -> RunConfig:
    return parse_config(parse_value(text))
