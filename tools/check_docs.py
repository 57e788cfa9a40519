"""Tells what README, CONTRIBUTING and docs name that is not there: links and headings, files, commands, options.

Run as `python tools/check_docs.py`; `tests/docs/test_documents.py` asks the same functions.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import typer.main

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDERS = ("benchmarks", "configs", "docs", "src", "studies", "tests", "tools")

# Files that a guide has its reader write, and one of another project.
NOT_OURS = {
    *(
        "src/segbench/losses/poly.py",
        "src/segbench/models/tiny_net.py",
        "src/segbench/data/formats/kvasir.py",
        "src/segbench/data/sources/npz.py",
    ),
    *("src/segbench/doctor/checks/ratio.py", "tests/doctor/checks/test_ratio.py"),
    *("src/segbench/metrics/families/specificity.py", "evaluate_predictions.py", "gdal_polygonize.py"),
}

BUILT = "../../embedded/"  # pages that the site's build puts beside its languages; tools/check_site.py asks for them

_LINK = re.compile(r"\]\(([^()\s]+)\)|(?:src|href|srcset)=\"([^\"]+)\"")
_FILE = re.compile(
    rf"(?<![\w./:-])(?:(?:{'|'.join(FOLDERS)})/[\w./-]*\.\w+\b|(?:[\w-]+/)*\w+\.py\b|src/[\w/]+/)(?![\w/*])"
)
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_COMMAND = re.compile(r"^\s*(?:\$ )?(?:\S*python3? -m |\S*bin/)?segbench ((?:[^\\\n]|\\\n)*)", re.MULTILINE)


def documents(root: Path) -> list[Path]:
    """Returns every Markdown file that people read, but for those that the site's build makes."""
    guides = sorted((root / "docs").rglob("*.md"))
    return [root / "README.md", root / "CONTRIBUTING.md", *(path for path in guides if not is_made(path))]


def is_made(path: Path) -> bool:
    """Tells whether the site's build makes a page, as docs/.gitignore says; that build asks whether it is there."""
    docs = next((parent for parent in path.parents if parent.name == "docs"), None)
    if docs is None or not (docs / ".gitignore").exists():
        return False
    rules = [rule.strip("/") for rule in (docs / ".gitignore").read_text(encoding="utf-8").split()]
    return any(fnmatch(path.relative_to(docs).as_posix(), f"{rule}*") for rule in rules)


def problems(root: Path) -> list[str]:
    """Returns a sentence for everything the documents of a repository name and it does not have."""
    paths = [path for name in FOLDERS for path in (root / name).rglob("*")]
    files = [path.relative_to(root).as_posix() + "/" * path.is_dir() for path in paths]
    found = []
    for document in documents(root):
        text = document.read_text(encoding="utf-8")
        name = document.relative_to(root)
        found += [f"{name} links to {target}, which is not there" for target in broken_links(text, document)]
        found += [f"{name} names the file {file}, which is not there" for file in missing_files(text, files)]
        found += [f"{name}: {problem}" for problem in wrong_commands(text)]
    return found


def broken_links(text: str, document: Path) -> Iterator[str]:
    """Yields the relative links of a document that lead to no file or to no heading of it."""
    for match in _LINK.finditer(_FENCE.sub("", text)):
        link = match[1] or match[2]
        if re.match(r"[a-z]+:", link) or link.startswith(BUILT):
            continue
        file, _, heading = link.partition("#")
        target = document.parent / file if file else document
        if is_made(Path(os.path.normpath(target))):
            continue
        if not target.exists() or (heading and heading not in _headings(target.read_text(encoding="utf-8"))):
            yield link


def _headings(text: str) -> set[str]:
    """Returns the anchors of a Markdown text, as they are made where repositories are shown."""
    lines = re.findall(r"^#+ +(.+?)\s*$", _FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}


def missing_files(text: str, files: Iterable[str]) -> Iterator[str]:
    """Yields the files a text names that are no end of a path in `files`, as `losses/dice.py` is one."""
    known = {"/".join(parts[start:]) for parts in (file.split("/") for file in files) for start in range(len(parts))}
    for name in dict.fromkeys(_FILE.findall(text)):
        if name not in known and name not in NOT_OURS:
            yield name


def wrong_commands(text: str) -> Iterator[str]:
    """Yields what is wrong with every `segbench ...` of a text's code: no such command, or no such option of it."""
    for line in _commands(text):
        try:
            told = _wrong(list(_words(line)))
        except ValueError as error:
            told = f"no shell reads this, {error}"
        if told:
            yield f"`segbench {line.strip()}`: {told}"


def _commands(text: str) -> Iterator[str]:
    """Yields what follows `segbench` in the code of a text."""
    fences = _FENCE.findall(text)
    indented = re.findall(r"(?:^ {4}.*\n?)+", _FENCE.sub("", text), re.MULTILINE)
    inline = [re.sub(r"\s+", " ", code) for code in _INLINE.findall(_FENCE.sub("", text))]
    for code in (*fences, *indented, *inline):
        for match in _COMMAND.finditer(code):
            yield match[1].replace("\\\n", " ")


def _words(line: str) -> Iterator[str]:
    """Yields the words of a shell line up to a comment, a pipe or a next command."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.commenters = "#"
    lexer.whitespace_split = True
    for word in lexer:
        if word[0] in "|&;<>":
            return
        yield word


@cache
def _program() -> Any:
    from segbench.cli import app

    return typer.main.get_command(app)


def _wrong(words: list[str]) -> str:
    command = _program()
    place = 0
    while hasattr(command, "commands") and place < len(words) and not words[place].startswith("-"):
        if words[place] not in command.commands:
            return f"no command {words[place]}"
        command = command.commands[words[place]]
        place += 1
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    for word in words[place:]:
        name = word.partition("=")[0]
        if re.match(r"--?[a-z]", name) and name not in {*options, "--help"}:
            return f"no option {name}"
    return ""


def main() -> int:
    """Prints what is wrong, a line each, and returns 1; nothing and 0 where all is right."""
    told = problems(REPOSITORY)
    sys.stdout.write("".join(f"{line}\n" for line in told))
    return 1 if told else 0


if __name__ == "__main__":
    sys.exit(main())
