"""Calibration against torchmetrics, a loop over pixels, and networks whose calibration is known."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torchmetrics.functional.classification import multiclass_calibration_error

from segbench.errors import RunError
from segbench.metrics import Calibration, CalibrationCollector
from segbench.types import Task


def example(task: Task, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    channels = 1 if task is Task.BINARY else 4
    logits = 2 * torch.randn(5, channels, 11, 7, generator=generator)
    shape = (5, 4, 11, 7) if task is Task.MULTILABEL else (5, 11, 7)
    target = torch.randint(0, 4 if task is Task.MULTICLASS else 2, shape, generator=generator)
    target[1, ..., :3, :] = 255
    return logits, target


def collect(task: Task, logits: Tensor, target: Tensor, size: int = 5, **options: int) -> Calibration:
    collector = CalibrationCollector(task, **options)
    for start in range(0, len(logits), size):
        collector.add(logits[start : start + size], target[start : start + size])
    return collector.calibration()


def two_class(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Returns (P, 2) probabilities and (P,) labels of the counted pixels, whatever the shape."""
    flat, labels = logits.double().flatten(), target.flatten()
    p = torch.stack([(-flat).sigmoid(), flat.sigmoid()], dim=1)
    return p[labels != 255], labels[labels != 255]


@pytest.mark.parametrize("bins", [15, 4])
@pytest.mark.parametrize("task", list(Task))
def test_equals_torchmetrics(task: Task, bins: int) -> None:
    logits, target = example(task)
    if task is Task.MULTICLASS:
        keep = target.flatten() != 255
        p = logits.double().softmax(1).permute(0, 2, 3, 1).reshape(-1, 4)[keep]
        labels = target.flatten()[keep]
    else:
        p, labels = two_class(logits, target)
    expected = multiclass_calibration_error(p, labels, num_classes=p.shape[1], n_bins=bins, norm="l1").item()
    ours = collect(task, logits, target, bins=bins)
    assert ours.expected_error == pytest.approx(expected, abs=1e-6)
    assert ours.expected_error > 0.1  # random targets: a sure network is wrong
    assert ours.pixels.sum() == len(labels)
    assert ours.n_images == 5


def test_bins_are_open_below_and_closed_above() -> None:
    logits = torch.tensor([0.0, 0.3, 50.0, -50.0], dtype=torch.float32).view(1, 1, 2, 2)
    ours = collect(Task.BINARY, logits, torch.tensor([[[0, 0], [1, 1]]]), bins=4)
    sure = 1 / (1 + math.exp(-0.3))
    assert ours.pixels.tolist() == [0, 1, 1, 2]  # confidences 0.5, 0.57, 1, 1
    assert ours.correct.tolist() == [0, 1, 0, 1]  # a probability of 0.5 is not above 0.5: label 0
    assert ours.confidence_sum.tolist() == pytest.approx([0, 0.5, sure, 2])
    assert ours.expected_error == pytest.approx((0.5 + sure + 1) / 4)


def test_a_calibrated_network_is_near_0_and_a_boastful_one_is_not() -> None:
    """Targets drawn from the network's own probabilities; then the logits are tripled."""
    generator = torch.Generator().manual_seed(0)
    logits = 1.5 * torch.randn(4, 1, 100, 100, generator=generator)
    target = (torch.rand(logits.shape, generator=generator) < logits.sigmoid()).long()[:, 0]
    calibrated = collect(Task.BINARY, logits, target).expected_error
    boastful = collect(Task.BINARY, 3 * logits, target).expected_error
    assert calibrated < 0.01
    assert boastful > 10 * calibrated


@pytest.mark.parametrize("task", list(Task))
def test_batches_in_any_order_and_merged_equal_all_at_once(task: Task) -> None:
    logits, target = example(task)
    whole = collect(task, logits, target)
    order = [3, 0, 4, 1, 2]
    parts = [collect(task, logits[order], target[order], size=2)]
    parts.append(Calibration.merge([collect(task, logits[:2], target[:2]), collect(task, logits[2:], target[2:])]))
    for other in parts:
        assert np.array_equal(other.pixels, whole.pixels)
        assert np.array_equal(other.correct, whole.correct)
        assert other.confidence_sum == pytest.approx(whole.confidence_sum, rel=1e-6)  # float32 sigmoid
        assert other.n_images == 5
    assert whole.pixels.dtype == whole.correct.dtype == np.int64
    assert whole.confidence_sum.dtype == np.float64


@pytest.mark.parametrize("task", list(Task))
def test_predictions_on_ignored_pixels_change_nothing(task: Task) -> None:
    logits, target = example(task)
    other = logits.clone()
    other[1, :, :3] = -7 * other[1, :, :3]
    first, second = collect(task, logits, target), collect(task, other, target)
    assert np.array_equal(first.confidence_sum, second.confidence_sum)
    assert np.array_equal(first.correct, second.correct)
    nothing = collect(task, logits, torch.full_like(target, 255))
    assert nothing.pixels.sum() == 0
    assert math.isnan(nothing.expected_error)


def test_half_precision_and_huge_logits() -> None:
    logits, target = example(Task.BINARY)
    half = collect(Task.BINARY, logits.bfloat16(), target)
    assert half.expected_error == pytest.approx(collect(Task.BINARY, logits, target).expected_error, abs=0.01)
    for task in Task:
        logits, target = example(task)
        assert math.isfinite(collect(task, 1e4 * logits, target).expected_error)


def test_definition_and_round_trip(tmp_path: Path) -> None:
    ours = collect(Task.BINARY, *example(Task.BINARY))
    definition = ours.definition_of(resolution="11x7 pixels")["expected_calibration_error"]
    assert definition.better == "lower"
    assert "over 15 equally wide bins" in definition.sentence
    assert "of all images together" in definition.sentence
    assert definition.sentence.endswith("left out; n = 5 images.")
    path = tmp_path / "calibration_test.csv"
    ours.write_csv(path, resolution="11x7 pixels")
    again = Calibration.read_csv(path, n_images=5, task=Task.BINARY)
    assert np.array_equal(again.confidence_sum, ours.confidence_sum)
    assert again.expected_error == ours.expected_error
    plain = json.loads((tmp_path / "calibration_test.definitions.json").read_text())
    assert plain["scores"]["expected_calibration_error"]["value"] == ours.expected_error
    with path.open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 15


@pytest.mark.parametrize(
    ("task", "confidence", "decision"),
    [
        (Task.BINARY, "of each pixel's most probable class", "every pixel takes its most probable class, whatever"),
        (Task.MULTICLASS, "of each pixel's most probable class", "every pixel takes its most probable class; scored"),
        (
            Task.MULTILABEL,
            "of the likelier of present and absent, for every class of every pixel",
            "every class of every pixel is taken as present or absent, whichever is likelier, whatever the threshold",
        ),
    ],
)
def test_the_definition_says_whose_confidence(task: Task, confidence: str, decision: str) -> None:
    (definition,) = collect(task, *example(task)).definition_of(resolution="11x7 pixels").values()
    assert f"confidence is the probability {confidence}; {decision}" in definition.sentence


def test_wrong_calls_and_files_are_explained(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="bins: expected 1 or more"):
        CalibrationCollector(Task.BINARY, bins=0)
    with pytest.raises(ValueError, match="no batch was added"):
        CalibrationCollector(Task.BINARY).calibration()
    with pytest.raises(ValueError, match="binary task has logits"):
        CalibrationCollector(Task.BINARY).add(*example(Task.MULTICLASS))
    with pytest.raises(ValueError, match="one task and number of bins, got none"):
        Calibration.merge([])
    one, other = collect(Task.BINARY, *example(Task.BINARY)), collect(Task.MULTICLASS, *example(Task.MULTICLASS))
    with pytest.raises(ValueError, match="one task and number of bins"):
        Calibration.merge([one, other])
    with pytest.raises(ValueError, match="more right pixels than pixels"):
        Calibration(
            pixels=one.correct, confidence_sum=one.confidence_sum, correct=one.pixels, n_images=1, task=one.task
        )
    with pytest.raises(ValueError, match="arrays of one length"):
        Calibration(
            pixels=one.pixels[:2], confidence_sum=one.confidence_sum, correct=one.correct, n_images=1, task=one.task
        )
    for text in ("", "a,b\n", "above,up_to,pixels,confidence_sum,correct\n0,1,x,0,0\n"):
        (tmp_path / "c.csv").write_text(text)
        with pytest.raises(RunError, match=r"cannot read the calibration c\.csv"):
            Calibration.read_csv(tmp_path / "c.csv", n_images=1, task=Task.BINARY)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("task", list(Task))
def test_cuda_gives_the_same_twice(task: Task) -> None:
    logits, target = example(task)
    torch.use_deterministic_algorithms(True)
    try:
        first, second = (collect(task, logits.cuda(), target.cuda()) for _ in range(2))
    finally:
        torch.use_deterministic_algorithms(False)
    assert np.array_equal(first.confidence_sum, second.confidence_sum)
    assert first.expected_error == pytest.approx(collect(task, logits, target).expected_error, abs=1e-6)
