from __future__ import annotations

from segbench.plots.curves import learning_curves

ROWS = [
    {"epoch": 1.0, "train_loss": 9.0, "val_loss": 8.0, "train_iou_per_image": 0.2, "val_iou_per_image": 0.1},
    {"epoch": 2.0, "train_loss": 7.0, "val_loss": 6.0, "train_iou_per_image": 0.4, "val_iou_per_image": 0.3},
]


def test_a_score_has_its_whole_range() -> None:
    _, right = learning_curves(ROWS, "iou_per_image", 2).axes
    assert right.get_ylim() == (-0.02, 1.02)


def test_a_loss_is_shown_where_it_is() -> None:
    _, right = learning_curves(ROWS, "loss", 2).axes
    low, high = right.get_ylim()
    assert low < 6.0
    assert high > 9.0
