"""How long a report about many runs takes, how much memory, and how often it reads each file.

python benchmarks/report_speed.py --runs 160 1000

A study of tiny runs is made up: one run is trained for a few steps, and every other one is a copy of it with a seed,
masks, counts and scores of its own. Then `segbench compare` and `segbench report` judge it, each in its own process.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import segbench
from _machine import machine_line
from segbench.config.study import PlannedRun, expand, parse_study
from segbench.data.files.resize import resize_mask
from segbench.data.manifest.manifest import Manifest
from segbench.data.sources.load import load_sample
from segbench.data.synthetic.write import write_lesions
from segbench.files import write_json
from segbench.folders.mask_archive import save_masks
from segbench.folders.run import RunFolder
from segbench.folders.seal import KEY, seal
from segbench.folders.study import StudyFolder
from segbench.metrics.counts import Counts, count_masks
from segbench.metrics.definitions import size_text
from segbench.train.callback import Callback
from segbench.train.evaluator import collect_surfaces, evaluate_masks

OUT = Path(__file__).parent / "results" / "report_speed.md"
_SIZE = (32, 32)
_MEASURED = """
import json, sys, time
opened = {"config.yaml": 0, "result.json": 0, "manifest.json": 0, ".zip": 0, "counts_test.csv": 0}
def count(event, args):
    if event == "open":
        for end in opened:
            opened[end] += str(args[0]).endswith(end)
sys.addaudithook(count)
import segbench
what, study, out = sys.argv[1:]
started, cpu = time.perf_counter(), time.process_time()
segbench.compare_runs(study) if what == "compare" else segbench.report_runs(study, out)
print(json.dumps({
    "wall_s": time.perf_counter() - started, "cpu_s": time.process_time() - cpu,
    "mb": int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 1024, "opened": opened,
}))
"""


def make_study(root: Path, runs: int) -> StudyFolder:
    """Returns the folder of a study of so many finished runs: five seeds of a grid of rates and four losses."""
    seeds = 5
    losses = {f"bce{n}": {"bce": 1.0, "dice": round(0.1 * n, 1)} for n in range(1, 5)}
    rates = [round(1e-4 * (n + 1), 6) for n in range(runs // seeds // len(losses))]
    write_lesions(root / "data", count=120, seed=0, size=(40, 40))
    base = {
        "data": {"path": str(root / "data"), "size": list(_SIZE), "split": {"ratios": [0.5, 0.1, 0.4]}},
        "network": {"name": "unet_nearest", "widths": [4, 8]},
        "steps": 8,
        "batch_size": 4,
        "device": "cpu",
    }
    asked = parse_study(
        {
            "study": "speed",
            "base": base,
            "vary": {"optimizer.lr": rates, "loss": losses, "seed": list(range(seeds))},
            "output": str(root / "study"),
        }
    )
    plan, folder = expand(asked), StudyFolder(root / "study")
    first = plan.runs[0]
    segbench.fit(first.config.model_copy(update={"output": str(root / "first")}), watch=Callback())
    trained = RunFolder(root / "first")
    manifest = Manifest.read(trained.manifest_file)
    folder.claim(asked, plan, manifest_hash=manifest.content_hash, threads=1, engine="local", workers=1)
    manifest.write(folder.manifest_file)
    truths = {
        part: {sample.id: resize_mask(load_sample(manifest, sample)[1], _SIZE) for sample in manifest.split(part)}
        for part in ("val", "test")
    }
    for run in plan.runs:
        _make_run(trained, folder.run(run.id), run, manifest, truths)
    return folder


def _make_run(
    trained: RunFolder,
    folder: RunFolder,
    run: PlannedRun,
    manifest: Manifest,
    truths: Mapping[str, Mapping[str, npt.NDArray[np.uint8]]],
) -> None:
    """Copies the trained run and gives it a seed and predictions of its own: truths moved by a few pixels."""
    shutil.copytree(trained.path, folder.path, ignore=shutil.ignore_patterns("tensorboard", "last.pt"))
    rng = np.random.default_rng([run.seed, *run.entry.encode()])
    folder.write_config(run.config)
    with folder.best_file.open("ab") as weights:
        weights.write(rng.bytes(16))
    result: dict[str, Any] = dict(folder.read_result().result)
    for part, targets in truths.items():
        moved = {name: np.roll(mask, rng.integers(-4, 5, 2), (0, 1)) for name, mask in targets.items()}
        save_masks(folder.predicted_file(part), moved.items())
        surfaces = collect_surfaces(manifest.class_map, run.config.scores)
        tables = [count_masks(moved[name], target, 2, task=manifest.class_map.task) for name, target in targets.items()]
        if surfaces is not None:
            for name, target in targets.items():
                surfaces.add(name, moved[name], target)
        counts = Counts(
            ids=tuple(targets),
            confusion=np.stack([table for table, _ in tables]),
            ignored=np.array([ignored for _, ignored in tables], dtype=np.int64),
            task=manifest.class_map.task,
        )
        scored = evaluate_masks(surfaces, counts, manifest.class_map, 0.5, size_text(_SIZE))
        scored.write(folder, part)
        result["scores"] = {**result["scores"], part: {**result["scores"][part], **scored.summary()}}
    result |= {"seed": run.seed, "name": run.id, "network": run.config.network.model_dump()}
    result |= {"loss": run.config.to_dict()["loss"], KEY: seal(folder, ("val", "test"), weights=folder.best_file)}
    write_json(folder.result_file, result)


def measure(what: str, study: Path, out: Path) -> dict[str, Any]:
    """Returns what one call in a process of its own took."""
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, what, str(study), str(out)], capture_output=True, text=True, check=True
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def row(what: str, runs: int, found: Mapping[str, Any]) -> Sequence[str]:
    """Returns the cells of one measurement."""
    opened = found["opened"]
    return (
        f"{what}, {runs} runs",
        f"{found['wall_s']:.0f}",
        f"{found['cpu_s']:.0f}",
        f"{found['mb']:.0f}",
        *(str(opened[name]) for name in ("config.yaml", "result.json", "manifest.json", "counts_test.csv", ".zip")),
    )


def main() -> None:
    """Makes the studies and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", nargs="+", type=int, default=[160, 1000])
    parser.add_argument("--keep", type=Path, help="folder for the studies; one that is there is measured again")
    given = parser.parse_args()
    head = ("what", "s", "CPU s", "MB", "config.yaml", "result.json", "manifest.json", "counts_test.csv", "zip")
    lines = [f"{machine_line()}; files opened, by name.", "", f"| {' | '.join(head)} |", "|" + " --- |" * len(head)]
    with tempfile.TemporaryDirectory() as temporary:
        for runs in given.runs:
            root = (given.keep or Path(temporary)) / str(runs)
            if not (root / "study").is_dir():
                make_study(root, runs)
            for what in ("compare", "report"):
                found = measure(what, root / "study", root / "report.html")
                lines.append(f"| {' | '.join(row(what, runs, found))} |")
                print(lines[-1], flush=True)
    OUT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
