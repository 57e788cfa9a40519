"""What is shipped for known data sets is what `config new` writes for them: advice and example never contradict."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import REPOSITORY
from tests.train.test_config_template import lines_of

from segbench.doctor.dataset import check_dataset
from segbench.doctor.recipe import ema_decay, training_steps

PARTS = {"ph2": 100}  # images to learn from, where the shipped split is not the usual one


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("name", ["ph2", "oxford_pets", "camvid"])
def test_a_shipped_config_is_what_config_new_writes(name: str, real_data: Callable[[str], Path]) -> None:
    text = (REPOSITORY / "configs" / f"{name}.yaml").read_text(encoding="utf-8")
    suggested = {key: value for key, value, _ in check_dataset(real_data(name)).suggestions}
    if name in PARTS:
        steps = training_steps(PARTS[name])
        suggested |= {"steps": steps, "ema_decay": ema_decay(steps)}
    shipped = lines_of(text)
    assert {key: shipped.get(key) for key in suggested} == suggested
