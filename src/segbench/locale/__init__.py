"""Sentences that can be told in another language, and numbers as people read them.

A sentence is a `Message` from where it arises: an English template with its values, which also is the finished English
sentence as a plain `str`. Nothing has to be taken apart to translate it: the template is looked up in the catalogue
`segbench/locale/LANGUAGE/LC_MESSAGES/segbench.po`.

>>> from segbench.locale import plural, translate
>>> translate(plural("{n:,} mask is empty", "{n:,} masks are empty", n=3), "en")
'3 masks are empty'
"""

from segbench.locale.folding import folded
from segbench.locale.message import (
    Message,
    Number,
    OwnWords,
    from_plain,
    join,
    message,
    plural,
    quoted,
    template,
    to_plain,
)
from segbench.locale.numbers import NO_VALUE, Numbers, grouped, listed
from segbench.locale.translation import decimal_mark, languages, localize, translate

__all__ = [
    "NO_VALUE",
    "Message",
    "Number",
    "Numbers",
    "OwnWords",
    "decimal_mark",
    "folded",
    "from_plain",
    "grouped",
    "join",
    "languages",
    "listed",
    "localize",
    "message",
    "plural",
    "quoted",
    "template",
    "to_plain",
    "translate",
]
