"""One large raster with fixed memory: the peak, the time of a megapixel, and how much of it is not the network's.

    python benchmarks/large_raster.py FOLDER [--side 20000] [--classes 11] [--network unet_nearest] [--norm batch]

Writes a GeoTIFF of SIDE x SIDE pixels (three bands of 8 bit, tiles of 512, deflate, in EPSG:32632, with overviews) into
FOLDER unless it is there, and predicts it in a process of its own. Random weights cost what trained ones do; `--norm
group` makes the network look at the whole image, so that tiles are blended instead of cut with their margin.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import rasterio
import torch
from PIL import Image
from rasterio.enums import Resampling
from rasterio.windows import Window

from _machine import machine_line
from segbench.models import build_network
from segbench.predict.predictor import Predictor
from segbench.predict.windows import predict_raster
from segbench.types import ORIGINAL, ClassMap

TILE = 512
PLACE = rasterio.Affine(0.2, 0.0, 500_000.0, 0.0, -0.2, 5_400_000.0)


def write_raster(path: Path, side: int) -> None:
    """Writes smooth shapes with the noise of a sensor, a row of tiles at a time."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (3, 64, 64), dtype=np.uint8)
    with rasterio.open(
        path, "w", driver="GTiff", count=3, height=side, width=side, dtype="uint8", crs="EPSG:32632", transform=PLACE,
        tiled=True, blockxsize=TILE, blockysize=TILE, compress="deflate", photometric="rgb", bigtiff="IF_SAFER",
    ) as target:  # fmt: skip
        for top in range(0, side, TILE):
            rows = min(TILE, side - top)
            box = (0.0, top * 64 / side, 64.0, (top + rows) * 64 / side)
            planes = [Image.fromarray(each).resize((side, rows), Image.Resampling.BICUBIC, box) for each in coarse]
            noisy = np.stack(planes) ^ rng.integers(0, 8, (3, rows, side), dtype=np.uint8)
            target.write(noisy, window=Window(0, top, side, rows))
    with rasterio.open(path, "r+") as target:
        target.build_overviews([2, 4, 8, 16], Resampling.average)


def predict(path: Path, options: argparse.Namespace) -> None:
    """Predicts the raster and prints what it took as JSON."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    names = tuple(f"class {index}" for index in range(options.classes))
    network = build_network(
        options.network, widths=options.widths, norm=options.norm, out_channels=options.classes
    ).eval()
    predictor = Predictor(network, ClassMap(names=names, values=tuple((i,) for i in range(options.classes))), ORIGINAL)
    done = predict_raster(predictor, path, path.parent / f"predicted_{options.norm}")
    assert done.cut is not None
    with rasterio.open(path) as image, rasterio.open(done.masks[0]) as mask:
        assert (mask.crs, mask.transform, mask.shape) == (image.crs, image.transform, image.shape)
        assert (mask.block_shapes[0], mask.overviews(1)) == (image.block_shapes[0], image.overviews(1))
    found = {
        "megapixels": done.height * done.width / 1e6,
        "tile": done.cut.tile[0],
        "halo": done.cut.halo_px,
        "work": round(done.cut.work, 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "total_s": round(done.total_s, 1),
        "network_s": round(done.network_s, 1),
        "seam_share": done.seam_share,
    }
    print(json.dumps(found))


def main() -> None:
    """Makes the raster, predicts it, prints a line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--classes", type=int, default=11)
    parser.add_argument("--network", default="unet_nearest")
    parser.add_argument("--widths", type=int, nargs="+", default=[8, 16, 32])
    parser.add_argument("--norm", default="batch")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--predict", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    path = options.folder / f"raster_{options.side}.tif"
    if options.predict:
        predict(path, options)
        return
    if not path.exists():
        write_raster(path, options.side)
    answer = subprocess.run([sys.executable, *sys.argv, "--predict"], check=True, capture_output=True, text=True)
    found = json.loads(answer.stdout.splitlines()[-1])
    per_mp = found["total_s"] / found["megapixels"]
    print(f"{machine_line()}; {path.stat().st_size / 1e6:.0f} MB of GeoTIFF")
    print(
        f"{options.network} {options.widths} {options.norm}, {options.classes} classes, {found['megapixels']:.0f} "
        f"megapixels: peak {found['peak_mb']} MB; {found['total_s']:.0f} s, {per_mp:.2f} s a megapixel, of which the "
        f"network {found['network_s']:.0f} s: {found['total_s'] / found['network_s']:.3f} x its own time; tiles of "
        f"{found['tile']} with a margin of {found['halo']} ({found['work']} x the image's pixels), seams "
        f"{found['seam_share']}"
    )


if __name__ == "__main__":
    main()
