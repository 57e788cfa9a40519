"""Files a CPU second of a data set's first check, on one core.

python benchmarks/first_check.py [--count 400] [--large 40]

Draws pairs of 256 x 256 and of 1536 x 1536 pixels (JPEG of quality 92, masks PNG 0/255) with the functions of
data_check.py, and checks each set three times with an empty cache, every time in a process of its own; the least CPU
time counts, user and system, without the imports. Compare trees by PYTHONPATH.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from data_check import make


def step(folder: Path, warm: Path) -> None:
    """Prints CPU seconds of a first check, and what it found."""
    from segbench.doctor import examine

    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    examine(warm)  # imports
    before = resource.getrusage(resource.RUSAGE_SELF)
    checkup = examine(folder)
    after = resource.getrusage(resource.RUSAGE_SELF)
    spent = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    print(json.dumps({"seconds": spent, "found": f"{checkup.samples}, {len(checkup.findings)} findings"}))


def main() -> None:
    """Runs the benchmark, or one step of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=400, help="pairs of 256 pixels")
    parser.add_argument("--large", type=int, default=40, help="pairs of 1536 pixels")
    parser.add_argument("--step", type=Path, nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        step(*given.step)
        return
    with tempfile.TemporaryDirectory() as base:
        warm = Path(base) / "warm"
        make(warm, 3, 64)
        for side, count in ((256, given.count), (1536, given.large)):
            folder = Path(base) / str(side)
            make(folder, count, side)
            told = []
            for number in range(3):
                command = [sys.executable, __file__, "--step", str(folder), str(warm)]
                env = {**os.environ, "SEGBENCH_CACHE": f"{base}/cache-{side}-{number}"}
                done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
                told.append(json.loads(done.stdout.splitlines()[-1]))
            best = min(item["seconds"] for item in told)
            print(f"{side} x {side}: {2 * count / best:.0f} files/s ({best:.2f} s CPU; {told[0]['found']})", flush=True)


if __name__ == "__main__":
    main()
