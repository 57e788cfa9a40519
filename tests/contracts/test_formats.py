"""What every reader in the table must do."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import os
import re
from pathlib import Path

import pytest

from segbench.data.formats import FORMATS, Listing, check_format, recognise
from segbench.data.formats.shared.annotated import AnnotationOptions
from segbench.data.manifest.read import read_dataset
from segbench.errors import ConfigError, DatasetError

NAMES = FORMATS.names()
SHARED = list(AnnotationOptions.__annotations__)


def options_of(name: str) -> tuple[list[inspect.Parameter], bool]:
    """Returns the options a reader declares itself, and whether it takes those of all annotation files too."""
    _, *options = inspect.signature(FORMATS.get(name)).parameters.values()
    own = [option for option in options if option.kind is not inspect.Parameter.VAR_KEYWORD]
    return own, len(own) < len(options)


def test_the_table_lists_the_four_first_readers() -> None:
    assert {"camvid", "folder", "oxford_pets", "ph2"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_file_function_and_key_are_one_word(name: str) -> None:
    reader = FORMATS.get(name)
    assert reader.__name__ == name
    package, _, word = name.partition("_")  # of one tool: its reader, and its other readers beside it
    places = (name, f"{name}.reader", f"{package}.{word}")
    assert reader.__module__ in [f"segbench.data.formats.{place}" for place in places]


@pytest.mark.parametrize("name", NAMES)
def test_signature_is_root_and_keyword_only_options_with_defaults(name: str) -> None:
    assert next(iter(inspect.signature(FORMATS.get(name)).parameters)) == "root"
    options, shares = options_of(name)
    assert all(option.kind is inspect.Parameter.KEYWORD_ONLY for option in options)
    assert all(option.default is not inspect.Parameter.empty for option in options)
    assert FORMATS.options(name) == [option.name for option in options] + SHARED * shares


@pytest.mark.parametrize("name", NAMES)
def test_docstring_says_what_comes_out_and_explains_each_option(name: str) -> None:
    doc = inspect.getdoc(FORMATS.get(name)) or ""
    assert FORMATS.summary(name).startswith("Lists ")
    assert "Raises:" in doc
    options, shares = options_of(name)
    for option in options:
        assert re.search(rf"^    {option.name}: ", doc, re.MULTILINE), f"{name}: {option.name} is not explained"
    assert not shares or "AnnotationOptions" in doc


def test_the_shared_options_are_explained_once() -> None:
    for option in SHARED:
        assert re.search(rf"^    {option}: ", inspect.getdoc(AnnotationOptions) or "", re.MULTILINE), option


@pytest.mark.parametrize("name", NAMES)
def test_the_module_does_not_import_torch(name: str) -> None:
    spec = importlib.util.find_spec(FORMATS.get(name).__module__)
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {module for module in imported if module.partition(".")[0] in ("torch", "torchvision")}


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_folder_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        FORMATS.get(name)(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert len(caught.value.reason) > 20


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_of_other_things_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "readme.txt").write_text("nothing here")
    with pytest.raises(DatasetError) as caught:
        FORMATS.get(name)(tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_option_is_refused_by_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"'{name}' has no option 'colour_of_the_sky'") as caught:
        read_dataset(tmp_path, name, colour_of_the_sky="blue")
    assert caught.value.key == "data.options.colour_of_the_sky"


@pytest.mark.parametrize("name", NAMES)
def test_an_option_of_a_wrong_type_is_refused_by_key(name: str) -> None:
    for option in FORMATS.options(name):
        with pytest.raises(ConfigError, match=rf"{option} must be .*, got <object") as caught:
            check_format(name, {option: object()})
        assert caught.value.key == f"data.options.{option}"


@pytest.mark.parametrize("name", NAMES)
def test_defaults_have_the_type_they_are_declared_with(name: str) -> None:
    options, _ = options_of(name)
    check_format(name, {option.name: option.default for option in options})


@pytest.mark.parametrize("name", NAMES)
def test_no_reader_recognises_a_stranger(name: str, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    assert name not in recognise(tmp_path)


REAL = [("ph2_original", "ph2"), ("oxford_pets_original", "oxford_pets"), ("camvid_original", "camvid")]


@pytest.mark.data
@pytest.mark.parametrize(("folder", "name"), [*REAL, ("oxford_pets_catdog", "folder")])
def test_listing_does_not_depend_on_directory_order(
    folder: str, name: str, real_data, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = real_data(folder)
    before: Listing = FORMATS.get(name)(root)
    iterdir, rglob, listdir = Path.iterdir, Path.rglob, os.listdir
    monkeypatch.setattr(Path, "iterdir", lambda self: reversed(list(iterdir(self))))
    monkeypatch.setattr(Path, "rglob", lambda self, pattern: reversed(list(rglob(self, pattern))))
    monkeypatch.setattr(os, "listdir", lambda *args: list(reversed(listdir(*args))))
    after: Listing = FORMATS.get(name)(root)
    assert sorted(before.entries, key=lambda entry: entry.id) == sorted(after.entries, key=lambda entry: entry.id)
    assert all(entry.image.is_file() and all(mask.is_file() for mask in entry.masks) for entry in before.entries)
    assert len({entry.id for entry in before.entries}) == len(before.entries) > 0
