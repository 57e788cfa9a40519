"""Bands become channels: values to 0-255, what is shown, and hashes that ordinary data sets keep."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from segbench.data.files.bands import Bands, default_display, shown
from segbench.data.files.raster import boxes
from segbench.data.manifest.manifest import Manifest
from segbench.types import ClassMap, Sample, Task

CLASSES = ClassMap(names=("background", "x"), values=((0,), (255,)), task=Task.BINARY)


def rgb_manifest() -> Manifest:
    splits = ("train", "val", None)
    samples = tuple(
        Sample(
            id=f"s{place}",
            image=f"images/s{place}.png",
            mask=f"masks/s{place}.png",
            height=4,
            width=6,
            image_hash=str(place) * 64,
            mask_hash="ab" * 32,
            split=splits[place],  # type: ignore[arg-type]
        )
        for place in range(3)
    )
    return Manifest(
        root=Path("/d"), format="folder", class_map=CLASSES, samples=samples, depth_range=(0.0, 4095.0), tolerance=3
    )


def test_an_ordinary_manifest_keeps_the_hash_it_had_before_there_were_bands(tmp_path: Path) -> None:
    manifest = rgb_manifest()
    assert manifest.content_hash == "1ccb893b3129612926de8ac5086ed7569c5e3aada5b541cf312c3776a5296e2b"
    assert (manifest.channels, manifest.display) == (3, (0, 1, 2))
    manifest.write(tmp_path / "m.json")
    assert "bands" not in json.loads((tmp_path / "m.json").read_text())
    assert Manifest.read(tmp_path / "m.json") == manifest


def test_values_are_scaled_band_by_band_and_clipped() -> None:
    bands = Bands(numbers=(3, 1), ranges=((100.0, 355.0), (-1.0, 1.0)), display=(0, 0, 1))
    values = np.array([[[99, 100, 227.5, 355, 400]], [[-2, -1, 0, 1, np.float32(1e9)]]])
    scaled = bands.scale(values)
    assert scaled.dtype == np.uint8
    assert scaled[0].T.tolist() == [[0, 0, 128, 255, 255], [0, 0, 128, 255, 255]]
    assert Bands.from_dict(json.loads(json.dumps(bands.to_dict()))) == bands
    assert np.array_equal(shown(scaled, bands.display), scaled[:, :, [0, 0, 1]])


def test_16_bit_values_do_not_wrap_round() -> None:
    bands = Bands(numbers=(1,), ranges=((1000.0, 65535.0),), display=(0, 0, 0))
    values = np.array([[[0, 999, 1000, 65535]]], dtype=np.uint16)
    assert bands.scale(values).ravel().tolist() == [0, 0, 0, 255]


def test_8_bit_values_stay_and_deep_ones_need_ranges() -> None:
    plain = Bands(numbers=(1, 2, 3))
    values = np.arange(24, dtype=np.uint8).reshape(3, 2, 4)
    assert np.array_equal(plain.scale(values), values.transpose(1, 2, 0))
    with pytest.raises(ValueError, match="ranges"):
        plain.scale(values.astype(np.uint16))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"numbers": ()}, "1 to 32"),
        ({"numbers": (1, 1, 2)}, "different"),
        ({"numbers": (0, 1, 2)}, "counted from 1"),
        ({"numbers": (1, 2, 3), "ranges": ((0.0, 1.0),)}, "each of 3"),
        ({"numbers": (1, 2, 3), "ranges": ((1.0, 1.0),) * 3}, "low < high"),
        ({"numbers": (1, 2)}, "positions in 2"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_impossible_bands(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Bands(**wrong)  # type: ignore[arg-type]


def test_what_is_shown_by_itself() -> None:
    assert [default_display(channels) for channels in (1, 2, 3, 8)] == [(0, 0, 0), (0, 1, 1), (0, 1, 2), (0, 1, 2)]
    image = np.random.default_rng(0).integers(0, 256, (2, 3, 3), dtype=np.uint8)
    assert shown(image) is image


@pytest.mark.parametrize(
    ("height", "width", "window", "stride"), [(100, 70, 32, None), (64, 64, 32, 16), (5, 90, 32, 20)]
)
def test_windows_lie_inside_are_full_and_cover_everything(
    height: int, width: int, window: int, stride: int | None
) -> None:
    found = boxes(height, width, window, stride)
    covered = np.zeros((height, width), dtype=bool)
    for top, left, tall, wide in found:
        assert (tall, wide) == (min(window, height), min(window, width))
        assert 0 <= top <= height - tall
        assert 0 <= left <= width - wide
        covered[top : top + tall, left : left + wide] = True
    assert covered.all()
    assert len(set(found)) == len(found)
    assert found == sorted(found)
