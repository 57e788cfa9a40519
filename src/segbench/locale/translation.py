"""Messages -> another language, through its catalogue. Babel is imported when a translation is asked for."""

from __future__ import annotations

import dataclasses
import gettext
import io
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from segbench.locale.message import Message, Number, OwnWords, fill

ENGLISH = "en"
_CATALOGUES = Path(__file__).parent
_Value = TypeVar("_Value")


def catalogue_path(lang: str) -> Path:
    """Returns where the sentences of a language lie."""
    return _CATALOGUES / lang / "LC_MESSAGES" / "segbench.po"


@cache
def languages() -> tuple[str, ...]:
    """Returns the languages there are: English, and one for every catalogue."""
    return (ENGLISH, *sorted(path.parts[-3] for path in _CATALOGUES.glob("*/LC_MESSAGES/segbench.po")))


def translate(text: str, lang: str) -> str:
    """Returns a message in another language, its values that are messages too; any other text as it is.

    Args:
        text: a `Message`, a `Number` or `OwnWords`; a plain `str`, such as a name from the data, comes back unchanged.
        lang: one of `languages()`.
    Raises:
        ValueError: there is no such language.
    """
    if lang not in languages():
        raise ValueError(f"expected one of the languages {', '.join(languages())}, got {lang!r}")
    if isinstance(text, OwnWords):
        return text.texts.get(lang, str(text))
    if lang != ENGLISH and isinstance(text, Number):
        return text.replace(".", decimal_mark(lang))
    if lang == ENGLISH or not isinstance(text, Message):
        return str(text)
    values = {name: localize(value, lang) for name, value in text.values.items()}
    return fill(_template(text, lang), values, decimal_mark(lang))


@cache
def decimal_mark(lang: str) -> str:
    """Returns what stands before the decimals of a number in a language: a point or a comma."""
    if lang == ENGLISH:
        return "."
    from babel.numbers import get_decimal_symbol  # only who reads another language waits for Babel

    return str(get_decimal_symbol(lang))


def localize(value: _Value, lang: str) -> _Value:
    """Returns a value with every message in it translated: in lists, tuples, dicts and dataclasses, at any depth."""
    return _localized(value, lang)  # type: ignore[no-any-return]


def _localized(value: Any, lang: str) -> Any:
    if isinstance(value, str):
        return translate(value, lang)
    if isinstance(value, tuple | list):
        return type(value)(_localized(each, lang) for each in value)
    if isinstance(value, dict):
        return {_localized(key, lang): _localized(each, lang) for key, each in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        changed = {f.name: _localized(getattr(value, f.name), lang) for f in dataclasses.fields(value) if f.init}
        return dataclasses.replace(value, **changed)
    return value


def _template(text: Message, lang: str) -> str:
    """Returns the template in the language; a template that only joins is not in the catalogue and says nothing."""
    if not text.template:
        return ""
    if text.plural_template is None or text.n is None:
        return _catalogue(lang).gettext(text.template)
    return _catalogue(lang).ngettext(text.template, text.plural_template, text.n)


@cache
def _catalogue(lang: str) -> gettext.GNUTranslations:
    if lang not in languages():
        raise ValueError(f"expected one of the languages {', '.join(languages())}, got {lang!r}")
    from babel.messages.mofile import write_mo  # only who reads another language waits for Babel
    from babel.messages.pofile import read_po

    with catalogue_path(lang).open("rb") as stream:
        catalogue = read_po(stream, locale=lang, abort_invalid=True)
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)
