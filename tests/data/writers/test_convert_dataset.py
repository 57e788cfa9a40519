"""`segbench.convert_dataset` refuses choices that there are not, before it reads or writes anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import segbench
from segbench.speech import speaking


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images": "move"}, "^images: expected copy, link, none, got 'move'"),
        ({"simplify": "much"}, "^simplify: expected auto or a number of pixels, 0 or more, got 'much'"),
        ({"simplify": -1}, "^simplify: expected auto or a number of pixels, 0 or more, got -1"),
    ],
)
def test_choices_that_there_are_not_are_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with speaking("python"), pytest.raises(segbench.ConfigError, match=message):
        segbench.convert_dataset(tmp_path / "data", "coco", tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
