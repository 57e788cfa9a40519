"""LaTeX for a paper: what is shown letter by letter, tables that hold together, methods that cite what was used."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from segbench.errors import ConfigError
from segbench.report.latex import SOURCES, cited_keys, escape, methods_paragraph, results_table, write_latex
from segbench.statistics import compare_datasets, compare_scores
from segbench.statistics.verdict import Verdict

NAMES = ["unet_nearest | dice & bce", "50 % #1 {x}~y^2 \\$", 'a<b>"c"']


def scores(seeds: int = 2, shift: float = 0.1) -> np.ndarray:
    drawn = np.random.default_rng(0)
    hard = 0.7 + 0.05 * drawn.standard_normal(12)
    return hard - shift * np.arange(3)[:, None, None] + 0.01 * drawn.standard_normal((3, seeds, 12))


def verdict(**options: object) -> Verdict:
    return compare_scores(scores(), names=NAMES, score="IoU per image", bounds=(0, 1), **options)  # type: ignore[arg-type]


def check_latex(text: str) -> None:
    """Fails where braces or environments do not close, or a special letter stands bare."""
    bare = re.sub(r"\\[{}$&#%_\\]", "", text)
    depth = 0
    for letter in bare:
        depth += {"{": 1, "}": -1}.get(letter, 0)
        assert depth >= 0
    assert depth == 0
    assert bare.count("$") % 2 == 0
    opened = []
    for what, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if what == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert opened == []
    for line in text.splitlines():
        if not line.startswith("% "):
            plain = re.sub(r"\\(cite|label|ref)\{[^}]*\}", "", line)
            assert not re.search(r"(?<!\\)[#%_^|<>\"]", plain), line


def rows_of(table: str) -> list[list[str]]:
    inside = table.partition(r"\toprule")[2].partition(r"\bottomrule")[0]
    lines = [line.strip().removesuffix(r"\\") for line in inside.splitlines() if line.strip().endswith(r"\\")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)&", line)] for line in lines]


def test_names_are_shown_letter_by_letter() -> None:
    assert escape(NAMES[0]) == r"unet\_nearest \textbar{} dice \& bce"
    assert escape(NAMES[1]) == r"50 \% \#1 \{x\}\textasciitilde{}y\textasciicircum{}2 \textbackslash{}\$"
    assert escape("\u22120.5 [\u22121, 0]\u00a0\u2013 two\nlines") == r"$-$0.5 [$-$1, 0]~-- two lines"


def test_the_table_has_the_verdicts_numbers() -> None:
    found = verdict()
    table = results_table(found)
    check_latex(table)
    head, *rows = rows_of(table)
    assert head == ["Approach", "Mean", r"95\,\% interval", "Ranks", "Seeds", "$n$"]
    assert [row[0] for row in rows] == [escape(name) for name in NAMES]
    assert {len(row) for row in rows} == {6}
    best = found.standing(0).mean
    assert rows[0][1:] == [rf"\textbf{{{best.value:.3f}}}", f"[{best.low:.3f}, {best.high:.3f}]", "1", "2", "12"]
    assert not rows[1][1].startswith(r"\textbf")
    assert "Bold: shown to be the best." in table


def test_methods_say_what_was_done_and_nothing_else() -> None:
    text = methods_paragraph(verdict(margin=0.02), definition="IoU = TP / (TP + FP + FN) of each image", data="PH2_x")
    check_latex(text)
    assert text.startswith(
        "3 approaches, trained with 2 random seeds each, were compared on the same 12 test images (PH2"
    )
    assert "A difference of less than 0.02 was taken not to matter in practice" in text
    assert cited_keys(text) == [
        "searle1992variance",
        "satterthwaite1946",
        "bouthillier2021variance",
        "hungfithian2019",
        "hsu1984constrained",
        "holm1979",
        "schuirmann1987",
    ]
    alone = compare_scores(scores(seeds=1), names=NAMES, groups=np.arange(12) // 3)
    text = methods_paragraph(alone)
    assert "trained once, were compared on the same 12 test images in 4 groups." in text
    assert "speak of these trained weights on other images of the kind" in text
    for key in ("searle1992variance", "schuirmann1987", "demsar2006"):
        assert key not in text
    assert "bellmccaffrey2002" in text


def test_a_cross_validation_is_told_with_its_correction() -> None:
    text = methods_paragraph(compare_scores(scores(), names=NAMES, folds=np.arange(12) % 4))
    check_latex(text)
    assert "multiplied by 2.33" in text
    assert cited_keys(text)[3:5] == ["nadeaubengio2003", "bates2023cross"]
    assert "fold" not in methods_paragraph(verdict())


def test_several_data_sets_have_a_table_and_their_own_methods(tmp_path: Path) -> None:
    view = compare_datasets({f"set_{d}": list(scores() + 0.02 * d) for d in range(5)}, names=NAMES, score="IoU")
    files = write_latex(tmp_path / "paper", view.verdicts, across=view)
    assert [file.name for file in files] == ["results.tex", "methods.tex", "references.bib"]
    table, methods, sources = (file.read_text() for file in files)
    check_latex(table)
    check_latex(methods)
    head, *rows = rows_of(table)
    assert head[1:] == [*(rf"set\_{d}" for d in range(5)), "Mean", "Mean rank", "Behind the best"]
    assert {len(row) for row in rows} == {9}
    assert rows[0][-1] == ""
    assert rows[1][-1].startswith("$-$0.095 [$-$0.095")
    assert "a $t$ interval over the 5 data sets (4 degrees of freedom)" in methods
    assert set(re.findall(r"@\w+\{(\w+),", sources)) == set(cited_keys(methods))
    assert "demsar2006" in sources


def test_every_source_is_a_bibtex_entry_of_its_key() -> None:
    for key, entry in SOURCES.items():
        assert re.match(rf"@(article|book|inproceedings)\{{{key},\n", entry)
        assert entry.count("{") == entry.count("}")
        for field in ("author", "title", "year"):
            assert f"  {field} = {{" in entry


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "paper").write_text("")
    with pytest.raises(ConfigError, match="latex: expected a folder to write into, got the file"):
        write_latex(tmp_path / "paper", [verdict()])
