from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.compare._study import write_study
from tests.serve.conftest import CLASSES, write_model

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
