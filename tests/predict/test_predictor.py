"""Prediction: any size in, the same size out, and the very masks that training scored."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import segbench
from segbench.data.files.resize import resize_image
from segbench.data.sources.load import load_sample
from segbench.errors import PredictionError, RunError
from segbench.metrics.counts import count_masks
from segbench.models.weights import load_weights, save_weights
from segbench.predict.decide import decide, normalize, probabilities
from segbench.predict.files import predict_files
from segbench.predict.outputs import OutputOptions
from segbench.predict.predictor import Predictor
from segbench.train.callback import Callback
from segbench.types import ClassMap, Normalization, Task

BINARY = ClassMap(names=("background", "spot"), values=((0,), (255,)), task=Task.BINARY)
THREE = ClassMap(names=("a", "b", "c"), values=((0,), (1,), (2,)))


class Brightness(nn.Module):
    """Logits that follow from the pixel alone: one channel, or one a class; no weights to speak of."""

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.normalization = Normalization(mean=(0.5,) * 3, std=(0.5,) * 3)
        self.out_channels = out_channels

    def forward(self, images: Tensor) -> Tensor:
        return 8.0 * images[:, : self.out_channels]


def test_normalize_is_mean_and_std_per_channel() -> None:
    images = torch.rand(2, 3, 4, 5)
    shown = normalize(images, Normalization(mean=(0.1, 0.2, 0.3), std=(0.5, 1.0, 2.0)))
    expected = (images - torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)) / torch.tensor([0.5, 1.0, 2.0]).view(3, 1, 1)
    torch.testing.assert_close(shown, expected)
    assert normalize(images, Normalization.identity(3)) is images


@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.9])
def test_the_threshold_is_of_the_probability(threshold: float) -> None:
    logits = torch.linspace(-6, 6, 400).view(1, 1, 20, 20)
    expected = (torch.sigmoid(logits) > threshold)[:, 0].to(torch.uint8)
    assert torch.equal(decide(logits, Task.BINARY, threshold), expected)
    assert torch.equal(decide(logits, Task.MULTILABEL, threshold), expected[:, None])
    assert 0 < expected.float().mean() < 1


def test_probabilities_and_argmax() -> None:
    logits = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(probabilities(logits, Task.MULTICLASS).sum(1), torch.ones(2, 4, 4))
    assert torch.equal(decide(logits, Task.MULTICLASS).long(), logits.argmax(1))


@pytest.mark.parametrize("size", [(1, 1), (33, 21), (64, 48), (200, 301)])
@pytest.mark.parametrize("class_map", [BINARY, THREE], ids=["binary", "multiclass"])
def test_any_size_in_the_same_size_out(size: tuple[int, int], class_map: ClassMap) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    prediction = Predictor(Brightness(class_map.out_channels), class_map, (64, 48))(image)
    assert prediction.mask.shape == size
    assert prediction.mask.dtype == np.uint8
    assert prediction.probs.shape == (class_map.out_channels, *size)
    assert 0.0 <= prediction.probs.min() <= prediction.probs.max() <= 1.0
    assert sum(prediction.area_fracs.values()) == pytest.approx(1.0)
    assert prediction.overlay().shape == (*size, 3)
    assert prediction._repr_png_().startswith(b"\x89PNG")
    if class_map.task is Task.MULTICLASS:
        assert np.array_equal(prediction.mask, prediction.probs.argmax(0))
    else:
        assert np.array_equal(prediction.mask, prediction.probs[0] > 0.5)


def test_a_half_bright_image_is_split_where_it_should_be() -> None:
    image = np.zeros((60, 100, 3), np.uint8)
    image[:, 40:] = 255
    mask = Predictor(Brightness(1), BINARY, (30, 50))(image).mask
    assert mask[:, :38].max() == 0
    assert mask[:, 42:].min() == 1


def test_grey_images_are_taken_as_grey() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (20, 20), dtype=np.uint8)
    predictor = Predictor(Brightness(1), BINARY, (20, 20))
    assert np.array_equal(predictor(grey).mask, predictor(np.stack([grey] * 3, axis=2)).mask)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((5, 5, 2), np.uint8), r"got shape \(5, 5, 2\)$"),
        (np.zeros((3, 5, 5), np.uint8), r"got shape \(3, 5, 5\); channels come last: numpy.moveaxis\(image, 0, -1\)"),
        (np.zeros((5, 5), bool), "got dtype bool; scale it to 0-255"),
        (np.zeros((5, 5, 3), np.float32), "got dtype float32; scale it to 0-255"),
        (np.zeros((0, 5, 3), np.uint8), r"got shape \(0, 5, 3\)"),
        (np.zeros((0, 5), np.uint8), r"got shape \(0, 5\)"),
        (np.zeros((1, 5, 5, 3), np.uint8), r"got shape \(1, 5, 5, 3\)"),
        ([[1]], "expected a path, an image of Pillow, or an array of shape .*, got list"),
        (torch.zeros(3, 5, 5), "got Tensor"),
    ],
)
def test_other_images_are_refused(image: object, message: str) -> None:
    with pytest.raises(PredictionError, match=message):
        Predictor(Brightness(1), BINARY, (20, 20))(image)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def run(binary_pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a finished run; read only."""
    config = {
        "data": {"path": str(binary_pairs), "size": [40, 48]},
        "network": {"name": "unet_nearest", "widths": [4, 8]},
        "optimizer": {"lr": 0.02},
        "epochs": 3,
        "device": "cpu",
        "output": str(tmp_path_factory.mktemp("runs") / "run"),
    }
    return Path(segbench.fit(config, watch=Callback()).run)


@pytest.mark.slow
def test_a_predictor_gives_the_masks_that_training_scored(run: Path) -> None:
    predictor = Predictor.from_run(run)
    manifest = segbench.read_dataset(run / "manifest.json")
    stored = segbench.evaluate(run, "val", watch=Callback()).counts
    for sample, confusion in zip(manifest.split("val"), stored.confusion, strict=True):
        image, target = load_sample(manifest, sample)
        assert np.array_equal(resize_image(image, (40, 48)), image)
        mine, _ = count_masks(predictor(image).mask, target, 2)
        assert np.array_equal(mine, confusion)


@pytest.mark.slow
def test_normalization_comes_from_the_run(run: Path) -> None:
    assert Predictor.from_run(run).normalization == Normalization.identity(3)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", segbench.build_network("unet_nearest", widths=[4, 8]), {"epoch": "1"})
    same = segbench.build_network("unet_nearest", widths=[4, 8])
    assert load_weights(tmp_path / "w.safetensors", same) == {"epoch": "1"}
    with pytest.raises(RunError, match=r"holds another network's weights: .* \(file: .*, network: "):
        load_weights(tmp_path / "w.safetensors", segbench.build_network("unet_nearest", widths=[4, 16]))
    with pytest.raises(RunError, match=r"there are no weights at none\.safetensors"):
        load_weights(tmp_path / "none.safetensors", same)
    (tmp_path / "w.safetensors").write_bytes(b"rubbish")
    with pytest.raises(RunError, match="is damaged"):
        load_weights(tmp_path / "w.safetensors", same)


def test_files_and_folders_of_every_kind(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(folder / "a.jpg")
    Image.fromarray(rng.integers(0, 256, (31, 41), dtype=np.uint8)).save(folder / "a.png")
    Image.fromarray(rng.integers(0, 256, (32, 42, 3), dtype=np.uint8)).save(folder / "sub" / "b.tif")
    (folder / "sub" / "broken.png").write_bytes(b"\x89PNG but no more")
    (folder / ".hidden.png").write_bytes(b"")
    (folder / "notes.txt").write_text("no image")
    predictor = Predictor(Brightness(3), THREE, (32, 32))
    done = predict_files(predictor, [folder], tmp_path / "out", options=OutputOptions(probs="npz"))
    assert done.written == ("a.jpg", "a.png", "sub/b")
    assert list(done.failed) == [str(folder / "sub" / "broken.png")]
    mask = Image.open(tmp_path / "out" / "masks" / "sub" / "b.png")
    assert mask.mode == "P"
    assert mask.size == (42, 32)
    assert mask.getpalette()[:9] == [channel for color in THREE.colors for channel in color]
    expected = predictor(np.asarray(Image.open(folder / "sub" / "b.tif")))
    assert np.array_equal(np.asarray(mask), expected.mask)
    with np.load(tmp_path / "out" / "probs" / "a.jpg.npz") as stored:
        assert stored["probs"].shape == (3, 30, 40)
    assert (tmp_path / "out" / "legend.png").is_file()
    with done.areas_file.open() as stream:
        rows = {row["id"]: row for row in csv.DictReader(stream)}
    assert {row["file"] for row in rows.values()} == {"a.jpg", "a.png", "sub/b.tif"}, "no paths of this machine"
    assert float(rows["sub/b"]["b_frac"]) == pytest.approx((expected.mask == 1).mean(), abs=1e-6)


def test_multilabel_files_are_one_mask_a_class(tmp_path: Path) -> None:
    class_map = ClassMap(names=("red", "green"), values=((255,), (255,)), task=Task.MULTILABEL, background=None)
    image = np.zeros((20, 20, 3), np.uint8)
    image[:10, :, 0] = 255
    image[5:, :, 1] = 255
    Image.fromarray(image).save(tmp_path / "x.png")
    predict_files(Predictor(Brightness(2), class_map, (20, 20)), [tmp_path / "x.png"], tmp_path / "out")
    red, green = (np.asarray(Image.open(tmp_path / "out" / "masks" / name / "x.png")) for name in ("red", "green"))
    assert np.array_equal(red, image[..., 0] // 255)
    assert np.array_equal(green, image[..., 1] // 255)


def test_the_output_folder_is_not_segmented_again(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(tmp_path / "x.png")
    predictor = Predictor(Brightness(1), BINARY, (20, 20))
    for _ in range(2):
        assert predict_files(predictor, [tmp_path], tmp_path / "out").written == ("x",)


def test_nothing_to_predict(tmp_path: Path) -> None:
    predictor = Predictor(Brightness(1), BINARY, (20, 20))
    with pytest.raises(PredictionError, match="there is no such file or folder"):
        predict_files(predictor, [tmp_path / "none"], tmp_path / "out")
    with pytest.raises(PredictionError, match="there is no image in"):
        predict_files(predictor, [tmp_path], tmp_path / "out")
