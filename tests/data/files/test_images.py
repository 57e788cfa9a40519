"""Right pixels out of every kind of file, and a reason for each file that cannot give them."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from tests.data._rasters import save

from segbench.data.files.images import decode_image, image_facts, read_image, read_mask_values
from segbench.errors import DatasetError


@pytest.fixture
def picture() -> np.ndarray:
    """(4, 6, 3) uint8, every pixel another colour."""
    return np.random.default_rng(0).integers(0, 256, size=(4, 6, 3), dtype=np.uint8)


@pytest.mark.slow
def test_reading_files_does_not_import_torch() -> None:
    import subprocess

    code = (
        "import sys, segbench.data.manifest.read, segbench.data.split.divide, segbench.data.formats.folder\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp"])
def test_lossless_formats_give_the_exact_pixels(tmp_path: Path, picture: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(picture).save(path, **({"lossless": True} if suffix == "webp" else {}))
    assert np.array_equal(read_image(path), picture)


def test_content_decides_not_the_extension(tmp_path: Path, picture: np.ndarray) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(picture).save(path, format="PNG")
    assert np.array_equal(read_image(path), picture)


def test_jpeg_and_single_frame_gif(tmp_path: Path) -> None:
    flat = np.full((8, 8, 3), (200, 30, 90), dtype=np.uint8)
    Image.fromarray(flat).save(tmp_path / "a.jpg", quality=95)
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - flat).max() <= 3
    Image.fromarray(flat).save(tmp_path / "a.gif")
    assert np.array_equal(read_image(tmp_path / "a.gif"), flat)


@pytest.mark.parametrize("shrink", [2, 3, 4, 9])
def test_a_jpeg_decoded_small_is_the_shrunk_picture(tmp_path: Path, shrink: int) -> None:
    """Not smaller than asked, upright, and like the whole picture averaged."""
    coarse = np.random.default_rng(1).integers(0, 256, size=(5, 8, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(coarse).resize((192, 128)).save(tmp_path / "a.jpg", quality=95, exif=exif)
    small, look = decode_image(tmp_path / "a.jpg", shrink=shrink)
    scale = {2: 2, 3: 2, 4: 4, 9: 8}[shrink]
    assert (small.mode, small.size, look.orientation) == ("L", (128 // scale, 192 // scale), 6)
    whole = Image.fromarray(read_image(tmp_path / "a.jpg")).convert("L").reduce(scale)
    assert np.abs(np.asarray(small, dtype=int) - np.asarray(whole)).mean() < 2


def test_exif_orientation_6_turns_clockwise(tmp_path: Path) -> None:
    stored = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[9, 9, 9], [99, 99, 99], [199, 199, 199]]], np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    pixels = read_image(tmp_path / "a.png")
    assert pixels.shape == (3, 2, 3)
    assert pixels[0, 1].tolist() == [255, 0, 0]  # stored top left is shown top right
    assert pixels[0, 0].tolist() == [9, 9, 9]
    assert pixels[2, 1].tolist() == [0, 0, 255]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_every_orientation_agrees_with_pillow(
    tmp_path: Path, picture: np.ndarray, orientation: int, suffix: str
) -> None:
    path = tmp_path / f"a.{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(picture).save(path, exif=exif, **({"lossless": True} if suffix == "webp" else {}))
    image = Image.fromarray(picture)
    image.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(read_image(path), expected)
    assert np.array_equal(read_mask_values(path), expected)
    facts = image_facts(path)
    assert (facts.height, facts.width) == expected.shape[:2]


def test_facts_hash_the_bytes(tmp_path: Path, picture: np.ndarray) -> None:
    Image.fromarray(picture).save(tmp_path / "a.png")
    facts = image_facts(tmp_path / "a.png")
    assert (facts.height, facts.width) == (4, 6)
    assert facts.sha256 == hashlib.sha256((tmp_path / "a.png").read_bytes()).hexdigest()


def test_grey_palette_and_cmyk_become_rgb(tmp_path: Path) -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert np.array_equal(read_image(tmp_path / "grey.png"), np.repeat(grey[:, :, None], 3, axis=2))
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), mode=None).convert("P")
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.save(tmp_path / "palette.png")
    assert read_image(tmp_path / "palette.png").tolist() == [[[10, 20, 30], [40, 50, 60]]]
    Image.new("CMYK", (2, 2), (0, 255, 255, 0)).save(tmp_path / "cmyk.tif")
    assert read_image(tmp_path / "cmyk.tif")[0, 0].tolist() == [255, 0, 0]


def test_opaque_alpha_is_dropped_without_a_note(tmp_path: Path, picture: np.ndarray) -> None:
    rgba = np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])
    Image.fromarray(rgba).save(tmp_path / "a.png")
    notes: list[str] = []
    assert np.array_equal(read_image(tmp_path / "a.png", notes=notes), picture)
    assert notes == []


def test_transparency_is_laid_over_black_and_noted(tmp_path: Path) -> None:
    rgba = np.array([[[200, 100, 50, 255], [200, 100, 50, 0], [200, 100, 50, 128], [1, 2, 3, 255]]], np.uint8)
    Image.fromarray(rgba).save(tmp_path / "a.png")
    notes: list[str] = []
    pixels = read_image(tmp_path / "a.png", notes=notes)
    assert pixels.tolist() == [[[200, 100, 50], [0, 0, 0], [100, 50, 25], [1, 2, 3]]]
    assert notes == ["a.png: 50.0% of the pixels are transparent and were laid over black"]


def _deep(path: Path, mode: str) -> Path:
    values = np.array([[100, 1100], [2100, 4100]])
    if mode == "I;16B":
        Image.frombytes("I;16B", (2, 2), values.astype(">u2").tobytes()).save(path)
    else:
        Image.fromarray(values.astype({"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode])).save(path)
    return path


@pytest.mark.parametrize(
    ("mode", "suffix"), [("I;16", "png"), ("I;16", "tif"), ("I;16B", "tif"), ("I", "tif"), ("F", "tif")]
)
def test_deep_grey_needs_a_range_and_is_then_linear(tmp_path: Path, mode: str, suffix: str) -> None:
    path = _deep(tmp_path / f"a.{suffix}", mode)
    with pytest.raises(DatasetError, match=r"more than 8 bit .*values 100 to 4100.*depth_range: \[100, 4100\]"):
        read_image(path)
    pixels = read_image(path, depth_range=(100, 2100))
    assert pixels.dtype == np.uint8
    assert pixels[:, :, 0].tolist() == [[0, 128], [255, 255]]  # 1100 is the middle, 4100 is clipped
    assert np.array_equal(pixels[:, :, 0], pixels[:, :, 2])


def test_depth_range_leaves_8_bit_alone(tmp_path: Path, picture: np.ndarray) -> None:
    Image.fromarray(picture).save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png", depth_range=(0, 65535)), picture)


def test_palette_mask_gives_indices_and_on_request_colours(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1, 255]], np.uint8)).convert("P")
    image.putpalette([0, 0, 0, 128, 0, 0] + [7] * (254 * 3))
    image.save(tmp_path / "m.png")
    assert read_mask_values(tmp_path / "m.png").tolist() == [[0, 1, 255]]
    assert read_mask_values(tmp_path / "m.png", colors=True)[0, 1].tolist() == [128, 0, 0]


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_one_bit_mask_gives_0_and_255(tmp_path: Path, suffix: str) -> None:
    mask = np.array([[True, False, True]])
    Image.fromarray(mask).save(tmp_path / f"m.{suffix}")
    assert read_mask_values(tmp_path / f"m.{suffix}").tolist() == [[255, 0, 255]]


@pytest.mark.parametrize("bits", [2, 4])
def test_small_grey_png_gives_the_labels_that_were_written(tmp_path: Path, bits: int) -> None:
    """Pillow spreads 2-bit and 4-bit grey over 0-255 on loading, which would turn class 1 into 85 or 17."""
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    row = b"\x00" + (bytes([0b00011011]) if bits == 2 else bytes([0x01, 0x23]))
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 1, bits, 0, 0, 0, 0))
    (tmp_path / "m.png").write_bytes(png + chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b""))
    assert read_mask_values(tmp_path / "m.png").tolist() == [[0, 1, 2, 3]]


def test_rgb_mask_of_greys_counts_as_grey(tmp_path: Path) -> None:
    grey = np.array([[0, 255], [255, 0]], np.uint8)
    Image.fromarray(np.repeat(grey[:, :, None], 3, axis=2)).save(tmp_path / "m.bmp")
    assert np.array_equal(read_mask_values(tmp_path / "m.bmp"), grey)
    coloured = np.repeat(grey[:, :, None], 3, axis=2)
    coloured[0, 0, 1] = 1
    Image.fromarray(coloured).save(tmp_path / "c.png")
    assert np.array_equal(read_mask_values(tmp_path / "c.png"), coloured)


def test_16_bit_mask_keeps_its_values_and_float_masks_must_be_whole(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 40000]], np.uint16)).save(tmp_path / "m.png")
    values = read_mask_values(tmp_path / "m.png")
    assert values.dtype == np.uint16
    assert values.tolist() == [[0, 40000]]
    Image.fromarray(np.array([[0.0, 3.0]], np.float32)).save(tmp_path / "f.tif")
    assert read_mask_values(tmp_path / "f.tif").tolist() == [[0, 3]]
    Image.fromarray(np.array([[0.0, 0.5]], np.float32)).save(tmp_path / "g.tif")
    with pytest.raises(DatasetError, match=r"whole numbers from 0 to 65535, got float32 values 0 to 0\.5"):
        read_mask_values(tmp_path / "g.tif")


@pytest.mark.parametrize("suffix", ["gif", "tif", "png", "webp"])
def test_several_frames_are_refused(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "green", "blue")]
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:])
    with pytest.raises(DatasetError, match=r"expected one picture, got a \w+ file with 3 frames") as caught:
        read_image(tmp_path / f"a.{suffix}")
    assert caught.value.path == str(tmp_path / f"a.{suffix}")


def test_a_jpeg_with_previews_is_one_picture(tmp_path: Path) -> None:
    """Cameras write MPO: a JPEG with smaller copies behind it. The first one is the photo."""
    first, preview = Image.new("RGB", (16, 8), (200, 30, 90)), Image.new("RGB", (8, 4), "blue")
    first.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[preview], quality=95)
    pixels = read_image(tmp_path / "a.jpg")
    assert pixels.shape == (8, 16, 3)
    assert np.abs(pixels.astype(int) - (200, 30, 90)).max() <= 3


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif", "webp"])
@pytest.mark.parametrize("share", [0.3, 0.7])
def test_truncated_files_are_refused(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"a.{suffix}"
    noise = np.random.default_rng(1).integers(0, 256, size=(64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(DatasetError, match=r"damaged or cut off|not an image") as caught:
        read_image(path)
    assert str(path) in str(caught.value)
    with pytest.raises(DatasetError, match=str(path.name)):
        read_mask_values(path)


def test_files_that_are_no_images_say_so(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("hello, world")
    with pytest.raises(DatasetError, match=r"not an image segbench can read .*begins with b'hello, w'"):
        read_image(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"")
    with pytest.raises(DatasetError, match="the file is empty"):
        image_facts(tmp_path / "b.png")
    with pytest.raises(DatasetError, match="there is no such file"):
        read_mask_values(tmp_path / "c.png")


@pytest.mark.parametrize("limit", [40, 20])
def test_huge_images_are_an_error_not_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)  # 64 pixels: above the limit, and above twice the limit
    with pytest.raises(DatasetError, match=r"too large to open safely.*geotiff.*option window: 512"):
        read_image(tmp_path / "a.png")


def test_a_tiff_with_unusual_bands_is_sent_to_the_reader_that_knows_them(tmp_path: Path) -> None:
    save(tmp_path / "a.tif", np.zeros((5, 8, 8), np.uint16))
    with pytest.raises(DatasetError, match=r"data\.format: geotiff"):
        read_image(tmp_path / "a.tif")


@pytest.mark.data
def test_pets_with_a_wrong_extension(real_data) -> None:
    folder = real_data("oxford_pets_original") / "images"
    with Image.open(folder / "Abyssinian_34.jpg") as gif, Image.open(folder / "Abyssinian_5.jpg") as png:
        assert (gif.format, png.format, png.mode) == ("GIF", "PNG", "RGBA")
        expected = np.asarray(gif.convert("RGB")), np.asarray(png)[:, :, :3]
    assert np.array_equal(read_image(folder / "Abyssinian_34.jpg"), expected[0])
    assert np.array_equal(read_image(folder / "Abyssinian_5.jpg"), expected[1])


@pytest.mark.data
def test_ph2_masks_of_1_and_24_bit(real_data) -> None:
    inner = real_data("ph2_original") / "PH2 Dataset images"
    for case in ("IMD002", "IMD003"):
        values = read_mask_values(inner / case / f"{case}_lesion" / f"{case}_lesion.bmp")
        assert values.ndim == 2
        assert np.unique(values).tolist() == [0, 255]
