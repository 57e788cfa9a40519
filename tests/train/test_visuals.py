"""Which epochs have a sheet of predictions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import segbench
from segbench.config.run import parse_config
from segbench.errors import ConfigError
from segbench.folders.run import RunFolder
from segbench.train.callback import Callback
from segbench.train.visuals import is_pictured


def drawn(pictures: Any, epochs: int, bests: set[int]) -> list[int]:
    """Returns the epochs that are pictured while a run goes on."""
    found: list[int] = []
    for epoch in range(1, epochs + 1):
        if is_pictured(pictures, epoch, epochs, is_best=epoch in bests, before=found[-1] if found else 0):
            found.append(epoch)
    return found


class TestIsPictured:
    def test_a_short_run_shows_every_epoch(self) -> None:
        assert drawn("auto", 8, set()) == list(range(1, 9))

    def test_a_long_run_shows_a_tenth_and_bests_some_epochs_apart(self) -> None:
        assert drawn("auto", 200, set()) == [1, *range(20, 201, 20)]
        assert drawn("auto", 200, {2, 3, 7, 8, 30}) == [1, 7, 20, 30, *range(40, 201, 20)]

    def test_a_run_that_gets_better_all_the_time_has_few(self) -> None:
        assert len(drawn("auto", 1000, set(range(1, 1001)))) <= 51

    def test_a_number_and_none(self) -> None:
        assert drawn(3, 10, {1, 2}) == [3, 6, 9]
        assert drawn(0, 10, {1, 2}) == []


class StopAfter(Callback):
    def __init__(self, epoch: int) -> None:
        self.last = epoch

    def epoch(self, row: Mapping[str, float], is_best: bool) -> None:
        if row["epoch"] == self.last:
            raise KeyboardInterrupt


def config_for(pairs: Path, run: Path, **changes: Any) -> segbench.RunConfig:
    values: dict[str, Any] = {
        "data": {"path": str(pairs), "size": 32},
        "network": {"name": "unet_nearest", "widths": [4, 8]},
        "optimizer": {"lr": 0.02},
        "epochs": 23,
        "batch_size": 12,
        "device": "cpu",
        "output": str(run),
    }
    return parse_config({**values, **changes})


def pictures_of(run: Path) -> list[int]:
    return sorted(int(file.stem.removeprefix("epoch_")) for file in (run / "pictures").glob("*.png"))


@pytest.mark.slow
def test_the_best_and_the_last_epoch_always_have_one(binary_pairs: Path, tmp_path: Path) -> None:
    config = config_for(binary_pairs, tmp_path / "run", early_stopping=3)
    with pytest.raises(KeyboardInterrupt):
        segbench.fit(config, watch=StopAfter(3))
    assert 1 in pictures_of(tmp_path / "run")
    result = segbench.fit(config, watch=Callback())
    found = pictures_of(tmp_path / "run")
    assert {1, result.result["best_epoch"], result.result["epochs"]} <= set(found)
    assert set(range(2, result.result["epochs"] + 1, 2)) <= set(found)


@pytest.mark.slow
def test_pictures_are_no_setting_that_decides_a_run(binary_pairs: Path, tmp_path: Path) -> None:
    config = config_for(binary_pairs, tmp_path / "run", pictures=0, epochs=3)
    with pytest.raises(KeyboardInterrupt):
        segbench.fit(config, watch=StopAfter(1))
    assert not (tmp_path / "run" / "pictures").exists()
    segbench.fit(config.model_copy(update={"pictures": 2}), watch=Callback())
    assert pictures_of(tmp_path / "run") == [2]
    assert RunFolder(tmp_path / "run").read_config().pictures == 2


def test_other_values_are_refused() -> None:
    with pytest.raises(ConfigError, match="pictures"):
        parse_config({"data": "x", "pictures": -1})
    with pytest.raises(ConfigError, match="pictures"):
        parse_config({"data": "x", "pictures": "often"})
