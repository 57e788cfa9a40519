"""The U-Net family: exact parameter counts, padding, unpooling, options and their errors."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from segbench.errors import ConfigError
from segbench.models import MODELS, _blocks, build_network
from segbench.models.unet import UNet

S1_COUNTS = {"segnet": 736_129, "unet_unpool": 931_969, "unet_nearest": 931_969, "unet_strided": 1_107_009}


@pytest.mark.parametrize(("name", "count"), S1_COUNTS.items())
def test_parameter_counts_are_the_homeworks(name: str, count: int) -> None:
    network = build_network(name)
    assert sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad) == count


def test_layers_are_the_homeworks() -> None:
    """Written out from the specification: every convolution's shape, from input to output."""
    convolutions = [m for m in build_network("unet_unpool").modules() if isinstance(m, nn.Conv2d)]
    shapes = {(c.in_channels, c.out_channels) for c in convolutions}
    encoder = {(3, 16), (16, 16), (16, 32), (32, 32), (32, 64), (64, 64), (64, 128), (128, 128)}
    decoder = {(256, 128), (128, 64), (128, 64), (64, 32), (64, 32), (32, 16), (32, 16), (16, 1)}
    assert shapes == encoder | decoder
    assert len(convolutions) == 17
    assert all(c.padding_mode == "reflect" and c.kernel_size == (3, 3) and c.bias is not None for c in convolutions)


def test_default_initialisation_is_pytorchs() -> None:
    torch.manual_seed(5)
    ours = _blocks.SameConv2d(3, 4, padding_mode="reflect")
    torch.manual_seed(5)
    theirs = nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect")
    assert torch.equal(ours.weight, theirs.weight)
    image = torch.randn(2, 3, 9, 7)
    assert torch.equal(ours(image), theirs(image))


def test_encoder_decoder_equals_a_network_written_by_hand() -> None:
    """One stage, with skip and unpooling, against the formula."""
    torch.manual_seed(0)
    network = UNet(widths=(4,), upsampling="unpool", out_channels=2).eval()
    image = torch.randn(1, 3, 16, 16)
    fine = network.encoder[0](image)
    pooled, indices = nn.MaxPool2d(2, return_indices=True)(fine)
    up = nn.MaxUnpool2d(2)(network.bottleneck(pooled), indices)
    expected = network.decoder[0](torch.cat([up, fine], 1))
    assert torch.equal(network(image), expected)


def test_unpooling_puts_values_where_the_maxima_were() -> None:
    plane = torch.tensor([[[[1.0, 2.0, 0.0, 0.0], [0.0, 0.0, 7.0, 0.0], [5.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 3.0]]]])
    pooled, indices = F.max_pool2d(plane, 2, return_indices=True)
    expected = torch.tensor([[0.0, 20.0, 0, 0], [0, 0, 70.0, 0], [50.0, 0, 0, 0], [0, 0, 0, 30.0]])
    assert torch.equal(_blocks.max_unpool(10 * pooled, indices)[0, 0], expected)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_deterministic_forms_equal_torchs(memory_format: torch.memory_format) -> None:
    """What CUDA uses when it must be deterministic gives torch's own values and gradients."""
    x = torch.randn(2, 3, 6, 8, dtype=torch.float64).contiguous(memory_format=memory_format).requires_grad_()
    padding = (1, 5, 0, 2)
    ours, theirs = _blocks._pad_reflect_by_parts(x, padding), F.pad(x, padding, mode="reflect")
    assert torch.equal(ours, theirs)
    weight = torch.randn_like(theirs)
    (ours_grad,), (theirs_grad,) = (torch.autograd.grad(y, x, weight) for y in (ours, theirs))
    torch.testing.assert_close(ours_grad, theirs_grad)
    pooled, indices = F.max_pool2d(x.detach(), 2, return_indices=True)
    pooled.requires_grad_()
    ours, theirs = _blocks._max_unpool_by_scatter(pooled, indices), F.max_unpool2d(pooled, indices, 2)
    assert torch.equal(ours, theirs)
    (ours_grad,), (theirs_grad,) = (torch.autograd.grad(y, pooled, x.detach()) for y in (ours, theirs))
    assert torch.equal(ours_grad, theirs_grad)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", S1_COUNTS)
def test_trains_deterministically_on_cuda(name: str) -> None:
    network = build_network(name).cuda()
    torch.use_deterministic_algorithms(True)
    try:
        network(torch.randn(2, 3, 40, 33, device="cuda")).square().mean().backward()
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(("height", "width"), [(2, 3), (16, 16), (17, 31), (33, 70)])
def test_padding_is_numpys_reflection(height: int, width: int) -> None:
    image = torch.randn(1, 2, height, width)
    padded = _blocks.pad_to_stride(image, 16, smallest_px=32)
    down, right = padded.shape[2] - height, padded.shape[3] - width
    expected = np.pad(image.numpy(), ((0, 0), (0, 0), (0, down), (0, right)), mode="reflect")
    assert padded.shape[2] % 16 == 0
    assert padded.shape[3] % 16 == 0
    assert down < 16 or padded.shape[2] == 32
    assert np.array_equal(padded.numpy(), expected)


def test_padding_leaves_fitting_images_alone() -> None:
    image = torch.randn(1, 2, 32, 48)
    assert _blocks.pad_to_stride(image, 16, smallest_px=32) is image


def test_a_padded_image_gives_the_cropped_logits() -> None:
    torch.manual_seed(0)
    network = build_network("unet_nearest", widths=[4, 8]).eval()
    image = torch.randn(1, 3, 18, 21)
    by_hand = F.pad(image, (0, 3, 0, 2), mode="reflect")
    assert torch.equal(network(image), network(by_hand)[..., :18, :21])


@pytest.mark.parametrize("skip", ["concat", "none"])
@pytest.mark.parametrize(
    ("downsampling", "upsampling"),
    [("max", "nearest"), ("max", "unpool"), ("max", "transposed"), ("strided", "nearest"), ("strided", "transposed")],
)
def test_every_combination_of_the_family_works(downsampling: str, upsampling: str, skip: str) -> None:
    network = UNet(widths=(4, 6), downsampling=downsampling, upsampling=upsampling, skip=skip)
    assert network(torch.randn(2, 3, 20, 20)).shape == (2, 1, 20, 20)


@pytest.mark.parametrize("norm", ["batch", "group", "none"])
@pytest.mark.parametrize("padding_mode", ["reflect", "replicate", "zeros", "circular"])
def test_norms_and_padding_modes(norm: str, padding_mode: str) -> None:
    network = build_network("unet_strided", widths=[6, 12], norm=norm, padding_mode=padding_mode)
    assert torch.isfinite(network(torch.randn(1, 3, 16, 17))).all()


def test_seven_stages_on_the_smallest_image() -> None:
    network = build_network("unet_nearest", widths=[2] * 7)
    assert network.stride == 128
    assert network(torch.randn(1, 3, 16, 16)).shape == (1, 1, 16, 16)


@pytest.mark.parametrize(
    ("options", "key", "words"),
    [
        ({"widths": []}, "network.widths", "1 to 7"),
        ({"widths": 3}, "network.widths", "1 to 7"),
        ({"widths": [8, 0]}, "network.widths", "above 0, got 0"),
        ({"widths": [8, 2.5]}, "network.widths", "got 2.5"),
        ({"norm": "instance"}, "network.norm", "batch, group, none, got 'instance'"),
        ({"padding_mode": "mirror"}, "network.padding_mode", "reflect"),
        ({"widht": [8]}, "network.widht", "did you mean 'widths'"),
        ({"in_channels": 0}, "network.in_channels", "above 0"),
        ({"out_channels": True}, "network.out_channels", "got True"),
    ],
)
def test_wrong_options_name_their_key(options: dict[str, object], key: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        build_network("unet_nearest", **options)  # type: ignore[arg-type]
    assert caught.value.key == key


def test_unknown_network_suggests_names() -> None:
    with pytest.raises(ConfigError, match="did you mean 'segnet'"):
        build_network("segnett")


def test_unpooling_needs_max_pooling() -> None:
    with pytest.raises(ValueError, match='needs the positions of downsampling "max"'):
        UNet(upsampling="unpool", downsampling="strided")


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((1, 3, 15, 40), r"at least 16 x 16 pixels, got 15 x 40 .*enlarge or pad"),
        ((1, 4, 32, 32), "built for 3 input channels, got an image with 4"),
        ((3, 32, 32), r"expected an image \(B, 3, H, W\), got 3 axes"),
    ],
)
def test_wrong_images_are_explained(shape: tuple[int, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build_network("unet_nearest", widths=[4])(torch.zeros(shape))


def test_the_table_is_read_without_torch() -> None:
    code = (
        "import sys, segbench.models as m; assert m.MODELS.options('segnet') == "
        "['in_channels', 'out_channels', 'widths', 'norm', 'padding_mode']; "
        "assert all(m.MODELS.summary(n) for n in m.MODELS.names()); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert set(S1_COUNTS) <= set(MODELS.names())
