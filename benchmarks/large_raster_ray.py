"""One large raster over a Ray cluster, a worker killed on the way, against the same on one machine.

    python benchmarks/large_raster_ray.py FOLDER [--side 20000] [--classes 11] [--workers 2]

Takes the raster of `large_raster.py` in FOLDER, and makes it where it is not there. Both results are compared pixel by
pixel. The worker is killed (SIGKILL) when a quarter of the bands is there.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import rasterio
import torch
from safetensors.torch import save

from _machine import machine_line
from large_raster import TILE, write_raster
from segbench.predict.bundle_file import ModelBundle, NetworkSpec
from segbench.predict.bundle_members import Member
from segbench.predict.pipeline import PipelineSettings
from segbench.types import ORIGINAL, ClassMap, Normalization


def write_bundle(path: Path, classes: int) -> None:
    """Writes a bundle of a network with random weights, which costs what a trained one does."""
    torch.manual_seed(0)
    normal = Normalization(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    spec = NetworkSpec(
        name="unet_nearest", options={"widths": [8, 16, 32]}, in_channels=3, out_channels=classes, normalization=normal
    )
    tensors = {name: tensor.contiguous() for name, tensor in spec.build().state_dict().items()}
    names = tuple(f"class {index}" for index in range(classes))
    class_map = ClassMap(names=names, values=tuple((index,) for index in range(classes)))
    ModelBundle(
        settings=PipelineSettings(class_map=class_map, size=ORIGINAL, normalization=normal, policy="tiles"),
        networks=(spec,),
        weight_files=(Member.of_bytes("weights_0.safetensors", save(tensors)),),
        source=path,
    ).write(path)


def digest(mask: Path) -> str:
    """Returns the SHA-256 of the labels, read a row of tiles at a time."""
    found = hashlib.sha256()
    with rasterio.open(mask) as opened:
        for top in range(0, opened.height, TILE):
            rows = min(TILE, opened.height - top)
            found.update(opened.read(1, window=((top, top + rows), (0, opened.width))).tobytes())
    return found.hexdigest()


def workers() -> list[int]:
    """Returns the processes of Ray's workers that predict on this machine."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if re.match(rb"ray::Worker\.band", (process / "cmdline").read_bytes()):
                found.append(int(process.name))
        except OSError:
            continue  # it has just ended
    return found


def kill_one(after_s: float, killed: list[float]) -> None:
    """Kills a worker that is at a band, that long after the first was seen."""
    while not workers():
        time.sleep(1.0)
    time.sleep(after_s)
    while not (found := workers()):
        time.sleep(0.2)
    os.kill(found[0], signal.SIGKILL)
    killed.append(time.perf_counter())


def main() -> None:
    """Predicts it both ways and prints a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--classes", type=int, default=11)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kill-after-s", type=float, default=60.0)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    raster, bundle = options.folder / f"raster_{options.side}.tif", options.folder / f"made_{options.classes}.segbench"
    if not raster.exists():
        write_raster(raster, options.side)
    write_bundle(bundle, options.classes)
    print(machine_line(), flush=True)
    digests = {}
    for name, more in (("ray", ["--engine", "ray", "--workers", str(options.workers)]), ("local", [])):
        killed: list[float] = []
        if name == "ray":
            threading.Thread(target=kill_one, args=(options.kill_after_s, killed), daemon=True).start()
        out, started = options.folder / f"out_{name}", time.perf_counter()
        command = [
            sys.executable,
            "-m",
            "segbench",
            "predict",
            str(bundle),
            str(raster),
            "-o",
            str(out),
            "--no-overlays",
        ]
        subprocess.run([*command, *more, "--overwrite", "--quiet"], check=True)
        took = time.perf_counter() - started
        digests[name] = digest(next((out / "masks").glob("raster_*.tif")))
        lost = f", a worker killed after {killed[0] - started:.0f} s" if killed else ""
        print(f"{name}: {took:.0f} s wall{lost}; SHA-256 of the labels {digests[name][:16]}", flush=True)
    same = len(set(digests.values())) == 1
    print("the same labels" if same else "OTHER LABELS")
    raise SystemExit(0 if same else 1)


if __name__ == "__main__":
    main()
