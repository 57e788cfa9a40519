"""A data set divided with what the doctor knows: pictures that look nearly the same stay in one part."""

from __future__ import annotations

from collections import defaultdict

from segbench.config.split import SplitConfig
from segbench.data.manifest.manifest import Manifest
from segbench.data.split.divide import split_manifest
from segbench.doctor.copies import near_pairs
from segbench.doctor.reading import Remembered


def divide(manifest: Manifest, config: SplitConfig) -> Manifest:
    """Returns the manifest divided as `split_manifest` does, near copies kept together unless the config says apart.

    It compares what was remembered when the images were read; pictures that nobody has decoded are not compared.
    """
    return split_manifest(manifest, config, alike=near_copies(manifest) if config.near_copies == "together" else ())


def near_copies(manifest: Manifest) -> list[list[str]]:
    """Returns pairs of ids whose pictures look nearly the same, also mirrored or turned; see `near_pairs`."""
    ids: dict[str, list[str]] = defaultdict(list)
    for sample in manifest.samples:
        ids[str(manifest.image_path(sample))].append(sample.id)
    paths = list({manifest.image_path(sample): None for sample in manifest.samples})
    images, _ = Remembered(manifest.root).images(paths, depth_range=manifest.depth_range, decode=False)
    return [[*ids[str(one)], *ids[str(other)]] for one, other, _ in near_pairs(images)]
