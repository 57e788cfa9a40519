"""Finds English sentences where another language is meant to be; for every test of a translated page."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

_NOT_SHOWN = re.compile(r"<style.*?</style>|<script.*?</script>|<pre.*?</pre>|<code.*?</code>|<wbr>", re.DOTALL)
_SAID = re.compile(r'\b(?:aria-label|title|alt)="([^"]*)"')
_WORD = r"[A-Za-z][a-z']+"
_SENTENCE = re.compile(rf"(?<![\w./-]){_WORD}(?: {_WORD}){{2,}}(?![\w/])")


def english_in(page: str, own: Iterable[str] = ()) -> list[str]:
    """Returns runs of three English-looking words or more that a page shows or says.

    Args:
        page: HTML; code, styles and scripts are no text.
        own: texts of the data's or the study's author, names of libraries: they are not translated.
    """
    kept = _NOT_SHOWN.sub("", page)
    shown = [*_SAID.findall(kept), *re.sub(r"<[^>]*>", "\n", kept).splitlines()]
    found = []
    for line in map(html.unescape, shown):
        text = re.sub(r"`[^`]*`", "", line)
        for each in own:
            text = text.replace(each, "")
        found += _SENTENCE.findall(text)
    return found
