"""What mirror images, and averaging the runs, add to runs that are finished: val and test, without, hflip, flips.

python benchmarks/test_time.py RUN... [--splits val test] [--score iou_per_image] [--resolution original] [--out FOLDER]

RUN: run folders, seeds of one config say; with two or more their ensemble is scored, too. A run's own threshold is kept
throughout (an ensemble's is the mean), so where validation chose it, it was chosen for the run's own `tta`. Nothing in
the run folders changes but `test_log.csv`, which notes that the test part was looked at.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import segbench
from _machine import machine_line
from segbench.config.run import ScoresConfig
from segbench.train.callback import Callback
from segbench.types import Tta

LOOKS: tuple[Tta, ...] = get_args(Tta)


def score(runs: Sequence[Path], split: str, tta: Tta, name: str, resolution: str, out: str) -> float:
    """Returns a score of one run, or of several as an ensemble."""
    scores = segbench.evaluate(
        runs,
        split,  # type: ignore[arg-type]
        resolution=resolution,  # type: ignore[arg-type]
        scores=ScoresConfig(surface=False),
        tta=tta,
        out=out,
        watch=Callback(),
    )
    return scores.summary()[name]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--splits", nargs="+", default=["val", "test"], choices=["train", "val", "test"])
    parser.add_argument("--score", default="iou_per_image")
    parser.add_argument("--resolution", default="training", choices=["training", "original"])
    parser.add_argument("--out", help="folder that keeps the tables of every image, numbered in order; default: none")
    given = parser.parse_args()
    groups = {str(run): [run] for run in given.runs}
    if len(given.runs) > 1:
        groups[f"ensemble of {len(given.runs)}"] = given.runs
    with tempfile.TemporaryDirectory() as temporary:
        print(f"{given.score}, {given.resolution} size. {machine_line()}.\n")
        print("| run | " + " | ".join(f"{split} {tta}" for split in given.splits for tta in LOOKS) + " |")
        print("| --- |" + " ---: |" * (len(given.splits) * len(LOOKS)))
        rows = []
        for number, (name, runs) in enumerate(groups.items()):
            out = str(Path(given.out or temporary) / str(number))
            rows.append(
                [score(runs, split, tta, given.score, given.resolution, out) for split in given.splits for tta in LOOKS]
            )
            print(f"| {name} | " + " | ".join(f"{value:.4f}" for value in rows[-1]) + " |", flush=True)
        if len(given.runs) > 1:
            means = [statistics.fmean(column) for column in zip(*rows[: len(given.runs)], strict=True)]
            print("| mean of the runs | " + " | ".join(f"{value:.4f}" for value in means) + " |")


if __name__ == "__main__":
    main()
