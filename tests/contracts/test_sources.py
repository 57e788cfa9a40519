"""What every kind in which samples are stored must do."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import Affine

from segbench.data.facts.store import FactStore
from segbench.data.files.images import read_image
from segbench.data.files.kept import KeptPixels
from segbench.data.files.resize import resize_image, resize_mask
from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_dataset
from segbench.data.samples.cache import build_cache
from segbench.data.samples.shard_writer import write_shards
from segbench.data.sources.load import load_sample
from segbench.data.sources.presence import class_presence
from segbench.data.sources.table import SOURCES, by_source, is_packed, source_of
from segbench.data.writers.convert import convert
from segbench.errors import DatasetError

SIZE = (24, 32)
NAMES = ("a", "b", "c")
KINDS = list(SOURCES)


def pixels(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns an image (H, W, 3) and labels 0 and 1 (H, W)."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(SIZE, dtype=np.uint8)
    labels[4 + seed : 12, 6:20] = 1
    return rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8), labels


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def mask_file(root: Path) -> Manifest:
    for seed, name in enumerate(NAMES):
        image, labels = pixels(seed)
        save(root / "images" / f"{name}.png", image)
        save(root / "masks" / f"{name}.png", labels * 255)
    return read_dataset(root)


def mask_planes(root: Path) -> Manifest:
    for seed, name in enumerate(NAMES):
        image, labels = pixels(seed)
        save(root / "images" / f"{name}.png", image)
        save(root / "masks" / "nail" / f"{name}.png", labels * 255)
        if name != "b":
            save(root / "masks" / "skin" / f"{name}.png", labels[::-1] * 255)
    return read_dataset(root, task="multilabel", missing_is_absent=True)


def shapes(root: Path) -> Manifest:
    written = convert(mask_file(root / "files"), "coco", root / "coco").written
    return read_dataset(written.root, written.format, **written.options)


def shards(root: Path) -> Manifest:
    return write_shards(mask_file(root / "files"), root / "packed", size=SIZE).manifest


def raster_window(root: Path) -> Manifest:
    for seed, name in enumerate(NAMES):
        image, labels = pixels(seed)
        for folder, bands in (("images", image.transpose(2, 0, 1)), ("masks", labels[None])):
            path = root / folder / f"{name}.tif"
            path.parent.mkdir(parents=True, exist_ok=True)
            profile = {"count": len(bands), "height": SIZE[0], "width": SIZE[1], "dtype": "uint8"}
            place = {"crs": "EPSG:32633", "transform": Affine(10.0, 0.0, 6e5, 0.0, -10.0, 58e5)}
            with rasterio.open(path, "w", driver="GTiff", **profile, **place) as target:
                target.write(bands)
    return read_dataset(root, "geotiff", window=16)


# An example data set of each kind; a new kind needs one.
EXAMPLES: dict[str, Callable[[Path], Manifest]] = {
    "mask_file": mask_file,
    "mask_planes": mask_planes,
    "raster_window": raster_window,
    "shapes": shapes,
    "shards": shards,
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def manifest(kind: str, tmp_path: Path) -> Manifest:
    return EXAMPLES[kind](tmp_path / "set")


def test_each_kind_has_an_example_and_says_what_it_is() -> None:
    assert EXAMPLES.keys() == SOURCES.keys()
    for name, source in SOURCES.items():
        assert inspect.getdoc(type(source)), name


def test_the_table_finds_each_kind_by_its_samples(kind: str, manifest: Manifest) -> None:
    assert len(manifest) >= len(NAMES)
    assert by_source(manifest) == [(SOURCES[kind], list(manifest.samples))]
    assert is_packed(manifest) == SOURCES[kind].packed


def test_pixels_have_the_size_and_labels_the_classes_that_the_manifest_tells(manifest: Manifest) -> None:
    class_map, seen = manifest.class_map, set[int]()
    for sample in manifest.samples:
        image, labels = load_sample(manifest, sample)
        assert image.dtype == labels.dtype == np.uint8
        assert image.shape == (sample.height, sample.width, manifest.channels)
        assert labels.shape[-2:] == image.shape[:2]
        seen |= set(np.unique(labels).tolist())
    assert {0, 1} <= seen <= {*range(class_map.num_classes), class_map.ignore_index}


def test_a_written_manifest_gives_the_same_samples_and_hash(manifest: Manifest, tmp_path: Path) -> None:
    manifest.write(tmp_path / "m.json")
    again = read_dataset(tmp_path / "m.json")
    assert again.samples == manifest.samples
    assert again.content_hash == manifest.content_hash
    for sample in manifest.samples:
        for before, after in zip(load_sample(manifest, sample), load_sample(again, sample), strict=True):
            assert np.array_equal(before, after)


def test_what_is_remembered_of_masks_is_what_decoding_gives(manifest: Manifest) -> None:
    for source, samples in by_source(manifest):
        told = source.class_pixels(manifest, samples, FactStore(manifest.root))
        for sample in samples:
            labels = load_sample(manifest, sample)[1]
            planes = [labels == index for index in range(manifest.class_map.num_classes)]
            planes = planes if labels.ndim == 2 else [plane == 1 for plane in labels]
            counts = {index: int(plane.sum()) for index, plane in enumerate(planes)}
            present = frozenset(index for index, pixels in counts.items() if pixels)
            assert class_presence(manifest)[sample.id] == present
            if sample.id in told:
                assert {index: told[sample.id].get(index, 0) for index in counts} == counts


def test_an_image_file_holds_exactly_the_image(manifest: Manifest) -> None:
    for sample in manifest.samples:
        source = source_of(manifest, sample)
        path = source.image_file(manifest, sample)
        if path is not None:
            assert np.array_equal(read_image(path), load_sample(manifest, sample)[0])
        masks = source.mask_files(manifest, sample)
        assert source.packed or all(mask is None or mask.is_file() for mask in masks)


def test_a_cache_has_the_pixels_of_the_samples(manifest: Manifest, tmp_path: Path) -> None:
    size = SIZE if is_packed(manifest) else (12, 20)
    cache = build_cache(manifest, size, folder=tmp_path / "cache")
    for sample, row in zip(manifest.samples, cache.rows_of(manifest.samples), strict=True):
        image, labels = load_sample(manifest, sample)
        assert np.array_equal(cache.images[row], resize_image(image, size))
        assert np.array_equal(cache.masks[row], resize_mask(labels, size))


def test_a_cache_of_what_reading_kept_is_the_same(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_packed(manifest):
        pytest.skip("packed samples are not cached")
    plain = build_cache(manifest, (12, 20), folder=tmp_path / "plain")
    monkeypatch.setenv("SEGBENCH_CACHE", str(tmp_path / "nothing is remembered here"))
    with KeptPixels((12, 20)) as kept:
        again = read_dataset(manifest.root, manifest.format, kept=kept, **manifest.options)
        assert again == manifest
        cache = build_cache(again, (12, 20), folder=tmp_path / "kept", kept=kept)
    for sample, row, other in zip(
        manifest.samples, cache.rows_of(manifest.samples), plain.rows_of(manifest.samples), strict=True
    ):
        assert np.array_equal(cache.images[row], plain.images[other]), sample.id
        assert np.array_equal(cache.masks[row], plain.masks[other]), sample.id


def test_a_file_that_is_gone_is_told_when_a_manifest_is_opened(manifest: Manifest, tmp_path: Path) -> None:
    manifest.write(tmp_path / "m.json")
    assert [name for source, some in by_source(manifest) for name in source.missing(manifest, some)] == []
    path = data_file(manifest)
    path.unlink()
    with pytest.raises(DatasetError, match=path.name):
        read_dataset(tmp_path / "m.json")


def test_a_file_that_changed_is_told_when_it_is_read(manifest: Manifest) -> None:
    source = source_of(manifest, manifest.samples[0])
    assert source.changed(manifest, manifest.samples) == []
    path = data_file(manifest)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(bytes(data))
    told = source.changed(manifest, manifest.samples)
    assert source.packed or [name for name in told if path.name in name]
    with pytest.raises(DatasetError, match=path.name):
        load_all(manifest)


def load_all(manifest: Manifest) -> None:
    for sample in manifest.samples:
        load_sample(manifest, sample)


def data_file(manifest: Manifest) -> Path:
    """Returns a file that the first sample's image is in."""
    sample = manifest.samples[0]
    return next(manifest.root.glob("*.tar")) if is_packed(manifest) else manifest.image_path(sample)
