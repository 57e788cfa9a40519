"""`hypercolumn`: a linear layer on all maps of an encoder, computed map by map."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from segbench.errors import ConfigError
from segbench.models import build_network
from segbench.models.hypercolumn import Hypercolumn
from segbench.models.smp.packaged import PACKAGED


def built(**options: object) -> Hypercolumn:
    torch.manual_seed(0)
    network = build_network("hypercolumn", **options)  # type: ignore[arg-type]
    assert isinstance(network, Hypercolumn)
    return network.eval()


@torch.no_grad()
def test_it_is_one_convolution_on_the_enlarged_maps() -> None:
    network = built(out_channels=3)
    image = torch.randn(2, 3, 64, 96)
    maps = network.features(image)
    assert torch.equal(maps[0], image)
    assert [level.shape[1] for level in maps] == [3, 16, 24, 40, 112, 320]
    column = torch.cat([F.interpolate(level, (64, 96), mode="bilinear", align_corners=False) for level in maps], dim=1)
    weight = torch.cat([head.weight for head in network.heads], dim=1)  # type: ignore[arg-type]
    expected = F.conv2d(column, weight, network.heads[0].bias)  # type: ignore[arg-type]
    torch.testing.assert_close(network(image), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("row", PACKAGED, ids=lambda row: row.name)
def test_the_packages_weights_are_loaded(row: object) -> None:
    network = built(weights="imagenet", encoder=row.encoder)  # type: ignore[attr-defined]
    assert row.package in network.weights_origin.provider  # type: ignore[attr-defined]
    assert network.weights_origin.part == "encoder"
    other = built(encoder=row.encoder)  # type: ignore[attr-defined]
    first = "model.conv_stem.weight"
    assert not torch.equal(network.encoder.state_dict()[first], other.encoder.state_dict()[first])
    assert torch.equal(network.heads[1].weight, other.heads[1].weight)  # type: ignore[arg-type]


def test_an_encoder_with_an_empty_map_works() -> None:
    network = built(encoder="mit_b0", out_channels=2)
    assert all(level.shape[1] for level in network.features(torch.randn(1, 3, 64, 64)))
    assert network(torch.randn(1, 3, 70, 64)).shape == (1, 2, 70, 64)


def test_wrong_options_name_the_key() -> None:
    with pytest.raises(ConfigError, match=r"network.encoder.*did you mean"):
        built(encoder="resnet43")
    with pytest.raises(ConfigError, match="weights of encoder"):
        built(weights="coco")
