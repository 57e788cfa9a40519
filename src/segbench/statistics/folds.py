"""Cross-validation: what images vary by when every image was scored by a training that the others took part in.

The K trainings of a cross-validation share most of their images. How good they are varies together with these, and no
formula over out-of-fold scores can see it (Bengio and Grandvalet 2004). Nadeau and Bengio (2003) correct for it with
the share of test to training images: their variance is that of the mean of K independent folds times
1 + K n_test / n_train, 2.25 for five folds. Here it multiplies the images' part of the variance. Bates, Hastie and
Tibshirani (2023) measure the same gap. docs/explanation/statistics.md says what the correction covers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def shared_training_factor(
    folds: Sequence[Any] | npt.NDArray[Any], groups: Sequence[Any] | npt.NDArray[Any] | None = None
) -> float:
    """Returns what the images' variance is multiplied by: 1 + sum over folds of n_test / n_train.

    Args:
        folds: (N,) the fold of every image: it was scored by trainings on the others.
        groups: (N,) group of every image, which lies in one fold as a whole; None: none.
    Raises:
        ValueError: fewer than two folds, or a group in several.
    """
    names, place, counts = np.unique(np.asarray(folds), return_inverse=True, return_counts=True)
    if len(names) < 2:
        raise ValueError(f"expected two folds or more, got {len(names)}")
    if groups is not None:
        held = np.unique(np.stack([np.unique(np.asarray(groups), return_inverse=True)[1], place]), axis=1)
        torn = int((np.bincount(held[0]) > 1).sum())
        if torn:
            raise ValueError(f"{torn} groups have images in several folds, so they were trained on and scored")
    return float(1.0 + (counts / (counts.sum() - counts)).sum())
