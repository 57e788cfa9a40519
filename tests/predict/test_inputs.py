"""A path, an image of Pillow and an array of the same picture are the same picture; what shows itself in a notebook."""

from __future__ import annotations

import io
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from segbench.data.files.bands import Bands
from segbench.data.files.images import pillow_pixels, read_image
from segbench.errors import DatasetError, PredictionError
from segbench.plots.picture import Picture
from segbench.predict.averaging import Ensemble
from segbench.predict.predictor import Predictor
from segbench.types import ClassMap, Normalization, Task

BINARY = ClassMap(names=("back<ground", "spot"), values=((0,), (255,)), task=Task.BINARY, colors=((0, 0, 0), (1, 2, 3)))
ORIENTATION = 274


class Brightness(nn.Module):
    """A logit from the pixel alone."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.normalization = Normalization(mean=(0.5,) * channels, std=(0.1,) * channels)
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, images: Tensor) -> Tensor:
        return self.weight * images.mean(dim=1, keepdim=True)


def predictor_of(**options: object) -> Predictor:
    return Predictor(Brightness(), BINARY, (20, 30), **options)  # type: ignore[arg-type]


def colors(height: int = 20, width: int = 30, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)


def turned(image: Image.Image) -> Image.Exif:
    exif = image.getexif()
    exif[ORIENTATION] = 6
    return exif


MODES: dict[str, Callable[[Path], None]] = {
    "turned.jpg": lambda path: Image.fromarray(colors()).save(path, exif=turned(Image.new("RGB", (1, 1)))),
    "turned.png": lambda path: Image.fromarray(colors()).save(path, exif=turned(Image.new("RGB", (1, 1)))),
    "turned.tif": lambda path: Image.fromarray(colors()).save(path, exif=turned(Image.new("RGB", (1, 1)))),
    "rgba.png": lambda path: Image.fromarray(colors(channels=4)).save(path),
    "la.png": lambda path: Image.fromarray(colors(channels=2), mode=None).save(path),
    "grey.png": lambda path: Image.fromarray(colors()[..., 0]).save(path),
    "one.png": lambda path: Image.fromarray(colors()[..., 0] > 127).save(path),
    "palette.png": lambda path: Image.fromarray(colors()).quantize(16).save(path),
    "clear_palette.png": lambda path: Image.fromarray(colors()).quantize(16).save(path, transparency=3),
    "cmyk.jpg": lambda path: Image.fromarray(colors()).convert("CMYK").save(path),
}


@pytest.mark.parametrize("name", MODES)
def test_pillow_images_of_every_mode_are_as_their_file(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    MODES[name](file)
    of_file = read_image(file)
    with Image.open(file) as image:
        np.testing.assert_array_equal(pillow_pixels(image), of_file)
        np.testing.assert_array_equal(pillow_pixels(image), of_file)  # decoded by now
        np.testing.assert_array_equal(pillow_pixels(image.copy()), of_file)  # has no format any more
    predictor = predictor_of()
    shown = predictor(file)
    assert shown.mask.shape == of_file.shape[:2] == ((30, 20) if name.startswith("turned") else (20, 30))
    assert 0 < shown.mask.mean() < 1
    for given in (str(file), Image.open(file), of_file):
        np.testing.assert_array_equal(predictor(given).mask, shown.mask)


def test_arrays_of_grey_and_with_transparency() -> None:
    predictor, grey, rgba = predictor_of(), colors(channels=1), colors(channels=4)
    np.testing.assert_array_equal(predictor(grey).mask, predictor(grey[..., 0]).mask)
    on_black = pillow_pixels(Image.fromarray(rgba))
    np.testing.assert_array_equal(predictor(rgba).image, on_black)
    assert not np.array_equal(on_black, rgba[..., :3])


def test_deep_images_are_scaled_as_the_network_was_told_or_refused() -> None:
    deep = Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30) * 7)
    shown = predictor_of(depth_range=(0.0, 4200.0))(deep)
    assert shown.image[0, 0].tolist() == [0, 0, 0]
    assert shown.image[-1, -1].tolist() == [255, 255, 255]
    with pytest.raises(DatasetError, match=r"more than 8 bit \(values 0 to 4193\).* learnt from images of 8 bit; save"):
        predictor_of()(deep)
    real = Image.fromarray(np.linspace(0, 1, 600, dtype=np.float32).reshape(20, 30))
    with pytest.raises(DatasetError, match=r"more than 8 bit \(values 0 to 1\)") as raised:
        predictor_of()(real)
    assert "too large" not in raised.value.reason


def test_an_image_that_is_too_large_or_of_other_bands_says_that_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(colors()).save(tmp_path / "x.png")
    (tmp_path / "bands.tif").write_bytes(b"II*\0" + bytes(60))
    with pytest.raises(DatasetError, match=r"bands\.tif: bands or depth of this TIFF are none that"):
        predictor_of()(tmp_path / "bands.tif")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DatasetError, match=r"too large to be opened whole; cut it into tiles, or shrink it$"):
        predictor_of()(tmp_path / "x.png")


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    predictor = predictor_of()
    with pytest.raises(DatasetError, match="there is no such file"):
        predictor(tmp_path / "none.png")
    stream = io.BytesIO()
    Image.fromarray(colors(200, 300)).save(stream, "PNG")
    with pytest.raises(DatasetError, match="damaged or cut off"):
        predictor(Image.open(io.BytesIO(stream.getvalue()[:3000])))
    four = Predictor(Brightness(4), BINARY, (20, 30), bands=Bands(numbers=(1, 2, 3, 4), ranges=((0.0, 1.0),) * 4))
    with pytest.raises(PredictionError, match=r"reads 4 bands of files; give a path, or an array of shape \(H, W, 4\)"):
        four(Image.fromarray(colors()))
    assert four(colors(channels=4)).mask.shape == (20, 30)


def test_an_overlay_is_an_array_and_shows_itself(tmp_path: Path) -> None:
    image = colors()
    overlay = predictor_of()(image).overlay()
    assert isinstance(overlay, np.ndarray)
    assert (overlay.shape, overlay.dtype) == ((20, 30, 3), np.uint8)
    png = overlay._repr_png_()
    assert png is not None
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png))), overlay)
    Image.fromarray(overlay).save(tmp_path / "o.png")
    np.testing.assert_array_equal(read_image(tmp_path / "o.png"), overlay)
    assert torch.from_numpy(overlay).shape == (20, 30, 3)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(overlay)), overlay)  # noqa: S301
    assert overlay[:10]._repr_png_() is not None
    assert Picture(overlay[..., 0])._repr_png_() is None
    assert (overlay / 255.0)._repr_png_() is None
    assert float(overlay.mean()) == pytest.approx(float(np.asarray(overlay).mean()))


def test_a_predictor_shows_itself() -> None:
    page = predictor_of(threshold=0.3, tta="flips")._repr_html_()
    words = re.sub("<[^>]*>", " ", page)
    assert "back&lt;ground" in page
    assert "rgb(1,2,3)" in page
    for told in ("Brightness, 1 parameters", "20 x 30 pixels", "threshold  0.3", "tta  flips", "device  cpu"):
        assert told in words
    several = Predictor(Ensemble([Brightness(), Brightness()], Task.BINARY), BINARY, (20, 30))
    assert "2 averaged: Brightness, 2 parameters" in several._repr_html_()
