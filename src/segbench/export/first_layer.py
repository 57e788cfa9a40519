"""Where an exported graph and its network part: the convolutions of both, one after the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segbench.export.packages import needed

_KINDS = ("Conv", "ConvTranspose")


def layer_errors(module: nn.Module, file: Path, image: Tensor) -> list[tuple[str, str, float]]:
    """Returns (name in the network, name of the ONNX node, relative error) of each convolution, in order.

    The error is the root mean square of the difference over that of the network's own values. Both are compared behind
    the batch normalisation, which an export folds into the convolution.

    Args:
        module: what was exported.
        file: the ONNX file, in float32 or int8.
        image: of the module's input.
    Returns:
        Empty where the two do not have the same convolutions.
    """
    ours, theirs = _of_module(module, image), _of_graph(file, image.numpy())
    if len(ours) != len(theirs) or any(a.shape != b.shape for (_, a), (_, b) in zip(ours, theirs, strict=True)):
        return []
    return [
        (name, node, float(np.sqrt(np.mean((a - b) ** 2) / max(float(np.mean(a**2)), 1e-12))))
        for (name, a), (node, b) in zip(ours, theirs, strict=True)
    ]


def first_layer(module: nn.Module, file: Path, image: Tensor, tolerance: float) -> str | None:
    """Returns the name of the first convolution whose error is above the tolerance; None: none is, or not found."""
    return next((name for name, _, error in layer_errors(module, file, image) if error > tolerance), None)


@torch.inference_mode()
def _of_module(module: nn.Module, image: Tensor) -> list[tuple[str, NDArray[Any]]]:
    found: list[list[Any]] = []
    hooks = []
    for name, child in module.named_modules():
        if isinstance(child, nn.Conv2d | nn.ConvTranspose2d):
            # The tensor itself, so that the normalisation that it goes into is known as its own.
            hooks.append(
                child.register_forward_hook(lambda _, __, out, name=name: found.append([name, out, out.clone()]))
            )
        elif isinstance(child, nn.BatchNorm2d):
            hooks.append(child.register_forward_hook(lambda _, given, out: _replace(found, given[0], out)))
    try:
        module(image)
    finally:
        for hook in hooks:
            hook.remove()
    return [(name, values.numpy()) for name, _, values in found]


def _replace(found: list[list[Any]], given: Tensor, normalised: Tensor) -> None:
    if found and found[-1][1] is given:
        found[-1][2] = normalised.clone()


def _of_graph(file: Path, image: NDArray[Any]) -> list[tuple[str, NDArray[Any]]]:
    onnx, runtime = needed("onnx"), needed("onnxruntime")
    model = onnx.load(file)
    nodes = [node for node in model.graph.node if node.op_type in _KINDS]
    del model.graph.output[:]
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(node.output[0]) for node in nodes)
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    values = session.run([node.output[0] for node in nodes], {"image": image})
    return [(node.name, value) for node, value in zip(nodes, values, strict=True)]
