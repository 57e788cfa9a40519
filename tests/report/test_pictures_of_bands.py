"""Images of many bands are shown by the three that were chosen, in every picture of a page."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image
from tests.compare._evidence import make_evidence
from tests.data._rasters import scenes

from segbench.data.manifest.read import read_dataset
from segbench.data.sources.load import load_sample
from segbench.report.document import Tile
from segbench.report.pictures import BUDGETS, Pictures


def pixels(tile: Tile) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(tile.source.partition(",")[2]))))


def test_a_page_shows_the_chosen_bands(tmp_path: Path) -> None:
    manifest = read_dataset(scenes(tmp_path / "d", 4), "geotiff", display=[5, 2, 1])
    evidence = make_evidence(tmp_path, data=manifest)
    name = evidence.ids[0]
    image, _ = load_sample(manifest, manifest.samples[0])
    loaded, _ = evidence.load(name)
    assert np.array_equal(loaded, image[:, :, [4, 1, 0]])
    pictures = Pictures(evidence, BUDGETS[0])
    photo, truth = pictures.image_and_truth(name)
    expected = io.BytesIO()
    Image.fromarray(loaded).save(expected, "JPEG", quality=80)
    assert np.array_equal(pixels(photo), np.asarray(Image.open(expected)))
    tiles = [truth, pictures.sample(manifest.samples[1]), pictures.prediction(evidence.entries[0], name, "")]
    assert {pixels(tile).shape for tile in tiles} == {(64, 96, 3)}
