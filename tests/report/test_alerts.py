"""Runs that went wrong are told as such wherever their scores are shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.compare._study import write_study

from segbench import cli, compare_runs
from segbench.compare.gather import study_evidence
from segbench.folders.study import StudyFolder
from segbench.report.page import write_report

pytestmark = pytest.mark.slow  # whole pages

ALERT = {"code": "one_class", "epoch": 3, "sentence": "only skin is predicted", "advice": "lower optimizer.lr"}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """Returns a finished study of two losses, of which one run collapsed; read only."""
    folder = write_study(tmp_path_factory.mktemp("study"), networks={"segnet": "segnet"}, images=24, epochs=6)
    run = folder.run("segnet__bce__seed1")
    run.write_alerts([ALERT, {**ALERT, "code": "still_improving", "epoch": 6, "sentence": "it still gets better"}])
    result = json.loads(run.result_file.read_text())
    run.result_file.write_text(json.dumps({**result, "collapsed": True}))
    return folder


def test_the_study_knows_them(study: StudyFolder) -> None:
    (status,) = [status for status in study.status() if status.alerts]
    assert (status.run.id, status.collapsed, status.state) == ("segnet__bce__seed1", True, "finished")
    assert status.alerts[0] == ALERT


def test_status_and_compare_say_it_in_the_terminal(study: StudyFolder, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["study", "status", str(study.path)])
    out = capsys.readouterr().out
    (row,) = [line for line in out.splitlines() if "collapsed │" in line]
    assert row.rstrip(" │").endswith(" 2"), "both alerts are counted"
    assert "so its score says nothing about the network: segnet__bce__seed1\n" in out
    assert "warning: segnet__bce__seed1, epoch 3: only skin is predicted. To do: lower optimizer.lr" in out
    comparison = compare_runs(study.path)
    (told,) = [sentence for sentence in comparison.sentences() if "collapsed" in sentence]
    assert told.startswith("1 of 2 runs of ")
    assert list(comparison.to_dict()["collapsed"].values()) == [1]
    html = comparison._repr_html_()
    assert told in html
    assert comparison.verdict.headline() in html


@pytest.mark.parametrize(
    ("lang", "heading"), [("en", "predicts one class only"), ("en", "still improving at its end"), ("ru", "")]
)
def test_the_page_says_it_above_everything_and_in_a_table(
    study: StudyFolder, lang: str, heading: str, tmp_path: Path
) -> None:
    files = write_report(tmp_path / "report.html", study_evidence(study), study=study, lang=lang)
    text = files.html.read_text(encoding="utf-8")
    before, after = text.split('<section id="learning">')
    assert heading in after
    assert "lower optimizer.lr" in after, "what to do is shown when the cell is pointed at"
    if lang == "en":
        assert "their scores say nothing" in before or "its score says nothing" in before
