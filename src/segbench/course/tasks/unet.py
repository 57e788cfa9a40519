"""Tasks of the lab about U-Net, skip connections and a frozen encoder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from segbench.course.wrong import Wrong, called, is_number
from segbench.locale import message

_Labels = npt.NDArray[np.uint8]


def class_iou(answer: Callable[..., Any]) -> None:
    """A function of two arrays of class indices (H, W) and the number of classes that returns C IoUs.

    A class that is neither true nor predicted has NaN.
    """
    rng = np.random.default_rng(0)
    for classes in (3, 4):
        target, prediction = rng.integers(0, 3, (2, 6, 8)).astype(np.uint8)  # of four classes the last is nowhere
        expected = np.full(classes, np.nan)
        for index in range(3):
            true, found = target == index, prediction == index
            expected[index] = (true & found).sum() / (true | found).sum()
        came = called(answer, prediction.copy(), target.copy(), classes)
        values = _row(came, classes)
        for index in range(classes):
            if not np.isclose(values[index], expected[index], atol=1e-6, equal_nan=True):
                raise Wrong(
                    message(
                        "class {index} of {classes} has {true} true and {found} predicted pixels, and your function "
                        "gives it {came}. Look at this class alone, as if there were no other; a class that is "
                        "nowhere has no IoU (NaN)",
                        index=index,
                        classes=classes,
                        true=int((target == index).sum()),
                        found=int((prediction == index).sum()),
                        came=f"{values[index]:.4g}",
                    )
                )


def _row(came: Any, classes: int) -> npt.NDArray[np.float64]:
    try:
        values = np.asarray(came, dtype=np.float64)
    except (TypeError, ValueError):
        values = np.zeros(0)
    if values.shape != (classes,):
        raise Wrong(
            message(
                "for {classes} classes one number each is asked for, in a row, not {came}",
                classes=classes,
                came=type(came).__name__ if values.shape == (0,) else str(values.shape),
            )
        )
    return values


def dice_from_iou(answer: Callable[..., Any]) -> None:
    """A function of an IoU from 0 to 1 that returns the Dice of the same two masks."""
    for iou in (0.0, 0.25, 0.5, 0.8, 1.0):
        came = called(answer, iou)
        if not is_number(came, 2 * iou / (1 + iou)):
            raise Wrong(
                message(
                    "for an IoU of {iou} your function returns {came}. Write both scores with TP, FP and FN; how many "
                    "TP stand above the line of Dice, and how many below it?",
                    iou=iou,
                    came=str(came),
                )
            )


def joint_flip(answer: Callable[..., Any]) -> None:
    """A function of image (H, W, 3), mask (H, W) and a generator that mirrors both left to right, or neither."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    mask = rng.integers(0, 3, (5, 7), dtype=np.uint8)
    turned = 0
    for _ in range(40):
        own_image, own_mask = image.copy(), mask.copy()
        came = called(answer, own_image, own_mask, rng)
        if not np.array_equal(own_image, image) or not np.array_equal(own_mask, mask):
            raise Wrong(message("your function changes the arrays that it is given: the next epoch starts from these"))
        if not isinstance(came, tuple) or len(came) != 2:
            raise Wrong(message("two arrays are asked for, the image and then the mask"))
        fates = [_fate(np.asarray(new), old) for new, old in zip(came, (image, mask), strict=True)]
        if None in fates:
            raise Wrong(
                message(
                    "what comes back is neither the array as it was nor its mirror image, left to right. Which axis "
                    "goes from left to right, and does the type stay?"
                )
            )
        if fates[0] != fates[1]:
            raise Wrong(message("image and mask were not treated alike. How often is the coin tossed?"))
        turned += bool(fates[0])
    if not 8 <= turned <= 32:
        raise Wrong(
            message("of 40 calls {turned} mirrored the image; half of them is asked for, by chance", turned=turned)
        )


def _fate(came: npt.NDArray[Any], given: _Labels) -> bool | None:
    """Returns whether an array came back mirrored; None: it is something else."""
    if came.dtype != given.dtype:
        return None
    if np.array_equal(came, given):
        return False
    return True if np.array_equal(came, given[:, ::-1]) else None


def shrink_mask(answer: Callable[..., Any]) -> None:
    """A function of labels (H, W) and a factor that returns labels (H / factor, W / factor), each of its own cell."""
    mask = np.zeros((12, 12), dtype=np.uint8)
    mask[:, 5:] = 2
    mask[8:, :] = 255  # pixels that count nowhere
    for factor in (2, 3):
        given = mask.copy()
        came = called(answer, given, factor)
        if not np.array_equal(given, mask):
            raise Wrong(message("your function changes the mask that it is given"))
        small = np.asarray(came)
        side = 12 // factor
        if small.shape != (side, side):
            raise Wrong(
                message(
                    "a mask of 12 x 12 made {factor} times smaller should be {side} x {side}, not {came}",
                    factor=factor,
                    side=side,
                    came=str(small.shape),
                )
            )
        if strange := sorted(set(np.unique(small).tolist()) - {0, 2, 255}):
            raise Wrong(
                message(
                    "there is a label {label} now, and the mask had only 0, 2 and 255. Labels are names, not amounts",
                    label=strange[0],
                )
            )
        cells = mask.reshape(side, factor, side, factor)
        if not (cells == small[:, None, :, None]).any(axis=(1, 3)).all():
            raise Wrong(message("a label stands where the mask has none of its kind: are rows and columns in order?"))


def freeze(answer: Callable[..., Any]) -> None:
    """A function that freezes `network.encoder`: no gradients, and statistics of BatchNorm that stay."""
    import torch  # here: takes seconds

    torch.manual_seed(0)
    parts = {
        name: torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1), torch.nn.BatchNorm2d(3)) for name in ("encoder", "decoder")
    }
    network = torch.nn.ModuleDict(parts)
    network.encoder, network.decoder = parts["encoder"], parts["decoder"]
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    called(answer, network)
    if any(not torch.equal(before[name], value) for name, value in network.state_dict().items()):
        raise Wrong(message("your function changes weights; freezing means to leave them as they are"))
    encoder, decoder = parts["encoder"], parts["decoder"]
    if any(each.requires_grad for each in encoder.parameters()):
        raise Wrong(message("the encoder still has parameters that get gradients"))
    if not all(each.requires_grad for each in decoder.parameters()) or not decoder[1].training:
        raise Wrong(message("the decoder is frozen, too: nothing would learn"))
    with torch.no_grad():
        encoder(torch.randn(8, 3, 4, 4) + 5.0)
    if not torch.equal(encoder.state_dict()["1.running_mean"], before["encoder.1.running_mean"]):
        raise Wrong(
            message(
                "one batch went through, and the running mean of the encoder's BatchNorm moved. It is no parameter, so "
                "it needs no gradient to change: in which mode does a layer keep it?"
            )
        )
