"""The server's life: what keeps it from starting, and how it ends."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from segbench.errors import BundleError, ConfigError
from segbench.serve.models import Models, model_name
from segbench.serve.run import listening, run_worker, serve
from segbench.serve.settings import ServeSettings, read_token
from segbench.speech import speaking

_SLACK_S = 10.0  # of a busy machine


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"port": 70000}, "--port: expected a port from 0 to 65535, got 70000"),
        ({"queue": 0}, "--queue: expected a number above 0, got 0"),
        ({"timeout_s": float("nan")}, "--timeout-s: expected a number above 0, got nan"),
        ({"wait_ms": -1}, "--wait-ms: expected 0 or more, got -1"),
        ({"origins": ("own.example",)}, "--origin: expected a page's origin such as https://example.org, without a"),
        ({"token": "short"}, "--token-file: a token of 5 characters is soon guessed; expected at least 16"),
        (
            {"host": "0.0.0.0"},
            "--host: 0.0.0.0 can be reached from other machines, and whoever reaches it could use the models; make a "
            "token (python -c 'import secrets; print(secrets.token_urlsafe(32))' > token.txt) and give it with "
            "--token-file token.txt, or in SEGBENCH_TOKEN",
        ),
    ],
)
def test_settings_that_make_no_sense(given: dict[str, Any], told: str) -> None:
    with speaking("shell"), pytest.raises(ConfigError) as refused:
        ServeSettings(**given)
    assert str(refused.value).startswith(told)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "[::1]", "127.5.5.5"])
def test_this_machine_alone_needs_no_token(host: str) -> None:
    assert ServeSettings(host=host).token is None


def test_a_token_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token.txt"
    file.write_text("correct-horse-battery-staple\n")
    assert read_token(file) == "correct-horse-battery-staple"
    monkeypatch.setenv("SEGBENCH_TOKEN", " from-the-environment ")
    assert read_token(None) == "from-the-environment"
    file.write_text("two words")
    with pytest.raises(ConfigError, match=r"expected a token of one word in .*token\.txt, got 2; make one: python -c"):
        read_token(file)
    assert "correct-horse" not in repr(ServeSettings(token="correct-horse-battery-staple"))


def test_a_port_in_use_is_told_with_another() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with speaking("shell"), pytest.raises(ConfigError) as refused, listening(ServeSettings(port=port)):
            pass
    told = f"--port: port {port} is in use: another server runs there; end it, or take another: --port {port + 1}"
    assert str(refused.value) == told


def test_two_servers_that_start_at_once_do_not_share_a_port() -> None:
    with listening(ServeSettings(port=0)) as first:  # and still loads its models
        port = first.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} is in use"), listening(ServeSettings(port=port)):
            pass
        with socket.socket() as client, pytest.raises(ConnectionRefusedError):
            client.connect(("127.0.0.1", port))


def test_whoever_cannot_listen_in_the_end_says_so(bundles: dict[str, Path]) -> None:
    settings = ServeSettings(port=0)
    started: list[bool] = []
    with listening(settings) as first, socket.socket() as other:
        port = first.getsockname()[1]
        for each in (first, other):  # as an older server takes its address
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        with pytest.raises(ConfigError, match=f"port {port} is in use"):
            run_worker(Models.open([bundles["lesion"]], settings), settings, first, lambda: started.append(True))
    assert started == []


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("no.such.machine.invalid", "there is no machine called 'no.such.machine.invalid'"),
        ("192.0.2.7", "192.0.2.7 is no address of this machine (Cannot assign requested address); 127.0.0.1 is for"),
    ],
)
def test_an_address_that_is_none_of_ours(host: str, told: str) -> None:
    settings = ServeSettings(host=host, port=0, token="correct-horse-battery-staple")
    with pytest.raises(ConfigError) as refused, listening(settings):
        pass
    assert refused.value.reason.startswith(told)


def test_a_package_that_is_missing_names_the_extra(monkeypatch: pytest.MonkeyPatch, bundles: dict[str, Path]) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(ConfigError) as refused:
        serve([bundles["lesion"]], ServeSettings(port=0), print)
    told = "the server needs the package uvicorn, which is not installed; pip install 'segbench[serve]'"
    assert str(refused.value) == told


def test_a_damaged_model_keeps_the_port_closed(tmp_path: Path, bundles: dict[str, Path]) -> None:
    damaged = tmp_path / "damaged.segbench"
    content = bytearray(bundles["lesion"].read_bytes())
    content[len(content) // 2] ^= 0xFF
    damaged.write_bytes(content)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    said: list[str] = []
    with pytest.raises(BundleError, match=r"damaged\.segbench"):
        serve([bundles["street"], damaged], ServeSettings(port=port), said.append)
    assert said == []
    with socket.socket() as client, pytest.raises(ConnectionRefusedError):
        client.connect(("127.0.0.1", port))


@pytest.mark.parametrize("content", [b"\xff\xfeaaaaaaaaaaaaaaaaaaaa", "schlüsselschlüssel".encode()])
def test_a_token_that_no_header_can_bring_is_told(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "token.txt"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"the token in .*token\.txt has other signs than letters without accents"):
        read_token(file)


def test_a_token_with_a_line_break_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGBENCH_TOKEN", "correct-horse-\nbattery-staple")
    with pytest.raises(ConfigError, match="expected a token of one word in SEGBENCH_TOKEN, got 2"):
        read_token(None)
    file = tmp_path / "label_studio.txt"
    file.write_text("a b")
    with speaking("shell"), pytest.raises(ConfigError) as refused:
        read_token(file, "LABEL_STUDIO_API_KEY", "label_studio_token_file")
    assert str(refused.value) == f"--label-studio-token-file: expected a token of one word in {file}, got 2"


def test_a_model_behind_a_link_is_called_like_the_link(tmp_path: Path, bundles: dict[str, Path]) -> None:
    (tmp_path / "current.segbench").symlink_to(bundles["lesion"])
    assert model_name(tmp_path / "current.segbench") == "current"
    assert model_name(tmp_path / "." / "x" / "..") == model_name(tmp_path)


def test_two_models_of_one_name_are_told(tmp_path: Path, bundles: dict[str, Path]) -> None:
    other = tmp_path / "lesion.segbench"
    other.write_bytes(bundles["lesion"].read_bytes())
    with pytest.raises(ConfigError, match="two models would be called lesion; rename one of the files"):
        serve([bundles["lesion"], other], ServeSettings(port=0), print)


@contextmanager
def running(models: list[Path], *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Yields `segbench serve` in a process of its own, and its address, when it answers."""
    command = [sys.executable, "-m", "segbench", "serve", *map(str, models), "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(process.stdout or ()), daemon=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if "Ctrl-C ends it" in line:
                break
        else:
            raise AssertionError("".join(lines))
        reader.start()
        yield process, lines[0].split()[0]
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(20)
        reader.join(20)
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_what_was_accepted_is_answered_before_the_end(bundles: dict[str, Path], png: bytes, workers: int) -> None:
    options = ["--workers", str(workers), "--wait-ms", "300", "--drain-s", "4"]
    with running([bundles["lesion"]], *options) as (process, address), ThreadPoolExecutor(24) as clients:
        asked = [clients.submit(ask, address, "/v1/predict", png) for _ in range(24)]
        time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        began = time.perf_counter()
        while (found := ask(address, "/health/ready"))[0] == 200:
            time.sleep(0.02)
        assert found == (503, b'{"status":"stopping"}')
        assert ask(address, "/v1/predict", png)[0] == 200, "who asks has not looked away yet"
        assert [each.result()[0] for each in asked] == [200] * 24
        assert process.wait(60) == 0
        assert time.perf_counter() - began < 40
        with pytest.raises(ConnectionRefusedError):
            ask(address, "/health")


def ask(address: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    """Returns status and content of an answer; the quickest client there is."""
    place = urlsplit(address)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
    connection.request("GET" if body is None else "POST", path, body=body)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced(bundles: dict[str, Path], png: bytes) -> None:
    with running([bundles["lesion"]], "--workers", "2") as (process, address):
        children = {int(each) for each in _children(process.pid)}
        victim = next(each for each in children if "spawn_main" in Path(f"/proc/{each}/cmdline").read_text())
        os.kill(victim, signal.SIGKILL)
        for _ in range(200):
            time.sleep(0.2)
            found = {int(each) for each in _children(process.pid)}
            if victim not in found and len(found) == len(children):
                break
        else:
            raise AssertionError("none took its place")
        for _ in range(100):  # the other one answers meanwhile
            with suppress(OSError):
                assert ask(address, "/v1/predict", png)[0] == 200
                break
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_an_address_is_free_again_at_once(bundles: dict[str, Path], png: bytes, workers: int) -> None:
    """Although the last server's connections, which it ended first, are still known to the system."""
    port = "0"
    for _ in range(2):
        options = ["--workers", str(workers), "--port", port, "--drain-s", "0", "--timeout-s", "2"]
        with running([bundles["lesion"]], *options) as (process, address):
            port = address.rpartition(":")[2]
            assert ask(address, "/v1/predict", png)[0] == 200
            with _half_a_body(address):  # is cut off by the server, which keeps that in mind for a minute
                process.send_signal(signal.SIGTERM)
                assert process.wait(60) == 0


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_half_a_body_does_not_keep_the_server(bundles: dict[str, Path], workers: int) -> None:
    options = ["--workers", str(workers), "--timeout-s", "3", "--drain-s", "0.5"]
    with running([bundles["lesion"]], *options) as (process, address), _half_a_body(address):
        process.send_signal(signal.SIGTERM)
        assert process.wait(3 + 0.5 + 5 + _SLACK_S) == 0


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_time_ends_it_at_once(bundles: dict[str, Path], workers: int) -> None:
    options = ["--workers", str(workers), "--drain-s", "30"]
    with running([bundles["lesion"]], *options) as (process, address), _half_a_body(address):
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        began = time.perf_counter()
        process.send_signal(signal.SIGINT)
        process.wait(60)
        assert time.perf_counter() - began < 1 + _SLACK_S


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("after_s", [0.5, 2.0, 5.0])
def test_a_server_that_still_loads_ends_when_it_is_told(bundles: dict[str, Path], workers: str, after_s: float) -> None:
    command = [sys.executable, "-m", "segbench", "serve", str(bundles["lesion"]), "--port", "0", "--workers", workers]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(after_s)
    process.send_signal(signal.SIGTERM)
    try:
        assert process.wait(1 + 60 + 5 + _SLACK_S) in (0, 130, -signal.SIGTERM)
    finally:
        process.kill()
        process.wait(20)


@contextmanager
def _half_a_body(address: str) -> Iterator[None]:
    """A client that promised an image, and sends no more than its beginning."""
    place = urlsplit(address)
    with socket.create_connection((place.hostname or "", place.port or 0)) as client:
        client.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n\x89PNG")
        time.sleep(0.3)
        yield


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
