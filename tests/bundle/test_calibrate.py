"""What is fitted to a validation part, on numbers whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from segbench.bundle.calibrate import (
    calibrate,
    calibration_error,
    fit_expected_score,
    fit_temperature,
    judge_expected_score,
    sampled_pixels,
)
from segbench.predict.doubt import expected_score
from segbench.predict.predictor import Predictor
from segbench.types import ClassMap, Normalization, Task

SPOT = ClassMap(names=("ground", "spot"), values=((0,), (1,)), task=Task.BINARY)
THREE = ClassMap(names=("x", "y", "z"), values=((0,), (1,), (2,)), background=None)
LABELS = ClassMap(names=("a", "b"), values=((1,), (1,)), task=Task.MULTILABEL, background=None)


def pixels_of(task: Task, factor: float, images: int = 12, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns pixels of a network whose logits are `factor` times what they should be."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(images):
        logits = torch.from_numpy(rng.normal(0.0, 1.5, (1 if task is Task.BINARY else 3, 2000)).astype(np.float32))
        if task is Task.MULTICLASS:
            cumulative = logits.softmax(dim=0).numpy().cumsum(axis=0)
            labels = (rng.random(2000) > cumulative).sum(axis=0).clip(0, 2)
            probs = (logits * factor).softmax(dim=0)
        else:
            labels = (rng.random(logits.shape) < logits.sigmoid().numpy()).astype(np.int64)
            labels = labels[0] if task is Task.BINARY else labels
            probs = (logits * factor).sigmoid()
        labels[..., :50] = 255
        found.append((probs.numpy(), labels.astype(np.int64)))
    return found


@pytest.mark.parametrize("task", list(Task))
@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_the_temperature_of_a_network_that_is_too_sure_or_not_enough(task: Task, factor: float) -> None:
    pixels = pixels_of(task, factor)
    found = fit_temperature(pixels, task)
    assert found["fitted"] == pytest.approx(factor, rel=0.05)
    assert found["value"] == found["fitted"]
    assert found["after"] < 0.5 * found["before"]
    assert found["low"] <= found["difference"] <= found["high"] < 0.0
    assert found["before"] == calibration_error(pixels, 1.0, task)


def test_a_temperature_that_does_not_help_for_certain_is_not_used() -> None:
    found = fit_temperature(pixels_of(Task.BINARY, 1.0), Task.BINARY)
    assert found["fitted"] == pytest.approx(1.0, abs=0.05)
    assert found["value"] == 1.0
    assert found["high"] >= 0.0


def test_few_images_and_a_temperature_at_its_limit_are_not_used() -> None:
    few = fit_temperature(pixels_of(Task.BINARY, 2.0, images=4), Task.BINARY)
    assert few["fitted"] == pytest.approx(2.0, rel=0.1)
    assert (few["value"], few["n"]) == (1.0, 4)
    assert few["note"] == "4 independent images are too few; at least 10 are needed"
    grouped = fit_temperature(pixels_of(Task.BINARY, 2.0), Task.BINARY, groups=list("aabbccddeeff"))
    assert grouped["note"] == "6 independent images are too few; at least 10 are needed"
    probs = np.tile(np.array([[0.7, 0.3]], dtype=np.float32), (1, 50))
    always_right = fit_temperature([(probs, (probs[0] > 0.5).astype(np.int64))] * 12, Task.BINARY)
    assert always_right["fitted"] == pytest.approx(0.2, rel=0.01)
    assert (always_right["value"], always_right["note"]) == (1.0, "the best one lies beyond 0.2 to 5")
    assert fit_temperature(pixels_of(Task.BINARY, 1.0), Task.BINARY)["note"].endswith("does not fall for certain")
    assert fit_temperature(pixels_of(Task.BINARY, 2.0), Task.BINARY)["note"] is None


def test_a_network_that_is_never_wrong_keeps_a_finite_temperature() -> None:
    probs = np.tile(np.array([[0.999, 0.001]], dtype=np.float32), (1, 50))
    found = fit_temperature([(probs, (probs[0] > 0.5).astype(np.int64))] * 6, Task.BINARY)
    assert 0.2 <= found["fitted"] < 0.5, "however sure it gets, a pixel costs no less than nothing"


def test_images_of_a_group_are_resampled_together() -> None:
    pixels = pixels_of(Task.BINARY, 1.6, images=12)
    alone = fit_temperature(pixels, Task.BINARY)
    copies = [each for each in pixels for _ in range(3)]
    together = fit_temperature(copies, Task.BINARY, groups=[str(index // 3) for index in range(36)])
    as_if_alone = fit_temperature(copies, Task.BINARY)
    width = {name: found["high"] - found["low"] for name, found in (("a", alone), ("g", together), ("i", as_if_alone))}
    assert width["g"] > 1.3 * width["i"]
    assert width["g"] == pytest.approx(width["a"], rel=0.5)


def test_the_line_and_its_interval() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1.0, 400)
    score = 0.1 + 0.8 * confidence + rng.uniform(-0.05, 0.05, 400)
    found = fit_expected_score(confidence, score)
    assert found is not None
    assert (found["slope"], found["intercept"]) == pytest.approx((0.8, 0.1), abs=0.03)
    assert (found["below"], found["above"]) == pytest.approx((-0.045, 0.045), abs=0.004)
    assert found["rank_correlation"] > 0.9
    left_out = []
    for index in range(30):  # the shortcut is what leaving out really gives
        x, y = np.delete(confidence[:30], index), np.delete(score[:30], index)
        slope, intercept = np.polyfit(x, y, 1)
        left_out.append(abs(score[index] - intercept - slope * confidence[index]))
    few = fit_expected_score(confidence[:30], score[:30])
    assert few is not None
    assert few["mean_absolute_error"] == pytest.approx(np.mean(left_out))


def test_more_confidence_never_means_a_lower_score() -> None:
    confidence = np.linspace(0.5, 1.0, 30)
    found = fit_expected_score(confidence, 1.0 - 0.5 * confidence)
    assert found is not None
    assert found["slope"] == 0.0
    assert found["intercept"] == pytest.approx(0.625)


def test_few_images_have_no_line() -> None:
    assert fit_expected_score(np.linspace(0.5, 1.0, 19), np.linspace(0.5, 1.0, 19)) is None
    values = np.linspace(0.5, 1.0, 21)
    values[:2] = np.nan
    assert fit_expected_score(values, np.linspace(0.5, 1.0, 21)) is None


class Bright(nn.Module):
    """A logit that says how bright a pixel is."""

    normalization = Normalization.identity(3)

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, images: Tensor) -> Tensor:
        return 12.0 * (images[:, : self.channels] - 0.5)


def samples(number: int, seed: int, class_map: ClassMap) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns images whose bright half is the spot; the paler it is, the more of its pixels are labelled otherwise."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(number):
        image = np.full((20, 24, 3), 30, dtype=np.uint8)
        level = rng.integers(135, 240)
        image[:, 12:] = level
        labels = np.zeros((20, 24), dtype=np.uint8)
        labels[:, 12:] = rng.random((20, 12)) < 0.3 + 0.7 * (level - 130) / 110
        found.append((image, labels if class_map is not LABELS else np.stack([labels, labels])))
    return found


@pytest.mark.parametrize("class_map", [SPOT, THREE, LABELS])
def test_a_model_is_calibrated_and_judged(class_map: ClassMap) -> None:
    predictor = Predictor(Bright(class_map.out_channels), class_map, (20, 24))
    found = calibrate(predictor, samples(60, 0, class_map))
    assert found["n"] == 60
    assert set(found["temperature"]) >= {"value", "before", "after", "low", "high"}
    if class_map is THREE:  # three equal channels: no class is more likely than another
        return
    assert found["expected_score"]["slope"] > 0.5
    card = {"calibration": found}
    test = [(predictor(image), labels) for image, labels in samples(60, 1, class_map)]
    judged = judge_expected_score(lambda prediction: expected_score(card, prediction), test)
    assert judged["rank_correlation"] > 0.7
    assert judged["mean_absolute_error"] < 0.6 * judged["error_of_the_mean"]
    assert 0.8 <= judged["coverage"] <= 1.0


def test_no_image_is_no_calibration() -> None:
    found = calibrate(Predictor(Bright(1), SPOT, (20, 24)), [])
    assert found == {"n": 0, "temperature": None, "expected_score": None}


def test_pixels_are_taken_evenly_at_the_images_own_size() -> None:
    [(image, labels)] = samples(1, 0, SPOT)
    large = np.kron(image, np.ones((8, 8, 1), dtype=np.uint8))
    probs, taken = sampled_pixels(
        Predictor(Bright(1), SPOT, (20, 24))(large), np.kron(labels, np.ones((8, 8), np.uint8))
    )
    assert probs.shape == (1, 4096)
    assert taken.mean() == pytest.approx(labels.mean(), abs=0.02)
