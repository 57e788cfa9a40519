"""A headless Chromium that a test talks to: it opens pages, gives them files, and hears all that they ask and say."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Page:
    """A tab, driven over a pipe with the DevTools protocol.

    Attributes:
        requests: addresses that were asked for, but for the page's own and what lies inside it (`data:`, `blob:`).
        console: what went to the console, and uncaught errors.
    """

    def __init__(self, write: int, read: int, downloads: Path) -> None:
        self._write, self._read, self._buffer, self._number = write, read, b"", 0
        self._session: str | None = None
        self.requests: list[str] = []
        self.console: list[str] = []
        self.downloads = downloads
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "DOM"):
            self.call(f"{domain}.enable")
        self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads), browserLevel=True)

    def call(self, method: str, *, browserLevel: bool = False, **parameters: Any) -> dict[str, Any]:  # noqa: N803
        """Returns the answer to a command of the protocol."""
        self._number += 1
        asked = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None and not browserLevel:
            asked["sessionId"] = self._session
        os.write(self._write, json.dumps(asked).encode() + b"\0")
        while True:
            heard = self._next(120)
            if heard.get("id") == asked["id"]:
                assert "error" not in heard, heard
                result: dict[str, Any] = heard["result"]
                return result
            self._note(heard)

    def _next(self, seconds: float) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while b"\0" not in self._buffer:
            assert select.select([self._read], [], [], max(0.0, end - time.monotonic()))[0], "chromium says nothing"
            more = os.read(self._read, 1 << 20)
            assert more, "chromium ended"
            self._buffer += more
        line, self._buffer = self._buffer.split(b"\0", 1)
        heard: dict[str, Any] = json.loads(line)
        return heard

    def _note(self, heard: dict[str, Any]) -> None:
        about = heard.get("params", {})
        if heard.get("method") == "Network.requestWillBeSent":
            url = about["request"]["url"]
            if not url.startswith(("data:", "blob:", "about:")) and about.get("type") != "Document":
                self.requests.append(url)
        elif heard.get("method") == "Runtime.consoleAPICalled":
            self.console.append(" ".join(str(each.get("value", each)) for each in about["args"]))
        elif heard.get("method") == "Runtime.exceptionThrown":
            self.console.append(str(about["exceptionDetails"]))
        elif heard.get("method") == "Log.entryAdded":
            self.console.append(f"{about['entry']['level']}: {about['entry']['text']}")

    def open(self, page: Path, *, width: int = 1440, height: int = 900, dark: bool = False) -> None:
        """Opens a file in a window of a size in pixels and waits until it has loaded."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=page.resolve().as_uri())
        self.until("document.readyState === 'complete'")

    def ask(self, expression: str) -> Any:
        """Returns the value of an expression of JavaScript, awaited."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, expression: str, seconds: float = 120) -> None:
        """Waits until an expression is true."""
        end = time.monotonic() + seconds
        while not self.ask(f"Boolean({expression})"):
            assert time.monotonic() < end, f"never true: {expression}; {self.console}"
            time.sleep(0.05)

    def give(self, files: Sequence[Path], *, inside: str = "document.getElementById('choose')") -> None:
        """Chooses files in a field, which an expression names, as a person does."""
        field = self.call("Runtime.evaluate", expression=inside)["result"]["objectId"]
        self.call("DOM.setFileInputFiles", objectId=field, files=[str(file.resolve()) for file in files])

    def saved(self, press: str, name: str) -> Path:
        """Presses a button and returns the file of that name that the browser saves."""
        file = self.downloads / name
        file.unlink(missing_ok=True)
        self.ask(f"document.querySelector({press!r}).click()")
        end = time.monotonic() + 60
        while not (file.is_file() and file.stat().st_size and not list(self.downloads.glob("*.crdownload"))):
            self.ask("0")
            assert time.monotonic() < end, f"{name} was not saved: {self.console}"
            time.sleep(0.05)
        return file

    def picture(self, file: Path) -> None:
        """Takes a picture of the whole page."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def chromium(folder: Path) -> Iterator[Page]:
    """Yields a tab of a browser whose files lie in a folder; skips the test where there is no Chromium."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    downloads = folder / "downloads"
    downloads.mkdir(parents=True)
    (commands, write), (read, answers) = os.pipe(), os.pipe()
    commands, answers = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (commands, answers))  # neither 3 nor 4
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command += ["--remote-debugging-pipe", f"--user-data-dir={folder / 'profile'}", "about:blank"]
    flags = os.O_WRONLY | os.O_CREAT
    process = os.posix_spawn(
        CHROMIUM,
        command,
        dict(os.environ),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 1, str(folder / "stdout.txt"), flags, 0o600),
            (os.POSIX_SPAWN_OPEN, 2, str(folder / "stderr.txt"), flags, 0o600),
            (os.POSIX_SPAWN_DUP2, commands, 3),
            (os.POSIX_SPAWN_DUP2, answers, 4),
        ],
    )
    try:
        yield Page(write, read, downloads)
    finally:
        os.close(write)  # the browser ends when nobody can tell it anything
        os.waitpid(process, 0)
