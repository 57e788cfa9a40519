"""Loss and score over epochs, side by side, training and validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from segbench.metrics.families import SCORES, label_of

_TRAIN, _VAL, _CLEAN = "#0072b2", "#d55e00", "#009e73"


def learning_curves(history: Sequence[Mapping[str, float]], score: str, best_epoch: int, title: str = "") -> Figure:
    """Returns a figure: the loss left, the score right; the best epoch is marked with its score.

    Args:
        history: rows of `metrics.csv`.
        score: a logged score, for example `iou_per_image`.
        best_epoch: from 1.
        title: over both.
    """
    figure = Figure(figsize=(9.0, 3.7), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in history]
    for axes, name, label in ((left, "loss", "loss"), (right, score, label_of(score))):
        axes.plot(epochs, [row[f"train_{name}"] for row in history], color=_TRAIN, label="training (augmented)")
        axes.plot(epochs, [row[f"val_{name}"] for row in history], color=_VAL, label="validation")
        clean = [(row["epoch"], row[f"train_clean_{name}"]) for row in history if f"train_clean_{name}" in row]
        if clean:
            axes.plot(*zip(*clean, strict=True), "o--", color=_CLEAN, markersize=3, label="training (as it is)")
        if axes is left and _spread([row[f"{part}_loss"] for row in history for part in ("train", "val")]) > 20.0:
            axes.set_yscale("log")  # one early outlier would flatten the rest
        axes.axvline(best_epoch, color="#999999", linewidth=1, linestyle=":", label="best epoch")
        axes.set(xlabel="epoch", ylabel=label)
        axes.grid(alpha=0.25)
        axes.xaxis.get_major_locator().set_params(integer=True)
    late = best_epoch > 0.6 * epochs[-1]
    of_best = [row[f"val_{score}"] for row in history if row["epoch"] == best_epoch]
    right.annotate(
        f"epoch {best_epoch}: {of_best[0]:.4f}" if of_best else f"epoch {best_epoch}",
        (best_epoch, 0.02),
        xycoords=("data", "axes fraction"),
        xytext=(-3 if late else 3, 0),
        textcoords="offset points",
        ha="right" if late else "left",
        fontsize=8,
        color="#666666",
    )
    if score in SCORES and SCORES[score].measure.unit == "share":
        right.set_ylim(-0.02, 1.02)
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    if title:
        figure.suptitle(title, fontsize=10)
    return figure


def _spread(values: Sequence[float]) -> float:
    """Returns how many times the smallest value the largest is; 0 where a value is not above 0."""
    return max(values) / min(values) if min(values) > 0.0 else 0.0
