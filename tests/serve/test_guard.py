from __future__ import annotations

import base64
import http.client
import logging
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from segbench.serve.settings import ServeSettings

TOKEN = "correct-horse-battery-staple"


@pytest.fixture
def guarded(bundles: dict[str, Path]) -> Callable[..., Any]:
    """Returns a function that gives a client of the application with other settings."""
    from starlette.testclient import TestClient

    from segbench.serve.app import create_app
    from segbench.serve.models import Models

    def make(**given: Any) -> Any:
        settings = ServeSettings(**given)
        app = create_app(Models.open([bundles["lesion"]], settings), settings)
        return TestClient(app, base_url="http://localhost")

    return make


def code_of(answer: Any) -> str:
    return str(answer.json()["error"]["code"])


def test_without_a_token_only_this_machines_names_are_answered(guarded: Callable[..., Any]) -> None:
    with guarded(hosts=("models.example",)) as client:
        for name in ("localhost", "localhost:8000", "127.0.0.1", "[::1]:8000", "LOCALHOST.", "models.example:443"):
            assert client.get("/v1/models", headers={"Host": name}).status_code == 200, name
        for name in ("evil.example", "localhost.evil.example", "0.0.0.0", "127.0.0.1.nip.io", "models.example.evil"):
            answer = client.get("/v1/models", headers={"Host": name})
            assert (answer.status_code, code_of(answer)) == (403, "unknown_host"), name
        told = client.get("/v1/models", headers={"Host": "evil.example:80"}).json()["error"]["message"]
        assert told == "this server is not known as 'evil.example'; if it is, start it with --allow-host"


def test_pages_of_other_sites_change_nothing(guarded: Callable[..., Any], png: bytes) -> None:
    with guarded(origins=("https://own.example",)) as client:
        own = ("http://localhost", "https://own.example")
        for origin in own:
            assert client.post("/v1/predict", content=png, headers={"Origin": origin}).status_code == 200, origin
        for origin in ("https://evil.example", "null", "http://localhost:3000", "https://own.example.evil"):
            answer = client.post("/v1/predict", content=png, headers={"Origin": origin})
            assert (answer.status_code, code_of(answer)) == (403, "foreign_origin"), origin
        answer = client.post("/v1/predict", content=png, headers={"Sec-Fetch-Site": "cross-site"})
        assert (answer.status_code, code_of(answer)) == (403, "foreign_origin")


def test_other_pages_may_read_nothing_unless_they_are_named(guarded: Callable[..., Any]) -> None:
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    with guarded() as client:
        answer = client.get("/v1/models", headers={"Origin": "https://evil.example"})
        assert not [name for name in answer.headers if name.startswith("access-control")]
    with guarded(origins=("https://own.example",), token=TOKEN) as client:
        answer = client.options("/v1/predict", headers={"Origin": "https://own.example", **preflight})
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "https://own.example"
        answer = client.options("/v1/predict", headers={"Origin": "https://evil.example", **preflight})
        assert "access-control-allow-origin" not in answer.headers


def test_a_token_is_asked_for_everywhere_but_at_the_health(guarded: Callable[..., Any]) -> None:
    with guarded(token=TOKEN, host="0.0.0.0") as client:  # nothing is bound
        assert client.get("/health").json() == {"status": "ok"}
        for path in ("/v1/models", "/docs", "/openapi.json", "/metrics", "/nothing"):
            answer = client.get(path)
            assert (answer.status_code, code_of(answer)) == (401, "no_token"), path
        basic = base64.b64encode(f"anybody:{TOKEN}".encode()).decode()
        for header in (f"Bearer {TOKEN}", f"bearer  {TOKEN} ", f"Token {TOKEN}", f"Basic {basic}"):
            assert client.get("/v1/models", headers={"Authorization": header}).status_code == 200, header
        wrong = (TOKEN, f"Bearer {TOKEN}x", "Bearer ", f"Digest {TOKEN}", "Basic ****", f"Basic {TOKEN}", "Bearer ünd")
        for header in wrong:
            answer = client.get("/v1/models", headers={"Authorization": header.encode("latin-1")})
            assert (answer.status_code, code_of(answer)) == (401, "wrong_token"), header
        assert client.get(f"/v1/models?token={TOKEN}").status_code == 401, "never in an address, which logs keep"
        told = client.get("/v1/models").json()["error"]["message"]
        assert told == "expected the header Authorization: Bearer TOKEN with the token of this server"


def test_answers_bring_the_headers_of_safe_ones(client: Any) -> None:
    for answer in (client.get("/v1/models"), client.get("/nothing"), client.post("/v1/predict", content=b"x")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert len(answer.headers["x-request-id"]) == 16
    assert client.get("/v1/models", headers={"X-Request-Id": "mine-1"}).headers["x-request-id"] == "mine-1"
    assert client.get("/v1/models", headers={"X-Request-Id": "a b\t"}).headers["x-request-id"] != "a b"


def test_a_body_that_says_it_is_too_large_is_not_read(guarded: Callable[..., Any]) -> None:
    with guarded(most_bytes=1000) as client:
        answer = client.post("/v1/predict", content=b"x" * 1001)
        assert (answer.status_code, code_of(answer)) == (413, "too_large")
        told = "expected at most 1,000 bytes, got 1,001; send less, or large images as jobs"
        assert answer.json()["error"]["message"] == told


def test_a_body_without_a_length_is_counted_while_it_comes(server: Callable[..., str]) -> None:
    import httpx

    address = server(most_bytes=100_000)
    sent = 0

    def endless() -> Any:
        nonlocal sent
        for _ in range(10_000):
            sent += 10_000
            yield b"x" * 10_000

    try:
        answer = httpx.post(f"{address}/v1/predict", content=endless(), timeout=20)
        assert (answer.status_code, code_of(answer)) == (413, "too_large")
    except (httpx.WriteError, httpx.ReadError):
        pass  # the server hung up on somebody who would not stop
    assert sent < 20_000_000, "it was read on"


def test_a_client_that_sends_too_much_reads_why(server: Callable[..., str]) -> None:
    address = urlsplit(server(most_bytes=100_000))
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=20)
    connection.request("POST", "/v1/predict", body=b"x" * 250_000)  # all of it, before it reads
    answer = connection.getresponse()
    assert answer.status == 413
    assert b"expected at most 100,000 bytes" in answer.read()
    connection.close()


def test_a_slow_body_is_given_up(server: Callable[..., str]) -> None:
    address = urlsplit(server(timeout_s=1.0))
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=20) as client:
        client.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nabc")
        began = time.perf_counter()
        answer = client.recv(10_000)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"the body had not come after 1 s; send it faster, or less" in answer
        assert 0.5 < time.perf_counter() - began < 10


def test_all_bodies_together_are_bounded(guarded: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from segbench.serve import guard

    monkeypatch.setattr(guard, "_BODIES", 0)
    with guarded() as client:
        answer = client.post("/v1/predict", content=b"x")
        assert (answer.status_code, code_of(answer)) == (503, "queue_full")
        assert answer.json()["error"]["message"] == "too many uploads are under way; try again in 1 s"
        assert answer.headers["retry-after"] == "1"


def test_a_fault_of_ours_says_nothing_but_where_to_look(
    guarded: Callable[..., Any], caplog: pytest.LogCaptureFixture, png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segbench.serve.models import ServedModel

    def broken(*_: Any) -> Any:
        raise RuntimeError("/secret/place is broken")

    monkeypatch.setattr(ServedModel, "_run", broken)
    with guarded() as client, caplog.at_level(logging.INFO, "segbench.serve"):
        answer = client.post("/v1/predict?model=lesion", content=png, headers={"X-Request-Id": "abc"})
    assert answer.status_code == 500
    told = "something went wrong here, not with your request; the server's log says what, under abc"
    assert answer.json() == {"error": {"code": "internal", "message": told}}
    assert "/secret/place is broken" in caplog.text
    assert "POST /v1/predict 500" in caplog.text
    assert "model=lesion" not in caplog.text


def test_errors_of_the_router_have_the_same_form(client: Any) -> None:
    answer = client.get("/nothing%0aINFO")
    assert (answer.status_code, code_of(answer)) == (404, "unknown_path")
    answer = client.delete("/v1/models")
    assert (answer.status_code, code_of(answer)) == (405, "unknown_method")
    assert answer.headers["allow"] == "GET"


@pytest.mark.parametrize("given", ["soon", "0", "-1", "nan", "inf"])
def test_a_time_that_is_none_is_refused(client: Any, png: bytes, given: str) -> None:
    answer = client.post("/v1/predict", content=png, headers={"X-Timeout": given})
    assert (answer.status_code, code_of(answer)) == (422, "bad_parameter")
    assert answer.json()["error"]["message"] == f"expected seconds above 0 in X-Timeout, got {given!r}"
