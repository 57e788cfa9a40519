"""The tasks of the U-Net lab tell right answers from typical wrong ones, and say on what they fail."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from segbench import course


def _ious(prediction: Any, target: Any, classes: int) -> list[float]:
    found = []
    for index in range(classes):
        union = ((prediction == index) | (target == index)).sum()
        both = ((prediction == index) & (target == index)).sum()
        found.append(both / union if union else float("nan"))
    return found


def _by_confusion(prediction: Any, target: Any, classes: int) -> Any:
    table = np.zeros((classes, classes))
    np.add.at(table, (target.ravel(), prediction.ravel()), 1)
    with np.errstate(invalid="ignore"):
        return np.diag(table) / (table.sum(0) + table.sum(1) - np.diag(table))


def _coin(image: Any, mask: Any, rng: Any) -> tuple[Any, Any]:
    return (image[:, ::-1], mask[:, ::-1]) if rng.random() < 0.5 else (image, mask)


def _copies(image: Any, mask: Any, rng: Any) -> tuple[Any, Any]:
    step = rng.choice([-1, 1])
    return image[:, ::step].copy(), mask[:, ::step].copy()


def _in_place(image: Any, mask: Any, rng: Any) -> tuple[Any, Any]:
    image[:] = image[:, ::-1].copy()
    mask[:] = mask[:, ::-1].copy()
    return image, mask


def _two_coins(image: Any, mask: Any, rng: Any) -> tuple[Any, Any]:
    return _coin(image, mask, rng)[0], _coin(image, mask, rng)[1]


def _rows(image: Any, mask: Any, rng: Any) -> tuple[Any, Any]:
    return (image[::-1], mask[::-1]) if rng.random() < 0.5 else (image, mask)


def _mean_of_cells(mask: Any, factor: int) -> Any:
    side = len(mask) // factor
    return mask.reshape(side, factor, side, factor).mean(axis=(1, 3)).astype(mask.dtype)


def _overwritten(mask: Any, factor: int) -> Any:
    mask[mask == 255] = 0
    return mask[::factor, ::factor]


def _parameters_off(network: Any, *, part: str = "encoder") -> None:
    for each in getattr(network, part).parameters():
        each.requires_grad = False


def _frozen(network: Any) -> None:
    _parameters_off(network)
    network.encoder.eval()


def _norms_only(network: Any) -> None:
    network.encoder.requires_grad_(False)
    for module in network.encoder.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()


def _everything(network: Any) -> None:
    network.requires_grad_(False)
    network.eval()


def _zeroed(network: Any) -> None:
    _frozen(network)
    torch.nn.init.zeros_(network.encoder[0].weight)


def _swapped(image: Any, mask: Any, rng: Any) -> tuple[Any, Any]:
    return mask, image


RIGHT: list[tuple[str, Any]] = [
    ("class_iou", _ious),
    ("class_iou", _by_confusion),
    ("dice_from_iou", lambda iou: 2 * iou / (1 + iou)),
    ("dice_from_iou", lambda iou: np.float32(1) - np.float32((1 - iou) / (1 + iou))),
    ("joint_flip", _coin),
    ("joint_flip", _copies),
    ("shrink_mask", lambda mask, factor: mask[::factor, ::factor]),
    ("shrink_mask", lambda mask, factor: mask[factor // 2 :: factor, factor // 2 :: factor].astype(np.int64)),
    ("freeze", _frozen),
    ("freeze", _norms_only),
]

WRONG: list[tuple[str, Any, str]] = [
    ("class_iou", 0.5, "a function is asked for"),
    ("class_iou", lambda p, t, classes: np.mean(_ious(p, t, 3)), "one number each"),
    ("class_iou", lambda p, t, classes: _ious(p, t, classes + 1), "one number each"),
    ("class_iou", lambda p, t, classes: ["none"] * classes, "one number each"),
    ("class_iou", lambda p, t, classes: np.nan_to_num(_ious(p, t, classes)), "class 3"),
    ("class_iou", lambda p, t, classes: np.roll(_ious(p, t, classes), 1), "class 0"),
    (
        "class_iou",
        lambda p, t, classes: [((p == i) & (t == i)).sum() / (t == i).sum() for i in range(classes)],
        "class",
    ),
    ("class_iou", lambda p, t, classes: [(p == t).mean()] * classes, "class 0"),
    ("class_iou", lambda p, t, classes: p / 0, "class"),
    ("dice_from_iou", 0.938, "a function is asked for"),
    ("dice_from_iou", lambda iou: iou / (2 - iou), "IoU of 0.25"),
    ("dice_from_iou", lambda iou: 2 * iou, "IoU of 0.25"),
    ("dice_from_iou", lambda iou: iou, "IoU of 0.25"),
    ("dice_from_iou", lambda iou: 0.938, "IoU of 0.0"),
    ("dice_from_iou", lambda iou: 1 / iou, "ZeroDivisionError"),
    ("dice_from_iou", lambda iou: None, "IoU of 0.0"),
    ("joint_flip", _two_coins, "not treated alike"),
    ("joint_flip", _rows, "neither"),
    ("joint_flip", _in_place, "changes the arrays"),
    ("joint_flip", lambda image, mask, rng: (image[:, ::-1], mask), "not treated alike"),
    ("joint_flip", lambda image, mask, rng: (image, mask), "of 40 calls 0"),
    ("joint_flip", lambda image, mask, rng: (image[:, ::-1], mask[:, ::-1]), "of 40 calls 40"),
    ("joint_flip", lambda image, mask, rng: (image / 255, mask), "neither"),
    ("joint_flip", lambda image, mask, rng: image, "two arrays"),
    ("joint_flip", _swapped, "neither"),
    ("shrink_mask", _mean_of_cells, "there is a label"),
    ("shrink_mask", lambda mask, factor: mask, "should be 6 x 6"),
    ("shrink_mask", lambda mask, factor: mask[::factor], "should be 6 x 6"),
    ("shrink_mask", lambda mask, factor: mask[::factor, ::factor].T, "rows and columns"),
    ("shrink_mask", lambda mask, factor: mask[::factor, ::factor] / 255, "there is a label"),
    ("shrink_mask", lambda mask, factor: np.zeros((12 // factor, 12 // factor)), "a label stands"),
    ("shrink_mask", _overwritten, "changes the mask"),
    ("freeze", _parameters_off, "running mean"),
    ("freeze", lambda network: network.encoder.eval(), "still has parameters"),
    ("freeze", lambda network: _parameters_off(network, part="decoder"), "still has parameters"),
    ("freeze", _everything, "the decoder is frozen"),
    ("freeze", _zeroed, "changes weights"),
    ("freeze", lambda network: network.backbone.eval(), "AttributeError"),
    ("freeze", None, "a function is asked for"),
]


@pytest.mark.parametrize(("task", "answer"), RIGHT)
def test_a_right_answer(task: str, answer: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert course.check(f"unet/{task}", answer), capsys.readouterr().out


@pytest.mark.parametrize(("task", "answer", "told"), WRONG)
@pytest.mark.filterwarnings("ignore:.*encountered in.*:RuntimeWarning")
def test_a_wrong_answer(task: str, answer: Any, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert not course.check(f"unet/{task}", answer)
    assert told in capsys.readouterr().out
