"""Imports go one way: docs/decisions/0001-layout-and-layers.md. The rules stand in tools/check_imports.py."""

from __future__ import annotations

from pathlib import Path

import pytest

import check_imports
from check_imports import SOURCE, circles, private_imports, problems, read_package, torch_at_import, wrong_arrows


def test_imports_keep_the_layers_without_circles_and_private_names() -> None:
    assert "\n".join(problems(SOURCE)) == ""


@pytest.fixture
def write(tmp_path: Path) -> Path:
    """Returns a folder with a package `segbench` of two layers, the second with layers of its own."""
    files = {
        "__init__": "",
        "low": "",
        "high/__init__": "from segbench.high.first import a",
        "high/first/__init__": "a = 1",
        "high/second": "import segbench.low",
    }
    for name, text in files.items():
        add(tmp_path, name, text)
    return tmp_path


def add(folder: Path, name: str, text: str) -> None:
    path = folder / "segbench" / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


LAYERS: dict[str, list[set[str]]] = {
    "segbench": [{"types"}, {"errors"}, {"low"}, {"high", "beside"}],
    "segbench.high": [{"first", "first.deep"}, {"second"}, {"first.late"}],
}


def test_arrows_up_and_inside_are_right(write: Path) -> None:
    package = read_package(write)
    assert wrong_arrows(package, LAYERS) == []
    assert circles(package) == {}
    assert private_imports(package, write) == []


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        (
            "low",
            "def f():\n    import segbench.high.second",
            "segbench.low:2 imports segbench.high.second in a function",
        ),
        ("low", "from segbench import high", "segbench.low:1 imports segbench.high"),
        ("beside", "from segbench.high import a", "segbench.beside:1 imports segbench.high.a"),
        (
            "high/first/x",
            "from segbench.high.second import b",
            "segbench.high.first.x:1 imports segbench.high.second.b",
        ),
        (
            "high/second",
            "from segbench.high.first import late",
            "segbench.high.second:1 imports segbench.high.first.late",
        ),
        ("high/second", "from segbench.high import a", "segbench.high.second:1 imports segbench.high.a"),
    ],
)
def test_an_arrow_down_is_told(write: Path, name: str, text: str, told: str) -> None:
    add(write, "high/first/late", "")
    add(write, name, text)
    assert wrong_arrows(read_package(write), LAYERS) == [f"{told}, which is not above it"]


def test_the_longest_prefix_tells_the_layer(write: Path) -> None:
    add(write, "high/first/late", "from segbench.high import second")
    assert wrong_arrows(read_package(write), LAYERS) == []


def test_what_only_the_type_checker_imports_may_lie_anywhere(write: Path) -> None:
    add(write, "low", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from segbench.beside import b")
    add(write, "beside", "b = 1")
    assert wrong_arrows(read_package(write), LAYERS) == []


def test_a_module_without_a_layer_is_told(write: Path) -> None:
    add(write, "high/new", "")
    add(write, "new", "")
    assert [line.partition(";")[0] for line in wrong_arrows(read_package(write), LAYERS)] == [
        "segbench.high.new stands in no layer of segbench.high",
        "segbench.new stands in no layer of segbench",
    ]


def test_a_circle_is_told_by_a_shortest_way_around(write: Path) -> None:
    add(write, "high/a", "def f():\n    from segbench.high.b import g")
    add(write, "high/b", "import typing\nif typing.TYPE_CHECKING:\n    from segbench.high import c")
    add(write, "high/c", "import segbench.high.a\nimport segbench.high.d")
    add(write, "high/d", "import segbench.high.b")
    found = circles(read_package(write))
    assert list(found) == [frozenset(f"segbench.high.{name}" for name in "abcd")]
    assert list(map(str, next(iter(found.values())))) == [
        "segbench.high.a:2 imports segbench.high.b.g in a function",
        "segbench.high.b:3 imports segbench.high.c under TYPE_CHECKING",
        "segbench.high.c:1 imports segbench.high.a",
    ]


def test_the_version_of_the_package_makes_no_circle(write: Path) -> None:
    add(write, "__init__", "__version__ = '1'\nimport segbench.low")
    add(write, "low", "from segbench import __version__")
    assert circles(read_package(write)) == {}


def test_private_names_stay_in_their_folder(write: Path) -> None:
    add(write, "high/_own", "")
    add(
        write, "high/first/__init__", "from segbench.high import _own\ndef f():\n    from segbench.low import _x, __y__"
    )
    add(write, "high/second", "from segbench.high._own import a\nfrom segbench import low\nlow._z\nlow.__name__")
    assert list(map(str, private_imports(read_package(write), write))) == [
        "segbench.high.first:1 imports segbench.high._own",
        "segbench.high.first:3 imports segbench.low._x in a function",
        "segbench.high.second:3 imports segbench.low._z",
    ]


def test_torch_is_seen_behind_other_modules(write: Path) -> None:
    add(write, "high/first/__init__", "def f():\n    import torch")
    assert torch_at_import(read_package(write), ["low", "high.*"]) == []
    add(write, "high/first/__init__", "try:\n    import torch.nn\nexcept ImportError:\n    pass")
    assert torch_at_import(read_package(write), ["low", "high.second", "gone"]) == [
        "segbench.gone, which LIGHT names, does not exist",
        "importing segbench.high.second imports torch: segbench.high:1 imports segbench.high.first.a; "
        "segbench.high.first:2 imports torch.nn",
    ]


def test_a_relative_import_is_refused(write: Path) -> None:
    add(write, "low", "from . import high")
    with pytest.raises(ValueError, match=r"segbench\.low:1: a relative import; write the whole name"):
        read_package(write)


def test_the_script_tells_and_says_so_by_its_code(
    write: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_imports, "SOURCE", write)
    assert check_imports.main() == 1
    assert "segbench.low stands in no layer of segbench; add it to LAYERS" in capsys.readouterr().out
