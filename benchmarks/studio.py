"""How soon the studio answers its screens, and whether its memory grows: `python benchmarks/studio.py PATH`.

Opens a labelled folder or a study in this process, as `segbench studio PATH` does, and asks every address of `ROUTES`
in turn, REQUESTS times in all, samples and layers at random. Prints the median and the 95th percentile of each, and the
memory after a tenth of the requests and after all.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from starlette.testclient import TestClient

from _machine import machine_line
from segbench.studio.app import create_studio
from segbench.studio.place import Place

ALWAYS = (
    "/api/place",
    "/api/texts/ru",
    "/api/columns",
    "/api/samples?start=0&count=60",
    "/api/samples?start={middle}&count=60&sort=brightness&down=1",
    "/api/samples/{index}",
    "/api/samples/{index}/overlay?side=256",
    "/api/scatter",
    "/api/findings",
    "/api/runs",
)
OF_A_STUDY = ("/api/study", "/api/study/verdict", "/api/runs/{run}/history", "/api/compare/0/1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--requests", type=int, default=5000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        place = Place(given.path, Path(work))
        app = create_studio(place, link="link")
        with TestClient(app, base_url="http://127.0.0.1") as client:
            client.get("/enter?key=link")
            start = time.perf_counter()
            place.reading.wait()
            print(f"{machine_line()}\nread after {time.perf_counter() - start:.1f} s")
            measure(client, place, given.requests)


def measure(client: TestClient, place: Place, requests: int) -> None:
    """Asks and prints."""
    count = client.get("/api/samples?start=0&count=1").json()["total"]
    routes = [*ALWAYS]
    values = {"middle": count // 2}
    if place.study is not None:
        routes += OF_A_STUDY
    runs = [run.path.name for run in place.runs()]
    choose = random.Random(0)
    took: dict[str, list[float]] = defaultdict(list)
    failed: dict[str, str] = {}
    memory: dict[int, float] = {}
    for number in range(requests):
        route = routes[number % len(routes)]
        run = choose.choice(runs) if runs else ""
        address = route.format(index=choose.randrange(count), run=run, **values)
        start = time.perf_counter()
        answer = client.get(address)
        took[route].append(1000 * (time.perf_counter() - start))
        if answer.status_code != 200:
            failed[route] = f"{answer.status_code} {answer.text[:80]}"
        if number + 1 in (requests // 10, requests):
            memory[number + 1] = resident_mb()
    print(f"{count} images, {len(runs)} runs\n\n| asked | n | median, ms | 95 %, ms |\n| --- | --- | --- | --- |")
    for route, times in took.items():
        print(f"| `{route}` | {len(times)} | {np.median(times):.1f} | {np.percentile(times, 95):.1f} |")
    print("\n" + ", ".join(f"after {n} requests {mb:.0f} MB" for n, mb in memory.items()))
    for route, told in failed.items():
        print(f"not answered: {route}: {told}")


def resident_mb() -> float:
    """Returns this process's resident memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
