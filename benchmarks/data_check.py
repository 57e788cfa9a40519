"""Images a second and peak memory of reading and checking 1,000 to 100,000 labelled images.

python benchmarks/data_check.py [--counts 1000 10000 100000] [--side 96] [--write]

Draws the images (blobs on a textured ground, JPEG quality 92, masks PNG 0/255) into a temporary folder, then runs every
step in a process of its own, in one go: `index` (`read_dataset`: every image and mask decoded), `check` (the doctor
after it), both once more with nothing changed, and `check` after 1 % of the masks were changed. Peak memory is the
process's high-water mark less that of the same process reading 8 images. About 25 minutes and 2 GB for 100,000 images
on two cores; `--write` puts the table into benchmarks/results/data_check.md.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent


def draw(folder: Path, first: int, count: int, side: int) -> None:
    """Writes image/mask pairs number `first` to `first + count - 1`."""
    yy, xx = np.mgrid[:side, :side]
    for number in range(first, first + count):
        rng = np.random.default_rng(number)
        y, x, radius = rng.uniform(0.3, 0.7, 3) * side * (1, 1, 0.4)
        mask = (yy - y) ** 2 + (xx - x) ** 2 < radius**2
        coarse = Image.fromarray(rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)).resize((side, side), 3)
        image = np.where(mask[:, :, None], 255 - np.asarray(coarse) // 2, np.asarray(coarse)).astype(np.uint8)
        Image.fromarray(image).save(folder / "images" / f"{number:06d}.jpg", quality=92)
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / "masks" / f"{number:06d}.png")


def make(folder: Path, count: int, side: int) -> None:
    """Fills a folder, on all cores."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    step = 500
    with ProcessPoolExecutor() as pool:
        jobs = [pool.submit(draw, folder, first, min(step, count - first), side) for first in range(0, count, step)]
        for job in jobs:
            job.result()


def touch_some(folder: Path, count: int) -> int:
    """Writes every hundredth mask anew, turned upside down; returns how many."""
    names = [f"{number:06d}.png" for number in range(0, count, 100)]
    for name in names:
        path = folder / "masks" / name
        Image.fromarray(np.asarray(Image.open(path))[::-1].copy()).save(path)
    return len(names)


def step(name: str, folder: Path) -> None:
    """Does one step in this process and prints seconds, peak memory and what was found."""
    start = time.perf_counter()
    if name == "index":
        from segbench.data.manifest.read import read_dataset

        found: object = len(read_dataset(folder))
    else:
        from segbench.doctor import examine

        checkup = examine(folder, "folder")
        found = f"{checkup.samples}, {len(checkup.findings)} findings"
    seconds = time.perf_counter() - start
    # Not getrusage: its high-water mark is inherited from the parent process.
    status = Path("/proc/self/status").read_text()
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]
    print(json.dumps({"seconds": seconds, "peak_mb": peak, "found": found}))


def run(name: str, folder: Path, cache: Path) -> dict[str, float]:
    """Returns what `step` printed in a fresh process."""
    command = [sys.executable, __file__, "--step", name, "--folder", str(folder)]
    done = subprocess.run(
        command, env={**os.environ, "SEGBENCH_CACHE": str(cache)}, capture_output=True, text=True, check=True
    )
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def measure(count: int, side: int) -> list[list[str]]:
    """Returns the rows of one data set size."""
    rows = []
    with tempfile.TemporaryDirectory() as base:
        folder, cache, tiny = Path(base) / "set", Path(base) / "cache", Path(base) / "tiny"
        make(folder, count, side)
        make(tiny, 8, side)
        empty = {name: run(name, tiny, Path(base) / "other")["peak_mb"] for name in ("index", "check")}
        plan = [("index", "first"), ("check", "first"), ("index", "again"), ("check", "again")]
        plan.append(("check", "1 % changed"))
        for name, when in plan:
            if when == "1 % changed":
                touch_some(folder, count)
            told = run(name, folder, cache)
            extra = told["peak_mb"] - empty[name]
            rows.append(
                [
                    f"{count:,}",
                    name,
                    when,
                    f"{told['seconds']:.1f}",
                    f"{count / told['seconds']:,.0f}",
                    f"{told['peak_mb']:.0f}",
                    f"{extra * 1024 / count:.1f}",
                    str(told["found"]),
                ]
            )
            print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Runs the benchmark, or one step of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--side", type=int, default=96, help="of the images, in pixels")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        step(given.step, given.folder)
        return
    from _machine import machine_line  # here: it imports torch, which the steps do not need

    head = ["images", "step", "when", "seconds", "images/s", "peak MB", "kB an image", "found"]
    rows = [row for count in given.counts for row in measure(count, given.side)]
    lines = [head, ["---"] * len(head), *rows]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    text = f"{machine_line()}. Images of {given.side} x {given.side} pixels.\n\n{table}\n"
    print(text)
    if given.write:
        (ROOT / "benchmarks" / "results" / "data_check.md").write_text(f"# Reading and checking\n\n{text}\n")


if __name__ == "__main__":
    main()
