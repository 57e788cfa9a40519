"""What a machine of a Ray cluster does: shows that it sees everything, then trains one run.

The two functions travel to the machine as code, since it may have another segbench or none; so everything they need is
imported within them, and only after the check.
"""

from __future__ import annotations

from typing import Any


def _make() -> tuple[Any, Any]:
    """Returns `check_node` and `attempt`; functions made in a function are sent whole, not by name."""

    def check_node(places: dict[str, Any]) -> str:
        """Returns what is wrong with this machine, in one sentence; empty where nothing is.

        Args:
            places: token: (file, word in it); data: folder; segbench: version.
        """
        import importlib.metadata
        import socket
        from pathlib import Path

        node = socket.gethostname()
        wanted = places["segbench"]
        try:
            found = importlib.metadata.version("segbench")
        except importlib.metadata.PackageNotFoundError:
            return f"{node} has no segbench in the Python that Ray uses there; install segbench {wanted}"
        if found != wanted:
            return f"{node} has segbench {found}, and the study is run with {wanted}; install the same version"
        file, word = places["token"]
        try:
            seen = Path(file).read_text(encoding="utf-8")
        except OSError:
            seen = ""
        if seen != word:
            folder = Path(file).parent
            return f"{node} does not see the study folder {folder}; put it on a disk that all machines mount there"
        if not Path(places["data"]).exists():
            return f"{node} does not see the data {places['data']}; put it on a disk that all machines mount there"
        return ""

    def attempt(task: dict[str, Any], places: dict[str, Any]) -> str:
        """Trains one run in this process; returns what is wrong with the machine, empty where nothing is."""
        problem: str = check_node(places)
        if problem:
            return problem
        import os
        import socket
        import time
        from pathlib import Path

        import ray

        os.environ["OMP_NUM_THREADS"] = str(task["threads"])  # before torch is imported: as in a local worker
        if Path(places["folder"]).is_dir():
            os.chdir(places["folder"])  # paths in a config may be relative to where the study was started

        from segbench.folders.study import StudyFolder
        from segbench.study.worker import Task, train_run

        folder = StudyFolder(Path(task["study"]))
        log = folder.log_file(task["run_id"])
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as stream:
            stream.write(f"node {ray.get_runtime_context().get_node_id()} on {socket.gethostname()}\n")
        # A process on a machine that was lost to Ray may live for a moment longer and hold the run.
        deadline = time.monotonic() + 60.0
        while folder.run(task["run_id"]).is_locked() and time.monotonic() < deadline:
            time.sleep(0.2)
        train_run(Task(**task))
        return ""

    return check_node, attempt


check_node, attempt = _make()
