"""Reads every import of the package and tells which break the rules of docs/decisions/0001.

Run as `python tools/check_imports.py`; `tests/test_layers.py` asks the same functions. Imports inside functions and
under `if TYPE_CHECKING` count: a circle that is hidden in a function is still a circle for whoever reads the code.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent / "src"

# Where a module stands: it may import what lies in a row above its own, never below; the longest prefix tells the row.
# Neighbours in a row of the first table may not import each other either, but for the first rows; neighbours in a room
# may. A room with a table of its own is judged by it inside, and there its front (`__init__`) is for others alone.
LAYERS: dict[str, list[set[str]]] = {
    "segbench": [
        {"types", "errors", "registry", "options", "files", "locale", "speech", "terminal", "guides"},
        {"metrics"},
        {"config", "folders", "statistics"},
        {"data", "models", "losses", "plots"},
        {"predict", "doctor"},
        {"train"},
        {"compare"},
        {"explain"},
        {"bundle"},
        {"assist"},
        {"export"},
        {"report"},
        {"annotate", "serve"},
        {"studio"},
        {"study"},
        {"tune"},
        {"course", "demo"},
        {"cli"},
        {"__main__"},
    ],
    "segbench.data": [
        {"files"},
        {"shapes"},
        {"facts", "public", "synthetic"},
        {"formats"},
        {"manifest"},
        {"sources"},
        {"manifest.read"},
        {"augment", "split"},
        {"samples.sample_cache", "samples.shard_cache"},
        {"samples.layout"},
        {"samples.cache"},
        {"samples", "writers"},
        {"augment.preview", "writers.convert"},
    ],
    "segbench.doctor": [
        {"alignment", "crops", "finding", "regions", "rings"},
        {"copies", "reading", "reviewed", "where"},
        {"code", "sampled", "scale", "sequences"},
        {"recipe"},
        {"checks", "reading_codes"},
        {"statistics", "suggest", "variants"},
        {"run"},
        {"before_training", "dataset", "divide", "fix"},
    ],
    "segbench.report": [
        {"names"},
        {"analysis", "document", "labels"},
        {"html", "markdown", "pictures", "summary", "svg"},
        {"figures"},
        {"curves"},
        {"sections"},
        {"across", "latex", "tables"},
        {"doctor_page", "page"},
        {"runs"},
    ],
    "segbench.study": [
        {"means", "probe", "worker"},
        {"live"},
        {"engine", "ray_worker"},
        {"local", "ray", "run"},
        {"dry_run"},
    ],
}
MATES = 3

# These never import torch when they are imported, neither themselves nor through another module; `*` is all below.
LIGHT = (
    *(
        "types",
        "errors",
        "registry",
        "options",
        "files",
        "terminal",
        "config.*",
        "folders.*",
        "locale.*",
        "statistics.*",
        "doctor.*",
    ),
    *(
        "compare",
        "explain",
        "report.*",
        "plots.*",
        "cli.*",
        "models",
        "losses",
        "losses.class_weights",
        "losses.options",
        "models.options",
        "metrics",
    ),
    *(
        "metrics.measure",
        "metrics.families",
        "metrics.counts",
        "metrics.scores",
        "metrics.calibration",
        "metrics.confusion_matrix",
        "metrics.conventions",
    ),
    *("metrics.definitions", "metrics.image_values", "metrics.surface", "metrics.surface_scores"),
    *("data", "data.facts.*", "data.files.*", "data.formats.*", "data.manifest.*", "data.public.*", "data.shapes.*"),
    *("data.sources.*", "data.split.*", "data.synthetic.*", "data.writers.*"),
    *("data.samples.cache", "data.samples.gallery", "data.samples.sample_cache", "data.samples.shard_cache"),
    *("data.samples.shard_writer",),
    *("train", "train.callback", "train.check", "train.prepare", "bundle", "predict", "predict.bundle_members"),
    *("study", "study.engine", "study.run", "study.local", "study.live"),
)
HEAVY = {"torch", "torchvision", "lightning_fabric"}


@dataclass(frozen=True, order=True)
class Arrow:
    """One import: in which module and line, of which module, and when it happens."""

    source: str
    target: str
    line: int
    when: str
    """`import` (when the module is imported), `call` (inside a function) or `typing` (for the type checker alone)."""
    name: str = ""
    """What is taken out of the target, empty for the module itself."""

    def __str__(self) -> str:
        note = {"import": "", "call": " in a function", "typing": " under TYPE_CHECKING"}[self.when]
        return f"{self.source}:{self.line} imports {'.'.join(filter(None, (self.target, self.name)))}{note}"


def read_package(root: Path) -> dict[str, list[Arrow]]:
    """Returns the imports of every module below a folder: dotted name -> arrows, those to other packages included."""
    files = {_dotted(path, root): path for path in sorted(root.rglob("*.py"))}
    return {name: _arrows(name, path, files) for name, path in files.items()}


def _dotted(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _arrows(module: str, path: Path, modules: Mapping[str, Path]) -> list[Arrow]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    arrows: list[Arrow] = []
    bound: dict[str, str] = {}  # a name in this file -> the module it stands for
    for node, when in _nodes(tree, "import"):
        if isinstance(node, ast.Import):
            for alias in node.names:
                arrows.append(Arrow(module, alias.name, node.lineno, when))
                if alias.asname or "." not in alias.name:
                    bound[alias.asname or alias.name] = alias.name
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(f"{module}:{node.lineno}: a relative import; write the whole name")
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if whole in modules:
                    arrows.append(Arrow(module, whole, node.lineno, when))
                    bound[alias.asname or alias.name] = whole
                else:
                    arrows.append(Arrow(module, str(node.module), node.lineno, when, alias.name))
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in bound:
            arrows.append(Arrow(module, bound[node.value.id], node.lineno, when, node.attr))
    return arrows


def _nodes(node: ast.AST, when: str) -> Iterator[tuple[ast.AST, str]]:
    """Yields every node below one, in order, with the time at which it runs."""
    for child in ast.iter_child_nodes(node):
        now = when
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            now = "typing"
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and when == "import":
            now = "call"
        yield child, now
        yield from _nodes(child, now)


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def wrong_arrows(package: Mapping[str, Sequence[Arrow]], layers: Mapping[str, list[set[str]]] = LAYERS) -> list[str]:
    """Returns a sentence for every import against the layers, and for every module that stands in none.

    What only the type checker imports may lie anywhere; it still counts for `circles`.
    """
    found = []
    for module, arrows in package.items():
        problem = _without_layer(module, layers)
        if problem:
            found.append(problem)
            continue
        for arrow in arrows:
            other = arrow.target in package and arrow.target != module and arrow.when != "typing"
            if other and _is_against(module, arrow.target, layers):
                found.append(f"{arrow}, which is not above it")
    return found


def _without_layer(module: str, layers: Mapping[str, list[set[str]]]) -> str:
    for table, rows in layers.items():
        if module.startswith(f"{table}.") and _row(module, table, rows) is None:
            return f"{module} stands in no layer of {table}; add it to LAYERS and to docs/decisions/0001"
    return ""


def _row(module: str, table: str, rows: Sequence[set[str]]) -> tuple[int, str] | None:
    """Returns the row a module stands in and the name it is there under: the longest that begins it."""
    inside = module.removeprefix(f"{table}.")
    fitting = [
        (len(name), level, name)
        for level, row in enumerate(rows)
        for name in row
        if inside == name or inside.startswith(f"{name}.")
    ]
    return max(fitting)[1:] if fitting else None


def _is_against(module: str, target: str, layers: Mapping[str, list[set[str]]]) -> bool:
    """Whether a module may not import another, by the innermost table that names both and tells them apart."""
    for table in sorted(layers, key=len, reverse=True):
        if target == table:  # what a package shows to others is no module for its own members
            if module.startswith(f"{table}."):
                return table != "segbench"
            continue
        if not (module.startswith(f"{table}.") and target.startswith(f"{table}.")):
            continue
        here, there = _row(module, table, layers[table]), _row(target, table, layers[table])
        if here is None or there is None or here[1] == there[1]:
            continue
        mates = table != "segbench" or here[0] < MATES
        return there[0] > here[0] or (there[0] == here[0] and not mates)
    return False


def circles(package: Mapping[str, Sequence[Arrow]]) -> dict[frozenset[str], list[Arrow]]:
    """Returns every group of modules that import each other, whenever they do, with a shortest way around in it."""
    graph: dict[str, dict[str, Arrow]] = {module: {} for module in package}
    for module, arrows in package.items():
        for arrow in arrows:
            # `from segbench import __version__` reads a constant: the front imports nothing until it is asked to.
            if arrow.target in package and arrow.target != module and arrow.name != "__version__":
                graph[module].setdefault(arrow.target, arrow)
    reach = {module: _reachable(module, graph) for module in graph}
    found: dict[frozenset[str], list[Arrow]] = {}
    for module in graph:
        group = frozenset(other for other in reach[module] if module in reach[other])
        if module in group and group not in found:
            found[group] = _around(module, graph)
    return found


def _reachable(start: str, graph: Mapping[str, Mapping[str, Arrow]]) -> set[str]:
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        for target in graph[waiting.pop()]:
            if target not in reached:
                reached.add(target)
                waiting.append(target)
    return reached


def _around(start: str, graph: Mapping[str, Mapping[str, Arrow]]) -> list[Arrow]:
    """Returns the shortest way from a module back to it."""
    ways: list[list[Arrow]] = [[arrow] for arrow in graph[start].values()]
    seen: set[str] = set()
    for way in ways:  # grows while it is read
        end = way[-1].target
        if end == start:
            return way
        if end not in seen:
            seen.add(end)
            ways += [[*way, arrow] for arrow in graph[end].values()]
    raise AssertionError(f"{start} is on no circle")


def private_imports(package: Mapping[str, Sequence[Arrow]], root: Path = SOURCE) -> list[Arrow]:
    """Returns the imports of a `_module` or a `_name` from another folder than the importer's own."""
    found = []
    for module, arrows in package.items():
        for arrow in arrows:
            home = _private_to(arrow, root) if arrow.target in package else ""
            if home and _folder(module, root) != home:
                found.append(arrow)
    return found


def _folder(module: str, root: Path) -> str:
    """Returns the dotted name of the folder a module's file lies in."""
    return module if root.joinpath(*module.split("."), "__init__.py").is_file() else module.rpartition(".")[0]


def _private_to(arrow: Arrow, root: Path) -> str:
    """Returns the folder that alone may import this, empty where everyone may."""
    parts = arrow.target.split(".")
    for index, part in enumerate(parts):
        if _is_private(part):
            return ".".join(parts[:index])
    return _folder(arrow.target, root) if _is_private(arrow.name) else ""


def torch_at_import(package: Mapping[str, Sequence[Arrow]], light: Iterable[str] = LIGHT) -> list[str]:
    """Returns a sentence for every light module whose import brings torch, with the way it comes."""
    graph: dict[str, dict[str, Arrow]] = defaultdict(dict)
    for module, arrows in package.items():
        for arrow in arrows:
            if arrow.when == "import":
                for target in _with_fronts(arrow.target):
                    graph[module].setdefault(target, arrow)
    found = []
    names = {f"segbench.{name}" for name in light if not name.endswith(".*")}
    for room in (f"segbench.{name.removesuffix('.*')}" for name in light if name.endswith(".*")):
        names |= {room, *(module for module in package if module.startswith(f"{room}."))}
    for module in sorted(names):
        if module not in package:
            found.append(f"{module}, which LIGHT names, does not exist")
            continue
        ways: list[tuple[str, list[Arrow]]] = [(name, []) for name in _with_fronts(module)]
        seen: set[str] = set()
        for end, way in ways:  # grows while it is read
            if end in HEAVY:
                found.append(f"importing {module} imports torch: {'; '.join(map(str, way))}")
                break
            if end not in seen:
                seen.add(end)
                ways += [(target, [*way, arrow]) for target, arrow in graph[end].items()]
    return found


def _with_fronts(module: str) -> list[str]:
    """Returns a module and the packages it lies in, all of which an import of it runs."""
    parts = module.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]


def problems(root: Path) -> list[str]:
    """Returns everything that is wrong with the imports below a folder, a sentence each."""
    package = read_package(root)
    found = wrong_arrows(package)
    for group, way in circles(package).items():
        found.append(f"{len(group)} modules import each other: {'; '.join(map(str, way))}")
    found += [f"{arrow}, which is private to another folder" for arrow in private_imports(package, root)]
    return found + torch_at_import(package)


def main() -> int:
    """Prints what is wrong, a line each, and returns 1; nothing and 0 where all is right."""
    told = problems(SOURCE)
    sys.stdout.write("".join(f"{line}\n" for line in told))
    return 1 if told else 0


if __name__ == "__main__":
    sys.exit(main())
