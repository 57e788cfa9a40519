"""A forward pass that leaves the network as it was, and what it keeps in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call

from segbench.models.describe.trace import StorageKey, storage_key


def tensors_for(network: nn.Module, device: torch.device) -> dict[str, Tensor]:
    """Returns parameters and buffers where the image is; without numbers where it has none."""
    named: dict[str, Tensor] = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    if device.type != "meta":
        return named
    return {
        name: torch.empty_like(tensor, device="meta", requires_grad=tensor.requires_grad)
        for name, tensor in named.items()
    }


@contextmanager
def mode(network: nn.Module, *, training: bool) -> Iterator[None]:
    """Puts every module into one mode and back; attention runs as ordinary operators, which can be followed."""
    before = [(module, module.training) for module in network.modules()]
    fast = torch.backends.mha.get_fastpath_enabled()
    network.train(training)
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for module, own in before:
            module.training = own


def kept_for_training(network: nn.Module, image: Tensor) -> float:
    """Returns the bytes that one image's forward pass in training mode keeps for the backward pass."""
    smallest = getattr(network, "smallest_training_batch", 1)
    try:
        return _kept(network, image, smallest)
    except ValueError as error:
        if "more than 1 value per channel" not in str(error) or smallest > 1:
            raise
        return _kept(network, image, 2)  # a foreign network that normalises maps of one pixel


def _kept(network: nn.Module, image: Tensor, batch_size: int) -> float:
    """Returns the bytes, an image of the batch.

    Tensors are weighed as they are put aside and not kept, so this needs no more memory than inference.
    """
    tensors = tensors_for(network, image.device)
    buffers = {name for name, _ in network.named_buffers()}
    tensors = {name: tensor.clone() if name in buffers else tensor for name, tensor in tensors.items()}
    own = {storage_key(tensor) for tensor in tensors.values()}
    kept: dict[StorageKey, int] = {}  # weak references, so that no storage of the pass takes another's place

    def weigh(tensor: Tensor) -> None:
        key = storage_key(tensor)
        if key not in own:
            kept[key] = tensor.untyped_storage().nbytes()

    with ExitStack() as stack:
        stack.enter_context(mode(network, training=True))
        stack.enter_context(torch.random.fork_rng([image.device] if image.device.type == "cuda" else []))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(torch.autograd.graph.saved_tensors_hooks(weigh, _never_read))
        functional_call(network, tensors, (image.repeat(batch_size, 1, 1, 1),))
    return sum(kept.values()) / batch_size


def _never_read(_: None) -> Tensor:
    raise RuntimeError("nothing was kept for a backward pass")
