"""The U-Net family: exact parameter counts, padding, unpooling, options and their errors."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from segbench.errors import ConfigError
from segbench.models import MODELS, base, build_network, layers, skips
from segbench.models.unet import Downsampling, Skip, UNet, Upsampling

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
    ours = layers.SameConv2d(3, 4, padding_mode="reflect")
    torch.manual_seed(5)
    theirs = nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect")
    assert torch.equal(ours.weight, theirs.weight)
    image = torch.randn(2, 3, 9, 7)
    assert torch.equal(ours(image), theirs(image))


def test_encoder_decoder_equals_a_network_written_by_hand() -> None:
    """One stage, with skip and unpooling, against the formula."""
    torch.manual_seed(0)
    network = UNet(widths=(4,), upsampling="unpool", out_channels=2).eval()
    image = torch.randn(1, 3, 32, 32)
    fine = network.encoder[0](image)
    pooled, indices = nn.MaxPool2d(2, return_indices=True)(fine)
    up = nn.MaxUnpool2d(2)(network.bottleneck(pooled), indices)
    expected = network.decoder[0](torch.cat([up, fine], 1))
    assert torch.equal(network(image), expected)


def test_unpooling_puts_values_where_the_maxima_were() -> None:
    plane = torch.tensor([[[[1.0, 2.0, 0.0, 0.0], [0.0, 0.0, 7.0, 0.0], [5.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 3.0]]]])
    pooled, indices = F.max_pool2d(plane, 2, return_indices=True)
    expected = torch.tensor([[0.0, 20.0, 0, 0], [0, 0, 70.0, 0], [50.0, 0, 0, 0], [0, 0, 0, 30.0]])
    assert torch.equal(layers.max_unpool(10 * pooled, indices)[0, 0], expected)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_deterministic_forms_equal_torchs(memory_format: torch.memory_format) -> None:
    """What CUDA uses when it must be deterministic gives torch's own values and gradients."""
    x = torch.randn(2, 3, 6, 8, dtype=torch.float64).contiguous(memory_format=memory_format).requires_grad_()
    padding = (1, 5, 0, 2)
    ours, theirs = layers._pad_reflect_by_parts(x, padding), F.pad(x, padding, mode="reflect")
    assert torch.equal(ours, theirs)
    weight = torch.randn_like(theirs)
    (ours_grad,), (theirs_grad,) = (torch.autograd.grad(y, x, weight) for y in (ours, theirs))
    torch.testing.assert_close(ours_grad, theirs_grad)
    pooled, indices = F.max_pool2d(x.detach(), 2, return_indices=True)
    pooled.requires_grad_()
    ours, theirs = layers._max_unpool_by_scatter(pooled, indices), F.max_unpool2d(pooled, indices, 2)
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
    padded = base.pad_to_stride(image, 16, smallest_px=32)
    down, right = padded.shape[2] - height, padded.shape[3] - width
    expected = np.pad(image.numpy(), ((0, 0), (0, 0), (0, down), (0, right)), mode="reflect")
    assert padded.shape[2] % 16 == 0
    assert padded.shape[3] % 16 == 0
    assert down < 16 or padded.shape[2] == 32
    assert np.array_equal(padded.numpy(), expected)


def test_padding_leaves_fitting_images_alone() -> None:
    image = torch.randn(1, 2, 32, 48)
    assert base.pad_to_stride(image, 16, smallest_px=32) is image


def test_a_padded_image_gives_the_cropped_logits() -> None:
    torch.manual_seed(0)
    network = build_network("unet_nearest", widths=[4, 8]).eval()
    image = torch.randn(1, 3, 34, 37)
    by_hand = F.pad(image, (0, 3, 0, 2), mode="reflect")
    assert torch.equal(network(image), network(by_hand)[..., :34, :37])


def legal(downsampling: str, upsampling: str) -> bool:
    return not (upsampling == "unpool" and downsampling == "strided")


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("skip", get_args(Skip))
@pytest.mark.parametrize(
    ("downsampling", "upsampling"),
    [(d, u) for d in get_args(Downsampling) for u in get_args(Upsampling) if legal(d, u)],
)
def test_every_combination_of_the_family_works(downsampling: str, upsampling: str, skip: str, residual: bool) -> None:
    network = build_network(
        "unet", widths=[4, 6], downsampling=downsampling, upsampling=upsampling, skip=skip, residual=residual
    )
    logits = network(torch.randn(2, 3, 36, 33))
    assert logits.shape == (2, 1, 36, 33)
    logits.square().mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_width_and_depth_spell_the_widths() -> None:
    assert build_network("unet", width=6, depth=3).widths == (6, 12, 24)  # type: ignore[comparison-overlap]
    assert build_network("unet", widths=[5, 7]).widths == (5, 7)  # type: ignore[comparison-overlap]
    ours, named = build_network("unet"), build_network("unet_nearest")
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: v.shape for k, v in named.state_dict().items()}


def test_bicubic_and_bilinear_are_torchs() -> None:
    for mode in ("bilinear", "bicubic"):
        network = UNet(widths=(4,), upsampling=mode, skip="add").eval()
        image = torch.randn(1, 3, 32, 32)
        fine = network.encoder[0](image)
        up = F.interpolate(network.bottleneck(F.max_pool2d(fine, 2)), size=(32, 32), mode=mode, align_corners=False)
        torch.testing.assert_close(network(image), network.decoder[0](up + fine))


def test_the_attention_gate_is_its_formula() -> None:
    """Oktay et al. 2018, equations 1 and 2, with the matrices taken from the module."""
    gate = skips.AttentionGate(4, "none")
    up, skipped = torch.randn(2, 4, 5, 6), torch.randn(2, 4, 5, 6)
    w_g, w_x, psi = (part[0] for part in (gate.gating, gate.skipped, gate.psi))

    def at(convolution: nn.Conv2d, vector: torch.Tensor) -> torch.Tensor:
        return convolution.weight[:, :, 0, 0] @ vector + convolution.bias

    joined = gate(up, skipped)
    for b, y, x in ((0, 0, 0), (1, 4, 5), (0, 2, 3)):
        q = at(psi, torch.relu(at(w_g, up[b, :, y, x]) + at(w_x, skipped[b, :, y, x])))
        expected = torch.cat([up[b, :, y, x], skipped[b, :, y, x] * torch.sigmoid(q)])
        torch.testing.assert_close(joined[b, :, y, x], expected)


def test_attentional_fusion_is_its_formula() -> None:
    """Dai et al. 2021: Z = M(X + Y) X + (1 - M(X + Y)) Y; equal maps stay what they are, whatever M is."""
    fusion = skips.AttentionalFusion(4, "none")
    x, y = torch.randn(2, 4, 5, 6), torch.randn(2, 4, 5, 6)
    torch.testing.assert_close(fusion(x, x), x)
    local = fusion.local(x + y)
    pooled = fusion.pooled((x + y).mean((2, 3), keepdim=True))
    share = torch.sigmoid(local + pooled.expand_as(local))
    torch.testing.assert_close(fusion(x, y), share * x + (1 - share) * y)


def test_residual_pairs_add_their_shortcut() -> None:
    network = UNet(widths=(4,), residual=True).eval()
    stage = network.encoder[0]
    x = torch.randn(1, 3, 32, 32)
    first, (convolution, norm) = stage.branch
    expected = torch.relu(norm(convolution(first(x))) + stage.shortcut(x))
    assert torch.equal(stage(x), expected)


def test_deep_supervision_returns_coarser_logits_in_training_only() -> None:
    network = build_network("unet", widths=[4, 6, 8], deep_supervision=True, out_channels=2)
    assert network.auxiliary_weights == (0.5, 0.25)
    found = network.train()(torch.randn(2, 3, 40, 33))
    assert [tuple(logits.shape) for logits in found] == [(2, 2, 40, 33)] * 3
    assert network.eval()(torch.randn(2, 3, 40, 33)).shape == (2, 2, 40, 33)
    torch.stack(list(found[1:])).sum().backward()
    assert all(parameter.grad is not None for parameter in network.auxiliary.parameters())  # type: ignore[union-attr]
    assert network.decoder[0][1].weight.grad is None  # type: ignore[index, union-attr]  # the last stage is not theirs


def test_dropout_is_for_training_only() -> None:
    network = build_network("unet", widths=[8, 8], dropout=0.5)
    image = torch.randn(1, 3, 32, 32)
    assert torch.equal(network.eval()(image), network(image))
    torch.manual_seed(0)
    first = network.train()(image)
    assert not torch.equal(first, network(image))


@pytest.mark.parametrize("norm", ["batch", "group", "none"])
@pytest.mark.parametrize("padding_mode", ["reflect", "replicate", "zeros", "circular"])
def test_norms_and_padding_modes(norm: str, padding_mode: str) -> None:
    network = build_network("unet_strided", widths=[6, 12], norm=norm, padding_mode=padding_mode)
    assert torch.isfinite(network(torch.randn(1, 3, 32, 33))).all()


def test_seven_stages_on_the_smallest_image() -> None:
    network = build_network("unet_nearest", widths=[2] * 7)
    assert network.stride == 128
    assert network(torch.randn(1, 3, 32, 32)).shape == (1, 1, 32, 32)


@pytest.mark.parametrize(
    ("options", "key", "words"),
    [
        ({"widths": []}, "network.widths", "1 to 7"),
        ({"widths": 3}, "network.widths", "1 to 7"),
        ({"widths": [8, 0]}, "network.widths", r"above 0, got \[8, 0\]"),
        ({"widths": [8, 2.5]}, "network.widths", r"got \[8, 2.5\]"),
        ({"norm": "instance"}, "network.norm", "batch, group, none, got 'instance'"),
        ({"padding_mode": "mirror"}, "network.padding_mode", "reflect"),
        ({"widht": [8]}, "network.widht", "did you mean 'widths'"),
        ({"in_channels": 0}, "network.in_channels", "1 to 16, got 0"),
        ({"out_channels": True}, "network.out_channels", "got True"),
    ],
)
def test_wrong_options_name_their_key(options: dict[str, object], key: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        build_network("unet_nearest", **options)  # type: ignore[arg-type]
    assert caught.value.key == key


@pytest.mark.parametrize(
    ("options", "key", "words"),
    [
        ({"depth": 8}, "network.depth", "1 to 7, got 8"),
        ({"width": 0}, "network.width", "above 0"),
        ({"skip": "sum"}, "network.skip", "concat, add, none, attention, aff, got 'sum'"),
        ({"upsampling": "cubic"}, "network.upsampling", "nearest, bilinear, bicubic"),
        ({"dropout": 1}, "network.dropout", "below 1, got 1"),
        ({"residual": "yes"}, "network.residual", "true or false"),
        ({"deep_supervision": True, "depth": 1}, "network.deep_supervision", "coarser stage"),
        ({"attention": True}, "network.attention", "known: deep_supervision, depth"),
    ],
)
def test_wrong_options_of_the_family(options: dict[str, object], key: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        build_network("unet", **options)  # type: ignore[arg-type]
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
        ((1, 3, 31, 40), r"at least 32 x 32 pixels, got 31 x 40 .*enlarge or pad"),
        ((1, 4, 32, 32), "built for 3 input channels, got an image with 4"),
        ((3, 32, 32), r"expected an image \(B, 3, H, W\), got 3 axes"),
    ],
)
def test_wrong_images_are_explained(shape: tuple[int, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build_network("unet_nearest", widths=[4])(torch.zeros(shape))


@pytest.mark.slow
def test_the_table_is_read_without_torch() -> None:
    code = (
        "import sys, segbench.models as m; assert m.MODELS.options('segnet') == "
        "['in_channels', 'out_channels', 'widths', 'norm', 'padding_mode']; "
        "assert all(m.MODELS.summary(n) for n in m.MODELS.names()); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert set(S1_COUNTS) <= set(MODELS.names())
