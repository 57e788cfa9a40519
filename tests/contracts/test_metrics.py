"""What every score of the table promises."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

import segbench.metrics
from segbench.compare.image_scores import check_score, pick
from segbench.config.run import parse_config
from segbench.errors import ConfigError
from segbench.metrics import (
    CALIBRATION_SCORES,
    COUNT_SCORES,
    SCORES,
    SURFACE_SCORES,
    CalibrationCollector,
    Counts,
    Definition,
    Scores,
    SurfaceCollector,
    score_counts,
    score_masks,
    score_surfaces,
)
from segbench.metrics.families import COMPARED, MONITORED, label_of, overlap
from segbench.metrics.scores import as_class_map
from segbench.types import Task

SHAPES = {Task.BINARY: (2, 2), Task.MULTICLASS: (3, 3), Task.MULTILABEL: (3, 2, 2)}
CLASSES = {Task.BINARY: 2, Task.MULTICLASS: 3, Task.MULTILABEL: 3}
OVERLAPS = [score.name for score in overlap.SCORES]
RISING = [score.name for score in COUNT_SCORES.values() if score.measure.better == "higher"]
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


def score_everything(
    predictions: list[np.ndarray], targets: list[np.ndarray], task: Task
) -> tuple[dict[str, float], dict[str, Definition]]:
    """Returns values and definitions of every score there is; the logits behind the masks are 12 and -12."""
    classes = as_class_map(CLASSES[task], task)
    counted = score_masks(predictions, targets, classes, threshold=0.5, resolution="24x24 pixels")
    collector, calibration = SurfaceCollector(classes), CalibrationCollector(task)
    for name, prediction, target in zip(counted.ids, predictions, targets, strict=True):
        collector.add(name, prediction, target)
        planes = np.arange(3)[:, None, None] == prediction if task is Task.MULTICLASS else prediction == 1
        logits = torch.from_numpy(np.where(planes, 12.0, -12.0))
        calibration.add(logits[None, None] if task is Task.BINARY else logits[None], torch.from_numpy(target)[None])
    surfaces = score_surfaces(collector.values(), classes, threshold=0.5, resolution="24x24 pixels")
    judged = calibration.calibration()
    return (
        {**counted.summary(), **surfaces.summary(), **judged.summary()},
        {
            **counted.definition_of,
            **surfaces.definition_of,
            **judged.definition_of(resolution="24x24 pixels"),
        },
    )


def make_masks(task: Task, n: int = 3) -> list[np.ndarray]:
    """Returns label maps of random squares of 6 x 6 pixels, so that outlines are more than single pixels."""
    random = np.random.default_rng(0)
    shape = (3, 4, 4) if task is Task.MULTILABEL else (4, 4)
    blocks = [random.integers(0, 3 if task is Task.MULTICLASS else 2, shape) for _ in range(n)]
    return [np.repeat(np.repeat(block, 6, axis=-2), 6, axis=-1) for block in blocks]


@every_task
def test_every_score_is_listed_and_defined(task: Task) -> None:
    targets = make_masks(task)
    values, definitions = score_everything(targets[::-1], targets, task)
    assert list(values) == list(definitions) == list(SCORES)
    assert {**COUNT_SCORES, **SURFACE_SCORES, **CALIBRATION_SCORES} == SCORES
    for name, definition in definitions.items():
        sentence = definition.sentence
        assert definition.name == name
        assert sentence.endswith("n = 3 images."), name
        assert "255" in sentence
        assert "scored at 24x24 pixels" in sentence
        assert ("of all images together" in sentence) != ("of each image" in sentence), name
        assert ("then" in definition.summary) == (definition.level == "per image"), name
        assert (definition.n_valued is None) == (definition.level == "pooled")
        by_probability = task is not Task.MULTICLASS and name not in CALIBRATION_SCORES
        assert ("the probability is above 0.5" in sentence) == by_probability
        assert definition.threshold == (0.5 if by_probability else None)
        assert definition.lowest <= values[name] <= definition.highest, name
        assert ("_px" in name) == (definition.unit == "px")


@every_task
def test_the_best_value_is_where_the_definition_says(task: Task) -> None:
    targets = make_masks(task)
    best, definitions = score_everything(targets, targets, task)
    worse = [mask.copy() for mask in targets[::-1]]
    for mask in worse:
        mask[..., :5, :] = 1
    other, _ = score_everything(worse, targets, task)
    for name, definition in definitions.items():
        ideal = {"higher": definition.highest, "lower": definition.lowest, "zero": 0.0}[definition.better]
        assert best[name] == pytest.approx(ideal, abs=1e-4), name
        assert abs(other[name] - ideal) >= abs(best[name] - ideal), name
        assert other[name] != pytest.approx(ideal, abs=1e-3), name


@every_task
def test_no_score_looks_at_ignored_pixels(task: Task) -> None:
    random = np.random.default_rng(1)
    targets, high = make_masks(task), 3 if task is Task.MULTICLASS else 2
    ignored = [random.random(target.shape) < 0.3 for target in targets]
    guesses = [[random.integers(0, high, target.shape) for target in targets] for _ in range(2)]
    right = [[np.where(random.random(t.shape) < 0.8, t, 0) for t in targets]] * 2
    predictions = [
        [np.where(hide, guess, mask) for hide, guess, mask in zip(ignored, part, masks, strict=True)]
        for part, masks in zip(guesses, right, strict=True)
    ]
    hidden = [np.where(hide, 255, target) for hide, target in zip(ignored, targets, strict=True)]
    first, second = (score_everything(part, hidden, task)[0] for part in predictions)
    assert first == second
    assert not any(np.array_equal(*pair) for pair in zip(*predictions, strict=True))


def test_every_score_that_can_be_monitored_is_a_choice_of_the_config() -> None:
    """What is logged every epoch is had from counts; another name is refused with the choices."""
    assert set(MONITORED) == {score.name for score in SCORES.values() if score.monitored} <= set(COUNT_SCORES)
    for name in (*MONITORED, "loss"):
        assert parse_config({"data": "x", "monitor": name}).monitor == name
    for name in set(SCORES) - set(MONITORED):
        with pytest.raises(ConfigError, match=f"monitor: should be '{MONITORED[0]}', .* or 'loss', got '{name}'"):
            parse_config({"data": "x", "monitor": name})


@every_task
def test_every_score_that_can_decide_a_comparison_has_a_value_an_image(task: Task) -> None:
    """A mean over images is the mean of the values that are compared; another score is refused as no mean."""
    targets = make_masks(task)
    classes = as_class_map(CLASSES[task], task)
    scores = score_masks(targets[::-1], targets, classes)
    collector = SurfaceCollector(classes)
    for name, prediction, target in zip(scores.ids, targets[::-1], targets, strict=True):
        collector.add(name, prediction, target)
    surfaces = score_surfaces(collector.values(), classes)
    summary = {**scores.summary(), **surfaces.summary()}
    for name in COMPARED:
        picked = pick(name, scores, surfaces)
        assert picked.definition.name == name
        assert picked.definition.better in ("higher", "lower")
        assert np.nanmean(picked.values) == pytest.approx(summary[name], rel=1e-12)
        if SCORES[name].measure.by_class:
            label = classes.names[scores.scored[0]]
            assert pick(f"{name}[{label}]", scores, surfaces).values.shape == (len(targets),)
    for name in set(SCORES) - set(COMPARED):
        with pytest.raises(ConfigError, match=f"{name} is no mean over images"):
            check_score(name)


def test_every_score_has_words_for_people() -> None:
    labels = [score.label for score in SCORES.values()]
    assert len(set(labels)) == len(labels)
    for name, score in SCORES.items():
        assert score.name == name
        assert "_" not in score.label
        assert label_of(name) == score.label
        assert label_of(f"{name}[car]") == f"{score.label} [car]"
        assert score.about
        assert (score.measure.better != "higher") == ("better" in score.about)


@every_task
def test_scores_lie_in_their_range(task: Task) -> None:
    scores = score(make_counts(task))
    for name, value in scores.summary().items():
        definition = scores.definition_of[name]
        assert definition.lowest <= value <= definition.highest, name
    for name, values in (*scores.per_image.items(), *scores.pooled.items()):
        (measure,) = {score.measure for score in COUNT_SCORES.values() if score.measure.key == name}
        assert ((values >= measure.lowest) & (values <= measure.highest) | np.isnan(values)).all()
        assert values.dtype == np.float64


@every_task
def test_batches_in_any_order_equal_all_at_once(task: Task) -> None:
    counts = make_counts(task)
    parts = [take(counts, [4, 1]), take(counts, [0]), take(counts, [3, 5, 2])]
    again = score(Counts.concatenate(parts)).summary()
    assert again == pytest.approx(score(counts).summary(), rel=1e-12)


@every_task
def test_overlap_of_perfect_is_1_and_of_all_wrong_is_0(task: Task) -> None:
    targets = make_masks(task)
    perfect = score_masks(targets, targets, CLASSES[task]).summary()
    wrong = [(t + 1) % 3 if task is Task.MULTICLASS else 1 - t for t in targets]
    worst = score_masks(wrong, targets, CLASSES[task]).summary()
    assert {perfect[name] for name in OVERLAPS} == {1.0}
    assert {worst[name] for name in OVERLAPS} == {0.0}


@every_task
def test_more_right_pixels_score_higher(task: Task) -> None:
    """From all wrong to all right, no score that is better higher ever falls, and every one rises in the end."""
    random = np.random.default_rng(0)
    shape = (3, 12, 12) if task is Task.MULTILABEL else (12, 12)
    target = random.integers(0, 3 if task is Task.MULTICLASS else 2, shape)
    wrong = (target + 1) % 3 if task is Task.MULTICLASS else 1 - target
    order = random.random(shape)
    steps = [
        score_masks([np.where(order < share, target, wrong)], [target], CLASSES[task]).summary()
        for share in (0.0, 0.3, 0.6, 0.9, 1.0)
    ]
    for name in RISING:
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
    for name, key in [(score.name, score.measure.key) for score in COUNT_SCORES.values() if score.level == "pooled"]:
        (per_image,) = [
            score.name for score in COUNT_SCORES.values() if score.measure.key == key and score.summary == "mean"
        ]
        assert summary[name] == pytest.approx(summary[per_image])


@pytest.mark.slow
def test_the_package_imports_neither_numpy_nor_torch() -> None:
    code = (
        "import sys, segbench.metrics as m; assert m.SCORES; "
        "assert 'numpy' not in sys.modules and 'torch' not in sys.modules; "
        "m.score_masks([[[0]]], [[[0]]], 2); assert 'numpy' in sys.modules and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_is_there() -> None:
    assert all(getattr(segbench.metrics, name) is not None for name in segbench.metrics.__all__)
    with pytest.raises(AttributeError, match="no attribute 'score_mask'"):
        segbench.metrics.score_mask  # noqa: B018
