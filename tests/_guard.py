"""Fails a test that starts a process or trains and is not marked `slow`, so that `make quick` stays quick.

What a fixture does counts for every test that asks for it, whichever test it was made for.
"""

from __future__ import annotations

import importlib
import multiprocessing.process
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from typing import Any

import pytest

# Of the processor, so that a busy machine fails nothing; measured: the slowest unmarked test takes a third of it.
SECONDS = 5.0


class Guard:
    """The plugin.

    Args:
        is_timed: whether an unmarked test may take `SECONDS` alone; its session and module fixtures are not counted.
    """

    def __init__(self, *, is_timed: bool) -> None:
        self.is_timed = is_timed
        self.told: set[str] = set()
        # By name, node that it is kept for, and folder or module that defines it: several may have one of a name.
        self._of_fixtures: dict[tuple[str, str, str], set[str]] = {}
        self._undo: list[Callable[[], Any]] = []
        self._hooked = False

    def pytest_configure(self) -> None:
        """Watches the two doors through which Python starts a process."""
        self._tell_before(subprocess.Popen, "_execute_child", "starts a process")
        self._tell_before(multiprocessing.process.BaseProcess, "start", "starts a process")

    def _tell_before(self, owner: type, name: str, what: str) -> None:
        real = getattr(owner, name)

        def telling(*arguments: Any, **options: Any) -> Any:
            if not _is_importing():
                self.told.add(what)
            return real(*arguments, **options)

        setattr(owner, name, telling)
        self._undo.append(lambda: setattr(owner, name, real))

    def pytest_unconfigure(self) -> None:
        """Leaves everything as it was."""
        for undo in self._undo:
            undo()

    def pytest_collection_finish(self) -> None:
        """Imports torch and more where time is measured: else the first test that needs them would be told too long."""
        if self.is_timed:
            importlib.import_module("segbench.train.fit")

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, Any, Any]:
        """Keeps what a fixture did, for the tests that are given it ready made."""
        before, self.told = self.told, set()
        try:
            return (yield)
        finally:
            if fixturedef.scope != "function":
                self._of_fixtures[fixturedef.argname, request.node.nodeid, fixturedef.baseid] = self.told
            self.told = before | self.told

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        """Begins a test."""
        self.told = set()
        optimizer = sys.modules.get("torch.optim.optimizer")
        if optimizer is not None and not self._hooked:
            self._hooked = True
            hook = optimizer.register_optimizer_step_pre_hook(lambda *_: self.told.add("trains"))
            self._undo.append(hook.remove)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Function) -> Generator[None, Any, Any]:
        """Fails the test after it ran, if it passed."""
        started = time.process_time()
        result = yield
        if self.is_timed and time.process_time() - started > SECONDS:
            self.told.add(f"takes more than {SECONDS:g} s of the processor")
        nodes = {node.nodeid for node in item.listchain()}
        for (name, node, home), told in self._of_fixtures.items():
            if name in item.fixturenames and node in nodes and item.nodeid.startswith(home):
                self.told |= told
        if self.told and item.get_closest_marker("slow") is None:
            pytest.fail(f"this test {' and '.join(sorted(self.told))}: mark it @pytest.mark.slow", pytrace=False)
        return result


def _is_importing() -> bool:
    """Whether a module is being imported: torch asks the system's linker for its libraries."""
    frame: Any = sys._getframe()
    while frame is not None and frame.f_code.co_filename != "<frozen importlib._bootstrap>":
        frame = frame.f_back
    return frame is not None
