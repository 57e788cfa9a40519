"""ASPPNet: equal to the lesson's Keras network at any size, its parts, its options, and that it learns."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from segbench.errors import ConfigError
from segbench.models import build_network

SIZES = ((97, 131), (128, 128))


def write_keras_reference(folder: Path) -> None:
    """Builds the lesson's network in Keras for each size, randomises it, and writes weights, images and logits."""
    import keras

    keras.config.set_floatx("float64")  # rounding would hide small differences
    rng = np.random.default_rng(0)
    weights: list[np.ndarray] = []
    saved: dict[str, np.ndarray] = {}
    for height, width in SIZES:
        network, convolutions = build_keras_network(keras, height, width)
        if not weights:
            saved["count"] = np.array(network.count_params())
            for kernel, bias in (layer.get_weights() for layer in convolutions):
                fan_in = np.prod(kernel.shape[:3])
                weights += [rng.normal(0, np.sqrt(2 / fan_in), kernel.shape), rng.normal(0, 0.2, bias.shape)]
            saved |= {f"weight_{i}": value for i, value in enumerate(weights)}
        for i, layer in enumerate(convolutions):
            layer.set_weights(weights[2 * i : 2 * i + 2])
        image = rng.uniform(0, 1, (2, height, width, 3))
        saved[f"image_{height}"] = image
        saved[f"logits_{height}"] = np.asarray(network.predict(image, verbose=0))
    np.savez(folder / "reference.npz", **saved)


def build_keras_network(keras: Any, height: int, width: int) -> tuple[Any, list[Any]]:
    """Returns the lesson's network, and its convolutions in the order of ours."""
    convolutions: list[Any] = []

    def convolve(x: Any, filters: int, size: int = 3, dilation: int = 1, activation: str | None = "relu") -> Any:
        layer = keras.layers.Conv2D(filters, size, padding="same", dilation_rate=dilation, activation=activation)
        convolutions.append(layer)
        return layer(x)

    def resize(x: Any, like: Any) -> Any:
        return keras.layers.Resizing(*like.shape[1:3], interpolation="bilinear")(x)

    image = x = skip = keras.Input((height, width, 3))
    for stage, filters in enumerate((64, 128, 256, 512, 512)):
        x = keras.layers.MaxPooling2D(2, padding="same")(x) if stage else x
        x = convolve(convolve(x, filters), filters)
        skip = x if stage == 2 else skip
    branches = [convolve(x, 256, 1), *(convolve(x, 256, dilation=dilation) for dilation in (6, 12, 18))]
    x = convolve(keras.layers.Concatenate()(branches), 256, 1)
    x = keras.layers.Concatenate()([resize(x, skip), convolve(skip, 48, 1)])
    x = convolve(convolve(convolve(x, 256), 256), 1, 1, activation=None)
    return keras.Model(image, resize(x, image)), convolutions


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """What Keras computed, in a process of its own: it wants its backend from the environment, and warns a lot."""
    folder = tmp_path_factory.mktemp("keras")
    environment = {**os.environ, "KERAS_BACKEND": "torch", "KERAS_HOME": str(folder), "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-W", "ignore", __file__, str(folder)]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr[-2000:]
    with np.load(folder / "reference.npz") as file:
        return dict(file)


@pytest.mark.slow
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_logits_are_those_of_keras(reference: dict[str, np.ndarray], height: int, width: int) -> None:
    """In double precision far below 1e-5, and in single precision, too."""
    assert reference["count"] == 14_641_777
    network = build_network("aspp_net").double().eval()
    for i, parameter in enumerate(network.parameters()):
        value = reference[f"weight_{i}"]
        value = value.transpose(3, 2, 0, 1) if value.ndim == 4 else value  # Keras: height, width, in, out
        assert parameter.shape == value.shape
        parameter.data.copy_(torch.from_numpy(np.ascontiguousarray(value)))
    image = torch.from_numpy(reference[f"image_{height}"]).permute(0, 3, 1, 2)
    expected = torch.from_numpy(reference[f"logits_{height}"]).permute(0, 3, 1, 2).double()
    with torch.no_grad():
        torch.testing.assert_close(network(image), expected, atol=1e-9, rtol=0)
        rounded = network.float()(image.float()).double()
    assert expected.std() > 0.1, "a reference that says something"
    torch.testing.assert_close(rounded, expected, atol=1e-5, rtol=0)


def test_parameter_count_is_the_lessons() -> None:
    network = build_network("aspp_net")
    assert sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad) == 14_641_777
    (encoder,) = network.encoder_modules()
    with torch.device("meta"):  # shapes without values
        shapes = [parameter.shape for parameter in torchvision.models.vgg13().features.parameters()]
    assert [parameter.shape for parameter in encoder.parameters()] == shapes


def test_the_pyramid_is_dilated_convolutions_side_by_side() -> None:
    """Against the formula, with the branches' dilations written out as kernels with holes."""
    torch.manual_seed(0)
    network: Any = build_network("aspp_net", width=4, dilations=[1, 3]).double()
    x = torch.randn(1, 32, 9, 7, dtype=torch.float64)
    branches = [F.conv2d(x, network.aspp.branches[0][0].weight)]
    for number, dilation in ((1, 1), (2, 3)):
        kernel = torch.zeros(16, 32, 2 * dilation + 1, 2 * dilation + 1, dtype=torch.float64)
        kernel[:, :, ::dilation, ::dilation] = network.aspp.branches[number][0].weight
        branches.append(F.conv2d(x, kernel, padding=dilation))
    joined = torch.cat(branches, dim=1).relu()  # biases begin at 0
    expected = torch.einsum("oc,bchw->bohw", network.aspp.project[0].weight[:, :, 0, 0], joined).relu()
    torch.testing.assert_close(network.aspp(x), expected)


def test_options_change_the_layers() -> None:
    network: Any = build_network("aspp_net", width=8, dilations=[2, 4, 6, 8], norm="batch")
    dilations = [branch[0].dilation for branch in network.aspp.branches]
    assert dilations == [(1, 1), (2, 2), (4, 4), (6, 6), (8, 8)]
    assert sum(isinstance(module, nn.BatchNorm2d) for module in network.modules()) == 19
    assert network.skip[0].out_channels == 6


def test_dropout_acts_in_training_only() -> None:
    torch.manual_seed(0)
    network = build_network("aspp_net", width=4, dropout=0.5)
    image = torch.rand(2, 3, 33, 47)
    with torch.no_grad():
        assert not torch.allclose(network(image), network(image), atol=1e-3)
        network.eval()
        torch.testing.assert_close(network(image), network(image))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "network.width: width must be an integer above 0, got 0"),
        ({"dilations": []}, r"network.dilations: dilations must be a list of one or more distances"),
        ({"dilations": [6, 0]}, r"network.dilations: dilations must be a list .* integers above 0, got \[6, 0\]"),
        ({"norm": "layer"}, "network.norm: norm must be one of batch, group, none, got 'layer'"),
        ({"dropout": -0.1}, "network.dropout: dropout must be a probability"),
        ({"weights": "imagenet"}, "weights: there are no published weights of 'aspp_net'"),
    ],
)
def test_wrong_options_name_their_key(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}"):
        build_network("aspp_net", **options)


@pytest.mark.slow
def test_it_learns_without_normalisation() -> None:
    """Four images of a disc, sixty steps: the start decides whether 19 layers of ReLU move at all."""
    torch.manual_seed(0)
    network = build_network("aspp_net", width=16).train()
    places = torch.tensor([[20.0, 20], [44, 20], [20, 44], [44, 44]])
    grid = torch.stack(torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij"))
    target = ((grid - places[:, :, None, None]).square().sum(1, keepdim=True) < 144).float()
    image = torch.rand(4, 3, 64, 64) * 0.5 + 0.5 * target
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    for _ in range(60):
        loss = F.binary_cross_entropy_with_logits(network(image), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        found = network.eval()(image) > 0
    overlap = (found & (target > 0)).sum() / (found | (target > 0)).sum()
    assert overlap > 0.8


if __name__ == "__main__":
    write_keras_reference(Path(sys.argv[1]))
