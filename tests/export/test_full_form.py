"""The steps around the network as tensors: the same bytes as Pillow, the same masks as the pipeline."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from segbench.data.files.resize import resize_image
from segbench.export.full_form import resize_exactly
from segbench.export.read import open_exported
from segbench.export.write import SUFFIXES, Format, exported_policy, write_onnx, write_openvino, write_torchscript
from segbench.models import build_network
from segbench.predict.averaging import Ensemble
from segbench.predict.decide import normalize, to_batch
from segbench.predict.pipeline import Pipeline, PipelineSettings, enlarge
from segbench.predict.predictor import Predictor
from segbench.types import ClassMap, Normalization, Task

CLASSES = {
    Task.BINARY: ClassMap(names=("background", "spot"), values=((0,), (255,)), task=Task.BINARY),
    Task.MULTICLASS: ClassMap(names=("a", "b", "c"), values=((0,), (1,), (2,))),
    Task.MULTILABEL: ClassMap(names=("a", "b"), values=((1,), (1,)), task=Task.MULTILABEL, background=None),
}
# (H, W): larger, smaller, odd, thin, one pixel, and the size itself.
SIZES = [(131, 97), (33, 48), (48, 64), (1, 1), (3, 200), (200, 5)]


def photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (max(1, height // 7), max(1, width // 7), 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def make_predictor(task: Task, **settings: Any) -> Predictor:
    torch.manual_seed(3)
    network = build_network("unet_nearest", widths=[4, 8], out_channels=CLASSES[task].out_channels).eval()
    network.normalization = Normalization(mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25))
    head = network.decoder[0][-1]  # type: ignore[index]
    with torch.no_grad():  # probabilities that are not all one half
        logits = network(normalize(to_batch(photo(64, 64)), network.normalization))
        head.weight *= 2.0 / logits.std()
        head.bias.copy_((head.bias - logits.mean()) * 2.0 / logits.std())
    predictor = Predictor(network, CLASSES[task], (48, 64))
    predictor.pipeline.settings = replace(predictor.pipeline.settings, **settings)
    predictor.pipeline = Pipeline(network, predictor.pipeline.settings)
    return predictor


@pytest.mark.parametrize("wanted", [(48, 64), (7, 9), (160, 33)])
@pytest.mark.parametrize("kind", ["photo", "noise"])
def test_resizing_is_pillows_to_the_last_bit(wanted: tuple[int, int], kind: str) -> None:
    for height, width in [*SIZES, (210, 280), (96, 128), (144, 192)]:  # whole factors among them: sums at a half
        noise = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
        image = noise if kind == "noise" else photo(height, width)
        ours = resize_exactly(torch.from_numpy(image).permute(2, 0, 1)[None].float(), wanted)
        np.testing.assert_array_equal(ours[0].permute(1, 2, 0).numpy(), resize_image(image, wanted))


def exported(predictor: Predictor, kind: Format, folder: Path) -> Any:
    file = folder / f"model{SUFFIXES[kind]}"
    if kind == "torchscript":
        write_torchscript(predictor, file)
    else:
        write_onnx(predictor, folder / "model.onnx")
        if kind == "openvino":
            write_openvino(folder / "model.onnx", file)
    return open_exported(file, kind, 1)


def assert_equal(predictor: Predictor, run: Any, sizes: list[tuple[int, int]]) -> None:
    for height, width in sizes:
        image = photo(height, width, seed=width)
        mask, probs = predictor.pipeline(image)
        found_mask, found_probs = run(image[None])
        expected = enlarge(probs, (height, width)).numpy()
        np.testing.assert_allclose(found_probs[0], predictor(image).probs, atol=2e-5)
        decided = np.abs(expected - predictor.threshold) > 1e-4
        settled = decided if mask.ndim == 3 else decided.all(axis=0)
        np.testing.assert_array_equal(found_mask[0][settled], mask[settled])
        assert found_mask.dtype == np.uint8
        assert settled.mean() > 0.9
        assert expected.std() > 0.05 or height * width < 50


@pytest.mark.parametrize("kind", ["onnx", pytest.param("openvino", marks=pytest.mark.slow), "torchscript"])
@pytest.mark.parametrize("task", list(Task))
def test_every_format_gives_the_masks_of_the_pipeline(kind: Format, task: Task, tmp_path: Path) -> None:
    predictor = make_predictor(task, tta="hflip", threshold=0.4)
    run = exported(predictor, kind, tmp_path)
    assert_equal(predictor, run, SIZES)
    images = np.stack([photo(70, 50, seed=seed) for seed in range(3)])
    masks, probs = run(images)
    for image, mask, prob in zip(images, masks, probs, strict=True):
        alone, alone_probs = run(image[None])
        np.testing.assert_array_equal(alone[0], mask)
        np.testing.assert_allclose(alone_probs[0], prob, atol=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        {"policy": "whole"},
        {"policy": "whole", "training_px": (96, 150)},
        {"policy": "whole", "training_px": (30, 41)},
        {"size": "original"},
    ],
)
def test_an_image_at_the_scale_of_training_is_in_the_file_too(settings: dict[str, Any], tmp_path: Path) -> None:
    predictor = make_predictor(Task.BINARY, **settings)
    run = exported(predictor, "onnx", tmp_path)
    assert_equal(predictor, run, [(131, 97), (33, 48), (40, 33), (20, 45), (3, 5)])


@pytest.mark.parametrize("task", list(Task))
def test_the_temperature_changes_probabilities_and_no_mask(task: Task, tmp_path: Path) -> None:
    predictor = make_predictor(task, temperature=2.5, threshold=0.3)
    assert_equal(predictor, exported(predictor, "onnx", tmp_path), SIZES[:3])


@pytest.mark.parametrize("tta", ["rotations", "flips_and_rotations"])
def test_turned_looks_are_in_the_file(tta: Any, tmp_path: Path) -> None:
    predictor = make_predictor(Task.BINARY, tta=tta)
    assert_equal(predictor, exported(predictor, "onnx", tmp_path), SIZES[:3])


def test_an_ensemble_with_its_normalisations_is_one_file(tmp_path: Path) -> None:
    members = [make_predictor(Task.MULTICLASS).network, build_network("simple_fcn", widths=[4], out_channels=3).eval()]
    predictor = Predictor(Ensemble(members, Task.MULTICLASS), CLASSES[Task.MULTICLASS], (48, 64))
    assert_equal(predictor, exported(predictor, "onnx", tmp_path), SIZES[:3])


@pytest.mark.parametrize(
    ("settings", "policy"),
    [({}, "resize"), ({"size": "original"}, "whole"), ({"patch": (32, 32)}, "tiles"), ({"policy": "tiles"}, "tiles")],
)
def test_the_policy_is_the_models_or_as_it_was_trained(settings: dict[str, Any], policy: str) -> None:
    plain = PipelineSettings(class_map=CLASSES[Task.BINARY], size=(48, 64), normalization=Normalization.identity(3))
    assert exported_policy(replace(plain, **settings)) == policy
