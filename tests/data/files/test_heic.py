"""Photos of phones: HEIC files, which Pillow reads with a package more."""

from __future__ import annotations

import io
import struct
import sys
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from segbench.data.files.images import file_look, image_facts, read_image
from segbench.data.formats.shared.listing import image_files
from segbench.data.manifest.read import read_dataset
from segbench.errors import DatasetError

WIDTH, HEIGHT = 64, 48


def photo() -> Image.Image:
    """Returns a picture whose upper left quarter is red, the rest blue."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    pixels[:, :, 2] = 255
    pixels[: HEIGHT // 2, : WIDTH // 2] = (255, 0, 0)
    return Image.fromarray(pixels)


def red(pixels: np.ndarray) -> tuple[slice, slice]:
    """Returns rows and columns of the red pixels."""
    rows, columns = np.nonzero((pixels[:, :, 0] > 200) & (pixels[:, :, 2] < 60))
    return slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)


def near(found: tuple[slice, slice], rows: tuple[int, int], columns: tuple[int, int]) -> bool:
    """Returns whether a box is that one, but for two pixels of lossy colour."""
    told = (found[0].start, found[0].stop, found[1].start, found[1].stop)
    return all(abs(one - other) <= 2 for one, other in zip(told, (*rows, *columns), strict=True))


def turned(data: bytes, quarters: int) -> bytes:
    """Returns a HEIC file with the property that phones write: turn it so many quarters to the left (ISO 23008-12)."""

    def add(at: bytes, number: int) -> None:
        place = changed.index(at) - 4
        changed[place : place + 4] = struct.pack(">I", struct.unpack(">I", changed[place : place + 4])[0] + number)

    changed = bytearray(data)
    entry = changed.index(b"ipma") + 4 + 4 + 4 + 2  # version and flags, one entry, its item
    properties = changed[entry]
    changed[entry] += 1
    changed.insert(entry + 1 + properties, 0x80 | (properties + 1))  # essential, and the last of the list
    changed[changed.index(b"ipma") - 4 : changed.index(b"ipma") - 4] = struct.pack(">I4sB", 9, b"irot", quarters)
    for name, more in ((b"ipma", 1), (b"ipco", 9), (b"iprp", 10), (b"meta", 10)):
        add(name, more)
    extent = changed.index(b"iloc") + 4 + 4 + 2 + 2 + 2 + 2 + 4 + 2  # version, sizes, count, item, file, base, extents
    changed[extent : extent + 4] = struct.pack(">I", struct.unpack(">I", changed[extent : extent + 4])[0] + 10)
    return bytes(changed)


@pytest.mark.parametrize(("quarters", "exif"), [(0, 1), (1, 8), (2, 3), (3, 6)])
def test_a_phone_s_photo_is_turned_once_as_the_same_jpeg(tmp_path: Path, quarters: int, exif: int) -> None:
    pillow_heif.register_heif_opener()
    told = Image.Exif()
    told[0x0112] = exif
    photo().save(tmp_path / "a.jpg", quality=95, exif=told)
    plain = io.BytesIO()
    pillow_heif.from_pillow(photo()).save(plain, quality=95)
    (tmp_path / "a.heic").write_bytes(turned(plain.getvalue(), quarters) if quarters else plain.getvalue())
    heic, jpeg = read_image(tmp_path / "a.heic"), read_image(tmp_path / "a.jpg")
    assert heic.shape == jpeg.shape == ((WIDTH, HEIGHT, 3) if quarters % 2 else (HEIGHT, WIDTH, 3))
    box = red(jpeg)
    assert near(red(heic), (box[0].start, box[0].stop), (box[1].start, box[1].stop))
    facts = image_facts(tmp_path / "a.heic")
    assert (facts.height, facts.width) == heic.shape[:2]
    assert file_look(tmp_path / "a.heic").orientation == 1


def test_what_exif_says_is_done_by_the_decoder_alone(tmp_path: Path) -> None:
    pillow_heif.register_heif_opener()
    told = Image.Exif()
    told[0x0112] = 6
    photo().save(tmp_path / "a.heic", quality=95, exif=told)
    with Image.open(tmp_path / "a.heic") as image:
        assert read_image(tmp_path / "a.heic").shape == (image.height, image.width, 3)


def test_a_folder_of_heic_photos_is_read(tmp_path: Path) -> None:
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    mask[: HEIGHT // 2, : WIDTH // 2] = 255
    for name in ("a", "b"):
        pillow_heif.from_pillow(photo()).save(tmp_path / "images" / f"{name}.HEIC", quality=95)
        Image.fromarray(mask).save(tmp_path / "masks" / f"{name}.png")
    assert len(image_files(tmp_path / "images")) == 2
    manifest = read_dataset(tmp_path)
    assert [sample.foreground_frac for sample in manifest.samples] == [0.25, 0.25]
    assert not manifest.notes


def test_without_the_package_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pillow_heif.from_pillow(photo()).save(tmp_path / "a.heic")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(DatasetError, match=r"pip install 'segbench\[heic\]'"):
        read_image(tmp_path / "a.heic")


@pytest.mark.parametrize("kept", [0.5, 0.95])
def test_a_damaged_one_is_refused(tmp_path: Path, kept: float) -> None:
    pillow_heif.from_pillow(photo()).save(tmp_path / "a.heic")
    data = (tmp_path / "a.heic").read_bytes()
    (tmp_path / "a.heic").write_bytes(data[: int(kept * len(data))])
    with pytest.raises(DatasetError, match="damaged or cut off"):
        read_image(tmp_path / "a.heic")
