"""What every score of the table promises."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import segbench.metrics
from segbench.config import RunConfig
from segbench.metrics import SCORES, Counts, Scores, score_counts, score_masks
from segbench.types import Task

SHAPES = {Task.BINARY: (2, 2), Task.MULTICLASS: (3, 3), Task.MULTILABEL: (3, 2, 2)}
CLASSES = {Task.BINARY: 2, Task.MULTICLASS: 3, Task.MULTILABEL: 3}
every_task = pytest.mark.parametrize("task", list(Task))


def make_counts(task: Task, n: int = 6) -> Counts:
    random = np.random.default_rng(5)
    confusion = random.integers(0, 50, (n, *SHAPES[task]))
    confusion[0] = 0  # an image that is ignored whole
    confusion[1, ..., -1, :] = confusion[1, ..., :, -1] = 0  # and one with an absent class
    return Counts(
        ids=tuple(f"image {i}" for i in range(n)),
        confusion=confusion,
        ignored=np.zeros(n, dtype=np.int64),
        task=task,
    )


def score(counts: Counts) -> Scores:
    return score_counts(counts, CLASSES[counts.task])


def take(counts: Counts, order: list[int]) -> Counts:
    return Counts(
        ids=tuple(counts.ids[i] for i in order),
        confusion=counts.confusion[order],
        ignored=counts.ignored[order],
        task=counts.task,
    )


@every_task
def test_every_score_is_listed_and_defined(task: Task) -> None:
    scores = score(make_counts(task))
    assert list(scores.summary()) == list(scores.definitions)
    assert set(SCORES) == set(scores.summary())
    for name, sentence in scores.definitions.items():
        assert sentence.endswith("n = 6 images."), name
        assert "255" in sentence
        assert ("all images together" in sentence) != ("of each image" in sentence), name


def test_every_monitor_is_a_score() -> None:
    monitors = set(RunConfig.model_fields["monitor"].annotation.__args__)  # type: ignore[union-attr]
    assert monitors - {"loss"} <= set(SCORES)


@every_task
def test_scores_lie_between_0_and_1(task: Task) -> None:
    scores = score(make_counts(task))
    assert all(0 <= value <= 1 for value in scores.summary().values())
    for values in (*scores.per_image.values(), *scores.pooled.values()):
        assert ((values >= 0) & (values <= 1) | np.isnan(values)).all()
        assert values.dtype == np.float64


@every_task
def test_batches_in_any_order_equal_all_at_once(task: Task) -> None:
    counts = make_counts(task)
    parts = [take(counts, [4, 1]), take(counts, [0]), take(counts, [3, 5, 2])]
    again = score(Counts.concatenate(parts)).summary()
    assert again == pytest.approx(score(counts).summary(), rel=1e-12)


@every_task
def test_perfect_is_1_and_all_wrong_is_0(task: Task) -> None:
    random = np.random.default_rng(0)
    shape = (3, 8, 8) if task is Task.MULTILABEL else (8, 8)
    targets = [random.integers(0, 3 if task is Task.MULTICLASS else 2, shape) for _ in range(3)]
    perfect = score_masks(targets, targets, CLASSES[task]).summary()
    wrong = [(t + 1) % 3 if task is Task.MULTICLASS else 1 - t for t in targets]
    assert set(perfect.values()) == {1.0}
    assert set(score_masks(wrong, targets, CLASSES[task]).summary().values()) == {0.0}


@every_task
def test_more_right_pixels_score_higher(task: Task) -> None:
    """From all wrong to all right, no score ever falls, and every score rises in the end."""
    random = np.random.default_rng(0)
    shape = (3, 12, 12) if task is Task.MULTILABEL else (12, 12)
    target = random.integers(0, 3 if task is Task.MULTICLASS else 2, shape)
    wrong = (target + 1) % 3 if task is Task.MULTICLASS else 1 - target
    order = random.random(shape)
    steps = [
        score_masks([np.where(order < share, target, wrong)], [target], CLASSES[task]).summary()
        for share in (0.0, 0.3, 0.6, 0.9, 1.0)
    ]
    for name in SCORES:
        values = [step[name] for step in steps]
        assert values == sorted(values), name
        assert values[-1] > values[0]


@every_task
def test_ignored_pixels_change_nothing(task: Task) -> None:
    random = np.random.default_rng(0)
    shape = (3, 8, 8) if task is Task.MULTILABEL else (8, 8)
    high = 3 if task is Task.MULTICLASS else 2
    target, prediction = random.integers(0, high, shape), random.integers(0, high, shape)
    target[..., :2, :] = 255
    other = prediction.copy()
    other[..., :2, :] = 1 - np.minimum(other[..., :2, :], 1)
    summaries = [score_masks([guess], [target], CLASSES[task]).summary() for guess in (prediction, other)]
    assert summaries[0] == summaries[1]
    cut = score_masks([prediction[..., 2:, :]], [target[..., 2:, :]], CLASSES[task]).summary()
    assert cut == summaries[0]


@every_task
def test_dice_and_iou_say_the_same(task: Task) -> None:
    scores = score(make_counts(task))
    for level in (scores.per_image, scores.pooled):
        assert np.allclose(level["dice"], 2 * level["iou"] / (1 + level["iou"]), equal_nan=True)


@every_task
def test_one_image_has_one_level(task: Task) -> None:
    summary = score(take(make_counts(task), [3])).summary()
    for name in ("iou", "dice", "precision", "recall"):
        assert summary[f"{name}_pooled"] == pytest.approx(summary[f"{name}_per_image"])


def test_the_package_imports_neither_numpy_nor_torch() -> None:
    code = (
        "import sys, segbench.metrics as m; assert len(m.SCORES) == 11; "
        "assert 'numpy' not in sys.modules and 'torch' not in sys.modules; "
        "m.score_masks([[[0]]], [[[0]]], 2); assert 'numpy' in sys.modules and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_is_there() -> None:
    assert all(getattr(segbench.metrics, name) is not None for name in segbench.metrics.__all__)
    with pytest.raises(AttributeError, match="no attribute 'score_mask'"):
        segbench.metrics.score_mask  # noqa: B018
