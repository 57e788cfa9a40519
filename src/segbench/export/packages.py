"""The packages that only exports need, imported when they are needed."""

from __future__ import annotations

import importlib
import os
from typing import Any

from segbench.errors import PredictionError
from segbench.locale import message

_EXTRA_OF = {"onnx": "onnx", "onnxruntime": "onnx", "openvino": "openvino", "nncf": "openvino"}
_EXTRA_OF |= {"bioimageio": "bioimage", "mlflow": "mlflow"}


def needed(module: str) -> Any:
    """Returns an imported module, such as `onnxruntime.quantization`.

    Raises:
        PredictionError: its package is not installed (names the extra).
    """
    package = module.partition(".")[0]
    if package == "nncf":
        os.environ.setdefault("NNCF_CI", "1")  # without it nncf tells its makers over the network that it is used
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package:
            raise
        told = message(
            "this needs the package {package}, which is not installed; pip install 'segbench[{extra}]'",
            package=package,
            extra=_EXTRA_OF[package],
        )
        raise PredictionError(told) from error
