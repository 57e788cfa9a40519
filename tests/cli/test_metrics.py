"""`segbench metrics`: scores, conventions and confusion matrix of a run, from its files alone."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from typer.testing import CliRunner

from segbench.cli.metrics import metrics_app
from segbench.config.run import parse_config
from segbench.errors import ConfigError, RunError
from segbench.folders.run import RunFolder
from segbench.metrics import Calibration, Scores, SurfaceCollector, score_masks, score_surfaces
from segbench.metrics.families import label_of
from segbench.models.weights import save_weights
from segbench.types import ClassMap, Task

MAPS = {
    Task.BINARY: ClassMap(names=("skin", "lesion"), values=((0,), (255,)), task=Task.BINARY),
    Task.MULTICLASS: ClassMap(names=("road", "car", "sky"), values=((0,), (1,), (2,))),
    Task.MULTILABEL: ClassMap(names=("a", "b"), values=((1,), (1,)), task=Task.MULTILABEL, background=None),
}


def make_run(path: Path, task: Task, *, stated: bool = True) -> Scores:
    """Writes what a finished run of 4 test images leaves that the commands read; `stated`: with definitions."""
    random = np.random.default_rng(0)
    class_map = MAPS[task]
    shape = (2, 16, 20) if task is Task.MULTILABEL else (16, 20)
    targets = [random.integers(0, 3 if task is Task.MULTICLASS else 2, shape) for _ in range(4)]
    predictions = [np.where(random.random(shape) < 0.8, target, 0) for target in targets]
    folder = RunFolder(path)
    folder.write_facts({"class_map": class_map.to_dict()})
    folder.write_config(parse_config({"data": {"path": "x", "size": [32, 40]}, "threshold": 0.4, "loss": "dice"}))
    scores = score_masks(predictions, targets, class_map, threshold=0.3, resolution="16x20 pixels")
    scores.counts.write_csv(folder.counts_file("test"), class_map)
    if stated:
        scores.write_csv(folder.scores_file("test"))
        collector = SurfaceCollector(class_map)
        for name, prediction, target in zip(scores.ids, predictions, targets, strict=True):
            collector.add(name, prediction, target)
        surfaces = score_surfaces(collector.values(), class_map, threshold=0.3, resolution="16x20 pixels")
        surfaces.write_csv(path / "surfaces_test.csv")
        bins = {"pixels": np.array([0, 100]), "confidence_sum": np.array([0.0, 90.0]), "correct": np.array([0, 75])}
        Calibration(**bins, n_images=4, task=task).write_csv(path / "calibration_test.csv")
    return scores


@pytest.fixture(scope="module")
def task_runs(tmp_path_factory: pytest.TempPathFactory) -> dict[Task, Path]:
    """Returns a run folder a task; read only."""
    folders = {task: tmp_path_factory.mktemp("task_runs") / str(task) for task in Task}
    for task, path in folders.items():
        make_run(path, task)
    return folders


def call(*arguments: object) -> str:
    """Returns what a command prints; its errors are raised, as `segbench.cli.main` would catch them."""
    done = CliRunner().invoke(metrics_app, [str(argument) for argument in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("task", list(Task))
def test_show_prints_values_definitions_classes_and_confusion(task: Task, task_runs: dict[Task, Path]) -> None:
    text = call("show", task_runs[task])
    scores = make_run(task_runs[task].parent / f"again {task}", task)
    lines = text.splitlines()
    cells = [re.split(r"\s{2,}", line) for line in lines if line and line[0] != " "]
    shown = {row[0]: row[1] for row in cells if len(row) > 1}
    for name, value in scores.summary().items():
        assert shown[label_of(name)] == f"{value:.4f}", name
        assert f"  {label_of(name)}: {scores.definition_of[name].short}" in lines
    assert shown["expected calibration error"] == "0.1500"
    assert "HD95 per image, px" in shown
    line = next(line for line in lines if line.startswith("all: "))
    assert line.endswith("; scored at 16x20 pixels; pixels labelled 255 in the target are left out; n = 4 images")
    assert "(pixel accuracy, pixel accuracy per image, expected calibration error: every counted pixel)" in line
    assert ("class lesion (" in line) == (task is Task.BINARY)
    assert ("above 0.3" in text) == (task is not Task.MULTICLASS)  # what is stated beside the scores, not the config
    header = "true negative" if task is Task.MULTILABEL else f"predicted {MAPS[task].names[1]}"
    assert text.count(header) == 2
    assert str(scores.confusion.ravel()[0]) in text
    assert all(name in text for name in MAPS[task].names)


def test_show_without_definitions_beside_takes_the_config(tmp_path: Path) -> None:
    make_run(tmp_path / "old", Task.BINARY, stated=False)
    text = call("show", tmp_path / "old")
    assert "foreground where the probability is above 0.4; scored at 32x40 pixels (H x W), the training size" in text
    assert "HD95" not in text


def test_show_of_another_resolution(tmp_path: Path) -> None:
    make_run(tmp_path / "run", Task.BINARY)
    shutil.copy(tmp_path / "run" / "counts_test.csv", tmp_path / "run" / "counts_val_original.csv")
    text = call("show", tmp_path / "run", "--split", "val", "--resolution", "original")
    assert "on val_original: 4 images" in text
    assert "scored at each image's own size" in text


def finish(run: Path, best_epoch: int) -> None:
    """Writes the result of a run whose best epoch that is."""
    plain: dict[str, Any] = {"scores": {}, "n": {}, "network": {}, "loss": [], "definitions": {}, "threshold": 0.5}
    (run / "result.json").write_text(json.dumps({**plain, "best_epoch": best_epoch}))


@pytest.mark.parametrize("command", ["show", "explain", "confusion"])
def test_scores_of_an_epoch_that_is_no_longer_the_best_are_refused(command: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    make_run(run, Task.BINARY)
    shutil.copy(run / "counts_test.csv", run / "counts_test_original.csv")
    (run / "evaluation_test_original.json").write_text('{"epoch": 3}')
    (run / "evaluation_test.json").write_text('{"epoch": 3}')
    finish(run, 36)
    more = ["-o", tmp_path / "c.csv"] if command == "confusion" else []
    again = f"run `segbench evaluate {run} --split test --resolution original` again"
    with pytest.raises(RunError, match=f"the test part was evaluated at epoch 3, the best is 36; {again}"):
        call(command, run, "--resolution", "original", *more)
    finish(run, 3)
    text = call(command, run, "--resolution", "original", *more)
    assert command == "confusion" or "on test_original, epoch 3: " in text
    finish(run, 36)  # the end of the training scored the test part again, at the size of the training
    text = call(command, run, *more)
    assert command == "confusion" or "on test, epoch 36: " in text


def test_an_unfinished_run_is_compared_with_its_weights(tmp_path: Path) -> None:
    make_run(tmp_path, Task.BINARY)
    (tmp_path / "evaluation_test.json").write_text('{"epoch": 3}')
    save_weights(tmp_path / "best.safetensors", torch.nn.Conv2d(1, 1, 1), {"epoch": "3"})
    assert "on test, epoch 3: 4 images" in call("show", tmp_path)
    save_weights(tmp_path / "best.safetensors", torch.nn.Conv2d(1, 1, 1), {"epoch": "5"})
    with pytest.raises(RunError, match=r"evaluated at epoch 3, the best is 5; run `segbench evaluate .* --split test`"):
        call("show", tmp_path)
    (tmp_path / "evaluation_test.json").write_text("{}")
    with pytest.raises(RunError, match=r"evaluation_test.json, which says which epoch was scored, cannot be read"):
        call("show", tmp_path)


@pytest.mark.parametrize("task", list(Task))
def test_explain_prints_every_convention_with_a_reason(task: Task, task_runs: dict[Task, Path]) -> None:
    text = call("explain", task_runs[task])
    for words in (
        "segmentation-models-pytorch",
        "torchmetrics",
        "MMSegmentation",
        "nnU-Net",
        "Kaggle",
        "why they differ",
    ):
        assert words in text
    summary = make_run(task_runs[task].parent / f"once more {task}", task).summary()
    line = next(line for line in text.splitlines() if "iou_per_image" in line)
    assert line.split()[-1] == f"{summary['iou_per_image']:.4f}"
    rows = text[text.index("library") : text.index("why they differ")].strip().splitlines()[1:]
    reasons = [line for line in text[text.index("why they differ") :].splitlines()[1:] if line.strip()]
    assert len(rows) == len(reasons) == 13


@pytest.mark.slow
@pytest.mark.parametrize("task", list(Task))
def test_confusion_writes_a_picture_or_a_table(task: Task, task_runs: dict[Task, Path], tmp_path: Path) -> None:
    for normalize in ("true", "predicted", "none"):
        out = tmp_path / f"{normalize}.png"
        assert "written" in call("confusion", task_runs[task], "-o", out, "--normalize", normalize)
        with Image.open(out) as image:
            assert min(image.size) > 200
    call("confusion", task_runs[task], "-o", tmp_path / "c.csv")
    with (tmp_path / "c.csv").open(newline="") as stream:
        rows = list(csv.reader(stream))
    assert [row[0] for row in rows[1:]] == list(MAPS[task].names)
    scores = make_run(tmp_path / "again", task)
    assert sum(int(cell) for row in rows[1:] for cell in row[1:]) == scores.confusion.sum()


def test_many_classes_are_left_to_the_picture(tmp_path: Path) -> None:
    names = [f"class {index}" for index in range(20)]
    target = np.arange(400).reshape(20, 20) % 20
    scores = score_masks([target], [target], names)
    folder = RunFolder(tmp_path)
    folder.write_facts({"class_map": scores.class_map.to_dict()})
    scores.counts.write_csv(folder.counts_file("test"), scores.class_map)
    scores.write_csv(folder.scores_file("test"))
    text = call("show", tmp_path)
    assert "confusion matrix of 20 classes: segbench metrics confusion" in text
    assert "predicted class 3" not in text


def test_mistakes_are_explained(task_runs: dict[Task, Path], tmp_path: Path) -> None:
    run = task_runs[Task.BINARY]
    with pytest.raises(ConfigError, match="--split: expected train, val, test, got 'tset'"):
        call("show", run, "--split", "tset")
    with pytest.raises(ConfigError, match="--resolution: expected training, original"):
        call("explain", run, "--resolution", "full")
    with pytest.raises(ConfigError, match=r"--out: expected a file that ends in .png"):
        call("confusion", run, "-o", tmp_path / "c.gif")
    with pytest.raises(ConfigError, match="--normalize"):
        call("confusion", run, "-o", tmp_path / "c.png", "--normalize", "rows")
    with pytest.raises(RunError, match=r"no counts of the val part \(counts_val.csv\); run `segbench evaluate .*val`"):
        call("show", run, "--split", "val")
    with pytest.raises(RunError, match=r"there is no run.json"):
        call("show", tmp_path)
    make_run(tmp_path / "empty", Task.BINARY)
    file = tmp_path / "empty" / "counts_test.csv"
    file.write_text(file.read_text().splitlines()[0] + "\n")
    with pytest.raises(RunError, match=r"counts_test.csv holds no image"):
        call("explain", tmp_path / "empty")


def test_every_command_has_an_example() -> None:
    commands = typer.main.get_command(metrics_app).commands  # type: ignore[attr-defined]
    assert set(commands) == {"show", "explain", "confusion"}
    for name, command in commands.items():
        assert f"Example: segbench metrics {name} " in (command.help or "")


@pytest.mark.slow
@pytest.mark.parametrize("command", ["show", "explain", "confusion"])
def test_no_torch_is_imported(command: str, task_runs: dict[Task, Path], tmp_path: Path) -> None:
    arguments = [
        command,
        str(task_runs[Task.BINARY]),
        *(["-o", str(tmp_path / "c.png")] if command == "confusion" else []),
    ]
    code = (
        "import sys\nfrom segbench.cli.metrics import metrics_app\n"
        "metrics_app(sys.argv[1:], standalone_mode=False)\nassert 'torch' not in sys.modules, 'torch was imported'\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
