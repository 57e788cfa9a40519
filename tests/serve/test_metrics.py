"""What `/metrics` says, as Prometheus's own parser reads it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics import parser as open_metrics
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from segbench.serve.app import create_app
from segbench.serve.models import Models
from segbench.serve.settings import ServeSettings


def samples(text: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Returns name of a sample -> its labels -> its value."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def value(text: str, name: str, **labels: str) -> float:
    return samples(text).get(name, {}).get(tuple(sorted(labels.items())), 0.0)


def client_of(paths: list[Path], settings: ServeSettings) -> TestClient:
    return TestClient(create_app(Models.open(paths, settings), settings), base_url="http://127.0.0.1")


def test_what_was_asked_is_counted(client: Any, png: bytes) -> None:
    for _ in range(3):
        assert client.post("/models/street", content=png).status_code == 200
    assert client.post("/models/street", content=b"no image").status_code == 415
    text = client.get("/metrics").text
    route = "/models/{name}"
    assert value(text, "segbench_requests_total", method="POST", route=route, status="200") == 3
    assert value(text, "segbench_requests_total", method="POST", route=route, status="415") == 1
    assert value(text, "segbench_request_seconds_count", route=route) == 4
    assert value(text, "segbench_errors_total", code="no_image") == 1
    assert value(text, "segbench_images_total", model="street") == 3
    assert value(text, "segbench_batch_images_sum", model="street") == 3
    assert value(text, "segbench_network_seconds_count", model="street") == 3
    assert value(text, "segbench_network_seconds_sum", model="street") > 0
    assert value(text, "segbench_queue_images", model="street") == 0
    assert value(text, "process_resident_memory_bytes") > 1e6


def test_the_models_are_told(client: Any) -> None:
    found = samples(client.get("/metrics").text)["segbench_model_info"]
    told = {dict(labels)["model"]: dict(labels) for labels in found}
    assert set(told) == {"lesion", "street"}
    assert told["lesion"]["task"] == "binary"
    assert told["lesion"]["id"] == client.app.state.models["lesion"].predictor.model_id


def test_labels_do_not_grow_with_what_is_asked(client: Any) -> None:
    for index in range(30):
        client.get(f"/wp-admin/{index}.php")
        client.get(f"/v2/models/{index}")
        client.request(f"BREW{index}", "/health")
    found = samples(client.get("/metrics").text)
    assert {dict(labels)["route"] for labels in found["segbench_requests_total"]} <= {
        "none",
        "/v2/models/{name}",
        "/health",
    }
    assert {dict(labels)["method"] for labels in found["segbench_requests_total"]} == {"GET", "other"}
    assert value(client.get("/metrics").text, "segbench_errors_total", code="unknown_model") == 30


def test_open_metrics_where_it_is_asked_for(client: Any) -> None:
    answer = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert {family.name for family in open_metrics.text_string_to_metric_families(answer.text)} >= {"segbench_requests"}


def test_applications_in_one_process_count_each_for_itself(bundles: dict[str, Path], png: bytes) -> None:
    with (
        client_of([bundles["lesion"]], ServeSettings()) as one,
        client_of([bundles["lesion"]], ServeSettings()) as other,
    ):
        one.post("/", content=png)
        assert value(one.get("/metrics").text, "segbench_images_total", model="lesion") == 1
        assert value(other.get("/metrics").text, "segbench_images_total", model="lesion") == 0


def test_images_inside_and_refused_ones_are_seen(bundles: dict[str, Path], image: Any) -> None:
    settings = ServeSettings(queue=1)
    app = create_app(Models.open([bundles["lesion"]], settings), settings)
    model = app.state.models.first

    async def ask() -> tuple[str, str]:
        model.queue.start()
        task = asyncio.create_task(model.predict(image))
        await asyncio.sleep(0)
        inside = app.state.metrics.text("")[0].decode()
        await task
        await model.queue.stop()
        return inside, app.state.metrics.text("")[0].decode()

    before, after = asyncio.run(ask())
    assert value(before, "segbench_queue_images", model="lesion") == 1
    assert value(after, "segbench_queue_images", model="lesion") == 0


def test_a_full_queue_is_counted(bundles: dict[str, Path], png: bytes) -> None:
    with client_of([bundles["lesion"]], ServeSettings(queue=1, wait_ms=500)) as client:
        with ThreadPoolExecutor(3) as threads:
            answers = list(threads.map(lambda _: client.post("/", content=png), range(3)))
        statuses = sorted(each.status_code for each in answers)
        assert statuses == [200, 503, 503]
        assert value(client.get("/metrics").text, "segbench_errors_total", code="queue_full") == 2


@pytest.mark.slow
def test_any_worker_answers_for_all(bundles: dict[str, Path], png: bytes, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "segbench", "serve", str(bundles["lesion"]), "--port", "0", "--workers", "2"]
    given = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=given) as process:
        assert process.stdout is not None
        address = next(line for line in process.stdout if "http://" in line).split()[0]
        try:
            for _ in range(12):
                ask(f"{address}/", png)
            texts = []
            for _ in range(8):
                texts.append(ask(f"{address}/metrics"))
                time.sleep(0.2)  # a request is counted once its answer is sent; the next may go to another worker
        finally:
            process.send_signal(signal.SIGTERM)
            status = process.wait(60)
    labels = {"method": "GET", "route": "/metrics", "status": "200"}
    assert [value(text, "segbench_images_total", model="lesion") for text in texts] == [12.0] * 8
    assert [value(text, "segbench_queue_images", model="lesion") for text in texts] == [0.0] * 8
    assert [value(text, "segbench_requests_total", **labels) for text in texts] == list(range(8))
    assert list(samples(texts[0])["segbench_model_info"].values()) == [1.0]
    assert status == 0
    assert not list(tmp_path.glob("segbench-metrics-*"))


def ask(address: str, body: bytes | None = None) -> str:
    with urllib.request.urlopen(address, data=body, timeout=60) as answer:
        return str(answer.read(), "latin-1")
