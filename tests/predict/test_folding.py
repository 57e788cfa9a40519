from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from segbench.models import build_network
from segbench.predict.folding import folded


def trained(network: nn.Module) -> nn.Module:
    """Returns a network whose normalisations have statistics and weights of their own, as after training."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, middle in ((module.running_var, 1.0), (module.weight, 1.0), (module.running_mean, 0.0)):
                assert tensor is not None
                tensor.data = middle + 0.4 * (torch.rand(tensor.shape, generator=generator) - 0.5)
    return network.eval()


def normalizations(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize(
    ("name", "options", "left"),
    [
        ("unet_nearest", {}, None),
        ("unet", {}, 0),
        ("unet", {"norm": "group"}, 0),
        pytest.param("smp/unet", {"encoder": "tu-tf_efficientnet_lite0"}, 0, marks=pytest.mark.slow),
        pytest.param("smp/deeplabv3plus", {"encoder": "tu-test_resnet"}, 0, marks=pytest.mark.slow),
        pytest.param("lraspp_mobilenet_v3", {}, 0, marks=pytest.mark.slow),
    ],
)
def test_probabilities_stay(name: str, options: dict[str, Any], left: int | None) -> None:
    torch.manual_seed(0)
    network = trained(build_network(name, **options))
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    quick = folded(network, 3)
    image = torch.rand(2, 3, 65, 71)
    with torch.no_grad():
        difference = (quick(image).sigmoid() - network(image).sigmoid()).abs().max()
    assert difference <= 1e-5
    assert all(torch.equal(before[key], tensor) for key, tensor in network.state_dict().items())
    if left is not None:
        assert normalizations(quick) == left


class Shared(nn.Module):
    """A convolution whose output is used beside its normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 1, 3, padding=1), nn.BatchNorm2d(1)

    def forward(self, image: Tensor) -> Tensor:
        found: Tensor = self.conv(image)
        return torch.cat([found, self.norm(found)], dim=1)


class Twice(Shared):
    """A normalisation that stands behind two convolutions."""

    def forward(self, image: Tensor) -> Tensor:
        both: Tensor = self.norm(self.conv(image)) + self.norm(self.conv(image.flip(3)))
        return both


@pytest.mark.parametrize("kind", [Shared, Twice])
def test_what_cannot_be_folded_stays(kind: type[nn.Module]) -> None:
    network = trained(kind())
    quick = folded(network, 3)
    image = torch.rand(1, 3, 40, 40)
    with torch.no_grad():
        torch.testing.assert_close(quick(image), network(image))
    assert normalizations(quick) == 1
