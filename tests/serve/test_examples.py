"""The clients in docs/examples, run against a real server; and Ray Serve on a cluster of this machine."""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from tests.serve.conftest import as_png

from segbench.predict.predictor import Predictor

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
PROGRAMS = {"py": [sys.executable], "sh": ["sh"], "mjs": ["node"]}
NEEDS = {"py": sys.executable, "sh": "curl", "mjs": "node"}
TOKEN = "a-token-for-the-examples"


@pytest.fixture
def photos(image: np.ndarray, tmp_path: Path) -> list[Path]:
    """Returns four photos, of which one is none, with a name that a shell would take apart."""
    (tmp_path / "my photos").mkdir()
    found = []
    for number in range(3):
        found.append(tmp_path / "my photos" / f"photo {number}.png")
        found[-1].write_bytes(as_png(np.roll(image, 5 * number, axis=0)))
    found.append(tmp_path / "my photos" / "broken.png")
    found[-1].write_bytes(b"no image")
    return found


@pytest.mark.parametrize("token", [None, TOKEN], ids=["open", "with a token"])
@pytest.mark.parametrize("kind", list(PROGRAMS))
def test_the_clients_do_what_they_say(
    server: Callable[..., str],
    bundles: dict[str, Path],
    photos: list[Path],
    tmp_path: Path,
    kind: str,
    token: str | None,
) -> None:
    if shutil.which(NEEDS[kind]) is None:
        pytest.skip(f"{NEEDS[kind]} is not installed")
    address = server(jobs=tmp_path / "jobs", token=token)
    words = [*PROGRAMS[kind], str(EXAMPLES / f"serve_client.{kind}"), address, str(tmp_path / "out"), *map(str, photos)]
    environment = {**os.environ, **({} if token is None else {"SEGBENCH_TOKEN": token})}
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    expected = Predictor.load(bundles["lesion"])(photos[0])
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / "mask.png")), expected.mask)
    with zipfile.ZipFile(tmp_path / "out" / "result.zip") as archive:
        masks = sorted(name for name in archive.namelist() if name.startswith("masks/photo"))
        assert masks == [f"masks/photo {number}.png" for number in range(3)]
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(archive.read(masks[0])))), expected.mask)
    assert "4 of 4, 1 failed" in done.stdout or '"done": 4, "total": 4' in done.stdout, done.stdout
    left = httpx.get(f"{address}/v1/jobs", headers={"Authorization": f"Bearer {token}"}).json()
    assert left == {"jobs": []}


@pytest.mark.parametrize("kind", list(PROGRAMS))
def test_the_clients_say_why_they_were_refused(
    server: Callable[..., str], photos: list[Path], tmp_path: Path, kind: str
) -> None:
    if shutil.which(NEEDS[kind]) is None:
        pytest.skip(f"{NEEDS[kind]} is not installed")
    address = server(jobs=tmp_path / "jobs", token=TOKEN)
    words = [*PROGRAMS[kind], str(EXAMPLES / f"serve_client.{kind}"), address, str(tmp_path / "out"), str(photos[0])]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode != 0
    assert "expected the header Authorization: Bearer TOKEN" in done.stdout + done.stderr


@pytest.fixture
def cluster() -> Iterator[str]:
    """Returns the address of a cluster of two nodes with one core each."""
    pytest.importorskip("ray.serve", reason="ray[serve] is not installed")
    from ray.cluster_utils import Cluster

    node: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    made = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    try:
        made.add_node(**node)
        yield made.address
    finally:
        made.shutdown()  # type: ignore[no-untyped-call]


def test_a_cluster_answers_as_this_machine(
    cluster: str, bundles: dict[str, Path], image: np.ndarray, tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "PORT": str(port), "RAY_ADDRESS": cluster, "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    words = [sys.executable, str(EXAMPLES / "ray_serve.py"), str(bundles["street"])]
    images = [np.roll(image, number, axis=0)[: 61 - number % 2] for number in range(24)]
    address = f"http://127.0.0.1:{port}"
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(words, stdout=log, stderr=log, env=environment) as process,
    ):
        try:
            _wait_for(address, process, tmp_path / "log")
            with ThreadPoolExecutor(12) as pool:
                answers = list(pool.map(lambda each: httpx.post(address, content=as_png(each), timeout=60), images))
            broken = httpx.post(address, content=b"no image", timeout=60)
        finally:
            process.terminate()
            process.wait(60)
    predictor = Predictor.load(bundles["street"])
    for each, answer in zip(images, answers, strict=True):
        assert answer.status_code == 200, answer.text
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(answer.content))), predictor(each).mask)
    assert broken.status_code == 422


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(240):
        try:
            if httpx.post(address, content=b"no image", timeout=5).status_code == 422:
                return
        except httpx.TransportError:
            pass
        assert process.poll() is None, log.read_text()
        time.sleep(0.5)
    raise AssertionError(log.read_text())
