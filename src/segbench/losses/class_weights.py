"""Weights against unequal class frequencies, from pixel counts. No torch.

`"inverse_frequency"` in a config means these, from the counts of the whole training part when `segbench.train` builds
the loss, and from the counts of the batch when a loss is called with the word itself.
"""

from __future__ import annotations

from collections.abc import Sequence


def balanced_pos_weights(positives: Sequence[int], negatives: Sequence[int]) -> list[float]:
    """Returns for each channel negatives / positives: both then weigh the same in the sum; 1 where either is 0.

    Args:
        positives: counted pixels labelled 1, a channel.
        negatives: counted pixels labelled 0, a channel.

    Example:
        >>> balanced_pos_weights([25, 0], [75, 100])
        [3.0, 1.0]
    """
    pairs = zip(positives, negatives, strict=True)
    return [negative / positive if positive and negative else 1.0 for positive, negative in pairs]


def balanced_class_weights(pixels: Sequence[int]) -> list[float]:
    """Returns for each class n / (K * n_class), K being the classes that occur; 1 for a class that does not.

    The weights average 1 over the pixels, so the loss keeps its scale.

    Args:
        pixels: counted pixels of each class.

    Example:
        >>> balanced_class_weights([30, 10, 0])
        [0.6666666666666666, 2.0, 1.0]
    """
    total, present = sum(pixels), sum(count > 0 for count in pixels)
    return [total / (present * count) if count else 1.0 for count in pixels]
