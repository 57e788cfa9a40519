from __future__ import annotations

import asyncio
import contextlib
import http.client
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.serve.conftest import as_png
from torch import Tensor

from segbench.errors import PredictionError
from segbench.predict.pipeline import Seen
from segbench.predict.sizes import SizePlan
from segbench.serve.batching import BatchQueue, NetworkTurns, QueueFull
from segbench.serve.models import Models, ServedModel
from segbench.serve.settings import ServeSettings

BATCH, TOGETHER_PX = 4, 100


def seen(number: int, side: int) -> Seen:
    """Returns an image whose pixels all have its number."""
    size = (side, side)
    return Seen(np.full((*size, 1), number, dtype=np.uint8), SizePlan(policy="whole", size=size))


class Network:
    """Counts what it is asked; an image of number 13 fails, and so does every batch with it."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.batches: list[list[int]] = []
        self.seconds = seconds
        self.busy = threading.Lock()

    def __call__(self, images: list[Seen]) -> Sequence[Tensor]:
        assert self.busy.acquire(blocking=False), "two at once"
        try:
            numbers = [int(each.pixels[0, 0, 0]) for each in images]
            assert len({each.pixels.shape for each in images}) == 1
            assert len(images) <= BATCH
            assert len(images) == 1 or sum(each.pixels.size for each in images) <= TOGETHER_PX
            self.batches.append(numbers)
            time.sleep(self.seconds)
            if 13 in numbers:
                raise PredictionError("this one is broken")
            return [torch.full((1, 1, 1), float(number)) for number in numbers]
        finally:
            self.busy.release()


@contextlib.contextmanager
def turns() -> Iterator[NetworkTurns]:
    with ThreadPoolExecutor(1) as thread:
        yield NetworkTurns(thread)


def queue_of(network: Network, shared: NetworkTurns, **given: Any) -> BatchQueue:
    options = {"room": 64, "batch": BATCH, "together_px": TOGETHER_PX, "wait_s": 0.001} | given
    return BatchQueue(network, shared, **options)


Asked = tuple[int, int, int, bool]  # number, side, milliseconds before it comes, whether its client leaves


@settings(max_examples=40, deadline=None)
@given(
    asked=st.lists(
        st.tuples(st.integers(0, 20), st.sampled_from((3, 5, 12)), st.integers(0, 4), st.booleans()), max_size=40
    ),
    room=st.integers(1, 50),
)
def test_everybody_is_answered_right_or_told(asked: list[Asked], room: int) -> None:
    network = Network(0.0005)

    async def one(queue: BatchQueue, number: int, side: int, wait_ms: int) -> float:
        await asyncio.sleep(wait_ms / 1000)
        with queue.place():
            assert queue.inside <= room
            return float((await queue.submit(seen(number, side))).item())

    async def everybody() -> list[Any]:
        with turns() as shared:
            queue = queue_of(network, shared, room=room)
            queue.start()
            tasks = [asyncio.create_task(one(queue, *each[:3])) for each in asked]
            for task, each in zip(tasks, asked, strict=True):
                if each[3]:
                    asyncio.get_running_loop().call_later(0.002, task.cancel)
            found = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)
            await asyncio.wait_for(queue.stop(), 20)
            assert (len(queue), queue.inside) == (0, 0)
            return found

    for (number, _, _, leaves), found in zip(asked, asyncio.run(everybody()), strict=True):
        if isinstance(found, QueueFull):
            assert len(asked) > room
        elif isinstance(found, asyncio.CancelledError):
            assert leaves
        elif isinstance(found, PredictionError):
            assert number == 13
        else:
            assert found == number


def test_one_broken_image_costs_the_others_nothing() -> None:
    network = Network()

    async def ask() -> list[Any]:
        with turns() as shared:
            queue = queue_of(network, shared, wait_s=0.05)
            queue.start()
            asks = (queue.submit(seen(number, 5)) for number in (1, 13, 2, 3))
            found = await asyncio.gather(*asks, return_exceptions=True)
            await queue.stop()
            return found

    first, broken, *others = asyncio.run(ask())
    assert [first.item(), *(each.item() for each in others)] == [1, 2, 3]
    assert str(broken) == "this one is broken"
    assert network.batches == [[1, 13, 2, 3], [1], [13], [2], [3]]


def test_who_has_gone_costs_no_time_of_the_network() -> None:
    network = Network(0.05)

    async def ask() -> None:
        with turns() as shared:
            queue = queue_of(network, shared)
            queue.start()
            first = asyncio.create_task(queue.submit(seen(1, 10)))
            await asyncio.sleep(0.02)
            waiting = [asyncio.create_task(queue.submit(seen(number, 10))) for number in range(2, 30)]
            await asyncio.sleep(0)
            for task in waiting[:-1]:
                task.cancel()
            assert (await first).item() == 1
            assert (await waiting[-1]).item() == 29
            await queue.stop()

    asyncio.run(ask())
    assert network.batches == [[1], [29]]


def test_no_model_waits_for_more_than_a_batch_of_another() -> None:
    network = Network(0.01)

    async def ask() -> None:
        with turns() as shared:
            busy, other = (queue_of(network, shared) for _ in range(2))
            busy.start(), other.start()
            crowd = [asyncio.create_task(busy.submit(seen(1, 10))) for _ in range(20)]
            await asyncio.sleep(0.03)
            await other.submit(seen(2, 10))
            assert len(busy) > 10
            await asyncio.gather(*crowd)
            await busy.stop(), await other.stop()

    asyncio.run(ask())
    assert [2] in network.batches[:8]


def test_who_cannot_be_answered_in_time_is_told_at_once() -> None:
    network = Network(0.05)

    async def ask() -> QueueFull:
        with turns() as shared:
            queue = queue_of(network, shared)
            queue.start()
            await queue.submit(seen(1, 10))  # so that it is known how long one takes
            crowd = [asyncio.create_task(queue.submit(seen(1, 10))) for _ in range(40)]
            await asyncio.sleep(0.01)
            with pytest.raises(QueueFull) as told:
                await queue.submit(seen(2, 10), within_s=0.5)
            for each in crowd:
                each.cancel()
            await queue.stop()
            return told.value

    told = asyncio.run(ask())
    assert told.status == 503
    assert 1 <= int(told.headers["Retry-After"]) <= 10
    assert told.message.startswith("the images before yours take longer than you wait; try again in ")


def served(bundles: dict[str, Path], **given: Any) -> ServedModel:
    return Models.open([bundles["street"]], ServeSettings(**given)).first


def test_many_at_once_are_answered_as_one_by_one(bundles: dict[str, Path], image: np.ndarray) -> None:
    from segbench.predict.predictor import Predictor

    images = [np.roll(image, 3 * shift, axis=0)[: 61 - shift % 2] for shift in range(12)]

    async def ask() -> list[Any]:
        model = served(bundles, wait_ms=20)
        model.queue.start()
        found = await asyncio.gather(*(model.predict(each) for each in images))
        await model.stop()
        return found

    predictor = Predictor.load(bundles["street"])
    for each, prediction in zip(images, asyncio.run(ask()), strict=True):
        assert np.array_equal(prediction.mask, predictor(each).mask)


def slow(monkeypatch: pytest.MonkeyPatch, seconds: float) -> list[int]:
    """Makes every network slow, and returns the list of the sizes of its batches."""
    batches: list[int] = []
    real = BatchQueue._answer

    async def answer(self: BatchQueue, batch: list[Any]) -> None:
        batches.append(len(batch))
        await asyncio.sleep(seconds)
        await real(self, batch)

    monkeypatch.setattr(BatchQueue, "_answer", answer)
    return batches


def test_an_answer_that_is_late_is_none(client: Any, png: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    slow(monkeypatch, 1.0)
    began = time.perf_counter()
    answer = client.post("/v1/predict", content=png, headers={"X-Timeout": "0.2"})
    assert answer.status_code == 504
    told = "the answer was not ready in time; send fewer at once, smaller images, or wait longer"
    assert answer.json()["error"] == {"code": "timeout", "message": told}
    assert time.perf_counter() - began < 0.9


def test_a_full_queue_refuses_and_says_when_to_come_again(
    server: Callable[..., str], png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    import httpx

    slow(monkeypatch, 0.3)
    address = server(queue=2, batch=1)
    with ThreadPoolExecutor(8) as clients:
        found = list(clients.map(lambda _: httpx.post(f"{address}/v1/predict", content=png, timeout=30), range(8)))
    statuses = sorted(each.status_code for each in found)
    assert statuses.count(200) >= 2
    assert statuses.count(503) >= 1
    assert set(statuses) == {200, 503}
    refused = next(each for each in found if each.status_code == 503)
    assert refused.json()["error"]["code"] == "queue_full"
    assert int(refused.headers["Retry-After"]) >= 1


@pytest.mark.parametrize("path", ["/v1/predict", "/models/lesion"])
def test_a_client_that_has_gone_gives_up_its_place(
    server: Callable[..., str], png: bytes, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    import httpx

    batches = slow(monkeypatch, 0.5)
    address = server(batch=1, queue=20)
    place = urlsplit(address)
    gone = []
    for _ in range(12):
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=20)
        connection.request("POST", path, body=png)
        gone.append(connection)
    time.sleep(0.3)
    for connection in gone:
        connection.close()
    began = time.perf_counter()
    assert httpx.post(f"{address}{path}", content=png, timeout=30).status_code == 200
    assert time.perf_counter() - began < 3.0, "it waited for those who had gone"
    assert len(batches) <= 4


def test_an_image_that_would_block_all_others_is_a_job(client: Any, png: bytes) -> None:
    model = client.app.state.models["lesion"]
    model.queue.took(40 * 48, 100.0)
    answer = client.post("/v1/predict", content=png)
    assert answer.status_code == 413
    assert answer.json()["error"] == {
        "code": "too_much_work",
        "message": "this image is 40 x 48 pixels (height x width) for the network, which would take about 100 s here, "
        "and 30 s is the most; send it as a job, or a smaller one",
    }


def test_large_images_wait_in_little_memory(client: Any, image: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    from segbench.serve import models

    monkeypatch.setattr(models, "_DECODED_PX", 3000)
    assert client.post("/v1/predict", content=as_png(np.tile(image, (2, 2, 1)))).status_code == 200, "one alone may"
    slow(monkeypatch, 0.5)
    with ThreadPoolExecutor(3) as clients:
        found = list(clients.map(lambda _: client.post("/v1/predict", content=as_png(image)), range(3)))
    assert sorted(each.status_code for each in found) == [200, 503, 503]
    refused = next(each for each in found if each.status_code == 503)
    assert refused.json()["error"]["message"] == "too many large images are waiting; try again in 1 s"


def test_no_place_is_left_taken(client: Any, png: bytes) -> None:
    for content in (png, b"no image", b"", png[:500]):
        client.post("/v1/predict", content=content)
    model = client.app.state.models["lesion"]
    assert (model.queue.inside, len(model.queue), model._room.pixels) == (0, 0, 0)
