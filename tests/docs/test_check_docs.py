"""tools/check_docs.py tells what is not there, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from check_docs import broken_links, documents, main, missing_files, problems, wrong_commands


def test_links_lead_to_files_and_headings(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# One `word` & more\n\n## Two, three\n\n```sh\n# no heading\n```\n")
    text = (
        "# Own\n[a](other.md) [b](other.md#one-word--more) [c](#own) [d](https://example.org/x) ![e](gone.png)\n"
        '<img src="gone.svg"> [f](other.md#no-heading) [g](#other) [h](other.md#two-three)\n```\n[i](code.md)\n```\n'
    )
    document = tmp_path / "own.md"
    document.write_text(text)
    assert list(broken_links(text, document)) == ["gone.png", "gone.svg", "other.md#no-heading", "#other"]


def test_files_are_found_by_the_end_of_their_path() -> None:
    files = ["src/segbench/losses/dice.py", "configs/quick.yaml", "docs/reference/data.md", "src/segbench/losses/"]
    text = "`losses/dice.py`, segbench/losses/dice.py, dice.py; configs/quick.yaml. runs/mine/config.yaml x/docs/a.md"
    assert list(missing_files(f"{text} `src/segbench/losses/`", files)) == []
    text = "`losses/dise.py` and loss/dice.py, `ice.py`, configs/slow.yaml, `docs/data.rst`, loss/dice.py"
    assert list(missing_files(f"{text}, `src/segbench/loss/`", files)) == [
        *("losses/dise.py", "loss/dice.py", "ice.py", "configs/slow.yaml", "docs/data.rst", "src/segbench/loss/"),
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("`segbench trian x.yaml`", "`segbench trian x.yaml`: no command trian"),
        ("    segbench data chek x  # mistakes", "`segbench data chek x  # mistakes`: no command chek"),
        ("```sh\n$ segbench train x.yaml --sett a=1\n```", "`segbench train x.yaml --sett a=1`: no option --sett"),
        ("see `segbench study\nrun x.yaml --dry`", "`segbench study run x.yaml --dry`: no option --dry"),
        (
            "    python -m segbench train x \\\n      -q 1 --lr 1",
            "`segbench train x        -q 1 --lr 1`: no option --lr",
        ),
        ("    segbench train it's", "`segbench train it's`: no shell reads this, No closing quotation"),
    ],
)
def test_a_wrong_command_is_told(text: str, told: str) -> None:
    assert list(wrong_commands(text)) == [told]


def test_right_commands_prose_and_other_programs_are_left_alone() -> None:
    text = (
        "segbench trains; `segbench` is one word, `segbench.fit` a name.\n\n"
        "    segbench train x.yaml --set a=1 | grep --color | segbench wrong\n"
        "    segbench --help\n    .venv/bin/segbench data check x -o y.html && other --x  # --not\n"
        "    segbench predict RUN images/ -o out --as=via\n    segbench data split x --group '^(p|q) #'\n"
    )
    assert list(wrong_commands(text)) == []


def test_every_document_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "docs" / "deep").mkdir(parents=True)
    (tmp_path / "README.md").write_text("[a](b.md)")
    (tmp_path / "CONTRIBUTING.md").write_text("`tests/c.py`")
    (tmp_path / "docs" / "deep" / "d.md").write_text("`segbench e`")
    assert len(documents(tmp_path)) == 3
    told = [
        "README.md links to b.md, which is not there",
        "CONTRIBUTING.md names the file tests/c.py, which is not there",
        "docs/deep/d.md: `segbench e`: no command e",
    ]
    assert problems(tmp_path) == told
    monkeypatch.setattr("check_docs.REPOSITORY", tmp_path)
    assert main() == 1
    assert capsys.readouterr().out.splitlines() == told
