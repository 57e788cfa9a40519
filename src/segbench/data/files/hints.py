"""What a person probably meant by a mask whose values do not fit: the second half of the error messages."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any

from segbench.config.text import parse_value
from segbench.locale import Message, message
from segbench.speech import python_text, speech
from segbench.types import MaskValue, Task

_LONG = 100  # an option's value with more characters is not written out twice
NEAREST = "nearest"  # the option `tolerance`: every value is taken for the nearest known one
_PLAIN = re.compile(r"[^\W\d]([\w ./-]*\w)?")  # what YAML surely reads as text without quotes, also in a list
_WORDS_OF_YAML = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
_TOLD = re.compile(r"""\(--option ((?:'[^']*'|"'"|[^\s'"()])+)\)""")  # a word that `shlex.quote` made
_MANY_CLASSES = 12  # from which on the others are proposed as one class
LOSSY_DISTANCE = 24  # JPEG and resizing leave values this near to the ones that were drawn


def describe_value(value: MaskValue) -> str:
    """Returns `7` or `(0, 255, 0)`."""
    return str(value) if isinstance(value, int) else f"({', '.join(str(part) for part in value)})"


def set_option(name: str, value: str = "") -> Message:
    """Returns an option as whoever asks gives it.

    `the option tolerance=8` in Python, `the option tolerance: 8 (--option tolerance=8)` on the command line, and with
    `--set` where a run config is read. What is long is written once, complete, as it is copied.

    Args:
        name: of the reader's option.
        value: as YAML; a name that a person or a tool gave goes through `yaml_text`. Empty: the person knows it.
    """
    words = speech()
    if words == "python":
        given = f"{name}={_in_python(value)}" if value else name
        return message("the option {given}", name=name, value=value, given=given)
    flag, key = ("--set", f"data.options.{name}") if words == "config" else ("--option", name)
    if not value:
        return message("the option {name} ({flag} {key}=...)", name=name, value=value, given="", flag=flag, key=key)
    given = shlex.quote(f"{key}={value}")
    if len(value) > _LONG:
        return message("the option {name} ({flag} {given})", name=name, value=value, given=given, flag=flag)
    return message("the option {name}: {value} ({flag} {given})", name=name, value=value, given=given, flag=flag)


def set_format(name: str) -> Message:
    """Returns a format as whoever asks gives it: `format="coco"`, or `data.format: coco (--format coco)`."""
    words = speech()
    if words == "python":
        return message("{given}", format=name, given=f"format={python_text(name)}")
    given = f"--set data.format={name}" if words == "config" else f"--format {name}"
    return message("data.format: {format} ({given})", format=name, given=given)


def give(format: str, options: Mapping[str, Any]) -> str:  # noqa: A002  # the config's word
    """Returns a format and options, ready to be copied: `--format coco --option crowd=ignore` and the like.

    Args:
        format: empty where it needs no telling.
    """
    words = speech()
    if words == "python":
        given = {**({"format": format} if format else {}), **options}
        return ", ".join(f"{name}={python_text(value)}" for name, value in given.items())
    texts = {name: yaml_value(value) for name, value in options.items()}
    if words == "config":
        given = {**({"format": format} if format else {}), **{f"options.{name}": text for name, text in texts.items()}}
        return " ".join(f"--set {shlex.quote(f'data.{name}={text}')}" for name, text in given.items())
    parts = [f"--option {shlex.quote(f'{name}={text}')}" for name, text in texts.items()]
    return " ".join([*([f"--format {format}"] if format else []), *parts])


def yaml_value(value: Any) -> str:
    """Returns a plain value as YAML in one line: `{background: 0, crack: [1, 255]}`."""
    if isinstance(value, str):
        return yaml_text(value)
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{yaml_value(key)}: {yaml_value(item)}' for key, item in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(yaml_value, value))}]"
    return json.dumps(value)  # JSON is YAML


def yaml_text(name: str) -> str:
    """Returns a name as YAML writes it, also inside of a list or mapping: `crack`, `"crack: wide"`."""
    return name if _is_plain(name) else json.dumps(name, ensure_ascii=False)


@lru_cache
def _is_plain(name: str) -> bool:
    """Returns whether YAML reads a name as this text without quotes."""
    if name.lower() in _WORDS_OF_YAML or _PLAIN.fullmatch(name):
        return name.lower() not in _WORDS_OF_YAML
    try:
        return bool(parse_value(f"[{name}]") == [name] and parse_value(f"{{{name}: {name}}}") == {name: name})
    except (ValueError, TypeError):  # TypeError: a list or mapping as a key
        return False


@lru_cache
def _in_python(value: str) -> str:
    return python_text(parse_value(value))


def propose_blocks(number: int) -> str:
    """Returns the value of `data.split` that divides so many neighbouring slices or frames into blocks."""
    block = min(10, max(2, number // 9))
    return f'{{method: blocks, block: {block}, gap: {min(3, block // 3)}, group: ""}}'


def options_in(text: str) -> list[tuple[str, str]]:
    """Returns the options (name, value as YAML) that a message tells to set, those in its values too."""
    if not isinstance(text, Message):
        return []
    if _is_option(text):
        return [(text.values["name"], text.values["value"])] if text.values["value"] else []
    return [option for value in text.values.values() for option in options_in(value)]


def options_told(text: str) -> list[tuple[str, str]]:
    """Returns the options (name, value as YAML) that a sentence of the command line tells to set, as `set_option` does;
    also where it is plain text by now."""
    words = (shlex.split(given)[0] for given in _TOLD.findall(text))
    pairs = (word.partition("=") for word in words)
    return list(dict.fromkeys((name, value) for name, _, value in pairs if value != "..."))


def said_again(text: Message) -> Message:
    """Returns a sentence that was made when its module was imported, with its options in the words of now."""
    if _is_option(text):
        return set_option(text.values["name"], text.values["value"])
    if _is_format(text):
        return set_format(text.values["format"])
    values = {name: said_again(value) if isinstance(value, Message) else value for name, value in text.values.items()}
    return Message(text.template, values, text.plural_template, text.n)


def _is_option(text: Message) -> bool:
    return {"name", "value", "given"} <= text.values.keys()  # as `set_option` makes it


def _is_format(text: Message) -> bool:
    return text.values.keys() == {"format", "given"}  # as `set_format` makes it


def needs_a_reader(text: str) -> bool:
    """Returns whether a message tells to set an option or a format, which only a data set's reader has."""
    if not isinstance(text, Message):
        return False
    return _is_option(text) or _is_format(text) or any(map(needs_a_reader, text.values.values()))


def tolerance_option(distance: int) -> Message:
    """Returns the option `tolerance` that takes values so far from a known one for it."""
    return set_option("tolerance", str(distance) if distance <= LOSSY_DISTANCE else NEAREST)


def lossy_tolerance(found: Iterable[int], known: Iterable[int]) -> int | None:
    """Returns the `tolerance` that would snap all found values to known ones, or None if that explains nothing."""
    anchors = sorted(known)
    foreign = sorted(set(found) - set(anchors))
    if not anchors or not foreign:
        return None
    nearest = [min((abs(value - anchor), anchor) for anchor in anchors) for value in foreign]
    if len({anchor for _, anchor in nearest}) < 2:
        return None  # losses blur every class; a lone crowd of values is rather labels
    farthest = max(distance for distance, _ in nearest)
    gaps = [after - before for before, after in pairwise(anchors)]
    return farthest if farthest <= LOSSY_DISTANCE and all(gap > 2 * farthest + 1 for gap in gaps) else None


def propose_classes(values: Iterable[MaskValue]) -> Message:
    """Returns the option `classes` that names every value, ready to be edited; 0 and black are the background.

    Of more than 12 values the last ones are one class, `rest`: all that no other class has.
    """
    entries = [
        f"{'background' if value in (0, (0, 0, 0)) else f'class_{place}'}: "
        f"{list(value) if isinstance(value, tuple) else value}"
        for place, value in enumerate(values)
    ]
    if len(entries) > _MANY_CLASSES:
        entries[_MANY_CLASSES - 1 :] = ["other: rest"]
    return set_option("classes", f"{{{', '.join(entries)}}}")


def hint_for(counts: Mapping[MaskValue, int], table: Mapping[MaskValue, int], task: Task) -> Message:
    """Returns what to do about a mask with values outside `table` (value -> class index)."""
    if any(isinstance(value, tuple) for value in (*counts, *table)):
        return message("add these colours to `classes`, or to `ignore`")
    found = {value for value in counts if isinstance(value, int)}
    known = {value for value in table if isinstance(value, int)}
    if task is Task.MULTILABEL and len(found) > 2:
        return message("a multilabel mask file holds one class, as 0 and 255 or 0 and 1")
    return _binary_hint(found, known) or _grey_hint(found, known)


def _binary_hint(found: set[int], known: set[int]) -> Message | None:
    """Returns what to do where 0 and 255 or 0 and 1 explain the values."""
    if found <= {0, 255}:
        if known >= {0, 1} and len(known) == 2:
            return message(
                "the values 0 and 255 fit a binary class map: {binary}; or, where other masks hold 0 and 1, {both}",
                binary=set_option("classes", "{background: 0, foreground: 255}"),
                both=set_option("classes", "{background: 0, foreground: [1, 255]}"),
            )
        return message(
            "255 often marks pixels to ignore: {ignore}; or the mask is binary: {binary}",
            ignore=set_option("ignore", "[255]"),
            binary=set_option("classes", "{background: 0, foreground: 255}"),
        )
    if found - known == {255}:
        return message("255 often marks pixels that count nowhere: {ignore}", ignore=set_option("ignore", "[255]"))
    if found == {0, 1} and known == {0, 255}:
        option = set_option("classes", "{background: 0, foreground: 1}")
        return message("the values 0 and 1 fit a binary class map: {option}", option=option)
    return None


def _grey_hint(found: set[int], known: set[int]) -> Message:
    foreign = found - known
    if found <= {1, 2, 3} and 3 in found and 0 in known:
        return message(
            "1, 2, 3 without 0 is a trimap as in Oxford pets: {format}, or {option}",
            format=set_format("oxford_pets"),
            option=set_option("classes", "{pet: 1, background: 2, border: 3}"),
        )
    if 0 not in found and 0 in known and {value - 1 for value in found} <= known:
        return message(
            "every value is one too high (off by one): count the classes in `classes` from 1, or lower the masks by 1"
        )
    tolerance = lossy_tolerance(found, known)
    if tolerance is None and known < {0, 1, 255}:
        tolerance = lossy_tolerance(found, {0, 255})
    if tolerance is not None and len(foreign) > 1:
        return message(
            "all are near known values, as after lossy compression (JPEG) or resizing: set {option} to take the "
            "nearest, or save the masks as PNG",
            option=tolerance_option(tolerance),
        )
    if found == set(range(len(found))) and len(found) > len(known):
        return message(
            "the mask has {n} classes, the class map {known}: {option}",
            n=len(found),
            known=len(known),
            option=propose_classes(sorted(found)),
        )
    return message("add the values to `classes`, or to `ignore`")
