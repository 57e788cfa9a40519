from __future__ import annotations

import hashlib
import io
import json
import os
import socket
import tarfile
import threading
import urllib.error
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from segbench.cli.data_get import data_get
from segbench.data.formats import FORMATS
from segbench.data.public import download
from segbench.data.public.download import fetch, get_public
from segbench.data.public.sets import PUBLIC_SETS, PublicSet, RemoteFile
from segbench.errors import ConfigError, DatasetError

CONTENT = os.urandom(1_500_000)


@dataclass
class Server:
    """What the server has, how it behaves, and what it was asked."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    etag: str = '"one"'
    modified: str = ""
    ranges: bool = True
    length: bool = True
    cut_after: list[int] = field(default_factory=list)  # bytes after which an answer breaks off, one an answer
    codes: list[int] = field(default_factory=list)  # answers that are nothing but a status
    page: bool = False
    asked: list[dict[str, str]] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            return

        def do_GET(self) -> None:
            state.asked.append(dict(self.headers.items()))
            name = self.path.lstrip("/")
            if state.codes or name not in state.files:
                self.send_error(state.codes.pop(0) if state.codes else 404)
                return
            data, start = state.files[name], 0
            wanted = self.headers.get("Range")
            same = self.headers.get("If-Range") in (state.etag, state.modified)
            if state.ranges and wanted and same:
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
                if start >= len(data):
                    self.send_error(416)
                    return
            self.send_response(206 if start else 200)
            self.send_header("Content-Type", "text/html" if state.page else "application/zip")
            if state.etag:
                self.send_header("ETag", state.etag)
            if state.modified:
                self.send_header("Last-Modified", state.modified)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            if state.length:
                self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            body = data[start:]
            self.wfile.write(body[: state.cut_after.pop(0)] if state.cut_after else body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        listening.daemon_threads = False
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        state.url = f"http://127.0.0.1:{listening.server_address[1]}"
        state.files["set.zip"] = CONTENT
        yield state
        listening.shutdown()
        thread.join()


def remote(server: Server, **known: Any) -> RemoteFile:
    return RemoteFile(url=f"{server.url}/set.zip", **known)


def get(server: Server, folder: Path, waits: list[float] | None = None, **known: Any) -> download.Received:
    waited = [] if waits is None else waits
    return fetch(remote(server, **known), folder / "set.zip", sleep=waited.append, page="the makers' page")


def test_a_whole_file_and_its_checksum(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    digest = hashlib.sha256(CONTENT).hexdigest()
    file = remote(server, size=len(CONTENT), sha256=digest)
    received = fetch(file, tmp_path / "set.zip", progress=lambda *told: seen.append(told))
    assert received.path.read_bytes() == CONTENT
    assert (received.sha256, received.checked) == (digest, True)
    assert seen[-1] == ("downloading set.zip, MB", 1, 1)
    assert {item.name for item in tmp_path.iterdir() if not item.name.startswith(".")} == {"set.zip"}
    assert fetch(file, tmp_path / "set.zip") == received
    assert len(server.asked) == 1, "what is there is not downloaded again"


def test_a_file_without_a_published_checksum_is_not_called_checked(server: Server, tmp_path: Path) -> None:
    received = get(server, tmp_path)
    assert received.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert not received.checked


@pytest.mark.parametrize(("etag", "modified"), [('"one"', ""), ("", "Wed, 01 Jan 2020 00:00:00 GMT")])
def test_a_cut_connection_is_continued(server: Server, tmp_path: Path, etag: str, modified: str) -> None:
    server.etag, server.modified = etag, modified
    server.cut_after = [700_000, 300_000]
    waits: list[float] = []
    assert get(server, tmp_path, waits).path.read_bytes() == CONTENT
    assert [asked.get("Range") for asked in server.asked] == [None, "bytes=700000-", "bytes=1000000-"]
    assert server.asked[1]["If-Range"] == (etag or modified)
    assert waits == [1.0, 1.0], "what brings something on begins the waits anew"


def test_the_next_command_goes_on(server: Server, tmp_path: Path) -> None:
    server.cut_after = [900_000, 0, 0, 0, 0]
    with pytest.raises(DatasetError, match=r"the connection was cut \(0 MB of it are here and are kept\)"):
        get(server, tmp_path)
    assert (tmp_path / "set.zip.part").stat().st_size == 900_000
    assert get(server, tmp_path).path.read_bytes() == CONTENT
    assert server.asked[-1]["Range"] == "bytes=900000-"


def test_a_file_that_has_changed_is_begun_anew(server: Server, tmp_path: Path) -> None:
    server.cut_after = [900_000, 0, 0, 0, 0]
    with pytest.raises(DatasetError):
        get(server, tmp_path)
    other = os.urandom(1_200_000)
    server.files["set.zip"], server.etag = other, '"two"'
    assert get(server, tmp_path).path.read_bytes() == other


def test_a_weak_etag_is_not_trusted(server: Server, tmp_path: Path) -> None:
    server.etag, server.cut_after = 'W/"weak"', [500_000]
    assert get(server, tmp_path).path.read_bytes() == CONTENT
    assert [asked.get("Range") for asked in server.asked] == [None, None]


def test_a_server_without_ranges(server: Server, tmp_path: Path) -> None:
    server.ranges, server.cut_after = False, [1_000_000]
    assert get(server, tmp_path).path.read_bytes() == CONTENT


def test_a_server_that_does_not_say_how_much_comes(server: Server, tmp_path: Path) -> None:
    server.length = False
    assert get(server, tmp_path).path.read_bytes() == CONTENT


def test_a_part_that_is_whole_already(server: Server, tmp_path: Path) -> None:
    (tmp_path / "set.zip.part").write_bytes(CONTENT)
    note = {"url": f"{server.url}/set.zip", "validator": '"one"', "total": len(CONTENT)}
    (tmp_path / "set.zip.part.json").write_text(json.dumps(note))
    assert get(server, tmp_path).path.read_bytes() == CONTENT
    (tmp_path / "set.zip").unlink()
    (tmp_path / "set.zip.part").write_bytes(CONTENT + b"more")
    (tmp_path / "set.zip.part.json").write_text(json.dumps(note))
    assert get(server, tmp_path).path.read_bytes() == CONTENT


def test_a_part_of_unknown_origin_is_not_continued(server: Server, tmp_path: Path) -> None:
    (tmp_path / "set.zip.part").write_bytes(b"something else")
    (tmp_path / "set.zip.part.json").write_text("{")
    assert get(server, tmp_path).path.read_bytes() == CONTENT


def test_another_checksum(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"not the file that was expected.*delete it and run") as caught:
        get(server, tmp_path, sha256="0" * 64, size=5)
    assert caught.value.path == str(tmp_path / "set.zip")
    assert "it has 1500000 bytes" in caught.value.reason
    with pytest.raises(DatasetError, match="expected 7 bytes and SHA-256 unknown"):
        get(server, tmp_path, size=7)


def test_a_busy_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.codes = [503, 429]
    waits: list[float] = []
    assert get(server, tmp_path, waits).path.read_bytes() == CONTENT
    assert waits == [1.0, 2.0]


@pytest.mark.parametrize("code", [404, 403, 410])
def test_a_file_that_is_gone_is_told_at_once(server: Server, tmp_path: Path, code: int) -> None:
    server.codes = [code]
    waits: list[float] = []
    with pytest.raises(DatasetError, match=f"the server answers {code}") as caught:
        get(server, tmp_path, waits)
    assert "its page: the makers' page" in caught.value.reason
    assert "put it here under the name set.zip" in caught.value.reason
    assert not waits


def test_a_web_page_in_place_of_the_file(server: Server, tmp_path: Path) -> None:
    server.page = True
    with pytest.raises(DatasetError, match="sends a web page instead of the file"):
        get(server, tmp_path)


def test_nobody_listens(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/set.zip"
    waits: list[float] = []
    with pytest.raises(DatasetError, match="Connection refused"):
        fetch(RemoteFile(url=url), tmp_path / "set.zip", sleep=waits.append)
    assert waits == [1.0, 2.0, 4.0]


def test_offline_is_one_clear_error_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: Any, **__: Any) -> None:
        raise urllib.error.URLError(socket.gaierror(-2, "Name or service not known"))

    monkeypatch.setattr(download.urllib.request, "urlopen", offline)
    public = public_set("http://nowhere.invalid")
    with pytest.raises(DatasetError) as caught:
        get_public("pets", public, tmp_path)
    place = tmp_path / "pets.download" / "images.tar.gz"
    assert caught.value.path == str(place)
    for words in ("http://nowhere.invalid/images.tar.gz", "Name or service not known", "under the name images.tar.gz"):
        assert words in caught.value.reason
    for name, data in two_archives().items():
        (place.parent / name).write_bytes(data)
    folder, received = get_public("pets", public, tmp_path)
    assert (folder / "images" / "a.jpg").read_bytes() == b"a"
    assert [file.checked for file in received] == [False, False]


def test_too_little_space(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_SPARE_BYTES", 1 << 60)
    with pytest.raises(DatasetError, match="are free; free some space, or choose a folder on another disk with --out"):
        get(server, tmp_path)


# ---- a set of several archives ---------------------------------------------------------------------------------------


def two_archives() -> dict[str, bytes]:
    packed = {}
    for name, inside in (("images.tar.gz", "images/a.jpg"), ("annotations.zip", "annotations/trimaps/a.png")):
        stream = io.BytesIO()
        if name.endswith("zip"):
            with zipfile.ZipFile(stream, "w") as archive:
                archive.writestr(inside, b"m")
        else:
            with tarfile.open(fileobj=stream, mode="w:gz") as tar:
                info = tarfile.TarInfo(inside)
                info.size = 1
                tar.addfile(info, io.BytesIO(b"a"))
        packed[name] = stream.getvalue()
    return packed


def public_set(url: str) -> PublicSet:
    files = tuple(RemoteFile(url=f"{url}/{name}") for name in two_archives())
    return replace(PUBLIC_SETS["oxford_pets"], files=files)


def test_archives_end_up_in_one_folder(server: Server, tmp_path: Path) -> None:
    server.files |= two_archives()
    folder, received = get_public("pets", public_set(server.url), tmp_path)
    assert folder == tmp_path / "pets"
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == {
        "images/a.jpg",
        "annotations/trimaps/a.png",
    }
    assert [file.path.parent.name for file in received] == ["pets.download"] * 2
    assert sorted(item.name for item in tmp_path.iterdir()) == ["pets", "pets.download"]
    assert get_public("pets", public_set(server.url), tmp_path) == (folder, ())


def test_an_archive_without_the_folder_it_should_have(server: Server, tmp_path: Path) -> None:
    server.files |= two_archives()
    with pytest.raises(DatasetError, match="expected the folder VOCdevkit in the archive"):
        get_public("pets", replace(public_set(server.url), folder="VOCdevkit"), tmp_path)
    assert [item.name for item in tmp_path.iterdir()] == ["pets.download"]


# ---- the table and the command ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(PUBLIC_SETS))
def test_entries_say_what_they_must(name: str) -> None:
    public = PUBLIC_SETS[name]
    assert bool(public.files) != bool(public.instructions)
    assert public.licence
    assert public.citation
    assert public.page.startswith("http")
    assert public.format in FORMATS.names()
    for file in public.files:
        assert file.url.startswith("https://") or file.sha256, "a connection nobody secures needs a checksum"
        assert file.sha256 is None or len(file.sha256) == 64
        assert (file.sha256 is None) == (file.size is None)


def run(*arguments: str) -> Any:
    app = typer.Typer()
    app.command()(data_get)
    return CliRunner().invoke(app, list(arguments))


def test_the_list() -> None:
    printed = run().output
    assert all(name in printed for name in PUBLIC_SETS)
    assert "form or login" in printed
    assert "811 MB" in printed


def test_the_licence_comes_first(tmp_path: Path) -> None:
    result = run("oxford_pets", "-o", str(tmp_path))
    assert "licence: CC BY-SA 4.0" in result.output
    assert isinstance(result.exception, ConfigError)
    assert result.exception.key == "--accept-licence"
    assert not list(tmp_path.iterdir())


def test_sets_that_have_to_be_asked_for(tmp_path: Path) -> None:
    result = run("ph2", "-o", str(tmp_path))
    assert result.exit_code == 0
    assert "fill in the form" in result.output
    assert "segbench data index FOLDER --format ph2" in result.output
    assert isinstance(run("oxford_pet").exception, ConfigError)
    assert "did you mean 'oxford_pets'" in str(run("oxford_pet").exception)


def test_the_whole_command(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.files |= two_archives()
    monkeypatch.setitem(PUBLIC_SETS, "oxford_pets", public_set(server.url))  # type: ignore[arg-type]
    result = run("oxford_pets", "-o", str(tmp_path), "--accept-licence", "--quiet")
    assert result.exit_code == 0, result.output
    digest = hashlib.sha256(server.files["annotations.zip"]).hexdigest()
    assert f"annotations.zip: SHA-256 {digest} (nobody publishes what it should be" in result.output
    assert f"next: segbench data index {tmp_path}/oxford_pets --format oxford_pets" in result.output
