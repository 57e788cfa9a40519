"""How sure is a network, and is an image like those it knows: on images made to be easy, hard, and of elsewhere."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from segbench.predict.decide import probabilities, tempered
from segbench.predict.doubt import expected_score, mask_confidence
from segbench.predict.outputs import OutputOptions, unlike_images, write_areas, write_outputs
from segbench.predict.predictor import Prediction
from segbench.predict.unlike import image_features, image_statistics, unlike_training
from segbench.types import ClassMap, Task

SPOT = ClassMap(names=("ground", "spot"), values=((0,), (1,)), task=Task.BINARY)
THREE = ClassMap(names=("x", "y", "z"), values=((0,), (1,), (2,)), background=None)
LABELS = ClassMap(names=("a", "b"), values=((1,), (1,)), task=Task.MULTILABEL, background=None)
LINE = {"slope": 2.0, "intercept": -1.0, "below": -0.1, "above": 0.3}
CARD = {"calibration": {"expected_score": LINE}}


def prediction_of(probs: np.ndarray, mask: np.ndarray, class_map: ClassMap, **others: object) -> Prediction:
    image = np.zeros((*mask.shape[-2:], 3), dtype=np.uint8)
    return Prediction(image=image, mask=mask, class_map=class_map, network_probs=probs.astype(np.float32), **others)  # type: ignore[arg-type]


@pytest.mark.parametrize("task", list(Task))
@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_a_temperature_divides_logits(task: Task, temperature: float) -> None:
    logits = 3.0 * torch.randn(1, 1 if task is Task.BINARY else 3, 6, 5, generator=torch.manual_seed(0))
    expected = probabilities(logits / temperature, task)
    torch.testing.assert_close(tempered(probabilities(logits, task), temperature, task), expected, atol=1e-5, rtol=0.0)


def test_a_temperature_changes_what_is_told_and_no_mask() -> None:
    probs = np.array([[[0.9, 0.6], [0.4, 0.1]]])
    mask = np.array([[1, 1], [0, 0]], dtype=np.uint8)
    soft = prediction_of(probs, mask, SPOT, temperature=2.0)
    assert soft.probs[0, 0, 0] == pytest.approx(0.75)  # odds of 9 become odds of 3
    assert np.array_equal(soft.network_probs, prediction_of(probs, mask, SPOT).network_probs)


def test_confidence_is_of_the_classes_that_are_predicted() -> None:
    probs = np.array([[[0.9, 0.7, 0.4, 0.0]]])
    mask = np.array([[1, 1, 0, 0]], dtype=np.uint8)
    assert mask_confidence(prediction_of(probs, mask, SPOT)) == pytest.approx(0.8)
    assert np.isnan(mask_confidence(prediction_of(probs, np.zeros_like(mask), SPOT)))
    nodata = np.array([[True, False, False, False]])
    assert mask_confidence(prediction_of(probs, mask, SPOT, nodata=nodata)) == pytest.approx(0.7)
    three = np.array([[[0.8, 0.1, 0.2]], [[0.1, 0.6, 0.5]], [[0.1, 0.3, 0.3]]])
    found = prediction_of(three, np.array([[0, 1, 1]], dtype=np.uint8), THREE)
    assert mask_confidence(found) == pytest.approx((0.8 + 0.55) / 2), "each class weighs the same, absent ones nothing"
    planes = np.array([[[0.9, 0.1]], [[0.7, 0.5]]])
    both = prediction_of(planes, np.array([[[1, 0]], [[1, 0]]], dtype=np.uint8), LABELS)
    assert mask_confidence(both) == pytest.approx(0.8)


def test_confidence_is_read_at_the_networks_size() -> None:
    probs = np.array([[[0.9, 0.2]]])
    mask = np.zeros((10, 20), dtype=np.uint8)
    mask[:, :10] = 1
    assert mask_confidence(prediction_of(probs, mask, SPOT)) == pytest.approx(0.9)


def test_the_expected_score_is_read_off_a_line() -> None:
    found = prediction_of(np.array([[[0.9, 0.1]]]), np.array([[1, 0]], dtype=np.uint8), SPOT)
    assert expected_score(CARD, found) == pytest.approx((0.8, 0.7, 1.0)), "an interval ends at 1"
    assert expected_score(None, found) is None
    assert expected_score({"calibration": {"expected_score": None}}, found) is None
    empty = prediction_of(np.array([[[0.1, 0.1]]]), np.array([[0, 0]], dtype=np.uint8), SPOT)
    assert expected_score(CARD, empty) is None


def photos(number: int, seed: int, brightness: float = 120.0, noise: float = 20.0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    pictures = []
    for _ in range(number):
        base = rng.normal(brightness, 15.0) + rng.normal(0.0, noise, (60, 80, 1)) + rng.normal(0.0, 8.0, (1, 1, 3))
        pictures.append(np.clip(base, 0, 255).astype(np.uint8))
    return pictures


def card_of(pictures: list[np.ndarray]) -> dict[str, object]:
    return {"data": {"image_statistics": image_statistics([image_features(each) for each in pictures])}}


def test_images_like_the_training_part_are_hardly_ever_called_unlike() -> None:
    card = card_of(photos(150, 0))
    alarms = [unlike_training(card, each) for each in photos(200, 1)]
    assert sum(each is not None for each in alarms) <= 6


@pytest.mark.parametrize(
    ("others", "word"),
    [
        (photos(5, 2, brightness=230.0), "brighter"),
        (photos(5, 2, brightness=15.0), "darker"),
        (photos(5, 2, noise=2.0), "blurrier|less"),
        ([np.dstack([each[..., 0], each[..., 1] // 3, each[..., 2] // 3]) for each in photos(5, 2)], "redder|colours"),
        ([np.tile(each, (9, 9, 1)) for each in photos(5, 2)], "much larger"),
        ([each[:8, :10] for each in photos(5, 2)], "much smaller"),
    ],
)
def test_other_images_are_unlike_and_it_is_said_how(others: list[np.ndarray], word: str) -> None:
    card = card_of(photos(150, 0))
    for each in others:
        found = unlike_training(card, each)
        assert found is not None
        assert any(part in found for part in word.split("|")), found


def test_few_training_images_say_nothing() -> None:
    assert image_statistics([image_features(each) for each in photos(19, 0)]) is None
    assert unlike_training(card_of(photos(19, 0)), photos(1, 1, brightness=250.0)[0]) is None
    assert unlike_training(None, photos(1, 1)[0]) is None


def test_other_channels_and_tiny_images_have_numbers_too() -> None:
    four = [np.dstack([each, each[..., :1]]) for each in photos(30, 0)]
    card = card_of(four)
    assert unlike_training(card, four[0]) is None
    assert unlike_training(card, four[0][..., :3]) is not None, "three channels are not those four"
    assert all(np.isfinite(list(image_features(np.full((1, 1, 3), 7, dtype=np.uint8)).values())))


def test_the_table_says_how_far_a_mask_may_be_trusted(tmp_path: Path) -> None:
    mask = np.zeros((60, 80), dtype=np.uint8)
    mask[:, :40] = 1
    probs = np.where(mask, 0.9, 0.1).astype(np.float32)[None]
    card = CARD | card_of(photos(40, 0))
    rows = []
    for name, image in (("like", photos(1, 5)[0]), ("unlike", photos(1, 5, brightness=250.0)[0])):
        found = Prediction(image=image, mask=mask, class_map=SPOT, network_probs=probs)
        rows.append(write_outputs(found, tmp_path, name, OutputOptions(overlays=False), card=card))
    write_areas(tmp_path / "areas.csv", rows)
    with (tmp_path / "areas.csv").open() as stream:
        like, unlike = csv.DictReader(stream)
    assert [like[f"expected_iou{end}"] for end in ("", "_low", "_high")] == ["0.800", "0.700", "1.000"]
    assert like["unlike_training"] == ""
    assert "brighter" in unlike["unlike_training"]
    assert unlike_images(tmp_path / "areas.csv") == 1
    write_areas(tmp_path / "plain.csv", [{"id": "x"}])
    assert unlike_images(tmp_path / "plain.csv") == 0
