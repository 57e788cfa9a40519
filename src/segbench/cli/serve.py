"""`segbench serve`: trained models behind HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segbench.cli._common import Device, Quiet, console
from segbench.errors import ConfigError

_MB = 1 << 20


def serve(
    models: Annotated[
        list[Path], typer.Argument(metavar="MODEL...", help="Bundles and run folders.", show_default=False)
    ],
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than this machine need a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0: any that is free.")] = 8000,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the token that requests must bring; or set SEGBENCH_TOKEN.")
    ] = None,
    hosts: Annotated[
        list[str] | None, typer.Option("--allow-host", help="Name under which it is reached, too. May be repeated.")
    ] = None,
    origins: Annotated[
        list[str] | None, typer.Option("--origin", help="Of web pages that may ask, https://... May be repeated.")
    ] = None,
    runtime: Annotated[
        str, typer.Option(help="torch, onnxruntime, openvino, openvino-bf16, or auto: what predict found the quickest.")
    ] = "torch",
    device: Device = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="Of the network; default: the cores, shared.")] = None,
    workers: Annotated[int, typer.Option(help="Processes, each with the models of its own.")] = 1,
    queue: Annotated[int, typer.Option(help="Images of a model that may wait; more are refused.")] = 64,
    batch: Annotated[int, typer.Option(help="Images that go through the network together, at most.")] = 16,
    wait_ms: Annotated[float, typer.Option(help="How long the first of a batch waits for others.")] = 2.0,
    timeout_s: Annotated[float, typer.Option(help="A request that takes longer is given up.")] = 60.0,
    drain_s: Annotated[float, typer.Option(help="Told to stop, take requests for so long.")] = 1.0,
    most_mb: Annotated[float, typer.Option(help="Of a request, in MiB.")] = 32.0,
    most_mp: Annotated[float, typer.Option(help="Of an image, in megapixels.")] = 50.0,
    jobs: Annotated[
        Path | None, typer.Option(help="Folder for jobs on many or large images; default: no jobs.")
    ] = None,
    jobs_most_gb: Annotated[float, typer.Option(help="That all jobs may have on the disk.")] = 20.0,
    jobs_hours: Annotated[float, typer.Option(help="After its end a job is kept so long.")] = 24.0,
    label_studio: Annotated[
        str | None, typer.Option(help="Address of the Label Studio whose images may be fetched.", metavar="URL")
    ] = None,
    label_studio_token_file: Annotated[
        Path | None, typer.Option(help="File with the token for that; or set LABEL_STUDIO_API_KEY.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Answer requests with trained models: for programs, and for annotation tools.

    Needs pip install 'segbench[serve]'.

    Example: segbench serve ph2.segbench, segbench serve runs/ph2 runs/camvid --port 9000 --workers 2
    """
    from segbench.serve.run import serve as run_server
    from segbench.serve.settings import ServeSettings, read_token

    if not 0 < most_mb < 1 << 20 or not 0 < most_mp < 1 << 20:
        raise ConfigError("expected sizes above 0", key="--most-mb, --most-mp")
    settings = ServeSettings(
        host=host,
        port=port,
        token=read_token(token_file),
        hosts=tuple(hosts or ()),
        origins=tuple(origins or ()),
        most_bytes=round(most_mb * _MB),
        most_px=round(most_mp * 1e6),
        timeout_s=timeout_s,
        queue=queue,
        batch=batch,
        wait_ms=wait_ms,
        threads=threads,
        runtime=runtime,
        device=device,
        workers=workers,
        drain_s=drain_s,
        jobs=jobs,
        jobs_bytes=round(jobs_most_gb * 1e9),
        jobs_hours=jobs_hours,
        label_studio=label_studio,
        label_studio_token=read_token(label_studio_token_file, "LABEL_STUDIO_API_KEY", "label_studio_token_file"),
    )
    run_server(models, settings, (lambda _: None) if quiet else console.print)
