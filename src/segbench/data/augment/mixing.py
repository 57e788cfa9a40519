"""Parts of one training image put into another with their labels: CutMix and copy-paste.

Which image is mixed into a sample, and where, is drawn from (seed, epoch, index of the sample) like every other change,
so the partner is any image of the training part, not one that happens to lie in the same batch. Every pixel of the
result comes with its label from one image, so no loss needs to know of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from segbench.config.augment import AugmentConfig
from segbench.data.augment.parameters import I64, Flags
from segbench.errors import ConfigError, suggest
from segbench.types import ClassMap

_STREAM = 0xA08  # keeps these random numbers apart from others drawn from the same seed


@dataclass(frozen=True, kw_only=True)
class Mix:
    """What is mixed into K samples of a batch.

    Attributes:
        rows: (K,) which samples of the batch.
        partners: (K,) index of the image that gives, in the data set.
        box_px: (K, 4) top, left, height, width of the rectangle that is replaced; height 0 replaces nothing.
        paste: (K,) bool, whether the partner's objects are pasted.
    """

    rows: I64
    partners: I64
    box_px: I64
    paste: Flags


def pasted_classes(config: AugmentConfig, class_map: ClassMap) -> tuple[int, ...]:
    """Returns the indices of the classes that copy-paste takes: the named ones, or all but the background.

    Raises:
        ConfigError: an unknown name, or none named where there is no background.
    """
    key = "data.augment.copy_paste_classes"
    for name in config.copy_paste_classes:
        if name not in class_map.names:
            raise ConfigError(f"there is no class {name!r}; {suggest(name, class_map.names)}", key=key)
    if config.copy_paste_classes:
        return tuple(class_map.names.index(name) for name in config.copy_paste_classes)
    if config.copy_paste_p and class_map.background is None:
        raise ConfigError(
            f"this data set has no background, so name the classes to paste, of {', '.join(class_map.names)}", key=key
        )
    return tuple(index for index in range(class_map.num_classes) if index != class_map.background)


def draw_mix(
    config: AugmentConfig, seed: int, epoch: int, indices: Sequence[int] | I64, count: int, size: tuple[int, int]
) -> Mix:
    """Returns what to mix into which samples of a batch.

    Args:
        config: how often.
        seed, epoch: not negative.
        indices: (B,) index of each sample in its data set.
        count: images in the data set; where it has one, nothing is mixed.
        size: (H, W) of the images after the crop.
    """
    rows, partners, boxes, paste = [], [], [], []
    wanted = count > 1 and (config.cutmix_p > 0.0 or config.copy_paste_p > 0.0)
    for row, index in enumerate(indices if wanted else ()):
        u = np.random.default_rng([_STREAM, seed, epoch, int(index)]).random(6)
        cuts, pastes = bool(u[0] < config.cutmix_p), bool(u[1] < config.copy_paste_p)
        if cuts or pastes:
            rows.append(row)
            partners.append((int(index) + 1 + int(u[2] * (count - 1))) % count)  # any image but itself
            boxes.append(_box(u[3], u[4:6], size) if cuts else (0, 0, 0, 0))
            paste.append(pastes)
    return Mix(
        rows=np.array(rows, dtype=np.int64),
        partners=np.array(partners, dtype=np.int64),
        box_px=np.array(boxes, dtype=np.int64).reshape(-1, 4),
        paste=np.array(paste, dtype=bool),
    )


def _box(area: float, center: np.ndarray, size: tuple[int, int]) -> tuple[int, ...]:
    """Returns a rectangle of a share of the image about a point, cut off at the border (Yun et al. 2019)."""
    half = np.sqrt(area) * np.array(size) / 2
    middle = center * np.array(size)
    low = np.round(middle - half).clip(0, size).astype(int)
    high = np.round(middle + half).clip(0, size).astype(int)
    return (*map(int, low), *map(int, high - low))


def apply_mix(
    images: Tensor, masks: Tensor, other_images: Tensor, other_masks: Tensor, mix: Mix, classes: Sequence[int]
) -> None:
    """Puts parts of the partners into the samples, in place.

    Args:
        images, masks: (B, C, H, W) and uint8 (B, H, W) or (B, P, H, W), the batch.
        other_images, other_masks: the same of the K partners.
        mix: what is to be done.
        classes: indices of the classes that are pasted.
    """
    for index, row in enumerate(mix.rows):
        giver = other_masks[index]
        taken = torch.zeros(giver.shape[-2:], dtype=torch.bool, device=giver.device)
        top, left, height, width = mix.box_px[index]
        taken[top : top + height, left : left + width] = True
        if mix.paste[index]:
            pasted = torch.tensor(classes, device=giver.device)
            taken |= (giver[pasted] == 1).any(0) if giver.ndim == 3 else torch.isin(giver, pasted.to(giver.dtype))
        images[row] = torch.where(taken, other_images[index], images[row])
        masks[row] = torch.where(taken, giver, masks[row])
