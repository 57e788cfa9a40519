from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.compare._study import write_study
from tests.export.html._chromium import Page, chromium
from tests.serve.conftest import CLASSES, write_model
from tests.studio._browser import Start

from segbench.data.synthetic.write import write_lesions
from segbench.folders.study import StudyFolder

LINK = "a-link"


@pytest.fixture
def lesions(tmp_path: Path) -> Path:
    """Returns a labelled folder of 12 drawn images."""
    write_lesions(tmp_path / "lesions", count=12, seed=0, size=(48, 64))
    return tmp_path / "lesions"


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """Returns a finished study of four approaches with two seeds."""
    return write_study(tmp_path_factory.mktemp("study"), images=24, epochs=3)


@pytest.fixture
def open_place(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Returns a function that opens a path in a studio, and returns a client that was let in; see `create_studio`."""
    from starlette.testclient import TestClient

    from segbench.studio.app import create_studio
    from segbench.studio.place import Place

    with ExitStack() as running:

        def opened(path: Path | None, *, read_only: bool = False, inside: bool = True, wait: bool = True) -> Any:
            place = Place(path, tmp_path / "work", read_only=read_only)
            app = create_studio(place, link=LINK, once=not read_only)
            client = running.enter_context(TestClient(app, base_url="http://127.0.0.1"))
            if inside:
                assert client.get(f"/enter?key={LINK}").status_code == 200
            if wait:
                place.reading.wait()
            return client

        yield opened


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Returns a bundle of a small network for lesions."""
    write_model(tmp_path / "lesion.segbench", CLASSES["lesion"], (48, 64))
    return tmp_path / "lesion.segbench"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Returns a function that starts `segbench studio` and returns its link; its processes are `start.running`."""
    running: list[subprocess.Popen[bytes]] = []

    def begin(path: Path, *more: str, port: int = 0) -> str:
        command = [sys.executable, "-m", "segbench", "studio", str(path), "--no-browser", "--port", str(port), *more]
        said = tmp_path / f"studio_{len(running)}.log"
        with said.open("wb") as log:
            running.append(
                subprocess.Popen([*command, "--work", str(tmp_path / "work")], stdout=log, stderr=subprocess.STDOUT)
            )
        end = time.monotonic() + 120
        while (found := re.search(r"http://\S+", said.read_text())) is None:
            assert running[-1].poll() is None, said.read_text()
            assert time.monotonic() < end, said.read_text()
            time.sleep(0.1)
        return found[0]

    begin.running = running  # type: ignore[attr-defined]
    yield begin
    for process in running:
        process.kill()
        process.wait(20)


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    with chromium(tmp_path / "browser") as made:
        yield made
