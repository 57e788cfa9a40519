"""The config that is written for a new data set says what the doctor says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ruamel.yaml import YAML
from tests.doctor._sets import blob, pairs
from typer.testing import CliRunner

from segbench.cli.main import app
from segbench.config.run import load_config
from segbench.doctor.dataset import check_dataset


def written(root: Path, out: Path) -> tuple[str, str]:
    done = CliRunner().invoke(app, ["config", "new", str(root), "-o", str(out)])
    assert done.exit_code == 0, done.output
    return out.read_text(encoding="utf-8"), done.output


def several(root: Path, name: Callable[[int], str]) -> None:
    """Renames the pairs, so that their names say which belong together."""
    for folder in ("images", "masks"):
        for number, path in enumerate(sorted((root / folder).iterdir())):
            path.rename(path.with_name(f"{name(number)}.png"))


def test_the_doctors_suggestions_are_the_configs_values(tmp_path: Path) -> None:
    root = pairs(tmp_path / "set", 24, name="patient{:02d}")
    several(root, lambda number: f"patient{number // 2:02d}_{number % 2}")
    text, _ = written(root, tmp_path / "mine.yaml")
    plain = YAML(typ="safe").load(text)
    size = tuple(plain["data"]["size"])
    found = {key: (value, reason) for key, value, reason in check_dataset(root, image_size=size).suggestions}
    assert plain["data"]["augment"] == found["data.augment"][0]
    assert plain["data"]["options"]["group"] == found["data.options.group"][0]
    assert plain["data"]["split"]["ratios"] == found["data.split.ratios"][0]
    assert found["data.augment"][1] in text
    assert load_config(tmp_path / "mine.yaml", []).data.size == size


def test_groups_that_only_may_be_some_stay_a_comment(tmp_path: Path) -> None:
    root = pairs(tmp_path / "set", 24, name="patient{:02d}")
    several(root, lambda number: f"x7_site{number // 2:02d}_{number % 2}")
    text, _ = written(root, tmp_path / "mine.yaml")
    assert "group" not in YAML(typ="safe").load(text)["data"]["split"]
    line = next(line for line in text.splitlines() if line.startswith("    # group: "))
    answered = YAML(typ="safe").load(text.replace(line, line.replace("# group", "group", 1)))
    assert answered["data"]["split"]["group"].endswith(r"\d+$")


def test_what_the_doctor_warns_of_is_said(tmp_path: Path) -> None:
    root = pairs(tmp_path / "set", 12, mask=lambda place: blob(place) if place else blob(0) * 0)
    _, output = written(root, tmp_path / "mine.yaml")
    assert "warning: 1 mask of 12 with nothing but background" in output
    assert "segbench data check" in output
