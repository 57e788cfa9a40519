"""The studies that segbench ships: their small scales dry-run, and every network in them starts to learn."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from segbench.config.run import RunConfig
from segbench.config.study import expand, load_study, parse_study
from segbench.losses import build_loss
from segbench.models.configured import network_of
from segbench.predict.decide import normalize
from segbench.study.dry_run import dry_run
from segbench.train.optim import Schedule, build_optimizer

STUDIES = sorted(Path(__file__).parents[2].glob("studies/*.yaml"))
_STEPS = 16
CLASSES = {"ph2": 1, "oxford_pets": 3}  # logits a pixel


def small_networks() -> list[object]:
    """Returns the first run of every network and loss of every small scale."""
    cases: dict[str, object] = {}
    for file in STUDIES:
        for run in expand(load_study(file, scale="small")).runs:
            plain = run.config.to_dict()
            key = json.dumps([plain["network"], plain["loss"]])
            cases.setdefault(key, pytest.param(run.config, id=f"{file.stem}: {run.entry}"))
    return list(cases.values())


def drawn(classes: int, side: int) -> tuple[Tensor, Tensor]:
    """Returns pictures (4, 3, side, side) from 0 to 1 of unequal light, with a blob of every other class, and masks."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:side, :side] / side
    images, masks = np.zeros((4, 3, side, side), np.float32), np.zeros((4, side, side), np.int64)
    for image, mask in zip(images, masks, strict=True):
        for label in range(1, max(2, classes)):
            place = 0.3 if label == 1 else 0.75
            row, column = rng.uniform(place - 0.05, place + 0.05, size=2)
            mask[(rows - row) ** 2 + (columns - column) ** 2 < 0.25**2] = label
        image[:] = rng.uniform(0.5, 0.6) - 0.2 * mask + rng.normal(0, 0.03, (3, side, side))
    return torch.from_numpy(images.clip(0, 1)), torch.from_numpy(masks)


@pytest.mark.slow
@pytest.mark.parametrize("config", small_networks())
def test_a_few_steps_leave_more_than_one_class(config: RunConfig) -> None:
    classes = CLASSES[config.data.format or ""]
    # A patch a pixel is slow; what it sees does not grow with the image.
    images, masks = drawn(classes, 32 if config.network.name == "sliding_window" else 64)
    torch.manual_seed(0)
    network = network_of(config, 3, classes, load_weights=False).train()
    loss = build_loss(config.loss)
    optimizer = build_optimizer(network, config.optimizer)
    schedule = Schedule(optimizer, config.schedule, _STEPS)
    inputs = normalize(images, network.normalization)
    for _ in range(_STEPS):
        optimizer.zero_grad()
        loss(network(inputs), masks).backward()
        clip_grad_norm_(network.parameters(), config.grad_clip or math.inf)
        optimizer.step()
        schedule.after_step()
    with torch.no_grad():
        logits = network(inputs)  # with the statistics of the batch
    predicted = logits.argmax(1) if classes > 1 else (logits > 0).squeeze(1).long()
    assert len(predicted.unique()) > 1
    assert logits.isfinite().all()


@pytest.mark.parametrize("file", STUDIES, ids=lambda path: path.stem)
def test_the_small_scale_says_what_it_is_for_and_how_long_it_trains(file: Path) -> None:
    study = load_study(file, scale="small")
    plan = expand(study)
    assert study.scales["small"].note
    assert len(plan.lengths) == 1, "all runs have the same budget"
    assert min(len(runs) for runs in plan.entries.values()) >= 2, "one seed says nothing of trainings"
    assert study.expected


@pytest.mark.slow
@pytest.mark.parametrize("file", STUDIES, ids=lambda path: path.stem)
def test_the_small_scale_dry_runs(file: Path, binary_pairs: Path, three_class_pairs: Path, tmp_path: Path) -> None:
    """On small drawn pictures in place of the study's data."""
    plain = load_study(file, scale="small").to_dict()
    pairs = binary_pairs if plain["base"]["data"]["format"] == "ph2" else three_class_pairs
    plain["base"]["data"] = {"path": str(pairs), "size": 32, "cache_dir": str(tmp_path / "cache")}
    study = parse_study({**plain, "output": str(tmp_path / "study")})
    result = dry_run(study, workers=1, threads=1)
    assert result.cost.problems == {}
    assert result.cost.seconds > 0.0
    assert f"length of a run: {expand(study).lengths[0]}" in result.lines()


def test_the_lessons_own_protocol_is_there_by_name() -> None:
    study = load_study(Path(__file__).parents[2] / "studies" / "aspp_vs_fcn.yaml", scale="lesson")
    for run in expand(study).runs:
        config = run.config
        assert config.network.options == {"center_input": False}
        assert (config.epochs, config.batch_size, config.data.size) == (50, 16, (256, 256))
        assert (config.optimizer.name, config.optimizer.lr, config.optimizer.weight_decay) == ("adam", 1e-4, 0.0)
        assert (config.schedule.name, config.grad_clip) == ("constant", None)
        (term,) = config.loss
        assert (term.name, term.options) == ("dice", {"over": "batch", "smooth": 1e-7})
