"""CPU time and memory of a data set's first check on one core, of one source tree or several compared.

python benchmarks/first_check.py [SOURCE ...] [--count 300] [--large 30] [--memory 2000 8000] [--write]

SOURCE is the folder that holds the package (`src` of this tree by default); with several, each is measured in turn, and
compared with the first. Draws pairs of 256 x 256 and of 1536 x 1536 pixels with the functions of data_check.py (JPEG of
quality 92, masks PNG 0/255), and checks each set three times with an empty cache, in a process of its own; the least
CPU time counts, user and system, without the imports. Memory an image is the difference of the peaks of two sets of
32 x 32 pixels by the difference of their sizes. About a minute a tree; `--write` puts the table into
benchmarks/results/first_check.md.
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
from pathlib import Path

from data_check import ROOT, make

TIMES = 3
TINY_SIDE = 32


def step(folder: Path, warm: Path) -> None:
    """Prints CPU seconds of a first check, the peak memory, and what was found."""
    from segbench.doctor import examine

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    examine(warm)  # imports
    before = time.process_time()
    checkup = examine(folder)
    seconds = time.process_time() - before
    # Not getrusage: its high-water mark is inherited from the parent process.
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert peak is not None, "Linux tells it"
    found = f"{checkup.samples} images, {len(checkup.findings)} findings"
    print(json.dumps({"seconds": seconds, "peak_kb": int(peak[1]), "found": found}))


def run(source: Path, folder: Path, warm: Path) -> dict[str, float]:
    """Returns what `step` prints in a fresh process with a source tree and an empty cache."""
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, __file__, "--step", str(folder), str(warm)]
        env = {**os.environ, "PYTHONPATH": str(source), "SEGBENCH_CACHE": cache, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def speed(sources: list[Path], folder: Path, warm: Path, count: int, side: int) -> list[list[str]]:
    """Returns a row for each source tree: the least CPU time of `TIMES` first checks."""
    told = [[run(source, folder, warm) for source in sources] for _ in range(TIMES)]
    best = [min(turn[place]["seconds"] for turn in told) for place in range(len(sources))]
    return [
        [
            f"{count} pairs, {side} px",
            chr(ord("A") + place),
            f"{seconds:.2f}",
            f"{2 * count / seconds:.0f}",
            f"{best[0] / seconds:.2f}",
            str(told[0][place]["found"]),
        ]
        for place, seconds in enumerate(best)
    ]


def memory(sources: list[Path], folders: list[Path], counts: list[int], warm: Path) -> list[list[str]]:
    """Returns a row for each source tree: the peaks of two checks, and what an image adds."""
    rows = []
    for place, source in enumerate(sources):
        peaks = [run(source, folder, warm)["peak_kb"] for folder in folders]
        each = (peaks[1] - peaks[0]) / (counts[1] - counts[0])
        rows.append([chr(ord("A") + place), *(f"{peak / 1024:.0f}" for peak in peaks), f"{each:.2f}"])
    return rows


def table(head: list[str], rows: list[list[str]]) -> str:
    """Returns a table in Markdown."""
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *rows))


def measure(sources: list[Path], sizes: dict[int, int], tiny: list[int]) -> str:
    """Returns both tables."""
    rows = []
    with tempfile.TemporaryDirectory() as base:
        warm = Path(base) / "warm"
        make(warm, 3, 64)
        for side, count in sizes.items():
            folder = Path(base) / str(side)
            make(folder, count, side)
            rows += speed(sources, folder, warm, count, side)
            print(rows[-len(sources) :], flush=True)
        folders = [Path(base) / f"tiny-{count}" for count in tiny]
        for folder, count in zip(folders, tiny, strict=True):
            make(folder, count, TINY_SIDE)
        peaks = memory(sources, folders, tiny, warm)
    first = table(["set", "tree", "CPU s", "files/s", "times as fast", "found"], rows)
    head = ["tree", *(f"peak MB, {count:,} images" for count in tiny), "kB an image between"]
    return f"{first}\n\n{table(head, peaks)}"


def main() -> None:
    """Runs the benchmark, or one step of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sources", type=Path, nargs="*", help="folders that hold the package, the old one first")
    parser.add_argument("--count", type=int, default=300, help="pairs of 256 pixels")
    parser.add_argument("--large", type=int, default=30, help="pairs of 1536 pixels")
    parser.add_argument("--memory", type=int, nargs=2, default=[2000, 8000], help="pairs of two sets of tiny images")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--step", type=Path, nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        step(*given.step)
        return
    from _machine import machine_line  # here: it imports torch, which the steps do not need

    sources = [source.resolve() for source in given.sources] or [ROOT / "src"]
    text = f"{machine_line()}, one core.\n\n{measure(sources, {256: given.count, 1536: given.large}, given.memory)}\n"
    print(text)
    if given.write:
        (ROOT / "benchmarks" / "results" / "first_check.md").write_text(f"# A data set's first check\n\n{text}")


if __name__ == "__main__":
    main()
