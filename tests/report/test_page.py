"""The report: self-contained, escaped, right in a real browser, in both languages, and equal to the verdict."""

from __future__ import annotations

import csv
import html
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.compare._study import NETWORKS, distort, write_study
from tests.locale.english import english_in
from tests.report._browser import look

from segbench.cli import main
from segbench.compare.evidence import Entry
from segbench.compare.gather import load_evidence, study_evidence
from segbench.data.sources.load import load_sample
from segbench.errors import DatasetError
from segbench.folders.mask_archive import MaskArchive, save_masks
from segbench.folders.study import StudyFolder
from segbench.locale import translate
from segbench.report import page
from segbench.report.markdown import plain
from segbench.report.page import ReportFiles, write_report
from segbench.report.sections.answer import MOST_WORDS

pytestmark = pytest.mark.slow  # networks of real encoders, or whole pages

NASTY = "<script>alert(1)</script>"
LOSSES = {"bce": {"bce": 1}, NASTY: {"dice": 0.5, "bce": 0.5}}
SECTIONS = (
    *("alerts", "next", "results", "factors", "errors", "cases", "attributes", "pairs", "costs", "learning"),
    *("questions", "data", "protocol", "repeat"),
)


def keys_of(text: str) -> list[str]:
    return re.findall(r'<section id="(\w+)">', text)


def read_rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """Returns a study of lesions with a baseline and a nasty name; read only."""
    return write_study(
        tmp_path_factory.mktemp("study"),
        losses=LOSSES,
        images=72,
        epochs=16,
        baseline={"network": "segnet", "loss": "bce"},
    )


@pytest.fixture(scope="module")
def english(study: StudyFolder, tmp_path_factory: pytest.TempPathFactory) -> ReportFiles:
    return write_report(tmp_path_factory.mktemp("en") / "report.html", study_evidence(study), study=study)


@pytest.fixture(scope="module")
def russian(study: StudyFolder, tmp_path_factory: pytest.TempPathFactory) -> ReportFiles:
    folder = tmp_path_factory.mktemp("ru")
    return write_report(folder / "report.html", study_evidence(study), study=study, lang="ru")


@pytest.mark.slow
@pytest.mark.parametrize("lang", ["english", "russian"])
def test_the_page_holds_everything_itself(lang: str, request: pytest.FixtureRequest) -> None:
    text = request.getfixturevalue(lang).html.read_text(encoding="utf-8")
    assert keys_of(text) == list(SECTIONS)
    sources = re.findall(r"<[^>]*\b(?:src|href)=\"([^\"]{0,40})", text)
    assert sum(source.startswith("data:image/") for source in sources) > 40
    assert all(source.startswith(("data:", "#")) for source in sources)
    assert not re.search(r"https?://|@import|url\((?!#)", text)
    assert len(text.encode()) < 2 * 2**20


@pytest.mark.slow
@pytest.mark.parametrize("lang", ["english", "russian"])
def test_names_are_escaped_everywhere(lang: str, request: pytest.FixtureRequest) -> None:
    files = request.getfixturevalue(lang)
    text = files.html.read_text(encoding="utf-8")
    assert NASTY not in text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 10
    story = re.sub(r"```.*?```", "", files.markdown.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert "<script>" not in re.sub(r"\\[<>]", "", story)
    assert "\\<script\\>alert(1)" in story


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lang", "width", "dark"),
    [("english", 375, False), ("russian", 375, True), ("russian", 768, False), ("english", 1440, True)],
)
def test_a_browser_shows_all_of_it(
    lang: str, width: int, dark: bool, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    found = look(request.getfixturevalue(lang).html, tmp_path, width=width, dark=dark, column=1)
    assert found["console"] == []
    assert found["requests"] == []
    assert found["loaded"] == found["images"] > 40
    assert (found["width"], found["overflow"]) == (width, 0)
    assert found["twice"] == 0
    assert found["drawings"] >= 6
    assert found["ground"] == ("rgb(20, 24, 31)" if dark else "rgb(255, 255, 255)")
    order = found["order"]
    assert order["before"] == order["down"] == order["up"][::-1]
    assert [name[:3] for name in order["before"]] == ["1. ", "2. ", "3. ", "4. ", order["before"][-1][:3]]
    assert found["narrowest"] >= 238  # px; a frame around 240
    assert found["zoomed"] > found["picture"]
    assert (found["areas"], found["outlines"]) == (0, found["switched"])
    assert found["switched"] > 20
    assert found["hidden"] == found["edged"]  # who has more to the right shows it
    assert found["sticky"] <= found["hidden"]
    if width == 375:
        assert found["hidden"] > 5
        assert found["sticky"] > 3


def test_the_page_forbids_requests(english: ReportFiles) -> None:
    assert "content=\"default-src 'none'; img-src data:;" in english.html.read_text(encoding="utf-8")


def test_the_verdict_comes_first_and_the_table_has_its_numbers(english: ReportFiles) -> None:
    verdict = english.analysis.verdict
    text = english.html.read_text(encoding="utf-8")
    lead = re.search(r'<p class="lead">(.*?)</p>', text)
    assert lead
    assert lead.start() < text.index("<nav")
    best = verdict.standing(verdict.best)
    assert f"{best.mean.value:.3f} [{best.mean.low:.3f}, {best.mean.high:.3f}]" in text
    assert html.unescape(lead[1]) in (verdict.headline(), "network: unet_nearest is better than segnet")
    assert html.escape(verdict.headline()) in text


def test_results_csv_has_the_verdicts_numbers(english: ReportFiles) -> None:
    verdict, evidence = english.analysis.verdict, english.analysis.evidence
    rows = read_rows(english.csv)
    assert [row["entry"] for row in rows] == [standing.name for standing in verdict.entries]
    for row, standing in zip(rows, verdict.entries, strict=True):
        entry = evidence.entries[standing.index]
        assert float(row["mean"]) == standing.mean.value == pytest.approx(entry.values.mean())
        assert (float(row["low"]), float(row["high"])) == (standing.mean.low, standing.mean.high)
        assert float(row["seed_sd"]) == standing.seed_spread
        assert int(row["may_be_best"]) == (standing.index in verdict.may_be_best)
        assert (row["factor.network"], row["factor.loss"]) == (entry.factors["network"], entry.factors["loss"])
        assert (int(row["rank_low"]), int(row["rank_high"])) == verdict.ranks[standing.index]
        results = [run.read_result().scores["test"] for run in entry.runs]
        assert float(row["mean.dice_pooled"]) == pytest.approx(np.mean([scores["dice_pooled"] for scores in results]))
        assert float(row["training_s"]) == entry.costs.training_s
        assert int(row["n_seeds"]) == 2


def test_markdown_tells_the_same_story(english: ReportFiles) -> None:
    story = english.markdown.read_text(encoding="utf-8")
    text = english.html.read_text(encoding="utf-8")
    assert len(re.findall(r"^## ", story, flags=re.MULTILINE)) == len(SECTIONS)
    lead = re.search(r'<p class="lead">(.*?)</p>', text)
    assert lead
    assert f"**{plain(html.unescape(lead[1]))}**" in story
    for line in story.splitlines():
        if line.startswith("| "):
            assert len(re.findall(r"(?<!\\)\|", line)) >= 3
    assert story.count("vary:") == 1  # the study in full
    assert "data:image" not in story


def test_russian_reports_are_russian(russian: ReportFiles, study: StudyFolder) -> None:
    text = russian.html.read_text(encoding="utf-8")
    config = study.read_config()
    manifest = russian.analysis.evidence.manifest
    own = (config.title, config.question, config.expected, *manifest.notes)  # their authors wrote them
    assert english_in(text, own) == []
    assert "the training size" not in text
    assert str(translate(russian.analysis.verdict.headline(), "ru")) + ". " in text  # among the answers to questions
    assert '<html lang="ru">' in text


def test_markdown_says_nothing_of_colours_and_clicks(english: ReportFiles) -> None:
    page, story = (file.read_text(encoding="utf-8") for file in (english.html, english.markdown))
    for told in ("Shaded: may be the best.", "A click on a column&#39;s title sorts."):
        assert told in page
    for word in ("Shaded", "coloured", "click"):
        assert word not in story
    assert "Critical differences of ranks" in page


def test_numbers_of_a_russian_page_have_a_comma_in_tables_sentences_and_figures(russian: ReportFiles) -> None:
    page = russian.html.read_text(encoding="utf-8")
    text = re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", page, flags=re.DOTALL)
    best = f"{russian.analysis.verdict.entries[0].mean.value:.3f}"
    assert best.replace(".", ",") in text
    assert best not in text
    assert re.search(r">0,\d+</text>", page)
    assert not re.search(r">\u2212?0\.\d+</text>", page)
    assert best in russian.csv.read_text(encoding="utf-8"), "tables for programs have points"


def test_terminal_markdown_and_page_say_the_same_sentences(
    english: ReportFiles, study: StudyFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["compare", str(study.path), "-q", "--all"])
    told = capsys.readouterr().out.split("\n\n")[0].splitlines()
    assert len(told) >= 8
    story = english.markdown.read_text(encoding="utf-8")
    page = html.unescape(re.sub(r"<wbr>", "", english.html.read_text(encoding="utf-8")))
    for sentence in told:
        assert plain(sentence) in story
        assert sentence in page


def test_the_answer_is_short_and_is_told_before_everything_else(english: ReportFiles, russian: ReportFiles) -> None:
    for files in (english, russian):
        head = files.html.read_text(encoding="utf-8").split("<nav")[0]
        told = re.search(r'<div class="answer"><div>(.*?)</div>', head, flags=re.DOTALL)
        assert told
        words = re.sub(r"<[^>]*>", " ", told[1]).split()
        assert 15 < len(words) <= MOST_WORDS
        assert head.count('class="mark ') == 3  # network, loss, and the two best or the winner
        assert head.count("<figure>") == 4
        assert "seed 0" in head or "сид 0" in head


@pytest.mark.slow
def test_loose_runs_masks_of_another_tool_and_one_seed(study: StudyFolder, tmp_path: Path) -> None:
    runs = sorted(path for path in (study.path / "runs").iterdir() if path.name.endswith("seed0"))[:2]
    evidence = load_evidence(runs)
    rng = np.random.default_rng(1)
    truths = [(sample.id, load_sample(evidence.manifest, sample)[1]) for sample in evidence.samples]
    save_masks(tmp_path / "masks.zip", [(name, distort(truth, 0.2, 2, rng)) for name, truth in truths])
    outside = Entry(
        name="other tool",
        factors={},
        runs=(),
        seeds=(),
        values=rng.uniform(0.3, 0.8, (1, len(truths))),
        masks=(MaskArchive(tmp_path / "masks.zip"),),
    )
    files = write_report(tmp_path / "report.html", replace(evidence, entries=(*evidence.entries, outside)))
    text = files.html.read_text(encoding="utf-8")
    assert keys_of(text) == [key for key in SECTIONS if key != "factors"]
    assert "the intervals speak of these trained weights on other images of this kind, not of the approaches" in text
    assert "Masks that another tool made, trained nobody here knows how: other tool." in text
    assert "Nothing was written down before" in text
    row = next(row for row in read_rows(files.csv) if row["entry"] == "other tool")
    assert (row["n_seeds"], row["training_s"], row["mean.iou_pooled"]) == ("0", "", "")
    assert look(files.html, tmp_path, width=390)["overflow"] == 0


@pytest.mark.slow
def test_several_classes_groups_and_runs_that_are_missing(tmp_path: Path) -> None:
    study = write_study(
        tmp_path,
        streets=True,
        groups=True,
        images=42,
        epochs=6,
        failed=["segnet__bce__seed1", "unet_nearest__bce__seed0", "unet_nearest__bce__seed1"],
        expected="Dice helps thin objects.",
    )
    files = write_report(tmp_path / "report.html", study_evidence(study), study=study)
    text = files.html.read_text(encoding="utf-8")
    assert "Written down before the runs: “Dice helps thin objects.”" in text
    assert "3 of 8 runs are not finished. The numbers above rest on the others." in text
    assert text.count("the loss is not finite in epoch 2; lower optimizer.lr (tried 2×)") == 3
    assert "7 groups" in text
    assert 'id="classes"' in text
    links = re.findall(r'href="#(confused-[-0-9]+)"', text)
    assert links
    assert all(f'<details id="{link}">' in text for link in links)
    assert "with too few epochs to say" in text
    assert len(read_rows(files.csv)) == 3
    assert look(files.html, tmp_path, width=390)["loaded"] > 20


@pytest.mark.slow
def test_errors_as_a_score_are_better_low(tmp_path: Path) -> None:
    study = write_study(tmp_path, losses={"bce": LOSSES["bce"]}, images=12, epochs=3)
    evidence = study_evidence(study, score="area_error_per_image")
    files = write_report(tmp_path / "report.html", evidence, study=study)
    means = [float(row["mean"]) for row in read_rows(files.csv)]
    assert means == sorted(means)
    assert "area error per image (lower is better)" in files.html.read_text(encoding="utf-8")


@pytest.mark.slow
def test_pictures_become_fewer_where_the_page_would_be_too_large(
    study: StudyFolder, english: ReportFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = english.html.stat().st_size
    monkeypatch.setattr(page, "MAX_BYTES", int(0.9 * size))
    files = write_report(tmp_path / "report.html", study_evidence(study), study=study)
    assert files.html.stat().st_size <= 0.9 * size
    assert files.html.read_text(encoding="utf-8").count("<img") > 10


def test_a_changed_image_is_refused(tmp_path: Path) -> None:
    study = write_study(tmp_path, networks={"segnet": NETWORKS["segnet"]}, images=12, epochs=2)
    evidence = study_evidence(study)
    first, second = (evidence.manifest.image_path(sample) for sample in evidence.samples[:2])
    shutil.copy(second, first)
    with pytest.raises(DatasetError, match="has changed since the manifest was made"):
        write_report(tmp_path / "report.html", evidence, study=study)
    assert not (tmp_path / "report.html").exists()


@pytest.mark.slow
def test_twenty_approaches_fit(tmp_path: Path) -> None:
    networks = {name: name for name in ("segnet", "unet_unpool", "unet_nearest", "unet_strided")}
    losses = {f"{share:g} dice": {"dice": share, "bce": 1 - share} for share in (0.1, 0.3, 0.5, 0.7, 0.9)}
    study = write_study(tmp_path, networks=networks, losses=losses, images=60, epochs=12, seeds=(0, 1, 2))
    files = write_report(tmp_path / "report.html", study_evidence(study), study=study)
    assert len(read_rows(files.csv)) == 20
    for width in (390, 1280):
        found = look(files.html, tmp_path, width=width)
        assert (found["overflow"], found["console"], found["twice"]) == (0, [], 0)
        assert found["loaded"] == found["images"]
    assert files.html.stat().st_size < 4 * 2**20
