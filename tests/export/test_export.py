"""An export is compared with its model before it is called good; what is not good says so and is kept."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import segbench
from segbench.cli.main import app
from segbench.errors import PredictionError, SegbenchError
from segbench.export import export as module
from segbench.export.bioimage import write_bioimage
from segbench.export.export import export_model
from segbench.export.images import halves, images_for
from segbench.export.int8 import network_nodes, rules
from segbench.export.mlflow_log import log_to_mlflow
from segbench.export.parity import margin
from segbench.export.parity_result import Parity, over_budget, parity_table
from segbench.export.write import Format, write_onnx
from segbench.models import build_network
from segbench.predict.predictor import Predictor
from segbench.types import ClassMap, Task

pytestmark = pytest.mark.slow
EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "onnx_alone.py"


def broken(monkeypatch: pytest.MonkeyPatch, layer: str) -> None:
    """Makes every ONNX file wrong in one layer's weights."""

    def write(predictor: Predictor, file: Path, form: str = "full") -> None:
        write_onnx(predictor, file, form)  # type: ignore[arg-type]
        model = onnx.load(file)
        for weights in model.graph.initializer:
            if weights.name.startswith(f"{layer}.") and weights.name.endswith("weight"):
                values = onnx.numpy_helper.to_array(weights) * -1.5
                weights.CopyFrom(onnx.numpy_helper.from_array(values, weights.name))
                onnx.save(model, file)
                return
        raise AssertionError([weights.name for weights in model.graph.initializer])

    monkeypatch.setattr(module, "write_onnx", write)


@pytest.mark.parametrize(
    ("kind", "suffix", "form"),
    [
        ("onnx", ".onnx", "full"),
        ("onnx", ".onnx", "plain"),
        ("onnx", ".onnx", "qgis"),
        ("openvino", ".xml", "full"),
        ("torchscript", ".pt", "full"),
    ],
)
def test_every_form_is_equal_and_says_how_it_was_compared(
    trained: Path, tmp_path: Path, kind: Format, suffix: str, form: Any
) -> None:
    out = tmp_path / f"model{suffix}"
    parity = export_model(trained, out, kind, form=form)
    assert parity.passed
    assert parity.changed_px == parity.ties_px
    assert parity.largest_difference < 1e-4
    assert parity.n_images == len(images_for(trained, None, "val", 64) or ())
    assert parity.difference == pytest.approx(0.0, abs=1e-6)
    assert parity.size_bytes >= out.stat().st_size > 0
    told = json.loads((tmp_path / "model.parity.json").read_text())
    assert told["passed"]
    assert told["budget"] == {"changed_px_beyond_ties": 0, "tie": 1e-4}
    table = (tmp_path / "model.parity.md").read_text()
    assert all(f"| {name} | {value} |" in table for name, value in parity_table(parity))


def test_a_model_for_tiles_is_compared_on_tiles(trained: Path, tmp_path: Path) -> None:
    predictor = Predictor.load(trained, device="cpu", policy="tiles")
    parity = export_model(trained, tmp_path / "model.onnx", predictor=predictor)
    assert parity.passed
    assert parity.sizes[1] <= (40, 48)
    assert "cut to a tile of 40 x 48 pixels from their middle" in dict(parity_table(parity))["compared on"]
    properties = {each.key: each.value for each in onnx.load(tmp_path / "model.onnx").metadata_props}
    assert properties["segbench_policy"] == "tiles"
    assert json.loads(properties["segbench_tile"]) == [40, 48]


@pytest.mark.parametrize(("kind", "suffix"), [("onnx", ".onnx"), ("openvino", ".xml")])
def test_int8_is_static_and_within_half_a_point(trained: Path, tmp_path: Path, kind: Format, suffix: str) -> None:
    parity = export_model(trained, tmp_path / f"model{suffix}", kind, int8=True)
    assert parity.int8
    assert parity.difference is not None
    assert parity.passed == (parity.difference >= -0.005 and parity.agreement >= 0.9)
    assert 0.0 < parity.largest_difference < 0.5
    name = "model" if parity.passed else "model.failed"
    if kind == "onnx":
        nodes = [node.op_type for node in onnx.load(tmp_path / f"{name}.onnx").graph.node]
        assert "QuantizeLinear" in nodes
        assert not {"DynamicQuantizeLinear", "ConvInteger", "MatMulInteger"} & set(nodes)
    else:
        assert 'element_type="i8"' in (tmp_path / f"{name}.xml").read_text()


def test_what_int8_leaves_alone_follows_a_rule(trained: Path, tmp_path: Path) -> None:
    write_onnx(Predictor.load(trained, device="cpu"), tmp_path / "model.onnx")
    nodes = network_nodes(tmp_path / "model.onnx")
    assert len(nodes) == 9  # the convolutions, and no product of the resizing
    worst: list[str] = []
    found = []
    for _, left in rules(tmp_path / "model.onnx", worst):
        worst[:] = [nodes[4], nodes[2], nodes[0], nodes[6]]
        found.append(left)
    ends = (nodes[0], nodes[-1])
    assert found == [(), ends, (*ends, nodes[4], nodes[2]), (*ends, nodes[4], nodes[2], nodes[6])]
    assert [left for _, left in rules(tmp_path / "model.onnx", [])] == [(), ends]


def test_int8_that_loses_too_much_tries_every_rule_and_fails(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segbench.export.parity_result.INT8_LOSS", -1.0)
    told: list[str] = []
    parity = export_model(trained, tmp_path / "model.onnx", int8=True, told=told.append)
    assert not parity.passed
    assert "points of IoU" in parity.reason
    rules_told = [each for each in told if each.startswith("int8, ")]
    assert [each.partition(", ")[2].partition(" left")[0] for each in rules_told] == [
        "nothing", "first and last layer", "the worst quarter", "the worst half",
    ]  # fmt: skip
    assert (tmp_path / "model.failed.onnx").is_file()


def test_a_file_over_its_budget_is_kept_as_failed_and_names_the_layer(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "model.onnx"
    out.write_bytes(b"an older one")
    broken(monkeypatch, "network.network.decoder.0.1")
    parity = export_model(trained, out)
    assert not parity.passed
    assert "pixels change their class beyond ties" in parity.reason
    assert parity.first_layer == "network.network.decoder.0.1"
    assert out.read_bytes() == b"an older one"
    assert (tmp_path / "model.failed.onnx").is_file()
    assert not json.loads((tmp_path / "model.failed.parity.json").read_text())["passed"]


def test_the_command_ends_with_1_where_a_file_failed(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch, "network.network.decoder.0.1")
    found = CliRunner().invoke(app, ["export", str(trained), "-o", str(tmp_path / "model.onnx")])
    assert found.exit_code == 1
    assert "model.failed.onnx is not as good as the model" in found.output.replace("\n", " ")
    assert "first layer that differs" in found.output


def test_the_command_prints_the_table(trained: Path, tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["export", str(trained), "--format", "torchscript", "-o", str(tmp_path / "m.pt")])
    assert found.exit_code == 0, found.output
    assert "equal within its budget" in found.output
    assert "of the validation part" in found.output


def test_one_image_alone_is_timed_too(trained: Path, tmp_path: Path, binary_pairs: Path) -> None:
    (image, *_) = sorted((binary_pairs / "images").iterdir())
    folder = tmp_path / "one"
    folder.mkdir()
    shutil.copy(image, folder)
    parity = export_model(trained, tmp_path / "m.onnx", images=folder)
    assert parity.n_images == 1
    assert parity.speed > 0.0
    assert "nan" not in (tmp_path / "m.parity.md").read_text()


def test_a_model_without_its_data_needs_images(trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    (run / "manifest.json").unlink()
    with pytest.raises(PredictionError, match=r"an export is only good when it is compared on some.*--images DIR"):
        export_model(run, tmp_path / "model.onnx")
    folder = tmp_path / "photos"
    folder.mkdir()
    for side in (40, 61):
        Image.fromarray(np.random.default_rng(side).integers(0, 256, (side, 70, 3), dtype=np.uint8)).save(
            folder / f"{side}.png"
        )
    parity = export_model(run, tmp_path / "model.onnx", images=folder)
    assert parity.passed
    assert parity.score is None
    assert parity.n_images == 2
    assert "IoU of the two masks" in dict(parity_table(parity))


def test_data_that_are_gone_are_told_as_such(trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps(manifest).replace(manifest["root"], str(tmp_path / "gone")))
    with pytest.raises(PredictionError, match=r"cannot be read any more \(.*gone.*--images DIR"):
        export_model(run, tmp_path / "model.onnx")


def test_int8_is_not_compared_on_the_images_that_it_was_fitted_to(
    trained: Path, tmp_path: Path, binary_pairs: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    first, *others = sorted((binary_pairs / "images").iterdir())[:5]
    shutil.copy(first, folder)
    with pytest.raises(PredictionError, match="a folder of two images or more"):
        export_model(trained, tmp_path / "model.onnx", int8=True, images=folder)
    for image in others:
        shutil.copy(image, folder)
    found = images_for(trained, folder, "val", 64)
    assert found is not None
    fitted, compared = halves(found, folder)
    assert (len(fitted), len(compared)) == (3, 2)
    assert not set(fitted.files) & set(compared.files)
    parity = export_model(trained, tmp_path / "model.onnx", int8=True, images=folder)
    assert parity.n_images == 2
    assert "on others of which int8 was calibrated" in dict(parity_table(parity))["compared on"]


def test_int8_without_training_images_says_so(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = images_for
    monkeypatch.setattr(
        module,
        "images_for",
        lambda model, folder, part, most: None if part == "train" else known(model, folder, part, most),
    )
    with pytest.raises(PredictionError, match=r"int8 is calibrated on training images.*--images DIR"):
        export_model(trained, tmp_path / "model.onnx", int8=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("package", "extra", "kind", "suffix"),
    [
        ("onnx", "onnx", "onnx", ".onnx"),
        ("onnxruntime", "onnx", "onnx", ".onnx"),
        ("openvino", "openvino", "openvino", ".xml"),
    ],
)
def test_a_missing_package_names_the_extra(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, extra: str, kind: Format, suffix: str
) -> None:
    real = importlib.import_module

    def missing(name: str) -> Any:
        if name.partition(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
        return real(name)

    monkeypatch.setattr("segbench.export.packages.importlib.import_module", missing)
    with pytest.raises(PredictionError, match=rf"package {package}, which is not installed.*segbench\[{extra}\]"):
        export_model(trained, tmp_path / f"model{suffix}", kind)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "kind", "form", "int8", "told"),
    [
        ("model.pt", "onnx", "full", False, "a file of onnx ends in .onnx"),
        ("model.xml", "openvino", "plain", False, "the forms plain and qgis are of ONNX in float32 alone"),
        ("model.onnx", "onnx", "plain", True, "the forms plain and qgis are of ONNX in float32 alone"),
        ("model.pt", "torchscript", "full", True, "int8 is of ONNX and OpenVINO alone"),
        ("model.tflite", "tflite", "full", False, "there is no format 'tflite' .*formats: onnx, openvino, torchscript"),
    ],
)
def test_what_does_not_go_together(
    trained: Path, tmp_path: Path, name: str, kind: Format, form: Any, int8: bool, told: str
) -> None:
    with pytest.raises(PredictionError, match=told):
        export_model(trained, tmp_path / name, kind, form=form, int8=int8)


def test_what_cannot_be_is_told_before_a_model_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object, **__: object) -> Predictor:
        raise AssertionError("loaded")

    monkeypatch.setattr(Predictor, "load", load)
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "x.png").symlink_to("gone.png")
    for words, told in (
        (["-o", str(tmp_path / "model.pt")], "model.pt: a file of onnx ends in .onnx"),
        (["-o", str(tmp_path / "folder.onnx")], "folder.onnx: this is a folder; name a file in it that ends in .onnx"),
        (["--images", str(tmp_path / "none")], "none: there is no such file or folder"),
        (["--images", str(tmp_path / "empty")], "there is no image in"),
        (["--images", str(tmp_path / "links")], "x.png: it is a link to gone.png, which is not there"),
        (["--format", "html", "-o", str(tmp_path / "folder.onnx")], "expected a file that ends in .html"),
    ):
        result = CliRunner().invoke(app, ["export", str(tmp_path / "model.segbench"), *words])
        assert isinstance(result.exception, SegbenchError), result.exception
        assert told in str(result.exception)
    assert not list(tmp_path.glob("*.failed*"))


def test_an_image_that_cannot_be_read_is_left_out(trained: Path, tmp_path: Path, binary_pairs: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "a_broken.png").write_bytes(b"no image")
    told: list[str] = []
    with pytest.raises(PredictionError, match=r"no image there can be read: .*a_broken\.png: not an image"):
        export_model(trained, tmp_path / "model.onnx", images=folder)
    for image in sorted((binary_pairs / "images").iterdir())[:2]:
        shutil.copy(image, folder)
    parity = export_model(trained, tmp_path / "model.onnx", images=folder, told=told.append)
    assert (parity.passed, parity.n_images, parity.images) == (True, 2, f"2 images of {folder}")
    assert told[0].startswith(f"left out: {folder / 'a_broken.png'}: not an image segbench can read")
    package = ["export", str(trained), "-o", str(tmp_path / "b.onnx"), "--images", str(folder), "--bioimage"]
    assert CliRunner().invoke(app, package).exit_code == 0


def test_looks_at_several_scales_are_refused(trained: Path, tmp_path: Path) -> None:
    predictor = Predictor.load(trained, device="cpu", tta="scales")
    with pytest.raises(PredictionError, match=r"several scales \(tta scales\) cannot be exported"):
        export_model(trained, tmp_path / "model.onnx", predictor=predictor)


def test_the_metadata_say_what_the_file_is(trained: Path, tmp_path: Path) -> None:
    predictor = Predictor.load(trained, device="cpu")
    found: dict[str, dict[str, str]] = {}
    for form in ("full", "qgis"):
        write_onnx(predictor, tmp_path / f"{form}.onnx", form)  # type: ignore[arg-type]
        properties = onnx.load(tmp_path / f"{form}.onnx").metadata_props
        found[form] = {each.key: each.value for each in properties}
    full, qgis = found["full"], found["qgis"]
    assert [each["name"] for each in json.loads(full["segbench_classes"])] == list(predictor.class_map.names)
    assert json.loads(full["segbench_settings"]) == json.loads(json.dumps(predictor.pipeline.settings.to_dict()))
    assert (full["segbench"], full["segbench_policy"]) == (segbench.__version__, "resize")
    assert json.loads(qgis["model_type"]) == "Segmentor"
    assert json.loads(qgis["class_names"]) == {"0": predictor.class_map.names[1]}
    assert (json.loads(qgis["tiles_size"]), json.loads(qgis["tiles_overlap"])) == (48, 25)
    assert json.loads(qgis["seg_thresh"]) == predictor.threshold
    assert "model_type" not in full


def alone(folder: Path, model: str, photo: Path) -> str:
    """Runs the example as its users do, and returns what it prints."""
    without = (
        "import runpy, sys; sys.modules.update(torch=None, segbench=None); sys.argv = sys.argv[1:]; "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = [sys.executable, "-c", without, str(EXAMPLE), model, str(photo), "mask.png"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_file_runs_without_segbench_and_torch(trained: Path, tmp_path: Path, binary_pairs: Path) -> None:
    assert len([line for line in EXAMPLE.read_text().splitlines() if line and not line.startswith('"""')]) <= 15
    export_model(trained, tmp_path / "model.onnx")
    with Image.open(next(iter(sorted((binary_pairs / "images").iterdir())))) as image:
        turned = Image.Exif()
        turned[0x0112] = 6  # the camera was held upright
        image.convert("RGB").crop((0, 0, 40, 56)).save(tmp_path / "photo.png", exif=turned)
    told = alone(tmp_path, "model.onnx", tmp_path / "photo.png")
    mask = np.asarray(Image.open(tmp_path / "mask.png")) > 0
    np.testing.assert_array_equal(mask, Predictor.load(trained, device="cpu")(tmp_path / "photo.png").mask > 0)
    assert "class 0: " in told


def test_a_multilabel_file_alone_writes_a_mask_a_class(tmp_path: Path, binary_pairs: Path) -> None:
    class_map = ClassMap(names=("a", "b"), values=((1,), (1,)), task=Task.MULTILABEL, background=None)
    torch.manual_seed(1)
    predictor = Predictor(build_network("unet_nearest", widths=[4, 8], out_channels=2), class_map, (40, 48))
    write_onnx(predictor, tmp_path / "model.onnx")
    photo = next(iter(sorted((binary_pairs / "images").iterdir())))
    expected = predictor(photo).mask
    assert len(alone(tmp_path, "model.onnx", photo).splitlines()) == 2
    for index in range(2):
        found = np.asarray(Image.open(tmp_path / f"mask_{index}.png")) > 0
        assert (found != (expected[index] > 0)).mean() < 0.001


def test_a_description_for_the_bioimage_model_zoo(trained: Path, tmp_path: Path) -> None:
    predictor, images = Predictor.load(trained, device="cpu"), images_for(trained, None, "val", 1)
    assert images is not None
    write_onnx(predictor, tmp_path / "model.onnx")
    package = write_bioimage(predictor, "spots", tmp_path / "model.onnx", images)  # tested by the zoo's own test inside
    with zipfile.ZipFile(package) as opened:
        assert {"model.onnx", "image.npy", "mask.npy", "probabilities.npy", "README.md"} <= set(opened.namelist())


@pytest.mark.filterwarnings("ignore")  # what MLflow does with its own packages
def test_a_file_is_logged_to_mlflow(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    parity = export_model(trained, tmp_path / "model.onnx")
    uri = log_to_mlflow(tmp_path / "model.onnx", parity, "spots", f"sqlite:///{tmp_path / 'store.db'}")
    loaded = mlflow.onnx.load_model(uri)
    assert [each.name for each in loaded.graph.output] == ["mask", "probabilities"]
    [run] = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert run.data.metrics["changed_px"] == parity.changed_px
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


def parity_of(**changes: Any) -> Parity:
    """Returns what an int8 file that keeps to its budget was found to be, or another."""
    found: dict[str, Any] = {
        "format": "onnx",
        "form": "full",
        "int8": True,
        "images": "50 images",
        "n_images": 50,
        "n_pixels": 100,
        "sizes": ((4, 4), (8, 8)),
        "batch": 3,
        "largest_difference": 0.1,
        "changed_px": 3,
        "ties_px": 0,
        "agreement": 0.97,
        "score": "iou_per_image",
        "model": 0.9,
        "exported": 0.899,
        "difference": -0.001,
        "low": -0.004,
        "high": 0.002,
        "speed": 2.0,
        "threads": 1,
        "size_bytes": 10,
        "passed": True,
        "lost_most": 0.004,
    }
    return Parity(**{**found, **changes})


def test_an_int8_file_says_whether_its_budget_was_shown() -> None:
    shown, not_shown = parity_of(), parity_of(low=-0.0137, lost_most=0.0137)
    assert shown.result == "within 0.5 points of IoU"
    assert not_shown.result == (
        "within 0.5 points of IoU on these images, but not shown to be: the 95 % interval reaches a loss of 1.4 points "
        "(n = 50); more images tell: --images DIR"
    )
    assert dict(parity_table(not_shown))["result"] == not_shown.to_dict()["result"] == not_shown.result
    assert "on one image, which shows nothing of others" in parity_of(n_images=1, lost_most=None).result
    assert parity_of(int8=False, lost_most=None).result == "equal within its budget"
    assert parity_of(passed=False, reason="why").result == "FAILED: why"


def test_masks_in_int8_that_are_others_are_not_equal_whatever_they_score() -> None:
    assert over_budget(True, 0.0, 0.95, 9) is None
    reason = over_budget(True, -0.006, 0.77, 9)
    assert reason is not None
    assert reason.startswith("its masks are others than the model's: they agree at an IoU of 0.77, and 0.9 is wanted")
    assert "loses 0.60 points of IoU" in str(over_budget(True, 0.006, 0.99, 0))


def test_a_tie_is_a_pixel_that_rounding_decides() -> None:
    probs = np.array([[[0.5, 0.2]], [[0.5, 0.3]], [[0.0, 0.5]]], np.float32)
    np.testing.assert_allclose(margin(probs, Task.MULTICLASS, 0.5), [[0.0, 0.2]], atol=1e-6)
    np.testing.assert_allclose(margin(probs[:1], Task.BINARY, 0.4), [[0.1, 0.2]], atol=1e-6)
    assert margin(probs, Task.MULTILABEL, 0.5).shape == (3, 1, 2)
