"""The command line: what answers at once, what errors look like, and the whole way from images to predictions."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segbench import cli
from segbench.config.run import load_config

PLOTS = ("upsampling", "unpooling", "transposed", "overlap", "classes", "rows", "curves", "architecture")

LIGHT = [
    ["--help"],
    ["--version"],
    ["list"],
    ["list", "networks"],
    ["train", "--help"],
    ["config", "check", "CONFIG"],
    ["config", "show", "CONFIG"],
    ["study", "run", "--help"],
    ["compare", "--help"],
    ["report", "--help"],
    ["tune", "--help"],
    ["serve", "--help"],
    ["list", "formats"],
    ["data", "check", "--help"],
    ["data", "convert", "--help"],
    ["data", "get"],
    ["data", "split", "--help"],
]


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    file = tmp_path / "run.yaml"
    file.write_text(
        f"data:\n  path: {tmp_path}/data\n  size: 64\nnetwork: unet_nearest\nloss: {{dice: 0.5, bce: 0.5}}\n"
    )
    return file


@pytest.mark.slow
@pytest.mark.parametrize("arguments", LIGHT, ids=" ".join)
def test_light_commands_import_no_torch(arguments: list[str], config_file: Path) -> None:
    arguments = [str(config_file) if argument == "CONFIG" else argument for argument in arguments]
    without_torch(arguments)


@pytest.mark.slow
def test_train_on_a_finished_run_answers_without_torch(runs: Path) -> None:
    done = without_torch(["train", str(runs / "a_seed0" / "config.yaml"), "-q"])
    assert "a_seed0 is finished already; nothing to train" in done.stderr
    assert "test IoU per image" in done.stdout
    assert "a_seed0/result.json" in done.stdout


def without_torch(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Runs a command in a process of its own, which must not have imported torch by its end."""
    code = (
        "import sys\nfrom segbench.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "assert 'torch' not in sys.modules, 'torch was imported'\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    return done


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("loss: {dice: {over: batchh}}", "loss.dice.over: over must be one of image, batch, got 'batchh'"),
        ("network: {name: unet, width: x}", "network.width: width must be "),
        ("data: {path: PATH, options: {tolerance: x}}", "data.options.tolerance: tolerance must be a whole number"),
    ],
)
def test_config_check_finds_a_wrong_value_of_an_option_without_torch(lines: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(lines.replace("PATH", str(tmp_path)) + ("" if "PATH" in lines else f"\ndata: {tmp_path}") + "\n")
    code = (
        "import sys\nfrom segbench.cli import main\n"
        "try:\n    main(sys.argv[1:])\nfinally:\n    assert 'torch' not in sys.modules, 'torch was imported'\n"
    )
    command = [sys.executable, "-c", code, "config", "check", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def run_cli(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Returns exit code, standard output and standard error of a command run in this process."""
    with pytest.raises(SystemExit) as end:
        cli.main(list(arguments))
    captured = capsys.readouterr()
    return int(end.value.code or 0), captured.out, captured.err


def test_every_command_has_help_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    commands = [
        ["train"],
        ["evaluate"],
        ["predict"],
        ["demo"],
        ["compare"],
        ["report"],
        ["tune"],
        ["study", "run"],
        ["study", "status"],
        ["list"],
        ["config", "check"],
        ["config", "show"],
    ]
    commands += [["config", "new"], ["data", "index"], ["data", "make"], ["describe"]]
    commands += [["metrics", name] for name in ("show", "explain", "confusion")]
    commands += [["plot", name] for name in PLOTS]
    for command in commands:
        code, out, _ = run_cli(capsys, *command, "--help")
        assert code == 0
        assert "Example: segbench" in " ".join(out.split()), command


def test_list_names_everything(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run_cli(capsys, "list")
    for name in (
        "unet_nearest",
        "segnet",
        "dice",
        "focal",
        "oxford_pets",
        "camvid",
        "iou_per_image",
        "thresholded_iou",
    ):
        assert name in out


def test_config_check_says_what_it_read(capsys: pytest.CaptureFixture[str], config_file: Path) -> None:
    code, out, _ = run_cli(capsys, "config", "check", str(config_file), "--set", "epochs=3")
    assert code == 0
    assert "is right: unet_nearest, 0.5 dice + 0.5 bce, 3 epochs" in out


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("netwrok=unet_nearest", "there is no such key; did you mean 'network'?"),
        ("network=unet_neerest", "there is no network 'unet_neerest'; did you mean 'unet_nearest'"),
        ("loss=dise", "there is no loss 'dise'; did you mean 'dice'?"),
        ("network.witdhs=3", "'unet_nearest' has no option 'witdhs'; did you mean 'widths'?"),
        ("data.format=camvit", "did you mean 'camvid'"),
        ("epochs=0", "should be greater than or equal to 1, got 0"),
        ("epochs", "expected key=value, got 'epochs'"),
        ("data.path=nowhere", "data.path does not exist; looked at"),
    ],
)
def test_wrong_configs_say_what_is_wrong(
    capsys: pytest.CaptureFixture[str], config_file: Path, override: str, message: str
) -> None:
    code, out, err = run_cli(capsys, "config", "check", str(config_file), "--set", override)
    assert code in (1, 2)
    assert message in err
    assert not out
    assert "Traceback" not in err


@pytest.mark.slow
def test_from_a_folder_to_predictions(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_cli(capsys, "data", "make", "streets", "streets", "--count", "16")[0] == 0
    code, out, err = run_cli(capsys, "config", "new", "streets", "-o", "mine.yaml")
    assert code == 0, err
    assert "16 samples, multiclass" in out
    code, out, err = run_cli(capsys, "train", "mine.yaml", "--set", "epochs=1", "--set", "data.size=32")
    assert code == 0, err
    assert "IoU per image" in out
    run = tmp_path / "runs" / "streets"
    assert json.loads((run / "result.json").read_text())["test_scored"] == 1

    code, out, err = run_cli(capsys, "evaluate", str(run), "--resolution", "original")
    assert code == 0, err
    assert "per class" in out
    assert len((run / "test_log.csv").read_text().splitlines()) == 3

    (tmp_path / "new").mkdir()
    Image.fromarray(np.full((45, 70, 3), 90, np.uint8)).save(tmp_path / "new" / "a.png")
    (tmp_path / "new" / "broken.png").write_bytes(b"no image")
    code, out, _ = run_cli(capsys, "predict", str(run), "new", "-o", "predicted", "--probs")
    assert code == 1
    assert "1 image segmented" in out
    assert "not segmented: new/broken.png" in out.replace("\n", "")
    with (tmp_path / "predicted" / "areas.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["id"] for row in rows] == ["a"]
    assert sum(float(value) for key, value in rows[0].items() if key.endswith("_frac")) == pytest.approx(1.0, abs=1e-5)
    with Image.open(tmp_path / "predicted" / "masks" / "a.png") as mask:
        assert mask.size == (70, 45)
    tables = [*run.glob("*.csv"), *(tmp_path / "predicted").glob("*.csv")]
    assert len(tables) > 5
    assert [table.name for table in tables if str(tmp_path) in table.read_text()] == [], "tables are passed on"


def test_evaluating_no_run_is_one_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, err = run_cli(capsys, "evaluate", str(tmp_path))
    assert code == 1
    assert "this is no run folder" in err
    code, _, err = run_cli(capsys, "evaluate", str(tmp_path), "--split", "tset")
    assert code == 2
    assert "expected train, val, test, got 'tset'" in err


@pytest.fixture
def pairs(tmp_path: Path, binary_pairs: Path) -> Path:
    folder = tmp_path / "my: data #1"
    shutil.copytree(binary_pairs, folder)
    return folder


def test_new_configs_for_odd_folder_names_and_reader_options(
    capsys: pytest.CaptureFixture[str], pairs: Path, tmp_path: Path
) -> None:
    out_file = tmp_path / "o[bold]2.yaml"
    options = ["--option", "classes={none: 0, spot: 255}", "--option", "tolerance=3"]
    code, out, err = run_cli(capsys, "config", "new", str(pairs), "-o", str(out_file), *options)
    assert code == 0, err
    assert "o[bold]2.yaml" in out
    config = load_config(out_file)
    assert config.data.path == str(pairs)
    assert config.data.options == {"classes": {"none": 0, "spot": 255}, "tolerance": 3}
    assert config.output == "runs/my-data-1"
    code, _, err = run_cli(capsys, "config", "new", str(pairs), "-o", str(out_file))
    assert code == 2
    assert "exists already" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["config", "new", "PAIRS", "-o", "FILE/x.yaml"],
        ["data", "index", "PAIRS", "-o", "FILE/x.json"],
        ["data", "make", "lesions", "FILE", "--count", "1"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_places_that_cannot_be_written_are_one_sentence(
    capsys: pytest.CaptureFixture[str], pairs: Path, tmp_path: Path, arguments: list[str]
) -> None:
    (tmp_path / "file").write_text("")
    places = {"PAIRS": str(pairs), "FILE": str(tmp_path / "file")}
    words = [argument.replace("FILE", places["FILE"]) if "FILE" in argument else argument for argument in arguments]
    code, _, err = run_cli(capsys, *(places.get(word, word) for word in words))
    assert code == 1
    assert str(tmp_path / "file") in err
    assert "Traceback" not in err


def test_wrong_reader_options_blame_the_right_flag(capsys: pytest.CaptureFixture[str], pairs: Path) -> None:
    code, _, err = run_cli(capsys, "data", "index", str(pairs), "--option", "tolerance")
    assert code == 2
    assert "--option: expected option=value, got 'tolerance'" in err
    code, _, err = run_cli(capsys, "data", "index", str(pairs), "--option", "tolerence=3")
    assert code == 2
    assert "data.options.tolerence: 'folder' has no option 'tolerence'; did you mean 'tolerance'" in err


def test_wrong_loss_options_name_the_loss(capsys: pytest.CaptureFixture[str], config_file: Path) -> None:
    _, _, err = run_cli(capsys, "config", "check", str(config_file), "--set", "loss={dice: {smoth: 1}}")
    assert "loss.dice.smoth: 'dice' has no option 'smoth'; did you mean 'smooth'" in err


def test_a_run_json_without_content_is_one_sentence(capsys: pytest.CaptureFixture[str], config_file: Path) -> None:
    run = config_file.parent / "run"
    run.mkdir()
    shutil.copy(config_file, run / "config.yaml")
    (run / "run.json").write_text("{}")
    code, _, err = run_cli(capsys, "evaluate", str(run))
    assert code == 1
    assert "run.json lacks class_map" in err


@pytest.mark.slow
def test_a_run_is_scored_again_with_other_tolerances(
    binary_pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, run = tmp_path / "c.yaml", tmp_path / "run"
    config.write_text(
        f"data: {{path: {binary_pairs}, size: 32}}\nnetwork: {{name: unet, widths: [4]}}\nepochs: 1\n"
        f"output: {run}\ndevice: cpu\n"
    )
    assert run_cli(capsys, "train", str(config), "-q")[0] == 0
    scores = {}
    for tolerance in ("0", "30"):
        words = ["evaluate", str(run), "--split", "val", "--tolerance-px", tolerance, "-q", "--all"]
        code, out, _ = run_cli(capsys, *words)
        scores[tolerance] = json.loads((run / "evaluation_val.json").read_text())
        assert code == 0
        assert "NSD per image" in out
        assert "above 0.5" in out
    assert scores["0"]["scores"]["nsd_per_image"] < scores["30"]["scores"]["nsd_per_image"]
    assert "30 px" in scores["30"]["definitions"]["nsd_per_image"]
    code, _, err = run_cli(capsys, "evaluate", str(run), "--tolerance-px", "-1", "-q")
    assert code == 2
    assert "scores.tolerance_px" in err


@pytest.mark.slow
def test_a_weight_that_moves_is_shown_with_both_ends(
    binary_pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, out = tmp_path / "c.yaml", tmp_path / "run"
    config.write_text(
        f"data: {{path: {binary_pairs}, size: 32}}\nnetwork: {{name: unet, widths: [4]}}\nepochs: 1\ndevice: cpu\n"
        f"loss: {{dice: 1, boundary: {{weight: {{start: 0, end: 0.05, epochs: 9}}}}}}\noutput: {out}\n"
    )
    code, text, _ = run_cli(capsys, "config", "check", str(config))
    assert code == 0
    assert "1 dice + 0 to 0.05 boundary" in text
    assert run_cli(capsys, "train", str(config), "-q")[0] == 0


@pytest.mark.slow
def test_encoders_are_listed_by_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    listed = run_cli(capsys, "list", "encoders", "mobilenet_v2")[1].split()
    assert "mobilenet_v2" in listed
    assert "tu-mobilenetv2_100" in run_cli(capsys, "list", "encoders", "mobilenetv2")[1].split()
    assert "no encoder has 'nothing-like-it'" in run_cli(capsys, "list", "encoders", "nothing-like-it")[1]
    assert run_cli(capsys, "list", "networks", "unet")[0] == 2
