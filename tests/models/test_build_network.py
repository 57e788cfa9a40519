"""Building by name: a user's own networks, what `weights` may name, and what an image must be."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from segbench.errors import ConfigError
from segbench.models import MODELS, build_network, check_weights
from segbench.models.weights import save_weights
from segbench.types import WeightsOrigin

ADDING = Path(__file__).resolve().parents[2] / "docs" / "howto" / "adding.md"


@pytest.fixture
def own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a test register networks, which are gone afterwards."""
    monkeypatch.setattr(MODELS, "_table", dict(MODELS._table))


@pytest.mark.usefixtures("own_names")
def test_the_network_of_the_documentation(tmp_path: Path) -> None:
    section = ADDING.read_text().partition("## Without touching segbench")[2]
    code = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert code is not None
    exec(compile(code[1], str(ADDING), "exec"), {"__name__": "documentation"})
    network = build_network("my_net", in_channels=1, out_channels=4, width=5)
    assert network(torch.rand(2, 1, 40, 33)).shape == (2, 4, 40, 33)
    assert sum(parameter.numel() for parameter in network.parameters()) == (9 * 5 + 5) + (5 * 4 + 4)
    assert network.encoder_modules() == (network.encoder,)
    save_weights(tmp_path / "w.safetensors", network, {})
    again = build_network("my_net", in_channels=1, out_channels=4, width=5, weights=str(tmp_path / "w.safetensors"))
    assert again.weights_origin.part == "network"


@pytest.mark.usefixtures("own_names")
def test_a_builder_must_return_a_network_of_segbench() -> None:
    @MODELS.register("plain")
    def plain(*, in_channels: int = 3, out_channels: int = 1) -> nn.Module:
        return nn.Conv2d(in_channels, out_channels, 1)

    with pytest.raises(
        ConfigError, match=r"'plain' must return a segbench\.SegmentationNetwork, got Conv2d; derive"
    ) as raised:
        build_network("plain")
    assert raised.value.key == "network"


@pytest.mark.parametrize("name", ["unet", "mobilenet_v2_unet", "smp/unet"])
def test_a_folder_is_no_file_of_weights(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "k1").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"runs/k1 is a folder; name the file of weights in it") as raised:
        check_weights(name, "runs/k1")
    (tmp_path / "runs" / "k1" / "best.safetensors").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"is a folder; write runs/k1/best\.safetensors, its best weights"):
        build_network(name, weights="runs/k1")
    monkeypatch.chdir(tmp_path / "runs")
    with pytest.raises(ConfigError, match=r"write k1/best\.safetensors, its best weights") as raised:
        build_network(name, weights="k1")
    assert raised.value.key == "weights"


@pytest.mark.parametrize("name", ["unet", "mobilenet_v2_unet", "smp/unet"])
@pytest.mark.parametrize("file", ["x.h5", "model"])
def test_a_file_without_a_known_suffix(name: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / file).write_bytes(b"")
    with pytest.raises(
        ConfigError, match=rf"ends in \.safetensors, \.pt.* or has a folder in it \(\./{file}\)"
    ) as raised:
        build_network(name, weights=file)
    assert raised.value.key == "weights"
    (tmp_path / "none").mkdir()
    assert build_network("unet", width=4, depth=2, weights="none").weights_origin.source == "random"


@pytest.mark.parametrize("name", ["unet", "smp/unet", "mobilenet_v2_unet"])
def test_no_weights_are_random_weights(name: str) -> None:
    """None is what smp and timm call them; the word is what a config says."""
    networks = []
    for weights in (None, "none"):
        torch.manual_seed(0)
        networks.append(build_network(name, weights=weights))
    assert networks[0].weights_origin == networks[1].weights_origin == WeightsOrigin.random()
    assert all(torch.equal(a, b) for a, b in zip(*(network.parameters() for network in networks), strict=True))


def test_a_misspelt_name_is_told_nothing_of_files() -> None:
    with pytest.raises(ConfigError) as raised:
        build_network("mobilenet_v2_unet", weights="imagnet")
    assert "folder" not in str(raised.value)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool])
def test_images_that_are_not_floating(dtype: torch.dtype) -> None:
    network: Any = build_network("unet", width=4, depth=2)
    with pytest.raises(ValueError, match=rf"expected an image of floating-point numbers, got {dtype}; divide"):
        network(torch.zeros(1, 3, 32, 32, dtype=dtype))
    assert network.double()(torch.zeros(1, 3, 32, 32, dtype=torch.float64)).shape == (1, 1, 32, 32)


@pytest.mark.parametrize("weights", [True, 5, Path("w.pt")])
def test_weights_that_are_no_text_are_refused(weights: Any) -> None:
    with pytest.raises(ConfigError, match="weights: expected none, the name of published weights or a file, got"):
        build_network("unet_nearest", weights=weights)
