"""What clients send that is no ordinary image: answered, or refused in a sentence; never a 500, never long, no file."""

from __future__ import annotations

import io
import json
import struct
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save

from segbench.data.files.bands import Bands
from segbench.predict.bundle_file import ModelBundle, NetworkSpec
from segbench.predict.bundle_members import Member
from segbench.predict.pipeline import PipelineSettings
from segbench.predict.predictor import Predictor
from segbench.serve.answers import ServeError
from segbench.serve.settings import ServeSettings
from segbench.serve.uploads import judge_upload, read_upload
from segbench.types import ClassMap, Normalization, Task

RNG = np.random.default_rng(0)
RGB = Image.fromarray(RNG.integers(0, 256, (60, 80, 3), dtype=np.uint8))


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    data = io.BytesIO()
    picture.save(data, kind, **options)
    return data.getvalue()


def png_of(width: int, height: int) -> bytes:
    """Returns a PNG that says so, and holds next to nothing."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def tiff_of(pages: int = 1, tile: int = 16) -> bytes:
    """Returns a TIFF of 16 x 16 pixels in tiles of another size, many times."""
    content = zlib.compress(bytes(1000))
    length = 2 + 12 * 8 + 4
    parts = [b"II*\0", struct.pack("<I", 8)]
    end = 8 + pages * length
    for page in range(pages):
        tags = [(256, 16), (257, 16), (258, 8), (259, 8), (262, 1), (322, tile), (323, tile), (324, end)]
        parts.append(struct.pack("<H", len(tags)))
        parts += [struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags]
        parts.append(struct.pack("<I", 8 + (page + 1) * length if page < pages - 1 else 0))
    return b"".join([*parts, content])


def jpeg_of_scans(times: int) -> bytes:
    """Returns a progressive JPEG whose last scan is repeated."""
    data = encoded(RGB, "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * times + b"\xff\xd9"


def upright() -> bytes:
    turned = Image.Exif()
    turned[274] = 6
    return encoded(RGB, "JPEG", exif=turned)


ANSWERED = {
    "png": (encoded(RGB, "PNG"), (60, 80)),
    "cmyk jpeg": (encoded(RGB.convert("CMYK"), "JPEG"), (60, 80)),
    "cmyk tiff": (encoded(RGB.convert("CMYK"), "TIFF"), (60, 80)),
    "one pixel": (encoded(RGB.crop((0, 0, 1, 1)), "PNG"), (1, 1)),
    "30,000 wide": (encoded(Image.new("RGB", (30_000, 20)), "PNG"), (20, 30_000)),
    "a line": (encoded(Image.new("RGB", (30_000, 1)), "PNG"), (1, 30_000)),
    "turned by exif": (upright(), (80, 60)),
    "palette": (encoded(RGB.convert("P"), "PNG"), (60, 80)),
    "alpha": (encoded(RGB.convert("RGBA"), "PNG"), (60, 80)),
    "one bit": (encoded(RGB.convert("1"), "PNG"), (60, 80)),
    "webp": (encoded(RGB, "WEBP"), (60, 80)),
    "gif of one frame": (encoded(RGB, "GIF"), (60, 80)),
    "bmp": (encoded(RGB, "BMP"), (60, 80)),
}

_NOT_ONE = "not an image segbench can read (PNG, JPEG, BMP, TIFF, WebP, GIF or HEIC); the file begins with"
_CUT = "the image is damaged or cut off and cannot be decoded"
_FRAMES = "expected one picture, got a {} file with {} frames or pages; save each as a file of its own"
_DEEP = "the image has more than 8 bit (values"
_MANY = "expected at most 50,000,000 pixels, got"
_MORE = [RGB.rotate(9), RGB.rotate(20)]

REFUSED = {
    "nothing": (b"", 400, "expected an image file (PNG, JPEG, BMP, TIFF, WebP, GIF or HEIC), got an empty body"),
    "text": (b"hello", 415, f"{_NOT_ONE} b'hello'"),
    "pdf": (b"%PDF-1.7\n", 415, f"{_NOT_ONE} b'%PDF-1.7'"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 415, _NOT_ONE),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, _NOT_ONE),
    "fits": (b"SIMPLE  =                    T", 415, _NOT_ONE),
    "json with an image": (b'{"imageData": "aaaa"}', 415, _NOT_ONE),
    "png cut off": (encoded(RGB, "PNG")[:3000], 422, _CUT),
    "jpeg cut off": (encoded(RGB, "JPEG")[:900], 422, _CUT),
    "animated gif": (
        encoded(RGB, "GIF", save_all=True, append_images=_MORE), 422, _FRAMES.format("GIF", 3),
    ),
    "animated webp": (encoded(RGB, "WEBP", save_all=True, append_images=_MORE), 422, _FRAMES.format("WEBP", 3)),
    "animated png": (encoded(RGB, "PNG", save_all=True, append_images=_MORE), 422, _FRAMES.format("PNG", 3)),
    "tiff of pages": (encoded(RGB, "TIFF", save_all=True, append_images=_MORE), 422, _FRAMES.format("TIFF", 3)),
    "tiff of a million pages": (tiff_of(250_000), 422, _FRAMES.format("TIFF", "several")),
    "16 bit": (encoded(Image.fromarray(RNG.integers(0, 65536, (60, 80), dtype=np.uint16)), "PNG"), 422, _DEEP),
    "floats": (encoded(Image.fromarray(RNG.random((60, 80), dtype=np.float32)), "TIFF"), 422, _DEEP),
    "60 megapixels": (png_of(10_000, 6_000), 413, f"{_MANY} 10,000 x 6,000 (width x height); send it as a job"),
    "400 megapixels": (png_of(20_000, 20_000), 413, f"{_MANY} more; send it as a job, or a smaller one"),
    "as many as there are": (png_of(2**31 - 1, 2**31 - 1), 413, f"{_MANY} more"),
    "a small tiff in a huge tile": (tiff_of(tile=1 << 15), 413, f"{_MANY} 32,768 x 32,768 (width x height)"),
    "a jpeg of many scans": (jpeg_of_scans(5000), 422, "a JPEG file of 5010 scans takes too long to decode"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Sees that nothing that was sent is written to disk."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))  # whoever writes there fails
    yield
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("name", ANSWERED)
def test_unusual_images_are_answered(client: Any, name: str) -> None:
    data, (height, width) = ANSWERED[name]
    found = client.post("/v1/predict", files={"image": data}).json()
    assert (found["height"], found["width"]) == (height, width), found


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_image_for_it_is_told(client: Any, name: str) -> None:
    data, status, told = REFUSED[name]
    began = time.perf_counter()
    answer = client.post("/v1/predict", content=data)
    assert time.perf_counter() - began < 5
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["message"].startswith(told), answer.text


def test_a_heic_photo_is_answered_and_half_of_one_is_told(client: Any) -> None:
    pytest.importorskip("pillow_heif").register_heif_opener()
    data = encoded(RGB, "HEIF")
    assert client.post("/v1/predict", content=data).json()["height"] == 60
    answer = client.post("/v1/predict", content=data[:400])
    assert answer.status_code == 415
    told = "the HEIC photo is damaged or cut off and cannot be decoded; copy it again"
    assert answer.json()["error"]["message"] == told


def test_a_form_larger_than_a_megabyte_stays_in_memory(client: Any) -> None:
    data = encoded(Image.fromarray(RNG.integers(0, 256, (1000, 1000, 3), dtype=np.uint8)), "PNG")
    assert len(data) > 2 << 20
    assert client.post("/v1/predict", files={"image": data}).status_code == 200


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """Returns a network of four bands of 16 bit."""
    normal = Normalization(mean=(0.5,) * 4, std=(0.25,) * 4)
    spec = NetworkSpec(
        name="unet_nearest", options={"widths": [4]}, in_channels=4, out_channels=1, normalization=normal
    )
    classes = ClassMap(names=("ground", "field"), values=((0,), (1,)), task=Task.BINARY)
    path = tmp_path_factory.mktemp("bands") / "bands.segbench"
    tensors = {name: tensor.contiguous() for name, tensor in spec.build().state_dict().items()}
    bands = Bands(numbers=(1, 2, 3, 4), ranges=((0.0, 4000.0),) * 4)
    ModelBundle(
        settings=PipelineSettings(class_map=classes, size=(32, 32), normalization=normal, bands=bands),
        networks=(spec,),
        weight_files=(Member.of_bytes("weights_0.safetensors", save(tensors)),),
        source=path,
    ).write(path)
    return Predictor.load(path)


def geotiff(count: int = 4, side: int = 40) -> bytes:
    rasterio = pytest.importorskip("rasterio")
    place = rasterio.Affine(2.0, 0.0, 500_000.0, 0.0, -2.0, 5_000_000.0)
    values = RNG.integers(0, 4000, (count, side, side), dtype=np.uint16)
    with rasterio.MemoryFile() as file:
        with file.open(
            driver="GTiff", width=side, height=side, count=count, dtype="uint16", crs="EPSG:32633", transform=place
        ) as target:
            target.write(values)
        return bytes(file.read())


def test_a_raster_of_bands_is_read_in_memory(predictor: Predictor, tmp_path: Path) -> None:
    data = geotiff()
    (tmp_path / "a.tif").write_bytes(data)
    expected, _ = predictor.pipeline.read(tmp_path / "a.tif")
    found, nodata = read_upload(judge_upload(data, predictor, ServeSettings()), predictor)
    assert np.array_equal(found, expected)
    assert nodata is not None
    assert not nodata.any()


def test_areas_of_a_raster_are_square_metres(predictor: Predictor) -> None:
    from starlette.testclient import TestClient

    from segbench.serve.app import create_app
    from segbench.serve.models import Models, ServedModel

    app = create_app(Models([ServedModel("fields", predictor, ServeSettings())]), ServeSettings())
    with TestClient(app, base_url="http://localhost") as client:
        found = client.post("/v1/predict?with=polygons&mm_per_px=9", content=geotiff()).json()
        assert found["areas"]["field"]["m2"] == 4 * found["areas"]["field"]["px"]
        assert "mm2" not in found["areas"]["field"]
        assert found["polygons"]["crs"]["properties"]["name"].endswith("32633")
        answer = client.post("/v1/predict?as=zip", content=geotiff())
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            assert json.loads(archive.read("answer.json"))["areas"].keys() == {"ground", "field"}
    client.close()


@pytest.mark.parametrize(
    ("data", "status", "told"),
    [
        (lambda: b"<VRTDataset><SourceFilename>/etc/passwd</SourceFilename></VRTDataset>", 415, "expected a GeoTIFF"),
        (lambda: b"hello", 415, "expected a GeoTIFF (or PNG, JPEG), as this network learnt from, got b'hello'"),
        (lambda: geotiff()[:200], 422, "not an image that can be read by windows, or damaged or cut off"),
        (lambda: geotiff(2), 422, "there is no band 3, 4: the file has 2 bands"),
        (lambda: tiff_of(tile=1 << 15), 413, "1 bands of 16 x 16 pixels need"),
        (lambda: b"", 400, "expected an image file"),
    ],
    ids=["vrt", "text", "cut off", "two bands", "huge tile", "nothing"],
)
def test_no_raster_for_it_is_told(predictor: Predictor, data: Callable[[], bytes], status: int, told: str) -> None:
    with pytest.raises(ServeError) as refused:
        read_upload(judge_upload(data(), predictor, ServeSettings()), predictor)
    assert refused.value.status == status
    assert refused.value.message.startswith(told)
    assert "vsimem" not in refused.value.message


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(sorted(ANSWERED)),
    changes=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=4)), max_size=6),
    cut=st.floats(0, 1),
)
def test_damaged_files_are_answered_or_refused(
    bundles: dict[str, Path], kind: str, changes: list[tuple[float, bytes]], cut: float
) -> None:
    data = bytearray(ANSWERED[kind][0])
    for place, new in changes:
        start = int(place * len(data))
        data[start : start + len(new)] = new
    found = status_of(bytes(data[: int(cut * len(data)) if cut < 0.5 else None]), loaded(bundles["lesion"]))
    assert found in (200, 400, 413, 415, 422)


@cache
def loaded(path: Path) -> Predictor:
    return Predictor.load(path)


def status_of(data: bytes, predictor: Predictor) -> int:
    try:
        image, _ = read_upload(judge_upload(data, predictor, ServeSettings(most_px=3_000_000)), predictor)
    except ServeError as error:
        return error.status
    assert image.dtype == np.uint8
    assert image.shape[0] * image.shape[1] <= 3_000_000
    return 200
