"""An exported file opened in its own runtime, to be called like the model it came from."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from segbench.export.packages import needed
from segbench.export.write import Format

Run: TypeAlias = Callable[[NDArray[Any]], tuple[NDArray[Any], ...]]


def open_exported(file: Path, kind: Format, threads: int) -> Run:
    """Returns what turns the array `image` into the file's outputs, in their order.

    Raises:
        PredictionError: the runtime is not installed.
    """
    return {"onnx": _onnxruntime, "openvino": _openvino, "torchscript": _torchscript}[kind](file, threads)


def _onnxruntime(file: Path, threads: int) -> Run:
    runtime = needed("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = runtime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return lambda image: tuple(session.run(None, {"image": image}))


def _openvino(file: Path, threads: int) -> Run:
    runtime = needed("openvino")
    options = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = runtime.Core().compile_model(str(file), "CPU", options)
    outputs = [compiled.output(index) for index in range(len(compiled.outputs))]

    def run(image: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        found = compiled([image])
        return tuple(np.array(found[output]) for output in outputs)

    return run


def _torchscript(file: Path, threads: int) -> Run:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch would rather have another format
        module = torch.jit.load(str(file))  # type: ignore[no-untyped-call]

    @torch.inference_mode()
    def run(image: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        return tuple(found.numpy() for found in module(torch.from_numpy(np.array(image))))

    return run
