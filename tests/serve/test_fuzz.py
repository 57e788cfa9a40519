"""A server that is told nonsense: every answer comes in time, none is a fault of ours, and nothing is left behind."""

from __future__ import annotations

import base64
import gc
import io
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from PIL import Image

schemathesis = pytest.importorskip("schemathesis")
requests = pytest.importorskip("requests")  # which it sends with

ANSWER_S = 20.0  # of a busy machine; a server that hangs takes its `timeout_s`, which is more
GROWTH_MB, THREADS = 48, 8
EXAMPLES = 12  # of right and of wrong requests for each address
ROUNDS = 90  # of mutated requests at each address
CONFIG = (
    '<View><Image name="image" value="$image"/>'
    '<BrushLabels name="label" toName="image"><Label value="lesion"/></BrushLabels></View>'
)
TRICKY = (0, 1, -1, 2**31 - 1, 2**31, 2**63, 2**64, 1e308, -0.0, 1e-320, float("nan"), float("inf"), "", "9" * 5000)
OTHERS = (None, True, [], {}, [[]], "\0", "\ud800", "../../etc/passwd", "http://127.0.0.1:1/x.png", "é" * 300)
HEADERS = ("Content-Type", "Accept", "X-Timeout", "Content-Encoding", "X-Request-Id", "Last-Event-ID", "Range")
HEADERS += ("Inference-Header-Content-Length", "Origin", "Authorization", "Expect", "Cookie")


@pytest.fixture
def asked(server: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    """Returns a client of a real server with jobs, whose temporary files go into `tmp_path / "temporary"`."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    address = server(jobs=tmp_path / "jobs", timeout_s=60.0, drain_s=0.0, most_bytes=1 << 20, most_px=4_000_000)
    with httpx.Client(base_url=address, timeout=ANSWER_S) as client:
        yield client
    assert list((tmp_path / "temporary").iterdir()) == []


def pictures(image: np.ndarray) -> list[bytes]:
    """Returns one image in every kind of file that is taken."""
    made = []
    for kind, options in (
        *(("PNG", {}), ("JPEG", {}), ("JPEG", {"progressive": True}), ("GIF", {}), ("BMP", {}), ("WEBP", {})),
        *(("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("PNG", {"bits": 2})),
    ):
        stream = io.BytesIO()
        Image.fromarray(image).convert("P" if "bits" in options else "RGB").save(stream, kind, **options)  # type: ignore[arg-type]
        made.append(stream.getvalue())
    return made


def spoilt(data: bytes, rng: np.random.Generator) -> bytes:
    """Returns bytes with a few mistakes: flipped, cut off, put in, doubled, or set to the ends of their range."""
    made = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(0, max(1, min(len(made), 64 if rng.random() < 0.5 else len(made)))))  # heads matter most
        span = int(rng.integers(1, 9))
        match int(rng.integers(0, 6)):
            case 0:
                made[at : at + 1] = bytes([rng.integers(0, 256)])
            case 1:
                del made[at + 8 :]
            case 2:
                made[at:at] = rng.bytes(span)
            case 3:
                made[at:at] = made[at : at + 40]
            case 4:
                made[at : at + span] = (b"\xff" if rng.random() < 0.5 else b"\0") * span
            case 5:
                del made[at : at + span]
    return bytes(made)


def changed(value: Any, rng: np.random.Generator) -> Any:
    """Returns JSON in which something, somewhere, is something else, missing, or there twice."""
    if rng.random() < 0.15 or not isinstance(value, dict | list) or not value:
        choices = TRICKY + OTHERS
        return choices[int(rng.integers(0, len(choices)))]
    made = dict(value) if isinstance(value, dict) else list(value)
    keys = list(made) if isinstance(made, dict) else list(range(len(made)))
    key = keys[int(rng.integers(0, len(keys)))]
    draw = rng.random()
    if draw < 0.1:
        del made[key]
    elif draw < 0.2 and isinstance(made, list):
        made.append(made[key])
    else:
        made[key] = changed(made[key], rng)
    return made


def bodies(picture: bytes) -> dict[str, Any]:
    """Returns address -> JSON that is right there."""
    text = base64.b64encode(picture).decode()
    pixels = {"name": "image", "datatype": "UINT8", "shape": [1, 2, 2, 3], "data": [0] * 12}
    return {
        "/v2/models/lesion/infer": {
            "id": "1", "inputs": [pixels], "outputs": [{"name": "mask", "parameters": {"binary_data": False}}],
            "parameters": {"threshold": 0.4},
        },
        "/v2/models/street/infer": {
            "inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": [text]}],
        },
        "/models/lesion": {
            "inputs": text, "parameters": {"threshold": 0.1, "mask_threshold": 0.5, "subtask": "semantic"},
        },
        "/label-studio/predict": {
            "tasks": [{"id": 1, "data": {"image": "/data/upload/1/a.png"}}], "label_config": CONFIG,
            "params": {"context": {"result": [{"type": "keypointlabels", "value": {"x": 1, "y": 2}}]}},
        },
        "/label-studio/setup": {"project": "1.17", "schema": CONFIG, "hostname": "http://localhost:8080"},
        "/label-studio/webhook": {"action": "ANNOTATION_CREATED"},
        "/v2/repository/index": {"ready": True},
    }  # fmt: skip


def require_answered(answer: httpx.Response, *sent: Any) -> None:
    """Raises for a fault of ours; 501 is for training, 504 for who said that there is no time."""
    allowed = (501, 503, 507, 504) if "X-Timeout" in sent else (501, 503, 507)
    assert answer.status_code < 500 or answer.status_code in allowed, (answer.text, repr(sent)[:2000])
    if answer.status_code >= 400:
        assert answer.json()["error"], (answer.text, repr(sent)[:2000])


def fits(answer: httpx.Response) -> bool:
    return answer.status_code == 200


class Held:
    """What this process, in which the server runs, holds."""

    def __init__(self) -> None:
        gc.collect()
        status = Path("/proc/self/status").read_text()
        self.memory_mb = int(status.split("VmRSS:")[1].split()[0]) / 1024
        self.threads, self.files = threading.active_count(), len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    def require_no_growth(self, before: Held, *, of_memory: bool = True) -> None:
        assert not of_memory or self.memory_mb < before.memory_mb + GROWTH_MB
        assert self.threads <= before.threads + THREADS
        assert self.files <= before.files + THREADS


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs Linux' /proc")
def test_spoilt_images_and_bodies_and_headers(asked: httpx.Client, image: np.ndarray) -> None:
    held = []
    for seed in (1, 2, 3):  # the first makes whatever is made once
        rng = np.random.default_rng(seed)
        taken = sum(
            send_images(asked, pictures(image), rng) + send_json(asked, pictures(image)[0], rng)
            for _ in range(ROUNDS // 3)
        )
        assert taken > 0, "some of it is still right"
        send_headers(asked, pictures(image)[0], rng)
        held.append(Held())
    held[2].require_no_growth(held[0])
    right = asked.post("/v1/predict", content=pictures(image)[0])
    assert right.status_code == 200, "it still works"


def send_images(asked: httpx.Client, images: list[bytes], rng: np.random.Generator) -> int:
    """Sends an image that is spoilt to each address that takes files; returns how many were taken."""
    data = spoilt(images[int(rng.integers(0, len(images)))], rng)
    form = {"image": ("../" * int(rng.integers(0, 3)) + "a.png", data)}
    taken = 0
    for answer in (
        asked.post("/v1/predict", content=data, params={"as": "zip"}),
        asked.post("/v1/predict", files=form),
        asked.post("/models/street", content=data, headers={"Content-Type": "image/png"}),
        asked.post("/v1/jobs", files={"files": form["image"]}),
        asked.post("/v1/predict", content=spoilt(asked.build_request("POST", "/", files=form).read(), rng),
                   headers={"Content-Type": "multipart/form-data; boundary=x"}),
    ):  # fmt: skip
        require_answered(answer, data)
        taken += fits(answer)
        if answer.status_code == 201:
            assert asked.delete(f"/v1/jobs/{answer.json()['id']}").status_code == 204
    return taken


def send_json(asked: httpx.Client, picture: bytes, rng: np.random.Generator) -> int:
    """Sends JSON that is not what is expected to each address that takes some; returns how much was taken."""
    taken = 0
    for path, right in bodies(picture).items():
        wrong = changed(right, rng)
        text = json.dumps(wrong).encode()
        for data in (text, spoilt(json.dumps(right).encode(), rng)):
            answer = asked.post(path, content=data, headers={"Content-Type": "application/json"})
            require_answered(answer, data)
            taken += fits(answer)
    return taken


def send_headers(asked: httpx.Client, picture: bytes, rng: np.random.Generator) -> None:
    """Sends headers that say nothing sensible."""
    values = [str(each).encode("utf-8", "replace") for each in (*TRICKY, *OTHERS)]
    values = [each for each in values if b"\0" not in each]  # which the client does not send
    for name in HEADERS:
        for value in values:
            for path in ("/v1/predict", "/v2/models/lesion/infer", "/models/lesion"):
                answer = asked.post(path, content=picture, headers={name: value})
                require_answered(answer, path, name, value)


def test_what_the_description_says_and_what_it_does_not(asked: httpx.Client) -> None:
    """Schemathesis makes requests from the OpenAPI description, right ones and wrong ones."""
    schema = schemathesis.openapi.from_dict(asked.get("/openapi.json").json())
    held = Held()
    for found in schema.get_all_operations():
        operation = found.ok()
        for mode in schemathesis.GenerationMode:

            @settings(
                max_examples=EXAMPLES, derandomize=True, database=None, deadline=None,
                suppress_health_check=list(HealthCheck), phases=[Phase.generate],
            )  # fmt: skip
            @given(case=operation.as_strategy(generation_mode=mode))
            def answered(case: schemathesis.Case) -> None:
                wanted = case.as_transport_kwargs(base_url=str(asked.base_url))
                answer = requests.request(timeout=ANSWER_S, **wanted)
                require_answered(answer, wanted)

            with suppress(Unsatisfiable) if mode.is_negative else nullcontext():  # there is nothing to do wrong
                answered()
    Held().require_no_growth(held, of_memory=False)  # what schemathesis and the other tests hold is in it, too


def test_a_number_of_five_thousand_digits_is_one_of_ours_or_none(asked: httpx.Client, image: np.ndarray) -> None:
    """Python itself refuses to read such a number."""
    long = "9" * 5000
    job = asked.post("/v1/jobs", files={"files": ("a.png", pictures(image)[0])}).json()["id"]
    while asked.get(f"/v1/jobs/{job}").json()["state"] != "done":
        time.sleep(0.05)
    assert asked.get(f"/v1/jobs/{job}/events", headers={"Last-Event-ID": long}).status_code == 204
    for name in ("X-Timeout", "Content-Length", "Inference-Header-Content-Length"):
        sent = asked.build_request("POST", "/v2/models/lesion/infer", content=b"{}", headers={name: long})
        try:
            require_answered(asked.send(sent), name)
        except httpx.TransportError:
            assert name == "Content-Length", "the connection may be cut where nobody knows what follows"
