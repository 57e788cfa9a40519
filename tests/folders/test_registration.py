"""What is written before the first training, and that it stays as it was then."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from segbench.config.study import StudyConfig, expand, parse_study
from segbench.errors import RunError
from segbench.folders.registration import hash_of
from segbench.folders.study import StudyFolder


def asked(folder: Path, **more: Any) -> StudyConfig:
    base = {"data": {"path": "images", "size": 32}, "epochs": 2}
    plain = {"study": "s", "base": base, "vary": {"network": ["segnet", "unet_nearest"], "seed": [0, 1]}}
    return parse_study({**plain, "output": str(folder), "question": "Which?", **more})


def claim(study: StudyConfig, folder: Path, manifest_hash: str = "h", **more: Any) -> StudyFolder:
    found = StudyFolder(folder)
    found.claim(study, expand(study), manifest_hash=manifest_hash, threads=1, engine="local", **more)
    return found


def begin(folder: StudyFolder, run_id: str) -> None:
    """Makes a run look as if its training had begun."""
    run = folder.run(run_id)
    run.path.mkdir(parents=True)
    run.write_facts({"manifest_hash": "h"})


def read(folder: StudyFolder) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(folder.registration_file.read_text(encoding="utf-8"))
    return found


def changes(folder: StudyFolder, study: StudyConfig, manifest_hash: str = "h") -> list[str]:
    told = folder.changed_since_registration(study, expand(study), manifest_hash)
    assert told is not None
    return list(map(str, told))


def test_it_says_what_the_verdict_will_be_made_by(tmp_path: Path) -> None:
    study = asked(tmp_path, practical=0.02, looks=3, absent="left_out", score="dice_per_image")
    folder = claim(study, tmp_path)
    found = read(folder)
    assert {
        key: found[key] for key in ("score", "practical", "looks", "absent", "seeds", "entries", "manifest_hash")
    } == {
        "score": "dice_per_image",
        "practical": 0.02,
        "looks": 3,
        "absent": "left_out",
        "seeds": [0, 1],
        "entries": ["segnet", "unet_nearest"],
        "manifest_hash": "h",
    }
    assert (found["question"], found["begun_before"], len(found["runs"])) == ("Which?", 0, 4)
    assert found["hash"] == hash_of(found) == folder.read_facts()["registration"]
    assert changes(folder, study) == []


def test_before_the_first_training_it_may_be_written_anew(tmp_path: Path) -> None:
    claim(asked(tmp_path), tmp_path)
    again = asked(tmp_path, score="dice_per_image")
    assert changes(claim(again, tmp_path), again) == []


def test_once_a_run_was_begun_it_stays_and_what_changes_is_told(tmp_path: Path) -> None:
    folder = claim(asked(tmp_path), tmp_path)
    first = read(folder)
    begin(folder, "segnet__seed0")
    more = {"network": ["segnet", "simple_fcn"], "seed": [0, 1, 2]}
    later = asked(tmp_path, score="dice_per_image", looks=2, vary=more)
    assert read(claim(later, tmp_path)) == first
    date = first["registered"][:10]
    assert changes(folder, later, "other") == [
        f"score was changed after the registration of {date}: registered iou_per_image, now dice_per_image",
        f"looks was changed after the registration of {date}: registered 1, now 2",
        f"the data or their split were changed after the registration of {date}: registered h, now other (hash of "
        "images, masks and split)",
        f"added after the registration of {date}: seeds 2",
        f"added after the registration of {date}: entries simple_fcn",
        f"registered on {date} and left out now: entries unet_nearest",
    ]


def test_other_settings_of_a_run_are_told(tmp_path: Path) -> None:
    folder = claim(asked(tmp_path), tmp_path)
    base = {"data": {"path": "images", "size": 32}, "epochs": 3}
    [told] = changes(folder, asked(tmp_path, base=base))
    assert told.startswith("trained with other settings than those registered on ")
    assert "segnet__seed0" in told


def test_a_study_of_an_earlier_version_is_registered_late_and_says_so(tmp_path: Path) -> None:
    folder = claim(asked(tmp_path), tmp_path)
    folder.registration_file.unlink()
    facts = folder.read_facts()
    folder.plan_file.write_text(
        json.dumps({key: facts[key] for key in facts if key != "registration"}), encoding="utf-8"
    )
    begin(folder, "segnet__seed0")
    assert folder.changed_since_registration(asked(tmp_path), expand(asked(tmp_path)), "h") is None
    [told] = changes(claim(asked(tmp_path), tmp_path), asked(tmp_path))
    assert told.endswith(", after 1 run had been begun")


def test_a_registration_that_is_gone_is_not_written_anew(tmp_path: Path) -> None:
    folder = claim(asked(tmp_path), tmp_path)
    begin(folder, "segnet__seed0")
    folder.registration_file.unlink()
    [told] = changes(claim(asked(tmp_path), tmp_path), asked(tmp_path))
    assert told.startswith("registration.json is gone (SHA-256 ")


def test_one_that_cannot_be_read_says_what_to_do(tmp_path: Path) -> None:
    folder = claim(asked(tmp_path), tmp_path)
    folder.registration_file.write_text("[]", encoding="utf-8")
    with pytest.raises(RunError, match=r"registration.json cannot be read .*put it back from where you keep copies"):
        changes(folder, asked(tmp_path))


def test_the_most_runs_at_once_are_kept(tmp_path: Path) -> None:
    folder = claim(asked(tmp_path), tmp_path, workers=4)
    claim(asked(tmp_path), tmp_path, workers=1)
    assert folder.read_facts()["workers"] == 4
    claim(asked(tmp_path), tmp_path)
    assert folder.read_facts()["workers"] == 4
