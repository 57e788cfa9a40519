"""Trying recipes: by validation only, to be killed and gone on with, and honest about noise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.conftest import draw_pairs
from typer.testing import CliRunner

from segbench.cli.main import app
from segbench.config.run import RunConfig, load_config, parse_config
from segbench.doctor.recipe import Suggestion
from segbench.doctor.variants import Variant
from segbench.errors import ConfigError, RunError
from segbench.train.callback import Callback
from segbench.tune.recipes import Budget, RecipeSearch, Tried, judge, try_recipes


@pytest.mark.parametrize(
    ("text", "budget"), [("200", Budget(steps=200)), ("90s", Budget(seconds=90.0)), ("1.5 s", Budget(seconds=1.5))]
)
def test_a_budget_is_steps_or_seconds(text: str, budget: Budget) -> None:
    assert Budget.parse(text) == budget


@pytest.mark.parametrize("text", ["", "0", "-3", "1.5", "2 min", "s"])
def test_other_budgets_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--budget: expected steps of each training \(200\) or its seconds \(90s\)"):
        Budget.parse(text)


class Told(Callback):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def message(self, text: str) -> None:
        self.lines.append(text)


def recipes_of(*rates: float) -> list[Variant]:
    return [
        Variant(name=f"rate{number}", lines=(("optimizer.lr", rate, ""),), changed=f"lr: {rate}" if number else "")
        for number, rate in enumerate(rates)
    ]


def config_maker(root: Path, output: Path) -> Any:
    def config_of(lines: Sequence[Suggestion]) -> RunConfig:
        (rate,) = (value for _, value, _ in lines)
        plain = {
            "data": {"path": str(root), "size": 32},
            "network": {"name": "unet_nearest", "widths": [4, 8]},
            "optimizer": {"lr": rate},
            "steps": 500,
            "device": "cpu",
            "precision": "32",
            "output": str(output),
        }
        return parse_config(plain)

    return config_of


@pytest.mark.slow
def test_recipes_are_tried_on_validation_alone_and_finished_ones_are_kept(tmp_path: Path) -> None:
    root = draw_pairs(tmp_path / "set", 14, size=(32, 32))
    config_of = config_maker(root, tmp_path / "runs" / "mine")
    diverging = 100.0
    search = try_recipes(recipes_of(1e-2, 1e-4), config_of, Budget(steps=2), watch=Told())
    (folder,) = (tmp_path / "runs" / "mine-recipes").iterdir()
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == ["rate0", "rate1"]
    for name in ("rate0", "rate1"):
        result = (folder / name / "result.json").read_text()
        assert '"test"' not in result.partition('"definitions"')[0]
        assert not (folder / name / "test_log.csv").is_file()
    written = {path: path.stat().st_mtime_ns for path in folder.glob("*/best.safetensors")}
    again = try_recipes(recipes_of(1e-2, 1e-4, diverging), config_of, Budget(steps=2), watch=Told())
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert [one.variant.name for one in again.tried] == ["rate0", "rate1", "rate2"]
    for one, other in zip(search.tried, again.tried, strict=False):
        assert one.scores is not None
        np.testing.assert_array_equal(one.scores, other.scores)
    assert len(list((tmp_path / "runs" / "mine-recipes").iterdir())) == 1


def test_nothing_that_finishes_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RunError("the loss became nan")

    monkeypatch.setattr("segbench.tune.recipes.fit", fails)
    root = draw_pairs(tmp_path / "set", 14, size=(32, 32))
    watch = Told()
    with pytest.raises(RunError, match="not one of 2 recipes finished: the loss became nan"):
        try_recipes(recipes_of(1e-2, 1e-4), config_maker(root, tmp_path / "out"), Budget(steps=2), watch=watch)
    assert watch.lines[-2:] == [
        "recipe 2 of 2, rate1 (lr: 0.0001): 2 steps",
        "recipe 2 of 2, rate1: the loss became nan",
    ]


def search_of(*means: float, images: int = 40) -> RecipeSearch:
    noise = np.random.default_rng(0).normal(0, 0.02, (len(means), images))
    tried = [
        Tried(variant=variant, scores=mean + noise[place], seconds=3.0)
        for place, (variant, mean) in enumerate(zip(recipes_of(*range(1, len(means) + 1)), means, strict=True))
    ]
    groups = [f"g{number}" for number in range(images)]
    return RecipeSearch(budget=Budget(steps=2), tried=tuple(tried), verdict=judge(tried, groups))


def test_a_difference_within_noise_is_said() -> None:
    search = search_of(0.800, 0.801)
    told = "\n".join(search.table())
    assert "within noise" in told
    assert "may be as good as" in told
    assert (
        search.table()[0]
        == "recipes tried with 2 steps each, judged by the IoU of 40 validation images at their own size:"
    )


def test_a_clear_winner_is_said() -> None:
    search = search_of(0.6, 0.8, 0.4)
    assert search.best.variant.name == "rate1"
    lines = search.table()
    assert [line.partition(" s   ")[2].partition(":")[0] for line in lines[1:4]] == ["rate1", "rate0", "rate2"]
    assert "scored higher than the others, by more than these images explain" in " ".join(lines)


def test_too_few_images_say_nothing() -> None:
    assert "nothing can be said" in " ".join(search_of(0.6, 0.8, images=1).table())


@pytest.mark.slow
def test_the_command_writes_the_winner_with_what_was_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    draw_pairs(tmp_path / "set", 14, size=(32, 32))
    done = CliRunner().invoke(app, ["config", "new", "set", "-o", "mine.yaml", "--best", "--budget", "1"])
    assert done.exit_code == 0, done.output
    text = (tmp_path / "mine.yaml").read_text()
    assert "# recipes tried with 1 step each" in text
    for name in ("suggested", "loss: ", "scale: ", "augment: ", "encoder: "):
        assert name in text
    config = load_config(tmp_path / "mine.yaml")
    assert config.steps == 400
    assert config.output == "runs/set"
    refused = CliRunner().invoke(app, ["config", "new", "set", "-o", "other.yaml", "--budget", "1"])
    assert refused.exit_code != 0
