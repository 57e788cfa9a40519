"""Imports go one way: docs/decisions/0001-layout-and-layers.md."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src" / "segbench"

# A module may import from its own layer's package and from every layer above it in this list, never below.
LAYERS = [
    {"types", "errors", "registry", "files"},
    {
        "_study_factors",
        "_study_plan",
        "class_weights",
        "config",
        "config_augment",
        "config_base",
        "config_loss",
        "config_split",
        "config_study",
        "config_text",
        "config_tune",
        "mask_archive",
        "runs",
        "studies",
    },
    {"data", "models", "losses", "metrics", "plots"},
    {"predict"},
    {"train"},
    {"report"},
    {"study"},
    {"demo"},
    {"cli"},
    {"__main__"},
]
LEVEL = {name: level for level, layer in enumerate(LAYERS) for name in layer}
FREE_OF_TORCH = [
    *(
        "_study_factors",
        "_study_plan",
        "class_weights",
        "config",
        "config_augment",
        "config_base",
        "config_loss",
        "config_split",
        "config_study",
        "config_text",
        "config_tune",
        "mask_archive",
        "registry",
        "runs",
    ),
    *("studies", "types", "errors", "files"),
    *("cli", "report", "plots"),
]
FREE_FILES = [
    "models/__init__.py",
    "losses/__init__.py",
    "metrics/__init__.py",
    "metrics/counts.py",
    "metrics/scores.py",
    *(f"metrics/{name}.py" for name in ("calibration", "confusion_matrix", "conventions", "definitions")),
    *(f"metrics/{name}.py" for name in ("image_values", "surface", "surface_scores")),
    "data/__init__.py",
    "data/index.py",
    "data/images.py",
    "data/masks.py",
    "data/split.py",
    "data/cache.py",
    "data/synthetic.py",
    *(f"data/{name}.py" for name in ("archive", "download", "public", "shards", "shard_writer", "trace", "convert")),
    *(f"data/{name}.py" for name in ("detect", "drawing", "gallery", "folds", "fix")),
    "data/writers/__init__.py",
    "data/checks/__init__.py",
    "train/__init__.py",
    "train/check.py",
    "predict/__init__.py",
    *(f"study/{name}.py" for name in ("__init__", "run", "local", "live")),
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
        same_layer_allowed = LEVEL[package] < 2  # types, errors, registry, files; config, runs
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
        files += [SOURCE / f"{name}.py"] if (SOURCE / f"{name}.py").is_file() else sorted((SOURCE / name).glob("*.py"))
    return files + sorted((SOURCE / "data" / "formats").glob("*.py"))


@pytest.mark.parametrize("path", torch_free_files(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_light_files_import_no_torch_at_their_top(path: Path) -> None:
    heavy = {
        name
        for name in imports(path, everywhere=False)
        if name.split(".")[0] in ("torch", "torchvision", "lightning_fabric")
    }
    assert not heavy, f"{path.relative_to(SOURCE)} imports {heavy}"
