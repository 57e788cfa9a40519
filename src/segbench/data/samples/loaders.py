"""The loader that goes with decoded samples: for learning, and for scoring."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from segbench.config.augment import AugmentConfig
from segbench.data.samples.decoded import DecodedSamples
from segbench.data.samples.loader import BatchLoader
from segbench.data.samples.shard_loader import make_loader
from segbench.data.samples.window_loader import WindowLoader
from segbench.types import Sample


def learning_loader(
    decoded: DecodedSamples, samples: Sequence[Sample], *, augment: AugmentConfig | None, **options: Any
) -> BatchLoader:
    """Returns batches as the network learns from them: whole images or patches, changed as `augment` says.

    Args:
        decoded: of these samples.
        samples: see `BatchLoader`, as `options`.
        augment: changes of the images; None leaves them, or their windows, as they are.
    """
    larger = None if augment is None else decoded.larger
    if decoded.patch is None and larger is None:
        return make_loader(decoded.cache, samples, augment=augment, **options)
    return WindowLoader(decoded.cache, samples, augment=augment, patch=decoded.patch, larger=larger, **options)


def whole_loader(decoded: DecodedSamples, samples: Sequence[Sample], *, batch_size: int, **options: Any) -> BatchLoader:
    """Returns whole images, unchanged; one at a time where the network goes over them in tiles.

    Args:
        decoded: of these samples.
        samples: see `BatchLoader`, as `options`.
        batch_size: samples a batch, where they are not gone over in tiles.
    """
    return make_loader(decoded.cache, samples, batch_size=batch_size if decoded.patch is None else 1, **options)
