"""Does the demo's answer hang on its drawn images? Runs the whole demo on images of several seeds.

python benchmarks/demo_answers.py OUT [SEED ...]        # default: 0 1 2; each takes as long as the demo
"""

from __future__ import annotations

import sys
from pathlib import Path

from segbench.compare.gather import judge_factors
from segbench.demo import run_demo
from segbench.study.live import ConsoleStudyCallback

EPOCHS = 20  # as `segbench demo`


def main() -> None:
    out, seeds = Path(sys.argv[1]), [int(seed) for seed in sys.argv[2:]] or [0, 1, 2]
    for seed in seeds:
        done = run_demo(out / f"seed_{seed}", epochs=EPOCHS, watch=ConsoleStudyCallback(), data_seed=seed)
        print(f"images of seed {seed}: {done.comparison.verdict.headline()}")
        for sentence in judge_factors(done.comparison.evidence).sentences(done.comparison.verdict.numbers):
            print(f"  {sentence}")
        print(f"  {done.page}", flush=True)


if __name__ == "__main__":
    main()
