"""TIFF stacks: every page is predicted as an image of its own, none is passed over in silence."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from segbench.errors import DatasetError
from segbench.models import build_network
from segbench.predict.files import predict_files
from segbench.predict.outputs import OutputOptions
from segbench.predict.pages import pages_of
from segbench.predict.predictor import Predictor
from segbench.types import ClassMap, Task

BINARY = ClassMap(names=("ground", "cell"), values=((0,), (1,)), task=Task.BINARY)


@pytest.fixture
def predictor() -> Predictor:
    torch.manual_seed(0)
    network = build_network("unet", widths=[4, 8], in_channels=3, out_channels=1).eval()
    return Predictor(network, BINARY, (32, 48))


def pictures(number: int) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (40 + 8 * each, 60, 3), dtype=np.uint8)) for each in range(number)]


def stack(path: Path, images: list[Image.Image]) -> Path:
    images[0].save(path, save_all=True, append_images=images[1:])
    return path


def test_each_page_is_an_image_of_its_own(tmp_path: Path, predictor: Predictor) -> None:
    images = pictures(3)
    folder = tmp_path / "in"
    folder.mkdir()
    file = stack(folder / "cells.tif", images)
    images[0].save(folder / "one.tif")
    assert pages_of(file) == (0, 1, 2)
    assert pages_of(folder / "one.tif") == ()
    done = predict_files(predictor, [folder], tmp_path / "out", options=OutputOptions(polygons=("geojson",)))
    assert done.written == ("cells/0000", "cells/0001", "cells/0002", "one")
    for number, image in enumerate(images):
        mask = np.asarray(Image.open(tmp_path / f"out/masks/cells/{number:04d}.png"))
        np.testing.assert_array_equal(mask, predictor(image).mask)
    with (tmp_path / "out/areas.csv").open() as stream:
        assert [row["file"] for row in csv.DictReader(stream)] == ["cells.tif"] * 3 + ["one.tif"]
    assert predict_files(predictor, [folder], tmp_path / "out", options=OutputOptions(polygons=("geojson",))).kept == 4


def test_a_page_that_does_not_fit_costs_that_page(tmp_path: Path, predictor: Predictor) -> None:
    deep = Image.fromarray(np.arange(2400, dtype=np.uint16).reshape(40, 60))
    file = stack(tmp_path / "mixed.tif", [pictures(1)[0], deep])
    done = predict_files(predictor, [file], tmp_path / "out")
    assert done.written == ("mixed/0000",)
    assert "8 bit" in done.failed[f"{file} (page 2)"]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")  # of Pillow
@pytest.mark.parametrize("share", [0.9, 0.8, 0.6, 0.3])
@pytest.mark.parametrize("compression", ["raw", "tiff_deflate"])
def test_a_stack_that_is_cut_off_costs_what_is_missing(
    tmp_path: Path, predictor: Predictor, share: float, compression: str
) -> None:
    images = [picture.resize((60, 40)) for picture in pictures(4)]
    file = tmp_path / "in" / "cells.tif"
    file.parent.mkdir()
    images[0].save(file, save_all=True, append_images=images[1:], compression=compression)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    images[0].save(tmp_path / "in" / "other.png")
    done = predict_files(predictor, [tmp_path / "in"], tmp_path / "out")
    there = int(share * 4)
    assert done.written == (*(f"cells/{number:04d}" for number in range(there)), "other")
    assert 1 <= len(done.failed) <= 4 - there
    reasons = list(done.failed.values())
    assert all("copy" in reason or "damaged" in reason for reason in reasons), reasons


def test_data_sets_of_polygons_do_not_name_pages(tmp_path: Path, predictor: Predictor) -> None:
    file = stack(tmp_path / "cells.tif", pictures(2))
    done = predict_files(predictor, [file], tmp_path / "out", options=OutputOptions(polygons=("coco",)))
    assert not done.written
    assert "use geojson" in done.failed[str(file)]


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_overviews_are_no_pages(tmp_path: Path, predictor: Predictor) -> None:
    rasterio = pytest.importorskip("rasterio")
    values = np.asarray(pictures(1)[0]).transpose(2, 0, 1)
    file = tmp_path / "map.tif"
    with rasterio.open(file, "w", driver="GTiff", count=3, height=40, width=60, dtype="uint8") as target:
        target.write(values)
        target.build_overviews([2], rasterio.enums.Resampling.nearest)
    assert pages_of(file) == (0,)
    assert predict_files(predictor, [file], tmp_path / "out").written == ("map",)


def test_bands_of_a_stack_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("rasterio")
    from segbench.data.files.raster import raster_look

    with pytest.raises(DatasetError, match="2 pages, of which only the first"):
        raster_look(stack(tmp_path / "cells.tif", pictures(2)))
