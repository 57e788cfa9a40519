"""Three ways to classify pixels: a sliding window, convolutions at full resolution, a fully convolutional network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from segbench.errors import ConfigError
from segbench.losses.dice import dice
from segbench.models import build_network, sliding_window
from segbench.predict.decide import normalize
from segbench.types import Normalization

BASELINES = ("sliding_window", "full_resolution_conv", "simple_fcn")


def build(name: str, **options: Any) -> Any:
    torch.manual_seed(0)
    return build_network(name, **options).eval()


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def change_of(network: nn.Module, image: Tensor, row: int, column: int) -> Tensor:
    """Returns (H, W) bool: where the logits change when one pixel does."""
    other = image.clone()
    other[:, :, row, column] += 5
    with torch.no_grad():
        return (network(image) != network(other)).any(dim=1)[0]


def multiply_adds(network: nn.Module, size: int) -> int:
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network(torch.zeros(1, 3, size, size))
    return int(counter.get_total_flops()) // 2


# --- sliding window


@pytest.mark.parametrize("patch_px", [9, 15, 21])
def test_a_logit_is_the_classifier_on_its_patch(patch_px: int) -> None:
    """Cut with NumPy, mirrored at the border; corners, edges and the middle."""
    network = build("sliding_window", patch_px=patch_px, out_channels=2)
    image = noise(2, 3, 40, 33)
    side = patch_px // 2
    bordered = np.pad(image.numpy(), ((0, 0), (0, 0), (side, side), (side, side)), mode="reflect")
    with torch.no_grad():
        logits = network(image)
        for row, column in ((0, 0), (39, 32), (0, 17), (20, 16), (39, 1)):
            patch = bordered[:, :, row : row + patch_px, column : column + patch_px]
            expected = network.classifier(torch.from_numpy(np.ascontiguousarray(patch)))
            torch.testing.assert_close(logits[:, :, row, column], expected, atol=1e-5, rtol=1e-5)


def test_the_classifier_is_written_out() -> None:
    """Two convolutions, overlapping 3x3 maxima between, two linear layers, with functions alone."""
    network = build("sliding_window", patch_px=11, width=3, hidden=5, out_channels=2)
    first, second, hidden, head = (m for m in network.classifier if isinstance(m, nn.Conv2d | nn.Linear))
    patch = noise(4, 3, 11, 11)
    x = F.conv2d(patch, first.weight, first.bias).relu().unfold(2, 3, 2).unfold(3, 3, 2).amax(dim=(4, 5))
    x = F.conv2d(x, second.weight, second.bias).relu()
    assert x.shape == (4, 6, 2, 2)
    x = (x.reshape(4, 24) @ hidden.weight.T + hidden.bias).relu() @ head.weight.T + head.bias
    torch.testing.assert_close(network.classifier(patch), x)


def test_a_logit_depends_on_its_patch_only() -> None:
    """A pixel reaches every logit 7 pixels around it, and none further."""
    changed = change_of(build("sliding_window", patch_px=15), noise(1, 3, 48, 48), 20, 24)
    expected = torch.zeros(48, 48, dtype=torch.bool)
    expected[13:28, 17:32] = True
    assert not changed[~expected].any()
    rows, columns = changed.nonzero().T
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (13, 27, 17, 31)


@pytest.mark.parametrize("chunk_patches", [1, 7, 35, 100, 10**6])
def test_chunks_change_nothing(chunk_patches: int) -> None:
    """Pieces of a row, whole rows, a last piece that is smaller, and everything at once."""
    network = build("sliding_window", width=2, hidden=4)
    image = noise(2, 3, 32, 35)
    with torch.no_grad():
        expected = network(image)
        network.chunk_patches = chunk_patches
        torch.testing.assert_close(network(image), expected, atol=1e-5, rtol=1e-5)


def test_blocks_hold_no_more_patches_than_asked() -> None:
    for height, width, patches in ((32, 35, 1), (32, 35, 34), (32, 35, 35), (32, 35, 100), (255, 301, 4096)):
        rows, columns = sliding_window._block_size(height, width, patches)
        assert 1 <= rows * columns <= patches
        assert columns == width or rows == 1
    assert sliding_window._block_size(32, 35, 10**6) == (32, 35)


def test_recomputed_gradients_are_the_plain_ones() -> None:
    network = build("sliding_window", width=4, hidden=8).double().train()
    network.chunk_patches = 200
    image = noise(2, 3, 32, 32).double().requires_grad_()
    side = network.patch_px // 2
    weight = noise(2, 1, 32, 32).double()
    found = torch.autograd.grad((network(image) * weight).sum(), [image, *network.parameters()])
    plain = network.classify_region(F.pad(image, (side,) * 4, mode="reflect"))
    expected = torch.autograd.grad((plain * weight).sum(), [image, *network.parameters()])
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_training_keeps_no_patches() -> None:
    """What autograd saves between forward and backward: the regions, far less than 225 values a pixel and channel."""
    network = build("sliding_window").train()
    saved: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        network(noise(1, 3, 64, 64))
    image_bytes = 3 * 64 * 64 * 4
    assert sum(saved.values()) < 20 * image_bytes


def test_sliding_window_costs_what_it_says() -> None:
    """Multiply-adds of one patch, written out, times the pixels: nothing is shared between patches."""
    network = build("sliding_window")
    one_patch = 13 * 13 * 16 * 27 + 4 * 4 * 32 * 144 + 512 * 64 + 64
    assert one_patch < 200_000
    assert multiply_adds(network, 40) == 40 * 40 * one_patch


# --- convolutions at full resolution


@pytest.mark.parametrize("depth", [1, 3, 6])
def test_the_receptive_field_is_one_and_two_a_layer(depth: int) -> None:
    """A pixel reaches the logits `depth` pixels away in each direction, and none one further."""
    network = build("full_resolution_conv", depth=depth)
    assert network.receptive_field_px == 1 + 2 * depth
    rows, columns = change_of(network, noise(1, 3, 40, 40), 18, 21).nonzero().T
    assert (rows.min(), rows.max()) == (18 - depth, 18 + depth)
    assert (columns.min(), columns.max()) == (21 - depth, 21 + depth)


def test_full_resolution_is_plain_convolutions() -> None:
    network = build("full_resolution_conv", depth=3, width=4, out_channels=2)
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert [(c.in_channels, c.out_channels) for c in convolutions] == [(3, 4), (4, 4), (4, 2)]
    x = image = noise(1, 3, 32, 37)
    for number, convolution in enumerate(convolutions):
        x = F.conv2d(x.relu() if number else x, convolution.weight, convolution.bias, padding=1)
    torch.testing.assert_close(network(image), x)


# --- fully convolutional


def test_simple_fcn_is_the_lessons() -> None:
    """Against the specification written out with functions; odd sizes are rounded up by the pooling."""
    network = build("simple_fcn", out_channels=2)
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert [c.out_channels for c in convolutions] == [64, 128, 256, 512, 2]
    image = noise(1, 3, 33, 50)
    x = image
    with torch.no_grad():
        for convolution in convolutions[:-1]:
            x = F.conv2d(x, convolution.weight, convolution.bias, padding=1).relu()
            x = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2), value=-torch.inf)
            x = x.unfold(2, 2, 2).unfold(3, 2, 2).amax(dim=(4, 5))
        assert x.shape == (1, 512, 3, 4)
        coarse = torch.einsum("oc,bchw->bohw", convolutions[-1].weight[:, :, 0, 0], x)
        expected = F.interpolate(coarse, size=(33, 50), mode="bilinear", align_corners=False)
        torch.testing.assert_close(network(image), expected, atol=1e-5, rtol=1e-4)
    (encoder,) = network.encoder_modules()
    inside = {id(module) for module in encoder.modules()}
    assert [id(c) in inside for c in convolutions] == [True] * 4 + [False]


def test_simple_fcn_sees_more_for_less() -> None:
    """The point of the three: a pixel reaches much further in the network with pooling, at a lower cost a channel."""
    image = noise(1, 3, 96, 96)
    reach = {}
    for name in BASELINES:
        rows, _ = change_of(build(name), image, 48, 48).nonzero().T
        reach[name] = int(rows.max() - rows.min()) + 1
    assert reach["sliding_window"] == 15
    assert reach["full_resolution_conv"] == 13
    assert reach["simple_fcn"] > 3 * reach["sliding_window"]
    assert multiply_adds(build("simple_fcn"), 96) < multiply_adds(build("sliding_window"), 96)


# --- all three


@pytest.mark.parametrize("name", BASELINES)
def test_initial_logits_are_of_moderate_size(name: str) -> None:
    """He's start keeps the signal's size through the layers; PyTorch's would let it fade to a constant."""
    logits = build(name, out_channels=8)(noise(2, 3, 64, 64))
    assert 0.2 < logits.std() < 5


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("sliding_window", {"patch_px": 14}, r"network.patch_px: patch_px must be odd .* 9 to 63, got 14"),
        ("sliding_window", {"patch_px": 7}, r"network.patch_px: patch_px must be odd .* 9 to 63, got 7"),
        ("sliding_window", {"patch_px": 65}, r"network.patch_px: patch_px must be odd .* 9 to 63, got 65"),
        ("sliding_window", {"hidden": 0}, r"network.hidden: hidden must be an integer above 0, got 0"),
        ("sliding_window", {"width": 1.5}, r"network.width: width must be an integer above 0, got 1.5"),
        ("full_resolution_conv", {"depth": 0}, r"network.depth: depth must be an integer above 0, got 0"),
        ("full_resolution_conv", {"norm": "x"}, r"network.norm: norm must be one of batch, group, none, got 'x'"),
        ("simple_fcn", {"widths": [8] * 6}, r"network.widths: widths must be a list of 1 to 5 channel counts"),
        (
            "simple_fcn",
            {"widths": 64},
            r"network.widths: widths must be a list of 1 to 5 channel counts above 0, got 64",
        ),
        ("simple_fcn", {"convolutions": 0}, r"network.convolutions: convolutions must be an integer above 0"),
    ],
)
def test_wrong_options_name_their_key(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}"):
        build_network(name, **options)


@pytest.mark.parametrize(
    ("name", "options", "shape"),
    [
        ("sliding_window", {"patch_px": 63, "width": 1, "hidden": 2}, (1, 3, 32, 33)),
        ("full_resolution_conv", {"norm": "batch", "width": 4}, (1, 3, 32, 33)),
        ("simple_fcn", {"widths": [4] * 5, "convolutions": 2, "norm": "group"}, (1, 3, 32, 33)),
    ],
)
def test_options_at_their_limits_train(name: str, options: dict[str, Any], shape: tuple[int, ...]) -> None:
    network = build(name, **options).train()
    logits = network(noise(*shape))
    assert logits.shape == (1, 1, 32, 33)
    logits.square().mean().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters())


# --- images are centred


def drawn_lesions() -> tuple[Tensor, Tensor]:
    """Returns pictures (16, 3, 64, 64) from 0 to 1 of unequal light, and their masks: a darker blob in each."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:64, :64]
    images, masks = np.zeros((16, 3, 64, 64), np.float32), np.zeros((16, 64, 64), np.int64)
    for image, mask in zip(images, masks, strict=True):
        row, column = rng.uniform(19, 45, size=2)
        mask[:] = (rows - row) ** 2 + (columns - column) ** 2 < rng.uniform(13, 20) ** 2
        image[:] = rng.uniform(0.5, 0.6) - 0.1 * mask + rng.normal(0, 0.03, (3, 64, 64))
    return torch.from_numpy(images), torch.from_numpy(masks)


def overlap_after_dice(**options: Any) -> float:
    """Returns the IoU over all pixels after 48 steps with the ASPP lesson's loss and optimiser."""
    images, masks = drawn_lesions()
    network = build("simple_fcn", widths=[16, 32, 64, 128], **options).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    inputs = normalize(images, network.normalization)
    for _ in range(48):
        optimizer.zero_grad()
        dice(network(inputs), masks, over="batch", smooth=1e-7).backward()
        optimizer.step()
    found, true = (network(inputs) > 0)[:, 0], masks == 1
    return float((found & true).sum() / (found | true).sum())


@pytest.mark.slow
def test_centred_images_are_learned_where_uncentred_ones_move_all_logits_together() -> None:
    assert overlap_after_dice() > 0.7
    assert overlap_after_dice(center_input=False) < 0.6


@pytest.mark.parametrize("name", [*BASELINES, "aspp_net"])
def test_centring_adds_no_parameter_and_can_be_left_out(name: str) -> None:
    centred, plain = build(name, in_channels=4), build(name, in_channels=4, center_input=False)
    assert centred.normalization == Normalization(mean=(0.5,) * 4, std=(0.25,) * 4)
    assert plain.normalization == Normalization.identity(4)
    for mine, theirs in zip(centred.parameters(), plain.parameters(), strict=True):
        assert torch.equal(mine, theirs)
