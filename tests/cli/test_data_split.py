"""`segbench data split`: parts on the screen, in a table and in a manifest."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import typer
from tests.conftest import draw_pairs
from typer.testing import CliRunner

from segbench.cli.data_split import data_split
from segbench.config.run import SplitConfig
from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_dataset
from segbench.data.split.divide import split_manifest
from segbench.errors import ConfigError

app = typer.Typer()
app.command()(data_split)


def call(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_pairs(tmp_path_factory.mktemp("set"), 20)


def test_the_parts_are_those_of_the_config(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "split.csv"
    pattern = "([0-9])$"
    told = call(str(folder), "--method", "kfold", "--fold", "1", "-k", "4", "--group", pattern, "-o", str(out))
    config = SplitConfig(method="kfold", k=4, fold=1, group=pattern)
    expected = split_manifest(read_dataset(folder), config)
    with out.open(newline="") as stream:
        rows = [(row["id"], row["group"], row["split"]) for row in csv.DictReader(stream)]
    assert rows == [(sample.id, sample.group, sample.split) for sample in expected.samples]
    assert "note: fold 1 of 4 is test, fold 2 is val" in told
    assert f"data.split: {{method: file, file: {out}}}" in told
    again = call(str(folder), "--method", "file", "--file", str(out), "-o", str(tmp_path / "again.csv"))
    assert (tmp_path / "again.csv").read_bytes() == out.read_bytes()
    assert "train" in again


def test_a_manifest_and_numbers(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "parts.json"
    told = call(str(folder), "--method", "ratios", "--counts", "10,6,4", "--seed", "7", "-o", str(out))
    manifest = Manifest.read(out)
    assert [len(manifest.split(split)) for split in ("train", "val", "test")] == [10, 6, 4]
    rows = [line.split()[:2] for line in told.splitlines()]
    assert ["train", "10"] in rows
    assert ["test", "4"] in rows
    assert call(str(folder), "--ratios", "0.5,0.25,0.25", "--quiet").count("\n") <= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "blocks"], "method blocks needs block"),
        (["--method", "kfold", "-k", "2"], "-k: should be greater than or equal to 3, got 2"),
        (["--method", "random"], "--method: should be 'auto', "),
        (["--stratify-by", "size"], "--stratify-by: should be 'foreground' or 'classes', got 'size'"),
        (["--counts", "10,5"], "--counts: expected three numbers for train, val and test, as in 100,50,50, got '10,5'"),
        (["--ratios", "a,b,c"], "--ratios: expected three numbers"),
        (["-o", "split.txt"], r"--out: expected a name that ends in \.csv or \.json, got 'split\.txt'"),
    ],
)
def test_what_is_refused(folder: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        call(str(folder), *arguments)
