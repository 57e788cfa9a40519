"""Processes of their own that need not import torch first: forked from a clean one that has it, as workers of a study.

What a new interpreter does that these do not (`python -m segbench`, a script's own imports) is tested where it matters.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from segbench.study.local import PRELOADED

# What most commands need besides; of the encoders' library alone importing takes seconds.
LOADED = [*PRELOADED, "segbench.cli", "segbench.predict.files", "segbench.models.smp.network", "scipy.stats"]


class Process:
    """A started process, asked as `subprocess.Popen` is."""

    def __init__(self, target: Callable[..., Any], *arguments: Any, cwd: Path | None, merged: bool) -> None:
        folder = tempfile.mkdtemp()
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)  # no open file that could be found unclosed
        self._files = [Path(folder, name) for name in (("both",) if merged else ("out", "err"))]
        for file in self._files:
            file.touch()
        names = [str(file) for file in self._files]
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(LOADED)
        environment = dict(os.environ)
        self._process = context.Process(target=_be, args=(target, arguments, cwd or Path.cwd(), environment, names))
        self._process.start()
        self.pid: int = self._process.pid or 0
        self.kill = self._process.kill

    @property
    def returncode(self) -> int | None:
        """What it ended with, a negative number for a signal; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Returns `returncode`."""
        return self.returncode

    def communicate(self, timeout: float = 120.0) -> tuple[str, str]:
        """Waits for its end and returns standard output and standard error, in one where they were merged."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            self.kill()
            self._process.join()
            raise subprocess.TimeoutExpired(self._process.name, timeout, "".join(self._read()))
        out, *err = self._read()
        return out, "".join(err)

    def _read(self) -> list[str]:
        return [file.read_text(encoding="utf-8") for file in self._files]


def _be(
    target: Callable[..., Any], arguments: Sequence[Any], folder: Path, environment: dict[str, str], names: list[str]
) -> None:
    os.setsid()  # so that a signal to its group reaches it and what it starts alone
    for number, name in zip((1, 2), (names[0], names[-1]), strict=True):
        descriptor = os.open(name, os.O_WRONLY | os.O_APPEND)
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    target(*arguments)


def start_segbench(*words: str, cwd: Path | None = None, merged: bool = False) -> Process:
    """Starts `segbench WORDS`; `merged` puts both outputs into one, in order."""
    return Process(_command, words, cwd=cwd, merged=merged)


def run_segbench(*words: str, cwd: Path | None = None, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
    """Runs `segbench WORDS` to its end; more than `timeout` seconds are an error."""
    return _wait(start_segbench(*words, cwd=cwd), words, timeout)


def run_script(file: Path, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a file of Python as a program to its end."""
    return _wait(Process(_script, file, words, cwd=cwd, merged=False), words)


def run_function(target: Callable[..., Any], *arguments: Any) -> subprocess.CompletedProcess[str]:
    """Runs a function that stands at the top of a test module, and its arguments, in a process of its own."""
    return _wait(Process(target, *arguments, cwd=None, merged=False), (target.__name__,))


def _wait(process: Process, words: Sequence[str], timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
    out, err = process.communicate(timeout)
    assert process.returncode is not None
    return subprocess.CompletedProcess(list(words), process.returncode, out, err)


def _command(words: Sequence[str]) -> None:
    from segbench.cli import main

    sys.argv = ["segbench", *words]
    main()


def _script(file: Path, words: Sequence[str]) -> None:
    sys.argv = [str(file), *words]
    runpy.run_path(str(file), run_name="__main__")
