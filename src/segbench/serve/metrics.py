"""`/metrics`, for Prometheus: what came, how long it took, what waits, what was refused.

Labels have few values: routes are templates, never what somebody asked for, and whatever has no route is one. Several
workers write to one folder, and each answers for all: a scrape reaches any of them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from segbench.serve.models import Models
from segbench.serve.schemas import sentences

_SHARED = "PROMETHEUS_MULTIPROC_DIR"  # of prometheus_client, which reads it when it is imported
_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT")
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_IMAGES = (1, 2, 4, 8, 16, 32, 64, 128)
_GONE = "499"  # the client went before there was an answer
_EXAMPLE = 'segbench_requests_total{method="POST",route="/v1/predict",status="200"} 12.0\n'


@contextmanager
def shared_metrics() -> Iterator[None]:
    """Gives the processes that are started meanwhile a folder in which their numbers come together; then removes it."""
    with TemporaryDirectory(prefix="segbench-metrics-") as folder:
        os.environ[_SHARED] = folder
        try:
            yield
        finally:
            del os.environ[_SHARED]


def forget_worker(number: int) -> None:
    """Forgets what a process (its id) that ended left of the present: a queue that nobody works off."""
    mark_process_dead(number, os.environ[_SHARED])  # type: ignore[no-untyped-call]


class Metrics:
    """The numbers of an application, in a registry of its own, so that a process may have several applications.

    Args:
        models: whose queues are watched.
    """

    def __init__(self, models: Models) -> None:
        self.registry = registry = CollectorRegistry()
        self._folder = os.environ.get(_SHARED)
        self._requests = Counter(
            "segbench_requests",
            "Requests that were answered; route is a template, status 499 a client that went before.",
            ("method", "route", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "segbench_request_seconds",
            "Seconds from a request's first byte to the first of its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._refused = Counter(
            "segbench_errors", "Requests that were refused, by the code of the error.", ("code",), registry=registry
        )
        self._inside = Gauge(
            "segbench_queue_images",
            "Images that have a place: being decoded, waiting, in the network, being answered.",
            ("model",),
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._batch = Histogram(
            "segbench_batch_images",
            "Images that went through the network together.",
            ("model",),
            buckets=_IMAGES,
            registry=registry,
        )
        self._network = Histogram(
            "segbench_network_seconds",
            "Seconds that the network took for a batch.",
            ("model",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._images = Counter(
            "segbench_images", "Images that went through the network.", ("model",), registry=registry
        )
        info = Gauge(
            "segbench_model_info",
            "1 for each model; id is the SHA-256 of its network.",
            ("model", "id", "task", "runtime"),
            registry=registry,
            multiprocess_mode="livemax",
        )
        for name, model in models.items():
            predictor = model.predictor
            info.labels(name, predictor.model_id, str(predictor.class_map.task), predictor.runtime).set(1)
            self._inside.labels(name).set(0)
            model.queue.watch(self._inside.labels(name).set, self._watch(name))
        if self._folder is None:
            ProcessCollector(registry=registry)  # memory and time; of one process alone

    def _watch(self, name: str) -> Callable[[int, float], None]:
        batch, network, through = self._batch.labels(name), self._network.labels(name), self._images.labels(name)

        def ran(images: int, seconds: float) -> None:
            batch.observe(images)
            network.observe(seconds)
            through.inc(images)

        return ran

    def answered(self, scope: Scope, status: str, seconds: float) -> None:
        """Counts a request.

        Args:
            scope: of ASGI, after the application saw it.
            status: of HTTP.
            seconds: that it took.
        """
        route = getattr(scope.get("route"), "path", "none")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._requests.labels(method, route, status).inc()
        self._seconds.labels(route).observe(seconds)
        code = scope.get("state", {}).get("error_code")
        if code is not None:
            self._refused.labels(code).inc()

    def text(self, accept: str) -> tuple[bytes, str]:
        """Returns all numbers, and their media type, as the header Accept asks for it."""
        encoder, media_type = choose_encoder(accept)
        registry = self.registry
        if self._folder is not None:
            registry = CollectorRegistry()
            MultiProcessCollector(registry, self._folder)  # type: ignore[no-untyped-call]
        return encoder(registry), media_type


class _Counted:
    """The outermost layer: counts every request, also one that no route ever sees."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), ""
        took = 0.0

        async def noting(message: Message) -> None:
            nonlocal status, took
            if message["type"] == "http.response.start":
                status, took = str(message["status"]), time.perf_counter() - began
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception:
            status = status or "500"
            raise
        finally:
            self._metrics.answered(scope, status or _GONE, took or time.perf_counter() - began)


def watch(app: FastAPI) -> None:
    """Counts what an application does, and adds `/metrics`. Called last, so that the other layers are counted, too."""
    metrics = Metrics(app.state.models)
    app.state.metrics = metrics
    app.include_router(_router(metrics))
    app.add_middleware(_Counted, metrics=metrics)


def _router(metrics: Metrics) -> APIRouter:
    routes = APIRouter(tags=["For operators"])
    content = {"text/plain": {"schema": {"type": "string"}, "example": _EXAMPLE}}
    told: dict[int | str, dict[str, Any]] = {
        200: {"content": content, "description": "In Prometheus's text format, or OpenMetrics."}
    }

    @routes.get(
        "/metrics",
        summary="Numbers for Prometheus",
        response_class=Response,
        responses=told | sentences(401),
    )
    async def show(request: Request) -> Response:
        content, media_type = await run_in_threadpool(metrics.text, request.headers.get("accept", ""))
        return Response(content, media_type=media_type)

    return routes
