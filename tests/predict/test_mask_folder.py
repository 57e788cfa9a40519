"""Predicted masks say what they hold, without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segbench.errors import DatasetError
from segbench.predict.files import predict_files
from segbench.predict.mask_folder import MARKER, holds_indices, mark_indices
from segbench.predict.predictor import Predictor
from segbench.types import ClassMap, Task

from .test_predictor import Brightness

BINARY = ClassMap(names=("skin", "lesion"), values=((0,), (255,)), task=Task.BINARY)


def test_predicted_masks_say_that_they_hold_indices(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(tmp_path / "x.png")
    predict_files(Predictor(Brightness(1), BINARY, (20, 20)), [tmp_path / "x.png"], tmp_path / "out")
    marker = tmp_path / "out" / "masks" / MARKER
    assert json.loads(marker.read_text()) == {"classes": ["skin", "lesion"], "written_as": "class indices"}
    assert holds_indices(tmp_path / "out" / "masks", BINARY)
    assert not holds_indices(tmp_path / "out", BINARY)


def test_a_marker_of_other_classes_and_a_broken_one(tmp_path: Path) -> None:
    mark_indices(tmp_path, ClassMap(names=("sea", "sky"), values=((0,), (1,))))
    with pytest.raises(DatasetError, match="the masks are of the classes sea, sky, the test images of skin, lesion"):
        holds_indices(tmp_path, BINARY)
    (tmp_path / MARKER).write_text("{")
    with pytest.raises(
        DatasetError, match=r"expected what `segbench predict` wrote about the masks, got JSONDecodeErr"
    ):
        holds_indices(tmp_path, BINARY)


@pytest.mark.slow
def test_reading_it_needs_no_torch() -> None:
    code = "import sys; import segbench.predict.mask_folder; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
