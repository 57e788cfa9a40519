"""The main number of an evaluation: the mean it says it is, with an interval that tells how sure it is."""

from __future__ import annotations

import numpy as np
import pytest

from segbench.metrics import Scores, score_masks
from segbench.train.main_number import main_number, main_of
from segbench.types import ClassMap, Sample

STREET = ClassMap(names=("road", "car", "sky"), values=((0,), (1,), (2,)))


def scores_of(images: int, seed: int = 0, share: float = 0.8) -> Scores:
    random = np.random.default_rng(seed)
    targets = [random.integers(0, 3, (8, 9)) for _ in range(images)]
    kept = random.uniform(share - 0.2, min(share + 0.2, 1.0), images)
    predictions = [np.where(random.random((8, 9)) < each, t, 0) for each, t in zip(kept, targets, strict=True)]
    return score_masks(predictions, targets, STREET)


def sample(name: str, group: str | None) -> Sample:
    return Sample(id=name, image=name, mask=name, height=8, width=9, image_hash="", mask_hash="", group=group)


@pytest.mark.parametrize("name", ["iou_per_image", "iou_pooled", "dice_pooled", "pixel_accuracy"])
def test_it_is_the_score_with_an_interval_around_it(name: str) -> None:
    scores = scores_of(30)
    main = main_number(scores, name, (), "test")
    assert main["value"] == scores.summary()[name]
    assert main["low"] < main["value"] < main["high"]
    assert np.nanmean(scores.image_values(name)) == pytest.approx(main["value"], abs=1e-12)


def test_the_interval_of_a_pooled_score_is_that_of_a_bootstrap_over_images() -> None:
    scores = scores_of(60)
    random = np.random.default_rng(1)
    tp, fp, fn = scores.counts.tp, scores.counts.fp, scores.counts.fn
    drawn = []
    for _ in range(4000):
        chosen = random.integers(0, 60, 60)
        true, union = tp[chosen].sum(axis=0), (tp + fp + fn)[chosen].sum(axis=0)
        drawn.append((true / union).mean())
    low, high = np.quantile(drawn, [0.025, 0.975])
    main = main_number(scores, "iou_pooled", (), "test")
    assert main["high"] - main["low"] == pytest.approx(high - low, rel=0.1)
    assert main["low"] == pytest.approx(low, abs=0.15 * (high - low))


def test_images_of_a_group_count_as_one() -> None:
    scores = scores_of(12)
    alone = main_number(scores, "iou_per_image", (), "val")
    samples = [sample(name, f"patient {int(name) % 3}") for name in scores.ids]
    grouped = main_number(scores, "iou_per_image", samples, "val")
    assert (alone["n_groups"], grouped["n_groups"]) == (None, 3)
    assert grouped["value"] == alone["value"]
    assert (grouped["low"], grouped["high"]) != (alone["low"], alone["high"])
    assert grouped["sentence"].endswith(", over 12 images in 3 groups")
    assert "groups" not in alone["sentence"]


def test_one_image_has_no_interval_and_none_leaves_the_range() -> None:
    main = main_number(scores_of(1), "loss", (), "test")
    assert (main["name"], main["low"], main["high"]) == ("iou_per_image", None, None)
    assert main["sentence"] == f"test IoU per image {main['value']:.4f}, over 1 image"
    truth = np.zeros((4, 4), dtype=int)
    far_apart = score_masks([truth, truth + 1], [truth, truth], ["background", "spot"])
    wide = main_number(far_apart, "pixel_accuracy", (), "test")
    assert (wide["value"], wide["low"], wide["high"]) == (0.5, 0.0, 1.0)


def test_an_earlier_version_has_the_number_without_an_interval() -> None:
    result = {"scores": {"val": {"iou_per_image": 0.25}}, "n": {"val": 3}}
    assert main_of(result)["sentence"] == "val IoU per image 0.2500, over 3 images"
