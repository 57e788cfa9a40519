"""Pages made from the code at every build: command line, keys of configs, error messages, public names."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import BaseModel
from sphinx.application import Sphinx

import segbench
from segbench.config.keys import meanings, section_of, summary_of
from segbench.config.run import RunConfig
from segbench.config.study import StudyConfig
from segbench.config.tune import TuneConfig

REFERENCE = Path(__file__).resolve().parents[1] / "reference"
SOURCE = Path(segbench.__file__).parent


def _write(app: Sphinx) -> None:
    _command_line(REFERENCE / "cli.md")
    pages = {"config": config_page(), "errors": errors_page(), "api": api_page()}
    for module in API:
        pages[f"api_{module.rpartition('.')[2]}"] = module_page(importlib.import_module(module))
    for name, lines in pages.items():
        _keep(REFERENCE / f"{name}.md", "\n".join(lines).rstrip() + "\n")


def _keep(path: Path, text: str) -> None:
    """Writes a page unless it is the same: Sphinx reads again what is newer."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def _command_line(target: Path) -> None:
    """Writes the commands and their options, by typer's own program."""
    words = ["segbench.cli", "utils", "docs", "--name", "segbench", "--title", "Command line", "--output"]
    made = target.with_suffix(".new")
    subprocess.run([sys.executable, "-m", "typer", *words, str(made)], check=True, capture_output=True)
    _keep(
        target, re.sub(r"^Examples?: (segbench .+?)\n\n", _as_code, made.read_text(encoding="utf-8"), flags=re.M | re.S)
    )
    made.unlink()


def _as_code(match: re.Match[str]) -> str:
    """Returns the examples of a command's help as a block that can be copied, a line each."""
    commands = re.split(r",\s+(?=segbench )", " ".join(match[1].split()))
    return "```sh\n" + "\n".join(commands) + "\n```\n\n"


# Keys of configs


def config_page() -> Iterator[str]:
    """Yields the lines of reference/config.md."""
    yield "# Keys of configs\n"
    yield "Every key with its default and range. `segbench config new` writes a config with comments, `segbench config"
    yield "check` tells what is wrong in one, and `segbench config show` prints it with every default.\n"
    titles = {RunConfig: "A training (`segbench train`)", StudyConfig: "A study (`segbench study run`)"}
    for model, title in {**titles, TuneConfig: "A search (`segbench tune`)"}.items():
        yield f"## {title}\n"
        yield from _section(model, "")


def _section(model: type[BaseModel], prefix: str) -> Iterator[str]:
    yield f"{_cell(summary_of(model))}\n"
    yield "| key | default | values | meaning |\n| --- | --- | --- | --- |"
    schema = model.model_json_schema()
    told = meanings(model)
    inner = []
    for key, field in model.model_fields.items():
        below = section_of(model, key)
        if below is not None:
            inner.append((key, below))
        default = "needed" if field.is_required() else _default(field.get_default(call_default_factory=True))
        values = "see below" if below is not None else _values(schema["properties"][key], schema)
        yield f"| `{prefix}{key}` | {default} | {values} | {_cell(told.get(key, ''))} |"
    yield ""
    for key, below in inner:
        if prefix or model is RunConfig:  # the base of a study is a run's config
            yield f"### `{prefix}{key}`\n"
            yield from _section(below, f"{prefix}{key}.")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _default(value: Any) -> str:
    if isinstance(value, BaseModel) or (
        isinstance(value, tuple) and any(isinstance(each, BaseModel) for each in value)
    ):
        return ""
    if value is None or isinstance(value, bool):
        return {None: "", True: "`true`", False: "`false`"}[value]
    return f"`{list(value)}`" if isinstance(value, tuple) else f"`{value}`"


_BOUNDS = {"minimum": "≥ {}", "exclusiveMinimum": "> {}", "maximum": "≤ {}", "exclusiveMaximum": "< {}"}
_KINDS = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true, false", "null": "null"}


def _values(part: dict[str, Any], schema: dict[str, Any]) -> str:
    """Returns what a key takes, from its JSON schema."""
    if "$ref" in part:
        part = schema["$defs"][part["$ref"].rpartition("/")[2]]
    if "anyOf" in part:
        return " or ".join(dict.fromkeys(_values(each, schema) for each in part["anyOf"]))
    if "enum" in part:
        return ", ".join(f"`{each}`" for each in part["enum"])
    if "const" in part:
        return f"`{part['const']}`"
    if "prefixItems" in part:
        return f"[{', '.join(_values(each, schema) for each in part['prefixItems'])}]"
    if part.get("type") == "array":
        return f"list of {_values(part.get('items', {}), schema) or 'anything'}"
    if part.get("type") == "object":
        return "mapping"
    bounds = [
        words.format(int(part[key]) if part[key] == int(part[key]) else part[key])
        for key, words in _BOUNDS.items()
        if key in part
    ]
    return " ".join([_KINDS.get(part.get("type", ""), ""), ", ".join(bounds)]).strip()


# Errors


def errors_page() -> Iterator[str]:
    """Yields the lines of reference/errors.md: every error that the package raises, by room."""
    yield "# Error messages\n"
    yield "Each says what was expected, what came, where, and what to do. `...` stands for names and numbers of yours."
    yield "Search this page for words of the message; what the doctor finds in data has [its own page](checks.md),"
    yield "and what has no message in troubleshooting.\n"
    rooms: dict[str, dict[str, set[str]]] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        for kind, text in _raised(path):
            room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
            rooms.setdefault(room, {}).setdefault(kind, set()).add(text)
    for room, kinds in rooms.items():
        yield f"## `segbench.{room}`\n"
        for kind, texts in sorted(kinds.items()):
            yield f"**{kind}**\n"
            yield from (f"- {text}" for text in sorted(texts))
            yield ""


_FOR_PROGRAMS = {"AssertionError", "AttributeError", "KeyError", "NotImplementedError", "RuntimeError", "TypeError"}


def _raised(path: Path) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
            name = ast.unparse(node.exc.func)
            text = " ".join(_words(node.exc.args[0]).split())
            if name.endswith("Error") and name not in _FOR_PROGRAMS and len(re.findall(r"[a-z]{2,}", text)) > 3:
                yield name, re.sub(r"([\\`*_<>\[\]|$#])", r"\\\1", text)


def _words(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_words(each) if isinstance(each, ast.Constant) else "..." for each in node.values)
    if isinstance(node, ast.BinOp):
        return _words(node.left) + _words(node.right)
    if isinstance(node, ast.Call) and node.args and ast.unparse(node.func) in ("message", "plural"):
        return re.sub(r"\{[^}]*\}", "...", _words(node.args[0]))
    return "..."


# API


API = ("segbench.statistics", "segbench.plots", "segbench.locale", "segbench.course")


def api_page() -> Iterator[str]:
    """Yields the lines of reference/api.md: the names of `segbench` itself."""
    yield "# segbench\n"
    yield "What stands here is stable. Names are imported when they are first used; `import segbench` costs nothing.\n"
    for name in segbench.__all__:
        value = getattr(segbench, name)
        if not isinstance(value, ModuleType):
            yield from _documented("segbench", name, value)


def module_page(module: ModuleType) -> Iterator[str]:
    """Yields the lines of the page of a public module."""
    yield f"# {module.__name__}\n"
    yield f"{(module.__doc__ or '').partition(chr(10))[0]}\n"
    for home, name in _public(module):
        yield from _documented(home.__name__, name, getattr(home, name))


def _public(module: ModuleType) -> Iterator[tuple[ModuleType, str]]:
    """Yields the public names of a module; without `__all__` every function of its files is public (segbench.plots)."""
    if hasattr(module, "__all__"):
        yield from ((module, name) for name in module.__all__)
        return
    for found in pkgutil.iter_modules(module.__path__, f"{module.__name__}."):
        home = importlib.import_module(found.name)
        for name, value in vars(home).items():
            if inspect.isfunction(value) and value.__module__ == home.__name__ and not name.startswith("_"):
                yield home, name


def _documented(module: str, name: str, value: Any) -> Iterator[str]:
    kind = "class" if isinstance(value, type) else "function" if callable(value) else "data"
    yield f"```{{eval-rst}}\n.. auto{kind}:: {module}.{name}"
    if kind == "class":
        yield "   :members:"
    yield "```\n"


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the pages."""
    app.connect("builder-inited", _write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
