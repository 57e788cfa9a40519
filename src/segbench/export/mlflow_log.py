"""An exported ONNX file logged to MLflow, with what its comparison found."""

from __future__ import annotations

import os
from pathlib import Path

from segbench.export.packages import needed
from segbench.export.parity_result import Parity

_EXPERIMENT = "segbench"


def log_to_mlflow(file: Path, parity: Parity, name: str, uri: str) -> str:
    """Logs a file as an MLflow model in a run of its own, and returns the model's URI.

    Args:
        file: ONNX; its `.parity.json` and `.parity.md` are logged, too.
        parity: what the comparison found; its numbers become metrics.
        name: of the run.
        uri: of the tracking server or store, such as `sqlite:///mlflow.db`.
    Raises:
        PredictionError: the package mlflow is missing.
    """
    os.environ.setdefault(
        "MLFLOW_DISABLE_TELEMETRY", "true"
    )  # MLflow tells its makers what is called, unless told not to
    mlflow, onnx = needed("mlflow"), needed("onnx")
    flavour = needed("mlflow.onnx")
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment(_EXPERIMENT)
    with mlflow.start_run(run_name=name):
        numbers = {key: value for key, value in parity.to_dict().items() if type(value) in (int, float)}
        mlflow.log_metrics(numbers)
        mlflow.set_tags({"segbench_form": parity.form, "segbench_int8": str(parity.int8)})
        for ending in (".parity.json", ".parity.md"):
            mlflow.log_artifact(str(file.with_suffix(ending)))
        logged = flavour.log_model(onnx.load(file), name="model", pip_requirements=["onnxruntime", "numpy"])
    return str(logged.model_uri)
