"""The objects of a prediction, each with how sure the network is of it: what an annotation tool is handed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray

from segbench.predict.decide import tempered
from segbench.predict.outputs.objects import MaskObject, mask_objects
from segbench.predict.pipeline import enlarge
from segbench.predict.predictor import Prediction
from segbench.types import ClassMap, Task


def scored_objects(prediction: Prediction) -> Iterator[tuple[MaskObject, float]]:
    """Yields every object with its confidence: the mean over its pixels of its class's probability, 0-1.

    Class by class, from the top down; the background is no object. See `mask_objects`.
    """
    found = mask_objects(prediction.mask, prediction.class_map, prediction.nodata)
    for label, objects in groupby(found, key=lambda each: each.label):
        plane = class_probs(prediction, label)
        for each in objects:
            height, width = each.pixels.shape
            box = plane[each.top : each.top + height, each.left : each.left + width]
            yield each, float(box[each.pixels].mean(dtype=np.float64))


def object_classes(class_map: ClassMap) -> dict[int, str]:
    """Returns class index -> name of those that have objects: every class but the background."""
    background = None if class_map.task is Task.MULTILABEL else class_map.background
    return {index: name for index, name in enumerate(class_map.names) if index != background}


def class_probs(prediction: Prediction, label: int) -> NDArray[np.float32]:
    """Returns the probability of one class, (H, W) float32 in [0, 1] at the image's size.

    A plane of `Prediction.probs`, without enlarging those of the other classes. Of a binary task label 1 is meant.
    """
    task = prediction.class_map.task
    probs = tempered(torch.from_numpy(prediction.network_probs), prediction.temperature, task)
    channel = 0 if task is Task.BINARY else label
    height, width = prediction.image.shape[:2]
    found: NDArray[np.float32] = enlarge(probs[channel : channel + 1], (height, width))[0].numpy()
    return found
