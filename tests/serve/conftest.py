from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save
from torch import nn

from segbench.predict.bundle_file import ModelBundle, NetworkSpec
from segbench.predict.bundle_members import Member
from segbench.predict.decide import normalize
from segbench.predict.pipeline import PipelineSettings
from segbench.types import ClassMap, Normalization, Task

CLASSES = {
    "lesion": ClassMap(
        names=("skin", "lesion"), values=((0,), (255,)), task=Task.BINARY, colors=((0, 0, 0), (230, 60, 60))
    ),
    "street": ClassMap(
        names=("road", "sky", "car"), values=((0,), (1,), (2,)), colors=((90, 90, 90), (0, 0, 255), (255, 0, 0))
    ),
}


def write_model(path: Path, class_map: ClassMap, size: tuple[int, int] = (40, 48), *, seed: int = 3) -> None:
    """Writes a bundle of a small random network, whose masks have all classes."""
    torch.manual_seed(seed)
    normal = Normalization(mean=(0.5, 0.4, 0.3), std=(0.25, 0.2, 0.1))
    outputs = 1 if class_map.task is Task.BINARY else len(class_map.names)
    spec = NetworkSpec(
        name="unet_nearest", options={"widths": [4, 8]}, in_channels=3, out_channels=outputs, normalization=normal
    )
    network = spec.build().eval()
    centre_outputs(network, normal)
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    ModelBundle(
        settings=PipelineSettings(class_map=class_map, size=size, normalization=normal, threshold=0.5),
        networks=(spec,),
        weight_files=(Member.of_bytes("weights_0.safetensors", save(tensors)),),
        source=path,
    ).write(path)


def centre_outputs(network: nn.Module, normal: Normalization) -> None:
    """Moves the biases of the last layer so that, on noise, every class wins somewhere."""
    noise = torch.from_numpy(noisy_image(5, (64, 64)) / np.float32(255)).permute(2, 0, 1)[None]
    with torch.no_grad():
        logits = network(normalize(noise, normal))
        layers = [each for each in network.modules() if isinstance(each, nn.Conv2d)]
        head = next(each for each in layers if each.out_channels == logits.shape[1] and each.bias is not None)
        head.bias -= logits.flatten(2).median(dim=2).values[0]


def noisy_image(seed: int, size: tuple[int, int]) -> np.ndarray:
    """Returns (H, W, 3) uint8 of smooth noise."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC))


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Returns name -> bundle: `lesion` (binary) and `street` (three classes)."""
    folder = tmp_path_factory.mktemp("bundles")
    for name, class_map in CLASSES.items():
        write_model(folder / f"{name}.segbench", class_map)
    return {name: folder / f"{name}.segbench" for name in CLASSES}


@pytest.fixture
def image() -> np.ndarray:
    """Returns (61, 47, 3) uint8."""
    return noisy_image(0, (61, 47))


@pytest.fixture
def png(image: np.ndarray) -> bytes:
    return as_png(image)


def as_png(image: np.ndarray) -> bytes:
    data = io.BytesIO()
    Image.fromarray(image).save(data, "PNG")
    return data.getvalue()


@pytest.fixture
def client(bundles: dict[str, Path]) -> Iterator[object]:
    """Returns a client of the application with both models, without a socket."""
    from starlette.testclient import TestClient

    from segbench.serve.app import create_app
    from segbench.serve.models import Models
    from segbench.serve.settings import ServeSettings

    settings = ServeSettings()
    app = create_app(Models.open(list(bundles.values()), settings), settings)
    with TestClient(app, base_url="http://localhost") as made:  # a name that the server answers to
        yield made


@pytest.fixture
def server(bundles: dict[str, Path]) -> Iterator[Callable[..., str]]:
    """Returns a function that starts a real server and returns its address; keywords are those of `ServeSettings`."""
    import uvicorn

    from segbench.serve.app import create_app
    from segbench.serve.models import Models
    from segbench.serve.settings import ServeSettings

    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(**given: object) -> str:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        settings = ServeSettings(port=port, **given)  # type: ignore[arg-type]
        app = create_app(Models.open(list(bundles.values()), settings), settings)
        made = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning"))
        thread = threading.Thread(target=made.run, daemon=True)
        thread.start()
        running.append((made, thread))
        for _ in range(200):
            if made.started:
                return f"http://127.0.0.1:{port}"
            time.sleep(0.05)
        raise AssertionError("the server did not start")

    yield start
    for made, thread in running:
        made.should_exit = True
        thread.join(20)
