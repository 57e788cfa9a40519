"""One network, many losses: benchmarks/configs/ph2_homework.yaml with the loss replaced, the same budget.

python benchmarks/losses.py PATH_OF_PH2 [--seeds 0] [--epochs 40] [--out runs/losses]

Finished runs are not trained again, so it can be stopped and started.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from _table import train_all, write_table
from segbench.config.run import load_config

ROOT = Path(__file__).resolve().parent.parent
LOSSES: dict[str, object] = {
    "bce": "bce",
    "dice": "dice",
    "focal": "focal",
    "0.5 structural_similarity + 0.5 bce": {"structural_similarity": 0.5, "bce": 0.5},
    "0.5 dice + 0.5 bce": {"dice": 0.5, "bce": 0.5},
    "pixel_dice": "pixel_dice",
    "tversky": "tversky",
    "lovasz": "lovasz",
    "dice + boundary, weight 0 to 0.5": {"dice": 1.0, "boundary": {"weight": {"start": 0.0, "end": 0.5, "epochs": 40}}},
    "dice + boundary, weight 0 to 0.05": {
        "dice": 1.0,
        "boundary": {"weight": {"start": 0.0, "end": 0.05, "epochs": 40}},
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", default="runs/losses")
    given = parser.parse_args()
    arms = {}
    for number, (name, loss) in enumerate(LOSSES.items()):
        common = [f"data.path={given.data}", f"epochs={given.epochs}", f"threads={given.threads}"]
        arms[name] = [
            load_config(
                ROOT / "benchmarks" / "configs" / "ph2_homework.yaml",
                [*common, f"loss={json.dumps(loss)}", f"seed={seed}", f"output={given.out}/loss{number}-seed{seed}"],
            )
            for seed in given.seeds
        ]
    write_table(
        ROOT / "benchmarks" / "results" / "losses_ph2.md",
        f"unet_nearest, PH2 at 128 x 128, {given.epochs} epochs, seeds {given.seeds}",
        ["iou_per_image", "iou_pooled", "thresholded_iou", "dice_per_image"],
        train_all(arms),
    )


if __name__ == "__main__":
    main()
