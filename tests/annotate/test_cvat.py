"""The model as a function of CVAT: driven by CVAT's own client against a server, and read back from an export."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.annotate._cvat_server import TASK, CvatTask, cvat_server, png
from tests.data.formats._draw import labels
from tests.serve.conftest import CLASSES, noisy_image, write_model

from segbench.data.manifest.read import read_dataset
from segbench.data.shapes.trace import mask_iou
from segbench.errors import ConfigError, PredictionError
from segbench.predict.predictor import Prediction, Predictor
from segbench.predict.scored_objects import class_probs, scored_objects

cvat_sdk = pytest.importorskip("cvat_sdk", reason="the extra cvat is not installed")
from cvat_sdk import auto_annotation as cvataa  # noqa: E402
from cvat_sdk.core.client import Client, Config  # noqa: E402
from cvat_sdk.masks import decode_mask  # noqa: E402

from segbench.annotate.cvat import CvatFunction, create  # noqa: E402

SIZE = (61, 47)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bundles")
    found = {name: folder / f"{name}.segbench" for name in CLASSES}
    for name, path in found.items():
        write_model(path, CLASSES[name])
    return found


IMAGES = {"a.png": noisy_image(0, SIZE), "b.png": noisy_image(1, SIZE)}


def annotate(task: CvatTask, function: CvatFunction, cache: Path, **options: object) -> None:
    """Annotates the task as `cvat-cli task auto-annotate` does, over CVAT's own client."""
    with cvat_server(task) as address, Client(address, config=Config(cache_dir=cache)) as client:
        cvataa.annotate_task(client, TASK, function, **options)


def task(**types: str) -> CvatTask:
    return CvatTask({name: png(each) for name, each in IMAGES.items()}, types)


def context(**options: object) -> object:
    from cvat_sdk.auto_annotation.driver import _DetectionFunctionContextImpl

    return _DetectionFunctionContextImpl(frame_name="a.png", **options)


def test_masks_come_back_from_an_export_as_they_were_predicted(bundles: dict[str, Path], tmp_path: Path) -> None:
    made = task(lesion="any")
    annotate(made, create(str(bundles["lesion"])), tmp_path / "cache")
    manifest = read_dataset(made.export(tmp_path / "export"), "cvat")
    predictor = Predictor.load(bundles["lesion"])
    for name, pixels in IMAGES.items():
        mask = predictor(pixels).mask
        assert 0 < mask.mean() < 1
        assert np.array_equal(labels(manifest, name.removesuffix(".png")), mask)
    assert {shape["source"] for shape in made.shapes} == {"auto"}


def test_polygons_where_they_are_asked_for(bundles: dict[str, Path], tmp_path: Path) -> None:
    made = task(road="polygon", sky="polygon", car="any")
    annotate(
        made, create(str(bundles["street"])), tmp_path / "cache", conv_mask_to_poly=True, allow_unmatched_labels=True
    )
    assert {shape["type"] for shape in made.shapes} == {"polygon"}
    manifest = read_dataset(made.export(tmp_path / "export"), "cvat", classes=["sky", "car"], background="road")
    predictor = Predictor.load(bundles["street"])
    for name, pixels in IMAGES.items():
        mask, back = predictor(pixels).mask, labels(manifest, name.removesuffix(".png"))
        for value in (1, 2):
            assert mask_iou(back == value, mask == value) > 0.95


def test_a_shape_an_object_with_its_confidence(bundles: dict[str, Path]) -> None:
    function, pixels = create(str(bundles["street"])), IMAGES["a.png"]
    prediction = Predictor.load(bundles["street"])(pixels)
    shapes = function.detect(context(), Image.fromarray(pixels))
    assert len(shapes) == len(list(scored_objects(prediction))) > 2
    for shape in shapes:
        inside = decode_mask(shape.points, image_width=SIZE[1], image_height=SIZE[0])
        assert (prediction.mask[inside] == shape.label_id).all()
        assert shape.score == pytest.approx(prediction.probs[shape.label_id][inside].mean(), abs=1e-6)
    assert np.array_equal(class_probs(prediction, 2), prediction.probs[2])


class FixedPredictor:
    """Predicts one mask."""

    def __init__(self, mask: np.ndarray) -> None:
        self.mask, self.class_map = mask, CLASSES["lesion"]

    def __call__(self, image: Image.Image) -> Prediction:
        probs = np.where(self.mask, np.float32(0.9), np.float32(0.2))[None]
        return Prediction(
            image=np.asarray(image.convert("RGB")), mask=self.mask, class_map=self.class_map, network_probs=probs
        )


def test_holes_single_pixels_and_lines(tmp_path: Path) -> None:
    mask = np.zeros((12, 20), np.uint8)
    mask[1:9, 1:9] = 1
    mask[3:6, 3:6] = 0  # a hole
    mask[4, 4] = 1  # an island in it
    mask[10, 0:15] = 1  # a line at the border
    mask[2, 19] = mask[11, 19] = 1  # single pixels, one in a corner
    mask[5, 12] = mask[6, 13] = mask[7, 12] = 1  # that touch at corners
    function = CvatFunction(FixedPredictor(mask), {})  # type: ignore[arg-type]
    given = Image.new("RGB", (20, 12))
    for as_polygons in (False, True):
        shapes = function.detect(context(conv_mask_to_poly=as_polygons), given)
        assert len(shapes) == (8 if as_polygons else 6)
        assert all(shape.score == pytest.approx(0.9) for shape in shapes)
        assert all(len(shape.points) >= 6 for shape in shapes)
        made = CvatTask({"a.png": png(np.asarray(given))}, {"lesion": "any"})
        made.sent.append({"shapes": [{**shape.to_dict(), "frame": 0, "label_id": 100} for shape in shapes]})
        back = read_dataset(made.export(tmp_path / str(as_polygons)), "cvat")
        assert np.array_equal(labels(back, "a"), mask)


def test_what_is_less_sure_than_asked_is_left_out(bundles: dict[str, Path]) -> None:
    function, given = create(str(bundles["street"])), Image.fromarray(IMAGES["a.png"])
    scores = sorted(shape.score for shape in function.detect(context(), given))
    middle = scores[len(scores) // 2]
    assert sorted(shape.score for shape in function.detect(context(conf_threshold=middle), given)) == [
        score for score in scores if score >= middle
    ]
    assert function.detect(context(conf_threshold=1.0), given) == []


def test_a_task_calls_classes_by_other_names(bundles: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(cvataa.BadFunctionError, match="label 'lesion' is not in dataset"):
        annotate(task(Melanom="any"), create(str(bundles["lesion"])), tmp_path / "cache")
    made = task(Melanom="mask")
    annotate(made, create(str(bundles["lesion"]), names="lesion=Melanom"), tmp_path / "cache")
    assert {shape["label_id"] for shape in made.shapes} == {100}


def test_a_task_of_polygons_says_what_to_do(bundles: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(cvataa.BadFunctionError, match="type 'mask' in the function, but 'polygon' in the dataset"):
        annotate(task(lesion="polygon"), create(str(bundles["lesion"])), tmp_path / "cache")


def test_small_objects_and_the_threshold_are_parameters(bundles: dict[str, Path]) -> None:
    given = Image.fromarray(IMAGES["a.png"])
    clean = create(str(bundles["lesion"]), smallest_px=30).detect(context(), given)
    assert clean
    for shape in clean:
        assert decode_mask(shape.points, image_width=SIZE[1], image_height=SIZE[0]).sum() >= 30
    assert create(str(bundles["lesion"]), threshold=0.999).detect(context(), given) == []


def test_an_image_that_cannot_be_read_costs_its_own_shapes(
    bundles: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert create(str(bundles["lesion"])).detect(context(), Image.new("F", (8, 8))) == []
    assert "a.png was not segmented: " in caplog.text


def test_turned_photos_are_annotated_as_cvat_shows_them(bundles: dict[str, Path]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    data = io.BytesIO()
    Image.fromarray(np.rot90(IMAGES["a.png"])).save(data, "PNG", exif=exif)
    function = create(str(bundles["lesion"]))
    turned = function.detect(context(), Image.open(io.BytesIO(data.getvalue())))
    upright = function.detect(context(), Image.fromarray(IMAGES["a.png"]))
    assert [shape.points for shape in turned] == [shape.points for shape in upright]


def test_parameters_that_would_change_nothing_are_refused(bundles: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match="threshold: this model has exclusive classes"):
        create(str(bundles["street"]), threshold=0.4)
    with pytest.raises(ValueError, match="policy is one of whole, resize, tiles, got 'tile'"):
        create(str(bundles["lesion"]), policy="tile")  # type: ignore[arg-type]


@pytest.mark.parametrize("names", ["lesion", "lesion=", "mole=Melanom"])
def test_names_that_cannot_be_read(bundles: dict[str, Path], names: str) -> None:
    told = f"names: expected CLASS=NAME,... with classes of skin, lesion, got '{names}'"
    with pytest.raises(ConfigError, match=told):
        create(str(bundles["lesion"]), names=names)


def test_a_network_of_other_bands_is_refused(bundles: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    from segbench.data.files.bands import Bands

    predictor = Predictor.load(bundles["lesion"])
    monkeypatch.setattr("segbench.annotate.cvat.load_predictor", lambda *_, **__: predictor)
    monkeypatch.setattr(Predictor, "bands", Bands(numbers=(1, 2, 3, 4)))
    with pytest.raises(PredictionError, match="reads 4 bands, and CVAT hands out three"):
        create(str(bundles["lesion"]))


@pytest.mark.slow
def test_the_command_line_and_the_agent_of_cvat(bundles: dict[str, Path], tmp_path: Path) -> None:
    pytest.importorskip("cvat_cli", reason="cvat-cli is not installed")
    model = ["--function-module", "segbench.annotate.cvat", "-p", f"model=str:{bundles['lesion']}"]
    made = task(Melanom="any")
    with cvat_server(made) as address:

        def cvat(*words: str) -> str:
            server = ["--server-host", "http://127.0.0.1", "--server-port", address.rpartition(":")[2]]
            found = os.environ | {"CVAT_ACCESS_TOKEN": "secret", "XDG_CACHE_HOME": str(tmp_path)}
            command = [sys.executable, "-m", "cvat_cli", *server, *words]
            done = subprocess.run(command, env=found, capture_output=True, text=True, timeout=300, check=False)
            assert done.returncode == 0, done.stderr
            return done.stdout

        cvat("task", "auto-annotate", str(TASK), *model, "-p", "names=str:lesion=Melanom", "--conf-threshold", "0.1")
        by_command = made.shapes.copy()
        made.sent.clear()

        assert cvat("function", "create-native", "Lesions", *model).strip() == "3"
        assert made.function["labels_v2"] == [{"name": "lesion", "type": "mask", "attributes": []}]
        asked = {"type": "annotate_task", "task": TASK, "threshold": 0.1, "conv_mask_to_poly": False}
        made.requests.append({**asked, "mapping": {"lesion": {"name": "Melanom"}}})
        cvat("function", "run-agent", "3", *model, "--burst")
    assert made.failed == []
    assert by_command
    assert made.shapes == by_command
