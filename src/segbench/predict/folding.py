"""A network made quicker for prediction without changing what it says: batch normalisation inside the convolutions."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

_TRIAL_PX = (64, 96)
_LARGEST_DIFFERENCE = 1e-4  # of the trial's logits, relative to the largest of them; a wrong fold is far beyond it


def folded(network: nn.Module, channels: int) -> nn.Module:
    """Returns a copy in evaluation mode whose batch normalisations are part of the convolutions before them.

    In evaluation mode both are linear, so the logits are the same but for rounding. Which convolution stands before
    which normalisation is seen by trying the network out; where another layer uses what is in between, it shows in the
    trial's logits, and the copy stays as it was. Weights lie channels last, which is how pixels come out of a file.

    Args:
        network: on any device; left as it is.
        channels: of its images.
    """
    plain = copy.deepcopy(network).eval().requires_grad_(False).to(memory_format=torch.channels_last)
    device = next((parameter.device for parameter in plain.parameters()), torch.device("cpu"))
    trial = torch.rand(1, channels, *_TRIAL_PX, generator=torch.Generator().manual_seed(0)).to(device)
    with torch.no_grad():
        pairs, expected = _pairs(plain, trial)
        if not pairs:
            return plain
        quick = copy.deepcopy(plain)
        for convolution, normalization in pairs:
            _fold(quick, convolution, normalization)
        quick = quick.requires_grad_(False).to(memory_format=torch.channels_last)
        difference = (quick(trial) - expected).abs().max()
    return quick if difference <= _LARGEST_DIFFERENCE * expected.abs().max().clamp(min=1.0) else plain


def _pairs(network: nn.Module, image: Tensor) -> tuple[list[tuple[str, str]], Tensor]:
    """Returns the names of convolutions and of the normalisations that take their outputs, and the logits."""
    calls: list[tuple[nn.Module, Tensor, Tensor]] = []  # keeps the tensors, so that each has an id of its own

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if inputs and isinstance(inputs[0], Tensor) and isinstance(output, Tensor):
            calls.append((module, inputs[0], output))

    names = {module: name for name, module in network.named_modules()}
    watched = [module for module in names if isinstance(module, nn.BatchNorm2d) or not any(module.children())]
    hooks = [module.register_forward_hook(note) for module in watched]
    try:
        logits = network(image)
    finally:
        for hook in hooks:
            hook.remove()
    times = Counter(module for module, _, _ in calls)
    makers = {id(output): module for module, _, output in calls}
    pairs = [
        (names[makers[id(inputs)]], names[module])
        for module, inputs, _ in calls
        if _is_foldable(module) and id(inputs) in makers and _takes_it(makers[id(inputs)])
        if times[module] == times[makers[id(inputs)]] == 1
    ]
    return pairs, logits


def _is_foldable(module: nn.Module) -> bool:
    """Tells whether a module is a batch normalisation over stored statistics; timm's may have an activation behind."""
    known = type(module) is nn.BatchNorm2d or type(module).__name__ == "BatchNormAct2d"
    return known and getattr(module, "running_mean", None) is not None


def _takes_it(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d) or (isinstance(module, nn.ConvTranspose2d) and module.groups == 1)


def _fold(network: nn.Module, convolution: str, normalization: str) -> None:
    before: Any = network.get_submodule(convolution)
    after: Any = network.get_submodule(normalization)
    _replace(network, convolution, fuse_conv_bn_eval(before, after, transpose=isinstance(before, nn.ConvTranspose2d)))
    activation = getattr(after, "act", None)
    _replace(network, normalization, activation if isinstance(activation, nn.Module) else nn.Identity())


def _replace(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, module)
