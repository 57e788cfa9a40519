"""Which runs the words on the command line mean."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.folders.test_study import claimed, study

from segbench.cli._common import runs_of
from segbench.errors import ConfigError, RunError
from segbench.folders.study import StudyFolder


@pytest.fixture
def finished(binary_pairs: Path, tmp_path: Path) -> StudyFolder:
    """Returns a study whose four runs look finished; the first one collapsed."""
    folder = claimed(study(binary_pairs, tmp_path / "s"), tmp_path / "s")
    for number, run in enumerate(folder.read_plan().runs):
        folder.run(run.id).path.mkdir(parents=True)
        (folder.run(run.id).path / "run.json").write_text("{}")
        folder.run(run.id).result_file.write_text(json.dumps({"collapsed": number == 0}))
    return folder


def test_a_run_that_collapsed_is_not_averaged_and_that_is_said(
    finished: StudyFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = finished.read_plan().runs[0].entry
    assert runs_of(finished.path, None, entry) == [finished.finished_runs(entry)[1]]
    assert capsys.readouterr().out == "1 run that collapsed is left out.\n"


def test_an_entry_is_of_a_study(finished: StudyFolder, tmp_path: Path) -> None:
    run = finished.run(finished.read_plan().runs[0].id).path
    told = f"one run; leave it off, or give the study's folder ({finished.path})"
    with pytest.raises(ConfigError) as raised:
        runs_of(run, None, "unet")
    assert told in str(raised.value)
    bundle = tmp_path / "x.segbench"
    bundle.write_bytes(b"")
    with pytest.raises(ConfigError, match=r"x\.segbench is a bundle; leave it off, or give the study's folder$"):
        runs_of(bundle, None, "unet")
    with pytest.raises(RunError, match="this is no study folder"):
        runs_of(tmp_path, None, "unet")
