"""One run of a study in a process of its own: what every engine calls, and what follows from how it ended.

An engine calls `train_run(task)` in a worker process and, once that process is over, `after_attempt(task, ending)` in
its own: that gives the task to start again, or None when the run is settled. Both talk through the study folder alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console

from segbench.config.run import parse_config
from segbench.errors import SegbenchError
from segbench.folders.study import Failure, StudyFolder

MAX_ATTEMPTS = 3


@dataclass(frozen=True, kw_only=True)
class Task:
    """One run to train; plain values only, so that it can travel as JSON.

    Attributes:
        study: study folder.
        run_id: of the run; its folder is `runs/<run_id>` there, whatever `config` says.
        config: keys of the run config, as `RunConfig.to_dict` gives them.
        manifest: file of the samples with their split, shared by all runs; None reads and splits `data.path`.
        threads: CPU threads, where the config names none and the run was not begun with another number.
        score_test: False leaves the test part untouched, see `fit`.
        attempt: which one this is, from 1.
    """

    study: str
    run_id: str
    config: Mapping[str, Any]
    manifest: str | None
    threads: int
    score_test: bool = True
    attempt: int = 1

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values; `Task(**values)` reads them back."""
        return dataclasses.asdict(self)


def train_run(task: Task) -> None:
    """Trains one run in this process, from its last checkpoint if it has one.

    What it prints goes to the run's log. A failure is noted in the study folder and no `Exception` leaves: a
    `SegbenchError` is noted as `refused`, anything else as `crashed`, with its traceback in the log. A process that is
    killed notes nothing; `after_attempt` sees that.
    """
    folder = StudyFolder(Path(task.study))
    folder.forget_failure(task.run_id)
    with _output_into(folder.log_file(task.run_id)) as log:
        log.write(f"attempt {task.attempt} of {MAX_ATTEMPTS}: process {os.getpid()}\n")
        try:
            _train(task, folder, log)
        except SegbenchError as error:
            log.write(f"error: {error}\n")
            failure = Failure(error=str(error), kind="refused", attempts=task.attempt)
            folder.write_failure(task.run_id, failure)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is this run's alone, and it is told
            traceback.print_exc()
            last_line = traceback.format_exception_only(error)[-1].strip()
            failure = Failure(error=last_line, kind="crashed", attempts=task.attempt)
            folder.write_failure(task.run_id, failure)


def _train(task: Task, folder: StudyFolder, log: TextIO) -> None:
    import torch  # here: whoever only hands out tasks needs no torch

    from segbench.train.console import ConsoleCallback
    from segbench.train.fit import fit

    place = {"name": task.run_id, "output": str(folder.run(task.run_id).path)}
    config = parse_config({**task.config, **place})
    torch.set_num_threads(task.threads)
    watch = ConsoleCallback(Console(file=log, highlight=False))
    fit(config, watch=watch, manifest=task.manifest, score_test=task.score_test)


def after_attempt(task: Task, ending: str) -> Task | None:
    """Returns the task to start again after its worker is over; None when the run is finished or has failed.

    A refused run is settled: it would be refused again. A crashed one is tried `MAX_ATTEMPTS` times in all, each time
    from its last checkpoint; then the failure is noted.

    Args:
        ending: how the worker ended, to be told where it noted nothing: "was killed by SIGKILL", say.
    """
    folder = StudyFolder(Path(task.study))
    if folder.run(task.run_id).is_finished:
        folder.forget_failure(task.run_id)
        return None
    failure = folder.read_failure(task.run_id)
    if failure is None:
        failure = Failure(error=f"the process of the run {ending}", kind="crashed", attempts=task.attempt)
    if failure.kind == "crashed" and task.attempt < MAX_ATTEMPTS:
        folder.forget_failure(task.run_id)
        return dataclasses.replace(task, attempt=task.attempt + 1)
    folder.write_failure(task.run_id, dataclasses.replace(failure, attempts=task.attempt))
    return None


@contextlib.contextmanager
def _output_into(file: Path) -> Iterator[TextIO]:
    """Appends what this process prints inside the block to a file, that of C libraries too."""
    file.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(file.open("a", encoding="utf-8", buffering=1))
        for descriptor in (1, 2):
            kept = os.dup(descriptor)
            stack.callback(os.close, kept)
            stack.callback(os.dup2, kept, descriptor)
            os.dup2(log.fileno(), descriptor)
        stack.enter_context(contextlib.redirect_stdout(log))
        stack.enter_context(contextlib.redirect_stderr(log))
        yield log
