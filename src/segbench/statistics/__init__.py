"""Which of several approaches is best, or that it cannot be said, from arrays of scores. NumPy and SciPy only.

>>> import numpy as np
>>> from segbench.statistics import compare_scores
>>> scores = np.random.default_rng(0).normal([[[0.8]], [[0.7]]], 0.05, size=(2, 3, 100))  # entries x seeds x images
>>> print(compare_scores(scores, names=["unet", "segnet"]).headline())
Best: unet

`compare_scores` returns a `Verdict`; everything else here is what it is made of. docs/explanation/statistics.md
explains the method.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segbench.statistics.arrays import compare_scores
    from segbench.statistics.datasets import DatasetsView, compare_datasets
    from segbench.statistics.looks import Look, plan_look
    from segbench.statistics.margin import default_margin
    from segbench.statistics.verdict import Verdict

_HOMES = {
    "DatasetsView": "segbench.statistics.datasets",
    "Look": "segbench.statistics.looks",
    "Verdict": "segbench.statistics.verdict",
    "compare_datasets": "segbench.statistics.datasets",
    "compare_scores": "segbench.statistics.arrays",
    "default_margin": "segbench.statistics.margin",
    "plan_look": "segbench.statistics.looks",
}

__all__ = ["DatasetsView", "Look", "Verdict", "compare_datasets", "compare_scores", "default_margin", "plan_look"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'segbench.statistics' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
