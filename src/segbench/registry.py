"""Name -> "module:function" tables, looked up at the edge (config -> objects) and never inside a network.

A table is a literal dict, so it can be grepped and reviewed as a list, and nothing is imported to print it. A builder's
keyword-only parameters are the schema of its options; they are read from the source, so checking a config imports
neither the builder's module nor torch.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from segbench.errors import ConfigError, suggest


class Registry:
    """One kind of named builders.

    Args:
        key: config key that errors point to (`network`, `loss`).
        table: name -> "module:function".
        options_key: config key above the options, with `{name}` for the entry's; None means `key`.
    """

    def __init__(self, key: str, table: Mapping[str, str], *, options_key: str | None = None) -> None:
        self.key = key
        self._options_key = options_key or key
        self._table: dict[str, str | Callable[..., Any]] = dict(table)

    def names(self) -> list[str]:
        """Returns every registered name, sorted."""
        return sorted(self._table)

    def register(self, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Returns a decorator that adds a user's own builder under `name`; a name that exists is refused."""

        def add(builder: Callable[..., Any]) -> Callable[..., Any]:
            if name in self._table:
                raise ConfigError(f"{name!r} is registered already; choose another name", key=self.key)
            self._table[name] = builder
            return builder

        return add

    def get(self, name: str) -> Callable[..., Any]:
        """Returns the builder, importing its module; an unknown name lists close matches, then all."""
        entry = self._entry(name)
        if not isinstance(entry, str):
            return entry
        module, _, function = entry.partition(":")
        builder: Callable[..., Any] = getattr(importlib.import_module(module), function)
        return builder

    def options(self, name: str) -> list[str]:
        """Returns the names of the builder's keyword-only parameters, without importing its module."""
        entry = self._entry(name)
        if isinstance(entry, str):
            return list(_keyword_only(entry))
        parameters = inspect.signature(entry).parameters.values()
        return [parameter.name for parameter in parameters if parameter.kind is inspect.Parameter.KEYWORD_ONLY]

    def summary(self, name: str) -> str:
        """Returns the first line of the builder's docstring, without importing its module."""
        entry = self._entry(name)
        doc = _docstring(entry) if isinstance(entry, str) else inspect.getdoc(entry) or ""
        return doc.partition("\n")[0]

    def check(self, name: str, options: Iterable[str], reserved: Iterable[str] = ()) -> None:
        """Raises ConfigError for an unknown name or an option the builder does not have."""
        known = [option for option in self.options(name) if option not in set(reserved)]
        for option in options:
            if option not in known:
                place = f"{self._options_key.format(name=name)}.{option}"
                raise ConfigError(f"{name!r} has no option {option!r}; {suggest(option, known)}", key=place)

    def _entry(self, name: str) -> str | Callable[..., Any]:
        if name not in self._table:
            raise ConfigError(f"there is no {self.key} {name!r}; {suggest(name, self._table)}", key=self.key)
        return self._table[name]


@cache
def _definition(entry: str) -> ast.FunctionDef | ast.ClassDef:
    module, _, function = entry.partition(":")
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"registry entry {entry!r}: there is no module {module!r}")
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == function:
            return node
    raise AttributeError(f"registry entry {entry!r}: {module} defines no {function!r} at its top level")


def _docstring(entry: str) -> str:
    return ast.get_docstring(_definition(entry)) or ""


def _keyword_only(entry: str) -> tuple[str, ...]:
    node = _definition(entry)
    if isinstance(node, ast.ClassDef):
        methods = [item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"]
        if not methods:
            return ()
        node = methods[0]
    return (*(argument.arg for argument in node.args.kwonlyargs), *_unpacked(entry, node.args.kwarg))


def _unpacked(entry: str, argument: ast.arg | None) -> tuple[str, ...]:
    """Returns the keys of `**shared: Unpack[Options]`, where Options is a TypedDict imported by the entry's module."""
    hint = argument.annotation if argument is not None else None
    if not (isinstance(hint, ast.Subscript) and isinstance(hint.slice, ast.Name)):
        return ()
    name = hint.slice.id
    spec = importlib.util.find_spec(entry.partition(":")[0])
    if spec is None or spec.origin is None:
        return ()
    for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module and name in (alias.name for alias in node.names):
            fields = _definition(f"{node.module}:{name}").body
            return tuple(
                item.target.id
                for item in fields
                if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
            )
    return ()
