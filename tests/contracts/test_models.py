"""What every network of the table promises."""

from __future__ import annotations

import copy
import functools
from typing import Any

import pytest
import torch
from torch import Tensor

from segbench.errors import ConfigError
from segbench.models import MODELS, RESERVED, build_network
from segbench.models.base import SegmentationNetwork
from segbench.types import Normalization, WeightsOrigin

NAMES = MODELS.names()

# Options that keep the contract fast; what they leave out is tested for that network in tests/models/.
LIGHT: dict[str, dict[str, Any]] = {
    "hypercolumn": {"encoder": "tu-test_resnet"},
    "smp/deeplabv3": {"encoder": "tu-test_resnet", "decoder_channels": 32},
    "smp/deeplabv3plus": {"encoder": "tu-test_resnet", "decoder_channels": 32},
    "smp/dpt": {"encoder": "tu-test_vit", "decoder_channels": 32, "reassemble_channels": [16, 32, 64, 64]},
    "smp/fpn": {"encoder": "tu-test_resnet", "pyramid_channels": 32, "decoder_channels": 32},
    "smp/linknet": {"encoder": "tu-test_resnet"},
    "smp/manet": {"encoder": "tu-test_resnet", "decoder_channels": [64, 32, 32, 16, 16]},
    "smp/pan": {"encoder": "tu-test_resnet"},
    "smp/pspnet": {"encoder": "resnet18", "decoder_channels": 64},
    "smp/segformer": {"decoder_channels": 32},
    "smp/unet": {"encoder": "tu-tf_efficientnet_lite0", "decoder_channels": [64, 32, 32, 16, 16]},
    "smp/unetplusplus": {"encoder": "tu-test_resnet", "decoder_channels": [64, 32, 32, 16, 16]},
    "smp/upernet": {"encoder": "tu-test_convnext", "decoder_channels": 32},
    "trans_unet": {"layers": [1, 1, 1], "width": 32, "embed_dim": 64, "depth": 2, "heads": 2},
}

# Whose contract takes more than two seconds of a processor; `make quick` leaves them out.
SLOW = {"aspp_net", "deeplabv3_resnet50", "fcn_resnet50", "sliding_window", *LIGHT} - {"smp/linknet", "trans_unet"}


# Options that make another network of the same name; each keeps the contract, too.
VARIANTS: dict[str, dict[str, Any]] = {
    "unet:attention": {"skip": "attention", "upsampling": "bilinear"},
    "unet:aff": {"skip": "aff", "upsampling": "bicubic"},
    "unet:deep_supervision": {"deep_supervision": True, "residual": True, "dropout": 0.2, "norm": "group"},
}


def build(case: str, seed: int = 0, **options: Any) -> SegmentationNetwork:
    torch.manual_seed(seed)
    name = case.partition(":")[0]
    return build_network(name, **VARIANTS.get(case, LIGHT.get(name, {})), **options)


@functools.lru_cache(maxsize=1)
def _built(case: str) -> SegmentationNetwork:
    return build(case)


def fresh(case: str) -> SegmentationNetwork:
    """Returns a network of three channels and one output as `build` makes it; a copy takes a tenth of the time."""
    return copy.deepcopy(_built(case))


def noise(*shape: int, seed: int = 1) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def outputs(network: SegmentationNetwork, image: Tensor) -> tuple[Tensor, ...]:
    """Returns the logits and, in training mode, the auxiliary ones."""
    found = network(image)
    return (found,) if isinstance(found, Tensor) else found


# The scope puts the tests of one network next to each other.
every_network = pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in [*NAMES, *VARIANTS]],
    scope="module",
)


@every_network
@pytest.mark.parametrize(
    ("in_channels", "out_channels", "height", "width"),
    [
        (3, 1, 65, 70),
        (1, 2, 64, 64),
        (16, 7, 32, 32),
        (3, 7, 33, 47),
        pytest.param(3, 1, 255, 301, marks=pytest.mark.slow),
    ],
)
def test_any_size_gives_logits_of_the_same_size(
    name: str, in_channels: int, out_channels: int, height: int, width: int
) -> None:
    network = build(name, in_channels=in_channels, out_channels=out_channels).eval()
    batch = 1 if height > 200 else 2
    with torch.no_grad():
        logits = network(noise(batch, in_channels, height, width))
    assert logits.shape == (batch, out_channels, height, width)
    assert logits.dtype is torch.float32
    assert torch.isfinite(logits).all()


@every_network
def test_the_smallest_batch_trains_at_the_smallest_size(name: str) -> None:
    network = fresh(name).train()
    batch = network.smallest_training_batch
    found = outputs(network, noise(batch, 3, 32, 32))
    assert len(found) == 1 + len(network.auxiliary_weights)
    assert all(logits.shape == (batch, 1, 32, 32) for logits in found)
    torch.stack(found).square().mean().backward()
    gradients = [parameter.grad for parameter in network.parameters()]
    assert all(gradient is not None and torch.isfinite(gradient).all() for gradient in gradients)
    if batch > 1:
        with pytest.raises(ValueError, match="raise batch_size"):
            network(noise(batch - 1, 3, 32, 32))
        network.eval()(noise(batch - 1, 3, 32, 32))


@every_network
def test_every_parameter_has_a_gradient(name: str) -> None:
    """In evaluation mode: batch statistics would cancel every bias in front of them. Auxiliary heads only train."""
    network = build(name, out_channels=2).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():  # some layers begin at exactly 0, and nothing flows through them
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    image = noise(2, 3, 64, 64)
    network(image).square().mean().backward()
    if network.auxiliary_weights:
        torch.stack(outputs(network.train(), image)[1:]).square().mean().backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert torch.isfinite(parameter.grad).all(), parameter_name
        assert parameter.grad.abs().max() > 0, parameter_name


@every_network
def test_the_state_dict_carries_the_network(name: str) -> None:
    network, other = fresh(name).train(), build(name, seed=1)
    image = noise(2, 3, 32, 48)
    network(image)  # moves the running statistics
    with torch.no_grad():
        assert not torch.equal(network.eval()(image), other.eval()(image))
        other.load_state_dict(network.state_dict(), strict=True)
        assert torch.equal(network(image), other(image))


@every_network
def test_the_seed_decides_the_weights(name: str) -> None:
    first, again, other = (build(name, seed=seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@every_network
def test_channels_last_changes_nothing(name: str) -> None:
    network = fresh(name).eval()
    image = noise(2, 3, 48, 40)
    with torch.no_grad():
        expected = network(image)
        last = network.to(memory_format=torch.channels_last)(image.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(last, expected, atol=1e-4, rtol=1e-4)


@every_network
def test_mixed_precision_stays_close(name: str) -> None:
    network = fresh(name).eval()
    image = noise(1, 3, 33, 32)
    with torch.no_grad():
        expected = network(image)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = network(image)
    assert logits.shape == expected.shape
    assert (logits.float() - expected).abs().max() < 0.05 * (1 + expected.abs().max())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@every_network
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_mixed_precision_trains_on_cuda(name: str, dtype: torch.dtype) -> None:
    network = fresh(name).cuda().train()
    image = noise(2, 3, 65, 70).cuda()
    with torch.autocast("cuda", dtype=dtype):
        found = outputs(network, image)
    torch.stack(found).float().square().mean().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters() if parameter.grad is not None)


@pytest.mark.slow
@every_network
def test_it_exports_to_a_graph(name: str) -> None:
    """A program without Python: what torch.export, and from it ONNX and others, can take along."""
    network = fresh(name).eval()
    image = noise(1, 3, 64, 96)
    program = torch.export.export(network, (image,), strict=False)
    with torch.no_grad():
        torch.testing.assert_close(program.module()(image), network(image), atol=1e-4, rtol=1e-4)


@every_network
def test_outputs_are_logits_and_attributes_are_there(name: str) -> None:
    network = build(name, in_channels=4, out_channels=7).eval()
    with torch.no_grad():
        logits = torch.cat([network(noise(2, 4, 64, 64, seed=seed) * 4 - 2) for seed in range(3)])
    assert logits.min() < 0 < logits.max(), "an activation at the end?"
    assert (network.in_channels, network.out_channels) == (4, 7)
    assert network.stride >= 1
    assert isinstance(network.normalization, Normalization)
    assert len(network.normalization.mean) == 4
    assert network.weights_origin == WeightsOrigin.random()


@every_network
def test_the_encoder_is_part_of_the_network(name: str) -> None:
    """What `freeze: encoder` freezes: some of the parameters, never all, never twice."""
    network = fresh(name)
    everything = {id(parameter) for parameter in network.parameters()}
    frozen = [id(parameter) for module in network.encoder_modules() for parameter in module.parameters()]
    assert len(frozen) == len(set(frozen))
    assert set(frozen) < everything


@every_network
def test_wrong_inputs_are_refused(name: str) -> None:
    network = fresh(name)
    with pytest.raises(ValueError, match=r"3 input channels.* 2"):
        network(noise(2, 2, 64, 64))
    with pytest.raises(ValueError, match=r"32 x 32.* 31 x 64"):
        network(noise(2, 3, 31, 64))
    with pytest.raises(ConfigError, match="in_channels must be"):
        build(name, in_channels=17)


@every_network
def test_every_network_is_described(name: str) -> None:
    name = name.partition(":")[0]
    assert len(MODELS.summary(name)) > 20
    assert set(MODELS.options(name)) >= set(RESERVED[:2])
    assert set(LIGHT.get(name, {})) <= set(MODELS.options(name)) - set(RESERVED)
