"""What is written is read by the tools that own the formats: their own code finds every image, part, name and pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask

from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_dataset
from segbench.data.sources.load import load_sample
from segbench.data.writers import WriteOptions
from segbench.data.writers.convert import convert
from segbench.data.writers.labelstudio import encode_brush
from segbench.types import SPLITS

# Format of segbench -> what Datumaro calls it. Of LabelMe it knows the XML form alone, of YOLO and VIA only boxes.
THEIR_NAMES = {"coco": "coco_instances", "cvat": "cvat", "voc": "voc_segmentation"}
PARTS = {"train": "train", "val": "val", "test": "test", "Train": "train", "Validation": "val", "Test": "test"}


@pytest.fixture(params=[False, True], ids=["no parts", "parts"])
def manifest(request: pytest.FixtureRequest, tmp_path: Path) -> Manifest:
    """Returns six noisy pairs of three classes, with holes, islands and single pixels."""
    rng = np.random.default_rng(5)
    for number in range(6):
        home = tmp_path / "in" / SPLITS[number % 3] if request.param else tmp_path / "in"
        mask = np.kron(rng.integers(0, 3, (6, 8), dtype=np.uint8), np.ones((4, 5), dtype=np.uint8))
        mask[rng.random(mask.shape) < 0.05] = 2
        for name, values in (("images", rng.integers(0, 256, (24, 40, 3), dtype=np.uint8)), ("masks", mask)):
            (home / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(home / name / f"i{number}.png")
    return read_dataset(tmp_path / "in", "folder", classes={"background": 0, "tree": 1, "house": 2})


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of their code
@pytest.mark.parametrize(
    ("to", "rle"), [("coco", False), ("coco", True), ("cvat", False), ("cvat", True), ("voc", False)]
)
def test_datumaro_reads_every_pixel(manifest: Manifest, tmp_path: Path, to: str, rle: bool) -> None:
    import datumaro
    from datumaro.components.environment import Environment

    out = tmp_path / "out"
    convert(manifest, to, out, options=WriteOptions(rle=rle))
    assert THEIR_NAMES[to] in Environment().detect_dataset(str(out))
    found = datumaro.Dataset.import_from(str(out), THEIR_NAMES[to])
    names = [label.name for label in found.categories()[datumaro.AnnotationType.label]]
    samples = {Path(sample.id).name: sample for sample in manifest.samples}
    items = {Path(item.id).name: item for item in found}
    assert items.keys() == samples.keys()
    for name, sample in samples.items():
        assert PARTS.get(items[name].subset) == sample.split
        truth = load_sample(manifest, sample)[1]
        drawn = np.zeros_like(truth)
        regions = (datumaro.AnnotationType.polygon, datumaro.AnnotationType.mask)  # COCO's boxes repeat them
        for annotation in items[name].annotations:
            if annotation.type in regions and names[annotation.label] in manifest.class_map.names[1:]:
                drawn[pixels(annotation, truth.shape)] = manifest.class_map.names.index(names[annotation.label])
        assert np.array_equal(drawn, truth)


def pixels(annotation: Any, size: tuple[int, ...]) -> NDArray[np.bool_]:
    """Returns what an annotation of theirs covers; polygons by COCO's rule."""
    if hasattr(annotation, "points"):
        return coco_mask.decode(coco_mask.frPyObjects([annotation.points], *size))[..., 0].astype(bool)
    return np.asarray(annotation.image).astype(bool)


def test_yolo_names_the_parts_that_ultralytics_insists_on(manifest: Manifest, tmp_path: Path) -> None:
    from ruamel.yaml import YAML

    convert(manifest, "yolo", tmp_path / "out")
    plain = YAML(typ="safe").load((tmp_path / "out" / "data.yaml").read_text(encoding="utf-8"))
    assert {"train", "val", "names"} <= plain.keys()
    assert "path" not in plain  # where it is given, they look for it in the folder they were started in
    for part in SPLITS:
        if part in plain:
            assert any((tmp_path / "out" / plain[part]).glob("*.png"))
    again = read_dataset(tmp_path / "out", "yolo")
    assert {sample.split for sample in again.samples} == {sample.split for sample in manifest.samples}


def test_a_brush_stroke_is_packed_as_label_studio_unpacks_it() -> None:
    from segbench.data.formats.labelstudio.shapes import decode_brush

    rng = np.random.default_rng(2)
    for shape in ((1, 1), (7, 3), (300, 400)):
        mask = rng.random(shape) < 0.3
        mask[: shape[0] // 2] = False
        packed = encode_brush(mask)
        channels = decode_brush(list(packed), 4 * mask.size).reshape(*shape, 4)
        assert np.array_equal(channels[..., 3] > 0, mask)
