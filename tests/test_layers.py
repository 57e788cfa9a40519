"""Imports go one way: docs/decisions/0001-layout-and-layers.md."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src" / "segbench"

# A module may import from its own layer's package and from every layer above it in this list, never below.
LAYERS = [
    {"types", "errors", "registry", "options", "files"},
    {"metrics"},
    {"config", "folders", "locale", "statistics"},
    {"data", "models", "losses", "plots"},
    {"predict", "doctor"},
    {"train"},
    {"compare"},
    {"explain"},
    {"report"},
    {"study"},
    {"tune"},
    {"demo"},
    {"cli"},
    {"__main__"},
]
LEVEL = {name: level for level, layer in enumerate(LAYERS) for name in layer}
FREE_OF_TORCH = [
    *("types", "errors", "registry", "options", "files", "config", "folders", "locale", "statistics", "doctor"),
    *("compare", "explain", "report", "plots", "cli"),
]
FREE_FILES = [
    "models/__init__.py",
    "losses/__init__.py",
    "losses/class_weights.py",
    "losses/options.py",
    "models/options.py",
    "metrics/__init__.py",
    *("metrics/measure.py", "metrics/families/__init__.py"),
    "metrics/counts.py",
    "metrics/scores.py",
    *(f"metrics/{name}.py" for name in ("calibration", "confusion_matrix", "conventions", "definitions")),
    *(f"metrics/{name}.py" for name in ("image_values", "surface", "surface_scores")),
    "data/samples/cache.py",
    "data/samples/gallery.py",
    "data/samples/shards.py",
    "data/samples/shard_writer.py",
    "train/__init__.py",
    "train/check.py",
    "predict/__init__.py",
    *(f"study/{name}.py" for name in ("__init__", "run", "local", "live")),
]
FREE_FOLDERS = [
    "data",
    *(f"data/{name}" for name in ("facts", "files", "formats", "manifest", "public", "shapes", "sources", "split")),
    *(f"data/{name}" for name in ("synthetic", "writers")),
]


def package_of(path: Path) -> str:
    """Returns the layer a file belongs to: its first folder, or its own name at the top."""
    parts = path.relative_to(SOURCE).parts
    return parts[0] if len(parts) > 1 else path.stem


def imports(path: Path, *, everywhere: bool = True) -> set[str]:
    """Returns the dotted names a file imports, outside `if TYPE_CHECKING`; `everywhere` looks into functions too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for inner in ast.walk(node)
    }
    nodes = ast.walk(tree) if everywhere else iter(tree.body)
    found: set[str] = set()
    for node in nodes:
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
    return found


SOURCES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_arrow_against_the_layers(path: Path) -> None:
    package = package_of(path)
    assert package in LEVEL, f"{package} stands in no layer; add it to LAYERS and to decision 0001"
    for name in imports(path):
        if not name.startswith("segbench."):
            continue
        target = name.split(".")[1]
        if target == package:
            continue
        same_layer_allowed = LEVEL[package] < 3  # types, errors, registry, options, files; config, runs
        lowest = LEVEL[package] if same_layer_allowed else LEVEL[package] - 1
        assert LEVEL[target] <= lowest, f"{path.relative_to(SOURCE)} imports {name}, which lies above it"


def test_the_test_sees_a_wrong_arrow(tmp_path: Path) -> None:
    file = tmp_path / "bad.py"
    file.write_text("from segbench.train.fit import fit\n\ndef f():\n    import segbench.cli\n")
    assert imports(file) == {"segbench.train.fit", "segbench.cli"}
    assert LEVEL["train"] > LEVEL["losses"]


def torch_free_files() -> list[Path]:
    files = [SOURCE / name for name in FREE_FILES]
    for name in FREE_OF_TORCH:
        files += [SOURCE / f"{name}.py"] if (SOURCE / f"{name}.py").is_file() else sorted((SOURCE / name).rglob("*.py"))
    for name in FREE_FOLDERS:
        files += sorted((SOURCE / name).glob("*.py") if name == "data" else (SOURCE / name).rglob("*.py"))
    return files


@pytest.mark.parametrize("path", torch_free_files(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_light_files_import_no_torch_at_their_top(path: Path) -> None:
    heavy = {
        name
        for name in imports(path, everywhere=False)
        if name.split(".")[0] in ("torch", "torchvision", "lightning_fabric")
    }
    assert not heavy, f"{path.relative_to(SOURCE)} imports {heavy}"
