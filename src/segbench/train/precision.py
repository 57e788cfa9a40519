"""How a network computes while it trains: in float32 or mixed with bfloat16, and where bfloat16 pays on a CPU.

Scores of a finished run, `evaluate` and `predict` are computed in float32 whatever the training did.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from segbench.config.run import RunConfig
from segbench.errors import ConfigError
from segbench.files import cache_folder, locked, write_json
from segbench.folders.run import RunFolder
from segbench.predict.device import describe_processor
from segbench.train.callback import ProgressCallback
from segbench.train.environment import cpu_settings
from segbench.train.fabric import Fabric, MixedPrecision

# What /proc/cpuinfo calls instructions that multiply bfloat16: AVX-512 and AMX of x86, the last one of ARM.
_INSTRUCTIONS = {"avx512_bf16", "amx_bf16", "bf16"}
_LARGEST_SHARE = 0.85  # of float32's time; above it the gain is not worth the digits
_ROUNDS = 5


def decide_precision(config: RunConfig, device: torch.device, folder: RunFolder, watch: ProgressCallback) -> str:
    """Returns Fabric's precision: the one a run was begun with on this kind of device, else `pick_precision`'s."""
    if folder.last_file.is_file():
        begun = folder.read_facts()["environment"]
        if begun["device"] == device.type:
            return str(begun["precision"])
    return pick_precision(config.precision, device, watch)


def pick_precision(name: str, device: torch.device, watch: ProgressCallback) -> str:
    """Returns Fabric's precision for a config value; `auto` mixes in bfloat16 where the device is faster with it.

    A GPU is by its generation. A CPU without instructions for bfloat16 would be tens of times slower, so only one that
    has them is measured, once (see `_measured`).

    Raises:
        ConfigError: 16-mixed on a CPU.
    """
    if name != "auto":
        if device.type == "cpu" and name == "16-mixed":
            raise ConfigError("16-mixed needs a GPU; take 32 or auto on a CPU", key="precision")
        return f"{name}-true" if name == "32" else name
    if device.type == "cuda":
        faster = torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        faster = device.type == "cpu" and _has_instructions() and _is_faster_here(watch)
    return "bf16-mixed" if faster else "32-true"


def make_fabric(device: torch.device, precision: str) -> Fabric:
    """Returns the Fabric of one device; `precision` as `pick_precision` gives it."""
    if device.type == "cpu" and precision == "bf16-mixed":
        return Fabric(accelerator="cpu", devices=1, plugins=[_CPUBfloat16()])
    return Fabric(accelerator=device.type, devices=1, precision=precision)  # type: ignore[arg-type]  # one of theirs


class _CPUBfloat16(MixedPrecision):
    """torch's autocast on a CPU, but for the few operations that it makes slower."""

    def __init__(self) -> None:
        super().__init__("bf16-mixed", "cpu")

    @contextmanager
    def forward_context(self) -> Generator[None, None, None]:
        with super().forward_context(), _CastWhereItPays():
            yield


class _CastWhereItPays(TorchFunctionMode):
    """Changes what autocast does with single operations, whichever module calls them (torch 2.15, oneDNN).

    Depthwise convolutions stay in float32: going backward through one with a stride or a larger kernel takes 2 to 20
    times as long in bfloat16. What only moves values (reflection, unpooling) takes bfloat16 as it comes; autocast would
    copy it to float32 and the next convolution back.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        is_convolution = func is torch.conv2d
        if is_convolution and _is_depthwise(*args, **kwargs):
            args, kwargs = tuple(map(_as_float32, args)), {name: _as_float32(value) for name, value in kwargs.items()}
        elif func not in (F.pad, F.max_unpool2d):
            return func(*args, **kwargs)
        with torch.autocast("cpu", enabled=False):
            return func(*args, **kwargs)


def _is_depthwise(input: Tensor, weight: Tensor, *_: Any, **__: Any) -> bool:  # noqa: A002  # torch.conv2d's name
    """Tells whether each channel of (B, C, H, W) has filters of its own: `weight` is (C * n, 1, kH, kW)."""
    return input.shape[1] > 1 and weight.shape[1] == 1


def _as_float32(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) else value


def _has_instructions(file: Path = Path("/proc/cpuinfo")) -> bool:
    """Tells whether Linux names instructions for bfloat16; elsewhere nothing is known of them."""
    try:
        words = set(file.read_text(encoding="utf-8").split())
    except OSError:
        return False
    return bool(words & _INSTRUCTIONS)


def measurement_file() -> Path:
    """Returns where the measured seconds of a step are remembered, by processor and torch version."""
    name = re.sub(r"[^\w.+-]+", "_", f"{describe_processor()}_torch_{torch.__version__}")
    return cache_folder() / "precision" / f"{name}.json"


def _is_faster_here(watch: ProgressCallback) -> bool:
    """Measures once a processor and torch version, remembers it in the cache folder, and says so once."""
    file = measurement_file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with locked(file.with_suffix(".lock")):  # runs of a study that begin together share one answer
            known = _remembered(file)
            if known is None:
                known = _measured()
                _tell(known, watch)
                write_json(file, {"processor": describe_processor(), "torch": torch.__version__, **known})
    except OSError:  # a cache that cannot be written: each run measures
        known = _measured()
    return _pays(known)


def _remembered(file: Path) -> dict[str, float] | None:
    try:
        plain = json.loads(file.read_text(encoding="utf-8"))
        return {name: float(plain[name]) for name in ("float32_s", "bfloat16_s")}
    except (OSError, ValueError, KeyError, TypeError):  # not there yet, or damaged: it is measured again
        return None


def _pays(seconds: Mapping[str, float]) -> bool:
    return seconds["bfloat16_s"] < _LARGEST_SHARE * seconds["float32_s"]


def _tell(seconds: Mapping[str, float], watch: ProgressCallback) -> None:
    share = seconds["bfloat16_s"] / seconds["float32_s"]
    so = "training uses it" if _pays(seconds) else "training keeps to float32"
    watch.message(
        f"precision auto: mixed with bfloat16, a step takes {share:.2f} of float32's time on this processor, so {so} "
        "(measured once; precision: 32 or bf16-mixed decides otherwise)"
    )


def _measured() -> dict[str, float]:
    """Returns the CPU seconds of a small step forward and back on one thread, the least of some rounds in turn."""
    with torch.random.fork_rng(devices=[]), cpu_settings(1, torch.device("cpu")):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(32, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.Conv2d(32, 32, 3))
        network = network.to(memory_format=torch.channels_last)
        images = torch.rand(4, 32, 64, 64).to(memory_format=torch.channels_last)
        seconds: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(_ROUNDS + 1):  # the first warms up
            for mixed, taken in seconds.items():
                started = time.process_time()
                with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed):
                    logits = network(images)
                logits.float().sum().backward()
                taken.append(time.process_time() - started)
    return {"float32_s": min(seconds[False][1:]), "bfloat16_s": min(seconds[True][1:])}
