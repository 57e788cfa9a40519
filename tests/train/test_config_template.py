"""The config that is written for a new data set says what the doctor says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from tests.doctor._sets import blob, codes, cracks, pairs, photo, save
from typer.testing import CliRunner

from segbench.cli.main import app
from segbench.config.run import load_config
from segbench.doctor.dataset import check_dataset


def written(root: Path, out: Path, *words: str) -> tuple[str, str]:
    done = CliRunner().invoke(app, ["config", "new", str(root), "-o", str(out), *words])
    assert done.exit_code == 0, done.output
    return out.read_text(encoding="utf-8"), done.output


def several(root: Path, name: Callable[[int], str]) -> None:
    """Renames the pairs, so that their names say which belong together."""
    for folder in ("images", "masks"):
        for number, path in enumerate(sorted((root / folder).iterdir())):
            path.rename(path.with_name(f"{name(number)}.png"))


def lines_of(text: str) -> dict[str, Any]:
    """Returns dotted key -> value of what a config says, mappings that are one setting whole."""
    plain = YAML(typ="safe").load(text)
    data = plain.pop("data")
    options, split = (data.pop(key, {}) for key in ("options", "split"))
    return {
        **plain,
        **{f"data.{key}": value for key, value in data.items()},
        **{f"data.options.{key}": value for key, value in options.items()},
        **{f"data.split.{key}": value for key, value in split.items()},
    }


def uncommented(text: str, *keys: str) -> str:
    """Returns a config with commented options taken in, as a person does who deletes `# ` before them."""
    done = []
    inside = ""
    for line in text.splitlines():
        plain = line.replace("  # ", "  ", 1) if line.startswith("  # ") else ""
        indent = len(plain) - len(plain.lstrip())
        if plain.strip() == "options:":
            done.append(plain)
            continue
        if indent == 4:
            inside = plain.lstrip().partition(":")[0]
        done.append(plain if plain and inside in keys else line)
    return "\n".join([*done, ""])


def test_the_doctors_suggestions_are_the_configs_lines(tmp_path: Path) -> None:
    root = pairs(tmp_path / "set", 24, name="patient{:02d}")
    several(root, lambda number: f"patient{number // 2:02d}_{number % 2}")
    text, _ = written(root, tmp_path / "mine.yaml")
    suggested = check_dataset(root).suggestions
    own = {"data.path", "data.format", "seed", "output"}
    assert {key: value for key, value in lines_of(text).items() if key not in own} == {
        key: value for key, value, _ in suggested
    }
    assert {"data.options.group", "data.split.ratios", "network", "loss"} <= {key for key, _, _ in suggested}
    told = " ".join(text.replace("#", "").split())
    assert all(reason in told for _, _, reason in suggested)
    load_config(tmp_path / "mine.yaml", [])


def test_groups_that_only_may_be_some_stay_a_comment(tmp_path: Path) -> None:
    root = pairs(tmp_path / "set", 24, name="patient{:02d}")
    several(root, lambda number: f"x7_site{number // 2:02d}_{number % 2}")
    text, _ = written(root, tmp_path / "mine.yaml")
    assert "data.options.group" not in lines_of(text)
    assert lines_of(uncommented(text, "group"))["data.options.group"].endswith(r"\d+$")


def test_what_the_doctor_warns_of_is_said(tmp_path: Path) -> None:
    root = pairs(tmp_path / "set", 12, mask=lambda place: blob(place) if place else blob(0) * 0)
    _, output = written(root, tmp_path / "mine.yaml")
    assert "warning: 1 mask of 12 with nothing but background" in output
    assert "segbench data check" in output


def test_a_warning_that_the_config_answers_is_none(tmp_path: Path) -> None:
    for place in range(6):
        save(tmp_path / f"set/images/s{place}x.png", photo(place, 480))
        save(tmp_path / f"set/masks/s{place}x.png", cracks(place, 480, 1))
    text, output = written(tmp_path / "set", tmp_path / "mine.yaml")
    assert lines_of(text)["data.size"] == [480, 480]
    assert "px wide: too thin to be learned" in text
    assert "break into pieces" not in output
    assert "thin_objects" in codes(check_dataset(tmp_path / "set"))
