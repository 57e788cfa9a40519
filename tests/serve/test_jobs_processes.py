"""Jobs whose server is really killed, and servers that share a folder of jobs."""

from __future__ import annotations

import http.client
import io
import json
import os
import signal
import socket
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from tests._processes import Process
from tests.serve.conftest import as_png

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")]

COUNT = 24
Started = tuple[Process, httpx.Client]


def serve(paths: list[str], folder: str, port: int, turn_s: float, timeout_s: float) -> None:
    """Is a server whose jobs take `turn_s` for each batch, and notes each one in `turns.txt` beside the jobs."""
    from segbench.serve import job_runner
    from segbench.serve.batching import BatchQueue
    from segbench.serve.models import Models
    from segbench.serve.run import listening, run_worker
    from segbench.serve.settings import ServeSettings

    real = BatchQueue.in_turn

    def slow(queue: BatchQueue, call: Callable[[], Any]) -> Any:
        with Path(folder, "..", "turns.txt").open("a") as stream:
            stream.write(f"{os.getpid()}\n")
        time.sleep(turn_s)
        return real(queue, call)

    BatchQueue.in_turn = slow  # type: ignore[method-assign]
    job_runner._NOTE_S = 0.0
    settings = ServeSettings(port=port, jobs=Path(folder), drain_s=0.0, timeout_s=timeout_s)
    with listening(settings) as listener:
        run_worker(Models.open(paths, settings), settings, listener)


@pytest.fixture
def start(bundles: dict[str, Path], tmp_path: Path) -> Iterator[Callable[..., Started]]:
    """Returns a function that starts a server process on the jobs of this test."""
    running: list[Started] = []

    def begin(turn_s: float = 0.15, timeout_s: float = 60.0) -> Started:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        (tmp_path / "jobs").mkdir(exist_ok=True)
        paths = [str(path) for path in bundles.values()]
        process = Process(serve, paths, str(tmp_path / "jobs"), port, turn_s, timeout_s, cwd=None, merged=True)
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)
        running.append((process, client))
        for _ in range(600):
            try:
                client.get("/health")
            except httpx.TransportError:
                time.sleep(0.05)
            else:
                return running[-1]
        raise AssertionError(process.communicate(1))

    yield begin
    for process, client in running:
        client.close()
        process.kill()
        process.communicate()


@pytest.fixture
def images(image: np.ndarray) -> list[tuple[str, tuple[str, bytes]]]:
    """Returns images of many sizes, so that each goes through the network alone."""
    return [("files", (f"{n:02d}.png", as_png(np.roll(image, n, axis=1)[: 61 - n]))) for n in range(COUNT)]


def send(client: httpx.Client, images: Any) -> str:
    answer = client.post("/v1/jobs", files=images, params={"model": "street", "policy": "whole", "objects": True})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def wait_for(client: httpx.Client, name: str, enough: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    for _ in range(1200):
        job: dict[str, Any] = client.get(f"/v1/jobs/{name}").json()
        if enough(job):
            return job
        time.sleep(0.05)
    raise AssertionError(job)


def results(client: httpx.Client, name: str) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(client.get(f"/v1/jobs/{name}/result.zip").content)) as archive:
        return {each: archive.read(each) for each in archive.namelist()}


def is_done(job: dict[str, Any]) -> bool:
    return bool(job["state"] == "done")


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "told to end"])
def test_a_new_server_goes_on_where_one_ended(
    start: Callable[..., Started], images: Any, tmp_path: Path, ending: signal.Signals
) -> None:
    process, client = start()
    name = send(client, images)
    wait_for(client, name, lambda job: job["done"] >= 5)
    os.kill(process.pid, ending)
    process.communicate()
    turns = len((tmp_path / "turns.txt").read_text().split())
    assert 5 <= turns < COUNT

    _, again = start(turn_s=0.0)
    job = wait_for(again, name, is_done)
    assert (job["done"], job["failed"]) == (COUNT, 0)
    more = len((tmp_path / "turns.txt").read_text().split()) - turns
    assert more <= COUNT - 5  # what was done was not done again
    undisturbed = send(again, images)
    wait_for(again, undisturbed, is_done)
    assert results(again, name) == results(again, undisturbed)


def test_a_server_ends_although_somebody_watches(start: Callable[..., Started], images: Any) -> None:
    process, client = start()
    name = send(client, images)
    with client.stream("GET", f"/v1/jobs/{name}/events") as stream:
        lines = stream.iter_lines()
        assert next(lines) == "retry: 2000"
        begun = time.perf_counter()
        os.kill(process.pid, signal.SIGTERM)
        assert "event: end" not in list(lines)
    process.communicate()
    assert time.perf_counter() - begun < 5
    assert process.returncode == 0


def test_two_servers_share_the_jobs(start: Callable[..., Started], images: Any, tmp_path: Path) -> None:
    """One of them works on a job, both tell of it, and one that is killed is replaced by the other."""
    first, client = start()
    second, other = start()
    name = send(client, images)
    wait_for(other, name, lambda job: job["done"] >= 3)
    workers = set((tmp_path / "turns.txt").read_text().split())
    assert len(workers) == 1
    killed, alive = (first, other) if workers == {str(first.pid)} else (second, client)
    killed.kill()
    killed.communicate()
    job = wait_for(alive, name, is_done)
    assert (job["done"], job["failed"]) == (COUNT, 0)
    assert len(set((tmp_path / "turns.txt").read_text().split())) == 2

    third = start()[1]
    name = send(third, images)
    wait_for(alive, name, lambda job: job["state"] == "running")
    begun = time.perf_counter()
    assert third.post(f"/v1/jobs/{name}/cancel").json()["state"] == "cancelled"  # whoever works on it
    assert time.perf_counter() - begun < 5
    assert third.delete(f"/v1/jobs/{name}").status_code == 204
    assert alive.get(f"/v1/jobs/{name}").status_code == 404


def test_events_arrive_one_by_one_at_a_plain_client(start: Callable[..., Started], images: Any) -> None:
    _, client = start()
    name = send(client, images)
    connection = http.client.HTTPConnection("127.0.0.1", client.base_url.port or 0, timeout=30)
    connection.request("GET", f"/v1/jobs/{name}/events")
    answer = connection.getresponse()
    times, told = [], []
    while line := answer.readline():
        if line.startswith(b"data: "):
            times.append(time.perf_counter())
            told.append(json.loads(line[6:]))
    connection.close()
    assert told[-1]["state"] == "done"
    assert len(told) > 8
    assert max(b - a for a, b in pairwise(times)) < 2
    assert times[-1] - times[0] > 1.5


def test_a_sender_that_goes_leaves_nothing(start: Callable[..., Started], images: Any, tmp_path: Path) -> None:
    _, client = start()
    with socket.create_connection(("127.0.0.1", client.base_url.port or 0)) as connection:
        connection.sendall(
            b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
            b"Content-Length: 3000000\r\n\r\n--b\r\nContent-Disposition: form-data; name=files; filename=x.png\r\n\r\n"
            + b"x"
            * 2_000_000
        )
        for _ in range(100):
            if list((tmp_path / "jobs").glob(".new-*/images/x.png")):
                break
            time.sleep(0.05)
        else:
            raise AssertionError("nothing was received")
    for _ in range(100):
        if not list((tmp_path / "jobs").glob(".new-*")):
            break
        time.sleep(0.05)
    else:
        raise AssertionError("what was received is still there")
    assert client.get("/v1/jobs").json() == {"jobs": []}


def test_a_sender_is_told_why_before_all_is_sent(start: Callable[..., Started]) -> None:
    _, client = start()
    data = b"x" * 30_000_000
    for address, status in (("/v1/jobs?model=tree", 404), ("/v1/jobs?polygons=svg", 422), ("/v1/jobs", 415)):
        assert client.post(address, files={"files": ("x.exe", data)}).status_code == status


def test_a_slow_sender_is_not_waited_for(start: Callable[..., Started], tmp_path: Path) -> None:
    _, client = start(timeout_s=1.0)
    with socket.create_connection(("127.0.0.1", client.base_url.port or 0)) as connection:
        connection.sendall(
            b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
            b"Content-Length: 3000\r\n\r\n--b\r\n"
        )
        connection.settimeout(20)
        answer = b""
        while b"too_slow" not in answer:
            try:
                connection.sendall(b"C")
            except OSError:
                break
            time.sleep(0.2)
            connection.setblocking(False)
            with suppress(BlockingIOError):
                answer += connection.recv(10_000)
            connection.setblocking(True)
    assert answer.startswith(b"HTTP/1.1 408 ")
