"""The same network in other runtimes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from segbench.errors import ConfigError
from segbench.models import build_network
from segbench.predict import runtimes
from segbench.predict.predictor import Predictor
from segbench.predict.runtimes import (
    load_predictor,
    onnx_file,
    quickest_runtime,
    runtime_network,
    with_runtime,
)
from segbench.types import ClassMap, Task

BINARY = ClassMap(names=("background", "spot"), values=((0,), (255,)), task=Task.BINARY)
THREE = ClassMap(names=("a", "b", "c"), values=((0,), (1,), (2,)))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEGBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def predictor_of(class_map: ClassMap = BINARY, seed: int = 0, device: str = "cpu") -> Predictor:
    torch.manual_seed(seed)
    network = build_network("unet_nearest", widths=[4, 8], out_channels=class_map.out_channels)
    return Predictor(network, class_map, (48, 64), device=device)


def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (50, 71, 3), dtype=np.uint8)


OPENVINO = pytest.param("openvino", marks=pytest.mark.slow)  # starts a process when it is imported


@pytest.mark.parametrize("name", ["torch", "onnxruntime", OPENVINO])
@pytest.mark.parametrize("class_map", [BINARY, THREE], ids=["binary", "multiclass"])
def test_probabilities_are_those_of_the_network(name: str, class_map: ClassMap) -> None:
    if name != "torch":
        pytest.importorskip(name)
    predictor = predictor_of(class_map)
    other = with_runtime(predictor, name, threads=1)
    expected, found = predictor(image()), other(image())
    np.testing.assert_allclose(found.network_probs, expected.network_probs, atol=1e-5)
    np.testing.assert_array_equal(found.mask, expected.mask)
    assert (predictor.runtime, other.runtime) == ("torch", name)
    assert other.network is predictor.network, "what asks for layers finds them"
    assert other.pipeline.reach == predictor.pipeline.reach


@pytest.mark.parametrize("name", ["onnxruntime", OPENVINO])
def test_any_batch_and_size_and_no_call_overwrites_another(name: str) -> None:
    pytest.importorskip(name)
    predictor = predictor_of()
    network = runtime_network(predictor, name, threads=1)
    kept = []
    with torch.inference_mode():
        for shape in ((1, 3, 48, 64), (5, 3, 48, 64), (2, 3, 65, 33)):
            images = torch.rand(shape).contiguous(memory_format=torch.channels_last)
            kept.append((network(images), predictor.network(images)))
    for found, expected in kept:
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
def test_sixteen_bit_is_a_name_of_its_own() -> None:
    pytest.importorskip("openvino")
    predictor = predictor_of()
    images = torch.rand(1, 3, 48, 64)
    with torch.inference_mode():
        exact, short = (runtime_network(predictor, name)(images) for name in ("openvino", "openvino-bf16"))
        expected = predictor.network(images)
    assert (exact - expected).abs().max() < 1e-5
    assert (short - expected).abs().max() < 0.05


def test_the_graph_is_written_once_a_model(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    written = []
    real = runtimes.write_network_onnx

    def counted(network: nn.Module, file: Path, *, channels: int) -> None:
        written.append(file)
        real(network, file, channels=channels)

    monkeypatch.setattr(runtimes, "write_network_onnx", counted)
    for seed in (0, 0, 1):
        runtime_network(predictor_of(seed=seed), "onnxruntime")
    assert len(written) == 2
    assert sorted(file.name for file in (cache / "onnx").iterdir()) == sorted(
        onnx_file(predictor_of(seed=seed).model_id).name for seed in (0, 1)
    )


@pytest.mark.parametrize(("name", "package", "extra"), [
    ("onnxruntime", "onnxruntime", "onnx"), ("openvino", "openvino", "openvino"), ("onnxruntime", "onnx", "onnx"),
])  # fmt: skip
def test_a_missing_package_is_named_with_its_extra(
    name: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=rf"{package}, which is not installed; pip install 'segbench\[{extra}\]'"):
        runtime_network(predictor_of(), name)


def test_an_unknown_name() -> None:
    with pytest.raises(ConfigError, match="expected auto, torch, onnxruntime, openvino, openvino-bf16, got 'tflite'"):
        runtime_network(predictor_of(), "tflite")


def files(folder: Path) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{index}.png" for index in range(3)]
    for path in paths[1:]:
        Image.fromarray(image()).save(path)
    paths[0].write_bytes(b"no image")
    return paths


def test_auto_leaves_torch_where_another_is_shown_to_be_quicker_by_a_margin() -> None:
    torch_s = [1.00, 1.02, 0.98, 1.01, 0.99, 1.00, 1.03]

    def chosen(**others: list[float]) -> runtimes.RuntimeChoice:
        return runtimes.chosen_of({"torch": torch_s, **others}, 4)  # type: ignore[dict-item]

    assert chosen(onnxruntime=[each / 1.03 for each in torch_s]).name == "torch", "quicker, but hardly"
    noisy = [0.4, 1.4, 0.5, 1.2, 0.6, 1.3, 0.4]
    assert chosen(onnxruntime=noisy).name == "torch", "its mean is quicker, which the rounds do not show"
    both = chosen(onnxruntime=[each / 1.3 for each in torch_s], openvino=[each / 1.5 for each in torch_s])
    assert both.name == "openvino"
    assert both.ratio == pytest.approx(1.5)
    told = "runtime openvino: 1.50 times as fast as torch here (95 % interval 1.50 to 1.50), with the same masks of 4"
    assert both.sentence == f"{told} images"
    assert "shown to be 5 % quicker" in chosen().sentence


@pytest.mark.slow
def test_auto_is_measured_once(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor, paths = predictor_of(), files(tmp_path / "in")
    first = quickest_runtime(predictor, paths, threads=1)
    assert first.images == 2
    assert first.ratio >= 1.0
    assert (first.name == "torch") == ("no other" in first.sentence)
    monkeypatch.setattr(runtimes, "runtime_network", None)  # would be called to measure again
    assert quickest_runtime(predictor, paths, threads=1) == first
    (note,) = (cache / "runtimes").iterdir()
    note.write_text("{}")
    with pytest.raises(TypeError):
        quickest_runtime(predictor, paths, threads=1)


def test_auto_takes_none_that_gives_other_masks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = runtimes.runtime_network

    def wrong(predictor: Predictor, name: str, *, threads: int | None = None) -> runtimes.Network:
        network = real(predictor, "torch")
        return network if name == "torch" else lambda images: -network(images[:, :, :, :])

    monkeypatch.setattr(runtimes, "runtime_network", wrong)
    choice = quickest_runtime(predictor_of(), files(tmp_path / "in"))
    assert (choice.name, choice.ratio) == ("torch", 1.0)


def test_auto_without_other_packages_is_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert quickest_runtime(predictor_of(), files(tmp_path / "in")).name == "torch"


@pytest.mark.slow
def test_a_run_in_another_runtime_builds_no_network_twice(runs: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    trained_run = runs / "a_seed0"
    expected = Predictor.load(trained_run, device="cpu")(image())
    said: list[str] = []
    for _ in range(2):
        predictor = load_predictor(trained_run, "onnxruntime", threads=1)
        np.testing.assert_array_equal(predictor(image()).mask, expected.mask)
        assert predictor.runtime == "onnxruntime"
    assert "network" not in vars(predictor)
    assert predictor.pipeline.reach.stride_px >= 1  # builds it
    assert "network" in vars(predictor)
    load_predictor(trained_run, "auto", images=files(tmp_path / "in"), say=said.append)
    assert said
    assert said[0].startswith("runtime ")
    assert json.loads(next((tmp_path / "cache" / "runtimes").iterdir()).read_text())["name"] in said[0]
