"""What a server is told: where it listens, who may ask, and how much of everything."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_MB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """Plain values; the defaults are safe on a machine of one's own.

    Attributes:
        host, port: where it listens. Without a token only the machine itself may ask.
        token: what every request must bring, as `Authorization: Bearer ...`; None: none.
        hosts: names in the `Host` header beside loopback that are answered.
        origins: of pages that may ask from a browser; none by default.
        most_bytes: of a request's body.
        most_px: of an image, judged before it is decoded.
        timeout_s: a request that takes longer is given up.
        queue: images of a model that may wait; one more is refused with 503.
        batch: images that go through the network together, at most.
        wait_ms: how long the first of a batch waits for company.
        threads: of the network; None: one a core.
        runtime, device: see `segbench predict`.
        workers: processes, each with the models of its own.
        jobs: folder of the jobs for large images; None: there are no jobs.
        label_studio: address of the one Label Studio whose images are fetched; None: none.
        label_studio_token: for fetching them.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
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
    jobs: Path | None = None
    label_studio: str | None = None
    label_studio_token: str | None = None
