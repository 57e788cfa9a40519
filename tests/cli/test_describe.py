"""`segbench describe` and `segbench plot`: what they print, write and refuse."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import typer
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from segbench.cli.describe import describe
from segbench.cli.plot import plot_app
from segbench.config.run import load_config
from segbench.errors import ConfigError, RunError
from segbench.train.fit import fit

app = typer.Typer(rich_markup_mode=None)
app.command()(describe)
app.add_typer(plot_app, name="plot")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def works(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def refused(*arguments: object, kind: type[Exception] = ConfigError) -> str:
    result = run(*arguments)
    assert isinstance(result.exception, kind), (result.output, result.exception)
    return str(result.exception)


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 52, 3), dtype=np.uint8)).save(path)
    return path


@pytest.fixture(scope="module")
def trained(three_class_pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    config = folder / "config.yaml"
    config.write_text(
        f"data: {{path: {three_class_pairs}, size: 32}}\nnetwork: {{name: unet_nearest, widths: [4]}}\n"
        f"loss: cross_entropy\nepochs: 2\nbatch_size: 8\noutput: {folder / 'run'}\n"
    )
    fit(load_config(config))
    return folder / "run"


def test_one_network_has_a_layer_table_totals_and_files(tmp_path: Path) -> None:
    svg, report = tmp_path / "unet.svg", tmp_path / "unet.json"
    output = works("describe", "unet_nearest", "--size", "64x96", "--svg", svg, "--json", report)
    assert "multiply-adds: 219,414,528" in output  # 1.5 times the 146,276,352 at 64 x 64
    assert "encoder.0.0.0" in output
    plain = json.loads(report.read_text())
    assert (plain["parameters"], plain["size"], plain["receptive_field_px"]) == (931969, [64, 96], [172, 172])
    assert ElementTree.parse(svg).getroot().tag.endswith("svg")
    assert "encoder.0.0.0" not in works("describe", "unet_nearest", "--no-layers")


def test_several_networks_are_compared_and_timed(tmp_path: Path) -> None:
    report = tmp_path / "three.json"
    names = ["sliding_window", "full_resolution_conv", "simple_fcn"]
    output = works("describe", *names, "--size", 32, "--time", "--json", report)
    lines = output.splitlines()
    assert lines[0] == "one image of 32 x 32 pixels (H x W)"
    assert [line.split()[0] for line in lines[2:5]] == names
    assert "forward ms" in lines[1]
    assert "thread" in output
    plain = json.loads(report.read_text())
    assert all(item["forward_ms"] > 0 for item in plain)
    assert plain[0]["macs"] > plain[2]["macs"] * 3  # why fully convolutional networks won


def test_options_channels_and_images_are_used(photo: Path) -> None:
    output = works("describe", "unet_nearest", "--option", "widths=[4]", "--option", "norm=none", "--out-channels", 5)
    assert "1 x 5 x 256 x 256" in output
    assert "BatchNorm" not in output
    own = works("describe", "unet_nearest", "--option", "widths=[4]", "--image", photo, "--no-layers")
    assert "image: 1 x 3 x 40 x 52" in own
    resized = works("describe", "unet_nearest", "--image", photo, "--size", 64, "--in-channels", 1, "--no-layers")
    assert "image: 1 x 1 x 64 x 64" in resized


def test_a_dilation_too_large_is_warned_of() -> None:
    output = works("describe", "aspp_net", "--size", 256, "--no-layers")
    assert output.count("warning: ") == 1
    assert "dilation 18 reaches beyond its 16x16 feature map" in output


def test_wrong_use_of_describe(photo: Path, tmp_path: Path) -> None:
    assert "did you mean 'unet_nearest'" in refused("describe", "unet_nearst")
    assert "has no option 'width'" in refused("describe", "unet_nearest", "--option", "width=3")
    assert "expected option=value" in refused("describe", "unet_nearest", "--option", "widths")
    assert "--size: expected a size" in refused("describe", "unet_nearest", "--size", "big")
    assert "--size: images must be at least 32" in refused("describe", "unet_nearest", "--size", "16")
    assert "--svg" in refused("describe", "unet_nearest", "segnet", "--svg", tmp_path / "x.svg")
    assert "--image" in refused("describe", "unet_nearest", "--image", photo, "--in-channels", 4)
    assert "norm must be one of" in refused("describe", "unet_nearest", "--option", "norm=layer")


@pytest.mark.slow
def test_names_are_checked_before_torch_is_imported() -> None:
    code = (
        "import sys\nfrom segbench.cli.describe import describe\nfrom segbench.cli.plot import plot_app\n"
        "from segbench.errors import ConfigError\n"
        "try:\n    describe(['unet_nearest', 'nothing'])\nexcept ConfigError:\n    assert 'torch' not in sys.modules\n"
        "else:\n    raise SystemExit('not refused')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


FIGURES = {
    "upsampling": ["PHOTO", "--factor", 2],
    "unpooling": ["PHOTO", "--levels", 2],
    "transposed": ["--kernel", 4, "--kernel", 5],
    "overlap": ["RUN"],
    "classes": ["RUN"],
    "rows": ["RUN", "--count", 3],
    "curves": ["RUN"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_has_a_command(name: str, photo: Path, trained: Path, tmp_path: Path) -> None:
    paths = {"PHOTO": photo, "RUN": trained}
    out = tmp_path / f"{name}.png"
    output = works("plot", name, *(paths.get(str(word), word) for word in FIGURES[name]), "-o", out)
    assert output == f"written: {out}\n"
    with Image.open(out) as image:
        assert min(image.size) > 200
        assert len(np.unique(np.asarray(image.convert("L")))) > 20
    assert "Example: segbench plot " + name in works("plot", name, "--help").replace("\n", " ").replace("  ", " ")


def test_the_architecture_is_drawn(tmp_path: Path) -> None:
    out = tmp_path / "unet.svg"
    works("plot", "architecture", "unet_nearest", "--option", "widths=[4, 8]", "--size", 64, "-o", out)
    assert "encoder.1" in out.read_text()
    assert "--out" in refused("plot", "architecture", "unet_nearest", "-o", tmp_path / "unet.png")


def test_overlap_of_two_mask_files(tmp_path: Path) -> None:
    for name, rows in (("truth", 8), ("prediction", 4)):
        mask = np.zeros((16, 16), np.uint8)
        mask[:rows] = 255
        Image.fromarray(mask).save(tmp_path / f"{name}.png")
    files = ["--truth", tmp_path / "truth.png", "--prediction", tmp_path / "prediction.png"]
    out = tmp_path / "overlap.svg"
    works("plot", "overlap", *files, "-o", out)
    assert "IoU 0.500, Dice 0.667" in out.read_text()
    assert "or both --truth" in refused("plot", "overlap", *files[:2], "-o", out)
    assert "got both" in refused("plot", "overlap", tmp_path, *files, "-o", out)


@pytest.mark.slow
def test_wrong_use_of_the_figures(photo: Path, trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.png"
    assert "--factor: factor must be" in refused("plot", "upsampling", photo, "--factor", 3, "-o", out)
    assert "--out: expected a name" in refused("plot", "transposed", "-o", tmp_path / "x.tiff")
    assert "no sample 'img_'" in refused("plot", "rows", trained, "--sample", "img_", "-o", out)
    assert "there is no class 'sky'" in refused("plot", "overlap", trained, "--class", "sky", "-o", out)
    assert "logged no score 'iou'" in refused("plot", "curves", trained, "--score", "iou", "-o", out)
    assert "--split: expected train, val, test" in refused("plot", "rows", trained, "--split", "x", "-o", out)
    assert "no run folder" in refused("plot", "curves", tmp_path, "-o", out, kind=RunError)
    assert not out.exists()
