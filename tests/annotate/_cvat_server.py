"""As much of a CVAT server as its own client needs to annotate one task, and the task's export."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit
from xml.sax.saxutils import quoteattr

import numpy as np
from PIL import Image

NOW = "2026-01-01T00:00:00Z"
TASK = 7
_PAGE = {"count": 0, "next": None, "previous": None}


@dataclass
class CvatTask:
    """One task of images.

    Attributes:
        images: name -> bytes of an image file, as the task was made from.
        labels: name -> type (`any`, `mask` or `polygon`); their ids are 100, 101, ...
        sent: what a client has sent as annotations.
        function: what a client has registered as the function 3.
        requests: what people ask that function for, until an agent takes it.
        failed: why an agent could not do it.
    """

    images: dict[str, bytes]
    labels: dict[str, str]
    sent: list[dict[str, Any]] = field(default_factory=list)
    function: dict[str, Any] = field(default_factory=dict)
    requests: list[dict[str, Any]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @property
    def shapes(self) -> list[dict[str, Any]]:
        return [shape for each in self.sent for shape in each["shapes"]]

    def answer(self, path: str) -> Any:
        """Returns what a GET of a path is answered: bytes, plain values, or None."""
        rest = path.removeprefix("/api/")
        if rest == "server/about":
            return {"name": "CVAT", "description": "", "version": "2.80.0", "subtitle": "", "logo_url": "", "url": ""}
        if rest == "labels":
            return {**_PAGE, "count": len(self.labels), "results": self._labels()}
        if rest == f"tasks/{TASK}":
            return self._task()
        if rest == f"tasks/{TASK}/data/meta":
            return self._meta()
        if rest == f"tasks/{TASK}/data":
            return self._chunk()
        return self.function if rest == "functions/3" else None

    def take(self, path: str, body: dict[str, Any]) -> Any:
        """Returns what a POST is answered; None where there is no such path."""
        rest = path.removeprefix("/api/")
        if rest == "functions":
            labels = [{"attributes": [], **label} for label in body["labels_v2"]]
            self.function = {"id": 3, **body, "labels_v2": labels}
            return self.function
        if rest == "functions/queues/function:3/requests/acquire":
            waits = self.requests and body["request_category"] == "batch"
            return {"ar_assignment": {"ar_id": "1", "ar_params": self.requests.pop(0)} if waits else None}
        if rest.endswith("/complete"):
            self.sent.append(body["annotations"])
        elif rest.endswith("/fail"):
            self.failed.append(body["exc_info"])
        return {}

    def _task(self) -> dict[str, Any]:
        summary = {"url": "http://x/", "count": 1, "completed": 0, "validation": 0}
        return {
            "id": TASK,
            "name": "task",
            "mode": "annotation",
            "size": len(self.images),
            "data_chunk_size": len(self.images),
            "data_original_chunk_type": "imageset",
            "data_compressed_chunk_type": "imageset",
            "dimension": "2d",
            "updated_date": NOW,
            "created_date": NOW,
            "organization": None,
            "organization_id": None,
            "project_id": None,
            "jobs": summary,
            "labels": {"url": "http://x/"},
        }

    def _labels(self) -> list[dict[str, Any]]:
        return [
            {"id": 100 + place, "name": name, "type": kind, "color": "#000000", "attributes": [], "sublabels": []}
            for place, (name, kind) in enumerate(self.labels.items())
        ]

    def _meta(self) -> dict[str, Any]:
        frames = []
        for name, data in self.images.items():
            with Image.open(io.BytesIO(data)) as image:
                frames.append({"name": name, "width": image.width, "height": image.height, "related_files": 0})
        return {"chunks_updated_date": NOW, "frames": frames, "deleted_frames": [], "size": len(frames)}

    def _chunk(self) -> bytes:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for place, data in enumerate(self.images.values()):
                archive.writestr(f"{place:06d}.png", data)
        return packed.getvalue()

    def export(self, root: Path) -> Path:
        """Writes the task as CVAT exports it ("CVAT for images 1.1" with images), and returns the folder."""
        names = {100 + place: name for place, name in enumerate(self.labels)}
        labels = "".join(f"<label><name>{name}</name></label>" for name in self.labels)
        lines = [f"<annotations><version>1.1</version><meta><task><labels>{labels}</labels></task></meta>"]
        (root / "images").mkdir(parents=True)
        for frame, (name, data) in enumerate(self.images.items()):
            (root / "images" / name).write_bytes(data)
            with Image.open(io.BytesIO(data)) as image:
                size = f'width="{image.width}" height="{image.height}"'
            lines.append(f'<image id="{frame}" name={quoteattr(name)} {size}>')
            shown = [shape for shape in self.shapes if shape["frame"] == frame]
            lines += [_element(shape, names[shape["label_id"]]) for shape in shown]
            lines.append("</image>")
        (root / "annotations.xml").write_text("\n".join([*lines, "</annotations>"]), encoding="utf-8")
        return root


def _element(shape: dict[str, Any], label: str) -> str:
    common = f'label={quoteattr(label)} source="auto" occluded="0" z_order="0"'
    points: Sequence[float] = shape["points"]
    if shape["type"] == "polygon":
        pairs = zip(points[0::2], points[1::2], strict=True)
        return f'<polygon {common} points="{";".join(f"{x:.2f},{y:.2f}" for x, y in pairs)}"></polygon>'
    *runs, left, top, right, bottom = (int(value) for value in points)
    box = f'left="{left}" top="{top}" width="{right - left + 1}" height="{bottom - top + 1}"'
    return f'<mask {common} rle="{", ".join(map(str, runs))}" {box}></mask>'


@contextmanager
def cvat_server(task: CvatTask) -> Iterator[str]:
    """Runs a server of one task in a thread, and gives its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(task.answer(self._path()))

        def do_POST(self) -> None:
            self._send(task.take(self._path(), self._body()))

        def do_PATCH(self) -> None:
            task.sent.append(self._body())
            self._send({"version": 1, "tags": [], "shapes": [], "tracks": []})

        def do_PUT(self) -> None:
            task.sent[:] = [self._body()]
            self._send({"version": 1, "tags": [], "shapes": [], "tracks": []})

        def _path(self) -> str:
            return unquote(urlsplit(self.path).path).rstrip("/")

        def _body(self) -> Any:
            return json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"null")

        def _send(self, found: Any) -> None:
            data = found if isinstance(found, bytes) else json.dumps(found).encode()
            self.send_response(404 if found is None else 200)
            kind = "application/zip" if isinstance(found, bytes) else "application/vnd.cvat+json"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def png(image: np.ndarray) -> bytes:
    """Returns an image as the bytes of a PNG."""
    data = io.BytesIO()
    Image.fromarray(image).save(data, "PNG")
    return data.getvalue()
