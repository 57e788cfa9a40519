"""segbench: the workbench for semantic segmentation.

>>> import segbench
>>> result = segbench.fit("config.yaml")  # doctest: +SKIP
>>> predictor = segbench.Predictor.from_run(result.run)  # doctest: +SKIP

Names are imported when they are first used, so `import segbench` costs nothing and needs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segbench.config.run import RunConfig, load_config
    from segbench.data.manifest.manifest import Manifest
    from segbench.data.manifest.read import read_dataset
    from segbench.errors import ConfigError, DatasetError, PredictionError, RunError, SegbenchError, WeightsError
    from segbench.losses import build_loss
    from segbench.metrics.scores import Scores, score_masks
    from segbench.models import build_network
    from segbench.models.base import SegmentationNetwork
    from segbench.models.describe import describe
    from segbench.predict.predictor import Prediction, Predictor
    from segbench.train.evaluate import evaluate
    from segbench.train.fit import fit
    from segbench.types import ClassMap, RunResult

_HOMES = {
    "ClassMap": "segbench.types",
    "ConfigError": "segbench.errors",
    "DatasetError": "segbench.errors",
    "Manifest": "segbench.data.manifest.manifest",
    "Prediction": "segbench.predict.predictor",
    "PredictionError": "segbench.errors",
    "Predictor": "segbench.predict.predictor",
    "RunConfig": "segbench.config.run",
    "RunError": "segbench.errors",
    "RunResult": "segbench.types",
    "Scores": "segbench.metrics.scores",
    "SegbenchError": "segbench.errors",
    "SegmentationNetwork": "segbench.models.base",
    "WeightsError": "segbench.errors",
    "build_loss": "segbench.losses",
    "build_network": "segbench.models",
    "describe": "segbench.models.describe",
    "evaluate": "segbench.train.evaluate",
    "fit": "segbench.train.fit",
    "load_config": "segbench.config.run",
    "read_dataset": "segbench.data.manifest.read",
    "score_masks": "segbench.metrics.scores",
}

__version__ = "0.1.0"

__all__ = [
    "ClassMap",
    "ConfigError",
    "DatasetError",
    "Manifest",
    "Prediction",
    "PredictionError",
    "Predictor",
    "RunConfig",
    "RunError",
    "RunResult",
    "Scores",
    "SegbenchError",
    "SegmentationNetwork",
    "WeightsError",
    "build_loss",
    "build_network",
    "describe",
    "evaluate",
    "fit",
    "load_config",
    "read_dataset",
    "score_masks",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'segbench' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
