"""How far every network looks, proven: tiles with their margin give what the whole image gives."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from segbench.models import MODELS, build_network
from segbench.predict.receptive_field import Reach, find_reach
from segbench.predict.tiles import Cut, exact_cut, tiled_logits

WHOLE = {  # networks that look at the whole image, and why
    "deeplabv3_resnet50": "pooling",
    "lraspp_mobilenet_v3": "pooling",
    "smp/deeplabv3": "pooling",
    "smp/deeplabv3plus": "pooling",
    "smp/dpt": "attention",
    "smp/fpn": "group normalisation",
    "smp/manet": "attention",
    "smp/pan": "pooling",
    "smp/pspnet": "pooling",
    "smp/segformer": "attention",
    "smp/upernet": "pooling",
    "trans_unet": "group normalisation",
}
NARROW_PX = 64  # the side that is not cut


def network_of(name: str, **options: object) -> nn.Module:
    """Returns a network with random weights and statistics; of those that need not be large, a small one."""
    torch.manual_seed(0)
    small = {"aspp_net": {"width": 4}, "simple_fcn": {"widths": [4, 8, 8, 8]}, "sliding_window": {"width": 4}}
    small |= {name: {"decoder_channels": [32, 16, 16, 8, 8]} for name in ("smp/unet", "smp/unetplusplus")}
    if name.startswith("unet") or name == "segnet":
        options = {"widths": [4, 8, 8, 8], **options}
    network = build_network(name, out_channels=2, **{**small.get(name, {}), **options}).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and module.running_var is not None:
            module.running_mean.normal_(0.0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return network


def small_cut(reach: Reach, network: nn.Module) -> Cut:
    """Returns a cut into as few small tiles as leave one between two margins, whose own third is the margin's."""
    assert reach.halo_px is not None
    stride = reach.stride_px
    halo = -(-reach.halo_px // stride) * stride
    side = 2 * halo + max(-(-(halo + stride) // (3 * stride)) * stride, 32)
    smallest = max(getattr(network, "smallest_px", 0), 64)
    return Cut(tile=(side, side), halo_px=halo, stride_px=stride, pads=reach.pads, smallest_px=smallest)


@pytest.mark.parametrize("name", MODELS.names())
def test_every_network_in_tiles_gives_what_it_gives_whole_or_says_why_not(name: str) -> None:
    network = network_of(name)
    reach = find_reach(network)
    if name in WHOLE:
        assert reach.halo_px is None
        assert WHOLE[name] in reach.why
        return
    assert reach.halo_px is not None, reach.why
    cut = small_cut(reach, network)
    odd = 13 if reach.pads else 0
    length = cut.tile[1] + 4 * max(reach.stride_px, 32) + odd  # the last tile is short
    image = torch.randn(1, 3, NARROW_PX, length, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        for images in (image, image.transpose(2, 3).contiguous()):
            tiles: list[int] = []

            def counting(tile: Tensor, tiles: list[int] = tiles) -> Tensor:
                tiles.append(max(tile.shape[2:]))
                logits: Tensor = network(tile)
                return logits

            whole, tiled = network(images), tiled_logits(counting, images, cut)
            assert len(tiles) >= 2
            assert max(tiles) < length
            scale = max(float(whole.std()), 1.0)  # random statistics make logits of hundreds, with rounding to match
            torch.testing.assert_close((tiled / scale).sigmoid(), (whole / scale).sigmoid(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["unet_nearest", "simple_fcn", "mobilenet_v2_unet"])
def test_a_margin_that_is_one_stride_too_narrow_would_show(name: str) -> None:
    """The margin is no larger than it must be: some logit really looks so far."""
    network = network_of(name)
    reach = find_reach(network)
    assert reach.halo_px is not None
    side = 2 * (reach.halo_px // reach.stride_px + 2) * reach.stride_px
    image = torch.randn(1, 3, NARROW_PX, side, requires_grad=True)
    furthest = 0
    for column in range(side // 2, side // 2 + reach.stride_px):
        (gradient,) = torch.autograd.grad(network(image)[..., column].sum(), image)
        reached = gradient.abs().sum(dim=(0, 1, 2)).nonzero().flatten() - column
        furthest = max(furthest, int(reached.abs().max()))
    assert reach.halo_px - reach.stride_px < furthest <= reach.halo_px


@pytest.mark.parametrize(
    ("options", "why"),
    [({"norm": "group"}, "group normalisation"), ({"skip": "aff"}, "pooling"), ({"padding_mode": "circular"}, "grows")],
)
def test_options_that_make_a_network_look_at_everything_are_seen(options: dict[str, object], why: str) -> None:
    reach = find_reach(network_of("unet", depth=2, widths=None, **options))
    assert reach.halo_px is None
    assert why in reach.why
    assert exact_cut(reach) is None


def test_statistics_of_the_image_count_as_looking_at_all_of_it() -> None:
    for norm in (nn.InstanceNorm2d(4), nn.GroupNorm(2, 4)):
        assert find_reach(nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), norm)).halo_px is None
    assert find_reach(nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4))).halo_px == 1


def test_a_network_whose_steps_cannot_be_followed_is_believed_what_it_says() -> None:
    assert find_reach(build_network("sliding_window", patch_px=21, width=4)).halo_px == 10


def test_margins_that_would_cost_too_much_are_left_out() -> None:
    assert exact_cut(Reach(halo_px=543, stride_px=32, mb_per_megapixel=376.0)) is None
    cut = exact_cut(Reach(halo_px=91, stride_px=16, mb_per_megapixel=493.0))
    assert cut is not None
    assert cut.halo_px == 96
    assert (cut.tile[0] - 192) % 16 == 0
    assert 1.5 < cut.work < 2.0
    wide = exact_cut(Reach(halo_px=232, stride_px=8, mb_per_megapixel=439.0))
    assert wide is not None
    assert wide.tile[0] > cut.tile[0]  # more memory, so that margins do not cost too much


def test_an_image_that_memory_holds_is_one_tile() -> None:
    reach = Reach(halo_px=543, stride_px=32, mb_per_megapixel=376.0)
    cut = exact_cut(reach, (384, 1024))
    assert cut is not None
    assert cut.tile == (384, 1024)
    assert exact_cut(reach, (3840, 10240)) is None


def test_it_makes_no_difference_where_it_is_asked() -> None:
    network = network_of("unet_nearest")
    outside = find_reach(network)
    with torch.inference_mode():
        assert find_reach(network) == outside
    assert outside.halo_px == 91


def table_row(name: str) -> str:
    """Returns a network's row of the table in docs/howto/predict.md."""
    reach = find_reach(build_network(name))
    if reach.halo_px is None:
        return f"| `{name}` | everything: {reach.why} | blended |"
    cut = exact_cut(reach)
    how = (
        f"exact, of {cut.tile[0]} px: {cut.work:.1f} x the pixels" if cut is not None else "blended: margins cost more"
    )
    if cut is not None and not reach.pads:
        how += f"; at sizes that are multiples of {reach.stride_px}"
    return f"| `{name}` | {reach.halo_px} px | {how} |"


@pytest.mark.parametrize("name", MODELS.names())
def test_the_documents_say_of_every_network_how_far_it_looks(name: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / "howto" / "predict.md").read_text(encoding="utf-8")
    assert table_row(name) in text
