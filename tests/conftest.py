"""Fixtures every test may use. One CPU thread: two on a busy machine are slower."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import numpy as np
import pytest
from PIL import Image

from segbench.speech import speaking
from tests._guard import Guard

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--quick", action="store_true", help="only what is marked neither slow nor data, and no test of seconds"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Guard(is_timed=config.getoption("quick")))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("quick"):
        left_out = [item for item in items if item.get_closest_marker("slow") or item.get_closest_marker("data")]
        config.hook.pytest_deselected(items=left_out)
        kept = set(items) - set(left_out)
        items[:] = [item for item in items if item in kept]


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps the tests out of the user's cache folder; in theirs, bfloat16 is remembered as slow.

    So trainings compute alike on every processor. For the whole session, since fixtures of a module train, too.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGBENCH_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        from segbench.train.precision import measurement_file

        file = measurement_file()
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"float32_s": 1.0, "bfloat16_s": 9.0}), encoding="utf-8")
        yield


@pytest.fixture(autouse=True)
def _words_of_the_command_line() -> Iterator[None]:
    """Makes sentences in the words of the command line, whose advice most tests read; Python's are tested for it."""
    with speaking("shell"):
        yield


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """Returns a function: name of a real data set -> its folder; skips where it is absent (CI: fails)."""
    root = Path(os.environ.get("SEGBENCH_DATA", REPOSITORY.parent / "shared" / "data"))

    def folder(name: str) -> Path:
        path = root / name
        if not path.is_dir():
            reason = f"real data set {name!r} is not at {path}; set SEGBENCH_DATA to the folder that holds it"
            if os.environ.get("SEGBENCH_REQUIRE_DATA") == "1":
                pytest.fail(reason)
            pytest.skip(reason)
        return path

    return folder


def draw_pairs(folder: Path, count: int, *, size: tuple[int, int] = (40, 48), classes: int = 2, seed: int = 0) -> Path:
    """Writes images/ and masks/ of coloured rectangles on noise, easy enough to be learned in a few epochs.

    Args:
        folder: to fill.
        count: of pairs, named img_000 and so on.
        size: (H, W) in pixels.
        classes: 2 writes 0/255 masks, more write indices 0 to classes - 1.
        seed: of the noise.
    """
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "masks").mkdir(parents=True, exist_ok=True)
    height, width = size
    for index in range(count):
        image = rng.integers(40, 90, (height, width, 3), dtype=np.uint8)
        mask = np.zeros((height, width), dtype=np.uint8)
        for label in range(1, classes):
            top, left = rng.integers(0, height // 2), rng.integers(0, width // 2)
            bottom, right = top + rng.integers(8, height // 2), left + rng.integers(8, width // 2)
            mask[top:bottom, left:right] = label
            image[top:bottom, left:right, label % 3] += 120
        Image.fromarray(image).save(folder / "images" / f"img_{index:03d}.png")
        Image.fromarray(mask * 255 if classes == 2 else mask).save(folder / "masks" / f"img_{index:03d}.png")
    return folder


@pytest.fixture(scope="session")
def binary_pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder of 24 small binary pairs; read only."""
    return draw_pairs(tmp_path_factory.mktemp("binary"), 24)


@pytest.fixture(scope="session")
def three_class_pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder of 24 small pairs with three classes; read only."""
    return draw_pairs(tmp_path_factory.mktemp("three"), 24, classes=3)


@pytest.fixture(scope="session")
def multilabel_pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder of 24 images with one mask file a class: masks/red and masks/green; read only."""
    folder = draw_pairs(tmp_path_factory.mktemp("multi"), 24, classes=3)
    for name, label in (("red", 1), ("green", 2)):
        (folder / "masks" / name).mkdir()
        for path in sorted((folder / "masks").glob("*.png")):
            Image.fromarray((np.asarray(Image.open(path)) == label).astype(np.uint8) * 255).save(
                folder / "masks" / name / path.name
            )
    for path in (folder / "masks").glob("*.png"):
        path.unlink()
    return folder


def train_quickly(pairs: Path, run: Path, **changes: Any) -> Path:
    """Trains for a second; changes are top-level keys."""
    import segbench
    from segbench.config.run import parse_config
    from segbench.train.callback import Callback

    values: dict[str, Any] = {
        "data": {"path": str(pairs), "size": 32},
        "network": {"name": "unet_nearest", "widths": [4, 8]},
        "optimizer": {"lr": 0.02},
        "epochs": 1,
        "batch_size": 4,
        "device": "cpu",
        "output": str(run),
    }
    segbench.fit(parse_config({**values, **changes}), watch=Callback())
    return run


@pytest.fixture(scope="session")
def runs(binary_pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder of runs: nets a and b with seeds 0 and 1; read only."""
    root = tmp_path_factory.mktemp("runs")
    for name, widths in (("a", [4, 8]), ("b", [6, 8])):
        for seed in (0, 1):
            network = {"name": "unet_nearest", "widths": widths}
            train_quickly(
                binary_pairs,
                root / f"{name}_seed{seed}",
                network=network,
                seed=seed,
                epochs=4,
                name=f"{name}_seed{seed}",
            )
    return root


@pytest.fixture(scope="session")
def train() -> Callable[..., Path]:
    """Returns `train_quickly`."""
    return train_quickly
