"""A hub on this machine: the few questions of the Hugging Face Hub's client that `push` and `pull` need, answered."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "right"


class Hub:
    """Repositories in memory.

    Attributes:
        files: repository -> path -> bytes.
        asked: method and path of every question.
        refuse_card: what the Hub says about a card that it does not take; empty: it takes any.
    """

    def __init__(self) -> None:
        self.files: dict[str, dict[str, bytes]] = {}
        self.private: set[str] = set()
        self.asked: list[str] = []
        self.commits = 0
        self.refuse_card = ""
        self.url = ""

    def commit(self, repository: str) -> str:
        plain = sorted((path, hashlib.sha256(content).hexdigest()) for path, content in self.files[repository].items())
        return hashlib.sha1(json.dumps(plain).encode()).hexdigest()


@contextmanager
def serving() -> Iterator[Hub]:
    """Yields a hub that answers at its `url`."""
    hub = Hub()

    class Handler(_Handler):
        pass

    Handler.hub = hub
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, *arguments: object) -> None:
        """Says nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self._path()
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._send(401, {"error": "Invalid username or password."})
        elif path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
            if name.startswith("others/"):
                self._send(403, {"error": "You don't have the rights to create a model under this namespace"})
            elif name in self.hub.files:
                self._send(409, {"error": "You already created this model repo", "url": f"{self.hub.url}/{name}"})
            else:
                self.hub.files[name] = {".gitattributes": b"*.safetensors filter=lfs\n"}
                if asked.get("private") or asked.get("visibility") == "private":
                    self.hub.private.add(name)
                self._send(200, {"url": f"{self.hub.url}/{name}", "name": name})
        elif path == "/api/validate-yaml":
            told = [{"message": self.hub.refuse_card}] if self.hub.refuse_card else []
            self._send(400 if told else 200, {"errors": told, "warnings": []})
        elif "/preupload/" in path:
            files = [
                {"path": each["path"], "uploadMode": "regular", "shouldIgnore": False}
                for each in json.loads(body)["files"]
            ]
            self._send(200, {"files": files})
        elif "/commit/" in path:
            self._commit(path.removeprefix("/api/models/").split("/commit/")[0], body)
        else:
            self._send(404, {"error": path})

    def _commit(self, repository: str, body: bytes) -> None:
        for line in body.splitlines():
            item = json.loads(line)
            if item["key"] == "file":
                content = item["value"]["content"]
                self.hub.files[repository][item["value"]["path"]] = base64.b64decode(content)
            elif item["key"] == "deletedFile":
                del self.hub.files[repository][item["value"]["path"]]
        self.hub.commits += 1
        oid = self.hub.commit(repository)
        self._send(200, {"commitUrl": f"{self.hub.url}/{repository}/commit/{oid}", "commitOid": oid})

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self._path()
        found = [name for name in self.hub.files if path.removeprefix("/api/models").startswith(f"/{name}")]
        hidden = bool(found) and found[0] in self.hub.private and self.headers.get("Authorization") is None
        if not found or hidden:
            self._send(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
            return
        name, rest = found[0], path.removeprefix("/api/models").removeprefix(f"/{found[0]}")
        files, commit = self.hub.files[name], self.hub.commit(found[0])
        if rest.startswith("/tree/"):
            listed = [
                {"type": "file", "path": each, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for each, content in files.items()
            ]
            self._send(200, listed)
        elif rest.startswith("/resolve/"):
            content = files[rest.split("/", 3)[3]]
            etag = f'"{hashlib.sha1(content).hexdigest()}"'
            self._send(200, content, {"ETag": etag, "X-Repo-Commit": commit})
        elif rest in ("", "/revision/main", f"/revision/{commit}"):
            siblings = [{"rfilename": each} for each in files]
            self._send(200, {"id": name, "modelId": name, "sha": commit, "siblings": siblings, "tags": []})
        else:
            self._send(404, {"error": "Invalid rev id"}, {"X-Error-Code": "RevisionNotFound"})

    def _path(self) -> str:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        return path

    def _send(self, status: int, answer: Any, headers: dict[str, str] | None = None) -> None:
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
