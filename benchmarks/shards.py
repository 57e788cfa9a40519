"""Samples a second of shards against the memory-mapped cache, and what memory each takes. Writes results/shards.md.

Every way runs in a process of its own, once a round, one after the other, so that a busy machine is busy for all of
them. `warm`: the files are in the system's page cache. `cold`: the system was asked to forget them before the epoch,
so that they come from the disk; what the disk's own cache does is not known. Memory is the peak over the epoch less
what the process had before it; pages of the cache that the system maps into the process count, although it may take
them back.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from _machine import machine_line
from segbench.config.run import AugmentConfig
from segbench.data.manifest.read import read_dataset
from segbench.data.samples.cache import build_cache
from segbench.data.samples.shard_cache import ShardCache
from segbench.data.samples.shard_loader import make_loader
from segbench.data.samples.shard_writer import write_shards
from segbench.data.sources.shards import read_shards
from segbench.data.synthetic.write import write_lesions
from segbench.types import SplitName

SIZE = (256, 256)
BUFFER = 256  # a fifth of the samples: what large sets see, for whom filling it is a small part of an epoch
WAYS = ("cache", "raw", "png", "original")
AUGMENT = AugmentConfig(hflip=0.5, rotate_deg=15, scale=(0.8, 1.25), brightness=0.2, contrast=0.2)
RESULT = Path(__file__).parent / "results" / "shards.md"


def main() -> None:
    """Measures, prints and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="Where data, cache and shards are made, and kept for another time.")
    parser.add_argument("--data", type=Path, help="Another data set than drawn lesions.")
    parser.add_argument("--format")
    parser.add_argument("--count", type=int, default=1200, help="Images to draw.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=3, metavar=("WAY", "AUGMENT", "COLD"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.folder, *options.one)))
        return
    data = options.data or options.folder / "lesions"
    if not data.is_dir():
        write_lesions(data, count=options.count)
    made = prepare(options.folder, data, options.format)
    cases = [("none", "warm"), ("none", "cold"), ("affine", "warm")]
    results: dict[tuple[str, str, str], list[dict[str, float]]] = {}
    for _ in range(options.rounds):
        for augment, cold in cases:
            for way in WAYS:
                command = [sys.executable, __file__, str(options.folder), "--one", way, augment, cold]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                results.setdefault((way, augment, cold), []).append(json.loads(done.stdout))
    lines = table(results, cases, made, options.rounds)
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


def prepare(folder: Path, data: Path, data_format: str | None) -> dict[str, Any]:
    """Makes the cache and the shards of each encoding; returns seconds and bytes of each, and the number of samples."""
    manifest = read_dataset(data, data_format)
    everyone: dict[str, SplitName] = {sample.id: "train" for sample in manifest.samples}
    manifest = manifest.with_splits(everyone)
    manifest.write(folder / "manifest.json")
    made: dict[str, Any] = {"samples": len(manifest)}
    for way in WAYS:
        started = time.perf_counter()
        if way == "cache":
            build_cache(manifest, SIZE, folder=folder / "cache")
        else:
            size = None if way == "original" else SIZE
            write_shards(manifest, folder / way, size=size, encoding=way)  # type: ignore[arg-type]
        made[way] = (time.perf_counter() - started, sum(file.stat().st_size for file in files_of(folder, way)))
    return made


def files_of(folder: Path, way: str) -> list[Path]:
    """Returns the files a way reads."""
    return sorted((folder / "cache").rglob("*.npy")) if way == "cache" else sorted((folder / way).glob("*.tar"))


def measure(folder: Path, way: str, augment: str, cold: str) -> dict[str, float]:
    """Returns samples a second and memory of one shuffled epoch."""
    torch.set_num_threads(1)
    if way == "cache":
        manifest = read_dataset(folder / "manifest.json", verify=False)
        cache: Any = build_cache(manifest, SIZE, folder=folder / "cache")
    else:
        manifest = read_shards(folder / way).manifest
        cache = ShardCache.of(manifest, SIZE)
    changes = AUGMENT if augment == "affine" else None
    options: dict[str, Any] = {} if way == "cache" else {"buffer": BUFFER}
    loader = make_loader(cache, manifest.samples, batch_size=16, shuffle=True, augment=changes, **options)
    for file in files_of(folder, way):
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
            if cold == "cold":
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            else:
                while stream.read(1 << 22):
                    continue
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    count = sum(len(batch.ids) for batch in loader.epoch(1))
    seconds = time.perf_counter() - started
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"rate": count / seconds, "memory_mb": memory}


def table(
    results: dict[tuple[str, str, str], list[dict[str, float]]],
    cases: list[tuple[str, str]],
    made: dict[str, Any],
    rounds: int,
) -> list[str]:
    """Returns the lines of the result file."""
    lines = [
        f"{made['samples']} samples at {SIZE[0]} x {SIZE[1]} pixels, batches of 16, shuffled, buffer of {BUFFER} "
        f"samples, 2 decoding threads, median of {rounds} rounds.",
        f"{machine_line()}. Load average at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.",
        "",
        "| read from | augmentation | files | samples/s | of the cache's | peak memory, MB |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for augment, cold in cases:
        for way in WAYS:
            found = results[way, augment, cold]
            pairs = zip(found, results["cache", augment, cold], strict=True)
            ratio = statistics.median(one["rate"] / other["rate"] for one, other in pairs)
            rate = statistics.median(one["rate"] for one in found)
            memory = statistics.median(one["memory_mb"] for one in found)
            name = "cache" if way == "cache" else f"shards, {way}"
            lines.append(f"| {name} | {augment} | {cold} | {rate:.0f} | {ratio:.2f} | {memory:.0f} |")
    lines += ["", "| | seconds to make | MB |", "| --- | --- | --- |"]
    for way in WAYS:
        seconds, size = made[way]
        lines.append(f"| {way} | {seconds:.1f} | {size / 1e6:.0f} |")
    return lines


if __name__ == "__main__":
    main()
