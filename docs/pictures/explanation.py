"""Makes the pictures of the explanation pages: python docs/pictures/explanation.py [runs/losses]

Numbers come from benchmarks/results and from the study of start/ten_minutes.md; without its folder, seeds.png stays.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from segbench import build_network, describe, score_masks

HERE = Path(__file__).parent
RESULTS = HERE.parents[1] / "benchmarks" / "results"
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#666666"
MOST_BYTES = 80_000
CENTRE = 140  # of the receptive fields, on the border of the spot


def main() -> None:
    _keep(_disagree(), "disagree")
    _keep(_batchnorm(), "batchnorm")
    _keep(_receptive(), "receptive")
    if len(sys.argv) > 1:
        _keep(_seeds(Path(sys.argv[1])), "seeds")


def _keep(figure: Figure, name: str) -> None:
    out = HERE / f"{name}.png"
    figure.savefig(out, dpi=130, facecolor="white")
    plt.close(figure)
    Image.open(out).convert("RGB").quantize(64, dither=Image.Dither.NONE).save(out, optimize=True)
    size = out.stat().st_size
    print(f"{out}: {size} bytes")
    if size > MOST_BYTES:
        raise SystemExit(f"expected at most {MOST_BYTES} bytes")


def _axes(width: float = 7.2, height: float = 2.8) -> tuple[Figure, Axes]:
    figure, axes = plt.subplots(figsize=(width, height), layout="constrained")
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _square(top: int, left: int, side: int) -> np.ndarray:
    mask = np.zeros((64, 64), int)
    mask[top : top + side, left : left + side] = 1
    return mask


def _disagree() -> Figure:
    truth = [_square(16, 16, 30), _square(30, 30, 4)]
    wide, missed = [_square(14, 14, 34), _square(30, 30, 4)], [_square(16, 16, 30), _square(0, 0, 0)]
    names = {"iou_per_image": "IoU per image", "iou_pooled": "IoU pooled", "pixel_accuracy": "pixel accuracy"}
    figure, axes = _axes()
    entries = (
        ("A: large one too wide, small one found", wide, BLUE),
        ("B: large one right, small one missed", missed, ORANGE),
    )
    for offset, (label, prediction, colour) in zip((-0.2, 0.2), entries, strict=True):
        summary = score_masks(prediction, truth, ["background", "object"]).summary()
        values = [summary[name] for name in names]
        bars = axes.barh(np.arange(len(names)) + offset, values, 0.38, color=colour, label=label)
        axes.bar_label(bars, [f"{value:.2f}" for value in values], padding=3)
    axes.set_yticks(range(len(names)), names.values())
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), frameon=False)
    return figure


def _batchnorm() -> Figure:
    rows = re.findall(
        r"^\| (\S+), (\w+) \| (0\.\d+)[^|]*\| (0\.\d+)", (RESULTS / "norm_statistics.md").read_text(), re.M
    )
    figure, axes = _axes(height=3.2)
    for index, (_, _, running, recomputed) in enumerate(rows):
        axes.plot([float(running), float(recomputed)], [index, index], color=GREY, linewidth=1.5, zorder=1)
    places = range(len(rows))
    axes.scatter(
        [float(row[2]) for row in rows], places, color=ORANGE, marker="s", label="moving average (running)", zorder=2
    )
    axes.scatter([float(row[3]) for row in rows], places, color=BLUE, label="recomputed", zorder=2)
    axes.set_yticks(places, [f"{network}, {data}" for network, data, _, _ in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, 0.85)
    axes.set_xlabel("test IoU per image after six epochs, mean of three seeds")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False)
    return figure


def _receptive() -> Figure:
    rows, columns = np.mgrid[:256, :256]
    spot = 1 / (1 + np.exp((np.hypot((rows - 128) / 1.0, (columns - 78) / 1.2) - 52) / 3))
    figure, axes = plt.subplots(figsize=(4.2, 4.2), layout="constrained")
    axes.imshow(0.85 - 0.45 * spot, cmap="gray", vmin=0, vmax=1)
    fields = (("full_resolution_conv", ORANGE), ("simple_fcn", "#009E73"), ("unet_nearest", BLUE))
    for name, colour in fields:
        side = describe(build_network(name), size=(256, 256)).receptive_field_px[0]
        axes.add_patch(
            Rectangle((CENTRE - side / 2, 128 - side / 2), side, side, fill=False, edgecolor=colour, linewidth=2)
        )
        axes.text(CENTRE - side / 2, 128 + side / 2 + 10, f"{name}: {side}", color=colour, fontsize=9, weight="bold")
    axes.plot(CENTRE, 128, "o", color="black", markersize=3)
    axes.set_xlim(-0.5, 255.5)
    axes.set_axis_off()
    return figure


def _seeds(study: Path) -> Figure:
    figure, axes = _axes(height=1.9)
    for row, (loss, colour) in enumerate((("bce", ORANGE), ("dice", BLUE))):
        values = [
            json.loads((study / "runs" / f"{loss}__seed{seed}" / "result.json").read_text())["scores"]["test"][
                "iou_per_image"
            ]
            for seed in range(3)
        ]
        axes.scatter(values, [row] * 3, color=colour, s=60, zorder=2)
        for seed, value in enumerate(values):
            axes.annotate(f"seed {seed}", (value, row), (0, 8), textcoords="offset points", ha="center", fontsize=9)
        axes.plot([np.mean(values)] * 2, [row - 0.25, row + 0.25], color="black")
    axes.set_yticks([0, 1], ["bce", "dice"])
    axes.set_ylim(1.5, -0.7)
    axes.set_xlabel("test IoU per image, 20 images; the black line is the mean")
    return figure


if __name__ == "__main__":
    main()
