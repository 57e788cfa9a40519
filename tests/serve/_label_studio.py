"""As much of a Label Studio as a machine learning backend fetches from: files behind a token."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "0123456789abcdef0123456789abcdef01234567"


def jwt(**claims: Any) -> str:
    """Returns an unsigned JSON web token."""
    parts = [json.dumps(each).encode() for each in ({"alg": "none"}, claims)]
    return ".".join([*(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts), "c2lnbmF0dXJl"])


REFRESH = jwt(token_type="refresh", exp=4102444800)
ACCESS = jwt(token_type="access", exp=4102444800)


@dataclass
class Studio:
    """Attributes: files, path with query -> bytes; asked, what was asked for, with its `Authorization`."""

    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    address: str = ""
    elsewhere: str = "http://192.0.2.1/x.png"
    slow_s: float = 0.0

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]


@contextmanager
def label_studio(studio: Studio) -> Iterator[Studio]:
    """Runs it in a thread."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, token = unquote(self.path), self.headers.get("Authorization", "")
            studio.asked.append((path, token))
            if path == "/data/upload/away.png":
                return self._send(302, b"", Location=studio.elsewhere)
            if path == "/data/upload/moved.png":
                return self._send(302, b"", Location="/data/upload/1/a.png")
            if path.startswith("/data/local-files?"):
                return self._send(301, b"", Location=path.replace("?", "/?"))
            if urlsplit(path).path.startswith("/user/login"):
                return self._send(200, b"<html>who are you?</html>")
            if not token:
                return self._send(302, b"", Location=f"/user/login/?next={path}")
            if token not in (f"Token {TOKEN}", f"Bearer {ACCESS}"):
                return self._send(401, b'{"detail": "Invalid token."}')
            time.sleep(studio.slow_s)
            if path == "/data/upload/1/lost.png":  # of which it knows nothing
                return self._send(500, b"{}")
            found = studio.files.get(path)
            return self._send(404, b"") if found is None else self._send(200, found)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            studio.asked.append((self.path, ""))
            known = self.path == "/api/token/refresh/" and body == {"refresh": REFRESH}
            self._send(200 if known else 401, json.dumps({"access": ACCESS}).encode())

        def _send(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    studio.address = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield studio
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
