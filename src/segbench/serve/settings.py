"""What a server is told: where it listens, who may ask, and how much of everything."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from segbench.errors import ConfigError
from segbench.speech import argument

_MB = 1 << 20
_SHORTEST_TOKEN = 16
_MAKE_TOKEN = "python -c 'import secrets; print(secrets.token_urlsafe(32))' > token.txt"  # no secret


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """Plain values; the defaults are safe on a machine of one's own.

    Attributes:
        host, port: where it listens; port 0: any that is free. Without a token only the machine itself may ask.
        token: what every request must bring, as `Authorization: Bearer ...`, or as the password of HTTP Basic; None:
            none.
        hosts: names that requests may give in `Host`, beside this machine's own (localhost and the like). Without a
            token others are refused, which keeps out pages that point a name of theirs at this machine. With a token
            every name will do, unless some are given.
        origins: of pages that may ask from a browser (`https://example.org`); none by default.
        most_bytes: of a request's body.
        most_px: of an image, judged before it is decoded.
        timeout_s: a request that takes longer is given up; a client may ask for less.
        queue: images of a model that may wait; one more is refused with 503.
        batch: images that go through the network together, at most.
        wait_ms: how long the first of a batch waits for company.
        threads: of the network; None: the cores that this process may use, shared among the workers.
        runtime, device: see `segbench predict`.
        workers: processes, each with the models of its own.
        drain_s: after the order to stop, how long requests are still taken while `/health/ready` says 503 already, so
            that whoever spreads them can look away.
        jobs: folder of the jobs for large images; None: there are no jobs.
        jobs_bytes: that all jobs together may have on the disk.
        jobs_hours: after a job's end, until it is taken away.
        label_studio: address of the one Label Studio whose images are fetched; None: none.
        label_studio_token: for fetching them.
    Raises:
        ConfigError: a value that makes no sense, or a host that others can reach and no token.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = field(default=None, repr=False)
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    most_bytes: int = 32 * _MB
    most_px: int = 50_000_000
    timeout_s: float = 60.0
    queue: int = 64
    batch: int = 16
    wait_ms: float = 2.0
    threads: int | None = None
    runtime: str = "torch"
    device: str = "auto"
    workers: int = 1
    drain_s: float = 1.0
    jobs: Path | None = None
    jobs_bytes: int = 20_000_000_000
    jobs_hours: float = 24.0
    label_studio: str | None = None
    label_studio_token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"expected a port from 0 to 65535, got {self.port}", key=argument("port"))
        for name in ("most_bytes", "most_px", "timeout_s", "queue", "batch", "workers", "jobs_bytes", "jobs_hours"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"expected a number above 0, got {getattr(self, name)}", key=argument(name))
        for name in ("wait_ms", "drain_s"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"expected 0 or more, got {getattr(self, name)}", key=argument(name))
        for origin in self.origins:
            parts = urlsplit(origin)
            if parts.scheme not in ("http", "https") or not parts.netloc or parts.path or parts.query:
                told = "expected a page's origin such as https://example.org, without a path"
                raise ConfigError(f"{told}, got {origin!r}", key=argument("origin"))
        if self.label_studio is not None:
            label_studio_home(self.label_studio)
        if self.token is not None and len(self.token) < _SHORTEST_TOKEN:
            told = f"a token of {len(self.token)} characters is soon guessed; expected at least {_SHORTEST_TOKEN}"
            raise ConfigError(f"{told}: {_MAKE_TOKEN}", key=argument("token_file"))
        if self.token is None and not is_loopback(self.host):
            raise ConfigError(
                f"{self.host} can be reached from other machines, and whoever reaches it could use the models; make a "
                f"token ({_MAKE_TOKEN}) and give it with {argument('token_file', 'token.txt')}, or in SEGBENCH_TOKEN",
                key=argument("host"),
            )

    @property
    def network_threads(self) -> int:
        """How many threads the network of one process has."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return self.threads or max(1, cores // self.workers)

    @property
    def stop_s(self) -> float:
        """Within which a server that is told to stop has ended, in seconds."""
        return self.drain_s + self.timeout_s + 5.0


def is_loopback(host: str) -> bool:
    """Tells whether an address or a name is this machine's own, which no other can reach."""
    name = host.removeprefix("[").removesuffix("]")
    if name.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def label_studio_home(address: str) -> SplitResult:
    """Returns the parts of Label Studio's address, which may have a path; ConfigError where it is none."""
    parts = urlsplit(address.rstrip("/"))
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or parts.query:
        told = "expected the address of Label Studio such as http://localhost:8080"
        raise ConfigError(f"{told}, got {address!r}", key=argument("label_studio"))
    return parts


def read_token(file: Path | None, variable: str = "SEGBENCH_TOKEN", option: str = "token_file") -> str | None:
    """Returns the token in a file, or in an environment variable; None where there is neither.

    Args:
        file: that `option` names.
        variable: of the environment, where there is no file.
        option: what a person is told of.
    Raises:
        ConfigError: none or more than one word, or signs that a header cannot bring.
    """
    if file is None:
        text, where, key = os.environ.get(variable, ""), variable, variable
        if not text.strip():
            return None
    else:
        text, where, key = file.read_bytes().decode("latin-1"), str(file), argument(option)
    words = text.split()
    hint = f"; make one: {_MAKE_TOKEN}" if option == "token_file" else ""
    if len(words) != 1:
        raise ConfigError(f"expected a token of one word in {where}, got {len(words) or 'none'}{hint}", key=key)
    if not (words[0].isascii() and words[0].isprintable()):
        told = f"the token in {where} has other signs than letters without accents, digits and punctuation"
        raise ConfigError(told + hint, key=key)
    return words[0]
