"""English sentences that remember what they were made of."""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping
from typing import Any


class Message(str):
    """A finished English sentence that keeps its template and its values, so that it can be told in another language.

    It is a `str`: it prints, compares, sorts and goes into JSON as the English sentence. What plain string methods
    return (`upper`, `+`, f-strings) is a plain `str` again and stays English; `join` and values keep messages.

    Attributes:
        template: English, with `{name}` placeholders; the msgid of the catalogue.
        values: of the placeholders; they may be messages.
        plural_template: for every n but 1; None: the sentence does not count.
        n: what is counted; None: the sentence does not count.
    """

    template: str
    values: Mapping[str, Any]
    plural_template: str | None
    n: int | None

    def __new__(
        cls, template: str, values: Mapping[str, Any], plural_template: str | None = None, n: int | None = None
    ) -> Message:
        """Returns the sentence; a placeholder without a value is a KeyError."""
        shown = template if plural_template is None or n == 1 else plural_template
        made = super().__new__(cls, fill(shown, values))
        made.template, made.values = template, dict(values)
        made.plural_template, made.n = plural_template, n
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return Message, (self.template, self.values, self.plural_template, self.n)


class Number(str):
    """A number as people read it: a `str` with a decimal point, which other languages may write as a comma.

    Example:
        >>> Number("0.861")
        '0.861'
    """


class OwnWords(str):
    """A text that its author wrote in several languages, such as the title of a study; a `str` in the first of them.

    Attributes:
        texts: language -> text.
    """

    texts: Mapping[str, str]

    def __new__(cls, texts: Mapping[str, str]) -> OwnWords:
        """Returns the English text, or the first one where there is none."""
        made = super().__new__(cls, texts.get("en", next(iter(texts.values()))))
        made.texts = dict(texts)
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return OwnWords, (self.texts,)

    def strip(self, chars: str | None = None, /) -> OwnWords:
        """Returns the text without space at its ends, in every language."""
        return OwnWords({lang: text.strip(chars) for lang, text in self.texts.items()})


def message(template: str, /, **values: Any) -> Message:
    """Returns an English sentence that can be translated.

    Args:
        template: a literal, so that it is found for the catalogue; `{name}` is replaced, `{name:,}` groups digits.
        values: of the placeholders.
    Raises:
        KeyError: a placeholder has no value.
    Example:
        >>> message("{name} wins", name="unet")
        'unet wins'
    """
    return Message(template, values)


def plural(template: str, plural_template: str, /, *, n: int, **values: Any) -> Message:
    """Returns an English sentence whose form follows a number.

    Args:
        template: for n = 1, a literal; plural_template: for every other number.
        n: what is counted; also the value of `{n}`.
        values: of the other placeholders.
    Raises:
        KeyError: a placeholder has no value.
    Example:
        >>> [plural("{n} mask is empty", "{n} masks are empty", n=n) for n in (1, 3)]
        ['1 mask is empty', '3 masks are empty']
    """
    return Message(template, {"n": n, **values}, plural_template, n)


def template(text: str, /) -> str:
    """Returns a template as it is: it is filled later, as `Message(text, values)`.

    A table of templates marks them so, and they are found for the catalogue.

    Example:
        >>> Message(template("within {tolerance} px"), {"tolerance": 2})
        'within 2 px'
    """
    return text


def join(separator: str, texts: Iterable[str]) -> Message:
    """Returns the texts with a separator between them, which stays as it is in every language.

    Example:
        >>> join("; ", [message("one"), message("two")])
        'one; two'
    """
    values = {f"text{number}": text for number, text in enumerate(texts)}
    escaped = separator.replace("{", "{{").replace("}", "}}")
    return Message(escaped.join(f"{{{name}}}" for name in values), values)


def quoted(text: str) -> Message:
    """Returns what a library or another program says: a message as it is, any other text as a quotation.

    Example:
        >>> quoted("No space left on device")
        'No space left on device'
    """
    return text if isinstance(text, Message) else message("{quote}", quote=text)


def fill(template: str, values: Mapping[str, Any], decimal: str = ".") -> str:
    """Returns the template with its values.

    Args:
        template, values: digits that `{name:,}` groups have a narrow space between the groups.
        decimal: what stands before the decimals of a float among the values.
    """
    return _Formatter(decimal).vformat(template, (), values)


def to_plain(text: str) -> Any:
    """Returns a message as JSON keeps it, with what it was made of, so that `from_plain` has it translatable again.

    Example:
        >>> to_plain(message("{name} wins", name="unet"))
        {'template': '{name} wins', 'values': {'name': 'unet'}}
    """
    if not isinstance(text, Message):
        return text
    counted = {} if text.plural_template is None else {"plural": text.plural_template, "n": text.n}
    values = {name: to_plain(value) if isinstance(value, str) else value for name, value in text.values.items()}
    return {"template": text.template, "values": values, **counted}


def from_plain(plain: Any) -> Any:
    """Returns what `to_plain` was given; a plain text as it is.

    Raises:
        KeyError, TypeError, AttributeError: this is not what `to_plain` returns.
    """
    if not isinstance(plain, Mapping):
        return plain
    values = {name: from_plain(value) for name, value in plain["values"].items()}
    return Message(plain["template"], values, plain.get("plural"), plain.get("n"))


class _Formatter(string.Formatter):
    def __init__(self, decimal: str) -> None:
        self._decimal = decimal

    def format_field(self, value: Any, format_spec: str) -> str:
        shown = format(value, format_spec)
        shown = shown.replace(",", "\u202f") if "," in format_spec else shown
        return shown.replace(".", self._decimal) if isinstance(value, float) else shown
