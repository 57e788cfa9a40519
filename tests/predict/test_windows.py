"""Images of any size, predicted part by part: the same masks as at once, on the image's grid, also after a kill."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

rasterio = pytest.importorskip("rasterio")

from rasterio.control import GroundControlPoint  # noqa: E402

from segbench.data.files.bands import Bands  # noqa: E402
from segbench.errors import DatasetError, PredictionError  # noqa: E402
from segbench.models import build_network  # noqa: E402
from segbench.predict import large, tiles, windows  # noqa: E402
from segbench.predict.large import is_large, write_large  # noqa: E402
from segbench.predict.outputs import OutputOptions, write_outputs  # noqa: E402
from segbench.predict.postprocess import Postprocess  # noqa: E402
from segbench.predict.predictor import Predictor  # noqa: E402
from segbench.predict.windows import missing_bands, predict_band, predict_raster  # noqa: E402
from segbench.types import ORIGINAL, ClassMap, Size, Task  # noqa: E402

THREE = ClassMap(names=("ground", "roof", "tree"), values=((0,), (1,), (2,)))
BINARY = ClassMap(names=("ground", "roof"), values=((0,), (1,)), task=Task.BINARY)
BOTH = ClassMap(names=("roof", "tree"), values=((1,), (1,)), task=Task.MULTILABEL, background=None)
PLACE = rasterio.Affine(0.5, 0.0, 500_000.0, 0.0, -0.5, 5_400_000.0)
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def predictor_of(
    class_map: ClassMap = THREE,
    size: Size = ORIGINAL,
    *,
    norm: str = "batch",
    bands: Bands | None = None,
    patch: tuple[int, int] | None = None,
) -> Predictor:
    torch.manual_seed(0)
    channels = 3 if bands is None else bands.channels
    network = build_network(
        "unet", widths=[4, 8], norm=norm, in_channels=channels, out_channels=class_map.out_channels
    ).eval()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=0.35)
    with torch.inference_mode():
        last = network.decoder[0][1]
        logits = network(torch.from_numpy(picture(128, 128, channels))[None] / 255)
        last.weight /= logits.std(dim=(0, 2, 3)).view(-1, 1, 1, 1)  # so that every class occurs
        last.bias /= logits.std(dim=(0, 2, 3))
        last.bias -= logits.mean(dim=(0, 2, 3)) / logits.std(dim=(0, 2, 3))
    return Predictor(network, class_map, size, bands=bands, patch=patch)


def picture(height: int, width: int, bands: int = 3) -> NDArray[np.uint8]:
    """Returns (bands, H, W): smooth blobs with noise."""
    rng = np.random.default_rng(height * width)
    coarse = rng.integers(0, 256, (bands, height // 8 + 2, width // 8 + 2), dtype=np.uint8)
    planes = [np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC)) for plane in coarse]
    return np.stack(planes) ^ rng.integers(0, 16, (bands, height, width), dtype=np.uint8)


def tiff(path: Path, values: NDArray[Any], **profile: Any) -> Path:
    given = {"driver": "GTiff", "tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate", **profile}
    with rasterio.open(
        path, "w", count=len(values), height=values.shape[1], width=values.shape[2], dtype=values.dtype, **given
    ) as target:
        target.write(values)
    return path


def labels_of(path: Path) -> NDArray[np.uint8]:
    with rasterio.open(path) as source:
        found: NDArray[np.uint8] = source.read(1)
    return found


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles of about 200 pixels, so that small images have many."""
    monkeypatch.setattr(tiles, "_TILES_MB", (10.0,))


@pytest.mark.parametrize("class_map", [THREE, BINARY, BOTH])
@pytest.mark.parametrize(
    ("norm", "patch"), [("batch", None), ("group", None), ("batch", (64, 48))], ids=["exact", "blended", "patches"]
)
def test_part_by_part_gives_what_the_image_gives_at_once(
    tmp_path: Path, class_map: ClassMap, norm: str, patch: tuple[int, int] | None
) -> None:
    predictor = predictor_of(class_map, norm=norm, patch=patch)
    settings = predictor.pipeline.settings
    predictor.pipeline.settings = type(settings)(**{**vars(settings), "policy": "tiles", "training_px": (72, 80)})
    values = picture(510, 433)
    expected = predictor(np.ascontiguousarray(values.transpose(1, 2, 0))).mask
    done = predict_raster(predictor, tiff(tmp_path / "a.tif", values), tmp_path / "out")
    assert done.cut is not None
    assert done.cut.is_exact is (norm == "batch" and patch is None)
    found = np.stack([labels_of(mask) for mask in done.masks])
    np.testing.assert_array_equal(found if class_map is BOTH else found[0], expected)
    assert len(np.unique(expected)) > 1
    assert done.counted_px == 510 * 433
    assert (done.seam_share is None) is done.cut.is_exact
    counts = expected.reshape(2, -1).sum(1) if class_map is BOTH else np.bincount(expected.ravel())
    assert list(done.pixels) == counts.tolist()
    assert not list((tmp_path / "out").rglob("*unfinished*"))


@pytest.mark.parametrize("policy", ["tiles", "resize", "whole"])
@pytest.mark.parametrize("training_px", [(96, 128), (320, 384), (41, 70)])
def test_images_are_resized_row_by_row_as_they_are_at_once(
    tmp_path: Path, policy: str, training_px: tuple[int, int]
) -> None:
    """Down, up and differently along each axis: the labels are those of the whole image, but for ties."""
    predictor = predictor_of(size=(64, 64))
    settings = predictor.pipeline.settings
    predictor.pipeline.settings = type(settings)(**{**vars(settings), "policy": policy, "training_px": training_px})
    values = picture(623, 700)
    expected = predictor(np.ascontiguousarray(values.transpose(1, 2, 0))).mask
    done = predict_raster(predictor, tiff(tmp_path / "a.tif", values), tmp_path / "out")
    different = (labels_of(done.masks[0]) != expected).mean()
    assert different < 1e-3


def test_the_result_lies_on_the_image_s_grid(tmp_path: Path) -> None:
    values = picture(300, 260, bands=4)
    values[:, 100:180, :90] = 0
    file = tiff(
        tmp_path / "field.tif",
        values,
        crs="EPSG:32632",
        transform=PLACE,
        nodata=0,
        BIGTIFF="YES",
        photometric="minisblack",
    )
    with rasterio.open(file, "r+") as target:
        target.build_overviews([2, 4], rasterio.enums.Resampling.average)
    predictor = predictor_of(bands=Bands(numbers=(4, 1, 2)))
    done = predict_raster(predictor, file, tmp_path / "out")
    with rasterio.open(done.masks[0]) as mask:
        assert (mask.crs.to_epsg(), mask.transform, mask.nodata) == (32632, PLACE, 255)
        assert mask.block_shapes == [(64, 64)]
        assert mask.overviews(1) == [2, 4]
        assert [mask.colormap(1)[index][:3] for index in range(3)] == list(THREE.colors)
        labels = mask.read(1)
    assert (labels[100:180, :90] == 255).all()
    assert done.counted_px == 300 * 260 - 80 * 90 == (labels != 255).sum()
    assert list(done.pixels) == np.bincount(labels[labels != 255], minlength=3).tolist()


def test_a_rotated_raster_stays_rotated_and_control_points_stay(tmp_path: Path) -> None:
    turned = PLACE @ rasterio.Affine.rotation(30.0)
    file = tiff(tmp_path / "turned.tif", picture(80, 90), crs="EPSG:32632", transform=turned)
    with rasterio.open(predict_raster(predictor_of(), file, tmp_path / "out").masks[0]) as mask:
        assert mask.transform.almost_equals(turned)
    points = [GroundControlPoint(row, col, 8.0 + col / 1e4, 49.0 - row / 1e4) for row in (0, 80) for col in (0, 90)]
    file = tiff(tmp_path / "points.tif", picture(80, 90), gcps=points, crs="EPSG:4326")
    with rasterio.open(predict_raster(predictor_of(), file, tmp_path / "out").masks[0]) as mask:
        assert [(point.row, point.col) for point in mask.gcps[0]] == [(point.row, point.col) for point in points]
        assert mask.gcps[1].to_epsg() == 4326


def test_a_raster_in_degrees_keeps_its_system(tmp_path: Path) -> None:
    file = tiff(
        tmp_path / "a.tif",
        picture(80, 90),
        crs="EPSG:4326",
        transform=rasterio.Affine(1e-5, 0.0, 8.0, 0.0, -1e-5, 49.0),
    )
    with rasterio.open(predict_raster(predictor_of(), file, tmp_path / "out").masks[0]) as mask:
        assert mask.crs.to_epsg() == 4326


def test_a_raster_without_any_data_has_no_labels(tmp_path: Path) -> None:
    file = tiff(
        tmp_path / "empty.tif", np.zeros((3, 120, 90), dtype=np.uint8), nodata=0, crs="EPSG:32632", transform=PLACE
    )
    done = predict_raster(predictor_of(bands=Bands(numbers=(1, 2, 3))), file, tmp_path / "out")
    assert (labels_of(done.masks[0]) == 255).all()
    assert (done.counted_px, done.pixels) == (0, (0, 0, 0))


@pytest.mark.parametrize(
    ("name", "profile"),
    [
        ("strips.tif", {"tiled": False, "blockysize": 7, "blockxsize": None}),
        ("plain.tif", {"tiled": False, "blockysize": None, "blockxsize": None, "compress": None}),
    ],
)
def test_tiff_in_strips_is_read_in_strips(tmp_path: Path, name: str, profile: dict[str, Any]) -> None:
    values = picture(300, 200)
    given = {key: value for key, value in profile.items() if value is not None}
    file = tmp_path / name
    with rasterio.open(file, "w", driver="GTiff", count=3, height=300, width=200, dtype="uint8", **given) as target:
        target.write(values)
    predictor = predictor_of()
    expected = predictor(np.ascontiguousarray(values.transpose(1, 2, 0))).mask
    mask = predict_raster(predictor, file, tmp_path / "out").masks[0]
    np.testing.assert_array_equal(labels_of(mask), expected)
    with rasterio.open(mask) as source:
        assert source.block_shapes == [(256, 256)]


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA"])
def test_wide_png_files_stream_and_colours_are_what_they_are_elsewhere(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(picture(40, 4000).transpose(1, 2, 0))
    if mode == "P":
        image = image.quantize(40)
    elif mode != "RGB":
        image = image.convert(mode)
    if "A" in mode:
        image.putalpha(Image.fromarray(picture(40, 4000)[0] | 15))
    image.save(tmp_path / "wide.png")
    predictor = predictor_of()
    expected = predictor(tmp_path / "wide.png").mask
    found = labels_of(predict_raster(predictor, tmp_path / "wide.png", tmp_path / "out").masks[0])
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("suffix", "orientation", "size"),
    [
        *((".png", orientation, ORIGINAL) for orientation in range(1, 9)),
        *((suffix, orientation, ORIGINAL) for suffix in (".tif", ".webp", ".jpg") for orientation in (3, 6, 7)),
        *((".png", orientation, (48, 56)) for orientation in (3, 6)),
    ],
)
def test_a_photo_is_turned_as_its_file_says(
    tmp_path: Path, suffix: str, orientation: int, size: Size, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segbench.predict.raster_rows._CHUNK_PX", 5_000)
    exif = Image.Exif()
    exif[274] = orientation
    file = tmp_path / f"photo{suffix}"
    given = {".webp": {"lossless": True}, ".jpg": {"subsampling": 0, "quality": 98}, ".tif": {"tiffinfo": exif}}
    Image.fromarray(picture(264, 180).transpose(1, 2, 0)).save(file, **({"exif": exif} | given.get(suffix, {})))
    predictor = predictor_of(size=size)
    expected = predictor(file).mask
    assert expected.shape == ((264, 180) if orientation < 5 else (180, 264))
    row = write_large(predictor, file, tmp_path / "out", "a", OutputOptions())
    found = labels_of(tmp_path / "out" / "masks" / "a.tif")
    assert (found.shape, (row["height"], row["width"])) == (expected.shape, expected.shape)
    assert (found != expected).mean() <= (0.05 if suffix == ".jpg" else 1e-3)  # two decoders of JPEG round differently
    with Image.open(tmp_path / "out" / "overlays" / "a.jpg") as small:
        assert small.size == (expected.shape[1], expected.shape[0])


def test_a_png_that_says_how_it_is_turned_behind_its_pixels(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(picture(64, 80).transpose(1, 2, 0)).save(tmp_path / "a.png", exif=exif)
    data = (tmp_path / "a.png").read_bytes()
    begin = data.index(b"eXIf") - 4
    chunk = data[begin : begin + 12 + int.from_bytes(data[begin : begin + 4], "big")]
    end = data.index(b"IEND") - 4
    (tmp_path / "a.png").write_bytes(data[:begin] + data[begin + len(chunk) : end] + chunk + data[end:])
    predictor = predictor_of()
    expected = predictor(tmp_path / "a.png").mask
    done = predict_raster(predictor, tmp_path / "a.png", tmp_path / "out")
    assert (done.height, done.width) == expected.shape == (80, 64)
    np.testing.assert_array_equal(labels_of(done.masks[0]), expected)


def test_what_is_transparent_is_turned_along(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 8
    image = Image.fromarray(picture(64, 80).transpose(1, 2, 0))
    alpha = np.full((64, 80), 255, dtype=np.uint8)
    alpha[:10, :30] = 0
    image.putalpha(Image.fromarray(alpha))
    image.save(tmp_path / "a.png", exif=exif)
    done = predict_raster(predictor_of(), tmp_path / "a.png", tmp_path / "out")
    np.testing.assert_array_equal(labels_of(done.masks[0]) == 255, np.rot90(alpha == 0))
    assert done.counted_px == 64 * 80 - 300


def test_a_raster_on_a_map_lies_as_the_map_says(tmp_path: Path) -> None:
    file = tiff(tmp_path / "a.tif", picture(64, 80), crs="EPSG:32632", transform=PLACE)
    upright = predict_raster(predictor_of(), file, tmp_path / "upright").masks[0]
    with Image.open(file) as image:
        tags = {number: image.tag_v2[number] for number in (33550, 33922, 34735, 34737)} | {274: 6}  # the place
        pixels = image.copy()
    pixels.save(tmp_path / "b.tif", tiffinfo=tags)
    with rasterio.open(predict_raster(predictor_of(), tmp_path / "b.tif", tmp_path / "out").masks[0]) as mask:
        assert mask.transform == PLACE
        np.testing.assert_array_equal(mask.read(1), labels_of(upright))


def test_one_block_that_is_too_large_is_refused_with_how_to_convert_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.tif"
    with rasterio.open(
        file, "w", driver="GTiff", count=3, height=400, width=300, dtype="uint8", compress="deflate", blockysize=400
    ) as target:
        target.write(picture(400, 300))
    predict_raster(predictor_of(), file, tmp_path / "out")
    monkeypatch.setattr("segbench.predict.raster_rows.LARGEST_BLOCK_MB", 0.3)
    with pytest.raises(DatasetError, match=r"blocks of 400 x 300 pixels.*gdal_translate -co TILED=YES"):
        predict_raster(predictor_of(), file, tmp_path / "out")


def test_other_bands_than_the_network_s_are_refused_by_name(tmp_path: Path) -> None:
    four = tiff(tmp_path / "four.tif", picture(64, 64, bands=5))
    with pytest.raises(DatasetError, match="grey or RGB, but the file has 5 bands"):
        predict_raster(predictor_of(), four, tmp_path / "out")
    few = tiff(tmp_path / "few.tif", picture(64, 64))
    with pytest.raises(DatasetError, match="reads the bands 1, 2, 3, 4, but the file has 3"):
        predict_raster(predictor_of(bands=Bands(numbers=(1, 2, 3, 4))), few, tmp_path / "out")
    deep = tiff(tmp_path / "deep.tif", picture(64, 64).astype(np.uint16))
    with pytest.raises(DatasetError, match="8 bit a value, as the network learnt from, got uint16"):
        predict_raster(predictor_of(), deep, tmp_path / "out")


def test_no_image_and_a_cut_off_one_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.tif").write_text("no image")
    with pytest.raises(DatasetError, match="not an image that can be read by windows"):
        predict_raster(predictor_of(), tmp_path / "text.tif", tmp_path / "out")
    whole = tiff(tmp_path / "a.tif", picture(300, 300)).read_bytes()
    (tmp_path / "cut.tif").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DatasetError, match="damaged or cut off"):
        predict_raster(predictor_of(), tmp_path / "cut.tif", tmp_path / "out")


@pytest.mark.parametrize("class_map", [THREE, BINARY, BOTH])
def test_masks_are_cleaned_as_whole_ones_are(
    tmp_path: Path, class_map: ClassMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segbench.predict.regions._PIECE_PX", 1)
    plain = predictor_of(class_map)
    predictor = plain.with_postprocess(Postprocess(fill_holes_px=30, smallest_px=40, smooth_px=1))
    values = picture(310, 243)
    image = np.ascontiguousarray(values.transpose(1, 2, 0))
    expected = predictor(image).mask
    assert (expected != plain(image).mask).any()
    done = predict_raster(predictor, tiff(tmp_path / "a.tif", values), tmp_path / "out")
    found = np.stack([labels_of(mask) for mask in done.masks])
    np.testing.assert_array_equal(found if class_map is BOTH else found[0], expected)
    assert not list((tmp_path / "out").rglob("*unfinished*"))


def test_other_cleaning_begins_with_the_rows_that_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segbench.predict.regions.MOST_REGIONS", 2)
    predictor, file = predictor_of(), tiff(tmp_path / "a.tif", picture(310, 243))
    with pytest.raises(PredictionError, match="more than 2 regions, which is noise"):
        predict_raster(predictor.with_postprocess(Postprocess(smallest_px=9)), file, tmp_path / "out")
    assert predict_raster(predictor, file, tmp_path / "out").first_row == 310


def test_a_full_disk_ends_in_one_sentence_and_the_rest_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = predictor_of(patch=(64, 64))
    file = tiff(tmp_path / "a.tif", picture(300, 200))
    undisturbed = labels_of(predict_raster(predictor, file, tmp_path / "whole").masks[0])
    written = os.fsync
    calls: list[int] = []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PredictionError, match=r"No space left on device.*make room and give the same command again"):
        predict_raster(predictor, file, tmp_path / "out")
    assert not (tmp_path / "out" / "masks" / "a.tif").exists()
    monkeypatch.setattr(os, "fsync", written)
    done = predict_raster(predictor, file, tmp_path / "out")
    assert done.first_row > 0
    np.testing.assert_array_equal(labels_of(done.masks[0]), undisturbed)


@pytest.mark.parametrize(("norm", "size"), [("batch", ORIGINAL), ("group", ORIGINAL), ("group", (48, 56))])
def test_stopped_anywhere_it_goes_on_with_the_same_result(tmp_path: Path, norm: str, size: Size) -> None:
    predictor = predictor_of(size=size, norm=norm)
    settings = predictor.pipeline.settings
    predictor.pipeline.settings = type(settings)(**{**vars(settings), "policy": "tiles", "training_px": (72, 72)})
    file = tiff(tmp_path / "a.tif", picture(700, 300))
    undisturbed = labels_of(predict_raster(predictor, file, tmp_path / "whole").masks[0])
    stops: list[int] = []

    def stop(_: str, done: int, total: int) -> None:
        stops.append(done)
        raise KeyboardInterrupt

    for _ in range(100):
        try:
            done = predict_raster(predictor, file, tmp_path / "out", progress=stop)
        except KeyboardInterrupt:
            continue
        break
    assert len(stops) > 2
    assert done.first_row == stops[-1] == 700
    np.testing.assert_array_equal(labels_of(done.masks[0]), undisturbed)


@pytest.mark.parametrize(
    ("norm", "size", "class_map"),
    [("batch", ORIGINAL, THREE), ("group", ORIGINAL, BOTH), ("group", (48, 56), THREE)],
    ids=["exact", "blended", "enlarged"],
)
def test_bands_of_rows_are_joined_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, norm: str, size: Size, class_map: ClassMap
) -> None:
    """In any order, by whoever; what is there of them is kept, up to the first gap, where the image is predicted on."""
    monkeypatch.setattr(windows, "_BAND_PX", 20_000)
    monkeypatch.setattr(windows, "_BLENDED_ROWS", 2)
    predictor = predictor_of(class_map, size=size, norm=norm)
    settings = predictor.pipeline.settings
    predictor.pipeline.settings = type(settings)(**{**vars(settings), "policy": "tiles", "training_px": (72, 72)})
    file = tiff(tmp_path / "a.tif", picture(700, 300))
    undisturbed = predict_raster(predictor, file, tmp_path / "whole")
    for out, left_out in (("all", None), ("gap", 1)):
        bands = missing_bands(predictor, file, tmp_path / out, "a")
        assert len(bands) > 2
        assert [top for top, _ in bands] == [0, *(bottom for _, bottom in bands[:-1])]
        assert bands[-1][1] == 700
        for number, band in reversed(list(enumerate(bands))):
            if number != left_out:
                predict_band(predictor, file, tmp_path / out, "a", band)
        assert missing_bands(predictor, file, tmp_path / out, "a") == ([] if left_out is None else [bands[left_out]])
        done = predict_raster(predictor, file, tmp_path / out)
        assert done.first_row == (700 if left_out is None else bands[left_out][0])
        assert (done.pixels, done.counted_px) == (undisturbed.pixels, undisturbed.counted_px)
        for one, other in zip(done.masks, undisturbed.masks, strict=True):
            assert one.read_bytes() == other.read_bytes()
        assert not list((tmp_path / out).rglob("*unfinished*"))


def test_another_network_begins_anew(tmp_path: Path) -> None:
    file = tiff(tmp_path / "a.tif", picture(300, 200))
    predictor = predictor_of(patch=(64, 64))

    def stop(_: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_raster(predictor, file, tmp_path / "out", progress=stop)
    with torch.no_grad():
        next(predictor.network.parameters()).mul_(2.0)
    assert predict_raster(predictor, file, tmp_path / "out").first_row == 0


SLOW = """
import sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from test_windows import predictor_of
from segbench.predict.windows import predict_raster
predictor = predictor_of(patch=(64, 64))
if sys.argv[4] == "slow":
    predictor.network.register_forward_hook(lambda *_: time.sleep(0.15))
predict_raster(predictor, Path(sys.argv[2]), Path(sys.argv[3]))
"""


@pytest.mark.slow
def test_a_killed_process_goes_on_with_the_same_result(tmp_path: Path) -> None:
    file = tiff(tmp_path / "a.tif", picture(1500, 200))

    def started(out: str, speed: str) -> subprocess.Popen[bytes]:
        arguments = [str(Path(__file__).parent), str(file), str(tmp_path / out), speed]
        return subprocess.Popen([sys.executable, "-c", SLOW, *arguments])

    assert started("whole", "quick").wait(timeout=120) == 0
    running = started("out", "slow")
    notes = tmp_path / "out" / "masks" / ".unfinished" / "a.json"
    deadline = time.monotonic() + 120
    while not notes.exists() and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)
    assert running.poll() is None
    running.send_signal(signal.SIGKILL)
    running.wait()
    rows = json.loads(notes.read_text())["rows"]
    assert 0 < rows < 1500
    assert not (tmp_path / "out" / "masks" / "a.tif").exists()
    assert started("out", "quick").wait(timeout=120) == 0
    assert (tmp_path / "out" / "masks" / "a.tif").read_bytes() == (tmp_path / "whole" / "masks" / "a.tif").read_bytes()


def test_an_image_is_large_by_its_scale_and_its_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "LARGE_PX", 5_000)
    monkeypatch.setattr(large, "LARGEST_PX", 50_000)
    for width in (60, 600, 6000):
        Image.new("RGB", (width, 10)).save(tmp_path / f"{width}.png")
    files = [tmp_path / f"{width}.png" for width in (60, 600, 6000)]
    assert [is_large(predictor_of().pipeline, file) for file in files] == [False, True, True]
    assert [is_large(predictor_of(size=(32, 32)).pipeline, file) for file in files] == [False, False, True]
    (tmp_path / "text.png").write_text("no image")
    assert not is_large(predictor_of().pipeline, tmp_path / "text.png")


@pytest.mark.parametrize("class_map", [THREE, BOTH])
def test_a_large_image_gets_masks_areas_and_a_small_overlay(
    tmp_path: Path, class_map: ClassMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large, "OVERLAY_PX", 50)
    file = tiff(tmp_path / "a.tif", picture(150, 200), crs="EPSG:32632", transform=PLACE)
    row = write_large(predictor_of(class_map), file, tmp_path / "out", "a", OutputOptions())
    assert (row["id"], row["width"], row["height"]) == ("a", 200, 150)
    assert float(row["roof_m2"]) == pytest.approx(row["roof_px"] * 0.25, rel=1e-5)
    with Image.open(tmp_path / "out" / "overlays" / "a.jpg") as picture_of_it:
        assert picture_of_it.size == (50, 38)


def test_outputs_that_need_the_whole_image_are_refused_by_name(tmp_path: Path) -> None:
    file = tiff(tmp_path / "a.tif", picture(64, 64))
    asked = OutputOptions(probs="npz", polygons=("geojson", "coco"), doubt=True)
    with pytest.raises(PredictionError, match="leave off --probs-as npz, --polygons coco, --doubt"):
        write_large(predictor_of(), file, tmp_path, "a", asked)


@pytest.mark.parametrize("class_map", [THREE, BOTH])
@pytest.mark.parametrize("on_map", [True, False])
def test_objects_and_polygons_are_those_of_the_whole_image(
    tmp_path: Path, class_map: ClassMap, on_map: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segbench.predict.regions._PIECE_PX", 1)
    values = picture(150, 200)
    values[:, 40:70, 20:50] = 0
    place = {"crs": "EPSG:32632", "transform": PLACE} if on_map else {}
    file = tiff(tmp_path / "a.tif", values, nodata=0, photometric="minisblack", **place)
    predictor = predictor_of(class_map, bands=Bands(numbers=(1, 2, 3)))
    options = OutputOptions(objects=True, polygons=("geojson",))
    whole = write_outputs(predictor(file), tmp_path / "whole", "a", options, file)
    row = write_large(predictor, file, tmp_path / "parts", "a", options)
    assert row == whole
    assert row["tree_objects"] > 5
    for name in ("objects/a.csv", "polygons/geojson/a.geojson"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_an_object_that_is_too_large_to_be_outlined_is_told_and_nothing_is_predicted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segbench.predict.outputs.file_objects.LARGEST_BOX_PX", 100)
    file, predictor = tiff(tmp_path / "a.tif", picture(150, 200)), predictor_of()
    with pytest.raises(PredictionError, match=r"too large to be outlined here.*gdal_polygonize.py -8 a.tif"):
        write_large(predictor, file, tmp_path / "out", "a", OutputOptions(polygons=("geojson",)))
    rows: list[int] = []
    write_large(predictor, file, tmp_path / "out", "a", OutputOptions(), lambda _, done, total: rows.append(done))
    assert not rows
    assert not list((tmp_path / "out").rglob("*unfinished*"))


@pytest.mark.parametrize("class_map", [THREE, BINARY, BOTH])
@pytest.mark.parametrize("size", [ORIGINAL, (72, 72)], ids=["same", "enlarged"])
@pytest.mark.parametrize("temperature", [1.0, 1.7])
def test_probabilities_are_those_of_the_whole_image(
    tmp_path: Path, class_map: ClassMap, size: Size, temperature: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segbench.predict.label_rows._PROBS_PX", 9_000)
    monkeypatch.setattr("segbench.data.files.label_raster._COLUMNS_PX", 256)
    predictor = predictor_of(class_map, size)
    settings = predictor.pipeline.settings
    changes = {"policy": "tiles", "training_px": (144, 150), "temperature": temperature}
    predictor.pipeline.settings = type(settings)(**{**vars(settings), **changes})
    values = picture(290, 310)
    expected = predictor(np.ascontiguousarray(values.transpose(1, 2, 0)))
    file = tiff(tmp_path / "a.tif", values, crs="EPSG:32632", transform=PLACE)
    done = predict_raster(predictor, file, tmp_path / "out", probs="tif")
    found = np.stack([labels_of(mask) for mask in done.masks])
    assert (found != (expected.mask if class_map is BOTH else expected.mask[None])).mean() < 1e-4
    with rasterio.open(tmp_path / "out" / "probs" / "a.tif") as source:
        assert (source.crs.to_epsg(), source.transform) == (32632, PLACE)
        assert source.descriptions == (class_map.names[1:] if class_map is BINARY else class_map.names)
        np.testing.assert_allclose(source.read(), expected.probs, atol=1e-3)
        in_tiff = source.read()
    zarr = pytest.importorskip("zarr")
    predict_raster(predictor, file, tmp_path / "out", probs="zarr")
    in_zarr = zarr.open_array(tmp_path / "out" / "probs" / "a.zarr", mode="r")
    assert in_zarr.attrs["classes"] == list(class_map.names[1:] if class_map is BINARY else class_map.names)
    np.testing.assert_array_equal(in_zarr[:].astype(np.float32), in_tiff)


def test_probabilities_go_on_where_they_stopped_and_are_nowhere_without_data(tmp_path: Path) -> None:
    values = picture(700, 300)
    values[:, 500:, :50] = 0
    predictor = predictor_of(bands=Bands(numbers=(1, 2, 3)), patch=(64, 64))
    file = tiff(tmp_path / "a.tif", values, nodata=0, photometric="minisblack")
    predict_raster(predictor, file, tmp_path / "whole", probs="tif")

    def stop(_: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            predict_raster(predictor, file, tmp_path / "out", probs="tif", progress=stop)
    assert predict_raster(predictor, file, tmp_path / "out", probs="tif").first_row > 0
    for name in ("masks/a.tif", "probs/a.tif"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    with rasterio.open(tmp_path / "out" / "probs" / "a.tif") as source:
        nowhere = np.isnan(source.read())
    np.testing.assert_array_equal(nowhere, np.broadcast_to((values == 0).all(axis=0), nowhere.shape))
