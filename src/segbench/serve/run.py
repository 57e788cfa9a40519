"""The server's life: the port is taken, the models are loaded, requests are answered until somebody ends it.

Told to stop (SIGTERM or Ctrl-C) it says so at `/health/ready`, goes on for `drain_s`, then takes no more, answers what
it took, and ends with 0. A second Ctrl-C ends it at once.
"""

from __future__ import annotations

import asyncio
import errno
import importlib
import logging
import math
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import TYPE_CHECKING

from segbench.errors import ConfigError, RunError, SegbenchError
from segbench.serve.settings import ServeSettings
from segbench.speech import argument
from segbench.terminal import Terminal

if TYPE_CHECKING:
    from fastapi import FastAPI

    from segbench.serve.models import Models

_PACKAGES = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")
_STARTUP_FAILED = 3
_LONGEST_HEAD = 16 << 10  # bytes of a request before its body
_KEEP_ALIVE_S = 30  # longer than pages wait between two questions; else one is asked on a connection that just ends
_BACKLOG = 256  # connections that the system keeps while the server is busy
_LOOK_S = 0.2  # how often it is looked whether a worker died
_LOG = logging.getLogger("segbench.serve")


def serve(paths: Sequence[Path], settings: ServeSettings, say: Callable[[str], None]) -> None:
    """Answers requests until the process is told to stop.

    Args:
        paths: of run folders and bundles.
        settings: see `ServeSettings`.
        say: told where it listens, and how to ask.
    Raises:
        ConfigError: a package is missing, the port is taken, the address is none of this machine's, or the folder of
            the jobs cannot be written.
        SegbenchError: a model cannot be loaded; the port was not open yet.
    """
    require_packages()
    from segbench.serve.job_folder import JobFolder

    JobFolder.of(settings)  # whether it can be written
    with listening(settings) as listener:
        models = _load(paths, settings)
        told = greeting(models, _address(settings.host, listener), settings)
        if settings.workers == 1:
            run_worker(models, settings, listener, lambda: say(told))
            return
        del models  # they were loaded to see whether they can be; each worker has its own
        from segbench.serve.metrics import shared_metrics

        with shared_metrics():
            _run_workers(paths, settings, listener, lambda: say(told))


def require_packages() -> None:
    """Raises ConfigError, which names the extra, where a package of the server is not installed."""
    for name in _PACKAGES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            told = f"the server needs the package {name}, which is not installed; pip install 'segbench[serve]'"
            raise ConfigError(told) from error


@contextmanager
def listening(settings: ServeSettings) -> Iterator[socket.socket]:
    """Yields a socket that has its address alone, and takes no connections yet.

    Raises:
        ConfigError: the port is taken, or the address is none of this machine's.
    """
    host, port = settings.host.removeprefix("[").removesuffix("]"), settings.port
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, UnicodeError) as error:
        raise ConfigError(f"there is no machine called {host!r}", key=argument("host")) from error
    with socket.socket(family, kind, protocol) as listener:
        _share(listener, True)  # bound at once after the last server ended
        try:
            listener.bind(place)
        except OSError as error:
            raise _refused(error, host, port) from error
        _share(listener, False)  # or another server could take the address too, until one of both listens
        yield listener


def _share(listener: socket.socket, allowed: bool) -> None:
    """Says whether others may have the address, of a connection that ended or of a socket that does not listen."""
    if os.name == "posix":  # elsewhere two could listen at it
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, allowed)


def _refused(error: OSError, host: str, port: int) -> ConfigError:
    if error.errno == errno.EADDRINUSE:
        told = f"port {port} is in use: another server runs there; end it, or take another"
        return ConfigError(f"{told}: {argument('port', port + 1 if port < 65535 else 8000)}", key=argument("port"))
    if error.errno == errno.EACCES:
        return ConfigError(f"port {port} is for the system alone; take one above 1023", key=argument("port"))
    told = f"{host} is no address of this machine ({error.strerror}); 127.0.0.1 is for itself, 0.0.0.0 for all"
    return ConfigError(told, key=argument("host"))


def _load(paths: Sequence[Path], settings: ServeSettings) -> Models:
    """Returns the models, loaded and warm, for a process with the number of threads that is its share."""
    import torch

    from segbench.serve.models import Models

    torch.set_num_threads(settings.network_threads)
    models = Models.open(paths, settings)
    models.warm_up()
    return models


def greeting(models: Models, address: str, settings: ServeSettings) -> str:
    """Returns what a person is told who started a server: what runs where, and a line that asks it."""
    token = '-H "Authorization: Bearer $SEGBENCH_TOKEN" ' if settings.token is not None else ""
    lines = [f"{address} serves {', '.join(models)}"]
    lines += [f"  {each.name}: {each.summary}" for each in models.values()]
    lines.append(f"Ask it:  curl {token}-F image=@photo.jpg {address}/v1/predict")
    lines.append(f"All that it answers: {address}/docs")
    lines.append(f"Ctrl-C ends it, when what it accepted is answered (within {settings.stop_s:g} s).")
    return "\n".join(lines)


def _address(host: str, listener: socket.socket) -> str:
    port = listener.getsockname()[1]
    name = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(host, host)  # not bound here
    return f"http://[{name}]:{port}" if ":" in name and not name.startswith("[") else f"http://{name}:{port}"


def run_worker(
    models: Models, settings: ServeSettings, listener: socket.socket, started: Callable[[], None] = lambda: None
) -> None:
    """Answers requests on a socket until the process is told to stop.

    Args:
        models: loaded.
        settings: see `ServeSettings`.
        listener: bound.
        started: called when requests are taken.
    Raises:
        ConfigError: another server listens there.
    """
    from segbench.serve.app import create_app

    run_app(create_app(models, settings), settings, listener, started)


def run_app(
    app: FastAPI, settings: ServeSettings, listener: socket.socket, started: Callable[[], None] = lambda: None
) -> None:
    """Answers requests on a socket until the process is told to stop.

    Args:
        app: whose `state.stopping` is set when it is told.
        settings, listener, started: see `run_worker`.
    """
    import uvicorn

    class Server(uvicorn.Server):
        """Says that it is ending before it does."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            self.should_exit = self.should_exit or bool(told)
            started()

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            app.state.stopping.set()
            ends = time.monotonic() + settings.drain_s
            while time.monotonic() < ends and not self.force_exit:
                await asyncio.sleep(0.05)
            await super().shutdown(sockets)

    _set_up_logs()
    told: list[int] = []  # to stop; uvicorn has handlers of its own, puts these back at its end, and raises once more
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: told.append(number))
    config = uvicorn.Config(
        app,
        backlog=_BACKLOG,
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        h11_max_incomplete_event_size=_LONGEST_HEAD,
        timeout_graceful_shutdown=math.ceil(settings.timeout_s) + 2,
    )
    # Before it listens, or connections of a server that was killed a moment ago would hold the address; who listens is
    # alone all the same. Its own connections have it from it.
    _share(listener, True)
    try:
        listener.listen(_BACKLOG)  # here, since not every event loop tells that it could not
    except OSError as error:
        raise _refused(error, settings.host, listener.getsockname()[1]) from error
    Server(config).run([listener])


def _set_up_logs() -> None:
    """Writes the server's own lines, and what is wrong, to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    for name, level in (("segbench.serve", logging.INFO), ("uvicorn", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)


def _run_workers(
    paths: Sequence[Path], settings: ServeSettings, listener: socket.socket, started: Callable[[], None]
) -> None:
    """Runs as many processes as `settings.workers` says, and another one for each that dies."""
    from segbench.serve.metrics import forget_worker

    told: list[int] = []  # to stop
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: told.append(number))
    context = multiprocessing.get_context("spawn")
    ready = context.Event()

    def start() -> BaseProcess:
        process = context.Process(target=_worker, args=(list(paths), settings, listener, ready))
        process.start()
        return process

    workers = [start() for _ in range(settings.workers)]
    greeted = False
    try:
        while not told:
            time.sleep(_LOOK_S)
            if ready.is_set() and not greeted:
                greeted = True
                started()
            for index, worker in enumerate(workers):
                if worker.is_alive():
                    continue
                if not greeted:
                    raise RunError("a worker ended before it could answer; what it said stands above")
                _LOG.error("worker %s ended (%s); another one starts", worker.pid, worker.exitcode)
                forget_worker(worker.pid or 0)
                workers[index] = start()
    finally:
        _end(workers, settings, listener, lambda: signal.SIGINT in told[1:])


def _end(
    workers: Sequence[BaseProcess], settings: ServeSettings, listener: socket.socket, hurried: Callable[[], bool]
) -> None:
    """Tells the workers to stop, and waits for them; what lasts longer than it may, or than `hurried`, is killed."""
    began = time.monotonic()
    for worker in workers:
        if worker.is_alive():
            worker.terminate()
    while any(worker.is_alive() for worker in workers) and time.monotonic() < began + settings.stop_s and not hurried():
        if time.monotonic() >= began + settings.drain_s:
            listener.close()  # else the system would still accept connections, which nobody answers
        time.sleep(_LOOK_S)
    listener.close()
    for worker in workers:
        if worker.is_alive():
            worker.kill()
        worker.join()


def _worker(paths: Sequence[Path], settings: ServeSettings, listener: socket.socket, ready: Event) -> None:
    """What a process of several does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the first process passes it on

    def end_with_parent() -> None:
        parent = multiprocessing.parent_process()
        assert parent is not None
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=end_with_parent, daemon=True).start()
    try:
        models = _load(paths, settings)
    except (SegbenchError, OSError) as error:
        Terminal(stderr=True).print(f"error: {error}")
        sys.exit(_STARTUP_FAILED)
    run_worker(models, settings, listener, ready.set)
