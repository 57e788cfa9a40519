"""GeoTIFF: any number of bands, cut into windows, and every reason why image and mask do not fit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import Affine
from tests.data._rasters import GRID, save, scene, scenes

from segbench.config.run import SplitConfig
from segbench.data.manifest.read import read_dataset
from segbench.data.samples.cache import build_cache
from segbench.data.samples.shard_writer import write_shards
from segbench.data.sources.load import load_picture, load_sample
from segbench.data.split.divide import split_manifest
from segbench.errors import ConfigError, DatasetError
from segbench.types import SPLITS, Task

SHIFTED = Affine(10.0, 0.0, 600030.0, 0.0, -10.0, 5800000.0)


def refusal(root: Path, **options: Any) -> str:
    with pytest.raises((DatasetError, ConfigError)) as caught:
        read_dataset(root, "geotiff", **options)
    return str(caught.value)


def test_five_bands_of_16_bit_become_channels_by_the_percentiles_that_the_manifest_tells(tmp_path: Path) -> None:
    root = scenes(tmp_path / "d")
    manifest = read_dataset(root, "geotiff")
    assert (len(manifest), manifest.channels, manifest.display) == (4, 5, (0, 1, 2))
    assert manifest.class_map.task is Task.BINARY
    bands = manifest.bands
    assert bands is not None
    assert bands.ranges is not None
    assert bands.numbers == (1, 2, 3, 4, 5)
    stored = np.concatenate([scene(place)[0].reshape(5, -1) for place in range(4)], axis=1)
    expected = np.percentile(stored, (2, 98), axis=1).T
    np.testing.assert_allclose(bands.ranges, expected, rtol=1e-5)
    assert any("2nd and 98th percentile" in note and f"5: {bands.ranges[4][0]:g} to" in note for note in manifest.notes)
    image, labels = load_sample(manifest, manifest.samples[2])
    values, truth = scene(2)
    low, high = expected[3]
    wanted = np.rint(np.clip((values[3] - low) / (high - low) * 255, 0, 255))
    assert (image.shape, image.dtype) == ((64, 96, 5), np.uint8)
    assert np.abs(image[:, :, 3] - wanted).max() <= 1
    assert np.array_equal(labels, truth)
    assert manifest.samples[2].foreground_frac == pytest.approx(truth.mean())


def test_a_manifest_is_written_read_and_hashed_with_its_bands(tmp_path: Path) -> None:
    root = scenes(tmp_path / "d", 2)
    manifest = read_dataset(root, "geotiff", bands=[5, 2, 1], display=[1, 2, 5], window=32, nodata="keep")
    manifest.write(tmp_path / "m.json")
    again = read_dataset(tmp_path / "m.json")
    assert again == manifest
    assert again.content_hash == manifest.content_hash
    assert again.display == (2, 1, 0)
    assert again.bands is not None
    assert not again.bands.ignore_nodata
    for other in ({"bands": [5, 2, 3]}, {"nodata": "ignore"}, {"depth_range": [0, 4095]}, {"window": 16}):
        options = {"bands": [5, 2, 1], "window": 32, "nodata": "keep", **other}
        assert read_dataset(root, "geotiff", **options).content_hash != manifest.content_hash
    shown_otherwise = read_dataset(root, "geotiff", bands=[5, 2, 1], window=32, nodata="keep")
    assert shown_otherwise.content_hash == manifest.content_hash
    picture, _ = load_picture(manifest, manifest.samples[0])
    image, _ = load_sample(manifest, manifest.samples[0])
    assert np.array_equal(picture, image[:, :, [2, 1, 0]])


def test_windows_cover_a_file_and_the_last_ones_move_inward(tmp_path: Path) -> None:
    root = scenes(tmp_path / "d", 2, size=(50, 70))
    manifest = read_dataset(root, "geotiff", window=32)
    first = [sample for sample in manifest.samples if sample.group == "tile_0"]
    assert [sample.window for sample in first] == [(top, left, 32, 32) for top in (0, 18) for left in (0, 32, 38)]
    assert [sample.id for sample in first][:2] == ["tile_0@0,0", "tile_0@0,32"]
    assert len({sample.image_hash for sample in manifest.samples}) == len(manifest) == 12
    whole = read_dataset(root, "geotiff", depth_range=[list(pair) for pair in manifest.bands.ranges])  # type: ignore
    full, truth = load_sample(whole, whole.samples[0])
    covered = np.zeros(truth.shape, dtype=int)
    for sample in first:
        image, labels = load_sample(manifest, sample)
        top, left, height, width = sample.window or (0, 0, 0, 0)
        place = (slice(top, top + height), slice(left, left + width))
        assert np.array_equal(image, full[place])
        assert np.array_equal(labels, truth[place])
        covered[place] += 1
    assert covered.min() == 1
    overlapping = read_dataset(root, "geotiff", window=32, stride=16)
    assert [sample.window[1] for sample in overlapping.samples if sample.window][:4] == [0, 16, 32, 38]
    assert [s.window for s in read_dataset(root, "geotiff", window=60).samples][:2] == [(0, 0, 50, 60), (0, 10, 50, 60)]


def test_windows_of_a_scene_stay_in_one_part_or_blocks_of_it_do(tmp_path: Path) -> None:
    root = scenes(tmp_path / "d", 1, size=(160, 150))
    manifest = read_dataset(root, "geotiff", window=32)
    assert any("group_by: block:128" in note for note in manifest.notes)
    blocks = read_dataset(root, "geotiff", window=32, group_by="block:64")
    divided = split_manifest(blocks, SplitConfig(ratios=(0.6, 0.2, 0.2)))
    seen = np.zeros((160, 150, len(SPLITS)), dtype=bool)
    for number, name in enumerate(SPLITS):
        assert divided.split(name)
        for sample in divided.split(name):
            top, left, height, width = sample.window or (0, 0, 0, 0)
            seen[top : top + height, left : left + width, number] = True
    assert (seen.sum(axis=2) == 1).all(), "parts share pixels, or pixels are in none"
    assert "overlap" in refusal(root, window=32, stride=16, group_by="block:64")
    assert "window" in refusal(root, group_by="block:64")
    assert "scene, or block:N" in refusal(root, window=32, group_by="block")


def test_pixels_without_data_count_nowhere(tmp_path: Path) -> None:
    values, labels = scene(0)
    values[:, :40, :40] = 0
    values[1, 60:, 60:] = 0  # one band without data is not a pixel without data
    save(tmp_path / "d/images/a.tif", values, nodata=0)
    save(tmp_path / "d/masks/a.tif", labels)
    manifest = read_dataset(tmp_path / "d", "geotiff")
    image, found = load_sample(manifest, manifest.samples[0])
    assert (found[:40, :40] == 255).all()
    assert (image[:40, :40] == 0).all()
    assert (found == 255).sum() == 40 * 40
    assert manifest.samples[0].foreground_frac == pytest.approx(labels[found != 255].mean())
    assert any(f"{40 * 40} pixels" in note and "count nowhere" in note for note in manifest.notes)
    kept = read_dataset(tmp_path / "d", "geotiff", nodata="keep")
    assert np.array_equal(load_sample(kept, kept.samples[0])[1], labels)
    cut = read_dataset(tmp_path / "d", "geotiff", window=32)
    assert "a@0,0" not in {sample.id for sample in cut.samples}
    assert any("1 windows without any data were left out: a@0,0" in note for note in cut.notes)
    headers_only = read_dataset(tmp_path / "d", "geotiff", window=32, verify=False, classes=["no", "yes"])
    assert [sample.id for sample in headers_only.samples] == [sample.id for sample in cut.samples]


def test_files_without_any_data_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "d/images/a.tif", np.full((2, 64, 96), 7, np.uint8), nodata=7)
    save(tmp_path / "d/masks/a.tif", scene(0)[1])
    assert "no file holds a pixel with data" in refusal(tmp_path / "d")
    assert "no pixel with data in 1 places" in refusal(scenes_without_data(tmp_path / "deep"))


def scenes_without_data(root: Path) -> Path:
    save(root / "images/a.tif", np.full((2, 64, 96), 7, np.uint16), nodata=7)
    save(root / "masks/a.tif", scene(0)[1])
    return root


def test_floats_and_what_is_no_number(tmp_path: Path) -> None:
    values, labels = scene(0, bands=2)
    real = (values / np.float32(1000)).astype(np.float32)
    real[:, 0, :5] = np.nan
    save(tmp_path / "d/images/a.tif", real)
    save(tmp_path / "d/masks/a.tif", labels)
    manifest = read_dataset(tmp_path / "d", "geotiff")
    image, found = load_sample(manifest, manifest.samples[0])
    assert image.shape == (64, 96, 2)
    assert manifest.display == (0, 1, 1)
    assert (found == 255).sum() == 5
    assert np.isfinite(manifest.bands.ranges).all()  # type: ignore[union-attr]


def test_8_bit_files_stay_as_they_are(tmp_path: Path) -> None:
    values, labels = scene(0, bands=7)
    eight = (values // 16).astype(np.uint8)
    save(tmp_path / "d/images/a.tif", eight)
    save(tmp_path / "d/masks/a.tif", labels.astype(np.uint16) * 300)
    manifest = read_dataset(tmp_path / "d", "geotiff", classes={"no": 0, "yes": 300}, bands=[7, 1])
    image, found = load_sample(manifest, manifest.samples[0])
    assert np.array_equal(image, eight[[6, 0]].transpose(1, 2, 0))
    assert np.array_equal(found, labels)
    assert manifest.bands is not None
    assert manifest.bands.ranges is None
    scaled = read_dataset(tmp_path / "d", "geotiff", classes={"no": 0, "yes": 300}, bands=[7, 1], depth_range=[0, 510])
    halved, _ = load_sample(scaled, scaled.samples[0])
    assert np.abs(halved * 2.0 - image).max() <= 1


def test_an_alpha_band_is_no_channel_unless_it_is_named(tmp_path: Path) -> None:
    values, labels = scene(0, bands=4)
    eight = (values // 16).astype(np.uint8)
    eight[3] = 255
    eight[3, :10] = 0
    save(tmp_path / "d/images/a.tif", eight, photometric="RGB", alpha="yes")
    save(tmp_path / "d/masks/a.tif", labels)
    manifest = read_dataset(tmp_path / "d", "geotiff")
    assert manifest.channels == 3
    assert any("band 4 is marked as transparency" in note for note in manifest.notes)
    assert (load_sample(manifest, manifest.samples[0])[1][:10] == 255).all()
    named = read_dataset(tmp_path / "d", "geotiff", bands=[1, 2, 3, 4])
    image, found = load_sample(named, named.samples[0])
    assert np.array_equal(image, eight.transpose(1, 2, 0))
    assert np.array_equal(found, labels)


@pytest.mark.parametrize(
    ("mask", "profile", "wanted"),
    [
        (np.zeros((64, 90), np.uint8), {}, ("64 x 90 pixels", "64 x 96")),
        (np.zeros((64, 96), np.uint8), {"crs": "EPSG:32634"}, ("EPSG:32634", "EPSG:32633", "reproject")),
        (
            np.zeros((64, 96), np.uint8),
            {"transform": SHIFTED},
            ("3 pixels apart",),
        ),
        (np.zeros((3, 64, 96), np.uint8), {}, ("one band of class values", "3 bands")),
        (np.full((64, 96), 0.5, np.float32), {}, ("whole numbers", "0.5")),
    ],
    ids=["size", "crs", "transform", "bands", "fractions"],
)
def test_a_mask_that_does_not_fit_its_image(
    tmp_path: Path, mask: np.ndarray, profile: dict[str, Any], wanted: tuple[str, ...]
) -> None:
    root = scenes(tmp_path / "d", 2)
    save(root / "masks/tile_1.tif", mask, **profile)
    text = refusal(root)
    assert "masks/tile_1.tif" in text
    assert all(part in text for part in wanted), text


def test_a_mask_without_a_place_is_taken_by_its_size(tmp_path: Path) -> None:
    root = scenes(tmp_path / "d", 2)
    (root / "masks/tile_1.tif").unlink()
    Image.fromarray(scene(1)[1]).save(root / "masks/tile_1.png")
    manifest = read_dataset(root, "geotiff", window=32)
    sample = manifest.samples[-1]
    top, left, height, width = sample.window or (0, 0, 0, 0)
    truth = scene(1)[1][top : top + height, left : left + width]
    assert np.array_equal(load_sample(manifest, sample)[1], truth)


def test_foreign_values_are_told_with_their_window(tmp_path: Path) -> None:
    root = scenes(tmp_path / "d", 2)
    labels = scene(1)[1]
    labels[40, 70] = 9
    save(root / "masks/tile_1.tif", labels)
    text = refusal(root, window=32, classes={"no": 0, "yes": 1})
    assert "masks/tile_1.tif: window (32, 64, 32, 32)" in text
    assert "9 (1 pixel, first at row 8, column 6)" in text
    assert text.count("tile_1.tif") == 1


def test_damaged_files_are_named(tmp_path: Path) -> None:
    root = scenes(tmp_path / "d", 3)
    (root / "images/tile_0.tif").write_bytes(b"II*\0nothing")
    data = (root / "images/tile_2.tif").read_bytes()
    (root / "images/tile_2.tif").write_bytes(data[: len(data) // 2])
    text = refusal(root)
    assert "images/tile_0.tif" in text
    (root / "images/tile_0.tif").unlink()
    assert "images/tile_2.tif" in refusal(root, unpaired="skip", depth_range=[0, 4095])


def test_bands_must_agree(tmp_path: Path) -> None:
    root = scenes(tmp_path / "d", 2)
    save(root / "images/tile_1.tif", scene(1, bands=4)[0])
    assert "tile_0.tif has 5 and tile_1.tif 4" in refusal(root)
    assert "no band 5 in tile_1.tif" in refusal(root, bands=[5])
    assert read_dataset(root, "geotiff", bands=[4, 1]).channels == 2


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"bands": [0, 1]}, "counted from 1"),
        ({"bands": [1, 1]}, "different"),
        ({"bands": [1, 2], "display": [1, 2, 3]}, "three of the bands 1, 2"),
        ({"depth_range": [5, 5]}, "low < high"),
        ({"depth_range": [[0, 1], [0, 1]]}, "each of 5 bands"),
        ({"depth_range": "percentiles"}, "auto"),
        ({"window": 0}, "1 or more"),
        ({"stride": 8}, "window beside it"),
        ({"window": 8, "stride": 9}, "1 to window"),
        ({"nodata": "drop"}, "ignore, keep"),
        ({"task": "multilabel"}, ""),
    ],
    ids=str,
)
def test_wrong_options(tmp_path: Path, options: dict[str, Any], wanted: str) -> None:
    assert wanted in refusal(scenes(tmp_path / "d", 1), **options)


def test_a_changed_file_is_noticed(tmp_path: Path) -> None:
    root = scenes(tmp_path / "d", 2)
    manifest = read_dataset(root, "geotiff", window=32)
    manifest.write(tmp_path / "m.json")
    values, _ = scene(7)
    save(root / "images/tile_0.tif", values)
    with pytest.raises(DatasetError, match="has changed since"):
        load_sample(manifest, manifest.samples[0])
    assert load_sample(manifest, manifest.samples[-1])[0].shape == (32, 32, 5)
    with pytest.raises(DatasetError, match=r"1 file has changed.*tile_0\.tif"):
        read_dataset(tmp_path / "m.json")


def test_the_cache_holds_all_channels_and_depends_on_how_they_are_read(tmp_path: Path) -> None:
    root = scenes(tmp_path / "d", 2)
    manifest = read_dataset(root, "geotiff", window=32)
    cache = build_cache(manifest, (16, 24), folder=tmp_path / "c")
    assert cache.images.shape[1:] == (16, 24, 5)
    image, _ = load_sample(manifest, manifest.samples[3])
    row = cache.rows[manifest.samples[3].id]
    plane = Image.fromarray(np.ascontiguousarray(image[:, :, 4])).resize((24, 16), Image.Resampling.BILINEAR)
    assert np.array_equal(cache.images[row][:, :, 4], np.asarray(plane))
    few = cache.excerpt(manifest.samples[3:5])
    assert few.images.shape == (2, 16, 24, 3)
    assert np.array_equal(few.images[0], cache.images[row][:, :, :3])
    assert np.array_equal(few.masks[1], cache.masks[cache.rows[manifest.samples[4].id]])
    other = build_cache(
        read_dataset(root, "geotiff", window=32, depth_range=[0, 9000]), (16, 24), folder=tmp_path / "c"
    )
    assert not np.array_equal(other.images[row], cache.images[row])
    # The same ids, other windows.
    larger = read_dataset(root, "geotiff", window=64)
    again = build_cache(larger, (16, 24), folder=tmp_path / "c")
    image, _ = load_sample(larger, larger.samples[0])
    assert again.images.shape[1:] == (16, 24, 5)
    direct = build_cache(larger, (16, 24), folder=tmp_path / "fresh")
    name = larger.samples[0].id
    assert np.array_equal(again.images[again.rows[name]], direct.images[direct.rows[name]])


def test_a_second_reading_opens_no_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from segbench.data.files import raster

    root = scenes(tmp_path / "d", 2)
    first = read_dataset(root, "geotiff", window=32, depth_range=[0, 4095])

    def refuse(*_: Any) -> Any:
        raise AssertionError("pixels were read again")

    monkeypatch.setattr(raster.RasterReader, "values", refuse)
    monkeypatch.setattr(raster.RasterReader, "labels", refuse)
    assert read_dataset(root, "geotiff", window=32, depth_range=[0, 4095]) == first


_READ = """
import json, re, sys
from pathlib import Path
from segbench.data.manifest.read import read_dataset
from segbench.data.sources.load import load_sample
manifest = read_dataset(sys.argv[1], "geotiff", window=1000, classes=["no", "yes"])
load_sample(manifest, manifest.samples[210])
most = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]
print(json.dumps([len(manifest), int(most)]))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="tells its largest memory on Linux only")
def test_a_large_scene_is_never_decoded_whole(tmp_path: Path) -> None:
    side = 20_000
    for name in ("images", "masks"):
        (tmp_path / "d" / name).mkdir(parents=True)
        with rasterio.open(
            tmp_path / "d" / name / "a.tif",
            "w",
            driver="GTiff",
            count=1,
            height=side,
            width=side,
            dtype="uint8",
            tiled=True,
            sparse_ok=True,
            crs="EPSG:32633",
            transform=GRID,
        ) as target:
            target.write(np.full((300, 300), 1, np.uint8), 1, window=rasterio.windows.Window(9900, 9900, 300, 300))
    done = subprocess.run(
        [sys.executable, "-c", _READ, str(tmp_path / "d")], capture_output=True, text=True, check=True
    )
    samples, most_kb = json.loads(done.stdout)
    assert samples == 400
    whole_kb = side * side / 1024
    assert most_kb < 0.75 * whole_kb, f"{most_kb} kB of memory, the file has {whole_kb:.0f}"
    assert "window of data.format: geotiff" in refusal(tmp_path / "d", classes=["no", "yes"])
    with pytest.raises(DatasetError, match="geotiff"):
        read_dataset(tmp_path / "d", "folder")


def test_without_rasterio_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = scenes(tmp_path / "d", 1)
    monkeypatch.setitem(sys.modules, "rasterio", None)
    assert "pip install 'segbench[geo]'" in refusal(root)


def test_shards_hold_windows_as_they_are_read_and_follow_the_options(tmp_path: Path) -> None:
    root = scenes(tmp_path / "d", 2)
    manifest = read_dataset(root, "geotiff", window=32, display=[5, 2, 1])
    packed = read_dataset(write_shards(manifest, tmp_path / "s", size=(32, 32)).folder / "shards.json")
    assert (packed.channels, packed.display) == (5, (4, 1, 0))
    for mine, theirs in zip(manifest.samples, packed.samples, strict=True):
        for own, other in zip(load_sample(manifest, mine), load_sample(packed, theirs), strict=True):
            assert np.array_equal(own, other)
    assert build_cache(packed, (32, 32)).display == (4, 1, 0)
    darker = read_dataset(root, "geotiff", window=32, depth_range=[0, 60000])
    packed = read_dataset(write_shards(darker, tmp_path / "s", size=(32, 32)).folder / "shards.json")
    assert np.array_equal(load_sample(packed, packed.samples[0])[0], load_sample(darker, darker.samples[0])[0])
