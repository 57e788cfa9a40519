"""Training, scoring and predicting on images of five 16-bit bands, from files to masks on the same map grid."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from tests.data._rasters import GRID, save, scene, scenes

import segbench
from segbench.config.run import parse_config
from segbench.data.files.raster import raster_look
from segbench.data.manifest.manifest import Manifest
from segbench.errors import PredictionError
from segbench.predict.files import predict_files
from segbench.predict.outputs import OutputOptions
from segbench.predict.predictor import Predictor
from segbench.train.callback import Callback
from segbench.train.evaluate import evaluate


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a run folder of a few epochs on windows of six scenes."""
    folder = tmp_path_factory.mktemp("bands")
    scenes(folder / "d", 6)
    options = {"window": 32, "display": [5, 2, 1]}
    config = parse_config(
        {
            "data": {"path": str(folder / "d"), "format": "geotiff", "options": options, "size": 32},
            "network": {"name": "unet_nearest", "widths": [4, 8]},
            "loss": {"dice": 0.5, "bce": 0.5},
            "optimizer": {"lr": 0.03},
            "epochs": 10,
            "batch_size": 4,
            "device": "cpu",
            "output": str(folder / "run"),
        }
    )
    segbench.fit(config, watch=Callback())
    return folder / "run"


@pytest.mark.slow
def test_a_run_learns_from_the_band_that_holds_the_answer(run: Path) -> None:
    result = json.loads((run / "result.json").read_text())
    assert result["scores"]["test"]["iou_pooled"] > 0.8  # only the fifth band tells
    assert result["flops"] > 0
    manifest = Manifest.read(run / "manifest.json")
    assert manifest.channels == 5
    assert json.loads((run / "run.json").read_text())["bands"] == manifest.bands.to_dict()  # type: ignore[union-attr]
    assert list((run / "pictures").glob("epoch_*.png"))


@pytest.mark.slow
def test_a_finished_run_is_scored_again_at_both_sizes(run: Path) -> None:
    result = json.loads((run / "result.json").read_text())["scores"]["test"]
    again = evaluate(run, "test", device="cpu", watch=Callback())
    assert again.summary()["iou_pooled"] == pytest.approx(result["iou_pooled"], abs=1e-6)
    own = evaluate(run, "test", resolution="original", device="cpu", watch=Callback())
    assert own.summary()["iou_pooled"] == pytest.approx(result["iou_pooled"], abs=1e-6)  # windows have that size


@pytest.mark.slow
def test_predicted_masks_lie_on_the_grid_of_their_images(run: Path, tmp_path: Path) -> None:
    values, truth = scene(77, size=(32, 32))
    values[:, :4, :8] = 0
    image = save(tmp_path / "new.tif", values, nodata=0)
    foreign = save(tmp_path / "few.tif", values[:2])
    predictor = Predictor.from_run(run, device="cpu")
    done = predict_files(predictor, [image, foreign], tmp_path / "out", options=OutputOptions(probs="npz"))
    assert done.written == ("new",)
    assert "no band 3" in done.failed[str(foreign)]
    with rasterio.open(tmp_path / "out/masks/new.tif") as found:
        assert found.crs.to_epsg() == 32633
        assert found.transform == GRID
        assert found.nodata == 255
        labels = found.read(1)
        assert found.colormap(1)[1][:3] == predictor.class_map.colors[1]
    assert (labels[:4, :8] == 255).all()
    holds = labels != 255
    assert holds.sum() == 32 * 32 - 32
    assert (labels[holds] == truth[holds]).mean() > 0.9
    [row] = csv.DictReader(done.areas_file.read_text().splitlines())
    foreground = predictor.class_map.names[1]
    assert float(row[f"{foreground}_frac"]) == pytest.approx((labels[holds] == 1).mean(), abs=1e-6)
    assert int(row[f"{foreground}_px"]) == (labels == 1).sum()
    pixel_m2 = abs(GRID.a * GRID.e)
    assert float(row[f"{foreground}_m2"]) == pytest.approx((labels == 1).sum() * pixel_m2)
    assert np.load(tmp_path / "out/probs/new.npz")["probs"].shape == (1, 32, 32)


@pytest.mark.slow
def test_files_without_a_place_give_masks_without_one(run: Path, tmp_path: Path) -> None:
    image = save(tmp_path / "new.tif", scene(78, size=(32, 32))[0], crs=None, transform=None)
    predict_files(Predictor.from_run(run, device="cpu"), [image], tmp_path / "out")
    look = raster_look(tmp_path / "out/masks/new.tif")
    assert (look.crs, look.transform, look.height, look.width) == ("", None, 32, 32)


@pytest.mark.slow
def test_arrays_need_the_channels_of_the_training(run: Path) -> None:
    predictor = Predictor.from_run(run, device="cpu")
    image = np.random.default_rng(0).integers(0, 256, (40, 36, 5), dtype=np.uint8)
    prediction = predictor(image)
    assert prediction.mask.shape == (40, 36)
    assert np.array_equal(prediction.image, image[:, :, [4, 1, 0]])
    assert prediction.overlay().shape == (40, 36, 3)
    assert sum(prediction.area_fracs.values()) == pytest.approx(1.0)
    with pytest.raises(PredictionError, match=r"\(H, W, 5\).*\(40, 36, 3\)"):
        predictor(image[:, :, :3])
    with pytest.raises(PredictionError, match="uint16"):
        predictor(image.astype(np.uint16))
