"""Losses by name, alone or as a weighted sum. Importing this package does not import torch; building a loss does.

Every loss takes raw logits (B, C, H, W) and an integer target and returns a scalar float32, averaged over what counts
(pixels, regions or images); float16 and bfloat16 logits are computed in float32. The shapes decide the task, see
`segbench.types`:

============  ==================  ==============================
task          logits              target
============  ==================  ==============================
binary        (B, 1, H, W)        (B, H, W) or (B, 1, H, W)
multiclass    (B, C > 1, H, W)    (B, H, W)
multilabel    (B, C > 1, H, W)    (B, C, H, W), a plane a class
============  ==================  ==============================

No loss is below 0 but for rounding, and a right and confident prediction costs 0 (cross-entropy with `label_smoothing`
costs more than that). Ignored pixels change neither value nor gradient. Where every pixel is ignored the loss is 0 and
so is its gradient. Values and gradients are finite for logits of up to 1e4 in size. docs/reference/losses.md compares
them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench.config.loss import LossTerm, parse_loss
from segbench.errors import ConfigError
from segbench.registry import Registry
from segbench.types import IGNORE_INDEX

if TYPE_CHECKING:
    from segbench.losses.weighted_sum import WeightedSum

__all__ = ["LOSSES", "build_loss", "check_term"]

LOSSES = Registry(
    "loss",
    {
        "bce": "segbench.losses.bce:BCE",
        "boundary": "segbench.losses.boundary:Boundary",
        "cross_entropy": "segbench.losses.cross_entropy:CrossEntropy",
        "dice": "segbench.losses.dice:Dice",
        "focal": "segbench.losses.focal:Focal",
        "focal_tversky": "segbench.losses.focal_tversky:FocalTversky",
        "hausdorff_dt": "segbench.losses.hausdorff_dt:HausdorffDT",
        "jaccard": "segbench.losses.jaccard:Jaccard",
        "lovasz": "segbench.losses.lovasz:Lovasz",
        "ohem": "segbench.losses.ohem:OHEM",
        "pixel_dice": "segbench.losses.pixel_dice:PixelDice",
        "structural_similarity": "segbench.losses.structural_similarity:StructuralSimilarity",
        "top_k": "segbench.losses.top_k:TopK",
        "tversky": "segbench.losses.tversky:Tversky",
    },
    options_key="loss.{name}",
)


def check_term(term: LossTerm) -> None:
    """Raises ConfigError for an unknown loss, an option it does not have, or a value of a wrong type."""
    LOSSES.check(term.name, term.options, reserved=("ignore_index",))


def build_loss(spec: object, *, ignore_index: int = IGNORE_INDEX) -> WeightedSum:
    """Returns the loss, an `nn.Module` called with (logits, target).

    It also has `tasks`, what all its terms can be used for; `terms`, the parsed spec; `components(logits, target)`, the
    unweighted value of each term by name; and `set_epoch(epoch)` for weights that move over the epochs, which are the
    final ones until it is called.

    Args:
        spec: every form of `segbench.config.loss.parse_loss`: `"dice"`, `{"dice": 0.3, "bce": 0.7}`,
            `{"focal": {"gamma": 2, "weight": 0.5}, "dice": 0.5}`,
            `{"dice": 1, "boundary": {"weight": {"start": 0, "end": 0.5, "epochs": 20}}}`.
        ignore_index: the label of pixels that do not count.
    Raises:
        ConfigError: unknown name or option (with close names), a value a loss refuses, or terms without a common task.

    Example:
        >>> import torch
        >>> import segbench
        >>> loss = segbench.build_loss({"dice": 0.5, "bce": 0.5})
        >>> value = loss(torch.zeros(1, 1, 4, 4), torch.ones(1, 4, 4, dtype=torch.int64))
        >>> round(value.item(), 3)
        0.513
    """
    terms = parse_loss(spec)
    if len({term.name for term in terms}) < len(terms):
        raise ConfigError(f"a loss is named twice: {', '.join(term.name for term in terms)}", key="loss")
    for term in terms:
        check_term(term)
    from segbench.losses.weighted_sum import WeightedSum  # imports torch

    losses = []
    for term in terms:
        try:
            losses.append(LOSSES.get(term.name)(ignore_index=ignore_index, **term.options))
        except (ValueError, TypeError) as error:
            raise ConfigError(str(error), key=LOSSES.key_of(term.name, getattr(error, "option", ""))) from error
    total = WeightedSum(terms, losses)
    if not total.tasks:
        claims = "; ".join(
            f"{term.name}: {', '.join(sorted(loss.tasks))}" for term, loss in zip(terms, losses, strict=True)
        )
        raise ConfigError(f"the losses have no task in common ({claims}); leave one out", key="loss")
    return total
