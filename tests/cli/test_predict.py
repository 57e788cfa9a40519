"""`segbench predict` on the command line: what it says, and what it is told."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.test_report import call

pytestmark = pytest.mark.slow  # trains


def test_the_same_command_goes_on(
    runs: Path, binary_pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["predict", runs / "a_seed0", binary_pairs / "images", "-o", tmp_path / "out", "--device", "cpu"]
    code, text, _ = call(capsys, *words, "--no-overlays")
    assert (code, text.split(":")[0]) == (0, "24 images segmented")
    assert "overlays" not in text
    assert not (tmp_path / "out" / "overlays").exists()
    for option, said in (("--no-overlays", " (24 were there)"), ("--overlays", ""), ("--overwrite", "")):
        code, text, _ = call(capsys, *words, option)
        assert (code, text.split(":")[0]) == (0, f"24 images segmented{said}")


def test_a_command_that_finds_everything_done_needs_no_torch(
    runs: Path, binary_pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    for number in range(3):
        shutil.copy(binary_pairs / "images" / f"img_00{number}.png", tmp_path / "in")
    model = shutil.copytree(runs / "a_seed0", tmp_path / "run")
    words = ["predict", model, tmp_path / "in", "-o", tmp_path / "out", "--probs-as", "zarr", "--polygons", "coco"]
    assert call(capsys, *words)[:2] == (0, f"3 images segmented: {places(tmp_path / 'out')}\n")

    def again(*options: str) -> tuple[str, bool]:
        asked = [sys.executable, "-c", RUNS, *map(str, words), *options]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        *told, torch = done.stdout.splitlines()
        return told[-1], torch == "True"

    everything = f"3 images segmented (3 were there): {places(tmp_path / 'out')}"
    assert again() == (everything, False)
    (tmp_path / "out" / "masks" / "img_001.png").unlink()
    assert again() == (f"3 images segmented (2 were there): {places(tmp_path / 'out')}", True)
    assert again() == (everything, False)
    assert again("--threshold", "0.4") == (f"3 images segmented: {places(tmp_path / 'out')}", True)
    (model / "best.safetensors").touch()
    assert again("--threshold", "0.4") == (everything, True), "the same weights, which only the model itself tells"
    shutil.copy(binary_pairs / "images" / "img_003.png", tmp_path / "in")
    with (tmp_path / "out" / "predicted.jsonl").open("a") as stream:
        stream.write("\n")  # another call began, and was killed
    assert again("--threshold", "0.4")[0].startswith("4 images segmented (3 were there)")


RUNS = """
import sys
from segbench.cli.main import main
try:
    main(sys.argv[1:])
finally:
    print("torch" in sys.modules)
"""


def places(out: Path) -> str:
    return f"{out}/masks, {out}/overlays, {out}/areas.csv"


def test_a_file_that_is_none_is_told_at_the_end(
    runs: Path, binary_pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.png").write_bytes(b"no image")
    paths = (tmp_path / "x.png", binary_pairs / "images" / "img_000.png")
    code, text, _ = call(capsys, "predict", runs / "a_seed0", *paths, "-o", tmp_path / "out")
    assert code == 1
    assert "1 image segmented" in text
    assert f"not segmented: {tmp_path / 'x.png'}: not an image segbench can read" in text


def test_auto_is_named(
    runs: Path,
    binary_pairs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SEGBENCH_CACHE", str(tmp_path / "cache"))
    words = ["predict", runs / "a_seed0", binary_pairs / "images", "--runtime", "auto", "-o"]
    said = [call(capsys, *words, tmp_path / name)[1].splitlines()[0] for name in ("one", "two")]
    assert said[0].startswith("runtime ")
    assert said[0] == said[1], "measured once"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            ["--runtime", "tflite"],
            "--runtime: expected auto, torch, onnxruntime, openvino, openvino-bf16, got 'tflite'",
        ),
        (["--engine", "slurm"], "--engine: expected local, ray, got 'slurm'"),
        (["--workers", "2"], "--address, --workers: goes with --engine ray only"),
        (["--probs-as", "h5"], "--probs-as: expected npz, npy, tif, zarr, got 'h5'"),
        (["--polygons", "coco, shp"], "--polygons: expected some of geojson, coco, labelme, via, got 'shp'"),
        (["--as", "shp"], "--as: there is no format 'shp' to write"),
        (["--as", "coco", "--engine", "ray"], "--engine: spreads images to masks"),
        (["--link"], "--link, --rle: goes with --as only"),
        (["--simplify", "1"], "--simplify: goes with --as or --polygons only"),
        (["--polygons", "geojson", "--simplify", "far"], "--simplify: expected none, auto or a number of pixels"),
        (["--runtime", "onnxruntime"], "pip install 'segbench[onnx]'"),
    ],
)
def test_what_does_not_fit_is_told(
    options: list[str],
    told: str,
    runs: Path,
    binary_pairs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    words = ["predict", runs / "a_seed0", binary_pairs / "images", "-o", tmp_path / "out", *options]
    code, text, errors = call(capsys, *words)
    assert (code, text) == (2, "")
    assert told in errors.replace("\n", " ")


def test_a_video_is_no_image_of_an_annotation_tool(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "film.mp4").write_bytes(b"frames")
    words = ["predict", runs / "a_seed0", tmp_path / "film.mp4", "-o", tmp_path / "out", "--as", "coco"]
    code, _, errors = call(capsys, *words)
    assert code == 2
    told = "--as: annotation tools' files name images, and this is a video; save its frames as images, and give those"
    assert f"{told}: {tmp_path / 'film.mp4'}" in errors.replace("\n", " ")


def test_images_where_predictions_would_be_written(
    runs: Path, binary_pairs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = binary_pairs / "images"
    code, _, errors = call(capsys, "predict", runs / "a_seed0", folder, "-o", folder)
    assert code == 1
    assert "where the predictions would be written; give another folder" in errors.replace("\n", " ")
