"""A run on shards is a run on the same data: it learns, goes on, and is scored, with the original folder gone."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from segbench.config.run import SplitConfig
from segbench.data.manifest.read import read_dataset
from segbench.data.samples.shard_writer import write_shards
from segbench.data.split.divide import split_manifest
from segbench.errors import ConfigError, DatasetError
from segbench.train.evaluate import evaluate
from segbench.train.fit import fit


def config_for(path: Path, out: Path, **changes: Any) -> dict[str, Any]:
    return {
        "data": {"path": str(path), "size": 32, **changes.pop("data", {})},
        "network": "simple_fcn",
        "epochs": 2,
        "batch_size": 4,
        "device": "cpu",
        "output": str(out),
        **changes,
    }


@pytest.fixture(scope="module")
def packed(binary_pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns shards of a data set that is gone."""
    base = tmp_path_factory.mktemp("packed")
    data = Path(shutil.copytree(binary_pairs, base / "data"))
    manifest = split_manifest(read_dataset(data), SplitConfig())
    write_shards(manifest, base / "shards", size=(32, 32), samples_per_shard=4)
    shutil.rmtree(data)
    return base / "shards" / "shards.json"


@pytest.mark.slow
def test_a_run_from_shards(packed: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    result = fit(config_for(packed, run))
    assert sum(result.result["n"].values()) == 24
    assert read_dataset(run / "manifest.json").format == "shards"
    assert evaluate(run, "test").n_images == result.result["n"]["test"]


@pytest.mark.slow
def test_parts_are_those_of_the_shards(packed: Path, tmp_path: Path) -> None:
    fit(config_for(packed, tmp_path / "run", data={"split": {"method": "official"}}))
    there = read_dataset(packed)
    assert [s.split for s in read_dataset(tmp_path / "run" / "manifest.json").samples] == [
        s.split for s in there.samples
    ]


@pytest.mark.slow
def test_validation_scores_are_those_of_the_folder(binary_pairs: Path, packed: Path, tmp_path: Path) -> None:
    """One step of learning is none: with a rate of nearly 0 both runs score the same network on the same pixels."""
    from segbench.data.manifest.manifest import Manifest

    still = {"optimizer": {"lr": 1e-12}, "epochs": 1}
    official = {"split": {"method": "official"}}
    one = fit(config_for(packed, tmp_path / "shards", data=official, **still))
    parts = {sample.id: sample.split for sample in read_dataset(packed).samples}
    plain = read_dataset(binary_pairs).with_splits(parts)  # type: ignore[arg-type]
    plain.write(tmp_path / "plain.json")
    other = fit(config_for(binary_pairs, tmp_path / "plain", **still), manifest=tmp_path / "plain.json")
    assert Manifest.read(tmp_path / "plain.json").content_hash == read_dataset(packed).content_hash
    for name, value in one.scores["val"].items():
        assert other.scores["val"][name] == pytest.approx(value, abs=2e-3, nan_ok=True)


def test_wrong_size_and_damage_are_told_before_the_first_epoch(packed: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"set data\.size: \[32, 32\]"):
        fit(config_for(packed, tmp_path / "size", data={"size": 48}))
    copied = Path(shutil.copytree(packed.parent, tmp_path / "copy"))
    (copied / "train-000001.tar").unlink()
    with pytest.raises(DatasetError, match=r"train-000001\.tar is missing"):
        fit(config_for(copied / "shards.json", tmp_path / "gone"))
