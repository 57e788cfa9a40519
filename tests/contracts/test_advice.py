"""Every advice that is printed works when it is followed: options, keys, commands are there, and answer what asks."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.cases.case import Asks, Case, look
from tests.conftest import REPOSITORY
from tests.doctor._sets import flawed_sets, pairs

import check_docs
from segbench.cli.main import main
from segbench.compare.image_scores import evaluate_command
from segbench.config.run import load_config, parse_config
from segbench.config.text import parse_value
from segbench.data.files.hints import (
    give,
    options_in,
    propose_classes,
    said_again,
    set_format,
    set_option,
    yaml_text,
)
from segbench.data.formats import FORMATS, check_format, recognise
from segbench.data.manifest.read import read_dataset
from segbench.doctor import Checkup, examine
from segbench.errors import ConfigError, DatasetError
from segbench.folders.run import RunFolder
from segbench.locale import message
from segbench.speech import Speech, speaking

MODULES = sorted(path.stem for path in (REPOSITORY / "tests/cases").glob("test_*.py"))
CASES: list[Case] = [case for name in MODULES for case in importlib.import_module(f"tests.cases.{name}").CASES]

_WORD = r"((?:'[^']*'|\"(?:[^\"\\]|\\.)*\"|[^\s'\"\\;,()])+)"  # of a shell, inside of a sentence
_OPTION = re.compile(rf"--option {_WORD}")
_BOTH = re.compile(rf"the option (\w+): (.+?) \(--option {_WORD}\)", re.DOTALL)
_FORMAT = re.compile(r"--format (\w+)|data\.format: (\w+)")
_KEY = re.compile(r"\b((?:data|loss|network|optimizer)(?:\.(?!yaml\b)[a-z_]+)+): (\{[^}]*\}|\[[^\]]*\]|[\w./-]*\w)")


@dataclass(frozen=True)
class Advice:
    """What a text tells to give.

    Attributes:
        options: (name, value), where the value is said.
        names: of all options.
        formats, keys: (dotted key, value) of a config.
    """

    options: list[tuple[str, Any]]
    names: set[str]
    formats: set[str]
    keys: list[tuple[str, Any]]


def advice_in(text: str) -> Advice:
    """Reads a text as a person does, who copies what it says; ValueError where no shell or YAML reads that."""
    words = [" ".join(shlex.split(word)) for word in _OPTION.findall(text)]
    given = [(name, value) for name, _, value in (word.partition("=") for word in words)]
    for name, value, word in _BOTH.findall(text):
        assert shlex.split(word) == [f"{name}={value}"], f"two values in one advice: {name}: {value}, {word}"
    return Advice(
        options=[(name, parse_value(value)) for name, value in given if value != "..."],
        names={name for name, _ in given},
        formats={one or other for one, other in _FORMAT.findall(text)},
        keys=[(key, parse_value(value)) for key, value in _KEY.findall(text)],
    )


def problems(text: str, readers: set[str]) -> Iterator[str]:
    """Yields what of a text's advice there is not: options of the readers, their values, formats, keys, commands."""
    try:
        advice = advice_in(text)
    except (ValueError, AssertionError) as error:
        yield str(error)
        return
    if "..." in re.sub(r"(=|\d|x )\.\.\.|\.\.\. and|, \.\.\.\)", "", "".join(map(str, advice.options))):
        yield "a value that is cut short"
    known = {name for name in {*readers, *advice.formats, "folder"} if name in FORMATS.names()}
    for name in advice.formats - set(FORMATS.names()):
        yield f"there is no format {name}"
    for name in advice.names:
        if not any(name in FORMATS.options(reader) for reader in known):
            yield f"none of {sorted(known)} has the option {name}"
    for name, value in advice.options:
        if not any(_takes(reader, name, value) for reader in known):
            yield f"none of {sorted(known)} takes {name}={value!r}"
    yield from wrong_keys(advice.keys)
    yield from check_docs.wrong_commands(text)


def _takes(reader: str, name: str, value: Any) -> bool:
    try:
        check_format(reader, {name: value})
    except ConfigError:
        return False
    return True


def wrong_keys(keys: Sequence[tuple[str, Any]]) -> Iterator[str]:
    """Yields why a run config takes a value neither alone nor with all that the same advice says."""
    together = refused(keys)
    for key in keys:
        alone = refused([key])
        if alone and together:
            yield alone


def refused(keys: Sequence[tuple[str, Any]]) -> str:
    """Returns why a run config does not take these values; empty where it does."""
    tree: dict[str, Any] = {"data": {"path": "x"}}
    for key, value in keys:
        *way, last = key.split(".")
        place = tree
        for part in way:
            place = place.setdefault(part, {})
        place[last] = value
    try:
        parse_config(tree)
    except ConfigError as error:
        return str(error)
    return ""


def texts_of(checkup: Checkup) -> Iterator[str]:
    """Yields what the doctor says of a data set."""
    for finding in checkup.findings:
        yield from (f"{finding.code}: {text}" for text in (finding.title, finding.detail, finding.advice))
    for _, _, reason in checkup.suggestions:
        yield reason


def wrong_in(checkup: Checkup) -> list[str]:
    """Returns what of the doctor's advice there is not."""
    readers = {checkup.format, *recognise(checkup.root)} if checkup.root.is_dir() else {checkup.format}
    found = [f"{problem} in: {text}" for text in texts_of(checkup) for problem in problems(text, readers)]
    return found + list(wrong_keys([(key, value) for key, value, _ in checkup.suggestions]))


def same_again(root: Path, case: Case, text: str, options: list[tuple[str, Any]]) -> list[str]:
    """Returns the options that a question proposes, and that change nothing: neither alone nor with one of the others.

    Answers of the formats that the text names are tried with them.
    """
    formats = [*({"format": name} for name in sorted(advice_in(text).formats)), {}]

    def asks_again(*answer: tuple[str, Any]) -> bool:
        given = ({**case.options, **form, **dict(answer)} for form in formats)
        return all(look(root, one) == (None, text) for one in given if _suits(root, one))

    useless = [option for option in options if asks_again(option)]
    pairs = [pair for pair in combinations(options, 2) if pair[0][0] != pair[1][0] and set_of(useless) & set_of(pair)]
    helped = {name for pair in pairs if not asks_again(*pair) for name in set_of(pair)}
    return sorted(set_of(useless) - helped)


def set_of(options: Any) -> set[str]:
    """Returns the options as texts."""
    return {f"{name}={value!r}" for name, value in options}


def _suits(root: Path, options: dict[str, Any]) -> bool:
    given = {key: value for key, value in options.items() if key != "format"}
    readers = [options["format"]] if "format" in options else [*recognise(root), "folder"]
    return any(set(given) <= set(FORMATS.options(reader)) for reader in readers if reader in FORMATS.names())


@pytest.mark.parametrize("case", CASES, ids=[f"{case.name}-{place}" for place, case in enumerate(CASES)])
def test_what_is_said_of_a_case_can_be_done(case: Case, tmp_path: Path) -> None:
    root = tmp_path / "set"
    root.mkdir()
    case.build(root)
    manifest, text = look(root, case.options)
    readers = {str(case.options["format"])} if "format" in case.options else set(recognise(root))
    assert [f"{problem} in: {text}" for problem in problems(text, readers)] == []
    if manifest is None:
        assert same_again(root, case, text, advice_in(text).options) == [], text
    given = {key: value for key, value in case.options.items() if key != "format"}
    assert wrong_in(examine(root, case.options.get("format"), options=given)) == []


def test_what_the_doctor_says_can_be_done(tmp_path: Path) -> None:
    checkups = flawed_sets(tmp_path)
    assert any(advice_in(text).options for checkup in checkups for text in texts_of(checkup))
    assert [problem for checkup in checkups for problem in wrong_in(checkup)] == []


QUESTIONS = [case for case in CASES if isinstance(case.expect, Asks)]


@pytest.mark.parametrize("case", QUESTIONS, ids=[case.name for case in QUESTIONS])
def test_from_python_the_advice_is_pythons(case: Case, tmp_path: Path) -> None:
    root = tmp_path / "set"
    root.mkdir()
    case.build(root)
    with speaking("python"), pytest.raises((DatasetError, ConfigError)) as refused:
        read_dataset(root, **case.options)
    text = str(refused.value)
    assert not re.search(r"--\w|data\.format:|the option \w+:", text), text
    for place in re.finditer(r"the option (?=\w+=[^.])", text):
        name, value = argument_at(text[place.end() :])
        assert any(_takes(reader, name, value) for reader in FORMATS.names()), text


def argument_at(text: str) -> tuple[str, Any]:
    """Returns the argument (name, value) that a text begins with, as Python reads it."""
    for end in range(len(text), 0, -1):
        try:
            call = ast.parse(f"f({text[:end]})", mode="eval").body
            assert isinstance(call, ast.Call)
            (argument,) = call.keywords
            return str(argument.arg), ast.literal_eval(argument.value)
        except (SyntaxError, ValueError):
            continue  # a sentence goes on behind it
    raise AssertionError(f"Python reads no argument at the beginning of {text}")


def deep_set(root: Path) -> Path:
    """Writes images of 16 bit, of which it has to be said what is black and white."""
    for place in range(4):
        pairs(root, 1, name=f"x{place}{{}}")
        image = np.random.default_rng(place).integers(100, 4000, (48, 48), dtype=np.uint16)
        Image.fromarray(image).save(root / "images" / f"x{place}0.png")
    return root


@pytest.mark.slow
def test_each_is_told_in_his_own_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = deep_set(tmp_path / "deep")
    code = f"import segbench\ntry: segbench.read_dataset({str(root)!r})\nexcept segbench.DatasetError as e: print(e)"
    python = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    name, value = argument_at(python.partition("the option ")[2])
    assert "--" not in python
    assert read_dataset(root, **{name: value}).depth_range == tuple(value)

    shell = _run(capsys, "data", "index", str(root))
    (option,) = _OPTION.findall(shell)
    assert "samples" in _run(capsys, "data", "index", str(root), "--option", *shlex.split(option))

    config = tmp_path / "run.yaml"
    config.write_text(f"data: {{path: {root}}}\noutput: {tmp_path / 'run'}\n", encoding="utf-8")
    told = _run(capsys, "train", str(config), "-q")
    (given,) = re.findall(rf"--set {_WORD}", told)
    assert "--option" not in told
    data = load_config(config, shlex.split(given)).data
    assert read_dataset(data.path, data.format, **data.options).depth_range == tuple(value)


def _run(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit):
        main(list(words))
    captured = capsys.readouterr()
    return captured.out + captured.err


@pytest.mark.parametrize("value", ["yes", "1", "-x", "a: b", "it's", "*/task.xml", "[a]", "#f", " a", "1e3", "a,b", ""])
@pytest.mark.parametrize("words", ["python", "shell", "config"])
def test_any_name_comes_back_as_it_was(value: str, words: Speech) -> None:
    with speaking(words):
        told = set_option("images", yaml_text(value))
        copied = give("", {"images": value})
    assert options_in(told) == [("images", yaml_text(value))]
    if words == "python":
        assert argument_at(told.removeprefix("the option ")) == ("images", value)
        assert argument_at(copied) == ("images", value)
        return
    key = "images" if words == "shell" else "data.options.images"
    flag, word = shlex.split(copied)
    assert flag == ("--option" if words == "shell" else "--set")
    assert word == f"{key}={yaml_text(value)}"
    assert parse_value(word.partition("=")[2]) == value
    assert shlex.split(told[told.index(flag) : -1]) == [flag, word]


def test_long_values_are_whole_and_once() -> None:
    with speaking("shell"):
        told = propose_classes(range(40))
    assert told.count("class_5: 5") == 1
    name, value = advice_in(told).options[0]
    assert (name, value["other"], len(value)) == ("classes", "rest", 12)


def test_sentences_of_modules_are_said_in_the_words_of_now() -> None:
    with speaking("python"):
        made = message("use {format}, or {option}", format=set_format("coco"), option=set_option("boxes", "fill"))
    assert made == 'use format="coco", or the option boxes="fill"'
    with speaking("shell"):
        again = said_again(made)
    assert again == "use data.format: coco (--format coco), or the option boxes: fill (--option boxes=fill)"


def test_a_path_in_a_command_that_is_printed_is_quoted() -> None:
    """The one place that makes paths fit for a shell is `in_shell`; a variable that holds its result is named here."""
    quoted = ("in_shell(", "again}", "shown}", "public.reading(", "name}", "folder})")
    command = re.compile(r"segbench (?!reads)(?:[a-z]+ )+(?:-\S+ )*\{([^}]*\}?\)?)")
    found = {
        f"{file.name}: {match[0]}"
        for file in (REPOSITORY / "src/segbench").rglob("*.py")
        for match in command.finditer(file.read_text(encoding="utf-8"))
        if not match[1].startswith(quoted)
    }
    assert found == set()
    with speaking("shell"):
        told = evaluate_command(RunFolder(Path("my runs/unet")), "test")
    assert shlex.split(told) == ["segbench", "evaluate", "my runs/unet", "--split", "test"]
