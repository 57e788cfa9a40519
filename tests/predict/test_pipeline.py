"""The steps around a network, as one object whose settings can be kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from segbench.data.files.bands import Bands
from segbench.errors import DatasetError, PredictionError
from segbench.predict.pipeline import Pipeline, PipelineSettings
from segbench.predict.postprocess import Postprocess
from segbench.predict.predictor import Predictor
from segbench.types import ClassMap, Normalization, Task

BINARY = ClassMap(names=("background", "lesion"), values=((0,), (255,)), task=Task.BINARY)
GREY = Normalization(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


class Brightness(nn.Module):
    """Logits that grow with the brightness."""

    normalization = GREY

    def forward(self, images: Tensor) -> Tensor:
        return images.mean(dim=1, keepdim=True)


def settings_of(**changes: object) -> PipelineSettings:
    return PipelineSettings(**{"class_map": BINARY, "size": (24, 40), "normalization": GREY, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "settings",
    [
        settings_of(threshold=0.3, depth_range=(100.0, 4000.0)),
        settings_of(bands=Bands(numbers=(4, 3, 2, 1), ranges=((0.0, 1.0),) * 4)),
        settings_of(policy="tiles", temperature=1.7, postprocess=Postprocess(smallest_px=12, keep_largest=True)),
    ],
)
def test_settings_come_back_from_json(settings: PipelineSettings) -> None:
    again = PipelineSettings.from_dict(json.loads(json.dumps(settings.to_dict())))
    assert again == settings
    assert again.channels == (3 if settings.bands is None else 4)


def test_a_threshold_is_a_probability() -> None:
    with pytest.raises(ValueError, match=r"between 0 and 1, got 1\.5"):
        settings_of(threshold=1.5)


def test_the_predictor_and_the_pipeline_say_the_same_of_any_callable() -> None:
    image = np.random.default_rng(0).integers(0, 256, (31, 57, 3), dtype=np.uint8)
    network = Brightness()
    prediction = Predictor(network, BINARY, (24, 40), threshold=0.4)(image)
    mask, probs = Pipeline(lambda images: network(images), settings_of(threshold=0.4))(image)
    np.testing.assert_array_equal(mask, prediction.mask)
    np.testing.assert_array_equal(probs.numpy(), prediction.network_probs)
    assert mask.shape == (31, 57)
    assert 0 < mask.mean() < 1


def test_the_network_sees_the_normalised_image_at_its_size() -> None:
    seen: list[Tensor] = []

    def network(images: Tensor) -> Tensor:
        seen.append(images)
        return images[:, :1]

    Pipeline(network, settings_of())(np.full((10, 10, 3), 255, dtype=np.uint8))
    [images] = seen
    assert images.shape == (1, 3, 24, 40)
    assert torch.equal(images, torch.full_like(images, (1.0 - 0.5) / 0.25))


def test_deep_images_are_read_as_the_settings_say(tmp_path: Path) -> None:
    file = tmp_path / "deep.png"
    Image.fromarray(np.array([[0, 1000], [2000, 4000]], dtype=np.uint16)).save(file)
    pipeline = Pipeline(Brightness(), settings_of(depth_range=(0.0, 2000.0)))
    image, nodata = pipeline.read(file)
    assert nodata is None
    assert image[..., 0].tolist() == [[0, 128], [255, 255]]
    with pytest.raises(
        DatasetError, match=r"more than 8 bit \(values 0 to 4000\), and this network learnt from images of 8 bit"
    ):
        Pipeline(Brightness(), settings_of()).read(file)


def test_other_channels_are_refused() -> None:
    pipeline = Pipeline(Brightness(), settings_of(bands=Bands(numbers=(1, 2), display=(0, 1, 0))))
    with pytest.raises(PredictionError, match=r"expected an image of shape \(H, W, 2\)"):
        pipeline(np.zeros((8, 8, 3), dtype=np.uint8))
