"""MobileNetV2 U-Net: equal to the lab's Keras network and, with ImageNet weights, to torchvision's encoder."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models import MobileNet_V2_Weights

from segbench.errors import ConfigError, WeightsError
from segbench.models import build_network
from segbench.models.mobilenet_v2_unet import MobileNetV2UNet

NUM_CLASSES = 3
SIZES = ((128, 128), (96, 160))
SKIPS = ("block_1_expand_relu", "block_3_expand_relu", "block_6_expand_relu", "block_13_expand_relu")
STATISTICS = ("running_mean", "running_var")
WEIGHTS_FILE = "mobilenet_v2-b0353104.pth"


def write_keras_reference(folder: Path) -> None:
    """Builds the lab's network in Keras for each size, randomises all of it, and writes weights, images and logits."""
    import keras
    from keras.src import backend

    keras.config.set_floatx("float64")  # rounding would hide small differences
    backend.result_type = lambda *_: "float64"  # or BatchNormalization casts to single precision all the same
    weights: list[np.ndarray] = []
    saved: dict[str, np.ndarray] = {}
    for height, width in SIZES:
        network = build_keras_network(keras, height, width)
        if not weights:
            weights = randomised(network)
            saved["count"] = np.array(network.count_params())
            saved["paths"] = np.array([weight.path for weight in network.weights])
            saved |= {f"weight_{i}": value for i, value in enumerate(weights)}
        network.set_weights(weights)
        image = np.random.default_rng(height).uniform(-1, 1, (2, height, width, 3))
        saved[f"image_{height}"] = image
        saved[f"logits_{height}"] = np.asarray(network.predict(image, verbose=0))
    np.savez(folder / "reference.npz", **saved)


def build_keras_network(keras: Any, height: int, width: int) -> Any:
    """Returns the lab's `unet_model`: `keras.applications.MobileNetV2` under pix2pix's upsampling blocks."""
    layers = keras.layers
    base = keras.applications.MobileNetV2(input_shape=(height, width, 3), include_top=False, weights=None)
    outputs = [base.get_layer(name).output for name in (*SKIPS, "block_16_project")]
    down = keras.Model(base.input, outputs)
    image = keras.Input((height, width, 3))
    *skips, x = down(image)
    for filters, skip in zip((512, 256, 128, 64), reversed(skips), strict=True):
        x = layers.Conv2DTranspose(filters, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.Dropout(0.5)(layers.BatchNormalization()(x)))
        x = layers.Concatenate()([x, skip])
    return keras.Model(image, layers.Conv2DTranspose(NUM_CLASSES, 3, strides=2, padding="same")(x))


def randomised(network: Any) -> list[np.ndarray]:
    """Returns random values for every weight and statistic, of a size that keeps the signal alive."""
    rng = np.random.default_rng(1)
    values: list[np.ndarray] = []
    for weight in network.weights:
        shape = tuple(weight.shape)
        if weight.path.endswith(("moving_variance", "gamma")):
            value = rng.uniform(0.5, 1.5, shape)
        elif len(shape) == 1:
            value = rng.normal(0, 0.2, shape)
        else:
            fan_in = shape[0] * shape[1] if "depthwise" in weight.path else np.prod(shape[:3])
            if "transpose" in weight.path:
                fan_in = np.prod(shape) / shape[2] / 4
            value = rng.normal(0, np.sqrt(2 / fan_in), shape)
        values.append(value)
    return values


def copy_from_keras(network: nn.Module, paths: list[str], values: list[np.ndarray]) -> None:
    """Copies a Keras network's weights into ours: both list their layers in the order they are applied.

    A Keras layer's weights are gamma, beta, mean, variance, or a kernel (height, width, in, out), (height, width,
    channels, 1) where depthwise, (height, width, out, in) where transposed.
    """
    ours = {name: value for name, value in network.state_dict().items() if not name.endswith("num_batches_tracked")}
    assert len(ours) == len(values)
    for (name, tensor), path, value in zip(ours.items(), paths, values, strict=True):
        if value.ndim == 4:
            value = value.transpose((2, 3, 0, 1) if "depthwise" in path else (3, 2, 0, 1))
        assert tensor.shape == value.shape, (name, path)
        assert name.endswith("running_var") == path.endswith("moving_variance"), (name, path)
        tensor.copy_(torch.from_numpy(np.ascontiguousarray(value)))


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
    """In double precision far below 1e-5; in single precision both are 1e-4 from that, by rounding."""
    network = build_network("mobilenet_v2_unet", out_channels=NUM_CLASSES, dropout=0.5).double().eval()
    paths = reference["paths"].tolist()
    copy_from_keras(network, paths, [reference[f"weight_{i}"] for i in range(len(paths))])
    image = torch.from_numpy(reference[f"image_{height}"]).permute(0, 3, 1, 2)
    expected = torch.from_numpy(reference[f"logits_{height}"]).permute(0, 3, 1, 2)
    with torch.no_grad():
        torch.testing.assert_close(network(image), expected, atol=1e-9, rtol=0)
        rounded = network.float()(image.float()).double()
    assert expected.std() > 0.1, "a reference that says something"
    torch.testing.assert_close(rounded, expected, atol=3e-4 * expected.std().item(), rtol=0)


@pytest.mark.slow
def test_keras_counts_as_many_parameters(reference: dict[str, np.ndarray]) -> None:
    assert reference["count"] == 6_504_227


def test_parameter_counts_are_the_labs() -> None:
    network = build_network("mobilenet_v2_unet", out_channels=NUM_CLASSES)
    trainable = sum(parameter.numel() for parameter in network.parameters())
    statistics = sum(value.numel() for name, value in network.named_buffers() if name.endswith(STATISTICS))
    assert trainable + statistics == 6_504_227
    assert trainable == 6_471_395
    for module in network.encoder_modules():
        module.requires_grad_(False)
    assert sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad) == 4_660_323


def test_feature_maps_are_the_labs() -> None:
    network = build_network("mobilenet_v2_unet").eval()
    maps = network.encoder(torch.zeros(1, 3, 128, 192))
    assert [tuple(x.shape[1:]) for x in maps] == [
        (96, 64, 96),
        (144, 32, 48),
        (192, 16, 24),
        (576, 8, 12),
        (320, 4, 6),
    ]


def test_conventions_and_initial_weights() -> None:
    network = build_network("mobilenet_v2_unet", in_channels=4)
    assert (network.normalization.mean, network.normalization.std) == ((0.5,) * 4, (0.5,) * 4)
    assert {m.eps for m in network.modules() if isinstance(m, nn.BatchNorm2d)} == {1e-3}
    up = [block[0] for block in network.decoder]
    assert all(isinstance(layer, nn.ConvTranspose2d) and layer.bias is None for layer in up)
    assert [layer.weight.std().item() for layer in up] == pytest.approx([0.02] * 4, rel=0.02)
    assert torch.equal(network.head.bias, torch.zeros(1))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder where torchvision looks for published weights, on a machine without a network."""

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr("torch.hub.urlopen", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def published(hub: Path) -> nn.Module:
    """torchvision's network with random weights and statistics, its file where the published one would be."""
    torch.manual_seed(0)
    theirs: nn.Module = torchvision.models.mobilenet_v2(weights=None).eval()
    for module in theirs.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)  # by what comes in: the signal must not fade before the last map
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    torch.save(theirs.state_dict(), hub / WEIGHTS_FILE)
    return theirs


def torchvision_maps(theirs: Any, image: Tensor) -> list[Tensor]:
    """Returns what torchvision's own layers give at the five places: after three ReLU6, and before a BatchNorm."""
    maps, x = [], image
    for number, layer in enumerate(theirs.features[:18], start=-1):
        if number in (1, 3, 6, 13):
            maps.append(layer.conv[0](x))
        x = layer.conv[:-1](x) if number == 16 else layer(x)
    return [*maps, x]


def test_imagenet_weights_give_torchvisions_features(published: nn.Module, hub: Path) -> None:
    network = build_network("mobilenet_v2_unet", weights="imagenet").eval()
    image = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        ours, theirs = network.encoder(image), torchvision_maps(published, image)
    assert [x.shape for x in ours] == [x.shape for x in theirs]
    for mine, yours in zip(ours, theirs, strict=True):
        assert yours.std() > 0.5
        torch.testing.assert_close(mine, yours, atol=1e-5, rtol=1e-5)
    origin = network.weights_origin
    assert (origin.source, origin.part, origin.file) == ("imagenet", "encoder", WEIGHTS_FILE)
    assert origin.provider == "torchvision MobileNet_V2_Weights.IMAGENET1K_V1"
    assert len(origin.sha256) == 64
    assert origin.tensors == len(network.encoder.state_dict())
    assert origin.left_out == len(published.state_dict()) - origin.tensors > 0


@pytest.mark.parametrize("prefix", ["", "module."])
def test_torchvisions_file_by_path_needs_torchvisions_conventions(published: nn.Module, prefix: str, hub: Path) -> None:
    file = hub / "renamed.pth"
    torch.save({prefix + name: tensor for name, tensor in published.state_dict().items()}, file)
    with pytest.raises(
        WeightsError, match=r"set `network: \{name: mobilenet_v2_unet, conventions: torchvision\}`"
    ) as caught:
        build_network("mobilenet_v2_unet", weights=str(file))
    assert caught.value.file == str(file)
    named = build_network("mobilenet_v2_unet", weights="imagenet")
    by_path = build_network("mobilenet_v2_unet", weights=str(file), conventions="torchvision")
    assert by_path.normalization == named.normalization
    state = named.encoder.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in by_path.encoder.state_dict().items())
    build_network("mobilenet_v2_unet", weights=str(file), conventions="keras")  # whoever converted such a file says so


def test_our_own_files_say_nothing_of_torchvision(tmp_path: Path) -> None:
    source = build_network("mobilenet_v2_unet")
    torch.save(source.state_dict(), tmp_path / "w.pt")
    torch.save(source.encoder.state_dict(), tmp_path / "encoder.pt")
    assert build_network("mobilenet_v2_unet", weights=str(tmp_path / "w.pt")).weights_origin.part == "network"
    assert build_network("mobilenet_v2_unet", weights=str(tmp_path / "encoder.pt")).weights_origin.part == "encoder"


def test_imagenet_weights_come_with_their_normalisation(published: nn.Module) -> None:
    wanted = MobileNet_V2_Weights.IMAGENET1K_V1.transforms()
    network = build_network("mobilenet_v2_unet", weights="imagenet")
    assert network.normalization.mean == pytest.approx(wanted.mean)
    assert network.normalization.std == pytest.approx(wanted.std)
    encoder_norms = [m for m in network.encoder.modules() if isinstance(m, nn.BatchNorm2d)]
    assert {m.eps for m in encoder_norms} == {nn.BatchNorm2d(1).eps}
    alone = build_network("mobilenet_v2_unet", weights="imagenet", in_channels=1).normalization
    assert alone.mean == pytest.approx([np.mean(wanted.mean)])


@pytest.mark.parametrize("in_channels", [1, 6])
def test_imagenet_weights_for_other_channels(published: nn.Module, in_channels: int) -> None:
    """A grey image, or the same image twice, gives what torchvision's network makes of the colours."""
    network: Any = build_network("mobilenet_v2_unet", weights="imagenet", in_channels=in_channels).eval()
    grey = torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    color = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    image, same = (grey, grey.expand(-1, 3, -1, -1)) if in_channels == 1 else (color.repeat(1, 2, 1, 1), color)
    with torch.no_grad():
        ours, theirs = network.encoder(image), torchvision_maps(published, same)
    for mine, yours in zip(ours, theirs, strict=True):
        assert yours.std() > 0.5
        torch.testing.assert_close(mine, yours, atol=1e-3, rtol=1e-3)  # sums in another order


def test_four_channels_repeat_the_first(published: nn.Module) -> None:
    weight = published.state_dict()["features.0.0.weight"]
    expected = torch.stack([weight[:, 0], weight[:, 1], weight[:, 2], weight[:, 0]], dim=1) * 0.75
    four, three = (build_network("mobilenet_v2_unet", weights="imagenet", in_channels=count) for count in (4, 3))
    torch.testing.assert_close(four.encoder.state_dict()["features.0.0.weight"], expected)  # type: ignore[union-attr]
    assert torch.equal(three.encoder.state_dict()["features.0.0.weight"], weight)  # type: ignore[union-attr]


def test_offline_is_one_clear_error(hub: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        build_network("mobilenet_v2_unet", weights="imagenet")
    message = str(caught.value)
    assert "no route to host" in message
    assert MobileNet_V2_Weights.IMAGENET1K_V1.url in message
    assert str(hub / WEIGHTS_FILE) in message
    assert "\n" not in message
    assert message.endswith("`weights` and `network: {name: mobilenet_v2_unet, conventions: torchvision}`")
    build_network("mobilenet_v2_unet", weights="imagenet", load_weights=False)  # needs no file


def test_another_networks_file_is_refused(hub: Path) -> None:
    torch.save({"features.0.0.weight": torch.zeros(16, 3, 3, 3)}, hub / WEIGHTS_FILE)
    with pytest.raises(WeightsError, match=r"expected torchvision's MobileNetV2 .* missing or of another shape: feat"):
        build_network("mobilenet_v2_unet", weights="imagenet")


def test_conventions_follow_the_weights_or_the_option() -> None:
    def network(**options: Any) -> MobileNetV2UNet:
        torch.manual_seed(0)
        found = build_network("mobilenet_v2_unet", load_weights=False, **options).eval()
        assert isinstance(found, MobileNetV2UNet)
        return found

    image = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        keras, published, named = (
            network(**options)(image) for options in ({}, {"weights": "imagenet"}, {"conventions": "torchvision"})
        )
    assert torch.equal(published, named)
    assert not torch.allclose(keras, published, atol=1e-3)
    with pytest.raises(ConfigError, match=r"^network.conventions: conventions must be .* got \"keras\""):
        network(weights="imagenet", conventions="keras")


def test_dropout_acts_in_training_only() -> None:
    torch.manual_seed(0)
    network = build_network("mobilenet_v2_unet", dropout=0.5)
    image = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert not torch.allclose(network(image), network(image), atol=1e-3)
        network.eval()
        torch.testing.assert_close(network(image), network(image))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dropout": 1.0}, r"network.dropout: dropout must be a probability"),
        ({"weights": "coco_voc"}, r"weights: weights must be one of none, imagenet, got 'coco_voc'"),
        ({"conventions": "tf"}, r"network.conventions: conventions must be one of auto, keras, torchvision"),
    ],
)
def test_wrong_options_name_their_key(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}"):
        build_network("mobilenet_v2_unet", **options)


if __name__ == "__main__":
    write_keras_reference(Path(sys.argv[1]))
