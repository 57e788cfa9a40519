"""What a config's `data` section asks of the samples: which caches are filled. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from segbench.config.run import AugmentConfig, DataConfig
from segbench.data.files.kept import KeptPixels
from segbench.data.manifest.manifest import Manifest
from segbench.data.samples.cache import build_cache, larger_sizes
from segbench.data.samples.sample_cache import SampleCache
from segbench.data.samples.shard_cache import ShardCache
from segbench.errors import ConfigError
from segbench.types import ORIGINAL, Progress, Size


@dataclass(frozen=True)
class DecodedSamples:
    """A data set's decoded samples, as a training reads them.

    Attributes:
        cache: at `data.size`.
        larger: larger versions for zooming in; None where nothing asks for them.
        patch: (H, W) of the windows to train on; None trains on whole images.
    """

    cache: SampleCache
    larger: SampleCache | None = None
    patch: tuple[int, int] | None = None


def decode_samples(
    data: DataConfig, manifest: Manifest, *, kept: KeptPixels | None = None, progress: Progress | None = None
) -> DecodedSamples:
    """Returns the samples of a manifest as a config asks for them; only what is missing in the caches is decoded.

    Args:
        data: of the config.
        manifest: of the samples.
        kept: what `read_dataset` has decoded already.
        progress: called after every decoded sample.
    Raises:
        ConfigError: patches, or larger versions, are asked of packed data.
        DatasetError: see `build_cache`.
    """
    folder = Path(data.cache_dir) if data.cache_dir else None
    cache = build_cache(manifest, data.size, folder=folder, kept=kept, progress=progress)
    if data.patch is not None and isinstance(cache, ShardCache):
        raise ConfigError(
            "packed data (shards) are read from front to back, whole images, so no patches are cut from them; give the "
            "data set itself, or leave data.patch out",
            key="data.patch",
        )
    larger = None
    zoom = zoom_wanted(data.augment, data.size, manifest)
    if zoom > 1.0:
        larger = build_cache(manifest, data.size, zoom=zoom, folder=folder, progress=progress)
    return DecodedSamples(cache, larger, data.patch)


def zoom_wanted(augment: AugmentConfig, size: Size, manifest: Manifest) -> float:
    """Returns how much larger than `size` images are read for zooming in; 1 where nothing is to be gained."""
    zoom = augment.scale[1] if augment.scale_p else 1.0
    if augment.detail != ORIGINAL or size == ORIGINAL or zoom <= 1.0:
        return 1.0
    gained = any(larger != tuple(size) for larger in larger_sizes(manifest, size, zoom).values())
    return zoom if gained else 1.0


def decoded_bytes(data: DataConfig, manifest: Manifest) -> int:
    """Returns how much space the caches of a config need."""
    each = manifest.channels + (manifest.class_map.num_classes if manifest.class_map.task == "multilabel" else 1)
    zoom = zoom_wanted(data.augment, data.size, manifest)
    pixels = 0
    for factor in {1.0, zoom}:
        pixels += sum(height * width for height, width in larger_sizes(manifest, data.size, factor).values())
    return pixels * each
