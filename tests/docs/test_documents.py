"""What the README and the docs tell people to do is done here."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests._processes import run_script, run_segbench

import check_docs
import segbench
from segbench.config.run import load_config
from segbench.config.study import expand, load_study
from segbench.data.formats import FORMATS
from segbench.data.manifest.read import read_dataset
from segbench.losses import LOSSES
from segbench.models import MODELS
from segbench.train.check import check_config

REPOSITORY = Path(__file__).resolve().parents[2]
README = (REPOSITORY / "README.md").read_text()


@pytest.mark.slow
def test_the_quickstart_of_the_readme_works(tmp_path: Path) -> None:
    script = re.search(r"```sh\n(.*?)```", README, re.DOTALL)
    assert script is not None
    commands = [line.partition("#")[0].strip() for line in script.group(1).splitlines()]
    assert len(commands) == 7
    run_all(commands, tmp_path)
    assert len(list((tmp_path / "predicted" / "overlays").glob("*.jpg"))) == 60
    assert (tmp_path / "check.html").is_file()


def run_all(commands: list[str], folder: Path) -> str:
    """Runs commands in a folder, trainings with small images, and returns what they printed."""
    printed = []
    for command in commands:
        program, *words = shlex.split(command)
        assert program == "segbench"
        if words[0] == "train" and "data.size=64" not in words:
            words += ["--set", "data.size=64"]
        done = run_segbench(*words, cwd=folder, timeout=600)  # a study trains several times
        fine = (0, 1) if "data check" in command else (0,)  # 1: warnings
        assert done.returncode in fine, f"{command}: {done.stdout}{done.stderr}"
        printed.append(done.stdout)
    return "".join(printed)


def shape_of(line: str) -> str:
    """Returns a line without what differs from machine to machine: digits, their sign and the width of columns."""
    return " ".join(re.sub(r"[+-]?\d[\d.]*", "#", line).split())


@pytest.mark.slow
def test_the_way_from_an_annotation_tool_to_a_prediction(tmp_path: Path) -> None:
    text = (REPOSITORY / "docs" / "howto" / "own_data.md").read_text()
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    printed = run_all([line.strip() for block in blocks for line in block.splitlines()], tmp_path)
    shown = re.findall(r"```text\n(.*?)```", text, re.DOTALL)
    assert shown
    told = {shape_of(line) for line in printed.splitlines()}
    assert [line for block in shown for line in block.splitlines() if shape_of(line) not in told] == []
    assert len(list((tmp_path / "predicted" / "overlays").glob("*.jpg"))) == 1
    assert (tmp_path / "predicted" / "legend.png").is_file()
    assert list((tmp_path / "runs" / "outlined" / "pictures").glob("*.png"))
    project = json.loads((tmp_path / "to_correct" / "via_project.json").read_text())
    assert len(project["_via_img_metadata"]) == 60
    drawn = read_dataset(tmp_path / "outlined", "via")
    assert drawn.class_map.names == ("background", "foreground")


@pytest.mark.slow
def test_the_way_from_a_run_to_a_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (REPOSITORY / "docs" / "howto" / "bundle.md").read_text()
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    elsewhere = ("segbench push", "segbench pull", "segbench bundle runs/my_study")  # need a hub, or a study
    printed = run_all([line for line in lines if not line.startswith(elsewhere)], tmp_path)
    told = shape_of(printed.replace("\u2212", "-"))  # as one line: what is long is broken in two
    shown = [line for block in re.findall(r"```text\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    assert shown
    assert [line for line in shown if shape_of(line) not in told] == []
    assert (tmp_path / "lesions_model" / "README.md").is_file()
    [code] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    shutil.copy(next((tmp_path / "lesions" / "images").iterdir()), "photo.jpg")
    exec(code, {"segbench": segbench})


def test_the_guide_to_data_names_every_format() -> None:
    text = (REPOSITORY / "docs" / "reference" / "data.md").read_text()
    assert [name for name in FORMATS.names() if f"`{name}`" not in text] == []


# onnx_alone.py needs an exported model: tests/export runs it, where neither torch nor segbench can be imported.
# Those of the server need one: tests/serve runs them.
ELSEWHERE = ("onnx_alone.py", "serve_client.py", "ray_serve.py")
EXAMPLES = [path for path in sorted((REPOSITORY / "docs" / "examples").glob("*.py")) if path.name not in ELSEWHERE]


@pytest.mark.slow
@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_run(script: Path, tmp_path: Path) -> None:
    done = run_script(script, str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert "mask (300, 400)" in done.stdout


@pytest.mark.slow
def test_import_segbench_imports_no_torch() -> None:
    code = "import sys, segbench; dir(segbench); assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


CONFIGS = [
    path for folder in ("configs", "benchmarks/configs") for path in sorted((REPOSITORY / folder).glob("*.yaml"))
]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_shipped_configs_are_right(path: Path) -> None:
    text, name = path.read_text(), path.relative_to(REPOSITORY)
    if not re.search("^study: ", text, re.MULTILINE):
        check_config(load_config(path), data_must_exist=False)
        assert f"segbench train {name}" in text
        return
    for run in expand(load_study(path)).runs:
        check_config(run.config, data_must_exist=False)
    assert f"segbench study run {name}" in text


def test_every_registered_thing_has_a_one_line_summary() -> None:
    for registry in (MODELS, LOSSES, FORMATS):
        for name in registry.names():
            assert len(registry.summary(name)) > 20, name


def test_what_the_documents_name_is_there() -> None:
    assert "\n".join(check_docs.problems(REPOSITORY)) == ""


STUDIES = sorted((REPOSITORY / "studies").glob("*.yaml"))


@pytest.mark.parametrize("file", STUDIES, ids=lambda path: path.stem)
def test_the_shipped_studies_expand_at_every_scale(file: Path) -> None:
    assert f"segbench study run studies/{file.name}" in file.read_text()
    assert file.name in (REPOSITORY / "docs" / "howto" / "studies.md").read_text()
    full = expand(load_study(file))
    assert {run.seed for run in full.runs} == {0, 1, 2}
    assert load_study(file).question
    assert load_study(file).expected
    for scale in ("", *load_study(file).scales):
        plan = expand(load_study(file, scale=scale))
        assert plan.notes == ()
        for run in plan.runs:
            check_config(run.config, data_must_exist=False)
        assert [run.entry for run in plan.runs if run.seed == 0] == [run.entry for run in full.runs if run.seed == 0]


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("file", STUDIES, ids=lambda path: path.stem)
def test_the_shipped_studies_run(file: Path, tmp_path: Path, real_data: Callable[[str], Path]) -> None:
    data = real_data("oxford_pets" if "pets" in file.stem else "ph2")
    fewer = {
        "ph2_networks_x_losses": "vary.loss={bce: {bce: 1.0}}",
        "pets_frozen_vs_finetuned": "vary.encoder={frozen: {freeze: encoder}}",
    }.get(file.stem, "vary.seed=[0]")
    words = ["study", "run", str(file), "--data", str(data), "--scale", "small"]
    words += ["--set", "epochs=1", "--set", "data.size=32", "--set", "vary.seed=[0]", "--set", fewer]
    words += ["--threads", "1", "-o", str(tmp_path)]
    done = run_segbench(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    done = run_segbench("compare", str(tmp_path), "-q")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "trained with one seed" in " ".join(done.stdout.split())


def test_the_first_screen_of_the_readme_is_short() -> None:
    sentence = README.split("\n\n")[1]
    assert len(sentence.split()) <= 20
    assert len(README.split()) <= 700
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert pictures == ["docs/pictures/report.png"]
    assert (REPOSITORY / pictures[0]).stat().st_size < 200_000
