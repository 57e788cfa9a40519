"""Exports of annotation tools with values of another kind: refused with a reason, never with a traceback."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cases.case import Case
from tests.cases.test_tools import CASES

from segbench.data.formats import FORMATS, recognise
from segbench.errors import ConfigError, DatasetError

JUNK = (None, 3, -1, 1e400, "x", "", [], {}, [1], {"a": 1}, True, 10**400, [[]], [None])
DAMAGES = 60  # of each case


def places(plain: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yields the keys that lead to each value."""
    keys = plain if isinstance(plain, dict) else range(len(plain)) if isinstance(plain, list) else ()
    for key in keys:
        yield (*place, key)
        yield from places(plain[key], (*place, key))


def damaged(plain: Any, rng: random.Random) -> Any:
    """Returns a copy in which one value is missing or something else."""
    result = copy.deepcopy(plain)
    *way, last = rng.choice(list(places(plain)))
    node = result
    for key in way:
        node = node[key]
    if rng.random() < 0.2:
        del node[last]
    else:
        node[last] = copy.deepcopy(rng.choice(JUNK))
    return result


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_no_traceback(case: Case, tmp_path: Path) -> None:
    case.build(tmp_path)
    files = {path: json.loads(path.read_text()) for path in sorted(tmp_path.rglob("*.json"))}
    (name,) = recognise(tmp_path)
    rng = random.Random(case.name)
    refused = 0
    for _ in range(DAMAGES if files else 0):
        path = rng.choice(list(files))
        path.write_text(json.dumps(damaged(files[path], rng)))
        recognise(tmp_path)
        for options in ({}, {"defects": "skip"}):
            try:
                FORMATS.get(name)(tmp_path, **options)
            except (DatasetError, ConfigError) as error:
                refused += len(error.reason) > 20
        path.write_text(json.dumps(files[path]))
    assert refused or not files
