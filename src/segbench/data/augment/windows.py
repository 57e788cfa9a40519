"""Where the window of each sample lies in its image: anywhere, but often enough on what the image has little of."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from segbench.config.augment import AugmentConfig
from segbench.data.augment.parameters import I64, AugmentParameters
from segbench.types import ClassMap, Task

# Share of the windows that are centred near a pixel of a class other than the image's most frequent one. nnU-Net's
# (Isensee et al. 2021), which takes the classes other than the background.
RARE_P = 1 / 3
_STREAM, _PARTNER_STREAM = 0xA0A, 0xA0B  # keep these random numbers apart from others drawn from the same seed
_KEPT_PIXELS = 256  # of each class of an image, spread over all that it has

Pixels = tuple[I64, ...]  # for each class that is not the most frequent: (K, 2) rows and columns


def rare_pixels(mask: npt.NDArray[np.uint8], class_map: ClassMap) -> Pixels:
    """Returns pixels of every class of an image but the most frequent one, spread over the class.

    What no class covers competes as one more class where the task is multilabel. Ignored pixels are of none.

    Args:
        mask: (H, W) class indices, or (P, H, W) planes of 0 and 1.
        class_map: of the labels.
    """
    if class_map.task is Task.MULTILABEL:
        counts = [int((mask == 0).all(axis=0).sum()), *((plane == 1).sum() for plane in mask)]
        chosen = [index for index in range(len(mask)) if index + 1 != int(np.argmax(counts))]
        found = (np.flatnonzero(mask[index] == 1) for index in chosen)
    else:
        counts = np.bincount(mask.ravel(), minlength=256)[: class_map.num_classes].tolist()
        chosen = [index for index, number in enumerate(counts) if number and index != int(np.argmax(counts))]
        found = (np.flatnonzero(mask == index) for index in chosen)
    spread = (flat[np.linspace(0, len(flat) - 1, min(_KEPT_PIXELS, len(flat))).astype(np.int64)] for flat in found)
    width = mask.shape[-1]
    return tuple(np.stack([flat // width, flat % width], axis=1) for flat in spread if len(flat))


def draw_windows(
    config: AugmentConfig,
    seed: int,
    epoch: int,
    owners: Sequence[int] | I64,
    sizes: Sequence[tuple[int, int]],
    pixels_of: Callable[[int], Pixels],
    parameters: AugmentParameters,
    *,
    partner: bool = False,
) -> I64:
    """Returns (B, 2) top, left of each sample's window, of the size `parameters.size`.

    What is seen of the image, a scaled window, lies wholly inside of it where it fits, and anywhere there with the same
    probability, or near a pixel of a rare class. Where it does not fit, the image lies in its middle, or anywhere in it
    with `place: random`.

    Args:
        config: of the changes.
        seed, epoch: not negative.
        owners: (B,) index of the sample that the numbers are drawn from.
        sizes: (H, W) of the B images.
        pixels_of: position in the batch -> what `rare_pixels` gave; asked only where it is needed.
        parameters: what happens to these samples.
        partner: draws other numbers: for the images that are mixed into those samples.
    """
    stream = _PARTNER_STREAM if partner else _STREAM
    window = np.array(parameters.size, dtype=np.float64)
    corners = np.empty((len(sizes), 2), dtype=np.int64)
    for row, (owner, size) in enumerate(zip(owners, sizes, strict=True)):
        u = np.random.default_rng([stream, seed, epoch, int(owner)]).random(7)
        seen = window / parameters.scale[row]
        room = np.array(size) - seen
        pixels = pixels_of(row) if u[0] < RARE_P else ()
        if pixels:
            of_class = pixels[int(u[1] * len(pixels))]
            # Not always in the very middle: up to a quarter of the window beside it.
            corner = of_class[int(u[2] * len(of_class))] + 0.5 - seen * (0.25 + 0.5 * u[3:5])
            corner = np.clip(corner, 0.0, np.maximum(room, 0.0))
        else:
            corner = np.floor(u[3:5] * (np.maximum(room, 0.0) + 1.0))
        loose = room * (u[5:7] if config.place == "random" else 0.5)
        corner = np.where(room < 0.0, loose, np.minimum(corner, np.maximum(room, 0.0)))
        corners[row] = np.rint(corner + (seen - window) / 2)
    return corners


def centred(config: AugmentConfig) -> AugmentConfig:
    """Returns the changes of a window that is placed at random already: they enlarge about its middle."""
    return config if config.place == "center" else config.model_copy(update={"place": "center"})
