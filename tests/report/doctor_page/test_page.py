"""The page about a data set: complete, self-contained, and never broken by what it shows."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from markupsafe import escape
from PIL import Image
from ruamel.yaml import YAML
from tests.doctor._sets import flawed_sets
from tests.locale.english import english_in

from segbench.data.files.hints import set_option
from segbench.doctor import Checkup, Finding, Picture, Severity, examine
from segbench.locale import message, translate
from segbench.report.doctor_page import page as data_page
from segbench.report.doctor_page.page import MAX_BYTES, write_data_page
from segbench.report.doctor_page.pictures import MARK_COLOR, ringed
from segbench.report.doctor_page.settings import config_text

VOID = {"wbr", "br", "hr", "img", "input", "link", "meta", "circle", "line", "path", "rect", "use", "polyline", "image"}


class Nesting(HTMLParser):
    """Notices tags that are closed in another order than they were opened."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


@pytest.fixture
def flawed(tmp_path: Path) -> Path:
    """Returns a set with a cut image, a lossy mask, a copy, an empty mask and a name that is markup."""
    root = tmp_path / "set"
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(10):
        name = "<b>x&y" if number == 9 else f"case{number}"
        mask = np.zeros((48, 64), dtype=np.uint8)
        mask[10:30, 10 : 20 + number] = 255
        Image.fromarray(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)).save(root / "images" / f"{name}.png")
        Image.fromarray(mask * (number != 7)).save(root / "masks" / f"{name}.png")
    (root / "images" / "case2.png").write_bytes((root / "images" / "case1.png").read_bytes())
    (root / "images" / "case3.png").write_bytes((root / "images" / "case3.png").read_bytes()[:900])
    return root


def written(checkup: Checkup, tmp_path: Path, language: str = "en") -> str:
    page = tmp_path / f"page_{language}.html"
    write_data_page(checkup, page, language=language)
    return page.read_text(encoding="utf-8")


def pictures(page: str) -> list[Image.Image]:
    found = re.findall(r"data:image/(?:png|jpeg|webp);base64,([A-Za-z0-9+/=]+)", page)
    return [Image.open(io.BytesIO(base64.b64decode(text))) for text in found]


def test_every_finding_is_there_worst_first_with_its_files(flawed: Path, tmp_path: Path) -> None:
    checkup = examine(flawed)
    page = written(checkup, tmp_path)
    codes = {finding.code for finding in checkup.findings}
    assert {"damaged_files", "identical_images", "empty_masks"} <= codes
    places = [page.index(finding.title.replace("'", "&#39;").split("&#39;")[0]) for finding in checkup.findings]
    assert places == sorted(places)
    for finding in checkup.findings:
        for name in finding.files:
            assert name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") in page
    assert "1 error" in page


@pytest.mark.parametrize("language", ["en", "ru"])
def test_the_page_is_whole_and_asks_nothing_of_the_network(flawed: Path, tmp_path: Path, language: str) -> None:
    page = written(examine(flawed), tmp_path, language)
    assert not re.search(r"""(src|href|action)\s*=\s*["']?(https?:)?//""", page)
    assert "@import" not in page
    assert f'lang="{language}"' in page
    nesting = Nesting()
    nesting.feed(page)
    assert (nesting.wrong, nesting.open) == ([], [])
    assert "<b>x" not in page
    assert len(page.encode()) < MAX_BYTES
    assert min(min(picture.size) for picture in pictures(page)) > 20
    assert ("предупреж" in page) == (language == "ru")


@pytest.mark.slow
def test_a_russian_page_is_russian(tmp_path: Path) -> None:
    codes: set[str] = set()
    for checkup in flawed_sets(tmp_path):
        page = written(checkup, tmp_path, "ru")
        codes |= {finding.code for finding in checkup.findings}
        quotations = r"\(по-английски\) «[^»]*»"  # what Pillow, Python and the readers of formats say
        assert english_in(re.sub(quotations, "", page), own=["segbench data check", "segbench data show"]) == []
        assert all(escape(translate(finding.title, "ru")) in page.replace("<wbr>", "") for finding in checkup.findings)
    assert len(codes) >= 50
    english = written(checkup, tmp_path)
    assert len(english_in(english)) > 10


def test_a_language_without_a_catalogue_is_refused(binary_pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="languages en, ru"):
        write_data_page(examine(binary_pairs, fast=True), tmp_path / "page.html", language="xx")


def test_pictures_show_the_labels(flawed: Path, tmp_path: Path) -> None:
    shown = [np.asarray(picture.convert("RGB")) for picture in pictures(written(examine(flawed), tmp_path))]
    assert len(shown) >= 10
    assert any(picture.std() > 20 for picture in shown)


def test_files_that_are_gone_or_no_images_do_not_break_the_page(flawed: Path, tmp_path: Path) -> None:
    (flawed / "notes.txt").write_text("no image")
    checkup = examine(flawed)
    bad = Finding(
        code="made_up",
        severity=Severity.ERROR,
        title="pictures of nothing",
        count=2,
        files=("gone.png", "notes.txt"),
        pictures=(
            Picture(kind="image", files=("gone.png",)),
            Picture(kind="values", files=("notes.txt",)),
            Picture(kind="overlay", files=("gone.png", "notes.txt"), sample="nobody"),
            Picture(kind="pair", files=("images/case1.png", "gone.png")),
        ),
    )
    with_bad = Checkup(
        **{**{name: getattr(checkup, name) for name in checkup.__dataclass_fields__}, "findings": (bad,)}
    )
    page = written(with_bad, tmp_path)
    assert "pictures of nothing" in page
    assert pictures(page)


def test_a_healthy_set_says_so(binary_pairs: Path, tmp_path: Path) -> None:
    checkup = examine(binary_pairs)
    page = written(checkup, tmp_path)
    assert checkup.exit_code == 0
    assert "24 labelled images" in page


def test_a_folder_of_nothing_still_makes_a_page(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    page = written(examine(tmp_path / "empty"), tmp_path)
    assert "<h1" in page


def test_advice_becomes_a_command_unless_it_is_about_another_folder() -> None:
    advice = set_option("tolerance", "8")
    finding = Finding(code="x", severity=Severity.INFO, title="t", count=1, advice=advice)
    assert data_page.given_options(finding, "folder") == [("tolerance", "8")]
    assert data_page.given_options(replace(finding, advice=message("first {option}", option=advice)), "folder") == [
        ("tolerance", "8")
    ]
    assert (
        data_page.given_options(replace(finding, advice=message("when reading masks/: tolerance: 8")), "folder") == []
    )
    assert data_page.given_options(finding, "camvid") == []  # it has no such option


@pytest.mark.data
def test_the_config_names_guessed_classes(real_data: Callable[[str], Path]) -> None:
    checkup = examine(real_data("cwfid"), "folder", options={"masks": "annotations"}, fast=True)
    plain = YAML(typ="safe").load(config_text(checkup))
    assert plain["data"]["options"]["classes"]["class_1"] == [255, 0, 0]


def test_few_pixels_are_ringed_and_many_are_not() -> None:
    marks = np.zeros((60, 80), dtype=bool)
    marks[30, 40] = True
    white = np.full((60, 80, 3), 255, np.uint8)
    drawn = (ringed(white, marks) == MARK_COLOR).all(axis=2)
    assert drawn.any()
    assert not drawn[28:33, 38:43].any()  # what is ringed stays to be seen
    assert (ringed(white, np.ones((60, 80), dtype=bool)) == 255).all()
