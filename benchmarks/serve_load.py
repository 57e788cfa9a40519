"""`segbench serve` under load, beside what people write themselves and beside LitServe.

python benchmarks/serve_load.py --model ph2.segbench --images DIR [--rounds 5] [--threads 1] [--requests 5000]
(`uv run --group bench` has LitServe; where it is absent, its rows are left out.)

All answer the same request: an image file as the body, the mask as PNG of class indices at the image's size. `naive` is
the one-image FastAPI service of most tutorials: Pillow, the network as it was trained, PNG, all of it inside an `async
def`. `litserve` runs the same code in batches of 16 at most, 2 ms wait, one process for the network. Each server is one
process (LitServe has several) whose network has `--threads`, and answers alone: in a round the servers take turns, each
for `--seconds` after a second to warm up, and a ratio is of one round, so that what else the machine does disturbs all
alike; where it does much, the processor time an answer says more. Clients are threads of this process that ask again as
soon as they are answered (after the seconds of Retry-After where they were refused). Masks are compared with `segbench
predict`'s before anything is measured.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import importlib.util
import io
import os
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from _machine import machine_line
from segbench.predict.predictor import Predictor

PATHS = {"naive": "/predict", "litserve": "/predict"}
SERVERS = Path(__file__).parent / "serve_load_servers.py"
OURS = "/v1/predict?as=mask"
START_S = 240.0
ROOM = 16
REFUSING = f"segbench --queue {ROOM}"


def command(kind: str, given: argparse.Namespace, port: int) -> list[str]:
    if kind in PATHS:
        return [sys.executable, str(SERVERS), kind, str(given.model), str(port)]
    ours = [sys.executable, "-m", "segbench", "serve", str(given.model), "--port", str(port), "--device", "cpu"]
    ours += ["--threads", str(given.threads)]
    return ours + kind.removeprefix("segbench").split()


@contextmanager
def running(kind: str, given: argparse.Namespace, log: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Yields a server that answers, and its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"OMP_NUM_THREADS": str(given.threads)}
    with log.open("ab") as stream:
        process = subprocess.Popen(
            command(kind, given, port), stdout=stream, stderr=stream, env=environment, start_new_session=True
        )
    try:
        ends = time.monotonic() + START_S
        while time.monotonic() < ends and process.poll() is None:
            try:
                if Client(port, kind).ask(given.bodies[0])[0] == 200:
                    break
            except OSError:
                time.sleep(0.2)
        else:
            raise SystemExit(f"{kind} does not answer; see {log}")
        yield process, port
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)  # LitServe's own processes, too
        process.wait(20)


class Client:
    """One connection, kept open as long as the server keeps it."""

    def __init__(self, port: int, kind: str) -> None:
        self.kind, self.path = kind, PATHS.get(kind, OURS)
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def ask(self, image: bytes) -> tuple[int, bytes, float]:
        """Returns status, content, and seconds to wait where it was refused."""
        if self.connection.sock is None:
            self.connection.connect()
            self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        headers = {"Content-Type": "application/octet-stream"}
        if self.kind == "litserve":
            image = b'{"image": "' + base64.b64encode(image) + b'"}'
            headers = {"Content-Type": "application/json"}
        self.connection.request("POST", self.path, image, headers)
        answer = self.connection.getresponse()
        return answer.status, answer.read(), float(answer.headers.get("Retry-After", 0))


@dataclass
class Load:
    """What clients met. Attributes: taken, seconds of each answer; statuses of all others; lost, requests that were
    sent and got no whole answer; closed, connections that were not accepted."""

    taken: list[float] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    closed: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0  # of the server

    def quantile(self, frac: float) -> float:
        return float(np.quantile(self.taken, frac)) if self.taken else float("nan")


def load(kind: str, port: int, bodies: Sequence[bytes], clients: int, seconds: float, most: int = 1 << 60) -> Load:
    """Returns what so many clients met who ask for some seconds, `most` times together at most."""
    found, lock, started = Load(), threading.Lock(), time.perf_counter()

    def ask_on(first: int) -> None:
        client, index = Client(port, kind), first
        while time.perf_counter() - started < seconds and len(found.taken) < most:
            began = time.perf_counter()
            try:
                status, _, wait_s = client.ask(bodies[index % len(bodies)])
            except ConnectionRefusedError:
                with lock:
                    found.closed += 1
                return
            except (OSError, http.client.HTTPException) as error:
                with lock:
                    found.lost.append(f"{type(error).__name__}: {error}")
                client.connection.close()
                continue
            with lock:
                if status == 200:
                    found.taken.append(time.perf_counter() - began)
                else:
                    found.statuses.append(status)
            time.sleep(min(wait_s, max(0.0, started + seconds - time.perf_counter())))
            index += 1
        client.connection.close()

    threads = [threading.Thread(target=ask_on, args=(first,)) for first in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found.wall_s = time.perf_counter() - started
    return found


def memory_mb(pid: int) -> float:
    """Returns what a process and its children have in memory (resident set)."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    line = next(each for each in Path(f"/proc/{pid}/status").read_text().splitlines() if each.startswith("VmRSS"))
    return int(line.split()[1]) / 1024 + sum(memory_mb(int(each)) for each in children)


def processor_s(pid: int) -> float:
    """Returns the processor time that a process and its children have had."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK") + sum(
        processor_s(int(each)) for each in children
    )


def differing(kind: str, port: int, bodies: Sequence[bytes], expected: Sequence[np.ndarray]) -> float:
    """Returns the share of pixels that differ from other masks, over all images."""
    client, wrong = Client(port, kind), 0
    for body, mask in zip(bodies, expected, strict=True):
        wrong += int((np.asarray(Image.open(io.BytesIO(client.ask(body)[1]))) != mask).sum())
    return wrong / sum(mask.size for mask in expected)


def speeds(kinds: Sequence[str], given: argparse.Namespace, log: Path) -> list[str]:
    def asked_by(clients: int) -> list[str]:
        return [kind for kind in kinds if kind != REFUSING or clients > ROOM]

    loads: dict[tuple[str, int], list[Load]] = {}
    predictor = Predictor.load(given.model, device="cpu")
    expected = [predictor(Image.open(io.BytesIO(body))).mask for body in given.bodies]
    with ExitStack() as stack:
        servers = {kind: stack.enter_context(running(kind, given, log)) for kind in kinds}
        ports = {kind: port for kind, (_, port) in servers.items()}
        differ = {kind: differing(kind, port, given.bodies, expected) for kind, port in ports.items()}
        for round_ in range(given.rounds):
            for clients in given.clients:
                for kind in asked_by(clients)[:: 1 if round_ % 2 == 0 else -1]:
                    load(kind, ports[kind], given.bodies, clients, 1.0)
                    before = processor_s(servers[kind][0].pid)
                    found = load(kind, ports[kind], given.bodies, clients, given.seconds)
                    found.cpu_s = processor_s(servers[kind][0].pid) - before
                    loads.setdefault((kind, clients), []).append(found)
                    print(round_, clients, kind, len(found.taken) / found.wall_s, len(found.statuses), flush=True)
    lines = [
        "| server | clients | answers a second | times naive (smallest to largest round) "
        "| processor ms an answer | answers a processor second, times naive | p50 ms | p95 ms | p99 ms "
        "| refused | lost |",
        "| --- " * 11 + "|",
    ]
    for clients in given.clients:
        naive = [len(each.taken) / each.wall_s for each in loads["naive", clients]]
        naive_cpu = [each.cpu_s / len(each.taken) for each in loads["naive", clients]]
        for kind in asked_by(clients):
            own = loads[kind, clients]
            rates = [len(each.taken) / each.wall_s for each in own]
            ratios = [a / b for a, b in zip(rates, naive, strict=True)]
            cpu = [each.cpu_s / len(each.taken) for each in own]
            fewer = [b / a for a, b in zip(cpu, naive_cpu, strict=True)]
            all_ = Load(taken=[each for one in own for each in one.taken])
            quantiles = " | ".join(f"{1000 * all_.quantile(each):.0f}" for each in (0.5, 0.95, 0.99))
            refused, lost = (sum(len(getattr(each, name)) for each in own) for name in ("statuses", "lost"))
            lines.append(
                f"| {kind} | {clients} | {statistics.median(rates):.0f} | {statistics.median(ratios):.2f} "
                f"({min(ratios):.2f} to {max(ratios):.2f}) | {1000 * statistics.median(cpu):.1f} "
                f"| {statistics.median(fewer):.2f} ({min(fewer):.2f} to {max(fewer):.2f}) | {quantiles} "
                f"| {refused} | {lost} |"
            )
    lines += ["", "Pixels that differ from `segbench predict`: "]
    lines[-1] += ", ".join(f"{kind} {each:.4%}" for kind, each in differ.items()) + "."
    return lines


def growth(given: argparse.Namespace, log: Path) -> str:
    found = []
    with running("segbench", given, log) as (process, port):
        for most in (given.requests // 5, given.requests - given.requests // 5):
            load("segbench", port, given.bodies, 16, 3600, most)
            found.append(memory_mb(process.pid))
    fifth, all_ = found
    return f"Memory after {given.requests // 5:,} requests {fifth:.0f} MB, after {given.requests:,} {all_:.0f} MB."


def ends(workers: int, given: argparse.Namespace, log: Path) -> str:
    """Says what clients met while the server was told to stop."""
    kind = f"segbench --workers {workers}"
    with running(kind, given, log) as (process, port):
        timer = threading.Timer(3.0, process.send_signal, [signal.SIGTERM])
        timer.start()
        found = load(kind, port, given.bodies, 16, 60)
        status = process.wait(90)
    return (
        f"SIGTERM after 3 s of 16 clients, {workers} worker(s): {len(found.taken)} answered, "
        f"{len(found.statuses)} refused, {len(found.lost)} lost {sorted(set(found.lost))}, "
        f"{found.closed} clients then found the port closed; the server ended with {status}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="bundle of a binary RGB model")
    parser.add_argument("--images", type=Path, required=True, help="folder of image files, of which 32 are sent")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of each server's network")
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--runtimes", nargs="*", default=["openvino"], help="beside torch")
    parser.add_argument("--parts", nargs="+", default=["speeds", "growth", "ends"])
    parser.add_argument("--log", type=Path, default=Path("serve_load.log"), help="what the servers say")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "serve_load.md")
    given = parser.parse_args()
    files = [each for each in sorted(given.images.rglob("*")) if each.suffix.lower() in (".jpg", ".png", ".bmp")][:32]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that its servers end, too
    given.bodies = [each.read_bytes() for each in files]
    kinds = ["naive", *(["litserve"] if importlib.util.find_spec("litserve") else []), "segbench"]
    kinds += [*(f"segbench --runtime {each}" for each in given.runtimes), REFUSING]
    lines = [
        f"`benchmarks/serve_load.py`: {len(files)} images, {given.rounds} rounds of {given.seconds:g} s, networks with "
        f"{given.threads} thread(s). "
        f"{machine_line()}; load of the machine before it began {os.getloadavg()[0]:.1f}.",
        "",
    ]
    if "speeds" in given.parts:
        lines += [*speeds(kinds, given, given.log), ""]
    if "growth" in given.parts:
        lines += [growth(given, given.log), ""]
    if "ends" in given.parts:
        lines += [f"- {ends(workers, given, given.log)}" for workers in (1, 2)]
    print("\n".join(lines))
    given.out.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
