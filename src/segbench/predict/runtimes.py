"""The same network in other runtimes, which run it faster on a CPU: ONNX Runtime and OpenVINO.

What they run is written once a model and kept in the cache, under the hash of its weights. `quickest_runtime` measures
them, and takes none that was not seen to give the same masks on the images at hand.
"""

from __future__ import annotations

import copy
import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np
import torch
from torch import Tensor

from segbench import __version__
from segbench.errors import ConfigError, SegbenchError
from segbench.files import cache_folder, replacing, write_json
from segbench.locale import Message, message
from segbench.predict.device import describe_processor
from segbench.predict.folding import folded
from segbench.predict.onnx_network import write_network_onnx
from segbench.predict.pipeline import Pipeline
from segbench.predict.predictor import Predictor, networks_id, open_models
from segbench.speech import argument
from segbench.statistics.correlation import mean_with_interval
from segbench.types import AUTO_RUNTIME, SizePolicy, Task, Tta

Runtime: TypeAlias = Literal["torch", "onnxruntime", "openvino", "openvino-bf16"]
RUNTIMES: tuple[Runtime, ...] = get_args(Runtime)
Network: TypeAlias = Callable[[Tensor], Tensor]

_EXACT: tuple[Runtime, ...] = ("torch", "onnxruntime", "openvino")  # in the precision that networks are trained in
_EXTRAS: Mapping[Runtime, tuple[str, str]] = {  # package, extra of segbench
    "onnxruntime": ("onnxruntime", "onnx"),
    "openvino": ("openvino", "openvino"),
    "openvino-bf16": ("openvino", "openvino"),
}
_TIE = 1e-4  # of the probability: closer to the threshold, or to another class, rounding decides
_ROUNDS = 7
_MARGIN = 1.05  # times as fast as torch, at the lower end of the interval: below it another runtime is not worth it
_TRIED = 4  # images


@dataclass(frozen=True, kw_only=True)
class RuntimeChoice:
    """Which runtime is the quickest on this machine.

    Attributes:
        name: of the runtime.
        ratio: images a second, of those of `torch`; 1 for itself.
        low, high: 95 % interval of it over the rounds that were measured (Student's t of the logarithms).
        images: how many images gave equal masks.
    """

    name: Runtime
    ratio: float
    images: int
    low: float = 1.0
    high: float = 1.0

    @property
    def sentence(self) -> Message:
        """What a person is told."""
        if self.name == "torch":
            return message(
                "runtime torch: no other that is installed gives the same masks and is shown to be {percent:.0f} % "
                "quicker here",
                percent=100 * (_MARGIN - 1),
            )
        return message(
            "runtime {name}: {ratio:.2f} times as fast as torch here (95 % interval {low:.2f} to {high:.2f}), with the "
            "same masks of {images} images",
            name=self.name,
            ratio=self.ratio,
            low=self.low,
            high=self.high,
            images=self.images,
        )


def with_runtime(predictor: Predictor, name: str, *, threads: int | None = None) -> Predictor:
    """Returns the predictor with its network in a runtime; see `runtime_network`."""
    other = copy.copy(predictor)
    network = runtime_network(predictor, name, threads=threads)
    other.pipeline = Pipeline(
        network, predictor.pipeline.settings, predictor.device, original=lambda: predictor.network
    )
    other.runtime = name
    return other


def load_predictor(
    model: str | Path | Sequence[str | Path],
    runtime: str = "torch",
    *,
    images: Sequence[Path] = (),
    say: Callable[[Message], None] | None = None,
    threads: int | None = None,
    device: str = "auto",
    threshold: float | None = None,
    tta: Tta | None = None,
    policy: SizePolicy | None = None,
) -> Predictor:
    """Returns `Predictor.load` in a runtime; where the cache has its graph, PyTorch's network is not even built.

    Args:
        model, device, threshold, tta, policy: see `Predictor.load`.
        runtime: see `runtime_network`; `auto` takes what `quickest_runtime` chooses.
        images: for `auto`, see there.
        say: told what `auto` has chosen.
        threads: see `runtime_network`.
    Raises:
        ConfigError: see `runtime_network`.
    """
    bundles = open_models(model)
    if runtime == AUTO_RUNTIME:
        choice = _kept(networks_id(bundles), threads) if device in ("auto", "cpu") else None
        if choice is None:
            predictor = Predictor.of_bundles(bundles, device, threshold, tta, policy)
            choice = quickest_runtime(predictor, images, threads=threads)
        if say is not None:
            say(choice.sentence)
        runtime = choice.name
    name = checked_runtime(runtime)
    if name != "torch" and device == "auto":
        device = "cpu"  # the only one that it runs on here
    if name != "torch" and device == "cpu":
        require_runtime(name)
        file = onnx_file(networks_id(bundles))
        if file.is_file():
            network = opened_network(file, name, threads=threads)
            return Predictor.of_runtime(network, name, bundles, threshold, tta, policy)
    predictor = Predictor.of_bundles(bundles, device, threshold, tta, policy)
    return with_runtime(predictor, name, threads=threads)


def runtime_network(predictor: Predictor, name: str, *, threads: int | None = None) -> Network:
    """Returns a predictor's network in a runtime: normalised images (B, C, H, W) float32 -> logits (B, K, H, W).

    Args:
        predictor: see `Predictor`; left as it is.
        name: `torch`, with batch normalisation folded into the convolutions; `onnxruntime` or `openvino`, in 32 bit as
            it was trained, equal but for rounding; or `openvino-bf16`, which computes in 16 bit and changes pixels.
        threads: of the runtime; None: one a core. Those of `torch` are the process's own.
    Raises:
        ConfigError: another name, a package that is not installed (names the extra), or a device that is no CPU.
        PredictionError: the network cannot be written as ONNX.
    """
    runtime = checked_runtime(name)
    channels = predictor.pipeline.settings.channels
    if runtime == "torch":
        return folded(predictor.network, channels)
    if predictor.device.type != "cpu":
        told = f"{runtime} runs on the CPU here, and the network is on {predictor.device.type}"
        raise ConfigError(f"{told}; say {argument('device', 'cpu')}, or {argument('runtime', 'torch')}", key="runtime")
    require_runtime(runtime)
    file = onnx_file(predictor.model_id)
    if not file.is_file():
        with replacing(file) as temporary:
            write_network_onnx(predictor.network, temporary, channels=channels)
    return opened_network(file, runtime, threads=threads)


def checked_runtime(name: str) -> Runtime:
    """Returns the name of a runtime; ConfigError where there is no such."""
    if name not in RUNTIMES:
        raise ConfigError(f"expected auto, {', '.join(RUNTIMES)}, got {name!r}", key=argument("runtime"))
    return name


def require_runtime(runtime: Runtime) -> None:
    """Raises ConfigError, which names the extra, where a runtime is not installed."""
    missing = [package for package in _packages(runtime) if not _is_installed(package)]
    if missing:
        extra = _EXTRAS[runtime][1]
        told = f"needs the package {missing[0]}, which is not installed; pip install 'segbench[{extra}]'"
        raise ConfigError(f"{runtime} {told}", key=argument("runtime"))


def onnx_file(model_id: str) -> Path:
    """Returns where the cache has, or will have, the graph of a model."""
    return cache_folder() / "onnx" / f"{model_id}-{__version__}.onnx"


def opened_network(file: Path, runtime: Runtime, *, threads: int | None = None) -> Network:
    """Returns a network of an ONNX file (`image` -> `logits`) in a runtime; see `runtime_network`."""
    run = (_onnxruntime if runtime == "onnxruntime" else _openvino)(file, runtime, threads or os.cpu_count() or 1)

    def network(images: Tensor) -> Tensor:
        return torch.from_numpy(run(images.numpy(force=True)))

    return network


def _onnxruntime(file: Path, runtime: Runtime, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    import onnxruntime  # type: ignore[import-untyped]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    def run(images: np.ndarray) -> np.ndarray:
        (logits,) = session.run(["logits"], {"image": np.ascontiguousarray(images)})
        return np.asarray(logits)

    return run


def _openvino(file: Path, runtime: Runtime, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    import openvino  # type: ignore[import-untyped]

    # Its own default is 16 bit wherever the processor has it.
    precision = "bf16" if runtime == "openvino-bf16" else "f32"
    options = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
    compiled = openvino.Core().compile_model(str(file), "CPU", options)

    def run(images: np.ndarray) -> np.ndarray:
        return np.array(compiled([np.ascontiguousarray(images)])["logits"])  # a copy: the next call overwrites it

    return run


def quickest_runtime(predictor: Predictor, images: Sequence[Path], *, threads: int | None = None) -> RuntimeChoice:
    """Returns the quickest runtime that is installed and gives the same masks; measured once a model and machine.

    Another than torch is taken where it is shown to be 5 % quicker.

    Args:
        predictor: see `Predictor`.
        images: files, of which the first few that can be read are tried.
        threads: see `runtime_network`.
    """
    if predictor.device.type != "cpu":
        return RuntimeChoice(name="torch", ratio=1.0, images=0)
    if (kept := _kept(predictor.model_id, threads)) is not None:
        return kept
    candidates = _installed()
    seen = _some(predictor, images)
    if not seen:
        return RuntimeChoice(name="torch", ratio=1.0, images=0)
    networks = {name: runtime_network(predictor, name, threads=threads) for name in candidates}
    pipeline = predictor.pipeline
    equal: dict[Runtime, bool] = {}
    alike = torch.cat([each for each in seen if each.shape == seen[0].shape])
    with torch.inference_mode():
        for name, network in networks.items():
            equal[name] = all(_same_masks(networks["torch"](each), network(each), pipeline) for each in seen)
        rounds: dict[Runtime, list[float]] = {name: [] for name in candidates if equal[name]}
        for _ in range(_ROUNDS):  # side by side, so that what else the machine does disturbs all alike
            for name, times in rounds.items():
                started = time.perf_counter()
                networks[name](alike)
                times.append(time.perf_counter() - started)
    choice = chosen_of(rounds, len(seen))
    write_json(_note(predictor.model_id), {"key": _machine_key(threads), **asdict(choice)})
    return choice


def chosen_of(rounds: Mapping[Runtime, Sequence[float]], images: int) -> RuntimeChoice:
    """Returns the quickest of the runtimes that are shown to be 5 % quicker than torch; torch where none is.

    Args:
        rounds: seconds of each in every round, in which all did the same, one after the other.
        images: see `RuntimeChoice`.
    """
    best = RuntimeChoice(name="torch", ratio=1.0, images=images)
    torch_s = np.log(rounds["torch"])
    for name, seconds in rounds.items():
        if name == "torch":
            continue
        ratio, low, high = np.exp(mean_with_interval(torch_s - np.log(seconds), None, 0.95)).tolist()
        if low >= _MARGIN and ratio > best.ratio:
            best = RuntimeChoice(name=name, ratio=ratio, images=images, low=low, high=high)
    return best


def _some(predictor: Predictor, images: Sequence[Path]) -> list[Tensor]:
    """Returns what the network is given of the first few images that can be read and go at once."""
    found: list[Tensor] = []
    for path in images[: 4 * _TRIED]:
        try:
            seen = predictor.pipeline.seen(predictor.pipeline.read(path)[0])
        except SegbenchError:
            continue  # whoever predicts it will say why
        if seen.plan.tile is None:
            found.append(predictor.pipeline.normalized([seen]))
        if len(found) == _TRIED:
            break
    return found


def _same_masks(expected: Tensor, found: Tensor, pipeline: Pipeline) -> bool:
    """Tells whether two logits (B, K, H, W) are decided alike, but for ties."""
    multiclass = pipeline.settings.class_map.task is Task.MULTICLASS
    one, other = (each.softmax(dim=1) if multiclass else each.sigmoid() for each in (expected, found))
    if not multiclass:
        threshold = pipeline.settings.threshold
        return bool((((one > threshold) == (other > threshold)) | ((one - threshold).abs() <= _TIE)).all())
    first, second = one.topk(2, dim=1).values.unbind(dim=1)
    return bool(((one.argmax(dim=1) == other.argmax(dim=1)) | (first - second <= _TIE)).all())


def _kept(model_id: str, threads: int | None) -> RuntimeChoice | None:
    """Returns what was measured before; None where nothing was, or on another machine, or it cannot be read."""
    try:
        plain = json.loads(_note(model_id).read_text(encoding="utf-8"))
        if plain["key"] != _machine_key(threads):
            return None
        numbers = {key: plain[key] for key in ("ratio", "images", "low", "high")}
        return RuntimeChoice(name=checked_runtime(plain["name"]), **numbers)
    except (OSError, ValueError, KeyError, TypeError):
        return None  # the cache may be deleted or damaged any time


def _note(model_id: str) -> Path:
    return cache_folder() / "runtimes" / f"{model_id}.json"


def _installed() -> list[Runtime]:
    """Returns the runtimes that compute as exactly as torch, and can be used here."""
    return [name for name in _EXACT if all(map(_is_installed, _packages(name)))]


def _machine_key(threads: int | None) -> str:
    """Returns in words what a measured speed depends on, beside the model."""
    versions = [f"{package} {version(package)}" for name in _installed() for package in _packages(name)]
    machine = [describe_processor(), f"{os.cpu_count()} cores", f"{threads} threads"]
    return ", ".join([*machine, f"segbench {__version__}", f"torch {torch.__version__}", *versions])


def _packages(runtime: Runtime) -> tuple[str, ...]:
    return () if runtime == "torch" else ("onnx", _EXTRAS[runtime][0])


def _is_installed(package: str) -> bool:
    """Tells whether a package can be imported; one that is hidden (None in `sys.modules`) cannot."""
    if package in sys.modules:
        return sys.modules[package] is not None
    return importlib.util.find_spec(package) is not None
