"""The same work on many files, in a few threads and a bounded number at a time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def usual_workers() -> int:
    """Returns how many threads decode where nobody says so: one for each CPU this process may use, at most 8."""
    return min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def in_order(
    work: Callable[[Item], Result], items: Iterable[Item], *, workers: int, ahead: int, name: str
) -> Iterator[tuple[Item, Future[Result]]]:
    """Yields (item, future of its result) in the order of the items; the threads end with the iterator.

    Args:
        workers: threads.
        ahead: items started and not yet yielded at most, which bounds the memory.
        name: of the threads.
    """
    todo = iter(items)
    pool = ThreadPoolExecutor(workers, thread_name_prefix=name)
    try:
        running = deque((item, pool.submit(work, item)) for item in islice(todo, ahead))
        while running:
            yield running.popleft()
            running.extend((item, pool.submit(work, item)) for item in islice(todo, 1))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
