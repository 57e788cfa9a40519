"""segbench: the workbench for semantic segmentation.

>>> import segbench
>>> result = segbench.fit("config.yaml")  # doctest: +SKIP
>>> predictor = segbench.Predictor.from_run(result.run)  # doctest: +SKIP
>>> print(*segbench.compare_runs(["runs/unet", "runs/segnet"]).sentences())  # doctest: +SKIP

Names are imported when they are first used, so `import segbench` costs nothing and needs no torch. What stands in
`__all__` is stable; everything else may move. `segbench.plots` draws, `segbench.statistics` compares plain arrays.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segbench import locale, plots, statistics
    from segbench.bundle.make import bundle_runs
    from segbench.compare.runs import Comparison, compare_runs
    from segbench.compare.table_verdict import TableComparison, compare_table
    from segbench.config.run import RunConfig, load_config
    from segbench.data.formats import FORMATS
    from segbench.data.formats.coco.reader import category_mask
    from segbench.data.manifest.manifest import Manifest
    from segbench.data.manifest.read import read_dataset
    from segbench.data.synthetic.write import write_lesions, write_streets
    from segbench.data.writers.convert import convert_dataset
    from segbench.doctor.dataset import check_dataset
    from segbench.errors import (
        BundleError,
        ConfigError,
        DatasetError,
        PredictionError,
        RunError,
        SegbenchError,
        WeightsError,
    )
    from segbench.export.export import export_model
    from segbench.folders.study import StudyFolder
    from segbench.losses import LOSSES, build_loss
    from segbench.metrics.conventions import explain_conventions
    from segbench.metrics.scores import Scores, score_masks
    from segbench.models import MODELS, build_network
    from segbench.models.base import SegmentationNetwork
    from segbench.models.describe import describe
    from segbench.predict.predictor import Prediction, Predictor
    from segbench.report.runs import report_runs
    from segbench.study.live import StudyCallback
    from segbench.study.run import run_study
    from segbench.train.callback import Callback
    from segbench.train.evaluate import evaluate
    from segbench.train.fit import fit
    from segbench.types import ClassMap, RunResult

# No public name is that of a package of segbench: an import from within it would put the package in its place.
_HOMES = {
    "BundleError": "segbench.errors",
    "Callback": "segbench.train.callback",
    "ClassMap": "segbench.types",
    "Comparison": "segbench.compare.runs",
    "ConfigError": "segbench.errors",
    "DatasetError": "segbench.errors",
    "FORMATS": "segbench.data.formats",
    "LOSSES": "segbench.losses",
    "MODELS": "segbench.models",
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
    "StudyCallback": "segbench.study.live",
    "StudyFolder": "segbench.folders.study",
    "TableComparison": "segbench.compare.table_verdict",
    "WeightsError": "segbench.errors",
    "build_loss": "segbench.losses",
    "build_network": "segbench.models",
    "bundle_runs": "segbench.bundle.make",
    "category_mask": "segbench.data.formats.coco.reader",
    "check_dataset": "segbench.doctor.dataset",
    "compare_runs": "segbench.compare.runs",
    "compare_table": "segbench.compare.table_verdict",
    "convert_dataset": "segbench.data.writers.convert",
    "describe": "segbench.models.describe",
    "evaluate": "segbench.train.evaluate",
    "explain_conventions": "segbench.metrics.conventions",
    "export_model": "segbench.export.export",
    "fit": "segbench.train.fit",
    "load_config": "segbench.config.run",
    "read_dataset": "segbench.data.manifest.read",
    "report_runs": "segbench.report.runs",
    "run_study": "segbench.study.run",
    "score_masks": "segbench.metrics.scores",
    "write_lesions": "segbench.data.synthetic.write",
    "write_streets": "segbench.data.synthetic.write",
}
_MODULES = ("locale", "plots", "statistics")

__version__ = "0.2.0"

__all__ = [
    "FORMATS",
    "LOSSES",
    "MODELS",
    "BundleError",
    "Callback",
    "ClassMap",
    "Comparison",
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
    "StudyCallback",
    "StudyFolder",
    "TableComparison",
    "WeightsError",
    "build_loss",
    "build_network",
    "bundle_runs",
    "category_mask",
    "check_dataset",
    "compare_runs",
    "compare_table",
    "convert_dataset",
    "describe",
    "evaluate",
    "explain_conventions",
    "export_model",
    "fit",
    "load_config",
    "locale",
    "plots",
    "read_dataset",
    "report_runs",
    "run_study",
    "score_masks",
    "statistics",
    "write_lesions",
    "write_streets",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"segbench.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'segbench' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
