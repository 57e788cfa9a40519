"""Does an expected IoU hold on images that it was not fitted to, and are other sets' images called unlike?

    python benchmarks/expected_score.py RUN... [--others RUN...] -o benchmarks/results/expected_score.md

Calibration is fitted to each run's validation part and judged on its test part; `--others` are runs whose images come
from elsewhere and are shown to the models of the first ones.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from segbench.bundle.calibrate import calibrate, calibration_error, judge_expected_score, sampled_pixels
from segbench.data.manifest.manifest import Manifest
from segbench.data.sources.load import load_sample
from segbench.predict.doubt import expected_score
from segbench.predict.predictor import Predictor
from segbench.predict.unlike import image_features, image_statistics, unlike_training
from segbench.types import SplitName

_HEAD = """# Expected IoU, temperature and images unlike the training part

`python benchmarks/expected_score.py RUN...`: fitted to each run's validation part, judged on its test part, images at
their own size. The error of the mean is that of expecting the same IoU of every image; intervals are of 90 %.
Calibration errors are those of validation, the second one cross-fitted, and of the test part with the fitted
temperature.

"""


def samples_of(manifest: Manifest, split: SplitName) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields the images of a part with their labels."""
    for sample in manifest.split(split):
        yield load_sample(manifest, sample)


def judged(run: Path, others: dict[str, Path]) -> dict[str, Any]:
    """Returns everything that is measured of one run."""
    predictor, manifest = Predictor.from_run(run, device="cpu"), Manifest.read(run / "manifest.json")
    features = [image_features(image) for image, _ in samples_of(manifest, "train")]
    card = {
        "calibration": calibrate(predictor, samples_of(manifest, "val")),
        "data": {"image_statistics": image_statistics(features)},
    }
    test = [(predictor(image), labels) for image, labels in samples_of(manifest, "test")]
    pixels, fitted = [sampled_pixels(*each) for each in test], card["calibration"]["temperature"]["fitted"]
    unlike = {"own test part": [unlike_training(card, prediction.image) is not None for prediction, _ in test]}
    for name, other in others.items():
        images = samples_of(Manifest.read(other / "manifest.json"), "test")
        unlike[name] = [unlike_training(card, image) is not None for image, _ in images]
    return {
        "run": run.name,
        "n_val": card["calibration"]["n"],
        "line": card["calibration"]["expected_score"],
        "score": judge_expected_score(partial(expected_score, card), test),
        "temperature": card["calibration"]["temperature"],
        "on_test": [calibration_error(pixels, each, predictor.class_map.task) for each in (1.0, fitted)],
        "unlike": {name: (sum(found), len(found)) for name, found in unlike.items()},
    }


def markdown(rows: list[dict[str, Any]]) -> str:
    """Returns the three tables."""
    lines = [
        "| run | validation, test images | rank correlation | error | of the mean | in the 90 % interval | width |"
    ]
    lines.append("| --- | --- | --- | --- | --- | --- | --- |")
    for row in rows:
        score = row["score"]
        lines.append(
            f"| {row['run']} | {row['n_val']}, {score['n']} | {score['rank_correlation']:.2f} | "
            f"{score['mean_absolute_error']:.3f} | {score['error_of_the_mean']:.3f} | {score['coverage']:.0%} | "
            f"{score['width']:.2f} |"
        )
    head = "| run | temperature, fitted | used | calibration error before, after | difference [95 %] | on test |"
    lines += ["", head, "| --- | --- | --- | --- | --- | --- |"]
    for row in rows:
        found = row["temperature"]
        cells = [
            f"{found['fitted']:.2f}",
            f"{found['value']:.2f}",
            f"{found['before']:.4f}, {found['after']:.4f}",
            f"{found['difference']:+.4f} [{found['low']:+.4f}, {found['high']:+.4f}]",
            f"{row['on_test'][0]:.4f}, {row['on_test'][1]:.4f}",
        ]
        lines.append(f"| {row['run']} | {' | '.join(cells)} |")
    names = list(rows[0]["unlike"])
    lines += ["", f"| images called unlike, run | {' | '.join(names)} |", "| --- |" + " --- |" * len(names)]
    for row in rows:
        cells = [f"{found} of {total}" for found, total in (row["unlike"][name] for name in names)]
        lines.append(f"| {row['run']} | {' | '.join(cells)} |")
    return _HEAD + "\n".join(lines) + "\n"


def main() -> None:
    """Parses, measures, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--others", type=Path, nargs="*", default=[])
    parser.add_argument("-o", "--out", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    others = {path.name: path for path in chosen.others}
    text = markdown([judged(run, others) for run in chosen.runs])
    print(text)
    if chosen.out is not None:
        chosen.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
