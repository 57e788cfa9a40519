"""Predictions that an annotation tool opens: what is read back is what the network drew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import Tensor, nn

from segbench.data.manifest.read import read_dataset
from segbench.data.sources.load import load_sample
from segbench.data.writers import WRITERS, WriteOptions
from segbench.errors import PredictionError
from segbench.predict.predictor import Predictor
from segbench.predict.prelabel import default_options, prelabel
from segbench.types import ClassMap, Normalization, Task

BINARY = ClassMap(names=("background", "spot"), values=((0,), (255,)), task=Task.BINARY)


class Brightness(nn.Module):
    """Logits that follow from the red channel: bright is foreground."""

    normalization = Normalization(mean=(0.5,) * 3, std=(0.5,) * 3)

    def forward(self, images: Tensor) -> Tensor:
        return 8.0 * images[:, :1]


@pytest.fixture
def predictor() -> Predictor:
    return Predictor(Brightness(), BINARY, (96, 128))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Returns a folder of two images with a bright disc each, one below a sub-folder, and a damaged file."""
    rows, columns = np.mgrid[:96, :128]
    (tmp_path / "photos" / "more").mkdir(parents=True)
    for name, radius in (("one.png", 30), ("more/two.png", 40)):
        disc = (np.hypot(rows - 48, columns - 60) < radius).astype(np.uint8) * 220
        Image.fromarray(disc).convert("RGB").save(tmp_path / "photos" / name)
    (tmp_path / "photos" / "broken.png").write_bytes(b"no image")
    return tmp_path / "photos"


@pytest.mark.parametrize("to", WRITERS.names())
def test_what_was_predicted_is_read_back(predictor: Predictor, photos: Path, tmp_path: Path, to: str) -> None:
    done = prelabel(predictor, [photos], tmp_path / "out", to)
    assert list(done.failed) == [str(photos / "broken.png")]
    manifest = read_dataset(tmp_path / "out", to, **done.written.options)
    found = {sample.image: sample for sample in manifest.samples}
    assert len(found) == 2
    for name, file in (("one", "one.png"), ("more/two", "more/two.png")):
        image, labels = load_sample(manifest, found[done.written.images[name]])
        drawn = predictor(image).mask
        assert np.array_equal(image, np.asarray(Image.open(photos / file)))
        assert 0.05 < drawn.mean() < 0.6
        if default_options(to).simplify:
            assert (labels & drawn).sum() / (labels | drawn).sum() >= 0.99
        else:
            assert np.array_equal(labels, drawn)


def test_exact_polygons_are_exact(predictor: Predictor, photos: Path, tmp_path: Path) -> None:
    done = prelabel(predictor, [photos / "one.png"], tmp_path / "out", "via", options=WriteOptions())
    manifest = read_dataset(tmp_path / "out", "via", **done.written.options)
    image, labels = load_sample(manifest, manifest.samples[0])
    assert np.array_equal(labels, predictor(image).mask)


def test_without_images_nothing_is_written(predictor: Predictor, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(PredictionError, match="there is no image in"):
        prelabel(predictor, [tmp_path / "empty"], tmp_path / "out", "coco")
    with pytest.raises(PredictionError, match=r"no image could be segmented: .*broken\.png: not an image segbench can"):
        prelabel(predictor, [photos / "broken.png"], tmp_path / "out", "coco")
    assert not (tmp_path / "out").exists()


def test_what_is_left_out_is_told(predictor: Predictor, photos: Path, tmp_path: Path) -> None:
    (photos / "gone.png").symlink_to("nowhere.png")
    done = prelabel(predictor, [photos, photos / "one.png"], tmp_path / "out", "via")
    assert done.failed[str(photos / "gone.png")] == "it is a link to nowhere.png, which is not there"
    assert done.twice == 1
