"""What a person decided about findings: where it stands, what it leaves out, and when it is asked again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.doctor._sets import SIDE, pairs, save
from typer.testing import CliRunner

from segbench import check_dataset
from segbench.cli import app
from segbench.doctor.finding import Finding, Severity
from segbench.doctor.reviewed import Reviews
from segbench.errors import DatasetError


@pytest.fixture
def empty_masks(tmp_path: Path) -> Path:
    """Returns a folder in which three masks are empty."""
    folder = pairs(tmp_path / "set")
    for mask in sorted((folder / "masks").iterdir())[:3]:
        save(mask, np.zeros((SIDE, SIDE)))
    return folder


def test_what_was_decided_is_left_out_and_counted(empty_masks: Path) -> None:
    finding = next(each for each in check_dataset(empty_masks).findings if each.code == "empty_masks")
    before = sorted(path for path in empty_masks.rglob("*"))
    reviews = Reviews(empty_masks, empty_masks)
    reviews.add(finding, finding.files[:2], "not_a_problem", who="Ada", why="nothing to see there")
    assert sorted(path for path in empty_masks.rglob("*")) == before
    left = check_dataset(empty_masks)
    rest = next(each for each in left.findings if each.code == "empty_masks")
    assert (rest.files, rest.count, left.reviewed) == (finding.files[2:], 1, 2)
    assert rest.title == finding.title.replace("3 masks", "1 mask").replace("masks hold", "mask holds")
    assert left.reviewed_file == empty_masks.with_name("set.reviewed.json")
    assert finding in check_dataset(empty_masks, reviewed=True).findings
    stored = json.loads(left.reviewed_file.read_text())["reviews"][0]
    assert (stored["who"], stored["why"], stored["decision"]) == ("Ada", "nothing to see there", "not_a_problem")


def test_a_finding_of_which_everything_is_decided_is_gone(empty_masks: Path) -> None:
    finding = next(each for each in check_dataset(empty_masks).findings if each.code == "empty_masks")
    Reviews(empty_masks, empty_masks).add(finding, finding.files, "accepted")
    assert "empty_masks" not in {each.code for each in check_dataset(empty_masks).findings}
    Reviews(empty_masks, empty_masks).remove("empty_masks", finding.files)
    assert check_dataset(empty_masks).reviewed == 0


def test_a_file_that_changed_is_asked_about_again(empty_masks: Path) -> None:
    finding = next(each for each in check_dataset(empty_masks).findings if each.code == "empty_masks")
    Reviews(empty_masks, empty_masks).add(finding, finding.files, "accepted")
    save(empty_masks / finding.files[0], np.zeros((SIDE, SIDE)), optimize=True, compress_level=0)
    left = check_dataset(empty_masks)
    assert (next(each for each in left.findings if each.code == "empty_masks").files, left.reviewed) == (
        finding.files[:1],
        2,
    )


def test_a_finding_without_files_is_asked_again_when_it_says_something_else(tmp_path: Path) -> None:
    reviews = Reviews(tmp_path / "set", tmp_path)
    finding = Finding(code="small_parts", severity=Severity.WARNING, title="val has 2 images", count=2)
    reviews.add(finding, ("",), "accepted")
    assert list(reviews.valid([finding])) == [("small_parts", "")]
    assert reviews.valid([replace(finding, title="val has 1 image", count=1)]) == {}


def test_what_cannot_be_decided_is_refused(empty_masks: Path) -> None:
    finding = next(each for each in check_dataset(empty_masks).findings if each.code == "empty_masks")
    reviews = Reviews(empty_masks, empty_masks)
    with pytest.raises(DatasetError, match="is not about"):
        reviews.add(finding, ["masks/other.png"], "accepted")
    (empty_masks / finding.files[0]).unlink()
    with pytest.raises(DatasetError, match="cannot be read"):
        reviews.add(finding, finding.files[:1], "accepted")
    reviews.file.write_text('{"format": 1}')
    with pytest.raises(DatasetError, match="damaged"):
        reviews.all()
    reviews.file.write_text('{"format": 9, "reviews": []}')
    with pytest.raises(DatasetError, match="format 1, got 9"):
        reviews.all()


def test_the_command_says_so_in_a_line_and_shows_all_when_asked(empty_masks: Path) -> None:
    finding = next(each for each in check_dataset(empty_masks).findings if each.code == "empty_masks")
    Reviews(empty_masks, empty_masks).add(finding, finding.files, "accepted")
    said = CliRunner().invoke(app, ["data", "check", str(empty_masks), "--quiet"]).output.replace("\n", "")
    assert "3 findings were reviewed and accepted: " in said
    assert "set.reviewed.json" in said
    assert finding.title not in said
    everything = CliRunner().invoke(app, ["data", "check", str(empty_masks), "--quiet", "--all"]).output
    assert finding.title in everything.replace("\n", "")
    assert "reviewed and accepted" not in everything
