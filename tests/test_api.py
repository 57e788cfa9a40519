"""What `segbench` promises: its public names, and that what the documents show uses nothing else."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import segbench
from segbench.registry import Registry

REPOSITORY = Path(__file__).resolve().parents[1]
# Whole modules that are public, with everything in them.
MODULES = ("segbench.statistics", "segbench.plots", "segbench.locale")
# adding.md shows code that is written into the package itself.
DOCUMENTS = [
    REPOSITORY / "README.md",
    *sorted(path for path in (REPOSITORY / "docs").rglob("*.md") if path.name != "adding.md"),
]


def test_every_public_name_can_be_had() -> None:
    for name in segbench.__all__:
        assert getattr(segbench, name) is not None
    assert set(segbench.__all__) <= set(dir(segbench))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = segbench.nothing


@pytest.mark.slow
def test_a_module_that_is_imported_later_takes_no_public_name() -> None:
    code = (
        "import importlib, pkgutil, segbench\n"
        "before = {name: getattr(segbench, name) for name in segbench.__all__}\n"
        "for module in pkgutil.iter_modules(segbench.__path__, 'segbench.'):\n"
        "    if module.name != 'segbench.__main__':\n"
        "        importlib.import_module(module.name)\n"
        "assert all(getattr(segbench, name) is value for name, value in before.items())\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    rooms = {module.name for module in pkgutil.iter_modules(segbench.__path__)}
    assert rooms & set(segbench.__all__) == {name.partition(".")[2] for name in MODULES}


@pytest.mark.parametrize("name", segbench.__all__)
def test_every_public_name_is_explained_with_an_example(name: str) -> None:
    value = getattr(segbench, name)
    if isinstance(value, Registry):  # a table; `segbench list` explains its entries
        assert value.names()
        return
    text = inspect.getdoc(value) or ""
    assert len(text) > 40
    if inspect.isclass(value) and issubclass(value, Exception):
        return
    assert ">>> " in text, f"segbench.{name} has no example"
    known = vars(inspect.getmodule(value) or value)
    [example] = doctest.DocTestFinder(recurse=False).find(value, name, globs=dict(known))
    assert doctest.DocTestRunner().run(example).failed == 0


def python_blocks() -> list[tuple[str, str]]:
    """Returns (file, code) of everything in Python that the documents and the examples show."""
    found = [(path.name, path.read_text()) for path in sorted((REPOSITORY / "docs" / "examples").glob("*.py"))]
    for document in DOCUMENTS:
        for block in re.findall(r"```(?:python|pycon)\n(.*?)```", document.read_text(), re.DOTALL):
            prompts = re.findall(r"^(?:>>>|\.\.\.) ?(.*)$", block, re.MULTILINE)
            found.append((document.name, "\n".join(prompts) if prompts else block))
    return found


def private_uses(code: str) -> list[str]:
    """Returns what a piece of code takes from segbench that is not public."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found += [item.name for item in node.names if item.name.startswith("segbench.") and not _is_open(item.name)]
        elif isinstance(node, ast.ImportFrom) and node.module == "segbench":
            found += [item.name for item in node.names if item.name not in segbench.__all__]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("segbench."):
            found += [] if _is_open(node.module or "") else [node.module or ""]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "segbench":
            found += [node.attr] if node.attr not in segbench.__all__ else []
    return found


def _is_open(module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in MODULES)


@pytest.mark.parametrize("shown", python_blocks(), ids=lambda shown: shown[0])
def test_the_documents_use_public_names_only(shown: tuple[str, str]) -> None:
    file, code = shown
    assert private_uses(code) == [], file
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and _is_open(node.module or ""):
            module = importlib.import_module(node.module or "")
            assert [item.name for item in node.names if not hasattr(module, item.name)] == []


def test_a_private_use_is_seen() -> None:
    code = "import segbench.train.fit\nfrom segbench.models import x\nfrom segbench import fit, y\nsegbench.z\n"
    assert private_uses(code) == ["segbench.train.fit", "segbench.models", "y", "z"]
    assert private_uses("import segbench\nfrom segbench.plots.panels import overlay\nsegbench.statistics\n") == []


@pytest.mark.slow
def test_a_data_set_is_checked_and_converted_in_one_call_each(tmp_path: Path) -> None:
    folder = segbench.write_lesions(tmp_path / "lesions", count=6, size=(48, 64))
    checkup = segbench.check_dataset(folder)
    assert (checkup.format, checkup.samples) == ("folder", 6)
    manifest = segbench.read_dataset(folder)
    manifest.write(tmp_path / "lesions.json")
    assert [finding.code for finding in segbench.check_dataset(tmp_path / "lesions.json").findings] == [
        finding.code for finding in checkup.findings
    ]
    converted = segbench.convert_dataset(folder, "coco", tmp_path / "coco")
    assert converted.identical
    back = segbench.convert_dataset(tmp_path / "coco", "voc", tmp_path / "voc")
    assert back.identical
    assert len(segbench.convert_dataset(manifest, "via", tmp_path / "via", images="none").written.images) == 6


def test_what_compares_and_reports_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(segbench.ConfigError, match="expected auto, training, original, got 'own'"):
        segbench.compare_runs(tmp_path, resolution="own")  # type: ignore[arg-type]
    with pytest.raises(segbench.ConfigError, match=r"expected a file that ends in \.html"):
        segbench.report_runs(tmp_path, tmp_path / "report.pdf")
    with pytest.raises(segbench.ConfigError, match="a scale is taken from a study's file, got 'small'"):
        segbench.run_study({"study": "x"}, scale="small")


@pytest.mark.parametrize("image_size", [(0, -1), 256, (256,), (256, 256.5)])
def test_a_size_that_is_none_is_refused(tmp_path: Path, image_size: Any) -> None:
    with pytest.raises(segbench.ConfigError, match="image_size: expected"):
        segbench.check_dataset(tmp_path, image_size=image_size)


def test_a_language_without_a_catalogue_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(segbench.ConfigError, match="--lang: expected one of the languages en, ru, got 'de'"):
        segbench.report_runs(tmp_path / "nowhere", tmp_path / "r.html", lang="de")
