"""What a person copies from the page about a data set: commands, and the part of a config that its numbers suggest."""

from __future__ import annotations

import json
import re
import shlex
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from segbench.doctor import Checkup
from segbench.locale import translate

_COMMENT_WIDTH = 96
_PLAIN = re.compile(r"[A-Za-z_/][\w./ -]*(?<! )")
_NOT_TEXT = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}


def check_command(checkup: Checkup, *, option: tuple[str, str] | None = None, fix: Path | None = None) -> str:
    """Returns the command that checks the data set in the same way.

    Args:
        option: (name, value as YAML) that is set besides, or instead of what was set.
        fix: new folder for a corrected copy.
    """
    options = {name: plain(value) for name, value in checkup.options.items()}
    options |= dict([option]) if option is not None else {}
    parts = ["segbench", "data", "check", str(checkup.root)]
    parts += ["--format", checkup.format] if checkup.format else []
    for name, value in options.items():
        parts += ["--option", f"{name}={value}"]
    parts += ["--fix", str(fix)] if fix is not None else []
    return shlex.join(parts)


def config_text(checkup: Checkup, lang: str = "en") -> str:
    """Returns YAML: where the data set is, how it is read, and every suggestion with its reason as a comment.

    What only the owner of the data knows stands at the end, as comments.
    """
    data = {"path": str(checkup.root), "format": checkup.format}
    options = {**checkup.options, **_guessed(checkup)}
    tree: dict[str, Any] = {"data": {**data, **({"options": options} if options else {})}}
    reasons: dict[tuple[str, ...], str] = {}
    for key, value, reason in checkup.suggestions:
        *way, last = key.split(".")
        place = tree
        for name in way:
            place = place.setdefault(name, {})
        place[last] = value
        reasons[(*way, last)] = translate(reason, lang)
    open_ones = [
        line
        for key, value, reason in checkup.choices
        for line in (*textwrap.wrap(f"{key}: {plain(value)}", _COMMENT_WIDTH), *_wrapped(translate(reason, lang)))
    ]
    return "\n".join([*_lines(tree, reasons, ()), *(f"# {line}" for line in open_ones)])


def _wrapped(reason: str) -> list[str]:
    return [f"    {line}" for line in textwrap.wrap(reason, _COMMENT_WIDTH)]


def _guessed(checkup: Checkup) -> dict[str, Any]:
    """Returns the option `classes` where the masks alone do not say it and the check went on with a guess."""
    class_map = checkup.class_map
    if class_map is None or not any(finding.code == "no_class_map" for finding in checkup.findings):
        return {}
    values = zip(class_map.names, class_map.values, strict=True)
    return {"classes": {name: one[0] if len(one) == 1 else one for name, one in values}}


def _lines(tree: Mapping[str, Any], reasons: Mapping[tuple[str, ...], str], way: tuple[str, ...]) -> Iterator[str]:
    indent = "  " * len(way)
    for name, value in tree.items():
        here = (*way, name)
        for line in textwrap.wrap(reasons.get(here, ""), _COMMENT_WIDTH - len(indent)):
            yield f"{indent}# {line}"
        if isinstance(value, Mapping) and value:
            yield f"{indent}{plain(name)}:"
            yield from _lines(value, reasons, here)
        else:
            yield f"{indent}{plain(name)}: {plain(value)}"


def plain(value: Any) -> str:
    """Returns a value as YAML on one line: text without quotes where it needs none."""
    if isinstance(value, str):
        needs_none = _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT
        return value if needs_none else json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{plain(str(key))}: {plain(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(plain(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False, default=str)
