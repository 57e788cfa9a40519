"""Tables of finished runs: mean and range over seeds, printed and written as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import segbench
from _machine import machine_line
from segbench.config.run import RunConfig
from segbench.metrics import SCORES
from segbench.types import RunResult


def train_all(arms: Mapping[str, Sequence[RunConfig]]) -> dict[str, list[RunResult]]:
    """Returns name -> results, training what is not finished yet; seeds in the outer loop, so that arms alternate."""
    results: dict[str, list[RunResult]] = {name: [] for name in arms}
    for repeat in range(max(len(configs) for configs in arms.values())):
        for name, configs in arms.items():
            results[name].append(segbench.fit(configs[repeat]))
            last = results[name][-1]
            print(f"{name}, seed {last.result['seed']}: test {last.scores['test']['iou_per_image']:.4f}", flush=True)
    return results


def seconds(result: RunResult) -> float:
    """Returns the seconds of all epochs, training and validation."""
    return float(result.result["seconds"]["epochs"])


def write_table(path: Path, title: str, scores: Sequence[str], results: Mapping[str, Sequence[RunResult]]) -> None:
    """Writes a Markdown table, one row an arm: every score as mean (smallest to largest over seeds), and seconds."""
    some = next(iter(results.values()))[0]
    lines = [
        f"{title}. {machine_line()}.",
        f"Test part, n = {some.result['n']['test']} images, scored at {some.result['scored_at']}; best epoch by "
        f"{some.result['monitor']['name']}. Mean over seeds (smallest to largest).",
        "",
        "| run | " + " | ".join(scores) + " | best epochs | s |",
        "| --- |" + " --- |" * (len(scores) + 2),
    ]
    for name, runs in results.items():
        cells = []
        for score in scores:
            values = [run.scores["test"][score] for run in runs]
            low, high = (f"{value:.3f}" for value in (min(values), max(values)))
            spread = f" ({low} to {high})" if len(values) > 1 else ""
            cells.append(f"{statistics.fmean(values):.3f}{spread}")
        epochs = ", ".join(str(run.result["best_epoch"]) for run in runs)
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {epochs} | {statistics.fmean(map(seconds, runs)):.0f} |")
    lines += ["", *(f"- {score}: {SCORES[score]}" for score in scores)]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
