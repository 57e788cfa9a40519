"""Runs on patches: exact resume, scores of whole images that prediction repeats, any size, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import segbench
from segbench.config.run import SplitConfig
from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_dataset
from segbench.data.samples.shard_writer import write_shards
from segbench.data.sources.load import load_sample
from segbench.data.split.divide import split_manifest
from segbench.errors import ConfigError
from segbench.folders.mask_archive import MaskArchive
from segbench.folders.run import RunFolder
from segbench.predict.pipeline import PipelineSettings
from segbench.train.callback import Callback
from segbench.train.evaluate import evaluate

SHAPES = [(40, 70), (64, 64), (30, 45), (90, 50)]


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns pairs of different sizes: a bright disc on noise."""
    root = tmp_path_factory.mktemp("uneven")
    (root / "images").mkdir()
    (root / "masks").mkdir()
    rng = np.random.default_rng(0)
    for number in range(16):
        height, width = SHAPES[number % len(SHAPES)]
        rows, columns = np.mgrid[:height, :width]
        center = rng.uniform(0.3, 0.7, 2) * (height, width)
        disc = (rows - center[0]) ** 2 + (columns - center[1]) ** 2 < 12**2
        image = rng.integers(0, 90, (height, width, 3)) + 120 * disc[:, :, None]
        Image.fromarray(image.astype(np.uint8)).save(root / "images" / f"{number:02d}.png")
        Image.fromarray((255 * disc).astype(np.uint8)).save(root / "masks" / f"{number:02d}.png")
    return root


def config_for(pairs: Path, out: Path, **changes: Any) -> dict[str, Any]:
    return {
        "data": {"path": str(pairs), "size": "original", "patch": 32, "augment": "strong", **changes.pop("data", {})},
        "network": {"name": "unet_nearest", "widths": [4, 8]},
        "loss": {"dice": 0.5, "bce": 0.5},
        "optimizer": {"lr": 0.02},
        "epochs": 4,
        "batch_size": 4,
        "device": "cpu",
        "output": str(out),
        **changes,
    }


@pytest.fixture(scope="module")
def finished(uneven: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a finished run on patches of the original images; read only but for evaluations."""
    run = tmp_path_factory.mktemp("runs") / "patches"
    segbench.fit(config_for(uneven, run), watch=Callback())
    return run


class Stop(Callback):
    def epoch(self, row: Any, is_best: bool) -> None:
        if row["epoch"] == 2:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_a_run_goes_on_exactly(uneven: Path, finished: Path, tmp_path: Path) -> None:
    config = config_for(uneven, tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        segbench.fit(config, watch=Stop())
    result = segbench.fit(config, watch=Callback())
    for name, tensor in load_file(tmp_path / "run" / "best.safetensors").items():
        assert torch.equal(tensor, load_file(finished / "best.safetensors")[name]), name
    assert result.scores == RunFolder(finished).read_result().scores
    assert result.scores["train"]["iou_per_image"] > 0.3  # it has learned


@pytest.mark.slow
def test_scores_are_of_whole_images_and_prediction_repeats_them(finished: Path) -> None:
    folder = RunFolder(finished)
    result = folder.read_result().result
    assert result["scored_at"] == "each image's own size"
    manifest = Manifest.read(folder.manifest_file)
    samples = manifest.split("test")
    predictor = segbench.Predictor.from_run(finished, device="cpu")
    masks = MaskArchive(folder.predicted_file("test"))
    for sample in samples:
        image, target = load_sample(manifest, sample)
        assert masks.read(sample.id).shape == target.shape
        np.testing.assert_array_equal(predictor(image).mask, masks.read(sample.id))
    for resolution in ("training", "original"):
        again = evaluate(finished, "test", resolution=resolution, watch=Callback())  # type: ignore[arg-type]
        assert again.summary()["iou_per_image"] == pytest.approx(result["scores"]["test"]["iou_per_image"], abs=1e-12)
        name = "test" if resolution == "training" else "test_original"
        about = json.loads((finished / f"evaluation_{name}.json").read_text())
        assert about["scored_at"] == "each image's own size"


@pytest.mark.slow
def test_settings_carry_the_tiles(finished: Path) -> None:
    settings = PipelineSettings.of_run(RunFolder(finished))
    assert (settings.size, settings.patch) == ("original", (32, 32))
    plain = json.loads(json.dumps(settings.to_dict()))
    assert PipelineSettings.from_dict(plain) == settings
    plain.pop("patch")  # as an earlier version wrote them
    plain["size"] = [24, 32]
    assert PipelineSettings.from_dict(plain).patch is None
    assert PipelineSettings.from_dict(plain).size == (24, 32)


@pytest.mark.slow
def test_patches_of_images_at_one_size(uneven: Path, tmp_path: Path) -> None:
    config = config_for(uneven, tmp_path / "run", data={"size": [64, 80], "patch": [32, 40]}, epochs=1)
    result = segbench.fit(config, watch=Callback()).result
    assert result["scored_at"] == "64x80 pixels (H x W), the training size"
    folder = RunFolder(tmp_path / "run")
    manifest = Manifest.read(folder.manifest_file)
    [first, *_] = manifest.split("val")
    assert MaskArchive(folder.predicted_file("val")).read(first.id).shape == (64, 80)
    image, _ = load_sample(manifest, first)
    prediction = segbench.Predictor.from_run(tmp_path / "run", device="cpu")(image)
    assert prediction.mask.shape == image.shape[:2]
    assert prediction.network_probs.shape == (1, 64, 80)


@pytest.mark.slow
def test_zooming_reads_larger_versions(uneven: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGBENCH_CACHE", str(tmp_path / "cache"))
    scores = {}
    for detail in ("size", "original"):
        data = {"size": 32, "patch": None, "augment": {"preset": "strong", "detail": detail}}
        config = config_for(uneven, tmp_path / detail, data=data, epochs=2)
        scores[detail] = segbench.fit(config, watch=Callback()).result["loss_values"]["train"]
        assert len(list((tmp_path / "cache" / "samples").iterdir())) == {"size": 1, "original": 2}[detail]
    assert scores["size"] != scores["original"]


@pytest.mark.slow
def test_runs_of_any_size_are_compared_at_the_images_own(uneven: Path, finished: Path, tmp_path: Path) -> None:
    manifest = finished / "manifest.json"
    whole = config_for(uneven, tmp_path / "whole", data={"size": [32, 32], "patch": None}, epochs=1)
    segbench.fit(whole, watch=Callback(), manifest=manifest)
    before = {file.name for file in finished.iterdir()}
    compared = segbench.compare_runs([finished, tmp_path / "whole"])
    assert compared.evidence.definition["resolution"] == "each image's own size"
    assert {file.name for file in finished.iterdir()} == before  # its scores are of that size already
    assert (tmp_path / "whole" / "counts_test_original.csv").is_file()


@pytest.mark.slow
def test_packed_data_and_patches_are_refused(uneven: Path, tmp_path: Path) -> None:
    manifest = split_manifest(read_dataset(uneven), SplitConfig())
    write_shards(manifest, tmp_path / "shards", size=(64, 64))
    packed = tmp_path / "shards" / "shards.json"
    with pytest.raises(
        ConfigError, match=r"data\.patch: packed data .* give the data set itself, or leave data\.patch out"
    ):
        segbench.fit(config_for(packed, tmp_path / "a", data={"size": 64}), watch=Callback())
    with pytest.raises(ConfigError, match=r"data.path: packed data \(shards\) hold images of one size"):
        segbench.fit(config_for(packed, tmp_path / "b"), watch=Callback())
