"""What a run records about its files, and what is said where one is another file now."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from segbench.errors import RunError
from segbench.files import write_json
from segbench.folders.run import RunFolder
from segbench.folders.seal import KEY, changed_files, hash_file, read_seals, seal

RESULT = {"scores": {}, "n": {}, "best_epoch": 1, "network": {}, "loss": {}, "definitions": {}}


def write_run(folder: Path) -> RunFolder:
    run = RunFolder(folder)
    for name in ("counts_test.csv", "scores_test.csv", "predicted_test.zip", "best.safetensors"):
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(f"what {name} holds", encoding="utf-8")
    write_json(run.result_file, {**RESULT, KEY: seal(run, ["test"], weights=run.best_file)})
    return run


def test_the_hash_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert hash_file(tmp_path / "file") == hashlib.sha256(b"abc").hexdigest()


def test_what_is_there_is_recorded_and_a_change_is_named(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    [recorded] = read_seals(run, "test")
    assert sorted(recorded) == ["best.safetensors", "counts_test.csv", "predicted_test.zip", "scores_test.csv"]
    assert changed_files(run, "test") == []
    run.counts_file("test").write_text("another", encoding="utf-8")
    [told] = changed_files(run, "test") or []
    assert told.startswith(f"counts_test.csv: expected SHA-256 {recorded['counts_test.csv'][:12]}, got ")


def test_a_file_that_is_gone_is_no_change_of_it(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    run.predicted_file("test").unlink()
    assert changed_files(run, "test") == []


def test_a_run_without_a_record_of_the_part_has_none(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    assert changed_files(run, "test_original") is None
    write_json(run.result_file, RESULT)
    assert changed_files(run, "test") is None


def test_an_evaluation_records_its_own_files(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    run.counts_file("test").write_text("scored again", encoding="utf-8")
    write_json(run.path / "evaluation_test.json", {KEY: seal(run, ["test"], weights=run.best_file)})
    assert changed_files(run, "test") == []
    run.scores_file("test").write_text("another", encoding="utf-8")
    assert len(changed_files(run, "test") or []) == 1


def test_a_record_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    (run.path / "evaluation_test.json").write_text(json.dumps([]), encoding="utf-8")
    with pytest.raises(RunError, match=r"evaluation_test.json cannot be read .*; delete it, and evaluate again"):
        changed_files(run, "test")
