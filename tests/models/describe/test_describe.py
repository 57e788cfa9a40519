"""Layer tables: receptive fields against perturbed pixels, multiply-adds against torch's counter, memory by hand."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from segbench.models import MODELS, build_network
from segbench.models.describe import MB, describe


class Functional(nn.Module):
    """Layers by name and a function that uses them, so that a test can write a network in two lines."""

    def __init__(self, compute: Callable[[nn.ModuleDict, Tensor], Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(layers)
        self.compute = compute

    def forward(self, image: Tensor) -> Tensor:
        return self.compute(self.layers, image)


def conv(inputs: int = 1, outputs: int = 1, kernel: int = 3, **options: int) -> nn.Conv2d:
    dilation = options.get("dilation", 1)
    return nn.Conv2d(inputs, outputs, kernel, **{"padding": dilation * (kernel // 2), **options})


def seen_rows(network: nn.Module, size: tuple[int, int], channels: int = 1) -> int:
    """Returns the most image rows, first to last, that move one row of the output when raised.

    All weights are made positive, so raising a row raises all that depends on it: nothing cancels, no ReLU or maximum
    hides it.
    """
    network = copy.deepcopy(network).double().eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.1 + torch.rand(parameter.shape, generator=generator, dtype=torch.float64))
        height, width = size
        image = torch.rand(1, channels, height, width, generator=generator, dtype=torch.float64)
        before = network(image)
        most = 0
        touched = []
        for row in range(height):
            raised = image.clone()
            raised[:, :, row] += 10.0
            touched.append((network(raised) != before).any(dim=3).any(dim=1)[0])
    table = torch.stack(touched)  # (image row, output row)
    for output in range(table.shape[1]):
        rows = table[:, output].nonzero()
        if len(rows):
            most = max(most, int(rows.max() - rows.min()) + 1)
    return most


def pooled_twice(layers: nn.ModuleDict, x: Tensor) -> Tensor:
    return F.max_pool2d(layers["b"](F.max_pool2d(layers["a"](x), 2)), 2)


def up(mode: str, **options: bool) -> Callable[[nn.ModuleDict, Tensor], Tensor]:
    def compute(layers: nn.ModuleDict, x: Tensor) -> Tensor:
        coarse = layers["a"](F.avg_pool2d(x, 2))
        return layers["b"](F.interpolate(coarse, scale_factor=2, mode=mode, **options))

    return compute


def skip(layers: nn.ModuleDict, x: Tensor) -> Tensor:
    fine = layers["a"](x)
    coarse = F.interpolate(layers["b"](F.max_pool2d(fine, 2)), scale_factor=2)
    return layers["c"](torch.cat([coarse, fine], dim=1)) + fine


def unpooled(layers: nn.ModuleDict, x: Tensor) -> Tensor:
    pooled, indices = F.max_pool2d(layers["a"](x), 2, return_indices=True)
    return layers["b"](F.max_unpool2d(layers["c"](pooled), indices, 2))


def pyramid(layers: nn.ModuleDict, x: Tensor) -> Tensor:
    x = F.max_pool2d(x, 2)
    return layers["out"](torch.cat([layers["a"](x), layers["b"](x), layers["c"](x)], dim=1))


def patches(layers: nn.ModuleDict, x: Tensor) -> Tensor:
    height, width = x.shape[-2:]
    parts = F.unfold(x, 5, padding=2).transpose(1, 2).reshape(-1, 1, 5, 5)
    return layers["b"](layers["a"](parts).flatten(1)).reshape(1, height, width, 1).permute(0, 3, 1, 2)


def in_parts(layers: nn.ModuleDict, x: Tensor) -> Tensor:
    padded = F.pad(x, (1, 1, 1, 1))
    result = x.new_zeros(x.shape)
    for top in range(0, x.shape[2], 8):
        result[:, :, top : top + 8] = layers["a"](padded[:, :, top : top + 10])
    return result


PLAIN = {
    "plain": nn.Sequential(conv(), nn.ReLU(), conv(1, 2, 5), conv(2, 1)),
    "strided": nn.Sequential(conv(stride=2), conv(kernel=5, stride=3), conv()),
    "dilated": nn.Sequential(conv(dilation=2), conv(dilation=4), conv(kernel=5, dilation=2)),
    "pool": Functional(pooled_twice, a=conv(), b=conv(kernel=5)),
    "ceil": nn.Sequential(conv(), nn.MaxPool2d(3, 2, ceil_mode=True), conv()),
    "transposed 2": nn.Sequential(conv(), nn.MaxPool2d(2), conv(), nn.ConvTranspose2d(1, 1, 2, 2), conv()),
    "transposed 3": nn.Sequential(nn.MaxPool2d(2), conv(), nn.ConvTranspose2d(1, 1, 3, 2, 1, 1), conv()),
    "transposed 4": nn.Sequential(nn.MaxPool2d(2), nn.ConvTranspose2d(1, 1, 4, 2, 1)),
    "nearest": Functional(up("nearest"), a=conv(), b=conv()),
    "nearest-exact": Functional(up("nearest-exact"), a=conv(), b=conv()),
    "bilinear": Functional(up("bilinear", align_corners=False), a=conv(), b=conv()),
    "antialiased": Functional(
        lambda m, x: m["a"](F.interpolate(x, scale_factor=1 / 3, mode="bilinear", antialias=True)), a=conv()
    ),
    "bilinear down": Functional(
        lambda m, x: m["a"](F.interpolate(x, scale_factor=1 / 3, mode="bilinear", align_corners=False)), a=conv()
    ),
    "shifted": Functional(lambda m, x: torch.cat([m["a"](F.pad(x, (0, 0, 3, 0))[:, :, :-3]), x], dim=1), a=conv()),
    "skip": Functional(skip, a=conv(), b=conv(), c=conv(2, 1)),
    "unpool": Functional(unpooled, a=conv(), b=conv(), c=conv()),
    "pyramid": Functional(pyramid, a=conv(kernel=1), b=conv(dilation=2), c=conv(dilation=5), out=conv(3, 1, 1)),
    "patches": Functional(patches, a=conv(1, 2, padding=0), b=nn.Linear(18, 1)),
    "in parts": Functional(in_parts, a=conv(padding=0)),
    "pixel shuffle": nn.Sequential(conv(1, 4, 2, stride=2, padding=0), nn.PixelShuffle(2), conv()),
    "thirds": Functional(lambda m, x: m["a"](F.interpolate(m["b"](x), scale_factor=2 / 3)), a=conv(), b=conv()),
    "pooled to six": Functional(lambda m, x: m["a"](F.adaptive_avg_pool2d(x, 6)), a=conv(kernel=1)),
    "group norm": nn.Sequential(conv(), nn.BatchNorm2d(1), conv()),
}


@pytest.mark.parametrize("name", PLAIN)
def test_the_receptive_field_is_what_perturbed_rows_show(name: str) -> None:
    network = PLAIN[name]
    description = describe(network, (48, 36), image=torch.zeros(1, 1, 48, 36))
    assert description.receptive_field_px is not None
    assert description.exact
    assert description.receptive_field_px[0] == seen_rows(network, (48, 36))


def test_bicubic_sees_what_perturbed_rows_show() -> None:
    """Its weights are partly negative, so perturbations may cancel: measured without a convolution behind it."""
    network = Functional(
        lambda m, x: F.interpolate(m["a"](F.avg_pool2d(x, 2)), scale_factor=2, mode="bicubic"), a=conv()
    )
    description = describe(network, image=torch.zeros(1, 1, 48, 36))
    assert description.receptive_field_px is not None
    assert description.receptive_field_px[0] == seen_rows(network, (48, 36)) == 2 * (4 + 2)


def test_height_and_width_are_told_apart() -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, (3, 7), padding=(1, 3)), nn.MaxPool2d((1, 2)), nn.Conv2d(1, 1, (1, 3)))
    description = describe(network, image=torch.zeros(1, 1, 48, 64))
    assert description.receptive_field_px == (3, 12)
    assert description.layers[-1].stride_px == (1.0, 2.0)
    assert seen_rows(network, (48, 64)) == 3


@pytest.mark.parametrize(
    ("name", "options", "height"),
    [
        ("unet_nearest", {"widths": [1, 1]}, 96),
        ("unet_nearest", {"widths": [1, 1, 1, 1]}, 384),
        ("unet_strided", {"widths": [1, 1, 1]}, 192),
        ("segnet", {"widths": [1, 1, 1]}, 192),
    ],
)
def test_the_receptive_field_of_real_networks(name: str, options: dict[str, list[int]], height: int) -> None:
    network = build_network(name, in_channels=1, **options)
    description = describe(network, (height, 32))
    assert description.receptive_field_px is not None
    assert description.receptive_field_px[0] == seen_rows(network, (height, 32))


@pytest.mark.parametrize("layers", [1, 4, 7])
def test_full_resolution_layers_see_one_pixel_more_on_each_side(layers: int) -> None:
    network = nn.Sequential(*(conv() for _ in range(layers)))
    description = describe(network, image=torch.zeros(1, 1, 32, 32))
    assert description.receptive_field_px == (1 + 2 * layers, 1 + 2 * layers)


class Attention(nn.Module):
    """A patch embedding, positions, one attention layer, and back to a map."""

    def __init__(self, batch_first: bool = True) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 8, 4, 4)
        self.positions = nn.Parameter(torch.zeros(1, 64, 8))
        self.block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=batch_first)
        self.head = nn.Conv2d(8, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = self.embed(image)
        height, width = x.shape[-2:]
        tokens = self.block(x.flatten(2).transpose(1, 2) + self.positions)
        return self.head(tokens.transpose(1, 2).reshape(1, 8, height, width))


def squeeze_excite(layers: nn.ModuleDict, x: Tensor) -> Tensor:
    x = layers["a"](x)
    return x * torch.sigmoid(layers["b"](x.mean(dim=(2, 3), keepdim=True)))


def softmax_over_pixels(layers: nn.ModuleDict, x: Tensor) -> Tensor:
    return F.softmax(layers["a"](x).flatten(2), dim=2).reshape(1, 1, *x.shape[2:])


@pytest.mark.parametrize(
    "network",
    [
        Attention(),
        Functional(softmax_over_pixels, a=conv(3, 1)),
        Functional(squeeze_excite, a=conv(3, 4), b=conv(4, 4, 1)),
        Functional(
            lambda m, x: m["a"](F.interpolate(F.adaptive_avg_pool2d(x, 1), size=x.shape[-2:], mode="bilinear")),
            a=conv(3, 1),
        ),
    ],
    ids=["attention", "softmax", "squeeze and excite", "image pooling"],
)
def test_what_pools_or_attends_sees_the_whole_image(network: nn.Module) -> None:
    description = describe(network, (32, 32))
    assert description.receptive_field_px is None
    assert description.exact
    image = torch.rand(1, 3, 32, 32, requires_grad=True)
    network.eval()(image)[0, 0, 0, 0].backward()
    assert image.grad is not None
    assert (image.grad.abs().amax(dim=(0, 1)) > 0).all()


def test_tokens_are_followed_through_their_sequence() -> None:
    layers = {layer.name: layer for layer in describe(Attention(), (32, 32)).layers}
    assert layers["embed"].receptive_field_px == (4, 4)
    assert layers["positions"].parameters == 512
    assert layers["head"].stride_px == (4.0, 4.0)
    assert layers["head"].receptive_field_px is None


def test_what_cannot_be_followed_is_called_an_upper_bound() -> None:
    network = Functional(lambda m, x: m["a"](torch.roll(x, 3, dims=2)), a=conv())
    description = describe(network, image=torch.zeros(1, 1, 32, 32))
    assert description.receptive_field_px is None
    assert not description.exact
    assert "at most" in str(description)


def turned(layers: nn.ModuleDict, x: Tensor) -> Tensor:
    return layers["b"](layers["a"](x).transpose(2, 3))


def cut_and_thinned(layers: nn.ModuleDict, x: Tensor) -> Tensor:
    return layers["b"](layers["a"](x)[:, :, 3:-2, 1::2].unbind(1)[0].unsqueeze(1))


def as_tokens(layers: nn.ModuleDict, x: Tensor) -> Tensor:
    tokens = layers["a"](x).flatten(2).transpose(1, 2)  # (1, H * W, 1)
    tokens = torch.cat([tokens.new_zeros(1, 1, 1), tokens], dim=1)[:, 1:]  # as a class token comes and goes
    return layers["b"](tokens.transpose(1, 2).reshape(x.shape))


@pytest.mark.parametrize(
    ("compute", "seen", "stride"),
    [(turned, (7 + 2, 3 + 2), (1, 1)), (cut_and_thinned, (3 + 2, 7 + 4), (1, 2)), (as_tokens, (3 + 2, 7 + 2), (1, 1))],
)
def test_views_are_followed(
    compute: Callable[[nn.ModuleDict, Tensor], Tensor], seen: tuple[int, int], stride: tuple[int, int]
) -> None:
    network = Functional(compute, a=nn.Conv2d(1, 1, (3, 7), padding=(1, 3)), b=conv())
    description = describe(network, image=torch.zeros(1, 1, 48, 36))
    assert (description.receptive_field_px, description.exact) == (seen, True)
    assert description.layers[-1].stride_px == stride


def interleaved(layers: nn.ModuleDict, x: Tensor) -> Tensor:
    return layers["a"](x.view(1, 1, 2, x.shape[2] // 2, x.shape[3]).transpose(2, 3).reshape(x.shape))


def in_windows(layers: nn.ModuleDict, x: Tensor) -> Tensor:
    height, width = x.shape[2] // 4, x.shape[3] // 4
    windows = x.view(1, 1, height, 4, width, 4).permute(0, 2, 4, 3, 5, 1).reshape(-1, 16, 1)
    back = (windows - windows.mean(1, keepdim=True)).view(1, height, width, 4, 4, 1).permute(0, 5, 1, 3, 2, 4)
    return layers["a"](back.reshape(x.shape))


@pytest.mark.parametrize("compute", [interleaved, in_windows])
def test_positions_in_another_order_are_an_upper_bound(compute: Callable[[nn.ModuleDict, Tensor], Tensor]) -> None:
    """Their size looks like that of the map before, but a neighbour is no neighbour any more; strides stay known."""
    description = describe(Functional(compute, a=conv(stride=2)), image=torch.zeros(1, 1, 32, 64))
    assert (description.receptive_field_px, description.exact) == (None, False)
    assert description.layers[-1].stride_px == (2, 2)


NETWORKS = MODELS.names()


def flops(network: nn.Module, image: Tensor) -> int:
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # torch's counter does not see into its fused encoder layer
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            network.eval()(image)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return counter.get_total_flops()


@pytest.mark.parametrize("name", [*PLAIN, "grouped", "attention"])
def test_multiply_adds_are_half_of_what_torch_counts(name: str) -> None:
    extra = {"grouped": nn.Sequential(conv(4, 8, groups=2), nn.ConvTranspose2d(8, 4, 3, 2, groups=4))}
    network = Attention() if name == "attention" else {**PLAIN, **extra}[name]
    channels = {"grouped": 4, "attention": 3}.get(name, 1)
    image = torch.zeros(1, channels, 32, 32)
    assert 2 * describe(network, image=image).macs == flops(network, image)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_can_be_described(name: str) -> None:
    network = build_network(name, out_channels=2)
    state = {key: value.clone() for key, value in network.state_dict().items()}
    network.train()
    side = max(64, network.smallest_px)  # nothing is padded, so the last layer gives the logits
    description = describe(network, (side, side), name=name)
    assert 2 * description.macs == flops(network, torch.zeros(1, 3, side, side))
    assert sum(layer.parameters for layer in description.layers) == description.parameters
    assert description.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert sum(block.macs for block in description.blocks) == description.macs
    run = [layer for layer in description.layers if layer.calls]
    assert run[-1].shape[1:] == (2, side, side)
    assert run[-1].stride_px == (1.0, 1.0)
    assert description.blocks[-1].channels == 2
    assert all(edge.source < number for number, block in enumerate(description.blocks) for edge in block.inputs)
    assert all(block.inputs for block in description.blocks[1:])
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())
    json.dumps(description.to_dict(), allow_nan=False)


def test_blocks_count_the_channels_of_tokens() -> None:
    blocks = describe(Attention(), (32, 32)).blocks
    assert {(block.height_px, block.width_px) for block in blocks[1:]} == {(8, 8)}
    assert blocks[1].channels == 8
    assert {block.channels for block in blocks[1:]} == {8, 16, 1}  # 16: inside the block's linear layers


def test_known_totals() -> None:
    description = describe(build_network("unet_nearest"), (64, 64))
    assert description.parameters == 931_969
    assert description.layers[1].macs == 3 * 16 * 9 * 64 * 64
    assert description.layers[1].parameters == 3 * 16 * 9 + 16
    assert description.coarsest_stride_px == 16
    assert [block.name for block in description.blocks][:3] == ["image", "encoder.0", "encoder.1"]
    joined = {block.name: block.inputs for block in description.blocks}["decoder.0"]
    assert [(description.blocks[edge.source].name, edge.joins) for edge in joined] == [
        ("encoder.0", "concat"),
        ("decoder.1", ""),
    ]


PIXELS = 32 * 32 * 4


@pytest.mark.parametrize(
    ("inplace", "inference", "training"),
    [
        (False, 3 + 8 + 8, 3 + 8),  # at the ReLU: image, its input and output; kept: image, the ReLU's output
        (True, 3 + 8 + 4, 3 + 8),  # at the last convolution: image, its input and output
    ],
)
def test_memory_by_hand(inplace: bool, inference: int, training: int) -> None:
    network = nn.Sequential(conv(3, 8), nn.ReLU(inplace=inplace), conv(8, 4))
    for image in (None, torch.rand(1, 3, 32, 32)):
        description = describe(network, (32, 32), image=image)
        assert description.inference_mb * MB == PIXELS * inference
        assert description.training_mb * MB == PIXELS * training


def test_a_kept_skip_is_counted_until_it_is_used() -> None:
    network = Functional(
        lambda m, x: (
            torch.cat([F.interpolate(m["b"](F.avg_pool2d(a, 2)), scale_factor=2), a], dim=1)
            if (a := m["a"](x)) is not None
            else x
        ),
        a=conv(3, 4),
        b=conv(4, 4),
    )
    # at the concatenation: image, skip, upsampled, result; the coarse maps are gone
    assert describe(network, (32, 32)).inference_mb * MB == PIXELS * (3 + 4 + 4 + 8)


def test_shapes_alone_say_what_real_numbers_say() -> None:
    network = build_network("unet_unpool", widths=[4, 8])
    assert describe(network, (48, 64)) == describe(network, image=torch.rand(1, 3, 48, 64))


def test_the_network_is_left_as_it_was() -> None:
    network = nn.Sequential(conv(3, 4), nn.BatchNorm2d(4), nn.Dropout2d(0.5)).train()
    network[1].eval()
    image = torch.rand(1, 3, 32, 32) * 100
    state, random = copy.deepcopy(network.state_dict()), torch.get_rng_state()
    describe(network, image=image)
    assert [module.training for module in network] == [True, False, True]
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    assert torch.equal(random, torch.get_rng_state())
    assert all(parameter.grad is None and parameter.device.type == "cpu" for parameter in network.parameters())


@pytest.mark.parametrize(
    ("options", "size", "warned"),
    [
        ({"dilation": 18}, 16, "only the centre weight of its 3x3 kernel"),
        ({"dilation": 16}, 16, "only the centre weight of its 3x3 kernel"),
        ({"dilation": 15}, 16, ""),
        ({"dilation": 9, "kernel": 5}, 16, "only 3 x 3 weights of its 5x5 kernel"),
        ({"dilation": 18}, 19, ""),
    ],
)
def test_a_dilation_larger_than_its_map_is_warned_of(options: dict[str, int], size: int, warned: str) -> None:
    network = nn.Sequential(nn.MaxPool2d(4), conv(**options))
    warnings = describe(network, image=torch.zeros(1, 1, 4 * size, 4 * size)).warnings
    assert len(warnings) == bool(warned)
    if warned:
        assert warned in warnings[0]
        assert warnings[0].startswith(f"1: dilation {options['dilation']} reaches beyond its 16x16 feature map")
        enlarged = int(warnings[0].partition("at least ")[2].split()[0])
        assert not describe(network, image=torch.zeros(1, 1, enlarged, enlarged)).warnings


def test_dead_weights_do_nothing() -> None:
    """What the warning claims: changing all but the centre weight changes no output."""
    layer = conv(dilation=18)
    image = torch.rand(1, 1, 16, 16)
    with torch.no_grad():
        before = layer(image)
        centre = layer.weight[..., 1, 1].clone()
        layer.weight.normal_()
        layer.weight[..., 1, 1] = centre
        torch.testing.assert_close(layer(image), before)


def test_work_in_parts_is_one_line() -> None:
    description = describe(PLAIN["in parts"], image=torch.zeros(1, 1, 36, 32))
    layers = [layer for layer in description.layers if layer.kind == "Conv2d"]
    assert [layer.calls for layer in layers] == [5]  # the last part has 4 rows
    assert layers[0].macs == 9 * 36 * 32


def test_the_text_has_a_line_a_layer_and_the_totals() -> None:
    description = describe(build_network("unet_nearest", widths=[4]), (32, 32), name="tiny")
    lines = str(description).splitlines()
    assert lines[0] == "tiny"
    assert len([line for line in lines if line.startswith(("encoder", "decoder", "bottleneck"))]) == 13
    full = 32 * 32 * 9 * (3 * 4 + 4 * 4 + 8 * 4 + 4 * 1)
    assert f"multiply-adds: {full + 16 * 16 * 9 * 4 * 4:,} (0.001 G)" in lines


def test_a_foreign_network_that_needs_a_batch_of_two_is_described() -> None:
    network = nn.Sequential(conv(3, 4), nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(4))
    # the image; four pooled values (a mean keeps only its shape); mean and spread of four channels for two images
    assert describe(network, (32, 32)).training_mb * MB == PIXELS * 3 + 4 * 4 + 2 * 4 * 4 / 2


def test_networks_that_look_at_numbers_are_run() -> None:
    network = Functional(lambda m, x: m["a"](x) if float(x.sum()) == 0.0 else x, a=conv(3, 2))
    assert describe(network, (32, 32)).macs == 3 * 2 * 9 * 32 * 32
    broken = Functional(lambda m, x: m["a"](x[:, :2]), a=conv(3, 2))
    with pytest.raises(RuntimeError, match="channels"):
        describe(broken, (32, 32))


def test_wrong_images_are_refused() -> None:
    with pytest.raises(ValueError, match=r"image must be \(1, C, H, W\), got \(3, 32, 32\)"):
        describe(conv(3, 1), image=torch.zeros(3, 32, 32))
