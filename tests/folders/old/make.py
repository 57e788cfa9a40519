"""Made `segbench_0.1.0.zip`: data, a finished and a stopped run, and a study with one run missing.

They are as segbench wrote them at 45f662e: later versions must read them. Kept to show how they were made.

    python make.py /old        # an absolute, empty folder; its name is replaced where the zip is unpacked
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

from PIL import Image

import segbench

SHARED: dict[str, Any] = {
    "data": {"path": "data", "size": 32, "split": {"ratios": [0.5, 0.25, 0.25]}, "cache_dir": "cache"},
    "network": {"name": "unet_nearest", "widths": [4, 8]},
    "optimizer": {"lr": 0.02},
    "batch_size": 4,
    "device": "cpu",
    "threads": 1,
}
LEFT_OUT = ("cache", "pictures", "tensorboard", "curves.png", ".lock", "logs")


def stop_after_two_epochs() -> None:
    from segbench.train.watcher import Watcher

    class Stops(Watcher):
        def epoch(self, row: Any, is_best: bool) -> None:
            if row["epoch"] == 2:
                os.kill(os.getpid(), 9)

    segbench.fit({**SHARED, "name": "stopped", "output": "stopped", "epochs": 8}, watch=Stops())


def main(root: Path) -> None:
    root.mkdir(parents=True)
    os.chdir(root)
    from segbench.config_study import parse_study

    from segbench.data.synthetic import write_lesions
    from segbench.study.run import run_study

    write_lesions(root / "data", 16)
    for path in root.glob("data/*/*.png"):
        with Image.open(path) as image:
            image.resize((40, 40), Image.Resampling.NEAREST).save(path)
    segbench.fit({**SHARED, "name": "finished", "output": "finished", "epochs": 8})
    subprocess.run([sys.executable, __file__], check=False)
    base = {**SHARED, "epochs": 8}
    vary = {"loss": ["dice", "bce"], "seed": [0, 1]}
    run_study(parse_study({"study": "old", "output": "study", "base": base, "vary": vary}))
    shutil.rmtree(root / "study/runs/bce__seed1")
    with zipfile.ZipFile(
        Path(__file__).with_name("segbench_0.1.0.zip"), "w", zipfile.ZIP_DEFLATED, compresslevel=9
    ) as file:
        for path in sorted(root.rglob("*")):
            inner = path.relative_to(root)
            unneeded = path.name == "last.pt" and inner.parts[0] != "stopped"
            if path.is_file() and not unneeded and not set(LEFT_OUT) & set(inner.parts):
                file.write(path, inner)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        stop_after_two_epochs()
