"""Cross-validation: the correction for shared training images, and what it covers where the truth is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from segbench.statistics import compare_scores
from segbench.statistics.folds import shared_training_factor

FEATURES, FOLDS, SEEDS = 20, 5, 3
Learner = Callable[[np.ndarray, np.ndarray], np.ndarray]


def test_the_factor_is_that_of_nadeau_and_bengio() -> None:
    assert shared_training_factor(np.arange(100) % 5) == pytest.approx(1 + 5 * (20 / 80))
    assert shared_training_factor(["a"] * 10 + ["b"] * 30) == pytest.approx(1 + 10 / 30 + 30 / 10)


def test_a_standard_error_of_images_grows_by_the_root_of_it() -> None:
    drawn = np.random.default_rng(0)
    scores = 0.8 + 0.05 * drawn.standard_normal((2, 1, 50))  # one seed: the images' part alone
    plain = compare_scores(scores).pairs[0].difference
    folded = compare_scores(scores, folds=np.arange(50) % 5)
    assert folded.pairs[0].difference.standard_error == pytest.approx(1.5 * plain.standard_error)
    assert any("the images' variance is multiplied by 2.25" in told for told in folded.method)
    assert folded.standing(0).mean.value == pytest.approx(scores[0].mean())


def test_images_without_a_score_leave_their_fold() -> None:
    scores = 0.8 + 0.05 * np.random.default_rng(0).standard_normal((2, 2, 20))
    scores[0, 0, :5] = np.nan
    told = compare_scores(scores, folds=np.arange(20) % 2, groups=np.arange(20) % 4)
    assert told.n_images == 15
    assert f"{shared_training_factor(np.arange(5, 20) % 2):.3g}" in told.method[1]


def test_folds_that_are_none_are_refused() -> None:
    scores = 0.8 + 0.05 * np.random.default_rng(0).standard_normal((2, 2, 6))
    with pytest.raises(ValueError, match="expected two folds or more, got 1"):
        compare_scores(scores, folds=[0] * 6)
    with pytest.raises(ValueError, match="1 groups have images in several folds"):
        compare_scores(scores, folds=[0, 0, 0, 1, 1, 1], groups=[0, 1, 2, 2, 3, 4])
    with pytest.raises(ValueError, match="expected one fold for each of the 6 images, got 5"):
        compare_scores(scores, folds=[0, 0, 0, 1, 1])


def ridge(strength: float) -> Learner:
    return lambda x, y: np.linalg.solve(x.T @ x + strength * np.eye(FEATURES), x.T @ y)


def one_feature(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Returns weights of the one feature that fits best: much hangs on which images were there."""
    best = int(np.abs(x.T @ y).argmax())
    weights = np.zeros(FEATURES)
    weights[best] = (x[:, best] @ y) / (x[:, best] @ x[:, best])
    return weights


class World:
    """Draws images with a number to predict; a score is exp(-|error|)."""

    def __init__(self, seed: int) -> None:
        self.drawn = np.random.default_rng(seed)
        self.truth = self.drawn.normal(0, 1, FEATURES) / np.sqrt(FEATURES)

    def images(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        x = self.drawn.normal(size=(number, FEATURES))
        return x, x @ self.truth + 0.6 * self.drawn.normal(size=number)

    def score(self, learner: Learner, train: tuple[np.ndarray, np.ndarray], x: np.ndarray, y: np.ndarray) -> np.ndarray:
        weights = learner(*train) + 0.01 * self.drawn.normal(size=FEATURES)  # what a seed changes
        return np.exp(-np.abs(x @ weights - y))

    def true_difference(self, learners: tuple[Learner, Learner], number: int) -> float:
        x, y = self.images(3000)
        trainings = [self.images(number) for _ in range(800)]
        first, second = (np.mean([self.score(each, t, x, y).mean() for t in trainings]) for each in learners)
        return float(first - second)

    def study(self, learners: tuple[Learner, Learner], number: int) -> np.ndarray:
        """Returns out-of-fold scores (2, SEEDS, number)."""
        x, y = self.images(number)
        scores = np.zeros((2, SEEDS, number))
        for fold in range(FOLDS):
            test = np.arange(number) % FOLDS == fold
            for k, learner in enumerate(learners):
                for s in range(SEEDS):
                    scores[k, s, test] = self.score(learner, (x[~test], y[~test]), x[test], y[test])
        return scores


@pytest.mark.slow
@pytest.mark.parametrize("number", [25, 50, 100])
def test_differences_of_learners_that_hang_on_their_images_are_covered(number: int) -> None:
    """Plain intervals cover such a difference in about 87 % of studies, corrected ones in 95 % at least."""
    world, learners = World(3), (one_feature, ridge(5.0))
    truth = world.true_difference(learners, number * (FOLDS - 1) // FOLDS)
    covered = np.zeros(2)
    for _ in range(200):
        scores = world.study(learners, number)
        for way, folds in enumerate((None, np.arange(number) % FOLDS)):
            interval = compare_scores(scores, folds=folds).pairs[0].difference
            covered[way] += interval.low <= truth <= interval.high
    plain, corrected = covered / 200
    assert plain < 0.94
    assert corrected >= 0.93  # 95 % less what chance makes of 200 studies
