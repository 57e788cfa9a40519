"""Where sentences for a person are printed: at words, in colours, on a terminal; whole and plain elsewhere."""

from __future__ import annotations

import math
import re
import textwrap
from typing import Any

from rich.console import Console
from rich.text import Text

WARNING_STYLE, ERROR_STYLE = "yellow", "red"

# What a sentence begins with decides its colour, so that no place that says something has to name one.
_STYLES = {"error": ERROR_STYLE, "failed": ERROR_STYLE, "damaged": ERROR_STYLE, "warning": WARNING_STYLE}
_KIND = re.compile(rf"({'|'.join(_STYLES)})\b")
_NARROWEST = 20  # below it nothing is wrapped: there is no terminal like that


class Terminal(Console):
    """A console that wraps at words on a terminal and leaves lines whole in a pipe, where programs read them.

    Colours are left out where there is no terminal, and where the environment says `NO_COLOR`.

    Args:
        stderr: write to standard error.
        settings: of `rich.console.Console`.
    """

    def __init__(self, *, stderr: bool = False, **settings: Any) -> None:
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False, **settings)

    def print(self, *objects: Any, **settings: Any) -> None:
        """Prints; a single text as `say` does, unless `soft_wrap` is said."""
        if len(objects) == 1 and isinstance(objects[0], str) and "soft_wrap" not in settings:
            say(self, objects[0], **settings)
        else:
            super().print(*objects, **settings)


def say(console: Console, text: str, style: str | None = None, **settings: Any) -> None:
    """Prints a text, at words on a terminal; its colour is `style`, or that of what it begins with: `warning: ...`."""
    lines = wrapped(text, console.width) if console.is_terminal else text
    console.print(styled(lines, style), soft_wrap=True, **settings)


def styled(text: str, style: str | None = None) -> Text:
    """Returns a text whose first line is in `style`, or in the colour of what it begins with: `warning: ...`."""
    result = Text(text)
    kind = _KIND.match(text)
    chosen = style or (_STYLES[kind[1]] if kind else None)
    if chosen is not None:
        # A sentence that was wrapped is still one; what stands below it is indented, or after an empty line.
        end = re.search(r"\n(?=\n| )", text)
        result.stylize(chosen, 0, end.start() if end else len(text))
    return result


def wrapped(text: str, width: int) -> str:
    """Returns a text with lines of at most `width` columns, broken between words and indented as they began.

    A word that is longer, such as a path, stays whole, so that it can be copied.
    """
    if width < _NARROWEST:
        return text
    lines = []
    for line in text.split("\n"):
        indent = line[: len(line) - len(line.lstrip())]
        if len(line) <= width or len(indent) > width // 2:
            lines.append(line)
            continue
        lines += textwrap.wrap(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines)


def format_seconds(seconds: float) -> str:
    """Returns a length of time as people say it: 42 s, 3:05 min, 2:10 h, 1.5 d.

    Example:
        >>> format_seconds(185)
        '3:05 min'
    """
    if math.isnan(seconds):
        return "–"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    minutes = round(seconds / 60)
    return f"{minutes // 60}:{minutes % 60:02d} h" if minutes < 48 * 60 else f"{seconds / 86400:.1f} d"
