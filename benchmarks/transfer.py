"""What a pretrained encoder is worth: random, frozen and fine-tuned, the same budget, several seeds.

python benchmarks/transfer.py PATH_OF_OXFORD_PETS [--seeds 0 1 2] [--epochs 15] [--out runs/transfer]

Trains benchmarks/configs/oxford_pets_transfer.yaml: smp/unet with the encoder tf_efficientnet_lite0 at 128 x 128.
Finished runs are not trained again, so it can be stopped and started. The arms differ in `weights`, `freeze`, the
encoder's rate and dropout only.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from _table import train_all, write_table
from segbench.config.run import load_config

ROOT = Path(__file__).resolve().parent.parent
ARMS = {
    "random": ["weights=none", "optimizer.encoder_lr=null"],
    "pretrained, frozen": ["freeze=encoder", "optimizer.encoder_lr=null"],
    "pretrained, frozen, dropout 0.5": ["freeze=encoder", "optimizer.encoder_lr=null", "network.dropout=0.5"],
    "pretrained, fine-tuned": [],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", default="runs/transfer")
    parser.add_argument("--arms", nargs="+", choices=sorted(ARMS), default=list(ARMS))
    given = parser.parse_args()
    arms = {}
    for arm in given.arms:
        folder = f"{given.out}/{arm.replace(', ', '-').replace(' ', '')}"
        common = [f"data.path={given.data}", f"epochs={given.epochs}", f"threads={given.threads}"]
        arms[arm] = [
            load_config(
                ROOT / "benchmarks" / "configs" / "oxford_pets_transfer.yaml",
                [*common, *ARMS[arm], f"seed={seed}", f"output={folder}-seed{seed}"],
            )
            for seed in given.seeds
        ]
    write_table(
        ROOT / "benchmarks" / "results" / "transfer_pets.md",
        f"smp/unet, tf_efficientnet_lite0, Oxford pets, 3 classes, {given.epochs} epochs, seeds {given.seeds}",
        ["iou_per_image", "iou_pooled", "dice_per_image", "pixel_accuracy"],
        train_all(arms),
    )


if __name__ == "__main__":
    main()
