"""From images to a network's input, and from its logits to masks: the same code for training and predicting."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from segbench.types import DEFAULT_THRESHOLD, Normalization, Task


def normalization_of(network: nn.Module) -> Normalization:
    """Returns the normalisation that a network carries in its attribute `normalization`.

    Raises:
        TypeError: it carries none; every registered network does.
    """
    found = getattr(network, "normalization", None)
    if not isinstance(found, Normalization):
        raise TypeError(f"{type(network).__name__}.normalization should be a Normalization, got {type(found).__name__}")
    return found


def to_batch(image: np.ndarray, device: torch.device | str = "cpu") -> Tensor:
    """Returns (H, W, C) uint8 as (1, C, H, W) float32 in [0, 1]."""
    return torch.from_numpy(np.array(image)).to(device).permute(2, 0, 1)[None].float() / 255.0


def normalize(images: Tensor, normalization: Normalization) -> Tensor:
    """Returns `(images - mean) / std` per channel.

    Args:
        images: (B, C, H, W) float in [0, 1].
        normalization: of the network that will see them.
    """
    if all(mean == 0.0 for mean in normalization.mean) and all(std == 1.0 for std in normalization.std):
        return images
    mean = torch.tensor(normalization.mean, device=images.device, dtype=images.dtype).view(1, -1, 1, 1)
    std = torch.tensor(normalization.std, device=images.device, dtype=images.dtype).view(1, -1, 1, 1)
    return (images - mean) / std


def decide(logits: Tensor, task: Task, threshold: float = DEFAULT_THRESHOLD) -> Tensor:
    """Returns the predicted mask.

    Args:
        logits: (B, C, H, W) float; C is 1 for binary.
        task: see `segbench.types`.
        threshold: of the probability; multiclass takes the largest logit instead.
    Returns:
        (B, H, W) uint8 class indices, multilabel (B, C, H, W) uint8 in {0, 1}.
    """
    if task is Task.MULTICLASS:
        return logits.argmax(dim=1).to(torch.uint8)
    above = logits.float() > math.log(threshold / (1.0 - threshold))  # sigmoid(logit) > threshold
    return (above[:, 0] if task is Task.BINARY else above).to(torch.uint8)


def probabilities(logits: Tensor, task: Task) -> Tensor:
    """Returns (B, C, H, W) float32 in [0, 1]: softmax over C for multiclass, else a sigmoid per channel."""
    return logits.float().softmax(dim=1) if task is Task.MULTICLASS else logits.float().sigmoid()


def tempered(probs: Tensor, temperature: float, task: Task) -> Tensor:
    """Returns the probabilities that logits divided by a temperature stand for (Guo et al. 2017).

    Args:
        probs: (..., C, H, W) float in [0, 1], of the logits themselves.
        temperature: above 0; above 1 makes a network less sure.
        task: multiclass: of C classes together, else of each channel alone.
    """
    if temperature == 1.0:
        return probs
    if task is Task.MULTICLASS:
        return (probs.clamp_min(1e-30).log() / temperature).softmax(dim=-3)
    return (probs.logit(eps=1e-7) / temperature).sigmoid()
