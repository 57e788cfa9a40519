"""BatchNorm's means and variances, estimated anew from the training part before a network is validated or saved.

While a network trains, BatchNorm keeps a moving average of the statistics of its batches, which lags some ten steps
behind the weights. Where an epoch has few steps, the weights have moved on by then, and evaluation mode shows a network
that nobody trained: validation scores of 0 for one that has learned.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from segbench.config.length import RunPlan
from segbench.config.run import RunConfig

# `auto` recomputes up to so many steps an epoch. With torch's momentum of 0.1 the average forgets what is older than
# some 40 steps; a hundred leave it the time to settle, and below, the extra passes cost little.
FEW_STEPS = 100
# Every pixel of a batch counts, so a mean is known well after some hundred images; large sets need not be gone through.
MOST_BATCHES = 32


def is_recomputed(config: RunConfig, plan: RunPlan) -> bool:
    """Tells whether statistics are estimated anew: as `norm_statistics` says; `auto`: where steps are few, or averaged.

    Weights that are averaged from epoch to epoch (`swa_start`) were never run, so that nothing else knows their
    statistics.
    """
    if config.norm_statistics == "auto":
        return plan.passes_per_epoch * plan.steps_per_pass <= FEW_STEPS or config.swa_start is not None
    return config.norm_statistics == "recomputed"


def learning_norms(network: nn.Module) -> tuple[str, ...]:
    """Returns the names of the BatchNorm layers whose statistics move in training now; those of a frozen part do not.

    Args:
        network: in training mode, apart from what is frozen.
    """
    return tuple(
        name
        for name, module in network.named_modules()
        if isinstance(module, _BatchNorm) and module.training and module.track_running_stats
    )


@torch.no_grad()
def recompute(network: nn.Module, forward: nn.Module, names: Sequence[str], images: Iterable[Tensor]) -> None:
    """Sets running means and variances of some layers to the plain average over batches, in place.

    As `torch.optim.swa_utils.update_bn` does (Izmailov et al. 2018; "precise BN" in Wu and Johnson 2021), but only the
    named layers leave evaluation mode: what is frozen stays as it is bit by bit, dropout is off as in evaluation, and
    torch's random state does not move. Layers that see nothing in evaluation mode (auxiliary heads) keep what they had.

    Args:
        network: whose layers are set; it is left in evaluation mode.
        forward: runs the network; may wrap mixed precision.
        names: of BatchNorm layers, as `learning_norms` gives them.
        images: batches (B, C, H, W), normalised, as the network takes them.
    """
    layers = [layer for name in names if isinstance(layer := network.get_submodule(name), _BatchNorm)]
    before = [{key: value.clone() for key, value in layer.state_dict().items()} for layer in layers]
    momenta = [layer.momentum for layer in layers]
    network.eval()
    for layer in layers:
        layer.train()
        layer.reset_running_stats()
        layer.momentum = None  # torch: a plain average over the batches
    for batch in images:
        forward(batch)
    for layer, momentum, kept in zip(layers, momenta, before, strict=True):
        layer.momentum = momentum
        if not layer.num_batches_tracked:
            layer.load_state_dict(kept)
    network.eval()
