"""The Dockerfile and the compose file, as far as that goes without a Docker engine: what they say is parsed and run."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from ruamel.yaml import YAML

from segbench.cli.main import app

REPOSITORY = Path(__file__).resolve().parents[2]
Step = tuple[str, str]


def steps() -> list[Step]:
    """Returns (instruction, its words) of the Dockerfile, without comments."""
    text = (REPOSITORY / "Dockerfile").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(name, words) for name, _, words in (line.partition(" ") for line in joined.splitlines() if line)]


def last(name: str) -> str:
    return [words for found, words in steps() if found == name][-1]


def environment() -> dict[str, str]:
    """Returns what the image's environment says."""
    stages = [index for index, (name, _) in enumerate(steps()) if name == "FROM"]
    words = [words for name, words in steps()[stages[-1] :] if name == "ENV"]
    return dict(each.split("=", 1) for line in words for each in shlex.split(line))


def test_the_image_is_small_and_its_user_has_no_rights() -> None:
    names = [name for name, _ in steps()]
    assert set(names) <= {
        "ARG",
        "FROM",
        "ENV",
        "RUN",
        "WORKDIR",
        "COPY",
        "USER",
        "EXPOSE",
        "HEALTHCHECK",
        "ENTRYPOINT",
        "CMD",
    }
    assert names.count("FROM") == 2  # what builds does not stay
    assert [words for name, words in steps() if name == "FROM"][-1] == "python:${PYTHON}-slim"
    assert last("USER") == "10001:10001"
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert ("ARG", "TORCH_BACKEND=cpu") in steps()
    copied = [words for name, words in steps() if name == "COPY" and not words.startswith("--from")]
    allowed = {line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert (REPOSITORY / ".dockerignore").read_text().splitlines()[1] == "*"
    assert {word for words in copied for word in words.split()[:-1]} == allowed
    assert all((REPOSITORY / name).exists() for name in allowed)
    assert not re.search(
        r"token|secret|password", " ".join(words for name, words in steps() if name in ("ENV", "ARG")), re.IGNORECASE
    )


def test_the_extras_that_are_installed_are_there() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    [installs] = [words for name, words in steps() if name == "RUN" and "-r pyproject.toml" in words]
    extras = re.findall(r"--extra (\w+)", installs)
    assert "serve" in extras
    assert set(extras) <= set(project["optional-dependencies"])
    assert project["scripts"]["segbench"]
    assert {project["readme"], *project["license-files"]} <= {"README.md", "LICENSE"}  # the build needs them


@pytest.mark.parametrize(
    ("backend", "given"), [("cpu", "--torch-backend cpu"), ("", ""), ("cu130", "--torch-backend cu130")]
)
@pytest.mark.slow
def test_the_build_argument_chooses_pytorch(backend: str, given: str) -> None:
    [installs] = [words for name, words in steps() if name == "RUN" and "-r pyproject.toml" in words]
    variables = {**os.environ, "TORCH_BACKEND": backend}
    echoed = subprocess.run(["sh", "-c", f"echo {installs}"], env=variables, capture_output=True, text=True, check=True)
    assert echoed.stdout.split("install", 1)[1].split("-r")[0].strip() == given


@pytest.mark.slow
def test_the_health_check_tells_a_living_server_from_a_dead_one(server: Callable[..., str]) -> None:
    _, _, words = last("HEALTHCHECK").partition("CMD ")
    program, *arguments = json.loads(words)
    assert program == "python"
    port = urlsplit(server(token="a-token-that-it-does-not-know")).port
    for address, code in ((f"127.0.0.1:{port}", 0), ("127.0.0.1:9", 1)):
        command = [sys.executable, *(each.replace("127.0.0.1:8000", address) for each in arguments)]
        assert subprocess.run(command, capture_output=True, check=False).returncode == code


def entry_point(*words: str) -> list[str]:
    program, *fixed = json.loads(last("ENTRYPOINT"))
    assert program == "segbench"
    return [*fixed, *words]


def test_the_entry_point_is_a_command_and_its_words_are_options() -> None:
    from typer.testing import CliRunner

    shown = CliRunner().invoke(app, entry_point(*json.loads(last("CMD"))))
    assert shown.exit_code == 0
    assert "MODEL..." in shown.output
    compose = YAML(typ="safe").load((REPOSITORY / "docs" / "examples" / "compose.yaml").read_text())
    for option in [word for word in compose["services"]["segbench"]["command"] if word.startswith("--")]:
        assert option in shown.output


@pytest.mark.slow
def test_without_a_token_the_container_says_what_is_missing(bundles: dict[str, Path], tmp_path: Path) -> None:
    variables = {name: value for name, value in environment().items() if name not in ("PATH", "HOME")}
    done = subprocess.run(
        [sys.executable, "-m", "segbench", *entry_point(str(bundles["lesion"]))],
        env={**os.environ, **variables, "HOME": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "SEGBENCH_TOKEN" in done.stderr + done.stdout


def test_caches_lie_where_a_read_only_image_can_write() -> None:
    variables = environment()
    assert all(variables[name].startswith("/tmp") for name in ("HOME", "SEGBENCH_CACHE", "MPLCONFIGDIR"))
    compose: dict[str, Any] = YAML(typ="safe").load((REPOSITORY / "docs" / "examples" / "compose.yaml").read_text())
    service = compose["services"]["segbench"]
    assert service["read_only"] is True
    assert [each.split(":")[0] for each in service["tmpfs"]] == ["/tmp"]
    assert {each.split(":")[1] for each in service["volumes"]} == {"/models", "/jobs"}
    assert [each for each in service["volumes"] if each.startswith("jobs:")]
    assert service["ports"] == ["127.0.0.1:8000:8000"]
    assert f"/run/secrets/{service['secrets'][0]}" in service["command"]
    assert (REPOSITORY / "docs" / "examples" / service["build"]).resolve() == REPOSITORY
