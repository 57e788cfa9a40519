"""Name -> "module:function" tables, looked up at the edge (config -> objects) and never inside a network.

A table is a literal dict, so it can be grepped and reviewed as a list, and nothing is imported to print it. A builder's
keyword-only parameters and their annotations are the schema of its options. They are read from the source, so checking
a config imports neither the builder's module nor torch: only the modules that the names in an annotation come from.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import importlib.util
import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

from segbench.errors import ConfigError, OptionError, suggest


class Registry:
    """One kind of named builders.

    Args:
        key: config key that errors point to (`network`, `loss`).
        table: name -> "module:function", or a builder whose module is light.
        options_key: config key above the options, with `{name}` for the entry's; None means `key`.
    """

    def __init__(
        self, key: str, table: Mapping[str, str | Callable[..., Any]], *, options_key: str | None = None
    ) -> None:
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
            return list(_annotations(entry))
        parameters = inspect.signature(entry).parameters.values()
        return [parameter.name for parameter in parameters if parameter.kind is inspect.Parameter.KEYWORD_ONLY]

    def option_types(self, name: str) -> dict[str, Any]:
        """Returns the types of the builder's options, without importing its module; of undeclared ones, nothing."""
        from segbench.options import option_types  # pydantic, which listing the names does not need

        entry = self._entry(name)
        return _types(entry) if isinstance(entry, str) else option_types(entry)

    def summary(self, name: str) -> str:
        """Returns the first line of the builder's docstring, without importing its module."""
        entry = self._entry(name)
        doc = _docstring(entry) if isinstance(entry, str) else inspect.getdoc(entry) or ""
        return doc.partition("\n")[0]

    def check(self, name: str, options: Mapping[str, Any], reserved: Iterable[str] = ()) -> None:
        """Raises ConfigError for an unknown name, an option the builder does not have, or a value of a wrong type."""
        from segbench.options import check_options

        known = [option for option in self.options(name) if option not in set(reserved)]
        for option in options:
            if option not in known:
                message = f"{name!r} has no option {option!r}; {suggest(option, known)}"
                raise ConfigError(message, key=self.key_of(name, option))
        try:
            check_options(self.option_types(name), options)
        except OptionError as error:
            raise ConfigError(str(error), key=self.key_of(name, error.option)) from error

    def key_of(self, name: str, option: str = "") -> str:
        """Returns the config key of an option; of all of them where none is named."""
        above = self._options_key.format(name=name)
        return f"{above}.{option}" if option else above

    def _entry(self, name: str) -> str | Callable[..., Any]:
        if name not in self._table:
            raise ConfigError(f"there is no {self.key} {name!r}; {suggest(name, self._table)}", key=self.key)
        return self._table[name]


@cache
def _tree(module: str) -> ast.Module:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"a registry names {module!r}, and there is no such module")
    return ast.parse(Path(spec.origin).read_text(encoding="utf-8"))


def _definition(entry: str) -> ast.FunctionDef | ast.ClassDef:
    module, _, name = entry.partition(":")
    for node in _tree(module).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return node
    raise AttributeError(f"registry entry {entry!r}: {module} defines no {name!r} at its top level")


def _docstring(entry: str) -> str:
    return ast.get_docstring(_definition(entry)) or ""


def _signature(entry: str) -> ast.arguments | None:
    """Returns the parameters of a function; of a class those of `__init__`, or of what it is made of (`function=`)."""
    node = _definition(entry)
    if isinstance(node, ast.FunctionDef):
        return node.args
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            return item.args
    for keyword in node.keywords:
        if keyword.arg == "function" and isinstance(keyword.value, ast.Name):
            return _signature(f"{entry.partition(':')[0]}:{keyword.value.id}")
    return None


@cache
def _annotations(entry: str) -> dict[str, ast.expr | Any]:
    """Returns the annotation of every option (None where it has none); a type, of `**shared: Unpack[Options]`."""
    arguments = _signature(entry)
    if arguments is None:
        return {}
    found: dict[str, Any] = {argument.arg: argument.annotation for argument in arguments.kwonlyargs}
    shared = arguments.kwarg.annotation if arguments.kwarg is not None else None
    if isinstance(shared, ast.Subscript):
        (hint,) = _evaluate(entry.partition(":")[0], {"shared": shared}).values()
        found |= get_type_hints(get_args(hint)[0], include_extras=True)
    return found


@cache
def _types(entry: str) -> dict[str, Any]:
    found = _annotations(entry)
    written = {name: hint for name, hint in found.items() if isinstance(hint, ast.expr)}
    types = {**found, **_evaluate(entry.partition(":")[0], written)}
    return {name: hint for name, hint in types.items() if hint is not None}


def _evaluate(module: str, written: Mapping[str, ast.expr]) -> dict[str, Any]:
    """Returns the types that annotations in the source of a module stand for, without importing that module."""
    names = {node.id for hint in written.values() for node in ast.walk(hint) if isinstance(node, ast.Name)}
    namespace = {name: _meaning(module, name) for name in names if not hasattr(builtins, name)}
    holder = type("Options", (), {"__annotations__": {name: ast.unparse(hint) for name, hint in written.items()}})
    return get_type_hints(holder, globalns=namespace, include_extras=True)


def _meaning(module: str, name: str) -> Any:
    """Returns what a name at the top of a module's source stands for: what it imports, an alias, or a number."""
    for node in _tree(module).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if name == (alias.asname or alias.name):
                    return getattr(importlib.import_module(node.module), alias.name)
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                value = node.value
                return value.value if isinstance(value, ast.Constant) else _evaluate(module, {name: value})[name]
    raise NameError(f"{module}: an option's type uses {name!r}, which is neither imported nor assigned at the top")
