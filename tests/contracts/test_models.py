"""What every network of the table promises."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from segbench.models import MODELS, build_network
from segbench.types import Normalization

NAMES = MODELS.names()


def build(name: str, seed: int = 0, **options: int) -> nn.Module:
    torch.manual_seed(seed)
    return build_network(name, **options)  # type: ignore[arg-type]


def noise(*shape: int, seed: int = 1) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("in_channels", "out_channels", "height", "width"),
    [(3, 1, 65, 70), (1, 2, 64, 64), (4, 7, 16, 16), (3, 7, 17, 31), (3, 1, 255, 301)],
)
def test_any_size_gives_logits_of_the_same_size(
    name: str, in_channels: int, out_channels: int, height: int, width: int
) -> None:
    network = build(name, in_channels=in_channels, out_channels=out_channels).eval()
    with torch.no_grad():
        logits = network(noise(2, in_channels, height, width))
    assert logits.shape == (2, out_channels, height, width)
    assert logits.dtype is torch.float32
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_of_one_trains_at_the_smallest_size(name: str) -> None:
    network = build(name).train()
    loss = network(noise(1, 3, 16, 16)).square().mean()
    loss.backward()
    gradients = [parameter.grad for parameter in network.parameters()]
    assert all(gradient is not None and torch.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_has_a_gradient(name: str) -> None:
    """In evaluation mode: batch statistics would cancel every bias in front of them."""
    network = build(name, out_channels=2).eval()
    network(noise(2, 3, 64, 64)).square().mean().backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert torch.isfinite(parameter.grad).all(), parameter_name
        assert parameter.grad.abs().max() > 0, parameter_name


@pytest.mark.parametrize("name", NAMES)
def test_the_state_dict_carries_the_network(name: str) -> None:
    network, other = build(name, seed=0).train(), build(name, seed=1)
    image = noise(2, 3, 32, 48)
    network(image)  # moves the running statistics
    assert not torch.equal(network.eval()(image), other.eval()(image))
    other.load_state_dict(network.state_dict(), strict=True)
    assert torch.equal(network(image), other(image))


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_decides_the_weights(name: str) -> None:
    first, again, other = (build(name, seed=seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("name", NAMES)
def test_channels_last_changes_nothing(name: str) -> None:
    network = build(name).eval()
    image = noise(2, 3, 48, 40)
    with torch.no_grad():
        expected = network(image)
        last = network.to(memory_format=torch.channels_last)(image.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(last, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_autocast_stays_close(name: str) -> None:
    network = build(name).eval()
    image = noise(1, 3, 33, 32)
    with torch.no_grad():
        expected = network(image)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = network(image)
    assert logits.shape == expected.shape
    assert (logits.float() - expected).abs().max() < 0.05 * (1 + expected.abs().max())


@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_logits_and_attributes_are_there(name: str) -> None:
    network = build(name, in_channels=4, out_channels=7).eval()
    with torch.no_grad():
        logits = torch.cat([network(noise(2, 4, 64, 64, seed=seed) * 4 - 2) for seed in range(3)])
    assert logits.min() < 0 < logits.max(), "an activation at the end?"
    assert (network.in_channels, network.out_channels) == (4, 7)
    assert isinstance(network.stride, int)
    assert network.stride >= 1
    assert isinstance(network.normalization, Normalization)
    assert len(network.normalization.mean) == 4


@pytest.mark.parametrize("name", NAMES)
def test_wrong_inputs_are_refused(name: str) -> None:
    network = build(name)
    with pytest.raises(ValueError, match=r"3 input channels.* 2"):
        network(noise(1, 2, 64, 64))
    with pytest.raises(ValueError, match=r"16 x 16.* 12 x 64"):
        network(noise(1, 3, 12, 64))


@pytest.mark.parametrize("name", NAMES)
def test_every_network_is_described(name: str) -> None:
    assert len(MODELS.summary(name)) > 20
    assert MODELS.options(name)[:2] == ["in_channels", "out_channels"]
