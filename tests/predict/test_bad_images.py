"""Image files that are no ordinary photo: predicted, or refused with what to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segbench.models import build_network
from segbench.predict.files import predict_files
from segbench.predict.predictor import Predictor
from segbench.types import ORIGINAL, ClassMap, Size, Task

BINARY = ClassMap(names=("background", "spot"), values=((0,), (255,)), task=Task.BINARY)
RNG = np.random.default_rng(0)


def pixels(height: int, width: int) -> np.ndarray:
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


def write(path: Path, kind: str) -> None:
    if kind == "animated":
        first, *rest = (Image.fromarray(pixels(30, 40)) for _ in range(3))
        first.save(path, format="GIF", save_all=True, append_images=rest)
    elif kind == "pages":
        first, *rest = (Image.fromarray(pixels(30, 40)) for _ in range(3))
        first.save(path, format="TIFF", save_all=True, append_images=rest)
    elif kind == "cmyk":
        Image.fromarray(pixels(30, 40)).convert("CMYK").save(path, format="JPEG")
    elif kind == "deep":
        Image.fromarray(RNG.integers(0, 65536, (30, 40), dtype=np.uint16)).save(path, format="PNG")
    elif kind == "truncated":
        Image.fromarray(pixels(300, 400)).save(path, format="JPEG")
        path.write_bytes(path.read_bytes()[:9000])
    elif kind == "pixel":
        Image.fromarray(pixels(1, 1)).save(path, format="PNG")
    elif kind == "line":
        Image.fromarray(pixels(1, 30_000)).save(path, format="PNG")
    elif kind == "empty":
        path.write_bytes(b"")


REFUSED = {
    "animated": "expected one picture, got a GIF file with 3 frames or pages; save each as a file of its own",
    "pages": "expected one picture, got a TIFF file with 3 frames or pages",
    "deep": ", and this network learnt from images of 8 bit; save it with 8 bit",
    "truncated": "the image is damaged or cut off and cannot be decoded",
    "empty": "the file is empty",
}
SIZES = {"cmyk": (30, 40), "pixel": (1, 1), "line": (1, 30_000)}


@pytest.mark.parametrize("size", [(32, 48), ORIGINAL], ids=["resized", "as they are"])
def test_each_is_predicted_or_told(tmp_path: Path, size: Size) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for kind in (*REFUSED, *SIZES):
        write(folder / f"{kind}.png", kind)
    predictor = Predictor(build_network("unet_nearest", widths=[4, 8]), BINARY, size)
    done = predict_files(predictor, [folder], out)
    assert set(done.written) == set(SIZES)
    for kind, (height, width) in SIZES.items():
        with Image.open(out / "masks" / f"{kind}.png") as mask, Image.open(out / "overlays" / f"{kind}.jpg") as drawn:
            assert mask.size == drawn.size == (width, height)
    for kind, reason in REFUSED.items():
        assert reason in done.failed[str(folder / f"{kind}.png")]
