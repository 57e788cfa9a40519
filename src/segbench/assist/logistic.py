"""Logistic regression on pixels' features, and its place in a network: standardised, penalised, folded.

Pixels of one image say much the same, so a few hundred of each are enough. Rare classes are drawn more often than they
occur, and count for the root of what they would weigh: between a fit to the pixels as they are, which forgets small
objects, and one that takes all classes for equally frequent, which sees them everywhere. Every image counts the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from segbench.models.hypercolumn import Hypercolumn
from segbench.types import IGNORE_INDEX, Task

# Weights of the squared coefficients beside the mean loss, from strong to weak; each fit starts from the one before.
PENALTIES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
USUAL_PENALTY = 0.03  # where nothing can be cross-validated
_STEPS = 30  # of L-BFGS for each; more changed no mask that was tried
_SMALLEST_SD = 1e-6  # of a feature that is the same everywhere


@dataclass(frozen=True)
class Pixels:
    """Pixels of one image.

    Attributes:
        features: (n, D) float32, the hypercolumn of each.
        labels: (n,) int64, multilabel (n, C) with 0, 1 and `IGNORE_INDEX`.
        weights: (n,) float32, with the sum 1.
    """

    features: Tensor
    labels: Tensor
    weights: Tensor


@dataclass(frozen=True)
class Linear:
    """Logits are `features @ weight.T + bias`, of features as they are: weight (K, D), bias (K,) float32."""

    weight: Tensor
    bias: Tensor


def sample_pixels(
    features: Sequence[Tensor], labels: NDArray[np.uint8], most: int, rng: np.random.Generator
) -> Pixels | None:
    """Returns some pixels of an image; None where none of them counts.

    Args:
        features: (C, h, w) each, as `FrozenFeatures` gives them.
        labels: (H, W) class indices, multilabel (C, H, W), of the same image before it was padded.
        most: how many at most, about.
        rng: draws them.
    """
    height, width = labels.shape[-2:]
    planes = labels.reshape(-1, height * width)
    counted = np.flatnonzero((planes != IGNORE_INDEX).any(axis=0))
    if not len(counted):
        return None
    # Multilabel: the combination of classes decides how rare a pixel is.
    kinds, kind_of = np.unique(planes[:, counted], axis=1, return_inverse=True)
    numbers = np.bincount(kind_of.ravel(), minlength=kinds.shape[1])
    wanted = np.maximum(1, np.round(most * np.sqrt(numbers) / np.sqrt(numbers).sum())).astype(int)
    chosen, weights = [], []
    for kind, (number, share) in enumerate(zip(numbers, wanted, strict=True)):
        taken = rng.choice(counted[kind_of.ravel() == kind], min(share, number), replace=False)
        chosen.append(taken)
        weights.append(np.full(len(taken), np.sqrt(number / len(taken))))
    index = np.concatenate(chosen)
    weight = torch.from_numpy(np.concatenate(weights)).float()
    drawn = torch.from_numpy(planes[:, index].astype(np.int64)).T
    return Pixels(
        features=columns_at(features, index // width, index % width),
        labels=drawn[:, 0] if labels.ndim == 2 else drawn,
        weights=weight / weight.sum(),
    )


def columns_at(features: Sequence[Tensor], rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Tensor:
    """Returns (n, D) hypercolumns of single pixels: what enlarging every map to the size of the first would give."""
    height, width = features[0].shape[-2:]
    places = np.stack([(columns + 0.5) / width, (rows + 0.5) / height], axis=-1) * 2 - 1
    grid = torch.from_numpy(places).float()[None, None]
    found = [
        F.grid_sample(level[None].float(), grid, padding_mode="border", align_corners=False)[0, :, 0]
        for level in features
    ]
    return torch.cat(found).T.contiguous()


def fit_path(
    pixels: Sequence[Pixels], task: Task, outputs: int, penalties: Sequence[float] = PENALTIES
) -> list[Linear]:
    """Returns the regression at each penalty; the features' means and deviations are folded into it.

    Args:
        pixels: of each image.
        task: see `segbench.types`.
        outputs: logits a pixel.
        penalties: on the coefficients of standardised features, from strong to weak.
    """
    x = torch.cat([each.features for each in pixels])
    labels = torch.cat([each.labels for each in pixels])
    weights = torch.cat([each.weights for each in pixels]) / len(pixels)
    mean = (weights[:, None] * x).sum(dim=0)
    sd = (weights[:, None] * (x - mean).square()).sum(dim=0).sqrt().clamp_min(_SMALLEST_SD)
    z = (x - mean) / sd
    weight = torch.zeros(outputs, x.shape[1], requires_grad=True)
    bias = torch.zeros(outputs, requires_grad=True)
    found = []
    for penalty in penalties:
        optimizer = torch.optim.LBFGS([weight, bias], max_iter=_STEPS, line_search_fn="strong_wolfe")

        def cost(optimizer: torch.optim.LBFGS = optimizer, penalty: float = penalty) -> Tensor:
            optimizer.zero_grad()
            value = (weights * pixel_loss(z @ weight.T + bias, labels, task)).sum()
            value = value + penalty / 2 * weight.square().sum()
            value.backward()  # type: ignore[no-untyped-call]  # torch says so
            return value

        optimizer.step(cost)  # type: ignore[no-untyped-call]
        folded = weight.detach() / sd
        found.append(Linear(weight=folded, bias=bias.detach() - folded @ mean))
    return found


def pixel_loss(logits: Tensor, labels: Tensor, task: Task) -> Tensor:
    """Returns (n,) cross-entropies; multilabel the mean over a pixel's classes that count."""
    if task is Task.MULTICLASS:
        return F.cross_entropy(logits, labels, reduction="none")
    labels = labels.reshape(logits.shape)
    counted = labels != IGNORE_INDEX
    each = F.binary_cross_entropy_with_logits(logits, (labels == 1).float(), reduction="none")
    return (each * counted).sum(dim=1) / counted.sum(dim=1)


@torch.no_grad()
def set_head(network: Hypercolumn, linear: Linear) -> None:
    """Puts a regression into the 1x1 convolution of a network."""
    start = 0
    for head in network.heads:
        assert isinstance(head, nn.Conv2d)
        part = linear.weight[:, start : start + head.in_channels]
        head.weight.copy_(part[..., None, None])
        if head.bias is not None:
            head.bias.copy_(linear.bias)
        start += head.in_channels
